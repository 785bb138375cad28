//! A snapshot of this very machine: kpidstat plays it, pidstat prints the same of it, and it tells of nobody.

use pidstat_tests::{
    oracle::{self, Ask, Story},
    tool,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// What must not be in the snapshot: an argument of a process that is in it.
const SECRET: &str = "snapshot-secret-argument";

fn take(dir: &Path) -> Output {
    Command::new(tool::xtask())
        .args(["snapshot", "--count", "2", "--interval", "1"])
        .arg(dir)
        .output()
        .expect("xtask starts")
}

/// One snapshot for all tests, left in the target directory for people to look at.
fn taken() -> &'static Path {
    static TAKEN: OnceLock<PathBuf> = OnceLock::new();
    TAKEN.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("snapshot");
        // Of the run before; a first run has none.
        let _ = fs::remove_dir_all(&dir);
        let mut known = Command::new("sh")
            .args(["-c", "sleep 100 & trap 'kill $!' TERM; wait", SECRET])
            .spawn()
            .expect("sh starts");
        let output = take(&dir);
        // SAFETY: kill takes numbers; the child is ours and not yet waited for.
        unsafe { libc::kill(known.id().cast_signed(), libc::SIGTERM) };
        known.wait().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        dir
    })
}

/// Every file and directory below, with what is in it.
fn walk(dir: &Path, each: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each(&path, b"");
            walk(&path, each);
        } else {
            each(&path, &fs::read(&path).expect("a file"));
        }
    }
}

#[test]
fn kpidstat_plays_it() {
    let dir = taken().to_str().expect("text");
    for options in [&["-u", "-r", "-d", "-w", "-s", "-v", "-R", "-t", "-l"][..], &["-u", "-o", "json"]] {
        let output = tool::run(&[&["--root", dir], options, &["1"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        // How many rows there are depends on what runs here; -v shows every process.
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        if options.contains(&"json") {
            serde_json::from_str::<serde_json::Value>(&shown).expect("JSON");
        } else {
            assert!(shown.contains("threads") && shown.contains("Average:"), "{shown}");
        }
    }
}

#[test]
fn pidstat_prints_the_same() {
    let story = Story::open(taken().to_path_buf());
    let reports = ["-u", "-r", "-d", "-w", "-s", "-v", "-R", "-t", "-l"];
    let every = ["-urdwsvRtl 1", "-urdwsvRl 1", "-urdwsvRtlU", "-h -urdwsvR -p ALL 1", "-p ALL -T ALL 1"];
    for options in reports.iter().map(|report| format!("{report} 1")).chain(every.map(String::from)) {
        let ask = Ask::parse(&format!("pidstat {options}"));
        let (real, ours) = (oracle::real(&story, &ask).lines(), oracle::ours(&story, &ask).lines());
        for (real, ours) in real.iter().zip(&ours) {
            assert_eq!(real, ours, "{options}");
        }
        assert_eq!(real.len(), ours.len(), "{options}");
    }
}

#[test]
fn it_tells_of_nobody() {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let passwd = fs::read_to_string("/etc/passwd").expect("users");
    let field = |line: &str, at: usize| line.split(':').nth(at).unwrap_or_default().to_owned();
    let uid = |line: &str| field(line, 2).parse::<u32>().unwrap_or(0);
    let people = passwd.lines().filter(|line| uid(line) >= 1000 && uid(line) < 65534);
    let mut secrets: Vec<String> = people.map(|line| field(line, 0)).collect();
    // A host that is named as snapshots are, or as every machine is, has nothing to hide.
    secrets.extend(Some(host.trim().to_owned()).filter(|host| host != "host" && host != "localhost"));
    let word = |text: &[u8], secret: &[u8]| {
        let bounds = |b: Option<&u8>| b.is_none_or(|b| !b.is_ascii_alphanumeric());
        text.windows(secret.len()).enumerate().any(|(at, window)| {
            window == secret
                && bounds(at.checked_sub(1).map(|before| &text[before]))
                && bounds(text.get(at + secret.len()))
        })
    };
    let (mut files, mut shells) = (0, 0);
    walk(taken(), &mut |path, text| {
        files += 1;
        for secret in &secrets {
            assert!(!word(text, secret.as_bytes()), "{secret} in {}", path.display());
        }
        assert!(!text.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{}", path.display());
        assert_ne!(path.file_name().unwrap_or_default(), "environ");
        if path.ends_with("passwd") {
            let mine = |line: &str| passwd.lines().any(|known| field(known, 0) == field(line, 0));
            let told = String::from_utf8_lossy(text).into_owned();
            assert!(told.lines().all(|line| field(line, 0) == "root" || !mine(line)), "{told}");
        }
        shells += u32::from(path.ends_with("cmdline") && text == b"sh\0-arg1\0arg2\0arg3\0");
    });
    assert!(files > 20 && shells > 0, "{files} files, the shell {shells} times");
}

#[test]
fn it_never_overwrites() {
    let again = take(taken());
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));
}
