//! `/proc/PID/smaps`: the mapping of the main stack.

use super::number::first;
use crate::sample::Stack;

/// Reads the file: after the first line with `[stack]`, the next `Size:` and the next `Referenced:`, in KiB. `None` if
/// there is no such mapping (kernel threads, zombies) or the file ends inside it.
pub fn parse(bytes: &[u8]) -> Option<Stack> {
    let mut lines = bytes.split(|b| *b == b'\n');
    lines.find(|line| line.windows(7).any(|word| word == b"[stack]"))?;
    let mut value = |head: &[u8]| lines.find_map(|line| line.strip_prefix(head)).and_then(first);
    Some(Stack { size_kib: value(b"Size:")?, referenced_kib: value(b"Referenced:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/x\nSize:                328 kB\n\
        Referenced:          300 kB\n7ffdcb1c5000-7ffdcb1e6000 rw-p 00000000 00:00 0                          [stack]\n\
        Size:                132 kB\nKernelPageSize:        4 kB\nRss:                  12 kB\n\
        Referenced:           12 kB\nAnonymous:            12 kB\n";

    #[test]
    fn only_the_stack_counts() {
        assert_eq!(parse(TEXT.as_bytes()), Some(Stack { size_kib: 132, referenced_kib: 12 }));
    }

    #[test]
    fn no_stack_is_absent() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(TEXT.split("7ffd").next().unwrap().as_bytes()), None);
        assert_eq!(parse(TEXT.split("KernelPage").next().unwrap().as_bytes()), None);
    }
}
