//! The real pidstat beside us on the same steady load: the averages agree.

use pidstat_tests::tool;
use std::{
    collections::HashMap,
    process::{Child, Command, Stdio},
};

/// Uses a given part of a CPU, evenly: takes `busy` of CPU time in every 100 ms.
const LOAD: &str = "
import sys, time
busy = float(sys.argv[1]) / 1000
while True:
    start, used = time.monotonic(), time.process_time()
    while time.process_time() - used < busy:
        pass
    rest = 0.1 - (time.monotonic() - start)
    if rest > 0:
        time.sleep(rest)
";

struct Loads(Vec<Child>);

impl Drop for Loads {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `%CPU` of every process in the average lines, by the column's head.
fn averages(output: &str) -> HashMap<u32, f64> {
    let head =
        output.lines().find(|line| line.starts_with("Average:") && line.contains("%CPU")).expect("averages");
    let at = |name| head.split_whitespace().position(|word| word == name).expect("a column");
    let (pid, cpu) = (at("PID"), at("%CPU"));
    output
        .lines()
        .filter(|line| line.starts_with("Average:") && *line != head)
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[pid].parse().unwrap(), words[cpu].parse().unwrap())
        })
        .collect()
}

#[test]
fn averages_of_a_steady_load_agree_within_two_points() {
    let mut loads = Loads(Vec::new());
    for milliseconds in ["30", "45", "60"] {
        // Ahead of whatever else the machine does, where we may: a starved load is no steady one.
        // SAFETY: geteuid takes nothing and cannot fail.
        let first: &[&str] =
            if unsafe { libc::geteuid() } == 0 { &["chrt", "--fifo", "1"] } else { &["nice"] };
        let load =
            Command::new(first[0]).args(&first[1..]).args(["python3", "-c", LOAD, milliseconds]).spawn();
        loads.0.push(load.expect("chrt of util-linux"));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let theirs = Command::new("pidstat")
        .args(["-u", "1", "10"])
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .spawn()
        .expect("pidstat of the package sysstat; cargo xtask test installs it");
    let ours = tool::command(&["-u", "1", "10"]).stdout(Stdio::piped()).spawn().unwrap();
    let theirs = String::from_utf8_lossy(&theirs.wait_with_output().unwrap().stdout).into_owned();
    let ours = String::from_utf8_lossy(&ours.wait_with_output().unwrap().stdout).into_owned();
    let (theirs, ours) = (averages(&theirs), averages(&ours));
    let mut compared = 0;
    for child in &loads.0 {
        let pid = child.id();
        let (their, our) = (theirs[&pid], ours[&pid]);
        if their >= 20.0 {
            compared += 1;
            assert!((their - our).abs() <= 2.0, "pid {pid}: pidstat {their}, kpidstat {our}");
        }
    }
    assert_eq!(compared, loads.0.len(), "the loads did not get their share: {theirs:?}");
}
