//! Runs a workload beside the tool and compares what the two say.

use pidstat_user::{
    kernel::{
        Kernel, Reason,
        net::{Options, PidNamespace},
    },
    sample::{Losses, NetChoice, Traffic},
    source::ebpf::net::Net,
};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// What one process of a workload did.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Its id in the initial namespace.
    pub pid: u32,
    /// Bytes that its calls said were sent.
    pub tx: u64,
    /// Bytes that its calls said were received.
    pub rx: u64,
    /// Messages sent; 0 where it moved streams.
    pub tx_messages: u64,
    /// Messages received; 0 where it moved streams.
    pub rx_messages: u64,
}

impl Report {
    fn parse(line: &str) -> Report {
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [pid, tx, rx, tx_messages, rx_messages] = words[..] else { panic!("report {line:?}") };
        Report { pid: pid.try_into().expect("a pid"), tx, rx, tx_messages, rx_messages }
    }
}

/// The tool.
pub struct Bench {
    /// The attached family.
    pub net: Net,
    /// What it lost so far.
    pub losses: Losses,
    /// Sums of every process in any sample; the tool forgets those that ended.
    sums: HashMap<u32, Traffic>,
    /// The same for UNIX sockets.
    unix: HashMap<u32, Traffic>,
}

impl Bench {
    /// Attaches by the best rung. Panics where none works.
    pub fn open(options: Options) -> Bench {
        Bench::open_in(PidNamespace::default(), options)
    }

    /// The same for a reader in a PID namespace.
    pub fn open_in(ours: PidNamespace, options: Options) -> Bench {
        Bench::open_by(NetChoice::Auto, ours, options)
            .unwrap_or_else(|why| panic!("the net family must attach here: {why}"))
    }

    /// Attaches by a certain rung.
    ///
    /// # Errors
    /// Why it does not work here.
    pub fn open_by(choice: NetChoice, ours: PidNamespace, options: Options) -> Result<Bench, Reason> {
        let kernel = Kernel::open()?;
        let net = Net::open(&kernel, ours, choice, options)?;
        Ok(Bench { net, losses: Losses::default(), sums: HashMap::new(), unix: HashMap::new() })
    }

    /// Takes a sample.
    pub fn collect(&mut self) {
        self.net.collect(&mut self.losses).expect("collect");
        for owner in self.net.owners() {
            let sum = self.sums.entry(owner.tgid).or_default();
            assert!(owner.tgid == 0 || owner.traffic.tx_bytes >= sum.tx_bytes, "went back: {owner:?}");
            *sum = owner.traffic;
            self.unix.insert(owner.tgid, owner.unix);
        }
    }

    /// Runs a workload and samples all along, then once more.
    pub fn run(&mut self, args: &[&str]) -> Vec<Report> {
        let mut load = Load::start(args);
        while load.running() {
            self.collect();
            std::thread::sleep(Duration::from_millis(7));
        }
        let reports = load.finish();
        self.collect();
        reports
    }

    /// Runs a workload and does nothing meanwhile.
    pub fn run_unseen(&mut self, args: &[&str]) -> Vec<Report> {
        Load::start(args).finish()
    }

    /// Runs a workload and takes over what the ring says only when it wakes.
    pub fn run_draining(&mut self, args: &[&str]) -> Vec<Report> {
        let mut load = Load::start(args);
        let mut wakeups = 0;
        while load.running() {
            if woken(self.net.wakeup(), 50) {
                wakeups += 1;
                self.net.drain();
            }
        }
        assert!(wakeups > 0, "the ring never woke its reader");
        let reports = load.finish();
        self.collect();
        reports
    }

    /// Whether the tool still has sums of a process.
    pub fn knows(&self, pid: u32) -> bool {
        self.net.owners().any(|owner| owner.tgid == pid)
    }

    /// What a process moved, by any sample.
    pub fn traffic(&self, pid: u32) -> Traffic {
        self.sums.get(&pid).copied().unwrap_or_default()
    }

    /// What it moved through UNIX sockets.
    pub fn unix_traffic(&self, pid: u32) -> Traffic {
        self.unix.get(&pid).copied().unwrap_or_default()
    }

    /// Bytes to the byte; messages too where a process moved nothing else.
    pub fn compare(&self, what: &str, reports: &[Report]) {
        assert!(!reports.is_empty(), "{what}: no reports");
        for report in reports {
            let traffic = self.traffic(report.pid);
            assert_eq!(
                (traffic.tx_bytes, traffic.rx_bytes),
                (report.tx, report.rx),
                "{what}: sent and received by {report:?}, {:?}",
                self.losses
            );
            if report.tx_messages + report.rx_messages > 0 {
                assert_eq!(
                    (traffic.tx_packets, traffic.rx_packets),
                    (report.tx_messages, report.rx_messages),
                    "{what}: messages of {report:?}"
                );
            }
        }
        // A socket's segments belong to its first owner alone.
        let packets: u64 =
            reports.iter().map(|r| self.traffic(r.pid)).map(|t| t.tx_packets + t.rx_packets).sum();
        assert!(packets > 0, "{what}: no packets");
    }

    /// Panics if anything was lost.
    pub fn nothing_lost(&self) {
        assert_eq!(
            self.losses.named().map(|(_, n)| n),
            Losses::default().named().map(|(_, n)| n),
            "{:?}",
            self.losses
        );
    }
}

/// A running workload.
pub struct Load {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Load {
    /// Starts it with these arguments.
    pub fn start(args: &[&str]) -> Load {
        let mut child = Command::new(netload())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("netload");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Load { input: child.stdin.take(), output, child }
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// The next report.
    pub fn report(&mut self) -> Report {
        Report::parse(&self.line())
    }

    /// Lets a workload that waits go on.
    pub fn go(&mut self) {
        self.input.as_mut().expect("open").write_all(b"\n").expect("go");
    }

    /// Lets a workload that waits stand there for more than a sample, then go on; what it said.
    pub fn finish_after_a_while(&mut self) -> Vec<Report> {
        let report = self.report();
        std::thread::sleep(Duration::from_millis(1200));
        self.go();
        [vec![report], self.finish()].concat()
    }

    /// Waits for the end and returns what is left of its reports. Panics if it failed.
    pub fn finish(&mut self) -> Vec<Report> {
        self.finished().expect("a workload that succeeds")
    }

    /// The same.
    ///
    /// # Errors
    /// When it failed.
    pub fn finished(&mut self) -> Result<Vec<Report>, String> {
        let mut text = String::new();
        self.output.read_to_string(&mut text).map_err(|why| format!("the reports: {why}"))?;
        let status = self.child.wait().map_err(|why| format!("the workload: {why}"))?;
        if status.success() {
            Ok(text.lines().map(Report::parse).collect())
        } else {
            Err(format!("the workload failed: {status}"))
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Inode of the PID namespace that the workload's children are in.
    pub fn pid_namespace(&self) -> u32 {
        let path = format!("/proc/{}/ns/pid_for_children", self.child.id());
        let inode = std::fs::metadata(path).expect("namespace").ino();
        inode.try_into().expect("an inode number of nsfs")
    }

    /// Kind and id of every BPF object the workload has a descriptor of.
    pub fn bpf_objects(&self) -> Vec<(&'static str, u32)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", self.child.id())).expect("fdinfo").flatten()
        {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            for (kind, head) in [("prog", "prog_id:"), ("map", "map_id:"), ("link", "link_id:")] {
                let ids = text.lines().filter_map(|line| line.strip_prefix(head)?.trim().parse().ok());
                found.extend(ids.map(|id| (kind, id)));
            }
        }
        found
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Only its own child, by its id; forks of it end by their alarm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the kernel has a protocol or a layer that it may lack: `tls`, `sctp`, `mptcp`.
pub fn kernel_has(what: &str) -> bool {
    Command::new(netload()).args(["has", what]).status().expect("netload").success()
}

/// The helper: where cargo built it, or beside this binary where both were carried to another machine.
fn netload() -> PathBuf {
    let own = std::env::current_exe().expect("this binary has a path");
    let found = own.ancestors().skip(1).map(|dir| dir.join("netload")).find(|path| path.is_file());
    found.expect("netload is not built; run the tests with: cargo xtask test")
}

/// Attaches a rung in a process of its own, kills that, and sees that the kernel frees everything.
///
/// # Errors
/// What is left behind.
pub fn kill_leaves_nothing(rung: &str) -> Result<(), String> {
    let mut load = Load::start(&["hold", rung]);
    let word = load.line();
    if word != "ready" {
        return Err(format!("it says {word:?}"));
    }
    let objects = load.bpf_objects();
    for kind in ["link", "map", "prog"] {
        if !objects.iter().any(|(of, _)| *of == kind) {
            return Err(format!("it has no {kind}: {objects:?}"));
        }
    }
    load.kill();
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(left) = objects.iter().find(|(kind, id)| exists(kind, *id)) {
        if Instant::now() > deadline {
            return Err(format!("left behind: {left:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether a BPF object still exists.
fn exists(kind: &str, id: u32) -> bool {
    let command: libc::c_long = match kind {
        "prog" => 13,
        "map" => 14,
        _ => 30,
    };
    let attr = [u64::from(id), 0];
    // SAFETY: BPF_*_GET_FD_BY_ID reads an id, next_id and open_flags from `attr`.
    unsafe {
        let fd = libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(&attr));
        if fd >= 0 {
            libc::close(fd as libc::c_int);
        }
        fd >= 0
    }
}

/// Waits for one wake-up as an event loop does: poll(2) would tell of any record, edge-triggered epoll tells of wake-ups.
pub fn woken(ring: BorrowedFd<'_>, timeout_ms: i32) -> bool {
    // SAFETY: valid structs; the epoll descriptor is closed before returning.
    unsafe {
        let epoll = libc::epoll_create1(0);
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, ring.as_raw_fd(), &raw mut event);
        // The first event only says that there is something already.
        libc::epoll_wait(epoll, &raw mut event, 1, 0);
        let events = libc::epoll_wait(epoll, &raw mut event, 1, timeout_ms);
        libc::close(epoll);
        events == 1
    }
}
