//! `-u`: CPU time (`/proc/PID/stat`, `schedstat`; kernel/sched/cputime.c).

use super::{Column, Report, Scope, Unit, Value};
use crate::{
    rate::Row,
    sample::{End, Facts, Missing, Reading, Task},
};

/// CPU time of the task.
pub(super) const TASK: Report = Report {
    flag: 'u',
    scope: Scope::Task,
    json: "task-cpu-load",
    title: "CPU",
    columns: &[
        Column {
            id: "user_pct",
            head: "%usr",
            json: "usr",
            width: 8,
            unit: Unit::Pct,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU time in user mode, without running guests, of one CPU.",
            read: |row| row.pct_of_time(|task| Ok(own_user_ns(row, task))).into(),
        },
        Column {
            id: "system_pct",
            head: "%system",
            json: "system",
            width: 8,
            unit: Unit::Pct,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU time in kernel mode.",
            read: |row| row.pct_of_time(|task| Ok(task.cpu.system_ns)).into(),
        },
        Column {
            id: "guest_pct",
            head: "%guest",
            json: "guest",
            width: 8,
            unit: Unit::Pct,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU time running virtual CPUs.",
            read: |row| row.pct_of_time(|task| Ok(task.cpu.guest_ns)).into(),
        },
        Column {
            id: "wait_pct",
            head: "%wait",
            json: "wait",
            width: 8,
            unit: Unit::Pct,
            needs: Facts::SCHED,
            machine_only: false,
            help: "Time runnable but waiting for a CPU (not I/O wait), summed over all threads.",
            read: |row| row.pct_of_time(|task| task.sched.map(|sched| sched.wait_ns)).into(),
        },
        Column {
            id: "cpu_pct",
            head: "%CPU",
            json: "cpu",
            width: 8,
            unit: Unit::Pct,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU time in all modes of one CPU, so a process with busy threads shows more than 100; of all CPUs with -I.",
            read: cpu,
        },
        Column {
            id: "cpu_number",
            head: "CPU",
            json: "cpu_nr",
            width: 6,
            unit: Unit::CpuNumber,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU on which the task last ran.",
            read: |row| match row.sums {
                Some(_) => Value::Missing(Missing::DoesNotApply),
                None => super::unless_unknown(row.now.processor, |number| Value::Whole(number.into())),
            },
        },
    ],
    active,
};

/// Whether the task ran.
pub(super) fn active(row: &Row<'_>) -> bool {
    shows(row, |task| task.cpu.user_ns) || shows(row, |task| task.cpu.system_ns)
}

/// CPU time of the task and of the children it waited for.
pub(super) const CHILDREN: Report = Report {
    flag: 'u',
    scope: Scope::Children,
    json: "child-cpu-load",
    title: "CPU with children",
    columns: &[
        Column {
            id: "children_user_ms",
            head: "usr-ms",
            json: "usr-ms",
            width: 10,
            unit: Unit::Milliseconds,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU time in user mode of the task and the children it waited for.",
            read: |row| {
                children_ms(row, |task| {
                    let (cpu, cut) = (&task.cpu, |ns| row.cut(ns));
                    let guest_ns = cut(cpu.guest_ns).saturating_add(cut(cpu.children_guest_ns));
                    Ok(cut(cpu.user_ns).saturating_add(cut(cpu.children_user_ns)).saturating_sub(guest_ns))
                })
            },
        },
        Column {
            id: "children_system_ms",
            head: "system-ms",
            json: "system-ms",
            width: 10,
            unit: Unit::Milliseconds,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU time in kernel mode of the task and the children it waited for.",
            read: |row| {
                children_ms(row, |task| {
                    Ok(row.cut(task.cpu.system_ns).saturating_add(row.cut(task.cpu.children_system_ns)))
                })
            },
        },
        Column {
            id: "children_guest_ms",
            head: "guest-ms",
            json: "guest-ms",
            width: 10,
            unit: Unit::Milliseconds,
            needs: Facts::NONE,
            machine_only: false,
            help: "CPU time running virtual CPUs of the task and the children it waited for.",
            read: |row| {
                children_ms(row, |task| {
                    Ok(row.cut(task.cpu.guest_ns).saturating_add(row.cut(task.cpu.children_guest_ns)))
                })
            },
        },
    ],
    active: |row| {
        shows(row, |task| task.cpu.user_ns)
            || shows(row, |task| task.cpu.system_ns)
            || shows(row, |task| task.cpu.children_user_ns)
            || shows(row, |task| task.cpu.children_system_ns)
    },
};

/// Whether a time grew by so much that two decimals show it. Nearly every task runs for some microseconds, and rows of
/// zeros help nobody; where only ticks are known, one tick is always enough, as in sysstat.
pub(super) fn shows(row: &Row<'_>, time_ns: fn(&Task) -> u64) -> bool {
    // Of a process that ended, this is the only report there will ever be.
    if let End::Exited(_) = row.now.end {
        return row.changed(time_ns);
    }
    let tick_ns = row.span.tick_ns;
    if tick_ns > 1 {
        return row.changed(|task| time_ns(task) / tick_ns);
    }
    let least_ns = (row.span.elapsed_centis * 1e7 * 0.000_05).min(1e7);
    row.distance(time_ns) as f64 >= least_ns && row.changed(time_ns)
}

fn own_user_ns(row: &Row<'_>, task: &Task) -> u64 {
    // The kernel adds guest time to user time; the two are read apart and may cross by a tick.
    row.cut(task.cpu.user_ns).saturating_sub(row.cut(task.cpu.guest_ns))
}

fn cpu(row: &Row<'_>) -> Value {
    let used = |task: &Task| Ok(row.cut(task.cpu.user_ns).saturating_add(row.cut(task.cpu.system_ns)));
    if !row.span.of_machine {
        return row.pct_of_time(used).into();
    }
    match (row.delta_ticks(used), row.span.total_cpu_ticks) {
        (Ok(ticks), Ok(total)) if total > 0.0 => Value::Real(ticks / total * 100.0),
        (Ok(_), Ok(_)) => Value::Real(0.0),
        (Err(why), _) | (_, Err(why)) => Value::Missing(why),
    }
}

fn children_ms(row: &Row<'_>, counter: impl Fn(&Task) -> Reading<u64>) -> Value {
    match row.delta_ticks(counter) {
        Ok(ticks) => {
            let ms = ticks / row.span.ticks_per_second * 1000.0;
            match row.sums {
                Some(sums) if sums.samples > 0 => Value::Real(ms / f64::from(sums.samples)),
                _ => Value::Real(ms),
            }
        }
        Err(why) => Value::Missing(why),
    }
}
