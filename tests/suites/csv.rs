//! `kpidstat csv`, called linuxprocfs.py too: judged by Python's csv module on a copy of this machine's tasks.

use pidstat_tests::tool;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

/// Copies what the options read of every task, and adds a task whose name and status nobody would choose.
fn frozen() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let take = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for file in ["stat", "status", "io"] {
            if let Ok(bytes) = fs::read(from.join(file)) {
                fs::write(to.join(file), bytes).unwrap();
            }
        }
    };
    let numbers = |directory: &Path| -> Vec<String> {
        let names = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).collect()
    };
    for pid in numbers(Path::new("/proc")) {
        let (from, to) = (Path::new("/proc").join(&pid), copy.path().join(&pid));
        take(&from, &to);
        fs::create_dir_all(to.join("task")).unwrap();
        for tid in numbers(&from.join("task")) {
            take(&from.join("task").join(&tid), &to.join("task").join(&tid));
        }
    }
    let odd = copy.path().join("4194301/task/4194301");
    fs::create_dir_all(&odd).unwrap();
    let numbers: String = (4..=52).map(|n: u32| format!(" {n}")).collect();
    fs::write(odd.join("stat"), [b"4194301 (a,\"b\") (\xff\n) S", numbers.as_bytes(), b"\n"].concat())
        .unwrap();
    fs::write(
        odd.join("status"),
        b"Name:\ta: \"b\\n\xff\nUmask:\t0022\nPid:\t4194301\nUid:\t1\t2\t3\t4\nNew:\tx\n",
    )
    .unwrap();
    copy
}

fn compare(root: &str, ours: &[&str], theirs: &[&str]) {
    let script = tool::root().join("tests/oracles/linuxprocfs.py");
    let oracle = Command::new("python3").arg(script).arg(root).args(theirs).output().unwrap();
    assert!(oracle.status.success(), "{}", String::from_utf8_lossy(&oracle.stderr));
    let output = tool::run(&[&["csv", "--procfs", root], ours].concat());
    assert_eq!(output.status.code(), Some(0), "{ours:?}");
    let lines = |bytes: &[u8]| bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert!(oracle.stdout.len() > 100, "{theirs:?}");
    for (ours, theirs) in lines(&output.stdout).iter().zip(&lines(&oracle.stdout)) {
        assert_eq!(String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
    }
    assert_eq!(output.stdout, oracle.stdout, "{ours:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&oracle.stderr), "{ours:?}");
}

#[test]
fn rows_are_those_of_pythons_csv_module() {
    let copy = frozen();
    let root = copy.path().to_str().unwrap();
    compare(root, &[], &["stat"]);
    compare(root, &["-t"], &["-t", "stat"]);
    compare(root, &["-S", "-t"], &["-t", "status"]);
    compare(root, &["-i", "--titles"], &["-t", "io"]);
    compare(root, &["-p", "-t", "-sSi"], &["-p", "-t", "stat,status,io"]);
    let own = std::process::id().to_string();
    compare(root, &["-sS", &own, "1", "[4]19430?"], &["stat,status", &own, "1", "[4]19430?"]);
}

#[test]
fn numbers_outrank_processes_and_are_said_to() {
    let own = std::process::id().to_string();
    let output = tool::run(&["csv", "-p", &own]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "ignoring -p, showing requested processes and threads instead.\n"
    );
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(&format!("{own},")));
    assert_eq!(tool::run(&["csv", "-w", "x"]).status.code(), Some(2));
    let nobody = tool::run(&["csv", "4194305"]);
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(0), 0));
}

#[test]
fn a_link_repeats_until_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("linuxprocfs.py");
    symlink(tool::kpidstat(), &link).unwrap();
    let own = std::process::id().to_string();
    let mut command = Command::new(link);
    tool::interruptible(&mut command);
    command.args(["-t", "-i", "--ts", "-r", "-w", "0.05", &own]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let title = "ts,cancelled_write_bytes,error,pid,rchar,read_bytes,syscr,syscw,wchar,write_bytes";
    assert_eq!(lines.next().unwrap().unwrap(), title);
    let times: Vec<f64> = lines
        .by_ref()
        .take(3)
        .map(|line| line.unwrap().split(',').next().unwrap().parse().unwrap())
        .collect();
    assert!(times.is_sorted() && times[2] - times[0] >= 0.1, "{times:?}");
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::kill(libc::pid_t::try_from(child.id()).unwrap(), libc::SIGINT) }, 0);
    assert!(lines.all(|line| line.unwrap().matches(',').count() == 9));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
