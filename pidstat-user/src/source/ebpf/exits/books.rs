//! The books of ended processes: joins each record with the last row of its process and with its traffic. No I/O.
//!
//! A process is in the walk until it is released, and its record comes 18 to 280 ms after that. Until then its last row
//! stands in `departed` as it was, so that the record, when it comes, is compared with it and nothing counts twice.

use super::super::{
    cputime::{adjust, never_back},
    gather::{PF_KTHREAD, Shape, Sum, io_of},
    known::Gone,
    task::not_below,
};
use crate::{
    sample::{
        Comm, Cpu, Delays, End, Exit, Exited, Facts, Faults, Memory, Missing, Pids, Sample, Sched, Switches,
        Task, TaskKey,
    },
    source::procfs::{Users, groups::Groups},
};
use pidstat_common::exit::Ended;
use std::collections::HashMap;

/// How long the last row of a process waits for its record, after which the record must be lost: longer than it takes to look
/// for one that the kernel did not send.
const LEAVING_NS: u64 = 20_000_000_000;
/// How long the traffic of a process that no walk ever saw waits for its record.
const HELD_NS: u64 = 2_000_000_000;

/// Where names are looked up.
pub struct Names<'a> {
    /// Of users.
    pub users: &'a mut Users,
    /// Of control groups, if they are asked for.
    pub groups: Option<&'a mut Groups>,
}

/// What is remembered between samples.
#[derive(Debug, Default)]
pub struct Books {
    /// When the first sample was taken: older processes that it did not show had ended before.
    begun_ns: u64,
    arrived: Vec<Ended>,
    /// Those with I/O of children that were reaped and are freed later than their parent, and until when that is waited for.
    parents: Vec<(Ended, u64)>,
    /// Minor faults of children that processes of the first sample had reaped before it.
    reaped_before: Vec<(TaskKey, u64)>,
    /// Traffic of processes without a row, and since when.
    held: Vec<(Task, u64)>,
    /// Time, as the tick saw it, of all processes that are in no walk any more.
    pub gone_ns: u64,
    /// What was known of those whose record is still to come, by number and start.
    leaving: HashMap<(u32, u64), Gone>,
}

impl Books {
    /// These processes were in the last walk but one and not in the last.
    pub fn left(&mut self, gone: &[((u32, u64), Gone)]) {
        for (who, gone) in gone {
            self.gone_ns += gone.ticks_ns;
            self.leaving.insert(*who, *gone);
        }
    }

    /// A record came.
    pub fn arrived(&mut self, record: Ended) {
        self.arrived.push(record);
    }

    /// Completes `out.departed` of a sample whose tasks are complete and sorted, and whose `departed` holds the traffic of
    /// those that are in no row. The records must have been taken over before the walk.
    /// `sums` are of the same walk; `vanished` says whether a process may be gone since the one before.
    pub fn fill(
        &mut self,
        previous: Option<&Sample>,
        out: &mut Sample,
        (sums, vanished): (&[Sum], bool),
        shape: &Shape,
        names: &mut Names<'_>,
    ) {
        let Some(previous) = previous else {
            self.begin(out, sums, shape);
            return;
        };
        self.hold(out);
        leave(previous, out, vanished);
        self.join(previous, out, false, shape, names);
    }

    fn begin(&mut self, out: &Sample, sums: &[Sum], shape: &Shape) {
        *self = Books { begun_ns: out.uptime_ns, ..Books::default() };
        let parents = sums.iter().filter(|sum| sum.reaped_lead > 0);
        let key = |sum: &Sum| TaskKey { tgid: sum.tgid, tid: 0, start_ticks: sum.start_ns / shape.tick_ns };
        self.reaped_before.extend(parents.map(|sum| (key(sum), sum.reaped_lead)));
        self.reaped_before.sort_unstable();
    }

    /// Whether some of a process's I/O is of children whose records are still to come.
    fn lacks_children(&self, record: &Ended, shape: &Shape) -> bool {
        let key = key_of(record, shape);
        let before = self.reaped_before.binary_search_by(|(other, _)| other.cmp(&key));
        let before = before.map_or(0, |at| self.reaped_before[at].1);
        record.children[3] > record.reaped_min_flt.saturating_add(before)
    }

    /// Takes a child's I/O off its parents whose records came before.
    fn take_off(&mut self, child: &Ended) {
        if child.autoreaped != 0 {
            return;
        }
        let parents = self.parents.iter_mut().map(|(parent, _)| parent);
        for parent in parents.filter(|parent| parent.pid == child.ppid && parent.end_ns >= child.end_ns) {
            for (sum, part) in parent.reaped_io.iter_mut().zip(child.io) {
                *sum = sum.saturating_add(part);
            }
            parent.reaped_min_flt += child.min_flt + child.children[3];
        }
    }

    /// The records that are complete, in the order in which they came.
    fn complete(&mut self, now_ns: u64, closing: bool, shape: &Shape) -> Vec<Ended> {
        let mut complete = Vec::new();
        for record in std::mem::take(&mut self.arrived) {
            self.take_off(&record);
            if shape.want.facts.has(Facts::IO) && self.lacks_children(&record, shape) {
                self.parents.push((record, now_ns + HELD_NS));
            } else {
                complete.push(record);
            }
        }
        for (record, until) in std::mem::take(&mut self.parents) {
            if closing || now_ns >= until || !self.lacks_children(&record, shape) {
                complete.push(record);
            } else {
                self.parents.push((record, until));
            }
        }
        complete
    }

    /// The same for records that came after the walk.
    pub fn late(
        &mut self,
        previous: &Sample,
        out: &mut Sample,
        closing: bool,
        shape: &Shape,
        names: &mut Names<'_>,
    ) {
        // Whoever was in the walk, or was born after it, belongs to the next sample.
        let later = |record: &Ended| {
            record.start_ns > out.uptime_ns || position(&out.tasks, key_of(record, shape)).is_ok()
        };
        self.arrived.retain(|record| !later(record));
        self.join(previous, out, closing, shape, names);
    }

    /// Whether records are missing.
    pub fn waits(&self, out: &Sample) -> bool {
        !self.held.is_empty()
            || !self.parents.is_empty()
            || out.departed.iter().any(|task| matches!(task.end, End::Leaving { .. }))
    }

    /// Takes the traffic of those without a row aside. The net family forgets who is gone; what waits here stays.
    fn hold(&mut self, out: &mut Sample) {
        let now = out.uptime_ns;
        for task in out.departed.drain(..) {
            match self.held.binary_search_by(|(other, _)| other.key.cmp(&task.key)) {
                Ok(at) => self.held[at].0 = task,
                Err(at) => self.held.insert(at, (task, now)),
            }
        }
        // Born after the last walk, it has a row now.
        self.held.retain(|(task, _)| position(&out.tasks, task.key).is_err());
    }

    /// Turns records into rows, and shows traffic for which no record will come.
    fn join(
        &mut self,
        previous: &Sample,
        out: &mut Sample,
        closing: bool,
        shape: &Shape,
        names: &mut Names<'_>,
    ) {
        for record in self.complete(out.uptime_ns, closing, shape) {
            let key = key_of(&record, shape);
            let wanted = match &shape.want.pids {
                Pids::All => true,
                Pids::Only(list) => {
                    matches!(shape.want.exited, Exited::Fold(_)) || list.binary_search(&key.tgid).is_ok()
                }
            };
            let last = position(&out.departed, key);
            let leaving = self.leaving.remove(&(record.pid, record.start_ns));
            if leaving.is_some() || record.start_ns >= self.begun_ns {
                let ticks_ns = record.utime.saturating_add(record.stime);
                self.gone_ns += ticks_ns.saturating_sub(leaving.map_or(0, |gone| gone.ticks_ns));
            }
            if !wanted || last.is_err() && record.start_ns < self.begun_ns {
                continue;
            }
            let mut row = final_row(&record, last.ok().map(|at| &out.departed[at]), shape, names);
            if leaving.is_some_and(|gone| gone.exec_id != record.exec_id) {
                // It called exec after it was last seen: that was the line of another program.
                row.cmdline = None;
            }
            if let Ok(at) = self.held.binary_search_by(|(task, _)| task.key.cmp(&key)) {
                row.traffic = self.held.remove(at).0.traffic;
            } else if let (Err(_), Ok(at)) = (last, position(&previous.departed, key)) {
                // Its traffic was shown before.
                row.traffic = previous.departed[at].traffic;
            }
            match last {
                Ok(at) => out.departed[at] = row,
                Err(at) => out.departed.insert(at, row),
            }
        }
        let now = out.uptime_ns;
        let (mut held, keep) = (std::mem::take(&mut self.held), &mut self.held);
        for (task, since) in held.drain(..) {
            let place = position(&out.departed, task.key);
            let known = position(&previous.departed, task.key)
                .is_ok_and(|at| !matches!(previous.departed[at].end, End::Leaving { .. }));
            match place {
                Ok(_) if !closing => keep.push((task, since)),
                Ok(at) => out.departed[at] = task,
                Err(at) if closing || known || task.key.tgid == 0 || now >= since + HELD_NS => {
                    out.departed.insert(at, task);
                }
                Err(_) => keep.push((task, since)),
            }
        }
    }
}

/// Adds the last row of every process that the walk no longer has.
fn leave(previous: &Sample, out: &mut Sample, vanished: bool) {
    let since_ns = out.uptime_ns;
    let mut there = out.tasks.as_slice();
    // Rows are large, and looking at all of them costs as much as a good part of the walk.
    let before = if vanished { previous.tasks.as_slice() } else { &[] };
    for task in before.iter().filter(|task| task.is_process()) {
        while let Some((first, rest)) = there.split_first()
            && first.key < task.key
        {
            there = rest;
        }
        if there.first().is_none_or(|first| first.key != task.key) {
            out.departed.push(Task { end: End::Leaving { since_ns }, ..task.clone() });
        }
    }
    for task in &previous.departed {
        if let End::Leaving { since_ns } = task.end
            && since_ns + LEAVING_NS > out.uptime_ns
            && position(&out.tasks, task.key).is_err()
        {
            out.departed.push(task.clone());
        }
    }
    out.departed.sort_unstable_by_key(|task| task.key);
}

fn position(tasks: &[Task], key: TaskKey) -> Result<usize, usize> {
    tasks.binary_search_by(|task| task.key.cmp(&key))
}

fn key_of(record: &Ended, shape: &Shape) -> TaskKey {
    TaskKey { tgid: record.pid, tid: 0, start_ticks: record.start_ns / shape.tick_ns }
}

/// The row of a process that ended; `last` is the one that was shown before.
pub fn final_row(record: &Ended, last: Option<&Task>, shape: &Shape, names: &mut Names<'_>) -> Task {
    let facts = shape.want.facts;
    let split = adjust(record.sum_exec, record.utime, record.stime, (record.prev_utime, record.prev_stime));
    let shown = last.map_or((0, 0), |task| (task.cpu.user_ns, task.cpu.system_ns));
    let (user_ns, system_ns) = never_back(split, shown);
    let [cutime, cstime, cgtime, cmin_flt, cmaj_flt] = record.children;
    let peak_bytes = record.maxrss.saturating_mul(shape.page_bytes);
    let mut task = Task {
        ppid: record.ppid,
        uid: record.uid,
        state: b'X',
        kernel_thread: record.flags & PF_KTHREAD != 0,
        processor: record.cpu,
        rt_priority: record.rt_priority,
        policy: record.policy,
        cpu: Cpu {
            user_ns,
            system_ns,
            guest_ns: record.gtime,
            children_user_ns: cutime,
            children_system_ns: cstime,
            children_guest_ns: cgtime,
        },
        faults: Faults {
            minor: record.min_flt,
            major: record.maj_flt,
            children_minor: cmin_flt,
            children_major: cmaj_flt,
        },
        memory: Memory { virtual_bytes: 0, resident_bytes: peak_bytes },
        traffic: shape.traffic,
        end: End::Exited(Exit { status: record.status, at_ns: record.end_ns }),
        ..Task::blank(key_of(record, shape), Comm::new(&record.comm), Missing::Gone)
    };
    if facts.has(Facts::SCHED) {
        task.sched = if shape.offsets.run_delay == 0 {
            Err(Missing::NotInKernel)
        } else {
            Ok(Sched { run_ns: record.sum_exec, wait_ns: record.run_delay, timeslices: record.pcount })
        };
    }
    if facts.has(Facts::DELAYS) {
        task.delays = match record.block_io {
            _ if shape.offsets.delays == 0 => Err(Missing::NotInKernel),
            u64::MAX => Err(Missing::NotMeasured),
            block_io_ns => Ok(Delays { block_io_ns }),
        };
    }
    if facts.has(Facts::SWITCHES) {
        task.switches = Ok(Switches { voluntary: record.nvcsw, involuntary: record.nivcsw });
    }
    if facts.has(Facts::IO) {
        let mut own = record.io;
        for (sum, reaped) in own.iter_mut().zip(record.reaped_io) {
            *sum = sum.saturating_sub(reaped);
        }
        task.io = io_of(&own, shape);
    }
    if facts.has(Facts::USER) {
        task.user = names.users.name(record.uid);
    }
    if let Some(groups) = &mut names.groups {
        task.cgroup = groups.of(record.cgroup);
    }
    if let Some(last) = last {
        not_below(&mut task, last);
        task.cmdline.clone_from(&last.cmdline);
        if last.cgroup.is_ok() {
            task.cgroup.clone_from(&last.cgroup);
        }
        task.traffic = last.traffic;
    }
    task
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Traffic;

    fn moved(tgid: u32, tx_bytes: u64) -> Task {
        let key = TaskKey { tgid, tid: 0, start_ticks: 5 };
        let traffic = Ok(Traffic { tx_bytes, ..Traffic::default() });
        Task { traffic, end: End::TrafficOnly, ..Task::blank(key, Comm::default(), Missing::NotAsked) }
    }

    #[test]
    fn traffic_waits_for_its_process_although_the_net_family_forgot_it() {
        let mut books = Books::default();
        let seen = |uptime_ns, departed| Sample { uptime_ns, departed, ..Sample::default() };
        books.hold(&mut seen(10, vec![moved(7, 100), moved(9, 1)]));
        books.hold(&mut seen(20, vec![moved(7, 404), moved(8, 2)]));
        books.hold(&mut Sample { tasks: vec![moved(9, 1)], ..seen(30, Vec::new()) });
        let bytes = |task: &Task| task.traffic.unwrap().tx_bytes;
        let held: Vec<_> =
            books.held.iter().map(|(task, since)| (task.key.tgid, bytes(task), *since)).collect();
        assert_eq!(held, [(7, 404, 10), (8, 2, 20)]);
    }
}
