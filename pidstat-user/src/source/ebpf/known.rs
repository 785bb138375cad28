//! What is remembered of a process from sample to sample: names that cost a read, times already shown, dead threads.

use super::{
    cputime::{adjust, never_back},
    gather::{Mark, NO_ROW, Shape, Sum},
    task::raise_io,
};
use crate::{
    sample::{Comm, Facts, Io, Sample, Task},
    source::procfs::{Reader, Users},
};
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
    /// User and system time as shown.
    pub shown: (u64, u64),
    /// Whether a row was ever approximate: then it can have shown more than exact sums come to for a while.
    pub doubted: bool,
    /// Waiting time and time slices of threads that are gone, found by comparing samples where the exit hooks are not
    /// attached; the kernel keeps no sum of them.
    pub dead: (u64, u64),
    /// The least lead of reaped children that was ever seen: then all of them were taken off.
    reaped_lead: u64,
    /// The lead of the last sample, and how many samples it has been so.
    held: (u64, u32),
    /// I/O as shown.
    pub io: Io,
    /// Waiting time and time slices as shown.
    waited: (u64, u64),
    /// The threads at the last sample, ascending tid; empty while there is only one.
    marks: Vec<Mark>,
    /// Waiting time and time slices of that one.
    first: (u64, u64),
}

impl Known {
    /// Of a process that was not there before.
    pub fn new(sum: &Sum, previous: Option<&Sample>) -> Known {
        // Of a process that is born under the eyes of the hooks, everything that is added is taken off some time.
        let young = previous.is_some_and(|sample| sum.start_ns > sample.uptime_ns);
        let lead = if young { 0 } else { sum.reaped_lead };
        Known { tgid: sum.tgid, start_ns: sum.start_ns, reaped_lead: lead, ..Known::default() }
    }

    /// Keeps I/O as it was shown while it has some of a reaped child that is not taken off yet: the kernel adds a child's
    /// when it is waited for, and the child is freed, and reports it, up to a third of a second later.
    fn own_io(&mut self, sum: &Sum, row: &mut Task) {
        let Ok(io) = &mut row.io else { return };
        self.held = if self.held.0 == sum.reaped_lead {
            (self.held.0, self.held.1 + 1)
        } else {
            (sum.reaped_lead, 0)
        };
        if self.held.1 >= HELD_SAMPLES {
            // It was not freed for so long that it never will: a child of a parent that died, or one that nobody counts.
            self.reaped_lead = sum.reaped_lead;
        }
        self.reaped_lead = self.reaped_lead.min(sum.reaped_lead);
        if self.reaped_lead == sum.reaped_lead {
            // What was taken for the least at first can have been too much.
            raise_io(io, self.io);
            self.io = *io;
        } else {
            *io = self.io;
        }
    }

    /// Fills in what follows from a consistent sum: the split of CPU time, and the waiting time with the dead threads'.
    pub fn settle(&mut self, sum: &Sum, marks: &mut [Mark], shape: &Shape, rows: &mut [Task]) {
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
            let now = (sum.leader.wait_ns, sum.leader.timeslices);
            if now.0 < self.first.0 || now.1 < self.first.1 {
                // Between the samples another thread was born, called exec and took the first one's place.
                self.bury_all(self.first);
            }
        } else {
            if self.marks.is_empty() {
                let (wait_ns, timeslices) = self.first;
                self.marks.push(Mark { wait_ns, timeslices, split: (0, 0), ..sum.leader });
            }
            let mut alone = [sum.leader];
            let marks = if marks.is_empty() { &mut alone } else { marks };
            self.bury(marks);
            self.show_threads(marks, rows);
            self.marks.clear();
            if marks.len() > 1 || shape.want.threads {
                self.marks.extend_from_slice(marks);
            }
        }
        self.first = (sum.leader.wait_ns, sum.leader.timeslices);
        if shape.exits {
            self.own_io(sum, &mut rows[sum.row]);
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

/// The same thread at another sample.
fn find<'a>(marks: &'a [Mark], old: &Mark) -> Option<&'a Mark> {
    let at = marks.binary_search_by_key(&old.tid, |mark| mark.tid).ok()?;
    marks.get(at).filter(|mark| mark.start_ns == old.start_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

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
