//! Tasks that /proc shows and the iterator does not: found by listing now and then, read from files at every sample.

use super::task::Walk;
use crate::{
    clock::Instant,
    sample::{
        Cpu, Facts, Faults, Host, Io, Missing, Pids, Reading, Sched, Switches, Task, TaskKey, Traffic, Want,
    },
    source::procfs::{
        Reader, Users,
        threads::{Ledger, ThreadCounters},
    },
};
use std::{io, rc::Rc};

/// How often what may have changed by itself is looked at again.
const LOOK_EVERY_NS: u64 = 10_000_000_000;
/// A listing of /proc costs more than the whole walk, and hardly any kernel hides anything: as long as nothing new comes up, it
/// is listed half as often each time, down to this.
const LISTING_AT_LEAST_EVERY_NS: u64 = 80_000_000_000;

/// The processes that only /proc has.
#[derive(Debug)]
pub struct Hidden {
    /// What a process that never sent anything has.
    traffic: Reading<Traffic>,
    /// Ascending.
    pids: Vec<u32>,
    listing: Vec<u32>,
    /// Uptime of the last look, and of the last listing.
    looked_at_ns: Option<u64>,
    listed_at_ns: u64,
    /// How long to wait for the next listing.
    pause_ns: u64,
    /// Whether this sample began with a listing.
    listed: bool,
    kept: Vec<Kept>,
    ledger: Ledger,
    threads: Vec<ThreadCounters>,
    unseen: Vec<u32>,
    rows: Vec<Task>,
    /// Whether one that was known was not there any more at the last sample.
    pub vanished: bool,
}

/// What need not be read at every sample.
#[derive(Debug)]
struct Kept {
    key: TaskKey,
    cmdline: Option<Rc<[u8]>>,
    sign: Option<Sign>,
    sums: (Reading<Sched>, Reading<Switches>),
}

/// What moves when a process does anything; while it stands still, its threads' files are not read again.
type Sign = (u32, Cpu, Faults, Reading<Io>, Reading<Sched>, Reading<Switches>);

impl Hidden {
    /// Nothing is known to be hidden yet. `traffic` is what a process has that never sent anything.
    pub fn new(traffic: Reading<Traffic>) -> Hidden {
        Hidden {
            traffic,
            pids: Vec::new(),
            listing: Vec::new(),
            looked_at_ns: None,
            listed_at_ns: 0,
            pause_ns: 0,
            listed: false,
            kept: Vec::new(),
            ledger: Ledger::default(),
            threads: Vec::new(),
            unseen: Vec::new(),
            rows: Vec::new(),
            vanished: false,
        }
    }

    /// Begins a sample: lists /proc now and then if `all` processes are wanted. Says whether it is time to look at everything
    /// again.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn begin(&mut self, now: Instant, all: bool, reader: &mut Reader) -> io::Result<bool> {
        let since = |at_ns: u64| now.uptime_ns.saturating_sub(at_ns);
        let due = self.looked_at_ns.is_none_or(|at| since(at) >= LOOK_EVERY_NS);
        if due {
            self.looked_at_ns = Some(now.uptime_ns);
            self.kept.clear();
        }
        self.listed = all && (self.pause_ns == 0 || since(self.listed_at_ns) >= self.pause_ns);
        if self.listed {
            self.listed_at_ns = now.uptime_ns;
            self.pause_ns = (2 * self.pause_ns).clamp(LOOK_EVERY_NS, LISTING_AT_LEAST_EVERY_NS);
            reader.pids(&mut self.listing)?;
        }
        Ok(due)
    }

    /// Reads those that are known, just before the walk, which puts their rows between its own.
    pub fn read(&mut self, want: &Want, walk: &mut Walk, at: (&mut Reader, &mut Users, &Host)) {
        self.rows.clear();
        let mut pids = std::mem::take(&mut self.pids);
        let (reader, users, host) = at;
        let count = pids.len();
        pids.retain(|pid| self.row(*pid, want, (&mut *reader, &mut *users, host)));
        // One that is asked for by number is not kept from sample to sample.
        self.vanished = pids.len() < count || want.pids != Pids::All;
        self.pids = pids;
        walk.gather.between.extend(self.rows.drain(..).rev());
    }

    /// After the walk: what was listed before it and did not come up in it, or what was asked for and did not, is hidden, or
    /// has ended, or is the number of a thread.
    pub fn discover(
        &mut self,
        want: &Want,
        walk: &mut Walk,
        rows: &mut Vec<Task>,
        at: (&mut Reader, &mut Users, &Host),
    ) {
        let sums = &walk.gather.sums;
        let shown = |pid: &u32| sums.binary_search_by_key(pid, |sum| sum.tgid).is_ok();
        self.pids.retain(|pid| !shown(pid));
        let candidates = match &want.pids {
            Pids::Only(list) => list.as_slice(),
            Pids::All if self.listed => self.listing.as_slice(),
            Pids::All => &[],
        };
        // Those that were already known to be hidden were read before the walk.
        let new: Vec<u32> = candidates
            .iter()
            .filter(|pid| !shown(pid) && self.pids.binary_search(pid).is_err())
            .copied()
            .collect();
        let (reader, users, host) = at;
        for pid in new {
            if self.row(pid, want, (&mut *reader, &mut *users, host)) {
                walk.gather.disordered = true;
                // What is asked for by number is tried at every sample anyway; a thread's number may become a process's.
                if want.pids == Pids::All {
                    self.pids.push(pid);
                    self.pause_ns = LOOK_EVERY_NS;
                }
            }
        }
        self.pids.sort_unstable();
        rows.append(&mut self.rows);
    }

    /// Adds the rows of one process; says whether it is there.
    fn row(
        &mut self,
        pid: u32,
        want: &Want,
        (reader, users, host): (&mut Reader, &mut Users, &Host),
    ) -> bool {
        let facts = want.facts;
        // The walk's rows get stack and descriptors later, all in one go.
        let later = Facts::STACK.and(Facts::FDS).and(Facts::PEAK).and(Facts::CGROUP);
        let lean = Want { facts: facts.without(later), sum_threads: false, ..want.clone() };
        let Ok(process) = reader.row(pid, &lean, host) else { return false };
        let first = self.rows.len();
        let key = process.key;
        let at = self.kept(key, facts, reader);
        self.rows.push(process);
        if want.threads && reader.threads(pid, &lean, host, &mut self.rows).is_err() {
            self.rows.truncate(first + 1);
        }
        if want.sum_threads && (facts.has(Facts::SCHED) || facts.has(Facts::SWITCHES)) {
            let sums = self.sums(first, at, &lean, host, reader);
            (self.rows[first].sched, self.rows[first].switches) = sums;
        }
        self.rows[first].cmdline.clone_from(&self.kept[at].cmdline);
        for row in &mut self.rows[first..] {
            if facts.has(Facts::USER) {
                row.user = users.name(row.uid);
            }
            if facts.has(Facts::TRAFFIC) {
                row.traffic = if row.is_process() { self.traffic } else { Err(Missing::DoesNotApply) };
            }
        }
        true
    }

    /// Scheduler figures and switches of a process with all its threads, those that ended included.
    fn sums(
        &mut self,
        first: usize,
        at: usize,
        want: &Want,
        host: &Host,
        reader: &mut Reader,
    ) -> (Reading<Sched>, Reading<Switches>) {
        let process = &self.rows[first];
        let (key, own) = (process.key, (process.sched, process.switches));
        if process.threads < 2 && !self.ledger.knows(key) {
            return own;
        }
        let sign =
            (process.threads, process.cpu, process.faults, process.io, process.sched, process.switches);
        let kept = &mut self.kept[at];
        if !want.threads && kept.sign == Some(sign) {
            return kept.sums;
        }
        self.threads.clear();
        if want.threads {
            self.threads.extend(self.rows[first + 1..].iter().map(|row| ThreadCounters {
                tid: row.key.tid,
                sched: row.sched,
                switches: row.switches,
            }));
        } else {
            let sum = Want { sum_threads: true, ..want.clone() };
            if reader.row(key.tgid, &sum, host).is_ok_and(|again| again.key == key) {
                self.threads.extend_from_slice(reader.summed());
            }
        }
        if self.threads.is_empty() {
            let (sched, switches) = own;
            self.threads.push(ThreadCounters { tid: key.tgid, sched, switches });
        }
        // A listing can miss a live thread; taken for dead, it would be counted twice later.
        self.ledger.unseen(key, &self.threads, &mut self.unseen);
        for tid in &self.unseen {
            self.threads.extend(reader.thread_counters(key.tgid, *tid, want));
        }
        self.threads.sort_unstable_by_key(|thread| thread.tid);
        kept.sums = self.ledger.settle(key, &self.threads);
        kept.sign = Some(sign);
        kept.sums
    }

    /// What is kept of a process since the last listing; its command line is read when it is new.
    fn kept(&mut self, key: TaskKey, facts: Facts, reader: &mut Reader) -> usize {
        if let Some(at) = self.kept.iter().position(|kept| kept.key == key) {
            return at;
        }
        let cmdline = if facts.has(Facts::CMDLINE) { reader.cmdline(key.tgid) } else { None };
        let none = Missing::NotAsked;
        self.kept.push(Kept { key, cmdline, sign: None, sums: (Err(none), Err(none)) });
        self.kept.len() - 1
    }
}
