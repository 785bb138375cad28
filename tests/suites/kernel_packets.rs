//! Packets on the wire (`--net-packets`) and UNIX sockets (`--unix`), as users see them. Needs root; nothing is skipped.

use pidstat_tests::{
    packets, tool,
    traffic::{Load, Report},
    watcher::Watcher,
};
use pidstat_user::{
    clock::Clock,
    rate::connection::changes,
    sample::{Facts, Moved, NetChoice, Sample, Want},
    source::{Source, ebpf::EbpfSource},
};
use std::{
    io::{BufRead as _, Read as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

/// The packets and bytes of a process' connections while a workload runs.
struct Watch {
    source: EbpfSource,
    before: Sample,
}

impl Watch {
    fn start() -> Watch {
        let facts = Facts::OWNER | Facts::TRAFFIC | Facts::CONNECTIONS;
        let want = Want { facts, net_packets: true, ..Want::default() };
        let source = EbpfSource::open("/proc".as_ref(), "/sys".as_ref(), &want).expect("the eBPF source");
        let mut watch = Watch { source, before: Sample::default() };
        watch.source.sample(&Clock::Real, None, &mut watch.before).expect("sample");
        watch
    }

    fn of(&mut self, pid: u32) -> Moved {
        let mut now = Sample::default();
        self.source.sample(&Clock::Real, Some(&self.before), &mut now).expect("sample");
        let rows = changes(&self.before, &now).filter(|change| change.now.key.owner.tgid == pid);
        let sum = rows.fold(Moved::default(), |sum, change| sum.plus(change.gain.expect("forward")));
        let losses = now.origin.losses.named();
        assert!(losses.iter().all(|(name, lost)| *lost == 0 || *name == "inconsistent"), "{losses:?}");
        sum
    }
}

#[test]
fn packets_are_those_that_the_workload_sent() {
    packets::are_exact(NetChoice::Tracepoint).unwrap();
}

/// Two namespaces with a pair of devices between them, that cut nothing themselves.
#[test]
fn packets_and_their_bytes_are_those_of_the_device() {
    let mut watch = Watch::start();
    let mut load = Load::start(&["veth-udp", "4"]);
    let device = load.report();
    let moved = watch.of(device.pid);
    load.go();
    load.finish();
    assert_eq!([moved.tx_datagrams, moved.rx_datagrams], [device.tx_messages, device.rx_messages]);
    assert_eq!([moved.tx_datagrams, moved.rx_datagrams], [53 + 220, 31]);
    assert_eq!([moved.tx_wire_bytes, moved.rx_wire_bytes], [device.tx, device.rx], "{moved:?}");
    assert_eq!(moved.tx_messages, 53 + 22);
}

/// A datagram that is cut into fragments is one, and its bytes lack the headers of the other fragments.
#[test]
fn a_datagram_is_one_whatever_its_fragments() {
    let mut watch = Watch::start();
    let mut load = Load::start(&["veth-fragments", "4"]);
    let device = load.report();
    let moved = watch.of(device.pid);
    load.go();
    load.finish();
    assert_eq!((moved.tx_datagrams, device.tx_messages), (53, 3 * 53));
    assert_eq!(device.tx - moved.tx_wire_bytes, 53 * 2 * (14 + 20), "{moved:?}");
    assert_eq!((moved.rx_datagrams, moved.rx_wire_bytes), (31, device.rx));
}

/// What `kpidstat ARGS` says in NDJSON while a workload runs; `report` is the member with the rows.
fn rows_of(args: &[&str], load: &[&str], report: &str) -> (Vec<Report>, Vec<serde_json::Value>) {
    let mut child = Command::new(tool::kpidstat())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kpidstat");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    // The first line says that it has begun.
    stdout.read_line(&mut text).expect("a line");
    let reports = Load::start(load).finish();
    stdout.read_to_string(&mut text).expect("text");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("stderr");
    assert!(child.wait().expect("wait").success(), "{said}");
    let mut rows = Vec::new();
    for line in text.lines() {
        let sample: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        rows.extend(sample[report].as_array().into_iter().flatten().cloned());
    }
    (reports, rows)
}

/// The sum of a member over the rows of a process.
fn sum(rows: &[serde_json::Value], pid: u32, member: &str) -> u64 {
    let text = pid.to_string();
    let of_process = rows.iter().filter(|row| row["pid"] == pid || row["PID"].as_str() == Some(&text));
    of_process.filter_map(|row| row[member].as_u64()).sum()
}

#[test]
fn unix_sockets_are_in_reports_of_processes_and_of_connections() {
    for (case, protocol) in
        [("unix-stream", "unix"), ("unix-dgram", "unix-dgram"), ("unix-seqpacket", "unix-seqpacket")]
    {
        let (reports, rows) =
            rows_of(&["--unix", "-o", "ndjson", "0.5", "4"], &[case, "4"], "task-unix-load");
        for report in &reports {
            let counted = ["tx_unix_bytes", "rx_unix_bytes"].map(|member| sum(&rows, report.pid, member));
            assert_eq!(counted, [report.tx, report.rx], "{case} {report:?} {rows:?}");
        }
        let by_connection = ["net", "--unix", "--by", "connection", "-o", "ndjson", "0.5", "4"];
        let (reports, rows) = rows_of(&by_connection, &[case, "4"], "rows");
        for report in &reports {
            let counted = ["tx_bytes", "rx_bytes"].map(|member| sum(&rows, report.pid, member));
            assert_eq!(counted, [report.tx, report.rx], "{case} {report:?} {rows:?}");
            let row = rows.iter().find(|row| row["pid"] == report.pid).expect("a row");
            assert_eq!(row["protocol"], protocol);
            assert!(row["connection"].as_str().expect("a name").starts_with("unix:"), "{row}");
        }
        let (reports, rows) = rows_of(&["net", "--unix", "-o", "ndjson", "0.5", "4"], &[case, "4"], "rows");
        for report in &reports {
            let counted =
                ["tx_unix_bytes", "rx_unix_bytes", "tx_bytes"].map(|member| sum(&rows, report.pid, member));
            assert_eq!(counted, [report.tx, report.rx, 0], "{case} {report:?} {rows:?}");
        }
    }
}

#[test]
fn the_books_have_connections_beside_devices() {
    let args = ["--check", "-u", "-o", "ndjson", "3", "1"];
    let child = Command::new(tool::kpidstat()).args(args).stdout(Stdio::piped()).spawn().expect("kpidstat");
    let done = std::sync::atomic::AtomicBool::new(false);
    // It has begun when some of them are over, and some are over when it ends.
    let (mut moved, mut out) = (0, Vec::new());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let out = child.wait_with_output().expect("kpidstat").stdout;
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            out
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            moved += Load::start(&["stream", "4"]).finish().iter().map(|report| report.tx).sum::<u64>();
        }
        out = waiter.join().expect("its output");
    });
    let sample: serde_json::Value = serde_json::from_slice(&out).expect("one object");
    let books = &sample["kpidstat"]["check"];
    for side in ["rx", "tx"] {
        let number = |of: &str| books[format!("{of}_{side}_wire_bytes")].as_u64().expect("a number");
        let (ours, theirs) = (number("connections"), number("devices"));
        assert!(theirs > 1_000_000 && theirs < 2 * moved + (64 << 20), "{books}, {moved} sent");
        assert!(ours * 10 > theirs * 9 && ours * 10 < theirs * 11, "{books}");
    }
}

/// Two namespaces with a line between them, where nothing but the test sends and no device moves segments as one: what was sent
/// is on both sides of the books to the byte, and what was received but for options that only some acknowledgements have.
#[test]
fn the_books_of_a_line_are_its_devices_to_the_byte() {
    let mut load = Load::start(&["veth-ready", "4"]);
    assert_eq!(load.line(), "ready");
    let mut inside = Command::new("nsenter");
    let pid = load.pid().to_string();
    inside.args(["-t", &pid, "-n"]).arg(tool::kpidstat());
    inside.args(["--check", "-n", "--net-packets", "-o", "ndjson", "0.5"]);
    tool::interruptible(&mut inside);
    let watcher = Watcher::of(&mut inside);
    load.go();
    // PID, bytes that the device sent and received, packets.
    let device = load.report();
    // A connection that ends, of another namespace: none of the line's bytes are its, but its last record passes the ring.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    drop(TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection"));
    watcher.await_samples(2);
    load.go();
    load.finish();
    let (out, _) = watcher.end(libc::SIGINT);
    let samples: Vec<serde_json::Value> = String::from_utf8(out)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let sum = |name: &str| {
        samples.iter().map(|one| one["kpidstat"]["check"][name].as_u64().unwrap_or_default()).sum::<u64>()
    };
    // The connection is shut down after the report.
    let farewell = 4 * 100;
    let sent = [sum("connections_tx_wire_bytes"), sum("devices_tx_wire_bytes")];
    assert!(
        sent[0] == sent[1] && (device.tx..device.tx + farewell).contains(&sent[0]),
        "{sent:?} {device:?}"
    );
    let received = [sum("connections_rx_wire_bytes"), sum("devices_rx_wire_bytes")];
    assert!(received[0] <= received[1] && received[0] * 100 > received[1] * 99, "{received:?} {device:?}");
    // The tool's own books: one connection ended in the end, and no map is full.
    let own = |at: usize, name: &str| samples[at]["kpidstat"]["self"][name].as_u64();
    let last = samples.len() - 1;
    assert_eq!(own(last, "packet_map_room"), own(last, "flow_map_room"), "{}", samples[last]);
    assert!(own(last, "packet_map_used") < own(last, "packet_map_room"), "{}", samples[last]);
    assert_eq!(own(last, "turn_map_room"), None, "no rung of breakpoints");
    let ring = samples.iter().filter_map(|one| one["kpidstat"]["self"]["closed_ring_used"].as_u64());
    assert!(ring.max().is_some_and(|most| (192..1 << 20).contains(&most)), "{}", samples[last]);
    assert_eq!(own(last, "closed_ring_room"), Some(4 << 20));
}
