//! `-s`: the main stack (`/proc/PID/smaps`).

use super::{Column, Report, Scope, Unit};
use crate::sample::Facts;

/// Size and use of the main stack.
pub(super) const REPORT: Report = Report {
    flag: 's',
    scope: Scope::Task,
    json: "stack",
    title: "stack",
    columns: &[
        Column {
            id: "stack_size_kib",
            head: "StkSize",
            json: "StkSize",
            width: 8,
            unit: Unit::Kib,
            needs: Facts::STACK,
            machine_only: false,
            help: "Memory reserved for the main stack, not necessarily used.",
            read: |row| {
                row.level(|task| task.stack.map(|stack| stack.size_kib), |sums| sums.stack_size_kib).into()
            },
        },
        Column {
            id: "stack_ref_kib",
            head: "StkRef",
            json: "StkRef",
            width: 8,
            unit: Unit::Kib,
            needs: Facts::STACK,
            machine_only: false,
            help: "Part of the main stack that the task referenced.",
            read: |row| {
                let now = |task: &crate::sample::Task| task.stack.map(|stack| stack.referenced_kib);
                row.level(now, |sums| sums.stack_referenced_kib).into()
            },
        },
    ],
    active: |row| {
        row.changed(|task| task.stack.map_or(0, |stack| stack.size_kib))
            || row.changed(|task| task.stack.map_or(0, |stack| stack.referenced_kib))
    },
};
