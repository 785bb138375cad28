//! Reads all tasks with one walk of the iterator, and again those whose threads died under it.

use super::{
    cputime::{adjust, never_back},
    exits::Exits,
    gather::{Gather, Mark, NO_ROW, Shape, Sum},
    known::{Gone, Known},
};
use crate::{
    kernel::{
        Attached, Kernel, Object, Reason,
        bpf::{IterBuffer, IterLink, IterProgram, Scope},
        net::PidNamespace,
        task,
    },
    sample::{Delays, Facts, Host, Io, Pids, Reading, Sample, Sched, Switches, Task, TaskKey, Traffic, Want},
    source::procfs::{Reader, Users},
};
use pidstat_common::{exit::Ended, task::want};
use std::{io, os::fd::BorrowedFd};

/// How often a process is read again before /proc is asked.
const TRIES: u32 = 4;
/// What one restricted walk costs, in tasks of a whole walk.
const LINK_COST: usize = 6;

/// The iterator, and everything that is remembered between walks.
#[derive(Debug)]
pub struct Walk {
    program: IterProgram,
    links: Links,
    restrictable: bool,
    buffer: IterBuffer,
    pub shape: Shape,
    pub gather: Gather,
    again: Gather,
    again_rows: Vec<Task>,
    /// Threads that a second look no longer found; their rows stay. In the order of `gather.marks`.
    ended: Vec<Mark>,
    /// Ascending tgid.
    known: Vec<Known>,
    /// Processes that were not there before.
    new: Vec<Known>,
    /// Counts the samples.
    round: u64,
    order: Vec<(TaskKey, usize)>,
    /// Whether a process of the walk before was not in the last one.
    pub vanished: bool,
    /// Those, by number and start.
    pub gone: Vec<((u32, u64), Gone)>,
}

#[derive(Debug)]
enum Links {
    /// One walk over everything.
    Whole(IterLink),
    /// One walk per wanted process.
    Each(Vec<IterLink>),
}

impl Walk {
    /// Loads the program and links it to what is wanted. The exit hooks are attached first if sums over all threads are
    /// wanted: with them the second value, or why there are none.
    ///
    /// # Errors
    /// Why this machine or this user cannot have it.
    pub fn open(
        kernel: &Kernel,
        ours: PidNamespace,
        ring_bytes: u32,
        want: &Want,
        host: &Host,
        traffic: Reading<Traffic>,
    ) -> Result<(Walk, Option<Result<Exits, Reason>>), Reason> {
        let mut asked = if want.sum_threads { want::DEAD | want::OWN_IO } else { 0 };
        for (fact, bit) in [
            (Facts::IO, want::IO),
            (Facts::DELAYS, want::DELAYS),
            (Facts::CGROUP, want::CGROUP),
            (Facts::TRAFFIC_GROUPS, want::CGROUP),
            (Facts::CONTROL, want::CONTROL),
        ] {
            if want.facts.has(fact) {
                asked |= bit;
            }
        }
        let globals = task::globals(kernel.btf(), asked, ours, ring_bytes)?;
        let mut object = Object::load(kernel, &task::FAMILY, &globals)?;
        // The program outlives the object: links and open iterators hold it, and it holds its frozen globals.
        let Attached::Iter(program) = object.attach(kernel, &task::WALK)? else {
            return Err(Reason::Other("the iterator is not one".into()));
        };
        let exits = want.sum_threads.then(|| Exits::attach(kernel, object));
        let failed = |error: &io::Error| Reason::of_call("link creation", error);
        let whole = program.link(Scope::All).map_err(|error| failed(&error))?;
        let restrictable = program.link(Scope::Process(1)).is_ok();
        let links = match &want.pids {
            Pids::Only(list) if restrictable && list.len() * LINK_COST <= threads_of_machine() => {
                let each = list.iter().map(|pid| program.link(Scope::Process(*pid)));
                Links::Each(each.collect::<io::Result<_>>().map_err(|error| failed(&error))?)
            }
            _ => Links::Whole(whole),
        };
        let walk = Walk {
            program,
            links,
            restrictable,
            buffer: IterBuffer::default(),
            shape: Shape {
                want: want.clone(),
                offsets: task::offsets(kernel.btf(), ours.level)?,
                tick_ns: 1_000_000_000 / host.clock_ticks.clamp(1, 1_000_000_000),
                page_bytes: host.page_bytes,
                traffic,
                exits: matches!(exits, Some(Ok(_))),
            },
            gather: Gather::default(),
            again: Gather::default(),
            again_rows: Vec::new(),
            ended: Vec::new(),
            known: Vec::new(),
            new: Vec::new(),
            round: 0,
            order: Vec::new(),
            vanished: false,
            gone: Vec::new(),
        };
        Ok((walk, exits))
    }

    /// Walks, and adds a row for each wanted task to `rows`.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn read(&mut self, rows: &mut Vec<Task>) -> io::Result<()> {
        let (gather, shape) = (&mut self.gather, &self.shape);
        match &self.links {
            Links::Whole(link) => {
                let only = match &shape.want.pids {
                    Pids::All => None,
                    Pids::Only(list) => Some(list.as_slice()),
                };
                link.read(&mut self.buffer, |bytes| gather.add(bytes, shape, only, rows))?;
            }
            Links::Each(links) => {
                for link in links {
                    link.read(&mut self.buffer, |bytes| gather.add(bytes, shape, None, rows))?;
                }
            }
        }
        gather.finish(shape, rows);
        if gather.garbled {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the iterator wrote no records"));
        }
        Ok(())
    }

    /// Completes the rows: sums that a dying thread spoilt are read again, CPU time is split, and names are filled in.
    /// Returns how many sums could not be had exactly.
    pub fn settle(
        &mut self,
        rows: &mut [Task],
        previous: Option<&Sample>,
        again: bool,
        (reader, users, host): (&mut Reader, &mut Users, &Host),
    ) -> u64 {
        let doubtful: Vec<usize> =
            (0..self.gather.sums.len()).filter(|at| !self.gather.sums[*at].consistent()).collect();
        let mut lost = 0;
        self.ended.clear();
        for at in doubtful {
            lost += u64::from(!self.read_again(at, rows));
        }
        let facts = self.shape.want.facts;
        self.round += 1;
        let (mut here, mut still) = (0, 0);
        let mut marks = self.gather.marks.as_mut_slice();
        for sum in &self.gather.sums {
            // Both are sorted, and what is known stays where it is.
            here += self.known[here..].iter().take_while(|known| known.tgid < sum.tgid).count();
            let same = |known: &&mut Known| known.tgid == sum.tgid && known.start_ns == sum.start_ns;
            let known = match self.known.get_mut(here).filter(same) {
                Some(known) => {
                    still += 1;
                    known
                }
                None => {
                    self.new.push(Known::new(sum, previous));
                    let Some(known) = self.new.last_mut() else { continue };
                    known
                }
            };
            known.round = self.round;
            known.ticks_ns = sum.utime.saturating_add(sum.stime);
            let before = marks.iter().take_while(|mark| mark.tgid < sum.tgid).count();
            let own = marks[before..].iter().take_while(|mark| mark.tgid == sum.tgid).count();
            let (of_sum, rest) = marks.split_at_mut(before + own);
            marks = rest;
            let of_sum = &mut of_sum[before..];
            let gone = self.ended.partition_point(|mark| mark.tgid < sum.tgid);
            let until = self.ended.partition_point(|mark| mark.tgid <= sum.tgid);
            known.show_threads(&mut self.ended[gone..until], rows);
            if sum.consistent() {
                known.settle(sum, of_sum, &self.shape, (rows, previous));
            } else {
                known.show_threads(of_sum, rows);
                known.keep_splits(of_sum);
                let shown = previous.and_then(|sample| find(sample, rows[sum.row].key));
                approximate(sum, (known, shown), &self.shape, rows, (reader, host));
                known.doubted = true;
            }
            let row = &mut rows[sum.row];
            // Its first thread is dead and others live: when one of them calls exec it takes the first one's place, and for a
            // moment the dead one stands in the list and in the kernel's sum of the dead.
            known.doubted |= row.state == b'Z' && row.threads > 1;
            if known.doubted {
                if let Some(before) = previous.and_then(|sample| find(sample, row.key)) {
                    not_below(row, before);
                }
                known.shown = (row.cpu.user_ns, row.cpu.system_ns);
            }
            known.control(sum, &mut rows[sum.row]);
            known.name(sum, &mut rows[sum.row], facts, again, (reader, users));
        }
        self.vanished = still < self.known.len();
        self.gone.clear();
        if self.vanished {
            let gone = self.known.iter().filter(|known| known.round != self.round);
            self.gone.extend(gone.map(|known| ((known.tgid, known.start_ns), known.gone())));
            self.known.retain(|known| known.round == self.round);
        }
        if !self.new.is_empty() {
            // Taken, so that the memory for the first sample's processes, all of which are new, is not kept twice.
            self.known.append(&mut std::mem::take(&mut self.new));
            self.known.sort_by_key(|known| known.tgid);
        }
        if self.shape.want.threads {
            name_threads(rows, facts, users);
        }
        lost
    }

    /// Reads one process again until its threads hold still. Says whether they did.
    fn read_again(&mut self, at: usize, rows: &mut [Task]) -> bool {
        let tgid = self.gather.sums[at].tgid;
        if !self.restrictable {
            return false;
        }
        let Ok(link) = self.program.link(Scope::Process(tgid)) else { return false };
        let (again, shape) = (&mut self.again, &self.shape);
        for _ in 0..TRIES {
            again.begin();
            self.again_rows.clear();
            let read =
                link.read(&mut self.buffer, |bytes| again.add(bytes, shape, None, &mut self.again_rows));
            again.finish(shape, &mut self.again_rows);
            let sum = &mut self.gather.sums[at];
            match again.sums.first_mut() {
                Some(new) if read.is_ok() && new.consistent() && new.start_ns == sum.start_ns => {
                    let row = sum.row;
                    if let Some(better) = self.again_rows.drain(..).next() {
                        rows[row] = better;
                    }
                    new.row = row;
                    *sum = *new;
                    break;
                }
                Some(_) => {}
                // It has ended; what was seen of it stays.
                None => return false,
            }
        }
        if !self.gather.sums[at].consistent() {
            return false;
        }
        // The threads' rows stay those of the first walk; each thread is right by itself.
        let all = &mut self.gather.marks;
        for mark in &mut again.marks {
            let first = all.binary_search_by_key(&(tgid, mark.tid), |old| (old.tgid, old.tid));
            let first = first.map(|at| &mut all[at]).ok().filter(|old| old.start_ns == mark.start_ns);
            mark.row = first.map_or(NO_ROW, |first| std::mem::replace(&mut first.row, NO_ROW));
        }
        let start = all.partition_point(|mark| mark.tgid < tgid);
        let end = all.partition_point(|mark| mark.tgid <= tgid);
        let old = all.splice(start..end, again.marks.drain(..));
        self.ended.extend(old.filter(|mark| mark.row != NO_ROW));
        true
    }

    /// Takes the I/O of a child that was freed unseen off its parent from now on.
    pub fn take_off(&mut self, child: &Ended) {
        let parent = self.known.binary_search_by_key(&child.ppid, |known| known.tgid);
        if let Ok(at) = parent
            && child.autoreaped == 0
            && self.known[at].start_ns <= child.start_ns
        {
            self.known[at].take_off(child);
        }
    }

    /// The program that walks.
    pub fn program(&self) -> BorrowedFd<'_> {
        self.program.fd()
    }

    /// Puts rows into the order of their keys.
    pub fn sort(&mut self, rows: &mut [Task]) {
        self.order.clear();
        self.order.extend(rows.iter().enumerate().map(|(at, row)| (row.key, at)));
        self.order.sort_unstable();
        // Rows are large: each is moved at most twice, along the cycles of the permutation.
        for at in 0..self.order.len() {
            let mut here = at;
            loop {
                let from = std::mem::replace(&mut self.order[here].1, here);
                if from == at || from == here {
                    break;
                }
                rows.swap(here, from);
                here = from;
            }
        }
    }
}

/// Gives the threads the names that were looked up for their process, which stands above them.
fn name_threads(rows: &mut [Task], facts: Facts, users: &mut Users) {
    let mut process: Option<Task> = None;
    for row in rows {
        if row.is_process() {
            process = Some(row.clone());
            continue;
        }
        let process = process.as_ref().filter(|process| process.key.tgid == row.key.tgid);
        if let Some(process) = process.filter(|process| process.comm == row.comm) {
            row.long_name.clone_from(&process.long_name);
        }
        if facts.has(Facts::USER) {
            let same = process.filter(|process| process.uid == row.uid);
            row.user = same.map_or_else(|| users.name(row.uid), |process| process.user.clone());
        }
    }
}

/// A process whose threads never held still: CPU, faults and I/O as /proc sums them, the rest as far as it was seen.
fn approximate(
    sum: &Sum,
    (known, shown): (&Known, Option<&Task>),
    shape: &Shape,
    rows: &mut [Task],
    (reader, host): (&mut Reader, &Host),
) {
    let split = adjust(sum.run_ns, sum.utime, sum.stime, sum.prev);
    let row = &mut rows[sum.row];
    (row.cpu.user_ns, row.cpu.system_ns) = never_back(split, known.shown);
    if shape.want.sum_threads
        && let Ok(sched) = &mut row.sched
    {
        *sched = Sched {
            run_ns: sum.run_ns,
            wait_ns: known.dead.0.max(sum.dead.0).saturating_add(sum.wait_ns),
            timeslices: known.dead.1.max(sum.dead.1).saturating_add(sum.timeslices),
        };
    }
    let facts = if row.io.is_ok() { Facts::IO } else { Facts::NONE };
    let want = Want { facts, ..Want::default() };
    if let Ok(files) = reader.process(sum.tgid, &want, host)
        && files.key == row.key
    {
        row.cpu = files.cpu;
        row.faults = files.faults;
        // /proc has the I/O of reaped children in the sum, so what was shown last stays.
        row.io = if shape.exits {
            row.io.and_then(|_| shown.map_or(Ok(Io::default()), |row| row.io))
        } else {
            files.io.or(row.io)
        };
    }
}

/// The row of a task in another sample.
pub fn find(sample: &Sample, key: TaskKey) -> Option<&Task> {
    let at = sample.tasks.binary_search_by_key(&key, |task| task.key).ok()?;
    sample.tasks.get(at)
}

/// Raises every counter to what was shown before.
pub fn not_below(row: &mut Task, shown: &Task) {
    let raise = |now: &mut u64, before: u64| *now = before.max(*now);
    raise(&mut row.cpu.user_ns, shown.cpu.user_ns);
    raise(&mut row.cpu.system_ns, shown.cpu.system_ns);
    raise(&mut row.cpu.guest_ns, shown.cpu.guest_ns);
    raise(&mut row.faults.minor, shown.faults.minor);
    raise(&mut row.faults.major, shown.faults.major);
    if let (Ok(now), Ok(before)) = (&mut row.sched, shown.sched) {
        let Sched { run_ns, wait_ns, timeslices } = before;
        raise(&mut now.run_ns, run_ns);
        raise(&mut now.wait_ns, wait_ns);
        raise(&mut now.timeslices, timeslices);
    }
    if let (Ok(now), Ok(before)) = (&mut row.switches, shown.switches) {
        let Switches { voluntary, involuntary } = before;
        raise(&mut now.voluntary, voluntary);
        raise(&mut now.involuntary, involuntary);
    }
    if let (Ok(now), Ok(before)) = (&mut row.io, shown.io) {
        raise_io(now, before);
    }
    if let (Ok(now), Ok(Delays { block_io_ns })) = (&mut row.delays, shown.delays) {
        raise(&mut now.block_io_ns, block_io_ns);
    }
}

/// Raises every counter to what was shown before.
pub fn raise_io(now: &mut Io, shown: Io) {
    let raise = |now: &mut u64, before: u64| *now = before.max(*now);
    let Io {
        rchar_bytes,
        wchar_bytes,
        read_calls,
        write_calls,
        read_bytes,
        write_bytes,
        cancelled_write_bytes,
    } = shown;
    raise(&mut now.rchar_bytes, rchar_bytes);
    raise(&mut now.wchar_bytes, wchar_bytes);
    raise(&mut now.read_calls, read_calls);
    raise(&mut now.write_calls, write_calls);
    raise(&mut now.read_bytes, read_bytes);
    raise(&mut now.write_bytes, write_bytes);
    raise(&mut now.cancelled_write_bytes, cancelled_write_bytes);
}

/// Threads on this machine, about: the kernel's figure has 16 bits.
fn threads_of_machine() -> usize {
    let mut about = std::mem::MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: `about` is room for one sysinfo, which the call fills; if it fails, the zeros are a valid one.
    let about = unsafe {
        libc::sysinfo(about.as_mut_ptr());
        about.assume_init()
    };
    usize::from(about.procs)
}
