//! Ended processes added to those that go on: to their parent, or to one row for their command or control group.

use super::{Before, Row, Span, fold::absorb};
use crate::sample::{Comm, FoldTo, Missing, Task, TaskKey};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// Most generations that are gone through to find who lives; no kernel has circles, but numbers are used again.
const GENERATIONS: u32 = 64;

/// What a row for several is called: a name, and the whole of it if it is too long for that.
type Name = (Comm, Option<Rc<[u8]>>);

/// The rows of one interval after folding.
#[derive(Debug)]
pub struct Folded<'a> {
    rows: Vec<Row<'a>>,
    /// In place of the task of the row at this place.
    sums: HashMap<usize, Task>,
    /// One for each name or group.
    groups: Vec<Task>,
    span: &'a Span,
}

impl<'a> Folded<'a> {
    /// Folds the rows of processes that ended into the others.
    pub fn new(rows: impl Iterator<Item = Row<'a>>, into: FoldTo, span: &'a Span) -> Folded<'a> {
        let (mut ended, rows): (Vec<Row<'a>>, Vec<Row<'a>>) = rows.partition(|row| row.exited);
        let mut folded = Folded { rows, sums: HashMap::new(), groups: Vec::new(), span };
        match into {
            FoldTo::Parent => folded.fold_up(&mut ended),
            FoldTo::Cgroup => folded.fold_by(&mut ended, |task| {
                let group = task.cgroup.as_ref().ok()?;
                Some((Comm::new(&group.path), Some(Rc::clone(&group.path))))
            }),
            FoldTo::Command => folded.fold_by(&mut ended, |task| Some((task.comm, None))),
        }
        folded.rows.append(&mut ended);
        folded
    }

    /// Leaves in `ended` whoever has no living ancestor.
    fn fold_up(&mut self, ended: &mut Vec<Row<'a>>) {
        let processes = self.rows.iter().enumerate().filter(|(_, row)| row.now.is_process());
        let living: HashMap<u32, usize> = processes.map(|(at, row)| (row.now.key.tgid, at)).collect();
        let dead: HashMap<u32, &Task> = ended.iter().map(|row| (row.now.key.tgid, row.now)).collect();
        ended.retain(|row| {
            let mut child = row.now;
            for _ in 0..GENERATIONS {
                let older = |task: &Task| task.key.start_ticks <= child.key.start_ticks;
                if let Some(at) = living.get(&child.ppid).filter(|at| older(self.rows[**at].now)) {
                    let sum = self.sums.entry(*at).or_insert_with(|| self.rows[*at].now.clone());
                    // Its own children it has already in its growth, or they have rows of their own.
                    let growth = without_children(row.growth());
                    absorb(sum, &growth);
                    return false;
                }
                match dead.get(&child.ppid).filter(|parent| older(parent)) {
                    Some(parent) => child = parent,
                    None => return true,
                }
            }
            true
        });
    }

    /// Leaves in `ended` whoever has no name of this kind.
    fn fold_by(&mut self, ended: &mut Vec<Row<'a>>, name: impl Fn(&Task) -> Option<Name>) {
        let mut groups: BTreeMap<Name, Task> = BTreeMap::new();
        ended.retain(|row| {
            let Some((comm, long_name)) = name(row.now) else { return true };
            let ordinal = groups.len() as u64 + 1;
            let sum = groups.entry((comm, long_name.clone())).or_insert_with(|| {
                // No process has the number 0, and everything outside the PID namespace has no start.
                let key = TaskKey { tgid: 0, tid: 0, start_ticks: ordinal };
                let blank = Task::blank(key, comm, Missing::NotAsked);
                Task { long_name, uid: row.now.uid, user: row.now.user.clone(), end: row.now.end, ..blank }
            });
            let growth = row.growth();
            absorb(sum, &growth);
            sum.memory.resident_bytes = sum.memory.resident_bytes.max(growth.memory.resident_bytes);
            if sum.cgroup.is_err() {
                sum.cgroup.clone_from(&row.now.cgroup);
            }
            sum.end = row.now.end;
            false
        });
        self.groups.extend(groups.into_values());
    }

    /// All of them; the groups last.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let sum = |(at, row): (usize, &Row<'a>)| Row { now: self.sums.get(&at).unwrap_or(row.now), ..*row };
        let group = |task| Row { exited: true, ..Row::new(task, Before::Zero, self.span) };
        self.rows.iter().enumerate().map(sum).chain(self.groups.iter().map(group))
    }
}

fn without_children(mut task: Task) -> Task {
    (task.cpu.children_user_ns, task.cpu.children_system_ns, task.cpu.children_guest_ns) = (0, 0, 0);
    (task.faults.children_minor, task.faults.children_major) = (0, 0);
    task
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rate::{departed, pairs},
        sample::{Cgroup, End, Exit, Sample},
    };

    fn task(tgid: u32, ppid: u32, comm: &str, user_ns: u64) -> Task {
        let key = TaskKey { tgid, tid: 0, start_ticks: u64::from(tgid) };
        let mut task = Task::blank(key, Comm::new(comm.as_bytes()), Missing::NotAsked);
        (task.ppid, task.cpu.user_ns) = (ppid, user_ns);
        task
    }

    fn gone(task: Task) -> Task {
        Task { end: End::Exited(Exit { status: 0, at_ns: 1 }), ..task }
    }

    /// Who is shown, with what it used.
    fn shown(ended: Vec<Task>, into: FoldTo) -> Vec<(u32, String, u64)> {
        let before =
            Sample { uptime_ns: 30_000_000, tasks: vec![task(2, 1, "sh", 100)], ..Sample::default() };
        let now = Sample {
            uptime_ns: 60_000_000,
            tasks: vec![task(2, 1, "sh", 107)],
            departed: ended,
            ..Sample::default()
        };
        let span = Span::between(&before, &now, 1, false);
        let rows = pairs(&before, &now, &span, false).chain(departed(&before, &now, &span));
        let folded = Folded::new(rows, into, &span);
        let used = |row: Row<'_>| row.delta(|task| Ok(task.cpu.user_ns)).unwrap();
        let name = |row: &Row<'_>| String::from_utf8_lossy(row.now.name()).into_owned();
        folded.rows().map(|row| (row.now.key.tgid, name(&row), used(row))).collect()
    }

    #[test]
    fn the_nearest_living_ancestor_gets_it() {
        // 4 is the child of 3, which has ended too; 9 came of somebody who is not there, 8 of a later number.
        let ended =
            vec![gone(task(3, 2, "make", 10)), gone(task(4, 3, "cc", 20)), gone(task(9, 77, "orphan", 40))];
        assert_eq!(shown(ended, FoldTo::Parent), [(2, "sh".to_owned(), 37), (9, "orphan".to_owned(), 40)]);
        let mut young = gone(task(8, 2, "older", 5));
        young.key.start_ticks = 1;
        assert_eq!(shown(vec![young], FoldTo::Parent).len(), 2);
    }

    #[test]
    fn one_row_for_each_name_or_group() {
        let ended =
            || vec![gone(task(3, 2, "cc", 10)), gone(task(4, 3, "cc", 20)), gone(task(5, 3, "ld", 1))];
        let rows = shown(ended(), FoldTo::Command);
        assert_eq!(rows, [(2, "sh".to_owned(), 7), (0, "cc".to_owned(), 30), (0, "ld".to_owned(), 1)]);
        let mut ended = ended();
        for task in &mut ended[..2] {
            task.cgroup = Ok(Rc::new(Cgroup::new(b"/build.slice/a-rather-long-name")));
        }
        let rows = shown(ended, FoldTo::Cgroup);
        let group = "/build.slice/a-rather-long-name".to_owned();
        assert_eq!(rows, [(2, "sh".to_owned(), 7), (5, "ld".to_owned(), 1), (0, group, 30)]);
    }
}
