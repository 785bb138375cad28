//! Reads kernel fields by plain loads at offsets that the loader puts into read-only globals.
//!
//! The verifier knows the value of a global that lies in a frozen map, so `pointer + offset` stays a typed kernel pointer
//! for it: no `bpf_probe_read`, which lockdown forbids and which costs three times as much. A load through a pointer that
//! has gone stale yields 0 instead of a fault. Offset 0 means "not in this kernel"; the branch on it is cut out at load.

use core::ptr::read_volatile;

/// Reads a read-only global as a value that the verifier knows; volatile, because the compiler would otherwise use the
/// value of build time, which is 0.
#[inline(always)]
pub fn constant<T: Copy>(place: &'static T) -> T {
    // SAFETY: a reference is valid for reads.
    unsafe { read_volatile(place) }
}

/// Reads 4 bytes of a kernel object; 0 if the field is not in this kernel.
///
/// # Safety
/// `base` must be a typed kernel pointer that the verifier follows, and `offset` a [`constant`] within its type.
#[inline(always)]
pub unsafe fn u32_at(base: *const u8, offset: u32) -> u32 {
    // SAFETY: the verifier checks the type, and the load cannot fault.
    if offset == 0 { 0 } else { unsafe { read_volatile(base.add(offset as usize).cast()) } }
}

/// Reads 8 bytes of a kernel object; 0 if the field is not in this kernel.
///
/// # Safety
/// As for [`u32_at`].
#[inline(always)]
pub unsafe fn u64_at(base: *const u8, offset: u32) -> u64 {
    // SAFETY: the verifier checks the type, and the load cannot fault.
    if offset == 0 { 0 } else { unsafe { read_volatile(base.add(offset as usize).cast()) } }
}

/// Follows a pointer in a kernel object; the loader must have made sure that the field exists, or the caller tests the
/// offset before.
///
/// # Safety
/// As for [`u32_at`].
#[inline(always)]
pub unsafe fn pointer_at(base: *const u8, offset: u32) -> *const u8 {
    // SAFETY: the verifier checks the type, and the load cannot fault.
    unsafe { read_volatile(base.add(offset as usize).cast()) }
}
