//! `watch` as a person uses it: commands with pids from the tree, restarts, and an end that leaves nothing behind.

use pidstat_tests::tool;
use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn start(arguments: &[&str]) -> Child {
    let mut command = tool::command(&["watch"]);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn run(arguments: &[&str]) -> (String, Option<i32>) {
    let output = start(arguments).wait_with_output().unwrap();
    (said(&output), output.status.code())
}

/// Waits for a file and reads it.
fn wait_for(path: &Path) -> String {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("{} was never written", path.display());
}

fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // A zombie is dead and waits for its parent.
    stat.is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or_default().starts_with('Z'))
}

#[test]
fn commands_get_variables_queries_and_the_pids_of_the_shells_before() {
    let (said, code) = run(&[
        "-i",
        "0.2",
        "-r",
        "1",
        "-e",
        "A=echo 1",
        "-q",
        "L=$..children[?(@.stat.pid == $A)].stat.pid,ppid",
        "-c",
        "echo \"list $L of $A\"",
        "-c",
        "echo shell $WPS1 >&2; echo done",
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" INFO    kpidstat №1: list 1,0 of 1\n"), "{said}");
    let warned = said.lines().find(|line| line.contains(" WARNING kpidstat №2: shell ")).expect("a warning");
    assert!(warned.rsplit(' ').next().unwrap().parse::<u32>().is_ok(), "{said}");
    assert!(said.contains("№2: done"), "{said}");
}

#[test]
fn what_ended_is_restarted_and_what_runs_is_not() {
    let (said, code) =
        run(&["-i", "0.3", "-r", "3", "-c", "echo short; exit 3", "-c", "echo long; sleep 60"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("№1: short").count(), 3, "{said}");
    assert_eq!(said.matches("№1 exited with code 3, restarting").count(), 2, "{said}");
    assert_eq!(said.matches("№2: long").count(), 1, "{said}");
    let (said, code) = run(&["-i", "0.05", "--no-restart", "-c", "echo once", "-c", "sleep 0.2"]);
    assert_eq!((code, said.matches("once").count()), (Some(0), 1), "{said}");
}

#[test]
fn an_empty_query_is_warned_of_and_a_bad_one_is_shown() {
    let (said, code) = run(&["-i", "0.1", "-r", "1", "-q", "L=$..nothing", "-c", "echo [$L]"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(" WARNING kpidstat Query L evaluated empty\n") && said.contains("№1: []"),
        "{said}"
    );
    let (said, code) = run(&["-i", "1", "-q", "L=$..children[?(", "-c", "true"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("^"), "{said}");
}

#[test]
fn values_are_no_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made");
    let evil = format!("E=printf '%s' '$(touch {0}); touch {0}'", file.display());
    let (said, _) = run(&["-i", "0.2", "-r", "1", "-e", &evil, "-c", "echo \"$E\""]);
    assert!(said.contains("№1: $(touch "), "{said}");
    assert!(!file.exists());
}

#[test]
fn the_end_reaches_every_descendant() {
    for (signal, stubborn) in [(libc::SIGINT, false), (libc::SIGHUP, true), (libc::SIGTERM, true)] {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let ignore = if stubborn { "trap '' INT;" } else { "" };
        let script = format!(
            "{ignore} sh -c \"{ignore} setsid sleep 70 & sleep 70 & echo \\$\\$ > {0}; wait\"",
            pids.display()
        );
        let watch = start(&["-i", "60", "--kill-after", "0.3", "-c", &script]);
        let shell = wait_for(&pids);
        let children = Command::new("pgrep").args(["-P", shell.trim()]).output().unwrap();
        let mut family: Vec<String> =
            String::from_utf8(children.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(family.len(), 2);
        family.push(shell);
        assert!(family.iter().all(|pid| alive(pid)));
        // SAFETY: kill takes two numbers; the child was not waited for, so the number is its.
        assert_eq!(unsafe { libc::kill(watch.id() as i32, signal) }, 0);
        let output = watch.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        for pid in family {
            assert!(!alive(&pid), "{pid} lives on after signal {signal}");
        }
    }
}

/// What is watched may have something to write before it ends: it is asked, and not killed.
#[test]
fn a_command_is_told_that_it_is_the_end() {
    for (word, name) in [("SIGINT", "INT"), ("SIGTERM", "TERM")] {
        let script = format!("trap 'echo heard; exit 0' {name}; echo up; while :; do sleep 0.05; done");
        let begun = Instant::now();
        let (said, code) = run(&[
            "-i",
            "1",
            "-r",
            "1",
            "-s",
            word,
            "--kill-after",
            "100",
            "-c",
            &script,
            "-e",
            "A=kill -0 $$ && echo a",
        ]);
        assert!(code == Some(0) && said.contains("№1: up") && said.contains("№1: heard"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn a_line_that_is_too_long_is_an_error_and_reading_goes_on() {
    let (said, code) = run(&[
        "-i",
        "0.4",
        "-r",
        "1",
        "--stream-read-buffer",
        "1k",
        "-c",
        "yes | head -c 5000 | tr -d '\\n'; echo; echo after",
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(" ERROR   kpidstat №1: a line is longer than 1024 bytes") && said.contains("№1: after"),
        "{said}"
    );
}

#[test]
fn mistakes_are_named_and_exit_with_2() {
    for (arguments, named) in [
        (&["-i", "1"][..], "--command"),
        (&["-c", "true"], "--interval"),
        (&["-i", "1", "-c", "true", "-s", "SIGNOPE"], "SIGTERM"),
        (&["-i", "x", "-c", "true"], "seconds"),
        (&["-i", "1", "-c", "true", "-e", "nothing"], "NAME=COMMAND"),
        (&["-i", "1", "-c", "true", "--stream-read-buffer", "0"], "64k"),
    ] {
        let (said, code) = run(arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
}
