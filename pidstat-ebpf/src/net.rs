//! The net family: bytes and packets of every socket, charged to the process that moved them.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(
    internal_features,
    reason = "the BPF target has no AtomicU64::fetch_add; the intrinsic is what there is"
)]

#[path = "net/account.rs"]
mod account;
#[path = "net/iterate.rs"]
mod iterate;
#[path = "net/load.rs"]
mod load;
#[path = "net/maps.rs"]
mod maps;
#[path = "net/owner.rs"]
mod owner;
#[path = "net/socket.rs"]
mod socket;

use account::{Moved, charge};
use aya_ebpf::{
    helpers::generated::{bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::info;
use core::ffi::c_void;
use load::{Ptr, load, offset};
use maps::{Loss, closed, lost};
use owner::Process;
use pidstat_common::net::{
    CLAIM_FREE, SOCK_ACTIVE, SOCK_BASED, SOCK_CLOSED, SOCK_FINAL, SockCounters, SockRecord,
};
use socket::{Socket, claim, no_storage, state};

const TCP: u16 = 6;
const UDP: u16 = 17;
const UDPLITE: u16 = 136;
const MPTCP: u16 = 262;
const MSG_PEEK: i32 = 0x2;
const MSG_ERRQUEUE: i32 = 0x2000;
const RCV_SHUTDOWN: u8 = 1;

/// What every protocol but plain TCP's receive side counts: `ret` bytes in one call, one message if it is datagrams.
#[inline(always)]
unsafe fn count(sk: Socket, protocol: u16, tcp: Ptr, moved: Moved) {
    // SAFETY: `sk` is the hook's socket and `tcp` its tcp_sock or NULL.
    unsafe {
        let counters =
            sk.find_or(|| if tcp.is_null() { SockCounters::default() } else { sk.older(tcp, false) });
        if counters.is_null() {
            return no_storage(moved.tx_bytes, moved.rx_bytes, moved.tx_messages + moved.rx_messages);
        }
        charge(counters, protocol == TCP, moved);
    }
}

/// Whether a call of this protocol is a message, as opposed to a piece of a stream whose packets are segments.
#[inline(always)]
fn messages(protocol: u16) -> u64 {
    u64::from(protocol != TCP && protocol != MPTCP)
}

/// Bytes that a send call of any kind accepted; since 6.5 splice and sendfile come here too.
#[btf_tracepoint(function = "sock_send_length")]
pub fn ps_send(ctx: BtfTracePointContext) -> i32 {
    let sk = Socket(ctx.arg(0));
    let accepted: i32 = ctx.arg(1);
    if accepted < 0 {
        return 0;
    }
    // SAFETY: argument 0 of this tracepoint is a full socket.
    unsafe {
        if !sk.is_inet() {
            return 0;
        }
        let protocol = sk.protocol();
        // An empty datagram is a message; an empty write to a stream is nothing.
        if accepted == 0 && protocol != UDP && protocol != UDPLITE {
            return 0;
        }
        let moved = Moved { tx_bytes: accepted as u64, tx_messages: messages(protocol), ..Moved::default() };
        count(sk, protocol, sk.tcp(), moved);
    }
    0
}

/// Bytes that a receive call returned, for all but plain TCP: splice and zero-copy reads of TCP do not come here.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn ps_recv(ctx: BtfTracePointContext) -> i32 {
    let sk = Socket(ctx.arg(0));
    let returned: i32 = ctx.arg(1);
    let flags: i32 = ctx.arg(2);
    if returned < 0 || flags & (MSG_PEEK | MSG_ERRQUEUE) != 0 {
        return 0;
    }
    // SAFETY: argument 0 of this tracepoint is a full socket.
    unsafe {
        if !sk.is_inet() {
            return 0;
        }
        let protocol = sk.protocol();
        if returned == 0 {
            // 0 is an empty datagram, unless reading was shut down: then it is end of file.
            let shutdown: u8 = load(sk.0 as Ptr, offset!(sk_shutdown));
            if (protocol != UDP && protocol != UDPLITE) || shutdown & RCV_SHUTDOWN != 0 {
                return 0;
            }
        }
        let tcp = sk.tcp();
        if !tcp.is_null() && load::<Ptr>(tcp, offset!(icsk_ulp_ops)).is_null() {
            return 0;
        }
        let moved = Moved { rx_bytes: returned as u64, rx_messages: messages(protocol), ..Moved::default() };
        count(sk, protocol, tcp, moved);
    }
    0
}

/// Bytes that left a TCP receive queue towards a process, by whatever call: the way `copied_seq` went.
///
/// The size that `tcp_cleanup_rbuf` is given is wrong under MSG_PEEK and MSG_WAITALL; the sequence number is not. The
/// socket is locked here, so the baseline needs no atomics.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub fn ps_tcp_recv(ctx: BtfTracePointContext) -> i32 {
    let sk = Socket(ctx.arg(0));
    // SAFETY: argument 0 of this tracepoint is a full TCP socket.
    unsafe {
        let tcp = sk.tcp();
        // An upper layer protocol (kTLS, MPTCP's subflows) reads ciphertext, also in softirq: ps_recv counts those.
        if tcp.is_null() || !load::<Ptr>(tcp, offset!(icsk_ulp_ops)).is_null() {
            return 0;
        }
        let counters = sk.find_or(|| sk.older(tcp, false));
        if counters.is_null() {
            no_storage(0, 0, 0);
            return 0;
        }
        let upto = sk.read_up_to(tcp);
        if (*counters).flags & SOCK_BASED == 0 {
            (*counters).flags |= SOCK_BASED;
            if sk.state() == state::SYN_RECV {
                // Fast open: data is read before ESTABLISHED took the baseline.
                (*counters).copied_seq = first_byte(tcp);
            } else {
                (*counters).copied_seq = upto;
                lost(Loss::NoBaseline, 0, 0, 0);
                return 0;
            }
        }
        let delta = upto.wrapping_sub((*counters).copied_seq);
        (*counters).copied_seq = upto;
        // 0 under MSG_PEEK; backwards only if TCP_REPAIR set it.
        if delta as i32 <= 0 {
            return 0;
        }
        charge(counters, true, Moved { rx_bytes: u64::from(delta), ..Moved::default() });
    }
    0
}

/// Sequence number of the first byte the peer sent, while no FIN arrived.
#[inline(always)]
unsafe fn first_byte(tcp: Ptr) -> u32 {
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
        match new {
            // In the caller's context: the active side's owner is known before the first segment.
            state::SYN_SENT => {
                let counters = sk.find_or(SockCounters::default);
                if counters.is_null() {
                    no_storage(0, 0, 0);
                    return 0;
                }
                if (*counters).flags & SOCK_CLOSED != 0 {
                    reopen(tcp, counters);
                }
                (*counters).flags |= SOCK_ACTIVE;
                // The port comes later.
                sk.describe(&raw mut (*counters).name);
                claim(counters, &Process::current());
            }
            // Often in softirq on a random process: baseline only. `copied_seq` is set before the state.
            state::ESTABLISHED => {
                let counters = sk.find_or(SockCounters::default);
                if counters.is_null() {
                    no_storage(0, 0, 0);
                    return 0;
                }
                if old == state::SYN_SENT {
                    (*counters).copied_seq = load(tcp, offset!(copied_seq));
                } else if (*counters).flags & SOCK_BASED == 0 {
                    (*counters).copied_seq = first_byte(tcp);
                }
                (*counters).flags |= SOCK_BASED;
                sk.describe(&raw mut (*counters).name);
                if offset!(debug) != 0 {
                    info!(&ctx, "socket {} established", (*counters).cookie);
                }
            }
            // Only close() and shutdown() lead here, in the caller's context: whoever never sent nor read owns it now.
            state::FIN_WAIT1 | state::LAST_ACK => {
                let counters = sk.find();
                if !counters.is_null()
                    && (*counters).claim == CLAIM_FREE
                    && load::<Ptr>(tcp, offset!(icsk_ulp_ops)).is_null()
                {
                    claim(counters, &Process::current());
                }
            }
            state::CLOSE => {
                let counters = sk.find();
                if !counters.is_null() {
                    (*counters).closed_segs_in = load(tcp, offset!(segs_in));
                    (*counters).closed_segs_out = load(tcp, offset!(segs_out));
                    (*counters).closed_bytes_sent = load(tcp, offset!(bytes_sent));
                    (*counters).closed_bytes_received = load(tcp, offset!(bytes_received));
                    (*counters).closed_retransmits = load(tcp, offset!(total_retrans));
                    (*counters).flags |= SOCK_CLOSED;
                }
            }
            _ => {}
        }
    }
    0
}

/// A socket that was connected before connects again: `tcp_disconnect()` zeroed its counters, ours go on.
#[inline(always)]
unsafe fn reopen(tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: fields of a tcp_sock and of its storage.
    unsafe {
        let so_far_in = (*counters).closed_segs_in.wrapping_sub((*counters).base_segs_in);
        let so_far_out = (*counters).closed_segs_out.wrapping_sub((*counters).base_segs_out);
        (*counters).base_segs_in = load::<u32>(tcp, offset!(segs_in)).wrapping_sub(so_far_in);
        (*counters).base_segs_out = load::<u32>(tcp, offset!(segs_out)).wrapping_sub(so_far_out);
        (*counters).flags &= !SOCK_CLOSED;
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
        // Before the record is visible: a dump after the record must not see the socket again.
        (*counters).flags |= SOCK_FINAL;
        if offset!(debug) != 0 {
            let (sent, received) = ((*counters).tx_bytes, (*counters).rx_bytes);
            info!(&ctx, "socket {} closed, {} bytes sent, {} received", (*counters).cookie, sent, received);
        }
        let record = bpf_ringbuf_reserve(closed(), size_of::<SockRecord>() as u64, 0).cast::<SockRecord>();
        if record.is_null() {
            let mut unsent = SockRecord::default();
            sk.record(counters, &raw mut unsent);
            let segments = u64::from(unsent.segs_in) + u64::from(unsent.segs_out);
            lost(Loss::RingFull, unsent.tx_bytes, unsent.rx_bytes, segments);
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

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The helpers used are GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
