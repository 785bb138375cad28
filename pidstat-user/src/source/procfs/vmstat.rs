//! `/proc/vmstat`: what went between memory and storage, of the whole machine.

use super::{number::first, small};
use std::path::Path;

/// Bytes that were read from storage and written to it since boot; `None` if the file has not both lines.
pub fn parse(bytes: &[u8]) -> Option<(u64, u64)> {
    let kib = |name: &[u8]| bytes.split(|b| *b == b'\n').find_map(|line| first(line.strip_prefix(name)?));
    Some((kib(b"pgpgin ")?.saturating_mul(1024), kib(b"pgpgout ")?.saturating_mul(1024)))
}

/// [`parse`] of the file below a proc directory.
pub fn storage_bytes(proc_root: &Path) -> Option<(u64, u64)> {
    parse(&small::read(&proc_root.join("vmstat")).ok()?)
}

/// Digits of the largest process id (`sys/kernel/pid_max`).
pub fn pid_digits(proc_root: &Path) -> Option<usize> {
    let text = small::read(&proc_root.join("sys/kernel/pid_max")).ok()?;
    first(&text).map(|most| most.to_string().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kib_become_bytes() {
        let text = b"nr_free_pages 7\npgpgin 35\npgpgout 2\npgpgoutclean 9\n";
        assert_eq!(parse(text), Some((35 << 10, 2 << 10)));
        assert_eq!(parse(b"pgpgin 35\n"), None);
    }
}
