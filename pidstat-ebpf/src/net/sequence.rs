//! Bytes of a TCP connection by its sequence numbers, for the rungs on which no hook counts them.
//!
//! The numbers are of 32 bits; the kernel's own 64-bit sums, which run a little behind or ahead, tell how often they went
//! round. Nothing is locked here, so loads are ordered to err by a moment's delay, never by a byte too many.

use crate::{
    load::{Ptr, load, offset},
    maps::seqs,
    socket::{Socket, no_storage, state},
    turn,
};
use aya_ebpf::{bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::generated::bpf_sk_storage_get};
use core::ptr::{null_mut, read_volatile, write_volatile};
use pidstat_common::net::{SOCK_ACTIVE, SOCK_BASED, SOCK_CLOSED, SeqCounters, SockCounters};

/// Whether records take their bytes from the sequence numbers.
#[inline(always)]
pub fn sampled() -> bool {
    offset!(sampled) != 0
}

/// Whether breakpoints follow the sequence numbers from turn to turn.
#[inline(always)]
pub fn turns() -> bool {
    offset!(turns) != 0
}

/// Whether the sequence numbers matter at all.
#[inline(always)]
pub fn followed() -> bool {
    sampled() || turns()
}

/// What is kept of the socket, if anything.
#[inline(always)]
unsafe fn find(sk: Socket) -> *mut SeqCounters {
    // SAFETY: a typed socket, the map, and no initial value.
    unsafe { bpf_sk_storage_get(seqs(), sk.0, null_mut(), 0).cast() }
}

#[inline(always)]
unsafe fn find_or_make(sk: Socket) -> *mut SeqCounters {
    // SAFETY: as above; the kernel zeroes what it makes.
    unsafe {
        let made: *mut SeqCounters =
            bpf_sk_storage_get(seqs(), sk.0, null_mut(), u64::from(BPF_SK_STORAGE_GET_F_CREATE)).cast();
        if made.is_null() { find(sk) } else { made }
    }
}

/// The 64-bit number next to `near` whose lower half is `low`; 0 if that is below 0.
#[inline(always)]
fn extend(low: u32, near: u64) -> u64 {
    let number = near.wrapping_add(i64::from(low.wrapping_sub(near as u32) as i32) as u64);
    if (number as i64) < 0 { 0 } else { number }
}

/// Bytes accepted from the application and taken by it, over all connections of the socket.
#[inline(always)]
pub unsafe fn moved(sk: Socket, tcp: Ptr, counters: *const SockCounters) -> (u64, u64) {
    // SAFETY: fields of a tcp_sock and of its storages, by the caller's promise.
    unsafe {
        let seq = find(sk);
        if seq.is_null() {
            return (0, 0);
        }
        // The numbers between two looks at the flags. A connection that is made meanwhile has its flag last, behind numbers
        // that were none yet; whatever makes a number mean something else has its flag first.
        let based = read_volatile(&raw const (*counters).flags) & SOCK_BASED;
        let write: u32 = load(tcp, offset!(write_seq));
        let read = sk.read_up_to(tcp);
        let flags = read_volatile(&raw const (*counters).flags);
        let ended = read_volatile(&raw const (*seq).ended) != 0;
        let now = read_volatile(seq);
        let (earlier_tx, earlier_rx) = (now.earlier_tx, now.earlier_rx);
        if based & flags == 0 {
            return (earlier_tx, earlier_rx);
        }
        let received: u64 = load(tcp, offset!(bytes_received));
        let rx = extend(
            read.wrapping_sub(read_volatile(&raw const (*counters).copied_seq)),
            received.wrapping_sub(now.base_received),
        );
        if flags & SOCK_CLOSED != 0 {
            // A socket that was reset may still be read from; one that was disconnected begins anew.
            let same = load::<u32>(tcp, offset!(segs_in)) == (*counters).closed_segs_in;
            let rx = if same { rx } else { now.closed_rx };
            return (earlier_tx + now.closed_tx, earlier_rx + rx);
        }
        let last = if ended { now.last_tx } else { write };
        let acked: u64 = load(tcp, offset!(bytes_acked));
        let tx = extend(last.wrapping_sub(now.first_tx), acked.wrapping_sub(now.base_acked));
        (earlier_tx + tx, earlier_rx + rx)
    }
}

/// Where the numbers of a new connection start. What is received starts where `copied_seq` of the storage says.
#[inline(always)]
pub unsafe fn begin(sk: Socket, tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: fields of a tcp_sock and of its storages.
    unsafe {
        let seq = find_or_make(sk);
        if seq.is_null() {
            return no_storage();
        }
        // Data may be under way already: fast open sends it with the SYN.
        let acked: u64 = load(tcp, offset!(bytes_acked));
        let first = load::<u32>(tcp, offset!(snd_una)).wrapping_sub(acked as u32);
        let syn = u32::from((*counters).flags & SOCK_ACTIVE != 0);
        (*seq).first_tx = first.wrapping_add(syn);
        (*seq).base_acked = 0;
        (*seq).base_received = 0;
        (*seq).ended = 0;
        if turns() {
            turn::begin(counters, (*seq).first_tx, (*counters).copied_seq, false);
        }
    }
}

/// Where they start for a connection that is older than the tool.
#[inline(always)]
pub unsafe fn begin_late(sk: Socket, tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: fields of a tcp_sock and of its storages.
    unsafe {
        let seq = find_or_make(sk);
        if seq.is_null() {
            return no_storage();
        }
        let ended =
            !matches!(sk.state(), state::ESTABLISHED | state::SYN_SENT | state::SYN_RECV | state::CLOSE_WAIT);
        (*seq).first_tx = load(tcp, offset!(write_seq));
        (*seq).last_tx = (*seq).first_tx;
        (*seq).base_acked = load(tcp, offset!(bytes_acked));
        (*seq).base_received = load(tcp, offset!(bytes_received));
        (*seq).ended = u64::from(ended);
        if turns() {
            turn::begin(counters, (*seq).first_tx, (*counters).copied_seq, ended);
        }
    }
}

/// Writing ends: only the FIN comes after this.
#[inline(always)]
pub unsafe fn end(sk: Socket, tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: a field of a tcp_sock, and its storages; the socket is locked.
    unsafe {
        let write: u32 = load(tcp, offset!(write_seq));
        if turns() && !sk.has_upper_layer(tcp) {
            turn::settle_for(counters, write, true);
        }
        let seq = find(sk);
        if !seq.is_null() && (*seq).ended == 0 {
            // The flag last: who sees it must see the number.
            write_volatile(&raw mut (*seq).last_tx, write);
            write_volatile(&raw mut (*seq).ended, 1);
        }
    }
}

/// The socket is closed: what it moved is kept, because disconnecting it will zero the kernel's numbers.
#[inline(always)]
pub unsafe fn close(sk: Socket, tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: a tcp_sock and its storages; the socket is locked.
    unsafe {
        if turns() && !sk.has_upper_layer(tcp) {
            turn::settle_for(counters, load(tcp, offset!(write_seq)), true);
        }
        let seq = find(sk);
        if !seq.is_null() {
            let (tx, rx) = moved(sk, tcp, counters);
            (*seq).closed_tx = tx - (*seq).earlier_tx;
            (*seq).closed_rx = rx - (*seq).earlier_rx;
        }
    }
}

/// A socket that was closed connects again.
#[inline(always)]
pub unsafe fn reopen(sk: Socket, counters: *mut SockCounters) {
    // SAFETY: live storages; the socket is locked.
    unsafe {
        let seq = find(sk);
        if !seq.is_null() {
            (*seq).earlier_tx += (*seq).closed_tx;
            (*seq).earlier_rx += (*seq).closed_rx;
            (*seq).closed_tx = 0;
            (*seq).closed_rx = 0;
            (*seq).ended = 0;
        }
        (*counters).flags &= !SOCK_BASED;
    }
}
