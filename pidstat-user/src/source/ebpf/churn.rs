//! A model of processes whose threads come and go under a walk: what is taken for consistent is right, and nothing falls.

use super::{
    gather::{Gather, Shape},
    known::Known,
};
use crate::sample::{Facts, Missing, Task, Want};
use pidstat_common::task::{Group, Leader, TaskOffsets, Thread, kind};

/// Process totals that are checked.
const CHECKS: u64 = 1_000_000;

/// xorshift64: the same run every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, faces: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % faces
    }
}

/// A process as the kernel keeps it: threads that live, and the sums of those that do not.
struct Process {
    threads: Vec<Thread>,
    dead: Group,
    /// The sequence count of `stats_lock`.
    seq: u32,
    /// How many threads' waiting time the exit hooks have counted.
    deaths: u32,
    next_tid: u32,
}

impl Process {
    fn new() -> Process {
        let mut process =
            Process { threads: Vec::new(), dead: Group::default(), seq: 0, deaths: 0, next_tid: 100 };
        process.bear();
        process
    }

    fn bear(&mut self) {
        let tid = self.next_tid;
        self.next_tid += 1;
        self.threads.push(Thread { tid, tgid: 100, start_ns: u64::from(tid), ..Thread::default() });
    }

    /// Something happens: threads work, one is born, or one dies.
    fn live(&mut self, dice: &mut Dice) {
        let at = dice.below(self.threads.len() as u64) as usize;
        match dice.below(4) {
            0 if self.threads.len() < 6 => self.bear(),
            // The first thread stays until the end.
            1 if at > 0 => {
                let thread = self.threads.remove(at);
                let dead = &mut self.dead;
                dead.sum_exec += thread.sum_exec;
                dead.utime += thread.utime;
                dead.stime += thread.stime;
                dead.min_flt += thread.min_flt;
                dead.nvcsw += thread.nvcsw;
                dead.dead_wait += thread.run_delay;
                dead.dead_timeslices += thread.pcount;
                self.seq += 2;
                self.deaths += 1;
            }
            _ => {
                let thread = &mut self.threads[at];
                let ran = dice.below(5_000_000);
                thread.sum_exec += ran;
                if dice.below(2) == 0 {
                    thread.utime += 4_000_000;
                } else {
                    thread.stime += 4_000_000;
                }
                thread.run_delay += ran / 3;
                thread.min_flt += dice.below(3);
                thread.nvcsw += 1;
                thread.pcount += 1;
            }
        }
    }

    /// CPU time, minor faults, voluntary switches, waiting time.
    fn truth(&self) -> [u64; 4] {
        let Group { sum_exec, min_flt, nvcsw, dead_wait, .. } = self.dead;
        self.threads.iter().fold([sum_exec, min_flt, nvcsw, dead_wait], |[cpu, faults, switches, wait], t| {
            [cpu + t.sum_exec, faults + t.min_flt, switches + t.nvcsw, wait + t.run_delay]
        })
    }

    /// The records of a walk during which things go on happening.
    fn walk(&mut self, dice: &mut Dice, each: &mut dyn FnMut(&[u8])) {
        let mut last = 0;
        while let Some(at) = self.threads.iter().position(|thread| thread.tid > last) {
            let (before, deaths) = (self.seq, self.deaths);
            let mut thread = self.threads[at];
            last = thread.tid;
            let mut group = self.dead;
            group.global_tgid = 100;
            if dice.below(6) == 0 {
                // While the record is written: then its parts need not fit together.
                self.live(dice);
                group.sum_exec = self.dead.sum_exec;
            }
            thread.seq = if before == self.seq { before } else { self.seq | 1 };
            thread.nr_threads = self.threads.len() as u32;
            thread.kind = deaths << kind::DEATHS_SHIFT;
            if thread.tid == 100 {
                thread.kind |= kind::LEADER;
                each(bytes(&Leader { thread, group }));
            } else {
                each(bytes(&thread));
            }
            for _ in 0..dice.below(3) {
                self.live(dice);
            }
        }
    }
}

fn bytes<T: aya::Pod>(value: &T) -> &[u8] {
    // SAFETY: a `Pod` type is as many valid bytes as it is large.
    unsafe { std::slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}

fn shape(exits: bool) -> Shape {
    // All that is asked of the offsets is whether a field exists.
    let offsets = TaskOffsets { run_delay: 1, ..TaskOffsets::ABSENT };
    let want = Want { facts: Facts::SCHED | Facts::SWITCHES, sum_threads: true, ..Want::default() };
    Shape { want, offsets, tick_ns: 10_000_000, page_bytes: 4096, traffic: Err(Missing::NotAsked), exits }
}

fn shown(row: &Task) -> [u64; 4] {
    let (switches, sched) = (row.switches.unwrap(), row.sched.unwrap());
    [row.cpu.user_ns + row.cpu.system_ns, row.faults.minor, switches.voluntary, sched.wait_ns]
}

#[test]
fn a_million_totals_are_right_and_never_fall() {
    let shape = shape(true);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut gather, mut rows) = (Gather::default(), Vec::new());
    let (mut process, mut known): (Process, Option<Known>) = (Process::new(), None);
    let (mut before, mut split) = ([0; 4], (0, 0));
    let (mut checks, mut torn, mut wrong) = (0, 0, 0);
    while checks < CHECKS {
        checks += 1;
        gather.begin();
        rows.clear();
        let least = process.truth();
        process.walk(&mut dice, &mut |piece| gather.add(piece, &shape, None, &mut rows));
        let most = process.truth();
        gather.finish(&shape, &mut rows);
        let sum = gather.sums[0];
        if !sum.consistent() {
            torn += 1;
            wrong += u64::from(!(least[0]..=most[0]).contains(&sum.run_ns));
            continue;
        }
        let known = known.get_or_insert_with(|| Known::new(&sum, None));
        known.settle(&sum, &mut gather.marks, &shape, (&mut rows, None));
        let now = shown(&rows[0]);
        for (at, figure) in now.into_iter().enumerate() {
            // Each thread is read at a moment of its own, so the sum is one of a moment in between.
            assert!((least[at]..=most[at]).contains(&figure), "{at}: {figure} of {least:?} to {most:?}");
            assert!(figure >= before[at], "{at}: {now:?} after {before:?}");
        }
        let halves = (rows[0].cpu.user_ns, rows[0].cpu.system_ns);
        assert!(halves.0 >= split.0 && halves.1 >= split.1, "{halves:?} after {split:?}");
        (before, split) = (now, halves);
    }
    // Neither side was tried too rarely to matter.
    assert!(torn > CHECKS / 20 && torn < CHECKS * 19 / 20, "{torn}");
    // Without the rule all of this would have failed: many of the sums that it refuses are wrong.
    assert!(wrong > CHECKS / 100, "{wrong} of {torn}");
}
