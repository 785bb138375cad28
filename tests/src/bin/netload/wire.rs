//! Processes, sockets and reports for the workloads.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, RawFd},
};

/// What one process did, by the return values of its calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Did {
    pub tx: u64,
    pub rx: u64,
    pub tx_messages: u64,
    pub rx_messages: u64,
}

impl Did {
    pub fn sent(tx: u64) -> Did {
        Did { tx, ..Did::default() }
    }

    pub fn received(rx: u64) -> Did {
        Did { rx, ..Did::default() }
    }
}

/// How the two sides address each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
    /// IPv4 through IPv6 sockets.
    Mapped,
}

impl Family {
    pub fn any_port(self) -> SocketAddr {
        match self {
            Family::V4 => (Ipv4Addr::LOCALHOST, 0).into(),
            Family::V6 => (Ipv6Addr::LOCALHOST, 0).into(),
            Family::Mapped => (Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }

    pub fn local(self, port: u16) -> SocketAddr {
        match self {
            Family::V4 => (Ipv4Addr::LOCALHOST, port).into(),
            Family::V6 => (Ipv6Addr::LOCALHOST, port).into(),
            Family::Mapped => (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into(),
        }
    }
}

pub fn stop_after(seconds: u32) {
    // SAFETY: no pointers; SIGALRM's default action ends the process. SIGPIPE off, so that a reset is an error code.
    unsafe {
        libc::alarm(seconds);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

/// A network namespace of this process' own, with its loopback up.
pub fn own_network() {
    // SAFETY: `request` is a valid ifreq; the socket is closed by the kernel at exit.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNET), 0, "unshare: {}", io::Error::last_os_error());
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        assert_eq!(libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request), 0);
        libc::close(fd);
    }
}

/// Goes on as process 1 of a PID namespace of its own; the process that was started waits for it.
pub fn own_numbers() {
    // SAFETY: no pointers; the program is single-threaded.
    let pid = unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWPID), 0, "unshare: {}", io::Error::last_os_error());
        libc::fork()
    };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid > 0 {
        wait(&[pid]);
        std::process::exit(0);
    }
    stop_after(60);
}

/// Runs `work` in a process of its own, which reports and exits at once, leaving its sockets to the kernel.
pub fn process(work: impl FnOnce() -> Did) -> libc::pid_t {
    // SAFETY: this program is single-threaded whenever it forks.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid == 0 {
        stop_after(60);
        report(work());
        // SAFETY: never returns.
        unsafe { libc::_exit(0) };
    }
    pid
}

/// Says what this process did; one write, so that lines of several processes never mix.
pub fn report(did: Did) {
    let pid = std::process::id();
    let line = format!("{pid} {} {} {} {}\n", did.tx, did.rx, did.tx_messages, did.rx_messages);
    io::stdout().write_all(line.as_bytes()).expect("report");
    io::stdout().flush().expect("report");
}

/// Waits for processes; a workload that failed fails the whole run.
pub fn wait(pids: &[libc::pid_t]) {
    let mut failed = false;
    for pid in pids {
        let mut status = 0;
        // SAFETY: `status` is valid for the call to fill.
        unsafe { libc::waitpid(*pid, &raw mut status, 0) };
        failed |= status != 0;
    }
    if failed {
        std::process::exit(1);
    }
}

/// A line on standard output that the test waits for, then one on standard input to go on.
pub fn pause(word: &str) {
    println!("{word}");
    io::stdout().flush().expect("stdout");
    await_go();
}

pub fn await_go() {
    let mut byte = [0];
    let _ = io::stdin().read(&mut byte).expect("go");
}

/// A client and a server process with one TCP connection between them.
pub fn pair(family: Family, client: impl FnOnce(TcpStream) -> Did, server: impl FnOnce(TcpStream) -> Did) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let to = family.local(listener.local_addr().expect("address").port());
    let server = process(|| server(listener.accept().expect("accept").0));
    let client = process(|| client(TcpStream::connect(to).expect("connect")));
    wait(&[server, client]);
}

/// A sender and a receiver process; the receiver's socket is bound before either starts.
pub fn datagrams(
    family: Family,
    sender: impl FnOnce(UdpSocket, SocketAddr) -> Did,
    receiver: impl FnOnce(UdpSocket) -> Did,
) {
    let inbox = UdpSocket::bind(family.any_port()).expect("bind");
    inbox.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("timeout");
    let to = family.local(inbox.local_addr().expect("address").port());
    let receiver = process(|| receiver(inbox.try_clone().expect("dup")));
    let sender = process(|| sender(UdpSocket::bind(family.any_port()).expect("bind"), to));
    wait(&[receiver, sender]);
}

/// Reads to the end of file, `size` bytes at a time.
pub fn read_all(stream: &mut TcpStream, size: usize) -> u64 {
    let mut buffer = vec![0; size];
    let mut sum = 0;
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        sum += n as u64;
    }
    sum
}

/// Writes `total` bytes, `size` at a time.
pub fn write_all(stream: &mut TcpStream, total: usize, size: usize) -> u64 {
    let data = vec![b'x'; size];
    let mut left = total;
    while left > 0 {
        left -= stream.write(&data[..size.min(left)]).expect("write");
    }
    total as u64
}

/// `recv` with flags; `None` on error.
pub fn recv(fd: &impl AsRawFd, buffer: &mut [u8], flags: libc::c_int) -> Option<u64> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes.
    let n = unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    u64::try_from(n).ok()
}

/// `send` with flags; `None` on error.
pub fn send(fd: &impl AsRawFd, buffer: &[u8], flags: libc::c_int) -> Option<u64> {
    // SAFETY: the kernel reads `buffer.len()` bytes.
    let n = unsafe { libc::send(fd.as_raw_fd(), buffer.as_ptr().cast(), buffer.len(), flags) };
    u64::try_from(n).ok()
}

/// Moves bytes between a pipe and a socket; 0 at the end.
pub fn splice(from: RawFd, to: RawFd, len: usize) -> u64 {
    // SAFETY: null offsets are right for pipes and sockets.
    let n = unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), len, 0) };
    u64::try_from(n).expect("splice")
}

pub fn pipe() -> [RawFd; 2] {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    ends
}

pub fn sleep_ms(ms: u64) {
    std::thread::sleep(std::time::Duration::from_millis(ms));
}
