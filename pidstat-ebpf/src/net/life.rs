//! A TCP socket from its first state to its last: owner, baselines, final record.

use crate::{
    accept,
    load::{Ptr, load, offset, swap_if},
    maps::{FLOWS, Loss, closed, uncounted},
    owner::{Process, in_kernel_thread},
    sequence,
    socket::{Socket, claim, no_storage, state},
};
use aya_ebpf::{
    helpers::generated::{bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::info;
use core::{ffi::c_void, ptr::read_volatile};
use pidstat_common::net::{
    CLAIM_FREE, CLAIM_READY, CLAIM_WRITING, FINAL_WHOLE, FLOW_FINAL, FlowCounters, FlowKey, SOCK_ACTIVE,
    SOCK_BASED, SOCK_CLOSED, SOCK_FINAL, SockCounters, SockRecord, Uncounted,
};

/// Sequence number of the first byte the peer sent, while no FIN arrived.
#[inline(always)]
pub unsafe fn first_byte(tcp: Ptr) -> u32 {
    // SAFETY: fields of a tcp_sock.
    unsafe {
        load::<u32>(tcp, offset!(rcv_nxt)).wrapping_sub(load::<u64>(tcp, offset!(bytes_received)) as u32)
    }
}

/// Follows a TCP socket's life. The socket is locked.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn ps_state(ctx: BtfTracePointContext) -> i32 {
    let sk = Socket(ctx.arg(0));
    let old: i32 = ctx.arg(1);
    let new: i32 = ctx.arg(2);
    // SAFETY: argument 0 of this tracepoint is a full socket.
    unsafe {
        let tcp = sk.tcp();
        if tcp.is_null() {
            return 0;
        }
        if old == state::SYN_SENT {
            // Nothing but SYNs went out until now.
            let counters = sk.find();
            if !counters.is_null() {
                (*counters).syns = (*counters).syns.wrapping_add(load::<u32>(tcp, offset!(segs_out)) as u16);
            }
        }
        match new {
            // In the caller's context: the active side's owner is known before the first segment.
            state::SYN_SENT => {
                let counters = sk.find_or(SockCounters::default);
                if counters.is_null() {
                    no_storage();
                    return 0;
                }
                if (*counters).flags & SOCK_CLOSED != 0 {
                    reopen(sk, tcp, counters);
                }
                (*counters).flags |= SOCK_ACTIVE;
                // The port comes later.
                sk.describe(&raw mut (*counters).name);
                // Its sequence numbers are not the application's, which could not be told from them on the other side.
                // Nor is a subflow of MPTCP that the kernel adds to a connection its own.
                if !sk.has_upper_layer(tcp) || !sequence::sampled() && !in_kernel_thread() {
                    claim(counters, &Process::current());
                }
            }
            // In the caller's context. What nobody accepts is this process' own.
            state::LISTEN => {
                let counters = sk.find_or(SockCounters::default);
                if counters.is_null() {
                    no_storage();
                    return 0;
                }
                claim(counters, &Process::current());
            }
            // Often in softirq on a random process: baseline only. `copied_seq` is set before the state.
            state::ESTABLISHED => {
                let counters = sk.find_or(SockCounters::default);
                if counters.is_null() {
                    no_storage();
                    return 0;
                }
                if old == state::SYN_SENT {
                    (*counters).copied_seq = load(tcp, offset!(copied_seq));
                } else if (*counters).flags & SOCK_BASED == 0 {
                    (*counters).copied_seq = first_byte(tcp);
                }
                sk.describe(&raw mut (*counters).name);
                if sequence::followed() {
                    sequence::begin(sk, tcp, counters);
                }
                (*counters).flags |= SOCK_BASED;
                if offset!(debug) != 0 {
                    info!(&ctx, "socket {} established", (*counters).cookie);
                }
            }
            // Only close() and shutdown() lead here, in the caller's context: whoever never sent nor read owns it now.
            state::FIN_WAIT1 | state::LAST_ACK => {
                let counters = sk.find();
                if counters.is_null() {
                    return 0;
                }
                claim_last(sk, tcp, counters);
                if sequence::followed() {
                    sequence::end(sk, tcp, counters);
                }
            }
            state::CLOSE => {
                let counters = sk.find();
                if !counters.is_null() {
                    if sequence::followed() {
                        sequence::close(sk, tcp, counters);
                    }
                    (*counters).closed_segs_in = load(tcp, offset!(segs_in));
                    (*counters).closed_segs_out = load(tcp, offset!(segs_out));
                    (*counters).closed_bytes_sent = load(tcp, offset!(bytes_sent));
                    (*counters).closed_bytes_received = load(tcp, offset!(bytes_received));
                    (*counters).closed_retransmits = load(tcp, offset!(total_retrans));
                    (*counters).flags |= SOCK_CLOSED;
                    accept::note(sk, counters);
                }
            }
            _ => {}
        }
    }
    0
}

/// A socket that was connected before connects again: `tcp_disconnect()` zeroed its counters, ours go on.
#[inline(always)]
unsafe fn reopen(sk: Socket, tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: fields of a tcp_sock and of its storage.
    unsafe {
        let so_far_in = (*counters).closed_segs_in.wrapping_sub((*counters).base_segs_in);
        let so_far_out = (*counters).closed_segs_out.wrapping_sub((*counters).base_segs_out);
        (*counters).base_segs_in = load::<u32>(tcp, offset!(segs_in)).wrapping_sub(so_far_in);
        (*counters).base_segs_out = load::<u32>(tcp, offset!(segs_out)).wrapping_sub(so_far_out);
        if sequence::followed() {
            sequence::reopen(sk, counters);
        }
        (*counters).flags &= !SOCK_CLOSED;
    }
}

/// Makes the caller the owner of a socket that nobody sent through nor read from.
#[inline(always)]
unsafe fn claim_last(sk: Socket, tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: a tcp_sock and its storage. The upper layers close their sockets in the name of others.
    unsafe {
        if sk.has_upper_layer(tcp) {
            return;
        }
        match read_volatile(&raw const (*counters).claim) {
            CLAIM_FREE if !accept::is_left(sk, counters) => {
                claim(counters, &Process::current());
            }
            // The walk over the descriptors is just writing the owner, on another CPU or below this interrupt, and may
            // be too late for the final record. It found the process that closes, unless the socket is shared.
            CLAIM_WRITING if sequence::followed() => {
                Process::current().describe(&raw mut (*counters).owner);
                swap_if(&raw mut (*counters).claim, CLAIM_WRITING, CLAIM_READY);
            }
            _ => {}
        }
    }
}

/// The last word of a TCP socket: everything in it is final, its storage still exists.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn ps_destroy(ctx: BtfTracePointContext) -> i32 {
    const NO_WAKEUP: u64 = 1;
    const FORCE_WAKEUP: u64 = 2;
    const AVAILABLE_DATA: u64 = 0;
    let sk = Socket(ctx.arg(0));
    // SAFETY: argument 0 of this tracepoint is a full TCP socket.
    unsafe {
        let counters = sk.find();
        if counters.is_null() || (*counters).flags & SOCK_FINAL != 0 {
            return 0;
        }
        if sequence::followed() {
            // Whoever is still unknown went from connected to closed without a farewell: its process is closing it.
            let tcp = sk.tcp();
            if !tcp.is_null() {
                claim_last(sk, tcp, counters);
            }
        }
        // Before the record is visible: a dump after the record must not see the socket again.
        (*counters).flags |= SOCK_FINAL;
        if offset!(debug) != 0 {
            let (sent, received) = ((*counters).tx_bytes, (*counters).rx_bytes);
            info!(&ctx, "socket {} closed, {} bytes sent, {} received", (*counters).cookie, sent, received);
        }
        let record = bpf_ringbuf_reserve(closed(), size_of::<SockRecord>() as u64, 0).cast::<SockRecord>();
        if record.is_null() {
            keep(sk, counters);
            return 0;
        }
        *record = SockRecord::default();
        sk.record(counters, record);
        // One wake-up per fill, not per connection; what waits below the mark is taken at the next sample.
        let full = bpf_ringbuf_query(closed(), AVAILABLE_DATA) >= u64::from(offset!(ring_wakeup_bytes));
        let flags = if full { FORCE_WAKEUP } else { NO_WAKEUP };
        bpf_ringbuf_submit(record.cast::<c_void>(), flags);
    }
    0
}

/// An empty flow; on the stack there is no room for one.
static EMPTY: FlowCounters = FlowCounters::EMPTY;

/// Keeps a final record for which the ring has no room where flows are kept.
#[inline(always)]
unsafe fn keep(sk: Socket, counters: *const SockCounters) {
    // SAFETY: a full TCP socket and its storage; nobody else has an entry of this key, and its reader waits for the mark.
    unsafe {
        let (tx_bytes, rx_bytes, tx_packets, rx_packets) = sk.sums(counters);
        let key = FlowKey { cookie: (*counters).cookie, start_ns: 0, tgid: 0, kind: FLOW_FINAL };
        let empty: &FlowCounters = &EMPTY;
        let _ = FLOWS.insert(key, empty, 0);
        let Some(record) = FLOWS.get_ptr_mut(key) else {
            let moved = Uncounted { tx_bytes, rx_bytes, tx_packets, rx_packets, ..Uncounted::default() };
            return uncounted(Loss::RingFull, false, moved);
        };
        sk.owner(counters, &raw mut (*record).owner);
        (*record).name = (*counters).name;
        (*record).tx_bytes = tx_bytes;
        (*record).rx_bytes = rx_bytes;
        (*record).rx_messages = rx_packets;
        swap_if(&raw mut (*record).tx_messages, 0, tx_packets | FINAL_WHOLE);
    }
}
