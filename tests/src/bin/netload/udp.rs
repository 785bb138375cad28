//! Workloads over UDP between two processes.

use crate::wire::{Did, Family, datagrams, process, recv, send, wait};
use std::net::{SocketAddr, UdpSocket};

/// How many datagrams; few and small enough for the receive buffer, so that none is dropped.
const COUNT: u64 = 101;
const BYTES: usize = 307;

pub fn run(case: &str, family: Family) -> bool {
    match case {
        "udp" => datagrams(family, unconnected, |s| receive(&s, COUNT)),
        "udp-connected" => datagrams(family, connected, |s| receive(&s, COUNT)),
        "udp-zero" => datagrams(family, zero, |s| receive(&s, 13)),
        "udp-more" => datagrams(family, more, |s| receive(&s, 5)),
        "udp-peek" => datagrams(family, unconnected, peek),
        "udp-cut" => datagrams(family, unconnected, |s| cut(&s, 0)),
        "udp-trunc" => datagrams(family, unconnected, |s| cut(&s, libc::MSG_TRUNC)),
        "udp-threads" => datagrams(family, threads, |s| receive(&s, 4 * 23)),
        "udp-shutdown" => datagrams(family, unconnected, shut),
        "udp-churn" => churn(family, 503),
        _ => return false,
    }
    true
}

fn sent(calls: u64, bytes: u64) -> Did {
    Did { tx: bytes, tx_messages: calls, ..Did::default() }
}

fn unconnected(s: UdpSocket, to: SocketAddr) -> Did {
    let tx = (0..COUNT).map(|_| s.send_to(&[1; BYTES], to).expect("send") as u64).sum();
    sent(COUNT, tx)
}

fn connected(s: UdpSocket, to: SocketAddr) -> Did {
    s.connect(to).expect("connect");
    let tx = (0..COUNT).map(|_| s.send(&[1; BYTES]).expect("send") as u64).sum();
    sent(COUNT, tx)
}

fn zero(s: UdpSocket, to: SocketAddr) -> Did {
    (0..13).for_each(|_| assert_eq!(s.send_to(&[], to).expect("send"), 0));
    sent(13, 0)
}

/// Four pieces and a last one make a datagram.
fn more(s: UdpSocket, to: SocketAddr) -> Did {
    s.connect(to).expect("connect");
    let mut tx = 0;
    for call in 1..=25 {
        let flags = if call % 5 == 0 { 0 } else { libc::MSG_MORE };
        tx += send(&s, &[1; 101], flags).expect("send");
    }
    sent(25, tx)
}

fn threads(s: UdpSocket, to: SocketAddr) -> Did {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope
                .spawn(|| (0..23).for_each(|_| assert_eq!(s.send_to(&[1; BYTES], to).expect("send"), BYTES)));
        }
    });
    sent(4 * 23, 4 * 23 * BYTES as u64)
}

fn receive(s: &UdpSocket, count: u64) -> Did {
    let rx = (0..count).map(|_| s.recv(&mut [0; 2048]).expect("recv") as u64).sum();
    Did { rx, rx_messages: count, ..Did::default() }
}

fn peek(s: UdpSocket) -> Did {
    let mut did = Did::default();
    for _ in 0..COUNT {
        recv(&s, &mut [0; 2048], libc::MSG_PEEK).expect("peek");
        did.rx += recv(&s, &mut [0; 2048], 0).expect("recv");
        did.rx_messages += 1;
    }
    did
}

/// A buffer that is too small: the kernel returns what fits, or the whole length under MSG_TRUNC.
fn cut(s: &UdpSocket, flags: libc::c_int) -> Did {
    let rx = (0..COUNT).map(|_| recv(s, &mut [0; 97], flags).expect("recv")).sum();
    Did { rx, rx_messages: COUNT, ..Did::default() }
}

/// After shutdown a receive call returns 0, which is no message.
fn shut(s: UdpSocket) -> Did {
    let did = receive(&s, COUNT);
    // SAFETY: no pointers. UDP answers ENOTCONN and still ends reading.
    unsafe { libc::shutdown(std::os::fd::AsRawFd::as_raw_fd(&s), libc::SHUT_RD) };
    assert_eq!(recv(&s, &mut [0; 97], 0), Some(0));
    did
}

/// Many sockets, each for one datagram.
fn churn(family: Family, count: u64) {
    let inbox = UdpSocket::bind(family.any_port()).expect("bind");
    let to = family.local(inbox.local_addr().expect("address").port());
    let sender = process(|| {
        let mut tx = 0;
        for _ in 0..count {
            let s = UdpSocket::bind(family.any_port()).expect("bind");
            tx += s.send_to(&[1; 7], to).expect("send") as u64;
        }
        sent(count, tx)
    });
    wait(&[sender]);
}
