//! Captured packets, against senders that know what they sent and devices that counted it, in network namespaces that the
//! test made; and what is said where eBPF or libpcap is not there. Needs root; nothing is skipped.

use pidstat_tests::{tool, watcher::Watcher};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    os::unix::fs::MetadataExt as _,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

/// Takes what eBPF needs away, and leaves what capturing needs.
const WITHOUT_EBPF: [&str; 2] = ["setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon"];

/// Takes away what entering other network namespaces needs: what is lost in those, others do.
const ALONE: [&str; 2] = ["setpriv", "--bounding-set=-sys_admin"];

/// Two processes that share nothing but their parent: `tcp|short|udp 4|6|mapped`.
const TALK: &str = r#"
import os, socket, struct, sys, time
protocol, family = sys.argv[1:]
kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
of = socket.AF_INET if family == "4" else socket.AF_INET6
here = {"4": "127.0.0.1", "6": "::1", "mapped": "::ffff:127.0.0.1"}[family]
ports, port = os.pipe()

def server():
    s = socket.socket(of, kind)
    if family == "mapped": s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("" if family == "4" else "::", 0))
    if protocol != "udp": s.listen(1000)
    os.write(port, struct.pack("I", s.getsockname()[1]))
    tx = rx = 0
    if protocol == "udp":
        for _ in range(101):
            data, whom = s.recvfrom(70000)
            rx += len(data)
            tx += s.sendto(b"y" * 11, whom)
    for _ in range({"tcp": 1, "short": 307, "udp": 0}[protocol]):
        c = s.accept()[0]
        while data := c.recv(65536): rx += len(data)
        c.sendall(b"y" * 997)
        tx += 997
        if protocol == "tcp": time.sleep(1)
        c.close()
    time.sleep(1)
    return tx, rx

def client():
    to = (here, struct.unpack("I", os.read(ports, 4))[0])
    tx = rx = 0
    if protocol == "udp":
        s = socket.socket(of, kind)
        for n in range(101):
            tx += s.sendto(b"x" * n, to)
            rx += len(s.recv(100))
        time.sleep(1)
    for _ in range({"tcp": 1, "short": 307, "udp": 0}[protocol]):
        s = socket.socket(of, kind)
        s.connect(to)
        data = b"x" * (1000003 if protocol == "tcp" else 101)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        tx += len(data)
        while data := s.recv(65536): rx += len(data)
        s.close()
    return tx, rx

for act in (server, client):
    if os.fork() == 0:
        tx, rx = act()
        time.sleep(1)
        os.write(1, b"%d %d %d\n" % (os.getpid(), tx, rx))
        os._exit(0)
for _ in range(2): assert os.wait()[1] == 0
"#;

/// A network namespace, for as long as a process in it sleeps.
struct Space {
    holder: Child,
}

impl Space {
    fn new() -> Space {
        let ours = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let holder = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let space = Space { holder };
        while fs::metadata(space.file()).map_or(ours, |about| about.ino()) == ours {
            thread::sleep(Duration::from_millis(5));
        }
        space.run("ip link set lo up");
        space
    }

    fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    fn inode(&self) -> u64 {
        fs::metadata(self.file()).unwrap().ino()
    }

    /// A command in it.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.file()))
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn run(&self, line: &str) -> String {
        let output = self.command(&["sh", "-ec", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// kpidstat in it, by what `prefix` leaves of its privileges.
    fn watch(&self, prefix: &[&str], arguments: &[&str]) -> Watcher {
        let own = tool::kpidstat();
        let words = [prefix, &[own.to_str().unwrap()], arguments].concat();
        Watcher::of(&mut self.command(&words))
    }

    /// Bytes received, packets received, bytes sent, packets sent.
    fn counters(&self, device: &str) -> [u64; 4] {
        let text = self.run("cat /proc/net/dev");
        let line = text.lines().find_map(|line| line.trim().strip_prefix(device)?.strip_prefix(':'));
        let numbers: Vec<u64> = line
            .unwrap_or_else(|| panic!("{text}"))
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        [numbers[0], numbers[1], numbers[8], numbers[9]]
    }

    /// A client and a server, each a process of its own, which stay for a while after they have moved what they say: number,
    /// sent, received.
    fn talk(&self, protocol: &str, family: &str) -> Vec<(u64, u64, u64)> {
        let output = self.command(&["python3", "-c", TALK, protocol, family]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let numbers = |line: &str| {
            let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
            (numbers[0], numbers[1], numbers[2])
        };
        let reports: Vec<_> = text(&output.stdout).lines().map(numbers).collect();
        assert_eq!(reports.len(), 2);
        reports
    }

    /// Runs this in a thread that is in it.
    fn enter<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
        let space = File::open(self.file()).unwrap();
        thread::spawn(move || {
            // SAFETY: the descriptor is open, and only this thread changes its namespace.
            assert_eq!(unsafe { libc::setns(space.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            act()
        })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What rows add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    tx_bytes: u64,
    rx_bytes: u64,
    tx_packets: u64,
    rx_packets: u64,
    tx_wire_bytes: u64,
    rx_wire_bytes: u64,
}

/// Rows of connections of one network namespace, by process, and the losses of the last sample.
fn sums(lines: &[u8], space: u64) -> (BTreeMap<u64, Sum>, BTreeMap<String, u64>) {
    let mut sums: BTreeMap<u64, Sum> = BTreeMap::new();
    let mut losses = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let sample: Value = serde_json::from_slice(line).expect("an object");
        assert_eq!(sample["kpidstat"]["net_rung"], "pcap", "{}", sample["kpidstat"]);
        assert!(sample["kpidstat"]["net_shortfall"].as_str().unwrap().starts_with("packets are captured"));
        for row in sample["rows"].as_array().unwrap().iter().filter(|row| row["netns"] == space) {
            let of = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name}: {row}"));
            let sum = sums.entry(of("pid")).or_default();
            sum.tx_bytes += of("tx_bytes");
            sum.rx_bytes += of("rx_bytes");
            sum.tx_packets += of("tx_segments") + of("tx_messages");
            sum.rx_packets += of("rx_segments") + of("rx_messages");
            sum.tx_wire_bytes += of("tx_wire_bytes");
            sum.rx_wire_bytes += of("rx_wire_bytes");
        }
        let of_sample = sample["kpidstat"]["losses"].as_object().unwrap();
        losses = of_sample.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect();
    }
    (sums, losses)
}

fn all(sums: &BTreeMap<u64, Sum>) -> Sum {
    sums.values().fold(Sum::default(), |all, sum| Sum {
        tx_bytes: all.tx_bytes + sum.tx_bytes,
        rx_bytes: all.rx_bytes + sum.rx_bytes,
        tx_packets: all.tx_packets + sum.tx_packets,
        rx_packets: all.rx_packets + sum.rx_packets,
        tx_wire_bytes: all.tx_wire_bytes + sum.tx_wire_bytes,
        rx_wire_bytes: all.rx_wire_bytes + sum.rx_wire_bytes,
    })
}

const BY_CONNECTION: [&str; 8] = ["net", "--net", "pcap", "--by", "connection", "-o", "ndjson", "0.4"];
/// Bytes of an Ethernet header, which loopback has and does not count.
const ETHERNET: u64 = 14;

#[test]
fn on_loopback_both_directions_are_the_senders_bytes_and_the_devices_packets() {
    let space = Space::new();
    let before = space.counters("lo");
    let watcher = space.watch(&ALONE, &BY_CONNECTION);
    let mut moved = Vec::new();
    for protocol in ["tcp", "udp"] {
        for family in ["4", "6", "mapped"] {
            let reports = space.talk(protocol, family);
            moved.extend(reports.into_iter().map(|load| (format!("{protocol} {family}"), load)));
        }
    }
    thread::sleep(Duration::from_millis(900));
    let (lines, code) = watcher.end(libc::SIGINT);
    assert_eq!(code, Some(0));
    let now = space.counters("lo");
    let (sums, losses) = sums(&lines, space.inode());
    for (case, (pid, tx, rx)) in &moved {
        let sum = sums.get(pid).copied().unwrap_or_default();
        assert_eq!((sum.tx_bytes, sum.rx_bytes), (*tx, *rx), "{case}, pid {pid}: {losses:?}");
    }
    let all = all(&sums);
    assert_eq!((losses["pcap_dropped"], losses["pcap_unread"]), (0, 0));
    assert_eq!((all.tx_packets, all.rx_packets), (now[3] - before[3], now[1] - before[1]));
    assert_eq!(all.tx_wire_bytes, now[2] - before[2] + ETHERNET * all.tx_packets);
    assert_eq!(all.rx_wire_bytes, all.tx_wire_bytes);
}

#[test]
fn connections_that_open_and_close_at_once_are_the_servers_and_what_has_no_owner_says_so() {
    let space = Space::new();
    let before = space.counters("lo");
    let watcher = space.watch(&ALONE, &BY_CONNECTION);
    let [server, client] = space.talk("short", "4")[..] else { unreachable!("there are two") };
    let (server, client) = if server.1 == 997 * 307 { (server, client) } else { (client, server) };
    thread::sleep(Duration::from_millis(900));
    let (lines, _) = watcher.end(libc::SIGINT);
    let now = space.counters("lo");
    let (sums, losses) = sums(&lines, space.inode());
    assert_eq!(losses["pcap_dropped"], 0);
    assert_eq!(all(&sums).tx_packets, now[3] - before[3]);
    assert_eq!(all(&sums).tx_bytes, server.1 + client.1);
    // Whoever listens is there however short a connection is.
    let of = |pid: u64| sums.get(&pid).copied().unwrap_or_default();
    assert_eq!((of(server.0).tx_bytes, of(server.0).rx_bytes), (server.1, server.2), "{sums:?}");
    // Some of the client's are found, and the others are nobody's.
    let (found, nobody) = (of(client.0), of(0));
    assert_eq!(found.tx_bytes + nobody.tx_bytes, client.1, "{sums:?}");
    eprintln!("{} of the client's {} bytes are known to be its own", found.tx_bytes, client.1);
    for line in text(&lines).lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let nobodys = |row: &&Value| row["pid"] == 0 && row["netns"] == space.inode();
        for row in sample["rows"].as_array().unwrap().iter().filter(nobodys) {
            assert_eq!(row["command"], "unknown TCP", "{row}");
        }
    }
}

#[test]
fn the_trace_names_connections_without_a_process_as_nethogs_does() {
    let space = Space::new();
    let watcher = space.watch(&ALONE, &["net", "--net", "pcap", "-t", "-v", "2", "-d", "1"]);
    let reports = space.talk("short", "4");
    thread::sleep(Duration::from_millis(1900));
    let (shown, _) = watcher.end(libc::SIGINT);
    let shown = text(&shown);
    let ends: Vec<(&str, &str)> =
        shown.lines().filter_map(|line| line.strip_prefix("Unknown connection: ")?.split_once('-')).collect();
    assert!(!ends.is_empty() && shown.contains("\nunknown TCP/0/0\t"), "{reports:?} {shown}");
    // A client's ends are never the same; the server's process is always found.
    let port = |end: &str| end.strip_prefix("127.0.0.1:")?.parse::<u16>().ok();
    let servers: std::collections::BTreeSet<_> = ends.iter().map(|(_, remote)| port(remote)).collect();
    assert!(servers.len() == 1 && !servers.contains(&None), "{servers:?} {shown}");
    assert!(ends.iter().all(|(local, _)| port(local).is_some()), "{shown}");
}

/// Two namespaces with a line between them, where nothing but the test sends. In the first the line is part of a bridge, in
/// the second a device stands on it, so that packets pass two devices in both.
fn pair() -> (Space, Space) {
    let (a, b) = (Space::new(), Space::new());
    a.run(&format!(
        "ip link add kpa address 02:00:00:00:00:0a type veth peer name kpb address 02:00:00:00:00:0b netns {}
         ip link add kpbr address 02:00:00:00:00:0a type bridge mcast_snooping 0",
        b.holder.id()
    ));
    b.run("ip link add link kpb name kpup address 02:00:00:00:00:0c type macvlan");
    a.run("for name in kpa kpbr; do echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done");
    b.run("for name in kpb kpup; do echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done");
    a.run(
        "ip link set kpa master kpbr; ip link set kpa up; ip link set kpbr up
         ip addr add 10.9.1.1/24 dev kpbr; ip addr add 10.9.5.1/24 dev kpbr
         ip neigh add 10.9.1.2 lladdr 02:00:00:00:00:0b dev kpbr nud permanent
         ip neigh add 10.9.5.2 lladdr 02:00:00:00:00:0c dev kpbr nud permanent",
    );
    b.run(
        "ip link set kpb up; ip link set kpup up
         ip addr add 10.9.1.2/24 dev kpb; ip addr add 10.9.5.2/24 dev kpup
         ip neigh add 10.9.1.1 lladdr 02:00:00:00:00:0a dev kpb nud permanent
         ip neigh add 10.9.5.1 lladdr 02:00:00:00:00:0a dev kpup nud permanent",
    );
    // Until then what is sent goes nowhere.
    for (space, device) in [(&a, "kpbr"), (&b, "kpup")] {
        while !space.run(&format!("ip -o link show {device}")).contains("state UP") {
            thread::sleep(Duration::from_millis(20));
        }
    }
    (a, b)
}

#[test]
fn over_devices_packets_are_the_devices_own_in_every_namespace_and_fragments_belong_to_somebody() {
    const STREAM: usize = 3_000_017;
    const DATAGRAMS: usize = 40;
    const DATAGRAM: usize = 4001;
    let (a, b) = pair();
    let before = [a.counters("kpa"), b.counters("kpb")];
    // From outside of both.
    let watcher = Watcher::start(&BY_CONNECTION);
    for net in ["10.9.1", "10.9.5"] {
        let server = format!("{net}.2:5001");
        let (listen, from) = (server.clone(), format!("{net}.1:0"));
        let serve = b.enter(move || {
            let listener = TcpListener::bind(&listen).unwrap();
            let datagrams = UdpSocket::bind(&listen).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            let mut buffer = [0; 8192];
            let got: usize = (0..DATAGRAMS).map(|_| datagrams.recv(&mut buffer).unwrap()).sum();
            (all.len(), got)
        });
        let send = a.enter(move || {
            let mut stream = loop {
                match TcpStream::connect(&server) {
                    Ok(stream) => break stream,
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
            };
            stream.write_all(&vec![7; STREAM]).unwrap();
            thread::sleep(Duration::from_millis(600));
            drop(stream);
            let socket = UdpSocket::bind(from).unwrap();
            for _ in 0..DATAGRAMS {
                socket.send_to(&[1; DATAGRAM], &server).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
            thread::sleep(Duration::from_millis(600));
        });
        assert_eq!(serve.join().unwrap(), (STREAM, DATAGRAMS * DATAGRAM));
        send.join().unwrap();
    }
    thread::sleep(Duration::from_millis(900));
    let (lines, _) = watcher.end(libc::SIGINT);
    let now = [a.counters("kpa"), b.counters("kpb")];
    let both = 2 * (STREAM + DATAGRAMS * DATAGRAM) as u64;
    let own = u64::from(std::process::id());
    for (at, space) in [&a, &b].into_iter().enumerate() {
        let (sums, _) = sums(&lines, space.inode());
        let whole = all(&sums);
        let device: Vec<u64> = now[at].iter().zip(before[at]).map(|(now, before)| now - before).collect();
        assert_eq!((whole.rx_packets, whole.tx_packets), (device[1], device[3]), "namespace {at}");
        let ours = *sums.get(&own).unwrap_or_else(|| panic!("namespace {at}: {sums:?}"));
        let sent = if at == 0 { ours.tx_bytes } else { ours.rx_bytes };
        // A UDP datagram's header is in its first fragment only.
        assert_eq!(sent, both, "namespace {at}: {sums:?}");
        assert!(whole.tx_packets + whole.rx_packets > 2 * 3 * DATAGRAMS as u64);
        let wire = [whole.rx_wire_bytes, whole.tx_wire_bytes];
        for (wire, device) in wire.into_iter().zip([device[0], device[2]]) {
            assert_eq!(wire, device, "namespace {at}");
        }
    }
}

#[test]
fn what_the_buffer_has_no_room_for_is_counted_as_dropped() {
    let space = Space::new();
    let before = space.counters("lo");
    let watcher = space.watch(&ALONE, &BY_CONNECTION);
    watcher.signal(libc::SIGSTOP);
    let flood = space.enter(|| {
        let (to, from) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        from.connect(to.local_addr().unwrap()).unwrap();
        for _ in 0..150_000 {
            from.send(&[0; 7]).unwrap();
        }
    });
    flood.join().unwrap();
    let now = space.counters("lo");
    watcher.signal(libc::SIGCONT);
    thread::sleep(Duration::from_millis(1500));
    let (lines, _) = watcher.end(libc::SIGINT);
    let (sums, losses) = sums(&lines, space.inode());
    let packets = now[3] - before[3];
    assert!(packets >= 150_000, "{packets}");
    assert!(losses["pcap_dropped"] > 0, "{losses:?}");
    assert_eq!(all(&sums).tx_packets + losses["pcap_dropped"], packets);
}

#[test]
fn without_ebpf_packets_are_captured_and_that_is_said() {
    let space = Space::new();
    let watcher = space.watch(&WITHOUT_EBPF, &["-n", "-o", "ndjson", "0.4"]);
    let reports = space.talk("tcp", "4");
    thread::sleep(Duration::from_millis(900));
    let (lines, _) = watcher.end(libc::SIGINT);
    let mut sums: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for line in text(&lines).lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let about = &sample["kpidstat"];
        assert_eq!(
            (about["source"].as_str(), about["net_rung"].as_str()),
            (Some("proc"), Some("pcap")),
            "{about}"
        );
        for row in sample["task-network-load"].as_array().unwrap() {
            let sum = sums.entry(row["PID"].as_str().unwrap().parse().unwrap()).or_default();
            sum.0 += row["tx_bytes"].as_u64().unwrap();
            sum.1 += row["rx_bytes"].as_u64().unwrap();
        }
    }
    for (pid, tx, rx) in reports {
        assert_eq!(sums.get(&pid), Some(&(tx, rx)), "pid {pid}");
    }
    let output = run(&space, &WITHOUT_EBPF, &["-n", "0.1", "1"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("eBPF cannot be used, so /proc is read: CAP_BPF and CAP_PERFMON missing; "),
        "{said}"
    );
    assert!(said.contains("traffic is counted by pcap: packets are captured"), "{said}");
    assert!(text(&output.stdout).contains("~rxkB/s"), "{}", text(&output.stdout));
    let output = run(&space, &WITHOUT_EBPF, &["net", "0.1", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("~rxkB/s"), "{}", text(&output.stdout));
    let output = run(&space, &WITHOUT_EBPF, &["net", "-o", "csv", "0.1", "1"]);
    assert!(text(&output.stdout).lines().next().unwrap().ends_with(",net_rung,command"));
    let output = run(&space, &WITHOUT_EBPF, &["net", "--net", "tracepoint", "0.1", "1"]);
    assert_eq!(output.status.code(), Some(4), "what is demanded has no fallback");
}

#[test]
fn without_btf_packets_are_captured() {
    let own = tool::kpidstat();
    let script = format!("mount -t tmpfs none /sys/kernel/btf && exec {} -n -o ndjson 0.1 1", own.display());
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    assert!(
        text(&output.stderr).contains("so /proc is read: the kernel has no BTF"),
        "{}",
        text(&output.stderr)
    );
    let sample: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sample["kpidstat"]["net_rung"], "pcap");
}

#[test]
fn without_libpcap_it_starts_and_says_what_to_install() {
    let own = tool::kpidstat();
    // The directory without libpcap, for these commands only.
    let hidden = |prefix: &str, arguments: &str| {
        let script = format!(
            "dir=$(dirname $(ls /usr/lib/*/libpcap.so.0.8)) && mount -t tmpfs none /mnt && mkdir /mnt/up /mnt/work &&
             mount -t overlay none -o lowerdir=$dir,upperdir=/mnt/up,workdir=/mnt/work $dir && rm $dir/libpcap.so* &&
             exec {prefix} {} {arguments}",
            own.display()
        );
        Command::new("unshare").args(["-m", "sh", "-ec", &script]).output().unwrap()
    };
    let without_ebpf = WITHOUT_EBPF.join(" ");
    const MISSING: &str = "libpcap cannot be opened: libpcap.so.0.8: cannot open shared object file: No such file or directory; \
                           install libpcap (Debian: apt-get install libpcap0.8)";
    let output = hidden("", "-n --net pcap 0.1 1");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert_eq!(said, format!("kpidstat: --net pcap cannot be used: {MISSING}\n"));
    // The next state: everything else, and nothing of traffic.
    let output = hidden(&without_ebpf, "-n -u -o ndjson 0.1 1");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("nor can packets be captured: {MISSING}\n")), "{said}");
    let sample: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(sample["kpidstat"]["net_rung"].is_null() && sample["task-cpu-load"].is_array(), "{sample}");
    let output = hidden(&without_ebpf, "net 0.1 1");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(&format!("nor can packets be captured: {MISSING}")), "{said}");
    let output = hidden("", "doctor");
    let said = text(&output.stdout);
    let at = said.find("--net pcap").unwrap_or_else(|| panic!("{said}"));
    assert!(
        said[at..].contains("no: libpcap cannot be opened") && said[at..].contains("libpcap0.8"),
        "{said}"
    );
    // With eBPF nobody needs it.
    let output = hidden("", "-n 0.1 1");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn doctor_shows_the_rung_and_what_it_lacks() {
    let said = text(&tool::run(&["doctor"]).stdout);
    assert!(said.contains("--net pcap             works; packets are captured"), "{said}");
    let space = Space::new();
    let without = [&WITHOUT_EBPF[..1], &["--bounding-set=-sys_admin,-bpf,-perfmon,-net_raw"]].concat();
    let said = text(&run(&space, &without, &["doctor"]).stdout);
    assert!(said.contains("--net pcap             no: CAP_NET_RAW missing"), "{said}");
    assert!(said.contains("-> run as root, or with CAP_NET_RAW"), "{said}");
}

/// kpidstat in a namespace, to its end.
fn run(space: &Space, prefix: &[&str], arguments: &[&str]) -> Output {
    let own = tool::kpidstat();
    space
        .command(&[prefix, &[own.to_str().unwrap()], arguments].concat())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn devices_and_filters_choose_the_packets_and_with_ebpf_one_line_says_that_they_do_not() {
    let (_a, b) = pair();
    let echo = || {
        // A datagram over each of the three devices.
        for (from, to) in [("127.0.0.1", "127.0.0.1"), ("10.9.1.2", "10.9.1.1"), ("10.9.5.2", "10.9.5.1")] {
            let done = b.enter(move || {
                let socket = UdpSocket::bind((from, 4000)).unwrap();
                socket.send_to(&[0; 100], (to, 4001)).unwrap();
            });
            done.join().unwrap();
        }
    };
    let sent = |extra: &[&str]| {
        let watcher = b.watch(&[], &[&BY_CONNECTION[..], extra].concat());
        echo();
        thread::sleep(Duration::from_millis(900));
        let (lines, _) = watcher.end(libc::SIGINT);
        let mut ends: Vec<String> = Vec::new();
        for line in text(&lines).lines() {
            let sample: Value = serde_json::from_str(line).unwrap();
            for row in sample["rows"].as_array().unwrap().iter().filter(|row| row["netns"] == b.inode()) {
                if row["protocol"] == "udp" && row["tx_bytes"].as_u64().unwrap() > 0 {
                    ends.push(row["local_address"].as_str().unwrap().into());
                }
            }
        }
        ends.sort();
        ends.join(" ")
    };
    assert_eq!(sent(&[]), "10.9.1.2 10.9.5.2 127.0.0.1");
    assert_eq!(sent(&["--dev", "kpup"]), "10.9.5.2");
    assert_eq!(sent(&["--dev", "kpb"]), "10.9.1.2 10.9.5.2");
    assert_eq!(sent(&["--dev", "lo,kpup"]), "10.9.5.2 127.0.0.1");
    assert_eq!(sent(&["--dev", "lo", "--dev", "kpup"]), "10.9.5.2 127.0.0.1");
    assert_eq!(sent(&["lo"]), "127.0.0.1");
    assert_eq!(sent(&["-f", "udp and net 10.9.1.0/24"]), "10.9.1.2");
    let said = |arguments: &[&str]| {
        let output = run(&b, &[], arguments);
        (output.status.code(), text(&output.stderr))
    };
    for arguments in [
        &["net", "kpb", "0.1", "1"][..],
        &["-n", "--dev", "kpb", "0.1", "1"],
        &["net", "-f", "udp", "0.1", "1"],
    ] {
        let (code, said) = said(arguments);
        assert_eq!((code, said.lines().count()), (Some(0), 1), "{arguments:?}: {said}");
        assert!(said.contains("on all devices and unfiltered"), "{said}");
    }
    let (code, message) = said(&["net", "--net", "pcap", "--dev", "nonesuch", "0.1", "1"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("capture on nonesuch: there is no such device"), "{message}");
    let (code, message) = said(&["net", "--net", "pcap", "-f", "no filter", "0.1", "1"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("filter \"no filter\": "), "{message}");
}

#[test]
fn called_nethogs_it_captures_promiscuously_what_it_is_told_to() {
    let (_a, b) = pair();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("nethogs");
    std::os::unix::fs::symlink(tool::kpidstat(), &link).unwrap();
    let words = [
        &WITHOUT_EBPF[..],
        &[link.to_str().unwrap(), "-t", "-p", "-C", "-v", "2", "-d", "1", "-c", "3", "kpb"],
    ]
    .concat();
    let promiscuity = || -> u32 {
        let shown = b.run("ip -d link show kpb");
        let mut words = shown.split_whitespace().skip_while(|word| *word != "promiscuity");
        words.nth(1).unwrap_or_else(|| panic!("{shown}")).parse().unwrap()
    };
    let before = promiscuity();
    let mut trace = b.command(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(trace.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("Refreshing") {
        assert!(stdout.read_line(&mut shown).unwrap() > 0, "nothing was shown");
    }
    assert_eq!(promiscuity(), before + 1);
    let pid = b.enter(|| {
        let socket = UdpSocket::bind("10.9.1.2:4000").unwrap();
        socket.send_to(&[0; 1000], "10.9.1.1:4001").unwrap();
        // Its owner is there when it is looked for.
        thread::sleep(Duration::from_millis(1500));
        std::process::id()
    });
    let pid = pid.join().unwrap();
    stdout.read_to_string(&mut shown).unwrap();
    assert!(trace.wait().unwrap().success());
    assert!(shown.contains(&format!("/{pid}/0\t1042\t0\n")), "{shown}");
}

#[test]
fn called_nethogs_it_leaves_loopback_out_unless_all_devices_are_asked_for() {
    let space = Space::new();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("nethogs");
    std::os::unix::fs::symlink(tool::kpidstat(), &link).unwrap();
    for (all, shown) in [(&[][..], false), (&["-a"], true)] {
        let options = ["-t", "-C", "-v", "2", "-d", "1", "-c", "6"];
        let words = [&WITHOUT_EBPF[..], &[link.to_str().unwrap()], &options, all].concat();
        let mut trace = space.command(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(trace.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("Refreshing") {
            assert!(stdout.read_line(&mut text).unwrap() > 0, "nothing was shown");
        }
        let [server, client] = space.talk("udp", "4")[..] else { unreachable!("there are two") };
        stdout.read_to_string(&mut text).unwrap();
        assert!(trace.wait().unwrap().success());
        for process in [server, client] {
            assert_eq!(text.contains(&format!("/{}/0\t", process.0)), shown, "{text}");
        }
    }
}
