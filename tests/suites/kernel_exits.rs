//! Ended processes against the running kernel: each reported exactly once, with what wait4 says of it.
//!
//! Needs root. Where eBPF does not load, these tests fail: there is no skipping.

#[path = "kernel_exits/said.rs"]
mod said;
#[path = "kernel_exits/watch.rs"]
mod watch;

use pidstat_tests::tool;
use pidstat_user::sample::TaskKey;
use said::{Load, Said};
use std::{
    io::Read as _,
    net::UdpSocket,
    process::{Command, Stdio},
    time::Duration,
};
use watch::{Total, Watch};

const PAGE: u64 = 4096;

/// A process's total, by its number and name; there must be one with an end.
fn one<'a>(watch: &'a Watch, said: &Said, name: Option<&str>) -> (&'a TaskKey, &'a Total) {
    let fits = |(key, total): &(&TaskKey, &Total)| {
        key.tgid == said.pid
            && !total.ends.is_empty()
            && name.is_none_or(|name| total.comm.as_bytes() == name.as_bytes())
    };
    let found: Vec<_> = watch.totals.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{said:?} {name:?}: {found:?}");
    found[0]
}

/// How a total stands to what wait4 said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Equal; CPU but for the truncation of its two halves.
    Equal,
    /// Who waits was faster than the last instructions of who ended: those, and a last switch, only we have.
    Later,
    /// The kernel left the program out that says it: some time of its end is missing, since the tick or switch before, nothing
    /// else.
    Unseen,
    /// Wrong.
    Wrong,
}

fn judge(said: &Said, total: &Total) -> Verdict {
    let signal = said.status & 0x7f;
    let code = if signal == 0 { said.status >> 8 } else { 128 + signal };
    let end = (u32::try_from(code).expect("a code"), said.peak_kib);
    let rest = (total.minor, total.major) == (said.minor, said.major) && total.ends == [end];
    let more = i128::from(total.cpu_ns) - i128::from(said.cpu_us) * 1000;
    let switches = |said: &Said| said.voluntary + said.involuntary;
    let switched = i128::from(total.voluntary + total.involuntary) - i128::from(switches(said));
    match (switched, more) {
        _ if !rest => Verdict::Wrong,
        (0, 0..2_000) if total.voluntary == said.voluntary => Verdict::Equal,
        (0 | 1, 0..1_000_000) => Verdict::Later,
        (0 | 1, -11_000_000..0) => Verdict::Unseen,
        _ => Verdict::Wrong,
    }
}

/// Of one process: all of it is right, unless the kernel left the program out that would have said it.
fn equal(watch: &Watch, said: &Said, total: &Total) {
    match judge(said, total) {
        Verdict::Equal | Verdict::Later => {}
        Verdict::Unseen if watch.losses().exit_unseen > 0 => {}
        verdict => panic!("{verdict:?}: {said:?}\n{total:?}"),
    }
}

#[test]
fn a_storm_of_short_lived_processes_is_reported_to_the_last_byte() {
    const JOBS: u64 = 10_000;
    let sink = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = sink.local_addr().expect("its address").port().to_string();
    let mut watch = Watch::open();
    let mut load = Load::start(&["storm", &JOBS.to_string(), "24", &port]);
    let output = load.listen();
    watch.until(Duration::from_millis(500), || load.ended());
    watch.last();
    let said = output.join().expect("its output");
    assert_eq!(said.len() as u64, JOBS);
    let losses = watch.losses();
    let mut verdicts = [0u64; 4];
    let (mut ours_ns, mut theirs_us) = (0, 0);
    for said in &said {
        // A number can come round again within the storm, so a job is known by its name.
        let jobs = watch.totals.iter().filter(|(key, total)| {
            key.tgid == said.pid && total.comm.as_bytes().first() == Some(&b'j') && !total.ends.is_empty()
        });
        let judged = jobs.map(|(_, total)| (judge(said, total) as usize, total));
        let (verdict, total) = judged.min_by_key(|(verdict, _)| *verdict).unwrap_or_else(|| {
            panic!("{said:?} was not reported, {losses:?}");
        });
        assert_ne!(verdict, Verdict::Wrong as usize, "{said:?}\n{total:?}\n{losses:?}");
        verdicts[verdict] += 1;
        (ours_ns, theirs_us) = (ours_ns + total.cpu_ns, theirs_us + said.cpu_us);
    }
    let more_ns = i128::from(ours_ns) - i128::from(theirs_us) * 1000;
    let [equal, later, unseen, _] = verdicts;
    println!(
        "{JOBS} jobs: {equal} equal, {later} later than wait4, {unseen} unseen; {more_ns} ns more, {losses:?}"
    );
    // This host's kernel runs no program in an interrupt of a process that it hides, so some are freed unseen: each of
    // them is counted. Elsewhere there are none.
    assert!(unseen <= losses.exit_unseen && losses.exit_unseen <= JOBS / 100, "{verdicts:?} {losses:?}");
    assert!(later <= JOBS / 50, "{verdicts:?}");
    // The truncation is less than 1 us for each of the two parts.
    assert!(more_ns.unsigned_abs() < u128::from(JOBS) * 2000, "{more_ns} ns");
    let mut seen = vec![0u32; JOBS as usize];
    for total in watch.totals.values() {
        let name = String::from_utf8_lossy(total.comm.as_bytes()).into_owned();
        let Some(ordinal) = name.strip_prefix('j').and_then(|n| n.parse::<u64>().ok()) else { continue };
        if total.ends.is_empty() {
            continue;
        }
        seen[ordinal as usize] += 1;
        assert_eq!(total.written, (ordinal % 7 + 1) * PAGE, "{total:?}");
        assert_eq!(total.sent, ordinal % 5 * 101, "{total:?}");
        assert_eq!(total.ends[0].0, (ordinal % 3) as u32, "{total:?}");
    }
    assert!(seen.iter().all(|times| *times == 1), "some were reported more than once, or not at all");
    assert_eq!((losses.exit_groups_full, losses.recursion_misses), (0, 0));
}

/// Runs a scenario of one child under a watch of this period.
fn scenario(name: &str, period: Duration) -> (Watch, Said, u32) {
    let mut watch = Watch::open();
    let mut load = Load::start(&["run", name]);
    let output = load.listen();
    watch.until(period, || load.ended());
    watch.last();
    let said = output.join().expect("its output");
    assert_eq!(said.len(), 1, "{said:?}");
    let pid = load.pid();
    (watch, said[0].clone(), pid)
}

#[test]
fn a_zombie_that_is_kept_long_is_reported_when_it_is_reaped() {
    let (watch, said, _) = scenario("zombie", Duration::from_millis(300));
    let (_, total) = one(&watch, &said, None);
    equal(&watch, &said, total);
    assert_eq!(total.written, 4 * PAGE);
}

#[test]
fn a_first_thread_that_ends_early_ends_nothing() {
    let (watch, said, _) = scenario("headless", Duration::from_millis(300));
    let (_, total) = one(&watch, &said, None);
    equal(&watch, &said, total);
    assert_eq!((total.written, total.ends[0].0), (6 * PAGE, 7));
}

#[test]
fn exec_by_another_thread_goes_on_with_the_same_process() {
    for period in [5, 1000] {
        let (watch, said, _) = scenario("execs", Duration::from_millis(period));
        let (_, total) = one(&watch, &said, None);
        equal(&watch, &said, total);
        assert_eq!(total.written, (2 + 5) * PAGE);
    }
}

/// The kernel adds a reaped child's I/O to its parent's; each page must be reported once all the same.
fn reaped(name: &str, period: Duration) {
    let (watch, said, _) = scenario(name, period);
    let (_, total) = one(&watch, &said, None);
    assert_eq!(total.written, 4 * PAGE, "{name}, the parent's own: {total:?}");
    let kids: Vec<&Total> = watch.totals.values().filter(|total| total.ppid == said.pid).collect();
    assert_eq!(kids.len(), 4, "{kids:?}");
    for kid in kids {
        assert_eq!((kid.written, kid.ends.len()), (5 * PAGE, 1), "{name}: {kid:?}");
    }
}

#[test]
fn a_reaped_childs_bytes_are_its_own() {
    for period in [20, 1000] {
        reaped("handled", Duration::from_millis(period));
        reaped("ignored", Duration::from_millis(period));
    }
}

#[test]
fn dead_threads_waiting_time_stays_in_their_process() {
    let mut watch = Watch::open();
    let mut load = Load::start(&["waits"]);
    load.ready();
    // No sample saw the threads.
    watch.tick();
    let live = watch.totals.iter().find(|(key, _)| key.tgid == load.pid()).expect("its row").1.clone();
    // Eight threads wanted 300 ms at the same time, and there are fewer CPUs than threads.
    let cpus = std::thread::available_parallelism().expect("CPUs").get() as u64;
    if cpus < 8 {
        assert!(live.wait_ns > 100_000_000, "{live:?}");
    }
    load.finish();
    watch.last();
    let total = watch.totals.iter().find(|(key, _)| key.tgid == load.pid()).expect("its row").1;
    assert!(total.wait_ns >= live.wait_ns && total.ends.len() == 1, "{live:?}\n{total:?}");
}

#[test]
fn a_full_ring_loses_nothing_and_what_finds_no_room_at_all_is_counted() {
    let sink = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = sink.local_addr().expect("its address").port().to_string();
    let storm = |jobs: &str| {
        // Room for 46 records in the ring, and for 512 beside it, which other processes of the machine fill as well.
        let mut watch = Watch::open_sized(16 << 10);
        let mut load = Load::start(&["storm", jobs, "24", &port]);
        let said = load.listen().join().expect("its output");
        load.finish();
        std::thread::sleep(Duration::from_millis(500));
        watch.last();
        watch.tick();
        (watch, said)
    };
    let (watch, said) = storm("200");
    assert_eq!((said.len(), watch.losses().exit_ring_full), (200, 0));
    for said in &said {
        let (_, total) = one(&watch, said, None);
        equal(&watch, said, total);
    }
    let (watch, _) = storm("1000");
    assert!(watch.losses().exit_ring_full > 100, "{:?}", watch.losses());
}

#[test]
fn ended_processes_are_shown_hidden_or_folded() {
    // Nine short lives that use some CPU, in a shell of which all that is asked for is the number. Others run shells, too, so
    // this one has a name of its own.
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("sh{}", std::process::id());
    let path = folder.path().join(&name);
    std::os::unix::fs::symlink("/bin/sh", &path).expect("a link");
    let script = format!(
        "read x; for i in 1 2 3 4 5 6 7 8 9; do {} -c 'i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done'; done; sleep 4",
        path.display()
    );
    let mut shell = Command::new(&path).args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("sh");
    let condition = format!("comm == '{name}'");
    let parent = shell.id().to_string();
    let mut runs = ["show", "hide", "fold", "fold:command"].map(|how| {
        let mut command = Command::new(tool::kpidstat());
        command.args(["--source", "ebpf", "-o", "json", "-u", "--exited", how]);
        // By number nobody is shown who is not folded into it.
        command.args(if how == "fold" { ["-p", parent.as_str()] } else { ["--where", &condition] });
        command.args(["1", "5"]).stdout(Stdio::piped()).spawn().expect("kpidstat")
    });
    // The head of the document is there just before the first sample.
    for run in &mut runs {
        run.stdout.as_mut().expect("its output").read_exact(&mut [0]).expect("its output");
    }
    std::thread::sleep(Duration::from_millis(1500));
    drop(shell.stdin.take());
    let [show, hide, fold, command] = runs.map(|run| {
        let out = run.wait_with_output().expect("kpidstat");
        let text = format!("{{{}", String::from_utf8_lossy(&out.stdout));
        assert!(out.status.success(), "{text}");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let samples = document["sysstat"]["hosts"][0]["statistics"].as_array().expect("samples").clone();
        let rows = samples.iter().flat_map(|s| s["task-cpu-load"].as_array().expect("rows").clone());
        let rows: Vec<serde_json::Value> = rows.collect();
        let ended = rows.iter().filter(|row| row["exited"] == true).count();
        let used: f64 = rows.iter().filter_map(|row| row["usr"].as_f64()).sum();
        (ended, used, rows)
    });
    shell.wait().expect("wait");
    assert_eq!(show.0, 9, "{:#?}", show.2);
    assert!(hide.0 == 0 && hide.1 < show.1 / 2.0, "{show:#?} {hide:#?}");
    let near = |used: f64| (used - show.1).abs() < show.1 / 5.0;
    assert!(fold.0 == 0 && near(fold.1), "{show:#?} {fold:#?}");
    assert!((1..=3).contains(&command.0) && near(command.1), "{show:#?} {command:#?}");
    let group = |row: &serde_json::Value| row["exited"] != true || row["PID"] == "0";
    assert!(command.2.iter().all(group), "{command:#?}");
}

/// The oracle is /proc/stat, which counts the ticks of CPUs and not of tasks. 30 seconds of two CPUs are 6 000 ticks, so
/// that a tick at either end is far below the percent that is asked for.
#[test]
fn cpu_time_is_conserved_under_mixed_load() {
    let sink = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = sink.local_addr().expect("its address").port().to_string();
    let mut check = Command::new(tool::kpidstat());
    check.args(["--source", "ebpf", "-o", "ndjson", "--check", "-u", "30", "1"]);
    let check = check.stdout(Stdio::piped()).spawn().expect("kpidstat");
    // Short lives for as long as it watches, and threads that come and go.
    let mut storm = Load::start(&["storm", "100000", "16", &port, "31"]);
    let said = storm.listen();
    let waits = Load::start(&["waits"]);
    let out = check.wait_with_output().expect("kpidstat");
    drop(waits);
    let jobs = said.join().expect("its output").len();
    let sample: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one object");
    let (books, own) = (&sample["kpidstat"]["check"], &sample["kpidstat"]["self"]);
    println!("{jobs} jobs; {books} {own}");
    let found = books["found_pct"].as_f64().expect("books");
    assert!((99.0..=101.0).contains(&found), "{books}");
    let number =
        |of: &serde_json::Value, name: &str| of[name].as_u64().unwrap_or_else(|| panic!("{name}: {of}"));
    assert!(number(books, "tasks_switches") <= number(books, "machine_switches") * 101 / 100, "{books}");
    assert!(number(books, "tasks_switches") > number(books, "machine_switches") / 4, "{books}");
    // The tool's own books: it takes milliseconds, and it has room for whoever dies.
    assert!(number(own, "cpu_ns") > 100_000 && number(own, "sample_ns") > 10_000, "{own}");
    assert!(number(own, "resident_bytes") > 1 << 20 && number(own, "exit_map_used") > 0, "{own}");
    assert!(number(own, "exit_map_used") < number(own, "exit_map_room"), "{own}");
}
