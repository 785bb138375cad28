//! Workloads over UNIX sockets between two processes.

use crate::wire::{Did, pipe, process, recv, send, splice, wait};
use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

pub fn run(case: &str) -> bool {
    match case {
        "unix-stream" => pair(libc::SOCK_STREAM, 1009, stream),
        "unix-dgram" => pair(libc::SOCK_DGRAM, 307, |s| messages(s, 101)),
        "unix-seqpacket" => pair(libc::SOCK_SEQPACKET, 307, |s| messages(s, 101)),
        "unix-splice-in" => pair(libc::SOCK_STREAM, 1009, splice_in),
        "unix-sendfile" => sendfile(),
        _ => return false,
    }
    true
}

fn ends(kind: libc::c_int) -> [OwnedFd; 2] {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new and owned by nobody else.
    unsafe {
        assert_eq!(libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()), 0);
        ends.map(|fd| OwnedFd::from_raw_fd(fd))
    }
}

/// One process sends 101 pieces of so many bytes, the other receives.
fn pair(kind: libc::c_int, bytes: usize, receiver: impl FnOnce(OwnedFd) -> Did) {
    let [near, far] = ends(kind);
    let sender = process(|| {
        let tx: u64 = (0..101).map(|_| send(&near, &vec![1; bytes], 0).expect("send")).sum();
        let tx_messages = if kind == libc::SOCK_STREAM { 0 } else { 101 };
        Did { tx, tx_messages, ..Did::default() }
    });
    drop(near);
    let receiver = process(|| receiver(far));
    wait(&[sender, receiver]);
}

fn stream(s: OwnedFd) -> Did {
    let mut rx = 0;
    // Looking is not taking.
    while let Some(n @ 1..) = recv(&s, &mut [0; 4001], libc::MSG_PEEK).and(recv(&s, &mut [0; 701], 0)) {
        rx += n;
    }
    Did::received(rx)
}

fn messages(s: OwnedFd, count: u64) -> Did {
    let rx = (0..count).map(|_| recv(&s, &mut [0; 2048], 0).expect("recv")).sum();
    Did { rx, rx_messages: count, ..Did::default() }
}

fn splice_in(s: OwnedFd) -> Did {
    let [out, into] = pipe();
    let mut rx = 0;
    loop {
        match splice(s.as_raw_fd(), into, 4096) {
            0 => return Did::received(rx),
            n => rx += n,
        }
        // SAFETY: the buffer has room for what the pipe holds at most.
        unsafe { libc::read(out, [0u8; 8192].as_mut_ptr().cast(), 8192) };
    }
}

fn sendfile() {
    let [near, far] = ends(libc::SOCK_STREAM);
    let sender = process(|| {
        // SAFETY: a valid name; the new descriptor is owned by nobody else.
        let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"netload".as_ptr(), 0)) };
        file.write_all(&[b'f'; 70_001]).expect("memfd");
        let (mut at, mut tx) = (0, 0);
        while tx < 70_001 {
            // SAFETY: `at` is a valid offset for the call to move.
            let n = unsafe { libc::sendfile(near.as_raw_fd(), file.as_raw_fd(), &raw mut at, 70_001) };
            tx += u64::try_from(n).expect("sendfile");
        }
        Did::sent(tx)
    });
    drop(near);
    let receiver = process(|| stream(far));
    wait(&[sender, receiver]);
}
