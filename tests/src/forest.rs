//! A frozen procfs with a process tree: every file that Procpath reads, names with anything in them, kernel threads.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Process, parent, name, arguments. Those below 2 are kernel threads.
const PROCESSES: [(u32, u32, &str, &[&str]); 42] = [
    (1, 0, "systemd", &["/sbin/init", "splash"]),
    (2, 0, "kthreadd", &[]),
    (3, 2, "rcu_gp", &[]),
    (4, 2, "kworker/0:0H-events_highpri", &[]),
    (15, 2, "ksoftirqd/0", &[]),
    (16, 2, "migration/0", &[]),
    (300, 1, "systemd-journal", &["/lib/systemd/systemd-journald"]),
    (320, 1, "systemd-udevd", &["/lib/systemd/systemd-udevd"]),
    (500, 1, "sshd", &["sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"]),
    (501, 500, "sshd", &["sshd: alice [priv]"]),
    (502, 501, "sshd", &["sshd: alice@pts/0"]),
    (503, 502, "bash", &["-bash"]),
    (504, 503, "vim", &["vim", "a file (1).txt", "b'c.txt"]),
    (505, 503, "python3", &["python3", "-c", "while True:\n    print('x')\n"]),
    (600, 1, "cron", &["/usr/sbin/cron", "-f"]),
    (601, 600, "cron", &["/usr/sbin/CRON", "-f"]),
    (602, 601, "sh", &["/bin/sh", "-c", "sleep 60"]),
    (603, 602, "sleep", &["sleep", "60"]),
    (700, 1, "nginx", &["nginx: master process /usr/sbin/nginx"]),
    (701, 700, "nginx", &["nginx: worker process"]),
    (702, 700, "nginx", &["nginx: worker process"]),
    (900, 1, "a) b (c", &["/opt/odd", "--name=a) b (c"]),
    (901, 900, "((", &[]),
    (902, 900, "tab\ttab", &["\t lead", "trail "]),
    (903, 900, "quote'd \"x\"", &["it's \"quoted\" \\ back"]),
    (904, 900, "größe", &["größe", "--≥", "日本"]),
    (905, 900, "@dollar$", &["@", "$", "$HOME"]),
    (1000, 1, "user", &["/usr/bin/user", "--session"]),
    (1001, 1000, "dbus-daemon", &["dbus-daemon", "--session", "--nofork"]),
    (1002, 1000, "defunct", &[]),
    (2610, 1000, "firefox", &["/usr/lib/firefox/firefox"]),
    (2700, 2610, "Web Content", &["/usr/lib/firefox/firefox", "-contentproc", "-childID", "1"]),
    (2701, 2610, "Web Content", &["/usr/lib/firefox/firefox", "-contentproc", "-childID", "2"]),
    (2750, 2701, "gpu helper", &["helper", "--gpu"]),
    (2751, 2750, "deep", &["deep", "1"]),
    (2752, 2751, "deep", &["deep", "2"]),
    (2753, 2752, "deep", &["deep", "3"]),
    (3000, 1000, "postgres", &["postgres", "-D", "/var/lib/postgresql"]),
    (3001, 3000, "postgres", &["postgres: checkpointer"]),
    (3002, 3000, "postgres", &["postgres: walwriter"]),
    (4000, 3999, "orphan", &["orphan", "of another namespace"]),
    (4001, 4000, "child", &["child", "of orphan"]),
];

/// Writes it below `dir` and says where.
pub fn write(dir: &Path) -> PathBuf {
    let procfs = dir.join("proc");
    fs::create_dir(&procfs).expect("a folder for the tree");
    fs::write(dir.join("file"), "x").expect("a file");
    for (pid, ppid, comm, arguments) in PROCESSES {
        let at = procfs.join(pid.to_string());
        fs::create_dir_all(at.join("fd")).expect("a folder for a process");
        let write = |name: &str, text: &str| fs::write(at.join(name), text).expect("a file of a process");
        write("stat", &stat(pid, ppid, comm));
        let arguments: String = arguments.iter().map(|argument| format!("{argument}\0")).collect();
        write("cmdline", &arguments);
        write("io", &io(pid));
        write("status", &status(pid, ppid, comm));
        write("smaps_rollup", &smaps_rollup(pid, ppid));
        let open = ["/dev/null", "../../../file", "/", "socket:[1]", "/dev/zero"];
        for (number, to) in open.iter().enumerate().take(if pid < 20 { 0 } else { pid as usize % 6 }) {
            symlink(to, at.join("fd").join(number.to_string())).expect("a link");
        }
    }
    procfs
}

fn kernel(pid: u32, ppid: u32) -> bool {
    pid == 2 || ppid == 2
}

fn stat(pid: u32, ppid: u32, comm: &str) -> String {
    let n = u64::from(pid);
    let state = if comm == "defunct" { "Z" } else { ["S", "R", "D", "I"][pid as usize % 4] };
    let size = if kernel(pid, ppid) { 0 } else { n * 4096 };
    let mut line = format!("{pid} ({comm}) {state} {ppid} {pid} {pid} 0 -1 4194560");
    let numbers = [n * 3, n * 5, n % 7, n % 11, n * 2, n, n / 2, n / 3];
    numbers.iter().for_each(|number| write!(line, " {number}").expect("room"));
    write!(line, " 20 {} {} 0 {} {size} {}", -(n as i64 % 20), 1 + n % 9, n * 10, size / 8192).expect("room");
    // Fields 25 to 41, then the three that are read again.
    for field in 25..=41 {
        write!(line, " {}", if field == 25 { u64::MAX } else { field }).expect("room");
    }
    writeln!(line, " {} {} 0 0 0 0 0 0 0 0 0", n % 13, n % 17).expect("room");
    line
}

fn io(pid: u32) -> String {
    let names = ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"];
    let lines = names.iter().zip(1..);
    lines.map(|(name, factor): (_, u64)| format!("{name}: {}\n", u64::from(pid) * factor * 1024)).collect()
}

fn status(pid: u32, ppid: u32, comm: &str) -> String {
    let mut text = format!(
        "Name:\t{}\nUmask:\t0022\nState:\t{} (sleeping)\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{ppid}\nTracerPid:\t0\n\
         Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\nFDSize:\t64\nGroups:\t{}\n",
        comm.replace('\n', "\\n"),
        if pid.is_multiple_of(5) { "t" } else { "S" },
        if pid.is_multiple_of(2) { " " } else { "4 24 27 " },
        uid = if pid < 1000 { 0 } else { 1000 },
    );
    write!(text, "NStgid:\t{pid}\nNSpid:\t{pid}\t{}\nNSpgid:\t{pid}\nNSsid:\t{pid}\nKthread:\t0\n", pid / 2)
        .expect("room");
    if !kernel(pid, ppid) {
        for (name, factor) in [
            ("VmPeak", 9),
            ("VmSize", 8),
            ("VmLck", 0),
            ("VmPin", 0),
            ("VmHWM", 5),
            ("VmRSS", 4),
            ("RssAnon", 2),
            ("RssFile", 1),
            ("RssShmem", 1),
            ("VmData", 3),
            ("VmStk", 1),
            ("VmExe", 1),
            ("VmLib", 2),
            ("VmPTE", 1),
            ("VmSwap", 0),
            ("HugetlbPages", 0),
        ] {
            writeln!(text, "{name}:\t{:>8} kB", pid * factor).expect("room");
        }
        text += "CoreDumping:\t0\nTHP_enabled:\t1\n";
    }
    write!(
        text,
        "Threads:\t{}\nSigQ:\t{}/96119\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t7be3c0fe28014a03\n\
         SigIgn:\tffffffffffffffff\nSigCgt:\t00000001000004ec\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\n\
         CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t{}\n\
         Seccomp_filters:\t0\nSpeculation_Store_Bypass:\tThread vulnerable\nCpus_allowed:\tff,00000003\n\
         Cpus_allowed_list:\t0-1\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\n\
         voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
        1 + pid % 9,
        pid % 3,
        pid % 3,
        pid * 7,
        pid * 2,
    )
    .expect("room");
    text
}

fn smaps_rollup(pid: u32, ppid: u32) -> String {
    if kernel(pid, ppid) {
        return String::new();
    }
    let mut text =
        "55d0c0a00000-7ffc3b5f3000 ---p 00000000 00:00 0                          [rollup]\n".to_owned();
    for (at, name) in [
        "Rss",
        "Pss",
        "Pss_Dirty",
        "Pss_Anon",
        "Shared_Clean",
        "Shared_Dirty",
        "Private_Clean",
        "Private_Dirty",
        "Referenced",
        "Anonymous",
        "KSM",
        "LazyFree",
        "AnonHugePages",
        "ShmemPmdMapped",
        "FilePmdMapped",
        "Shared_Hugetlb",
        "Private_Hugetlb",
        "Swap",
        "SwapPss",
        "Locked",
    ]
    .iter()
    .enumerate()
    {
        writeln!(text, "{name}:{:>20} kB", pid * (at as u32 + 1)).expect("room");
    }
    text
}
