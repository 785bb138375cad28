//! The processes that ended during a run, for its averages: each while they are few, by name when they are many.

use super::{Row, Span, fold::absorb, pair::departed};
use crate::sample::{Comm, End, Sample, Task, TaskKey};
use std::collections::BTreeMap;

/// Most ended processes that are kept each; a run that never ends must not grow for ever.
const KEPT: usize = 16_384;

/// What ended so far.
#[derive(Debug, Default)]
pub struct Ended {
    each: BTreeMap<TaskKey, Task>,
    /// What those did that are too many, since the beginning of the run.
    by_name: BTreeMap<Comm, Task>,
}

impl Ended {
    /// Takes an interval in.
    pub fn add(&mut self, before: &Sample, now: &Sample, span: &Span) {
        for row in departed(before, now, span) {
            self.add_row(&row);
        }
    }

    fn add_row(&mut self, row: &Row<'_>) {
        let task = row.now;
        let room = self.each.len() < KEPT;
        match self.each.get_mut(&task.key) {
            // Traffic can come after the record.
            Some(known) if row.traffic_only => known.traffic = task.traffic,
            Some(known) => known.clone_from(task),
            None if room => {
                self.each.insert(task.key, task.clone());
            }
            None => {
                let ordinal = self.by_name.len() as u64 + 1;
                let sum = self.by_name.entry(task.comm).or_insert_with(|| {
                    // No process has the number 0, and everything outside the PID namespace has no start.
                    let key = TaskKey { tgid: 0, tid: 0, start_ticks: ordinal };
                    let nothing = Task::blank(key, task.comm, crate::sample::Missing::NotAsked);
                    Task { uid: task.uid, end: task.end, ..nothing }
                });
                absorb(sum, &row.growth());
                if let End::Exited(_) = task.end {
                    sum.end = task.end;
                }
            }
        }
    }

    /// Puts everything into the last sample of the run, to be compared with the first.
    pub fn put_into(&self, last: &mut Sample) {
        last.departed.clear();
        last.departed.extend(self.each.values().chain(self.by_name.values()).cloned());
        last.departed.sort_unstable_by_key(|task| task.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Exit, Missing};

    fn ended(tgid: u32, user_ns: u64) -> Task {
        let key = TaskKey { tgid, tid: 0, start_ticks: 5 };
        let mut task = Task::blank(key, Comm::new(b"job"), Missing::NotAsked);
        task.cpu.user_ns = user_ns;
        task.end = End::Exited(Exit { status: 0, at_ns: 1 });
        task
    }

    #[test]
    fn none_is_lost_when_they_are_too_many() {
        let many = KEPT as u32 + 7;
        let mut all = Ended::default();
        let before = Sample::default();
        let span = Span::between(&before, &before, 1, false);
        for tgid in 1..=many {
            let now = Sample { departed: vec![ended(tgid, 3)], ..Sample::default() };
            all.add(&before, &now, &span);
        }
        let mut last = Sample::default();
        all.put_into(&mut last);
        assert_eq!(last.departed.len(), KEPT + 1);
        assert!(last.departed.is_sorted_by_key(|task| task.key));
        let sum: u64 = last.departed.iter().map(|task| task.cpu.user_ns).sum();
        assert_eq!(sum, u64::from(many) * 3);
    }
}
