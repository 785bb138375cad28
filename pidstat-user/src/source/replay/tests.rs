//! Stories of machines that never were, told to the source.

use super::*;
use crate::sample::{Facts, Missing, Pids, Sched, Stack, Switches, Task};
use std::{fs, time::Duration};

/// Writes one instant after the other.
struct Story {
    dir: tempfile::TempDir,
    instant: usize,
}

impl Story {
    fn new() -> Story {
        let story = Story { dir: tempfile::tempdir().unwrap(), instant: 0 };
        story.machine("100.25");
        story
    }

    /// Goes on to the next instant.
    fn next(&mut self, uptime: &str) -> &mut Story {
        self.instant += 1;
        self.machine(uptime);
        self
    }

    fn machine(&self, uptime: &str) {
        self.put("proc/uptime", format!("{uptime} 0.00\n"));
        self.put("proc/stat", "cpu  1 2 3 4 5 6 7 8 9 9\ncpu0 1 2 3 4\ncpu1 1 2 3 4\n");
        self.put("proc/meminfo", "MemTotal: 2048 kB\n");
        self.put("proc/sys/kernel/ostype", "Linux\n");
    }

    fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.path().join(self.instant.to_string()).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The files of a process or thread: `at` is `7` or `7/task/8`; every counter is `count` or a multiple of it.
    fn task(&self, at: &str, name: &str, start: u32, threads: u32, count: u64) {
        let stat = format!(
            "7 ({name}) S 1 1 1 0 -1 64 {count} 0 0 0 {count} {count} 0 0 20 0 {threads} 0 {start} 8192 2 \
             0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
        );
        self.put(&format!("proc/{at}/stat"), stat);
        let status = format!(
            "Uid:\t1000\t0\nThreads:\t{threads}\nvoluntary_ctxt_switches:\t{count}\nnonvoluntary_ctxt_switches:\t0\n"
        );
        self.put(&format!("proc/{at}/status"), status);
        self.put(&format!("proc/{at}/schedstat"), format!("{count} {count} {count}\n"));
    }

    fn open(&self, want: Want) -> Player {
        let source = ReplaySource::open(self.dir.path(), want).unwrap();
        Player { clock: Clock::Fake(source.start()), source, sample: Sample::default() }
    }
}

struct Player {
    clock: Clock,
    source: ReplaySource,
    sample: Sample,
}

impl Player {
    fn step(&mut self) -> &[Task] {
        self.try_step().unwrap();
        &self.sample.tasks
    }

    fn try_step(&mut self) -> Result<(), SourceError> {
        let taken = self.source.sample(&self.clock, None, &mut self.sample);
        self.clock.advance(Duration::from_secs(1));
        taken
    }
}

fn want(facts: Facts) -> Want {
    Want { facts, ..Want::default() }
}

#[test]
fn instants_follow_each_other_until_they_run_out() {
    let mut story = Story::new();
    story.put("../scenario.toml", "epoch = 1700000000\nnodename = \"box\"\n");
    story.next("101.26");
    let mut player = story.open(want(Facts::TOTAL_CPU.and(Facts::MEM_TOTAL)));
    let host = player.source.host();
    assert_eq!(
        (host.sysname.as_str(), host.nodename.as_str(), host.release.as_str()),
        ("Linux", "box", "unknown")
    );
    assert_eq!((host.cpus, host.clock_ticks, host.page_bytes), (2, 100, 4096));
    assert!(player.step().is_empty());
    assert_eq!(
        (player.sample.uptime_ns, player.sample.epoch_ns),
        (100_250_000_000, 1_700_000_000_000_000_000)
    );
    assert_eq!(
        (player.sample.system.total_cpu_ticks, player.sample.system.mem_total_kib),
        (Ok(36), Ok(2048))
    );
    assert_eq!(player.sample.origin.source, "replay");
    player.step();
    assert_eq!(
        (player.sample.uptime_ns, player.sample.epoch_ns),
        (101_260_000_000, 1_700_000_001_000_000_000)
    );
    for _ in 0..2 {
        assert!(matches!(player.try_step(), Err(SourceError::Exhausted)));
    }
}

#[test]
fn what_a_report_cannot_do_without_is_named() {
    for file in ["uptime", "stat"] {
        let story = Story::new();
        fs::remove_file(story.dir.path().join("0/proc").join(file)).unwrap();
        let taken = ReplaySource::open(story.dir.path(), Want::default()).and_then(|mut source| {
            let clock = Clock::Fake(source.start());
            source.sample(&clock, None, &mut Sample::default())
        });
        let message = taken.unwrap_err().to_string();
        assert!(
            message.starts_with("Cannot read ") && message.contains(&format!("0/proc/{file}: ")),
            "{message}"
        );
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(ReplaySource::open(empty.path(), Want::default()), Err(SourceError::Unreadable { .. })));
}

#[test]
fn a_scenario_says_what_is_wrong_with_it() {
    let wrong = |text: &str| Scenario::parse(text).unwrap_err();
    assert!(wrong("epochs = 1").contains("unknown key `epochs`; known are epoch, "));
    assert!(wrong("clock_ticks = 0").contains("`clock_ticks` must be a whole number from 1"));
    assert!(wrong("epoch = \"now\"").contains("`epoch` must be a whole number"));
    assert!(wrong("epoch = 9223372037").contains("`epoch` must be a whole number"));
    assert!(wrong("machine = 1").contains("`machine` must be a string"));
    assert!(!wrong("epoch =").is_empty());
    assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
    let full = Scenario::parse("clock_ticks = 1000\npage_size = 65536\nepoch = -5").unwrap();
    assert_eq!((full.clock_ticks, full.page_bytes, full.epoch_seconds), (1000, 65536, -5));
}

#[test]
fn units_follow_the_scenario() {
    let story = Story::new();
    story.put("../scenario.toml", "clock_ticks = 1000\npage_size = 65536\n");
    story.task("7", "a", 5, 1, 3);
    let mut player = story.open(Want::default());
    let task = &player.step()[0];
    assert_eq!((task.cpu.user_ns, task.cpu.system_ns), (3_000_000, 3_000_000));
    assert_eq!((task.memory.virtual_bytes, task.memory.resident_bytes), (8192, 131_072));
    assert_eq!((task.key.tgid, task.key.tid, task.key.start_ticks, task.uid), (7, 0, 5, 0));
    assert_eq!(
        (task.sched, task.io, task.delays),
        (Err(Missing::NotAsked), Err(Missing::NotAsked), Err(Missing::NotAsked))
    );
}

#[test]
fn missing_files_have_reasons() {
    let story = Story::new();
    story.task("7", "a", 5, 1, 3);
    story.task("8", "b", 5, 1, 3);
    story.put("proc/8/io", "read_bytes: 1\nwrite_bytes: 2\ncancelled_write_bytes: 3\n");
    story.put("proc/8/smaps", "x [stack]\nSize: 132 kB\nReferenced: 12 kB\n");
    story.put("proc/8/fd/0", "");
    story.put("proc/8/fd/12", "");
    story.put("proc/8/fd/x", "");
    story.put("proc/9/status", "Uid:\t0\n");
    story.task("10", "c", 5, 1, 3);
    fs::remove_file(story.dir.path().join("0/proc/10/status")).unwrap();
    story.task("11", "d", 5, 1, 3);
    fs::remove_file(story.dir.path().join("0/proc/11/schedstat")).unwrap();
    story.put("proc/11/smaps", "");
    story.put("proc/self/stat", "");
    let facts = Facts::IO | Facts::STACK | Facts::FDS | Facts::SCHED | Facts::OWNER | Facts::TRAFFIC;
    let mut player = story.open(want(facts));
    let tasks = player.step();
    let pids: Vec<u32> = tasks.iter().map(|task| task.key.tgid).collect();
    assert_eq!(pids, [7, 8, 11], "no stat or no status, no task");
    let refused = Missing::NoPermission;
    assert_eq!((tasks[0].io, tasks[0].stack, tasks[0].fds), (Err(refused), Err(refused), Err(refused)));
    assert_eq!(tasks[1].io.unwrap().cancelled_write_bytes, 3);
    assert_eq!((tasks[1].stack, tasks[1].fds), (Ok(Stack { size_kib: 132, referenced_kib: 12 }), Ok(2)));
    assert_eq!(tasks[1].sched, Ok(Sched { run_ns: 3, wait_ns: 3, timeslices: 3 }));
    assert_eq!((tasks[1].uid, tasks[1].traffic), (1000, Err(Missing::NotInSource)));
    assert_eq!((tasks[2].sched, tasks[2].stack), (Err(Missing::NotInKernel), Err(Missing::DoesNotApply)));
}

#[test]
fn a_listed_process_that_was_gone_once_is_gone_for_good() {
    let mut story = Story::new();
    story.task("7", "a", 5, 1, 3);
    story.task("8", "b", 5, 1, 3);
    story.next("101.25").task("8", "b", 5, 1, 4);
    story.next("102.25").task("7", "a", 5, 1, 5);
    let listed = Want { pids: Pids::Only(vec![7, 8, 9]), ..Want::default() };
    let mut player = story.open(listed);
    assert_eq!(player.step().len(), 2);
    assert_eq!(player.step().len(), 1);
    assert!(player.step().is_empty());
    let mut all = story.open(Want::default());
    assert_eq!((all.step().len(), all.step().len(), all.step().len()), (2, 1, 1));
}

#[test]
fn command_lines_are_read_again_after_exec_and_for_a_new_process() {
    let mut story = Story::new();
    story.task("7", "sh", 5, 1, 3);
    story.put("proc/7/cmdline", "sh\0-c\0x  y\0\0");
    story.next("101.25").task("7", "sh", 5, 1, 3);
    story.put("proc/7/cmdline", "sh\0rewritten\0");
    story.next("102.25").task("7", "cat", 5, 1, 3);
    story.put("proc/7/cmdline", "cat\0");
    story.next("103.25").task("7", "cat", 900, 1, 3);
    story.put("proc/7/cmdline", "\0\0");
    story.next("104.25").task("7", "cat", 900, 1, 3);
    story.put("proc/7/cmdline", vec![b'y'; 5000]);
    let mut player = story.open(want(Facts::CMDLINE));
    let mut next = || player.step()[0].cmdline.as_deref().map(<[u8]>::to_vec);
    assert_eq!(next().as_deref(), Some(&b"sh -c x  y"[..]));
    assert_eq!(next().as_deref(), Some(&b"sh -c x  y"[..]));
    assert_eq!(next().as_deref(), Some(&b"cat"[..]));
    assert_eq!(next(), None);
    assert_eq!(next().map(|text| text.len()), Some(4095));
}

#[test]
fn users_are_those_of_the_instant() {
    let mut story = Story::new();
    story.put("etc/passwd", "anna:x:1000:1000::/:\n");
    story.task("7", "a", 5, 1, 3);
    story.next("101.25").put("etc/passwd", "root:x:0:0::/:\n");
    story.task("7", "a", 5, 1, 3);
    let mut player = story.open(want(Facts::USER));
    assert_eq!(player.step()[0].user.as_deref(), Some("anna"));
    assert_eq!(player.step()[0].user.as_deref(), None);
}

fn three_threads() -> Story {
    let mut story = Story::new();
    for (tid, count) in [(7, 5), (8, 100), (9, 1000)] {
        story.task(&format!("7/task/{tid}"), "a", 5, 3, count);
    }
    story.task("7", "a", 5, 3, 5);
    story.next("101.25").task("7", "a", 5, 2, 6);
    for (tid, count) in [(7, 6), (9, 1001)] {
        story.task(&format!("7/task/{tid}"), "a", 5, 2, count);
    }
    story.next("102.25").task("7", "a", 5, 1, 7);
    story.task("7/task/7", "a", 5, 1, 7);
    story
}

#[test]
fn a_process_has_the_sum_of_its_threads_and_keeps_that_of_the_dead() {
    let story = three_threads();
    for threads in [false, true] {
        let facts = Facts::SCHED | Facts::SWITCHES;
        let mut player = story.open(Want { facts, sum_threads: true, threads, ..Want::default() });
        for (sum, rows) in [(1105, 4), (1107, 3), (1108, 2)] {
            let tasks = player.step();
            assert_eq!(tasks.len(), if threads { rows } else { 1 });
            assert_eq!(tasks[0].switches, Ok(Switches { voluntary: sum, involuntary: 0 }));
            assert_eq!(tasks[0].sched, Ok(Sched { run_ns: sum, wait_ns: sum, timeslices: sum }));
            assert!(tasks.is_sorted_by_key(|task| task.key));
        }
    }
}

#[test]
fn without_sums_a_process_has_what_its_own_files_say() {
    let story = three_threads();
    let facts = Facts::SWITCHES;
    let mut player = story.open(Want { facts, threads: true, ..Want::default() });
    let counts: Vec<_> =
        player.step().iter().map(|task| (task.key.tid, task.switches.unwrap().voluntary)).collect();
    assert_eq!(counts, [(0, 5), (7, 5), (8, 100), (9, 1000)]);
}

#[test]
fn delays_that_the_kernel_does_not_measure_are_not_zero() {
    let mut story = Story::new();
    story.task("7", "a", 5, 1, 3);
    story.next("101.25").put("proc/sys/kernel/task_delayacct", "0\n");
    story.task("7", "a", 5, 1, 3);
    story.next("102.25").put("proc/sys/kernel/task_delayacct", "1\n");
    story.task("7", "a", 5, 1, 3);
    let mut player = story.open(want(Facts::DELAYS));
    let mut next = || player.step()[0].delays.map(|delays| delays.block_io_ns);
    assert_eq!((next(), next(), next()), (Ok(0), Err(Missing::NotMeasured), Ok(0)));
}
