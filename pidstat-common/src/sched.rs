//! The contract of the sched family: what the scheduler hooks keep of each task, cumulative since they were attached.
//!
//! Nothing is reset by the reader: a reset would race with the hooks, so the loader subtracts, modulo 2^32 in histograms.

/// Tasks that are counted at a time, unless the loader says otherwise.
pub const TASKS_MAX: usize = 1 << 14;
/// Pairs of a task and the one that took the CPU from it.
pub const PAIRS_MAX: usize = 1 << 14;
/// Buckets of a histogram.
pub const BUCKETS: usize = 32;
/// Bucket 0 ends at twice this many nanoseconds; each further one is as wide as all before it together.
pub const BUCKET_NS: u64 = 64;

/// The bucket of a duration: bucket `i` holds `64 << i` up to `128 << i` nanoseconds; the first begins at 0 and the last,
/// which begins at 137 s, never ends.
#[inline(always)]
pub const fn bucket(ns: u64) -> usize {
    let log = 63 - ((ns / BUCKET_NS) | 1).leading_zeros() as usize;
    if log < BUCKETS { log } else { BUCKETS - 1 }
}

/// Where the fields lie that the programs load, in bytes from the start of their struct; 0 where a field is absent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedOffsets {
    /// `task_struct.pid`.
    pub pid: u32,
    /// `task_struct.tgid`.
    pub tgid: u32,
    /// `task_struct.start_boottime`, or what it was called before 5.5.
    pub start_boottime: u32,
    /// `task_struct.comm`.
    pub comm: u32,
    /// `task_struct.group_leader`.
    pub group_leader: u32,
    /// `task_struct.__state` or `state`, for kernels whose tracepoint does not hand it over; 0 where it does (5.18).
    pub state: u32,
    /// `task_struct.thread_pid`.
    pub thread_pid: u32,
    /// `pid.level`.
    pub pid_level: u32,
    /// `pid.numbers[LEVEL].nr`, for the reader's depth.
    pub pid_number: u32,
    /// Depth of the reader's PID namespace; 0 in the initial one.
    pub level: u32,
}

/// A task, however often its number is used again.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SchedKey {
    /// Thread id in the initial PID namespace.
    pub tid: u32,
    /// Nothing.
    pub pad: u32,
    /// Start in nanoseconds after boot.
    pub start_ns: u64,
}

/// What is counted of a task.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedCounters {
    /// Process id in the reader's PID namespace; 0 outside it.
    pub tgid: u32,
    /// Thread id in the reader's PID namespace; 0 outside it.
    pub tid: u32,
    /// Start of the process in nanoseconds after boot.
    pub process_start_ns: u64,
    /// Name when it was first seen.
    pub comm: [u8; 16],
    /// Switches by which it gave up the CPU.
    pub voluntary: u64,
    /// Switches by which the CPU was taken from it.
    pub involuntary: u64,
    /// When it was put on a CPU; 0 if it is on none, or has been since before the start.
    pub on_since_ns: u64,
    /// Since when it waits for a CPU; 0 if it does not.
    pub runnable_since_ns: u64,
    /// The interval of the larger index below is the current one if it is this one.
    pub epoch: u64,
    /// Longest time on a CPU, by the lowest bit of the interval's number.
    pub on_max_ns: [u64; 2],
    /// Longest wait for a CPU, in the same way.
    pub wait_max_ns: [u64; 2],
    /// Times on a CPU, by length.
    pub on: [u32; BUCKETS],
    /// Waits for a CPU, by length.
    pub wait: [u32; BUCKETS],
}

impl SchedCounters {
    /// A task of which nothing is counted yet.
    pub const EMPTY: SchedCounters = SchedCounters {
        tgid: 0,
        tid: 0,
        process_start_ns: 0,
        comm: [0; 16],
        voluntary: 0,
        involuntary: 0,
        on_since_ns: 0,
        runnable_since_ns: 0,
        epoch: 0,
        on_max_ns: [0; 2],
        wait_max_ns: [0; 2],
        on: [0; BUCKETS],
        wait: [0; BUCKETS],
    };
}

/// Who took the CPU from whom.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PairKey {
    /// Thread id of who lost it, in the initial PID namespace.
    pub tid: u32,
    /// Thread id of who got it.
    pub by: u32,
}

/// How often, and who it was.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCount {
    /// Times.
    pub count: u64,
    /// Thread id of who got it in the reader's PID namespace; 0 outside it.
    pub by: u32,
    /// Nothing.
    pub pad: u32,
    /// Its name at the last time.
    pub comm: [u8; 16],
}

/// What could not be counted since the start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedLosses {
    /// Switches and wake-ups of tasks for which the map had no room.
    pub tasks_full: u64,
    /// Preemptions by tasks for which the map of pairs had no room; they are in the counts all the same.
    pub pairs_full: u64,
}

// SAFETY: repr(C), u32 fields only: no padding and every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for SchedOffsets {}
// SAFETY: repr(C), integers and arrays of them without a gap: every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for SchedCounters {}
// SAFETY: as for `SchedCounters`.
#[cfg(feature = "user")]
unsafe impl aya::Pod for SchedKey {}
// SAFETY: as for `SchedCounters`.
#[cfg(feature = "user")]
unsafe impl aya::Pod for PairKey {}
// SAFETY: as for `SchedCounters`.
#[cfg(feature = "user")]
unsafe impl aya::Pod for PairCount {}
// SAFETY: as for `SchedCounters`.
#[cfg(feature = "user")]
unsafe impl aya::Pod for SchedLosses {}
