//! What is read from files of a process although the iterator gives the rest.

use crate::{
    sample::{Cgroup, Facts, Missing, Reading, Stack, Task},
    source::procfs::Reader,
};
use std::rc::Rc;

/// What the iterator does not give of a process.
pub struct OfFiles {
    pub tgid: u32,
    pub stack: Reading<Stack>,
    pub fds: Reading<u32>,
    pub peak_kib: Reading<u64>,
    pub cgroup: Reading<Rc<Cgroup>>,
    /// The effective user, if asked for.
    pub owner: Option<u32>,
}

impl Default for OfFiles {
    fn default() -> OfFiles {
        let not_asked = Missing::NotAsked;
        OfFiles {
            tgid: 0,
            stack: Err(not_asked),
            fds: Err(not_asked),
            peak_kib: Err(not_asked),
            cgroup: Err(not_asked),
            owner: None,
        }
    }
}

impl OfFiles {
    /// What asks for any of it.
    pub const FACTS: [Facts; 5] = [Facts::STACK, Facts::FDS, Facts::PEAK, Facts::CGROUP, Facts::EFFECTIVE];

    /// Reads what `facts` asks for, of the process of a row.
    pub fn read(task: &Task, facts: Facts, reader: &mut Reader) -> OfFiles {
        let tgid = task.key.tgid;
        let mut process = OfFiles { tgid, ..OfFiles::default() };
        let no_memory = if task.kernel_thread { Some(Missing::DoesNotApply) } else { None };
        if facts.has(Facts::STACK) {
            process.stack = no_memory.map_or_else(|| reader.stack(tgid), Err);
        }
        if facts.has(Facts::PEAK) {
            process.peak_kib = no_memory.map_or_else(|| reader.peak_kib(tgid), Err);
        }
        if facts.has(Facts::FDS) {
            process.fds = reader.fds(tgid);
        }
        if facts.has(Facts::CGROUP) {
            process.cgroup = reader.cgroup(tgid);
        }
        if facts.has(Facts::EFFECTIVE) {
            process.owner = reader.effective_uid(tgid);
        }
        process
    }
}
