//! Whether everything was seen: what all processes did beside what the machine says was done.

use super::{Row, connection::attributed};
use crate::sample::{Machine, Missing, Reading, Sample, Task};

/// Bytes with all headers, of connections and of the devices whose addresses they have. Both ends of a loopback
/// connection count, as the device counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Received by connections.
    pub rx_bytes: u64,
    /// Sent by connections.
    pub tx_bytes: u64,
    /// Received by the devices of our network namespace.
    pub devices_rx_bytes: u64,
    /// Sent by them.
    pub devices_tx_bytes: u64,
}

impl Wire {
    /// What grew between two samples.
    ///
    /// # Errors
    /// `NotInSource` where no traffic is counted.
    pub fn between(before: &Sample, now: &Sample) -> Reading<Wire> {
        if !matches!(now.origin.net_rung, Some(Ok(_))) {
            return Err(Missing::NotInSource);
        }
        attributed(before, now, now.netns).iter().try_fold(Wire::default(), |sum, device| {
            Ok(Wire {
                rx_bytes: sum.rx_bytes + device.rx_attributed_bytes,
                tx_bytes: sum.tx_bytes + device.tx_attributed_bytes,
                devices_rx_bytes: sum.devices_rx_bytes + device.rx_bytes?,
                devices_tx_bytes: sum.devices_tx_bytes + device.tx_bytes?,
            })
        })
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Wire) -> Wire {
        Wire {
            rx_bytes: self.rx_bytes + other.rx_bytes,
            tx_bytes: self.tx_bytes + other.tx_bytes,
            devices_rx_bytes: self.devices_rx_bytes + other.devices_rx_bytes,
            devices_tx_bytes: self.devices_tx_bytes + other.devices_tx_bytes,
        }
    }
}

/// One interval's books. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// CPU time of all processes, the ended ones included, as the tick saw it.
    pub tasks_ns: u64,
    /// What the machine did.
    pub machine: Machine,
    /// Context switches of all processes.
    pub switches: Reading<u64>,
    /// Bytes that processes fetched from storage.
    pub read_bytes: Reading<u64>,
    /// Bytes that they sent towards it.
    pub written_bytes: Reading<u64>,
    /// Bytes on the wire, where traffic is counted.
    pub wire: Reading<Wire>,
}

impl Check {
    /// Compares what grew between two samples; `rows` are those of all processes, ended ones included.
    ///
    /// # Errors
    /// A sample has no figures of the machine.
    pub fn between<'a>(before: &Sample, now: &Sample, rows: impl Iterator<Item = Row<'a>>) -> Reading<Check> {
        let machine = now.system.machine?.since(&before.system.machine?)?;
        let tasks_ns = machine.tasks_ns;
        let mut check = Check {
            tasks_ns,
            machine,
            switches: Err(Missing::NotInSource),
            read_bytes: Err(Missing::NotInSource),
            written_bytes: Err(Missing::NotInSource),
            wire: Wire::between(before, now),
        };
        for row in rows.filter(|row| row.now.is_process() && !row.traffic_only) {
            let add = |sum: &mut Reading<u64>, counter: &dyn Fn(&Task) -> Reading<u64>| {
                if let Ok(grown) = row.delta(counter) {
                    *sum = Ok(sum.unwrap_or(0).saturating_add(grown));
                }
            };
            add(&mut check.switches, &|task| {
                task.switches.map(|s| s.voluntary.saturating_add(s.involuntary))
            });
            add(&mut check.read_bytes, &|task| task.io.map(|io| io.read_bytes));
            add(&mut check.written_bytes, &|task| task.io.map(|io| io.write_bytes));
        }
        Ok(check)
    }

    /// CPU time that the machine charged to somebody: the other side of `tasks_ns`.
    pub fn busy_ns(&self) -> u64 {
        self.machine.busy_ns.saturating_add(self.machine.interrupt_ns)
    }

    /// How much of it is found with the processes, in percent; nothing was to be found if nothing ran.
    pub fn found_pct(&self) -> f64 {
        match self.busy_ns() {
            0 => 100.0,
            busy => self.tasks_ns as f64 / busy as f64 * 100.0,
        }
    }
}

impl Machine {
    /// What grew since `before`.
    fn since(&self, before: &Machine) -> Reading<Machine> {
        let grew = |now: u64, before: u64| now.checked_sub(before).ok_or(Missing::WentBackwards);
        // Two CPUs' idle time may be corrected downwards; the kernel says so in proc(5).
        let idle_ns = self.idle_ns.saturating_sub(before.idle_ns);
        Ok(Machine {
            busy_ns: grew(self.busy_ns, before.busy_ns)?,
            interrupt_ns: grew(self.interrupt_ns, before.interrupt_ns)?,
            steal_ns: grew(self.steal_ns, before.steal_ns)?,
            idle_ns,
            switches: grew(self.switches, before.switches)?,
            read_bytes: grew(self.read_bytes, before.read_bytes)?,
            written_bytes: grew(self.written_bytes, before.written_bytes)?,
            tasks_ns: grew(self.tasks_ns, before.tasks_ns)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rate::{Span, pairs},
        sample::{Comm, Io, Switches, System, TaskKey},
    };

    #[test]
    fn both_sides_are_differences() {
        let machine = |n: u64| Machine {
            busy_ns: n * 80,
            interrupt_ns: n * 20,
            steal_ns: n,
            idle_ns: n,
            switches: n * 7,
            read_bytes: n * 512,
            written_bytes: n * 1024,
            tasks_ns: n * 99,
        };
        let sample = |n: u64| {
            let key = TaskKey { tgid: 7, tid: 0, start_ticks: 0 };
            let mut task = Task::blank(key, Comm::default(), Missing::NotAsked);
            task.switches = Ok(Switches { voluntary: n * 3, involuntary: n * 2 });
            task.io = Ok(Io { read_bytes: n * 512, write_bytes: n * 2048, ..Io::default() });
            let system = System { machine: Ok(machine(n)), ..System::default() };
            Sample { uptime_ns: n, system, tasks: vec![task], ..Sample::default() }
        };
        let (before, now) = (sample(10), sample(12));
        let span = Span::between(&before, &now, 1, false);
        let check = Check::between(&before, &now, pairs(&before, &now, &span, false)).unwrap();
        assert_eq!((check.tasks_ns, check.busy_ns(), check.switches), (198, 200, Ok(10)));
        assert_eq!((check.read_bytes, check.written_bytes), (Ok(1024), Ok(4096)));
        assert_eq!(check.machine, machine(2));
        assert!((check.found_pct() - 99.0).abs() < 1e-9);
        let blank = Sample::default();
        assert_eq!(Check::between(&blank, &now, pairs(&blank, &now, &span, false)), Err(Missing::NotAsked));
    }
}
