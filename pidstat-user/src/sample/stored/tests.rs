//! What is put into a table comes back as it was.

use super::*;
use crate::sample::{
    Control, Cpu, Delays, Faults, Io, Memory, Sched, Stack, Switches, TaskKey, Traffic, UnixTraffic, Waits,
};

/// A task of which no two numbers are alike.
fn full() -> Task {
    let mut task = Task::blank(TaskKey::default(), Comm::default(), Missing::NotInSource);
    for (at, field) in FIELDS.iter().enumerate() {
        let text = format!("/text-{at}");
        let value = if field.text { Stored::Text(text.as_bytes()) } else { Stored::Whole(1000 + at as i64) };
        (field.set)(&mut task, value);
    }
    task
}

fn copied(task: &Task) -> Task {
    let mut copy = Task::blank(TaskKey::default(), Comm::default(), Missing::NotInSource);
    let mut text = Vec::new();
    reasons(task, &mut text);
    set_reasons(&mut copy, &text);
    for field in FIELDS {
        let value = (field.get)(task);
        if value != Stored::Null {
            (field.set)(&mut copy, value);
        }
    }
    copy
}

#[test]
fn a_task_comes_back_as_it_was() {
    let task = full();
    assert_eq!(format!("{:?}", copied(&task)), format!("{task:?}"));
    // No recording has what the hooks on the scheduler counted, nor what went through UNIX sockets.
    let mut task = task;
    task.traffic = task.traffic.map(|all| Traffic { unix: Ok(UnixTraffic::default()), ..all });
    (task.runs, task.control) = (Ok(Rc::default()), Ok(Control::default()));
    let recorded = format!("{task:?}");
    assert!(!recorded.contains("Err"), "{recorded}");
}

#[test]
fn every_number_has_a_column_of_its_own() {
    let task = full();
    let n = |name: &str| 1000 + FIELDS.iter().position(|field| field.name == name).unwrap() as u64;
    // Written out, so that a new number is not forgotten.
    let key = TaskKey { tgid: n("tgid") as u32, tid: n("tid") as u32, start_ticks: n("start_ticks") };
    assert_eq!(task.key, key);
    let cpu = Cpu {
        user_ns: n("user_ns"),
        system_ns: n("system_ns"),
        guest_ns: n("guest_ns"),
        children_user_ns: n("children_user_ns"),
        children_system_ns: n("children_system_ns"),
        children_guest_ns: n("children_guest_ns"),
    };
    let faults = Faults {
        minor: n("minor_faults"),
        major: n("major_faults"),
        children_minor: n("children_minor_faults"),
        children_major: n("children_major_faults"),
    };
    let memory = Memory { virtual_bytes: n("virtual_bytes"), resident_bytes: n("resident_bytes") };
    assert_eq!((task.cpu, task.faults, task.memory), (cpu, faults, memory));
    let sched = Sched { run_ns: n("run_ns"), wait_ns: n("wait_ns"), timeslices: n("timeslices") };
    let switches = Switches { voluntary: n("voluntary_switches"), involuntary: n("involuntary_switches") };
    assert_eq!((task.sched, task.switches), (Ok(sched), Ok(switches)));
    let io = Io {
        rchar_bytes: n("rchar_bytes"),
        wchar_bytes: n("wchar_bytes"),
        read_calls: n("read_calls"),
        write_calls: n("write_calls"),
        read_bytes: n("read_bytes"),
        write_bytes: n("write_bytes"),
        cancelled_write_bytes: n("cancelled_write_bytes"),
    };
    assert_eq!((task.io, task.delays), (Ok(io), Ok(Delays { block_io_ns: n("block_io_ns") })));
    let waits = Waits {
        block_io_ns: n("block_io_wait_ns"),
        swap_in_ns: n("swap_in_wait_ns"),
        reclaim_ns: Some(n("reclaim_wait_ns")),
        thrashing_ns: Some(n("thrashing_wait_ns")),
        compaction_ns: Some(n("compaction_wait_ns")),
        write_copy_ns: Some(n("write_copy_wait_ns")),
        interrupt_ns: Some(n("interrupt_wait_ns")),
    };
    assert_eq!(task.waits, Ok(waits));
    let stack = Stack { size_kib: n("stack_size_kib"), referenced_kib: n("stack_referenced_kib") };
    let traffic = Traffic {
        unix: Err(Missing::NotAsked),
        tx_bytes: n("tx_bytes"),
        rx_bytes: n("rx_bytes"),
        tx_packets: n("tx_packets"),
        rx_packets: n("rx_packets"),
    };
    assert_eq!((task.stack, task.traffic), (Ok(stack), Ok(traffic)));
    let exit = Exit { status: n("exit_status") as u32, at_ns: n("ended_ns") };
    assert_eq!(task.end, End::Exited(exit));
    let numbers = [task.ppid, task.uid, task.threads, task.processor, task.rt_priority, task.policy];
    let names = ["ppid", "uid", "threads", "processor", "rt_priority", "policy"];
    assert_eq!(numbers.map(u64::from), names.map(n));
}

#[test]
fn ends_come_back() {
    let exit = Exit { status: 0x8b, at_ns: 5 };
    for end in [End::Alive, End::TrafficOnly, End::Leaving { since_ns: 7 }, End::Exited(exit)] {
        assert_eq!(copied(&Task { end, ..full() }).end, end);
    }
}

#[test]
fn reasons_come_back_but_for_what_nobody_asked() {
    let mut task = full();
    task.io = Err(Missing::NoPermission);
    task.cgroup = Err(Missing::Gone);
    task.stack = Err(Missing::NotAsked);
    let copy = copied(&task);
    assert_eq!(
        (copy.io, copy.cgroup.as_ref().err().copied()),
        (Err(Missing::NoPermission), Some(Missing::Gone))
    );
    assert_eq!(copy.stack, Err(Missing::NotInSource));
}

#[test]
fn losses_come_back() {
    let losses = Losses { ring_full: 7, inconsistent: 2, ..Losses::default() };
    assert_eq!(losses_of(&losses_text(&losses)), losses);
    assert_eq!(losses_of(""), Losses::default());
}
