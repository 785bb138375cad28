//! `--delay`: what the task waited for (taskstats; kernel/delayacct.c, kernel/sched/stats.h).

use super::{Column, Report, Scope, Unit, Value, cpu};
use crate::{
    rate::Row,
    sample::{Facts, Missing, Reading, Task, Waits},
};

/// What is needed for all but the run queue.
const NEEDS: Facts = Facts::WAITS.and(Facts::DELAYS);

/// Shares of the interval.
pub(super) const REPORT: Report = Report {
    flag: super::DELAY,
    scope: Scope::Task,
    json: "delays",
    title: "delays, by --delay",
    columns: &[
        Column {
            id: "run_queue_delay_pct",
            head: "%runq",
            json: "runq",
            width: 9,
            unit: Unit::Pct,
            needs: Facts::SCHED,
            machine_only: false,
            help: "Time runnable but waiting for a CPU, summed over all threads; always measured.",
            read: |row| row.pct_of_time(|task| task.sched.map(|sched| sched.wait_ns)).into(),
        },
        Column {
            id: "block_io_delay_pct",
            head: "%blkio",
            json: "blkio",
            width: 9,
            unit: Unit::Pct,
            needs: NEEDS,
            machine_only: false,
            help: "Time waiting for storage, summed over all threads; in recordings of /proc swap-in is in it. This and the following are missing unless kernel.task_delayacct was on when the task was forked.",
            read: |row| row.waited(row.delta_ticks(block_io_ns)).map(|ticks| row.pct(ticks)).into(),
        },
        Column {
            id: "swap_in_delay_pct",
            head: "%swapin",
            json: "swapin",
            width: 9,
            unit: Unit::Pct,
            needs: NEEDS,
            machine_only: false,
            help: "Time waiting for pages to come back from swap.",
            read: |row| pct(row, |waits| Some(waits.swap_in_ns)),
        },
        Column {
            id: "reclaim_delay_pct",
            head: "%reclaim",
            json: "reclaim",
            width: 9,
            unit: Unit::Pct,
            needs: NEEDS,
            machine_only: false,
            help: "Time spent making room in memory before pages could be had (direct reclaim).",
            read: |row| pct(row, |waits| waits.reclaim_ns),
        },
        Column {
            id: "thrashing_delay_pct",
            head: "%thrash",
            json: "thrash",
            width: 9,
            unit: Unit::Pct,
            needs: NEEDS,
            machine_only: false,
            help: "Time waiting for pages that were dropped a moment ago (Linux 4.20).",
            read: |row| pct(row, |waits| waits.thrashing_ns),
        },
        Column {
            id: "compaction_delay_pct",
            head: "%compact",
            json: "compact",
            width: 9,
            unit: Unit::Pct,
            needs: NEEDS,
            machine_only: false,
            help: "Time spent making room for huge pages (Linux 5.19).",
            read: |row| pct(row, |waits| waits.compaction_ns),
        },
        Column {
            id: "write_copy_delay_pct",
            head: "%wpcopy",
            json: "wpcopy",
            width: 9,
            unit: Unit::Pct,
            needs: NEEDS,
            machine_only: false,
            help: "Time spent copying shared pages at the first write (Linux 6.0).",
            read: |row| pct(row, |waits| waits.write_copy_ns),
        },
        Column {
            id: "irq_delay_pct",
            head: "%irq",
            json: "irq",
            width: 9,
            unit: Unit::Pct,
            needs: NEEDS,
            machine_only: false,
            help: "Time interrupted by hardware and soft interrupts (Linux 6.4, CONFIG_IRQ_TIME_ACCOUNTING).",
            read: |row| pct(row, |waits| waits.interrupt_ns),
        },
    ],
    active: |row| {
        cpu::shows(row, |task| task.sched.map_or(0, |sched| sched.wait_ns))
            || cpu::shows(row, |task| block_io_ns(task).unwrap_or(0))
            || cpu::shows(row, |task| task.waits.map_or(0, |waits| other_ns(&waits)))
    },
};

/// Files have it with the time for swapping in added.
fn block_io_ns(task: &Task) -> Reading<u64> {
    match task.waits {
        Err(Missing::NotInSource) => task.delays.map(|delays| delays.block_io_ns),
        waits => waits.map(|waits| waits.block_io_ns),
    }
}

fn other_ns(waits: &Waits) -> u64 {
    let newer =
        [waits.reclaim_ns, waits.thrashing_ns, waits.compaction_ns, waits.write_copy_ns, waits.interrupt_ns];
    newer.into_iter().flatten().fold(waits.swap_in_ns, u64::saturating_add)
}

fn pct(row: &Row<'_>, part: fn(&Waits) -> Option<u64>) -> Value {
    row.pct_of_time(|task| part(&task.waits?).ok_or(Missing::NotInKernel)).into()
}
