//! The memory that the walk over the sockets leaves its records in, mapped from the kernel's.

use pidstat_common::net::Outbox as Shared;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::{self, NonNull, addr_of},
};

/// The mapped value of `ps_outbox`. Dropping it unmaps it.
#[derive(Debug)]
pub struct Outbox {
    shared: NonNull<Shared>,
}

// SAFETY: the mapping belongs to this value alone, wherever it is moved.
unsafe impl Send for Outbox {}

impl Outbox {
    /// Maps the map.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn map(map: BorrowedFd<'_>) -> io::Result<Outbox> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses.
        let place = unsafe {
            libc::mmap(ptr::null_mut(), size_of::<Shared>(), protection, libc::MAP_SHARED, map.as_raw_fd(), 0)
        };
        if place == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(place.cast())
            .map(|shared| Outbox { shared })
            .ok_or_else(|| io::Error::other("mapped at 0"))
    }

    /// Hands over what is in it and empties it. The program runs only during a read by this thread, so not now.
    pub fn empty(&mut self, take: impl FnOnce(&[u8])) {
        let shared = self.shared.as_ptr();
        // SAFETY: the mapping is as large as the value and lives until the drop; nobody else writes to it now, and the
        // length is checked against the room.
        unsafe {
            let used = usize::try_from(addr_of!((*shared).used).read_volatile()).unwrap_or(usize::MAX);
            let room = size_of_val(&(*shared).bytes);
            take(std::slice::from_raw_parts(addr_of!((*shared).bytes).cast(), used.min(room)));
            (&raw mut (*shared).used).write_volatile(0);
            (&raw mut (*shared).walked).write_volatile(0);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // SAFETY: unmaps what `map` mapped, once.
        unsafe { libc::munmap(self.shared.as_ptr().cast(), size_of::<Shared>()) };
    }
}
