//! What one task did in an interval, as a task of its own, and adding that to another.

use super::{Before, Row};
use crate::sample::{Cpu, Delays, Faults, Io, Reading, Sched, Switches, Task, Traffic, UnixTraffic};

impl Row<'_> {
    /// The task with every counter as it grew in the interval; a counter that went backwards did not grow.
    pub fn growth(&self) -> Task {
        let mut task = self.now.clone();
        if let Before::Known(before) = self.before {
            every_counter(&mut task, before, u64::saturating_sub);
        }
        task
    }
}

/// Adds all counters of `growth` to those of `sum`.
pub fn absorb(sum: &mut Task, growth: &Task) {
    // A sum that starts with nothing has no reason of its own why a counter should be missing.
    sum.sched = sum.sched.or(growth.sched.map(|_| Sched::default()));
    sum.switches = sum.switches.or(growth.switches.map(|_| Switches::default()));
    sum.io = sum.io.or(growth.io.map(|_| Io::default()));
    sum.delays = sum.delays.or(growth.delays.map(|_| Delays::default()));
    sum.traffic = sum.traffic.or(growth
        .traffic
        .map(|growth| Traffic { unix: growth.unix.map(|_| UnixTraffic::default()), ..Traffic::default() }));
    every_counter(sum, growth, u64::saturating_add);
}

fn every_counter(task: &mut Task, other: &Task, combine: fn(u64, u64) -> u64) {
    let with = |mine: &mut u64, theirs: u64| *mine = combine(*mine, theirs);
    let Cpu { user_ns, system_ns, guest_ns, children_user_ns, children_system_ns, children_guest_ns } =
        &mut task.cpu;
    with(user_ns, other.cpu.user_ns);
    with(system_ns, other.cpu.system_ns);
    with(guest_ns, other.cpu.guest_ns);
    with(children_user_ns, other.cpu.children_user_ns);
    with(children_system_ns, other.cpu.children_system_ns);
    with(children_guest_ns, other.cpu.children_guest_ns);
    let Faults { minor, major, children_minor, children_major } = &mut task.faults;
    with(minor, other.faults.minor);
    with(major, other.faults.major);
    with(children_minor, other.faults.children_minor);
    with(children_major, other.faults.children_major);
    if let Some((Sched { run_ns, wait_ns, timeslices }, other)) = both(&mut task.sched, other.sched) {
        with(run_ns, other.run_ns);
        with(wait_ns, other.wait_ns);
        with(timeslices, other.timeslices);
    }
    if let Some((Switches { voluntary, involuntary }, other)) = both(&mut task.switches, other.switches) {
        with(voluntary, other.voluntary);
        with(involuntary, other.involuntary);
    }
    if let Some((io, other)) = both(&mut task.io, other.io) {
        let Io {
            rchar_bytes,
            wchar_bytes,
            read_calls,
            write_calls,
            read_bytes,
            write_bytes,
            cancelled_write_bytes,
        } = io;
        with(rchar_bytes, other.rchar_bytes);
        with(wchar_bytes, other.wchar_bytes);
        with(read_calls, other.read_calls);
        with(write_calls, other.write_calls);
        with(read_bytes, other.read_bytes);
        with(write_bytes, other.write_bytes);
        with(cancelled_write_bytes, other.cancelled_write_bytes);
    }
    if let Some((Delays { block_io_ns }, other)) = both(&mut task.delays, other.delays) {
        with(block_io_ns, other.block_io_ns);
    }
    if let Some((traffic, other)) = both(&mut task.traffic, other.traffic) {
        let Traffic { tx_bytes, rx_bytes, tx_packets, rx_packets, unix } = traffic;
        with(tx_bytes, other.tx_bytes);
        with(rx_bytes, other.rx_bytes);
        with(tx_packets, other.tx_packets);
        with(rx_packets, other.rx_packets);
        if let Some((UnixTraffic { tx_bytes, rx_bytes, tx_messages, rx_messages }, other)) =
            both(unix, other.unix)
        {
            with(tx_bytes, other.tx_bytes);
            with(rx_bytes, other.rx_bytes);
            with(tx_messages, other.tx_messages);
            with(rx_messages, other.rx_messages);
        }
    }
}

fn both<T>(mine: &mut Reading<T>, theirs: Reading<T>) -> Option<(&mut T, T)> {
    Some((mine.as_mut().ok()?, theirs.ok()?))
}
