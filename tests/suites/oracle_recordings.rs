//! The real Procpath beside us: the same rows recorded of the same frozen procfs, and the same playbooks resolved.

use pidstat_tests::{forest, procpath, tool};
use rusqlite::{Connection, types::Value};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const FILES: &str = "stat,cmdline,io,status,fd,smaps_rollup";

fn theirs(arguments: &[&str]) -> Output {
    let program = procpath::python().with_file_name("procpath");
    // A variable of several lines in the environment is one that Procpath cannot bear.
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .output()
        .unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every row of `record` but its number and its time, by the names of the columns.
fn rows(file: &Path) -> (Vec<String>, Vec<Vec<Value>>) {
    let database = Connection::open(file).unwrap();
    let names: Vec<String> = database
        .prepare("SELECT name || ' ' || type FROM pragma_table_info('record') WHERE name <> 'record_id' AND name <> 'ts'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let list: Vec<&str> = names.iter().map(|name| name.split(' ').next().unwrap()).collect();
    let mut all =
        database.prepare(&format!("SELECT {} FROM record ORDER BY record_id", list.join(", "))).unwrap();
    let rows = all
        .query_map([], |row| (0..list.len()).map(|at| row.get(at)).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    (names, rows)
}

#[test]
fn a_frozen_procfs_is_recorded_as_procpath_records_it() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let procfs = procfs.to_str().unwrap();
    for (number, more) in [
        &[][..],
        &["$..children[?(@.stat.ppid == 1)]"],
        &["-p", "1,2700", "$..children[?('a' in @.stat.comm)]"],
        &["--procfs-target", "thread"],
        &["-e", "P=echo 2610", "$..children[?(@.stat.pid == $P)]"],
        &["-e", "P=echo 2610,700", "-p", "$P"],
        &["$..children[?(@.stat.pid == 999999)]"],
    ]
    .into_iter()
    .enumerate()
    {
        let file = |whose: &str| dir.path().join(format!("{whose}-{number}.sqlite"));
        let arguments = |file: &PathBuf| -> Vec<String> {
            let fixed = [
                "record",
                "-d",
                file.to_str().unwrap(),
                "-r",
                "2",
                "-i",
                "0.01",
                "-f",
                FILES,
                "--procfs",
                procfs,
            ];
            fixed.iter().chain(more).map(|word| (*word).to_owned()).collect()
        };
        let (our_file, their_file) = (file("ours"), file("theirs"));
        let words = arguments(&their_file);
        succeeded(&theirs(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        let words = arguments(&our_file);
        succeeded(&tool::run(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        let (ours, others) = (rows(&our_file), rows(&their_file));
        assert_eq!(ours.0, others.0, "{more:?}");
        assert_eq!(ours.1.len(), others.1.len(), "{more:?}");
        for (ours, others) in ours.1.iter().zip(&others.1) {
            assert_eq!(ours, others, "{more:?}");
        }
        assert_eq!(meta(&our_file, &their_file), meta(&their_file, &their_file), "{more:?}");
    }
}

/// What `meta` says under the names that `like` has.
fn meta(file: &Path, like: &Path) -> Vec<(String, String)> {
    let (database, like) = (Connection::open(file).unwrap(), Connection::open(like).unwrap());
    let mut keys = like.prepare("SELECT key FROM meta ORDER BY key").unwrap();
    let keys: Vec<String> = keys.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    keys.into_iter()
        .map(|key| {
            let value = database.query_row("SELECT value FROM meta WHERE key = ?", [&key], |row| row.get(0));
            (key, value.unwrap_or_default())
        })
        .collect()
}

#[test]
fn a_recording_of_procpaths_is_continued_with_more_columns_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let file = dir.path().join("old.sqlite");
    let (procfs, path) = (procfs.to_str().unwrap(), file.to_str().unwrap());
    succeeded(&theirs(&["record", "-d", path, "-r", "2", "-i", "0.1", "--procfs", procfs]));
    let before = rows(&file);
    let replayed = tool::run(&["--replay", path, "-r", "-p", "1"]);
    succeeded(&replayed);
    succeeded(&tool::run(&["record", "-d", path, "-r", "1", "-f", FILES, "--procfs", procfs]));
    let after = rows(&file);
    assert!(after.0.starts_with(&before.0) && after.0.len() > before.0.len());
    assert_eq!(after.1.len(), before.1.len() * 3 / 2);
    for (old, now) in before.1.iter().zip(&after.1) {
        assert_eq!(old[..], now[..old.len()]);
        assert!(now[old.len()..].iter().all(|value| *value == Value::Null));
    }
    // What was added is what Procpath records of these files.
    let fresh = dir.path().join("fresh.sqlite");
    succeeded(&theirs(&[
        "record",
        "-d",
        fresh.to_str().unwrap(),
        "-r",
        "1",
        "-f",
        FILES,
        "--procfs",
        procfs,
    ]));
    let fresh = rows(&fresh);
    for (theirs, ours) in fresh.1.iter().zip(&after.1[before.1.len()..]) {
        let of = |name: &String| &ours[after.0.iter().position(|known| known == name).unwrap()];
        let ours: Vec<&Value> = fresh.0.iter().map(of).collect();
        assert_eq!(ours, theirs.iter().collect::<Vec<_>>());
    }
    succeeded(&theirs(&[
        "plot",
        "-d",
        path,
        "-f",
        dir.path().join("rss.svg").to_str().unwrap(),
        "-q",
        "rss",
    ]));
}

#[test]
fn playbooks_are_resolved_as_procpath_resolves_them() {
    let book = tool::root().join("tests/oracle/playbook.ini");
    let book = book.to_str().unwrap();
    for more in [
        &["-n", "*"][..],
        &["-n", "group1:*", "*:rss:query"],
        &["-n", "-o", "database_file=other.sqlite", "-o", "Interval=2.5", "*:record"],
        &["-n", "-o", "environment=X=echo 1", "group1:query"],
        &["-l", "*"],
        &["-l", "[gs]*:query", "group?:plot", "*[!e]:watch"],
        &["-l", "nothing"],
    ] {
        let arguments = [&["play", "-f", book], more].concat();
        let (ours, others) = (tool::run(&arguments), theirs(&arguments));
        let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text(&ours), text(&others), "{more:?} {}", String::from_utf8_lossy(&others.stderr));
        assert_eq!(ours.status.code(), others.status.code(), "{more:?}");
    }
}

#[test]
fn what_is_wrong_with_a_playbook_is_said_in_procpaths_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("book.ini");
    for (book, target) in [
        ("[foo:record]\nprocfile_list: stat", "*"),
        ("[foo:watch]\ninterval: 1", "*"),
        ("[foo:query]\nbar: 1", "*"),
        ("[foo:query]\nenvironment: A='x", "*"),
        ("[foo:query]\nenvironment: A=x \\", "*"),
        ("[foo:query]\nindent: 1", "bar*"),
    ] {
        fs::write(&file, book).unwrap();
        let arguments = ["play", "-f", file.to_str().unwrap(), target];
        let (ours, others) = (tool::run(&arguments), theirs(&arguments));
        let words = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let last = text.lines().last().unwrap_or_default().to_owned();
            last.split_once("procpath ")
                .or(last.split_once("kpidstat: "))
                .map_or(last.clone(), |(_, words)| words.into())
        };
        assert_eq!((words(&ours), ours.status.code()), (words(&others), Some(1)), "{book}");
    }
}

/// A playbook of all four commands over a frozen tree, with what Procpath's documentation uses: parents, variables of a
/// shell pipeline over two lines, lists of lines.
const BOOK: &str = r#"
[tree]
procfs: PROCFS
procfile_list: stat,cmdline
environment:
  L=printf '2610\n700\n' | xargs -I{} -- \
    echo {} | tr '\n' ,
query: $..children[?(@.stat.pid in [$L])]

[a:query]
extends: tree
sql_query: SELECT count(*) n, sum(stat_rss) rss, '$L' list FROM record
indent: 2

[b:query]
extends: tree
query: $..children[?(@.stat.pid in [$L])]..pid
delimiter: ,

[a:record]
extends: tree
database_file: out-$L.sqlite
interval: 0.02
recnum: 3
reevalnum: 2
stop_without_result: yes

[a:plot]
database_file: out-2610,700,.sqlite
plot_file: out.svg
query_name: rss
custom_value_expr: stat_priority * 1.0
epsilon: 0.1
moving_average_window: 2
title: Two "axes": ünïcode

[a:watch]
procfs: PROCFS
interval: 0.3
repeat: 1
environment: T=echo tail
query:
  ONE=$..children[?(@.stat.pid == 2610)]..pid
  TWO=$..children[?(@.stat.pid == 700)].stat.comm
command:
  echo "one $ONE two $TWO $T"
  printf '%s\n' \
    continued
"#;

#[test]
fn a_playbook_is_played_as_procpath_plays_it() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let book = dir.path().join("book.ini");
    fs::write(&book, BOOK.replace("PROCFS", procfs.to_str().unwrap())).unwrap();
    let play = |program: PathBuf, whose: &str| {
        let folder = dir.path().join(whose);
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new(program);
        command.args(["play", "-f", book.to_str().unwrap(), "*"]).current_dir(&folder);
        let output =
            command.env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8").output().unwrap();
        succeeded(&output);
        let (out, said) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let told = |what: &str| -> Vec<String> {
            let behind = said.lines().filter_map(|line| line.split_once(what));
            behind.map(|(_, rest)| rest.to_owned()).collect()
        };
        let mut watched = told("№");
        // Two shells talk at once.
        watched.sort();
        (folder, out, told("Executing section "), watched)
    };
    let (our_folder, ours, our_sections, our_watch) = play(tool::kpidstat(), "ours");
    let (their_folder, theirs, their_sections, their_watch) =
        play(procpath::python().with_file_name("procpath"), "theirs");
    assert_eq!(ours, theirs);
    assert!(
        ours.contains("\"list\": \"2610,700,\"") && ours.lines().last().unwrap().contains("2610,"),
        "{ours}"
    );
    assert_eq!((&our_sections, our_sections.len()), (&their_sections, 5));
    assert_eq!((&our_watch, our_watch.len()), (&their_watch, 2));
    let recorded = |folder: &Path| rows(&folder.join("out-2610,700,.sqlite"));
    let (ours, theirs) = (recorded(&our_folder), recorded(&their_folder));
    assert!(!ours.1.is_empty());
    assert_eq!(ours, theirs);
    let drawn = |folder: &Path| fs::read_to_string(folder.join("out.svg")).unwrap();
    let (ours, theirs) = (drawn(&our_folder), drawn(&their_folder));
    for word in ["rss 2610", "rss 700", "№2 2610", "№2 700", "ünïcode"] {
        assert!(ours.contains(word) && theirs.contains(word), "{word}");
    }
}
