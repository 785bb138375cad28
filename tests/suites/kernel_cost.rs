//! What a sample costs besides time: no memory is taken for each task once a run is under way.
//!
//! Needs root. Where eBPF does not load, these tests fail: there is no skipping.

use pidstat_user::{
    clock::Clock,
    rate::{self, Averages, Span},
    sample::{Facts, Sample, Want},
    source::{Source, ebpf::EbpfSource},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    mem,
    path::Path,
    process::{Child, Command},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counts what is asked of the system's allocator.
struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Processes that sleep, until dropped.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(count: usize) -> Sleepers {
        Sleepers((0..count).map(|_| Command::new("sleep").arg("1000").spawn().expect("sleep")).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The fewest requests for memory of a sample and the sums of its rows, among many; others of the machine come and go.
fn fewest(threads: bool) -> u64 {
    let facts = Facts::SCHED | Facts::SWITCHES | Facts::IO | Facts::DELAYS | Facts::OWNER;
    let want = Want { facts, threads, sum_threads: true, ..Want::default() };
    let mut source = EbpfSource::open(Path::new("/proc"), Path::new("/sys"), &want).expect("eBPF loads");
    let (mut before, mut now, mut averages) = (Sample::default(), Sample::default(), Averages::default());
    source.sample(&Clock::Real, None, &mut before).expect("a sample");
    let mut fewest = u64::MAX;
    for round in 0..40 {
        std::thread::sleep(Duration::from_millis(20));
        let asked = ASKED.load(Ordering::Relaxed);
        source.sample(&Clock::Real, Some(&before), &mut now).expect("a sample");
        let span = Span::between(&before, &now, 1, false);
        let sum: u64 = rate::pairs(&before, &now, &span, false)
            .filter_map(|row| row.delta(|task| Ok(task.cpu.user_ns + task.cpu.system_ns)).ok())
            .sum();
        std::hint::black_box(sum);
        averages.add(&now);
        mem::swap(&mut before, &mut now);
        // The first two samples make the room that the others use again.
        if round >= 3 {
            fewest = fewest.min(ASKED.load(Ordering::Relaxed) - asked);
        }
    }
    assert!(before.tasks.len() > 300, "{}", before.tasks.len());
    fewest
}

#[test]
fn no_memory_is_taken_for_each_task() {
    let _sleepers = Sleepers::start(300);
    for threads in [false, true] {
        let fewest = fewest(threads);
        println!("threads {threads}: {fewest} requests for memory in a sample");
        // A handful for the sample as a whole; one for each task would be hundreds.
        assert!(fewest <= 40, "{fewest}");
    }
}
