//! Workloads over TCP between two processes.

use crate::wire::{
    Did, Family, pair, pause, pipe, process, read_all, recv, report, send, sleep_ms, splice, wait, write_all,
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

pub fn run(case: &str, family: Family) -> bool {
    match case {
        "stream" => pair(family, request, reply),
        "files" => pair(family, write_as_file, read_as_file),
        "vectors" => pair(family, vectors, |mut s| Did::received(read_all(&mut s, 3001))),
        "sendfile" => pair(family, sendfile, |mut s| Did::received(read_all(&mut s, 9001))),
        "splice-out" => pair(family, splice_out, |mut s| Did::received(read_all(&mut s, 9001))),
        "splice-in" => pair(family, |mut s| Did::sent(write_all(&mut s, 500_009, 4099)), |s| splice_in(&s)),
        "splice-after-fin" => pair(family, |mut s| Did::sent(write_all(&mut s, 10_007, 4099)), splice_late),
        "half-close" => pair(family, half_close, answer_then_close),
        "half-close-read" => pair(family, half_close_read, answer_then_close),
        "peek" => pair(family, |mut s| Did::sent(write_all(&mut s, 200_003, 1009)), peek),
        "waitall" => pair(family, slow_writer, waitall),
        "trunc" => pair(family, |mut s| Did::sent(write_all(&mut s, 300_007, 5003)), trunc),
        "partial" => pair(family, partial, slow_reader),
        "reset" => pair(family, send_until_error, read_some_then_reset),
        "threads" => pair(family, threads, |mut s| Did::received(read_all(&mut s, 2003))),
        "short" => short(family, 1009),
        "many" => short(family, 10_007),
        "reconnect" => reconnect(family),
        "old" => old(family),
        "segments" => segments(family, 1),
        "segments-twice" => segments(family, 2),
        "steps" => steps(family),
        _ => return false,
    }
    true
}

fn request(mut s: TcpStream) -> Did {
    let tx = write_all(&mut s, 1_000_003, 4099);
    s.shutdown(Shutdown::Write).expect("shutdown");
    Did { tx, rx: read_all(&mut s, 101), ..Did::default() }
}

fn reply(mut s: TcpStream) -> Did {
    let rx = read_all(&mut s, 3001);
    Did { tx: write_all(&mut s, 997, 997), rx, ..Did::default() }
}

fn vectors(s: TcpStream) -> Did {
    let piece = [7u8; 503];
    let mut vectors = [libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() }; 3];
    let mut tx = 0;
    // SAFETY: `vectors` point to `piece`, which the kernel only reads; the headers are zeroed otherwise.
    unsafe {
        for _ in 0..101 {
            tx += libc::writev(s.as_raw_fd(), vectors.as_ptr(), 3) as u64;
        }
        let mut header: libc::mmsghdr = std::mem::zeroed();
        header.msg_hdr.msg_iov = vectors.as_mut_ptr();
        header.msg_hdr.msg_iovlen = 3;
        for _ in 0..101 {
            tx += libc::sendmsg(s.as_raw_fd(), &raw const header.msg_hdr, 0) as u64;
        }
        let mut many = [header; 5];
        for _ in 0..101 {
            assert_eq!(libc::sendmmsg(s.as_raw_fd(), many.as_mut_ptr(), 5, 0), 5);
            tx += many.iter().map(|m| u64::from(m.msg_len)).sum::<u64>();
        }
    }
    Did::sent(tx)
}

/// As if the socket were any file.
fn write_as_file(s: TcpStream) -> Did {
    let data = [1u8; 1009];
    // SAFETY: the kernel reads a valid buffer.
    let written = |_| unsafe { libc::write(s.as_raw_fd(), data.as_ptr().cast(), data.len()) };
    Did::sent((0..503).map(written).map(|n| u64::try_from(n).expect("write")).sum())
}

/// Reads by read, readv and recvmsg in turn.
fn read_as_file(s: TcpStream) -> Did {
    let (mut one, mut two) = ([0u8; 701], [0u8; 503]);
    let mut rx = 0;
    for call in 0.. {
        let mut vectors = [(one.as_mut_ptr(), one.len()), (two.as_mut_ptr(), two.len())]
            .map(|(base, len)| libc::iovec { iov_base: base.cast(), iov_len: len });
        // SAFETY: the vectors say how long the buffers are; the header is zero but for them.
        let n = unsafe {
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = vectors.as_mut_ptr();
            header.msg_iovlen = 2;
            match call % 3 {
                0 => libc::read(s.as_raw_fd(), one.as_mut_ptr().cast(), one.len()),
                1 => libc::readv(s.as_raw_fd(), vectors.as_ptr(), 2),
                _ => libc::recvmsg(s.as_raw_fd(), &raw mut header, 0),
            }
        };
        match u64::try_from(n).expect("read") {
            0 => break,
            n => rx += n,
        }
    }
    Did::received(rx)
}

/// A file in memory.
fn file(bytes: usize) -> std::fs::File {
    use std::os::fd::FromRawFd;
    // SAFETY: a valid name; the new descriptor is owned by nobody else.
    let mut file = unsafe { std::fs::File::from_raw_fd(libc::memfd_create(c"netload".as_ptr(), 0)) };
    file.write_all(&vec![b'f'; bytes]).expect("memfd");
    file
}

fn sendfile(s: TcpStream) -> Did {
    let source = file(700_001);
    let mut at = 0;
    let mut tx = 0;
    while tx < 700_001 {
        // SAFETY: `at` is a valid offset for the call to move.
        let n = unsafe { libc::sendfile(s.as_raw_fd(), source.as_raw_fd(), &raw mut at, 700_001) };
        tx += u64::try_from(n).expect("sendfile");
    }
    Did::sent(tx)
}

fn splice_out(s: TcpStream) -> Did {
    let [out, into] = pipe();
    let mut tx = 0;
    for _ in 0..503 {
        // SAFETY: the kernel reads 997 bytes of a valid buffer; a pipe holds more than that.
        let n = unsafe { libc::write(into, [3u8; 997].as_ptr().cast(), 997) };
        assert_eq!(n, 997);
        let mut left = 997;
        while left > 0 {
            let n = splice(out, s.as_raw_fd(), left as usize);
            left -= n;
            tx += n;
        }
    }
    Did::sent(tx)
}

fn splice_in(s: &TcpStream) -> Did {
    let [out, into] = pipe();
    let mut rx = 0;
    let mut sink = [0u8; 8192];
    loop {
        let n = splice(s.as_raw_fd(), into, 4096);
        if n == 0 {
            return Did::received(rx);
        }
        rx += n;
        // SAFETY: the pipe holds at most 4096 bytes.
        unsafe { libc::read(out, sink.as_mut_ptr().cast(), sink.len()) };
    }
}

/// Everything, the FIN included, is there before the first read.
fn splice_late(s: TcpStream) -> Did {
    sleep_ms(150);
    splice_in(&s)
}

/// The client ends its side first, so that it is in CLOSE with unread data when it reads.
fn half_close(mut s: TcpStream) -> Did {
    let tx = write_all(&mut s, 1009, 1009);
    s.shutdown(Shutdown::Write).expect("shutdown");
    sleep_ms(200);
    Did { tx, ..splice_in(&s) }
}

fn half_close_read(mut s: TcpStream) -> Did {
    let tx = write_all(&mut s, 1009, 1009);
    s.shutdown(Shutdown::Write).expect("shutdown");
    sleep_ms(200);
    Did { tx, rx: read_all(&mut s, 701), ..Did::default() }
}

fn answer_then_close(mut s: TcpStream) -> Did {
    let rx = read_all(&mut s, 4096);
    Did { tx: write_all(&mut s, 20_011, 4099), rx, ..Did::default() }
}

fn peek(s: TcpStream) -> Did {
    let mut buffer = [0; 2003];
    let mut rx = 0;
    loop {
        let _ = recv(&s, &mut buffer, libc::MSG_PEEK);
        match recv(&s, &mut buffer, 0) {
            Some(n @ 1..) => rx += n,
            _ => return Did::received(rx),
        }
    }
}

fn slow_writer(mut s: TcpStream) -> Did {
    let mut tx = 0;
    for _ in 0..23 {
        tx += write_all(&mut s, 1009, 1009);
        sleep_ms(3);
    }
    Did::sent(tx)
}

fn waitall(s: TcpStream) -> Did {
    Did::received(recv(&s, &mut [0; 23 * 1009], libc::MSG_WAITALL).expect("recv"))
}

fn trunc(s: TcpStream) -> Did {
    let mut rx = 0;
    while let Some(n @ 1..) = recv(&s, &mut [0; 4001], libc::MSG_TRUNC) {
        rx += n;
    }
    Did::received(rx)
}

fn partial(mut s: TcpStream) -> Did {
    s.set_nonblocking(true).expect("nonblocking");
    let data = vec![1; 300_007];
    let mut tx = 0;
    while tx < 5_000_011 {
        match s.write(&data) {
            Ok(n) => tx += n as u64,
            Err(_) => sleep_ms(1),
        }
    }
    Did::sent(tx)
}

fn slow_reader(mut s: TcpStream) -> Did {
    sleep_ms(50);
    Did::received(read_all(&mut s, 60_013))
}

fn send_until_error(mut s: TcpStream) -> Did {
    let data = vec![1; 3_000_017];
    let mut tx = 0;
    loop {
        match s.write(&data) {
            Ok(n) => tx += n as u64,
            Err(_) => return Did::sent(tx),
        }
    }
}

fn read_some_then_reset(s: TcpStream) -> Did {
    let mut rx = 0;
    while rx < 1_000_003 {
        rx += recv(&s, &mut [0; 10_007], 0).expect("recv");
    }
    sleep_ms(20);
    Did::received(rx)
}

fn threads(s: TcpStream) -> Did {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2503).for_each(|_| assert_eq!(send(&s, &[5; 101], 0), Some(101))));
        }
    });
    Did::sent(4 * 2503 * 101)
}

/// Many connections of one small request each, one after the other.
fn short(family: Family, count: u64) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let to = family.local(listener.local_addr().expect("address").port());
    let server = process(|| {
        let mut did = Did::default();
        for _ in 0..count {
            let (mut s, _) = listener.accept().expect("accept");
            did.rx += read_all(&mut s, 64);
            did.tx += write_all(&mut s, 13, 13);
        }
        did
    });
    let client = process(|| {
        let mut did = Did::default();
        for _ in 0..count {
            let mut s = TcpStream::connect(to).expect("connect");
            did.tx += write_all(&mut s, 11, 11);
            s.shutdown(Shutdown::Write).expect("shutdown");
            did.rx += read_all(&mut s, 64);
        }
        did
    });
    wait(&[server, client]);
}

/// One socket, connected twice: `tcp_disconnect()` zeroes the kernel's counters in between.
fn reconnect(family: Family) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let port = listener.local_addr().expect("address").port();
    let server = process(|| {
        let mut did = Did::default();
        for _ in 0..2 {
            let (mut s, _) = listener.accept().expect("accept");
            did.tx += write_all(&mut s, 1013, 1013);
            did.rx += read_all(&mut s, 500);
        }
        did
    });
    let client = process(|| {
        let mut s = TcpStream::connect(family.local(port)).expect("connect");
        let mut did = Did::default();
        for round in 0..2 {
            did.tx += write_all(&mut s, 2003, 2003);
            did.rx += recv(&s, &mut [0; 1013], libc::MSG_WAITALL).expect("recv");
            if round == 0 {
                connect_raw(&s, libc::AF_UNSPEC, port);
                connect_raw(&s, libc::AF_INET, port);
            }
        }
        did
    });
    wait(&[server, client]);
}

fn connect_raw(s: &TcpStream, family: libc::c_int, port: u16) {
    let address = libc::sockaddr_in {
        sin_family: family as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` has `len` bytes.
    let ret = unsafe { libc::connect(s.as_raw_fd(), (&raw const address).cast(), len) };
    assert_eq!(ret, 0, "connect: {}", std::io::Error::last_os_error());
}

/// Two connections with a past, one of them not accepted yet; only what comes after the pause is reported.
fn old(family: Family) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let to = family.local(listener.local_addr().expect("address").port());
    let mut client = TcpStream::connect(to).expect("connect");
    let mut server = listener.accept().expect("accept").0;
    write_all(&mut client, 5003, 5003);
    assert_eq!(recv(&server, &mut [0; 3001], libc::MSG_WAITALL), Some(3001));
    let mut late = TcpStream::connect(to).expect("connect");
    write_all(&mut late, 1009, 1009);
    sleep_ms(50);
    pause("ready");
    let tx = write_all(&mut client, 7001, 1009) + write_all(&mut late, 2003, 2003);
    client.shutdown(Shutdown::Write).expect("shutdown");
    late.shutdown(Shutdown::Write).expect("shutdown");
    let mut accepted = listener.accept().expect("accept").0;
    let rx = read_all(&mut server, 503) + read_all(&mut accepted, 503);
    report(Did { tx, rx, ..Did::default() });
}

/// Bytes and segments by TCP_INFO, of a connection that stays open until the test has looked. The messages of the report
/// are the segments. Where the socket is connected `times` times, the sums over all of them.
fn segments(family: Family, times: u32) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let port = listener.local_addr().expect("address").port();
    let server = process(|| {
        let rx = (0..times).map(|_| read_all(&mut listener.accept().expect("accept").0, 4001)).sum();
        Did::received(rx)
    });
    let mut s = TcpStream::connect(family.local(port)).expect("connect");
    let mut did = Did::default();
    for time in 0..times {
        if time > 0 {
            connect_raw(&s, libc::AF_UNSPEC, port);
            connect_raw(&s, libc::AF_INET, port);
        }
        did.tx += write_all(&mut s, 300_007, 4099);
        sleep_ms(300);
        let [segs_out, segs_in] = tcp_info(&s);
        did.tx_messages += segs_out;
        did.rx_messages += segs_in;
    }
    report(did);
    crate::wire::await_go();
    drop(s);
    wait(&[server]);
}

/// `tcpi_segs_out` and `tcpi_segs_in`, which stand at bytes 136 and 140 of struct tcp_info.
fn tcp_info(s: &TcpStream) -> [u64; 2] {
    let mut info = [0u32; 60];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` has `len` bytes.
    unsafe {
        let at = info.as_mut_ptr().cast();
        libc::getsockopt(s.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, at, &raw mut len);
    }
    [info[34].into(), info[35].into()]
}

/// One process talks to itself and reports its sums after each of eleven steps; the test looks in between.
fn steps(family: Family) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let to = family.local(listener.local_addr().expect("address").port());
    let mut client = TcpStream::connect(to).expect("connect");
    let mut server = listener.accept().expect("accept").0;
    let mut did = Did::default();
    for step in 0..11 {
        did.tx += write_all(&mut client, 1009, 1009);
        did.rx += server.read(&mut vec![0; 1009 - step]).expect("read") as u64;
        report(did);
        crate::wire::await_go();
    }
}
