//! Makes rows of the iterator's records: one per process, with the sums over its threads, and one per thread if wanted.

use super::{
    cputime::{adjust, state_letter},
    record::Records,
};
use crate::sample::{
    Comm, Control, Cpu, Delays, Facts, Faults, Io, Memory, Missing, Reading, Sched, Switches, Task, TaskKey,
    Traffic, Want,
};
use pidstat_common::task::{Group, TaskOffsets, Thread, kind};

const PF_WQ_WORKER: u32 = 0x20;
pub const PF_KTHREAD: u32 = 0x0020_0000;

/// What decides how a record becomes a row; the same for a whole run.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What the run needs.
    pub want: Want,
    /// What this kernel has.
    pub offsets: TaskOffsets,
    /// Nanoseconds in a clock tick.
    pub tick_ns: u64,
    /// Bytes in a page.
    pub page_bytes: u64,
    /// What a process that never sent anything has.
    pub traffic: Reading<Traffic>,
    /// Whether the exit hooks keep what dead threads waited.
    pub exits: bool,
}

/// What one thread had at a sample; compared with the next sample's to find what dead threads leave behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    pub tgid: u32,
    pub tid: u32,
    /// Position of the thread's own row, or [`NO_ROW`].
    pub row: usize,
    pub start_ns: u64,
    pub wait_ns: u64,
    pub timeslices: u64,
    /// User and system time as shown.
    pub split: (u64, u64),
}

/// The thread has no row of its own.
pub const NO_ROW: usize = usize::MAX;

/// One process, while its threads are being added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub tgid: u32,
    /// Position of the process's row.
    pub row: usize,
    pub start_ns: u64,
    pub exec_id: u32,
    /// A worker of the kernel's work queues, whose name in /proc says what it last worked on.
    pub worker: bool,
    /// Exact time on a CPU of all threads, dead ones included.
    pub run_ns: u64,
    /// The same as the tick saw it.
    pub utime: u64,
    /// See `utime`.
    pub stime: u64,
    /// What /proc last showed.
    pub prev: (u64, u64),
    /// Of the live threads.
    pub wait_ns: u64,
    /// Of the live threads.
    pub timeslices: u64,
    /// Waiting time and time slices of dead threads, as the exit hooks count them.
    pub dead: (u64, u64),
    /// Minor faults of children that were waited for, less those of whom the I/O was taken off again.
    pub reaped_lead: u64,
    /// What controls it, if that is asked for.
    pub control: Option<Reading<Control>>,
    seq: u32,
    deaths: u32,
    steady: bool,
    count: u32,
    nr_threads: u32,
    /// Whether the first thread is among the marks.
    marked: bool,
}

impl Sum {
    /// Whether no thread died while the records were written: then a thread's counters are either in its own record or in
    /// the process's, and in one of them only. Naive sums go backwards.
    pub fn consistent(&self) -> bool {
        self.steady && self.seq.is_multiple_of(2) && self.count == self.nr_threads
    }

    /// What is known of the first thread while it is the only one.
    pub fn only(&self) -> Mark {
        Mark {
            tgid: self.tgid,
            tid: self.tgid,
            row: NO_ROW,
            start_ns: self.start_ns,
            wait_ns: self.wait_ns,
            timeslices: self.timeslices,
            split: (0, 0),
        }
    }

    fn add(&mut self, thread: &Thread) {
        self.steady &= thread.seq == self.seq && thread.kind >> kind::DEATHS_SHIFT == self.deaths;
        self.count += 1;
        self.nr_threads = thread.nr_threads;
        self.run_ns = self.run_ns.saturating_add(thread.sum_exec);
        self.utime = self.utime.saturating_add(thread.utime);
        self.stime = self.stime.saturating_add(thread.stime);
        if thread.kind & kind::COUNTED == 0 {
            self.wait_ns = self.wait_ns.saturating_add(thread.run_delay);
            self.timeslices = self.timeslices.saturating_add(thread.pcount);
        }
    }
}

/// The records of one walk. All memory is kept for the next.
#[derive(Debug, Default)]
pub struct Gather {
    /// Ascending tgid.
    pub sums: Vec<Sum>,
    /// Threads of processes that have several, or all threads if they get rows; in the order of the walk.
    pub marks: Vec<Mark>,
    /// Rows from elsewhere that belong between those of the walk, descending, so that the next one is the last.
    pub between: Vec<Task>,
    /// Whether the rows may be out of order.
    pub disordered: bool,
    /// Whether the kernel side wrote something that is not a record.
    pub garbled: bool,
    /// Threads that came before their process.
    early: Vec<Thread>,
}

impl Gather {
    /// Forgets the last walk.
    pub fn begin(&mut self) {
        self.sums.clear();
        self.marks.clear();
        self.early.clear();
        self.between.clear();
        (self.disordered, self.garbled) = (false, false);
    }

    /// Takes a piece of output in.
    pub fn add(&mut self, bytes: &[u8], shape: &Shape, only: Option<&[u32]>, rows: &mut Vec<Task>) {
        let mut records = Records::new(bytes);
        for (thread, group) in records.by_ref() {
            if only.is_some_and(|only| only.binary_search(&thread.tgid).is_err()) {
                continue;
            }
            match group {
                Some(group) => self.add_process(thread, group, shape, rows),
                None => self.add_thread(thread, shape, rows),
            }
        }
        self.garbled |= records.garbled();
    }

    /// Adds what waited for the end of the walk.
    pub fn finish(&mut self, shape: &Shape, rows: &mut Vec<Task>) {
        let early = std::mem::take(&mut self.early);
        for thread in &early {
            if let Ok(at) = self.find(thread.tgid) {
                self.add_to(at, thread, shape, rows);
            }
        }
        self.early = early;
        rows.extend(self.between.drain(..).rev());
        if !self.marks.is_sorted_by_key(|mark| (mark.tgid, mark.tid)) {
            self.marks.sort_unstable_by_key(|mark| (mark.tgid, mark.tid));
        }
        self.disordered |= shape.want.threads;
    }

    fn find(&self, tgid: u32) -> Result<usize, usize> {
        // The walk is in the order of thread ids, so threads mostly follow their own process.
        match self.sums.last() {
            Some(last) if last.tgid == tgid => Ok(self.sums.len() - 1),
            Some(last) if last.tgid < tgid => Err(self.sums.len()),
            _ => self.sums.binary_search_by_key(&tgid, |sum| sum.tgid),
        }
    }

    fn add_process(&mut self, thread: &Thread, group: &Group, shape: &Shape, rows: &mut Vec<Task>) {
        let Err(at) = self.find(thread.tgid) else { return };
        self.disordered |= at != self.sums.len();
        while let Some(row) = self.between.pop_if(|row| row.key.tgid <= thread.tgid) {
            // A process that has come out of hiding is taken from the walk.
            if row.key.tgid < thread.tgid {
                rows.push(row);
            }
        }
        let row = rows.len();
        rows.push(process_row(thread, group, shape));
        let mut sum = Sum {
            tgid: thread.tgid,
            row,
            start_ns: thread.start_ns,
            exec_id: thread.exec_id,
            worker: thread.flags & PF_KTHREAD != 0 && thread.flags & PF_WQ_WORKER != 0,
            run_ns: group.sum_exec,
            utime: group.utime,
            stime: group.stime,
            prev: (group.prev_utime, group.prev_stime),
            wait_ns: 0,
            timeslices: 0,
            dead: (group.dead_wait, group.dead_timeslices),
            reaped_lead: group.children[3].wrapping_sub(group.reaped_min_flt),
            control: shape.want.facts.has(Facts::CONTROL).then(|| control_of(thread, group, shape)),
            seq: thread.seq,
            deaths: thread.kind >> kind::DEATHS_SHIFT,
            steady: true,
            count: 0,
            nr_threads: 0,
            marked: shape.want.threads || thread.nr_threads > 1,
        };
        sum.add(thread);
        if sum.marked {
            let mut mark = mark_of(thread);
            if shape.want.threads {
                mark.row = rows.len();
                rows.push(thread_row(thread, mark.split, &rows[row], shape));
            }
            self.marks.push(mark);
        }
        self.sums.insert(at, sum);
    }

    fn add_thread(&mut self, thread: &Thread, shape: &Shape, rows: &mut Vec<Task>) {
        match self.find(thread.tgid) {
            Ok(at) => self.add_to(at, thread, shape, rows),
            // Thread ids have wrapped around: the process comes later. Otherwise it is hidden.
            Err(_) if thread.tgid > thread.tid => self.early.push(*thread),
            Err(_) => {}
        }
    }

    fn add_to(&mut self, at: usize, thread: &Thread, shape: &Shape, rows: &mut Vec<Task>) {
        let Some(sum) = self.sums.get_mut(at) else { return };
        if !sum.marked {
            // Born during the walk.
            sum.marked = true;
            self.marks.push(sum.only());
        }
        sum.add(thread);
        let mut mark = mark_of(thread);
        let process = &mut rows[sum.row];
        add_counters(process, thread, shape);
        if shape.want.threads {
            let own = thread_row(thread, mark.split, process, shape);
            mark.row = rows.len();
            rows.push(own);
        }
        self.marks.push(mark);
    }
}

fn mark_of(thread: &Thread) -> Mark {
    let prev = (thread.prev_utime, thread.prev_stime);
    Mark {
        tgid: thread.tgid,
        tid: thread.tid,
        row: NO_ROW,
        start_ns: thread.start_ns,
        wait_ns: thread.run_delay,
        timeslices: thread.pcount,
        split: adjust(thread.sum_exec, thread.utime, thread.stime, prev),
    }
}

/// A process with its first thread, and the part of its threads that are gone. CPU time is split when all are added up.
fn process_row(thread: &Thread, group: &Group, shape: &Shape) -> Task {
    let want = &shape.want;
    let pages: u64 = group.rss.iter().map(|pages| u64::try_from(*pages).unwrap_or(0)).sum();
    let [cutime, cstime, cgtime, cmin_flt, cmaj_flt] = group.children;
    let mut task = Task {
        ppid: group.ppid,
        cpu: Cpu {
            user_ns: 0,
            system_ns: 0,
            guest_ns: group.gtime,
            children_user_ns: cutime,
            children_system_ns: cstime,
            children_guest_ns: cgtime,
        },
        faults: Faults {
            minor: group.min_flt,
            major: group.maj_flt,
            children_minor: cmin_flt,
            children_major: cmaj_flt,
        },
        memory: Memory {
            virtual_bytes: group.total_vm.saturating_mul(shape.page_bytes),
            resident_bytes: pages.saturating_mul(shape.page_bytes),
        },
        traffic: shape.traffic,
        ..common(thread, 0, shape)
    };
    if want.facts.has(Facts::SCHED) {
        task.sched = sched_of(thread, shape);
    }
    if want.facts.has(Facts::SWITCHES) {
        task.switches = if want.sum_threads {
            Ok(Switches { voluntary: group.nvcsw, involuntary: group.nivcsw })
        } else {
            Ok(switches_of(thread))
        };
    }
    if want.facts.has(Facts::IO) {
        task.io = io_of(&group.io, shape);
    }
    add_counters(&mut task, thread, shape);
    task
}

/// What every thread adds to its process.
fn add_counters(process: &mut Task, thread: &Thread, shape: &Shape) {
    let (cpu, faults) = (&mut process.cpu, &mut process.faults);
    cpu.guest_ns = cpu.guest_ns.saturating_add(thread.gtime);
    faults.minor = faults.minor.saturating_add(thread.min_flt);
    faults.major = faults.major.saturating_add(thread.maj_flt);
    if shape.want.sum_threads
        && let Ok(switches) = &mut process.switches
    {
        switches.voluntary = switches.voluntary.saturating_add(thread.nvcsw);
        switches.involuntary = switches.involuntary.saturating_add(thread.nivcsw);
    }
    if let (Ok(sum), Ok(part)) = (&mut process.io, io_of(&thread.io, shape)) {
        sum.rchar_bytes = sum.rchar_bytes.saturating_add(part.rchar_bytes);
        sum.wchar_bytes = sum.wchar_bytes.saturating_add(part.wchar_bytes);
        sum.read_calls = sum.read_calls.saturating_add(part.read_calls);
        sum.write_calls = sum.write_calls.saturating_add(part.write_calls);
        sum.read_bytes = sum.read_bytes.saturating_add(part.read_bytes);
        sum.write_bytes = sum.write_bytes.saturating_add(part.write_bytes);
        sum.cancelled_write_bytes = sum.cancelled_write_bytes.saturating_add(part.cancelled_write_bytes);
    }
}

/// A thread's own row; what belongs to the whole process it takes from the process's row, as `/proc` does.
fn thread_row(thread: &Thread, (user_ns, system_ns): (u64, u64), process: &Task, shape: &Shape) -> Task {
    let facts = shape.want.facts;
    let mut task = Task {
        ppid: process.ppid,
        threads: process.threads,
        cpu: Cpu { user_ns, system_ns, guest_ns: thread.gtime, ..process.cpu },
        faults: Faults { minor: thread.min_flt, major: thread.maj_flt, ..process.faults },
        memory: process.memory,
        traffic: shape.traffic.and(Err(Missing::DoesNotApply)),
        ..common(thread, thread.tid, shape)
    };
    if facts.has(Facts::SCHED) {
        task.sched = sched_of(thread, shape);
    }
    if facts.has(Facts::SWITCHES) {
        task.switches = Ok(switches_of(thread));
    }
    if facts.has(Facts::IO) {
        task.io = io_of(&thread.io, shape);
    }
    task
}

fn common(thread: &Thread, tid: u32, shape: &Shape) -> Task {
    let key = TaskKey { tgid: thread.tgid, tid, start_ticks: thread.start_ns / shape.tick_ns };
    let mut task = Task {
        uid: thread.uid,
        state: state_letter(thread.state),
        kernel_thread: thread.flags & PF_KTHREAD != 0,
        threads: thread.nr_threads,
        processor: thread.cpu,
        rt_priority: thread.rt_priority,
        policy: thread.policy,
        ..Task::blank(key, Comm::new(&thread.comm), Missing::NotAsked)
    };
    if shape.want.facts.has(Facts::DELAYS) {
        task.delays = if thread.kind & kind::DELAYS != 0 {
            Ok(Delays { block_io_ns: thread.block_io })
        } else if shape.offsets.delays == 0 {
            Err(Missing::NotInKernel)
        } else {
            Err(Missing::NotMeasured)
        };
    }
    task
}

fn sched_of(thread: &Thread, shape: &Shape) -> Reading<Sched> {
    if shape.offsets.run_delay == 0 {
        return Err(Missing::NotInKernel);
    }
    Ok(Sched { run_ns: thread.sum_exec, wait_ns: thread.run_delay, timeslices: thread.pcount })
}

fn switches_of(thread: &Thread) -> Switches {
    Switches { voluntary: thread.nvcsw, involuntary: thread.nivcsw }
}

fn control_of(thread: &Thread, group: &Group, shape: &Shape) -> Reading<Control> {
    if shape.offsets.sig_pgrp == 0 {
        return Err(Missing::NotInKernel);
    }
    // Both stand above these in the kernel.
    const PRIORITY_0: i32 = 100;
    const NICE_0: i32 = 120;
    Ok(Control {
        group: group.pgrp,
        session: group.session,
        terminal: group.tty_nr,
        foreground: group.tpgid.cast_signed(),
        flags: thread.flags,
        priority: thread.prio.cast_signed() - PRIORITY_0,
        nice: thread.static_prio.cast_signed() - NICE_0,
    })
}

pub fn io_of(counters: &[u64; 7], shape: &Shape) -> Reading<Io> {
    if shape.offsets.rchar == 0 {
        return Err(Missing::NotInKernel);
    }
    let [rchar_bytes, wchar_bytes, read_calls, write_calls, read_bytes, write_bytes, cancelled_write_bytes] =
        *counters;
    Ok(Io {
        rchar_bytes,
        wchar_bytes,
        read_calls,
        write_calls,
        read_bytes,
        write_bytes,
        cancelled_write_bytes,
    })
}
