//! Input of somebody who means harm: trees, databases, playbooks and queries that run nothing, hang nothing, and take no more
//! memory than they are given.

use pidstat_tests::tool;
use proptest::{collection::vec, prelude::*};
use rusqlite::Connection;
use std::{
    fs,
    os::unix::{
        fs::symlink,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Memory that a run may map, and seconds on a CPU: more than it needs by far, less than without an end.
const MOST_BYTES: u64 = 3 << 30;
const MOST_CPU_SECONDS: u64 = 100;

/// Runs to the end, within bounds; what it says, and the exit code.
fn bounded(folder: &Path, arguments: &[&str]) -> (String, i32) {
    let limit = |kind, most: u64| {
        let most = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the limit is a valid one, and the call only reads it.
        unsafe { libc::setrlimit(kind, &raw const most) };
    };
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "300"]).arg(tool::kpidstat()).args(arguments).current_dir(folder);
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    // SAFETY: setrlimit allocates nothing.
    unsafe {
        command.pre_exec(move || {
            limit(libc::RLIMIT_AS, MOST_BYTES);
            limit(libc::RLIMIT_CPU, MOST_CPU_SECONDS);
            Ok(())
        });
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said[..said.len().min(4000)]).into_owned();
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| code <= 4),
        "{arguments:?}: {code:?} {:?}: {said}",
        output.status.signal()
    );
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    assert!(!folder.join("made").exists(), "{arguments:?} ran something");
    (said, code.unwrap_or_default())
}

fn pipe(path: &Path) {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the path is a string that ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

fn stat(pid: u32, comm: &str, ppid: u32) -> String {
    format!(
        "{pid} ({comm}) S {ppid} 1 1 0 -1 4194560 10 11 12 13 14 15 16 17 20 0 1 0 {pid} 4096 7 9 1 1 1 1 1 0 0 0 0 0 0 0 17 0 0 \
         0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
}

const FILES: [&str; 10] =
    ["stat", "cmdline", "io", "status", "smaps_rollup", "cgroup", "schedstat", "smaps", "statm", "maps"];

/// Everything that reads a tree.
fn read_tree(folder: &Path) {
    let all = "stat,cmdline,io,status,fd,smaps_rollup";
    for arguments in [
        &["query", "--procfs", "proc", "-f", all][..],
        &["query", "--procfs", "proc", "--procfs-target", "thread"],
        &[
            "query",
            "--procfs",
            "proc",
            "$..children[?('x' in @.cmdline or @.cgroup != '' or @.delay.run_ns > 1)]..pid",
        ],
        &["query", "--procfs", "proc", "", "select count(*), sum(stat_rss) from record"],
        &["query", "--procfs", "proc", "$..*..*..*..*"],
        &["record", "--procfs", "proc", "-d", "out.sqlite", "-r", "2", "-i", "0.01", "-f", all],
        &["record", "--procfs", "proc", "-d", "out.ndjson", "-r", "1", "-p", "7,8,9"],
        &["csv", "--procfs", "proc", "-s", "-S", "-i", "-t"],
        &["proc", "stat", "--procfs", "proc", "-o", "json"],
        &["proc", "status", "--procfs", "proc", "-o", "csv"],
        &["proc", "net", "--procfs", "proc"],
        &[
            "-u", "-r", "-s", "-d", "-w", "-v", "-R", "-l", "-t", "--cgroup", "--tree", "--root", "instants",
            "1", "1",
        ],
        &["io", "--root", "instants", "-n", "1"],
    ] {
        bounded(folder, arguments);
    }
}

/// A folder with `proc`, which is also what the recorded instants 0 and 1 are.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("proc")).unwrap();
    for instant in ["instants/0", "instants/1"] {
        fs::create_dir_all(folder.path().join(instant)).unwrap();
        symlink("../../proc", folder.path().join(instant).join("proc")).unwrap();
    }
    folder
}

#[test]
fn a_tree_of_pipes_loops_and_files_without_an_end() {
    let folder = tree();
    let proc = folder.path().join("proc");
    for (pid, kind) in [(7, "pipe"), (8, "zero"), (9, "loop"), (10, "folder"), (11, "sparse"), (12, "random")]
    {
        let process = proc.join(pid.to_string());
        fs::create_dir_all(process.join(format!("task/{pid}"))).unwrap();
        for file in FILES
            .iter()
            .map(|file| process.join(file))
            .chain(FILES.iter().map(|file| process.join(format!("task/{pid}/{file}"))))
        {
            // Who is seen at all has a stat that can be read.
            if file.ends_with("stat") && pid < 11 {
                fs::write(&file, stat(pid, "x) S (y\n\u{1b}[2J", 7)).unwrap();
                continue;
            }
            match kind {
                "pipe" => pipe(&file),
                "zero" => symlink("/dev/zero", &file).unwrap(),
                "loop" => symlink(&file, &file).unwrap(),
                "folder" => fs::create_dir(&file).unwrap(),
                "sparse" => fs::File::create(&file).unwrap().set_len(1 << 42).unwrap(),
                _ => symlink("/dev/urandom", &file).unwrap(),
            }
        }
        symlink("..", process.join("fd")).unwrap();
    }
    // What stands beside the processes, and what stands beside the tree.
    pipe(&proc.join("stat"));
    pipe(&proc.join("vmstat"));
    symlink("/dev/zero", proc.join("meminfo")).unwrap();
    fs::write(proc.join("uptime"), "1000.00 1\n").unwrap();
    fs::create_dir_all(proc.join("sys/net")).unwrap();
    symlink("../..", proc.join("sys/net/up")).unwrap();
    fs::create_dir_all(proc.join("sys/kernel")).unwrap();
    for name in ["pid_max", "ostype", "task_delayacct"] {
        pipe(&proc.join("sys/kernel").join(name));
    }
    for instant in ["instants/0", "instants/1"] {
        fs::create_dir(folder.path().join(instant).join("etc")).unwrap();
        pipe(&folder.path().join(instant).join("etc/passwd"));
    }
    pipe(&folder.path().join("instants/scenario.toml"));
    read_tree(folder.path());
}

#[test]
fn a_family_of_many_generations_and_one_that_is_its_own_ancestor() {
    let folder = tree();
    let proc = folder.path().join("proc");
    const DEEP: u32 = 4_000;
    let process = |pid: u32, ppid: u32| {
        fs::create_dir(proc.join(pid.to_string())).unwrap();
        fs::write(proc.join(format!("{pid}/stat")), stat(pid, "child", ppid)).unwrap();
        fs::write(proc.join(format!("{pid}/cmdline")), "x\0").unwrap();
    };
    (1..=DEEP).for_each(|pid| process(pid, pid - 1));
    // A circle, and one that is its own parent.
    process(50_001, 50_003);
    process(50_002, 50_001);
    process(50_003, 50_002);
    process(60_000, 60_000);
    fs::write(proc.join("uptime"), "1000.00 1\n").unwrap();
    fs::write(proc.join("stat"), "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n").unwrap();
    read_tree(folder.path());
    let (said, code) =
        bounded(folder.path(), &["query", "--procfs", "proc", "", "select count(*) n from record"]);
    assert!(code == 0 && said.contains(&format!("\"n\": {DEEP}")), "{said}");
}

/// What a recording is opened for.
fn open_database(folder: &Path, name: &str) -> Vec<(String, i32)> {
    let runs = [
        &["--replay", name, "-u", "-r", "-d", "-w", "-l"][..],
        &["plot", "-d", name, "-q", "cpu", "-q", "rss", "-f", "x.svg"],
        &["plot", "-d", name, "-q", "rxbs", "-f", "x.svg"],
        &["plot", "-d", name, "--custom-value-expr", "stat_rss", "-f", "x.csv"],
        &["record", "-d", name, "--procfs", "proc", "-r", "1", "--reports", "-"],
    ];
    runs.iter().map(|arguments| bounded(folder, arguments)).collect()
}

fn recorded(folder: &Path, name: &str) -> PathBuf {
    let proc = folder.join("proc");
    if !proc.exists() {
        for pid in 1..=20 {
            fs::create_dir_all(proc.join(pid.to_string())).unwrap();
            fs::write(proc.join(format!("{pid}/stat")), stat(pid, "child", pid / 2)).unwrap();
            fs::write(proc.join(format!("{pid}/cmdline")), "x\0").unwrap();
        }
        fs::write(proc.join("uptime"), "1000.00 1\n").unwrap();
        fs::write(proc.join("stat"), "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n").unwrap();
    }
    let (said, code) = bounded(folder, &["record", "-d", name, "--procfs", "proc", "-r", "3", "-i", "0.01"]);
    assert_eq!(code, 0, "{said}");
    folder.join(name)
}

#[test]
fn a_database_with_a_schema_that_acts() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(folder.path(), "whole.sqlite");
    let endless = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT x FROM r";
    let columns = "record_id INTEGER PRIMARY KEY NOT NULL, ts REAL NOT NULL, cmdline TEXT";
    for (number, sql) in [
        // Runs when the recorder writes.
        &format!("CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM meta; INSERT INTO record(ts) {endless}; END")[..],
        "CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT writefile('made', 'x'), load_extension('./made.so'); END",
        // Stand where the tables stood.
        &format!("DROP TABLE record; CREATE VIEW record AS {endless}"),
        &format!("DROP TABLE meta; CREATE VIEW meta(key, value) AS SELECT x, x FROM ({endless})"),
        &format!("DROP TABLE sample; CREATE VIEW sample AS {endless}"),
        "DROP TABLE record; CREATE TABLE record(x, ts AS (hex(zeroblob(10000000))), stat_pid AS (zeroblob(1000000000)))",
        &format!("DROP TABLE record; CREATE TABLE record({columns}, stat_pid AS (hex(zeroblob(400000000))))"),
        "CREATE VIRTUAL TABLE v USING fts5(x); DROP TABLE record; CREATE VIEW record AS SELECT * FROM v",
        // Values that are no numbers, or too large for one.
        "UPDATE meta SET value = '999999999999999999'; UPDATE record SET ts = 9e999, stat_rss = 9e999, stat_utime = 'x'",
        "UPDATE meta SET value = '0'; UPDATE record SET ts = -1e300, stat_starttime = -9223372036854775808",
        "UPDATE meta SET value = x'00ff'; UPDATE record SET ts = x'00ff', stat_pid = 9223372036854775807, stat_ppid = -1",
        "UPDATE record SET stat_comm = zeroblob(20000000), cmdline = zeroblob(20000000) WHERE record_id = 2",
        "UPDATE record SET stat_utime = 9223372036854775807, stat_stime = 9223372036854775807, stat_starttime = 9223372036854775807",
        "UPDATE task SET pid = NULL; UPDATE sample SET uptime_ns = -1, ts = 'x'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'record'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = 'CREATE TABLE record(' || hex(zeroblob(1000000)) || ')' WHERE name = 'record'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET rootpage = 999999",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{number}.sqlite");
        fs::copy(&path, folder.path().join(&name)).unwrap();
        let database = Connection::open(folder.path().join(&name)).unwrap();
        // Not every one of them can be made everywhere; most can.
        let made = database.execute_batch(sql);
        assert!(made.is_ok() || sql.contains("fts5") || sql.contains("task"), "{sql}: {made:?}");
        drop(database);
        let runs = open_database(folder.path(), &name);
        if sql.contains("TRIGGER") {
            // The sample is there, and nothing happened besides.
            assert_eq!(runs[4].1, 0, "{sql}: {}", runs[4].0);
            let database = Connection::open(folder.path().join(&name)).unwrap();
            let count = |table: &str| -> u32 {
                database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
            };
            assert_eq!(count("record"), 80);
            assert!(count("meta") > 0);
        }
    }
}

#[test]
fn a_playbook_without_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let diamonds: String = (1..60)
        .map(|n| format!("[a{n}]\nextends:\n  a{0}\n  b{0}\n[b{n}]\nextends:\n  a{0}\n  b{0}\n", n - 1))
        .collect();
    let chain: String = (1..20_000).map(|n| format!("[a{n}]\nextends: a{}\n", n - 1)).collect();
    let keys: String = (0..100_000).map(|n| format!("k{n}:\n")).collect();
    let sections: String = (0..100_000).map(|n| format!("[s{n}]\n")).collect();
    let book = folder.path().join("book.ini");
    for text in [
        format!("[a0]\n[b0]\n{diamonds}[x:query]\nextends: a59\n"),
        format!("[a0]\n{chain}[x:query]\nextends: a19999\n"),
        format!("[x:query]\n{keys}"),
        format!("{sections}[x:query]\nquery: $..nothing\n"),
        format!("[x:watch]\ninterval: 1\ncommand:\n{}", " a\\\n".repeat(200_000)),
        format!("[x:watch]\ninterval: 1\ncommand:\n{}", " 'a\n".repeat(200_000)),
        format!("[x:query]\nquery: {}\n", "(".repeat(1_000_000)),
        "[x:plot]\ndatabase_file: none.sqlite\ncustom_query_file: /dev/zero\n".into(),
        "[x:query]\nextends: x:query\n".into(),
        "[x:query]\nenvironment:\n  A=yes\nquery: $..children[?(@.stat.comm == $A)]\n".into(),
        "\u{0}[x:query]\n".into(),
    ] {
        fs::write(&book, text).unwrap();
        bounded(folder.path(), &["play", "-f", "book.ini", "-n", "*"]);
        bounded(folder.path(), &["play", "-f", "book.ini", "x:[pq]*"]);
    }
    let (said, code) = bounded(folder.path(), &["play", "-f", "/dev/zero", "*"]);
    assert!(code == 1 && said.contains("more than 16 MiB"), "{said}");
}

#[test]
fn queries_that_would_run_something_or_never_end() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), "x.sqlite");
    let endless = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT";
    for query in [
        "__import__('os').system('touch made')",
        "open('made', 'w')",
        "exec('open(\"made\", \"w\")')",
        "(lambda: open('made', 'w'))()",
        "[x for x in ().__class__.__base__.__subclasses__()]",
        "@.__class__.__init__.__globals__",
        "'{0.__class__}'.format(@)",
        "9 ** 9 ** 9 ** 9 > 1",
        "1 << 9999999999 > 1",
        "'a' * 9999999999 == 'b'",
        "[1] * 9999999999 == 1",
        "'aaaaaaaaaa'.replace('', 'a' * 1000000).replace('', 'a' * 1000000) == 'b'",
        "re.search('(x+x+)+y', 'x' * 100000)",
        "re.search('((a{1000}){1000}){1000}', @.stat.comm)",
        &format!("{} 1", "not ".repeat(20_000)),
        &format!("{}1", "-".repeat(50_000)),
        &format!("{}1{}", "(".repeat(40_000), ")".repeat(40_000)),
        &format!("{}1{}", "[".repeat(40_000), "]".repeat(40_000)),
        &format!("1{}", " + 1".repeat(25_000)),
    ] {
        bounded(folder.path(), &["query", "--procfs", "proc", &format!("$..children[?({query})]")]);
        bounded(folder.path(), &["query", "--procfs", "proc", &format!("$..children[?{query}]")]);
        bounded(folder.path(), &["-u", "--where", query, "--root", "nothing"]);
    }
    for query in
        [&"..*".repeat(30)[..], &"[0]".repeat(40_000), &"[?".repeat(40_000), "[::-9223372036854775808]"]
    {
        bounded(folder.path(), &["query", "--procfs", "proc", &format!("${query}")]);
    }
    for (sql, words) in [
        ("ATTACH 'made' AS x", "attached"),
        ("VACUUM INTO 'made'", "attached"),
        ("SELECT load_extension('./made.so')", "not authorized"),
        ("SELECT writefile('made', 'x')", "no such function"),
        ("SELECT 1; SELECT 2", "one statement"),
        (&format!("{endless} zeroblob(900000) FROM r"), "larger than 256 MiB"),
        (&format!("{endless} x FROM r"), "larger than 256 MiB"),
        (
            &format!("{endless} count(*) FROM (SELECT zeroblob(9000000 + x) b FROM r ORDER BY b)"),
            "more memory",
        ),
    ] {
        let (said, code) = bounded(folder.path(), &["query", "--procfs", "proc", "", sql]);
        assert!(code == 1 && said.contains(words), "{sql}: {said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Pages that were changed here and there: an error or what can still be read, and never a write into what is no table.
    #[test]
    fn a_damaged_database(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in prop::option::of(any::<prop::sample::Index>())) {
        let folder = tempfile::tempdir().unwrap();
        let path = recorded(folder.path(), "x.sqlite");
        let mut bytes = fs::read(&path).unwrap();
        for (at, byte) in changes {
            // Not the sixteen that make it a database.
            let at = 16 + at.index(bytes.len() - 16);
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(100 + cut.index(bytes.len() - 100));
        }
        fs::write(&path, bytes).unwrap();
        open_database(folder.path(), "x.sqlite");
    }
}
