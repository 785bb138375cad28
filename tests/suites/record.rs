//! Recordings as a person meets them: killed, continued, fought over, without room. No root needed.

use pidstat_tests::tool;
use rusqlite::Connection;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Processes of the invented machine.
const PROCESSES: u32 = 40;

/// A machine whose processes stand still, so that every sample has the same rows.
fn machine(dir: &Path) -> PathBuf {
    let procfs = dir.join("proc");
    for pid in 1..=PROCESSES {
        let process = procfs.join(pid.to_string());
        fs::create_dir_all(&process).unwrap();
        let ppid = pid / 2;
        let stat = format!(
            "{pid} (task {pid}) S {ppid} 1 1 0 -1 4194560 10 11 12 13 {pid} 15 16 17 20 0 1 0 {pid}00 4096 7 9 1 1 1 1 1 0 0 0 0 \
             0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        fs::write(process.join("stat"), stat).unwrap();
        fs::write(process.join("cmdline"), format!("/bin/task\0{pid}\0")).unwrap();
    }
    procfs
}

/// A command line that records it.
fn recording<'a>(file: &'a Path, procfs: &'a Path, interval: &'a str) -> [&'a str; 7] {
    let [file, procfs] = [file, procfs].map(|path| path.to_str().unwrap());
    ["record", "-d", file, "--procfs", procfs, "-i", interval]
}

struct Recorder(Child);

impl Recorder {
    fn start(arguments: &[&str]) -> Recorder {
        Recorder(tool::command(arguments).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, number: i32) {
        // SAFETY: sends a signal to a child that was not waited for yet, so its number is its own.
        unsafe { libc::kill(self.0.id().cast_signed(), number) };
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Samples in a recording; none while there is no table. Panics at a sample that is not whole.
fn samples(file: &Path) -> u64 {
    let Ok(database) = Connection::open(file) else { return 0 };
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let Ok(mut groups) = database.prepare("SELECT count(*) FROM record GROUP BY ts") else { return 0 };
    let counts: Vec<u32> = groups.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(counts.iter().all(|count| *count == PROCESSES), "{counts:?}");
    counts.len() as u64
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !ready() {
        assert!(Instant::now() < end, "{what} did not come");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_finished_sample_survives_kill_9_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    let file = dir.path().join("out.sqlite");
    let arguments = recording(&file, &procfs, "0.001");
    let mut seed = 7_u64;
    for round in 0..50 {
        let known = samples(&file);
        let recorder = Recorder::start(&arguments);
        wait_for("a sample", || samples(&file) > known);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_micros(seed >> 33 & 0x7fff));
        let seen = samples(&file);
        recorder.signal(libc::SIGKILL);
        drop(recorder);
        assert!(samples(&file) >= seen, "round {round}: {} of {seen} samples", samples(&file));
    }
    let database = Connection::open(&file).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn sigterm_and_sigint_end_it_well_and_leave_one_file() {
    for number in [libc::SIGTERM, libc::SIGINT] {
        let dir = tempfile::tempdir().unwrap();
        let procfs = machine(dir.path());
        let file = dir.path().join("out.sqlite");
        let arguments = recording(&file, &procfs, "0.01");
        let mut recorder = Recorder::start(&arguments);
        wait_for("three samples", || samples(&file) > 2);
        recorder.signal(number);
        assert_eq!(recorder.0.wait().unwrap().code(), Some(0));
        let beside: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside.len(), 2, "{beside:?}");
        assert!(samples(&file) > 2);
    }
}

/// A shell that runs a script has what it leaves in the background ignore SIGINT; Procpath records on, too.
#[test]
fn in_the_background_of_a_script_sigint_is_for_the_script() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    let file = dir.path().join("out.sqlite");
    let line = format!(
        "{} record -d {} --procfs {} -i 0.01 & echo $!; wait",
        tool::kpidstat().display(),
        file.display(),
        procfs.display()
    );
    let mut shell = Command::new("sh").args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let recorder: libc::pid_t = said.trim().parse().unwrap();
    wait_for("three samples", || samples(&file) > 2);
    // SAFETY: sends a signal to the shell's child, which the shell has not waited for while it lives.
    let signal = |number| unsafe { libc::kill(recorder, number) };
    signal(libc::SIGINT);
    let known = samples(&file);
    wait_for("more samples", || samples(&file) > known + 5);
    signal(libc::SIGTERM);
    assert!(shell.wait().unwrap().success());
}

#[test]
fn two_recorders_on_one_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    let file = dir.path().join("out.sqlite");
    let arguments = recording(&file, &procfs, "0.01");
    let _first = Recorder::start(&arguments);
    wait_for("a sample", || samples(&file) > 0);
    let second = tool::run(&arguments);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("being recorded to by another process"), "{said}");
    let known = samples(&file);
    wait_for("more samples of the first", || samples(&file) > known + 2);
}

#[test]
fn without_room_it_says_so_and_the_file_is_intact() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    let file = dir.path().join("out.sqlite");
    let line = format!(
        "ulimit -f 512; exec {} record -d {} --procfs {} -i 0.001",
        tool::kpidstat().display(),
        file.display(),
        procfs.display()
    );
    let ended = Command::new("sh").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot grow") && said.contains("every sample that was finished"), "{said}");
    assert!(samples(&file) > 5);
    let check: String =
        Connection::open(&file).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// A file system of its own that fills up, in a mount namespace that goes with the shell.
#[test]
fn on_a_full_disk_it_says_so_and_what_was_finished_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    // SAFETY: asks for a number.
    let namespaces = if unsafe { libc::geteuid() } == 0 { "-m" } else { "-rm" };
    for (name, size) in [("out.sqlite", "40k"), ("out.sqlite", "700k"), ("out.ndjson", "300k")] {
        let disk = dir.path().join("disk");
        fs::create_dir_all(&disk).unwrap();
        let script = "mount -t tmpfs -o size=$1 tmpfs $2 || exit 99; cd $2; $3 record -d $4 --procfs $5 -i 0.001; code=$?; \
                      df -k . | tail -1 >&2; cp $4* ..; exit $code";
        let mut command = Command::new("unshare");
        command.args([namespaces, "sh", "-c", script, "sh", size]);
        let ended = command.arg(&disk).arg(tool::kpidstat()).arg(name).arg(&procfs).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{size}: {said}");
        assert!(said.contains("cannot grow: no space is left") && said.contains("intact"), "{size}: {said}");
        let file = dir.path().join(name);
        if name.ends_with("ndjson") {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.ends_with('\n') && text.lines().count() > 3);
            for line in text.lines() {
                let sample: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(sample["record"].as_array().unwrap().len(), PROCESSES as usize);
            }
            continue;
        }
        // On a disk that had no room for the tables there is nothing, and that is intact.
        assert!(samples(&file) > 3 || size == "40k", "{size}: {} samples", samples(&file));
        let database = Connection::open(&file).unwrap();
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        drop(database);
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_file_that_is_large_enough_makes_room_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    let file = dir.path().join("out.sqlite");
    let path = file.to_str().unwrap();
    let fixed = ["record", "-d", path, "--procfs", procfs.to_str().unwrap(), "-i", "0.001", "-r", "150"];
    let ended = tool::run(&[&fixed[..], &["--max-size", "200k", "--keep", "2"]].concat());
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["out.sqlite", "out.sqlite.1", "out.sqlite.2", "proc"]);
    for name in &names[1..3] {
        let old = dir.path().join(name);
        assert!(samples(&old) > 3 && fs::metadata(&old).unwrap().len() < 300 << 10);
    }
    let last = |name: &str| {
        let database = Connection::open(dir.path().join(name)).unwrap();
        database.query_row("SELECT max(ts) FROM record", [], |row| row.get::<_, Option<f64>>(0)).unwrap()
    };
    assert!(last("out.sqlite.1") > last("out.sqlite.2"));
}

#[test]
fn lines_are_whole_whatever_happens() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    let file = dir.path().join("out.ndjson");
    let arguments = [&recording(&file, &procfs, "0.001")[..], &["-r", "3"]].concat();
    assert!(tool::run(&arguments).status.success());
    fs::write(&file, [fs::read(&file).unwrap().as_slice(), b"{\"ts\": 17, \"rec"].concat()).unwrap();
    assert!(tool::run(&arguments).status.success());
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    for line in lines {
        let rows = line["record"].as_array().unwrap();
        assert_eq!(rows.len(), PROCESSES as usize);
        assert_eq!((&rows[0]["stat_pid"], &rows[0]["cmdline"]), (&1.into(), &"/bin/task 1".into()));
    }
}

#[test]
fn what_is_no_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "something that matters to somebody, longer than a header of a database ".repeat(9))
        .unwrap();
    let before = fs::read(&file).unwrap();
    let ended = tool::run(&["record", "-d", file.to_str().unwrap(), "-r", "1"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("not a SQLite database"));
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn the_documented_queries_of_procpath_run_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = machine(dir.path());
    let file = dir.path().join("out.sqlite");
    let record = [&recording(&file, &procfs, "0.02")[..], &["-r", "2"]].concat();
    assert!(tool::run(&record).status.success());
    let database = Connection::open(&file).unwrap();
    let rss = "SELECT datetime(ts, 'unixepoch', 'localtime') ts, stat_pid, stat_rss / 1024.0 / 1024 * (SELECT value FROM \
               meta WHERE key = 'page_size') value FROM record ORDER BY stat_pid, record_id";
    let values: Vec<f64> = column(&database, rss, "value");
    assert_eq!(values.len(), 2 * PROCESSES as usize);
    let page: f64 = column::<String>(&database, "SELECT value FROM meta WHERE key = 'page_size'", "value")[0]
        .parse()
        .unwrap();
    assert!(values.iter().all(|value| *value == 7.0 / 1024.0 / 1024.0 * page), "{values:?}");
    let cpu = "WITH diff AS (
        SELECT record_id, ts, stat_pid,
          stat_utime + stat_stime - LAG(stat_utime + stat_stime) OVER (PARTITION BY stat_pid ORDER BY record_id) tick_diff,
          ts - LAG(ts) OVER (PARTITION BY stat_pid ORDER BY record_id) ts_diff
        FROM record
      )
      SELECT datetime(ts, 'unixepoch', 'localtime') ts, stat_pid,
        100.0 * tick_diff / (SELECT value FROM meta WHERE key = 'clock_ticks') / ts_diff value
      FROM diff WHERE tick_diff IS NOT NULL ORDER BY stat_pid, record_id";
    assert_eq!(column::<f64>(&database, cpu, "value"), vec![0.0; PROCESSES as usize]);
}

fn column<T: rusqlite::types::FromSql>(database: &Connection, sql: &str, name: &str) -> Vec<T> {
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(name)).unwrap().map(Result::unwrap).collect()
}
