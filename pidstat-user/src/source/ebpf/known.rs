//! What is remembered of a process from sample to sample: names that cost a read, times already shown, dead threads.

use super::{
    cputime::{adjust, never_back},
    gather::{Mark, NO_ROW, Shape, Sum},
    task::{find as find_row, raise_io},
};
use crate::{
    sample::{Comm, Facts, Io, Sample, Seldom, Task},
    source::procfs::{Reader, Users},
};
use pidstat_common::{exit::Ended, task::IO_COUNTERS};
use std::rc::Rc;

/// Samples for which I/O waits for a reaped child to be freed.
const HELD_SAMPLES: u32 = 20;

/// One process.
#[derive(Debug, Default)]
pub struct Known {
    pub tgid: u32,
    pub start_ns: u64,
    /// User and system time of all its threads, as the tick saw it.
    pub ticks_ns: u64,
    /// The last sample in which it was there.
    pub round: u64,
    exec_id: u32,
    comm: Comm,
    uid: u32,
    /// Whether the names below were ever looked up.
    named: bool,
    /// Run time when a name that can change by itself was read.
    named_at_ns: u64,
    user: Option<Rc<str>>,
    cmdline: Option<Rc<[u8]>>,
    long_name: Option<Rc<[u8]>>,
    /// What controls it, as it last was, if that is asked for.
    seldom: Option<Rc<Seldom>>,
    /// User and system time as shown.
    pub shown: (u64, u64),
    /// Whether a row was ever approximate: then it can have shown more than exact sums come to for a while.
    pub doubted: bool,
    /// Waiting time and time slices of threads that are gone, found by comparing samples where the exit hooks are not
    /// attached; the kernel keeps no sum of them.
    pub dead: (u64, u64),
    /// Of a process that has or had something of reaped children that was not taken off; most never have.
    reaping: Option<Box<Reaping>>,
    /// Waiting time and time slices as shown.
    waited: (u64, u64),
    /// The threads at the last sample, ascending tid; empty while there is only one.
    marks: Vec<Mark>,
    /// Waiting time and time slices of that one.
    first: (u64, u64),
}

/// The I/O of a process to which `wait()` added that of its children.
#[derive(Debug, Default)]
struct Reaping {
    /// The least lead of reaped children that was ever seen: then all of them were taken off.
    least: u64,
    /// The lead of the last sample, and how many samples it has been so.
    held: (u64, u32),
    /// I/O as shown.
    io: Io,
    /// I/O and minor faults of children that were freed unseen, which the kernel side did not take off.
    unseen: ([u64; IO_COUNTERS], u64),
}

/// What was last known of a process that is in no walk any more.
#[derive(Clone, Copy, Debug)]
pub struct Gone {
    /// Its time as the tick saw it.
    pub ticks_ns: u64,
    /// Which of its programs its names are of.
    pub exec_id: u32,
}

impl Known {
    /// What is left of it.
    pub fn gone(&self) -> Gone {
        Gone { ticks_ns: self.ticks_ns, exec_id: self.exec_id }
    }

    /// Of a process that was not there before.
    pub fn new(sum: &Sum, previous: Option<&Sample>) -> Known {
        // Of a process that is born under the eyes of the hooks, everything that is added is taken off some time.
        let young = previous.is_some_and(|sample| sum.start_ns > sample.uptime_ns);
        let least = if young { 0 } else { sum.reaped_lead };
        let reaping = (least > 0).then(|| Box::new(Reaping { least, ..Reaping::default() }));
        Known { tgid: sum.tgid, start_ns: sum.start_ns, reaping, ..Known::default() }
    }

    /// Takes the I/O of a child off that was freed unseen.
    pub fn take_off(&mut self, child: &Ended) {
        // Nothing came of it that was not taken off.
        let Some(reaping) = &mut self.reaping else { return };
        let (io, faults) = &mut reaping.unseen;
        for (sum, part) in io.iter_mut().zip(child.io) {
            *sum = sum.saturating_add(part);
        }
        *faults = faults.saturating_add(child.min_flt).saturating_add(child.children[3]);
    }

    /// Keeps I/O as it was shown while it has some of a reaped child that is not taken off yet: the kernel adds a child's
    /// when it is waited for, and the child is freed, and reports it, up to a third of a second later.
    fn own_io(&mut self, sum: &Sum, row: &mut Task, shown: Option<&Task>) {
        let Ok(io) = &mut row.io else { return };
        if self.reaping.is_none() && sum.reaped_lead == 0 {
            return;
        }
        let reaping = self.reaping.get_or_insert_with(|| {
            let io = shown.and_then(|row| row.io.ok()).unwrap_or_default();
            Box::new(Reaping { io, ..Reaping::default() })
        });
        let (unseen, faults) = reaping.unseen;
        *io = less(*io, &unseen);
        let lead = sum.reaped_lead.saturating_sub(faults);
        reaping.held = if reaping.held.0 == lead { (reaping.held.0, reaping.held.1 + 1) } else { (lead, 0) };
        if reaping.held.1 >= HELD_SAMPLES {
            // It was not freed for so long that it never will: a child of a parent that died, or one that nobody counts.
            reaping.least = lead;
        }
        reaping.least = reaping.least.min(lead);
        if reaping.least == lead {
            // What was taken for the least at first can have been too much.
            raise_io(io, reaping.io);
            reaping.io = *io;
        } else {
            *io = reaping.io;
        }
    }

    /// Fills in what follows from a consistent sum: the split of CPU time, and the waiting time with the dead threads'.
    pub fn settle(
        &mut self,
        sum: &Sum,
        marks: &mut [Mark],
        shape: &Shape,
        (rows, previous): (&mut [Task], Option<&Sample>),
    ) {
        let split = adjust(sum.run_ns, sum.utime, sum.stime, sum.prev);
        self.shown = never_back(split, self.shown);
        let row = &mut rows[sum.row];
        (row.cpu.user_ns, row.cpu.system_ns) = self.shown;
        if shape.exits {
            self.show_threads(marks, rows);
            self.marks.clear();
            if shape.want.threads {
                self.marks.extend_from_slice(marks);
            }
        } else if marks.is_empty() && self.marks.is_empty() {
            let now = (sum.wait_ns, sum.timeslices);
            if now.0 < self.first.0 || now.1 < self.first.1 {
                // Between the samples another thread was born, called exec and took the first one's place.
                self.bury_all(self.first);
            }
        } else {
            if self.marks.is_empty() {
                let (wait_ns, timeslices) = self.first;
                self.marks.push(Mark { wait_ns, timeslices, ..sum.only() });
            }
            let mut alone = [sum.only()];
            let marks = if marks.is_empty() { &mut alone } else { marks };
            self.bury(marks);
            self.show_threads(marks, rows);
            self.marks.clear();
            if marks.len() > 1 || shape.want.threads {
                self.marks.extend_from_slice(marks);
            }
        }
        // Asked for only if it was alone.
        self.first = (sum.wait_ns, sum.timeslices);
        if shape.exits {
            let shown = || find_row(previous?, rows[sum.row].key);
            let shown = if sum.reaped_lead > 0 { shown() } else { None };
            self.own_io(sum, &mut rows[sum.row], shown);
        }
        if shape.want.sum_threads
            && let Ok(sched) = &mut rows[sum.row].sched
        {
            sched.run_ns = sum.run_ns;
            // Of the two sources of the dead one is always zero; the floor is for what a thread waits after its death.
            let dead = (self.dead.0.max(sum.dead.0), self.dead.1.max(sum.dead.1));
            self.waited.0 = self.waited.0.max(dead.0.saturating_add(sum.wait_ns));
            self.waited.1 = self.waited.1.max(dead.1.saturating_add(sum.timeslices));
            (sched.wait_ns, sched.timeslices) = self.waited;
        }
    }

    /// Adds to the dead what threads had that are no longer there.
    fn bury(&mut self, marks: &[Mark]) {
        let mut gone = (0u64, 0u64);
        let mut heir: Option<&Mark> = None;
        for old in &self.marks {
            match find(marks, old) {
                Some(new) if new.wait_ns >= old.wait_ns && new.timeslices >= old.timeslices => {}
                other => {
                    gone = (gone.0.saturating_add(old.wait_ns), gone.1.saturating_add(old.timeslices));
                    heir = heir.or(other);
                }
            }
        }
        if let Some(heir) = heir {
            // exec by another thread: it took the first thread's number over and brought its counters along, so it is not
            // dead although its own number is gone.
            let same = |old: &&Mark| {
                find(marks, old).is_none() && old.wait_ns <= heir.wait_ns && old.timeslices <= heir.timeslices
            };
            if let Some(old) = self.marks.iter().filter(same).max_by_key(|old| old.timeslices) {
                gone = (gone.0.saturating_sub(old.wait_ns), gone.1.saturating_sub(old.timeslices));
            }
        }
        self.bury_all(gone);
    }

    fn bury_all(&mut self, (wait_ns, timeslices): (u64, u64)) {
        self.dead = (self.dead.0.saturating_add(wait_ns), self.dead.1.saturating_add(timeslices));
    }

    /// Puts the split of CPU time into the threads' own rows.
    pub fn show_threads(&mut self, marks: &mut [Mark], rows: &mut [Task]) {
        for mark in marks.iter_mut().filter(|mark| mark.row != NO_ROW) {
            if let Some(old) = find(&self.marks, mark) {
                mark.split = never_back(mark.split, old.split);
            }
            if let Some(row) = rows.get_mut(mark.row) {
                (row.cpu.user_ns, row.cpu.system_ns) = mark.split;
            }
        }
    }

    /// Remembers the splits that a doubtful sample showed, so that the next sample does not go behind them.
    pub fn keep_splits(&mut self, marks: &[Mark]) {
        for mark in marks.iter().filter(|mark| mark.row != NO_ROW) {
            match self.marks.binary_search_by_key(&mark.tid, |known| known.tid) {
                Ok(at) if self.marks[at].start_ns == mark.start_ns => self.marks[at].split = mark.split,
                // Another thread has the number now; the next sure sample sorts that out.
                Ok(_) => {}
                Err(at) => self.marks.insert(at, *mark),
            }
        }
    }

    /// Says what controls it; while that stays as it is, all samples share it, and no memory is taken.
    pub fn control(&mut self, sum: &Sum, row: &mut Task) {
        let Some(control) = sum.control else { return };
        match &self.seldom {
            Some(known) if known.control == control => row.seldom = Rc::clone(known),
            _ => {
                row.control = control;
                self.seldom = Some(Rc::clone(&row.seldom));
            }
        }
    }

    /// The names that cost a read or a lookup, and only when they may have changed. `again` says that it is time to look
    /// whether workers of the kernel have a new name.
    pub fn name(
        &mut self,
        sum: &Sum,
        row: &mut Task,
        facts: Facts,
        again: bool,
        (reader, users): (&mut Reader, &mut Users),
    ) {
        let changed = !self.named || self.exec_id != sum.exec_id || self.comm != row.comm;
        let fresh = facts.has(Facts::FRESH_NAMES);
        let ran = self.named_at_ns != sum.run_ns;
        if changed {
            (self.named, self.exec_id, self.comm) = (true, sum.exec_id, row.comm);
        }
        if facts.has(Facts::CMDLINE) && !row.kernel_thread && (changed || fresh && ran) {
            self.named_at_ns = sum.run_ns;
            self.cmdline = reader.cmdline(sum.tgid);
        }
        if row.kernel_thread && (changed || (again || fresh) && sum.worker && ran) {
            self.named_at_ns = sum.run_ns;
            self.long_name = reader.name(sum.tgid).filter(|name| **name != *row.comm.as_bytes());
        }
        if facts.has(Facts::USER) && (self.user.is_none() || self.uid != row.uid) {
            self.uid = row.uid;
            self.user = users.name(row.uid);
        }
        row.cmdline.clone_from(&self.cmdline);
        row.long_name.clone_from(&self.long_name);
        row.user.clone_from(&self.user);
    }
}

/// I/O without a part of it, in the kernel's order.
fn less(io: Io, part: &[u64; IO_COUNTERS]) -> Io {
    let [rchar, wchar, reads, writes, read, write, cancelled] = *part;
    Io {
        rchar_bytes: io.rchar_bytes.saturating_sub(rchar),
        wchar_bytes: io.wchar_bytes.saturating_sub(wchar),
        read_calls: io.read_calls.saturating_sub(reads),
        write_calls: io.write_calls.saturating_sub(writes),
        read_bytes: io.read_bytes.saturating_sub(read),
        write_bytes: io.write_bytes.saturating_sub(write),
        cancelled_write_bytes: io.cancelled_write_bytes.saturating_sub(cancelled),
    }
}

/// The same thread at another sample.
fn find<'a>(marks: &'a [Mark], old: &Mark) -> Option<&'a Mark> {
    let at = marks.binary_search_by_key(&old.tid, |mark| mark.tid).ok()?;
    marks.get(at).filter(|mark| mark.start_ns == old.start_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Missing, TaskKey};

    fn mark(tid: u32, wait_ns: u64, timeslices: u64) -> Mark {
        Mark { tgid: 7, tid, row: NO_ROW, wait_ns, timeslices, ..Mark::default() }
    }

    fn dead_after(before: &[Mark], now: &[Mark]) -> (u64, u64) {
        let mut known = Known { marks: before.to_vec(), ..Known::default() };
        known.bury(now);
        known.dead
    }

    #[test]
    fn a_doubtful_sample_is_a_floor_for_the_next() {
        let shown = |tid, split| Mark { row: 0, split, ..mark(tid, 1, 1) };
        let mut known = Known { marks: vec![shown(7, (5, 5))], ..Known::default() };
        known.keep_splits(&[shown(7, (9, 6)), shown(8, (3, 1))]);
        let splits: Vec<_> = known.marks.iter().map(|mark| (mark.tid, mark.split)).collect();
        assert_eq!(splits, [(7, (9, 6)), (8, (3, 1))]);
    }

    #[test]
    fn a_child_that_was_freed_unseen_is_taken_off_its_parent() {
        let io = |wchar_bytes| Io { wchar_bytes, ..Io::default() };
        let mut known = Known::default();
        let mut row = Task::blank(TaskKey::default(), Comm::default(), Missing::NotAsked);
        let mut shown = |known: &mut Known, wchar_bytes, reaped_lead| {
            let before = row.clone();
            row.io = Ok(io(wchar_bytes));
            let mut sum = Sum::default();
            sum.reaped_lead = reaped_lead;
            known.own_io(&sum, &mut row, Some(&before));
            row.io.map(|io| io.wchar_bytes)
        };
        assert_eq!(shown(&mut known, 100, 0), Ok(100));
        // A child with 7 faults and 5000 bytes is waited for, and nobody says that it was freed.
        assert_eq!(shown(&mut known, 5100, 7), Ok(100));
        let mut child = Ended { min_flt: 7, ..Ended::default() };
        child.io[1] = 5000;
        known.take_off(&child);
        assert_eq!(shown(&mut known, 5120, 7), Ok(120));
    }

    #[test]
    fn what_a_dead_thread_had_is_kept_once() {
        let before = [mark(7, 10, 1), mark(8, 20, 2), mark(9, 40, 4)];
        assert_eq!(dead_after(&before, &before), (0, 0));
        assert_eq!(dead_after(&before, &[mark(7, 11, 1), mark(9, 40, 4)]), (20, 2));
        assert_eq!(dead_after(&before, &[mark(7, 11, 1)]), (60, 6));
        // A number that is used again is another thread.
        let again = Mark { start_ns: 5, ..mark(9, 50, 5) };
        assert_eq!(dead_after(&before, &[mark(7, 10, 1), mark(8, 20, 2), again]), (40, 4));
    }

    #[test]
    fn a_thread_that_takes_the_first_ones_place_is_not_dead() {
        // 9 called exec: it is 7 now, and the former 7 and 8 are gone.
        let before = [mark(7, 100, 10), mark(8, 20, 2), mark(9, 40, 4)];
        assert_eq!(dead_after(&before, &[mark(7, 41, 5)]), (120, 12));
        // The successor was born after the last sample.
        assert_eq!(dead_after(&before, &[mark(7, 1, 1)]), (160, 16));
    }
}
