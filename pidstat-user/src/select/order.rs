//! The order of a table's rows, and how many of them: `--sort`, `--top`.

use super::{expr::Operand, name::Name};
use crate::rate::Row;
use std::cmp::Ordering;

/// How the rows of a table are ordered and cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// What they are sorted by; otherwise by process and thread id.
    pub sort: Option<Sort>,
    /// How many processes stay.
    pub top: Option<usize>,
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// The value.
    pub by: Name,
    /// Smallest first.
    pub ascending: bool,
}

impl Order {
    /// Orders and cuts rows in which every thread stands below its process. Threads stay there, in the same order among
    /// themselves.
    pub fn apply<'a>(&self, rows: Vec<Row<'a>>) -> Vec<Row<'a>> {
        if self.sort.is_none() && self.top.is_none() {
            return rows;
        }
        let mut groups: Vec<Group<'a>> = Vec::new();
        for row in rows {
            let key = self.sort.map_or(Operand::Missing, |sort| sort.by.value(&row));
            match groups.last_mut() {
                Some(group) if group.takes(&row) => group.rows.push((key, row)),
                _ => groups.push(Group { rows: vec![(key, row)] }),
            }
        }
        if let Some(sort) = self.sort {
            for group in &mut groups {
                let threads = usize::from(group.rows[0].1.now.is_process());
                group.rows[threads..].sort_by(|(a, _), (b, _)| sort.compare(a, b));
            }
            // A process that is not shown itself stands where its first thread does.
            groups.sort_by(|a, b| sort.compare(&a.rows[0].0, &b.rows[0].0));
        }
        groups.truncate(self.top.unwrap_or(usize::MAX));
        groups.into_iter().flat_map(|group| group.rows).map(|(_, row)| row).collect()
    }
}

/// A process and its threads; never empty.
struct Group<'a> {
    rows: Vec<(Operand<'a>, Row<'a>)>,
}

impl Group<'_> {
    fn takes(&self, row: &Row<'_>) -> bool {
        !row.now.is_process() && self.rows[0].1.now.key.tgid == row.now.key.tgid
    }
}

impl Sort {
    /// What is missing stands last, whichever way the rest goes; equals keep their order.
    fn compare(&self, a: &Operand<'_>, b: &Operand<'_>) -> Ordering {
        let missing = |operand: &Operand<'_>| *operand == Operand::Missing;
        let order = match (a, b) {
            (Operand::Number(a), Operand::Number(b)) => a.total_cmp(b),
            (Operand::Text(a), Operand::Text(b)) => a.cmp(b),
            (Operand::Truth(a), Operand::Truth(b)) => a.cmp(b),
            _ => return missing(a).cmp(&missing(b)),
        };
        if self.ascending { order } else { order.reverse() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rate::{Before, Span},
        sample::{Comm, Io, Missing, Sample, Task, TaskKey},
    };

    /// Tasks by (tgid, tid, KiB read); none read means that it is not known.
    fn sorted(tasks: &[(u32, u32, Option<u64>)], order: &Order) -> Vec<(u32, u32)> {
        let tasks: Vec<Task> = tasks
            .iter()
            .map(|(tgid, tid, read)| {
                let key = TaskKey { tgid: *tgid, tid: *tid, start_ticks: 0 };
                let mut task = Task::blank(key, Comm::default(), Missing::NoPermission);
                if let Some(kib) = read {
                    task.io = Ok(Io { read_bytes: kib << 10, ..Io::default() });
                }
                task
            })
            .collect();
        let now = Sample { uptime_ns: 1_000_000_000, ..Sample::default() };
        let span = Span::between(&Sample::default(), &now, 1, false);
        let row = |now| Row::new(now, Before::Zero, &span);
        let rows = order.apply(tasks.iter().map(row).collect());
        rows.iter().map(|row| (row.now.key.tgid, row.now.key.tid)).collect()
    }

    fn by_reading(ascending: bool, top: Option<usize>) -> Order {
        Order { sort: Some(Sort { by: Name::find("kB_rd/s").unwrap(), ascending }), top }
    }

    #[test]
    fn the_unknown_stand_last_either_way() {
        let tasks = [(1, 0, Some(5)), (2, 0, None), (3, 0, Some(9)), (4, 0, Some(5))];
        assert_eq!(sorted(&tasks, &by_reading(false, None)), [(3, 0), (1, 0), (4, 0), (2, 0)]);
        assert_eq!(sorted(&tasks, &by_reading(true, None)), [(1, 0), (4, 0), (3, 0), (2, 0)]);
    }

    #[test]
    fn threads_stay_below_their_process_and_count_as_one() {
        let tasks = [(1, 0, Some(5)), (1, 1, Some(1)), (1, 2, Some(4)), (7, 8, Some(3)), (7, 9, Some(6))];
        let all = [(7, 9), (7, 8), (1, 0), (1, 2), (1, 1)];
        assert_eq!(sorted(&tasks, &by_reading(false, None)), all);
        assert_eq!(sorted(&tasks, &by_reading(false, Some(1))), all[..2]);
    }

    #[test]
    fn without_a_key_nothing_moves() {
        let tasks = [(1, 0, None), (2, 0, Some(1)), (3, 0, Some(2))];
        assert_eq!(sorted(&tasks, &Order { sort: None, top: Some(2) }), [(1, 0), (2, 0)]);
    }
}
