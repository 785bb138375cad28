//! Flows: what each process moved through a socket whose storage cannot hold it.

use crate::{
    load::add,
    maps::{FLOWS, Loss, uncounted},
    owner::Process,
    socket::{AF_UNIX, Socket, claim},
};
use core::ffi::c_void;
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

/// The key of a process's flow through a socket.
#[inline(always)]
fn key(cookie: u64, process: &Process) -> FlowKey {
    FlowKey { cookie, start_ns: process.start_ns, tgid: process.tgid, kind: 0 }
}

/// Charges `moved` to the flow of the running process through a socket. A flow that exists is found by the cookie alone:
/// the socket's storage would be one more call of the kernel for each message.
#[inline(always)]
pub unsafe fn charge(sk: Socket, process: &Process, moved: Moved) {
    // SAFETY: a full socket; pointers into the map stay valid while the program runs, since entries are deleted only
    // after their socket.
    unsafe {
        match FLOWS.get_ptr_mut(key(sk.cookie(), process)) {
            Some(found) => add_to(found, moved),
            None => {
                let messages = moved.tx_messages << 32 | moved.rx_messages;
                begin(sk.0, sk.find_or_make(), moved.tx_bytes, moved.rx_bytes, messages);
            }
        }
    }
}

/// The first use of a socket by the running process: once for each flow, so in a function of its own, whose stack and
/// registers are not every call's. `messages` are those sent in the upper half, those received in the lower one. The socket's
/// storage is the caller's business: a flow and a storage together are more than the stack holds on older kernels.
#[cold]
#[inline(never)]
unsafe fn begin(sk: *mut c_void, counters: *mut SockCounters, tx_bytes: u64, rx_bytes: u64, messages: u64) {
    let (tx_messages, rx_messages) = (messages >> 32, messages & u64::from(u32::MAX));
    let moved = Moved { tx_bytes, rx_bytes, tx_messages, rx_messages };
    // SAFETY: as above.
    unsafe {
        let unix = Socket(sk).family() == AF_UNIX;
        if counters.is_null() {
            return uncounted(Loss::StorageNull, unix, moved.uncounted());
        }
        let process = Process::current();
        claim(counters, &process);
        let key = key((*counters).cookie, &process);
        let mut fresh = FlowCounters {
            tx_bytes,
            rx_bytes,
            tx_messages,
            rx_messages,
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
            None => no_room(unix, moved),
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
