//! The readers of `kpidstat proc`: judged by plain Python, Python's own pprint and the procfs crate; hostile files.

use pidstat_tests::tool;
use pidstat_user::{
    sample::{Tree, tree::Name},
    sink::{
        pprint::pprint,
        sheet::{Form, Sheet},
    },
    source::procfs::{
        Inspector,
        files::Place,
        inspect::{InspectError, MOST_BYTES},
    },
};
use procfs::{FromBufRead as _, FromRead as _, process::LimitValue};
use proptest::{collection::vec, prelude::*};
use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Every reader that is about a process.
const READERS: [&str; 14] = [
    "stat",
    "statm",
    "status",
    "io",
    "schedstat",
    "maps",
    "smaps_rollup",
    "mountinfo",
    "mountstats",
    "fd",
    "limits",
    "cgroup",
    "environ",
    "cmdline",
];

/// A process that does nothing, with a name, arguments and an environment that nobody would choose.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Sleeper {
        let mut command = Command::new("sleep");
        command.arg0("a (b) \"c\"\n\u{e9}'").args(["1000", "0"]).env_clear();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("EMPTY", "")
            .env("TWO", "a=b")
            .env("LONG", "word ".repeat(40));
        command.env("BYTES", OsStr::from_bytes(b"\xff\xfe")).env("QUOTES", "it's \"so\"\t\u{301}\u{200b}");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let sleeper = Sleeper(child);
        // It reads files of its own until it sleeps.
        let start = Instant::now();
        while !fs::read_to_string(format!("/proc/{}/wchan", sleeper.pid())).unwrap().contains("nanosleep") {
            assert!(start.elapsed() < Duration::from_secs(20), "sleep does not sleep");
            std::thread::sleep(Duration::from_millis(5));
        }
        sleeper
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python(reader: &str, pid: u32) -> String {
    let script = tool::root().join("tests/oracles/procutils.py");
    let output = Command::new("python3").arg(script).args([reader, &pid.to_string()]).output().unwrap();
    assert!(output.status.success(), "{reader}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ours(arguments: &[&str]) -> String {
    let output = tool::run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_reader_prints_what_plain_python_prints() {
    let sleeper = Sleeper::start();
    let pid = sleeper.pid().to_string();
    for reader in READERS {
        let mut pair = (String::new(), String::new());
        // One line, the number of queued signals, is shared by all processes of a user and changes under our eyes.
        for _ in 0..20 {
            pair = (ours(&["proc", reader, &pid]), python(reader, sleeper.pid()));
            if pair.0 == pair.1 {
                break;
            }
        }
        assert_eq!(pair.0, pair.1, "{reader}");
    }
}

#[test]
fn the_settings_of_the_network_are_those_that_plain_python_reads() {
    let (before, ours, after) = (python("net", 1), ours(&["proc", "net"]), python("net", 1));
    assert!(before.lines().count() > 100, "{before}");
    // What others change meanwhile is no mistake of ours; everything else must be the same line.
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut compared = 0;
    for (line, theirs) in ours.lines().zip(&before) {
        if after.contains(theirs) {
            assert_eq!(&line, theirs);
            compared += 1;
        }
    }
    assert!(compared * 10 >= before.len() * 9, "{compared} of {} lines stood still", before.len());
    let named = tool::run(&["proc", "net", "core/rmem_default", "ipv4/tcp_rmem", "-o", "csv"]);
    let rmem = fs::read_to_string("/proc/sys/net/core/rmem_default").unwrap();
    let range = fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap().replace('\t', " ");
    let expected = format!("key,value\ncore/rmem_default,{rmem}ipv4/tcp_rmem,{range}");
    assert_eq!(String::from_utf8(named.stdout).unwrap(), expected);
}

#[test]
fn every_form_tells_the_same() {
    let sleeper = Sleeper::start();
    let (pid, other) = (sleeper.pid().to_string(), std::process::id().to_string());
    for reader in READERS {
        let one: serde_json::Value =
            serde_json::from_str(&ours(&["proc", reader, &pid, "-o", "json"])).unwrap();
        let both = ours(&["proc", reader, &pid, &other, "-o", "json"]);
        let both: serde_json::Value = serde_json::from_str(&both).unwrap();
        assert_eq!(both[0]["pid"], sleeper.pid(), "{reader}");
        // Two looks are not one: a process wakes, and a share of memory depends on who else has it.
        if !["status", "smaps_rollup"].contains(&reader) {
            assert_eq!(both[0][reader], one, "{reader}");
        }
        assert_eq!(both[1]["pid"], std::process::id(), "{reader}");
        let rows = ours(&["proc", reader, &pid, "-o", "ndjson"]);
        let rows: Vec<serde_json::Value> =
            rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        assert!(rows.iter().all(|row| row["pid"] == sleeper.pid()), "{reader}");
        let table = ours(&["proc", reader, &pid, "-o", "csv"]);
        let mut table = csv::Reader::from_reader(table.as_bytes());
        let header: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
        let lines: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
        assert_eq!((header[0].as_str(), lines.len()), ("pid", rows.len()), "{reader}");
        for (line, row) in lines.iter().zip(&rows) {
            assert_eq!(row.as_object().unwrap().len(), header.len(), "{reader}");
            if reader == "smaps_rollup" {
                continue;
            }
            for (name, cell) in header.iter().zip(line).filter(|(name, _)| *name != "SigQ") {
                match &row[name] {
                    serde_json::Value::Null => assert_eq!(cell, "", "{reader} {name}"),
                    serde_json::Value::String(text) => assert_eq!(cell, text, "{reader} {name}"),
                    serde_json::Value::Array(_) => {}
                    other => assert_eq!(cell, other.to_string(), "{reader} {name}"),
                }
            }
        }
    }
}

#[test]
fn processes_that_are_not_there_are_named_and_the_others_printed() {
    let output = tool::run(&["proc", "statm", "4194305", "SELF", "-o", "ndjson"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said, "kpidstat: 4194305: statm: no such process\n");
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"resident\": "));
    for (arguments, code) in
        [(vec!["4194305"], 3), (vec!["0"], 2), (vec!["x"], 2), (vec!["--procfs", "/nowhere"], 1)]
    {
        let arguments = [vec!["proc", "statm"], arguments].concat();
        assert_eq!(tool::run(&arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn all_processes_are_the_default() {
    let shown: serde_json::Value = serde_json::from_str(&ours(&["proc", "stat", "-o", "json"])).unwrap();
    let pids: Vec<u64> =
        shown.as_array().unwrap().iter().map(|row| row["stat"]["pid"].as_u64().unwrap()).collect();
    assert!(pids.contains(&1) && pids.contains(&u64::from(std::process::id())), "{pids:?}");
    assert!(pids.is_sorted());
}

/// Writes trees as JSON lines; Python prints each and a line that no value begins with.
fn python_pprint(trees: &[Tree]) -> Vec<String> {
    let mut sheet = Sheet::new(Form::Ndjson, "", false, false);
    let mut lines = Vec::new();
    for tree in trees {
        let row = Tree::List(vec![Tree::Record(vec![(Name::Borrowed("v"), tree.clone())])]);
        sheet.add(None, row, &mut lines);
    }
    let script = "import sys, json, pprint\n\
                  sys.stdin.reconfigure(encoding='utf-8', newline='\\n'); sys.stdout.reconfigure(encoding='utf-8')\n\
                  for line in sys.stdin: pprint.pprint(json.loads(line)['v']); print('----')";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&lines));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("----\n").take(trees.len()).map(str::to_owned).collect()
}

fn tree() -> impl Strategy<Value = Tree> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        "([a-z'\"]{1,9} {0,3}){0,40}",
        "[a-z0-9,]{60,130}",
        "[a-z \n\r\t\u{b}\u{1c}\u{85}\u{2028}\\\\]{0,120}",
        // Unicode grew between this Rust and any Python, so only characters that both know: letters, a mark that combines,
        // ideographs, blanks, what does not print, the ends of the planes.
        "[a-zé\u{df}\u{301}Ωж中\u{1f600}\u{a0}\u{ad}\u{200b}\u{2003}\u{3000}\u{e000}\u{fffd}\u{e0001}\u{10ffff}\u{7f}\u{0}]{0,90}",
    ];
    let leaf = prop_oneof![
        Just(Tree::Nothing),
        any::<bool>().prop_map(Tree::Truth),
        any::<i64>().prop_map(Tree::Signed),
        any::<u64>().prop_map(Tree::Count),
        text.clone().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        let name = prop_oneof!["[a-z_]{1,14}", "[a-z/ ']{30,90}"];
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Tree::List),
            prop::collection::btree_map(name, inner, 0..8).prop_map(|fields| {
                Tree::Record(
                    fields.into_iter().rev().map(|(name, value)| (Name::Owned(name), value)).collect(),
                )
            }),
        ]
    })
}

#[test]
fn any_value_is_printed_as_python_prints_it() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::default();
    let trees: Vec<Tree> = (0..500).map(|_| tree().new_tree(&mut runner).unwrap().current()).collect();
    for (tree, expected) in trees.iter().zip(python_pprint(&trees)) {
        let mut out = Vec::new();
        pprint(tree, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{tree:?}");
    }
}

/// Copies files of every process of this machine, so that two readers see the same.
fn frozen() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for pid in Inspector::open(Path::new("/proc")).unwrap().pids().unwrap() {
        let (from, to) = (Path::new("/proc").join(pid.to_string()), copy.path().join(pid.to_string()));
        fs::create_dir(&to).unwrap();
        for file in READERS {
            if let Ok(bytes) = fs::read(from.join(file)) {
                fs::write(to.join(file), bytes).unwrap();
            }
        }
    }
    copy
}

#[test]
fn the_procfs_crate_reads_the_same() {
    let copy = frozen();
    let mut inspector = Inspector::open(copy.path()).unwrap();
    let mut compared = [0; 5];
    for pid in inspector.pids().unwrap() {
        let at = Place::process(pid);
        let bytes = |file: &str| fs::read(copy.path().join(pid.to_string()).join(file)).ok();
        if let Some(bytes) = bytes("stat") {
            let (ours, theirs) =
                (inspector.stat(at).unwrap(), procfs::process::Stat::from_read(&bytes[..]).unwrap());
            assert_eq!((ours.name, ours.state, ours.ppid), (theirs.comm, theirs.state, theirs.ppid.into()));
            assert_eq!((ours.group, ours.session), (theirs.pgrp.into(), theirs.session.into()));
            assert_eq!((ours.terminal, ours.terminal_group), (theirs.tty_nr.into(), theirs.tpgid.into()));
            assert_eq!(
                (ours.priority, ours.nice, ours.threads),
                (theirs.priority, theirs.nice, theirs.num_threads)
            );
            assert_eq!((ours.resident_limit_bytes, ours.code_start), (theirs.rsslim, theirs.startcode));
            assert_eq!((ours.ignored_signals, ours.caught_signals), (theirs.sigignore, theirs.sigcatch));
            assert_eq!((ours.waiting, ours.stack_start), (theirs.wchan, theirs.startstack));
            assert_eq!(Some(ours.exit_signal), theirs.exit_signal.map(i64::from));
            assert_eq!((ours.data_start, ours.break_start), (theirs.start_data, theirs.start_brk));
            assert_eq!(ours.arguments_end, theirs.arg_end);
            assert_eq!(ours.exit_code, theirs.exit_code.map(i64::from));
            compared[0] += 1;
        }
        if let Some(bytes) = bytes("maps").filter(|bytes| !bytes.is_empty()) {
            let ours = inspector.maps(at).unwrap();
            let theirs = procfs::process::MemoryMaps::from_buf_read(&bytes[..]).unwrap();
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!((ours.start, ours.end), theirs.address);
                assert_eq!((ours.offset_bytes, ours.inode), (theirs.offset, theirs.inode));
                assert_eq!(
                    (i64::from(ours.major), i64::from(ours.minor)),
                    (theirs.dev.0.into(), theirs.dev.1.into())
                );
                assert_eq!(
                    ours.permission.chars().filter(|c| *c != '-').collect::<String>(),
                    theirs.perms.as_str().replace('-', "")
                );
            }
            compared[1] += 1;
        }
        if let Some(bytes) = bytes("mountinfo") {
            let ours = inspector.mountinfo(at).unwrap();
            let theirs = procfs::process::MountInfos::from_buf_read(&bytes[..]).unwrap();
            assert_eq!(ours.len(), theirs.0.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(
                    (ours.id, ours.parent),
                    (u64::try_from(theirs.mnt_id).unwrap(), u64::try_from(theirs.pid).unwrap())
                );
                assert_eq!(
                    (&ours.kind, format!("{}:{}", ours.device.0, ours.device.1)),
                    (&theirs.fs_type, theirs.majmin.clone())
                );
                assert_eq!(ours.options.split(',').count(), theirs.mount_options.len());
                let optional = [ours.shared, ours.master, ours.propagate_from].iter().flatten().count();
                assert_eq!(optional + usize::from(ours.unbindable), theirs.opt_fields.len());
            }
            compared[2] += 1;
        }
        if let Some(bytes) = bytes("limits").filter(|bytes| !bytes.is_empty()) {
            let ours = inspector.limits(at).unwrap();
            let theirs = procfs::process::Limits::from_buf_read(&bytes[..]).unwrap();
            let value = |value| match value {
                LimitValue::Unlimited => None,
                LimitValue::Value(value) => Some(value),
            };
            for (name, limit) in [
                ("Max open files", theirs.max_open_files),
                ("Max nice priority", theirs.max_nice_priority),
                ("Max stack size", theirs.max_stack_size),
            ] {
                let ours = ours.iter().find(|ours| ours.name == name).unwrap();
                assert_eq!(
                    (ours.soft, ours.hard),
                    (value(limit.soft_limit), value(limit.hard_limit)),
                    "{name}"
                );
            }
            assert_eq!(ours.len(), 16);
            compared[3] += 1;
        }
        if let Some(bytes) = bytes("cgroup") {
            let ours = inspector.cgroups(at).unwrap();
            let theirs = procfs::ProcessCGroups::from_buf_read(&bytes[..]).unwrap();
            let ours: Vec<_> = ours
                .iter()
                .map(|group| (group.hierarchy, group.path.to_string_lossy().into_owned()))
                .collect();
            let theirs: Vec<_> =
                theirs.into_iter().map(|group| (u64::from(group.hierarchy), group.pathname)).collect();
            assert_eq!(ours, theirs);
            compared[4] += 1;
        }
    }
    assert!(compared.iter().all(|count| *count > 0), "{compared:?}");
}

/// Calls every reader; what it says does not matter, that it ends does.
fn read_all(inspector: &mut Inspector, at: Place) {
    let _ = (inspector.stat(at), inspector.statm(at), inspector.status(at), inspector.io(at));
    let _ =
        (inspector.schedstat(at), inspector.maps(at), inspector.smaps_rollup(at), inspector.mountinfo(at));
    let _ = (inspector.mountstats(at), inspector.fds(at), inspector.limits(at), inspector.cgroups(at));
    let _ = (inspector.environ(at), inspector.cmdline(at), inspector.link(at, "exe"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_a_reader_panic(noise in vec(any::<u8>(), 0..300), which in 0..READERS.len(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
        let copy = tempfile::tempdir().unwrap();
        let directory = copy.path().join("7");
        fs::create_dir(&directory).unwrap();
        // Noise in one file, and the real file of this very process with some bytes changed in the others.
        for (number, file) in READERS.iter().enumerate().filter(|(_, file)| **file != "fd") {
            let mut bytes = fs::read(Path::new("/proc/self").join(file)).unwrap_or_default();
            for (at, byte) in &changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            fs::write(directory.join(file), if number == which { &noise } else { &bytes }).unwrap();
        }
        read_all(&mut Inspector::open(copy.path()).unwrap(), Place::process(7));
    }
}

#[test]
fn files_without_an_end_pipes_and_circles_hang_nothing() {
    let copy = tempfile::tempdir().unwrap();
    let directory = copy.path().join("7");
    fs::create_dir_all(directory.join("fd")).unwrap();
    fs::create_dir_all(copy.path().join("sys/net/a")).unwrap();
    symlink("/dev/zero", directory.join("environ")).unwrap();
    symlink("/dev/zero", copy.path().join("sys/net/zero")).unwrap();
    symlink("..", copy.path().join("sys/net/a/b")).unwrap();
    symlink("stat", directory.join("stat")).unwrap();
    fs::File::create(directory.join("maps")).unwrap().set_len(1 << 40).unwrap();
    let fifo = std::ffi::CString::new(directory.join("status").as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a string that ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    symlink("loop", directory.join("fd/0")).unwrap();
    symlink("socket:[99999999999999999999]", directory.join("fd/1")).unwrap();
    let mut inspector = Inspector::open(copy.path()).unwrap();
    let at = Place::process(7);
    assert_eq!(inspector.environ(at), Err(InspectError::TooLarge));
    assert_eq!(inspector.maps(at), Err(InspectError::TooLarge));
    assert_eq!(inspector.status(at).unwrap().lines, []);
    assert_eq!(inspector.fds(at).unwrap()[1].inode, None);
    read_all(&mut inspector, at);
    let settings = inspector.sysctls("net", &[]);
    assert!(settings.settings.len() + settings.unreadable.len() <= 2, "{settings:?}");
    // The buffer, which doubles, and a copy of what is shown.
    let peak = procfs::process::Process::myself().unwrap().status().unwrap().vmhwm.unwrap();
    assert!(peak * 1024 < 8 * MOST_BYTES as u64, "{peak} KiB");
}
