//! `-w`: context switches (`/proc/PID/status`; kernel/sched/core.c).

use super::{Column, Report, Scope, Unit};
use crate::sample::Facts;

/// Context switches.
pub(super) const REPORT: Report = Report {
    flag: 'w',
    scope: Scope::Task,
    json: "context-switch",
    title: "context switches",
    columns: &[
        Column {
            id: "cswch_per_sec",
            head: "cswch/s",
            json: "cswch/s",
            width: 10,
            unit: Unit::PerSec,
            needs: Facts::SWITCHES,
            machine_only: false,
            help: "Times the task gave up the CPU because it had to wait for something, summed over all threads.",
            read: |row| row.per_sec(|task| task.switches.map(|switches| switches.voluntary)).into(),
        },
        Column {
            id: "nvcswch_per_sec",
            head: "nvcswch/s",
            json: "nvcswch/s",
            width: 10,
            unit: Unit::PerSec,
            needs: Facts::SWITCHES,
            machine_only: false,
            help: "Times the CPU was taken from the task, summed over all threads.",
            read: |row| row.per_sec(|task| task.switches.map(|switches| switches.involuntary)).into(),
        },
    ],
    active: |row| {
        row.changed(|task| task.switches.map_or(0, |switches| switches.voluntary))
            || row.changed(|task| task.switches.map_or(0, |switches| switches.involuntary))
    },
};
