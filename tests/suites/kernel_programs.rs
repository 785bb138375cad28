//! Programs that nobody here wrote, and their own counts of bytes: kpidstat says the same of their processes, to the byte.
//! Needs root; nothing is skipped.

use pidstat_tests::programs::{Moved, Row, Server, Watch, client, find, own_network, sum};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// The report that people read, for machines.
const PROCESSES: [&str; 4] = ["-n", "-o", "ndjson", "0.4"];
/// The same by connection, for programs that count each of theirs.
const CONNECTIONS: [&str; 6] = ["net", "--by", "connection", "-o", "ndjson", "0.4"];

/// What one process of iperf3 says of its streams, in the order in which both ends have them.
struct Iperf {
    pid: u32,
    said: Value,
}

impl Iperf {
    /// Local ports of the streams.
    fn ports(&self) -> Vec<u64> {
        let connected = self.said["start"]["connected"].as_array().expect("streams");
        connected.iter().map(|stream| stream["local_port"].as_u64().expect("a port")).collect()
    }

    /// Bytes of one end of a TCP stream.
    fn stream(&self, number: usize, end: &str) -> u64 {
        self.said["end"]["streams"][number][end]["bytes"].as_u64().expect("bytes")
    }

    fn total(&self, of: &str) -> u64 {
        self.said["end"][of]["bytes"].as_u64().expect("bytes")
    }

    /// What kpidstat says of its sockets of a protocol.
    fn moved(&self, rows: &[Row], protocol: &str) -> Moved {
        sum(rows, |row| row.pid == self.pid && row.connection.0.starts_with(protocol))
    }
}

/// Runs a server and a client; both count.
fn iperf3(options: &str) -> (Vec<Row>, Iperf, Iperf) {
    const PORT: &str = "5201";
    let watch = Watch::start(&CONNECTIONS);
    own_network();
    let program = find("iperf3", "iperf3");
    let mut command = Command::new(&program);
    command.args(["--server", "--one-off", "--json", "--port", PORT]).stdout(std::process::Stdio::piped());
    let server = Server::start(&mut command, "tcp", 5201);
    let server_pid = server.pid();
    let (client_pid, client) = client(
        Command::new(&program)
            .args(["--client", "127.0.0.1", "--json", "--port", PORT])
            .args(options.split(' ')),
    );
    let server = String::from_utf8(server.wait().stdout).expect("text");
    let json = |said: &str| serde_json::from_str(said).unwrap_or_else(|why| panic!("{why}: {said}"));
    let rows = watch.end();
    (rows, Iperf { pid: client_pid, said: json(&client) }, Iperf { pid: server_pid, said: json(&server) })
}

/// What iperf3 sends first on each TCP stream, and does not count: a cookie.
const COOKIE: u64 = 37;

/// A client that receives goes on reading when the test is over, and does not count that: it took what it says at least, and
/// what was sent at most.
fn drained(moved: Moved, counted: u64, sent: u64, options: &str) {
    assert!(
        counted > 0 && (counted..=sent).contains(&moved.rx) && moved.tx == 0,
        "{options}: {moved:?}, {counted}"
    );
}

/// Tolerance 0: each stream at both ends, in both directions, one at a time and together (but see [`drained`]); and what
/// is left of a process's bytes is its control connection, at both ends the same.
#[test]
fn iperf3_over_tcp() {
    for options in [
        "--bytes 50M --parallel 3",
        "--bytes 50M --parallel 2 --reverse --zerocopy",
        "--bytes 20M --parallel 2 --length 7919",
        "--bytes 20M --parallel 2 --bidir",
    ] {
        let (rows, client, server) = iperf3(options);
        let mut streams = [Moved::default(); 2];
        let ports = client.ports();
        assert!(ports.len() >= 2 && server.ports().len() == ports.len(), "{options}");
        for (number, port) in ports.iter().enumerate() {
            let (ours, theirs) =
                (format!("127.0.0.1:{port}-127.0.0.1:5201"), format!("127.0.0.1:5201-127.0.0.1:{port}"));
            let at = |pid: u32, key: &str| sum(&rows, |row| row.pid == pid && row.connection.1 == key);
            let (here, there) = (at(client.pid, &ours), at(server.pid, &theirs));
            let (here_payload, there_payload) =
                (Moved { tx: here.tx - COOKIE, ..here }, Moved { rx: there.rx - COOKIE, ..there });
            // One of the two only sends, the other one only receives.
            let (sender, sent) = if here_payload.tx > 0 {
                let received = server.stream(number, "receiver");
                assert_eq!(there_payload, Moved { tx: 0, rx: received }, "{options}");
                (here_payload, client.stream(number, "sender"))
            } else {
                drained(here_payload, client.stream(number, "receiver"), there_payload.tx, options);
                (there_payload, server.stream(number, "sender"))
            };
            assert!(sent > 0);
            assert_eq!(sender, Moved { tx: sent, rx: 0 }, "{options}");
            streams = [[streams[0], here].into_iter().sum(), [streams[1], there].into_iter().sum()];
        }
        let rest = |iperf: &Iperf, streams: Moved| {
            let all = iperf.moved(&rows, "tcp");
            Moved { tx: all.tx - streams.tx, rx: all.rx - streams.rx }
        };
        let control = [rest(&client, streams[0]), rest(&server, streams[1])];
        assert_eq!((control[0].tx, control[0].rx), (control[1].rx, control[1].tx), "{options}");
        assert!((200..4_000).contains(&control[0].tx), "{options}: {control:?}");
    }
}

/// What iperf3 says hello with on each UDP stream, in both directions, and does not count.
const HELLO: u64 = 4;

/// Tolerance 0 for what a process's UDP sockets moved in all (but see [`drained`]).
#[test]
fn iperf3_over_udp() {
    for (direction, streams) in [("", 2), (" --reverse", 3)] {
        let options =
            format!("--udp --bitrate 200M --bytes 8M --length 1237 --parallel {streams}{direction}");
        let (rows, client, server) = iperf3(&options);
        let (sender, receiver) = if direction.is_empty() { (&client, &server) } else { (&server, &client) };
        let hello = HELLO * streams;
        let sent = sender.total("sum_sent");
        assert_eq!(sender.moved(&rows, "udp"), Moved { tx: sent + hello, rx: hello }, "{options}");
        let received = receiver.moved(&rows, "udp");
        let payload = Moved { tx: received.tx - hello, rx: received.rx - hello };
        let counted = receiver.total("sum_received");
        assert!(counted > 4_000_000, "{options}");
        if direction.is_empty() {
            assert_eq!(payload, Moved { tx: 0, rx: counted }, "{options}");
        } else {
            drained(payload, counted, sent, &options);
        }
    }
}

const NGINX: &str = "daemon off; worker_processes 2; pid DIR/pid; error_log DIR/error.log; user root;
events { worker_connections 200; }
http {
    log_format bytes '$pid $request_length $bytes_sent';
    access_log DIR/access.log bytes;
    client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
    sendfile on; client_max_body_size 100m;
    server { listen 127.0.0.1:8080; root DIR/files; location /up/ { dav_methods PUT; } }
}";

/// Tolerance 0, of curl's processes and of each of nginx's workers, over sendfile, uploads, errors and kept connections.
#[test]
fn curl_and_nginx() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("text");
    fs::create_dir_all(dir.path().join("files/up")).expect("a directory");
    fs::write(dir.path().join("files/large"), vec![b'x'; 7_654_321]).expect("a file");
    fs::write(dir.path().join("files/small"), b"small\n").expect("a file");
    fs::write(dir.path().join("upload"), vec![b'y'; 3_456_789]).expect("a file");
    fs::write(dir.path().join("nginx.conf"), NGINX.replace("DIR", path)).expect("a file");
    let watch = Watch::start(&PROCESSES);
    own_network();
    let mut command = Command::new(find("nginx", "nginx"));
    command.args(["-p", path, "-e", &format!("{path}/error.log"), "-c", &format!("{path}/nginx.conf")]);
    let server = Server::start(&mut command, "tcp", 8080);
    let url = |name: &str| format!("http://127.0.0.1:8080/{name}");
    let upload = format!("{path}/upload");
    let runs: [&[&str]; 6] = [
        &[&url("large")],
        &["--upload-file", &upload, &url("up/one")],
        &["--head", &url("large")],
        // Several over one connection, an error among them.
        &[&url("small"), &url("missing"), &url("large"), &url("small")],
        &["--range", "1000-2000", &url("large")],
        &["--request", "DELETE", &url("small")],
    ];
    let mut wanted = Vec::new();
    for run in runs {
        let mut curl = Command::new(find("curl", "curl"));
        // Its figures go to stdout, pages nowhere.
        curl.args(["--disable", "--silent", "--write-out", "%{json}\n"]);
        let (pid, said) = client(curl.args(run.iter().flat_map(|word| {
            if word.starts_with("http:") { vec!["--output", "/dev/null", word] } else { vec![*word] }
        })));
        let sizes = |line: &str| {
            let figures: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            let of = |key: &str| figures[key].as_u64().unwrap_or_else(|| panic!("{key} in {line}"));
            Moved { tx: of("size_request") + of("size_upload"), rx: of("size_header") + of("size_download") }
        };
        wanted.push((pid, said.lines().map(sizes).sum::<Moved>()));
    }
    drop(server);
    let rows = watch.end();
    for ((pid, sizes), run) in wanted.iter().zip(runs) {
        assert_eq!(sum(&rows, |row| row.pid == *pid), *sizes, "curl {run:?}");
    }
    let mut workers = BTreeMap::<u32, Moved>::new();
    let log = fs::read_to_string(dir.path().join("access.log")).expect("nginx's log");
    for line in log.lines() {
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let moved = Moved { tx: words[2], rx: words[1] };
        let sum = workers.entry(u32::try_from(words[0]).expect("a pid")).or_default();
        *sum = [*sum, moved].into_iter().sum();
    }
    assert_eq!(log.lines().count(), 9, "{log}");
    for (pid, logged) in workers {
        assert_eq!(sum(&rows, |row| row.pid == pid), logged, "nginx worker {pid}");
    }
}

/// Tolerance 0, of the server, the benchmark and the client that asks.
#[test]
fn redis_under_its_benchmark() {
    let dir = tempfile::tempdir().expect("a directory");
    let watch = Watch::start(&PROCESSES);
    own_network();
    let mut command = Command::new(find("redis", "redis-server"));
    command.args(["--port", "6379", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--logfile", "redis.log"]).current_dir(dir.path());
    let server = Server::start(&mut command, "tcp", 6379);
    let (benchmark, _) = client(Command::new(find("redis", "redis-benchmark")).args([
        "-p",
        "6379",
        "-q",
        "-n",
        "5000",
        "-c",
        "23",
        "-P",
        "5",
        "-d",
        "1013",
        "-t",
        "set,get,lpush,lrange_100,mset",
    ]));
    let (asking, info) =
        client(Command::new(find("redis", "redis-cli")).args(["-p", "6379", "INFO", "stats"]));
    let pid = server.pid();
    drop(server);
    let rows = watch.end();
    let of = |pid: u32| sum(&rows, |row| row.pid == pid);
    let figure = |key: &str| -> u64 {
        let line = info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{key} in {info}")).trim().parse().expect("a number")
    };
    // The answer that has the figures is not yet in them: `$LENGTH`, itself, and a line's end after both.
    let text = info.len();
    let answer = (format!("${text}\r\n").len() + text + 2) as u64;
    let served = Moved { tx: figure("total_net_output_bytes") + answer, rx: figure("total_net_input_bytes") };
    assert!(served.rx > 5_000_000 && served.tx > 5_000_000, "{served:?}");
    assert_eq!(of(pid), served, "redis-server");
    assert_eq!(of(asking).rx, answer, "redis-cli");
    // Nobody else spoke to the server.
    let rest = Moved { tx: served.rx - of(asking).tx, rx: served.tx - answer };
    assert_eq!(of(benchmark), rest, "redis-benchmark");
}

/// Tolerance 0, of dnsmasq, of the children that it forks for TCP, and of each dig.
#[test]
fn dig_and_dnsmasq() {
    let dir = tempfile::tempdir().expect("a directory");
    let watch = Watch::start(&PROCESSES);
    own_network();
    // By a name of its own, by which its children are known.
    let name = format!("dns-{}", std::process::id());
    let program = dir.path().join(&name);
    std::os::unix::fs::symlink(find("dnsmasq", "dnsmasq"), &program).expect("a link");
    let long: Vec<String> = ('a'..='f').map(|letter| letter.to_string().repeat(250)).collect();
    let mut command = Command::new(&program);
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
    ]);
    command.args([
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--port=5353",
        "--pid-file=",
        "--edns-packet-max=4096",
    ]);
    command.args(["--address=/short.test/192.0.2.7", &format!("--txt-record=long.test,{}", long.join(","))]);
    let server = Server::start(&mut command, "udp", 5353);
    let mut questions = String::new();
    for number in 0..97 {
        questions +=
            &format!("host{number}.short.test A\nnone{number}.test AAAA\nlong.test TXT +bufsize=4096\n");
    }
    let list = dir.path().join("questions");
    fs::write(&list, questions).expect("a file");
    let list = Path::to_str(&list).expect("text");
    let ask = |how: &[&str]| {
        let mut dig = Command::new(find("dig", "dig"));
        let (pid, said) = client(dig.args(["@127.0.0.1", "-p", "5353", "+qr", "+tries=1"]).args(how));
        let sizes = |mark: &str| -> Vec<u64> {
            let lines = said.lines().filter_map(|line| line.strip_prefix(mark)?.trim().parse().ok());
            lines.collect()
        };
        (pid, sizes(";; QUERY SIZE:"), sizes(";; MSG SIZE  rcvd:"))
    };
    let mut total = Moved::default();
    let mut wanted = Vec::new();
    let (udp, tcp) = (["-f", list], ["+tcp", "-f", list]);
    for (how, count, prefix) in [
        (&udp[..], 3 * 97, 0),
        (&["one.short.test"], 1, 0),
        // Over TCP two bytes of length go before each message.
        (&["+tcp", "long.test", "TXT"], 1, 2),
        (&tcp, 3 * 97, 2),
    ] {
        let (pid, sent, received) = ask(how);
        assert_eq!((sent.len(), received.len()), (count, count), "dig {how:?}");
        let bytes = |sizes: &[u64]| sizes.iter().map(|size| size + prefix).sum();
        let moved = Moved { tx: bytes(&sent), rx: bytes(&received) };
        wanted.push((pid, how, moved));
        total = [total, Moved { tx: moved.rx, rx: moved.tx }].into_iter().sum();
    }
    drop(server);
    let rows = watch.end();
    for (pid, how, moved) in wanted {
        assert_eq!(sum(&rows, |row| row.pid == pid), moved, "dig {how:?}");
    }
    assert_eq!(sum(&rows, |row| row.command.starts_with(&name)), total, "dnsmasq");
}
