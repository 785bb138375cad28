//! `-d`: storage I/O (`/proc/PID/io`; include/linux/task_io_accounting.h).

use super::{Column, NO_LETTER, Report, Scope, Unit, Value};
use crate::{
    rate::Row,
    sample::{Facts, Io},
};

/// Bytes to and from storage.
pub(super) const REPORT: Report = Report {
    flag: 'd',
    scope: Scope::Task,
    json: "io",
    title: "disk",
    columns: &[
        Column {
            id: "read_kib_per_sec",
            head: "kB_rd/s",
            json: "kB_rd/s",
            width: 10,
            unit: Unit::KibPerSec,
            needs: Facts::IO,
            machine_only: false,
            help: "Data that the task caused to be read from storage.",
            read: |row| kib_per_sec(row, |io| io.read_bytes),
        },
        Column {
            id: "write_kib_per_sec",
            head: "kB_wr/s",
            json: "kB_wr/s",
            width: 10,
            unit: Unit::KibPerSec,
            needs: Facts::IO,
            machine_only: false,
            help: "Data that the task caused, or will cause, to be written to storage.",
            read: |row| kib_per_sec(row, |io| io.write_bytes),
        },
        Column {
            id: "cancelled_write_kib_per_sec",
            head: "kB_ccwr/s",
            json: "kB_ccwr/s",
            width: 10,
            unit: Unit::KibPerSec,
            needs: Facts::IO,
            machine_only: false,
            help: "Writing that the task cancelled, for example by truncating dirty pages.",
            read: |row| kib_per_sec(row, |io| io.cancelled_write_bytes),
        },
        Column {
            id: "iodelay_ticks",
            head: "iodelay",
            json: "iodelay",
            width: 8,
            unit: Unit::Ticks,
            needs: Facts::DELAYS,
            machine_only: false,
            help: "Time blocked on I/O, swap-in included; missing unless kernel.task_delayacct was on when the task was forked.",
            read: |row| match row.waited(row.delta_ticks(|task| task.delays.map(|delays| delays.block_io_ns)))
            {
                Ok(ticks) => row.per_sample(ticks.trunc()).into(),
                Err(why) => Value::Missing(why),
            },
        },
    ],
    active: |row| {
        row.changed(|task| task.delays.map_or(0, |delays| delays.block_io_ns / 10_000_000))
            || row.changed(|task| task.io.map_or(0, |io| io.read_bytes))
            || row.changed(|task| task.io.map_or(0, |io| io.write_bytes))
            || row.changed(|task| task.io.map_or(0, |io| io.cancelled_write_bytes))
    },
};

/// What sysstat has no column for.
pub(super) const MORE: Report = Report {
    flag: NO_LETTER,
    scope: Scope::Task,
    json: "task-io-more",
    title: "more about storage, by --columns",
    columns: &[
        Column {
            id: "read_calls_per_sec",
            head: "syscr/s",
            json: "syscr/s",
            width: 9,
            unit: Unit::PerSec,
            needs: Facts::IO,
            machine_only: false,
            help: "System calls that read, from whatever it was.",
            read: |row| row.per_sec(|task| task.io.map(|io| io.read_calls)).into(),
        },
        Column {
            id: "write_calls_per_sec",
            head: "syscw/s",
            json: "syscw/s",
            width: 9,
            unit: Unit::PerSec,
            needs: Facts::IO,
            machine_only: false,
            help: "System calls that wrote, to whatever it was.",
            read: |row| row.per_sec(|task| task.io.map(|io| io.write_calls)).into(),
        },
    ],
    active: |row| {
        row.changed(|task| task.io.map_or(0, |io| io.read_calls))
            || row.changed(|task| task.io.map_or(0, |io| io.write_calls))
    },
};

fn kib_per_sec(row: &Row<'_>, bytes: fn(&Io) -> u64) -> Value {
    row.per_sec(|task| task.io.map(|io| bytes(&io))).map(|rate| rate / 1024.0).into()
}
