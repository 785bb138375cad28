//! The exit hooks: dead threads' waiting time, reaped children's I/O, and the record of a process that is freed.

use crate::{
    LEVEL, NS_INUM, PF_EXITING, RING_WAKEUP, cgroup, delays,
    field::{constant, pointer_at, u32_at, u64_at},
    groups::{self, add},
    offset, put,
};
use aya_ebpf::{
    helpers::generated::{
        bpf_get_current_task_btf, bpf_ktime_get_boot_ns, bpf_ringbuf_query, bpf_ringbuf_reserve,
        bpf_ringbuf_submit,
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use core::ptr::{addr_of_mut, null};
use pidstat_common::exit::{Counted, Ended, GroupEntry};

/// `SIGNAL_GROUP_EXIT`, include/linux/sched/signal.h.
const SIGNAL_GROUP_EXIT: u32 = 4;
const SIG_IGN: u64 = 1;
const SA_NOCLDWAIT: u64 = 2;

/// A task, its `signal_struct`, its credentials and its delays, as the verifier follows them.
type Who = (*const u8, *const u8, *const u8, *const u8);

/// Whether the first thread of a process has a number in the reader's PID namespace, and which.
///
/// # Safety
/// `leader` must be a task that the verifier follows.
#[inline(always)]
unsafe fn number_here(leader: *const u8) -> u32 {
    // SAFETY: typed kernel pointers and offsets from a frozen map.
    unsafe {
        if constant(&LEVEL) == 0 {
            return u32_at(leader, offset!(tgid));
        }
        let pid = pointer_at(leader, offset!(thread_pid));
        // Unlike the iterator, a hook sees the tasks of all namespaces.
        if pid.is_null() || u32_at(pid, offset!(pid_level)) < constant(&LEVEL) {
            return 0;
        }
        let namespace = pointer_at(pid, offset!(pid_ns));
        if namespace.is_null() || u32_at(namespace, offset!(ns_inum)) != constant(&NS_INUM) {
            return 0;
        }
        u32_at(pid, offset!(pid_number))
    }
}

/// A thread dies: its process gets an identity that is valid when it is freed, and the thread's waiting time is kept.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn ps_exit(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: argument 0 of this tracepoint is the dying task; typed kernel pointers from there on, and a live map value.
    unsafe {
        // Pointers first, before any way parts: for each that it meets, the verifier searches the kernel's types.
        let (signal, leader) = (pointer_at(task, offset!(signal)), groups::leader(task));
        let (parent, cred) = (pointer_at(task, offset!(real_parent)), pointer_at(task, offset!(real_cred)));
        if signal.is_null() || leader.is_null() || parent.is_null() {
            return 0;
        }
        let (first, handlers) = (groups::leader(parent), pointer_at(parent, offset!(sighand)));
        let pid = number_here(leader);
        if pid == 0 {
            return 0;
        }
        let Some(entry) = groups::find_or_make(signal, leader) else { return 0 };
        (*entry).pid = pid;
        (*entry).global_ppid = u32_at(parent, offset!(tgid));
        (*entry).ppid = if first.is_null() { 0 } else { number_here(first) };
        if !handlers.is_null() {
            // exit_notify() reads the same, and then nobody waits for the process.
            let ignored = u64_at(handlers, offset!(sigchld_handler)) == SIG_IGN
                || u64_at(handlers, offset!(sigchld_flags)) & SA_NOCLDWAIT != 0;
            (*entry).autoreaped = u32::from(ignored);
        }
        (*entry).cgroup = cgroup(task);
        (*entry).end_ns = bpf_ktime_get_boot_ns();
        if u32_at(signal, offset!(sig_live)) == 0 {
            (*entry).dead = 1;
            groups::ended_one();
            // In case that the kernel does not run us when the process is freed.
            let rest = Counted {
                wait_ns: u64_at(task, offset!(run_delay)),
                timeslices: u64_at(task, offset!(pcount)),
            };
            describe(addr_of_mut!((*entry).last), (task, signal, cred, null()), entry, rest, true);
        }
        // The first thread stays in the walk until the process is freed, so its waiting time is counted then. But when
        // another thread calls exec, it takes the first one's place, and this is the last that is seen of that one.
        let exec =
            offset!(sig_group_exec_task) != 0 && !pointer_at(signal, offset!(sig_group_exec_task)).is_null();
        if exec || !groups::is_first(task) {
            bury(task, entry);
        }
    }
    0
}

/// Counts a dead thread's waiting time among that of the dead; the walk leaves it out from now on.
#[inline(always)]
unsafe fn bury(task: *const u8, entry: *mut GroupEntry) {
    // SAFETY: a typed task and a live map value.
    unsafe {
        let counted =
            Counted { wait_ns: u64_at(task, offset!(run_delay)), timeslices: u64_at(task, offset!(pcount)) };
        // A walk that looks in between sees more begun than done, and looks again.
        add(&raw mut (*entry).begun, 1);
        if groups::COUNTED.insert(task as u64, counted, 0).is_ok() {
            add(&raw mut (*entry).wait_ns, counted.wait_ns);
            add(&raw mut (*entry).timeslices, counted.timeslices);
        }
        add(&raw mut (*entry).done, 1);
    }
}

/// Keeps what `wait()` added of a child to its parent, which the child reports itself: its I/O, and its minor faults, by
/// which a reader finds out whether everything that was added has been taken off again.
///
/// No tracepoint says that a child was waited for, so this comes when the child is freed, somewhat later.
#[inline(always)]
unsafe fn reaped(signal: *const u8, (parent, into, leader): (*const u8, *const u8, *const u8), ppid: u32) {
    // SAFETY: typed kernel pointers; the parent may be gone, then its memory reads as zero or as another's with another number.
    unsafe {
        if into.is_null() || leader.is_null() || u32_at(parent, offset!(tgid)) != ppid {
            return;
        }
        // A parent that ends has an entry until it is freed; after that none must be made, for nobody would remove it.
        let found = if u32_at(parent, offset!(exit_state)) == 0 {
            groups::find_or_make(into, leader)
        } else {
            groups::find(into)
        };
        let Some(entry) = found else { return };
        let sums = addr_of_mut!((*entry).reaped_io).cast::<u64>();
        macro_rules! reap {
            ($($index:literal $field:ident)+) => { $(
                let gain = u64_at(signal, offset!($field));
                if gain > 0 {
                    add(sums.add($index), gain);
                }
            )+ };
        }
        reap!(
            0 sig_rchar 1 sig_wchar 2 sig_syscr 3 sig_syscw 4 sig_read_bytes 5 sig_write_bytes
            6 sig_cancelled_write_bytes
        );
        let faults = u64_at(signal, offset!(sig_min_flt)) + u64_at(signal, offset!(sig_cmin_flt));
        add(&raw mut (*entry).reaped_min_flt, faults);
    }
}

/// What a task waited for a CPU, less what was counted of it when it died.
#[inline(always)]
unsafe fn rest_of(task: *const u8) -> Counted {
    // SAFETY: a typed task and a live map value.
    unsafe {
        let mut rest =
            Counted { wait_ns: u64_at(task, offset!(run_delay)), timeslices: u64_at(task, offset!(pcount)) };
        if let Some(counted) = groups::COUNTED.get_ptr(task as u64) {
            rest.wait_ns = rest.wait_ns.saturating_sub((*counted).wait_ns);
            rest.timeslices = rest.timeslices.saturating_sub((*counted).timeslices);
        }
        rest
    }
}

/// A signal is sent. A process whose last thread is dying sends one to its parent, and that is almost the last that it does: its
/// memory is gone and its files are closed. What it has now is reported where the kernel does not run us when it is freed.
#[btf_tracepoint(function = "signal_generate")]
pub fn ps_notify(_ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the running task, typed kernel pointers from there on, and a live map value.
    unsafe {
        let task: *const u8 = bpf_get_current_task_btf().cast_const().cast();
        if u32_at(task, offset!(flags)) & PF_EXITING == 0 {
            return 0;
        }
        let signal = pointer_at(task, offset!(signal));
        if signal.is_null() || u32_at(signal, offset!(sig_live)) != 0 {
            return 0;
        }
        // If another thread is the last one, its own figures are in the sums by now, and the first one's are not.
        let first = groups::leader(task);
        let Some(entry) = groups::find(signal) else { return 0 };
        if first.is_null()
            || (*entry).dead == 0
            || (*entry).start_ns != u64_at(first, offset!(start_boottime))
        {
            return 0;
        }
        figures(addr_of_mut!((*entry).last), (first, signal), entry, rest_of(first), true);
        if groups::is_first(task) {
            // One switch is still to come, from which there is no return.
            (*entry).last.nvcsw += 1;
        }
    }
    0
}

/// A task is freed: of a thread, the rest of its waiting time is kept; of a process, the record is sent.
#[btf_tracepoint(function = "sched_process_free")]
pub fn ps_free(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: argument 0 of this tracepoint is the task, which holds its `signal_struct` until it is gone; typed kernel
    // pointers from there on, and live map values.
    unsafe {
        let (signal, cred) = (pointer_at(task, offset!(signal)), pointer_at(task, offset!(real_cred)));
        let (parent, delays) = (pointer_at(task, offset!(real_parent)), delays(task));
        if signal.is_null() || parent.is_null() {
            return 0;
        }
        let into = (parent, pointer_at(parent, offset!(signal)), groups::leader(parent));
        let rest = rest_of(task);
        let _ = groups::COUNTED.remove(task as u64);
        // Without an entry its threads died before the hooks were attached, and did nothing since.
        let Some(entry) = groups::find(signal) else { return 0 };
        if !groups::is_first(task) {
            add(&raw mut (*entry).wait_ns, rest.wait_ns);
            add(&raw mut (*entry).timeslices, rest.timeslices);
            return 0;
        }
        if (*entry).pid != 0 && (*entry).start_ns == u64_at(task, offset!(start_boottime)) {
            if (*entry).autoreaped == 0 {
                reaped(signal, into, (*entry).global_ppid);
            }
            send((task, signal, cred, delays), entry, rest);
        }
        groups::forget(signal);
    }
    0
}

/// Sends the record of a process that is freed, or puts it aside where the ring has no room for it.
#[inline(always)]
unsafe fn send(who: Who, entry: *mut GroupEntry, rest: Counted) {
    const NO_WAKEUP: u64 = 1;
    const FORCE_WAKEUP: u64 = 2;
    const AVAILABLE_DATA: u64 = 0;
    // SAFETY: as in `ps_free`; the reserved record is filled completely before it is submitted.
    unsafe {
        let r = bpf_ringbuf_reserve(groups::ended(), size_of::<Ended>() as u64, 0).cast::<Ended>();
        if r.is_null() {
            describe(addr_of_mut!((*entry).last), who, entry, rest, false);
            return groups::put_aside(entry);
        }
        describe(r, who, entry, rest, false);
        // One wake-up per fill, not per process; what waits below the mark is taken at the next sample.
        let full = bpf_ringbuf_query(groups::ended(), AVAILABLE_DATA) >= u64::from(constant(&RING_WAKEUP));
        bpf_ringbuf_submit(r.cast(), if full { FORCE_WAKEUP } else { NO_WAKEUP });
    }
}

/// Writes the record of a process: final when it is freed; with the figures of the thread that runs, which are not in the
/// sums yet, when that is its last one and dies.
#[inline(always)]
unsafe fn describe(
    r: *mut Ended,
    (task, signal, cred, delays): Who,
    entry: *mut GroupEntry,
    rest: Counted,
    dying: bool,
) {
    // SAFETY: as in `ps_free`; `r` lies in the ring or in the entry.
    unsafe {
        put!(r.global_tgid = u32_at(task, offset!(tgid)));
        put!(r.pid = (*entry).pid);
        put!(r.ppid = (*entry).ppid);
        put!(r.uid = if cred.is_null() { 0 } else { u32_at(cred, offset!(cred_uid)) });
        let whole = u32_at(signal, offset!(sig_flags)) & SIGNAL_GROUP_EXIT != 0;
        put!(
            r.status = if whole {
                u32_at(signal, offset!(sig_group_exit_code))
            } else {
                u32_at(task, offset!(exit_code))
            }
        );
        put!(r.flags = u32_at(task, offset!(flags)));
        put!(r.cpu = u32_at(task, offset!(cpu)));
        put!(r.policy = u32_at(task, offset!(policy)));
        put!(r.rt_priority = u32_at(task, offset!(rt_priority)));
        put!(r.autoreaped = (*entry).autoreaped);
        put!(r.start_ns = (*entry).start_ns);
        put!(r.end_ns = (*entry).end_ns);
        put!(r.cgroup = (*entry).cgroup);
        figures(r, (task, signal), entry, rest, dying);
        put!(
            r.block_io = if delays.is_null() {
                u64::MAX
            } else {
                u64_at(delays, offset!(blkio_delay)) + u64_at(delays, offset!(swapin_delay))
            }
        );
        put!(r.exec_id = u32_at(task, offset!(exec_id)));
        put!(r.pad = 0);
        let comm = addr_of_mut!((*r).comm).cast::<u64>();
        comm.write_volatile(u64_at(task, offset!(comm)));
        comm.add(1).write_volatile(u64_at(task, offset!(comm) + 8));
    }
}

/// Writes everything in a record that grows.
#[inline(always)]
unsafe fn figures(
    r: *mut Ended,
    (task, signal): (*const u8, *const u8),
    entry: *mut GroupEntry,
    rest: Counted,
    dying: bool,
) {
    macro_rules! sum {
        ($dead:ident $own:ident) => {
            u64_at(signal, offset!($dead)) + if dying { u64_at(task, offset!($own)) } else { 0 }
        };
    }
    // SAFETY: as in `describe`.
    unsafe {
        put!(r.utime = sum!(sig_utime utime));
        put!(r.stime = sum!(sig_stime stime));
        put!(r.gtime = sum!(sig_gtime gtime));
        put!(r.sum_exec = sum!(sig_sum_exec sum_exec));
        put!(r.prev_utime = u64_at(signal, offset!(sig_prev_utime)));
        put!(r.prev_stime = u64_at(signal, offset!(sig_prev_stime)));
        put!(r.run_delay = (*entry).wait_ns + rest.wait_ns);
        put!(r.pcount = (*entry).timeslices + rest.timeslices);
        put!(r.nvcsw = sum!(sig_nvcsw nvcsw));
        put!(r.nivcsw = sum!(sig_nivcsw nivcsw));
        put!(r.min_flt = sum!(sig_min_flt min_flt));
        put!(r.maj_flt = sum!(sig_maj_flt maj_flt));
        macro_rules! io {
            ($($index:literal $dead:ident $own:ident)+) => { $(
                put!(r.io[$index] = sum!($dead $own));
                put!(r.reaped_io[$index] = (*entry).reaped_io[$index]);
            )+ };
        }
        io!(
            0 sig_rchar rchar 1 sig_wchar wchar 2 sig_syscr syscr 3 sig_syscw syscw 4 sig_read_bytes read_bytes
            5 sig_write_bytes write_bytes 6 sig_cancelled_write_bytes cancelled_write_bytes
        );
        put!(r.children[0] = u64_at(signal, offset!(sig_cutime)));
        put!(r.children[1] = u64_at(signal, offset!(sig_cstime)));
        put!(r.children[2] = u64_at(signal, offset!(sig_cgtime)));
        put!(r.children[3] = u64_at(signal, offset!(sig_cmin_flt)));
        put!(r.children[4] = u64_at(signal, offset!(sig_cmaj_flt)));
        put!(r.reaped_min_flt = (*entry).reaped_min_flt);
        put!(r.maxrss = u64_at(signal, offset!(sig_maxrss)));
    }
}
