//! Programs that nobody here wrote, in a network namespace of the test's own, and what kpidstat says that they moved.

use crate::{tool, watcher::Watcher};
use serde_json::Value;
use std::{
    collections::HashMap,
    env, fs, io,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to start, to work or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a process or a connection over the whole watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes sent.
    pub tx: u64,
    /// Bytes received.
    pub rx: u64,
}

impl std::iter::Sum for Moved {
    fn sum<I: Iterator<Item = Moved>>(all: I) -> Moved {
        all.fold(Moved::default(), |sum, one| Moved { tx: sum.tx + one.tx, rx: sum.rx + one.rx })
    }
}

/// A row of a report, and what it moved over all samples.
#[derive(Clone, Debug)]
pub struct Row {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// Protocol and `LOCAL-REMOTE`, where rows are connections.
    pub connection: (String, String),
    /// The sums.
    pub moved: Moved,
}

/// Enters a network namespace of its own, whose loopback device is up: every port is free there.
///
/// # Panics
/// Without root.
pub fn own_network() {
    // SAFETY: takes a number and touches no memory; the calling thread alone changes its namespace, and hands it on to
    // what it starts.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "unshare: {}", io::Error::last_os_error());
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
    assert!(up.success());
}

/// Where a program is: among the project's own tools, else installed.
///
/// # Panics
/// When it is nowhere.
pub fn find(unpacked: &str, program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = [tool::tools_dir().join(unpacked).join("bin"), "/usr/sbin".into()]
        .into_iter()
        .chain(env::split_paths(&path));
    let mut found = dirs.map(|dir| dir.join(program)).filter(|path| path.is_file());
    found.next().unwrap_or_else(|| panic!("{program} is missing; install it with: cargo xtask setup --tests"))
}

/// A server of the test's own. Dropping it ends it, and it alone.
#[derive(Debug)]
pub struct Server(Child);

impl Server {
    /// Starts it and waits until it listens on a port; `tcp` or `udp`.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(command: &mut Command, protocol: &str, port: u16) -> Server {
        let mut server = Server(command.stdin(Stdio::null()).spawn().expect("the server starts"));
        let deadline = Instant::now() + PATIENCE;
        // Asking at the port itself would be traffic.
        while !server.listens(protocol, port) {
            assert!(server.0.try_wait().expect("wait").is_none(), "it ended at once: {command:?}");
            assert!(Instant::now() < deadline, "{command:?} does not listen on {port}");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn listens(&self, protocol: &str, port: u16) -> bool {
        ["", "6"].iter().any(|family| {
            let path = format!("/proc/{}/net/{protocol}{family}", self.pid());
            let sockets = fs::read_to_string(path).unwrap_or_default();
            sockets.lines().skip(1).any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                // 0A is LISTEN, 07 what an unconnected datagram socket is in.
                words[1].ends_with(&format!(":{port:04X}")) && ["0A", "07"].contains(&words[3])
            })
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it fails or does not end.
    pub fn wait(mut self) -> Output {
        let deadline = Instant::now() + PATIENCE;
        while self.0.try_wait().expect("wait").is_none() {
            assert!(Instant::now() < deadline, "the server does not end");
            thread::sleep(Duration::from_millis(20));
        }
        let mut output =
            Output { status: self.0.wait().expect("wait"), stdout: Vec::new(), stderr: Vec::new() };
        if let Some(stdout) = &mut self.0.stdout {
            io::copy(stdout, &mut output.stdout).expect("what it printed");
        }
        assert!(output.status.success(), "{output:?}");
        output
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            // SAFETY: the child was not waited for, so the id is still its own.
            unsafe { libc::kill(i32::try_from(self.0.id()).unwrap_or(0).max(1), libc::SIGTERM) };
            let _ = self.0.wait();
        }
    }
}

/// Runs a client to its end, and returns its pid with what it printed.
///
/// # Panics
/// When it fails.
pub fn client(command: &mut Command) -> (u32, String) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the client starts");
    let pid = child.id();
    let output = child.wait_with_output().expect("the client ends");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{command:?}: {} {said}", output.status);
    (pid, said)
}

/// kpidstat's samples, which are summed.
#[derive(Debug)]
pub struct Watch(Watcher);

impl Watch {
    /// Starts kpidstat with these arguments, which make it print NDJSON, and returns when it watches.
    pub fn start(arguments: &[&str]) -> Watch {
        Watch(Watcher::start(arguments))
    }

    /// Ends it when everything that happened is in a sample, and returns the sums of all rows.
    ///
    /// # Panics
    /// When something was lost, or did not end well.
    pub fn end(self) -> Vec<Row> {
        // What a process moved of which no record comes is held back for two seconds, and then shown all the same.
        self.0.await_samples(5);
        let (said, code) = self.0.end(libc::SIGINT);
        assert_eq!(code, Some(0));
        let mut rows: HashMap<(u32, String, (String, String)), Moved> = HashMap::new();
        for line in String::from_utf8(said).expect("text").lines() {
            let sample: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            let losses = sample["kpidstat"]["losses"].as_object().expect("losses");
            for (name, lost) in losses.iter().filter(|(name, _)| !name.starts_with("exit_")) {
                assert!(lost == 0 || name == "inconsistent", "{name}: {lost}");
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            for row in [&sample["task-network-load"], &sample["rows"]]
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
            {
                let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
                let pid = number(&row["PID"]).or(number(&row["pid"])).unwrap_or(0);
                let command = text(&row["cmd"]) + &text(&row["command"]);
                let connection = (text(&row["protocol"]), text(&row["connection"]));
                let sum = rows.entry((u32::try_from(pid).expect("a pid"), command, connection)).or_default();
                let bytes = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("{key} in {row}"));
                *sum = [*sum, Moved { tx: bytes("tx_bytes"), rx: bytes("rx_bytes") }].into_iter().sum();
            }
        }
        let row = |((pid, command, connection), moved)| Row { pid, command, connection, moved };
        rows.into_iter().map(row).collect()
    }
}

/// What the rows that match moved.
pub fn sum(rows: &[Row], of: impl Fn(&Row) -> bool) -> Moved {
    rows.iter().filter(|row| of(row)).map(|row| row.moved).sum()
}
