//! The sched family: its programs, and where this kernel keeps what they read.

use super::{
    btf::{Btf, Kind},
    ladder::{Family, Globals, Hook, Program, Rung},
    net::PidNamespace,
    reason::Reason,
};
use pidstat_common::sched::{PAIRS_MAX, SchedOffsets, TASKS_MAX};

/// Counts switches, times on a CPU and waits.
pub const SWITCH: Program = Program { name: "ps_switch", hook: Hook::Tracepoint("sched_switch") };
/// Notes since when a task that slept waits for a CPU.
pub const WAKEUP: Program = Program { name: "ps_wakeup", hook: Hook::Tracepoint("sched_wakeup") };
/// The same of a new task.
pub const WAKEUP_NEW: Program = Program { name: "ps_wakeup_new", hook: Hook::Tracepoint("sched_wakeup_new") };

/// The object and its one rung. Wake-ups are attached first, so that no switch finds a wait without a beginning.
pub const FAMILY: Family = Family {
    name: "sched",
    object: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sched.o")),
    rungs: &[Rung {
        name: "tracepoint",
        programs: &[WAKEUP_NEW, WAKEUP, SWITCH],
        where_present: &[],
        on_request: &[],
        shortfall: None,
        complete: |_| Ok(()),
    }],
    globals: |btf| globals(btf, PidNamespace::default(), Sizes::default()),
};

/// How much the maps hold; they are filled in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Tasks, 400 bytes each.
    pub tasks: u32,
    /// Pairs of a task and the one that took the CPU from it, 48 bytes each.
    pub pairs: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { tasks: TASKS_MAX as u32, pairs: PAIRS_MAX as u32 }
    }
}

/// Values for the object's globals and the sizes of its maps, for a reader in the PID namespace `ours`.
///
/// # Errors
/// A field that the programs need is not in this kernel, or its maps must not be used where these programs run: with the
/// run queue locked. Before the locks of BPF maps gave up by themselves (6.15) a kernel 6.1 stood still with them in QEMU.
pub fn globals(btf: &Btf, ours: PidNamespace, sizes: Sizes) -> Result<Globals, Reason> {
    if !btf.has(Kind::Func, "bpf_res_spin_lock") {
        return Err(Reason::NoHook("map lock that is safe below the run queue's (rqspinlock, 6.15)".into()));
    }
    let at = |of: &str, field: &str, name: &'static str| btf.offset(of, field).ok_or(Reason::NoField(name));
    let upid = btf.size("upid").ok_or(Reason::NoField("upid"))?;
    let number = ours.level.checked_mul(upid).and_then(|depth| {
        btf.offset("pid", "numbers")?.checked_add(depth)?.checked_add(btf.offset("upid", "nr")?)
    });
    // The typedef's first parameter is the program's context; the state is the fourth of the tracepoint's own.
    let hands_over_state =
        btf.params(Kind::Typedef, "btf_trace_sched_switch").is_some_and(|count| count >= 5);
    let state = btf.offset_of_any("task_struct", &["__state", "state"]);
    let offsets = SchedOffsets {
        pid: at("task_struct", "pid", "task_struct.pid")?,
        tgid: at("task_struct", "tgid", "task_struct.tgid")?,
        start_boottime: btf
            .offset_of_any("task_struct", &["start_boottime", "real_start_time"])
            .ok_or(Reason::NoField("task_struct.start_boottime"))?,
        comm: at("task_struct", "comm", "task_struct.comm")?,
        group_leader: at("task_struct", "group_leader", "task_struct.group_leader")?,
        state: if hands_over_state { 0 } else { state.ok_or(Reason::NoField("task_struct.__state"))? },
        thread_pid: at("task_struct", "thread_pid", "task_struct.thread_pid")?,
        pid_level: at("pid", "level", "pid.level")?,
        pid_number: number.ok_or(Reason::NoField("pid.numbers"))?,
        level: ours.level,
    };
    let mut globals = Globals::default();
    globals.set("SCHED_OFFSETS", &offsets);
    globals.size("ps_runs", sizes.tasks).size("ps_pairs", sizes.pairs);
    Ok(globals)
}
