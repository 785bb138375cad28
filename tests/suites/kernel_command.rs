//! The command on this kernel: its JSON adds up to what senders and receivers know they moved, and a kill leaves nothing.

use pidstat_tests::{tool, watcher::Watcher};
use serde_json::Value;
use std::{
    collections::HashMap,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What a run's rows of one process add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    tx_bytes: u64,
    rx_bytes: u64,
}

fn netload() -> PathBuf {
    let path = tool::kpidstat().with_file_name("netload");
    assert!(path.exists(), "netload is not built; run the tests with: cargo xtask test");
    path
}

/// Adds up the network rows of every sample, by process.
fn sums(document: &[u8]) -> (HashMap<u32, Sum>, Vec<u32>) {
    let document: Value = serde_json::from_slice(document).expect("a whole document");
    let mut sums: HashMap<u32, Sum> = HashMap::new();
    let mut exited = Vec::new();
    for sample in document["sysstat"]["hosts"][0]["statistics"].as_array().expect("samples") {
        assert_eq!(sample["kpidstat"]["source"], "ebpf", "{}", sample["kpidstat"]);
        assert_eq!(sample["kpidstat"]["net_rung"], "tracepoint", "{}", sample["kpidstat"]);
        for (name, lost) in sample["kpidstat"]["losses"].as_object().expect("losses") {
            assert!(lost == 0 || name == "inconsistent" || name == "exit_unseen", "{name}: {lost}");
        }
        for row in sample["task-network-load"].as_array().expect("network rows") {
            let pid = row["PID"].as_str().unwrap().parse().unwrap();
            let sum = sums.entry(pid).or_default();
            sum.tx_bytes += row["tx_bytes"].as_u64().unwrap();
            sum.rx_bytes += row["rx_bytes"].as_u64().unwrap();
            if row["exited"] == true {
                exited.push(pid);
            }
        }
    }
    (sums, exited)
}

/// The lines `PID tx rx ...` that a workload prints about its processes.
fn reports(output: &[u8]) -> Vec<(u32, Sum)> {
    let parse = |line: &str| {
        let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        (u32::try_from(numbers[0]).unwrap(), Sum { tx_bytes: numbers[1], rx_bytes: numbers[2] })
    };
    String::from_utf8_lossy(output).lines().map(parse).collect()
}

#[test]
fn a_runs_json_adds_up_to_what_every_process_moved() {
    let watcher = Watcher::start(&["-n", "-o", "json", "0.5"]);
    let mut moved = Vec::new();
    for case in ["stream", "short", "sendfile", "udp", "udp-connected", "udp-churn"] {
        for family in ["4", "6"] {
            let load = Command::new(netload()).args([case, family]).stdin(Stdio::null()).output().unwrap();
            assert!(load.status.success(), "{case} {family}: {}", String::from_utf8_lossy(&load.stderr));
            let reports = reports(&load.stdout);
            assert!(!reports.is_empty(), "{case} {family} reports nothing");
            moved.extend(reports.into_iter().map(|(pid, sum)| (format!("{case} v{family}"), pid, sum)));
        }
    }
    thread::sleep(Duration::from_millis(1200));
    let (document, _) = watcher.end(libc::SIGINT);
    let (sums, exited) = sums(&document);
    for (case, pid, sum) in moved {
        assert_eq!(sums.get(&pid).copied().unwrap_or_default(), sum, "{case}, pid {pid}");
        // Every process of these workloads is gone long before the end.
        assert!(exited.contains(&pid), "{case}, pid {pid} is marked as ended");
    }
}

#[test]
fn an_interrupted_or_killed_run_leaves_no_program_behind() {
    let before = programs();
    let watcher = Watcher::start(&["-n", "-u", "0.2"]);
    let loaded: Vec<u32> = programs().into_iter().filter(|id| !before.contains(id)).collect();
    assert!(loaded.len() >= 5, "the task and net programs are loaded: {loaded:?}");
    assert_eq!(watcher.end(libc::SIGINT).1, Some(0));
    gone(&loaded);
    let killed = Watcher::start(&["-n", "-u", "0.2"]);
    let loaded: Vec<u32> = programs().into_iter().filter(|id| !before.contains(id)).collect();
    assert_eq!(killed.end(libc::SIGKILL).1, None);
    gone(&loaded);
}

#[test]
fn without_privilege_the_missing_capabilities_are_named() {
    let output = tool::as_nobody(&["-n", "--net", "sampled", "0.1", "1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let wanted = "kpidstat: --net sampled cannot be used: CAP_BPF and CAP_PERFMON missing; run as root, or with CAP_BPF";
    assert!(said.starts_with(wanted), "{said}");
}

#[test]
fn without_btf_the_kernel_option_is_named_and_proc_is_read() {
    let hidden = |arguments: &str| {
        let own = tool::kpidstat();
        let script = format!("mount -t tmpfs none /sys/kernel/btf && exec {} {arguments}", own.display());
        Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap()
    };
    let output = hidden("-n --net tracepoint 0.1 1");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let wanted = "kpidstat: --net tracepoint cannot be used: the kernel has no BTF; use a kernel built with CONFIG_DEBUG_INFO_BTF";
    assert!(said.starts_with(wanted), "{said}");
    let output = hidden("-u 0.1 1");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("so /proc is read: the kernel has no BTF"));
}

#[test]
fn the_sampled_rung_marks_its_columns_and_says_what_it_lacks() {
    let load = || {
        let load = Command::new(netload()).args(["stream", "4"]).stdin(Stdio::null()).output().unwrap();
        assert!(load.status.success());
        reports(&load.stdout)
    };
    let watcher = Watcher::start(&["-n", "--net", "sampled", "-o", "ndjson", "0.3"]);
    let moved = load();
    thread::sleep(Duration::from_millis(900));
    let (lines, _) = watcher.end(libc::SIGINT);
    let mut sums: HashMap<u32, Sum> = HashMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let sample: Value = serde_json::from_slice(line).expect("an object");
        assert_eq!(sample["kpidstat"]["net_rung"], "sampled");
        assert!(sample["kpidstat"]["net_shortfall"].as_str().unwrap().starts_with("only TCP"));
        for row in sample["task-network-load"].as_array().expect("network rows") {
            let sum = sums.entry(row["PID"].as_str().unwrap().parse().unwrap()).or_default();
            sum.tx_bytes += row["tx_bytes"].as_u64().unwrap();
            sum.rx_bytes += row["rx_bytes"].as_u64().unwrap();
        }
    }
    for (pid, sum) in moved {
        assert_eq!(sums.get(&pid).copied().unwrap_or_default(), sum, "pid {pid}");
    }
    let output = tool::run(&["-n", "--net", "sampled", "0.1", "1"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("traffic is counted by sampled: only TCP"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("~rxkB/s"));
}

#[test]
fn what_did_not_fit_in_the_maps_is_said() {
    let watcher = Watcher::start(&["-n", "--net-sockets", "16", "-o", "json", "0.5"]);
    let load = Command::new(netload()).args(["udp-churn", "4"]).stdin(Stdio::null()).output().unwrap();
    assert!(load.status.success());
    thread::sleep(Duration::from_millis(700));
    let (document, _) = watcher.end(libc::SIGINT);
    let document: Value = serde_json::from_slice(&document).expect("a whole document");
    let samples = document["sysstat"]["hosts"][0]["statistics"].as_array().expect("samples");
    let lost = &samples.last().expect("one")["kpidstat"]["losses"]["flow_insert_failed"];
    assert!(lost.as_u64().unwrap() > 0, "{lost}");
}

/// Kernel programs with our names that exist now.
fn programs() -> Vec<u32> {
    let mut found = Vec::new();
    let mut id = 0;
    while let Some(next) = next_program(id) {
        id = next;
        if name_of(id).is_some_and(|name| name.starts_with(b"ps_")) {
            found.push(id);
        }
    }
    found
}

/// Waits until none of these programs exists; they are freed a moment after their last descriptor closes.
fn gone(loaded: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let left = || programs().into_iter().filter(|id| loaded.contains(id)).collect::<Vec<u32>>();
    while !left().is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(left().is_empty(), "left behind: {:?}", left());
}

const BPF_PROG_GET_NEXT_ID: i32 = 11;
const BPF_PROG_GET_FD_BY_ID: i32 = 13;
const BPF_OBJ_GET_INFO_BY_FD: i32 = 15;

fn next_program(after: u32) -> Option<u32> {
    // start_id, next_id, open_flags
    let mut attr = [after, 0, 0, 0];
    (bpf(BPF_PROG_GET_NEXT_ID, attr.as_mut_ptr().cast(), size_of_val(&attr)) == 0).then_some(attr[1])
}

fn name_of(id: u32) -> Option<[u8; 16]> {
    let mut attr = [id, 0, 0, 0];
    let fd = bpf(BPF_PROG_GET_FD_BY_ID, attr.as_mut_ptr().cast(), size_of_val(&attr));
    if fd < 0 {
        return None;
    }
    // struct bpf_prog_info (include/uapi/linux/bpf.h): the name stands at byte 64.
    let mut info = [0u8; 128];
    let (low, high) = {
        let address = info.as_mut_ptr().expose_provenance() as u64;
        ((address & 0xffff_ffff) as u32, (address >> 32) as u32)
    };
    let mut attr = [u32::try_from(fd).unwrap(), info.len() as u32, low, high];
    let answered = bpf(BPF_OBJ_GET_INFO_BY_FD, attr.as_mut_ptr().cast(), size_of_val(&attr));
    // SAFETY: the descriptor was made above and is not used again.
    unsafe { libc::close(i32::try_from(fd).unwrap()) };
    (answered == 0).then(|| info[64..80].try_into().unwrap())
}

fn bpf(command: i32, attr: *mut libc::c_void, bytes: usize) -> i64 {
    // SAFETY: `attr` points to `bytes` bytes of the command's own part of union bpf_attr, and what it points to is
    // alive during the call.
    unsafe { libc::syscall(libc::SYS_bpf, command, attr, bytes) }
}
