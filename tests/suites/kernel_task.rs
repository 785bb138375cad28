//! The task family against the running kernel: equal to /proc, never backwards, namespaces, and nothing left behind.
//!
//! Needs root. Where eBPF does not load, these tests fail: there is no skipping.

#[path = "kernel_task/fields.rs"]
mod fields;
#[path = "kernel_task/load.rs"]
mod load;

use fields::{DIFFERENCES, Fields, of_files, of_row};
use load::Load;
use pidstat_user::{
    clock::Clock,
    sample::{Facts, Missing, Pids, Sample, Task, TaskKey, Want},
    source::{Source, ebpf::EbpfSource},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};

fn want(pids: Pids) -> Want {
    let facts = Facts::SCHED | Facts::SWITCHES | Facts::IO | Facts::DELAYS | Facts::OWNER;
    Want { facts, pids, threads: false, sum_threads: true, ..Want::default() }
}

fn open(want: &Want) -> EbpfSource {
    EbpfSource::open(Path::new("/proc"), Path::new("/sys"), want).expect("eBPF loads")
}

fn sample(source: &mut EbpfSource, previous: Option<&Sample>) -> Sample {
    let mut out = Sample::default();
    source.sample(&Clock::Real, previous, &mut out).expect("a sample");
    assert!(out.tasks.is_sorted_by(|a, b| a.key < b.key), "rows in order, none twice");
    out
}

fn row(sample: &Sample, tgid: u32, tid: u32) -> Option<&Task> {
    let at = sample.tasks.partition_point(|task| (task.key.tgid, task.key.tid) < (tgid, tid));
    sample.tasks.get(at).filter(|task| (task.key.tgid, task.key.tid) == (tgid, tid))
}

/// Held by the tests that disturb each other: a thread that calls exec takes another's number over, and is compared with
/// it.
static EXECS: Mutex<()> = Mutex::new(());

#[derive(Default)]
struct Tally {
    equal: BTreeMap<&'static str, u64>,
    between: u64,
    wrong: Vec<String>,
}

impl Tally {
    /// A file that was read between two samples that agree must agree, too; else it must lie between them.
    /// `idle` says that nothing of the process ran.
    fn compare(&mut self, who: &str, idle: bool, before: &Fields, file: &Fields, after: &Fields) {
        for (name, value) in file {
            let (Some(a), Some(b)) = (before.get(name), after.get(name)) else { continue };
            let counter = !fields::GAUGES.contains(name) && !fields::SPLITS.contains(name);
            if a == b {
                // A gauge can go away and come back, and a share to the other share; not while nothing runs.
                if a == value || (!idle && !counter) {
                    *self.equal.entry(name).or_default() += 1;
                } else {
                    self.wrong.push(format!("{who}: {name} is {value} in /proc, {a} here before and after"));
                }
            } else {
                self.between += 1;
                if counter && !(a <= value && value <= b) {
                    self.wrong.push(format!("{who}: {name} is {value} in /proc, {a} before and {b} after"));
                }
            }
        }
    }
}

/// Whether a task did not run between two samples, nor, if it is a process, any of its threads.
fn idle(before: Option<&Task>, after: Option<&Task>) -> bool {
    let ran = |task: &Task| (task.cpu.user_ns + task.cpu.system_ns, task.sched.map(|sched| sched.run_ns));
    before.map(ran) == after.map(ran)
}

fn processes() -> Vec<u32> {
    numbers(Path::new("/proc"))
}

fn numbers(directory: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut numbers: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn every_counter_equals_proc_on_a_churning_machine() {
    let _alone = EXECS.lock();
    let loads: Vec<Load> =
        ["mixed", "mixed", "active", "zombie", "headless", "churn", "forks"].map(Load::start).into();
    let (mut tally, mut threads) = (Tally::default(), Tally::default());
    let (mut several, mut zombies, mut real_time, mut headless) = (0, 0, 0, 0);
    // Sched and switches of the process's own files are the first thread's.
    let alone = Want { sum_threads: false, threads: true, ..want(Pids::All) };
    for _ in 0..10 {
        // A fresh source has shown nothing yet, so its split of CPU time is the kernel's own to the last tick.
        let mut source = open(&alone);
        let before = sample(&mut source, None);
        let mut files = Vec::new();
        for pid in processes().into_iter().filter(|pid| *pid != std::process::id()) {
            files.push((pid, 0, of_files(&format!("/proc/{pid}"))));
            for tid in numbers(Path::new(&format!("/proc/{pid}/task"))) {
                files.push((pid, tid, of_files(&format!("/proc/{pid}/task/{tid}"))));
            }
        }
        // As in a run: where no consistent walk could be had, a row is at least what was shown before.
        let after = sample(&mut source, Some(&before));
        for (pid, tid, file) in files {
            let (Some(a), Some(b), Some(mut file)) = (row(&before, pid, tid), row(&after, pid, tid), file)
            else {
                continue;
            };
            if a.key != b.key || file["stat start"] != a.key.start_ticks {
                continue;
            }
            let who = format!("{pid}/{tid} {a:?}");
            let whole = (row(&before, pid, 0), row(&after, pid, 0));
            let idle = idle(Some(a), Some(b)) && idle(whole.0, whole.1);
            if tid == 0 {
                several += u32::from(a.threads > 1);
                zombies += u32::from(a.state == b'Z');
                real_time += u32::from(a.rt_priority == 7);
                headless += u32::from(a.state == b'Z' && a.threads > 1);
                tally.compare(&who, idle, &of_row(a), &file, &of_row(b));
            } else {
                if row(&before, pid, 0).is_some_and(|process| process.state == b'Z') {
                    fields::forget(&mut file, "threads of a headless process");
                }
                threads.compare(&who, idle, &of_row(a), &file, &of_row(b));
            }
        }
    }
    drop(loads);
    println!("processes: equal {:?}, moved meanwhile {}", tally.equal, tally.between);
    println!("threads: equal {:?}, moved meanwhile {}", threads.equal, threads.between);
    for (what, why) in DIFFERENCES {
        println!("differs by design: {what}: {why}");
    }
    let wrong: Vec<&String> = tally.wrong.iter().chain(&threads.wrong).collect();
    assert!(wrong.is_empty(), "{} differences, first: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    for (what, count) in [("several threads", several), ("zombie", zombies), ("headless", headless)] {
        assert!(count > 0, "no process with: {what}");
    }
    assert!(real_time > 0, "no real-time process was compared");
    for name in fields::NAMES {
        assert!(tally.equal.get(name).is_some_and(|count| *count > 20), "{name} was hardly compared");
    }
}

#[test]
fn sums_over_threads_are_the_sum_of_their_files() {
    let load = Load::start("mixed");
    let mut source = open(&want(Pids::Only(vec![load.pid()])));
    let sum = sample(&mut source, None);
    let process = row(&sum, load.pid(), 0).expect("its row");
    let (mut sched, mut switches) = ([0; 3], [0; 2]);
    for tid in numbers(Path::new(&format!("/proc/{}/task", load.pid()))) {
        let file = of_files(&format!("/proc/{}/task/{tid}", load.pid())).expect("a thread that waits");
        for (sum, name) in sched.iter_mut().zip(["schedstat run", "schedstat wait", "schedstat slices"]) {
            *sum += file[name];
        }
        for (sum, name) in switches.iter_mut().zip(["status voluntary", "status involuntary"]) {
            *sum += file[name];
        }
    }
    let (all, both) = (process.sched.expect("sched"), process.switches.expect("switches"));
    // The kernel keeps no sum of a dead thread's waiting, but of its time and its switches it does.
    assert_eq!((all.wait_ns, all.timeslices), (sched[1], sched[2]));
    assert!(all.run_ns > sched[0], "{} against {} of the live threads", all.run_ns, sched[0]);
    assert!(both.voluntary + both.involuntary > switches[0] + switches[1]);
}

fn counters(task: &Task) -> Vec<(&'static str, u64)> {
    of_row(task).into_iter().filter(|(name, _)| !fields::GAUGES.contains(name)).collect()
}

/// A slow and busy machine takes no longer than this for as many rows as are wanted.
const LONGEST: Duration = Duration::from_secs(240);

/// Samples as fast as it can for some seconds, and longer until `enough` rows were checked, every counter of them.
fn never_backwards(threads: bool, enough: u64, time: Duration, loads: &[&str]) -> (u64, u64) {
    let loads: Vec<Load> = loads.iter().map(|mode| Load::start(mode)).collect();
    let mut source = open(&Want { threads, sum_threads: true, ..want(Pids::All) });
    let mut shown: BTreeMap<TaskKey, Task> = BTreeMap::new();
    let (mut previous, mut compared) = (sample(&mut source, None), 0u64);
    let start = Instant::now();
    while start.elapsed() < time || compared < enough && start.elapsed() < LONGEST {
        let now = sample(&mut source, Some(&previous));
        // A thread that calls exec takes the first one's number over, so of threads only those of the loads are looked at.
        let ours = |task: &&Task| task.is_process() || loads.iter().any(|load| load.pid() == task.key.tgid);
        for task in now.tasks.iter().filter(ours) {
            if let Some(before) = shown.get(&task.key) {
                compared += 1;
                if before == task {
                    continue;
                }
                for ((name, was), (_, is)) in counters(before).into_iter().zip(counters(task)) {
                    assert!(is >= was, "{name} fell from {was} to {is}:\n{before:?}\n{task:?}");
                }
                assert!(task.cpu.user_ns >= before.cpu.user_ns, "{before:?}\n{task:?}");
                assert!(task.cpu.system_ns >= before.cpu.system_ns, "{before:?}\n{task:?}");
            }
            shown.insert(task.key, task.clone());
        }
        previous = now;
    }
    drop(loads);
    (compared, previous.origin.losses.inconsistent)
}

#[test]
fn totals_never_go_backwards_while_threads_die() {
    const ENOUGH: u64 = 1_000_000;
    let time = Duration::from_secs(10);
    let (compared, inconsistent) = never_backwards(false, ENOUGH, time, &["churn", "churn", "active"]);
    println!("{compared} comparisons, {inconsistent} sums not exact");
    assert!(compared >= ENOUGH, "{compared}");
    assert!(inconsistent * 20 < compared, "{inconsistent} of {compared} sums were not exact");
}

#[test]
fn threads_never_go_backwards_while_threads_die() {
    let (compared, _) = never_backwards(true, 1000, Duration::from_secs(5), &["churn", "active"]);
    assert!(compared > 1000, "{compared}");
}

#[test]
fn totals_never_go_backwards_when_other_threads_exec() {
    let _alone = EXECS.lock();
    let (compared, _) = never_backwards(false, 1000, Duration::from_secs(5), &["execs", "execs", "forks"]);
    assert!(compared > 1000, "{compared}");
}

#[test]
fn one_process_or_few_or_many() {
    let load = Load::start("mixed");
    let pid = load.pid();
    let tids = numbers(Path::new(&format!("/proc/{pid}/task")));
    let all = sample(&mut open(&want(Pids::All)), None);
    let one = sample(&mut open(&want(Pids::Only(vec![pid]))), None);
    assert_eq!(one.tasks.len(), 1);
    assert_eq!(of_row(&one.tasks[0]), of_row(row(&all, pid, 0).expect("its row")));
    // So many that one walk is cheaper than a walk each.
    let mut many: Vec<u32> = (3_000_000..3_002_000).chain([pid]).collect();
    many.sort_unstable();
    let many = sample(&mut open(&want(Pids::Only(many))), None);
    assert_eq!(many.tasks.len(), 1);
    assert_eq!(of_row(&many.tasks[0]), of_row(&one.tasks[0]));
    // With its threads.
    let threads = Want { threads: true, ..want(Pids::Only(vec![pid])) };
    let threads = sample(&mut open(&threads), None);
    let found: Vec<u32> = threads.tasks.iter().map(|task| task.key.tid).collect();
    assert_eq!(found, [vec![0], tids.clone()].concat());
    assert!(threads.tasks.iter().any(|task| task.name() == b"liv 2) x"));
    // A thread's number shows the process's sums under the thread's name.
    let tid = *tids.last().expect("a thread");
    let thread = sample(&mut open(&want(Pids::Only(vec![tid]))), None);
    assert_eq!(thread.tasks.len(), 1);
    assert_eq!((thread.tasks[0].key.tgid, thread.tasks[0].key.tid), (tid, 0));
    assert_eq!(thread.tasks[0].faults, one.tasks[0].faults);
    // Nobody.
    assert!(sample(&mut open(&want(Pids::Only(vec![4_194_000]))), None).tasks.is_empty());
}

#[test]
fn every_process_of_proc_has_a_row_hidden_or_not() {
    let mut source = open(&want(Pids::All));
    let first: BTreeSet<u32> = processes().into_iter().collect();
    let sample = sample(&mut source, None);
    let last: BTreeSet<u32> = processes().into_iter().collect();
    for pid in first.intersection(&last) {
        assert!(row(&sample, *pid, 0).is_some(), "{pid} is missing");
    }
    let own = row(&sample, std::process::id(), 0).expect("our own row");
    assert_eq!(own.traffic, Err(Missing::NotAsked));
}

#[test]
fn names_and_command_lines_follow_exec() {
    let facts = Facts::CMDLINE | Facts::USER;
    let mut source = open(&Want { facts, ..want(Pids::All) });
    let script = "read x; exec sleep 77";
    let mut child =
        Command::new("sh").args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().expect("sh");
    let pid = child.id();
    let text = |sample: &Sample| {
        let row = row(sample, pid, 0).expect("its row");
        assert_eq!(row.user.as_deref(), Some("root"));
        String::from_utf8_lossy(row.cmdline.as_deref().unwrap_or_default()).into_owned()
    };
    load::until(|| text(&sample(&mut source, None)) == format!("sh -c {script}"));
    drop(child.stdin.take());
    load::until(|| text(&sample(&mut source, None)) == "sleep 77");
    let threads = sample(&mut source, None);
    let kthreadd = threads.tasks.iter().find(|task| task.kernel_thread).expect("a kernel thread");
    assert_eq!(kthreadd.cmdline, None);
    let file = std::fs::read_to_string(format!("/proc/{}/stat", kthreadd.key.tgid)).expect("stat");
    assert!(file.contains(&format!("({})", String::from_utf8_lossy(kthreadd.name()))), "{file}");
    child.kill().expect("kill");
    child.wait().expect("wait");
}

#[test]
fn a_pid_namespace_shows_its_own_numbers() {
    let out = Command::new("unshare")
        .args(["-p", "-f", "--mount-proc"])
        .arg(load::task_load())
        .arg("show")
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(text, "1 0 task_load\n2 1 sleep\n");
}

#[test]
fn a_foreign_procfs_is_not_usable() {
    // The parent's /proc seen from a new PID namespace: right file system, wrong numbers.
    let out = Command::new("unshare")
        .args(["-p", "-f"])
        .arg(load::task_load())
        .arg("show")
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && text.contains("another PID namespace"), "{text}");
}

#[test]
fn nothing_is_left_in_the_kernel_after_a_kill() {
    let mut load = Load::start("hold");
    let mut ids = BTreeSet::new();
    for fd in numbers(Path::new(&format!("/proc/{}/fdinfo", load.pid()))) {
        let path = format!("/proc/{}/fdinfo/{fd}", load.pid());
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            for kind in ["prog_id", "map_id", "link_id"] {
                if let Some(id) = line.strip_prefix(kind).and_then(|rest| rest.strip_prefix(":")) {
                    ids.insert((kind, id.trim().parse::<u32>().expect("an id")));
                }
            }
        }
    }
    assert!(ids.iter().any(|(kind, _)| *kind == "prog_id"), "{ids:?}");
    assert!(ids.iter().any(|(kind, _)| *kind == "link_id"), "{ids:?}");
    assert!(ids.iter().all(|(kind, id)| load::bpf_id_exists(kind, *id)), "{ids:?}");
    load.kill();
    // The kernel frees programs after a grace period.
    load::until(|| !ids.iter().any(|(kind, id)| load::bpf_id_exists(kind, *id)));
}
