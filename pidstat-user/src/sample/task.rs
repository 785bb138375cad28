//! One process or thread at one instant.

use super::{Cgroup, Missing, Reading, Runs};
use std::{
    ops::{Deref, DerefMut},
    rc::Rc,
};

/// What a task is called for its whole life: never a bare pid, which is reused.
///
/// The order is the order of display: processes by tgid, each process row (tid 0) before its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// Process id in the PID namespace of the reader; 0 stands for everything outside it.
    pub tgid: u32,
    /// Thread id, or 0 for the row of the whole process.
    pub tid: u32,
    /// Start in clock ticks (1/100 s) since boot: field 22 of `/proc/PID/stat`, `start_boottime` / 10 ms.
    pub start_ticks: u64,
}

/// The name of a task as the kernel keeps it, at most 15 bytes, in place so that a sample allocates nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Comm {
    bytes: [u8; 16],
}

impl Comm {
    /// Keeps what stands before the first NUL, at most 15 bytes.
    pub fn new(name: &[u8]) -> Comm {
        let mut bytes = [0; 16];
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len()).min(15);
        bytes[..end].copy_from_slice(&name[..end]);
        Comm { bytes }
    }

    /// The bytes of the name; any byte but NUL may be among them.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.bytes.iter().position(|b| *b == 0).unwrap_or(self.bytes.len());
        &self.bytes[..end]
    }
}

impl std::fmt::Debug for Comm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// CPU time in nanoseconds, cumulative, of the whole process or of one thread.
///
/// From `/proc` these are clock ticks times 10 000 000; from the kernel they are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In user mode, guests included (`stat` field 14).
    pub user_ns: u64,
    /// In kernel mode (`stat` field 15).
    pub system_ns: u64,
    /// Running a virtual CPU (`stat` field 43).
    pub guest_ns: u64,
    /// The same three of the children that were waited for (fields 16, 17, 44).
    pub children_user_ns: u64,
    /// See `children_user_ns`.
    pub children_system_ns: u64,
    /// See `children_user_ns`.
    pub children_guest_ns: u64,
}

/// Page faults, cumulative (`stat` fields 10 to 13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Served without I/O.
    pub minor: u64,
    /// That needed I/O.
    pub major: u64,
    /// Minor faults of children that were waited for.
    pub children_minor: u64,
    /// Major faults of children that were waited for.
    pub children_major: u64,
}

/// Memory now, in bytes (`stat` fields 23 and 24). A kernel thread has zeros, as in `/proc`; a process that ended has the
/// most that was resident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Virtual size.
    pub virtual_bytes: u64,
    /// Resident set.
    pub resident_bytes: u64,
}

/// Scheduler figures, cumulative (`schedstat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sched {
    /// Nanoseconds on a CPU.
    pub run_ns: u64,
    /// Nanoseconds runnable but waiting for a CPU.
    pub wait_ns: u64,
    /// Times put on a CPU.
    pub timeslices: u64,
}

/// Context switches, cumulative (`status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// The task gave the CPU up.
    pub voluntary: u64,
    /// The CPU was taken from it.
    pub involuntary: u64,
}

/// I/O, cumulative (`io`, `task_io_accounting`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Bytes that read-like system calls returned.
    pub rchar_bytes: u64,
    /// Bytes handed to write-like system calls.
    pub wchar_bytes: u64,
    /// Read-like system calls.
    pub read_calls: u64,
    /// Write-like system calls.
    pub write_calls: u64,
    /// Bytes fetched from storage.
    pub read_bytes: u64,
    /// Bytes sent towards storage.
    pub write_bytes: u64,
    /// Written bytes that never reached storage because the page was dropped.
    pub cancelled_write_bytes: u64,
}

/// Time spent waiting, cumulative, in nanoseconds (`task_delay_info`; `stat` field 42 has their sum in ticks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// For block I/O, swap-in included: what `stat` field 42 shows.
    pub block_io_ns: u64,
}

/// Time spent waiting for one thing each, cumulative, in nanoseconds (taskstats). `None` where this kernel does not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// For storage.
    pub block_io_ns: u64,
    /// For pages from swap.
    pub swap_in_ns: u64,
    /// For room in memory.
    pub reclaim_ns: Option<u64>,
    /// For pages that were dropped a moment ago (Linux 4.20).
    pub thrashing_ns: Option<u64>,
    /// For room for huge pages (Linux 5.19).
    pub compaction_ns: Option<u64>,
    /// For copies of pages at the first write (Linux 6.0).
    pub write_copy_ns: Option<u64>,
    /// Interrupted (Linux 6.4).
    pub interrupt_ns: Option<u64>,
}

/// The main stack's mapping (`smaps`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// Reserved, in KiB.
    pub size_kib: u64,
    /// Referenced, in KiB.
    pub referenced_kib: u64,
}

/// Network traffic, cumulative, loopback included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes the kernel accepted from the application.
    pub tx_bytes: u64,
    /// Bytes the application took.
    pub rx_bytes: u64,
    /// TCP segments and UDP messages sent.
    pub tx_packets: u64,
    /// TCP segments and UDP messages received.
    pub rx_packets: u64,
    /// What went through UNIX sockets, which is in none of the others.
    ///
    /// Missing (`NotAsked`) unless it is asked for, (`NotInSource`) where the rung cannot count it.
    pub unix: Reading<UnixTraffic>,
}

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic { tx_bytes: 0, rx_bytes: 0, tx_packets: 0, rx_packets: 0, unix: Err(Missing::NotAsked) }
    }
}

/// What went through UNIX sockets, cumulative; both ends of a pair count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixTraffic {
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Datagrams and packets sent; 0 for streams.
    pub tx_messages: u64,
    /// Datagrams and packets received; 0 for streams.
    pub rx_messages: u64,
}

/// What controls a process: the fields 5 to 9, 18 and 19 of its `stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Process group, 0 if it is outside the PID namespace.
    pub group: u32,
    /// Session, likewise.
    pub session: u32,
    /// Controlling terminal, encoded as in `stat`; 0 if there is none.
    pub terminal: u32,
    /// Process group in the foreground of that terminal, -1 if there is none.
    pub foreground: i32,
    /// The kernel's PF_ flags.
    pub flags: u32,
    /// Effective priority: 20 and the nice value, or below zero for real-time tasks.
    pub priority: i32,
    /// Nice value.
    pub nice: i32,
}

/// A figure of traffic with its name.
pub type TrafficFigure = (&'static str, fn(Traffic) -> u64);

impl Traffic {
    /// The figures with their names, for recordings.
    pub const FIGURES: [TrafficFigure; 4] = [
        ("rx_bytes", |traffic| traffic.rx_bytes),
        ("tx_bytes", |traffic| traffic.tx_bytes),
        ("rx_packets", |traffic| traffic.rx_packets),
        ("tx_packets", |traffic| traffic.tx_packets),
    ];
}

/// How the life of a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It is there, dead or alive.
    #[default]
    Alive,
    /// It is gone and its final counters have not come yet: they are as they were last seen.
    Leaving {
        /// Uptime when it was first missed, in nanoseconds.
        since_ns: u64,
    },
    /// It ended, and its counters are final.
    Exited(Exit),
    /// It is in no row, and nothing but key, name, uid and traffic is known of it.
    TrafficOnly,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// As `wait` gives it.
    pub status: u32,
    /// Nanoseconds after boot.
    pub at_ns: u64,
}

impl Exit {
    /// The exit code as a shell shows it: 128 and the signal's number for a process that a signal ended.
    pub fn code(self) -> u32 {
        match self.status & 0x7f {
            0 => self.status >> 8 & 0xff,
            signal => 128 + signal,
        }
    }
}

/// What few reports show of a task. It is apart, and shared by all tasks of which it is not asked, so that a sample of many
/// tasks is small: three samples are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seldom {
    /// Largest virtual size so far, in KiB (`VmPeak` of `status`).
    pub peak_kib: Reading<u64>,
    /// Delays by what was waited for.
    pub waits: Reading<Waits>,
    /// Main stack.
    pub stack: Reading<Stack>,
    /// Open file descriptors.
    pub fds: Reading<u32>,
    /// Control group of the process.
    pub cgroup: Reading<Rc<Cgroup>>,
    /// Process group, session, terminal, flags and priorities; a thread has none of its own.
    ///
    /// Missing (`NotInSource`) where only files are read: there `stat` itself says it.
    pub control: Reading<Control>,
    /// What the hooks on the scheduler counted.
    pub runs: Reading<Rc<Runs>>,
}

impl Seldom {
    /// Nothing is known, for `why`; one for all tasks of which that is so.
    fn missing(why: Missing) -> Rc<Seldom> {
        thread_local! {
            static NOTHING: [Rc<Seldom>; Missing::ALL.len()] = Missing::ALL.map(|why| {
                Rc::new(Seldom {
                    peak_kib: Err(why),
                    waits: Err(why),
                    stack: Err(why),
                    fds: Err(why),
                    cgroup: Err(why),
                    control: Err(why),
                    runs: Err(why),
                })
            });
        }
        // The reasons stand in the order of their numbers.
        NOTHING.with(|nothing| Rc::clone(&nothing[why as usize]))
    }
}

impl Deref for Task {
    type Target = Seldom;

    fn deref(&self) -> &Seldom {
        &self.seldom
    }
}

impl DerefMut for Task {
    fn deref_mut(&mut self) -> &mut Seldom {
        Rc::make_mut(&mut self.seldom)
    }
}

/// One process or one thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Identity.
    pub key: TaskKey,
    /// Parent's process id, 0 if it is outside the PID namespace.
    pub ppid: u32,
    /// Real user id; the effective one where [`Facts::EFFECTIVE`](super::Facts::EFFECTIVE) is asked for.
    pub uid: u32,
    /// Name of that user; absent when not asked for or when nobody has that id.
    pub user: Option<Rc<str>>,
    /// State letter as in `/proc/PID/stat`.
    pub state: u8,
    /// Whether it is a kernel thread (PF_KTHREAD).
    pub kernel_thread: bool,
    /// Name, at most 15 bytes.
    pub comm: Comm,
    /// The longer name that `/proc` shows for some kernel threads (`kworker/1:1H-kblockd`).
    pub long_name: Option<Rc<[u8]>>,
    /// Arguments joined by blanks, no trailing blank; absent when not asked for or empty.
    pub cmdline: Option<Rc<[u8]>>,
    /// Threads in the process.
    pub threads: u32,
    /// CPU it last ran on.
    pub processor: u32,
    /// Realtime priority, 0 to 99 (`stat` field 40).
    pub rt_priority: u32,
    /// Scheduling policy (`stat` field 41).
    pub policy: u32,
    /// CPU time.
    pub cpu: Cpu,
    /// Page faults.
    pub faults: Faults,
    /// Memory; a thread's is its process's.
    pub memory: Memory,
    /// Scheduler figures.
    pub sched: Reading<Sched>,
    /// Context switches.
    pub switches: Reading<Switches>,
    /// I/O.
    pub io: Reading<Io>,
    /// Delays.
    pub delays: Reading<Delays>,
    /// Network traffic of the process; a thread has none of its own.
    pub traffic: Reading<Traffic>,
    /// The rest, which few reports show; its parts are used as if they stood here.
    pub seldom: Rc<Seldom>,
    /// How its life stands.
    pub end: End,
}

impl Task {
    /// Stands for a `uid`, `processor`, `rt_priority` or `policy` that a recording does not hold; no task has it.
    pub const UNKNOWN: u32 = u32::MAX;

    /// A task of which nothing is known but its key and name; everything that can be missing is, for `why`.
    pub fn blank(key: TaskKey, comm: Comm, why: Missing) -> Task {
        Task {
            key,
            ppid: 0,
            uid: 0,
            user: None,
            state: b'?',
            kernel_thread: false,
            comm,
            long_name: None,
            cmdline: None,
            threads: 0,
            processor: 0,
            rt_priority: 0,
            policy: 0,
            cpu: Cpu::default(),
            faults: Faults::default(),
            memory: Memory::default(),
            sched: Err(why),
            switches: Err(why),
            io: Err(why),
            delays: Err(why),
            traffic: Err(why),
            seldom: Seldom::missing(why),
            end: End::Alive,
        }
    }

    /// How it ended, if its counters are final.
    pub fn exit(&self) -> Option<Exit> {
        match self.end {
            End::Exited(exit) => Some(exit),
            End::Alive | End::Leaving { .. } | End::TrafficOnly => None,
        }
    }

    /// Whether this is the row of a whole process.
    pub fn is_process(&self) -> bool {
        self.key.tid == 0
    }

    /// The name as `/proc/PID/stat` shows it.
    pub fn name(&self) -> &[u8] {
        self.long_name.as_deref().unwrap_or_else(|| self.comm.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_why_and_rows_are_small() {
        for why in Missing::ALL {
            let task = Task::blank(TaskKey::default(), Comm::default(), why);
            assert_eq!((task.stack, task.fds), (Err(why), Err(why)));
        }
        // Three samples of 10 000 tasks are in memory: 8 bytes here are 240 KB there.
        assert!(size_of::<Task>() <= 456, "{}", size_of::<Task>());
    }
}
