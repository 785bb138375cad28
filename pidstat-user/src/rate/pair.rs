//! Finds each task again in the earlier sample.

use super::{Before, Row, Span};
use crate::sample::{End, Sample, Task};
use std::cmp::Ordering;

/// Tick length of the start times in keys, in nanoseconds.
const START_TICK_NS: u64 = 10_000_000;

/// Every task of `now` with what it is compared to, in order. With `forget_unseen` a task that is older than the
/// interval but was not in `before` counts from zero, as sysstat has it.
pub fn pairs<'a>(
    before: &'a Sample,
    now: &'a Sample,
    span: &'a Span,
    forget_unseen: bool,
) -> impl Iterator<Item = Row<'a>> {
    let mut earlier = before.tasks.as_slice();
    let mut process = None;
    now.tasks.iter().map(move |task| {
        let place = (task.key.tgid, task.key.tid);
        // Both sides are sorted, so each is walked once.
        while let Some((first, rest)) = earlier.split_first() {
            match (first.key.tgid, first.key.tid).cmp(&place) {
                Ordering::Less => earlier = rest,
                Ordering::Equal if first.key.start_ticks < task.key.start_ticks => earlier = rest,
                Ordering::Equal | Ordering::Greater => break,
            }
        }
        let known = earlier.first().filter(|first| first.key == task.key);
        let before = known.map_or_else(|| unseen(task, before.uptime_ns, forget_unseen), Before::Known);
        if task.is_process() {
            process = Some(task);
        }
        let process = process.filter(|leader: &&Task| !task.is_process() && leader.key.tgid == task.key.tgid);
        Row { process, ..Row::new(task, before, span) }
    })
}

/// The processes that ended, and those whose traffic grew although they are in no row any more.
pub fn departed<'a>(before: &'a Sample, now: &'a Sample, span: &'a Span) -> impl Iterator<Item = Row<'a>> {
    let there = now.departed.iter().filter(|task| !matches!(task.end, End::Leaving { .. }));
    there.map(move |task| {
        let find = |list: &'a [Task]| {
            list.binary_search_by(|other| other.key.cmp(&task.key)).ok().map(|at| &list[at])
        };
        let known = find(&before.departed).or_else(|| find(&before.tasks));
        // Whoever was there before the first sample is known, so whoever is not was born since and did everything since.
        let before = known.map_or(Before::Zero, Before::Known);
        Row {
            exited: task.key.tgid != 0,
            traffic_only: task.end == End::TrafficOnly,
            ..Row::new(task, before, span)
        }
    })
}

fn unseen(task: &Task, since_ns: u64, forget: bool) -> Before<'_> {
    // A start time is cut to its tick, so a task born in the tick in which the earlier sample was taken counts as new.
    let born_ns = task.key.start_ticks.saturating_add(1).saturating_mul(START_TICK_NS);
    if forget || born_ns > since_ns { Before::Zero } else { Before::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Comm, Exit, Missing, TaskKey, Traffic};

    fn task(tgid: u32, tid: u32, start_ticks: u64) -> Task {
        Task::blank(TaskKey { tgid, tid, start_ticks }, Comm::default(), Missing::NotAsked)
    }

    #[test]
    fn every_task_meets_itself_whatever_comes_and_goes_around_it() {
        let before = Sample {
            tasks: vec![task(1, 0, 0), task(2, 0, 5), task(2, 2, 5), task(9, 0, 1)],
            ..Sample::default()
        };
        let now = Sample {
            tasks: vec![task(1, 0, 0), task(2, 0, 6), task(2, 2, 5), task(3, 0, 1), task(9, 0, 1)],
            ..Sample::default()
        };
        let span = Span::between(&before, &now, 1, false);
        let known: Vec<bool> = pairs(&before, &now, &span, false)
            .map(|row| matches!(row.before, Before::Known(task) if task.key == row.now.key))
            .collect();
        assert_eq!(known, [true, false, true, false, true]);
    }

    #[test]
    fn an_ended_process_goes_on_from_its_last_row_once_its_record_is_there() {
        let mut alive = task(4, 0, 2);
        alive.cpu.user_ns = 10;
        let leaving = Task { end: End::Leaving { since_ns: 7 }, ..alive.clone() };
        let mut gone = Task { end: End::Exited(Exit { status: 0, at_ns: 6 }), ..alive.clone() };
        gone.cpu.user_ns = 25;
        let first = Sample { tasks: vec![alive], ..Sample::default() };
        let second = Sample { departed: vec![leaving], ..Sample::default() };
        let third = Sample { departed: vec![gone], ..Sample::default() };
        let span = Span::between(&first, &second, 1, false);
        assert_eq!(departed(&first, &second, &span).count(), 0);
        for before in [&first, &second] {
            let row = departed(before, &third, &span).next().unwrap();
            assert!(row.exited && !row.traffic_only);
            assert_eq!(row.delta(|task| Ok(task.cpu.user_ns)), Ok(15));
        }
    }

    #[test]
    fn traffic_of_a_process_that_ended_goes_on_from_its_last_row() {
        let mut alive = task(4, 0, 2);
        alive.traffic = Ok(Traffic { tx_bytes: 10, ..Traffic::default() });
        let mut gone = alive.clone();
        gone.traffic = Ok(Traffic { tx_bytes: 25, ..Traffic::default() });
        let before = Sample { tasks: vec![alive], ..Sample::default() };
        let now = Sample { departed: vec![gone], ..Sample::default() };
        let span = Span::between(&before, &now, 1, false);
        let row = departed(&before, &now, &span).next().unwrap();
        assert_eq!(row.delta(|task| task.traffic.map(|t| t.tx_bytes)), Ok(15));
    }
}
