//! What a run needs to know: the union of the facts of its columns, filters and sort keys, and the tasks it is about.

use std::ops::{BitOr, BitOrAssign};

/// A set of facts about tasks; sources read only what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts(u32);

/// Declares facts; each has a bit of its own, by its place.
macro_rules! facts {
    ($($(#[$about:meta])* $name:ident,)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "they are the names of the constants")]
        enum Bit {
            $($name,)*
        }

        impl Facts {
            $($(#[$about])* pub const $name: Facts = Facts(1 << Bit::$name as u32);)*
        }
    };
}

facts! {
    /// Real uid of the task (`status`).
    OWNER,
    /// Run-queue delay and on-CPU time (`schedstat`).
    SCHED,
    /// Voluntary and involuntary context switches (`status`).
    SWITCHES,
    /// Disk and syscall I/O counters (`io`).
    IO,
    /// Block I/O and swap-in delay (`stat` field 42, `task_delay_info`).
    DELAYS,
    /// Size and referenced part of the main stack (`smaps`).
    STACK,
    /// Number of open file descriptors (`fd/`).
    FDS,
    /// Bytes and packets sent and received.
    TRAFFIC,
    /// The command line (`cmdline`).
    CMDLINE,
    /// Jiffies of all CPUs together (first line of `/proc/stat`).
    TOTAL_CPU,
    /// Installed memory (`/proc/meminfo`).
    MEM_TOTAL,
    /// The name of the real user (`etc/passwd`).
    USER,
    /// Largest virtual size so far (`status`).
    PEAK,
    /// Control group (`cgroup`).
    CGROUP,
    /// The owner is the effective user rather than the real one (`status`).
    EFFECTIVE,
    /// What the whole machine did, to be compared with the sum of all processes (`stat`, `diskstats`).
    MACHINE,
    /// What the tool itself costs.
    COST,
    /// Delays by what was waited for (taskstats). Whoever asks for it asks for [`Facts::DELAYS`], too.
    WAITS,
    /// Every connection.
    CONNECTIONS,
    /// The control group of every connection's process.
    CONNECTION_GROUPS,
    /// The network devices with their addresses. Whoever asks for it asks for [`Facts::CONNECTIONS`], too.
    INTERFACES,
    /// Process group, session, terminal, flags and priorities of processes (`stat` fields 5 to 9, 18 and 19).
    CONTROL,
    /// Command lines, and names of the kernel's workers, are read again whenever their process ran: it can have changed
    /// them. Whoever asks for it asks for [`Facts::CMDLINE`], too.
    FRESH_NAMES,
    /// Switches, times on a CPU and waits as hooks on the scheduler count them.
    RUNS,
    /// Bytes through UNIX sockets. Whoever asks for it asks for [`Facts::TRAFFIC`], too.
    UNIX,
    /// Control group of every process that moved something through sockets; of every process where that is not known before
    /// the files are read.
    TRAFFIC_GROUPS,
}

impl Facts {
    /// Nothing beyond identity (key, ppid, uid, comm), CPU times, faults and memory, which every source reads anyway.
    pub const NONE: Facts = Facts(0);

    /// Says whether every fact of `other` is in this set.
    pub const fn has(self, other: Facts) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set less what is in `other`.
    pub const fn without(self, other: Facts) -> Facts {
        Facts(self.0 & !other.0)
    }

    /// Joins two sets; `|` for constants.
    pub const fn and(self, other: Facts) -> Facts {
        Facts(self.0 | other.0)
    }
}

impl BitOr for Facts {
    type Output = Facts;
    fn bitor(self, other: Facts) -> Facts {
        self.and(other)
    }
}

impl BitOrAssign for Facts {
    fn bitor_assign(&mut self, other: Facts) {
        *self = self.and(other);
    }
}

/// The processes a run is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pids {
    /// Every process.
    #[default]
    All,
    /// Only these (ascending, no duplicates). A number may be a thread's: `/proc/TID` exists, and pidstat shows the
    /// process's sums under it.
    Only(Vec<u32>),
}

/// By which means traffic is counted; the best one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetChoice {
    /// The best that this machine allows.
    #[default]
    Auto,
    /// The tracepoints of the socket layer.
    Tracepoint,
    /// What the protocols' functions return.
    Fexit,
    /// Breakpoints, and sequence numbers.
    Kprobe,
    /// Sequence numbers alone, read at each sample.
    Sampled,
    /// Captured packets.
    Pcap,
}

impl NetChoice {
    /// Its name on the command line and in every output.
    pub const fn name(self) -> &'static str {
        match self {
            NetChoice::Auto => "auto",
            NetChoice::Tracepoint => "tracepoint",
            NetChoice::Fexit => "fexit",
            NetChoice::Kprobe => "kprobe",
            NetChoice::Sampled => "sampled",
            NetChoice::Pcap => "pcap",
        }
    }
}

/// What is captured, where packets are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capturing {
    /// Devices by name; none for all of every network namespace.
    pub devices: Vec<String>,
    /// Packets for other machines too.
    pub promiscuous: bool,
    /// Only packets that pass this, in pcap-filter(7)'s language.
    pub filter: Option<String>,
    /// Not what stays on this machine, unless its device is named.
    pub no_loopback: bool,
}

/// What becomes of the rows of processes that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exited {
    /// Each has a row.
    #[default]
    Show,
    /// None has.
    Hide,
    /// They are added to others.
    Fold(FoldTo),
}

/// Where ended processes are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldTo {
    /// To the row of the nearest ancestor that lives; who has none keeps its own.
    Parent,
    /// To one row for each control group; whose is not known keeps its own.
    Cgroup,
    /// To one row for each name.
    Command,
}

/// What a source is opened for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// What to read.
    pub facts: Facts,
    /// Of which processes.
    pub pids: Pids,
    /// Whether every thread gets a row of its own besides the process row.
    pub threads: bool,
    /// Whether `sched` and `switches` of a process row are the sum over all its threads, dead ones included
    /// (kpidstat), or the main thread's alone (what the kernel's per-process files show, and sysstat prints).
    pub sum_threads: bool,
    /// What becomes of processes that ended; those that are added to others are wanted even if `pids` does not name them.
    pub exited: Exited,
    /// By which means traffic is counted.
    pub net: NetChoice,
    /// Whether packets that are not TCP's are counted on the wire.
    pub net_packets: bool,
    /// What is captured, if it is by packets.
    pub capturing: Capturing,
    /// For how many sockets the maps of the traffic have room; `None` for as many as usual.
    pub net_sockets: Option<u32>,
    /// For how many tasks the scheduler's map has room, if not as many as usual.
    pub sched_tasks: Option<u32>,
    /// Whether the kernel programs log what they see on standard error.
    pub debug: bool,
}
