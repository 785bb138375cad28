//! A recording prints what the recorded machine printed: every story, live against `record` and `--replay`.

use pidstat_tests::tool;
use std::{collections::BTreeSet, fs, path::Path, process::Output};

/// What is asked of both.
const REPORTS: [&[&str]; 6] = [
    &["-u", "-r", "-d", "-w", "-R", "-n"],
    &["-u", "-s", "-v", "-h", "-I"],
    &["-U", "-l", "--cgroup"],
    &["-u", "-r", "-d", "-w", "-v", "-s", "-n", "-o", "json"],
    &["-U", "-u", "-r", "-d", "-w", "-v", "-s", "-R", "-o", "csv"],
    &["--where", "cpu_pct > 1 or rss_kib > 3000", "--tree", "--sort", "comm"],
];

fn stories() -> BTreeSet<String> {
    let entries = fs::read_dir(tool::root().join("tests/scenarios")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn shown(output: &Output) -> (String, Option<i32>) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

fn same(story: &Path, recording: &Path, arguments: &[&str]) {
    let with = |option: &str, path: &Path, interval: &[&str]| {
        shown(&tool::run(&[&[option, path.to_str().unwrap()], arguments, interval].concat()))
    };
    // Stories pass time unevenly, so every sample is asked for.
    let (live, replayed) = (with("--root", story, &["1"]), with("--replay", recording, &[]));
    assert_eq!(replayed, live, "{} {arguments:?}", story.display());
}

#[test]
fn every_story_is_replayed_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for name in stories() {
        let story = tool::root().join("tests/scenarios").join(&name);
        for (target, extra) in [("process", None), ("thread", Some("-t"))] {
            let file = dir.path().join(format!("{name}-{target}.sqlite"));
            let path = file.to_str().unwrap();
            let record = [
                "record",
                "--root",
                story.to_str().unwrap(),
                "-d",
                path,
                "-i",
                "1",
                "--reports",
                "urdwnRsvc",
            ];
            let recorded = tool::run(&[&record[..], &["--procfs-target", target]].concat());
            assert!(recorded.status.success(), "{name}: {}", String::from_utf8_lossy(&recorded.stderr));
            let asked = if extra.is_some() { &REPORTS[4..5] } else { &REPORTS };
            for reports in asked {
                let arguments: Vec<&str> = reports.iter().copied().chain(extra).collect();
                same(&story, &file, &arguments);
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn what_a_recording_does_not_hold_is_missing_and_not_zero() {
    let dir = tempfile::tempdir().unwrap();
    let story = tool::root().join("tests/scenarios/steady");
    let file = dir.path().join("out.sqlite");
    let path = file.to_str().unwrap();
    let record = ["record", "--root", story.to_str().unwrap(), "-d", path, "-i", "1", "--reports", "-"];
    assert!(tool::run(&record).status.success());
    let (text, code) = shown(&tool::run(&["--replay", path, "-u", "-r", "-d", "-R", "1"]));
    assert_eq!(code, Some(0));
    let busy: Vec<&str> =
        text.lines().filter(|line| line.contains("busy") && line.starts_with("0")).collect();
    // UID, %wait and the CPU are in no table of Procpath's; CPU time and memory are.
    assert!(busy[0].contains(" - ") && busy[0].contains(" 50.00   25.00 "), "{text}");
    let (json, _) = shown(&tool::run(&["--replay", path, "-u", "-d", "-R", "-o", "json"]));
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let first = &document["sysstat"]["hosts"][0]["statistics"][0];
    let of = |table: &str| first[table][0].clone();
    assert!(of("task-cpu-load")["cpu_nr"].is_null() && of("task-cpu-load")["wait"].is_null(), "{first}");
    assert!(of("task-cpu-load")["UID"].is_null() && of("task-cpu-load")["usr"].is_number(), "{first}");
}

#[test]
fn an_interval_chooses_among_the_samples() {
    let dir = tempfile::tempdir().unwrap();
    let story = tool::root().join("tests/scenarios/steady");
    let file = dir.path().join("out.sqlite");
    let path = file.to_str().unwrap();
    assert!(
        tool::run(&["record", "--root", story.to_str().unwrap(), "-d", path, "-i", "1"]).status.success()
    );
    let samples = |arguments: &[&str]| {
        let (lines, _) = shown(&tool::run(&[&["--replay", path, "-u", "-o", "ndjson"], arguments].concat()));
        lines.lines().count()
    };
    let all = samples(&[]);
    assert!(all > 1);
    assert_eq!((samples(&["1"]), samples(&["2"]), samples(&["1", "1"])), (all, all / 2, 1));
}

#[test]
fn what_is_no_recording_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "not a database, but long enough for the header of one; ".repeat(9)).unwrap();
    for (path, words) in
        [(file.as_path(), "is not an SQLite database"), (&dir.path().join("none"), "No such file")]
    {
        let output = tool::run(&["--replay", path.to_str().unwrap(), "-u"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
}
