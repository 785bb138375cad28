//! Container, pod and unit of whoever moves bytes, in groups that are named as runtimes and systemd name theirs; and what does
//! not fit in a map. Needs root; nothing is skipped.

use pidstat_tests::{tool, traffic::Load};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, id},
};

/// Directories below the root of cgroup v2, taken away at the end.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make(paths: &[String]) -> Groups {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let root = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let root = root.and_then(|line| line.split(' ').nth(1)).expect("cgroup v2");
        let mut made = Groups(Vec::new());
        for path in paths {
            let mut at = PathBuf::from(root);
            for part in Path::new(path) {
                at.push(part);
                if !at.exists() {
                    fs::create_dir(&at).expect("a group");
                    made.0.push(at.clone());
                }
            }
        }
        made
    }

    fn of(&self, name: &str) -> &Path {
        self.0.iter().find(|path| path.ends_with(name)).expect("the group")
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

/// Goes into a group and back.
fn within<T>(group: &Path, run: impl FnOnce() -> T) -> T {
    let own = fs::read_to_string("/proc/self/cgroup").expect("cgroup");
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).expect("v2").to_owned();
    let root = group
        .ancestors()
        .find(|path| path.join("cgroup.controllers").exists() && !path.join("cgroup.type").exists());
    let home = root.expect("the root").join(own.trim_start_matches('/'));
    fs::write(group.join("cgroup.procs"), id().to_string()).expect("enter");
    let result = run();
    fs::write(home.join("cgroup.procs"), id().to_string()).expect("leave");
    result
}

fn watch(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let child =
        Command::new(tool::kpidstat()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("kpidstat");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    // The first sample says that it has begun.
    stdout.read_line(&mut text).expect("a line");
    (child, stdout, text)
}

#[test]
fn rows_have_the_container_the_pod_and_the_unit() {
    let container = format!("{:064x}", 0xfeed_0000_0000u64 + u64::from(id()));
    let uid = format!("4af6f2a0-7a8c-4f6c-9d5e-{:012x}", id());
    let pod = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
    let service = format!("kp-test-{}.service", id());
    let scope = format!("cri-containerd-{container}.scope");
    let paths = [
        format!("kp-docker/docker/{container}"),
        format!("kubepods.slice/kubepods-burstable.slice/{pod}/{scope}"),
        format!("system.slice/{service}"),
    ];
    let groups = Groups::make(&paths);
    for (name, key, expected) in [
        (&container, "container", format!("docker/{}", &container[..12])),
        (&scope, "pod", uid),
        (&service, "unit", service.clone()),
    ] {
        for (args, member) in [
            (&["-n", "-o", "ndjson", "0.5", "5"][..], "task-network-load"),
            (&["net", "-o", "ndjson", "0.5", "5"][..], "rows"),
            (&["net", "--by", "connection", "-o", "ndjson", "0.5", "5"][..], "rows"),
        ] {
            let (mut child, mut stdout, mut text) = watch(args);
            let reports = within(groups.of(name), || Load::start(&["segments", "4"]).finish_after_a_while());
            stdout.read_to_string(&mut text).expect("text");
            assert!(child.wait().expect("wait").success());
            let mut found = Vec::new();
            for line in text.lines() {
                let sample: serde_json::Value = serde_json::from_str(line).expect("an object");
                for row in sample[member].as_array().into_iter().flatten() {
                    let pid = row["pid"].as_u64().or_else(|| row["PID"].as_str()?.parse().ok());
                    if reports.iter().any(|report| Some(u64::from(report.pid)) == pid) {
                        found.push(row[key].clone());
                    }
                }
            }
            assert!(
                !found.is_empty() && found.iter().all(|value| *value == *expected),
                "{args:?}: {found:?}"
            );
        }
    }
    let (mut child, mut stdout, mut text) = watch(&["net", "--container", "--batch", "0.5", "5"]);
    let _ = within(groups.of(&container), || Load::start(&["segments", "4"]).finish_after_a_while());
    stdout.read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("wait").success());
    let name = format!("docker/{}", &container[..12]);
    assert!(text.lines().any(|line| line.contains(&name) && line.contains("netload")), "{text}");
}

/// A map that is too small: the report says so, in text on standard error and in JSON, and what has no place of its own there
/// is a row.
#[test]
fn what_does_not_fit_in_a_map_is_said() {
    let (mut child, mut stdout, mut text) = watch(&["net", "--net-sockets", "4", "-o", "ndjson", "0.5", "4"]);
    Load::start(&["udp-churn", "4"]).finish();
    stdout.read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("wait").success());
    let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("a sample")).expect("JSON");
    let lost = last["kpidstat"]["losses"]["flow_insert_failed"].as_u64();
    assert!(lost.is_some_and(|lost| lost > 0), "{last}");
    assert!(text.contains("[overflow]"), "{text}");
    let (mut child, mut stdout, mut text) = watch(&["-n", "--net-sockets", "4", "0.5", "4"]);
    Load::start(&["udp-churn", "4"]).finish();
    stdout.read_to_string(&mut text).expect("text");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("stderr");
    assert!(child.wait().expect("wait").success());
    assert!(text.contains("[overflow]"), "{text}");
    assert!(
        said.contains("flow_insert_failed") && said.contains("--net-sockets N makes more room"),
        "{said}"
    );
}
