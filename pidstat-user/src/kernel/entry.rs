//! The bpf(2) calls on one map entry or one program that aya 0.14 lacks.

use super::bpf::{bpf, fd_word};
use std::{io, os::fd::BorrowedFd};

const MAP_LOOKUP: libc::c_int = 1;
const MAP_DELETE: libc::c_int = 3;
const MAP_LOOKUP_AND_DELETE: libc::c_int = 21;
/// What the kernel says of maps that cannot do something; it has no name here.
const ENOTSUPP: i32 = 524;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// Takes one entry out of a hash map; `None` if there is none. Before 5.14 in two steps, between which nothing may be added
/// that matters.
///
/// # Errors
/// What the kernel said.
///
/// # Safety
/// `K` and `V` must be as large as the map's keys and values: the kernel reads and writes as many bytes as the map has.
pub unsafe fn take<K: aya::Pod, V: aya::Pod + Default>(
    map: BorrowedFd<'_>,
    key: &K,
) -> io::Result<Option<V>> {
    let mut value = V::default();
    let mut attr = [fd_word(map), (&raw const *key) as u64, (&raw mut value) as u64, 0];
    // SAFETY: `attr` is laid out as the kernel's (map_fd, key, value, flags); key and value live until the call returns
    // and are as large as the caller promises.
    match unsafe { bpf(MAP_LOOKUP_AND_DELETE, &mut attr) } {
        Ok(_) => Ok(Some(value)),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        // SAFETY: as above.
        Err(e) if matches!(e.raw_os_error(), Some(ENOTSUPP | libc::EINVAL)) => unsafe {
            take_in_two_steps(map, key)
        },
        Err(e) => Err(e),
    }
}

/// The same by looking the entry up and removing it.
///
/// # Errors
/// What the kernel said.
///
/// # Safety
/// As for [`take`].
pub unsafe fn take_in_two_steps<K: aya::Pod, V: aya::Pod + Default>(
    map: BorrowedFd<'_>,
    key: &K,
) -> io::Result<Option<V>> {
    let mut value = V::default();
    let key = (&raw const *key) as u64;
    // Removing takes no value and refuses one.
    for (command, at) in [(MAP_LOOKUP, (&raw mut value) as u64), (MAP_DELETE, 0)] {
        let mut attr = [fd_word(map), key, at, 0];
        // SAFETY: `attr` is laid out as the kernel's (map_fd, key, value, flags), and the caller vouches for the sizes.
        match unsafe { bpf(command, &mut attr) } {
            Ok(_) => {}
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    Ok(Some(value))
}

/// Nanoseconds that a program ran, and how often; both stand still while the kernel does not measure them.
///
/// # Errors
/// What the kernel said.
pub fn run_time(program: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let info = about(program)?;
    Ok((info[24], info[25]))
}

/// How often the kernel skipped a program because it was already running on that CPU (`bpf_prog_info.recursion_misses`,
/// 5.12 and later).
///
/// # Errors
/// What the kernel said.
pub fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(about(program)?[26])
}

/// `struct bpf_prog_info` up to and with run_time_ns, run_cnt and recursion_misses, the last at byte 208.
fn about(program: BorrowedFd<'_>) -> io::Result<[u64; 27]> {
    // What is zero on entry asks for no array.
    let mut info = [0u64; 27];
    let mut attr = [fd_word(program) | (size_of_val(&info) as u64) << 32, info.as_mut_ptr() as u64];
    // SAFETY: `attr` is laid out as the kernel's (bpf_fd, info_len, info), and `info` has `info_len` bytes.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr)? };
    Ok(info)
}
