//! The bytes of the kernel's BTF: mapped where the kernel can (6.16 and later), else read.

use bytes::Bytes;
use std::{fs::File, io, os::fd::AsRawFd, ptr};

/// The running kernel's BTF.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Memory that the kernel shares with us, until dropped.
#[derive(Debug)]
struct Mapped {
    start: *mut libc::c_void,
    length: usize,
}

// SAFETY: the mapping is read-only and belongs to whoever owns the value; no thread has a special claim to it.
unsafe impl Send for Mapped {}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping has this length, stays until the drop, and the kernel never changes its own BTF.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this start and length, and nothing borrows from it any more.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

/// Takes the bytes without a copy if possible: a read gives no more than a page at a time, and there are over a thousand.
///
/// # Errors
/// The kernel has none, or we may not see it.
pub fn kernel_bytes() -> io::Result<Bytes> {
    let file = File::open(VMLINUX)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours; length 0 is refused.
    let start = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_POPULATE;
        libc::mmap(ptr::null_mut(), length, libc::PROT_READ, flags, file.as_raw_fd(), 0)
    };
    if start == libc::MAP_FAILED {
        return std::fs::read(VMLINUX).map(Bytes::from);
    }
    Ok(Bytes::from_owner(Mapped { start, length }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn mapped_or_read_they_are_the_same() {
        assert_eq!(super::kernel_bytes().unwrap(), std::fs::read(super::VMLINUX).unwrap());
    }
}
