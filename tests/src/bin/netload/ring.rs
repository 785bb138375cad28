//! Workloads over TCP by io_uring: the calls are made by the kernel, some of them by threads of its own.

use crate::wire::{Did, Family, pair};
use std::{io::Error, net::TcpStream, os::fd::AsRawFd, sync::atomic::AtomicU32, sync::atomic::Ordering};

const SEND: u8 = 26;
const RECV: u8 = 27;
/// Carried out by a worker thread of the kernel.
const ASYNC: u8 = 1 << 4;
/// Entries of both queues.
const ENTRIES: u32 = 8;

pub fn run(case: &str, family: Family) -> bool {
    let flags = match case {
        "io-uring" => 0,
        "io-uring-workers" => ASYNC,
        _ => return false,
    };
    pair(family, move |s| sends(&s, flags), move |s| receives(&s, flags));
    true
}

fn sends(s: &TcpStream, flags: u8) -> Did {
    let mut ring = Ring::new();
    let data = vec![1u8; 4099];
    let tx = (0..101).map(|_| ring.call(SEND, s, data.as_ptr().cast_mut(), data.len(), flags)).sum();
    Did::sent(tx)
}

fn receives(s: &TcpStream, flags: u8) -> Did {
    let mut ring = Ring::new();
    let mut data = vec![0u8; 3001];
    let mut rx = 0;
    loop {
        match ring.call(RECV, s, data.as_mut_ptr(), data.len(), flags) {
            0 => return Did::received(rx),
            n => rx += n,
        }
    }
}

/// Queues of io_uring that carry out one call at a time.
struct Ring {
    fd: libc::c_int,
    submissions: *mut u8,
    completions: *mut u8,
    entries: *mut Entry,
    offsets: Parameters,
}

/// struct io_uring_params (include/uapi/linux/io_uring.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Parameters {
    head: [u32; 10],
    /// head, tail, ring_mask, ring_entries, flags, dropped, array, resv1, user_addr
    sq: [u32; 10],
    /// head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1, user_addr
    cq: [u32; 10],
}

/// struct io_uring_sqe.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    opcode: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    length: u32,
    rest: [u32; 9],
}

impl Ring {
    fn new() -> Ring {
        let mut offsets = Parameters::default();
        // SAFETY: the parameters are as large as the kernel's, and the maps as large as it says.
        unsafe {
            let fd = libc::syscall(libc::SYS_io_uring_setup, ENTRIES, &raw mut offsets) as libc::c_int;
            assert!(fd >= 0, "io_uring_setup: {}", Error::last_os_error());
            let map = |bytes: usize, at: i64| -> *mut u8 {
                let (access, kind) =
                    (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
                let map = libc::mmap(std::ptr::null_mut(), bytes, access, kind, fd, at);
                assert_ne!(map, libc::MAP_FAILED, "{}", Error::last_os_error());
                map.cast()
            };
            let submissions = map(offsets.sq[6] as usize + ENTRIES as usize * 4, 0);
            let completions = map(offsets.cq[5] as usize + offsets.head[1] as usize * 16, 0x0800_0000);
            let entries = map(ENTRIES as usize * size_of::<Entry>(), 0x1000_0000).cast();
            Ring { fd, submissions, completions, entries, offsets }
        }
    }

    /// Carries out one call and returns what it returned.
    fn call(&mut self, opcode: u8, s: &TcpStream, address: *mut u8, length: usize, flags: u8) -> u64 {
        // SAFETY: offsets and masks are the kernel's own; the buffer lives until the call has completed.
        unsafe {
            let word = |base: *mut u8, at: u32| &*base.add(at as usize).cast::<AtomicU32>();
            let (sq, cq) = (&self.offsets.sq, &self.offsets.cq);
            let tail = word(self.submissions, sq[1]);
            let slot = tail.load(Ordering::Acquire) & word(self.submissions, sq[2]).load(Ordering::Relaxed);
            let (fd, address, length) = (s.as_raw_fd(), address as u64, length as u32);
            let entry = Entry { opcode, flags, priority: 0, fd, offset: 0, address, length, rest: [0; 9] };
            self.entries.add(slot as usize).write(entry);
            word(self.submissions, sq[6] + 4 * slot).store(slot, Ordering::Relaxed);
            tail.fetch_add(1, Ordering::Release);
            let none = std::ptr::null::<u8>();
            let done = libc::syscall(libc::SYS_io_uring_enter, self.fd, 1, 1, 1, none, 0);
            assert_eq!(done, 1, "io_uring_enter: {}", Error::last_os_error());
            let head = word(self.completions, cq[0]);
            let slot = head.load(Ordering::Acquire) & word(self.completions, cq[2]).load(Ordering::Relaxed);
            let result = self.completions.add(cq[5] as usize + 16 * slot as usize + 8).cast::<i32>().read();
            head.fetch_add(1, Ordering::Release);
            u64::try_from(result).unwrap_or_else(|_| panic!("{}", Error::from_raw_os_error(-result)))
        }
    }
}
