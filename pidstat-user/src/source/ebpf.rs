//! The kernel's own counters: tasks by iterator, traffic by socket hooks, hidden or doubtful tasks from /proc.

#[cfg(test)]
mod churn;
mod cputime;
pub mod exits;
mod files;
mod gather;
mod hidden;
mod known;
mod memory;
mod namespace;
pub mod net;
mod record;
pub mod sched;
mod task;

pub use namespace::usable;

use super::{
    Source, SourceError,
    connections::Connections,
    procfs::{self, Reader, Users, groups::Groups, machine::Machine},
    taskstats::waits::Filler,
};
use crate::{
    clock::Clock,
    kernel::{
        Kernel, Reason, entry,
        net::{Options, PidNamespace},
        sched::Sizes,
    },
    sample::{
        Cost, Facts, Host, Losses, Machine as Figures, Missing, Origin, Pids, Reading, Sample, System, Task,
        Traffic, Want,
    },
};
use exits::{Exits, Names};
use files::OfFiles;
use hidden::Hidden;
use net::Net;
use pidstat_common::exit::RING_BYTES;
use sched::Sched;
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    path::Path,
};
use task::Walk;

/// Everything of one sample, read through the kernel's own structures.
#[derive(Debug)]
pub struct EbpfSource {
    host: Host,
    want: Want,
    walk: Walk,
    /// The exit hooks, if they are wanted, or why there are none.
    exits: Option<Result<Exits, Reason>>,
    hidden: Hidden,
    reader: Reader,
    users: Users,
    /// If control groups are asked for.
    groups: Option<Groups>,
    machine: Machine,
    /// The hooks, if traffic is asked for, or why there are none.
    net: Option<Result<Net, Reason>>,
    /// The hooks on the scheduler, if they are asked for, or why there are none.
    sched: Option<Result<Sched, Reason>>,
    /// If connections are asked for.
    connections: Option<Connections>,
    /// If delays are asked for.
    filler: Option<Filler>,
    /// Whether the kernel measured delays at the start.
    delays_on: Option<bool>,
    losses: Losses,
    /// Readable when one of the rings wants emptying.
    wakeup: Option<OwnedFd>,
    /// Whether what only the first sample needed was given back.
    light: bool,
}

impl EbpfSource {
    /// Loads what `want` needs. `proc_root` must be [`usable`].
    ///
    /// # Errors
    /// Why the task family does not run here.
    pub fn open(proc_root: &Path, sys_root: &Path, want: &Want) -> Result<EbpfSource, Reason> {
        EbpfSource::open_sized(proc_root, sys_root, want, RING_BYTES as u32)
    }

    /// The same with a ring of ended processes of another size, a power of two of at least a page.
    ///
    /// # Errors
    /// As for [`EbpfSource::open`].
    pub fn open_sized(
        proc_root: &Path,
        sys_root: &Path,
        want: &Want,
        ring_bytes: u32,
    ) -> Result<EbpfSource, Reason> {
        let kernel = Kernel::open()?;
        let host = procfs::host(proc_root, sys_root);
        let namespace = namespace::own(&kernel, proc_root)?;
        let ours = PidNamespace { level: namespace.level, inum: namespace.inode };
        let net = want.facts.has(Facts::TRAFFIC).then(|| {
            let options = Options {
                debug: want.debug,
                unix: want.facts.has(Facts::UNIX),
                packets: want.net_packets,
                ..Options::for_sockets(want.net_sockets)
            };
            let mut net = Net::open(&kernel, ours, want.net, options)?;
            net.keep_closed(want.facts.has(Facts::CONNECTIONS));
            Ok(net)
        });
        let connections = want.facts.has(Facts::CONNECTIONS).then(|| Connections::new(want.facts, proc_root));
        let traffic = match &net {
            Some(Ok(net)) => Ok(net.nothing()),
            Some(Err(_)) => Err(Missing::NotInSource),
            None => Err(Missing::NotAsked),
        };
        let sched = want.facts.has(Facts::RUNS).then(|| {
            let default = Sizes::default();
            let sizes = Sizes { tasks: want.sched_tasks.unwrap_or(default.tasks), ..default };
            Sched::open(&kernel, ours, sizes)
        });
        let (walk, exits) = Walk::open(&kernel, ours, ring_bytes, want, &host, traffic)?;
        let rings = [
            net.as_ref().and_then(|net| net.as_ref().ok()).map(Net::wakeup),
            exits.as_ref().and_then(|exits| exits.as_ref().ok()).map(Exits::wakeup),
        ];
        let wakeup =
            either(rings.into_iter().flatten()).map_err(|error| Reason::Other(format!("epoll: {error}")))?;
        let mut reader = Reader::open(proc_root).map_err(|error| Reason::Other(error.to_string()))?;
        drop(kernel);
        memory::give_back();
        Ok(EbpfSource {
            host,
            want: want.clone(),
            walk,
            exits,
            wakeup,
            hidden: Hidden::new(traffic),
            users: Users::machine(),
            groups: (want.facts.has(Facts::CGROUP) || want.facts.has(Facts::TRAFFIC_GROUPS))
                .then(|| Groups::new(proc_root)),
            machine: Machine::new(proc_root),
            net,
            sched,
            connections,
            delays_on: reader.delays_switched_on(),
            filler: want.facts.has(Facts::WAITS).then(|| Filler::open(true)),
            reader,
            losses: Losses::default(),
            light: false,
        })
    }

    /// Why traffic is not counted although it was asked for.
    pub fn net_failure(&self) -> Option<&Reason> {
        self.net.as_ref()?.as_ref().err()
    }

    fn system(&mut self) -> Result<System, SourceError> {
        let mut system = System { ticks_per_second: self.host.clock_ticks, ..System::default() };
        if self.want.facts.has(Facts::TOTAL_CPU) {
            system.total_cpu_ticks = Ok(self.machine.total_cpu_ticks()?);
        }
        if self.want.facts.has(Facts::MACHINE) {
            system.machine = self.machine.figures(self.walk.shape.tick_ns);
        }
        if self.want.facts.has(Facts::MEM_TOTAL) {
            system.mem_total_kib = self.machine.mem_total_kib();
        }
        Ok(system)
    }

    /// Time of all tasks as the tick saw it, ended ones included.
    fn tasks_ns(&self, tasks: &[Task]) -> u64 {
        let sums = &self.walk.gather.sums;
        let seen = sums.iter().map(|sum| sum.utime.saturating_add(sum.stime));
        let hidden = tasks.iter().filter(|task| task.is_process());
        let hidden = hidden.filter(|task| sums.binary_search_by_key(&task.key.tgid, |sum| sum.tgid).is_err());
        // Of those there are only the split times, which are as good on the whole.
        let hidden = hidden.map(|task| task.cpu.user_ns.saturating_add(task.cpu.system_ns));
        let gone = self.exits.as_ref().and_then(|exits| exits.as_ref().ok()).map(|exits| exits.books.gone_ns);
        seen.chain(hidden).chain(gone).fold(0, u64::saturating_add)
    }

    /// Time that our programs ran inside the kernel, and how often.
    fn bpf(&self) -> Reading<(u64, u64)> {
        let net = self.net.iter().flatten().flat_map(|net| net.programs());
        let exits = self.exits.iter().flatten().flat_map(|exits| exits.programs());
        let hooks = net.chain(exits).map(AsFd::as_fd);
        let all = hooks.chain([self.walk.program()]).map(entry::run_time);
        let sum = all.flatten().fold((0u64, 0u64), |sum, (ns, runs)| (sum.0 + ns, sum.1 + runs));
        if sum.1 == 0 { Err(Missing::NotMeasured) } else { Ok(sum) }
    }

    /// Control groups of the processes that moved something, where those of all were not asked for.
    fn groups_of_traffic(&mut self, out: &mut Sample) {
        if !self.want.facts.has(Facts::TRAFFIC_GROUPS) || self.want.facts.has(Facts::CGROUP) {
            return;
        }
        let idle = |traffic: &Traffic| *traffic == Traffic { unix: traffic.unix, ..Traffic::default() };
        for task in out.tasks.iter_mut().filter(|task| task.traffic.is_ok_and(|traffic| !idle(&traffic))) {
            task.cgroup = self.reader.cgroup(task.key.tgid);
        }
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

/// A descriptor that is readable when one of `descriptors` is; none if there are none.
fn either<'a>(descriptors: impl Iterator<Item = BorrowedFd<'a>>) -> io::Result<Option<OwnedFd>> {
    let mut descriptors = descriptors.peekable();
    if descriptors.peek().is_none() {
        return Ok(None);
    }
    // SAFETY: the call takes a number.
    let poll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if poll < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    let poll = unsafe { OwnedFd::from_raw_fd(poll) };
    for descriptor in descriptors {
        // At the edge: the rings are emptied without looking at this one.
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        // SAFETY: both descriptors are open, and `event` is valid for the call to read.
        let added = unsafe {
            libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor.as_raw_fd(), &raw mut event)
        };
        if added < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(Some(poll))
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
        if previous.is_some() && !std::mem::replace(&mut self.light, true) {
            memory::give_back();
        }
        let failed = |error: io::Error| SourceError::Kernel(format!("task iterator: {error}"));
        let all = self.want.pids == Pids::All;
        let again = self.hidden.begin(clock.now(), all, &mut self.reader).map_err(failed)?;
        out.system = self.system()?;
        let now = clock.now();
        (out.uptime_ns, out.epoch_ns) = (now.uptime_ns, now.epoch_ns);
        // Every family adds its own.
        self.losses.recursion_misses = 0;
        // Before the traffic and the walk: whoever has sent its record moves nothing any more and is in no row.
        if let Some(Ok(exits)) = &mut self.exits {
            exits.drain();
        }
        // Before the tasks: whoever moved something and is in no row has ended.
        if let Some(Ok(net)) = &mut self.net {
            net.collect(&mut self.losses).map_err(|why| SourceError::Kernel(why.to_string()))?;
            if let Some(connections) = &mut self.connections {
                net.connections(now.uptime_ns, &mut out.connections);
                connections.fill(&mut self.reader, out);
            }
        }
        let (reader, users, host) = (&mut self.reader, &mut self.users, &self.host);
        if let Some(Ok(exits)) = &mut self.exits {
            exits.count_losses(&mut self.losses).map_err(|why| SourceError::Kernel(why.to_string()))?;
        }
        if let Some(Ok(sched)) = &mut self.sched {
            sched.collect(&mut self.losses).map_err(|why| SourceError::Kernel(why.to_string()))?;
        }
        self.walk.gather.begin();
        self.hidden.read(&self.want, &mut self.walk, (reader, users, host));
        self.walk.read(&mut out.tasks).map_err(failed)?;
        self.hidden.discover(&self.want, &mut self.walk, &mut out.tasks, (reader, users, host));
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
                Ok(net.rung().name)
            }
            Err(why) => Err(why.to_string()),
        });
        self.groups_of_traffic(out);
        if let Some(Ok(exits)) = &mut self.exits {
            exits.overdue(out, &self.walk.shape);
            exits.found.drain(..).for_each(|child| self.walk.take_off(&child));
            let sums = &self.walk.gather.sums;
            exits.books.left(&self.walk.gone);
            let vanished = self.walk.vanished || self.hidden.vanished;
            let mut names = Names { users: &mut self.users, groups: self.groups.as_mut() };
            exits.books.fill(previous, out, (sums, vanished), &self.walk.shape, &mut names);
        }
        match &self.sched {
            Some(Ok(sched)) => sched.fill(out),
            Some(Err(_)) => out.tasks.iter_mut().for_each(|task| task.runs = Err(Missing::NotInSource)),
            None => {}
        }
        let net_shortfall = self.net.as_ref().and_then(|net| net.as_ref().ok()?.rung().shortfall);
        let net_approximate =
            self.net.as_ref().is_some_and(|net| net.as_ref().is_ok_and(Net::is_approximate));
        let net_unix = matches!(&self.net, Some(Ok(net)) if net.counts_unix().is_ok());
        let cost = self.want.facts.has(Facts::COST).then(|| {
            let sample_ns = clock.now().uptime_ns.saturating_sub(now.uptime_ns);
            let own = procfs::cost::so_far(&mut self.reader, self.host.page_bytes, sample_ns);
            let exits = self.exits.as_ref().and_then(|exits| exits.as_ref().ok());
            let net = self.net.as_ref().and_then(|net| net.as_ref().ok());
            Cost {
                bpf: self.bpf(),
                exit_map: exits.map(Exits::fill).ok_or(Missing::DoesNotApply),
                flow_map: net.map(Net::fill_of_flows).ok_or(Missing::DoesNotApply),
                turn_map: net.and_then(Net::fill_of_turns).ok_or(Missing::DoesNotApply),
                packet_map: net.and_then(Net::fill_of_packets).ok_or(Missing::DoesNotApply),
                closed_ring: net.map(Net::fill_of_ring).ok_or(Missing::DoesNotApply),
                ..own
            }
        });
        if out.system.machine.is_ok() {
            let tasks_ns = self.tasks_ns(&out.tasks);
            out.system.machine = out.system.machine.map(|machine| Figures { tasks_ns, ..machine });
        }
        out.origin = Origin {
            source: "ebpf",
            net_rung,
            net_shortfall,
            net_approximate,
            net_unix,
            losses: self.losses,
            cost,
        };
        Ok(())
    }

    fn note(&self) -> Option<String> {
        let net = match self.net.as_ref() {
            Some(Ok(net)) => net.note(),
            Some(Err(why)) => Some(format!("network is not counted: {why}")),
            None => None,
        };
        let exits = self.exits.as_ref().and_then(|exits| exits.as_ref().err());
        let exits = exits.map(|why| format!("processes that end between two reports are not seen: {why}"));
        let sched = self.sched.as_ref().and_then(|sched| sched.as_ref().err());
        let sched = sched.map(|why| format!("the scheduler is not watched: {why}"));
        let delays = self.filler.as_ref().and_then(|filler| filler.note(self.delays_on));
        [net, exits, sched, delays].into_iter().flatten().reduce(|a, b| format!("{a}; {b}"))
    }

    fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        self.wakeup.as_ref().map(AsFd::as_fd)
    }

    fn drain(&mut self) {
        if let Some(Ok(net)) = &mut self.net {
            net.drain();
        }
        if let Some(Ok(exits)) = &mut self.exits {
            exits.drain();
        }
    }

    fn late(&mut self, previous: &Sample, out: &mut Sample, closing: bool) -> bool {
        let Some(Ok(exits)) = &mut self.exits else { return false };
        let mut names = Names { users: &mut self.users, groups: self.groups.as_mut() };
        let with = (&self.walk.shape, &mut names, &mut self.losses);
        let gone_ns = exits.books.gone_ns;
        let more = exits.late(previous, out, closing, with);
        if let Ok(machine) = &mut out.system.machine {
            machine.tasks_ns += exits.books.gone_ns - gone_ns;
        }
        out.origin.losses = self.losses;
        more
    }
}
