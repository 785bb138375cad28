//! What a query says of a process's sockets: this test's own, which knows what it opened and moved. No root needed.

use pidstat_tests::tool;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
};

fn query(arguments: &[&str]) -> Value {
    let output = tool::run(&[&["query"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Two connected ends.
fn connected(address: &str) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    (listener, near, far)
}

fn send(mut from: &TcpStream, mut to: &TcpStream, bytes: usize) {
    from.write_all(&vec![7; bytes]).unwrap();
    to.read_exact(&mut vec![0; bytes]).unwrap();
}

// One test: the process is the same for all of them.
#[test]
fn sockets_and_what_their_connections_moved_are_those_of_the_process() {
    let mine = format!("$..children[?(@.stat.pid == {})]", std::process::id());
    let net = || query(&[&format!("{mine}.net")])[0].clone();
    let before = net();
    let number = |value: &Value, name: &str| value[name].as_i64().unwrap();
    let grown = |name: &str| number(&net(), name) - number(&before, name);

    let (_listener, near, far) = connected("127.0.0.1:0");
    let (_other, six, six_far) = connected("[::1]:0");
    let _unix = UnixStream::pair().unwrap();
    let _udp = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
    send(&near, &far, 1_000_003);
    send(&far, &near, 997);
    send(&six, &six_far, 31);
    // A second descriptor is not a second socket.
    let _again = near.try_clone().unwrap();
    // Written, and read by nobody yet.
    (&six).write_all(&[7; 11]).unwrap();
    // An acknowledgement is not what is asked for, so nothing is to be waited for.
    let names = ["sockets", "tcp", "udp", "unix", "rx_bytes", "tx_bytes"];
    assert_eq!(names.map(grown), [10, 4, 2, 2, 1_001_042, 1_001_042], "{before} {}", net());

    // The same as a member that is listed, in SQL, and in a recording's plots.
    let node = query(&["-f", "stat,net", &mine]);
    assert_eq!(node[0]["net"]["tcp"], net()["tcp"]);
    let sql = query(&[&mine, "SELECT net_tcp, net_rx_bytes FROM record"]);
    assert_eq!(sql[0]["net_tcp"], net()["tcp"]);
    let dir = tempfile::tempdir().unwrap();
    let (file, picture) = (dir.path().join("out.sqlite"), dir.path().join("out.csv"));
    let (path, csv) = (file.to_str().unwrap(), picture.to_str().unwrap());
    let recorded =
        tool::run(&["record", "-d", path, "-r", "2", "-i", "0.1", "-f", "stat,net", "--reports", "-", &mine]);
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    for (name, column) in [("tcp", "tcp"), ("sockets", "sockets")] {
        assert!(tool::run(&["plot", "-d", path, "-q", name, "-f", csv]).status.success());
        let text = std::fs::read_to_string(&picture).unwrap();
        let last: f64 = text.trim_end().rsplit([',', '\n']).next().unwrap().parse().unwrap();
        assert_eq!(json!(last as i64), net()[column], "{text}");
    }
    drop((near, far, _again));
    assert_eq!(["tcp", "rx_bytes"].map(grown), [2, 42]);
}
