//! The kernel's own counters: tasks by iterator, traffic by socket hooks, hidden or doubtful tasks from /proc.

mod cputime;
mod gather;
mod hidden;
mod known;
mod record;
mod task;

use super::{
    Source, SourceError,
    procfs::{self, Reader, Users},
};
use crate::{
    clock::Clock,
    kernel::{Kernel, Reason},
    sample::{Facts, Host, Losses, Missing, Origin, Pids, Sample, System, Want},
};
use hidden::Hidden;
use std::path::Path;
use task::Walk;

/// Everything of one sample, read through the kernel's own structures.
#[derive(Debug)]
pub struct EbpfSource {
    host: Host,
    want: Want,
    walk: Walk,
    hidden: Hidden,
    reader: Reader,
    users: Users,
    mem_total_kib: Option<u64>,
    losses: Losses,
}

/// Says whether the iterator's view of the machine is what `proc_root` shows: a real procfs, of our own PID namespace.
///
/// # Errors
/// In what way it is not.
pub fn usable(proc_root: &Path) -> Result<(), Reason> {
    let mut reader = Reader::open(proc_root).map_err(|_| Reason::ForeignProc("there is no procfs"))?;
    if !reader.real() {
        return Err(Reason::ForeignProc("the proc directory is not a procfs"));
    }
    let own = std::process::id();
    // `NSpid:` lists our number in the namespace of the mount, then in each below it down to ours: one, if they are the
    // same.
    let same = reader.system_file("self/status").is_ok_and(|bytes| {
        let line = bytes.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
        let numbers = line.map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default();
        numbers.split_ascii_whitespace().map(str::parse).eq([Ok(own)])
    });
    if same { Ok(()) } else { Err(Reason::ForeignProc("the procfs belongs to another PID namespace")) }
}

impl EbpfSource {
    /// Loads what `want` needs. `proc_root` must be [`usable`].
    ///
    /// # Errors
    /// Why the task family does not run here.
    pub fn open(proc_root: &Path, sys_root: &Path, want: &Want) -> Result<EbpfSource, Reason> {
        let kernel = Kernel::open()?;
        let host = procfs::host(proc_root, sys_root);
        let mut walk = Walk::open(&kernel, proc_root, want, &host)?;
        if want.facts.has(Facts::TRAFFIC) {
            walk.shape.traffic = Err(Missing::NotInSource);
        }
        let reader = Reader::open(proc_root).map_err(|error| Reason::Other(error.to_string()))?;
        Ok(EbpfSource {
            host,
            want: want.clone(),
            walk,
            hidden: Hidden::default(),
            reader,
            users: Users::machine(),
            mem_total_kib: None,
            losses: Losses::default(),
        })
    }

    fn system(&mut self) -> System {
        let mut system = System::default();
        if self.want.facts.has(Facts::TOTAL_CPU) {
            let bytes = self.reader.system_file("stat").map_err(Missing::from);
            system.total_cpu_ticks =
                bytes.and_then(|bytes| procfs::system::total_cpu_ticks(bytes).ok_or(Missing::NotInKernel));
        }
        if self.want.facts.has(Facts::MEM_TOTAL) {
            if self.mem_total_kib.is_none() {
                let bytes = self.reader.system_file("meminfo").ok();
                self.mem_total_kib = bytes.and_then(procfs::system::mem_total_kib);
            }
            system.mem_total_kib = self.mem_total_kib.ok_or(Missing::NotInKernel);
        }
        system
    }

    /// Figures that are read per task whenever they are asked for, because they change by themselves.
    fn files_of_tasks(&mut self, out: &mut Sample) {
        let facts = self.want.facts;
        if !facts.has(Facts::STACK) && !facts.has(Facts::FDS) {
            return;
        }
        let mut process = (0, Err(Missing::NotAsked), Err(Missing::NotAsked));
        for task in &mut out.tasks {
            if task.key.tgid != process.0 {
                process = (task.key.tgid, Err(Missing::NotAsked), Err(Missing::NotAsked));
                if facts.has(Facts::STACK) {
                    process.1 = if task.kernel_thread {
                        Err(Missing::DoesNotApply)
                    } else {
                        self.reader.stack(task.key.tgid)
                    };
                }
                if facts.has(Facts::FDS) {
                    process.2 = self.reader.fds(task.key.tgid);
                }
            }
            // Threads share the address space and, all but always, the descriptors.
            (task.stack, task.fds) = (process.1, process.2);
        }
    }
}

impl Source for EbpfSource {
    fn host(&self) -> &Host {
        &self.host
    }

    fn sample(
        &mut self,
        clock: &Clock,
        previous: Option<&Sample>,
        out: &mut Sample,
    ) -> Result<(), SourceError> {
        out.tasks.clear();
        out.departed.clear();
        let failed = |error: std::io::Error| SourceError::Kernel(format!("task iterator: {error}"));
        let listed = match self.want.pids {
            Pids::All => self.hidden.list(clock.now(), &mut self.reader).map_err(failed)?,
            Pids::Only(_) => false,
        };
        out.system = self.system();
        let now = clock.now();
        (out.uptime_ns, out.epoch_ns) = (now.uptime_ns, now.epoch_ns);
        let (reader, users, host) = (&mut self.reader, &mut self.users, &self.host);
        self.walk.gather.begin();
        self.hidden.read(&self.want, &mut self.walk, (reader, users, host));
        self.walk.read(&mut out.tasks).map_err(failed)?;
        self.hidden.discover(&self.want, listed, &mut self.walk, &mut out.tasks, (reader, users, host));
        self.losses.inconsistent += self.walk.settle(&mut out.tasks, previous, listed, (reader, users, host));
        if self.walk.gather.disordered {
            self.walk.sort(&mut out.tasks);
        }
        self.files_of_tasks(out);
        out.origin = Origin { source: "ebpf", net_rung: None, losses: self.losses };
        Ok(())
    }
}
