//! The ends of processes: what the kernel side keeps of a process whose threads die, and the record of one that ended.

use crate::task::IO_COUNTERS;

/// Processes with dead threads, reaped children or no living thread that are remembered at a time; pid_max bounds them.
pub const GROUPS_MAX: usize = 1 << 15;
/// Dead threads whose waiting time is counted and that are not freed yet.
pub const COUNTED_MAX: usize = 1 << 16;
/// Bytes of the ring of ended processes, 700 of them; who finds no room waits in a map.
pub const RING_BYTES: usize = 256 << 10;

/// Ended processes that wait for room in a ring of so many bytes.
pub const fn waiting_max(ring_bytes: usize) -> usize {
    ring_bytes / 32
}

/// Bit of [`Ended::autoreaped`]: the process was freed unseen, so its figures are those of its last thread's end.
pub const UNSEEN: u32 = 2;

/// What is kept of a process beside its `signal_struct`, from the first death in it or in its children until it is freed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupEntry {
    /// Start of the process: a `signal_struct` is used again.
    pub start_ns: u64,
    /// Time runnable without a CPU of dead threads; the kernel keeps no sum of it.
    pub wait_ns: u64,
    /// Times that dead threads were put on a CPU.
    pub timeslices: u64,
    /// Threads whose figures are being added to the sums above.
    pub begun: u64,
    /// Threads whose figures have been added.
    pub done: u64,
    /// What `wait()` added of its children to `signal_struct.ioac`.
    pub reaped_io: [u64; IO_COUNTERS],
    /// What it added of the same children to `signal_struct.cmin_flt`.
    pub reaped_min_flt: u64,
    /// After boot: when its last thread died so far.
    pub end_ns: u64,
    /// Inode of the cgroup's directory at that time.
    pub cgroup: u64,
    /// Process id in the reader's PID namespace; 0 outside it.
    pub pid: u32,
    /// Parent's process id in the reader's PID namespace.
    pub ppid: u32,
    /// 1 when no thread lives any more.
    pub dead: u32,
    /// 1 when its parent ignores SIGCHLD, so that nobody waits for it.
    pub autoreaped: u32,
    /// Parent's process id in the initial PID namespace.
    pub global_ppid: u32,
    /// Nothing.
    pub pad: u32,
    /// What was known of the process when its last thread began to die.
    pub last: Ended,
}

/// What was counted of a dead thread that is not freed yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Time runnable without a CPU.
    pub wait_ns: u64,
    /// Times put on a CPU.
    pub timeslices: u64,
}

/// How many ended, and what did not fit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCounts {
    /// Processes whose last thread died; of threads that die at the same time each may be taken for the last.
    pub ended: u64,
    /// Processes that are remembered now, those that the reader took out included.
    pub groups: u64,
    /// Records of ended processes that found no room in the ring and were put aside.
    pub waiting: u64,
    /// Records for which there was no room anywhere.
    pub ring_full: u64,
    /// Processes that could not be remembered.
    pub groups_full: u64,
}

/// A process that ended: its `signal_struct` and its first thread at `sched_process_free`, equal to `wait4`'s rusage.
/// Times are in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Process id in the initial PID namespace.
    pub global_tgid: u32,
    /// Process id in the reader's PID namespace.
    pub pid: u32,
    /// Parent's process id in the reader's PID namespace; 0 outside it.
    pub ppid: u32,
    /// Real user.
    pub uid: u32,
    /// As `wait` gives it: exit code << 8 | signal.
    pub status: u32,
    /// PF_*.
    pub flags: u32,
    /// CPU it last ran on.
    pub cpu: u32,
    /// SCHED_*.
    pub policy: u32,
    /// Real-time priority.
    pub rt_priority: u32,
    /// 1 when its parent ignored SIGCHLD, so that nobody waited for it.
    pub autoreaped: u32,
    /// After boot.
    pub start_ns: u64,
    /// After boot.
    pub end_ns: u64,
    /// Inode of the cgroup's directory.
    pub cgroup: u64,
    /// Tick-sampled user time.
    pub utime: u64,
    /// Tick-sampled system time.
    pub stime: u64,
    /// Guest time, part of `utime`.
    pub gtime: u64,
    /// Exact time on a CPU.
    pub sum_exec: u64,
    /// What `/proc` last showed.
    pub prev_utime: u64,
    /// What `/proc` last showed.
    pub prev_stime: u64,
    /// Time runnable without a CPU, of all threads that died since the hooks were attached.
    pub run_delay: u64,
    /// Times put on a CPU, of the same.
    pub pcount: u64,
    /// Voluntary switches.
    pub nvcsw: u64,
    /// Involuntary switches.
    pub nivcsw: u64,
    /// Minor faults.
    pub min_flt: u64,
    /// Major faults.
    pub maj_flt: u64,
    /// See [`IO_COUNTERS`]; with what was added of reaped children.
    pub io: [u64; IO_COUNTERS],
    /// How much of that is of reaped children that were freed before.
    pub reaped_io: [u64; IO_COUNTERS],
    /// Children waited for: user, system and guest time, minor and major faults.
    pub children: [u64; 5],
    /// Minor faults of those children; less than those in `children` when some are missing.
    pub reaped_min_flt: u64,
    /// Most pages that were resident at a time.
    pub maxrss: u64,
    /// Block I/O delay of the first thread as `stat` field 42 counts it; all bits set where it was not measured.
    pub block_io: u64,
    /// Counts calls of exec, as in a record of the walk.
    pub exec_id: u32,
    /// Nothing.
    pub pad: u32,
    /// Name, ended by NUL.
    pub comm: [u8; 16],
}

const _: () =
    assert!(size_of::<GroupEntry>() == 504 && size_of::<Ended>() == 360 && size_of::<Counted>() == 16);

// SAFETY: repr(C), integers that leave no gap (the size is asserted), every bit pattern is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for GroupEntry {}
// SAFETY: as for `GroupEntry`.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Counted {}
// SAFETY: repr(C), five integers of the same size.
#[cfg(feature = "user")]
unsafe impl aya::Pod for ExitCounts {}
// SAFETY: repr(C), integers and byte arrays that leave no gap (the size is asserted), every bit pattern is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Ended {}
