//! The task family: its program, and where this kernel keeps what the program reads.

use super::{
    btf::Btf,
    ladder::{Family, Globals, Hook, Program, Rung},
    net::PidNamespace,
    reason::Reason,
};
use pidstat_common::{
    exit::{RING_BYTES, waiting_max},
    task::{TaskOffsets, want},
};

/// Writes one record per task.
pub const WALK: Program = Program { name: "ps_task", hook: Hook::Iter("task") };

/// Finds the depth of the reader's PID namespace; needed outside the initial one only.
pub const LEVEL: Program = Program { name: "ps_level", hook: Hook::Iter("task") };

/// Sends the record of a process that is freed. Attached before [`EXIT`], so that whatever that one notes is used up.
pub const FREE: Program = Program { name: "ps_free", hook: Hook::Tracepoint("sched_process_free") };
/// Keeps the figures of a process that has hardly anything left to do, in case that the kernel leaves [`FREE`] out; they are one
/// or two microseconds short. Linux 5.11.
pub const NOTIFY: Program = Program { name: "ps_notify", hook: Hook::Tracepoint("signal_generate") };
/// Keeps a dying process's identity and a dying thread's waiting time.
pub const EXIT: Program = Program { name: "ps_exit", hook: Hook::Tracepoint("sched_process_exit") };

/// The object and its one rung.
pub const FAMILY: Family = Family {
    name: "task",
    object: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/task.o")),
    rungs: &[Rung {
        name: "iterator",
        programs: &[WALK, LEVEL, FREE, EXIT],
        where_present: &[],
        on_request: &[NOTIFY],
        shortfall: None,
        complete: |_| Ok(()),
    }],
    globals: |btf| {
        let all = want::IO | want::DELAYS | want::CGROUP | want::DEAD | want::OWN_IO | want::CONTROL;
        globals(btf, all, PidNamespace::default(), RING_BYTES as u32)
    },
};

/// Values for the object's globals: offsets, what is asked for (bits of [`want`]), the PID namespace, and the size of the
/// ring of ended processes, a power of two of at least a page.
///
/// # Errors
/// A field without which no row can be shown is not in this kernel.
pub fn globals(btf: &Btf, want: u32, ours: PidNamespace, ring_bytes: u32) -> Result<Globals, Reason> {
    let mut globals = Globals::default();
    globals.set("OFFSETS", &offsets(btf, ours.level)?).set("WANT", &want);
    globals.set("LEVEL", &ours.level).set("NS_INUM", &ours.inum).set("RING_WAKEUP", &(ring_bytes / 4));
    globals.size("ps_ended", ring_bytes).size("ps_waiting", waiting_max(ring_bytes as usize) as u32);
    Ok(globals)
}

/// Where this kernel keeps each field, for a reader in a PID namespace of depth `level`.
///
/// # Errors
/// The first essential field that is absent; the others are 0 when absent.
pub fn offsets(btf: &Btf, level: u32) -> Result<TaskOffsets, Reason> {
    let any = |of: &str, paths: &[&str]| btf.offset_of_any(of, paths).unwrap_or(0);
    let task = |path: &str| btf.offset("task_struct", path).unwrap_or(0);
    let signal = |path: &str| btf.offset("signal_struct", path).unwrap_or(0);
    let rss_atomics = any("mm_struct", &["rss_stat.count"]);
    let [rss_file, rss_anon, rss_shmem] = rss(btf).unwrap_or_default();
    let number = |of: &str| {
        let at = btf.offset("pid", "numbers")? + btf.offset("upid", of)?;
        at.checked_add(level.checked_mul(btf.size("upid")?)?)
    };
    // PIDTYPE_PGID is 2 and PIDTYPE_SID 3 among pointers.
    let pids = signal("pids");
    let of_pids = |kind: u32| if pids == 0 { 0 } else { pids + kind * size_of::<u64>() as u32 };
    let sigchld = |of: &str| {
        let before = btf.size("k_sigaction")?.checked_mul(libc::SIGCHLD as u32 - 1)?;
        btf.offset("sighand_struct", "action")?
            .checked_add(before)?
            .checked_add(btf.offset("k_sigaction", of)?)
    };
    // Since 5.17 swap-in has a start time of its own, and `stat` field 42 no longer adds it to block I/O.
    let swapin_apart = btf.offset("task_delay_info", "swapin_start").is_some();
    let found = TaskOffsets {
        pid: task("pid"),
        tgid: task("tgid"),
        thread_pid: task("thread_pid"),
        group_leader: task("group_leader"),
        real_parent: task("real_parent"),
        real_cred: task("real_cred"),
        state: any("task_struct", &["__state", "state"]),
        exit_state: task("exit_state"),
        flags: task("flags"),
        cpu: any("task_struct", &["thread_info.cpu", "cpu"]),
        prio: task("prio"),
        static_prio: task("static_prio"),
        policy: task("policy"),
        rt_priority: task("rt_priority"),
        signal: task("signal"),
        sighand: task("sighand"),
        sigchld_handler: sigchld("sa.sa_handler").unwrap_or(0),
        sigchld_flags: sigchld("sa.sa_flags").unwrap_or(0),
        start_boottime: any("task_struct", &["start_boottime", "real_start_time"]),
        utime: task("utime"),
        stime: task("stime"),
        gtime: task("gtime"),
        sum_exec: task("se.sum_exec_runtime"),
        run_delay: task("sched_info.run_delay"),
        pcount: task("sched_info.pcount"),
        nvcsw: task("nvcsw"),
        nivcsw: task("nivcsw"),
        min_flt: task("min_flt"),
        maj_flt: task("maj_flt"),
        rchar: task("ioac.rchar"),
        wchar: task("ioac.wchar"),
        syscr: task("ioac.syscr"),
        syscw: task("ioac.syscw"),
        read_bytes: task("ioac.read_bytes"),
        write_bytes: task("ioac.write_bytes"),
        cancelled_write_bytes: task("ioac.cancelled_write_bytes"),
        delays: task("delays"),
        mm: task("mm"),
        cgroups: task("cgroups"),
        comm: task("comm"),
        prev_utime: task("prev_cputime.utime"),
        prev_stime: task("prev_cputime.stime"),
        exec_id: task("self_exec_id"),
        exit_code: task("exit_code"),
        cred_uid: any("cred", &["uid"]),
        pid_level: any("pid", &["level"]),
        pid_number: number("nr").unwrap_or(0),
        pid_ns: number("ns").unwrap_or(0),
        ns_inum: any("pid_namespace", &["ns.inum"]),
        sig_nr_threads: signal("nr_threads"),
        sig_utime: signal("utime"),
        sig_stime: signal("stime"),
        sig_gtime: signal("gtime"),
        sig_sum_exec: signal("sum_sched_runtime"),
        sig_nvcsw: signal("nvcsw"),
        sig_nivcsw: signal("nivcsw"),
        sig_min_flt: signal("min_flt"),
        sig_maj_flt: signal("maj_flt"),
        sig_rchar: signal("ioac.rchar"),
        sig_wchar: signal("ioac.wchar"),
        sig_syscr: signal("ioac.syscr"),
        sig_syscw: signal("ioac.syscw"),
        sig_read_bytes: signal("ioac.read_bytes"),
        sig_write_bytes: signal("ioac.write_bytes"),
        sig_cancelled_write_bytes: signal("ioac.cancelled_write_bytes"),
        sig_prev_utime: signal("prev_cputime.utime"),
        sig_prev_stime: signal("prev_cputime.stime"),
        sig_cutime: signal("cutime"),
        sig_cstime: signal("cstime"),
        sig_cgtime: signal("cgtime"),
        sig_cmin_flt: signal("cmin_flt"),
        sig_cmaj_flt: signal("cmaj_flt"),
        sig_live: signal("live.counter"),
        sig_flags: signal("flags"),
        sig_group_exit_code: signal("group_exit_code"),
        // Before 5.17 its name was of another use that it also has.
        sig_group_exec_task: any("signal_struct", &["group_exec_task", "group_exit_task"]),
        sig_maxrss: signal("maxrss"),
        sig_pgrp: of_pids(2),
        sig_session: of_pids(3),
        sig_tty: signal("tty"),
        tty_index: any("tty_struct", &["index"]),
        tty_driver: any("tty_struct", &["driver"]),
        // Before 5.15 outside of a part of its own.
        tty_pgrp: any("tty_struct", &["ctrl.pgrp", "pgrp"]),
        driver_major: any("tty_driver", &["major"]),
        driver_minor: any("tty_driver", &["minor_start"]),
        sig_seq: any(
            "signal_struct",
            &["stats_lock.seqcount.seqcount.sequence", "stats_lock.seqcount.sequence"],
        ),
        blkio_delay: any("task_delay_info", &["blkio_delay"]),
        swapin_delay: if swapin_apart { 0 } else { any("task_delay_info", &["swapin_delay"]) },
        total_vm: any("mm_struct", &["total_vm"]),
        rss_file,
        rss_anon,
        rss_shmem,
        rss_atomics,
        dfl_cgrp: any("css_set", &["dfl_cgrp"]),
        cgroup_kn: any("cgroup", &["kn"]),
        kn_id: any("kernfs_node", &["id"]),
    };
    for (offset, name) in [
        (found.pid, "task_struct.pid"),
        (found.tgid, "task_struct.tgid"),
        (found.signal, "task_struct.signal"),
        (found.real_parent, "task_struct.real_parent"),
        (found.real_cred, "task_struct.real_cred"),
        (found.group_leader, "task_struct.group_leader"),
        (found.thread_pid, "task_struct.thread_pid"),
        (found.mm, "task_struct.mm"),
        (found.comm, "task_struct.comm"),
        (found.start_boottime, "task_struct.start_boottime"),
        (found.utime, "task_struct.utime"),
        (found.stime, "task_struct.stime"),
        (found.sum_exec, "task_struct.se.sum_exec_runtime"),
        (found.min_flt, "task_struct.min_flt"),
        (found.total_vm, "mm_struct.total_vm"),
        (found.rss_anon | found.rss_atomics, "mm_struct.rss_stat"),
        (found.sig_nr_threads, "signal_struct.nr_threads"),
        (found.sig_seq, "signal_struct.stats_lock"),
        (found.sig_sum_exec, "signal_struct.sum_sched_runtime"),
    ] {
        if offset == 0 {
            return Err(Reason::NoField(name));
        }
    }
    Ok(found)
}

/// Resident file, anonymous and shared memory pages: since 6.2 an array of percpu_counter.
fn rss(btf: &Btf) -> Option<[u32; 3]> {
    let first = btf.offset("mm_struct", "rss_stat")? + btf.offset("percpu_counter", "count")?;
    let step = btf.size("percpu_counter")?;
    // MM_FILEPAGES 0, MM_ANONPAGES 1, MM_SWAPENTS 2, MM_SHMEMPAGES 3.
    btf.offset("mm_struct", "rss_stat.count").is_none().then_some([first, first + step, first + 3 * step])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_every_field() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        let offsets = offsets(&btf, 0).unwrap();
        let text = format!("{offsets:?}");
        let absent: Vec<&str> =
            text.split([',', '{', '}']).filter(|f| f.trim_end().ends_with(": 0")).map(str::trim).collect();
        // Swap-in is apart since 5.17.
        // So are the resident pages, since 6.2.
        let older = ["swapin_delay: 0", "rss_atomics: 0"];
        assert!(absent.iter().all(|f| older.contains(f)), "{absent:?}");
    }

    #[test]
    fn deeper_namespaces_read_later_numbers() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        let step = offsets(&btf, 2).unwrap().pid_number - offsets(&btf, 1).unwrap().pid_number;
        assert_eq!(Some(step), btf.size("upid"));
    }
}
