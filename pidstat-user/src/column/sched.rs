//! `--sched`: switches by kind, times on a CPU and waiting for one, who took the CPU (hooks on the scheduler).

use super::{Column, NO_LETTER, Report, Scope, Unit, Value};
use crate::{
    rate::Row,
    sample::{Facts, Missing, Reading, Runs, runs::Histogram},
};

/// Switches and latency.
pub(super) const REPORT: Report = Report {
    flag: NO_LETTER,
    scope: Scope::Task,
    json: SCHED,
    title: "switches, times on a CPU and waits for one, by --sched",
    columns: &[
        Column {
            id: "voluntary",
            head: "cswch",
            json: "voluntary",
            width: 9,
            unit: Unit::Count,
            needs: Facts::RUNS,
            machine_only: false,
            help: "Switches in the interval by which the task gave up the CPU because it had to wait for something.",
            read: |row| row.runs().map(|runs| runs.voluntary).into(),
        },
        Column {
            id: "involuntary",
            head: "nvcswch",
            json: "involuntary",
            width: 9,
            unit: Unit::Count,
            needs: Facts::RUNS,
            machine_only: false,
            help: "Switches in the interval by which the CPU was taken from the task.",
            read: |row| row.runs().map(|runs| runs.involuntary).into(),
        },
        Column {
            id: "run_p50_us",
            head: "runp50us",
            json: "run_p50_us",
            width: 11,
            unit: Unit::Microseconds,
            needs: Facts::RUNS,
            machine_only: false,
            help: "Half of the times on a CPU were not longer, by a histogram whose buckets double.",
            read: |row| quantile(row, 0.5, on_cpu),
        },
        Column {
            id: "run_p99_us",
            head: "runp99us",
            json: "run_p99_us",
            width: 11,
            unit: Unit::Microseconds,
            needs: Facts::RUNS,
            machine_only: false,
            help: "99 % of the times on a CPU were not longer, by a histogram whose buckets double.",
            read: |row| quantile(row, 0.99, on_cpu),
        },
        Column {
            id: "run_max_us",
            head: "runmaxus",
            json: "run_max_us",
            width: 11,
            unit: Unit::Microseconds,
            needs: Facts::RUNS,
            machine_only: false,
            help: "Longest time on a CPU that ended in the interval.",
            read: |row| longest(row, on_cpu),
        },
        Column {
            id: "wait_p50_us",
            head: "waitp50us",
            json: "wait_p50_us",
            width: 11,
            unit: Unit::Microseconds,
            needs: Facts::RUNS,
            machine_only: false,
            help: "Half of the waits for a CPU were not longer, by a histogram whose buckets double.",
            read: |row| quantile(row, 0.5, wait),
        },
        Column {
            id: "wait_p99_us",
            head: "waitp99us",
            json: "wait_p99_us",
            width: 11,
            unit: Unit::Microseconds,
            needs: Facts::RUNS,
            machine_only: false,
            help: "99 % of the waits for a CPU were not longer, by a histogram whose buckets double.",
            read: |row| quantile(row, 0.99, wait),
        },
        Column {
            id: "wait_max_us",
            head: "waitmaxus",
            json: "wait_max_us",
            width: 11,
            unit: Unit::Microseconds,
            needs: Facts::RUNS,
            machine_only: false,
            help: "Longest wait for a CPU that ended in the interval.",
            read: |row| longest(row, wait),
        },
        Column {
            id: "preempted_by",
            head: "preempted by",
            json: "preempted_by",
            width: 26,
            unit: Unit::Text,
            needs: Facts::RUNS,
            machine_only: false,
            help: "Who took the CPU from the task most often in the interval: name, thread id and how often.",
            read: preempted_by,
        },
        Column {
            id: "run_histogram",
            head: "runs",
            json: "run_histogram",
            width: 9,
            unit: Unit::Count,
            needs: Facts::RUNS,
            machine_only: true,
            help: "Times on a CPU by length: the first count is of those below 128 ns, each further one of those up to twice as long, the last of those from 137 s on.",
            read: |row| histogram(row, on_cpu),
        },
        Column {
            id: "wait_histogram",
            head: "waits",
            json: "wait_histogram",
            width: 9,
            unit: Unit::Count,
            needs: Facts::RUNS,
            machine_only: true,
            help: "Waits for a CPU by length, in the same buckets.",
            read: |row| histogram(row, wait),
        },
    ],
    active: |row| row.runs().is_ok_and(|runs| runs.voluntary + runs.involuntary > 0),
};

/// The report's key, by which `--sched` finds it.
pub const SCHED: &str = "task-sched";

/// A histogram, and the longest of its times.
type Part = fn(&Runs) -> (&Histogram, u64);

fn on_cpu(runs: &Runs) -> (&Histogram, u64) {
    (&runs.on_cpu, runs.on_cpu_max_ns)
}

fn wait(runs: &Runs) -> (&Histogram, u64) {
    (&runs.wait, runs.wait_max_ns)
}

fn quantile(row: &Row<'_>, share: f64, part: Part) -> Value {
    let of = |runs: Runs| -> Reading<f64> {
        let (histogram, longest) = part(&runs);
        // Of the whole run the longest time is not kept.
        let longest = if row.sums.is_some() { u64::MAX } else { longest };
        histogram.quantile_ns(share, longest).map(us).ok_or(Missing::DoesNotApply)
    };
    row.runs().and_then(of).into()
}

fn longest(row: &Row<'_>, part: Part) -> Value {
    let of = |runs: Runs| {
        let (histogram, longest) = part(&runs);
        if row.sums.is_some() || histogram.count() == 0 {
            Err(Missing::DoesNotApply)
        } else {
            Ok(us(longest))
        }
    };
    row.runs().and_then(of).into()
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn histogram(row: &Row<'_>, part: Part) -> Value {
    row.runs().map_or_else(Value::Missing, |runs| Value::Counts(part(&runs).0.0.into()))
}

fn preempted_by(row: &Row<'_>) -> Value {
    let by = row.runs().and_then(|runs| runs.preempted_by.ok_or(Missing::DoesNotApply));
    match by {
        Ok(by) if row.sums.is_none() => {
            let suffix = format!("/{} {}x", by.tid, by.count);
            Value::Text([by.comm.as_bytes(), suffix.as_bytes()].concat().into())
        }
        Ok(_) => Value::Missing(Missing::DoesNotApply),
        Err(why) => Value::Missing(why),
    }
}
