//! Workloads over what lies above or beside plain TCP and UDP: MPTCP, raw IP, zero-copy, urgent data, fast open, and the
//! queue of errors.

use crate::wire::{
    Did, Family, own_network, pair, pipe, process, read_all, recv, send, splice, wait, write_all,
};
use std::{
    io::{Error, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

pub fn run(case: &str, family: Family) -> bool {
    match case {
        "mptcp" => mptcp(family),
        "raw" => raw(family),
        "zero-copy-send" => pair(family, zero_copy_send, |mut s| Did::received(read_all(&mut s, 4001))),
        "zero-copy-receive" => pair(family, sendfile, zero_copy_receive),
        "more" => pair(family, more, |mut s| Did::received(read_all(&mut s, 4001))),
        "urgent" => pair(family, urgent, |mut s| Did::received(read_all(&mut s, 701))),
        "fast-open" => fast_open(family),
        "error-queue" => error_queue(family),
        "udp-gso" => udp_gso(family),
        "udp-splice" => udp_splice(family),
        "udp-fails" => udp_fails(family),
        "udp-recvmmsg" => udp_recvmmsg(family),
        _ => return false,
    }
    true
}

pub fn set(s: &impl AsRawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    // SAFETY: `value` is as large as said.
    let done = unsafe {
        libc::setsockopt(s.as_raw_fd(), level, option, (&raw const value).cast(), size_of_val(&value) as u32)
    };
    assert_eq!(done, 0, "setsockopt {level} {option}: {}", Error::last_os_error());
}

pub fn socket(family: Family, kind: libc::c_int, protocol: libc::c_int) -> OwnedFd {
    let domain = if family == Family::V4 { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: numbers only; the new descriptor is owned by nobody else.
    unsafe {
        let fd = libc::socket(domain, kind, protocol);
        assert!(fd >= 0, "socket: {}", Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}

/// The address as the kernel takes it.
pub fn with_address<R>(
    address: SocketAddr,
    use_it: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> R,
) -> R {
    match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            use_it((&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t)
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: 0,
            };
            use_it((&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t)
        }
    }
}

/// A stream each way over MPTCP.
fn mptcp(family: Family) {
    let listener = socket(family, libc::SOCK_STREAM, 262);
    // SAFETY: the address lives through the calls.
    unsafe {
        let bound = with_address(family.any_port(), |at, len| libc::bind(listener.as_raw_fd(), at, len));
        assert_eq!(bound, 0, "bind: {}", Error::last_os_error());
        assert_eq!(libc::listen(listener.as_raw_fd(), 1), 0);
    }
    let listener = TcpListener::from(listener);
    let to = family.local(listener.local_addr().expect("address").port());
    let server = process(|| {
        let mut s = listener.accept().expect("accept").0;
        // Looking is not taking.
        assert_eq!(recv(&s, &mut [0; 101], libc::MSG_PEEK | libc::MSG_WAITALL), Some(101));
        let rx = read_all(&mut s, 3001);
        Did { tx: write_all(&mut s, 997, 997), rx, ..Did::default() }
    });
    let client = process(|| {
        let s = socket(family, libc::SOCK_STREAM, 262);
        // SAFETY: the address lives through the call.
        let done = unsafe { with_address(to, |at, len| libc::connect(s.as_raw_fd(), at, len)) };
        assert_eq!(done, 0, "connect: {}", Error::last_os_error());
        let mut s = TcpStream::from(s);
        let tx = write_all(&mut s, 300_007, 4099);
        s.shutdown(std::net::Shutdown::Write).expect("shutdown");
        Did { tx, rx: read_all(&mut s, 101), ..Did::default() }
    });
    wait(&[server, client]);
}

/// Packets of an experimental protocol; what is received over IPv4 begins with the IP header.
fn raw(family: Family) {
    const PROTOCOL: libc::c_int = 253;
    let inbox = socket(family, libc::SOCK_RAW, PROTOCOL);
    let sender = process(|| {
        let s = socket(family, libc::SOCK_RAW, PROTOCOL);
        let to = family.local(0);
        // SAFETY: buffer and address live through the call.
        let sent = |_| unsafe {
            with_address(to, |at, len| {
                libc::sendto(s.as_raw_fd(), [1u8; 307].as_ptr().cast(), 307, 0, at, len)
            })
        };
        let tx = (0..53).map(sent).map(|n| u64::try_from(n).expect("sendto")).sum();
        Did { tx, tx_messages: 53, ..Did::default() }
    });
    let receiver = process(|| {
        // The sender's own socket receives too, but nobody reads that.
        let rx = (0..53).map(|_| recv(&inbox, &mut [0; 2048], 0).expect("recv")).sum();
        Did { rx, rx_messages: 53, ..Did::default() }
    });
    wait(&[sender, receiver]);
}

fn zero_copy_send(s: TcpStream) -> Did {
    const SO_ZEROCOPY: libc::c_int = 60;
    const MSG_ZEROCOPY: libc::c_int = 0x400_0000;
    set(&s, libc::SOL_SOCKET, SO_ZEROCOPY, 1);
    let data = vec![1; 10_007];
    let tx = (0..31).map(|_| send(&s, &data, MSG_ZEROCOPY).expect("send")).sum();
    notes(&s);
    Did::sent(tx)
}

/// Reads what is in the queue of errors; says how many there were.
fn notes(s: &impl AsRawFd) -> u64 {
    let mut count = 0;
    for _ in 0..20 {
        while recv(s, &mut [0; 2048], libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT).is_some() {
            count += 1;
        }
        crate::wire::sleep_ms(5);
    }
    count
}

pub fn sendfile(s: TcpStream) -> Did {
    const BYTES: usize = 200 * 4096;
    // SAFETY: a valid name; the new descriptor is owned by nobody else.
    let mut file = unsafe { std::fs::File::from_raw_fd(libc::memfd_create(c"netload".as_ptr(), 0)) };
    file.write_all(&vec![b'f'; BYTES]).expect("memfd");
    let (mut at, mut tx) = (0, 0);
    while tx < BYTES as u64 {
        // SAFETY: `at` is a valid offset for the call to move.
        let n = unsafe { libc::sendfile(s.as_raw_fd(), file.as_raw_fd(), &raw mut at, BYTES) };
        tx += u64::try_from(n).expect("sendfile");
    }
    Did::sent(tx)
}

/// Pages are mapped where they can be, and the rest is copied as the kernel asks for it.
fn zero_copy_receive(s: TcpStream) -> Did {
    const TCP_ZEROCOPY_RECEIVE: libc::c_int = 35;
    const WINDOW: usize = 64 * 4096;
    #[repr(C)]
    struct Receive {
        address: u64,
        length: u32,
        recv_skip_hint: u32,
    }
    crate::wire::sleep_ms(50);
    // SAFETY: a map of the socket, as long as it is said to be; the kernel fills in pages and the struct.
    unsafe {
        let map =
            libc::mmap(std::ptr::null_mut(), WINDOW, libc::PROT_READ, libc::MAP_SHARED, s.as_raw_fd(), 0);
        assert_ne!(map, libc::MAP_FAILED, "{}", Error::last_os_error());
        let mut rx = 0;
        loop {
            let mut ask = Receive { address: map as u64, length: WINDOW as u32, recv_skip_hint: 0 };
            let mut len = size_of_val(&ask) as libc::socklen_t;
            let at = (&raw mut ask).cast();
            let done =
                libc::getsockopt(s.as_raw_fd(), libc::IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, at, &raw mut len);
            if done < 0 {
                // So it says that the stream has ended and nothing is left.
                let why = Error::last_os_error();
                assert_eq!(why.raw_os_error(), Some(libc::EIO), "TCP_ZEROCOPY_RECEIVE: {why}");
                return Did::received(rx);
            }
            rx += u64::from(ask.length);
            if ask.length == 0 {
                let want = (ask.recv_skip_hint as usize).max(1);
                match recv(&s, &mut vec![0; want], 0) {
                    Some(n @ 1..) => rx += n,
                    _ => return Did::received(rx),
                }
            }
        }
    }
}

/// Pieces that wait for the next one.
fn more(s: TcpStream) -> Did {
    let flags = |call: u32| if call.is_multiple_of(5) { 0 } else { libc::MSG_MORE };
    Did::sent((1..=505).map(|call| send(&s, &[1; 101], flags(call)).expect("send")).sum())
}

/// One urgent byte, which the receiver never asks for.
fn urgent(s: TcpStream) -> Did {
    let first = send(&s, &[1; 1009], 0).expect("send");
    let byte = send(&s, &[2], libc::MSG_OOB).expect("send");
    Did::sent(first + byte + send(&s, &[1; 1009], 0).expect("send"))
}

/// Data with the SYN, in a network of its own where the kernel is told to allow that.
fn fast_open(family: Family) {
    own_network();
    // Client and server, without cookies.
    std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "519").expect("tcp_fastopen");
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    set(&listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, 5);
    let to = family.local(listener.local_addr().expect("address").port());
    let server = process(|| {
        let mut s = listener.accept().expect("accept").0;
        // An answer before the connection is complete, if the first data is here already.
        let rx = recv(&s, &mut [0; 499], 0).expect("recv");
        let tx = write_all(&mut s, 1013, 1013);
        Did { tx, rx: rx + read_all(&mut s, 503), ..Did::default() }
    });
    let client = process(|| {
        let s = socket(family, libc::SOCK_STREAM, 0);
        let data = [1u8; 1009];
        let flags = libc::MSG_FASTOPEN;
        // SAFETY: buffer and address live through the call.
        let n = unsafe {
            with_address(to, |at, len| {
                libc::sendto(s.as_raw_fd(), data.as_ptr().cast(), 1009, flags, at, len)
            })
        };
        let mut s = TcpStream::from(s);
        let tx = u64::try_from(n).expect("sendto") + write_all(&mut s, 30_011, 1009);
        s.shutdown(std::net::Shutdown::Write).expect("shutdown");
        Did { tx, rx: read_all(&mut s, 701), ..Did::default() }
    });
    wait(&[server, client]);
}

/// A sender that reads back when its datagrams went, with the datagrams themselves, from the queue of errors.
fn error_queue(family: Family) {
    const SO_TIMESTAMPING: libc::c_int = 37;
    const TX_SOFTWARE: libc::c_int = 1 << 1;
    const SOFTWARE: libc::c_int = 1 << 4;
    crate::wire::datagrams(
        family,
        |s, to| {
            set(&s, libc::SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE);
            let tx = (0..31).map(|_| s.send_to(&[1; 307], to).expect("send") as u64).sum();
            assert!(notes(&s) > 0, "nothing came back");
            Did { tx, tx_messages: 31, ..Did::default() }
        },
        |s| receive(&s, 31),
    );
}

fn receive(s: &UdpSocket, count: u64) -> Did {
    let rx = (0..count).map(|_| s.recv(&mut [0; 65_536]).expect("recv") as u64).sum();
    Did { rx, rx_messages: count, ..Did::default() }
}

/// One send makes ten datagrams, and one receive takes as many as came together.
fn udp_gso(family: Family) {
    const UDP_SEGMENT: libc::c_int = 103;
    const UDP_GRO: libc::c_int = 104;
    crate::wire::datagrams(
        family,
        |s, to| {
            set(&s, libc::IPPROTO_UDP, UDP_SEGMENT, 500);
            let tx = (0..11).map(|_| s.send_to(&[1; 5000], to).expect("send") as u64).sum();
            Did { tx, tx_messages: 11, ..Did::default() }
        },
        |s| {
            set(&s, libc::IPPROTO_UDP, UDP_GRO, 1);
            let mut did = Did::default();
            while did.rx < 55_000 {
                did.rx += s.recv(&mut [0; 65_536]).expect("recv") as u64;
                did.rx_messages += 1;
            }
            did
        },
    );
}

fn udp_splice(family: Family) {
    crate::wire::datagrams(
        family,
        |s, to| {
            s.connect(to).expect("connect");
            let [out, into] = pipe();
            let mut tx = 0;
            for _ in 0..53 {
                // SAFETY: the kernel reads 997 bytes of a valid buffer; a pipe holds more than that.
                let n = unsafe { libc::write(into, [3u8; 997].as_ptr().cast(), 997) };
                assert_eq!(n, 997);
                tx += splice(out, s.as_raw_fd(), 997);
            }
            Did::sent(tx)
        },
        |s| receive(&s, 53),
    );
}

/// One send of many fails, because UDP knows no urgent data.
fn udp_fails(family: Family) {
    crate::wire::datagrams(
        family,
        |s, to| {
            s.connect(to).expect("connect");
            assert_eq!(send(&s, &[1; 307], libc::MSG_OOB), None);
            let tx = (0..53).map(|_| send(&s, &[1; 307], 0).expect("send")).sum();
            Did { tx, tx_messages: 53, ..Did::default() }
        },
        |s| receive(&s, 53),
    );
}

fn udp_recvmmsg(family: Family) {
    crate::wire::datagrams(
        family,
        |s, to| {
            let tx = (0..55).map(|_| s.send_to(&[1; 307], to).expect("send") as u64).sum();
            Did { tx, tx_messages: 55, ..Did::default() }
        },
        |s| {
            let mut did = Did::default();
            while did.rx_messages < 55 {
                let mut buffers = [[0u8; 2048]; 8];
                let mut vectors = buffers.each_mut().map(|buffer| libc::iovec {
                    iov_base: buffer.as_mut_ptr().cast(),
                    iov_len: buffer.len(),
                });
                // SAFETY: headers that are zero but for one vector each, which lives through the call.
                unsafe {
                    let mut headers: [libc::mmsghdr; 8] = std::mem::zeroed();
                    for (header, vector) in headers.iter_mut().zip(&mut vectors) {
                        header.msg_hdr.msg_iov = vector;
                        header.msg_hdr.msg_iovlen = 1;
                    }
                    let flags = libc::MSG_WAITFORONE;
                    let none = std::ptr::null_mut();
                    let n = libc::recvmmsg(s.as_raw_fd(), headers.as_mut_ptr(), 8, flags, none);
                    let n = usize::try_from(n).expect("recvmmsg");
                    did.rx += headers[..n].iter().map(|header| u64::from(header.msg_len)).sum::<u64>();
                    did.rx_messages += n as u64;
                }
            }
            did
        },
    );
}
