//! The hooks on the scheduler against the kernel's own counters: nvcsw and nivcsw, run_delay and the time on a CPU.

use pidstat_tests::tool;
use pidstat_user::{
    clock::Clock,
    sample::{Facts, Pids, Runs, Sample, TaskKey, Want, runs::Histogram},
    source::{
        Source as _,
        ebpf::EbpfSource,
        procfs::{PROC_ROOT, SYS_ROOT},
    },
};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

fn open(want: &Want) -> EbpfSource {
    EbpfSource::open(Path::new(PROC_ROOT), Path::new(SYS_ROOT), want).expect("root, and a kernel with BTF")
}

fn threads_of(pid: u32) -> Want {
    Want { facts: Facts::RUNS, pids: Pids::Only(vec![pid]), threads: true, ..Want::default() }
}

fn sample(source: &mut EbpfSource) -> Sample {
    let mut sample = Sample::default();
    source.sample(&Clock::Real, None, &mut sample).unwrap();
    sample
}

/// What was counted of a task.
fn runs(sample: &Sample, tgid: u32, tid: u32) -> (TaskKey, Runs) {
    let task = sample.tasks.iter().find(|task| (task.key.tgid, task.key.tid) == (tgid, tid)).unwrap();
    (task.key, *task.runs.as_deref().unwrap())
}

/// The kernel's own count of one thread: voluntary and involuntary switches, nanoseconds on a CPU, waiting, timeslices.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Own {
    voluntary: u64,
    involuntary: u64,
    on_cpu_ns: u64,
    wait_ns: u64,
    slices: u64,
}

fn own(tid: u32) -> Own {
    let read = |file: &str| fs::read_to_string(format!("/proc/{tid}/task/{tid}/{file}")).unwrap();
    let status = read("status");
    let line = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().parse().unwrap()
    };
    let schedstat: Vec<u64> =
        read("schedstat").split_whitespace().map(|word| word.parse().unwrap()).collect();
    Own {
        voluntary: line("voluntary_ctxt_switches"),
        involuntary: line("nonvoluntary_ctxt_switches"),
        on_cpu_ns: schedstat[0],
        wait_ns: schedstat[1],
        slices: schedstat[2],
    }
}

/// Waits until a thread is asleep: what it did before is then in every counter.
fn asleep(tid: u32) {
    let state = || fs::read_to_string(format!("/proc/{tid}/task/{tid}/stat")).unwrap();
    while !state().rsplit(')').next().unwrap().starts_with(" S") {
        thread::sleep(Duration::from_millis(2));
    }
}

/// A thread that does what it is told and sleeps in between.
struct Worker {
    tid: u32,
    orders: mpsc::Sender<fn()>,
    done: mpsc::Receiver<i32>,
}

impl Worker {
    fn start() -> Worker {
        let (orders, to_do) = mpsc::channel::<fn()>();
        let (tell, done) = mpsc::channel();
        thread::spawn(move || {
            // SAFETY: gettid takes nothing and cannot fail.
            let tid = unsafe { libc::gettid() };
            tell.send(tid).unwrap();
            for order in to_do {
                order();
                tell.send(tid).unwrap();
            }
        });
        let tid = u32::try_from(done.recv().unwrap()).unwrap();
        asleep(tid);
        Worker { tid, orders, done }
    }

    /// Has it done, and waits until it sleeps.
    fn work(&self, order: fn()) {
        self.orders.send(order).unwrap();
        self.done.recv().unwrap();
        asleep(self.tid);
    }
}

/// Bounds of the sum of all durations in a histogram.
fn bounds(histogram: &Histogram) -> (u64, u64) {
    let sum = |next: usize| {
        histogram.0.iter().enumerate().map(|(at, count)| count * Histogram::begin_ns(at + next)).sum()
    };
    (sum(0), sum(1))
}

/// Switches of every thread of the machine, by the kernel's own count.
fn switches_of_all() -> HashMap<u32, u64> {
    let numbers = |dir: &Path| -> Vec<u32> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    };
    let threads = |pid: &u32| numbers(&Path::new(PROC_ROOT).join(pid.to_string()).join("task"));
    let tids = numbers(Path::new(PROC_ROOT)).iter().flat_map(threads).collect::<Vec<u32>>();
    let switches = |tid: u32| {
        let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
        Some((tid, lines.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum()))
    };
    tids.into_iter().filter_map(switches).collect()
}

/// How often tasks gave a CPU up in between that the hooks hardly saw: a kernel that hides processes from programs leaves the
/// programs out when such a one takes a CPU or leaves it, so that whoever has the CPU before or after has a switch that only
/// the kernel counts.
fn unseen((before, kernel_before): (&Sample, &HashMap<u32, u64>), after: &Sample) -> u64 {
    let counted = |sample: &Sample| -> HashMap<u32, u64> {
        let runs = sample.tasks.iter().filter_map(|task| Some((task.key.tid, task.runs.as_deref().ok()?)));
        runs.map(|(tid, runs)| (tid, runs.voluntary + runs.involuntary)).collect()
    };
    let (then, now) = (counted(before), counted(after));
    let since =
        |of: &HashMap<u32, u64>, tid: u32, now: u64| now - of.get(&tid).copied().unwrap_or(0).min(now);
    let each = switches_of_all().into_iter().map(|(tid, switches)| {
        let ours = since(&then, tid, now.get(&tid).copied().unwrap_or(0));
        (since(kernel_before, tid, switches), ours)
    });
    each.filter(|(kernel, ours)| ours * 2 < *kernel).map(|(kernel, _)| kernel).sum()
}

#[test]
fn switches_are_those_that_the_kernel_counts() {
    let worker = Worker::start();
    let pid = std::process::id();
    let mut source = open(&Want { pids: Pids::All, ..threads_of(pid) });
    // A thread that says that it sleeps may still be about to be switched away from.
    let mut both = || {
        loop {
            let kernel = own(worker.tid);
            let sample = sample(&mut source);
            if own(worker.tid) == kernel {
                return (runs(&sample, pid, worker.tid).1, kernel, sample);
            }
        }
    };
    let all_before = switches_of_all();
    let (before, kernel_before, sample_before) = both();
    worker.work(|| (0..2000).for_each(|_| thread::sleep(Duration::from_micros(50))));
    worker.work(|| (0..500).for_each(|_| thread::yield_now()));
    // Long enough to be preempted on a machine that does anything else.
    worker.work(|| {
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(300) {}
    });
    let (after, kernel_after, sample) = both();
    let unseen = unseen((&sample_before, &all_before), &sample);
    let counted = after.since(&before).unwrap();
    let voluntary = kernel_after.voluntary - kernel_before.voluntary;
    let involuntary = kernel_after.involuntary - kernel_before.involuntary;
    assert!(voluntary >= 2000, "{voluntary}");
    // Without hidden tasks this is 0, and the counts are equal.
    let within = |ours: u64, kernel: u64| kernel.checked_sub(ours).is_some_and(|less| less <= unseen);
    let switches = voluntary + involuntary;
    assert!(within(counted.voluntary + counted.involuntary, switches), "{counted:?} {switches} {unseen}");
    // A signal that comes at the wrong moment moves one in about 20 000 from one kind to the other.
    assert!(counted.voluntary.abs_diff(voluntary) <= 1 + unseen, "{counted:?} {voluntary} {involuntary}");
    // Every time on a CPU ends with a switch, and begins with the end of a wait.
    assert!(within(counted.on_cpu.count(), switches), "{counted:?} {switches} {unseen}");
    let slices = kernel_after.slices - kernel_before.slices;
    assert!(within(counted.wait.count(), slices), "{counted:?} {slices} {unseen}");
    let (least, most) = bounds(&counted.on_cpu);
    let on_cpu_ns = kernel_after.on_cpu_ns - kernel_before.on_cpu_ns;
    // The kernel's clock stands still while the machine's host runs something else; the hooks' does not.
    assert!(on_cpu_ns <= most && on_cpu_ns * 2 >= least, "{least} {on_cpu_ns} {most}");
    assert!(counted.on_cpu_max_ns >= 10_000, "{counted:?}");
}

/// Two endless loops on one CPU.
struct Rivals([Child; 2]);

impl Rivals {
    fn start() -> Rivals {
        let spin = || {
            let mut command = Command::new("taskset");
            command
                .args(["-c", "0", "sh", "-c", "while :; do :; done"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let rivals = Rivals([spin(), spin()]);
        thread::sleep(Duration::from_millis(200));
        rivals
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn waits_are_as_long_as_the_kernel_says_and_the_rival_is_named() {
    let rivals = Rivals::start();
    let [one, two] = [rivals.0[0].id(), rivals.0[1].id()];
    let mut source = open(&Want { pids: Pids::Only(vec![one.min(two), one.max(two)]), ..threads_of(one) });
    let (before, kernel_before) = (runs(&sample(&mut source), one, 0).1, own(one));
    thread::sleep(Duration::from_secs(1));
    let (after, kernel_after) = (runs(&sample(&mut source), one, 0).1, own(one));
    let counted = after.since(&before).unwrap();
    let by = counted.preempted_by.expect("somebody took its CPU");
    assert!(by.count > 0 && by.tid > 0, "{by:?}");
    let involuntary = kernel_after.involuntary - kernel_before.involuntary;
    // Both run on: a switch or two lie between the two readings.
    assert!(counted.involuntary.abs_diff(involuntary) <= 5, "{counted:?} {involuntary}");
    let (least, most) = bounds(&counted.wait);
    let wait_ns = kernel_after.wait_ns - kernel_before.wait_ns;
    let slack = counted.wait_max_ns.max(20_000_000);
    assert!(wait_ns <= most + slack && wait_ns + slack >= least, "{least} {wait_ns} {most}");
    assert!(wait_ns > 50_000_000, "two loops on one CPU wait for each other: {wait_ns}");
    assert!(
        counted.wait_max_ns > 0
            && counted.wait.quantile_ns(0.99, counted.wait_max_ns) <= Some(counted.wait_max_ns)
    );
}

#[test]
fn a_process_keeps_what_its_ended_threads_did() {
    let pid = std::process::id();
    let mut source = open(&Want { threads: false, ..threads_of(pid) });
    let before = runs(&sample(&mut source), pid, 0).1;
    thread::spawn(|| (0..300).for_each(|_| thread::sleep(Duration::from_micros(50)))).join().unwrap();
    let after = runs(&sample(&mut source), pid, 0).1;
    assert!(after.since(&before).unwrap().voluntary >= 300);
    let last = runs(&sample(&mut source), pid, 0).1;
    assert!(last.since(&after).is_some());
}

#[test]
fn what_finds_no_room_is_counted_and_said() {
    let arguments = ["--sched", "--sched-tasks", "2", "-o", "json", "-p", "SELF", "0.3", "1"];
    let output = tool::run(&arguments);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = &document["sysstat"]["hosts"][0]["statistics"][0];
    assert!(shown["kpidstat"]["losses"]["sched_tasks_full"].as_u64() > Some(0), "{shown}");
}

#[test]
fn the_report_is_in_every_output() {
    let load = Rivals::start();
    let pid = load.0[0].id().to_string();
    let text = tool::run(&["--sched", "-p", &pid, "0.5", "1"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().any(|line| line.contains("nvcswch") && line.contains("waitp99us")), "{text}");
    let json = tool::run(&["--sched", "-p", &pid, "-o", "json", "0.5", "1"]);
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let row = &document["sysstat"]["hosts"][0]["statistics"][0]["task-sched"][0];
    let counts = row["run_histogram"].as_array().unwrap();
    let total: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!((counts.len(), total > 0), (32, true), "{row}");
    assert!(row["run_max_us"].as_f64() >= row["run_p99_us"].as_f64(), "{row}");
    assert!(row["run_p99_us"].as_f64() >= row["run_p50_us"].as_f64(), "{row}");
    let proc = tool::run(&["--sched", "--source", "proc", "-p", &pid, "-o", "json", "0.2", "1"]);
    let document: serde_json::Value = serde_json::from_slice(&proc.stdout).unwrap();
    let row = &document["sysstat"]["hosts"][0]["statistics"][0]["task-sched"][0];
    assert!(row["voluntary"].is_null() && row["run_histogram"].is_null(), "{row}");
}
