//! The source that reads files of a proc directory: every machine has it, and recorded instants are played back by it.

use super::{
    PROC_ROOT, Reader, SYS_ROOT, Users, access, cost, host,
    machine::Machine,
    threads::{Ledger, ThreadCounters},
};
use crate::{
    clock::Clock,
    sample::{Comm, Facts, Host, Losses, Missing, Origin, Pids, Sample, System, Task, TaskKey, Want},
    source::{Source, SourceError, taskstats::waits::Filler},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
};

/// What [`Origin::source`] says of the machine's own files.
const LIVE: &str = "proc";

/// Samples from files. See [`Reader`] for what is read of each task.
#[derive(Debug)]
pub struct ProcSource {
    name: &'static str,
    root: PathBuf,
    reader: Reader,
    machine: Machine,
    host: Host,
    users: Users,
    want: Want,
    /// What the processes were started with, if that is wanted.
    cmdlines: Option<HashMap<TaskKey, Cmdline>>,
    ledger: Ledger,
    pids: Vec<u32>,
    threads: Vec<ThreadCounters>,
    unseen: Vec<u32>,
    round: u64,
    note: Option<String>,
    /// Who asks for delays, of the machine itself.
    filler: Option<Filler>,
}

/// A command line is read once per program: again while it is empty, and when the name says that exec replaced it.
#[derive(Debug)]
struct Cmdline {
    comm: Comm,
    text: Option<Rc<[u8]>>,
    round: u64,
}

impl ProcSource {
    /// The live machine.
    pub fn open(want: Want) -> Result<ProcSource, SourceError> {
        let mut source = ProcSource::open_at(Path::new(PROC_ROOT), want)?;
        if source.want.facts.has(Facts::WAITS) {
            let filler = Filler::open(false);
            let more = filler.note(source.reader.delays_switched_on());
            source.note = [source.note.take(), more].into_iter().flatten().reduce(|a, b| format!("{a}; {b}"));
            source.filler = Some(filler);
        }
        Ok(source)
    }

    /// Another proc directory of this machine, or a copy of one (`--procfs`). The clock is the caller's, except that
    /// time since boot comes from the directory's own `uptime` if the kernel does not make it.
    pub fn open_at(root: &Path, want: Want) -> Result<ProcSource, SourceError> {
        let mut source =
            ProcSource::on("proc", root, host(root, Path::new(SYS_ROOT)), Users::machine(), want)?;
        let want = &source.want;
        source.note = access::note(&mut source.reader, want);
        Ok(source)
    }

    pub(in crate::source) fn on(
        name: &'static str,
        root: &Path,
        host: Host,
        users: Users,
        want: Want,
    ) -> Result<ProcSource, SourceError> {
        let cmdlines = want.facts.has(Facts::CMDLINE).then(HashMap::new);
        let pids = match &want.pids {
            Pids::All => Vec::new(),
            Pids::Only(pids) => pids.clone(),
        };
        Ok(ProcSource {
            name,
            root: root.into(),
            reader: open_reader(root)?,
            machine: Machine::new(root),
            host,
            users,
            want,
            cmdlines,
            ledger: Ledger::default(),
            pids,
            threads: Vec::new(),
            unseen: Vec::new(),
            round: 0,
            note: None,
            filler: None,
        })
    }

    /// Goes on with another directory, keeping what is known of the tasks.
    pub(in crate::source) fn turn_to(&mut self, root: &Path, users: Users) -> Result<(), SourceError> {
        self.reader = open_reader(root)?;
        self.root = root.into();
        self.machine = Machine::new(root);
        self.users = users;
        Ok(())
    }

    /// Whether the files show the present moment, so that the clock's finer time since boot belongs to them.
    fn live(&self) -> bool {
        self.name == LIVE && self.reader.real()
    }

    fn system(&mut self) -> Result<System, SourceError> {
        let facts = self.want.facts;
        let mut system = System { ticks_per_second: self.host.clock_ticks, ..System::default() };
        // A recorded instant is checked for its two files whatever is asked, so that a story fails for all reports alike.
        if facts.has(Facts::TOTAL_CPU) || !self.live() {
            system.total_cpu_ticks = Ok(self.machine.total_cpu_ticks()?);
        }
        if facts.has(Facts::MEM_TOTAL) {
            system.mem_total_kib = self.machine.mem_total_kib();
        }
        Ok(system)
    }

    /// Adds the rows of one process; `false` if there is none.
    fn add(&mut self, pid: u32, tasks: &mut Vec<Task>) -> bool {
        let Ok(task) = self.reader.row(pid, &self.want, &self.host) else { return false };
        let first = tasks.len();
        tasks.push(task);
        if self.want.threads {
            // The process may end here; then it has a row and its threads have none.
            let _ = self.reader.threads(pid, &self.want, &self.host, tasks);
        }
        if self.want.sum_threads {
            self.sum(&mut tasks[first..]);
        }
        let process = &mut tasks[first];
        if let Some(known) = &mut self.cmdlines {
            let entry =
                known.entry(process.key).or_insert(Cmdline { comm: process.comm, text: None, round: 0 });
            if entry.text.is_none() || entry.comm != process.comm {
                entry.text = self.reader.cmdline(pid);
                entry.comm = process.comm;
            }
            entry.round = self.round;
            process.cmdline.clone_from(&entry.text);
        }
        if self.want.facts.has(Facts::USER) {
            for task in &mut tasks[first..] {
                task.user = self.users.name(task.uid);
            }
        }
        true
    }

    /// Makes the process row's `sched` and `switches` the sum over its threads, those that ended included. `rows` is the
    /// process's row and, if threads have rows, theirs.
    fn sum(&mut self, rows: &mut [Task]) {
        let facts = self.want.facts;
        if !facts.has(Facts::SCHED) && !facts.has(Facts::SWITCHES) {
            return;
        }
        let [process, rows @ ..] = rows else { return };
        self.threads.clear();
        if self.want.threads {
            self.threads.extend(rows.iter().map(|row| counters(row.key.tid, row)));
        } else {
            self.threads.extend_from_slice(self.reader.summed());
        }
        let known = self.ledger.knows(process.key);
        if self.threads.len() < 2 && !known {
            return; // the files of the process are those of its only thread
        }
        if self.threads.is_empty() {
            self.threads.push(counters(process.key.tgid, process));
        }
        self.ledger.unseen(process.key, &self.threads, &mut self.unseen);
        // A listing can miss a live thread (see `Reader::threads`); taken for dead, it would be counted twice later.
        for tid in &self.unseen {
            self.threads.extend(self.reader.thread_counters(process.key.tgid, *tid, &self.want));
        }
        self.threads.sort_unstable_by_key(|thread| thread.tid);
        (process.sched, process.switches) = self.ledger.settle(process.key, &self.threads);
    }
}

impl Source for ProcSource {
    fn host(&self) -> &Host {
        &self.host
    }

    fn sample(
        &mut self,
        clock: &Clock,
        _previous: Option<&Sample>,
        out: &mut Sample,
    ) -> Result<(), SourceError> {
        let now = clock.now();
        out.epoch_ns = now.epoch_ns;
        out.uptime_ns = if self.live() { now.uptime_ns } else { self.machine.uptime_ns()? };
        out.system = self.system()?;
        out.tasks.clear();
        out.departed.clear();
        self.round += 1;
        self.ledger.begin();
        if self.want.facts.has(Facts::DELAYS) {
            self.reader.refresh();
        }
        let mut pids = std::mem::take(&mut self.pids);
        let everything = self.want.pids == Pids::All;
        if everything {
            self.reader
                .pids(&mut pids)
                .map_err(|error| SourceError::Unreadable { path: self.root.display().to_string(), error })?;
        }
        // A listed process that is not there once is not looked for again, as in sysstat.
        pids.retain(|pid| self.add(*pid, &mut out.tasks) || everything);
        self.pids = pids;
        self.ledger.end();
        if let Some(filler) = &mut self.filler {
            filler.fill(&mut out.tasks);
        }
        let round = self.round;
        if let Some(known) = &mut self.cmdlines {
            known.retain(|_, entry| entry.round == round);
        }
        let traffic = self.want.facts.has(Facts::TRAFFIC);
        let cost = (self.want.facts.has(Facts::COST) && self.live()).then(|| {
            let sample_ns = clock.now().uptime_ns.saturating_sub(now.uptime_ns);
            cost::so_far(&mut self.reader, self.host.page_bytes, sample_ns)
        });
        out.origin = Origin {
            cost,
            source: self.name,
            net_shortfall: None,
            net_approximate: false,
            net_unix: false,
            net_rung: traffic.then(|| Err(Missing::NotInSource.reason().into())),
            losses: Losses::default(),
        };
        Ok(())
    }

    fn note(&self) -> Option<String> {
        self.note.clone()
    }
}

fn open_reader(root: &Path) -> Result<Reader, SourceError> {
    Reader::open(root).map_err(|error| SourceError::Unreadable { path: root.display().to_string(), error })
}

fn counters(tid: u32, row: &Task) -> ThreadCounters {
    ThreadCounters { tid, sched: row.sched, switches: row.switches }
}
