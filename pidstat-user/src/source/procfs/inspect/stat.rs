//! `stat` whole: every field of proc_pid_stat(5) by its meaning, and procutils' names for them.

use crate::{
    sample::Tree,
    source::procfs::stat::{Parts, split},
};

/// A task's `stat`. A tick is 1/100 s on every common kernel (`getconf CLK_TCK`).
///
/// Fields that old kernels lack are `None`. Addresses are 0 for who may not trace the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Field 1, the process or thread.
    pub pid: u32,
    /// Field 2 without its brackets.
    pub name: String,
    /// Field 3, a letter; see [`Stat::state_word`].
    pub state: char,
    /// Field 4; 0 if the parent is outside the PID namespace.
    pub ppid: i64,
    /// Field 5, the process group.
    pub group: i64,
    /// Field 6, the session.
    pub session: i64,
    /// Field 7, the device number of the controlling terminal, 0 for none.
    pub terminal: i64,
    /// Field 8, the foreground process group of the terminal, -1 for none.
    pub terminal_group: i64,
    /// Field 9, the kernel's PF_ flags.
    pub flags: u64,
    /// Field 10, page faults served from memory.
    pub minor_faults: u64,
    /// Field 11, those of children that were waited for.
    pub children_minor_faults: u64,
    /// Field 12, page faults that read from storage.
    pub major_faults: u64,
    /// Field 13, those of children that were waited for.
    pub children_major_faults: u64,
    /// Field 14, guests included.
    pub user_ticks: u64,
    /// Field 15.
    pub system_ticks: u64,
    /// Field 16, of children that were waited for.
    pub children_user_ticks: i64,
    /// Field 17, of children that were waited for.
    pub children_system_ticks: i64,
    /// Field 18, as the kernel has it: 20 plus nice, or below zero for realtime.
    pub priority: i64,
    /// Field 19, -20 to 19.
    pub nice: i64,
    /// Field 20.
    pub threads: i64,
    /// Field 21, always 0 since Linux 2.6.17.
    pub interval_timer: i64,
    /// Field 22, ticks since boot.
    pub start_ticks: u64,
    /// Field 23.
    pub virtual_bytes: u64,
    /// Field 24, rounded by the kernel; `statm` is exact.
    pub resident_pages: i64,
    /// Field 25, the soft limit of the resident set.
    pub resident_limit_bytes: u64,
    /// Field 26, an address.
    pub code_start: u64,
    /// Field 27, an address.
    pub code_end: u64,
    /// Field 28, an address.
    pub stack_start: u64,
    /// Field 29, the stack pointer; 0 unless the task is exiting.
    pub stack_pointer: u64,
    /// Field 30, the instruction pointer; 0 unless the task is exiting.
    pub instruction_pointer: u64,
    /// Field 31, a mask of the first 31 signals; so are the next three. `status` has all 64.
    pub pending_signals: u64,
    /// Field 32.
    pub blocked_signals: u64,
    /// Field 33.
    pub ignored_signals: u64,
    /// Field 34.
    pub caught_signals: u64,
    /// Field 35, 1 if the task waits inside the kernel.
    pub waiting: u64,
    /// Field 36, always 0.
    pub swapped: u64,
    /// Field 37, always 0.
    pub children_swapped: u64,
    /// Field 38, the signal that tells the parent of the end.
    pub exit_signal: i64,
    /// Field 39, the CPU it last ran on.
    pub processor: i64,
    /// Field 40, 0 to 99.
    pub rt_priority: u64,
    /// Field 41, sched_setscheduler(2)'s number.
    pub policy: u64,
    /// Field 42, waiting for block I/O and swap-in; stays 0 unless `kernel.task_delayacct` was 1 when it was forked.
    pub block_io_ticks: u64,
    /// Field 43 (Linux 2.6.24).
    pub guest_ticks: Option<u64>,
    /// Field 44 (Linux 2.6.24).
    pub children_guest_ticks: Option<i64>,
    /// Field 45, an address (Linux 3.3); so are the next two.
    pub data_start: Option<u64>,
    /// Field 46.
    pub data_end: Option<u64>,
    /// Field 47.
    pub break_start: Option<u64>,
    /// Field 48, an address (Linux 3.5); so are the next three.
    pub arguments_start: Option<u64>,
    /// Field 49.
    pub arguments_end: Option<u64>,
    /// Field 50.
    pub environment_start: Option<u64>,
    /// Field 51.
    pub environment_end: Option<u64>,
    /// Field 52, as waitpid(2) gives it (Linux 3.5); 0 for who may not trace the process.
    pub exit_code: Option<i64>,
}

/// Fields from the fourth on; what is missing at the end is missing.
struct Fields(Vec<i128>);

impl Fields {
    fn new(numbers: &[u8]) -> Fields {
        let words = numbers.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse().ok();
        Fields(words.take(52 - 3).map_while(number).collect())
    }

    fn get(&self, field: usize) -> Option<i128> {
        self.0.get(field - 4).copied()
    }

    /// A field that the kernel prints without a sign; a number out of range is the nearest in it.
    fn count(&self, field: usize) -> Option<u64> {
        self.get(field).map(|value| u64::try_from(value.max(0)).unwrap_or(u64::MAX))
    }

    fn signed(&self, field: usize) -> Option<i64> {
        let limits = (i128::from(i64::MIN), i128::from(i64::MAX));
        self.get(field).and_then(|value| i64::try_from(value.clamp(limits.0, limits.1)).ok())
    }
}

impl Stat {
    /// Reads the file; `None` if a field up to 42 is missing.
    pub fn parse(bytes: &[u8]) -> Option<Stat> {
        let Parts { pid, name, state, numbers } = split(bytes)?;
        let field = Fields::new(numbers);
        Some(Stat {
            pid: std::str::from_utf8(pid).ok()?.trim().parse().ok()?,
            name: String::from_utf8_lossy(name).into_owned(),
            state: char::from(state),
            ppid: field.signed(4)?,
            group: field.signed(5)?,
            session: field.signed(6)?,
            terminal: field.signed(7)?,
            terminal_group: field.signed(8)?,
            flags: field.count(9)?,
            minor_faults: field.count(10)?,
            children_minor_faults: field.count(11)?,
            major_faults: field.count(12)?,
            children_major_faults: field.count(13)?,
            user_ticks: field.count(14)?,
            system_ticks: field.count(15)?,
            children_user_ticks: field.signed(16)?,
            children_system_ticks: field.signed(17)?,
            priority: field.signed(18)?,
            nice: field.signed(19)?,
            threads: field.signed(20)?,
            interval_timer: field.signed(21)?,
            start_ticks: field.count(22)?,
            virtual_bytes: field.count(23)?,
            resident_pages: field.signed(24)?,
            resident_limit_bytes: field.count(25)?,
            code_start: field.count(26)?,
            code_end: field.count(27)?,
            stack_start: field.count(28)?,
            stack_pointer: field.count(29)?,
            instruction_pointer: field.count(30)?,
            pending_signals: field.count(31)?,
            blocked_signals: field.count(32)?,
            ignored_signals: field.count(33)?,
            caught_signals: field.count(34)?,
            waiting: field.count(35)?,
            swapped: field.count(36)?,
            children_swapped: field.count(37)?,
            exit_signal: field.signed(38)?,
            processor: field.signed(39)?,
            rt_priority: field.count(40)?,
            policy: field.count(41)?,
            block_io_ticks: field.count(42)?,
            guest_ticks: field.count(43),
            children_guest_ticks: field.signed(44),
            data_start: field.count(45),
            data_end: field.count(46),
            break_start: field.count(47),
            arguments_start: field.count(48),
            arguments_end: field.count(49),
            environment_start: field.count(50),
            environment_end: field.count(51),
            exit_code: field.signed(52),
        })
    }

    /// The state in a word, as procutils says it; the letter itself for one that no kernel has had yet.
    pub fn state_word(&self) -> String {
        let word = match self.state {
            'R' => "running",
            'S' => "sleeping",
            'D' => "disk sleep",
            'T' => "stopped",
            't' => "tracing stop",
            'Z' => "zombie",
            'X' | 'x' => "dead",
            'K' => "wakekill",
            'W' => "waking",
            'P' => "parked",
            'I' => "idle",
            other => return other.to_string(),
        };
        word.to_owned()
    }

    /// Seconds between the start of the machine and the start of the task.
    pub fn start_seconds(&self, clock_ticks: u64) -> f64 {
        self.start_ticks as f64 / clock_ticks.max(1) as f64
    }
}

/// procutils' 49 names in the order of the file; fields 21, 36 and 37 are always 0 and left out, as there.
impl From<&Stat> for Tree {
    fn from(stat: &Stat) -> Tree {
        Tree::record([
            ("pid", stat.pid.into()),
            ("tcomm", format!("({})", stat.name).into()),
            ("state", stat.state_word().into()),
            ("ppid", stat.ppid.into()),
            ("pgid", stat.group.into()),
            ("sid", stat.session.into()),
            ("tty_nr", stat.terminal.into()),
            ("tty_pgrp", stat.terminal_group.into()),
            ("flags", stat.flags.into()),
            ("min_flt", stat.minor_faults.into()),
            ("cmin_flt", stat.children_minor_faults.into()),
            ("maj_flt", stat.major_faults.into()),
            ("cmaj_flt", stat.children_major_faults.into()),
            ("utime", stat.user_ticks.into()),
            ("stime", stat.system_ticks.into()),
            ("cutime", stat.children_user_ticks.into()),
            ("cstime", stat.children_system_ticks.into()),
            ("priority", stat.priority.into()),
            ("nice", stat.nice.into()),
            ("num_threads", stat.threads.into()),
            ("start_time", stat.start_ticks.into()),
            ("vsize", stat.virtual_bytes.into()),
            ("mm", stat.resident_pages.into()),
            ("rsslim", stat.resident_limit_bytes.into()),
            ("start_code", stat.code_start.into()),
            ("end_code", stat.code_end.into()),
            ("start_stack", stat.stack_start.into()),
            ("esp", stat.stack_pointer.into()),
            ("eip", stat.instruction_pointer.into()),
            ("pending_sig", stat.pending_signals.into()),
            ("blocked_sig", stat.blocked_signals.into()),
            ("sigign_sig", stat.ignored_signals.into()),
            ("sigcatch_sig", stat.caught_signals.into()),
            ("wchan", stat.waiting.into()),
            ("exit_signal", stat.exit_signal.into()),
            ("task", stat.processor.into()),
            ("rt_priority", stat.rt_priority.into()),
            ("policy", stat.policy.into()),
            ("blkio_ticks", stat.block_io_ticks.into()),
            ("gtim", stat.guest_ticks.into()),
            ("cgtime", stat.children_guest_ticks.into()),
            ("start_data", stat.data_start.into()),
            ("end_data", stat.data_end.into()),
            ("start_brk", stat.break_start.into()),
            ("arg_start", stat.arguments_start.into()),
            ("arg_end", stat.arguments_end.into()),
            ("env_start", stat.environment_start.into()),
            ("env_end", stat.environment_end.into()),
            ("exit_code", stat.exit_code.into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields 4 to 52, each holding its own number.
    fn numbered() -> String {
        (4..=52).map(|number: u32| format!(" {number}")).collect()
    }

    #[test]
    fn every_name_stands_for_its_field() {
        let line = format!("77 (a) S (b) R{}\n", numbered());
        let Tree::Record(fields) = Tree::from(&Stat::parse(line.as_bytes()).unwrap()) else { panic!() };
        assert_eq!(fields.len(), 49);
        let number = |name: &str| match &fields.iter().find(|(field, _)| field == name).unwrap().1 {
            Tree::Signed(value) => *value,
            Tree::Count(value) => i64::try_from(*value).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(fields[1].1, Tree::Text("(a) S (b)".into()));
        assert_eq!(fields[2].1, Tree::Text("running".into()));
        let places =
            [("ppid", 4), ("flags", 9), ("utime", 14), ("start_time", 22), ("mm", 24), ("wchan", 35)];
        let later = [("exit_signal", 38), ("task", 39), ("blkio_ticks", 42), ("gtim", 43), ("exit_code", 52)];
        for (name, place) in places.into_iter().chain(later) {
            assert_eq!(number(name), place, "{name}");
        }
    }

    #[test]
    fn old_kernels_have_fewer_fields_and_torn_lines_are_refused() {
        let words: Vec<String> = (4..=42).map(|number: u32| number.to_string()).collect();
        let old = Stat::parse(format!("1 (init) S {}", words.join(" ")).as_bytes()).unwrap();
        assert_eq!((old.block_io_ticks, old.guest_ticks, old.exit_code), (42, None, None));
        assert_eq!(Stat::parse(format!("1 (init) S {}", words[..38].join(" ")).as_bytes()), None);
    }

    #[test]
    fn numbers_out_of_range_stop_at_its_ends() {
        let line =
            format!("1 (x) Q{}", numbered().replace(" 8 ", " -99999999999999999999 ").replace(" 9 ", " -9 "));
        let stat = Stat::parse(line.as_bytes()).unwrap();
        assert_eq!((stat.terminal_group, stat.flags, stat.state_word()), (i64::MIN, 0, "Q".into()));
    }
}
