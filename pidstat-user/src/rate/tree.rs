//! Processes with all their descendants, by the parents of the later sample.

use super::Row;
use std::collections::HashMap;

/// The rows of one interval in the order of the tree: every process before its children.
#[derive(Debug)]
pub struct Forest<'a> {
    rows: Vec<Row<'a>>,
    /// Of each row, how many descendants follow it.
    below: Vec<usize>,
}

impl<'a> Forest<'a> {
    /// Plants the rows of processes; one whose parent is not among them is a root. Parents that are their own
    /// descendants, which no kernel has, are cut apart where they are met first.
    pub fn new(rows: impl Iterator<Item = Row<'a>>) -> Forest<'a> {
        let processes: Vec<Row<'a>> = rows.filter(|row| row.now.is_process()).collect();
        let mut places: HashMap<u32, usize> = HashMap::with_capacity(processes.len());
        for (at, row) in processes.iter().enumerate() {
            // The living come first, those that ended after them.
            places.entry(row.now.key.tgid).or_insert(at);
        }
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); processes.len()];
        let mut roots = Vec::new();
        for (at, row) in processes.iter().enumerate() {
            match places.get(&row.now.ppid) {
                Some(parent) if *parent != at => children[*parent].push(at),
                _ => roots.push(at),
            }
        }
        let mut forest =
            Forest { rows: Vec::with_capacity(processes.len()), below: vec![0; processes.len()] };
        let mut planted = vec![false; processes.len()];
        // What no root leads to is a circle.
        for root in roots.into_iter().chain(0..processes.len()) {
            forest.plant(root, &processes, &children, &mut planted);
        }
        forest
    }

    /// Adds a process and its descendants, without recursion: a chain of parents may be long.
    fn plant(&mut self, root: usize, processes: &[Row<'a>], children: &[Vec<usize>], planted: &mut [bool]) {
        /// What is left to do with a process.
        enum Step {
            Enter(usize),
            /// Its descendants are those planted since this place.
            Leave(usize),
        }
        let mut steps = vec![Step::Enter(root)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Leave(place) => self.below[place] = self.rows.len() - place - 1,
                Step::Enter(at) if planted[at] => {}
                Step::Enter(at) => {
                    planted[at] = true;
                    steps.push(Step::Leave(self.rows.len()));
                    self.rows.push(processes[at]);
                    steps.extend(children[at].iter().rev().map(|child| Step::Enter(*child)));
                }
            }
        }
    }

    /// Every process with its descendants, ascending.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let whole = |(at, row): (usize, &Row<'a>)| Row {
            descendants: &self.rows[at + 1..=at + self.below[at]],
            ..*row
        };
        let mut rows: Vec<Row<'_>> = self.rows.iter().enumerate().map(whole).collect();
        rows.sort_by_key(|row| row.now.key);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rate::{Level, Span, pairs},
        sample::{Comm, Missing, Sample, Task, TaskKey},
    };

    /// Processes by (pid, parent), each of which used as many nanoseconds of CPU as its pid is high, and has that many
    /// threads.
    fn shown(processes: &[(u32, u32)]) -> Vec<(u32, u64, Level)> {
        let task = |(pid, ppid): &(u32, u32), used: u64| {
            let key = TaskKey { tgid: *pid, tid: 0, start_ticks: 1 };
            let mut task = Task::blank(key, Comm::default(), Missing::NotAsked);
            (task.ppid, task.threads, task.cpu.user_ns) = (*ppid, *pid, used);
            task
        };
        let sample = |uptime_ns, part: u64| Sample {
            uptime_ns,
            tasks: processes.iter().map(|process| task(process, part * u64::from(process.0))).collect(),
            ..Sample::default()
        };
        let (before, now) = (sample(1_000_000_000, 1), sample(2_000_000_000, 2));
        let span = Span::between(&before, &now, 1, false);
        let forest = Forest::new(pairs(&before, &now, &span, false));
        let figures = |row: &Row<'_>| {
            let used = row.delta(|task| Ok(task.cpu.user_ns)).unwrap();
            let threads = row.level(|task| Ok(u64::from(task.threads)), |sums| sums.threads).unwrap();
            (row.now.key.tgid, used, threads)
        };
        forest.rows().iter().map(figures).collect()
    }

    #[test]
    fn a_process_stands_for_all_below_it() {
        let all = shown(&[(1, 0), (20, 1), (300, 20), (301, 20), (4000, 1), (50_000, 2)]);
        let now = |pid, sum| (pid, sum, Level::Now(sum));
        let sums =
            [now(1, 4622), now(20, 621), now(300, 300), now(301, 301), now(4000, 4000), now(50_000, 50_000)];
        assert_eq!(all, sums);
    }

    #[test]
    fn circles_are_cut_and_long_chains_do_not_overflow() {
        let all = shown(&[(1, 3), (2, 1), (3, 2), (7, 7)]);
        assert_eq!(
            all.iter().map(|(pid, used, _)| (*pid, *used)).collect::<Vec<_>>(),
            [(1, 6), (2, 5), (3, 3), (7, 7)]
        );
        let chain: Vec<(u32, u32)> = (1..3_000).map(|pid| (pid, pid - 1)).collect();
        assert_eq!(shown(&chain)[0].1, 2_999 * 3_000 / 2);
    }
}
