//! Bytes of a TCP connection by its sequence numbers, for the rungs on which no hook counts them.
//!
//! The numbers are of 32 bits; the kernel's own 64-bit sums, which run a little behind or ahead, tell how often they went
//! round. Nothing is locked here, so loads are ordered to err by a moment's delay, never by a byte too many.

use crate::{
    load::{Ptr, load, offset},
    socket::{Socket, state},
    turn,
};
use core::ptr::{read_volatile, write_volatile};
use pidstat_common::net::{SOCK_ACTIVE, SOCK_BASED, SOCK_CLOSED, SOCK_ENDED, SockCounters};

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

/// The 64-bit number next to `near` whose lower half is `low`.
#[inline(always)]
fn extend(low: u32, near: u64) -> u64 {
    near.wrapping_add(i64::from(low.wrapping_sub(near as u32) as i32) as u64)
}

/// Bytes accepted from the application and taken by it, over all connections of the socket.
#[inline(always)]
pub unsafe fn moved(sk: Socket, tcp: Ptr, counters: *const SockCounters) -> (u64, u64) {
    // SAFETY: fields of a tcp_sock and of its storage, by the caller's promise.
    unsafe {
        // The numbers before the flags: whatever makes a number mean something else sets its flag first.
        let write: u32 = load(tcp, offset!(write_seq));
        let read = sk.read_up_to(tcp);
        let flags = read_volatile(&raw const (*counters).flags);
        let (earlier_tx, earlier_rx) = ((*counters).tx_bytes, (*counters).rx_bytes);
        if flags & SOCK_BASED == 0 {
            return (earlier_tx, earlier_rx);
        }
        let received: u64 = load(tcp, offset!(bytes_received));
        let rx = extend(
            read.wrapping_sub((*counters).copied_seq),
            received.wrapping_sub((*counters).base_received),
        );
        if flags & SOCK_CLOSED != 0 {
            // A socket that was reset may still be read from; one that was disconnected begins anew.
            let same = load::<u32>(tcp, offset!(segs_in)) == (*counters).closed_segs_in;
            let rx = if same { rx } else { (*counters).closed_rx };
            return (earlier_tx + (*counters).closed_tx, earlier_rx + rx);
        }
        let last = if flags & SOCK_ENDED != 0 { (*counters).last_tx } else { write };
        let acked: u64 = load(tcp, offset!(bytes_acked));
        let tx = extend(last.wrapping_sub((*counters).first_tx), acked.wrapping_sub((*counters).base_acked));
        (earlier_tx + tx, earlier_rx + rx)
    }
}

/// Where the numbers of a new connection start. What is received starts where `copied_seq` of the storage says.
#[inline(always)]
pub unsafe fn begin(tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: fields of a tcp_sock and of its storage.
    unsafe {
        // Data may be under way already: fast open sends it with the SYN.
        let acked: u64 = load(tcp, offset!(bytes_acked));
        let first = load::<u32>(tcp, offset!(snd_una)).wrapping_sub(acked as u32);
        let syn = u32::from((*counters).flags & SOCK_ACTIVE != 0);
        (*counters).first_tx = first.wrapping_add(syn);
        (*counters).base_acked = 0;
        (*counters).base_received = 0;
        if turns() {
            turn::begin(counters, (*counters).first_tx, (*counters).copied_seq, false);
        }
    }
}

/// Where they start for a connection that is older than the tool.
#[inline(always)]
pub unsafe fn begin_late(sk: Socket, tcp: Ptr, counters: &mut SockCounters) {
    // SAFETY: fields of a tcp_sock.
    unsafe {
        counters.first_tx = load(tcp, offset!(write_seq));
        counters.last_tx = counters.first_tx;
        counters.base_acked = load(tcp, offset!(bytes_acked));
        counters.base_received = load(tcp, offset!(bytes_received));
    }
    // SAFETY: a full socket.
    match unsafe { sk.state() } {
        state::ESTABLISHED | state::SYN_SENT | state::SYN_RECV | state::CLOSE_WAIT => {}
        _ => counters.flags |= SOCK_ENDED,
    }
}

/// Writing ends: only the FIN comes after this.
#[inline(always)]
pub unsafe fn end(tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: a field of a tcp_sock, and its storage; the socket is locked.
    unsafe {
        if turns() {
            turn::settle_for(counters, load(tcp, offset!(write_seq)), true);
        }
        if (*counters).flags & SOCK_ENDED == 0 {
            // The flag last: who sees it must see the number.
            write_volatile(&raw mut (*counters).last_tx, load(tcp, offset!(write_seq)));
            write_volatile(&raw mut (*counters).flags, (*counters).flags | SOCK_ENDED);
        }
    }
}

/// The socket is closed: what it moved is kept, because disconnecting it will zero the kernel's numbers.
#[inline(always)]
pub unsafe fn close(sk: Socket, tcp: Ptr, counters: *mut SockCounters) {
    // SAFETY: a tcp_sock and its storage; the socket is locked.
    unsafe {
        if turns() {
            turn::settle_for(counters, load(tcp, offset!(write_seq)), true);
        }
        let (tx, rx) = moved(sk, tcp, counters);
        (*counters).closed_tx = tx - (*counters).tx_bytes;
        (*counters).closed_rx = rx - (*counters).rx_bytes;
    }
}

/// A socket that was closed connects again.
#[inline(always)]
pub unsafe fn reopen(counters: *mut SockCounters) {
    // SAFETY: a live storage; the socket is locked.
    unsafe {
        if sampled() {
            (*counters).tx_bytes += (*counters).closed_tx;
            (*counters).rx_bytes += (*counters).closed_rx;
        }
        (*counters).closed_tx = 0;
        (*counters).closed_rx = 0;
        (*counters).flags &= !(SOCK_BASED | SOCK_ENDED);
    }
}
