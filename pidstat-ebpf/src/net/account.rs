//! Charges bytes and messages: to the socket's storage for the first owner of a TCP socket, to a flow otherwise.

use crate::{
    load::add,
    maps::{FLOWS, Loss, lost},
    owner::Process,
    socket::{Socket, claim},
    traffic::TCP,
};
use pidstat_common::net::{FlowCounters, FlowKey, Owner, SockCounters};

/// What one call moved.
#[derive(Clone, Copy, Default)]
pub struct Moved {
    /// Bytes accepted from the process.
    pub tx_bytes: u64,
    /// Bytes taken by it.
    pub rx_bytes: u64,
    /// Messages sent.
    pub tx_messages: u64,
    /// Messages received.
    pub rx_messages: u64,
}

/// Charges `moved` to the running process.
///
/// `in_storage` says that the socket tells when it is destroyed, so that its storage may hold counters.
#[inline(always)]
pub unsafe fn charge(sk: Socket, counters: *mut SockCounters, in_storage: bool, moved: Moved) {
    let process = Process::current();
    // SAFETY: `counters` is the storage of `sk`.
    unsafe {
        let owns = claim(counters, &process);
        if in_storage && owns {
            // Most calls move one way; an atomic that adds nothing still costs a cache line.
            if moved.tx_bytes > 0 {
                add(&raw mut (*counters).tx_bytes, moved.tx_bytes);
            }
            if moved.rx_bytes > 0 {
                add(&raw mut (*counters).rx_bytes, moved.rx_bytes);
            }
            return;
        }
        flow(sk, (*counters).cookie, &process, moved);
    }
}

#[inline(always)]
unsafe fn flow(sk: Socket, cookie: u64, process: &Process, moved: Moved) {
    let key = FlowKey { cookie, start_ns: process.start_ns, tgid: process.tgid, pad: 0 };
    // SAFETY: pointers into the map stay valid while the program runs: entries are deleted only after their socket.
    unsafe {
        if let Some(found) = FLOWS.get_ptr_mut(key) {
            return add_to(found, moved);
        }
        let mut fresh = FlowCounters {
            tx_bytes: moved.tx_bytes,
            rx_bytes: moved.rx_bytes,
            tx_messages: moved.tx_messages,
            rx_messages: moved.rx_messages,
            protocol: sk.protocol(),
            family: sk.family(),
            ..FlowCounters::default()
        };
        process.describe(&raw mut fresh.owner);
        // BPF_NOEXIST: another thread may have been faster, and overwriting would lose what it counted.
        if FLOWS.insert(key, fresh, 1).is_ok() {
            return;
        }
        match FLOWS.get_ptr_mut(key) {
            Some(found) => add_to(found, moved),
            None => {
                lost(Loss::FlowInsert, moved.tx_bytes, moved.rx_bytes, moved.tx_messages + moved.rx_messages)
            }
        }
    }
}

/// Makes the flow of a process through a socket, with nothing in it yet.
#[inline(always)]
pub unsafe fn open_flow(key: &FlowKey, process: &Process, protocol: u16, family: u16) {
    if FLOWS.get_ptr_mut(key).is_some() {
        return;
    }
    let mut fresh = FlowCounters { protocol, family, ..FlowCounters::default() };
    // SAFETY: a value of our own.
    unsafe { process.describe(&raw mut fresh.owner) };
    // BPF_NOEXIST, as below; whoever adds to it counts the loss if there is no room.
    let _ = FLOWS.insert(key, fresh, 1);
}

/// Adds to the flow of a process that is perhaps not the running one: `owner`, where it has none yet, or nobody.
#[inline(always)]
pub unsafe fn charge_flow(key: &FlowKey, owner: *const Owner, moved: Moved) {
    // SAFETY: pointers into the map stay valid while the program runs; `owner` is NULL or a live storage's.
    unsafe {
        if let Some(found) = FLOWS.get_ptr_mut(key) {
            return add_to(found, moved);
        }
        if !owner.is_null() && (*owner).tgid == key.tgid && (*owner).start_ns == key.start_ns {
            let fresh = FlowCounters {
                owner: *owner,
                tx_bytes: moved.tx_bytes,
                rx_bytes: moved.rx_bytes,
                protocol: TCP,
                ..FlowCounters::default()
            };
            if FLOWS.insert(key, fresh, 1).is_ok() {
                return;
            }
            if let Some(found) = FLOWS.get_ptr_mut(key) {
                return add_to(found, moved);
            }
        }
        lost(Loss::FlowInsert, moved.tx_bytes, moved.rx_bytes, moved.tx_messages + moved.rx_messages);
    }
}

#[inline(always)]
unsafe fn add_to(flow: *mut FlowCounters, moved: Moved) {
    // SAFETY: a live map value.
    unsafe {
        if moved.tx_messages > 0 {
            add(&raw mut (*flow).tx_messages, moved.tx_messages);
        }
        if moved.rx_messages > 0 {
            add(&raw mut (*flow).rx_messages, moved.rx_messages);
        }
        if moved.tx_bytes > 0 {
            add(&raw mut (*flow).tx_bytes, moved.tx_bytes);
        }
        if moved.rx_bytes > 0 {
            add(&raw mut (*flow).rx_bytes, moved.rx_bytes);
        }
    }
}
