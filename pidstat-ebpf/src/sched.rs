//! The sched family: switches of every task by kind, times on a CPU and waiting for one by length, who preempted whom.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(
    internal_features,
    reason = "the BPF target has no AtomicU64::fetch_add; the intrinsic is what there is"
)]

mod field;

use aya_ebpf::{
    btf_maps::{Array, HashMap},
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use field::{constant, pointer_at, u32_at, u64_at};
use pidstat_common::sched::{
    BUCKETS, PAIRS_MAX, PairCount, PairKey, SchedCounters, SchedKey, SchedLosses, SchedOffsets, TASKS_MAX,
    bucket,
};

/// Patched by the loader before the section is frozen.
#[unsafe(no_mangle)]
static SCHED_OFFSETS: SchedOffsets = SchedOffsets {
    pid: 0,
    tgid: 0,
    start_boottime: 0,
    comm: 0,
    group_leader: 0,
    state: 0,
    thread_pid: 0,
    pid_level: 0,
    pid_number: 0,
    level: 0,
};

/// What a new entry begins as; too large for the stack.
static EMPTY: SchedCounters = SchedCounters::EMPTY;
const FIRST: PairCount = PairCount { count: 0, by: 0, pad: 0, comm: [0; 16] };

/// Filled in advance: the hooks run with the run queue locked, where no memory may be had.
#[btf_map(name = "ps_runs")]
static RUNS: HashMap<SchedKey, SchedCounters, TASKS_MAX> = HashMap::new();

/// Filled in advance, too.
#[btf_map(name = "ps_pairs")]
static PAIRS: HashMap<PairKey, PairCount, PAIRS_MAX> = HashMap::new();

/// One value: the number of the current interval, which the loader raises.
#[btf_map(name = "ps_epoch")]
static EPOCH: Array<u64, 1> = Array::new();

/// One value: what was lost.
#[btf_map(name = "ps_lost")]
static LOST: Array<SchedLosses, 1> = Array::new();

macro_rules! offset {
    ($field:ident) => {
        constant(&SCHED_OFFSETS.$field)
    };
}

macro_rules! lose {
    ($field:ident) => {
        if let Some(lost) = LOST.get_ptr_mut(0) {
            // `lost` points to the array's only value, which other CPUs add to as well.
            atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*lost).$field, 1);
        }
    };
}

/// A `task_struct` that the verifier trusts.
type Task = *const u8;

/// The number of a task in the reader's namespace; 0 if it has none there.
#[inline(always)]
unsafe fn number(task: Task) -> u32 {
    // SAFETY: the verifier checks every access: typed kernel pointers and offsets from a frozen map.
    unsafe {
        if offset!(level) == 0 {
            return u32_at(task, offset!(pid));
        }
        let pid = pointer_at(task, offset!(thread_pid));
        if pid.is_null() || u32_at(pid, offset!(pid_level)) < offset!(level) {
            return 0;
        }
        u32_at(pid, offset!(pid_number))
    }
}

/// The entry of a task, a new one if it has none; NULL if there is no room.
///
/// A task is on one CPU at a time, and its switches and wake-ups come one after the other, so entries need no atomics.
#[inline(always)]
unsafe fn entry(task: Task) -> *mut SchedCounters {
    // SAFETY: as in `number`; the pointer that the map gives is valid until the program ends.
    unsafe {
        let key = SchedKey {
            tid: u32_at(task, offset!(pid)),
            pad: 0,
            start_ns: u64_at(task, offset!(start_boottime)),
        };
        if let Some(found) = RUNS.get_ptr_mut(key) {
            return found;
        }
        let empty: &'static SchedCounters = &EMPTY;
        let _ = RUNS.insert(key, empty, 0);
        let Some(found) = RUNS.get_ptr_mut(key) else {
            lose!(tasks_full);
            return core::ptr::null_mut();
        };
        let leader = pointer_at(task, offset!(group_leader));
        (*found).tid = number(task);
        if !leader.is_null() {
            (*found).tgid = number(leader);
            (*found).process_start_ns = u64_at(leader, offset!(start_boottime));
        }
        name(task, (&raw mut (*found).comm).cast());
        found
    }
}

#[inline(always)]
unsafe fn name(task: Task, to: *mut u64) {
    // SAFETY: as in `number`; `to` has 16 bytes, aligned to 8.
    unsafe {
        to.write_volatile(u64_at(task, offset!(comm)));
        to.add(1).write_volatile(u64_at(task, offset!(comm) + 8));
    }
}

/// Begins a new interval in an entry that the last one left behind.
#[inline(always)]
unsafe fn turn(entry: *mut SchedCounters) -> usize {
    // SAFETY: `entry` is a live map value, and an index of one bit is within two.
    unsafe {
        let epoch = EPOCH.get(0).copied().unwrap_or(0);
        let (now, before) = ((epoch & 1) as usize, (!epoch & 1) as usize);
        if (*entry).epoch != epoch {
            if (*entry).epoch + 1 != epoch {
                (&raw mut (*entry).on_max_ns).cast::<u64>().add(before).write(0);
                (&raw mut (*entry).wait_max_ns).cast::<u64>().add(before).write(0);
            }
            (&raw mut (*entry).on_max_ns).cast::<u64>().add(now).write(0);
            (&raw mut (*entry).wait_max_ns).cast::<u64>().add(now).write(0);
            (*entry).epoch = epoch;
        }
        now
    }
}

#[inline(always)]
unsafe fn count(histogram: *mut u32, max: *mut u64, ns: u64) {
    // SAFETY: both lie in a live map value; the mask keeps the index within the histogram, for the verifier too.
    unsafe {
        let cell = histogram.add(bucket(ns) & (BUCKETS - 1));
        *cell = (*cell).wrapping_add(1);
        if ns > *max {
            *max = ns;
        }
    }
}

/// One task leaves a CPU, another takes it.
#[btf_tracepoint(function = "sched_switch")]
pub fn ps_switch(ctx: BtfTracePointContext) -> i32 {
    let preempt: u64 = ctx.arg(0);
    let preempt = preempt as u8 != 0;
    let (from, to): (Task, Task) = (ctx.arg(1), ctx.arg(2));
    // SAFETY: arguments 1 and 2 of this tracepoint are tasks; see `number`, `entry`, `count`.
    unsafe {
        let now = bpf_ktime_get_ns();
        let state = if offset!(state) == 0 { ctx.arg::<u64>(3) as u32 } else { u32_at(from, offset!(state)) };
        if u32_at(from, offset!(pid)) != 0 {
            let entry = entry(from);
            if !entry.is_null() {
                let slot = turn(entry);
                let since = (*entry).on_since_ns;
                if since != 0 {
                    let max = (&raw mut (*entry).on_max_ns).cast::<u64>().add(slot);
                    count((&raw mut (*entry).on).cast(), max, now.saturating_sub(since));
                }
                (*entry).on_since_ns = 0;
                // The kernel's own rule for nvcsw and nivcsw.
                if !preempt && state != 0 {
                    (*entry).voluntary += 1;
                    (*entry).runnable_since_ns = 0;
                } else {
                    (*entry).involuntary += 1;
                    (*entry).runnable_since_ns = now;
                    preempted(from, to);
                }
            }
        }
        if u32_at(to, offset!(pid)) != 0 {
            let entry = entry(to);
            if !entry.is_null() {
                let slot = turn(entry);
                let since = (*entry).runnable_since_ns;
                if since != 0 {
                    let max = (&raw mut (*entry).wait_max_ns).cast::<u64>().add(slot);
                    count((&raw mut (*entry).wait).cast(), max, now.saturating_sub(since));
                }
                (*entry).runnable_since_ns = 0;
                (*entry).on_since_ns = now;
            }
        }
    }
    0
}

#[inline(always)]
unsafe fn preempted(from: Task, to: Task) {
    // SAFETY: as in `entry`.
    unsafe {
        let key = PairKey { tid: u32_at(from, offset!(pid)), by: u32_at(to, offset!(pid)) };
        // Nobody took it: the CPU went idle, as when a task is moved away.
        if key.by == 0 {
            return;
        }
        if PAIRS.get_ptr_mut(key).is_none() {
            let _ = PAIRS.insert(key, FIRST, 0);
        }
        let Some(found) = PAIRS.get_ptr_mut(key) else {
            lose!(pairs_full);
            return;
        };
        (*found).count += 1;
        (*found).by = number(to);
        // It may have called exec since the last time.
        name(to, (&raw mut (*found).comm).cast());
    }
}

#[inline(always)]
fn woken(task: Task) -> i32 {
    // SAFETY: argument 0 of both tracepoints is a task; see `entry`.
    unsafe {
        let entry = entry(task);
        // One that is woken before it got to sleep is on its CPU still.
        if !entry.is_null() && (*entry).on_since_ns == 0 && (*entry).runnable_since_ns == 0 {
            (*entry).runnable_since_ns = bpf_ktime_get_ns();
        }
    }
    0
}

/// A task that slept wants a CPU.
#[btf_tracepoint(function = "sched_wakeup")]
pub fn ps_wakeup(ctx: BtfTracePointContext) -> i32 {
    woken(ctx.arg(0))
}

/// A new task wants its first.
#[btf_tracepoint(function = "sched_wakeup_new")]
pub fn ps_wakeup_new(ctx: BtfTracePointContext) -> i32 {
    woken(ctx.arg(0))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
