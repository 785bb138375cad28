//! Counters that the kernel keeps per thread only: their sum over a process, threads that ended included.

use crate::sample::{Missing, Reading, Sched, Switches, TaskKey};
use std::collections::HashMap;

/// What the kernel counts per thread but not per process, of one live thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadCounters {
    /// The thread.
    pub tid: u32,
    /// Its `schedstat`.
    pub sched: Reading<Sched>,
    /// The switches of its `status`.
    pub switches: Reading<Switches>,
}

/// Adds up what threads have; the first reason stands for a sum in which a part is missing.
pub fn total(threads: &[ThreadCounters]) -> (Reading<Sched>, Reading<Switches>) {
    let (mut sched, mut switches) = (Sched::default(), Switches::default());
    let (mut no_sched, mut no_switches) = (None, None);
    for thread in threads {
        match thread.sched {
            Ok(part) => sched = add_sched(sched, part),
            Err(why) => no_sched = no_sched.or(Some(why)),
        }
        match thread.switches {
            Ok(part) => switches = add_switches(switches, part),
            Err(why) => no_switches = no_switches.or(Some(why)),
        }
    }
    if threads.is_empty() {
        return (Err(Missing::Gone), Err(Missing::Gone));
    }
    (no_sched.map_or(Ok(sched), Err), no_switches.map_or(Ok(switches), Err))
}

/// Adds scheduler figures of two threads.
pub fn add_sched(a: Sched, b: Sched) -> Sched {
    Sched {
        run_ns: a.run_ns.saturating_add(b.run_ns),
        wait_ns: a.wait_ns.saturating_add(b.wait_ns),
        timeslices: a.timeslices.saturating_add(b.timeslices),
    }
}

/// Adds switches of two threads.
pub fn add_switches(a: Switches, b: Switches) -> Switches {
    Switches {
        voluntary: a.voluntary.saturating_add(b.voluntary),
        involuntary: a.involuntary.saturating_add(b.involuntary),
    }
}

/// What is remembered of processes with several threads, so that a sum never falls when a thread ends.
///
/// What a thread did after it was last seen is lost, and so is all of one that lived between two samples; the kernel
/// side has neither gap. When a thread other than the first calls exec, it takes over the first one's number and is
/// counted twice up to there.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<TaskKey, Account>,
    round: u64,
}

#[derive(Debug, Default)]
struct Account {
    ended_sched: Sched,
    ended_switches: Switches,
    live: Vec<ThreadCounters>,
    round: u64,
}

impl Ledger {
    /// Begins a sample.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// Ends a sample: forgets the processes that were not in it.
    pub fn end(&mut self) {
        let round = self.round;
        self.accounts.retain(|_, account| account.round == round);
    }

    /// Whether this process had several threads before.
    pub fn knows(&self, process: TaskKey) -> bool {
        self.accounts.contains_key(&process)
    }

    /// Puts into `out` the threads that were live before and are not among `now` (ascending).
    pub fn unseen(&self, process: TaskKey, now: &[ThreadCounters], out: &mut Vec<u32>) {
        out.clear();
        let Some(account) = self.accounts.get(&process) else { return };
        out.extend(account.live.iter().map(|thread| thread.tid).filter(|tid| find(now, *tid).is_none()));
    }

    /// Takes the present counters of a process's live threads (ascending) and gives its sums.
    pub fn settle(
        &mut self,
        process: TaskKey,
        now: &[ThreadCounters],
    ) -> (Reading<Sched>, Reading<Switches>) {
        let account = self.accounts.entry(process).or_default();
        account.round = self.round;
        for before in &account.live {
            // A number that is used again starts from zero.
            if find(now, before.tid).is_none_or(|thread| fell(before, thread)) {
                account.ended_sched = add_sched(account.ended_sched, before.sched.unwrap_or_default());
                account.ended_switches =
                    add_switches(account.ended_switches, before.switches.unwrap_or_default());
            }
        }
        account.live.clear();
        account.live.extend_from_slice(now);
        let (sched, switches) = total(now);
        (
            sched.map(|live| add_sched(live, account.ended_sched)),
            switches.map(|live| add_switches(live, account.ended_switches)),
        )
    }
}

fn find(threads: &[ThreadCounters], tid: u32) -> Option<&ThreadCounters> {
    threads.binary_search_by_key(&tid, |thread| thread.tid).ok().map(|at| &threads[at])
}

/// Whether any counter is lower than before. One that could not be read now counts as lower: what it had is kept.
fn fell(before: &ThreadCounters, now: &ThreadCounters) -> bool {
    let sched = match (before.sched, now.sched) {
        (Ok(a), Ok(b)) => b.run_ns < a.run_ns || b.wait_ns < a.wait_ns || b.timeslices < a.timeslices,
        (Ok(_), Err(_)) => true,
        (Err(_), _) => false,
    };
    let switches = match (before.switches, now.switches) {
        (Ok(a), Ok(b)) => b.voluntary < a.voluntary || b.involuntary < a.involuntary,
        (Ok(_), Err(_)) => true,
        (Err(_), _) => false,
    };
    sched || switches
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: TaskKey = TaskKey { tgid: 7, tid: 0, start_ticks: 1 };

    fn thread(tid: u32, count: u64) -> ThreadCounters {
        ThreadCounters {
            tid,
            sched: Ok(Sched { run_ns: count * 100, wait_ns: count * 10, timeslices: count }),
            switches: Ok(Switches { voluntary: count, involuntary: 0 }),
        }
    }

    fn settle(ledger: &mut Ledger, now: &[ThreadCounters]) -> u64 {
        ledger.begin();
        let (sched, switches) = ledger.settle(PROCESS, now);
        ledger.end();
        assert_eq!(sched.unwrap().timeslices, switches.unwrap().voluntary);
        switches.unwrap().voluntary
    }

    #[test]
    fn a_thread_that_ends_stays_in_the_sum() {
        let mut ledger = Ledger::default();
        assert_eq!(settle(&mut ledger, &[thread(7, 5), thread(8, 100)]), 105);
        assert_eq!(settle(&mut ledger, &[thread(7, 6)]), 106);
        assert_eq!(settle(&mut ledger, &[thread(7, 6), thread(9, 3)]), 109);
    }

    #[test]
    fn a_number_that_is_used_again_starts_from_zero() {
        let mut ledger = Ledger::default();
        assert_eq!(settle(&mut ledger, &[thread(7, 5), thread(8, 100)]), 105);
        assert_eq!(settle(&mut ledger, &[thread(7, 5), thread(8, 1)]), 106);
    }

    #[test]
    fn processes_that_end_are_forgotten() {
        let mut ledger = Ledger::default();
        settle(&mut ledger, &[thread(7, 5), thread(8, 100)]);
        let mut unseen = Vec::new();
        ledger.unseen(PROCESS, &[thread(7, 5)], &mut unseen);
        assert_eq!(unseen, [8]);
        ledger.begin();
        ledger.end();
        assert!(!ledger.knows(PROCESS));
    }

    #[test]
    fn a_sum_with_a_hole_is_no_sum() {
        let hole = ThreadCounters { sched: Err(Missing::NoPermission), ..thread(8, 1) };
        let (sched, switches) = total(&[thread(7, 5), hole]);
        assert_eq!(sched, Err(Missing::NoPermission));
        assert_eq!(switches.unwrap().voluntary, 6);
    }
}
