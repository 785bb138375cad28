//! A connection over a pair of devices between two namespaces of its own, and what the client's device counted.

use crate::wire::{Did, Family, await_go, own_network, report, stop_after, wait};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    process::Command,
};

const CLIENT: &str = "10.203.7.1";
const SERVER: &str = "10.203.7.2";
const PORT: u16 = 5001;
const BYTES: usize = 10_000_019;

pub fn run(case: &str, _: Family) -> bool {
    match case {
        "veth" => over_devices(None, false),
        "veth-ready" => over_devices(None, true),
        "veth-loss" => over_devices(Some(Loss { percent: 3, until_ms: None }), false),
        "veth-udp" => datagrams_over_devices(307, 500),
        "veth-fragments" => datagrams_over_devices(4000, 0),
        "veth-syn" => over_devices(Some(Loss { percent: 100, until_ms: Some(500) }), false),
        _ => return false,
    }
    true
}

/// What the server's side does not receive.
#[derive(Clone, Copy)]
struct Loss {
    percent: i32,
    /// How long after it listens; to the end without.
    until_ms: Option<u64>,
}

/// A client that sends and a server that answers, over TCP; with `told` the client says when it is ready, and waits.
fn over_devices(loss: Option<Loss>, told: bool) {
    two_networks(
        |tell| serve(loss, tell),
        || {
            if told {
                println!("ready");
                await_go();
            }
            let mut stream = TcpStream::connect((SERVER, PORT)).expect("connect");
            let data = vec![b'v'; 65_536];
            let mut left = BYTES;
            while left > 0 {
                left -= stream.write(&data[..left.min(65_536)]).expect("write");
            }
            stream.read_exact(&mut [0]).expect("the answer");
            stream
        },
    );
}

/// A client that sends datagrams of so many bytes, and many in one call that become datagrams of so many, if any; a server
/// that answers. The report has what the client's device counted.
fn datagrams_over_devices(bytes: usize, segment: usize) {
    let calls = if segment > 0 { 22 } else { 0 };
    two_networks(
        |tell| {
            let socket = UdpSocket::bind((SERVER, PORT)).expect("bind");
            // Room for everything, however late this process runs.
            crate::layers::set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 16 << 20);
            tell.write_all(b"x").expect("tell");
            let mut left = 53 * bytes + calls * 10 * segment;
            let mut client = None;
            while left > 0 {
                let (n, from) = socket.recv_from(&mut [0; 65_536]).expect("recv");
                (left, client) = (left - n, Some(from));
            }
            for _ in 0..31 {
                socket.send_to(&[1; 211], client.expect("somebody")).expect("answer");
            }
            // Its end is that of its network, and of the devices.
            socket.recv(&mut [0]).expect("the farewell");
        },
        || {
            // The device has no hand in cutting what is sent together into packets.
            ip(&["link", "set", "kpa", "gso_max_segs", "1"]);
            let socket = UdpSocket::bind((CLIENT, 0)).expect("bind");
            socket.connect((SERVER, PORT)).expect("connect");
            for _ in 0..53 {
                socket.send(&vec![1; bytes]).expect("send");
            }
            for call in 0..calls {
                // Half of them say so with each call, half for the socket.
                if call == calls / 2 {
                    crate::layers::set(&socket, libc::IPPROTO_UDP, UDP_SEGMENT, segment as libc::c_int);
                }
                let one = (call < calls / 2).then_some(segment as u16);
                send_segments(&socket, &vec![1; 10 * segment], one);
            }
            for _ in 0..31 {
                socket.recv(&mut [0; 2048]).expect("the answer");
            }
            Farewell(socket)
        },
    );
}

/// Tells the other side that this one is done.
struct Farewell(UdpSocket);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.send(&[1]);
    }
}

const UDP_SEGMENT: libc::c_int = 103;

/// Sends so many bytes in one call; `segment` says in a control message how long the datagrams are.
fn send_segments(socket: &UdpSocket, data: &[u8], segment: Option<u16>) {
    #[repr(C, align(8))]
    struct Control([u8; 32]);
    let mut control = Control([0; 32]);
    // SAFETY: the control buffer is aligned and larger than the message; all pointers outlive the call.
    unsafe {
        let mut vector = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        if let Some(segment) = segment {
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = libc::CMSG_SPACE(2) as _;
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            (*message).cmsg_level = libc::IPPROTO_UDP;
            (*message).cmsg_type = UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(2) as _;
            libc::CMSG_DATA(message).cast::<u16>().write_unaligned(segment);
        }
        let n = libc::sendmsg(socket.as_raw_fd(), &raw const header, 0);
        assert_eq!(usize::try_from(n), Ok(data.len()), "sendmsg: {}", std::io::Error::last_os_error());
    }
}

/// The client is this process; the server is a child in a namespace of its own. Both get a device, so nothing of it is left
/// when they end. What the client leaves open stays so until the test has looked.
fn two_networks<T>(serve: impl FnOnce(&mut fs::File), client: impl FnOnce() -> T) {
    own_network();
    let (mut ready, mut tell) = pipe();
    let (mut set_up, mut go) = pipe();
    // SAFETY: this program is single-threaded.
    let server = unsafe { libc::fork() };
    assert!(server >= 0);
    if server == 0 {
        stop_after(60);
        own_network();
        tell.write_all(b"x").expect("tell");
        set_up.read_exact(&mut [0]).expect("set up");
        device("kpb", SERVER, CLIENT, "02:00:00:00:00:0a");
        serve(&mut tell);
        // SAFETY: never returns.
        unsafe { libc::_exit(0) };
    }
    ready.read_exact(&mut [0]).expect("the server's namespace");
    let peer = server.to_string();
    ip(&[
        "link",
        "add",
        "kpa",
        "address",
        "02:00:00:00:00:0a",
        "type",
        "veth",
        "peer",
        "name",
        "kpb",
        "address",
        "02:00:00:00:00:0b",
        "netns",
        &peer,
    ]);
    device("kpa", CLIENT, SERVER, "02:00:00:00:00:0b");
    go.write_all(b"x").expect("go");
    ready.read_exact(&mut [0]).expect("the server listens");
    let before = counters();
    let open = client();
    // The last acknowledgements.
    crate::wire::sleep_ms(500);
    let now = counters();
    let [tx, rx, tx_messages, rx_messages] = std::array::from_fn(|at| now[at] - before[at]);
    report(Did { tx, rx, tx_messages, rx_messages });
    await_go();
    drop(open);
    wait(&[server]);
}

fn serve(loss: Option<Loss>, tell: &mut fs::File) {
    let mut group = loss.map(|loss| Lossy::enter(loss.percent));
    let listener = TcpListener::bind((SERVER, PORT)).expect("bind");
    tell.write_all(b"x").expect("tell");
    if let Some(until_ms) = loss.and_then(|loss| loss.until_ms) {
        crate::wire::sleep_ms(until_ms);
        drop(group.take());
    }
    let (mut stream, _) = listener.accept().expect("accept");
    let mut buffer = vec![0; 65_536];
    let mut left = BYTES;
    while left > 0 {
        left -= stream.read(&mut buffer).expect("read");
    }
    stream.write_all(b"!").expect("answer");
    // Until the client closes.
    let _ = stream.read(&mut buffer);
}

/// Bytes sent and received, packets sent and received, by the client's device.
fn counters() -> [u64; 4] {
    let text = fs::read_to_string("/proc/self/net/dev").expect("devices");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("kpa:")).expect("the device");
    let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    [numbers[8], numbers[0], numbers[9], numbers[1]]
}

/// Gives a device its address and a neighbour that need not be asked for, and takes offloads off it.
fn device(name: &str, own: &str, other: &str, other_mac: &str) {
    // Neighbour discovery of IPv6 would be counted too.
    fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").expect("no IPv6");
    ip(&["addr", "add", &format!("{own}/24"), "dev", name]);
    ip(&["neigh", "add", other, "lladdr", other_mac, "dev", name, "nud", "permanent"]);
    for offload in [ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO] {
        switch_off(name, offload);
    }
    ip(&["link", "set", name, "up"]);
}

fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).status().expect("ip");
    assert!(done.success(), "ip {words:?}");
}

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;
const ETHTOOL_SGRO: u32 = 0x2c;

fn switch_off(name: &str, offload: u32) {
    // struct ethtool_value: the command, and the value.
    let mut value = [offload, 0];
    // SAFETY: all zeros are a valid ifreq; `value` lives until the call returns; the socket is closed at exit.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = byte as libc::c_char;
        }
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        assert_eq!(libc::ioctl(socket, SIOCETHTOOL, &raw mut request), 0, "ethtool {offload:#x}");
        libc::close(socket);
    }
}

fn pipe() -> (fs::File, fs::File) {
    use std::os::fd::FromRawFd;
    let [from, to] = crate::wire::pipe();
    // SAFETY: descriptors that nothing else owns.
    unsafe { (fs::File::from_raw_fd(from), fs::File::from_raw_fd(to)) }
}

/// A control group whose members lose some of the packets that they receive.
struct Lossy {
    group: std::path::PathBuf,
    home: std::path::PathBuf,
    /// What detaching takes; the sockets of the group would keep the program.
    attached: [u64; 4],
    _open: fs::File,
}

impl Lossy {
    fn enter(percent: i32) -> Lossy {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let root = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let root = std::path::PathBuf::from(root.and_then(|line| line.split(' ').nth(1)).expect("cgroup v2"));
        let own = fs::read_to_string("/proc/self/cgroup").expect("cgroup");
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
        let home = root.join(own);
        let group = home.join(format!("kp-lossy-{}", std::process::id()));
        fs::create_dir(&group).expect("a group");
        fs::write(group.join("cgroup.procs"), std::process::id().to_string()).expect("enter");
        let open = fs::File::open(&group).expect("group");
        let attached = drop_some(&open, percent);
        Lossy { group, home, attached, _open: open }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        bpf(BPF_PROG_DETACH, &self.attached);
        let _ = fs::write(self.home.join("cgroup.procs"), std::process::id().to_string());
        let _ = fs::remove_dir(&self.group);
    }
}

/// Attaches `return bpf_get_prandom_u32() % 100 >= percent` to what the group receives.
fn drop_some(group: &fs::File, percent: i32) -> [u64; 4] {
    // struct bpf_insn: opcode, registers, offset, immediate.
    let instruction = |op: u8, regs: u8, off: i16, imm: i32| {
        u64::from(op) | u64::from(regs) << 8 | u64::from(off as u16) << 16 | u64::from(imm as u32) << 32
    };
    let program = [
        instruction(0x85, 0, 0, 7),          // call bpf_get_prandom_u32
        instruction(0x94, 0, 0, 100),        // w0 %= 100
        instruction(0xbc, 0x01, 0, 0),       // w1 = w0
        instruction(0xb4, 0, 0, 1),          // w0 = 1
        instruction(0x36, 0x01, 1, percent), // if w1 >= percent goto +1
        instruction(0xb4, 0, 0, 0),          // w0 = 0
        instruction(0x95, 0, 0, 0),          // exit
    ];
    let licence = c"GPL";
    // As the kernel has it: prog_type and insn_cnt, insns, license, and so on; then target_fd and attach_bpf_fd,
    // attach_type and attach_flags.
    const CGROUP_SKB: u64 = 8;
    let mut load = [0u64; 16];
    load[0] = CGROUP_SKB | (program.len() as u64) << 32;
    load[1] = program.as_ptr() as u64;
    load[2] = licence.as_ptr() as u64;
    let attach = [group.as_raw_fd() as u64 | (bpf(BPF_PROG_LOAD, &load) as u64) << 32, 0, 0, 0];
    bpf(BPF_PROG_ATTACH, &attach);
    attach
}

const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_DETACH: i32 = 9;

fn bpf(command: i32, attributes: &[u64]) -> libc::c_long {
    // SAFETY: the attributes, and what they point to, live until the call returns.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    assert!(done >= 0, "bpf command {command}: {}", std::io::Error::last_os_error());
    done
}
