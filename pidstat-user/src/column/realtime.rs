//! `-R`: realtime priority and scheduling policy (`/proc/PID/stat` fields 40 and 41).

use super::{Column, Report, Scope, Unit, Value};
use crate::sample::Facts;

/// Priority and policy.
pub(super) const REPORT: Report = Report {
    flag: 'R',
    scope: Scope::Task,
    json: "realtime",
    title: "scheduling policy",
    columns: &[
        Column {
            id: "rt_priority",
            head: "prio",
            json: "prio",
            width: 5,
            unit: Unit::Count,
            needs: Facts::NONE,
            machine_only: false,
            help: "Realtime priority, 0 for ordinary tasks.",
            read: |row| super::unless_unknown(row.now.rt_priority, |number| Value::Whole(number.into())),
        },
        Column {
            id: "policy",
            head: "policy",
            json: "policy",
            width: 7,
            unit: Unit::Text,
            needs: Facts::NONE,
            machine_only: false,
            help: "Scheduling policy: NORMAL, FIFO, RR, BATCH, IDLE or DEADLN.",
            // include/uapi/linux/sched.h
            read: |row| {
                super::unless_unknown(row.now.policy, |policy| {
                    Value::Word(match policy {
                        0 => "NORMAL",
                        1 => "FIFO",
                        2 => "RR",
                        3 => "BATCH",
                        5 => "IDLE",
                        6 => "DEADLN",
                        _ => "?",
                    })
                })
            },
        },
    ],
    active: |row| {
        row.changed(|task| u64::from(task.rt_priority)) || row.changed(|task| u64::from(task.policy))
    },
};
