//! Puts the sums of the net family into a sample: into the rows of living processes, and into `departed` for the rest.

use super::{Net, NetOwner};
use crate::sample::{End, Missing, Pids, Sample, Task, TaskKey, Traffic, UnixTraffic};

impl Net {
    /// Fills in the traffic of every process row of `out`, whose tasks are complete and sorted, and the departed ones.
    ///
    /// Rows of processes that moved nothing stay as they are. Of what has no row, only wanted processes are kept, and
    /// everything outside the PID namespace when all are wanted.
    pub fn fill(&self, pids: &Pids, out: &mut Sample) {
        for owner in self.owners() {
            let key = TaskKey { tgid: owner.pid, tid: 0, start_ticks: owner.start_ticks };
            match out.tasks.binary_search_by(|task| task.key.cmp(&key)) {
                Ok(at) => out.tasks[at].traffic = Ok(self.sums(owner)),
                Err(_) if wanted(pids, owner) => out.departed.push(departed(key, owner, self.sums(owner))),
                Err(_) => {}
            }
        }
        out.departed.sort_unstable_by_key(|task| task.key);
    }

    /// What a process has that moved nothing.
    pub fn nothing(&self) -> Traffic {
        Traffic { unix: self.counts_unix().map(|()| UnixTraffic::default()), ..Traffic::default() }
    }

    /// The sums of a process as samples have them.
    fn sums(&self, owner: &NetOwner) -> Traffic {
        let unix = owner.unix;
        let unix = UnixTraffic {
            tx_bytes: unix.tx_bytes,
            rx_bytes: unix.rx_bytes,
            tx_messages: unix.tx_packets,
            rx_messages: unix.rx_packets,
        };
        Traffic { unix: self.counts_unix().map(|()| unix), ..owner.traffic }
    }
}

fn wanted(pids: &Pids, owner: &NetOwner) -> bool {
    match pids {
        Pids::All => true,
        Pids::Only(list) => list.binary_search(&owner.pid).is_ok(),
    }
}

fn departed(key: TaskKey, owner: &NetOwner, sums: Traffic) -> Task {
    let mut task = Task::blank(key, owner.comm, Missing::Gone);
    task.uid = owner.uid;
    task.traffic = Ok(sums);
    task.end = End::TrafficOnly;
    task
}
