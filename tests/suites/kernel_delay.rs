//! Delays: what taskstats says against the task's own files, and the switch that has them measured. Needs root.

use pidstat_tests::tool;
use pidstat_user::source::taskstats::{Exits, Stats, Taskstats, Whom};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

const SWITCH: &str = "/proc/sys/kernel/task_delayacct";

/// The switch is the whole machine's: one test at a time, and off before each.
static ALONE: Mutex<()> = Mutex::new(());

fn switch() -> String {
    fs::read_to_string(SWITCH).expect("Linux 5.14").trim().to_owned()
}

struct Load(Child);

impl Load {
    /// A python program that prints a line when it has done its work.
    fn start(script: &str) -> Load {
        let mut child =
            Command::new("python3").args(["-c", script]).stdout(Stdio::piped()).spawn().expect("python3");
        let mut said = [0; 5];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut said).expect("python works");
        Load(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Stops it: nothing of it changes any more.
    fn stop(&self) {
        let pid = libc::pid_t::try_from(self.pid()).expect("a pid");
        // SAFETY: signals a child that was not waited for.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGSTOP) }, 0);
        sleep(Duration::from_millis(100));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

fn file(pid: u32, tid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}")).expect("the thread is there")
}

/// The value behind a name in `status` or `io`.
fn line(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    numbers(line)[0]
}

#[test]
fn taskstats_says_what_the_files_say() {
    let load = Load::start(
        "
import os, threading, time
def work():
    name = f'/var/tmp/kpidstat-delay-{threading.get_native_id()}'
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, b'x' * 3000000); os.fsync(fd); os.unlink(name)
    time.sleep(1e6)
for n in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(1); print('done', flush=True); time.sleep(1e6)",
    );
    load.stop();
    let pid = load.pid();
    let tids: Vec<u32> = fs::read_dir(format!("/proc/{pid}/task"))
        .expect("threads")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().parse().expect("a number"))
        .collect();
    assert_eq!(tids.len(), 4);
    let mut whom: Vec<Whom> = tids.iter().map(|tid| Whom::Thread(*tid)).collect();
    whom.extend([Whom::Process(pid), Whom::Process(0x7fff_ffff), Whom::Thread(0x7fff_ffff)]);
    let mut answers: Vec<Option<Stats>> = vec![None; whom.len()];
    Taskstats::open().expect("root").ask(&whom, |at, answer| answers[at] = answer.ok()).expect("answers");
    let (mut waited, mut ran, mut written) = (0, 0, 0);
    for (tid, answer) in tids.iter().zip(&answers) {
        let stats = answer.as_ref().expect("it lives");
        let sched = numbers(&file(pid, *tid, "schedstat"));
        assert_eq!([stats.run_ns, stats.cpu.total_ns, stats.cpu.count], sched[..], "{tid}");
        let status = file(pid, *tid, "status");
        assert_eq!(stats.voluntary, line(&status, "voluntary_ctxt_switches:"));
        assert_eq!(stats.involuntary, line(&status, "nonvoluntary_ctxt_switches:"));
        assert_eq!(u64::from(stats.ppid), line(&status, "PPid:"));
        assert_eq!(stats.tid, *tid);
        assert_eq!(stats.tgid.unwrap_or(pid), pid);
        let stat = file(pid, *tid, "stat");
        let stat = numbers(&stat[stat.rfind(')').expect("a name")..]);
        // Behind the name and without the state and the signs: ppid, pgrp, session, tty, tpgid, flags, minflt.
        assert_eq!((stats.minor_faults, stats.major_faults), (stat[6], stat[8]), "{tid}");
        let io = file(pid, *tid, "io");
        let kib = |name| line(&io, name) & !1023;
        assert_eq!(stats.read_bytes, kib("read_bytes:"));
        assert_eq!(stats.write_bytes, kib("\nwrite_bytes:".trim_start()));
        assert_eq!(stats.cancelled_write_bytes, kib("cancelled_write_bytes:"));
        assert!(stats.comm.starts_with(b"python3"));
        (waited, ran, written) =
            (waited + stats.cpu.total_ns, ran + stats.run_ns, written + stats.write_bytes);
    }
    assert!(written >= 3 * 3_000_000 / 4096 * 4096, "{written}");
    let process = answers[tids.len()].as_ref().expect("it lives");
    assert_eq!((process.cpu.total_ns, process.run_ns), (waited, ran));
    assert_eq!(answers[tids.len() + 1..], [None, None]);
}

#[test]
fn the_last_word_of_a_thread_is_complete() {
    let cpus = fs::read_to_string("/sys/devices/system/cpu/possible").expect("a list");
    let mut exits = Exits::open(&cpus).expect("root");
    let load = Load::start(
        "
import os, threading
def work(count):
    fd = os.open(f'/var/tmp/kpidstat-delay-{count}', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, b'x' * (count << 12)); os.unlink(f'/var/tmp/kpidstat-delay-{count}')
for count in [101, 211]:
    thread = threading.Thread(target=work, args=(count,)); thread.start(); thread.join()
print('done', flush=True); input()",
    );
    let pid = load.pid();
    drop(load);
    let (mut ended, start) = (Vec::new(), Instant::now());
    while !ended.iter().any(|stats: &Stats| stats.tid == pid) {
        assert!(start.elapsed() < Duration::from_secs(10), "the end of the process was not told");
        exits.drain(|stats| ended.push(stats)).expect("messages");
        sleep(Duration::from_millis(10));
    }
    let of_ours = ended.iter().filter(|stats| stats.tgid == Some(pid) && stats.tid != pid);
    let written: Vec<u64> = of_ours.map(|stats| stats.write_bytes).collect();
    // The file system adds blocks of its own to who dirties them.
    let expected: [u64; 2] = [101 << 12, 211 << 12];
    assert_eq!(written.len(), expected.len(), "{written:?}");
    for (written, expected) in written.iter().zip(expected) {
        assert!((expected..=expected + (64 << 10)).contains(written), "{written} of {expected}");
    }
    assert_eq!(exits.overflows, 0);
}

/// Writes past the page cache, a piece every few milliseconds, and says its own `stat` field 42 in the end.
const WRITER: &str = "
import mmap, os, time
fd = os.open('/var/tmp/kpidstat-delay-sync', os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
block = mmap.mmap(-1, 1 << 20); end = time.monotonic() + 2.2
while time.monotonic() < end:
    os.pwrite(fd, block, 0)
os.unlink('/var/tmp/kpidstat-delay-sync')
";

#[test]
fn delays_are_measured_for_the_run_alone_and_shown() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert_eq!(switch(), "0", "the test needs kernel.task_delayacct off");
    for source in ["auto", "proc"] {
        let arguments = [
            "--source",
            source,
            "--delayacct",
            "--delay",
            "-d",
            "-o",
            "json",
            "1",
            "-e",
            "python3",
            "-c",
            WRITER,
        ];
        let output = tool::run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(switch(), "0");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
        let samples = document["sysstat"]["hosts"][0]["statistics"].as_array().expect("samples");
        let rows: Vec<_> =
            samples.iter().filter_map(|sample| Some((sample["delays"].get(0)?, &sample["io"][0]))).collect();
        // The same in ticks of 10 ms, as the kernel's own field has it. Linux 6.18 can take the first wait for one since
        // boot, and then there is no figure; it does so once.
        let measured: Vec<_> = rows
            .iter()
            .filter_map(|(delays, io)| Some((*delays, delays["blkio"].as_f64()?, io["iodelay"].as_f64()?)))
            .collect();
        assert!(!measured.is_empty() && measured.len() + 1 >= rows.len(), "{document}");
        for (delays, blocked, ticks) in measured {
            assert!(
                blocked > 1.0 && (blocked - ticks).abs() < 6.0,
                "{source}: {blocked} % and {ticks} ticks"
            );
            assert!(delays["swapin"].as_f64().is_some() && delays["wpcopy"].as_f64().is_some());
        }
    }
}

/// The oracle is field 42 of the zombie's own `stat`.
#[test]
fn what_a_process_waited_that_came_and_went_between_two_samples_is_shown() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert_eq!(switch(), "0", "the test needs kernel.task_delayacct off");
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("dly{}", std::process::id());
    let program = folder.path().join(&name);
    std::os::unix::fs::symlink("/usr/bin/python3", &program).expect("a link");
    let condition = format!("comm == '{name}'");
    let arguments =
        ["--source", "ebpf", "--delayacct", "-d", "-o", "ndjson", "--where", &condition, "3", "3"];
    let mut run = tool::command(&arguments).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(run.stdout.take().expect("a pipe")).lines();
    lines.next().expect("a sample").expect("text");
    let writer = WRITER.replace("2.2", "0.5");
    let mut child = Command::new(&program).args(["-c", &writer]).spawn().expect("python3");
    let pid = child.id();
    let stat = || {
        let text = file(pid, pid, "stat");
        let fields: Vec<String> =
            text[text.rfind(')').expect("a name") + 2..].split_whitespace().map(str::to_owned).collect();
        // Behind the name, which is field 2.
        (fields[0].clone(), fields[42 - 3].parse::<u64>().expect("ticks"))
    };
    while stat().0 != "Z" {
        sleep(Duration::from_millis(5));
    }
    let waited = stat().1;
    child.wait().expect("it is waited for");
    let mut rows: Vec<serde_json::Value> = Vec::new();
    for line in lines {
        let sample: serde_json::Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        rows.extend(sample["io"].as_array().into_iter().flatten().cloned());
    }
    assert!(run.wait().expect("it ends").success());
    assert!(rows.iter().any(|row| row["exited"] == true), "{rows:?}");
    let shown: Option<f64> = rows.iter().map(|row| row["iodelay"].as_f64()).sum();
    // Linux 6.18 can take the first wait for one since boot, and then there is no figure.
    let possible = waited < 3 * 300;
    assert!(waited > 0 && shown.is_some() == possible, "{waited}: {rows:?}");
    assert!(shown.is_none_or(|shown| (shown - waited as f64).abs() < 1.0), "{waited}: {rows:?}");
}

#[test]
fn the_switch_goes_back_however_the_run_ends() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert_eq!(switch(), "0", "the test needs kernel.task_delayacct off");
    let sleeper = Load::start("import time\nprint('older', flush=True)\ntime.sleep(1e6)");
    let pid = sleeper.pid().to_string();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGKILL, libc::SIGABRT] {
        for command in [vec!["--delay", "-p", pid.as_str()]] {
            let mut arguments = command.clone();
            arguments.insert(1, "--delayacct");
            arguments.push("0.1");
            let mut child = tool::command(&arguments).stdout(Stdio::piped()).spawn().expect("it starts");
            let mut first = [0; 200];
            child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it shows something");
            assert_eq!(switch(), "1", "{arguments:?}");
            let id = libc::pid_t::try_from(child.id()).expect("a pid");
            // SAFETY: signals a child that was not waited for.
            assert_eq!(unsafe { libc::kill(id, signal) }, 0);
            child.wait().expect("it ends");
            let start = Instant::now();
            while switch() != "0" {
                assert!(start.elapsed() < Duration::from_secs(5), "signal {signal} left it on");
                sleep(Duration::from_millis(5));
            }
        }
    }
    // Who was started before is not measured, and that is not zero.
    let shown = tool::run(&["--delayacct", "--delay", "-p", &pid, "0.1", "2"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let row = shown.lines().find(|line| line.contains(&pid)).expect("a row");
    assert!(row.contains("        -        -        -"), "{shown}");
}
