//! Puts the sums of the net family into a sample: into the rows of living processes, and into `departed` for the rest.

use super::{Net, NetOwner};
use crate::sample::{End, Missing, Pids, Sample, Task, TaskKey};

impl Net {
    /// Fills in the traffic of every process row of `out`, whose tasks are complete and sorted, and the departed ones.
    ///
    /// Rows of processes that moved nothing stay as they are. Of what has no row, only wanted processes are kept, and
    /// everything outside the PID namespace when all are wanted.
    pub fn fill(&self, pids: &Pids, out: &mut Sample) {
        for owner in self.owners() {
            let key = TaskKey { tgid: owner.pid, tid: 0, start_ticks: owner.start_ticks };
            match out.tasks.binary_search_by(|task| task.key.cmp(&key)) {
                Ok(at) => out.tasks[at].traffic = Ok(owner.traffic),
                Err(_) if wanted(pids, owner) => out.departed.push(departed(key, owner)),
                Err(_) => {}
            }
        }
        out.departed.sort_unstable_by_key(|task| task.key);
    }
}

fn wanted(pids: &Pids, owner: &NetOwner) -> bool {
    match pids {
        Pids::All => true,
        Pids::Only(list) => list.binary_search(&owner.pid).is_ok(),
    }
}

fn departed(key: TaskKey, owner: &NetOwner) -> Task {
    let mut task = Task::blank(key, owner.comm, Missing::Gone);
    task.uid = owner.uid;
    task.traffic = Ok(owner.traffic);
    task.end = End::TrafficOnly;
    task
}
