//! The bpf(2) calls that aya 0.14 lacks: iterator links with a target, reading an iterator, batched map lookups.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

const MAP_LOOKUP_BATCH: libc::c_int = 24;
const LINK_CREATE: libc::c_int = 28;
const ITER_CREATE: libc::c_int = 33;
const TRACE_ITER: u64 = 28;

/// The kernel's iterator buffer is 8 pages, and a record is never split when ours is at least as large.
const ITER_BUFFER_BYTES: usize = 64 * 1024;

/// What an iterator walks.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Everything: all tasks of the opener's PID namespace, for `iter/task`.
    All,
    /// The threads of one process, numbered as in the opener's PID namespace (6.1 and later; E2BIG before).
    Process(u32),
    /// The elements of one map, for `iter/bpf_sk_storage_map` and `iter/bpf_map_elem`.
    Map(BorrowedFd<'a>),
}

/// A loaded iterator program.
#[derive(Debug)]
pub struct IterProgram {
    program: OwnedFd,
}

/// A link of an iterator program to what it walks; each read walks anew.
#[derive(Debug)]
pub struct IterLink {
    link: OwnedFd,
}

impl IterProgram {
    /// Keeps a descriptor of a loaded program of type `iter/...`.
    pub fn new(program: OwnedFd) -> IterProgram {
        IterProgram { program }
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// Links the program to what it shall walk.
    ///
    /// # Errors
    /// What the kernel said; E2BIG or EINVAL where this kernel cannot restrict the walk so.
    pub fn link(&self, scope: Scope<'_>) -> io::Result<IterLink> {
        // union bpf_iter_link_info: map { map_fd } or task { tid, pid, pid_fd }. The process number stands in the second
        // word, which kernels that know nothing of it refuse rather than ignore.
        let info: [u32; 3] = match scope {
            Scope::All => [0; 3],
            Scope::Process(tgid) => [0, tgid, 0],
            Scope::Map(map) => [fd_word(map) as u32, 0, 0],
        };
        let mut attr = [fd_word(self.program.as_fd()), TRACE_ITER, 0, 0];
        let len = match scope {
            Scope::All => 0,
            Scope::Process(_) => size_of_val(&info),
            Scope::Map(_) => size_of::<u32>(),
        };
        if len > 0 {
            attr[2] = info.as_ptr() as u64;
            attr[3] = len as u64;
        }
        // SAFETY: `attr` is laid out as the kernel's link_create (prog_fd, target_fd, attach_type, flags, iter_info,
        // iter_info_len), and `info` lives until the call returns and has `len` bytes.
        let fd = unsafe { bpf(LINK_CREATE, &mut attr)? };
        // SAFETY: LINK_CREATE returned a new descriptor that nothing else owns.
        Ok(IterLink { link: unsafe { OwnedFd::from_raw_fd(fd) } })
    }
}

impl IterLink {
    /// Walks once and hands over each piece of output, aligned to 8 bytes; pieces consist of whole records.
    ///
    /// # Errors
    /// What the kernel said; the pieces that were handed over before stay valid.
    pub fn read(&self, buffer: &mut IterBuffer, piece: impl FnMut(&[u8])) -> io::Result<()> {
        self.read_into(&mut buffer.words, piece)
    }

    /// Walks once and calls `pause` whenever the program wrote a word, and at the end.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn walk(&self, mut pause: impl FnMut()) -> io::Result<()> {
        // The kernel stops when there is as much as was asked for.
        self.read_into(&mut [0], |_| pause())?;
        pause();
        Ok(())
    }

    fn read_into(&self, words: &mut [u64], mut piece: impl FnMut(&[u8])) -> io::Result<()> {
        let mut attr = [fd_word(self.link.as_fd())];
        // SAFETY: `attr` is laid out as the kernel's iter_create (link_fd, flags).
        let fd = unsafe { bpf(ITER_CREATE, &mut attr)? };
        // SAFETY: ITER_CREATE returned a new descriptor that nothing else owns.
        let iter = unsafe { OwnedFd::from_raw_fd(fd) };
        loop {
            // SAFETY: the kernel writes at most as many bytes as `words` has.
            let n = unsafe { libc::read(iter.as_raw_fd(), words.as_mut_ptr().cast(), size_of_val(words)) };
            match usize::try_from(n) {
                Ok(0) => return Ok(()),
                // SAFETY: read(2) returned `n`, which is at most the bytes of `words`; every byte is a valid u8.
                Ok(n) => piece(unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), n) }),
                Err(_) => match io::Error::last_os_error() {
                    // EAGAIN comes after a million objects without output: the walk goes on with the next read.
                    e if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
                    e => return Err(e),
                },
            }
        }
    }
}

/// The memory that iterators are read into, kept between samples; aligned, so that records of whole words can be looked
/// at in place.
#[derive(Debug)]
pub struct IterBuffer {
    words: Vec<u64>,
}

impl Default for IterBuffer {
    fn default() -> Self {
        IterBuffer { words: vec![0; ITER_BUFFER_BYTES / 8] }
    }
}

/// The memory that batched lookups are read into, kept between samples.
#[derive(Debug)]
pub struct Batch {
    key_bytes: usize,
    value_bytes: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
    at: Vec<u8>,
    count: usize,
}

impl Batch {
    /// For maps with keys and values of these sizes.
    pub fn new(key_bytes: usize, value_bytes: usize) -> Batch {
        let mut batch = Batch {
            key_bytes,
            value_bytes,
            keys: Vec::new(),
            values: Vec::new(),
            at: vec![0; key_bytes.max(8)],
            count: 0,
        };
        batch.resize(256);
        batch
    }

    fn resize(&mut self, count: usize) {
        self.count = count;
        self.keys.resize(count * self.key_bytes, 0);
        self.values.resize(count * self.value_bytes, 0);
    }

    /// Hands over every key and value of a hash or array map (5.6 and later). Entries that are added or deleted
    /// meanwhile may or may not be among them.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn for_each(&mut self, map: BorrowedFd<'_>, mut each: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
        let mut first = true;
        loop {
            let at = self.at.as_mut_ptr() as u64;
            let mut attr = [
                if first { 0 } else { at },
                at,
                self.keys.as_mut_ptr() as u64,
                self.values.as_mut_ptr() as u64,
                self.count as u64 & 0xffff_ffff | fd_word(map) << 32,
                0,
                0,
            ];
            // SAFETY: `attr` is laid out as the kernel's batch (in_batch, out_batch, keys, values, count, map_fd,
            // elem_flags, flags); keys and values have room for `count` elements of the map, and `at` for its cursor.
            let done = match unsafe { bpf(MAP_LOOKUP_BATCH, &mut attr) } {
                Ok(_) => false,
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => true,
                Err(e) if e.raw_os_error() == Some(libc::EINTR) => continue,
                Err(e) if e.raw_os_error() == Some(libc::ENOSPC) && self.count < 1 << 24 => {
                    // One bucket holds more than the buffer: a bucket is handed over whole or not at all.
                    self.resize(2 * self.count);
                    continue;
                }
                Err(e) => return Err(e),
            };
            let n = (attr[4] & 0xffff_ffff) as usize;
            let keys = self.keys.chunks_exact(self.key_bytes);
            for (key, value) in keys.zip(self.values.chunks_exact(self.value_bytes)).take(n) {
                each(key, value);
            }
            if done {
                return Ok(());
            }
            first = false;
        }
    }
}

pub(super) fn fd_word(fd: BorrowedFd<'_>) -> u64 {
    u64::from(fd.as_raw_fd().unsigned_abs())
}

/// Makes the call with an attribute of whole 64-bit words; both byte orders that matter here are little-endian.
///
/// # Safety
/// `attr` must be laid out as `cmd` wants it, and the addresses in it must be valid for what `cmd` does with them.
pub(super) unsafe fn bpf<const N: usize>(cmd: libc::c_int, attr: &mut [u64; N]) -> io::Result<i32> {
    // SAFETY: the caller vouches for the contents; the kernel reads and writes at most `size_of_val(attr)` bytes.
    let ret = unsafe { libc::syscall(libc::SYS_bpf, cmd, attr.as_mut_ptr(), size_of_val(attr)) };
    i32::try_from(ret).ok().filter(|r| *r >= 0).ok_or_else(io::Error::last_os_error)
}
