//! Whose turn it is to write to a TCP socket, for the rung of breakpoints: they see calls begin, not what they return.
//!
//! What was written since the last look is the way `write_seq` went, and is its writer's; so a look is due whenever the
//! writer changes, writing ends, or a sample is taken. A breakpoint gets no typed socket, hence no socket storage: turns
//! are in a map of their own, keyed by the cookie that the other programs gave the socket.

use crate::{
    account::{Moved, charge_flow},
    load::swap_if,
    maps::{Loss, TURNS, lost},
};
use core::ptr::{read_volatile, write_volatile};
use pidstat_common::net::{CLAIM_READY, FlowKey, Owner, SockCounters, TURN_ENDED, Turn};

/// A difference that must not grow, or 32 bits cannot hold it.
const HALF_WAY: u32 = 1 << 30;

/// The key of an owner's flow through a socket.
#[inline(always)]
pub fn key(cookie: u64, owner: &Owner) -> FlowKey {
    FlowKey { cookie, start_ns: owner.start_ns, tgid: owner.tgid, kind: 0 }
}

/// A connection begins, or is found: `tx_seq` and `rx_seq` are those of the next byte to be written and read.
#[inline(always)]
pub unsafe fn begin(counters: *const SockCounters, tx_seq: u32, rx_seq: u32, ended: bool) {
    // SAFETY: a live storage.
    unsafe {
        let cookie = (*counters).cookie;
        let mut turn = Turn {
            tx_seq: u64::from(tx_seq),
            rx_seq: u64::from(rx_seq),
            flags: if ended { TURN_ENDED } else { 0 },
            ..Turn::default()
        };
        if read_volatile(&raw const (*counters).claim) == CLAIM_READY {
            turn.writer = key(cookie, &(*counters).owner);
        }
        if TURNS.insert(cookie, turn, 0).is_err() {
            lost(Loss::TurnInsert);
        }
    }
}

/// Charges what was written up to `tx_seq` to whoever wrote it. `counters` is the socket's storage if its
/// owner is known, else NULL.
#[inline(always)]
pub unsafe fn settle(cookie: u64, turn: *mut Turn, tx_seq: u32, counters: *const SockCounters) {
    // SAFETY: a live map value; `counters` is NULL or live.
    unsafe {
        if read_volatile(&raw const (*turn).flags) & TURN_ENDED != 0 {
            return;
        }
        let before = read_volatile(&raw const (*turn).tx_seq);
        let delta = tx_seq.wrapping_sub(before as u32);
        // Another CPU may have looked later than this one.
        if delta as i32 <= 0 {
            return;
        }
        let mut writer = (*turn).writer;
        if writer.tgid == 0 {
            if counters.is_null() {
                return;
            }
            writer = key(cookie, &(*counters).owner);
        }
        if swap_if(&raw mut (*turn).tx_seq, before, u64::from(tx_seq)) {
            charge_flow(&writer, counters, Moved { tx_bytes: u64::from(delta), ..Moved::default() });
        }
    }
}

/// The same by a program that has the storage; `ended` says that nothing will be written any more.
#[inline(always)]
pub unsafe fn settle_for(counters: *const SockCounters, tx_seq: u32, ended: bool) {
    // SAFETY: a live storage and what the map gives.
    unsafe {
        let cookie = (*counters).cookie;
        let Some(turn) = TURNS.get_ptr_mut(cookie) else { return };
        let known = read_volatile(&raw const (*counters).claim) == CLAIM_READY;
        settle(cookie, turn, tx_seq, if known { counters } else { core::ptr::null() });
        if ended {
            write_volatile(&raw mut (*turn).flags, (*turn).flags | TURN_ENDED);
        }
    }
}

/// A process begins to write.
#[inline(always)]
pub unsafe fn take(turn: *mut Turn, writer: &FlowKey, tx_seq: u32) {
    // SAFETY: a live map value.
    unsafe {
        let same = (*turn).writer.tgid == writer.tgid && (*turn).writer.start_ns == writer.start_ns;
        let before = read_volatile(&raw const (*turn).tx_seq) as u32;
        if same && tx_seq.wrapping_sub(before) < HALF_WAY {
            return;
        }
        settle(writer.cookie, turn, tx_seq, core::ptr::null());
        if !same {
            // What nobody was known to have written is left to the one who writes first.
            (*turn).writer = *writer;
        }
    }
}
