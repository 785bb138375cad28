//! Recordings of the running kernel: the tables have what /proc, senders and wait4 say.
//!
//! Needs root. Where eBPF does not load, these tests fail: there is no skipping.

use pidstat_tests::tool;
use rusqlite::{Connection, types::Value};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::FromRawFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Ends a child whatever happens.
struct Ended(Child);

impl Ended {
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that sleeps, after `before` was done in it.
fn sleeper(mut before: impl FnMut() + Send + Sync + 'static) -> Ended {
    let mut command = Command::new("sleep");
    // SAFETY: what the tests pass are plain system calls.
    unsafe {
        command.arg("600").pre_exec(move || {
            before();
            Ok(())
        });
    }
    Ended(command.spawn().expect("sleep"))
}

/// The fields of `stat` that Procpath's table has, by splitting the line: 1 to 24 and 42 to 44.
fn stat(pid: u32) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let (open, close) = (line.find(" (")?, line.rfind(") ")?);
    let mut fields = vec![line[..open].to_owned(), line[open + 2..close].to_owned()];
    let rest: Vec<&str> = line[close + 2..].split_whitespace().collect();
    fields.extend(rest[..22].iter().chain(&rest[39..42]).map(|word| (*word).to_owned()));
    Some(fields)
}

fn cmdline(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

/// The values of `stat`, and the command line.
type Row = (Vec<String>, String);

/// Every process, with its `schedstat`, which moves whenever it runs.
fn everybody() -> BTreeMap<u32, (Row, String)> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ran = |pid| fs::read_to_string(format!("/proc/{pid}/schedstat")).ok();
    pids.filter_map(|pid| Some((pid, ((stat(pid)?, cmdline(pid)), ran(pid)?)))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// The rows of the last sample.
fn recorded(file: &Path) -> BTreeMap<u32, Row> {
    let database = Connection::open(file).unwrap();
    let names: Vec<String> = database
        .prepare("SELECT name FROM pragma_table_info('record') WHERE name LIKE 'stat_%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let sql = format!(
        "SELECT cmdline, {} FROM record WHERE ts = (SELECT max(ts) FROM record) ORDER BY record_id",
        names.join(", ")
    );
    let mut rows = database.prepare(&sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let stat: Vec<String> = (1..=names.len()).map(|at| text(&row.get(at).unwrap())).collect();
        Ok((stat[0].parse().unwrap(), (stat, row.get(0)?)))
    };
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_row_is_what_its_files_say() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.sqlite");
    let (mut master, mut slave) = (0, 0);
    // SAFETY: openpty fills the two numbers; nothing else is asked for.
    let done = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            std::ptr::null(),
        )
    };
    assert_eq!(done, 0);
    // SAFETY: both are new descriptors that nothing else owns.
    let _terminal = unsafe { (fs::File::from_raw_fd(master), fs::File::from_raw_fd(slave)) };
    // SAFETY: plain system calls of the child itself, each with valid arguments.
    let kept = unsafe {
        [
            sleeper(|| {}),
            sleeper(|| {
                libc::setsid();
            }),
            sleeper(|| {
                libc::setpgid(0, 0);
                libc::setpriority(libc::PRIO_PROCESS, 0, 7);
            }),
            sleeper(move || {
                libc::setsid();
                libc::ioctl(slave, libc::TIOCSCTTY, 0);
            }),
            sleeper(|| {
                let fifo = libc::sched_param { sched_priority: 5 };
                libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const fifo);
            }),
        ]
    };
    let zombie = Ended(Command::new("true").spawn().unwrap());
    let stopped = sleeper(|| {});
    // SAFETY: stops a child that was not waited for.
    unsafe { libc::kill(stopped.pid().cast_signed(), libc::SIGSTOP) };
    thread::sleep(Duration::from_millis(300));
    let before = everybody();
    let ended = tool::run(&["record", "-d", file.to_str().unwrap(), "-r", "1", "--source", "ebpf"]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let after = everybody();
    let rows = recorded(&file);
    let mut compared = 0;
    for (pid, was) in before.iter().filter(|(pid, was)| after.get(pid) == Some(was)) {
        assert_eq!(rows.get(pid), Some(&was.0), "{pid}");
        compared += 1;
    }
    println!("{compared} of {} processes stood still", before.len());
    for pid in kept.iter().chain([&zombie, &stopped]).map(Ended::pid) {
        assert_eq!(rows.get(&pid), before.get(&pid).map(|was| &was.0), "{pid}");
    }
    let field = |process: &Ended, at: usize| rows[&process.pid()].0[at].clone();
    // The comparison was not of zeros.
    assert_eq!(field(&kept[1], 5), kept[1].pid().to_string());
    assert_eq!((field(&kept[2], 4), field(&kept[2], 18)), (kept[2].pid().to_string(), "7".to_owned()));
    assert!(field(&kept[3], 6).parse::<u32>().unwrap() >= 136 << 8, "{}", field(&kept[3], 6));
    assert_eq!(field(&kept[3], 7), kept[3].pid().to_string());
    assert_eq!((field(&kept[0], 7), field(&kept[4], 17)), ("-1".to_owned(), "-6".to_owned()));
    assert_eq!((field(&zombie, 2), field(&stopped, 2)), ("Z".to_owned(), "T".to_owned()));
}

/// Renames itself in place, without an exec, whenever a line comes.
const RENAMES: &str = "
import ctypes, sys
libc = ctypes.CDLL(None)
name = ctypes.c_void_p.in_dll(libc, 'program_invocation_name').value
print('ready', flush=True)
for line in sys.stdin:
    ctypes.memmove(name, line.strip().encode(), 7)
    print('done', flush=True)
";

#[test]
fn a_command_line_that_changes_without_an_exec_is_recorded_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.sqlite");
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", RENAMES]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut renames = Ended(command.spawn().unwrap());
    let mut says = BufReader::new(renames.0.stdout.take().unwrap()).lines();
    let mut told = renames.0.stdin.take().unwrap();
    says.next().unwrap().unwrap();
    let arguments = ["record", "-d", file.to_str().unwrap(), "-i", "0.1", "--source", "ebpf"];
    let _recorder = Ended(tool::command(&arguments).spawn().unwrap());
    let query =
        format!("SELECT DISTINCT substr(cmdline, 1, 7) FROM record WHERE stat_pid = {}", renames.pid());
    let names = || -> Vec<String> {
        let Ok(database) = Connection::open(&file) else { return Vec::new() };
        database.busy_timeout(Duration::from_secs(5)).unwrap();
        let Ok(mut names) = database.prepare(&query) else { return Vec::new() };
        names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let until = |wanted: &[&str]| {
        let end = Instant::now() + Duration::from_secs(30);
        while names() != wanted {
            assert!(Instant::now() < end, "{:?} instead of {wanted:?}", names());
            thread::sleep(Duration::from_millis(20));
        }
    };
    until(&["/usr/bi"]);
    for (name, wanted) in
        [("first..", &["/usr/bi", "first.."][..]), ("second.", &["/usr/bi", "first..", "second."])]
    {
        writeln!(told, "{name}").unwrap();
        says.next().unwrap().unwrap();
        until(wanted);
    }
}

/// What a process moved by its own account: sent and received bytes.
type Moved = BTreeMap<u32, (i64, i64)>;

/// Runs a workload and gives the lines `PID tx rx ...` of its processes.
fn moved(case: &str, family: &str, into: &mut Moved) {
    let netload = tool::kpidstat().with_file_name("netload");
    let load = Command::new(netload).args([case, family]).stdin(Stdio::null()).output().expect("netload");
    assert!(load.status.success(), "{case}: {}", String::from_utf8_lossy(&load.stderr));
    for line in String::from_utf8_lossy(&load.stdout).lines() {
        let numbers: Vec<i64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        into.insert(u32::try_from(numbers[0]).unwrap(), (numbers[1], numbers[2]));
    }
}

/// Sums of a table by process, of the processes that are asked for.
fn sums(database: &Connection, table: &str, of: &Moved) -> Moved {
    let sql = format!("SELECT pid, sum(tx_bytes), sum(rx_bytes) FROM {table} GROUP BY pid");
    let mut sums = database.prepare(&sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, (row.get(1)?, row.get(2)?)));
    sums.query_map([], row).unwrap().map(Result::unwrap).filter(|(pid, _)| of.contains_key(pid)).collect()
}

/// Sums of what a replay prints, by process; `rows` finds a sample's rows, `number` a row's process.
fn replayed(
    arguments: &[&str],
    of: &Moved,
    rows: fn(&serde_json::Value) -> &serde_json::Value,
    number: fn(&serde_json::Value) -> Option<u64>,
) -> Moved {
    let printed = tool::run(arguments);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let mut sums = Moved::new();
    for line in String::from_utf8_lossy(&printed.stdout).lines() {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        for row in rows(&sample).as_array().unwrap() {
            let Some(pid) = number(row).and_then(|pid| u32::try_from(pid).ok()) else { continue };
            let sum = sums.entry(pid).or_default();
            sum.0 += row["tx_bytes"].as_i64().unwrap();
            sum.1 += row["rx_bytes"].as_i64().unwrap();
        }
    }
    sums.retain(|pid, _| of.contains_key(pid));
    sums
}

#[test]
fn traffic_connections_and_ended_processes_are_in_the_tables_and_in_what_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.sqlite");
    let path = file.to_str().unwrap();
    let mut recorder =
        Ended(tool::command(&["record", "-d", path, "-i", "0.2", "--source", "ebpf"]).spawn().unwrap());
    let count = |sql: &str| -> i64 {
        let Ok(database) = Connection::open(&file) else { return 0 };
        database.busy_timeout(Duration::from_secs(5)).unwrap();
        database.query_row(sql, [], |row| row.get(0)).unwrap_or(0)
    };
    let end = Instant::now() + Duration::from_secs(30);
    while count("SELECT count(*) FROM sample") == 0 {
        assert!(Instant::now() < end, "no sample came");
        thread::sleep(Duration::from_millis(20));
    }
    let mut told = Moved::new();
    for (case, family) in [("stream", "4"), ("short", "6"), ("sendfile", "4"), ("udp", "6")] {
        moved(case, family, &mut told);
    }
    assert_eq!(told.len(), 8, "{told:?}");
    let mut codes = BTreeMap::new();
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("exec true", 0)] {
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        codes.insert(child.id(), code);
        child.wait().unwrap();
    }
    // A process is freed, and its record sent, up to a third of a second after its end.
    let samples = count("SELECT count(*) FROM sample");
    while count("SELECT count(*) FROM sample") < samples + 8 {
        assert!(Instant::now() < end + Duration::from_secs(60), "no more samples came");
        thread::sleep(Duration::from_millis(50));
    }
    // SAFETY: a child that was not waited for.
    unsafe { libc::kill(recorder.pid().cast_signed(), libc::SIGTERM) };
    assert_eq!(recorder.0.wait().unwrap().code(), Some(0));
    let database = Connection::open(&file).unwrap();
    for table in ["network", "connection", "exited"] {
        assert_eq!(sums(&database, table, &told), told, "{table}");
    }
    // Each connection ended once, in its last row, with all that it moved. Others' are somewhere in their lives.
    let ours: Vec<String> = told.keys().map(u32::to_string).collect();
    let odd: i64 = database
        .query_row(
            &format!("SELECT count(*) FROM (SELECT sum(closed) ends, sum(tx_bytes) gains, max(total_tx_bytes) whole, max(sample_id) last,
                max(iif(closed, sample_id, 0)) ended FROM connection WHERE pid IN ({}) AND remote_address IS NOT NULL
                GROUP BY cookie, pid) WHERE ends <> 1 OR gains <> whole OR ended <> last", ours.join(", ")),
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(odd, 0);
    // `short` opens 1009 connections; each has two ends.
    let ends =
        "SELECT count(DISTINCT cookie) FROM connection WHERE comm = 'netload' AND local_address = '::1'
        AND protocol = 'tcp' AND tx_bytes > 0";
    assert!(count(ends) >= 1_500, "{}", count(ends));
    for (pid, code) in codes {
        let said: Vec<i64> = database
            .prepare("SELECT exit_code FROM exited WHERE pid = ?")
            .unwrap()
            .query_map([pid], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(said, [code], "{pid}");
    }
    let word = |row: &serde_json::Value| row["PID"].as_str()?.parse().ok();
    let number = |row: &serde_json::Value| row["pid"].as_u64();
    let report = replayed(
        &["--replay", path, "-n", "-o", "ndjson"],
        &told,
        |sample| &sample["task-network-load"],
        word,
    );
    assert_eq!(report, told, "the report");
    for by in ["process", "connection"] {
        let rows = replayed(
            &["net", "--replay", path, "--by", by, "-o", "ndjson"],
            &told,
            |sample| &sample["rows"],
            number,
        );
        assert_eq!(rows, told, "net --by {by}");
    }
    // What ended in samples that are passed by is in the next report.
    let coarse =
        replayed(&["net", "--replay", path, "-o", "ndjson", "1"], &told, |sample| &sample["rows"], number);
    assert_eq!(coarse, told, "net with an interval");
}

/// Connects to itself and says how much went through.
const TALKS: &str = "
import socket, sys, time
listener = socket.create_server(('127.0.0.1', 0))
near = socket.create_connection(listener.getsockname())
far = listener.accept()[0]
near.sendall(b'x' * 12345)
left = 12345
while left: left -= len(far.recv(left))
print('ready', flush=True)
time.sleep(60)
";

#[test]
fn sockets_of_another_network_namespace_are_counted_there() {
    let script = format!("ip link set lo up && exec /usr/bin/python3 -c \"{TALKS}\"");
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", &script]).stdout(Stdio::piped());
    let mut talks = Ended(command.spawn().unwrap());
    let mut says = BufReader::new(talks.0.stdout.take().unwrap()).lines();
    assert_eq!(says.next().unwrap().unwrap(), "ready");
    let query = format!("$..children[?(@.stat.pid == {})].net", talks.pid());
    let output = tool::run(&["query", &query]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let net = ["sockets", "tcp", "udp", "rx_bytes", "tx_bytes"].map(|name| said[0][name].as_u64().unwrap());
    assert_eq!(net, [3, 2, 0, 12_345, 12_345]);
}

#[test]
fn processes_that_end_while_a_query_waits_are_in_its_tree() {
    let query = "$..children[?(@.exited.code in [0, 7] and @.stat.comm in ['sh', 'netload'])]";
    let arguments = ["query", "--exited", "3", "-f", "stat,cmdline,exited", query];
    let mut asked = Ended(tool::command(&arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut out = asked.0.stdout.take().unwrap();
    // Read as it comes: it is more than a pipe holds.
    let said = thread::spawn(move || serde_json::from_reader::<_, serde_json::Value>(&mut out));
    let (mut told, mut shells) = (Moved::new(), Vec::new());
    // From before it begins to look until after it has looked.
    while asked.0.try_wait().unwrap().is_none() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        shells.push(child.id());
        child.wait().unwrap();
        moved("stream", "4", &mut told);
        thread::sleep(Duration::from_millis(50));
    }
    let said = said.join().unwrap().unwrap();
    let (mut codes, mut traffic) = (0, 0);
    for node in said.as_array().unwrap() {
        let (stat, exited) = (&node["stat"], &node["exited"]);
        let pid = u32::try_from(stat["pid"].as_u64().unwrap()).unwrap();
        if shells.contains(&pid) {
            assert_eq!((&exited["code"], &exited["status"]), (&7.into(), &(7 << 8).into()));
            assert_eq!(stat["ppid"], std::process::id());
            assert!(stat["rss"].is_null() && stat["starttime"].as_u64() > Some(0), "{stat}");
            codes += 1;
        }
        // Whoever began before it looked is not known from the start.
        if let Some(sums) = told.get(&pid) {
            let figure = |name: &str| exited[name].as_i64().unwrap();
            traffic += i32::from((figure("tx_bytes"), figure("rx_bytes")) == *sums);
        }
    }
    assert!(codes >= 5 && traffic >= 10, "{codes} codes, {traffic} of {} with traffic", told.len());
    let table = tool::run(&[
        "query",
        "--exited",
        "0.2",
        "",
        "SELECT count(*) n, count(exited_code) ended FROM record",
    ]);
    let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    assert!(table[0]["n"].as_u64() > Some(10), "{table}");
}

#[test]
fn a_command_line_is_that_of_the_program_that_ended() {
    let query = "$..children[?(@.exited.code == 0)]";
    let arguments = ["query", "--exited", "4", "-f", "stat,cmdline,exited", query];
    let mut asked = Ended(tool::command(&arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut out = asked.0.stdout.take().unwrap();
    let said = thread::spawn(move || serde_json::from_reader::<_, serde_json::Value>(&mut out));
    // All are seen as shells; one half is then another program for a while, the other for a moment.
    let (mut long, mut children) = (true, BTreeMap::new());
    while asked.0.try_wait().unwrap().is_none() {
        let script = if long { "sleep 0.6; exec sleep 0.9" } else { "sleep 0.6; exec true" };
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        children.insert(u64::from(child.id()), child);
        thread::sleep(Duration::from_millis(100));
        // Who is not waited for does not end.
        children.values_mut().for_each(|child| _ = child.try_wait());
        long = !long;
    }
    let said = said.join().unwrap().unwrap();
    let mut lines = Vec::new();
    for node in said.as_array().unwrap() {
        let (comm, line) = (&node["stat"]["comm"], &node["cmdline"]);
        if children.contains_key(&node["stat"]["pid"].as_u64().unwrap()) {
            let own = if comm == "true" { "true" } else { "sleep 0.9" };
            assert!(comm != "sh" && (line.is_null() || line == own), "{node}");
            lines.push(line.as_str().unwrap_or_default().to_owned());
        }
    }
    let known = lines.iter().filter(|line| *line == "sleep 0.9").count();
    assert!(known >= 2 && lines.iter().any(String::is_empty), "{lines:?}");
    children.values_mut().for_each(|child| _ = child.wait());
}
