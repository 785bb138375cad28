//! The same figures from the files of /proc and from a row, under the same names; the parsing is the test's own.

use pidstat_user::sample::Task;
use std::collections::BTreeMap;

/// Figures by name.
pub type Fields = BTreeMap<&'static str, u64>;

/// What /proc and the iterator show differently, and why. Everything else must be equal.
pub const DIFFERENCES: [(&str, &str); 6] = [
    (
        "VmRSS of status, statm",
        "since 6.18 the kernel adds up per-CPU parts there; a row has what stat field 24 shows",
    ),
    (
        "name of a kernel worker",
        "/proc adds what it last worked on; it is read when the worker is new, and every 10 s",
    ),
    (
        "memory of threads of a headless process",
        "a row takes it from the process, whose first thread has given it up",
    ),
    (
        "sched and switches of a process",
        "the process's files have the first thread's; a row can have the sum of all",
    ),
    ("stat field 42 without delay accounting", "/proc shows 0, a row says that it is not measured"),
    (
        "user and system time of a process that was shown before",
        "a source never goes back behind its own split",
    ),
];

/// Figures that go up and down.
pub const GAUGES: [&str; 12] = [
    "stat state",
    "stat ppid",
    "stat threads",
    "stat virtual",
    "stat resident",
    "stat processor",
    "stat rt_priority",
    "stat policy",
    "status uid",
    "status threads",
    "comm",
    "kernel thread",
];

/// Shares of the exact run time, which the kernel moves between each other within what it showed.
pub const SPLITS: [&str; 2] = ["stat user", "stat system"];

/// Everything that must have been compared.
pub const NAMES: [&str; 35] = [
    "stat state",
    "stat ppid",
    "stat minor",
    "stat children minor",
    "stat major",
    "stat children major",
    "stat user",
    "stat system",
    "stat children user",
    "stat children system",
    "stat threads",
    "stat start",
    "stat virtual",
    "stat resident",
    "stat processor",
    "stat rt_priority",
    "stat policy",
    "stat guest",
    "stat children guest",
    "status uid",
    "status threads",
    "status voluntary",
    "status involuntary",
    "io rchar",
    "io wchar",
    "io read calls",
    "io write calls",
    "io read bytes",
    "io write bytes",
    "io cancelled",
    "schedstat run",
    "schedstat wait",
    "schedstat slices",
    "comm",
    "kernel thread",
];

/// Leaves out what differs by design.
pub fn forget(fields: &mut Fields, why: &str) {
    assert_eq!(why, "threads of a headless process");
    fields.remove("stat virtual");
    fields.remove("stat resident");
}

fn hash(name: &[u8]) -> u64 {
    name.iter().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// What `stat`, `status`, `io` and `schedstat` of a directory say; `None` if the task has ended.
pub fn of_files(directory: &str) -> Option<Fields> {
    let mut fields = Fields::new();
    let stat = std::fs::read(format!("{directory}/stat")).ok()?;
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = String::from_utf8_lossy(&stat[close + 2..]).into_owned();
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| words[field - 3].parse::<i64>().ok().map(|n| n as u64);
    let kernel_thread = number(9)? & 0x0020_0000 != 0;
    if !kernel_thread {
        fields.insert("comm", hash(&stat[open + 1..close]));
    }
    fields.insert("kernel thread", u64::from(kernel_thread));
    fields.insert("stat state", u64::from(words[0].as_bytes()[0]));
    for (name, field) in [
        ("stat ppid", 4),
        ("stat minor", 10),
        ("stat children minor", 11),
        ("stat major", 12),
        ("stat children major", 13),
        ("stat user", 14),
        ("stat system", 15),
        ("stat children user", 16),
        ("stat children system", 17),
        ("stat threads", 20),
        ("stat start", 22),
        ("stat virtual", 23),
        ("stat resident", 24),
        ("stat processor", 39),
        ("stat rt_priority", 40),
        ("stat policy", 41),
        ("stat block io", 42),
        ("stat guest", 43),
        ("stat children guest", 44),
    ] {
        fields.insert(name, number(field)?);
    }
    let status = std::fs::read(format!("{directory}/status")).ok()?;
    for line in String::from_utf8_lossy(&status).lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let name = match key {
            "Uid" => "status uid",
            "Threads" => "status threads",
            "voluntary_ctxt_switches" => "status voluntary",
            "nonvoluntary_ctxt_switches" => "status involuntary",
            _ => continue,
        };
        fields.insert(name, rest.split_ascii_whitespace().next()?.parse().ok()?);
    }
    // PID 1 of some machines refuses this one even to root.
    if let Ok(io) = std::fs::read_to_string(format!("{directory}/io")) {
        let names = [
            "io rchar",
            "io wchar",
            "io read calls",
            "io write calls",
            "io read bytes",
            "io write bytes",
            "io cancelled",
        ];
        for (name, line) in names.into_iter().zip(io.lines()) {
            fields.insert(name, line.split_once(": ")?.1.parse().ok()?);
        }
    }
    let schedstat = std::fs::read_to_string(format!("{directory}/schedstat")).ok()?;
    let names = ["schedstat run", "schedstat wait", "schedstat slices"];
    for (name, word) in names.into_iter().zip(schedstat.split_ascii_whitespace()) {
        fields.insert(name, word.parse().ok()?);
    }
    Some(fields)
}

/// The same of a row, in the units of the files.
pub fn of_row(task: &Task) -> Fields {
    const TICK_NS: u64 = 10_000_000;
    let mut fields = Fields::from([
        ("kernel thread", u64::from(task.kernel_thread)),
        ("stat state", u64::from(task.state)),
        ("stat ppid", u64::from(task.ppid)),
        ("stat minor", task.faults.minor),
        ("stat children minor", task.faults.children_minor),
        ("stat major", task.faults.major),
        ("stat children major", task.faults.children_major),
        ("stat user", task.cpu.user_ns / TICK_NS),
        ("stat system", task.cpu.system_ns / TICK_NS),
        ("stat children user", task.cpu.children_user_ns / TICK_NS),
        ("stat children system", task.cpu.children_system_ns / TICK_NS),
        ("stat threads", u64::from(task.threads)),
        ("stat start", task.key.start_ticks),
        ("stat virtual", task.memory.virtual_bytes),
        ("stat resident", task.memory.resident_bytes / 4096),
        ("stat processor", u64::from(task.processor)),
        ("stat rt_priority", u64::from(task.rt_priority)),
        ("stat policy", u64::from(task.policy)),
        ("stat guest", task.cpu.guest_ns / TICK_NS),
        ("stat children guest", task.cpu.children_guest_ns / TICK_NS),
        ("status uid", u64::from(task.uid)),
        ("status threads", u64::from(task.threads)),
    ]);
    if !task.kernel_thread {
        fields.insert("comm", hash(task.name()));
    }
    if let Ok(delays) = task.delays {
        fields.insert("stat block io", delays.block_io_ns / TICK_NS);
    }
    if let Ok(switches) = task.switches {
        fields.insert("status voluntary", switches.voluntary);
        fields.insert("status involuntary", switches.involuntary);
    }
    if let Ok(io) = task.io {
        fields.insert("io rchar", io.rchar_bytes);
        fields.insert("io wchar", io.wchar_bytes);
        fields.insert("io read calls", io.read_calls);
        fields.insert("io write calls", io.write_calls);
        fields.insert("io read bytes", io.read_bytes);
        fields.insert("io write bytes", io.write_bytes);
        fields.insert("io cancelled", io.cancelled_write_bytes);
    }
    if let Ok(sched) = task.sched {
        fields.insert("schedstat run", sched.run_ns);
        fields.insert("schedstat wait", sched.wait_ns);
        fields.insert("schedstat slices", sched.timeslices);
    }
    fields
}
