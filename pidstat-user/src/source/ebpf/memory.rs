//! Gives the memory back that the start took: what was freed, and the code that runs no more.

use std::ptr;

/// Gives back to the system what lies free, and the pages of code and constants: what of them is still needed comes back by
/// itself, and most of it was the loader's.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the calls touch nothing but what is free, and mappings that the callback vouches for.
    unsafe {
        libc::malloc_trim(0);
        libc::dl_iterate_phdr(Some(let_go), ptr::null_mut());
    }
}

/// Lets the pages of one object go that are mapped from its file and were never written to.
#[cfg(target_env = "gnu")]
unsafe extern "C" fn let_go(
    object: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the caller hands over a valid object whose table has so many entries; dropping the pages of a segment that
    // cannot be written to loses nothing, as the next access reads them from the file, and who refuses it does no harm.
    unsafe {
        let table = (*object).dlpi_phdr;
        for at in 0..usize::from((*object).dlpi_phnum) {
            let segment = &*table.add(at);
            if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
                continue;
            }
            let page = libc::sysconf(libc::_SC_PAGESIZE).unsigned_abs() as usize;
            let start = (*object).dlpi_addr as usize + segment.p_vaddr as usize;
            let end = start + segment.p_memsz as usize;
            let start = start.next_multiple_of(page);
            if start < end {
                libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
            }
        }
    }
    0
}
