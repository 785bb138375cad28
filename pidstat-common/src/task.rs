//! The task family: offsets of kernel fields, and the record that the iterator writes for each task.

/// Declares a struct of offsets whose fields can also be walked by name.
macro_rules! offsets {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: u32),+ }

        impl $name {
            /// Nothing is known: every field absent.
            pub const ABSENT: $name = $name { $($field: 0),+ };
        }
    };
}

offsets! {
    /// Byte offset of each kernel field inside its struct; 0 means that this kernel does not have it.
    ///
    /// No wanted field lies at offset 0 of its struct.
    TaskOffsets {
        /// `task_struct`: global thread id.
        pid,
        /// Global process id.
        tgid,
        /// `struct pid *` of the thread; NULL once it is released.
        thread_pid,
        /// The first thread of the process.
        group_leader,
        /// Who gets SIGCHLD; threads of a process share it.
        real_parent,
        /// Objective credentials.
        real_cred,
        /// `__state`, before 5.14 `state`.
        state,
        /// EXIT_ZOMBIE, EXIT_DEAD.
        exit_state,
        /// PF_*.
        flags,
        /// CPU it last ran on.
        cpu,
        /// Effective priority, 100 more than `/proc` shows.
        prio,
        /// Nice value plus 120.
        static_prio,
        /// SCHED_*.
        policy,
        /// 1 to 99 for real-time tasks.
        rt_priority,
        /// The process's shared part.
        signal,
        /// How it takes signals.
        sighand,
        /// `sighand_struct`: what it does with SIGCHLD.
        sigchld_handler,
        /// `sighand_struct`: SA_* of SIGCHLD.
        sigchld_flags,
        /// Nanoseconds after boot.
        start_boottime,
        /// Tick-sampled user time.
        utime,
        /// Tick-sampled system time.
        stime,
        /// Time running a guest, part of `utime`.
        gtime,
        /// Exact time on a CPU.
        sum_exec,
        /// Time runnable without a CPU.
        run_delay,
        /// Times put on a CPU.
        pcount,
        /// Voluntary switches.
        nvcsw,
        /// Involuntary switches.
        nivcsw,
        /// Minor faults.
        min_flt,
        /// Major faults.
        maj_flt,
        /// `task_io_accounting`, seven counters.
        rchar,
        /// See `rchar`.
        wchar,
        /// See `rchar`.
        syscr,
        /// See `rchar`.
        syscw,
        /// See `rchar`.
        read_bytes,
        /// See `rchar`.
        write_bytes,
        /// See `rchar`.
        cancelled_write_bytes,
        /// `struct task_delay_info *`; NULL when not measured.
        delays,
        /// The address space; NULL for kernel threads and the dead.
        mm,
        /// `struct css_set *`.
        cgroups,
        /// 16 bytes.
        comm,
        /// What `/proc` last showed of this thread, so that it never decreases.
        prev_utime,
        /// See `prev_utime`.
        prev_stime,
        /// Counts the execs of the task.
        exec_id,
        /// What `wait` gives of the thread.
        exit_code,
        /// `cred`: real user.
        cred_uid,
        /// `struct pid`: depth of its PID namespace.
        pid_level,
        /// Number in the PID namespace of the reader: `numbers[LEVEL].nr`.
        pid_number,
        /// That namespace: `numbers[LEVEL].ns`.
        pid_ns,
        /// `pid_namespace`: its inode number.
        ns_inum,
        /// `signal_struct`: threads alive.
        sig_nr_threads,
        /// Sums over the threads that are gone.
        sig_utime,
        /// See `sig_utime`.
        sig_stime,
        /// See `sig_utime`.
        sig_gtime,
        /// See `sig_utime`.
        sig_sum_exec,
        /// See `sig_utime`.
        sig_nvcsw,
        /// See `sig_utime`.
        sig_nivcsw,
        /// See `sig_utime`.
        sig_min_flt,
        /// See `sig_utime`.
        sig_maj_flt,
        /// See `sig_utime`.
        sig_rchar,
        /// See `sig_utime`.
        sig_wchar,
        /// See `sig_utime`.
        sig_syscr,
        /// See `sig_utime`.
        sig_syscw,
        /// See `sig_utime`.
        sig_read_bytes,
        /// See `sig_utime`.
        sig_write_bytes,
        /// See `sig_utime`.
        sig_cancelled_write_bytes,
        /// What `/proc` last showed of the process.
        sig_prev_utime,
        /// See `sig_prev_utime`.
        sig_prev_stime,
        /// Children that were waited for.
        sig_cutime,
        /// See `sig_cutime`.
        sig_cstime,
        /// See `sig_cutime`.
        sig_cgtime,
        /// See `sig_cutime`.
        sig_cmin_flt,
        /// See `sig_cutime`.
        sig_cmaj_flt,
        /// Threads that have not begun to die.
        sig_live,
        /// SIGNAL_*.
        sig_flags,
        /// What `wait` gives of the process, if it ended as a whole.
        sig_group_exit_code,
        /// The thread that calls exec and waits for the others to die; NULL otherwise.
        sig_group_exec_task,
        /// Most pages that were resident at a time.
        sig_maxrss,
        /// Its process group: the `struct pid *` of that number.
        sig_pgrp,
        /// Its session, likewise.
        sig_session,
        /// Its terminal; NULL if it has none.
        sig_tty,
        /// `tty_struct`: number among the driver's.
        tty_index,
        /// The `tty_driver`.
        tty_driver,
        /// The process group in the foreground: a `struct pid *`.
        tty_pgrp,
        /// `tty_driver`: major number of its devices.
        driver_major,
        /// Minor number of the first.
        driver_minor,
        /// Sequence count of `stats_lock`: odd while a dying thread's counters move to the sums.
        sig_seq,
        /// `task_delay_info`: block I/O.
        blkio_delay,
        /// Swap-in, where `stat` field 42 adds it (before 5.17); else 0.
        swapin_delay,
        /// `mm_struct`: pages mapped.
        total_vm,
        /// Resident file pages.
        rss_file,
        /// Resident anonymous pages.
        rss_anon,
        /// Resident shared memory pages.
        rss_shmem,
        /// Before 6.2, in place of the three above: an array of four atomic longs (file, anonymous, swap, shared), which
        /// verifiers of that time do not follow.
        rss_atomics,
        /// `css_set`: the cgroup of the unified hierarchy.
        dfl_cgrp,
        /// `cgroup`: its directory.
        cgroup_kn,
        /// `kernfs_node`: its inode number.
        kn_id,
    }
}

/// What the loader asks the iterator for, in the read-only global `WANT`; the rest costs nothing.
pub mod want {
    /// The I/O counters.
    pub const IO: u32 = 1;
    /// The delays.
    pub const DELAYS: u32 = 1 << 1;
    /// The cgroup's id.
    pub const CGROUP: u32 = 1 << 2;
    /// What dead threads waited for a CPU; the hooks on exits must be attached.
    pub const DEAD: u32 = 1 << 3;
    /// I/O without that of reaped children; the hooks on exits must be attached.
    pub const OWN_IO: u32 = 1 << 4;
    /// Process group, session and terminal.
    pub const CONTROL: u32 = 1 << 5;
}

/// Bits of [`Thread::kind`].
pub mod kind {
    /// The group part follows: this is the first thread of its process.
    pub const LEADER: u32 = 1;
    /// The kernel measures this task's delays.
    pub const DELAYS: u32 = 1 << 1;
    /// The thread is dying and its waiting time is already among that of the dead.
    pub const COUNTED: u32 = 1 << 2;
    /// From this bit on: how many threads of the process were counted so far, cut to what fits.
    pub const DEATHS_SHIFT: u32 = 8;
}

/// Number of counters in `task_io_accounting`, in the order rchar, wchar, syscr, syscw, read, write, cancelled bytes.
pub const IO_COUNTERS: usize = 7;

/// What the iterator writes for every thread. Times are in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Bits of [`kind`].
    pub kind: u32,
    /// Thread id in the reader's PID namespace.
    pub tid: u32,
    /// Process id in the reader's PID namespace.
    pub tgid: u32,
    /// Real user.
    pub uid: u32,
    /// The process's `stats_lock` sequence count when this record was written.
    pub seq: u32,
    /// The process's threads when this record was written.
    pub nr_threads: u32,
    /// `__state | exit_state`.
    pub state: u32,
    /// PF_*.
    pub flags: u32,
    /// CPU it last ran on.
    pub cpu: u32,
    /// Effective priority, 100 more than `/proc` shows.
    pub prio: u32,
    /// Nice value plus 120.
    pub static_prio: u32,
    /// SCHED_*.
    pub policy: u32,
    /// Real-time priority.
    pub rt_priority: u32,
    /// Counts the execs.
    pub exec_id: u32,
    /// After boot.
    pub start_ns: u64,
    /// Tick-sampled user time.
    pub utime: u64,
    /// Tick-sampled system time.
    pub stime: u64,
    /// Guest time, part of `utime`.
    pub gtime: u64,
    /// Exact time on a CPU.
    pub sum_exec: u64,
    /// Time runnable without a CPU.
    pub run_delay: u64,
    /// Times put on a CPU.
    pub pcount: u64,
    /// Voluntary switches.
    pub nvcsw: u64,
    /// Involuntary switches.
    pub nivcsw: u64,
    /// Minor faults.
    pub min_flt: u64,
    /// Major faults.
    pub maj_flt: u64,
    /// See [`IO_COUNTERS`].
    pub io: [u64; IO_COUNTERS],
    /// Block I/O delay as `stat` field 42 counts it.
    pub block_io: u64,
    /// What `/proc` last showed.
    pub prev_utime: u64,
    /// What `/proc` last showed.
    pub prev_stime: u64,
    /// Name, ended by NUL.
    pub comm: [u8; 16],
}

/// What follows the first thread's record: the process. Sums are over the threads that are gone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Process id in the initial PID namespace, which the network hooks see.
    pub global_tgid: u32,
    /// Parent's process id in the reader's PID namespace; 0 outside it.
    pub ppid: u32,
    /// Pages mapped.
    pub total_vm: u64,
    /// Resident pages: file, anonymous, shared memory; signed, because per-CPU parts may make them negative.
    pub rss: [i64; 3],
    /// Inode of the cgroup's directory.
    pub cgroup: u64,
    /// Tick-sampled user time.
    pub utime: u64,
    /// Tick-sampled system time.
    pub stime: u64,
    /// Guest time.
    pub gtime: u64,
    /// Exact time on a CPU.
    pub sum_exec: u64,
    /// Voluntary switches.
    pub nvcsw: u64,
    /// Involuntary switches.
    pub nivcsw: u64,
    /// Minor faults.
    pub min_flt: u64,
    /// Major faults.
    pub maj_flt: u64,
    /// See [`IO_COUNTERS`].
    pub io: [u64; IO_COUNTERS],
    /// What `/proc` last showed.
    pub prev_utime: u64,
    /// What `/proc` last showed.
    pub prev_stime: u64,
    /// Children waited for: user, system and guest time, minor and major faults.
    pub children: [u64; 5],
    /// Time that dead threads were runnable without a CPU.
    pub dead_wait: u64,
    /// Times that dead threads were put on a CPU.
    pub dead_timeslices: u64,
    /// Minor faults of the reaped children that `io` is without; those of all are in `children`.
    pub reaped_min_flt: u64,
    /// Process group in the reader's PID namespace; 0 outside it.
    pub pgrp: u32,
    /// Session, likewise.
    pub session: u32,
    /// Terminal as `/proc` encodes a device: minor number below 8 bits, major, rest of the minor.
    pub tty_nr: u32,
    /// Process group in the foreground of that terminal; all ones without a terminal.
    pub tpgid: u32,
}

/// The record of a first thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// The thread itself.
    pub thread: Thread,
    /// The process.
    pub group: Group,
}

const _: () = assert!(size_of::<Thread>() == 240 && align_of::<Thread>() == 8);
const _: () = assert!(size_of::<Group>() == 264 && align_of::<Group>() == 8);
const _: () = assert!(size_of::<Leader>() == 504);
const _: () = assert!(align_of::<TaskOffsets>() == 4);

// SAFETY: repr(C), u32 only, so no padding and every bit pattern is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for TaskOffsets {}
// SAFETY: repr(C), integers and byte arrays that leave no gap (the size is asserted), every bit pattern is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Thread {}
// SAFETY: as for `Thread`.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Group {}
// SAFETY: as for `Thread`.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Leader {}
