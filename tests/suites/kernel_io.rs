//! `kpidstat io` against the bytes that a load wrote itself, and beside the real iotop. Needs root.

use pidstat_tests::tool;
use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::symlink,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::sleep,
    time::Duration,
};

/// Writes as many pages as it is told, each by a thread that ends at once, by one that stays, or by itself.
const LOAD: &str = "
import os, sys, threading, time
def write(pages):
    name = f'/var/tmp/kpidstat-io-{time.monotonic_ns()}'
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, b'x' * (pages << 12)); os.close(fd)
jobs = []
def stay():
    while True:
        ready.wait(); ready.clear(); write(jobs.pop()); done.set()
ready, done = threading.Event(), threading.Event()
threading.Thread(target=stay, daemon=True).start()
print('ready', flush=True)
for line in sys.stdin:
    own, staying, ending = map(int, line.split())
    write(own)
    jobs.append(staying); done.clear(); ready.set(); done.wait()
    thread = threading.Thread(target=write, args=(ending,)); thread.start(); thread.join()
    print('done', flush=True)
for name in os.listdir('/var/tmp'):
    if name.startswith('kpidstat-io-'): os.unlink('/var/tmp/' + name)
";

struct Load {
    child: Child,
    orders: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Load {
    fn start() -> Load {
        let mut child = Command::new("python3")
            .args(["-c", LOAD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut ready = String::new();
        said.read_line(&mut ready).expect("python works");
        assert_eq!(ready, "ready\n");
        let orders = child.stdin.take();
        Load { child, orders, said }
    }

    /// Pages by its first thread, by one that stays, and by one that ends.
    fn write(&mut self, pages: [u32; 3]) {
        let [own, staying, ending] = pages;
        writeln!(self.orders.as_mut().expect("it listens"), "{own} {staying} {ending}").expect("it listens");
    }
}

impl Load {
    /// Waits until what was ordered is done.
    fn wait(&mut self) {
        let mut said = String::new();
        self.said.read_line(&mut said).expect("it says so");
        assert_eq!(said, "done\n");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // At the end of its orders it cleans up and ends.
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

/// What the file system dirties of its own for a few small files, in KiB.
const METADATA: std::ops::Range<f64> = 0.0..64.0;

/// `write_bytes` of a process.
fn written(pid: &str) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("it lives");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("the line is there");
    line.parse().expect("a number")
}

/// Columns of a row by title: id, prio, user, read, write, swapin, io, command.
fn row(line: &str) -> Vec<String> {
    let (left, command) = line.split_at(line.len().min(60));
    let mut words = left.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    words.push(command.to_owned());
    words
}

/// The rows that a word is in.
fn rows_with<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.split_whitespace().next() == Some(word)).collect()
}

fn kib(row: &str, place: usize) -> f64 {
    // id prio user read K write K swapin [%] io [%] command
    row.split_whitespace().nth(place).expect("a column").parse().expect("a number")
}

/// The second table of sums, with what is done between the first and it.
fn sums(more: &[&str], act: impl FnOnce()) -> String {
    let mut watcher = tool::command(&["io", "-b", "-a", "-k", "-n", "2", "-d", "1.5"]);
    let mut watcher = watcher.args(more).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(watcher.stdout.take().expect("a pipe"));
    let mut shown = String::new();
    out.read_line(&mut shown).expect("a table");
    act();
    out.read_to_string(&mut shown).expect("it ends");
    assert!(watcher.wait().expect("it ends").success());
    shown.rsplit("Total DISK READ").next().unwrap_or_default().to_owned()
}

#[test]
fn every_byte_of_a_process_is_there_and_those_of_its_ended_threads() {
    let mut load = Load::start();
    let pid = load.child.id().to_string();
    let (mut before, mut after) = (0, 0);
    let shown = sums(&["-P", "-p", &pid], || {
        before = written(&pid);
        load.write([101, 211, 307]);
        load.wait();
        after = written(&pid);
    });
    let rows = rows_with(&shown, &pid);
    assert_eq!(rows.len(), 1, "{shown}");
    // The kernel's own sum is the same as long as no child was waited for.
    let shown_kib = kib(rows[0], 5);
    assert_eq!(shown_kib, (after - before) as f64 / 1024.0, "{shown}");
    assert!(METADATA.contains(&(shown_kib - f64::from((101 + 211 + 307) * 4))), "{shown}");

    // By threads: the one that ended has a row of its own.
    let shown = sums(&["-o"], || {
        load.write([13, 117, 223]);
        load.wait();
    });
    let near = |kib: f64, pages: u32| METADATA.contains(&(kib - f64::from(pages * 4)));
    assert!(near(kib(rows_with(&shown, &pid)[0], 5), 13), "{shown}");
    let python: Vec<f64> =
        shown.lines().filter(|line| line.contains("python3")).map(|line| kib(line, 5)).collect();
    assert!(python.iter().any(|kib| near(*kib, 117)) && python.iter().any(|kib| near(*kib, 223)), "{shown}");
    assert!(shown.contains("python3 <exited>"), "{shown}");
}

/// A steady writer beside both programs: the same rows in the same columns, and rates that agree.
#[test]
fn the_real_iotop_agrees() {
    let writer = "
import os, time
fd = os.open('/var/tmp/kpidstat-io-steady', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.unlink('/var/tmp/kpidstat-io-steady')
while True:
    os.pwrite(fd, b'x' * 409600, 0); os.fsync(fd); time.sleep(0.05)
";
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let script = dir.path().join("steady.py");
    std::fs::write(&script, writer).expect("it can be written");
    let load = Ended(Command::new("python3").arg(&script).spawn().expect("python3"));
    let pid = load.0.id().to_string();
    sleep(Duration::from_millis(500));
    let arguments = ["-b", "-P", "-k", "-n", "4", "-d", "1", "-q", "-p", &pid];
    let theirs = Command::new("/usr/sbin/iotop-py")
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdout(Stdio::piped())
        .spawn()
        .expect("iotop-py of the package iotop; cargo xtask test installs it");
    let mut all = vec!["io"];
    all.extend(arguments);
    let ours = tool::command(&all).stdout(Stdio::piped()).spawn().expect("it starts");
    let theirs = String::from_utf8_lossy(&theirs.wait_with_output().expect("it ends").stdout).into_owned();
    let ours = String::from_utf8_lossy(&ours.wait_with_output().expect("it ends").stdout).into_owned();
    let titles = |text: &str| text.lines().find(|line| line.contains("PRIO")).map(str::to_owned);
    assert_eq!(titles(&ours), titles(&theirs));
    let (their_rows, our_rows) = (rows_with(&theirs, &pid), rows_with(&ours, &pid));
    assert_eq!((their_rows.len(), our_rows.len()), (4, 4), "{theirs}{ours}");
    // Theirs has its first table after no time at all.
    let mean = |rows: &[&str]| rows[1..].iter().map(|row| kib(row, 5)).sum::<f64>() / 3.0;
    let (their, our) = (mean(&their_rows), mean(&our_rows));
    assert!(our > 1000.0 && (their / our - 1.0).abs() < 0.25, "{theirs}{ours}");
    // Up to the sizes the lines are the same bytes: id, priority, user, and what was read.
    let start = |row: &str| row[..row.find(" K/s").expect("a rate")].to_owned();
    assert_eq!(start(our_rows[1]), start(their_rows[1]));
    let command = |row: &str| row[row.find("python3").expect("a command")..].trim_end().to_owned();
    assert_eq!(command(our_rows[1]), command(their_rows[1]));
    assert_eq!(row(our_rows[1])[0], pid);
}

/// G15 of the acceptance list, typed with iotop's name.
#[test]
fn g15_iotops_documented_examples() {
    let links = tempfile::tempdir().expect("a folder");
    let iotop = links.path().join("iotop");
    symlink(tool::kpidstat(), &iotop).expect("a link");
    let pid = std::process::id().to_string();
    let mut shown = HashMap::new();
    for line in [
        "-b -o -P -n 2 -d 1 -k",
        "-bt -n 1 -d 0.2",
        "-qqq -n 1 -d 0.2",
        "-b -a -n 1 -d 0.2",
        "-b -u root -n 1 -d 0.2",
        &format!("-b -p {pid} -n 1 -d 0.2"),
    ] {
        let output =
            Command::new("timeout").arg("20").arg(&iotop).args(line.split(' ')).output().expect("it starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        shown.insert(line.to_owned(), String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let of = |start: &str| shown.iter().find(|(line, _)| line.starts_with(start)).expect("it was typed").1;
    assert_eq!(of("-b -o -P").matches("Total DISK READ:   ").count(), 2);
    assert_eq!(of("-b -o -P").matches("PID  PRIO  USER     DISK READ  DISK WRITE").count(), 2);
    assert!(of("-bt").lines().all(|line| line.starts_with("    TIME") || line.as_bytes()[2] == b':'));
    assert!(!of("-qqq").contains("DISK") && of("-qqq").lines().count() > 5);
    assert!(
        of("-b -u root").lines().skip(3).all(|line| line.contains(" root ") || line.ends_with("<exited>"))
    );
    assert_eq!(of("-b -p").lines().count(), 4, "{}", of("-b -p"));
    for (line, code, said) in [
        ("-b -u nosuchuser -n 1", 1, "Unknown user: nosuchuser"),
        ("extra", 2, "unexpected argument 'extra'"),
        ("-b -n x", 2, "invalid value 'x'"),
    ] {
        let output = Command::new(&iotop).args(line.split(' ')).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{line}");
    }
}

/// More threads end than the kernel keeps messages of, while nobody reads them.
#[test]
fn what_the_kernel_had_no_room_for_is_said() {
    let mut watcher = tool::command(&["io", "-b", "-n", "3", "-d", "0.5", "-o"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Its first table says that it listens.
    let mut first = String::new();
    let mut out = BufReader::new(watcher.stdout.take().expect("a pipe"));
    out.read_line(&mut first).expect("a line");
    let signal = |number| {
        // SAFETY: sends a signal to a child that was not waited for, so the number is its own.
        unsafe { libc::kill(watcher.id().cast_signed(), number) };
    };
    signal(libc::SIGSTOP);
    let storm =
        "import threading\nfor _ in range(40000):\n t = threading.Thread(target=int); t.start(); t.join()";
    let ended = Command::new("python3").args(["-c", storm]).status().expect("python3");
    signal(libc::SIGCONT);
    assert!(ended.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("it ends");
    let output = watcher.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("than the kernel keeps messages of"), "{said}");
}

/// A terminal with a shell in it.
struct Terminal {
    session: String,
}

impl Terminal {
    fn open(name: &str) -> Terminal {
        let terminal = Terminal { session: format!("kpidstat-{name}-{}", std::process::id()) };
        terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "24", "sh"]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.session]).args(arguments).output().expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types keys, by tmux's names.
    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits until the screen is as wanted.
    fn until(&self, wanted: &dyn Fn(&str) -> bool) -> String {
        for _ in 0..100 {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if wanted(&screen) {
                return screen;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("not seen within 10 s:\n{}", self.tmux(&["capture-pane", "-p"]));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// In a terminal: keys change the view, q ends it and the terminal is as before.
#[test]
fn the_live_view_answers_to_keys() {
    let terminal = Terminal::open("io");
    terminal.keys(&[&format!("{} io -d 0.5", tool::kpidstat().display()), "Enter"]);
    terminal.until(&|screen| {
        screen.contains("TID  PRIO") && screen.contains("IO>") && screen.contains("q: quit")
    });
    terminal.keys(&["p"]);
    terminal.until(&|screen| screen.contains("PID  PRIO"));
    terminal.keys(&["Home"]);
    let sorted = terminal.until(&|screen| screen.contains("PID<"));
    let ids: Vec<u32> =
        sorted.lines().skip(3).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert!(ids.len() > 5 && ids.is_sorted(), "{sorted}");
    terminal.keys(&["r"]);
    terminal.until(&|screen| screen.contains("PID>"));
    terminal.keys(&["o"]);
    terminal.keys(&["a"]);
    terminal.until(&|screen| screen.contains("Total DISK READ") && !screen.contains("kthreadd"));
    terminal.keys(&["q"]);
    terminal.keys(&["echo still $((40+2)) here", "Enter"]);
    let after = terminal.until(&|screen| screen.contains("still 42 here"));
    assert!(!after.contains("Total DISK"), "{after}");
}

/// iotop's key i, for a thread and for a process; util-linux says what became of it.
#[test]
fn the_key_i_sets_io_priorities() {
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let load = Ended(Command::new("sleep").arg("60").spawn().expect("sleep"));
    let pid = load.0.id().to_string();
    let now = || {
        let output = Command::new("ionice").args(["-p", &pid]).output().expect("ionice of util-linux");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let terminal = Terminal::open("ionice");
    let shown = |text: &str| drop(terminal.until(&|screen| screen.contains(text)));
    terminal.keys(&[&format!("{} io -d 0.5 -p {pid}", tool::kpidstat().display()), "Enter"]);
    shown("TID  PRIO");
    terminal.keys(&["i"]);
    shown("TID to ionice:");
    terminal.keys(&[&pid, "Enter"]);
    shown("I/O priority class:  Real-time  Best-effort  Idle");
    terminal.keys(&["Right", "Enter"]);
    shown("Current DISK READ");
    shown(" idle ");
    assert_eq!(now(), "idle");
    terminal.keys(&["p"]);
    shown("PID  PRIO");
    terminal.keys(&["i"]);
    shown("PID to ionice:");
    terminal.keys(&[&pid, "Enter"]);
    shown("I/O priority class:");
    terminal.keys(&["l", "Enter"]);
    shown("I/O priority data (0-7):");
    terminal.keys(&["6", "Enter"]);
    shown(" be/6 ");
    assert_eq!(now(), "best-effort: prio 6");
    terminal.keys(&["i"]);
    shown("PID to ionice:");
    terminal.keys(&["1", "Enter"]);
    // Only what is shown can be chosen.
    shown("Invalid process id!");
    terminal.keys(&["q"]);
    shown("Current DISK READ");
    terminal.keys(&["q"]);
    terminal.until(&|screen| !screen.contains("DISK"));
    assert_eq!(now(), "best-effort: prio 6");
}

/// iotop looks again at any key that means nothing else; the next table would come in minutes.
#[test]
fn any_other_key_takes_a_sample() {
    let mut load = Load::start();
    let pid = load.child.id().to_string();
    let terminal = Terminal::open("sample");
    terminal.keys(&[&format!("{} io -a -k -d 600 -P -p {pid}", tool::kpidstat().display()), "Enter"]);
    let row = |screen: &str| rows_with(screen, &pid).first().map(|row| kib(row, 5));
    terminal.until(&|screen| row(screen) == Some(0.0));
    load.write([100, 1, 1]);
    load.wait();
    terminal.keys(&["Space"]);
    terminal.until(&|screen| row(screen).is_some_and(|written| written >= 400.0));
    terminal.keys(&["q"]);
}
