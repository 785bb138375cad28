//! What connections have besides what is counted of them: control groups of their processes, and the network devices.

use crate::{
    sample::{Cgroup, Connection, Facts, Missing, Reading, Sample, TaskKey},
    source::procfs::{Reader, groups::Groups, interface},
    source::sockdiag,
};
use std::{
    collections::{HashMap, HashSet},
    os::unix::fs::MetadataExt,
    path::Path,
    rc::Rc,
};

/// Samples after which a process' group is read again; few processes ever change it.
const READ_AGAIN: u64 = 8;

/// What is remembered from sample to sample.
#[derive(Debug)]
pub(in crate::source) struct Connections {
    with_groups: bool,
    with_interfaces: bool,
    of_sockets: Groups,
    of_processes: HashMap<TaskKey, Known>,
    /// What UNIX sockets are called, by cookie; nothing if they have no name.
    names: HashMap<u64, Option<Rc<str>>>,
    sample: u64,
    netns: u32,
}

#[derive(Debug)]
struct Known {
    group: Reading<Rc<Cgroup>>,
    read: u64,
    used: u64,
}

impl Connections {
    pub(in crate::source) fn new(facts: Facts, proc_root: &Path) -> Connections {
        Connections {
            with_groups: facts.has(Facts::CONNECTION_GROUPS),
            with_interfaces: facts.has(Facts::INTERFACES),
            of_sockets: Groups::new(proc_root),
            of_processes: HashMap::new(),
            names: HashMap::new(),
            sample: 0,
            netns: std::fs::metadata(proc_root.join("self/ns/net"))
                .map_or(0, |about| u32::try_from(about.ino()).unwrap_or(0)),
        }
    }

    /// Completes the connections of a sample.
    pub(in crate::source) fn fill(&mut self, reader: &mut Reader, out: &mut Sample) {
        if self.with_interfaces {
            interface::read(reader, &mut out.interfaces);
        }
        out.netns = self.netns;
        self.name(out);
        if !self.with_groups {
            return;
        }
        self.sample += 1;
        for connection in &mut out.connections {
            connection.cgroup = self.group(connection, reader);
        }
        let now = self.sample;
        self.of_processes.retain(|_, known| known.used == now);
    }

    /// Names the UNIX sockets of our own network namespace. They are asked for when one is there that was not asked for before.
    fn name(&mut self, out: &mut Sample) {
        let mut unix: Vec<&mut Connection> = out.connections.iter_mut().filter(|one| one.is_unix()).collect();
        if unix.iter().any(|one| !one.closed && !self.names.contains_key(&one.key.cookie)) {
            // Without sock_diag they have their cookies.
            let mut found = sockdiag::unix_names().unwrap_or_default();
            for one in unix.iter().filter(|one| !one.closed) {
                self.names.entry(one.key.cookie).or_insert_with_key(|cookie| found.remove(cookie));
            }
        }
        let there: HashSet<u64> = unix.iter().map(|one| one.key.cookie).collect();
        for one in &mut unix {
            one.unix_name = self.names.get(&one.key.cookie).cloned().flatten();
        }
        self.names.retain(|cookie, _| there.contains(cookie));
    }

    /// The group of the process; that of the socket where the process ended before anybody looked.
    fn group(&mut self, connection: &Connection, reader: &mut Reader) -> Reading<Rc<Cgroup>> {
        let (owner, now) = (connection.key.owner, self.sample);
        let of_process = if owner.tgid == 0 {
            Err(Missing::DoesNotApply)
        } else {
            let known = self.of_processes.entry(owner).or_insert(Known {
                group: Err(Missing::Gone),
                read: 0,
                used: now,
            });
            if known.used != now || known.read == 0 {
                known.used = now;
                if known.read == 0 || known.read + READ_AGAIN <= now {
                    known.read = now;
                    // A process that ended keeps the group it was last seen in.
                    if let Ok(group) = reader.cgroup(owner.tgid) {
                        known.group = Ok(group);
                    }
                }
            }
            known.group.clone()
        };
        of_process.or_else(|_| self.of_sockets.of(connection.cgroup_id))
    }
}
