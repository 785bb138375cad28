//! A node of the process tree as data: what its members and their fields are called, of which kind, in which order.
//!
//! The names, the order and the kinds of `stat`, `cmdline`, `io`, `status`, `fd` and `smaps_rollup` are those of Procpath
//! 1.15, so that queries and recordings made for it go on working. `cgroup`, `delay`, `net` and `exited` are ours.

use super::Missing;

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// There is none, and why.
    Missing(Missing),
    /// A whole number.
    Integer(i64),
    /// A whole number above [`i64::MAX`], as masks of signals are. SQLite has none as large: there it is the text
    /// `0xffffffffffffffff`.
    Large(u64),
    /// Text. What is not UTF-8 was replaced by U+FFFD.
    Text(Box<str>),
    /// Several whole numbers. In a table they are one text, `[0,0,0,0]`.
    List(Box<[u64]>),
}

impl Value {
    /// A number of any size.
    pub fn unsigned(number: u64) -> Value {
        i64::try_from(number).map_or(Value::Large(number), Value::Integer)
    }

    /// Several numbers as the one text that tables have of them.
    pub fn one_text(numbers: &[u64]) -> String {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        format!("[{}]", numbers.join(","))
    }

    /// The number, if it is one that fits.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// A part of a node: what one file of the process says, or what is put together from several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Member {
    /// `PID/stat`: numbers as the kernel prints them.
    Stat,
    /// `PID/cmdline`: one text, arguments joined by blanks; empty for kernel threads.
    Cmdline,
    /// `PID/io`.
    Io,
    /// `PID/status`.
    Status,
    /// `PID/fd`: how many descriptors there are of each kind.
    Fd,
    /// `PID/smaps_rollup`.
    SmapsRollup,
    /// `PID/cgroup`: one text, the path of the control group that says most.
    Cgroup,
    /// `PID/task/TID/schedstat` and `stat`: times spent waiting, of all live threads together.
    Delay,
    /// The open sockets of the process: how many, and what their connections moved.
    Net,
    /// How a process ended, and what it used in its whole life. No file has it.
    Exited,
}

/// What values a field has when it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Integer`] or [`Value::Large`]; a column of SQL type INTEGER.
    Integer,
    /// The same, and every bit has a meaning of its own.
    Mask,
    /// [`Value::Text`]; a column of SQL type TEXT.
    Text,
    /// [`Value::List`]; a column of SQL type TEXT.
    List,
}

/// A field of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
}

/// Declares fields: `name` alone is a number.
macro_rules! fields {
    (@kind) => { Kind::Integer };
    (@kind $kind:ident) => { Kind::$kind };
    ($($name:ident $(: $kind:ident)?),* $(,)?) => {
        &[$(Field { name: stringify!($name), kind: fields!(@kind $($kind)?) }),*]
    };
}

/// proc_pid_stat(5) fields 1 to 24 and 42 to 44: times in clock ticks, `vsize` in bytes, `rss` in pages.
const STAT: &[Field] = fields![
    pid,
    comm: Text,
    state: Text,
    ppid,
    pgrp,
    session,
    tty_nr,
    tpgid,
    flags,
    minflt,
    cminflt,
    majflt,
    cmajflt,
    utime,
    stime,
    cutime,
    cstime,
    priority,
    nice,
    num_threads,
    itrealvalue,
    starttime,
    vsize,
    rss,
    delayacct_blkio_ticks,
    guest_time,
    cguest_time,
];

/// Numbers of characters, of system calls, and of bytes from and to storage.
const IO: &[Field] = fields![rchar, wchar, syscr, syscw, read_bytes, write_bytes, cancelled_write_bytes];

/// Sizes in KiB; masks as numbers.
const STATUS: &[Field] = fields![
    name: Text,
    umask,
    state: Text,
    tgid,
    ngid,
    pid,
    ppid,
    tracerpid,
    uid: List,
    gid: List,
    fdsize,
    groups: List,
    nstgid: List,
    nspid: List,
    nspgid: List,
    nssid: List,
    vmpeak,
    vmsize,
    vmlck,
    vmpin,
    vmhwm,
    vmrss,
    rssanon,
    rssfile,
    rssshmem,
    vmdata,
    vmstk,
    vmexe,
    vmlib,
    vmpte,
    vmpmd,
    vmswap,
    hugetlbpages,
    coredumping,
    threads,
    sigq: List,
    sigpnd: Mask,
    shdpnd: Mask,
    sigblk: Mask,
    sigign: Mask,
    sigcgt: Mask,
    capinh: Mask,
    capprm: Mask,
    capeff: Mask,
    capbnd: Mask,
    capamb: Mask,
    nonewprivs,
    seccomp,
    speculation_store_bypass: Text,
    cpus_allowed: List,
    cpus_allowed_list: Text,
    mems_allowed: List,
    mems_allowed_list: Text,
    voluntary_ctxt_switches,
    nonvoluntary_ctxt_switches,
];

/// Numbers of descriptors.
const FD: &[Field] = fields![anon, dir, chr, blk, reg, fifo, lnk, sock];

/// Sizes in KiB.
const SMAPS_ROLLUP: &[Field] = fields![
    rss,
    pss,
    shared_clean,
    shared_dirty,
    private_clean,
    private_dirty,
    referenced,
    anonymous,
    lazyfree,
    anonhugepages,
    shmempmdmapped,
    shared_hugetlb,
    private_hugetlb,
    swap,
    swappss,
    locked,
];

/// Nanoseconds on a CPU, runnable without one, and waiting for block devices; how often a thread was put on a CPU.
const DELAY: &[Field] = fields![run_ns, wait_ns, timeslices, block_io_ns];

/// Numbers of sockets, of all kinds and of some (`tcp` without those that listen); bytes and segments sent again of the TCP
/// connections that are open now, since each was opened. A socket of several processes is counted at each.
const NET: &[Field] = fields![sockets, tcp, udp, unix, rx_bytes, tx_bytes, retransmits];

/// Exit code as a shell shows it, and as `wait` gives it; nanoseconds, bytes and numbers.
const EXITED: &[Field] = fields![
    code,
    status,
    end_uptime_ns,
    user_ns,
    system_ns,
    max_resident_bytes,
    read_bytes,
    write_bytes,
    voluntary_switches,
    involuntary_switches,
    rx_bytes,
    tx_bytes,
];

impl Member {
    /// Every member: Procpath's in its order, then ours.
    pub const ALL: [Member; 10] = [
        Member::Stat,
        Member::Cmdline,
        Member::Io,
        Member::Status,
        Member::Fd,
        Member::SmapsRollup,
        Member::Cgroup,
        Member::Delay,
        Member::Net,
        Member::Exited,
    ];

    /// Its name in a query, in JSON, and at the beginning of its columns.
    pub fn name(self) -> &'static str {
        match self {
            Member::Stat => "stat",
            Member::Cmdline => "cmdline",
            Member::Io => "io",
            Member::Status => "status",
            Member::Fd => "fd",
            Member::SmapsRollup => "smaps_rollup",
            Member::Cgroup => "cgroup",
            Member::Delay => "delay",
            Member::Net => "net",
            Member::Exited => "exited",
        }
    }

    /// The member of a name.
    pub fn named(name: &str) -> Option<Member> {
        Member::ALL.into_iter().find(|member| member.name() == name)
    }

    /// Whether Procpath knows it; those are in a node when they are listed, ours also when a query names them.
    pub fn is_procpaths(self) -> bool {
        !matches!(self, Member::Cgroup | Member::Delay | Member::Net | Member::Exited)
    }

    /// Its fields in order; none if the member is one text itself.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Member::Stat => STAT,
            Member::Io => IO,
            Member::Status => STATUS,
            Member::Fd => FD,
            Member::SmapsRollup => SMAPS_ROLLUP,
            Member::Delay => DELAY,
            Member::Net => NET,
            Member::Exited => EXITED,
            Member::Cmdline | Member::Cgroup => &[],
        }
    }

    /// How many values it has: one for each field, or the text.
    pub fn width(self) -> usize {
        self.fields().len().max(1)
    }

    /// The place of a field of this name.
    pub fn field(self, name: &str) -> Option<usize> {
        self.fields().iter().position(|field| field.name == name)
    }
}

/// A column of the flat table of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// `stat_pid`; the member's name alone if it is one text.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// The member.
    pub member: Member,
    /// The place among the member's values.
    pub at: usize,
}

/// The columns of the flat table: members in alphabetical order, fields in theirs. `record_id` and `ts` stand before them.
pub fn columns(members: &[Member]) -> Vec<Column> {
    let mut members = members.to_vec();
    members.sort_by_key(|member| member.name());
    members.dedup();
    let mut columns = Vec::new();
    for member in members {
        let name = member.name();
        if member.fields().is_empty() {
            columns.push(Column { name: name.into(), kind: Kind::Text, member, at: 0 });
        }
        for (at, field) in member.fields().iter().enumerate() {
            columns.push(Column { name: format!("{name}_{}", field.name), kind: field.kind, member, at });
        }
    }
    columns
}

/// The members of columns: each has as many columns as values, one behind the other in order.
pub fn members(columns: &[Column]) -> Vec<Member> {
    let mut members: Vec<Member> = columns.iter().map(|column| column.member).collect();
    members.dedup();
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_as_many_fields_as_procpaths() {
        let widths = Member::ALL.map(Member::width);
        assert_eq!(widths[..6], [27, 1, 7, 55, 8, 16]);
        assert!(Member::ALL.into_iter().all(|member| Member::named(member.name()) == Some(member)));
    }

    #[test]
    fn columns_are_in_alphabetical_order_of_files_and_in_the_fields_own() {
        let columns = columns(&[Member::Stat, Member::Cmdline, Member::Io, Member::Stat]);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names.len(), 27 + 1 + 7);
        assert_eq!(names[..3], ["cmdline", "io_rchar", "io_wchar"]);
        assert_eq!(names[8..11], ["stat_pid", "stat_comm", "stat_state"]);
    }
}
