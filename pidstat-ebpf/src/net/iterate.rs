//! The two walks: sockets older than the tool get owner and baseline; the dump of all sockets.

use crate::{
    load::{Ptr, load, offset},
    maps::OUTBOX,
    owner::Process,
    sequence,
    socket::{Socket, claim, no_storage, state},
    turn,
};
use aya_ebpf::{
    bindings::seq_file,
    helpers::{bpf_seq_write, generated::bpf_sock_from_file},
};
use core::{
    ffi::c_void,
    ptr::{read_volatile, write_volatile},
};
use pidstat_common::net::{OUTBOX_BYTES, RECORD_FULL, SOCK_FINAL, SockCounters, SockRecord, WALK_STRETCH};

/// `struct bpf_iter_meta`.
#[repr(C)]
pub struct Meta {
    seq: *mut seq_file,
    session_id: u64,
    seq_num: u64,
}

/// `struct bpf_iter__task_file`.
#[repr(C)]
pub struct TaskFile {
    meta: *mut Meta,
    task: *mut c_void,
    fd: u32,
    pad: u32,
    file: *mut c_void,
}

/// `struct bpf_iter__tcp`.
#[repr(C)]
pub struct Tcp {
    meta: *mut Meta,
    sk_common: *mut c_void,
    uid: u32,
}

/// `struct bpf_iter__bpf_sk_storage_map`.
#[repr(C)]
pub struct StorageMap {
    meta: *mut Meta,
    map: *mut c_void,
    sk: *mut c_void,
    value: *mut c_void,
}

/// Every descriptor of every process, in every network namespace; writes nothing.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub unsafe fn ps_files(ctx: *mut TaskFile) -> i32 {
    // SAFETY: the kernel passes a valid context; its pointers are checked for NULL.
    unsafe {
        let task = (*ctx).task as Ptr;
        let file = (*ctx).file;
        if task.is_null() || file.is_null() {
            return 0;
        }
        let socket = bpf_sock_from_file(file.cast()) as Ptr;
        if socket.is_null() {
            return 0;
        }
        let sk: *mut c_void = load(socket, offset!(socket_sk));
        if sk.is_null() {
            return 0;
        }
        let sk = Socket(sk);
        if !sk.is_inet() {
            return 0;
        }
        let tcp = sk.tcp();
        if tcp.is_null() {
            return 0;
        }
        let listens = sk.state() == state::LISTEN;
        if !listens && !sk.was_connected(tcp) {
            return 0;
        }
        let known = !sk.find().is_null();
        let counters = sk.find_or(|| sk.older(tcp, true));
        if counters.is_null() {
            no_storage();
            return 0;
        }
        claim(counters, &Process::of(task));
        if !known && !listens && sequence::followed() {
            sequence::begin_late(sk, tcp, counters);
        }
        0
    }
}

/// Every TCP socket of the opener's network namespace, those in accept queues included, which no descriptor leads to.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub unsafe fn ps_unaccepted(ctx: *mut Tcp) -> i32 {
    // SAFETY: the kernel passes a valid context; its pointers are checked for NULL.
    unsafe {
        let common = (*ctx).sk_common;
        if common.is_null() {
            return 0;
        }
        // NULL for TIME_WAIT and request minis.
        let tcp = Socket(common).tcp();
        if tcp.is_null() {
            return 0;
        }
        let sk = Socket(tcp as *mut c_void);
        if !sk.was_connected(tcp) {
            return 0;
        }
        let known = !sk.find().is_null();
        let counters = sk.find_or(|| sk.older(tcp, true));
        if counters.is_null() {
            no_storage();
        } else if !known && sequence::followed() {
            sequence::begin_late(sk, tcp, counters);
        }
        0
    }
}

/// One record per socket that has a storage and was not destroyed; of one that did not move since the last dump its
/// cookie alone. They go to the outbox; the word that is written says that it must be emptied.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_sk_storage_map")]
pub unsafe fn ps_sockets(ctx: *mut StorageMap) -> i32 {
    // SAFETY: the kernel passes a valid context; its pointers are checked for NULL. The outbox is this walk's alone, and
    // has room for a record behind every place that the mask lets through.
    unsafe {
        let sk = (*ctx).sk;
        let counters = (*ctx).value as *mut SockCounters;
        if sk.is_null() || counters.is_null() {
            return 0;
        }
        let Some(outbox) = OUTBOX.get_ptr_mut(0) else { return 0 };
        if (*counters).flags & SOCK_FINAL == 0 {
            let used = read_volatile(&raw const (*outbox).used) as usize & (OUTBOX_BYTES - 8);
            let place = (&raw mut (*outbox).bytes).cast::<u8>().add(used);
            let bytes = put(Socket(sk), counters, place);
            // The memory of a destroyed socket is a new one's at once, and then these were that one's numbers.
            if read_volatile(&raw const (*counters).flags) & SOCK_FINAL == 0 {
                write_volatile(&raw mut (*outbox).used, (used + bytes) as u64);
            }
        }
        let walked = (*outbox).walked + 1;
        (*outbox).walked = walked;
        if walked >= WALK_STRETCH || (*outbox).used >= OUTBOX_BYTES as u64 {
            // The reader asks for no more than this, so that the kernel stops after this socket.
            bpf_seq_write((*(*ctx).meta).seq, (&raw const walked).cast(), size_of::<u64>() as u32);
        }
        0
    }
}

/// Leaves what is to be said of a socket at `place`, and returns how many bytes that are.
#[inline(always)]
unsafe fn put(sk: Socket, counters: *mut SockCounters, place: *mut u8) -> usize {
    // SAFETY: a full socket, its storage, and room for a record, aligned to 8 bytes.
    unsafe {
        let tcp = sk.tcp();
        if sequence::turns() && !tcp.is_null() && !sk.has_upper_layer(tcp) {
            turn::settle_for(counters, load(tcp, offset!(write_seq)), false);
        }
        let fold = sk.fold(tcp, counters);
        if fold == (*counters).shipped {
            *place.cast::<u64>() = (*counters).cookie;
            return size_of::<u64>();
        }
        if tcp.is_null() {
            // What a socket is called that was closed and still lies there is what it was called last.
            sk.describe(&raw mut (*counters).name);
        }
        let record = place.cast::<SockRecord>();
        *record = SockRecord::default();
        sk.record(counters, record);
        (*record).cookie |= RECORD_FULL;
        (*counters).shipped = fold;
        size_of::<SockRecord>()
    }
}
