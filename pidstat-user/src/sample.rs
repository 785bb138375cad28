//! One instant of the machine as plain data: what a source fills and `rate` compares.
//!
//! Counters are cumulative and carry their unit in the name. A value that could not be had is a [`Missing`] with its
//! reason, never a zero.

pub mod cgroup;
pub mod connected;
pub mod facts;
pub mod node;
pub mod runs;
pub mod socket;
pub mod stored;
pub mod system;
pub mod task;
pub mod tree;

pub use cgroup::Cgroup;
pub use facts::{Capturing, Exited, Facts, FoldTo, NetChoice, Pids, Want};
pub use runs::Runs;
pub use socket::{Connection, ConnectionKey, Interface, Moved, Stream};
pub use system::{Cost, Host, Losses, Machine, Origin, System};
pub use task::{
    Comm, Control, Cpu, Delays, End, Exit, Faults, Io, Memory, Sched, Seldom, Stack, Switches, Task, TaskKey,
    Traffic, UnixTraffic, Waits,
};
pub use tree::Tree;

/// Why a value is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// No chosen column needs it, so it was not read.
    NotAsked,
    /// The kernel refused it to this user.
    NoPermission,
    /// The task ended while it was being read.
    Gone,
    /// This kernel does not have it.
    NotInKernel,
    /// The kernel has it but did not measure it (delay accounting off, or on only after the task was forked).
    NotMeasured,
    /// The chosen source cannot supply it.
    NotInSource,
    /// The counter was lower than before; a difference would be garbage.
    WentBackwards,
    /// The task is older than the interval but was not in the sample before, so there is nothing to compare with.
    NoEarlier,
    /// The task has nothing of the kind (a kernel thread has no user memory; an average has no CPU number).
    DoesNotApply,
}

impl Missing {
    /// Every reason.
    pub const ALL: [Missing; 9] = [
        Missing::NotAsked,
        Missing::NoPermission,
        Missing::Gone,
        Missing::NotInKernel,
        Missing::NotMeasured,
        Missing::NotInSource,
        Missing::WentBackwards,
        Missing::NoEarlier,
        Missing::DoesNotApply,
    ];

    /// Says the reason in a few words, for JSON, `doctor` and messages.
    pub fn reason(self) -> &'static str {
        match self {
            Missing::NotAsked => "not asked for",
            Missing::NoPermission => "no permission",
            Missing::Gone => "the task ended",
            Missing::NotInKernel => "not in this kernel",
            Missing::NotMeasured => "not measured by the kernel",
            Missing::NotInSource => "not known to this source",
            Missing::WentBackwards => "the counter went backwards",
            Missing::NoEarlier => "no earlier sample of this task",
            Missing::DoesNotApply => "does not apply",
        }
    }
}

/// A value, or the reason why there is none.
pub type Reading<T> = Result<T, Missing>;

/// One instant: when it was, what the machine as a whole said, and every task.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Time since boot in nanoseconds (CLOCK_BOOTTIME; `/proc/uptime` where files are played back), taken just before
    /// the tasks were read.
    pub uptime_ns: u64,
    /// Wall clock in nanoseconds since the epoch, taken at the same moment.
    pub epoch_ns: i64,
    /// Figures of the whole machine.
    pub system: System,
    /// Sorted by [`TaskKey`]'s order: ascending tgid, the process row (tid 0) before its threads.
    pub tasks: Vec<Task>,
    /// Processes that are in no row any more, as their `end` says: those that ended, once each, in the sample in which
    /// their record arrived; those whose record is still to come; and traffic of processes that are outside this PID
    /// namespace (`tgid` 0) or of which nothing else is known. Sorted like `tasks`, cumulative like them.
    pub departed: Vec<Task>,
    /// Connections, if they are asked for: all that live, and those that ended since the sample before. Sorted by key.
    pub connections: Vec<Connection>,
    /// Network devices of the reader's namespace, if connections are asked for.
    pub interfaces: Vec<Interface>,
    /// Inode number of that namespace.
    pub netns: u32,
    /// Which source and rung filled this sample, and what was lost.
    pub origin: Origin,
}
