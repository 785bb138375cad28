//! `-v`: threads and open files (`/proc/PID/status`, `/proc/PID/fd`).

use super::{Column, Report, Scope, Unit};
use crate::sample::Facts;

/// Kernel tables.
pub(super) const REPORT: Report = Report {
    flag: 'v',
    scope: Scope::Task,
    json: "kernel",
    title: "threads and files",
    columns: &[
        Column {
            id: "threads",
            head: "threads",
            json: "threads",
            width: 8,
            unit: Unit::Count,
            needs: Facts::NONE,
            machine_only: false,
            help: "Threads of the process.",
            read: |row| row.level(|task| Ok(u64::from(task.threads)), |sums| sums.threads).into(),
        },
        Column {
            id: "open_files",
            head: "fd-nr",
            json: "fd-nr",
            width: 8,
            unit: Unit::Count,
            needs: Facts::FDS,
            machine_only: false,
            help: "Open file descriptors.",
            read: |row| row.level(|task| task.fds.map(u64::from), |sums| sums.fds).into(),
        },
    ],
    active: |row| {
        row.now.fds.is_ok()
            && (row.changed(|task| u64::from(task.threads))
                || row.changed(|task| task.fds.map_or(0, u64::from)))
    },
};
