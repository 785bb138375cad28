//! Every option of pidstat's and pypidstat's usage lines, tried as a new user would: typed, and looked at.

use pidstat_tests::tool;
use std::{
    fs::{self, File},
    io::Read as _,
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::{fs::symlink, process::CommandExt as _},
    },
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// The invented machine on which options are tried.
const STORY: &str = "steady";

/// A folder of links: what a user has who puts us in place of the others.
fn links() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["kpidstat", "pidstat", "pypidstat", "pidstat.py"] {
        symlink(tool::kpidstat(), dir.path().join(name)).expect("a link");
    }
    dir
}

/// A command line: words without blanks, or in single quotes; `NAME=VALUE` before the program goes to the environment and
/// `@story` is the machine to play. What hangs is ended after 20 s.
fn command(links: &Path, line: &str) -> Command {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    let program = words.iter().position(|word| !word.contains('=')).expect("a program");
    let mut command = Command::new("timeout");
    command
        .arg("20")
        .arg(links.join(&words[program]))
        .env_clear()
        .env("TZ", "UTC")
        .env("PATH", "/usr/bin:/bin");
    for word in &words[..program] {
        let (name, value) = word.split_once('=').expect("NAME=VALUE");
        command.env(name, value);
    }
    for word in &words[program + 1..] {
        match word.strip_prefix('@') {
            Some(story) => command.arg("--root").arg(tool::root().join("tests/scenarios").join(story)),
            None => command.arg(word),
        };
    }
    command
}

fn run(links: &Path, line: &str) -> Output {
    command(links, line).stdin(Stdio::null()).output().expect("timeout of coreutils")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The words of the usage line, and what must be on the screen. Each is typed under both names.
const SHOWN: [(&str, &[&str]); 31] = [
    ("-d 1 1", &["kB_rd/s   kB_wr/s kB_ccwr/s iodelay  Command", "busy"]),
    ("-H 1 1", &["1795233741    UID", "1795233742   1000       100"]),
    ("-h 1 1", &["# Time        UID       PID    %usr", "04:02:22     1000       100   50.00"]),
    ("-I 1 1", &["   50.00   25.00    0.00   10.00   37.50     1  busy"]),
    ("-l 1 1", &["/usr/bin/busy --fast two words"]),
    ("-R -p ALL 1 1", &["prio policy  Command"]),
    ("-r 1 1", &["minflt/s  majflt/s     VSZ     RSS   %MEM  Command"]),
    ("-s -p ALL 1 1", &["StkSize  StkRef  Command"]),
    ("-t 1 1", &["TGID       TID", "100         -"]),
    ("-U 1 1", &["USER       PID"]),
    ("-U root 1 1", &["USER       PID", "root       200", "guesthost"]),
    ("-u 1 1", &["%usr %system  %guest   %wait    %CPU   CPU  Command"]),
    ("-v -p ALL 1 1", &["threads   fd-nr  Command"]),
    ("-w 1 1", &["cswch/s nvcswch/s  Command"]),
    ("-C busy 1 1", &["busy"]),
    ("-C '^b.s|guest' 1 1", &["busy", "guesthost"]),
    ("-G guest 1 1", &["guesthost"]),
    ("-p 100 1 1", &["100   50.00", "Average:     1000       100"]),
    ("-p 100,200 1 1", &["busy", "guesthost"]),
    ("-p ALL 1 1", &["busy", "guesthost"]),
    ("-T TASK 1 1", &["%usr %system"]),
    ("-T CHILD 1 1", &["usr-ms system-ms  guest-ms  Command"]),
    ("-T ALL -u -r 1 1", &["%usr %system", "usr-ms system-ms", "minflt-nr majflt-nr"]),
    ("--dec=0 1 1", &["     50      25       0      10      75     1  busy"]),
    ("--dec=1 1 1", &["    50.0    25.0     0.0    10.0    75.0     1  busy"]),
    ("--dec=2 1 1", &["   50.00   25.00    0.00   10.00   75.00     1  busy"]),
    ("--human -r -u 1 1", &["50.0%", "M  "]),
    ("-urdwvRs -t -l -h -H -I -U --human 1 1", &["# Time", "kB_ccwr/s", "StkRef"]),
    ("-o JSON -u 1 1", &["{\"sysstat\": {", "\"task-cpu-load\": [", "\"usr\": 50.00"]),
    ("1 2", &["04:02:22", "04:02:23", "Average:"]),
    ("", &["busy"]),
];

#[test]
fn every_option_of_pidstats_usage_line_works() {
    let links = links();
    for name in ["pidstat", "kpidstat"] {
        for (options, expected) in SHOWN {
            let line = format!("{name} @{STORY} {options}");
            let output = run(links.path(), &line);
            let (shown, said) = (text(&output.stdout), text(&output.stderr));
            assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{line}\n{shown}");
            for part in expected {
                assert!(shown.contains(part), "{line}: no {part:?}\n{shown}");
            }
        }
    }
    for (line, expected) in [
        ("pidstat -V", "sysstat version 12.8.0\n(kpidstat "),
        ("pidstat --sysstat 12.6 -V", "sysstat version 12.6.1\n(kpidstat "),
        ("kpidstat -V", "kpidstat "),
        ("pidstat -p SELF 1 1", "pidstat\n"),
        ("kpidstat --source proc -p SELF 0.1 1", "kpidstat\n"),
    ] {
        let output = run(links.path(), line);
        assert!(output.status.success(), "{line}");
        assert!(text(&output.stdout).contains(expected), "{line}: {}", text(&output.stdout));
    }
}

#[test]
fn the_environment_is_heeded() {
    let links = links();
    for name in ["pidstat", "kpidstat"] {
        for (variables, expected) in [
            ("S_TIME_FORMAT=ISO", "Linux 6.12.0 (host) \t2026-11-21 \t"),
            ("TZ=Asia/Tokyo", "\n13:02:22     1000"),
            ("TZ=America/New_York S_TIME_FORMAT=ISO", "\n23:02:22     1000"),
            ("S_COLORS=always", "\x1b[32;22m       100\x1b[0m\x1b[34;1m   50.00"),
            ("S_COLORS=auto", "       100   50.00"),
            ("S_COLORS=never", "       100   50.00"),
            ("S_COLORS=always S_COLORS_SGR=I=33;22:N=36;1", "\x1b[33;22m       100\x1b[0m\x1b[36;1m   50.00"),
        ] {
            let line = format!("{variables} {name} @{STORY} -u 1 1");
            let shown = text(&run(links.path(), &line).stdout);
            assert!(shown.contains(expected), "{line}: no {expected:?}\n{shown:?}");
        }
        // Once a screen, or once that many lines.
        let heads = |line: &str| text(&run(links.path(), line).stdout).matches("%usr").count();
        assert_eq!(heads(&format!("{name} @{STORY} -p 100 1 2")), 1);
        assert_eq!(heads(&format!("S_REPEAT_HEADER=1 {name} @{STORY} -p 100 1 2")), 2);
    }
}

#[test]
fn a_program_is_run_and_its_exit_code_is_ours() {
    let links = links();
    for (line, code, shown, said) in [
        ("pidstat 1 -e sh -c 'sleep 1.6; exit 3'", 3, "  sh\n", ""),
        ("pidstat --sysstat 12.6 1 -e sh -c 'sleep 1.6; exit 3'", 0, "  sh\n", ""),
        ("kpidstat --source proc -w 0.2 -e sh -c 'sleep 0.7; exit 5'", 5, "  sh\n", ""),
        ("kpidstat --source proc --follow 0.2 -e sh -c 'sleep 0.7; exit 0'", 0, "  sleep\n", ""),
        ("pidstat 1 2 -e /nonexistent/program", 4, "", "exec: No such file or directory\n"),
        (
            "kpidstat 1 2 -e /nonexistent/program",
            1,
            "",
            "kpidstat: /nonexistent/program: No such file or directory\n",
        ),
        ("pidstat -e true", 1, "", "Usage: "),
        ("kpidstat -e true", 2, "", "kpidstat: -e needs an interval\n"),
        ("kpidstat 1 -e", 2, "", "a value is required for '-e"),
    ] {
        let output = run(links.path(), line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains(shown), "{line}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(said), "{line}: {}", text(&output.stderr));
    }
}

#[test]
fn mistakes_are_refused_with_the_right_code() {
    let links = links();
    for line in [
        "--help",
        "-z",
        "-p",
        "-p x",
        "-p 0",
        "-p -1",
        "-C",
        "-G",
        "-C ''",
        "-T",
        "-T x",
        "-T child",
        "-o",
        "-o XML",
        "--dec=3",
        "--dec",
        "--human=1",
        "0 1",
        "1 0",
        "1 2 3",
        "x",
        "1.5",
        "-1",
        "-e",
        "--sysstat 11",
        "-n",
    ] {
        let output = run(links.path(), &format!("pidstat {line}"));
        assert_eq!(output.status.code(), Some(1), "pidstat {line}");
        assert!(text(&output.stderr).starts_with("Usage: "), "pidstat {line}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "pidstat {line}");
    }
    let nothing = run(links.path(), "pidstat -T CHILD -w");
    assert_eq!(
        (nothing.status.code(), text(&nothing.stderr)),
        (Some(1), "Requested activities not available\n".into())
    );
    for (line, said) in [
        ("-z", "unexpected argument '-z'"),
        ("-p x", "process ids are numbers from 1 on, SELF or ALL, separated by commas"),
        ("-p 0", "process ids are numbers"),
        ("-C", "a value is required for '-C <REGEX>'"),
        ("-C [", "-C: regex parse error"),
        ("--comm_regex a)|(b", "--comm_regex: regex parse error"),
        ("-T x", "[possible values: TASK, CHILD, ALL]"),
        ("-T CHILD -w", "-T CHILD has the reports -u and -r only"),
        ("-o XML", "[possible values: json, ndjson, csv]"),
        ("--dec=3", "3 is not in 0..=2"),
        ("0 1", "a count needs an interval above 0"),
        ("1 0", "the count is a whole number from 1 on"),
        ("1 2 3", "there is one interval and one count"),
        ("x", "the interval is in seconds, like 1 or 0.5"),
        ("--where cpu_pct", "--where: "),
        ("--sort nosuch", "--sort: "),
        ("--columns nosuch", "--columns: "),
        ("--tree -t", "-t cannot be used with it"),
        ("--follow -u", "--follow needs an interval"),
        ("--style pypidstat -t 1 1", "-t has no meaning in pypidstat's table"),
    ] {
        let output = run(links.path(), &format!("kpidstat {line}"));
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "kpidstat {line}: {message}");
        assert!(message.contains(said), "kpidstat {line}: {message}");
        assert!(output.stdout.is_empty(), "kpidstat {line}");
    }
    for (line, code) in [
        ("kpidstat --root /nonexistent 1 1", 1),
        ("kpidstat --procfs /nonexistent 1 1", 1),
        ("kpidstat --source proc -p 4194304 0.1 1", 3),
        ("pidstat -p 4194304 1 1", 0),
    ] {
        assert_eq!(run(links.path(), line).status.code(), Some(code), "{line}");
    }
    for (name, code) in [("pidstat", 6), ("kpidstat", 1)] {
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let output =
            command(links.path(), &format!("{name} @{STORY} 1")).stdout(full).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{name}");
        assert!(text(&output.stderr).contains("stdout: No space left on device"), "{}", text(&output.stderr));
    }
}

/// The usage line of pypidstat's README, long options too, by both of the names it is called by.
#[test]
fn every_option_of_pypidstats_usage_line_works() {
    let links = links();
    let head = "Time                 PID    User    ";
    let blocks = [
        ("-u", "--cpu", "%usr   %sys   %guest %wait  %CPU   CPU_ID  "),
        ("-r", "--memory", "minflt/s majflt/s VSZ      RSS      VmPeak(KB)   %MEM  "),
        ("-d", "--disk", "kB_rd/s  kB_wr/s  kB_cwr/s  iodelay  "),
        ("-w", "--switch", "cswch/s  nvcswch/s "),
        ("-n", "--network", "s_cnt/s  s_byte/s   r_cnt/s  r_byte/s  "),
    ];
    for name in ["pypidstat", "pidstat.py", "kpidstat --style pypidstat"] {
        for (short, long, columns) in blocks {
            for option in [short, long] {
                let shown = text(&run(links.path(), &format!("{name} @{STORY} {option} 1 1")).stdout);
                let lines: Vec<&str> = shown.lines().collect();
                assert!(
                    lines[0].starts_with(&format!("{head}{}", columns.trim_end())),
                    "{name} {option}: {shown}"
                );
                assert!(lines[1].starts_with("2026-11-21 04:02:22  100    "), "{name} {option}: {shown}");
            }
        }
        for (options, expected) in [
            ("-v 1 1", "busy"),
            ("--verbose -u 1 1", "busy"),
            ("-l 1 1", "/usr/bin/busy --fast two words"),
            ("--long 1 1", "/usr/bin/busy --fast two words"),
            ("-p 100 1 1", "busy"),
            ("--pids 200,100 1 1", "busy"),
            ("--comm_regex .*busy.* --ignore 1 1", "busy"),
            ("--dev eth0 -u 1 1", "busy"),
            ("-u 1", "Caught Ctrl+C / SIGINT signal"),
        ] {
            let output = run(links.path(), &format!("{name} @{STORY} {options}"));
            assert_eq!(output.status.code(), Some(0), "{name} {options}");
            assert!(text(&output.stdout).contains(expected), "{name} {options}: {}", text(&output.stdout));
        }
    }
    // The example of the README, word for word; the story has eleven instants, so ten blocks.
    let readme = run(links.path(), "pidstat.py @proxy --comm_regex .*proxy.* --ignore -u -r -w -d -l 2 10");
    let readme = text(&readme.stdout);
    let columns: String = [0, 1, 2].iter().map(|at| blocks[*at].2).collect();
    assert!(readme.starts_with(&format!("{head}{columns}{}Command", blocks[3].2)), "{readme}");
    for asked in ["pypidstat -h", "pidstat.py --help"] {
        let help = text(&run(links.path(), asked).stdout);
        assert!(
            help.starts_with("usage: pypidstat [-h] [-v] [-u] [-r] [-w] [-d] [-n] [-l] [-p PIDS]"),
            "{help}"
        );
        for (short, long, _) in blocks {
            assert!(help.contains(&format!("{short}, {long} ")), "{help}");
        }
    }
    for (line, said) in [
        ("1 0", "the count"),
        ("0 1", "an interval above 0"),
        ("x 1", "the interval"),
        ("-p a 1 1", "process ids"),
    ] {
        let output = run(links.path(), &format!("pypidstat {line}"));
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(text(&output.stderr).contains(said), "{line}: {}", text(&output.stderr));
    }
}

/// A machine of so many processes, all of them busy, over two instants.
fn crowd(root: &Path, processes: u32) {
    for instant in 0..2_u32 {
        let proc_root = root.join(instant.to_string()).join("proc");
        fs::create_dir_all(&proc_root).expect("a folder");
        fs::write(proc_root.join("uptime"), format!("{}.00 0\n", 100 + instant)).expect("it can be written");
        fs::write(proc_root.join("stat"), "cpu  1 2 3 4\ncpu0 1 2 3 4\n").expect("it can be written");
        for pid in 1..=processes {
            let dir = proc_root.join(pid.to_string());
            let used = 10 * (instant + 1);
            fs::create_dir(&dir).expect("a folder");
            let stat = format!(
                "{pid} (crowd) S 0 1 1 0 -1 64 1 2 3 4 {used} {used} 0 0 20 0 1 0 5 1 1{}\n",
                " 0".repeat(28)
            );
            fs::write(dir.join("stat"), stat).expect("it can be written");
            fs::write(dir.join("status"), "Uid:\t0\t0\t0\t0\n").expect("it can be written");
        }
    }
}

/// Every write(2) is a message of its own on such a socket, so they can be counted.
fn writes(arguments: &[&str], root: &Path) -> Vec<usize> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors that the call makes.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, ends.as_mut_ptr()) };
    assert_eq!(made, 0, "socketpair");
    // SAFETY: both are open, and nobody else owns them.
    let [far, near] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    let (mut near, most) = (File::from(near), 4 << 20);
    for end in ends {
        // SAFETY: the option's value is an int that lives through the call; a machine that allows less is told below.
        unsafe { libc::setsockopt(end, libc::SOL_SOCKET, libc::SO_SNDBUF, (&raw const most).cast(), 4) };
    }
    let mut command = tool::command(arguments);
    let mut child = command.arg("--root").arg(root).arg0("kpidstat").stdout(far).spawn().expect("it starts");
    drop(command);
    let (mut lengths, mut message) = (Vec::new(), vec![0; 8 << 20]);
    while let Ok(length @ 1..) = near.read(&mut message) {
        lengths.push(length);
    }
    assert!(child.wait().expect("it ends").success(), "{arguments:?}: a message did not fit");
    lengths
}

#[test]
fn two_thousand_rows_are_one_write() {
    let root = tempfile::tempdir().expect("a folder");
    crowd(root.path(), 2_000);
    // The banner, the sample, the averages.
    let text = writes(&["-u", "1", "1"], root.path());
    assert_eq!(text.len(), 3, "{text:?}");
    assert!(text[1] > 2_000 * 60 && text[2] > 2_000 * 60, "{text:?}");
    // The head, the sample, the end of the document.
    let json = writes(&["-w", "-p", "ALL", "-o", "json", "1", "1"], root.path());
    assert!(json.len() <= 3 && json.iter().any(|length| *length > 2_000 * 40), "{json:?}");
    let csv = writes(&["--columns", "cpu_pct", "-o", "csv", "1", "1"], root.path());
    assert!(csv.len() <= 2 && csv.iter().any(|length| *length > 2_000 * 20), "{csv:?}");
}
