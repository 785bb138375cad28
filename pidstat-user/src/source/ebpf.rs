//! The kernel's own counters: tasks by iterator, traffic by socket hooks, hidden or doubtful tasks from /proc.

mod connections;
mod cputime;
mod files;
mod gather;
mod hidden;
mod known;
mod namespace;
pub mod net;
mod record;
mod task;

pub use namespace::usable;

use super::{
    Source, SourceError,
    procfs::{self, Reader, Users, machine::Machine},
    taskstats::waits::Filler,
};
use crate::{
    clock::Clock,
    kernel::{
        Kernel, Reason,
        net::{PidNamespace, Sizes},
    },
    sample::{Facts, Host, Losses, Missing, Origin, Pids, Sample, System, Traffic, Want},
};
use connections::Connections;
use files::OfFiles;
use hidden::Hidden;
use net::Net;
use std::{os::fd::BorrowedFd, path::Path};
use task::Walk;

/// Everything of one sample, read through the kernel's own structures.
#[derive(Debug)]
pub struct EbpfSource {
    host: Host,
    want: Want,
    walk: Walk,
    hidden: Hidden,
    reader: Reader,
    users: Users,
    machine: Machine,
    /// The hooks, if traffic is asked for, or why there are none.
    net: Option<Result<Net, Reason>>,
    /// If connections are asked for.
    connections: Option<Connections>,
    /// If delays are asked for.
    filler: Option<Filler>,
    /// Whether the kernel measured delays at the start.
    delays_on: Option<bool>,
    losses: Losses,
}

impl EbpfSource {
    /// Loads what `want` needs. `proc_root` must be [`usable`].
    ///
    /// # Errors
    /// Why the task family does not run here.
    pub fn open(proc_root: &Path, sys_root: &Path, want: &Want) -> Result<EbpfSource, Reason> {
        let kernel = Kernel::open()?;
        let host = procfs::host(proc_root, sys_root);
        let namespace = namespace::own(&kernel, proc_root)?;
        let ours = PidNamespace { level: namespace.level, inum: namespace.inode };
        let net = want.facts.has(Facts::TRAFFIC).then(|| {
            let sizes = Sizes { debug: want.debug, ..Sizes::default() };
            let mut net = Net::open_sized(&kernel, ours, sizes)?;
            net.keep_closed(want.facts.has(Facts::CONNECTIONS));
            Ok(net)
        });
        let connections = want.facts.has(Facts::CONNECTIONS).then(|| Connections::new(want.facts, proc_root));
        let traffic = match &net {
            Some(Ok(_)) => Ok(Traffic::default()),
            Some(Err(_)) => Err(Missing::NotInSource),
            None => Err(Missing::NotAsked),
        };
        let walk = Walk::open(&kernel, namespace.level, want, &host, traffic)?;
        let mut reader = Reader::open(proc_root).map_err(|error| Reason::Other(error.to_string()))?;
        Ok(EbpfSource {
            host,
            want: want.clone(),
            walk,
            hidden: Hidden::new(traffic),
            users: Users::machine(),
            machine: Machine::new(proc_root),
            net,
            connections,
            delays_on: reader.delays_switched_on(),
            filler: want.facts.has(Facts::WAITS).then(|| Filler::open(true)),
            reader,
            losses: Losses::default(),
        })
    }

    fn system(&mut self) -> Result<System, SourceError> {
        let mut system = System { ticks_per_second: self.host.clock_ticks, ..System::default() };
        if self.want.facts.has(Facts::TOTAL_CPU) {
            system.total_cpu_ticks = Ok(self.machine.total_cpu_ticks()?);
        }
        if self.want.facts.has(Facts::MEM_TOTAL) {
            system.mem_total_kib = self.machine.mem_total_kib();
        }
        Ok(system)
    }

    /// Figures that are read per process whenever they are asked for, because they change by themselves.
    fn files_of_tasks(&mut self, out: &mut Sample) {
        let facts = self.want.facts;
        if !OfFiles::FACTS.iter().any(|fact| facts.has(*fact)) {
            return;
        }
        let mut process = OfFiles::default();
        for task in &mut out.tasks {
            if task.key.tgid != process.tgid {
                process = OfFiles::read(task, facts, &mut self.reader);
            }
            // Threads share the address space and, all but always, the descriptors and the group.
            (task.stack, task.fds, task.peak_kib) = (process.stack, process.fds, process.peak_kib);
            task.cgroup.clone_from(&process.cgroup);
            if let Some(uid) = process.owner {
                (task.uid, task.user) = (uid, self.users.name(uid));
            }
        }
    }
}

impl Source for EbpfSource {
    fn host(&self) -> &Host {
        &self.host
    }

    fn sample(
        &mut self,
        clock: &Clock,
        previous: Option<&Sample>,
        out: &mut Sample,
    ) -> Result<(), SourceError> {
        out.tasks.clear();
        out.departed.clear();
        let failed = |error: std::io::Error| SourceError::Kernel(format!("task iterator: {error}"));
        let all = self.want.pids == Pids::All;
        let again = self.hidden.begin(clock.now(), all, &mut self.reader).map_err(failed)?;
        out.system = self.system()?;
        let now = clock.now();
        (out.uptime_ns, out.epoch_ns) = (now.uptime_ns, now.epoch_ns);
        // Before the tasks: whoever moved something and is in no row has ended.
        if let Some(Ok(net)) = &mut self.net {
            net.collect(&mut self.losses).map_err(|why| SourceError::Kernel(why.to_string()))?;
            if let Some(connections) = &mut self.connections {
                net.connections(now.uptime_ns, &mut out.connections);
                connections.fill(&mut self.reader, out);
            }
        }
        let (reader, users, host) = (&mut self.reader, &mut self.users, &self.host);
        self.walk.gather.begin();
        self.hidden.read(&self.want, &mut self.walk, (reader, users, host));
        self.walk.read(&mut out.tasks).map_err(failed)?;
        self.hidden.discover(&self.want, again, &mut self.walk, &mut out.tasks, (reader, users, host));
        self.losses.inconsistent += self.walk.settle(&mut out.tasks, previous, again, (reader, users, host));
        if self.walk.gather.disordered {
            self.walk.sort(&mut out.tasks);
        }
        self.files_of_tasks(out);
        if let Some(filler) = &mut self.filler {
            filler.fill(&mut out.tasks);
        }
        let net_rung = self.net.as_ref().map(|net| match net {
            Ok(net) => {
                net.fill(&self.want.pids, out);
                Ok(Net::RUNG)
            }
            Err(why) => Err(why.to_string()),
        });
        out.origin = Origin { source: "ebpf", net_rung, losses: self.losses };
        Ok(())
    }

    fn note(&self) -> Option<String> {
        let net = self.net.as_ref().and_then(|net| net.as_ref().err());
        let net = net.map(|why| format!("network is not counted: {why}"));
        let delays = self.filler.as_ref().and_then(|filler| filler.note(self.delays_on));
        [net, delays].into_iter().flatten().reduce(|a, b| format!("{a}; {b}"))
    }

    fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        Some(self.net.as_ref()?.as_ref().ok()?.wakeup())
    }

    fn drain(&mut self) {
        if let Some(Ok(net)) = &mut self.net {
            net.drain();
        }
    }
}
