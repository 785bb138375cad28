//! The I/O priority of threads of this machine (`ioprio_get`, `ioprio_set`, `sched_getscheduler`, `getpriority`).

use std::{fmt, io};

/// Which storage requests go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The kernel did not say, or nobody asked it.
    Unknown,
    /// Threads of a process have several.
    Several,
    /// Before all others; 0 to 7, or what a realtime policy stands for.
    Realtime(u8),
    /// As usual, 0 to 7.
    BestEffort(u8),
    /// When nobody else wants anything.
    Idle,
}

impl fmt::Display for Priority {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Priority::Unknown => to.pad("?err"),
            Priority::Several => to.pad("?dif"),
            Priority::Realtime(level) => to.pad(&format!("rt/{level}")),
            Priority::BestEffort(level) => to.pad(&format!("be/{level}")),
            Priority::Idle => to.pad("idle"),
        }
    }
}

/// The priority of a process: that of all its threads, if they agree.
pub fn of_threads(tids: &[u32]) -> Priority {
    let mut all = tids.iter().map(|tid| of_thread(*tid));
    match all.next() {
        None => Priority::Unknown,
        Some(first) if all.all(|other| other == first) => first,
        Some(_) => Priority::Several,
    }
}

/// The system calls take a thread by this name.
const WHO_PROCESS: libc::c_int = 1;
/// Bits of the level, below those of the class.
const LEVEL_BITS: u32 = 13;

/// Sets the priority of a thread.
///
/// # Errors
/// It is gone, or the kernel does not let us.
pub fn set(tid: u32, priority: Priority) -> io::Result<()> {
    let (class, level) = match priority {
        Priority::Realtime(level) => (1, level),
        Priority::BestEffort(level) => (2, level),
        Priority::Idle => (3, 0),
        Priority::Unknown | Priority::Several => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let id = libc::pid_t::try_from(tid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let packed = class << LEVEL_BITS | libc::c_int::from(level);
    // SAFETY: takes three numbers.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, id, packed) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The priority of a thread. Without one of its own it follows from its scheduling policy and nice value.
pub fn of_thread(tid: u32) -> Priority {
    let Ok(id) = libc::pid_t::try_from(tid) else { return Priority::Unknown };
    // SAFETY: takes two numbers.
    let packed = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, id) };
    let level = (packed & 7) as u8;
    match packed >> LEVEL_BITS {
        _ if packed < 0 => Priority::Unknown,
        1 => Priority::Realtime(level),
        2 => Priority::BestEffort(level),
        3 => Priority::Idle,
        _ => of_policy(id),
    }
}

fn of_policy(id: libc::pid_t) -> Priority {
    // SAFETY: takes a number.
    let policy = unsafe { libc::sched_getscheduler(id) };
    // SAFETY: takes two numbers. A failure looks like a nice value of -1, which is what one that ended between the calls
    // is shown with.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, id.cast_unsigned()) };
    let level = u8::try_from((nice + 20) / 5).unwrap_or(0);
    match policy {
        i32::MIN..=-1 => Priority::Unknown,
        libc::SCHED_FIFO | libc::SCHED_RR => Priority::Realtime(level),
        libc::SCHED_IDLE => Priority::Idle,
        _ => Priority::BestEffort(level),
    }
}
