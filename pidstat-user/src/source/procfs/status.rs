//! `/proc/PID/status` and `/proc/PID/task/TID/status`: owner, threads and context switches.

use super::number::{Numbers, first, narrow};

/// The lines that are used; each is `None` if the file has no such line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// First number of `Uid:`, the real user id.
    pub uid: Option<u32>,
    /// Second number of `Uid:`, the effective user id.
    pub effective_uid: Option<u32>,
    /// Last number of `NSpid:`: the id in the innermost PID namespace (Linux 4.1).
    pub ns_pid: Option<u32>,
    /// `Threads:` of the process.
    pub threads: Option<u32>,
    /// `VmPeak:` in KiB; a kernel thread has none.
    pub peak_kib: Option<u64>,
    /// `voluntary_ctxt_switches:` of this task alone (Linux 2.6.23).
    pub voluntary: Option<u64>,
    /// `nonvoluntary_ctxt_switches:` of this task alone.
    pub involuntary: Option<u64>,
}

/// Reads the file. The kernel escapes newlines in `Name:`, so a line is what it seems to be.
pub fn parse(bytes: &[u8]) -> Status {
    let mut status = Status::default();
    for line in bytes.split(|b| *b == b'\n') {
        // The first letter settles most of the 60 lines.
        match line.first() {
            Some(b'U') => {
                if let Some(rest) = line.strip_prefix(b"Uid:") {
                    let mut ids = Numbers::new(rest).map(narrow);
                    (status.uid, status.effective_uid) = (ids.next(), ids.next());
                }
            }
            Some(b'N') => {
                if let Some(rest) = line.strip_prefix(b"NSpid:") {
                    status.ns_pid = Numbers::new(rest).last().map(narrow);
                }
            }
            Some(b'T') => {
                if let Some(rest) = line.strip_prefix(b"Threads:") {
                    status.threads = first(rest).map(narrow);
                }
            }
            Some(b'V') => {
                if let Some(rest) = line.strip_prefix(b"VmPeak:") {
                    status.peak_kib = first(rest);
                }
            }
            Some(b'v') => {
                if let Some(rest) = line.strip_prefix(b"voluntary_ctxt_switches:") {
                    status.voluntary = first(rest);
                }
            }
            Some(b'n') => {
                if let Some(rest) = line.strip_prefix(b"nonvoluntary_ctxt_switches:") {
                    status.involuntary = first(rest);
                }
            }
            _ => {}
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_lines_are_found_among_the_others() {
        let text = b"Name:\tUid: 9\nUmask:\t0022\nUid:\t1000\t33\t0\t0\nNSpid:\t512\t7\t1\nVmPeak:\t  728956 kB\nVmSize:\t1 kB\n\
                     Threads:\t12\nTHP_enabled:\t1\n\
                     voluntary_ctxt_switches:\t18446744073709551615\nnonvoluntary_ctxt_switches:\t3\n";
        let status = parse(text);
        assert_eq!((status.uid, status.ns_pid, status.threads), (Some(1000), Some(1), Some(12)));
        assert_eq!((status.effective_uid, status.peak_kib), (Some(33), Some(728_956)));
        assert_eq!((status.voluntary, status.involuntary), (Some(u64::MAX), Some(3)));
    }

    #[test]
    fn what_is_not_there_is_absent() {
        assert_eq!(parse(b""), Status::default());
        assert_eq!(parse(b"Uid:\n\xff\nThreads: many\nvoluntary_ctxt_switches"), Status::default());
        assert_eq!(parse(b"Uid:\t4294967294").uid, Some(4_294_967_294));
    }
}
