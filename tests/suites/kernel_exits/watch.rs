//! Samples like the command does, and adds up what every process was reported to have done.

use pidstat_user::{
    clock::Clock,
    rate::{self, Before, Row, Span},
    sample::{Comm, End, Facts, Losses, Missing, Pids, Sample, TaskKey, Want},
    source::{Source, ebpf::EbpfSource},
};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

/// What was reported of one process, over all intervals.
#[derive(Clone, Debug, Default)]
pub struct Total {
    pub comm: Comm,
    pub ppid: u32,
    pub cpu_ns: u64,
    pub minor: u64,
    pub major: u64,
    pub voluntary: u64,
    pub involuntary: u64,
    pub written: u64,
    pub sent: u64,
    pub wait_ns: u64,
    /// Of every final row: exit code and peak memory in KiB.
    pub ends: Vec<(u32, u64)>,
}

/// A source, its last sample, and the totals.
pub struct Watch {
    source: EbpfSource,
    before: Sample,
    pub totals: BTreeMap<TaskKey, Total>,
}

impl Watch {
    pub fn open() -> Watch {
        Watch::open_sized(pidstat_common::exit::RING_BYTES as u32)
    }

    pub fn open_sized(ring_bytes: u32) -> Watch {
        let facts = Facts::SCHED | Facts::SWITCHES | Facts::IO | Facts::OWNER | Facts::TRAFFIC;
        let want = Want { facts, pids: Pids::All, threads: false, sum_threads: true, ..Want::default() };
        let mut source = EbpfSource::open_sized(Path::new("/proc"), Path::new("/sys"), &want, ring_bytes)
            .expect("eBPF loads");
        assert_eq!(source.note(), None);
        let mut before = Sample::default();
        source.sample(&Clock::Real, None, &mut before).expect("a sample");
        Watch { source, before, totals: BTreeMap::new() }
    }

    pub fn losses(&self) -> Losses {
        self.before.origin.losses
    }

    /// One interval.
    pub fn tick(&mut self) {
        self.interval(false);
    }

    /// The last interval, with what comes late.
    pub fn last(&mut self) {
        self.interval(true);
    }

    /// Samples until something has ended.
    pub fn until(&mut self, period: Duration, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(300), "it does not end");
            std::thread::sleep(period);
            self.tick();
        }
    }

    fn interval(&mut self, last: bool) {
        let mut now = Sample::default();
        self.source.sample(&Clock::Real, Some(&self.before), &mut now).expect("a sample");
        let start = Instant::now();
        while last && self.source.late(&self.before, &mut now, start.elapsed() > Duration::from_secs(1)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(now.departed.is_sorted_by(|a, b| a.key < b.key), "in order, none twice");
        let span = Span::between(&self.before, &now, 1, false);
        for row in rate::pairs(&self.before, &now, &span, false) {
            add(&mut self.totals, &row);
        }
        for row in rate::departed(&self.before, &now, &span) {
            add(&mut self.totals, &row);
        }
        self.before = now;
    }
}

fn add(totals: &mut BTreeMap<TaskKey, Total>, row: &Row<'_>) {
    let task = row.now;
    if matches!(row.before, Before::Unknown) {
        return;
    }
    let total = totals.entry(task.key).or_default();
    total.comm = task.comm;
    let grew = |counter: &dyn Fn(&pidstat_user::sample::Task) -> pidstat_user::sample::Reading<u64>| {
        match row.delta(counter) {
            Ok(grew) => grew,
            Err(Missing::WentBackwards) => panic!("a counter fell: {row:?}"),
            // Of a process that the iterator does not show, /proc refuses some.
            Err(_) => 0,
        }
    };
    if task.traffic.is_ok() {
        total.sent += grew(&|t| t.traffic.map(|traffic| traffic.tx_bytes));
    }
    if row.traffic_only {
        return;
    }
    total.ppid = task.ppid;
    total.cpu_ns += grew(&|t| Ok(t.cpu.user_ns + t.cpu.system_ns));
    total.minor += grew(&|t| Ok(t.faults.minor));
    total.major += grew(&|t| Ok(t.faults.major));
    total.voluntary += grew(&|t| t.switches.map(|switches| switches.voluntary));
    total.involuntary += grew(&|t| t.switches.map(|switches| switches.involuntary));
    total.written += grew(&|t| t.io.map(|io| io.wchar_bytes));
    total.wait_ns += grew(&|t| t.sched.map(|sched| sched.wait_ns));
    if let End::Exited(exit) = task.end {
        total.ends.push((exit.code(), task.memory.resident_bytes / 1024));
    }
}
