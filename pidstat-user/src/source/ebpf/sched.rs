//! Switches, times on a CPU and waits of every task by the sched family: loads it, and adds up what its maps say.

use super::net::{decode, lacks};
use crate::{
    kernel::{
        Attached, Kernel, Object, Reason,
        bpf::Batch,
        entry,
        net::PidNamespace,
        sched::{self, Sizes},
    },
    sample::{
        Comm, Losses, Missing, Sample,
        runs::{Histogram, Preemptor, Runs},
    },
};
use aya::{
    Ebpf,
    maps::{Array, Map, MapData},
};
use pidstat_common::sched::{PairCount, PairKey, SchedCounters, SchedKey, SchedLosses};
use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

const _: () = assert!(pidstat_common::sched::BUCKETS == crate::sample::runs::BUCKETS);
const _: () = assert!(pidstat_common::sched::BUCKET_NS == crate::sample::runs::BUCKET_NS);

/// Nanoseconds of a tick in the start times of keys.
const START_TICK_NS: u64 = 10_000_000;

/// The attached sched family and the sums so far. Dropping it detaches everything.
pub struct Sched {
    maps: Maps,
    ledger: Ledger,
    programs: Vec<OwnedFd>,
    tasks: Batch,
    preemptions: Batch,
    lost: SchedLosses,
    sizes: Sizes,
    _hooks: Ebpf,
}

struct Maps {
    runs: MapData,
    pairs: MapData,
    epoch: Array<MapData, u64>,
    lost: Array<MapData, SchedLosses>,
}

impl std::fmt::Debug for Sched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sched").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl Sched {
    /// Loads and attaches the family. Tasks are numbered as in `ours`.
    ///
    /// # Errors
    /// Why this machine or this user cannot have it: the first program that does not attach.
    pub fn open(kernel: &Kernel, ours: PidNamespace, sizes: Sizes) -> Result<Sched, Reason> {
        let globals = sched::globals(kernel.btf(), ours, sizes)?;
        let mut object = Object::load(kernel, &sched::FAMILY, &globals)?;
        let mut programs = Vec::new();
        for program in sched::FAMILY.rungs.iter().flat_map(|rung| rung.programs) {
            if let Attached::Iter(_) = object.attach(kernel, program)? {
                return Err(lacks(program.name));
            }
            let found = object.ebpf().program(program.name);
            let fd = found.and_then(|p| p.fd().ok()).and_then(|fd| fd.as_fd().try_clone_to_owned().ok());
            programs.push(fd.ok_or_else(|| lacks(program.name))?);
        }
        let mut map = |name| object.ebpf().take_map(name).ok_or_else(|| lacks(name));
        let hash = |map: Map, name| match map {
            Map::HashMap(data) => Ok(data),
            _ => Err(lacks(name)),
        };
        let maps = Maps {
            runs: hash(map("ps_runs")?, "ps_runs")?,
            pairs: hash(map("ps_pairs")?, "ps_pairs")?,
            epoch: Array::try_from(map("ps_epoch")?).map_err(|e| Reason::of_map(&e))?,
            lost: Array::try_from(map("ps_lost")?).map_err(|e| Reason::of_map(&e))?,
        };
        Ok(Sched {
            maps,
            ledger: Ledger::default(),
            programs,
            tasks: Batch::new(size_of::<SchedKey>(), size_of::<SchedCounters>()),
            preemptions: Batch::new(size_of::<PairKey>(), size_of::<PairCount>()),
            lost: SchedLosses::default(),
            sizes,
            _hooks: object.into_ebpf(),
        })
    }

    /// Brings the sums up to this moment, and begins the next interval.
    ///
    /// # Errors
    /// What the kernel said to a read.
    pub fn collect(&mut self, losses: &mut Losses) -> Result<(), Reason> {
        let ended = self.ledger.interval;
        self.ledger.interval += 1;
        // First the new interval: what the hooks still write belongs to it, and the longest times of the old one stand.
        self.maps.epoch.set(0, self.ledger.interval, 0).map_err(|e| Reason::of_map(&e))?;
        self.preempted()?;
        let ledger = &mut self.ledger;
        let mut entries = 0;
        let read = self.tasks.for_each(self.maps.runs.fd().as_fd(), |key, value| {
            if let (Some(key), Some(value)) = (decode(key), decode(value)) {
                entries += 1;
                ledger.thread(key, &value, ended);
            }
        });
        read.map_err(|error| Reason::of_call("lookup of the map of tasks", &error))?;
        if entries > self.sizes.tasks / 2 {
            for key in self.ledger.dead() {
                // SAFETY: the map has these keys and values.
                let taken = unsafe { entry::take::<_, SchedCounters>(self.maps.runs.fd().as_fd(), &key) };
                if let Ok(Some(value)) = taken {
                    self.ledger.thread(key, &value, ended);
                }
                self.ledger.threads.remove(&key);
            }
        }
        self.ledger.forget();
        self.lost = self.maps.lost.get(&0, 0).map_err(|e| Reason::of_map(&e))?;
        losses.sched_tasks_full = self.lost.tasks_full;
        losses.sched_pairs_full = self.lost.pairs_full;
        for program in &self.programs {
            losses.recursion_misses += entry::recursion_misses(program.as_fd())
                .map_err(|error| Reason::of_call("information about a program", &error))?;
        }
        Ok(())
    }

    /// Finds who took the CPU from whom since the last time.
    fn preempted(&mut self) -> Result<(), Reason> {
        let ledger = &mut self.ledger;
        ledger.preemptors.clear();
        let mut keys = Vec::new();
        let read = self.preemptions.for_each(self.maps.pairs.fd().as_fd(), |key, value| {
            if let (Some(key), Some(value)) = (decode(key), decode(value)) {
                ledger.pair(key, &value);
                keys.push(key);
            }
        });
        read.map_err(|error| Reason::of_call("lookup of the map of pairs", &error))?;
        if keys.len() > self.sizes.pairs as usize / 2 {
            for key in keys {
                // SAFETY: the map has these keys and values.
                let taken = unsafe { entry::take::<_, PairCount>(self.maps.pairs.fd().as_fd(), &key) };
                if let Ok(Some(value)) = taken {
                    self.ledger.pair(key, &value);
                }
                self.ledger.pairs.remove(&key);
            }
        }
        Ok(())
    }

    /// Puts the figures into the rows of a sample. A task without any did nothing since the start, unless some found no
    /// room.
    pub fn fill(&self, out: &mut Sample) {
        let nothing = if self.lost.tasks_full > 0 { Err(Missing::NotMeasured) } else { Ok(Rc::default()) };
        let threads: HashMap<Identity, &Thread> = self
            .ledger
            .threads
            .iter()
            .map(|(key, thread)| ((thread.tid, ticks(key.start_ns)), thread))
            .collect();
        for task in &mut out.tasks {
            let (number, runs) = match task.key.tid {
                0 => {
                    let process = self.ledger.processes.get(&(task.key.tgid, task.key.start_ticks));
                    (task.key.tgid, process.map(|process| process.runs))
                }
                tid => (tid, threads.get(&(tid, task.key.start_ticks)).map(|thread| thread.runs)),
            };
            task.runs = match runs {
                Some(runs) if number != 0 => Ok(Rc::new(runs)),
                _ => nothing.clone(),
            };
        }
    }
}

/// A number in the reader's PID namespace and a start in ticks.
type Identity = (u32, u64);

fn ticks(ns: u64) -> u64 {
    ns / START_TICK_NS
}

/// The sums so far.
#[derive(Default)]
struct Ledger {
    /// The number of the current interval.
    interval: u64,
    threads: HashMap<SchedKey, Thread>,
    processes: HashMap<Identity, Process>,
    /// Pairs as they were last read.
    pairs: HashMap<PairKey, u64>,
    /// By the thread id in the initial namespace: who took the CPU from it most often in the last interval.
    preemptors: HashMap<u32, Preemptor>,
}

struct Thread {
    tid: u32,
    /// As it was last read.
    raw: SchedCounters,
    runs: Runs,
    read: u64,
    changed: u64,
}

/// The sums over the threads of a process, those that ended included.
#[derive(Default)]
struct Process {
    runs: Runs,
    read: u64,
}

impl Ledger {
    fn pair(&mut self, key: PairKey, value: &PairCount) {
        let before = self.pairs.insert(key, value.count).unwrap_or(0);
        // A pair that was taken out and came again counts from zero.
        let count = value.count.checked_sub(before).unwrap_or(value.count);
        let most = self.preemptors.get(&key.tid).map_or(0, |by| by.count);
        if count > most {
            let by = Preemptor { tid: value.by, comm: Comm::new(&value.comm), count };
            self.preemptors.insert(key.tid, by);
        }
    }

    /// Takes the present state of an entry; `ended` is the interval whose longest times count.
    fn thread(&mut self, key: SchedKey, value: &SchedCounters, ended: u64) {
        let interval = self.interval;
        let thread = self.threads.entry(key).or_insert_with(|| Thread {
            tid: value.tid,
            raw: SchedCounters::EMPTY,
            runs: Runs::default(),
            read: 0,
            changed: interval,
        });
        let raw = &thread.raw;
        let grown = |now: &[u32; 32], before: &[u32; 32]| {
            Histogram(std::array::from_fn(|at| u64::from(now[at].wrapping_sub(before[at]))))
        };
        // An entry that nothing touched since holds the longest times of an older interval.
        let touched = value.epoch == ended || value.epoch == interval;
        let longest = |slots: &[u64; 2]| if touched { slots[(ended & 1) as usize] } else { 0 };
        let news = Runs {
            voluntary: value.voluntary.saturating_sub(raw.voluntary),
            involuntary: value.involuntary.saturating_sub(raw.involuntary),
            on_cpu: grown(&value.on, &raw.on),
            wait: grown(&value.wait, &raw.wait),
            on_cpu_max_ns: longest(&value.on_max_ns),
            wait_max_ns: longest(&value.wait_max_ns),
            preempted_by: self.preemptors.get(&key.tid).copied(),
        };
        if thread.raw != *value {
            thread.changed = interval;
        }
        let now_first = std::mem::replace(&mut thread.read, interval) != interval;
        add(&mut thread.runs, &news, now_first);
        thread.raw = *value;
        let process = self.processes.entry((value.tgid, ticks(value.process_start_ns))).or_default();
        let now_first = std::mem::replace(&mut process.read, interval) != interval;
        add(&mut process.runs, &news, now_first);
    }

    /// Threads that did nothing in this interval and are no more.
    fn dead(&self) -> Vec<SchedKey> {
        let idle = self.threads.iter().filter(|(_, thread)| thread.changed < self.interval);
        idle.filter(|(_, thread)| !lives(thread.tid)).map(|(key, _)| *key).collect()
    }

    /// Forgets what is in the maps no more.
    fn forget(&mut self) {
        let interval = self.interval;
        self.threads.retain(|_, thread| thread.read == interval);
        self.processes.retain(|_, process| process.read == interval);
    }
}

/// Adds news to sums; what is about the interval alone begins anew with the first news in it.
fn add(runs: &mut Runs, news: &Runs, first: bool) {
    if first {
        (runs.on_cpu_max_ns, runs.wait_max_ns, runs.preempted_by) = (0, 0, None);
    }
    *runs = runs.plus(news);
}

/// Whether a thread of this number exists; one outside the namespace counts as none.
fn lives(tid: u32) -> bool {
    let Ok(tid @ 1..) = libc::pid_t::try_from(tid) else { return false };
    // SAFETY: signal 0 is sent to nobody; the call only says whether it could be.
    let sent = unsafe { libc::kill(tid, 0) };
    sent == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(voluntary: u64, epoch: u64, max: [u64; 2]) -> SchedCounters {
        let mut counters =
            SchedCounters { tgid: 7, tid: 8, voluntary, epoch, on_max_ns: max, ..SchedCounters::EMPTY };
        counters.on[3] = u32::MAX.wrapping_add(voluntary as u32);
        counters
    }

    fn process(ledger: &Ledger) -> Runs {
        ledger.processes[&(7, 0)].runs
    }

    #[test]
    fn sums_outlive_threads_and_longest_times_their_interval_only() {
        let mut ledger = Ledger { interval: 1, ..Ledger::default() };
        let (one, two) =
            (SchedKey { tid: 8, ..SchedKey::default() }, SchedKey { tid: 9, ..SchedKey::default() });
        ledger.thread(one, &counters(5, 0, [40, 0]), 0);
        ledger.thread(two, &counters(2, 0, [30, 0]), 0);
        assert_eq!((process(&ledger).voluntary, process(&ledger).on_cpu_max_ns), (7, 40));
        ledger.forget();
        ledger.interval = 2;
        // A histogram's cell went over the top meanwhile; the other thread's entry is gone.
        ledger.thread(one, &counters(6, 1, [0, 20]), 1);
        ledger.forget();
        assert_eq!((process(&ledger).voluntary, process(&ledger).on_cpu_max_ns), (8, 20));
        assert_eq!(ledger.threads.len(), 1);
        assert_eq!(ledger.threads[&one].runs.on_cpu.0[3], 5);
    }

    #[test]
    fn the_most_frequent_preemptor_of_the_interval_is_named() {
        let mut ledger = Ledger::default();
        let pair = |by| PairKey { tid: 8, by };
        let count = |by, count| PairCount { count, by, ..PairCount::default() };
        ledger.pair(pair(1), &count(1, 10));
        ledger.preemptors.clear();
        ledger.pair(pair(1), &count(1, 12));
        ledger.pair(pair(2), &count(2, 3));
        assert_eq!(ledger.preemptors[&8].tid, 2);
        assert!(lives(std::process::id()) && !lives(0) && !lives(4_194_305));
    }
}
