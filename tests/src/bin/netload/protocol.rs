//! Workloads over what not every kernel has (kTLS, SCTP) and over ICMP, by raw and by ping sockets.

use crate::{
    layers::{set, socket, with_address},
    wire::{Did, Family, own_network, pair, pipe, process, read_all, recv, send, splice, wait, write_all},
};
use std::{
    io::Error,
    net::{Shutdown, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

pub fn run(case: &str, family: Family) -> bool {
    match case {
        "ktls" => pair(family, tls_request, tls_reply),
        "ktls-sendfile" => pair(
            family,
            |s| {
                encrypt(&s);
                crate::layers::sendfile(s)
            },
            |mut s| {
                encrypt(&s);
                Did::received(read_all(&mut s, 3001))
            },
        ),
        "ktls-splice-in" => pair(
            family,
            |mut s| {
                encrypt(&s);
                Did::sent(write_all(&mut s, 200_003, 4099))
            },
            tls_splice_in,
        ),
        "sctp" => sctp(family),
        "raw-icmp" => echo(family, libc::SOCK_RAW),
        "ping" => echo(family, libc::SOCK_DGRAM),
        _ => return false,
    }
    true
}

/// Whether this kernel has what a path needs, by asking for it.
pub fn has(what: &str) -> bool {
    let asked = match what {
        "tls" => {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
            let s = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
            let name = b"tls\0";
            // SAFETY: the name is as long as said.
            unsafe {
                libc::setsockopt(s.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_ULP, name.as_ptr().cast(), 4)
            }
        }
        // SAFETY: numbers only; the process ends soon, and its descriptor with it.
        "sctp" => unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP) },
        // SAFETY: as above.
        "mptcp" => unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 262) },
        _ => panic!("nothing is known of {what:?}"),
    };
    asked >= 0
}

/// Makes the kernel write and read TLS records on a connection, with a key that both sides know.
fn encrypt(s: &TcpStream) {
    const SOL_TLS: libc::c_int = 282;
    /// `struct tls12_crypto_info_aes_gcm_128`.
    #[repr(C)]
    struct Key {
        version: u16,
        cipher: u16,
        iv: [u8; 8],
        key: [u8; 16],
        salt: [u8; 4],
        rec_seq: [u8; 8],
    }
    let key = Key { version: 0x0303, cipher: 51, iv: [1; 8], key: [2; 16], salt: [3; 4], rec_seq: [0; 8] };
    let name = b"tls\0";
    // SAFETY: each value is as long as said.
    unsafe {
        let fd = s.as_raw_fd();
        let done = libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_ULP, name.as_ptr().cast(), 4);
        assert_eq!(done, 0, "TCP_ULP: {}", Error::last_os_error());
        for side in [1, 2] {
            let done = libc::setsockopt(fd, SOL_TLS, side, (&raw const key).cast(), size_of_val(&key) as u32);
            assert_eq!(done, 0, "TLS key {side}: {}", Error::last_os_error());
        }
    }
}

fn tls_request(mut s: TcpStream) -> Did {
    encrypt(&s);
    let tx = write_all(&mut s, 300_007, 4099);
    s.shutdown(Shutdown::Write).expect("shutdown");
    Did { tx, rx: read_all(&mut s, 101), ..Did::default() }
}

fn tls_reply(mut s: TcpStream) -> Did {
    encrypt(&s);
    // Looking is not taking.
    assert!(recv(&s, &mut [0; 101], libc::MSG_PEEK).is_some_and(|n| n > 0));
    let rx = read_all(&mut s, 3001);
    Did { tx: write_all(&mut s, 997, 997), rx, ..Did::default() }
}

fn tls_splice_in(s: TcpStream) -> Did {
    encrypt(&s);
    let [out, into] = pipe();
    let mut rx = 0;
    loop {
        match splice(s.as_raw_fd(), into, 4096) {
            0 => return Did::received(rx),
            n => rx += n,
        }
        // SAFETY: the buffer has room for what the pipe holds at most.
        unsafe { libc::read(out, [0u8; 65_536].as_mut_ptr().cast(), 65_536) };
    }
}

/// Messages each way over one SCTP association.
fn sctp(family: Family) {
    let listener = socket(family, libc::SOCK_STREAM, libc::IPPROTO_SCTP);
    let port = {
        // SAFETY: the address lives through the calls.
        unsafe {
            let bound = with_address(family.any_port(), |at, len| libc::bind(listener.as_raw_fd(), at, len));
            assert_eq!(bound, 0, "bind: {}", Error::last_os_error());
            assert_eq!(libc::listen(listener.as_raw_fd(), 1), 0);
        }
        // Only the address of the socket is asked for, which has the same layout for every protocol.
        // SAFETY: the descriptor is a copy that nothing else owns.
        let copy = unsafe { std::net::UdpSocket::from_raw_fd(libc::dup(listener.as_raw_fd())) };
        copy.local_addr().expect("address").port()
    };
    let talk =
        |s: &OwnedFd, count: u64| -> u64 { (0..count).map(|_| send(s, &[1; 307], 0).expect("send")).sum() };
    let listen = |s: &OwnedFd, count: u64| -> u64 {
        (0..count).map(|_| recv(s, &mut [0; 2048], 0).expect("recv")).sum()
    };
    let server = process(|| {
        // SAFETY: no address is asked for; the new descriptor is owned by nobody else.
        let s = unsafe {
            let fd = libc::accept(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut());
            assert!(fd >= 0, "accept: {}", Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        let rx = listen(&s, 53);
        Did { tx: talk(&s, 31), rx, tx_messages: 31, rx_messages: 53 }
    });
    let client = process(|| {
        let s = socket(family, libc::SOCK_STREAM, libc::IPPROTO_SCTP);
        // SAFETY: the address lives through the call.
        let done =
            unsafe { with_address(family.local(port), |at, len| libc::connect(s.as_raw_fd(), at, len)) };
        assert_eq!(done, 0, "connect: {}", Error::last_os_error());
        let tx = talk(&s, 53);
        Did { tx, rx: listen(&s, 31), tx_messages: 53, rx_messages: 31 }
    });
    wait(&[server, client]);
}

/// Echo requests to loopback and their answers, as ping sends them: the kernel answers, and that is nobody's.
fn echo(family: Family, kind: libc::c_int) {
    const ICMP_FILTER: libc::c_int = 1;
    own_network();
    // Every group may ping by a socket of datagrams; a namespace allows none at first.
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").expect("ping_group_range");
    let v4 = family == Family::V4;
    let (protocol, request, reply) =
        if v4 { (libc::IPPROTO_ICMP, 8, 0) } else { (libc::IPPROTO_ICMPV6, 128, 129) };
    let pinger = process(|| {
        let s = socket(family, kind, protocol);
        if kind == libc::SOCK_RAW {
            // Such a socket is given all that comes; only the answers shall be.
            if v4 {
                set(&s, 255, ICMP_FILTER, !1);
            } else {
                let mut blocked = [u32::MAX; 8];
                blocked[129 / 32] &= !(1 << (129 % 32));
                // SAFETY: the filter is as long as said.
                let done = unsafe {
                    libc::setsockopt(s.as_raw_fd(), libc::IPPROTO_ICMPV6, 1, blocked.as_ptr().cast(), 32)
                };
                assert_eq!(done, 0, "ICMP6_FILTER: {}", Error::last_os_error());
            }
        }
        let mut did = Did::default();
        for number in 0..53u8 {
            let mut packet = [0u8; 64];
            packet[0] = request;
            packet[7] = number;
            // The kernel fills in the checksum of a datagram and of ICMPv6.
            let sum = (u32::from(request) << 8) + u32::from(number);
            packet[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
            // SAFETY: buffer and address live through the call.
            let sent = unsafe {
                with_address(family.local(0), |at, len| {
                    libc::sendto(s.as_raw_fd(), packet.as_ptr().cast(), 64, 0, at, len)
                })
            };
            did.tx += u64::try_from(sent).expect("sendto");
            let mut answer = [0u8; 2048];
            let got = recv(&s, &mut answer, 0).expect("recv");
            // What a raw socket of IPv4 receives begins with the IP header.
            let head = if v4 && kind == libc::SOCK_RAW { 20 } else { 0 };
            assert_eq!((answer[head], got), (reply, 64 + head as u64));
            did.rx += got;
        }
        Did { tx_messages: 53, rx_messages: 53, ..did }
    });
    wait(&[pinger]);
}
