//! The task family: one record per task from `iter/task`, the leader's with its process's part, and one per process that
//! ended.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(
    internal_features,
    reason = "the BPF target has no AtomicU64::fetch_add; the intrinsic is what there is"
)]

#[path = "task/exits.rs"]
mod exits;
mod field;
#[path = "task/groups.rs"]
mod groups;

use aya_ebpf::{
    bindings::seq_file,
    helpers::{bpf_get_current_pid_tgid, bpf_seq_write, generated::bpf_probe_read_kernel},
};
use core::{
    mem::{offset_of, size_of},
    ptr::{addr_of_mut, null, read_volatile},
};
use field::{constant, pointer_at, u32_at, u64_at};
use pidstat_common::{
    exit::GroupEntry,
    task::{Group, Leader, TaskOffsets, Thread, kind, want},
};

#[unsafe(no_mangle)]
static OFFSETS: TaskOffsets = TaskOffsets::ABSENT;
/// What is asked for: bits of [`want`].
#[unsafe(no_mangle)]
static WANT: u32 = 0;
/// Depth of the reader's PID namespace; 0 in the initial one.
#[unsafe(no_mangle)]
static LEVEL: u32 = 0;
/// Inode number of that namespace; not used in the initial one.
#[unsafe(no_mangle)]
static NS_INUM: u32 = 0;
/// From so many bytes on in the ring of ended processes the reader is woken.
#[unsafe(no_mangle)]
static RING_WAKEUP: u32 = 0;

/// What the kernel hands to `iter/task`.
#[repr(C)]
pub struct Context {
    meta: *const Meta,
    task: *const u8,
}

#[repr(C)]
struct Meta {
    seq: *mut seq_file,
    session: u64,
    number: u64,
}

macro_rules! offset {
    ($field:ident) => {
        $crate::field::constant(&$crate::OFFSETS.$field)
    };
}
use offset;

macro_rules! put {
    ($record:ident . $field:ident $([$index:literal])? = $value:expr) => {{
        let value = $value;
        // Volatile, or the compiler calls memset and memcpy, which it then makes into byte loops.
        core::ptr::write_volatile(core::ptr::addr_of_mut!((*$record).$field $([$index])?), value)
    }};
}
use put;

const PF_EXITING: u32 = 0x4;
const PF_KTHREAD: u32 = 0x0020_0000;

/// Writes the record of one task.
///
/// # Safety
/// Called by the kernel only, with its own context.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub unsafe extern "C" fn ps_task(context: *const Context) -> i32 {
    // SAFETY: the verifier checks every access below: typed kernel pointers, offsets from a frozen map, and the record
    // on the stack, of which exactly the part that was filled is written out.
    unsafe {
        let task = (*context).task;
        if task.is_null() {
            return 0;
        }
        // Every pointer is followed in one place: for each that is, the verifier searches the kernel's types, a millisecond.
        let signal = pointer_at(task, offset!(signal));
        let cred = pointer_at(task, offset!(real_cred));
        let delays = delays(task);
        fetch(task);
        let (global_tid, global_tgid) = (u32_at(task, offset!(pid)), u32_at(task, offset!(tgid)));
        let (tid, tgid) = if constant(&LEVEL) == 0 {
            (global_tid, global_tgid)
        } else {
            let leader = pointer_at(task, offset!(group_leader));
            (number(task), if leader.is_null() { 0 } else { number(leader) })
        };
        if signal.is_null() || tid == 0 || tgid == 0 {
            return 0;
        }
        let Some(record) = groups::RECORD.get_ptr_mut(0) else { return 0 };
        let own = addr_of_mut!((*record).thread);
        let out = (*(*context).meta).seq;
        let before = u32_at(signal, offset!(sig_seq));
        if global_tid == global_tgid {
            let parent = pointer_at(task, offset!(real_parent));
            let mm = pointer_at(task, offset!(mm));
            fetch_group(signal, mm);
            let what = thread(own, (task, cred, delays), tid, tgid) | kind::LEADER;
            // Most processes have neither dead threads nor reaped children.
            let several =
                u32_at(signal, offset!(sig_nr_threads)) > 1 || u64_at(signal, offset!(sig_sum_exec)) > 0;
            let waited = u64_at(signal, offset!(sig_cmin_flt)) > 0 || u64_at(signal, offset!(sig_cutime)) > 0;
            let entry = entry(signal, several || waited);
            group(addr_of_mut!((*record).group), (task, signal, parent, mm), global_tgid, entry);
            consistency(own, signal, before);
            deaths(own, task, entry, what);
            bpf_seq_write(out, record.cast(), size_of::<Leader>() as u32);
        } else {
            let what = thread(own, (task, cred, delays), tid, tgid);
            consistency(own, signal, before);
            deaths(own, task, entry(signal, true), what);
            bpf_seq_write(out, record.cast(), size_of::<Thread>() as u32);
        }
    }
    0
}

/// The delays of a task; NULL if they are not asked for, or not measured.
#[inline(always)]
unsafe fn delays(task: *const u8) -> *const u8 {
    let asked = constant(&WANT) & want::DELAYS != 0 && offset!(delays) != 0;
    // SAFETY: as in `ps_task`.
    if asked { unsafe { pointer_at(task, offset!(delays)) } } else { null() }
}

/// Has the processor fetch what is needed of a task that nobody looked at for long: all at once, rather than in the order in
/// which it is written down, where each miss waits for those before it.
#[inline(always)]
unsafe fn fetch(task: *const u8) {
    // SAFETY: as in `ps_task`.
    unsafe {
        u64_at(task, offset!(sum_exec));
        u64_at(task, offset!(run_delay));
        u64_at(task, offset!(utime));
        u64_at(task, offset!(nvcsw));
        u64_at(task, offset!(comm));
        u32_at(task, offset!(policy));
        u32_at(task, offset!(exec_id));
        if constant(&WANT) & want::IO != 0 {
            u64_at(task, offset!(rchar));
            u64_at(task, offset!(cancelled_write_bytes));
        }
    }
}

/// The same of its process and its address space.
#[inline(always)]
unsafe fn fetch_group(signal: *const u8, mm: *const u8) {
    // SAFETY: as in `ps_task`.
    unsafe {
        u64_at(signal, offset!(sig_utime));
        u64_at(signal, offset!(sig_cutime));
        u64_at(signal, offset!(sig_min_flt));
        u64_at(signal, offset!(sig_sum_exec));
        if constant(&WANT) & want::IO != 0 {
            u64_at(signal, offset!(sig_rchar));
        }
        if !mm.is_null() {
            u64_at(mm, offset!(total_vm));
            u64_at(mm, offset!(rss_file));
        }
    }
}

/// Writes the depth of the PID namespace of whoever reads, once per thread of the reader.
///
/// # Safety
/// Called by the kernel only, with its own context.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub unsafe extern "C" fn ps_level(context: *const Context) -> i32 {
    // SAFETY: the verifier checks every access: typed kernel pointers and offsets from a frozen map.
    unsafe {
        let task = (*context).task;
        if task.is_null() || u32_at(task, offset!(tgid)) != (bpf_get_current_pid_tgid() >> 32) as u32 {
            return 0;
        }
        let pid = pointer_at(task, offset!(thread_pid));
        if pid.is_null() {
            return 0;
        }
        let mut level = u32_at(pid, offset!(pid_level));
        bpf_seq_write((*(*context).meta).seq, addr_of_mut!(level).cast(), size_of::<u32>() as u32);
    }
    0
}

/// The number of a task in the reader's namespace; 0 if it has none there.
#[inline(always)]
unsafe fn number(task: *const u8) -> u32 {
    // SAFETY: as in `ps_task`.
    unsafe { number_of(pointer_at(task, offset!(thread_pid))) }
}

/// The number that a `struct pid` is in the reader's namespace; 0 if it has none there.
#[inline(always)]
unsafe fn number_of(pid: *const u8) -> u32 {
    // SAFETY: as in `ps_task`.
    unsafe {
        // A parent can live further out, where this depth does not exist.
        if pid.is_null() || u32_at(pid, offset!(pid_level)) < constant(&LEVEL) {
            return 0;
        }
        u32_at(pid, offset!(pid_number))
    }
}

/// Notes the process's sequence count; an odd one, if a thread died while the record was filled.
#[inline(always)]
unsafe fn consistency(r: *mut Thread, signal: *const u8, before: u32) {
    // SAFETY: as in `ps_task`.
    unsafe {
        put!(r.nr_threads = u32_at(signal, offset!(sig_nr_threads)));
        let after = u32_at(signal, offset!(sig_seq));
        put!(r.seq = if before == after { after } else { after | 1 });
    }
}

/// What the exit hooks keep of a process; NULL if there is nothing.
#[inline(always)]
unsafe fn entry(signal: *const u8, any: bool) -> *const GroupEntry {
    if constant(&WANT) & (want::DEAD | want::OWN_IO) == 0 || !any {
        return null();
    }
    // SAFETY: a typed `signal_struct`.
    unsafe { groups::find(signal).map_or(null(), |entry| entry.cast_const()) }
}

/// Writes the kind of record, with how many threads of the process are counted among the dead, and whether this one is.
#[inline(always)]
unsafe fn deaths(r: *mut Thread, task: *const u8, entry: *const GroupEntry, mut what: u32) {
    // SAFETY: as in `ps_task`; the entry is a live map value.
    unsafe {
        if !entry.is_null() {
            let done = read_volatile(&raw const (*entry).done);
            let dying = u32_at(task, offset!(flags)) & PF_EXITING != 0;
            if dying && groups::COUNTED.get_ptr(task as u64).is_some() {
                what |= kind::COUNTED;
            }
            what |= (done as u32) << kind::DEATHS_SHIFT;
            if read_volatile(&raw const (*entry).begun) != done {
                put!(r.seq = (*r).seq | 1);
            }
        }
        put!(r.kind = what);
    }
}

/// Writes a thread's own figures; returns the bits of its kind.
#[inline(always)]
unsafe fn thread(
    r: *mut Thread,
    (task, cred, delays): (*const u8, *const u8, *const u8),
    tid: u32,
    tgid: u32,
) -> u32 {
    let mut what = 0;
    // SAFETY: as in `ps_task`.
    unsafe {
        put!(r.tid = tid);
        put!(r.tgid = tgid);
        put!(r.uid = if cred.is_null() { 0 } else { u32_at(cred, offset!(cred_uid)) });
        put!(r.state = u32_at(task, offset!(state)) | u32_at(task, offset!(exit_state)));
        put!(r.flags = u32_at(task, offset!(flags)));
        put!(r.cpu = u32_at(task, offset!(cpu)));
        put!(r.prio = u32_at(task, offset!(prio)));
        put!(r.static_prio = u32_at(task, offset!(static_prio)));
        put!(r.policy = u32_at(task, offset!(policy)));
        put!(r.rt_priority = u32_at(task, offset!(rt_priority)));
        put!(r.exec_id = u32_at(task, offset!(exec_id)));
        put!(r.start_ns = u64_at(task, offset!(start_boottime)));
        put!(r.utime = u64_at(task, offset!(utime)));
        put!(r.stime = u64_at(task, offset!(stime)));
        put!(r.gtime = u64_at(task, offset!(gtime)));
        put!(r.sum_exec = u64_at(task, offset!(sum_exec)));
        put!(r.run_delay = u64_at(task, offset!(run_delay)));
        put!(r.pcount = u64_at(task, offset!(pcount)));
        put!(r.nvcsw = u64_at(task, offset!(nvcsw)));
        put!(r.nivcsw = u64_at(task, offset!(nivcsw)));
        put!(r.min_flt = u64_at(task, offset!(min_flt)));
        put!(r.maj_flt = u64_at(task, offset!(maj_flt)));
        let io = constant(&WANT) & want::IO != 0;
        put!(r.io[0] = if io { u64_at(task, offset!(rchar)) } else { 0 });
        put!(r.io[1] = if io { u64_at(task, offset!(wchar)) } else { 0 });
        put!(r.io[2] = if io { u64_at(task, offset!(syscr)) } else { 0 });
        put!(r.io[3] = if io { u64_at(task, offset!(syscw)) } else { 0 });
        put!(r.io[4] = if io { u64_at(task, offset!(read_bytes)) } else { 0 });
        put!(r.io[5] = if io { u64_at(task, offset!(write_bytes)) } else { 0 });
        put!(r.io[6] = if io { u64_at(task, offset!(cancelled_write_bytes)) } else { 0 });
        let mut block_io = 0;
        if !delays.is_null() {
            what |= kind::DELAYS;
            block_io = u64_at(delays, offset!(blkio_delay)) + u64_at(delays, offset!(swapin_delay));
        }
        put!(r.block_io = block_io);
        put!(r.prev_utime = u64_at(task, offset!(prev_utime)));
        put!(r.prev_stime = u64_at(task, offset!(prev_stime)));
        let comm = addr_of_mut!((*r).comm).cast::<u64>();
        comm.write_volatile(u64_at(task, offset!(comm)));
        comm.add(1).write_volatile(u64_at(task, offset!(comm) + 8));
    }
    what
}

/// Inode of the directory of the task's cgroup; 0 if that is not asked for.
#[inline(always)]
unsafe fn cgroup(task: *const u8) -> u64 {
    // SAFETY: as in `ps_task`.
    unsafe {
        if constant(&WANT) & want::CGROUP == 0
            || offset!(cgroups) == 0
            || offset!(dfl_cgrp) == 0
            || offset!(cgroup_kn) == 0
        {
            return 0;
        }
        let set = pointer_at(task, offset!(cgroups));
        if set.is_null() {
            return 0;
        }
        let group = pointer_at(set, offset!(dfl_cgrp));
        if group.is_null() {
            return 0;
        }
        let node = pointer_at(group, offset!(cgroup_kn));
        if node.is_null() { 0 } else { u64_at(node, offset!(kn_id)) }
    }
}

#[inline(always)]
unsafe fn group(
    r: *mut Group,
    (task, signal, parent, mm): (*const u8, *const u8, *const u8, *const u8),
    global_tgid: u32,
    entry: *const GroupEntry,
) {
    // SAFETY: as in `ps_task`.
    unsafe {
        put!(r.global_tgid = global_tgid);
        let mut ppid = 0;
        if !parent.is_null() {
            if constant(&LEVEL) == 0 {
                ppid = u32_at(parent, offset!(tgid));
            } else {
                let leader = pointer_at(parent, offset!(group_leader));
                if !leader.is_null() {
                    ppid = number(leader);
                }
            }
        }
        put!(r.ppid = ppid);
        memory(r, task, mm);
        put!(r.cgroup = cgroup(task));
        put!(r.utime = u64_at(signal, offset!(sig_utime)));
        put!(r.stime = u64_at(signal, offset!(sig_stime)));
        put!(r.gtime = u64_at(signal, offset!(sig_gtime)));
        put!(r.sum_exec = u64_at(signal, offset!(sig_sum_exec)));
        put!(r.nvcsw = u64_at(signal, offset!(sig_nvcsw)));
        put!(r.nivcsw = u64_at(signal, offset!(sig_nivcsw)));
        put!(r.min_flt = u64_at(signal, offset!(sig_min_flt)));
        put!(r.maj_flt = u64_at(signal, offset!(sig_maj_flt)));
        let io = constant(&WANT) & want::IO != 0;
        let own = constant(&WANT) & want::OWN_IO != 0 && !entry.is_null();
        macro_rules! io {
            ($($index:literal $field:ident)+) => { $(
                put!(r.io[$index] = if !io {
                    0
                } else if own {
                    // What wait() added of a child, the child reports itself.
                    u64_at(signal, offset!($field)).wrapping_sub((*entry).reaped_io[$index])
                } else {
                    u64_at(signal, offset!($field))
                });
            )+ };
        }
        io!(
            0 sig_rchar 1 sig_wchar 2 sig_syscr 3 sig_syscw 4 sig_read_bytes 5 sig_write_bytes
            6 sig_cancelled_write_bytes
        );
        let dead = constant(&WANT) & want::DEAD != 0 && !entry.is_null();
        put!(r.dead_wait = if dead { (*entry).wait_ns } else { 0 });
        put!(r.reaped_min_flt = if entry.is_null() { 0 } else { (*entry).reaped_min_flt });
        put!(r.dead_timeslices = if dead { (*entry).timeslices } else { 0 });
        put!(r.prev_utime = u64_at(signal, offset!(sig_prev_utime)));
        put!(r.prev_stime = u64_at(signal, offset!(sig_prev_stime)));
        put!(r.children[0] = u64_at(signal, offset!(sig_cutime)));
        put!(r.children[1] = u64_at(signal, offset!(sig_cstime)));
        put!(r.children[2] = u64_at(signal, offset!(sig_cgtime)));
        put!(r.children[3] = u64_at(signal, offset!(sig_cmin_flt)));
        put!(r.children[4] = u64_at(signal, offset!(sig_cmaj_flt)));
        control(r, signal);
    }
}

/// Writes process group, session and terminal, if they are asked for.
#[inline(always)]
unsafe fn control(r: *mut Group, signal: *const u8) {
    // SAFETY: as in `ps_task`.
    unsafe {
        let (mut pgrp, mut session, mut tty_nr, mut tpgid) = (0, 0, 0, 0);
        if constant(&WANT) & want::CONTROL != 0 && offset!(sig_pgrp) != 0 {
            pgrp = number_of(pointer_at(signal, offset!(sig_pgrp)));
            session = number_of(pointer_at(signal, offset!(sig_session)));
            tpgid = u32::MAX;
            let tty = pointer_at(signal, offset!(sig_tty));
            if !tty.is_null() {
                tpgid = number_of(pointer_at(tty, offset!(tty_pgrp)));
                let driver = pointer_at(tty, offset!(tty_driver));
                if !driver.is_null() {
                    let minor = u32_at(driver, offset!(driver_minor)) + u32_at(tty, offset!(tty_index));
                    let major = u32_at(driver, offset!(driver_major));
                    tty_nr = minor & 0xff | major << 8 | (minor & !0xff) << 12;
                }
            }
        }
        put!(r.pgrp = pgrp);
        put!(r.session = session);
        put!(r.tty_nr = tty_nr);
        put!(r.tpgid = tpgid);
    }
}

#[inline(always)]
unsafe fn memory(r: *mut Group, task: *const u8, mm: *const u8) {
    // SAFETY: as in `ps_task`.
    unsafe {
        let (mut total_vm, mut rss) = (0, [0; 3]);
        // A kernel thread borrows address spaces, which /proc does not count as its own.
        if !mm.is_null() && u32_at(task, offset!(flags)) & PF_KTHREAD == 0 {
            total_vm = u64_at(mm, offset!(total_vm));
            if offset!(rss_atomics) == 0 {
                rss = [
                    u64_at(mm, offset!(rss_file)) as i64,
                    u64_at(mm, offset!(rss_anon)) as i64,
                    u64_at(mm, offset!(rss_shmem)) as i64,
                ];
            } else {
                // The one field that old verifiers refuse to load: where it is not there, this call is cut out.
                // The stack has no room for four more words; the record has, as `cgroup` follows and is written later.
                const { assert!(offset_of!(Group, cgroup) == offset_of!(Group, rss) + 24) };
                let pages = (&raw mut *r).cast::<u8>().add(offset_of!(Group, rss)).cast::<i64>();
                let from = mm.add(offset!(rss_atomics) as usize);
                bpf_probe_read_kernel(pages.cast(), 32, from.cast());
                rss = [pages.read_volatile(), pages.add(1).read_volatile(), pages.add(3).read_volatile()];
            }
            // No reference is held: if the task gave its address space up meanwhile, this was someone else's memory.
            if pointer_at(task, offset!(mm)) != mm {
                (total_vm, rss) = (0, [0; 3]);
            }
        }
        put!(r.total_vm = total_vm);
        put!(r.rss[0] = rss[0]);
        put!(r.rss[1] = rss[1]);
        put!(r.rss[2] = rss[2]);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
