//! A disk over the network (nbd), so that threads of the kernel send and receive through a socket that a process made.

use crate::wire::{Did, process, report, sleep_ms, wait};
use std::{
    fs::OpenOptions,
    io::{Error, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
};

const BLOCKS: u64 = 64;
const BLOCK: usize = 4096;
/// `_IO(0xab, n)`.
const SET_SOCK: u64 = 0xab00;
const SET_BLKSIZE: u64 = 0xab01;
const DO_IT: u64 = 0xab03;
const CLEAR_SOCK: u64 = 0xab04;
const SET_SIZE_BLOCKS: u64 = 0xab07;
const DISCONNECT: u64 = 0xab08;

pub fn run(case: &str) -> bool {
    if case == "nbd" {
        disk();
    }
    case == "nbd"
}

/// The server reports what it moved, which is what the kernel moved on the other side.
fn disk() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let to = listener.local_addr().expect("address");
    let server = process(|| serve(listener.accept().expect("accept").0));
    let socket = TcpStream::connect(to).expect("connect");
    let device = OpenOptions::new().read(true).write(true).open("/dev/nbd0").expect("/dev/nbd0");
    let ask = |command: u64, value: u64| {
        // SAFETY: these take numbers.
        let done = unsafe { libc::ioctl(device.as_raw_fd(), command as _, value) };
        assert!(done >= 0, "ioctl {command:#x}: {}", Error::last_os_error());
    };
    ask(SET_BLKSIZE, BLOCK as u64);
    ask(SET_SIZE_BLOCKS, BLOCKS);
    ask(SET_SOCK, socket.as_raw_fd().unsigned_abs().into());
    let user = process(|| {
        // Blocks until the disk is taken away.
        ask(DO_IT, 0);
        Did::default()
    });
    sleep_ms(200);
    let mut disk = OpenOptions::new().read(true).open("/dev/nbd0").expect("the disk");
    let mut all = Vec::new();
    disk.read_to_end(&mut all).expect("read");
    assert_eq!(all, vec![b'n'; BLOCKS as usize * BLOCK]);
    drop(disk);
    ask(DISCONNECT, 0);
    ask(CLEAR_SOCK, 0);
    drop(socket);
    wait(&[user, server]);
    report(Did::default());
}

/// Answers requests: magic, type, handle, offset, length, in network order.
fn serve(mut s: TcpStream) -> Did {
    let mut did = Did::default();
    let mut request = [0; 28];
    while s.read_exact(&mut request).is_ok() {
        did.rx += 28;
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|n| request[at + n]));
        assert_eq!(word(0), 0x2560_9513, "the magic of a request");
        match word(4) & 0xffff {
            // Read.
            0 => {
                let mut answer = vec![b'n'; 16 + word(24) as usize];
                answer[..4].copy_from_slice(&0x6744_6698u32.to_be_bytes());
                answer[4..8].fill(0);
                answer[8..16].copy_from_slice(&request[8..16]);
                s.write_all(&answer).expect("answer");
                did.tx += answer.len() as u64;
            }
            // Disconnect.
            2 => break,
            other => panic!("a request of type {other}"),
        }
    }
    did
}
