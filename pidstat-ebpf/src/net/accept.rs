//! Who accepted a connection, for those that are closed by somebody who only looked at them.
//!
//! A walk over descriptors, ours or another tool's, by an iterator or in /proc, holds each file for a moment. A process
//! that closes its socket just then leaves the closing to the walk, which would own what nobody owned before. The file
//! still has the credentials of whoever accepted the connection, and no two processes share those.

use crate::{
    load::{NET_OFFSETS, Ptr, load, offset, rodata, swap_if},
    owner::{Process, is_kernel_thread},
    socket::Socket,
};
use aya_ebpf::{
    bindings::seq_file,
    helpers::{
        bpf_seq_write,
        generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    },
};
use core::{ffi::c_void, ptr::read_volatile};
use pidstat_common::net::{CLAIM_FREE, CLAIM_LEFT, CLAIM_WRITING, Credentials, LOOKS, SockCounters};

/// The credentials behind a socket's file; 0 while it has none, and once it was let go.
#[inline(always)]
unsafe fn credentials(sk: Socket) -> u64 {
    // SAFETY: pointer fields; a stale or NULL pointer on the way reads as zero.
    unsafe {
        let socket: Ptr = load(sk.0 as Ptr, offset!(sk_socket));
        if socket.is_null() {
            return 0;
        }
        let file: Ptr = load(socket, offset!(socket_file));
        if file.is_null() {
            return 0;
        }
        load(file, offset!(file_cred))
    }
}

/// Notes who accepted a connection that nobody owns, while its file is there.
#[inline(always)]
pub unsafe fn note(sk: Socket, counters: *mut SockCounters) {
    // SAFETY: a full socket and its storage.
    unsafe {
        let accepted = credentials(sk);
        if accepted != 0 {
            set(counters, accepted, CLAIM_FREE);
        }
    }
}

/// Writes it down unless there is an owner, or is about to be one.
#[inline(always)]
unsafe fn set(counters: *mut SockCounters, accepted: u64, then: u64) {
    // SAFETY: a live storage; only the CPU that moved `claim` to WRITING writes `owner`.
    unsafe {
        let claim = &raw mut (*counters).claim;
        if read_volatile(claim) == CLAIM_FREE && swap_if(claim, CLAIM_FREE, CLAIM_WRITING) {
            (*counters).owner.start_ns = accepted;
            swap_if(claim, CLAIM_WRITING, then);
        }
    }
}

/// A socket without an owner is being closed: whether by somebody who only looked at it. If so, nobody owns it any more,
/// and who accepted it is written down.
#[inline(always)]
pub unsafe fn is_left(sk: Socket, counters: *mut SockCounters) -> bool {
    // SAFETY: a full socket and its storage; the running task is live.
    unsafe {
        let mut accepted = credentials(sk);
        if accepted == 0 {
            accepted = (*counters).owner.start_ns;
        }
        let left = only_looks(accepted);
        if left {
            set(counters, accepted, CLAIM_LEFT);
        }
        left
    }
}

/// Whether the running task is not the one that has these credentials, and is in a system call that closes nothing of its
/// own.
#[inline(always)]
unsafe fn only_looks(accepted: u64) -> bool {
    // SAFETY: the running task and its registers are live.
    unsafe {
        let task = bpf_get_current_task_btf();
        if load::<u64>(task as Ptr, offset!(task_real_cred)) == accepted {
            return false;
        }
        // What is let go in an interrupt is closed by a worker of the kernel, which has no registers.
        if is_kernel_thread(task as Ptr) {
            return accepted != 0;
        }
        if offset!(registers) == 0 {
            return false;
        }
        let registers = bpf_task_pt_regs(task) as Ptr;
        let call: u32 = load(registers, offset!(regs_call));
        let mut at = 0;
        while at < LOOKS {
            if call == rodata(&NET_OFFSETS.looks[at]) {
                return true;
            }
            at += 1;
        }
        false
    }
}

/// `struct bpf_iter__task`.
#[repr(C)]
pub struct Task {
    meta: *mut Meta,
    task: *mut c_void,
}

#[repr(C)]
pub struct Meta {
    seq: *mut seq_file,
    session_id: u64,
    seq_num: u64,
}

/// The credentials of every process, and of those of its threads that have their own.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub unsafe fn ps_accepted(ctx: *mut Task) -> i32 {
    // SAFETY: the kernel passes a valid context; its pointers are checked for NULL.
    unsafe {
        let task = (*ctx).task as Ptr;
        if task.is_null() {
            return 0;
        }
        let process = Process::of(task);
        let address: u64 = load(task, offset!(task_real_cred));
        if !process.is_led_by(task) && process.credentials() == address {
            return 0;
        }
        let mut found = Credentials { address, ..Credentials::default() };
        process.describe(&raw mut found.owner);
        let bytes = size_of::<Credentials>() as u32;
        bpf_seq_write((*(*ctx).meta).seq, (&raw const found).cast(), bytes);
    }
    0
}
