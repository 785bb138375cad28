//! Tasks that /proc shows and the iterator does not: found by listing now and then, read from files at every sample.

use super::task::Walk;
use crate::{
    clock::Instant,
    sample::{Facts, Host, Missing, Pids, Task, TaskKey, Want},
    source::procfs::{Reader, Users},
};
use std::{io, rc::Rc};

/// A listing of /proc costs more than the whole walk.
const LISTING_EVERY_NS: u64 = 10_000_000_000;

/// The processes that only /proc has.
#[derive(Debug, Default)]
pub struct Hidden {
    /// Ascending.
    pids: Vec<u32>,
    listing: Vec<u32>,
    listed_at_ns: Option<u64>,
    cmdlines: Vec<(TaskKey, Option<Rc<[u8]>>)>,
    rows: Vec<Task>,
}

impl Hidden {
    /// Lists /proc if it is time to; says whether it did.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&mut self, now: Instant, reader: &mut Reader) -> io::Result<bool> {
        let due = self.listed_at_ns.is_none_or(|at| now.uptime_ns.saturating_sub(at) >= LISTING_EVERY_NS);
        if due {
            self.listed_at_ns = Some(now.uptime_ns);
            self.cmdlines.clear();
            reader.pids(&mut self.listing)?;
        }
        Ok(due)
    }

    /// Reads those that are known, just before the walk, which puts their rows between its own.
    pub fn read(&mut self, want: &Want, walk: &mut Walk, at: (&mut Reader, &mut Users, &Host)) {
        self.rows.clear();
        let pids = std::mem::take(&mut self.pids);
        let (reader, users, host) = at;
        for pid in &pids {
            if self.row(*pid, want, (&mut *reader, &mut *users, host)) {
                self.pids.push(*pid);
            }
        }
        walk.gather.between.extend(self.rows.drain(..).rev());
    }

    /// After the walk: what was listed before it and did not come up in it, or what was asked for and did not, is hidden, or
    /// has ended, or is the number of a thread.
    pub fn discover(
        &mut self,
        want: &Want,
        listed: bool,
        walk: &mut Walk,
        rows: &mut Vec<Task>,
        at: (&mut Reader, &mut Users, &Host),
    ) {
        let sums = &walk.gather.sums;
        let shown = |pid: &u32| sums.binary_search_by_key(pid, |sum| sum.tgid).is_ok();
        let candidates = match &want.pids {
            Pids::Only(list) => list.as_slice(),
            Pids::All if listed => self.listing.as_slice(),
            Pids::All => &[],
        };
        // Those that were already known to be hidden were read before the walk.
        let new: Vec<u32> = candidates
            .iter()
            .filter(|pid| !shown(pid) && self.pids.binary_search(pid).is_err())
            .copied()
            .collect();
        self.pids.retain(|pid| !shown(pid));
        if new.is_empty() {
            return;
        }
        let (reader, users, host) = at;
        for pid in new {
            if self.row(pid, want, (&mut *reader, &mut *users, host)) {
                walk.gather.disordered = true;
                // What is asked for by number is tried at every sample anyway; a thread's number may become a process's.
                if want.pids == Pids::All {
                    self.pids.push(pid);
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
        // The walk's rows get these later, all in one go.
        let lean =
            Want { facts: facts.without(Facts::CMDLINE.and(Facts::STACK).and(Facts::FDS)), ..want.clone() };
        let Ok(mut row) = reader.process(pid, &lean, host) else { return false };
        if facts.has(Facts::CMDLINE) {
            row.cmdline = self.cmdline(row.key, reader);
        }
        let key = row.key;
        let first = self.rows.len();
        self.rows.push(row);
        if want.threads && reader.threads(pid, &lean, host, &mut self.rows).is_err() {
            self.rows.truncate(first + 1);
        }
        for row in &mut self.rows[first..] {
            if facts.has(Facts::USER) {
                row.user = users.name(row.uid);
            }
            if row.key.tid != 0 && facts.has(Facts::TRAFFIC) {
                row.traffic = Err(Missing::DoesNotApply);
            }
        }
        debug_assert_eq!(self.rows[first].key, key);
        true
    }

    /// Read once until the next listing.
    fn cmdline(&mut self, key: TaskKey, reader: &mut Reader) -> Option<Rc<[u8]>> {
        if let Some((_, cmdline)) = self.cmdlines.iter().find(|(known, _)| *known == key) {
            return cmdline.clone();
        }
        let cmdline = reader.cmdline(key.tgid);
        self.cmdlines.push((key, cmdline.clone()));
        cmdline
    }
}
