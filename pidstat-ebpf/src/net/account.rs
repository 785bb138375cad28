//! Charges bytes and messages: to the socket's storage for the first owner of a TCP socket, to a flow otherwise.

use crate::{
    load::add,
    maps::{FLOWS, Loss, uncounted},
    owner::Process,
    socket::{AF_UNIX, claim},
};
use pidstat_common::net::{FlowCounters, FlowKey, SockCounters, SockName, Uncounted};

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

impl Moved {
    /// The same as what nobody is charged with.
    #[inline(always)]
    pub fn uncounted(self) -> Uncounted {
        let Moved { tx_bytes, rx_bytes, tx_messages, rx_messages } = self;
        Uncounted { tx_bytes, rx_bytes, tx_messages, rx_messages, ..Uncounted::default() }
    }
}

/// Charges `moved` to the running process.
///
/// `in_storage` says that the socket tells when it is destroyed, so that its storage may hold counters.
#[inline(always)]
pub unsafe fn charge(counters: *mut SockCounters, in_storage: bool, moved: Moved) {
    let process = Process::current();
    // SAFETY: `counters` is a live storage.
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
        flow(counters, &process, moved);
    }
}

#[inline(always)]
unsafe fn flow(counters: *const SockCounters, process: &Process, moved: Moved) {
    // SAFETY: `counters` is a live storage; pointers into the map stay valid while the program runs, since entries are
    // deleted only after their socket.
    unsafe {
        let cookie = (*counters).cookie;
        let key = FlowKey { cookie, start_ns: process.start_ns, tgid: process.tgid, kind: 0 };
        if let Some(found) = FLOWS.get_ptr_mut(key) {
            return add_to(found, moved);
        }
        let mut fresh = FlowCounters {
            tx_bytes: moved.tx_bytes,
            rx_bytes: moved.rx_bytes,
            tx_messages: moved.tx_messages,
            rx_messages: moved.rx_messages,
            name: (*counters).name,
            ..FlowCounters::default()
        };
        process.describe(&raw mut fresh.owner);
        // BPF_NOEXIST: another thread may have been faster, and overwriting would lose what it counted.
        if FLOWS.insert(key, fresh, 1).is_ok() {
            return;
        }
        match FLOWS.get_ptr_mut(key) {
            Some(found) => add_to(found, moved),
            None => no_room((*counters).name.family == AF_UNIX, moved),
        }
    }
}

/// Makes the flow of a process through a socket of this name, with nothing in it yet; whoever adds to it counts the loss
/// if there is no room.
#[inline(always)]
pub unsafe fn open_flow(key: &FlowKey, process: &Process, name: impl FnOnce(*mut SockName)) {
    if FLOWS.get_ptr_mut(key).is_some() {
        return;
    }
    let mut fresh = FlowCounters::default();
    // SAFETY: a value of our own.
    unsafe { process.describe(&raw mut fresh.owner) };
    name(&raw mut fresh.name);
    // BPF_NOEXIST, as above.
    let _ = FLOWS.insert(key, fresh, 1);
}

/// Adds to the flow of a process that is perhaps not the running one. `counters` is the socket's storage or NULL; if its
/// owner is that process, a flow that it does not have yet is made.
#[inline(always)]
pub unsafe fn charge_flow(key: &FlowKey, counters: *const SockCounters, moved: Moved) {
    // SAFETY: pointers into the map stay valid while the program runs; `counters` is NULL or live.
    unsafe {
        if let Some(found) = FLOWS.get_ptr_mut(key) {
            return add_to(found, moved);
        }
        if !counters.is_null()
            && (*counters).owner.tgid == key.tgid
            && (*counters).owner.start_ns == key.start_ns
        {
            let fresh = FlowCounters {
                owner: (*counters).owner,
                name: (*counters).name,
                tx_bytes: moved.tx_bytes,
                rx_bytes: moved.rx_bytes,
                ..FlowCounters::default()
            };
            if FLOWS.insert(key, fresh, 1).is_ok() {
                return;
            }
            if let Some(found) = FLOWS.get_ptr_mut(key) {
                return add_to(found, moved);
            }
        }
        // Breakpoints see no UNIX sockets.
        no_room(false, moved);
    }
}

/// Counts what has no flow to go to.
#[inline(always)]
fn no_room(unix: bool, moved: Moved) {
    uncounted(Loss::FlowInsert, unix, moved.uncounted());
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
