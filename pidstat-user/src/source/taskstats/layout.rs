//! The kernel's `struct taskstats` as bytes: which field stands where in which version (include/uapi/linux/taskstats.h).

/// How often a task waited for one thing, and for how long altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// Times.
    pub count: u64,
    /// Nanoseconds.
    pub total_ns: u64,
}

/// What the kernel says of a thread, or adds up for a process. Of a process only the delays, `run_ns`, the times and the
/// context switches are filled; everything else is zero.
///
/// A delay that this version does not have is `None`. One that it has is zero, too, if the kernel did not measure the
/// task (see [`Stats::measured`]); `cpu` is always measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The version that the kernel gave.
    pub version: u16,
    /// As wait(2) has it; once the task ended.
    pub exit_code: u32,
    /// `AFORK`, `AGROUP`, ... of include/uapi/linux/acct.h.
    pub flags: u8,
    /// Nice value.
    pub nice: i8,
    /// Runnable, waiting for a CPU.
    pub cpu: Delay,
    /// Waiting for storage.
    pub block_io: Delay,
    /// Waiting for pages to come back from swap.
    pub swap_in: Delay,
    /// Making room in memory.
    pub reclaim: Option<Delay>,
    /// Waiting for pages that were dropped a moment ago (version 9).
    pub thrashing: Option<Delay>,
    /// Making room for huge pages (version 11).
    pub compaction: Option<Delay>,
    /// Copying pages at the first write (version 13).
    pub write_copy: Option<Delay>,
    /// Interrupted by hardware and soft interrupts (version 14).
    pub interrupt: Option<Delay>,
    /// Nanoseconds on a CPU.
    pub run_ns: u64,
    /// Name, without the NULs behind it.
    pub comm: Vec<u8>,
    /// Scheduling policy.
    pub policy: u8,
    /// Real user id.
    pub uid: u32,
    /// Thread id, in the PID namespace of who asks.
    pub tid: u32,
    /// The parent's process id.
    pub ppid: u32,
    /// Process id (version 12).
    pub tgid: Option<u32>,
    /// Microseconds since it was started.
    pub elapsed_us: u64,
    /// User time in microseconds.
    pub user_us: u64,
    /// System time in microseconds.
    pub system_us: u64,
    /// Minor page faults.
    pub minor_faults: u64,
    /// Major page faults.
    pub major_faults: u64,
    /// Bytes fetched from storage. These three are cut to whole KiB by the kernel.
    pub read_bytes: u64,
    /// Bytes sent towards storage.
    pub write_bytes: u64,
    /// Written bytes that never reached storage.
    pub cancelled_write_bytes: u64,
    /// Voluntary context switches.
    pub voluntary: u64,
    /// Involuntary context switches.
    pub involuntary: u64,
}

impl Stats {
    /// Reads the structure as far as it goes; `None` if it is of no known version or lacks the I/O counters that are there
    /// since version 3.
    pub fn read(bytes: &[u8]) -> Option<Stats> {
        let at = Fields { bytes, version: u16::from_ne_bytes(bytes.first_chunk().copied()?) };
        if at.version < 3 {
            return None;
        }
        let comm = at.bytes.get(at.shifted(80)..at.shifted(112))?;
        let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
        Some(Stats {
            version: at.version,
            exit_code: at.u32(4)?,
            flags: *bytes.get(8)?,
            nice: i8::from_ne_bytes([*bytes.get(9)?]),
            cpu: at.delay(16)?,
            block_io: at.delay(32)?,
            swap_in: at.delay(48)?,
            run_ns: at.u64(72)?,
            comm: comm[..end].to_vec(),
            policy: *bytes.get(at.shifted(112))?,
            uid: at.u32(120)?,
            tid: at.u32(128)?,
            ppid: at.u32(132)?,
            elapsed_us: at.u64(144)?,
            user_us: at.u64(152)?,
            system_us: at.u64(160)?,
            minor_faults: at.u64(168)?,
            major_faults: at.u64(176)?,
            read_bytes: at.u64(248)?,
            write_bytes: at.u64(256)?,
            cancelled_write_bytes: at.u64(264)?,
            voluntary: at.u64(272)?,
            involuntary: at.u64(280)?,
            reclaim: at.delay(312),
            thrashing: at.delay(328),
            compaction: at.delay(352),
            tgid: at.u32(368),
            write_copy: at.delay(400),
            interrupt: at.delay(416),
        })
    }

    /// Whether the kernel measured this task's delays beyond doubt: it does so for tasks that were forked while
    /// kernel.task_delayacct was on. Nearly every program that ever ran was delayed by copying a page.
    pub fn measured(&self) -> bool {
        let later = [self.reclaim, self.thrashing, self.compaction, self.write_copy, self.interrupt];
        let all = [self.block_io, self.swap_in].into_iter().chain(later.into_iter().flatten());
        all.into_iter().any(|delay| delay.count > 0 || delay.total_ns > 0)
    }
}

/// The version that put the extremes of each delay behind its total, in the middle of the structure, and was taken back:
/// since 16 they are at the end.
const EXTREMES_INSIDE: u16 = 15;
/// Where each delay stands otherwise.
const DELAYS: [usize; 8] = [16, 32, 48, 312, 328, 352, 400, 416];

struct Fields<'a> {
    bytes: &'a [u8],
    version: u16,
}

impl Fields<'_> {
    /// Where a field is that otherwise stands at `offset`: behind the extremes of every delay before it.
    fn shifted(&self, offset: usize) -> usize {
        if self.version != EXTREMES_INSIDE {
            return offset;
        }
        offset + 16 * DELAYS.iter().filter(|delay| **delay + 16 <= offset).count()
    }

    fn u64(&self, offset: usize) -> Option<u64> {
        let bytes = self.bytes.get(self.shifted(offset)..)?;
        bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
    }

    fn u32(&self, offset: usize) -> Option<u32> {
        let bytes = self.bytes.get(self.shifted(offset)..)?;
        bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    }

    fn delay(&self, offset: usize) -> Option<Delay> {
        let bytes = self.bytes.get(self.shifted(offset)..)?.first_chunk::<16>()?;
        let (count, total) = bytes.split_at(8);
        let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        Some(Delay { count: number(count), total_ns: number(total) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of the header file in order, each with its bytes and the versions that have it there.
    fn members(version: u16) -> Vec<(&'static str, usize)> {
        let mut list = vec![("version", 2), ("", 2), ("exit_code", 4), ("flags", 1), ("nice", 1), ("", 6)];
        let delay = |list: &mut Vec<(&'static str, usize)>, count, total| {
            list.extend([(count, 8), (total, 8)]);
            if version == 15 {
                list.extend([("max", 8), ("min", 8)]);
            }
        };
        delay(&mut list, "cpu.count", "cpu.total");
        delay(&mut list, "block_io.count", "block_io.total");
        delay(&mut list, "swap_in.count", "swap_in.total");
        list.extend([("run_real", 8), ("run", 8), ("comm", 32), ("policy", 1), ("", 7)]);
        list.extend([("uid", 4), ("gid", 4), ("tid", 4), ("ppid", 4), ("btime", 4), ("", 4), ("elapsed", 8)]);
        list.extend([
            ("user", 8),
            ("system", 8),
            ("minflt", 8),
            ("majflt", 8),
            ("coremem", 8),
            ("virtmem", 8),
        ]);
        list.extend([("hiwater_rss", 8), ("hiwater_vm", 8), ("read_char", 8), ("write_char", 8)]);
        list.extend([
            ("read_syscalls", 8),
            ("write_syscalls", 8),
            ("read", 8),
            ("write", 8),
            ("cancelled", 8),
        ]);
        list.extend([("nvcsw", 8), ("nivcsw", 8), ("utimescaled", 8), ("stimescaled", 8), ("run_scaled", 8)]);
        if version >= 5 {
            delay(&mut list, "reclaim.count", "reclaim.total");
        }
        if version >= 9 {
            delay(&mut list, "thrashing.count", "thrashing.total");
        }
        if version >= 10 {
            list.push(("btime64", 8));
        }
        if version >= 11 {
            delay(&mut list, "compaction.count", "compaction.total");
        }
        if version >= 12 {
            list.extend([("tgid", 4), ("", 4), ("tgetime", 8), ("exe_dev", 8), ("exe_inode", 8)]);
        }
        if version >= 13 {
            delay(&mut list, "write_copy.count", "write_copy.total");
        }
        if version >= 14 {
            delay(&mut list, "interrupt.count", "interrupt.total");
        }
        if version >= 16 {
            list.extend([("max", 8), ("min", 8)].repeat(8));
        }
        list
    }

    /// A structure in which every member has a value of its own; what a member should be read as is in the map.
    fn invented(version: u16) -> (Vec<u8>, std::collections::HashMap<&'static str, u64>) {
        let (mut bytes, mut values) = (Vec::new(), std::collections::HashMap::new());
        for (number, (name, size)) in members(version).into_iter().enumerate() {
            let value = match (name, size) {
                ("version", _) => u64::from(version),
                (_, 1) => 3 + number as u64,
                _ => 1_000_003 * (number as u64 + 1),
            };
            if name == "comm" {
                bytes.extend(b"a name\0rest");
                bytes.resize(bytes.len() + 21, 0);
                continue;
            }
            bytes.extend(&value.to_ne_bytes()[..size]);
            values.insert(name, value);
        }
        (bytes, values)
    }

    #[test]
    fn every_version_is_read_where_its_header_puts_it() {
        for (version, length) in
            [(4, 312), (5, 328), (8, 328), (9, 344), (10, 352), (11, 368), (12, 400), (13, 416)]
                .into_iter()
                .chain([(14, 432), (15, 560), (16, 560), (17, 560)])
        {
            let (bytes, values) = invented(version);
            assert_eq!(bytes.len(), length, "version {version}");
            let stats = Stats::read(&bytes).unwrap();
            let delay = |name: &str| {
                let part = |what: &str| values.get(format!("{name}.{what}").as_str()).copied();
                Some(Delay { count: part("count")?, total_ns: part("total")? })
            };
            let narrow = |name| values[name] as u32;
            assert_eq!((stats.version, stats.exit_code), (version, narrow("exit_code")));
            assert_eq!((stats.flags, stats.nice), (values["flags"] as u8, values["nice"] as i8));
            assert_eq!((Some(stats.cpu), Some(stats.block_io)), (delay("cpu"), delay("block_io")));
            assert_eq!((Some(stats.swap_in), stats.run_ns), (delay("swap_in"), values["run"]));
            assert_eq!((stats.comm.as_slice(), stats.policy), (&b"a name"[..], values["policy"] as u8));
            assert_eq!((stats.uid, stats.tid, stats.ppid), (narrow("uid"), narrow("tid"), narrow("ppid")));
            assert_eq!((stats.elapsed_us, stats.user_us), (values["elapsed"], values["user"]));
            assert_eq!((stats.system_us, stats.minor_faults), (values["system"], values["minflt"]));
            assert_eq!((stats.major_faults, stats.read_bytes), (values["majflt"], values["read"]));
            assert_eq!(
                (stats.write_bytes, stats.cancelled_write_bytes),
                (values["write"], values["cancelled"])
            );
            assert_eq!((stats.voluntary, stats.involuntary), (values["nvcsw"], values["nivcsw"]));
            assert_eq!((stats.reclaim, stats.thrashing), (delay("reclaim"), delay("thrashing")));
            assert_eq!(stats.compaction, delay("compaction"));
            assert_eq!(stats.tgid, values.contains_key("tgid").then(|| narrow("tgid")));
            assert_eq!((stats.write_copy, stats.interrupt), (delay("write_copy"), delay("interrupt")));
            assert!(stats.measured());
        }
    }

    #[test]
    fn what_is_cut_short_is_read_as_far_as_it_goes_or_not_at_all() {
        for version in [4, 15, 16] {
            let (bytes, _) = invented(version);
            let needed = if version == 15 { 336 } else { 288 };
            for length in 0..bytes.len() {
                let stats = Stats::read(&bytes[..length]);
                assert_eq!(stats.is_some(), length >= needed, "version {version}, {length} bytes");
            }
        }
        assert_eq!(Stats::read(&[2, 0, 0, 0]), None);
    }

    #[test]
    fn only_what_was_delayed_was_measured_beyond_doubt() {
        let mut stats = Stats { cpu: Delay { count: 5, total_ns: 7 }, ..Stats::default() };
        assert!(!stats.measured());
        stats.write_copy = Some(Delay { count: 1, total_ns: 0 });
        assert!(stats.measured());
    }
}
