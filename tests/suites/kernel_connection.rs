//! Connections one by one, against what the kernel tells their own processes. Needs root; nothing is skipped.

use pidstat_tests::traffic::{Load, Report, woken};
use pidstat_user::{
    clock::Clock,
    rate::connection::changes,
    sample::{Connection, Facts, Moved, Sample, Want},
    source::{Source, ebpf::EbpfSource},
};
use std::{
    io::{BufRead, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
};

/// The source, and the samples before and after whatever happened.
struct Watch {
    source: EbpfSource,
    before: Sample,
    now: Sample,
}

impl Watch {
    fn start() -> Watch {
        let facts = Facts::OWNER | Facts::TRAFFIC | Facts::CONNECTIONS;
        let want = Want { facts, ..Want::default() };
        let source = EbpfSource::open("/proc".as_ref(), "/sys".as_ref(), &want).expect("the eBPF source");
        let mut watch = Watch { source, before: Sample::default(), now: Sample::default() };
        watch.source.sample(&Clock::Real, None, &mut watch.before).expect("sample");
        watch
    }

    /// Runs a workload within one interval, as the engine does: what the ring holds is taken when it wakes.
    fn run(&mut self, args: &[&str]) -> Vec<Report> {
        let mut load = Load::start(args);
        while load.running() {
            if self.source.wakeup().is_some_and(|ring| woken(ring, 20)) {
                self.source.drain();
            }
        }
        load.finish()
    }

    fn sample(&mut self) {
        self.source.sample(&Clock::Real, Some(&self.before), &mut self.now).expect("sample");
    }

    fn changes(&self) -> Vec<(&Connection, Moved)> {
        changes(&self.before, &self.now).map(|change| (change.now, change.gain.expect("forward"))).collect()
    }

    fn of(&self, cookie: u64) -> &Connection {
        let found: Vec<_> = self.now.connections.iter().filter(|one| one.key.cookie == cookie).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0]
    }

    fn nothing_lost(&self) {
        let losses = self.now.origin.losses.named();
        assert!(losses.iter().all(|(name, lost)| *lost == 0 || *name == "inconsistent"), "{losses:?}");
    }
}

fn netns() -> u32 {
    std::fs::metadata("/proc/self/ns/net").unwrap().ino().try_into().unwrap()
}

fn option<T: Default>(socket: &impl AsRawFd, level: i32, name: i32) -> T {
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `value`.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length)
    };
    assert_eq!(done, 0, "getsockopt {name}");
    value
}

fn cookie(socket: &impl AsRawFd) -> u64 {
    option(socket, libc::SOL_SOCKET, libc::SO_COOKIE)
}

/// `struct tcp_info` as far as it is looked at, in words.
#[derive(Clone, Copy, Debug)]
struct TcpInfo([u32; 48]);

impl Default for TcpInfo {
    fn default() -> TcpInfo {
        TcpInfo([0; 48])
    }
}

impl TcpInfo {
    fn rtt_us(&self) -> u32 {
        self.0[17]
    }

    fn cwnd(&self) -> u32 {
        self.0[20]
    }

    fn retransmits(&self) -> u32 {
        self.0[25]
    }
}

#[test]
fn ten_thousand_connections_in_one_interval_are_all_there() {
    for netns_word in [None, Some("netns")] {
        let mut watch = Watch::start();
        let args: Vec<&str> = ["many", "4"].into_iter().chain(netns_word).collect();
        let reports = watch.run(&args);
        watch.sample();
        watch.nothing_lost();
        assert_eq!(reports.len(), 2);
        for report in &reports {
            let rows: Vec<_> =
                watch.changes().into_iter().filter(|(one, _)| one.key.owner.tgid == report.pid).collect();
            let sum = rows.iter().fold(Moved::default(), |sum, (_, gain)| sum.plus(*gain));
            assert_eq!((sum.tx_bytes, sum.rx_bytes), (report.tx, report.rx), "{netns_word:?} {report:?}");
            assert_eq!(rows.len(), 10_007, "{netns_word:?} {report:?}");
            let bytes = [report.tx / 10_007, report.rx / 10_007];
            for (one, gain) in &rows {
                assert_eq!([gain.tx_bytes, gain.rx_bytes], bytes, "{one:?}");
                assert!(one.closed && one.opened_ns.is_ok(), "{one:?}");
                assert_eq!(one.netns == netns(), netns_word.is_none(), "{one:?}");
                assert!(one.local.ip().is_loopback() && one.remote.unwrap().ip().is_loopback(), "{one:?}");
            }
            let names: std::collections::HashSet<String> =
                rows.iter().map(|(one, _)| one.conn_key()).collect();
            // Ports may be used again within the interval, but not often.
            assert!(names.len() > 5_000, "{} names", names.len());
        }
    }
}

#[test]
fn a_connection_is_what_its_own_process_is_told_it_is() {
    for (bind, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "::ffff:127.0.0.1")] {
        let mut watch = Watch::start();
        let listener = TcpListener::bind(bind).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect((to.parse::<std::net::IpAddr>().unwrap(), port)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 50_021]).unwrap();
        let mut first = [0; 20_011];
        server.read_exact(&mut first).unwrap();
        server.write_all(&[2; 7]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        watch.sample();
        for (socket, other) in [(&client, &server), (&server, &client)] {
            let row = watch.of(cookie(socket));
            let canonical = |address: std::net::SocketAddr| {
                std::net::SocketAddr::new(address.ip().to_canonical(), address.port())
            };
            assert_eq!(row.local, canonical(socket.local_addr().unwrap()));
            assert_eq!(row.remote, Some(canonical(socket.peer_addr().unwrap())));
            assert_eq!(row.conn_key(), format!("{}-{}", row.local, canonical(other.local_addr().unwrap())));
            assert_eq!((row.protocol_name(), row.state_name(), row.closed), ("tcp", "ESTAB", false));
            assert_eq!((row.key.owner.tgid, row.netns), (std::process::id(), netns()));
            let mut unread = 0;
            // SAFETY: FIONREAD fills an int.
            assert_eq!(unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut unread) }, 0);
            let stream = row.stream.unwrap();
            assert_eq!(stream.unread_bytes, u32::try_from(unread).unwrap());
            let info: TcpInfo = option(socket, libc::IPPROTO_TCP, libc::TCP_INFO);
            assert_eq!((stream.rtt_us, stream.cwnd_segments), (info.rtt_us(), info.cwnd()), "{info:?}");
            assert_eq!(row.moved.retransmits, u64::from(info.retransmits()));
            assert!(row.age_ns(watch.now.uptime_ns).unwrap() < 10_000_000_000);
        }
        let sides = [&client, &server].map(|socket| watch.of(cookie(socket)).moved);
        assert_eq!(sides.map(|moved| (moved.tx_bytes, moved.rx_bytes)), [(50_021, 0), (7, 20_011)]);
    }
}

#[test]
fn bytes_that_cannot_leave_are_unsent() {
    let mut watch = Watch::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_server, _) = listener.accept().unwrap();
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(count) = client.write(&[0; 65_536]) {
        sent += count as u64;
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    watch.sample();
    let row = watch.of(cookie(&client));
    let mut queued = 0;
    // SAFETY: SIOCOUTQ (TIOCOUTQ) fills an int: what is unsent or not acknowledged.
    assert_eq!(unsafe { libc::ioctl(client.as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) }, 0);
    let stream = row.stream.unwrap();
    assert_eq!(stream.unsent_bytes + stream.unacked_bytes, u32::try_from(queued).unwrap());
    assert!(stream.unsent_bytes > 0 && row.moved.tx_bytes == sent, "{row:?}");
}

#[test]
fn what_waits_to_be_accepted_is_whose_listener_it_is() {
    let mut watch = Watch::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let waiting = TcpStream::connect(to).unwrap();
    // One that does not linger resets its connection.
    let reset = TcpStream::connect(to).unwrap();
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: `linger` lives through the call and is as large as said.
    let done = unsafe {
        libc::setsockopt(
            reset.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of_val(&linger) as libc::socklen_t,
        )
    };
    assert_eq!(done, 0);
    let remotes = [&waiting, &reset].map(|socket| Some(socket.local_addr().unwrap()));
    drop(reset);
    watch.sample();
    let of = |watch: &Watch, remote| {
        let rows = watch.now.connections.iter().filter(|row| row.remote == remote && row.local == to);
        rows.map(|row| (row.key.owner.tgid, row.closed)).collect::<Vec<_>>()
    };
    assert_eq!(of(&watch, remotes[0]), [(std::process::id(), false)]);
    drop(listener);
    watch.sample();
    let own = (std::process::id(), true);
    assert_eq!(remotes.map(|remote| of(&watch, remote)), [[own], [own]]);
    assert!(watch.now.connections.iter().all(|row| row.user.comm.as_bytes() != b"[unaccepted]"));
}

#[test]
fn datagrams_have_rows_with_and_without_a_remote_end() {
    let mut watch = Watch::start();
    let inbox = UdpSocket::bind("127.0.0.1:0").unwrap();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
    bound.connect(inbox.local_addr().unwrap()).unwrap();
    for _ in 0..3 {
        free.send_to(&[0; 101], inbox.local_addr().unwrap()).unwrap();
        bound.send(&[0; 13]).unwrap();
    }
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed_cookie = cookie(&closed);
    closed.send_to(&[0; 17], inbox.local_addr().unwrap()).unwrap();
    drop(closed);
    watch.sample();
    let free = watch.of(cookie(&free));
    assert_eq!((free.remote, free.moved.tx_bytes, free.moved.tx_messages), (None, 303, 3));
    assert!(free.conn_key().ends_with("-*") && free.protocol_name() == "udp");
    let bound = watch.of(cookie(&bound));
    assert_eq!((bound.remote, bound.moved.tx_bytes), (Some(inbox.local_addr().unwrap()), 39));
    assert_eq!(watch.of(closed_cookie).moved.tx_bytes, 17);
}

#[test]
fn a_datagram_socket_that_connects_late_is_called_what_it_is_now() {
    let mut watch = Watch::start();
    let inboxes = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [one, other] = [0, 1].map(|at: usize| inboxes[at].local_addr().unwrap());
    let socket = UdpSocket::bind("[::]:0").unwrap();
    let mapped = |to: std::net::SocketAddr| format!("[::ffff:127.0.0.1]:{}", to.port());
    socket.send_to(&[0; 13], mapped(one)).unwrap();
    watch.sample();
    assert_eq!(watch.of(cookie(&socket)).remote, None);
    for to in [one, other] {
        socket.connect(mapped(to)).unwrap();
        watch.sample();
        let row = watch.of(cookie(&socket));
        assert_eq!(row.conn_key(), format!("127.0.0.1:{}-{to}", socket.local_addr().unwrap().port()));
        assert_eq!((row.state_name(), row.moved.tx_bytes), ("ESTAB", 13));
    }
    let (gone, port) = (cookie(&socket), socket.local_addr().unwrap().port());
    drop(socket);
    // The kernel frees it after a while, and its use ends two walks later.
    let ended = (0..400).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        watch.sample();
        let row = watch.now.connections.iter().find(|row| row.key.cookie == gone)?;
        row.closed.then(|| row.conn_key())
    });
    assert_eq!(ended, Some(format!("127.0.0.1:{port}-{other}")));
}

#[test]
fn unix_sockets_are_called_what_they_or_their_peers_are_bound_to() {
    use std::os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inbox");
    let name = format!("kpidstat-{}", std::process::id());
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    let listeners = [UnixListener::bind(&path).unwrap(), UnixListener::bind_addr(&abstract_name).unwrap()];
    let watcher = pidstat_tests::watcher::Watcher::start(&[
        "net",
        "--unix",
        "--by",
        "connection",
        "-o",
        "ndjson",
        "0.3",
    ]);
    let clients = [UnixStream::connect(&path).unwrap(), UnixStream::connect_addr(&abstract_name).unwrap()];
    let mut cookies = Vec::new();
    for (listener, mut client) in listeners.iter().zip(&clients) {
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 13]).unwrap();
        server.read_exact(&mut [0; 13]).unwrap();
        cookies.push((cookie(&server), cookie(client), server));
    }
    watcher.await_samples(3);
    let (shown, _) = watcher.end(libc::SIGINT);
    let shown = String::from_utf8(shown).unwrap();
    let called =
        |cookie: u64, name: &str| shown.contains(&format!("\"connection\": \"unix:{cookie} {name}\""));
    for ((server, client, _), bound) in cookies.iter().zip([path.display().to_string(), format!("@{name}")]) {
        assert!(called(*server, &bound), "{server} {bound}: {shown}");
        assert!(called(*client, &format!("-> {bound}")), "{client} {bound}: {shown}");
    }
}

#[test]
fn a_shared_socket_has_a_row_for_each_of_its_processes() {
    for case in ["fork-readers", "fork-writers", "passed"] {
        let mut watch = Watch::start();
        let reports = watch.run(&[case, "4"]);
        watch.sample();
        for report in &reports {
            let rows = watch.changes().into_iter().filter(|(one, _)| one.key.owner.tgid == report.pid);
            let sum = rows.fold(Moved::default(), |sum, (_, gain)| sum.plus(gain));
            assert_eq!((sum.tx_bytes, sum.rx_bytes), (report.tx, report.rx), "{case} {report:?}");
        }
        let mut users = std::collections::HashMap::<u64, u32>::new();
        for one in watch.now.connections.iter().filter(|one| one.key.owner.tgid != 0) {
            *users.entry(one.key.cookie).or_default() += u32::from(one.moved != Moved::default());
        }
        // One of two readers can be faster and take it all.
        let shared = users.values().any(|count| *count > 1);
        assert!(shared || case == "fork-readers", "{case}: no socket with two users");
    }
}

#[test]
fn vectors_are_per_process_and_per_connection() {
    let mut watch = Watch::start();
    let reports = watch.run(&["short", "4"]);
    watch.sample();
    let mut vectors = pidstat_user::rate::vector::Vectors::default();
    vectors.take(&watch.before, &watch.now);
    for report in &reports {
        let process = &vectors.processes()[&report.pid];
        assert_eq!((process.all.sent_bytes, process.all.received_bytes), (report.tx, report.rx));
        let sums = process.connections.values().fold([0; 4], |sum, one| {
            let one = one.to_array();
            std::array::from_fn(|at| sum[at] + one[at])
        });
        assert_eq!(sums, process.all.to_array());
    }
    let [one, other] = [&reports[0], &reports[1]].map(|report| &vectors.processes()[&report.pid]);
    for name in one.connections.keys() {
        let (source, destination) = name.split_once('-').unwrap();
        assert!(
            other.connections.contains_key(&format!("{destination}-{source}")),
            "{name} from the other end"
        );
    }
}

/// Two namespaces with a pair of devices between them, in which a client sends and a server answers; with losses, a program
/// in the kernel drops some of what the server's side receives, or the first SYN.
#[test]
fn segments_are_the_packets_of_the_device() {
    for case in ["veth", "veth-loss", "veth-syn"] {
        let mut watch = Watch::start();
        let mut load = Load::start(&[case, "4"]);
        // PID, packets and bytes that the device sent, packets and bytes that it received.
        let device = load.report();
        watch.sample();
        let rows: Vec<_> =
            watch.changes().into_iter().filter(|(one, _)| one.key.owner.tgid == device.pid).collect();
        let [(_, moved)] = rows[..] else { panic!("{rows:?}") };
        load.go();
        load.finish();
        assert_eq!(
            [moved.tx_segments, moved.rx_segments],
            [device.tx_messages, device.rx_messages],
            "{case}"
        );
        // When the acknowledgement of the answer is lost, the server answers again, and is told so in 12 bytes of options.
        let spare = device.tx.checked_sub(moved.tx_wire_bytes);
        assert!(
            spare == Some(0) || spare == Some(12) && case == "veth-loss",
            "{case}: {spare:?} {device:?} {moved:?}"
        );
        assert!(moved.rx_wire_bytes <= device.rx, "{case}: {moved:?}");
        // Without losses of ours the receiver's queue may still overflow.
        assert!(moved.retransmits > 0 || case == "veth", "{case}: {moved:?}");
    }
}

#[test]
fn a_link_called_nethogs_traces_as_nethogs_does() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("nethogs");
    std::os::unix::fs::symlink(pidstat_tests::tool::kpidstat(), &link).unwrap();
    let mut trace = std::process::Command::new(&link)
        .args(["-t", "-v", "2", "-d", "1", "-c", "3", "lo"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = std::io::BufReader::new(trace.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("Refreshing:\n") {
        assert!(stdout.read_line(&mut text).unwrap() > 0, "nothing was shown");
    }
    let reports = Load::start(&["stream", "4"]).finish();
    stdout.read_to_string(&mut text).unwrap();
    let mut said = String::new();
    trace.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(trace.wait().unwrap().success(), "{said}");
    assert_eq!(said.lines().count(), 1, "that all devices are counted: {said}");
    assert_eq!(text.matches("\nRefreshing:\n").count(), 3, "{text}");
    let last = text.rsplit("Refreshing:\n").next().unwrap();
    for report in &reports {
        let place = format!("/{}/0\t", report.pid);
        let line = last.lines().find(|line| line.contains(&place)).unwrap_or_else(|| panic!("{last}"));
        let numbers: Vec<f64> = line.split('\t').skip(1).map(|word| word.parse().unwrap()).collect();
        // With headers: more than the application's bytes, by less than a tenth.
        for (shown, bytes) in numbers.into_iter().zip([report.tx, report.rx]) {
            assert!(shown > bytes as f64 * 0.99999, "{line} for {report:?}");
            assert!(bytes < 100_000 || shown < bytes as f64 * 1.1, "{line} for {report:?}");
        }
    }
}
