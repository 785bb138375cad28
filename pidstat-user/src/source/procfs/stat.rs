//! `/proc/PID/stat` and `/proc/PID/task/TID/stat`: one line with the name, the state and the counters of a task.

use super::number::{Numbers, narrow};

/// The fields that are used, by their numbers in proc_pid_stat(5). Times are in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Field 2 without its brackets: everything from the first `(` to the last `)`, any bytes. Longer than 15 bytes
    /// only for kernel workers.
    pub name: &'a [u8],
    /// Field 3, the state letter.
    pub state: u8,
    /// Field 4, 0 if the parent is outside the PID namespace.
    pub ppid: u32,
    /// Field 9, the kernel's PF_ flags.
    pub flags: u32,
    /// Field 10.
    pub minor_faults: u64,
    /// Field 11.
    pub children_minor_faults: u64,
    /// Field 12.
    pub major_faults: u64,
    /// Field 13.
    pub children_major_faults: u64,
    /// Field 14, guests included.
    pub user_ticks: u64,
    /// Field 15.
    pub system_ticks: u64,
    /// Field 16.
    pub children_user_ticks: u64,
    /// Field 17.
    pub children_system_ticks: u64,
    /// Field 20, threads in the process.
    pub threads: u32,
    /// Field 22, start in clock ticks since boot.
    pub start_ticks: u64,
    /// Field 23, virtual size in bytes.
    pub virtual_bytes: u64,
    /// Field 24, resident set in pages.
    pub resident_pages: u64,
    /// Field 39, the CPU it last ran on.
    pub processor: u32,
    /// Field 40, 0 to 99.
    pub rt_priority: u32,
    /// Field 41.
    pub policy: u32,
    /// Field 42, waiting for block I/O and swap-in.
    pub block_io_ticks: u64,
    /// Field 43; 0 where the kernel has no such field (before 2.6.24).
    pub guest_ticks: u64,
    /// Field 44; 0 where the kernel has no such field.
    pub children_guest_ticks: u64,
}

/// PF_KTHREAD of the kernel's `include/linux/sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// The number of the first field after the state; fields are counted from 1 in the manual.
const FIRST_NUMBER: usize = 4;
/// The last field that every usable file has.
const LAST_REQUIRED: usize = 42;
/// The last field that is used.
const LAST: usize = 44;

impl Stat<'_> {
    /// Whether the task is a kernel thread.
    pub fn kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }
}

/// The line taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What stands before the name.
    pub pid: &'a [u8],
    /// The name without its brackets.
    pub name: &'a [u8],
    /// The state letter.
    pub state: u8,
    /// Fields from 4 on.
    pub numbers: &'a [u8],
}

/// Takes the line apart; `None` if a part is missing.
pub fn split(bytes: &[u8]) -> Option<Parts<'_>> {
    let open = bytes.iter().position(|b| *b == b'(')?;
    // The name may contain brackets itself; the numbers after it cannot.
    let close = bytes.iter().rposition(|b| *b == b')').filter(|close| *close > open)?;
    let after = bytes[close + 1..].trim_ascii_start();
    let state = *after.first()?;
    let end = after.iter().position(u8::is_ascii_whitespace)?;
    Some(Parts { pid: &bytes[..open], name: &bytes[open + 1..close], state, numbers: &after[end..] })
}

/// Reads the file; `None` if a field up to 42 is missing, which sysstat calls unusable too ("less than 15 of its 17").
pub fn parse(bytes: &[u8]) -> Option<Stat<'_>> {
    let Parts { name, state, numbers, .. } = split(bytes)?;
    let mut field = [0u64; LAST + 1];
    let mut last = FIRST_NUMBER - 1;
    for (slot, value) in field[FIRST_NUMBER..].iter_mut().zip(Numbers::new(numbers)) {
        *slot = value;
        last += 1;
    }
    if last < LAST_REQUIRED {
        return None;
    }
    if last < LAST {
        // One guest field without the other is a torn line, not an old kernel; neither is believed.
        field[43] = 0;
    }
    Some(Stat {
        name,
        state,
        ppid: narrow(field[4]),
        flags: narrow(field[9]),
        minor_faults: field[10],
        children_minor_faults: field[11],
        major_faults: field[12],
        children_major_faults: field[13],
        user_ticks: field[14],
        system_ticks: field[15],
        children_user_ticks: field[16],
        children_system_ticks: field[17],
        threads: narrow(field[20]),
        start_ticks: field[22],
        virtual_bytes: field[23],
        resident_pages: field[24],
        processor: narrow(field[39]),
        rt_priority: narrow(field[40]),
        policy: narrow(field[41]),
        block_io_ticks: field[42],
        guest_ticks: field[43],
        children_guest_ticks: field[44],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields 4 to 52, each holding its own number.
    const TAIL: &str = "4 5 6 7 -1 9 10 11 12 13 14 15 16 17 18 19 20 0 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 \
                        37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52";

    fn line(name: &[u8], tail: &str) -> Vec<u8> {
        [b"77 (", name, b") S ", tail.as_bytes(), b"\n"].concat()
    }

    #[test]
    fn every_field_comes_from_its_place() {
        let bytes = line(b"bash", TAIL);
        let stat = parse(&bytes).unwrap();
        assert_eq!((stat.name, stat.state, stat.ppid, stat.flags), (&b"bash"[..], b'S', 4, 9));
        assert_eq!((stat.minor_faults, stat.children_minor_faults), (10, 11));
        assert_eq!((stat.major_faults, stat.children_major_faults), (12, 13));
        assert_eq!((stat.user_ticks, stat.system_ticks), (14, 15));
        assert_eq!((stat.children_user_ticks, stat.children_system_ticks), (16, 17));
        assert_eq!((stat.threads, stat.start_ticks), (20, 22));
        assert_eq!((stat.virtual_bytes, stat.resident_pages), (23, 24));
        assert_eq!((stat.processor, stat.rt_priority, stat.policy), (39, 40, 41));
        assert_eq!((stat.block_io_ticks, stat.guest_ticks, stat.children_guest_ticks), (42, 43, 44));
    }

    #[test]
    fn a_name_may_hold_any_bytes() {
        for name in [
            &b") ("[..],
            b"a) R 1 (b",
            b"new\nline",
            b"\xff\xfe",
            b"",
            b"((",
            b"))",
            b"kworker/u8:3-events_unbound",
        ] {
            let bytes = line(name, TAIL);
            let stat = parse(&bytes).unwrap();
            assert_eq!((stat.name, stat.user_ticks), (name, 14));
        }
    }

    #[test]
    fn old_kernels_have_no_guest_fields() {
        let words: Vec<&str> = TAIL.split_ascii_whitespace().collect();
        let old = line(b"init", &words[..39].join(" "));
        let stat = parse(&old).unwrap();
        assert_eq!((stat.block_io_ticks, stat.guest_ticks, stat.children_guest_ticks), (42, 0, 0));
        let torn = line(b"init", &words[..40].join(" "));
        assert_eq!(parse(&torn).unwrap().guest_ticks, 0);
        let short = line(b"init", &words[..38].join(" "));
        assert_eq!(parse(&short), None);
    }

    #[test]
    fn huge_numbers_stop_at_the_top() {
        let bytes =
            line(b"x", &TAIL.replace(" 14 ", " 99999999999999999999 ").replace(" 39 ", " 4294967296 "));
        let stat = parse(&bytes).unwrap();
        assert_eq!((stat.user_ticks, stat.processor), (u64::MAX, u32::MAX));
    }

    #[test]
    fn a_truncated_file_is_unusable() {
        let bytes = line(b"a) (b", TAIL);
        let whole = bytes.len() - " 43 44 45 46 47 48 49 50 51 52\n".len();
        // A cut inside field 42 cannot be seen: it still is a number.
        for end in 0..whole - 1 {
            assert_eq!(parse(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn kernel_threads_are_told_by_their_flag() {
        assert!(Stat { flags: 0x0420_8040, ..Stat::default() }.kernel_thread());
        assert!(!Stat { flags: 0x0040_0000, ..Stat::default() }.kernel_thread());
    }
}
