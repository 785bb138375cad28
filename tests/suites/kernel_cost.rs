//! What a sample costs besides time: no memory is taken for each task once a run is under way.
//!
//! Needs root. Where eBPF does not load, these tests fail: there is no skipping.

use pidstat_user::{
    clock::Clock,
    rate::{self, Averages, Span},
    sample::{Facts, Host, Sample, Want, node::Member},
    source::{Source, ebpf::EbpfSource, procfs::node::Tree},
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

/// The fewest requests for memory of a sample and what `then` makes of it, among many; others of the machine come and go.
/// `then` is handed the sample before and the sample.
fn fewest(want: &Want, mut then: impl FnMut(&Sample, &Sample, &Host)) -> u64 {
    let mut source = EbpfSource::open(Path::new("/proc"), Path::new("/sys"), want).expect("eBPF loads");
    let host = source.host().clone();
    let (mut before, mut now) = (Sample::default(), Sample::default());
    source.sample(&Clock::Real, None, &mut before).expect("a sample");
    let mut fewest = u64::MAX;
    for round in 0..40 {
        std::thread::sleep(Duration::from_millis(20));
        let asked = ASKED.load(Ordering::Relaxed);
        source.sample(&Clock::Real, Some(&before), &mut now).expect("a sample");
        then(&before, &now, &host);
        mem::swap(&mut before, &mut now);
        // The first two samples make the room that the others use again.
        if round >= 3 {
            fewest = fewest.min(ASKED.load(Ordering::Relaxed) - asked);
        }
    }
    assert!(before.tasks.len() > 300, "{}", before.tasks.len());
    fewest
}

const FACTS: Facts = Facts::SCHED.and(Facts::SWITCHES).and(Facts::IO).and(Facts::DELAYS).and(Facts::OWNER);

#[test]
fn no_memory_is_taken_for_each_task() {
    let _sleepers = Sleepers::start(300);
    for threads in [false, true] {
        let want = Want { facts: FACTS, threads, sum_threads: true, ..Want::default() };
        let mut averages = Averages::default();
        let fewest = fewest(&want, |before, now, _| {
            let span = Span::between(before, now, 1, false);
            let sum: u64 = rate::pairs(before, now, &span, false)
                .filter_map(|row| row.delta(|task| Ok(task.cpu.user_ns + task.cpu.system_ns)).ok())
                .sum();
            std::hint::black_box(sum);
            averages.add(now);
        });
        println!("threads {threads}: {fewest} requests for memory in a sample");
        // A handful for the sample as a whole; one for each task would be hundreds.
        assert!(fewest <= 40, "{fewest}");
    }
}

/// What `record` takes of a sample by default, up to the rows of its table.
#[test]
fn a_recording_takes_no_memory_for_each_task() {
    let _sleepers = Sleepers::start(300);
    let of_tree = Facts::CMDLINE | Facts::USER | Facts::CONTROL | Facts::FRESH_NAMES;
    let facts = FACTS | of_tree | Facts::TRAFFIC | Facts::CONNECTIONS | Facts::TOTAL_CPU | Facts::MEM_TOTAL;
    let want = Want { facts, sum_threads: true, ..Want::default() };
    let mut known: Option<Tree> = None;
    let fewest = fewest(&want, |before, now, host| {
        let known_before = known.as_ref().map(|tree| (before.tasks.as_slice(), tree));
        let tree = Tree::of(Path::new("/proc"), &now.tasks, host, known_before).expect("a tree");
        let cells: usize = tree
            .flat(tree.roots())
            .into_iter()
            .flat_map(|node| [Member::Stat, Member::Cmdline].map(|member| tree.values(node, member).len()))
            .sum();
        assert!(cells > 300 * 28, "{cells}");
        known = Some(tree);
    });
    println!("{fewest} requests for memory in a sample of a recording");
    assert!(fewest <= 150, "{fewest}");
}
