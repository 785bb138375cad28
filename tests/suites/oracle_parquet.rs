//! Recordings as Parquet, read by DuckDB: the rows of the database, whatever happens to the recorder.

use pidstat_tests::{forest, tool};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// What DuckDB says of a file.
fn read(file: &Path) -> Value {
    let python = tool::tools_dir().join("python/bin/python3");
    let driver = tool::root().join("tests/oracle/parquet.py");
    let output = Command::new(&python).arg(driver).arg(file).output().expect("python3 of the tools");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {said}; what is not installed comes with: cargo xtask setup --tests",
        file.display()
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Rows of each sample, by its time.
fn samples(read: &Value) -> BTreeMap<String, usize> {
    let mut samples = BTreeMap::new();
    for row in read["rows"].as_array().expect("rows") {
        *samples.entry(row[1].to_string()).or_default() += 1;
    }
    samples
}

fn recording<'a>(file: &'a Path, procfs: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let [file, procfs] = [file, procfs].map(|path| path.to_str().expect("UTF-8"));
    [&["record", "-d", file, "--procfs", procfs, "--reports", "-"], more].concat()
}

#[test]
fn the_file_has_the_rows_of_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let files = "stat,cmdline,io,status,fd,smaps_rollup,cgroup";
    let [database, parquet] = ["a.sqlite", "a.parquet"].map(|name| dir.path().join(name));
    for file in [&database, &parquet] {
        let output = tool::run(&recording(file, &procfs, &["-f", files, "-i", "0.01", "-r", "3"]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let read = read(&parquet);
    let database = Connection::open(&database).unwrap();
    let mut all = database.prepare("SELECT * FROM record ORDER BY record_id").unwrap();
    let names: Vec<String> = all.column_names().map(str::to_owned).collect();
    assert_eq!(read["columns"], json!(names));
    let types: Vec<&str> =
        read["types"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    let mut rows = all.raw_query();
    let mut ours = read["rows"].as_array().unwrap().iter();
    let mut compared = 0_usize;
    while let Some(row) = rows.next().unwrap() {
        let our = ours.next().expect("as many rows");
        for (at, name) in names.iter().enumerate().filter(|(_, name)| *name != "ts") {
            let theirs = match row.get_ref(at).unwrap() {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => json!(number),
                // SQLite has no number as large as a mask can be.
                ValueRef::Text(text) if types[at] == "UBIGINT" => {
                    let digits = std::str::from_utf8(text).unwrap().strip_prefix("0x").unwrap();
                    json!(u64::from_str_radix(digits, 16).unwrap())
                }
                ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(our[at], theirs, "{name} of {}", our[0]);
        }
        compared += 1;
    }
    assert!(ours.next().is_none() && compared > 100 && compared.is_multiple_of(3), "{compared}");
    assert_eq!(samples(&read).into_values().collect::<Vec<_>>(), [compared / 3; 3]);
    for (name, kind) in
        [("ts", "DOUBLE"), ("stat_comm", "VARCHAR"), ("stat_utime", "BIGINT"), ("status_sigign", "UBIGINT")]
    {
        assert_eq!(types[names.iter().position(|there| there == name).unwrap()], kind, "{name}");
    }
    let mut meta = database.prepare("SELECT key, value FROM meta").unwrap();
    let meta: BTreeMap<String, String> =
        meta.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    assert_eq!(read["about"], json!(meta));
}

struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

/// Killed recorders lose what they had not written yet; the next one goes on behind the last group.
#[test]
fn finished_groups_survive_kill_9_and_are_continued() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let file = dir.path().join("out.parquet");
    let mut finished = 0;
    for round in 0..6_u64 {
        let before = length(&file);
        let recorder = tool::command(&recording(&file, &procfs, &["-i", "0.001"]))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let recorder = Recorder(recorder);
        let patience = Instant::now() + Duration::from_secs(60);
        // The first growth is that of a new file without rows.
        while length(&file) <= before.max(10_000) {
            assert!(Instant::now() < patience, "no group was written");
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(round * 7));
        drop(recorder);
        finished += 1;
    }
    let output = tool::run(&recording(&file, &procfs, &["-i", "0.001", "-r", "5"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = read(&file);
    let samples = samples(&read);
    let size = *samples.values().next().unwrap();
    assert!(samples.values().all(|rows| *rows == size), "{samples:?}");
    assert!(read["groups"].as_u64().unwrap() > finished, "{}", read["groups"]);
    assert!(samples.len() as u64 >= finished * 100 + 5, "{} samples", samples.len());
    let ids = read["rows"].as_array().unwrap().iter().map(|row| row[0].as_u64().unwrap());
    assert!(ids.eq(1..=read["rows"].as_array().unwrap().len() as u64));
    assert!(!dir.path().join("out.parquet-footer").exists());
}

#[test]
fn files_are_put_away_when_they_are_large_and_who_came_second_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let file = dir.path().join("out.parquet");
    let more = ["-i", "0.001", "-r", "450", "--max-size", "30k", "--keep", "1"];
    let output = tool::run(&recording(&file, &procfs, &more));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut there: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("out."))
        .collect();
    there.sort();
    assert_eq!(there, ["out.parquet", "out.parquet.1"]);
    let whole = samples(&read(&dir.path().join("out.parquet.1"))).len();
    assert!(whole >= 100 && whole.is_multiple_of(100), "{whole}");
    assert_eq!(samples(&read(&file)).len() % 100, 50);

    let start = || {
        let mut first = tool::command(&recording(&file, &procfs, &["-i", "0.01"]));
        Recorder(first.stderr(Stdio::null()).spawn().unwrap())
    };
    let mut first = start();
    let patience = Instant::now() + Duration::from_secs(20);
    let second = loop {
        let second = tool::run(&recording(&file, &procfs, &["-i", "0.01", "-r", "1"]));
        if !second.status.success() {
            break String::from_utf8_lossy(&second.stderr).into_owned();
        }
        assert!(Instant::now() < patience, "two recorders on one file");
        // It may have been the one that came second, and was refused.
        if first.0.try_wait().unwrap().is_some() {
            first = start();
        }
        sleep(Duration::from_millis(100));
    };
    assert!(second.contains("is being recorded to by another process"), "{second}");
}

/// A limit on the size of files stands for a full disk.
#[test]
fn without_room_the_file_keeps_its_finished_groups() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let file = dir.path().join("out.parquet");
    let arguments = recording(&file, &procfs, &["-i", "0.001"]);
    // Blocks of 512 bytes.
    let limited = ["-c", "ulimit -f 200; exec \"$0\" \"$@\""];
    let output = Command::new("sh").args(limited).arg(tool::kpidstat()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("out.parquet cannot grow") && said.contains("it is intact"), "{said}");
    let samples = samples(&read(&file)).len();
    assert!(samples >= 100 && samples.is_multiple_of(100), "{samples}");
    assert!(!dir.path().join("out.parquet-footer").exists());
}

#[test]
fn what_is_no_recording_of_these_columns_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let file = dir.path().join("out.parquet");
    fs::write(&file, "something else").unwrap();
    let refused = |more: &[&str], why: &str| {
        let before = fs::read(&file).unwrap();
        let output = tool::run(&recording(&file, &procfs, more));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert_eq!(fs::read(&file).unwrap(), before);
    };
    refused(&["-r", "1"], "is no Parquet file");
    fs::remove_file(&file).unwrap();
    assert!(tool::run(&recording(&file, &procfs, &["-r", "1"])).status.success());
    refused(&["-r", "1", "-f", "stat,io"], "has other columns");
}
