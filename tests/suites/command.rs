//! The command as a person meets it: signals, pipes, mistakes, missing privilege. No root needed; with root, an
//! ordinary user is tried by giving it up.

use pidstat_tests::{tool, watcher::Watcher};
use std::{
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Output, Stdio},
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn busy() -> Child {
    Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()
}

fn wait(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

/// The oracle is the kernel: what a process uses in an interval is no more than the interval, and no less than nothing.
#[test]
fn rows_of_csv_say_what_the_tool_itself_cost_and_lost() {
    let mut load = busy();
    let pid = load.id().to_string();
    let out =
        tool::command(&["--source", "proc", "-u", "-o", "csv", "-p", &pid, "0.2", "2"]).output().unwrap();
    load.kill().unwrap();
    load.wait().unwrap();
    let shown = text(&out.stdout);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 3, "{shown}");
    for row in &lines[1..] {
        let of = |name: &str| row[lines[0].iter().position(|head| *head == name).expect(name)];
        let number = |name: &str| of(name).parse::<u64>().unwrap_or_else(|_| panic!("{name}: {shown}"));
        assert!((1..60_000_000_000).contains(&number("self_cpu_ns")), "{shown}");
        assert!((1000..60_000_000_000).contains(&number("self_sample_ns")), "{shown}");
        assert!(number("self_resident_bytes") > 1 << 20, "{shown}");
        assert!(number("self_peak_bytes") > 1 << 20, "{shown}");
        // Nothing of it runs in the kernel.
        assert_eq!((of("self_bpf_run_ns"), of("self_exit_map_used")), ("", ""), "{shown}");
        assert_eq!(of("losses"), "none", "{shown}");
    }
}

#[test]
fn sigint_prints_the_averages_and_ends_well() {
    for number in [libc::SIGINT, libc::SIGTERM] {
        let mut load = busy();
        let pid = load.id().to_string();
        let watcher = Watcher::start(&["--source", "proc", "-p", &pid, "-u", "-w", "0.2"]);
        let (shown, code) = watcher.end(number);
        load.kill().unwrap();
        load.wait().unwrap();
        let shown = text(&shown);
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.lines().any(|line| line.starts_with("Average:")), "{shown}");
    }
}

#[test]
fn a_json_document_is_whole_after_an_interrupt() {
    let (shown, _) = Watcher::start(&["--source", "proc", "-o", "json", "0.2"]).end(libc::SIGINT);
    let document: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    assert!(document["sysstat"]["hosts"][0]["statistics"].as_array().is_some_and(|list| !list.is_empty()));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut child = tool::command(&["--source", "proc", "-p", "ALL", "0.05", "100"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());
    let output = wait(child);
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn mistakes_are_named_and_exit_with_2() {
    let cases: [(&[&str], &str); 15] = [
        (&["1", "0"], "count"),
        (&["0", "5"], "interval above 0"),
        (&["abc"], "seconds"),
        (&["1", "2", "3"], "unexpected argument"),
        (&["-p", "0", "1"], "process ids"),
        (&["-p", "1-3", "1"], "process ids"),
        (&["-C", "[", "1"], "-C:"),
        (&["-C", "", "1"], "-C"),
        (&["--dec=3", "1"], "--dec"),
        (&["-o", "xml", "1"], "xml"),
        (&["-T", "child", "1"], "child"),
        (&["--no-such-option"], "--no-such-option"),
        (&["-u", "--net", "sampled", "1"], "-n"),
        (&["-n", "--net", "sampled"], "intervals"),
        (&["-n", "--net", "sampled", "--source", "proc", "1"], "no files"),
    ];
    for (arguments, named) in cases {
        let output = tool::run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn a_process_that_does_not_exist_exits_with_3() {
    let output = tool::run(&["--source", "proc", "-p", "4194305", "0.1", "2"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("-p"));
}

#[test]
fn a_way_to_count_traffic_that_does_not_work_here_exits_with_4() {
    let output = tool::as_nobody(&["-n", "--net", "pcap", "0.1", "1"]).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.starts_with("kpidstat: --net pcap cannot be used: "), "{said}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_procfs_that_is_none_exits_with_1_and_names_the_file() {
    let empty = tempfile::tempdir().unwrap();
    let output = tool::run(&["--procfs", empty.path().to_str().unwrap(), "0.1", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("uptime"), "{}", text(&output.stderr));
}

#[test]
fn an_ordinary_user_sees_what_proc_allows_and_is_told_what_is_missing() {
    let output = tool::as_nobody(&["-u", "-d", "-p", "ALL", "0.3", "1"]).output().unwrap();
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let about_ebpf: Vec<&str> = said.lines().filter(|line| line.contains("eBPF")).collect();
    assert_eq!(about_ebpf.len(), 1, "{said}");
    assert!(about_ebpf[0].contains("CAP_BPF") && about_ebpf[0].contains("CAP_PERFMON"), "{said}");
    assert!(said.lines().any(|line| line.contains("CAP_SYS_PTRACE")), "{said}");
    // Nobody may read the I/O of another user's process: it is missing, not zero.
    let own = shown.lines().find(|line| line.contains("kB_rd/s")).is_some();
    assert!(own, "{shown}");
    let foreign: Vec<&str> = shown
        .lines()
        .skip_while(|line| !line.contains("kB_rd/s"))
        .filter(|line| line.contains(" 0 "))
        .collect();
    assert!(foreign.iter().any(|line| line.contains("        -         -         -")), "{shown}");
}

#[test]
fn an_ordinary_user_who_demands_ebpf_gets_4_and_the_capability() {
    let output = tool::as_nobody(&["--source", "ebpf", "0.1", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("CAP_BPF"), "{}", text(&output.stderr));
    let doctor = tool::as_nobody(&["doctor"]).output().unwrap();
    assert_eq!(doctor.status.code(), Some(4));
    assert!(text(&doctor.stdout).contains("CAP_BPF"), "{}", text(&doctor.stdout));
}

#[test]
fn an_ordinary_user_who_asks_for_traffic_gets_dashes_and_a_reason() {
    let output = tool::as_nobody(&["-n", "-p", "SELF", "-o", "json", "0.2", "1"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sample = &document["sysstat"]["hosts"][0]["statistics"][0];
    assert!(sample["task-network-load"][0]["tx_bytes"].is_null(), "{sample}");
    assert_eq!(sample["kpidstat"]["source"], "proc");
    assert!(text(&output.stderr).contains("CAP_BPF"));
}

#[test]
fn fractions_of_a_second_are_measured_seconds() {
    let mut load = busy();
    let pid = load.id().to_string();
    let output = tool::run(&["--source", "proc", "-p", &pid, "-o", "ndjson", "0.25", "4"]);
    load.kill().unwrap();
    load.wait().unwrap();
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let cpu = line["task-cpu-load"][0]["cpu"].as_f64().unwrap();
        // A spinner gets at most one CPU; a tick of 10 ms is 4 % of a quarter second.
        assert!((0.0..=108.0).contains(&cpu), "{line}");
    }
}
