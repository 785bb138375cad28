//! One process with all its files at one instant: pypidstat's `ProcessStat`.

use super::{Descriptor, InspectError, Inspector, Stat, Status, Variable};
use crate::{
    sample::{Io, Sched},
    source::procfs::{files::Place, number::first, statm::Statm, users::Users},
};
use std::{ffi::OsString, rc::Rc, time::SystemTime};

/// What a file told, or why it told nothing: one that is refused does not take the others along.
pub type Told<T> = Result<T, InspectError>;

/// A process, read at one go.
///
/// ```
/// use pidstat_user::source::procfs::{Inspector, Users};
/// use std::path::Path;
///
/// let mut inspector = Inspector::open(Path::new("/proc"))?;
/// let process = inspector.process(std::process::id(), &mut Users::machine())?;
/// let who = &process.attributes;
/// assert_eq!(who.exe.clone()?.unwrap(), std::env::current_exe()?);
/// assert_eq!(who.environ.clone()?.len(), std::env::vars_os().count());
/// assert!(who.oom_score? <= 2000 && who.session.is_ok() && who.gid.is_ok());
/// assert_eq!((who.uid?, who.owner.clone()?), (who.uid?, Users::machine().name(who.uid?)));
/// let memory = process.stack_loads()?;
/// assert!(memory.stack_kib > Some(0) && memory.resident_peak_kib <= memory.virtual_peak_kib);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For rates take two samples with [`ProcSource`](crate::source::procfs::ProcSource), pair them with
/// [`rate::pairs`](crate::rate::pairs) and ask the columns:
///
/// ```
/// use pidstat_user::{
///     clock::Clock,
///     column::{REPORTS, Value},
///     rate::{Span, pairs},
///     sample::{Facts, Pids, Sample, Want},
///     source::{Source as _, procfs::ProcSource},
/// };
///
/// let myself = Pids::Only(vec![std::process::id()]);
/// let mut source = ProcSource::open(Want { facts: Facts::IO | Facts::SCHED, pids: myself, ..Want::default() })?;
/// let (mut before, mut now) = (Sample::default(), Sample::default());
/// source.sample(&Clock::Real, None, &mut before)?;
/// std::fs::read("/proc/self/maps")?;
/// source.sample(&Clock::Real, Some(&before), &mut now)?;
/// let span = Span::between(&before, &now, 1, false);
/// let row = pairs(&before, &now, &span, false).next().unwrap();
/// let column = |id| REPORTS.iter().flat_map(|report| report.columns).find(|column| column.id == id).unwrap();
/// assert!(matches!(column("cpu_pct").value(&row), Value::Real(share) if share >= 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Process {
    /// When reading began.
    pub taken: SystemTime,
    /// What identifies it.
    pub attributes: Attributes,
    /// `stat`; the process was there.
    pub stat: Stat,
    /// `status`.
    pub status: Told<Status>,
    /// `statm`, in pages.
    pub statm: Told<Statm>,
    /// `io`, children that were waited for included.
    pub io: Told<Io>,
    /// `schedstat`, of the main thread.
    pub sched: Told<Sched>,
    /// The open files.
    pub fds: Told<Vec<Descriptor>>,
}

/// What identifies a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Its name: at most 15 bytes, except for kernel workers.
    pub name: String,
    /// Its arguments; none for kernel threads and zombies.
    pub cmdline: Told<Vec<OsString>>,
    /// The program; `None` for a kernel thread.
    pub exe: Told<Option<OsString>>,
    /// The environment it was started with.
    pub environ: Told<Vec<Variable>>,
    /// The audit session; `None` where no login set it.
    pub session: Told<Option<u32>>,
    /// The user who logged in; `None` where no login set it. pypidstat shows this one as the owner, and root for `None`.
    pub login_uid: Told<Option<u32>>,
    /// What the out-of-memory killer goes by: 0 to about 2000, higher dies earlier.
    pub oom_score: Told<u64>,
    /// The effective user.
    pub uid: Told<u32>,
    /// The effective group.
    pub gid: Told<u32>,
    /// The name of the effective user; `None` if nobody has this number.
    pub owner: Told<Option<Rc<str>>>,
}

/// Memory by kind in KiB, of `status`; a kernel thread has none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackLoads {
    /// `VmHWM`: the largest resident size so far (pypidstat's `RSSPeak` too).
    pub resident_peak_kib: Option<u64>,
    /// `VmPeak`: the largest virtual size so far (pypidstat's `VSZPeak` too).
    pub virtual_peak_kib: Option<u64>,
    /// `RssAnon`.
    pub resident_anonymous_kib: Option<u64>,
    /// `RssFile`.
    pub resident_file_kib: Option<u64>,
    /// `RssShmem`.
    pub resident_shared_kib: Option<u64>,
    /// `VmData`.
    pub data_kib: Option<u64>,
    /// `VmStk`: the main stack.
    pub stack_kib: Option<u64>,
    /// `VmExe`.
    pub code_kib: Option<u64>,
    /// `VmLib`.
    pub library_kib: Option<u64>,
    /// `VmSwap`.
    pub swap_kib: Option<u64>,
}

impl Inspector {
    /// Everything of one process. `users` looks its owner's name up.
    ///
    /// # Errors
    /// Its `stat` cannot be read; what else cannot is an error in its own field.
    pub fn process(&mut self, pid: u32, users: &mut Users) -> Result<Process, InspectError> {
        let at = Place::process(pid);
        let taken = SystemTime::now();
        let stat = self.stat(at)?;
        let status = self.status(at);
        let id = |key: &str| {
            let status = status.as_ref().map_err(|error| *error)?;
            let effective = status.get(key).and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok());
            effective.ok_or(InspectError::Malformed)
        };
        let (uid, gid) = (id("Uid"), id("Gid"));
        let attributes = Attributes {
            name: stat.name.clone(),
            cmdline: self.cmdline(at),
            exe: self.link(at, "exe"),
            environ: self.environ(at),
            session: self.audit(at, "sessionid"),
            login_uid: self.audit(at, "loginuid"),
            oom_score: self
                .bytes(at, "oom_score")
                .and_then(|bytes| first(bytes).ok_or(InspectError::Malformed)),
            uid,
            gid,
            owner: uid.map(|uid| users.name(uid)),
        };
        Ok(Process {
            taken,
            attributes,
            stat,
            status,
            statm: self.statm(at),
            io: self.io(at),
            sched: self.schedstat(at),
            fds: self.fds(at),
        })
    }

    /// A number of the audit system; the largest stands for none.
    fn audit(&mut self, at: Place, file: &str) -> Told<Option<u32>> {
        let number = first(self.bytes(at, file)?).ok_or(InspectError::Malformed)?;
        Ok(u32::try_from(number).ok().filter(|number| *number != u32::MAX))
    }
}

impl Process {
    /// Memory by kind.
    ///
    /// # Errors
    /// `status` could not be read.
    pub fn stack_loads(&self) -> Told<StackLoads> {
        let status = self.status.as_ref().map_err(|error| *error)?;
        let kib = |key| status.number(key);
        Ok(StackLoads {
            resident_peak_kib: kib("VmHWM"),
            virtual_peak_kib: kib("VmPeak"),
            resident_anonymous_kib: kib("RssAnon"),
            resident_file_kib: kib("RssFile"),
            resident_shared_kib: kib("RssShmem"),
            data_kib: kib("VmData"),
            stack_kib: kib("VmStk"),
            code_kib: kib("VmExe"),
            library_kib: kib("VmLib"),
            swap_kib: kib("VmSwap"),
        })
    }

    /// CPU time as a fraction of the time since the start, 1.0 being one CPU; `None` for one that started this very tick.
    /// `uptime_ns` is the time since boot, `clock_ticks` those of a second.
    pub fn cpu_since_start(&self, uptime_ns: u64, clock_ticks: u64) -> Option<f64> {
        let age = uptime_ns as f64 / 1e9 - self.stat.start_seconds(clock_ticks);
        let used =
            self.stat.user_ticks.saturating_add(self.stat.system_ticks) as f64 / clock_ticks.max(1) as f64;
        (age > 0.0).then(|| used / age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::procfs::PROC_ROOT;
    use std::{fs, os::unix::fs::symlink, path::Path};

    #[test]
    fn this_process_is_who_it_is() {
        let mut inspector = Inspector::open(Path::new(PROC_ROOT)).unwrap();
        let process = inspector.process(std::process::id(), &mut Users::machine()).unwrap();
        let attributes = &process.attributes;
        assert_eq!(
            attributes.exe.as_ref().unwrap().as_deref(),
            Some(std::env::current_exe().unwrap().as_os_str())
        );
        assert_eq!(attributes.cmdline.as_ref().unwrap(), &std::env::args_os().collect::<Vec<_>>());
        // SAFETY: neither call takes anything or can fail.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        assert_eq!((attributes.uid, attributes.gid), (Ok(uid), Ok(gid)));
        assert_eq!(attributes.owner.as_ref().unwrap(), &Users::machine().name(uid));
        let path = |variable: &&Variable| variable.name == "PATH";
        let environ = attributes.environ.as_ref().unwrap();
        assert_eq!(environ.iter().find(path).and_then(|path| path.value.clone()), std::env::var_os("PATH"));
        let loads = process.stack_loads().unwrap();
        assert!(loads.resident_peak_kib.unwrap() > 0 && loads.virtual_peak_kib > loads.resident_peak_kib);
        assert!(process.fds.unwrap().len() >= 3);
    }

    #[test]
    fn a_file_that_is_not_there_takes_no_other_along() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("7");
        fs::create_dir(&directory).unwrap();
        let numbers: String = (4..=52).map(|n: u32| format!(" {n}")).collect();
        fs::write(directory.join("stat"), format!("7 (x) S{numbers}\n")).unwrap();
        fs::write(directory.join("status"), "Uid:\t1\t7\t1\t1\nGid:\t1\t8\t1\t1\nVmHWM:\t  12 kB\n").unwrap();
        fs::write(directory.join("loginuid"), "4294967295").unwrap();
        fs::write(directory.join("oom_score"), "666\n").unwrap();
        symlink("/usr/bin/x (deleted)", directory.join("exe")).unwrap();
        let mut users = Users::recorded(root.path());
        let process = Inspector::open(root.path()).unwrap().process(7, &mut users).unwrap();
        let attributes = &process.attributes;
        assert_eq!((attributes.uid, attributes.gid, attributes.login_uid), (Ok(7), Ok(8), Ok(None)));
        assert_eq!((attributes.session, attributes.oom_score), (Err(InspectError::NotInKernel), Ok(666)));
        assert_eq!(attributes.exe, Ok(Some("/usr/bin/x (deleted)".into())));
        assert_eq!(process.stack_loads().unwrap().resident_peak_kib, Some(12));
        assert!(process.io.is_err() && process.statm.is_err());
        // Fields 14 and 15 are 14 and 15 ticks, field 22 is 22.
        assert_eq!(process.cpu_since_start(1_220_000_000, 100), Some(0.29));
        assert_eq!(process.cpu_since_start(220_000_000, 100), None);
    }
}
