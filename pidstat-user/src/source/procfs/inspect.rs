//! Everything that the kernel's files say of one process, field by field: the readers of `kpidstat proc`.
//!
//! The rest of [`procfs`](super) reads what columns need, thousands of times a second. Here is the whole of each file, for
//! whoever wants to look at one process: every field has its unit in its documentation, and text that is no UTF-8 is kept
//! as bytes where it names something ([`OsString`]), else shown with U+FFFD.
//!
//! ```
//! use pidstat_user::source::procfs::{Inspector, files::Place};
//! use std::path::Path;
//!
//! let mut inspector = Inspector::open(Path::new("/proc"))?;
//! let myself = Place::process(std::process::id());
//! let stat = inspector.stat(myself)?;
//! assert_eq!((stat.pid, stat.state), (std::process::id(), 'R'));
//! assert!(inspector.mountinfo(myself)?.iter().any(|mount| mount.point.as_os_str() == "/"));
//! assert!(inspector.stat(Place::process(4_194_305)).is_err_and(|error| error.gone()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cgroup;
mod fd;
mod limits;
mod maps;
mod mounts;
mod process;
mod rollup;
mod stat;
mod status;
mod sysctl;
mod words;

pub use super::files::MOST_BYTES;
pub use cgroup::Membership;
pub use fd::{Descriptor, Kind};
pub use limits::Limit;
pub use maps::Mapping;
pub use mounts::{Mount, MountStats};
pub use process::{Attributes, Process, StackLoads, Told};
pub use rollup::Rollup;
pub use stat::Stat;
pub use status::{Status, pairs};
pub use sysctl::{Setting, Sysctls};
pub use words::{Variable, list, record};

use super::{
    files::{Extent, Files, Place, Refusal},
    io, number, schedstat, statm,
};
use crate::sample::{Io, Sched};
use std::{ffi::OsString, path::Path};

/// Why a file tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// The process or thread is not there, or ended while its file was read.
    #[error("no such process")]
    Gone,
    /// The kernel refuses it to this user: the file of another user's process, or one that hidepid hides.
    #[error("permission denied")]
    NotPermitted,
    /// The process is there, but has no such file: this kernel was built without it, or a copy was made without it.
    #[error("there is no such file here")]
    NotInKernel,
    /// What was read is not what the kernel writes.
    #[error("the file is not as the kernel writes it")]
    Malformed,
    /// The file has more than [`MOST_BYTES`].
    #[error("the file has more than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// The kernel gave another error number.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

impl InspectError {
    /// Whether the process is not there, or no longer.
    pub fn gone(self) -> bool {
        self == InspectError::Gone
    }

    /// The number of errno(3) that says the same.
    pub fn number(self) -> i32 {
        match self {
            InspectError::Gone | InspectError::NotInKernel => libc::ENOENT,
            InspectError::NotPermitted => libc::EACCES,
            InspectError::Malformed => libc::EINVAL,
            InspectError::TooLarge => libc::EFBIG,
            InspectError::Other(number) => number,
        }
    }
}

/// Reads files of processes below one proc directory, keeping its buffer.
///
/// Every method takes a process or one of its threads ([`Place`]), and every one may fail with each [`InspectError`].
#[derive(Debug)]
pub struct Inspector {
    files: Files,
}

impl Inspector {
    /// Opens a proc directory: `/proc`, another mounted one, or a copy.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn open(root: &Path) -> std::io::Result<Inspector> {
        Ok(Inspector { files: Files::open(root)? })
    }

    /// Every process, ascending.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn pids(&mut self) -> std::io::Result<Vec<u32>> {
        let mut pids = Vec::new();
        let listed = self.files.list_root(|name| pids.extend(number::entry(name)));
        pids.sort_unstable();
        listed.map(|()| pids).map_err(|refusal| std::io::Error::from_raw_os_error(refusal.0))
    }

    /// The threads of a process, ascending.
    pub fn tids(&mut self, pid: u32) -> Result<Vec<u32>, InspectError> {
        let at = Place::process(pid);
        let mut tids = Vec::new();
        match self.files.list(at, "task", |name| tids.extend(number::entry(name))) {
            Ok(()) => tids.sort_unstable(),
            Err(refusal) => return Err(self.why(at, refusal)),
        }
        Ok(tids)
    }

    /// The bytes of any file of a task.
    pub fn bytes(&mut self, at: Place, file: &str) -> Result<&[u8], InspectError> {
        match self.files.read(at, file, Extent::AtMost(MOST_BYTES)).map(<[u8]>::len) {
            Ok(length) if length >= MOST_BYTES => Err(InspectError::TooLarge),
            Ok(length) => Ok(self.files.last(length)),
            Err(refusal) => Err(self.why(at, refusal)),
        }
    }

    /// `stat`, whole.
    pub fn stat(&mut self, at: Place) -> Result<Stat, InspectError> {
        Stat::parse(self.bytes(at, "stat")?).ok_or(InspectError::Malformed)
    }

    /// `statm`: sizes in pages.
    pub fn statm(&mut self, at: Place) -> Result<statm::Statm, InspectError> {
        statm::parse(self.bytes(at, "statm")?).ok_or(InspectError::Malformed)
    }

    /// `status`: every line.
    pub fn status(&mut self, at: Place) -> Result<Status, InspectError> {
        Ok(Status::parse(self.bytes(at, "status")?))
    }

    /// `io`: bytes and system calls, children that were waited for included (of a thread: its own).
    pub fn io(&mut self, at: Place) -> Result<Io, InspectError> {
        io::parse(self.bytes(at, "io")?).ok_or(InspectError::Malformed)
    }

    /// `schedstat`: nanoseconds on a CPU and waiting for one. Of a process the kernel tells those of its main thread only.
    pub fn schedstat(&mut self, at: Place) -> Result<Sched, InspectError> {
        schedstat::parse(self.bytes(at, "schedstat")?).ok_or(InspectError::Malformed)
    }

    /// `maps`: the mappings, by address; none for a kernel thread.
    pub fn maps(&mut self, at: Place) -> Result<Vec<Mapping>, InspectError> {
        maps::parse(self.bytes(at, "maps")?).ok_or(InspectError::Malformed)
    }

    /// `smaps_rollup`: the sums over all mappings in KiB; empty for a task without memory (kernel threads, zombies).
    pub fn smaps_rollup(&mut self, at: Place) -> Result<Rollup, InspectError> {
        match self.bytes(at, "smaps_rollup").map(rollup::parse) {
            Ok(rollup) => Ok(rollup),
            // The kernel says "no such process" of a task without memory.
            Err(InspectError::Gone) if self.files.exists(at, "stat") => Ok(Rollup::default()),
            Err(error) => Err(error),
        }
    }

    /// `mountinfo`: what is mounted where, as this process sees it.
    pub fn mountinfo(&mut self, at: Place) -> Result<Vec<Mount>, InspectError> {
        mounts::info(self.bytes(at, "mountinfo")?).ok_or(InspectError::Malformed)
    }

    /// `mountstats`: the same mounts, with the statistics that file systems of the network keep.
    pub fn mountstats(&mut self, at: Place) -> Result<Vec<MountStats>, InspectError> {
        mounts::stats(self.bytes(at, "mountstats")?).ok_or(InspectError::Malformed)
    }

    /// `fd` and `fdinfo`: the open files, by number.
    pub fn fds(&mut self, at: Place) -> Result<Vec<Descriptor>, InspectError> {
        let mut numbers = Vec::new();
        if let Err(refusal) = self.files.list(at, "fd", |name| numbers.extend(number::entry(name))) {
            return Err(self.why(at, refusal));
        }
        numbers.sort_unstable();
        // One that was closed since is left out.
        Ok(numbers.into_iter().filter_map(|number| fd::read(&mut self.files, at, number)).collect())
    }

    /// `limits`: soft and hard limits of resources.
    pub fn limits(&mut self, at: Place) -> Result<Vec<Limit>, InspectError> {
        limits::parse(self.bytes(at, "limits")?).ok_or(InspectError::Malformed)
    }

    /// `cgroup`: the control group in each hierarchy.
    pub fn cgroups(&mut self, at: Place) -> Result<Vec<Membership>, InspectError> {
        cgroup::parse(self.bytes(at, "cgroup")?).ok_or(InspectError::Malformed)
    }

    /// `environ`: the variables the process was started with, as far as it has not written over them.
    pub fn environ(&mut self, at: Place) -> Result<Vec<Variable>, InspectError> {
        Ok(words::variables(self.bytes(at, "environ")?))
    }

    /// `cmdline`: the arguments; NULs after the last one are dropped, whether they are padding or empty arguments. Empty
    /// for kernel threads and zombies.
    pub fn cmdline(&mut self, at: Place) -> Result<Vec<OsString>, InspectError> {
        Ok(words::arguments(self.bytes(at, "cmdline")?))
    }

    /// What the link `exe`, `cwd` or `root` of a task leads to; a kernel thread's lead nowhere: `None`.
    pub fn link(&mut self, at: Place, link: &str) -> Result<Option<OsString>, InspectError> {
        match self.files.read_link(at, link).map(words::os) {
            Ok(target) => Ok(Some(target)),
            Err(Refusal(libc::ENOENT)) if self.files.exists(at, "stat") => Ok(None),
            Err(refusal) => Err(self.why(at, refusal)),
        }
    }

    /// The settings of the kernel below `sys`, or those of a part of it (`net`), which need no process.
    pub fn sysctls(&mut self, below: &str, keys: &[String]) -> Sysctls {
        sysctl::read(&mut self.files, below, keys)
    }

    /// Why a file of a task could not be had.
    fn why(&mut self, at: Place, refusal: Refusal) -> InspectError {
        match refusal.0 {
            libc::EACCES | libc::EPERM => InspectError::NotPermitted,
            libc::ESRCH => InspectError::Gone,
            libc::ENOENT if self.files.exists(at, "stat") => InspectError::NotInKernel,
            libc::ENOENT => InspectError::Gone,
            other => InspectError::Other(other),
        }
    }
}
