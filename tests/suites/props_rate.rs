//! Properties of what is shown: no number is garbage whatever was counted, and no file can stop the program.

use pidstat_tests::tool;
use pidstat_user::{
    column::{REPORTS, Unit, Value},
    rate::{Averages, Before, Ended, Forest, Row, Span, departed, pairs},
    sample::{
        Comm, Cpu, Delays, Faults, Io, Memory, Missing, Sample, Sched, Stack, Switches, System, Task,
        TaskKey, Traffic,
    },
};
use proptest::{collection::vec, prelude::*};
use std::{
    fs,
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

/// Small, huge, or anything: differences of such go backwards half the time.
fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![0..5u64, (u64::MAX - 5)..=u64::MAX, 0..1u64 << 40, any::<u64>()]
}

prop_compose! {
    /// Few numbers and start times, so that the same task, and another of its number, come up in both samples.
    fn a_task()(
        tgid in 1..6u32, thread in 0..3u32, start in prop_oneof![0..4u64, counter()], n in vec(counter(), 34),
        absent: [bool; 7], kernel_thread: bool, parent in 0..6u32,
    ) -> Task {
        let key = TaskKey { tgid, tid: if thread == 0 { 0 } else { tgid + thread - 1 }, start_ticks: start };
        let mut task = Task::blank(key, Comm::new(b"a"), Missing::NoPermission);
        task.cpu = Cpu {
            user_ns: n[0], system_ns: n[1], guest_ns: n[2], children_user_ns: n[3], children_system_ns: n[4],
            children_guest_ns: n[5],
        };
        task.faults = Faults { minor: n[6], major: n[7], children_minor: n[8], children_major: n[9] };
        task.memory = Memory { virtual_bytes: n[10], resident_bytes: n[11] };
        task.kernel_thread = kernel_thread;
        (task.threads, task.processor) = (n[12] as u32, n[13] as u32);
        (task.rt_priority, task.policy) = (n[14] as u32, n[15] as u32);
        task.ppid = parent;
        let [sched, switches, io, delays, stack, fds, traffic] = absent;
        if !sched { task.sched = Ok(Sched { run_ns: n[16], wait_ns: n[17], timeslices: n[18] }); }
        if !switches { task.switches = Ok(Switches { voluntary: n[19], involuntary: n[20] }); }
        if !io {
            task.io = Ok(Io {
                rchar_bytes: n[21], wchar_bytes: n[22], read_calls: n[23], write_calls: n[24], read_bytes: n[25],
                write_bytes: n[26], cancelled_write_bytes: n[27],
            });
        }
        if !delays { task.delays = Ok(Delays { block_io_ns: n[28] }); }
        if !stack { task.stack = Ok(Stack { size_kib: n[29], referenced_kib: n[30] }); }
        if !fds { task.fds = Ok(n[31] as u32); }
        if !traffic {
            task.traffic = Ok(Traffic { tx_bytes: n[30], rx_bytes: n[31], tx_packets: n[32], rx_packets: n[33], ..Traffic::default() });
        }
        task
    }
}

prop_compose! {
    fn a_sample()(
        mut tasks in vec(a_task(), 0..12), mut ended in vec(a_task(), 0..4), uptime in counter(), ticks in counter(),
        memory in counter(), ticks_per_second in prop_oneof![Just(100u64), counter()],
    ) -> Sample {
        for list in [&mut tasks, &mut ended] {
            list.sort_by_key(|task| task.key);
            list.dedup_by_key(|task| (task.key.tgid, task.key.tid));
        }
        ended.retain(Task::is_process);
        let system = System { total_cpu_ticks: Ok(ticks), ticks_per_second, mem_total_kib: Ok(memory), ..System::default() };
        Sample { uptime_ns: uptime, system, tasks, departed: ended, ..Sample::default() }
    }
}

/// What is wrong with a row's numbers.
fn garbage(row: &Row<'_>) -> Vec<String> {
    let columns = REPORTS.iter().flat_map(|report| report.columns);
    let wrong = columns.filter_map(|column| match column.value(row) {
        Value::Real(number) if !number.is_finite() || number < 0.0 => {
            Some(format!("{} is {number}", column.id))
        }
        _ => None,
    });
    wrong.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_number_is_garbage(
        before in a_sample(), now in a_sample(), exact: bool, of_machine: bool, forget: bool,
    ) {
        let span = Span::between(&before, &now, if exact { 1 } else { 10_000_000 }, of_machine);
        let mut now = now;
        let mut ended = Ended::default();
        ended.add(&before, &now, &span);
        ended.put_into(&mut now);
        let mut averages = Averages::default();
        for sample in [&before, &now, &now] {
            averages.add(sample);
        }
        let rows = || pairs(&before, &now, &span, forget).chain(departed(&before, &now, &span));
        let of_run = || rows().map(|row| Row { sums: averages.of(row.now.key), ..row });
        for row in rows().chain(of_run()) {
            prop_assert_eq!(garbage(&row), Vec::<String>::new(), "{:?}", row);
        }
        for forest in [Forest::new(rows()), Forest::new(of_run())] {
            for row in forest.rows() {
                prop_assert_eq!(garbage(&row), Vec::<String>::new(), "{:?}", row);
            }
        }
    }

    /// Whoever has another start time is another task: nothing of the earlier one is subtracted.
    #[test]
    fn a_reused_pid_starts_from_zero(old in a_task(), new in a_task(), since in 1..1000u64) {
        let mut new = new;
        (new.key.tgid, new.key.tid) = (old.key.tgid, old.key.tid);
        let mut old = old;
        old.key.start_ticks = 5;
        new.key.start_ticks = 10 + since;
        let before = Sample { uptime_ns: 100_000_000, tasks: vec![old], ..Sample::default() };
        let now = Sample { uptime_ns: 20_000_000_000, tasks: vec![new], ..Sample::default() };
        let span = Span::between(&before, &now, 1, false);
        let row = pairs(&before, &now, &span, false).next().expect("a row");
        prop_assert!(matches!(row.before, Before::Zero));
        prop_assert_eq!(row.delta(|task| Ok(task.faults.minor)), Ok(now.tasks[0].faults.minor));
    }

    /// A thread that ran no longer than time went by shows no more than 100 %, and a tick.
    #[test]
    fn no_share_is_beyond_the_interval(
        earlier in 0..1u64 << 50, elapsed in 10_000_000..1u64 << 40, part in 0.0..=1.0f64, exact: bool,
    ) {
        let mut task = Task::blank(TaskKey { tgid: 1, tid: 1, start_ticks: 0 }, Comm::default(), Missing::Gone);
        let of = |uptime_ns, task: &Task| Sample { uptime_ns, tasks: vec![task.clone()], ..Sample::default() };
        task.cpu.user_ns = earlier;
        let before = of(earlier, &task);
        let ran = (elapsed as f64 * part) as u64;
        (task.cpu.user_ns, task.cpu.system_ns) = (earlier + ran / 2, ran - ran / 2);
        let now = of(earlier + elapsed, &task);
        let tick_ns = if exact { 1 } else { 10_000_000 };
        let span = Span::between(&before, &now, tick_ns, false);
        let row = pairs(&before, &now, &span, false).next().expect("a row");
        // The span is cut to ticks at both ends, and so are both times.
        let most = 100.0 + if exact { 1e-6 } else { 200.0 / span.elapsed_ticks };
        let shares = REPORTS[0].columns.iter().filter(|column| column.unit == Unit::Pct);
        for column in shares {
            if let Value::Real(share) = column.value(&row) {
                prop_assert!(share <= most, "{} is {share} > {most}", column.id);
            }
        }
    }
}

/// The files of a story that are filled with anything.
const FILES: [&str; 12] = [
    "0/proc/7/stat",
    "1/proc/7/stat",
    "1/proc/7/status",
    "1/proc/7/io",
    "1/proc/7/schedstat",
    "1/proc/7/smaps",
    "1/proc/7/cmdline",
    "1/proc/uptime",
    "1/proc/stat",
    "1/proc/meminfo",
    "1/etc/passwd",
    "scenario.toml",
];

const STAT: &str = "7 (a b) S 1 1 1 0 -1 64 1 2 3 4 5 6 7 8 20 0 1 0 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 \
    39 40 41 42 43 44\n";

fn write(root: &Path, file: &str, bytes: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
    fs::write(path, bytes).expect("it can be written");
}

/// Digits, signs and blanks come up more often than chance has them.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let text = "[0-9 .:()\n\t=a-z\"-]{0,200}".prop_map(String::into_bytes);
    let extreme = prop::sample::select(vec![
        STAT.replace(" 22 ", " 18446744073709551615 ").into_bytes(),
        STAT.replace(" 5 6 ", " 18446744073709551615 18446744073709551615 ").into_bytes(),
        b"18446744073709551615.99 1\n".to_vec(),
        b"cpu  18446744073709551615 18446744073709551615 1 1\n".to_vec(),
        b"epoch = 9223372036854775807\n".to_vec(),
        b"epoch = -9223372036\nclock_ticks = 1\npage_size = 1073741824\n".to_vec(),
        b"clock_ticks = 1000000\n".to_vec(),
    ]);
    prop_oneof![vec(any::<u8>(), 0..300), text, extreme]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Not in-process: a program that hangs must be ended, and what a panic prints is seen.
    #[test]
    fn no_file_stops_the_program(files in vec((0..FILES.len(), anything()), 1..4), pidstat: bool, json: bool) {
        let root = tempfile::tempdir().unwrap();
        for instant in 0..2 {
            write(root.path(), &format!("{instant}/proc/uptime"), format!("{}.00 0\n", 50 + instant).as_bytes());
            write(root.path(), &format!("{instant}/proc/stat"), b"cpu  1 2 3 4\ncpu0 1 2 3 4\n");
            write(root.path(), &format!("{instant}/proc/7/stat"), STAT.as_bytes());
        }
        for (at, bytes) in files {
            write(root.path(), FILES[at], &bytes);
        }
        let mut arguments = vec!["--root", root.path().to_str().unwrap(), "-urdwsvRtl", "-U"];
        if pidstat {
            arguments.extend(["--sysstat", "12.6"]);
        }
        if json {
            arguments.extend(["-o", "json"]);
        }
        arguments.push("1");
        let mut child =
            tool::command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > Duration::from_secs(20) {
                child.kill().unwrap();
                child.wait().unwrap();
                prop_assert!(false, "it hangs");
            }
            sleep(Duration::from_millis(1));
        };
        let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        prop_assert!(matches!(status.code(), Some(0..=3)), "{status}: {said}");
    }
}
