//! `/proc/PID/io` and `/proc/PID/task/TID/io`: bytes and calls.

use super::number::first;
use crate::sample::Io;

/// Reads the file. `None` unless the three lines about storage are there; the four about system calls, which kernels
/// without CONFIG_TASK_XACCT never fill, are then 0.
pub fn parse(bytes: &[u8]) -> Option<Io> {
    let mut io = Io::default();
    let mut storage_lines = 0;
    for line in bytes.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let Some(value) = first(&line[colon + 1..]) else { continue };
        match &line[..colon] {
            b"rchar" => io.rchar_bytes = value,
            b"wchar" => io.wchar_bytes = value,
            b"syscr" => io.read_calls = value,
            b"syscw" => io.write_calls = value,
            b"read_bytes" => {
                io.read_bytes = value;
                storage_lines |= 1;
            }
            b"write_bytes" => {
                io.write_bytes = value;
                storage_lines |= 2;
            }
            b"cancelled_write_bytes" => {
                io.cancelled_write_bytes = value;
                storage_lines |= 4;
            }
            _ => {}
        }
    }
    (storage_lines == 7).then_some(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_place() {
        let text = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        let io = parse(text).unwrap();
        assert_eq!((io.rchar_bytes, io.wchar_bytes, io.read_calls, io.write_calls), (1, 2, 3, 4));
        assert_eq!((io.read_bytes, io.write_bytes, io.cancelled_write_bytes), (5, 6, 7));
    }

    #[test]
    fn a_truncated_file_is_unusable() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"read_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes:"), None);
        assert_eq!(parse(b"read_bytes: 5\nread_bytes: 6\nread_bytes: 7\n"), None);
        assert!(parse(b"read_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7").is_some());
    }
}
