//! `-r`: page faults and memory (`/proc/PID/stat` fields 10 to 13, 23, 24).

use super::{Column, NO_LETTER, Report, Scope, Unit, Value};
use crate::{
    rate::{Level, Row},
    sample::{End, Facts, Missing, Reading, Task},
};

/// Faults and memory of the task.
pub(super) const TASK: Report = Report {
    flag: 'r',
    scope: Scope::Task,
    json: "task-memory",
    title: "memory",
    columns: &[
        Column {
            id: "minflt_per_sec",
            head: "minflt/s",
            json: "minflt/s",
            width: 10,
            unit: Unit::PerSec,
            needs: Facts::NONE,
            machine_only: false,
            help: "Page faults that needed no I/O.",
            read: |row| row.per_sec(|task| Ok(task.faults.minor)).into(),
        },
        Column {
            id: "majflt_per_sec",
            head: "majflt/s",
            json: "majflt/s",
            width: 10,
            unit: Unit::PerSec,
            needs: Facts::NONE,
            machine_only: false,
            help: "Page faults that had to read from storage.",
            read: |row| row.per_sec(|task| Ok(task.faults.major)).into(),
        },
        Column {
            id: "vsz_kib",
            head: "VSZ",
            json: "VSZ",
            width: 8,
            unit: Unit::Kib,
            needs: Facts::NONE,
            machine_only: false,
            help: "Virtual memory of the whole task.",
            read: |row| match row.now.end {
                End::Exited(_) => Value::Missing(Missing::Gone),
                _ => row.level(|task| Ok(task.memory.virtual_bytes >> 10), |sums| sums.virtual_kib).into(),
            },
        },
        Column {
            id: "rss_kib",
            head: "RSS",
            json: "RSS",
            width: 8,
            unit: Unit::Kib,
            needs: Facts::NONE,
            machine_only: false,
            help: "Memory that is not swapped out; of a process that ended, the most there was.",
            read: |row| resident_kib(row).into(),
        },
        Column {
            id: "mem_pct",
            head: "%MEM",
            json: "MEM",
            width: 7,
            unit: Unit::Pct,
            needs: Facts::MEM_TOTAL,
            machine_only: false,
            help: "Share of the machine's memory that is resident in the task.",
            read: memory_share,
        },
    ],
    active,
};

/// What costs a file per process, so that only `--columns` and the like bring it.
pub(super) const MORE: Report = Report {
    flag: NO_LETTER,
    scope: Scope::Task,
    json: "task-memory-more",
    title: "more about memory, by --columns",
    columns: &[Column {
        id: "vm_peak_kib",
        head: "VmPeak",
        json: "VmPeak",
        width: 9,
        unit: Unit::Kib,
        needs: Facts::PEAK,
        machine_only: false,
        help: "Largest virtual memory that the task ever had.",
        read: |row| row.now.peak_kib.into(),
    }],
    active,
};

fn active(row: &Row<'_>) -> bool {
    row.changed(|task| task.faults.minor)
        || row.changed(|task| task.faults.major)
        || row.changed(|task| task.memory.virtual_bytes >> 10)
        || row.changed(|task| task.memory.resident_bytes >> 10)
}

/// Faults of the task and of the children it waited for.
pub(super) const CHILDREN: Report = Report {
    flag: 'r',
    scope: Scope::Children,
    json: "child-memory",
    title: "memory with children",
    columns: &[
        Column {
            id: "children_minflt",
            head: "minflt-nr",
            json: "minflt-nr",
            width: 10,
            unit: Unit::Count,
            needs: Facts::NONE,
            machine_only: false,
            help: "Minor faults of the task and the children it waited for, in the interval.",
            read: |row| {
                children(row, |task| Ok(task.faults.minor.saturating_add(task.faults.children_minor)))
            },
        },
        Column {
            id: "children_majflt",
            head: "majflt-nr",
            json: "majflt-nr",
            width: 10,
            unit: Unit::Count,
            needs: Facts::NONE,
            machine_only: false,
            help: "Major faults of the task and the children it waited for, in the interval.",
            read: |row| {
                children(row, |task| Ok(task.faults.major.saturating_add(task.faults.children_major)))
            },
        },
    ],
    active: |row| {
        row.changed(|task| task.faults.minor)
            || row.changed(|task| task.faults.major)
            || row.changed(|task| task.faults.children_minor)
            || row.changed(|task| task.faults.children_major)
    },
};

fn resident_kib(row: &Row<'_>) -> Reading<Level> {
    row.level(|task| Ok(task.memory.resident_bytes >> 10), |sums| sums.resident_kib)
}

fn memory_share(row: &Row<'_>) -> Value {
    match (resident_kib(row), row.span.mem_total_kib) {
        (Ok(level), Ok(total)) if total > 0 => {
            let kib = match level {
                Level::Now(kib) => kib as f64,
                Level::Mean(kib) => kib.trunc(),
            };
            Value::Real(kib / total as f64 * 100.0)
        }
        (Ok(_), Ok(_)) => Value::Missing(Missing::DoesNotApply),
        (Err(why), _) | (_, Err(why)) => Value::Missing(why),
    }
}

fn children(row: &Row<'_>, counter: fn(&Task) -> Reading<u64>) -> Value {
    match row.delta(counter) {
        Ok(faults) => row.per_sample(faults as f64).into(),
        Err(why) => Value::Missing(why),
    }
}
