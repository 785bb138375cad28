//! Storage I/O of threads or processes from sample to sample, with what ended threads did in their last moments.
//!
//! A process is the sum of its threads: the kernel's own sum has the I/O of children that were waited for in it.

use crate::sample::{Comm, Io, Missing, Reading, Sample, Task, TaskKey};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// What was done in an interval, or since a line was first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amounts {
    /// Fetched from storage.
    pub read_bytes: u64,
    /// Sent towards storage, by system calls or dirtied pages.
    pub write_bytes: u64,
    /// Of these, what never got there.
    pub cancelled_bytes: u64,
    /// Waiting for pages from swap; `None` if the kernel does not measure it. Of a process, the mean of its threads.
    pub swap_in_ns: Option<f64>,
    /// Waiting for storage; as `swap_in_ns`.
    pub block_io_ns: Option<f64>,
}

impl Amounts {
    fn add(&mut self, other: &Amounts) {
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.write_bytes = self.write_bytes.saturating_add(other.write_bytes);
        self.cancelled_bytes = self.cancelled_bytes.saturating_add(other.cancelled_bytes);
        let sum = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.swap_in_ns = sum(self.swap_in_ns, other.swap_in_ns);
        self.block_io_ns = sum(self.block_io_ns, other.block_io_ns);
    }

    /// Bytes on their way to storage, less those that never get there.
    pub fn kept_bytes(&self) -> u64 {
        self.write_bytes.saturating_sub(self.cancelled_bytes)
    }

    /// Whether anything was done or waited for.
    pub fn any(&self) -> bool {
        let delays = [self.swap_in_ns, self.block_io_ns];
        let bytes = [self.read_bytes, self.write_bytes, self.cancelled_bytes];
        bytes.iter().any(|bytes| *bytes > 0) || delays.iter().flatten().any(|ns| *ns > 0.0)
    }
}

/// A thread, or a process with all its threads.
#[derive(Clone, Debug)]
pub struct Line {
    /// Thread or process id.
    pub id: u32,
    /// Its identity.
    pub key: TaskKey,
    /// Owner.
    pub uid: u32,
    /// The owner's name.
    pub user: Option<Rc<str>>,
    /// Arguments joined by blanks, of the process.
    pub cmdline: Option<Rc<[u8]>>,
    /// Name of the process, or of the thread if that differs and the line is the thread's.
    pub name: Rc<[u8]>,
    /// Whether `name` is one that a thread other than the first gave itself.
    pub own_name: bool,
    /// The live threads.
    pub tids: Vec<u32>,
    /// In the interval.
    pub now: Amounts,
    /// Since `since_ns`.
    pub sum: Amounts,
    /// Uptime when the line was first seen.
    pub since_ns: u64,
    /// Whether its counters could not be read.
    pub unreadable: bool,
    /// Whether it ended in the interval.
    pub ended: bool,
}

/// Which lines there are.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Processes rather than threads.
    pub processes: bool,
    /// Only these ids; all if empty. Of a process all threads count.
    pub ids: Vec<u32>,
    /// Only these owners; all if empty.
    pub uids: Vec<u32>,
}

impl View {
    fn id(&self, key: TaskKey) -> u32 {
        if self.processes { key.tgid } else { key.tid }
    }

    fn shows(&self, key: TaskKey, uid: u32) -> bool {
        (self.ids.is_empty() || self.ids.contains(&self.id(key)))
            && (self.uids.is_empty() || self.uids.contains(&uid))
    }
}

/// A thread's counters when they were last seen.
#[derive(Clone, Copy, Debug)]
struct Known {
    key: TaskKey,
    io: Reading<Io>,
    delays: Delays,
    round: u64,
}

/// Swap-in and block I/O in nanoseconds.
type Delays = Option<(u64, u64)>;

/// What is remembered from sample to sample.
#[derive(Debug, Default)]
pub struct Ledger {
    known: HashMap<u32, Known>,
    lines: BTreeMap<u32, Line>,
    round: u64,
    /// Uptime at the last sample.
    then_ns: u64,
    /// Of all threads that are shown, in the interval.
    pub total: Amounts,
    /// Length of the interval.
    pub elapsed_ns: u64,
}

/// Ticks of start times in nanoseconds.
const TICK_NS: u64 = 10_000_000;
/// Most ended lines that are kept for their sums.
const KEPT: usize = 4096;

impl Ledger {
    /// Takes in a sample with a row for every thread, and `last`: the final counters of threads that ended since the sample
    /// before. With `keep`, lines stay when their last thread has ended.
    pub fn look(&mut self, sample: &Sample, last: &[Task], view: &View, keep: bool) {
        self.round += 1;
        self.elapsed_ns = sample.uptime_ns.saturating_sub(self.then_ns);
        self.total = Amounts::default();
        self.lines.retain(|_, line| keep && line.sum.any() || !line.ended);
        for line in self.lines.values_mut() {
            line.now = Amounts::default();
            line.tids.clear();
        }
        let mut process: Option<&Task> = None;
        for task in &sample.tasks {
            if task.is_process() {
                process = Some(task);
                continue;
            }
            let of = process.filter(|process| process.key.tgid == task.key.tgid);
            let delta = self.alive(task);
            self.enter(task, of, delta, view, sample.uptime_ns, true);
        }
        for task in last {
            let (key, delta) = self.ended(task);
            let task = Task { key, ..task.clone() };
            self.enter(&task, None, delta, view, sample.uptime_ns, false);
        }
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        for line in self.lines.values_mut() {
            line.ended = line.tids.is_empty();
            let threads = line.tids.len().max(1) as f64;
            for delay in [&mut line.now.swap_in_ns, &mut line.now.block_io_ns].into_iter().flatten() {
                *delay /= threads;
            }
            let now = line.now;
            line.sum.add(&now);
        }
        // Of what ended without having done anything there is nothing to say.
        let mut room = KEPT;
        self.lines.retain(|_, line| {
            let stays = !line.ended || line.now.any() || keep && line.sum.any() && room > 0;
            room -= usize::from(stays && line.ended).min(room);
            stays
        });
        self.then_ns = sample.uptime_ns;
    }

    /// The lines, ascending.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.values()
    }

    /// Forgets the lines, not the counters: for another view.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// What a living thread did since it was last seen.
    fn alive(&mut self, task: &Task) -> Reading<Amounts> {
        let now = Known { key: task.key, io: task.io, delays: delays(task), round: self.round };
        let before = self.known.insert(task.key.tid, now).filter(|before| before.key == task.key);
        let born_ns = task.key.start_ticks.saturating_add(1).saturating_mul(TICK_NS);
        match before {
            Some(before) => difference(before, now),
            None if self.round > 1 && born_ns > self.then_ns => {
                difference(Known { io: Ok(Io::default()), delays: Some((0, 0)), ..now }, now)
            }
            // What was done before the first look is nobody's business.
            None => difference(now, now),
        }
    }

    /// What a thread did between the time it was last seen and its end.
    fn ended(&mut self, task: &Task) -> (TaskKey, Reading<Amounts>) {
        let known = self.known.get(&task.key.tid).copied();
        let known = known.filter(|known| task.key.tgid == 0 || known.key.tgid == task.key.tgid);
        let zero = Known { key: task.key, io: Ok(Io::default()), delays: Some((0, 0)), round: self.round };
        let before = known.unwrap_or(zero);
        let now = Known { io: task.io, delays: delays(task), ..before };
        if known.is_some() {
            // It can still be in this sample, and in the next ones as a zombie: nothing is counted twice.
            self.known.insert(task.key.tid, now);
        }
        (before.key, difference(before, now))
    }

    fn enter(
        &mut self,
        task: &Task,
        process: Option<&Task>,
        delta: Reading<Amounts>,
        view: &View,
        uptime_ns: u64,
        alive: bool,
    ) {
        let owner = process.unwrap_or(task);
        if !view.shows(task.key, owner.uid) {
            return;
        }
        if let Ok(delta) = &delta {
            self.total.add(delta);
        }
        let id = view.id(task.key);
        let key = if view.processes { TaskKey { tid: 0, ..owner.key } } else { task.key };
        // Another one has the number now.
        if alive && self.lines.get(&id).is_some_and(|line| line.key != key) {
            self.lines.remove(&id);
        }
        let line = self.lines.entry(id).or_insert_with(|| Line {
            id,
            key,
            uid: owner.uid,
            user: None,
            cmdline: None,
            name: owner.name().into(),
            own_name: false,
            tids: Vec::new(),
            now: Amounts::default(),
            sum: Amounts::default(),
            since_ns: uptime_ns,
            unreadable: false,
            ended: false,
        });
        if alive {
            line.tids.push(task.key.tid);
            line.uid = owner.uid;
            line.user.clone_from(&owner.user);
            line.cmdline.clone_from(&owner.cmdline);
            let own = !view.processes && task.key.tid != task.key.tgid && task.name() != owner.name();
            let name = if own { task.name() } else { owner.name() };
            if *line.name != *name {
                line.name = name.into();
            }
            line.own_name = own;
            line.unreadable = delta.is_err();
        }
        if let Ok(delta) = delta {
            line.now.add(&delta);
        }
    }
}

/// Swap-in and block I/O; where taskstats does not tell them apart (recordings), all of it is block I/O.
fn delays(task: &Task) -> Delays {
    match (task.waits, task.delays) {
        (Ok(waits), _) => Some((waits.swap_in_ns, waits.block_io_ns)),
        (Err(Missing::NotInSource), Ok(delays)) => Some((0, delays.block_io_ns)),
        _ => None,
    }
}

fn difference(before: Known, now: Known) -> Reading<Amounts> {
    let (was, is) = (before.io?, now.io?);
    let delays = before.delays.zip(now.delays);
    let part = |of: fn((u64, u64)) -> u64| delays.map(|(was, is)| of(is).saturating_sub(of(was)) as f64);
    Ok(Amounts {
        read_bytes: is.read_bytes.saturating_sub(was.read_bytes),
        write_bytes: is.write_bytes.saturating_sub(was.write_bytes),
        cancelled_bytes: is.cancelled_write_bytes.saturating_sub(was.cancelled_write_bytes),
        swap_in_ns: part(|delays| delays.0),
        block_io_ns: part(|delays| delays.1),
    })
}

/// A row for the final counters of a thread.
pub fn last_word(key: TaskKey, uid: u32, comm: &[u8], io: Io, delays: Delays) -> Task {
    let mut task = Task::blank(key, Comm::new(comm), Missing::Gone);
    task.uid = uid;
    task.io = Ok(io);
    if let Some((swap_in_ns, block_io_ns)) = delays {
        task.waits = Ok(crate::sample::Waits { swap_in_ns, block_io_ns, ..crate::sample::Waits::default() });
    }
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(tgid: u32, tid: u32, start_ticks: u64, read: u64, written: u64) -> Task {
        let mut task = Task::blank(TaskKey { tgid, tid, start_ticks }, Comm::new(b"a"), Missing::NotMeasured);
        task.io = Ok(Io { read_bytes: read, write_bytes: written, ..Io::default() });
        task
    }

    fn sample(uptime_ns: u64, tasks: Vec<Task>) -> Sample {
        Sample { uptime_ns, tasks, ..Sample::default() }
    }

    fn shown(ledger: &Ledger) -> Vec<(u32, u64, u64, bool)> {
        ledger.lines().map(|line| (line.id, line.now.read_bytes, line.now.write_bytes, line.ended)).collect()
    }

    const BOTH: [bool; 2] = [false, true];

    #[test]
    fn a_process_is_the_sum_of_its_threads_the_ended_included() {
        for keep in BOTH {
            let (mut ledger, view) = (Ledger::default(), View { processes: true, ..View::default() });
            let first = vec![thread(7, 0, 1, 9, 9), thread(7, 7, 1, 100, 10), thread(7, 8, 1, 50, 5)];
            ledger.look(&sample(1_000_000_000, first), &[], &view, keep);
            assert_eq!(shown(&ledger), [(7, 0, 0, false)]);
            // One thread ended after it read 30 more, one was born since, one lived and died between the samples.
            let second = vec![thread(7, 0, 1, 9, 9), thread(7, 7, 1, 104, 10), thread(7, 9, 120, 3, 6)];
            let io = |read_bytes, write_bytes| Io { read_bytes, write_bytes, ..Io::default() };
            let last = [
                last_word(TaskKey { tgid: 7, tid: 8, start_ticks: 0 }, 0, b"a", io(80, 5), None),
                last_word(TaskKey { tgid: 7, tid: 10, start_ticks: 0 }, 0, b"a", io(1000, 2000), None),
            ];
            ledger.look(&sample(2_000_000_000, second), &last, &view, keep);
            assert_eq!(shown(&ledger), [(7, 4 + 3 + 30 + 1000, 6 + 2000, false)]);
            assert_eq!((ledger.total.read_bytes, ledger.total.write_bytes), (1037, 2006));
        }
    }

    #[test]
    fn an_ended_line_is_shown_once_or_kept_for_its_sum() {
        for keep in BOTH {
            let (mut ledger, view) = (Ledger::default(), View::default());
            ledger.look(&sample(1_000_000_000, vec![thread(7, 7, 1, 100, 0)]), &[], &view, keep);
            let last = [last_word(
                TaskKey { tgid: 7, tid: 7, start_ticks: 0 },
                0,
                b"a",
                Io { read_bytes: 150, ..Io::default() },
                None,
            )];
            // Still listed as a zombie: its last word is not counted twice.
            ledger.look(&sample(2_000_000_000, vec![thread(7, 7, 1, 150, 0)]), &last, &view, keep);
            assert_eq!(shown(&ledger), [(7, 50, 0, false)]);
            ledger.look(&sample(3_000_000_000, vec![]), &[], &view, keep);
            assert_eq!(shown(&ledger).len(), usize::from(keep));
            ledger.look(&sample(4_000_000_000, vec![thread(7, 7, 390, 5, 0)]), &[], &view, keep);
            assert_eq!(shown(&ledger), [(7, 5, 0, false)], "another process has the number");
        }
    }

    #[test]
    fn nothing_is_known_of_who_was_there_before_the_first_look() {
        let (mut ledger, view) = (Ledger::default(), View::default());
        ledger.look(&sample(1_000_000_000, vec![]), &[], &view, false);
        // Started long ago, seen only now: it was hidden.
        ledger.look(&sample(2_000_000_000, vec![thread(7, 7, 3, 500, 0)]), &[], &view, false);
        assert_eq!(shown(&ledger), [(7, 0, 0, false)]);
    }

    #[test]
    fn delays_of_a_process_are_the_mean_of_its_threads_and_unknown_if_nobody_measured() {
        let (mut ledger, view) = (Ledger::default(), View { processes: true, ..View::default() });
        let with = |tid, ns: u64| {
            let mut task = thread(7, tid, 1, 0, 0);
            task.waits = Ok(crate::sample::Waits { block_io_ns: ns, ..crate::sample::Waits::default() });
            task
        };
        ledger.look(
            &sample(1_000_000_000, vec![with(7, 0), with(8, 0), thread(9, 9, 1, 0, 0)]),
            &[],
            &view,
            false,
        );
        ledger.look(
            &sample(2_000_000_000, vec![with(7, 10), with(8, 90), thread(9, 9, 1, 0, 0)]),
            &[],
            &view,
            false,
        );
        let delays: Vec<_> = ledger.lines().map(|line| line.now.block_io_ns).collect();
        assert_eq!(delays, [Some(50.0), None]);
    }

    #[test]
    fn ids_and_owners_choose() {
        let mut other = thread(9, 9, 1, 0, 0);
        other.uid = 33;
        let tasks = vec![thread(7, 7, 1, 0, 0), thread(7, 8, 1, 0, 0), other];
        let ids = |view: View| {
            let mut ledger = Ledger::default();
            ledger.look(&sample(1, tasks.clone()), &[], &view, false);
            ledger.lines().map(|line| (line.id, line.tids.len())).collect::<Vec<_>>()
        };
        assert_eq!(ids(View { ids: vec![7], ..View::default() }), [(7, 1)]);
        assert_eq!(ids(View { processes: true, ids: vec![7], ..View::default() }), [(7, 2)]);
        assert_eq!(ids(View { uids: vec![33], ..View::default() }), [(9, 1)]);
    }
}
