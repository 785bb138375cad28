//! Traffic where the kernel counts none for us: captured packets, and the processes whose sockets they belong to.
//!
//! Another source has the tasks; this one adds what they sent and received. It is the last rung, and approximate: packets
//! are what devices see, and whose a socket was is only known of sockets that were there when somebody looked.

pub mod diag;
pub mod frame;
pub mod ledger;
pub mod library;
pub mod owners;
pub mod space;

use super::{Source, SourceError, connections::Connections, ebpf, procfs};
use crate::{
    clock::Clock,
    kernel::Reason,
    sample::{
        Capturing, End, Facts, Host, Losses, Missing, Pids, Sample, Task, TaskKey, Traffic, Want, socket::TCP,
    },
};
use ledger::{FlowKey, Ledger};
use library::{ANY, Capture, Manner, Pcap};
use owners::Owners;
use space::Space;
use std::{
    collections::HashMap,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Its name as a rung.
pub const NAME: &str = "pcap";
/// What it does not do, in words.
pub const SHORTFALL: &str = "packets are captured, so figures are of the wire as devices see it, and what has no owner when \
                             it is looked for is unknown TCP or UDP";
/// Network namespaces that are captured at most.
const SPACES_MAX: usize = 128;
/// Samples for which a namespace without processes is kept.
const SPACE_IDLE: u64 = 16;

/// Tries everything that a capture needs, for `doctor`.
///
/// # Errors
/// What is missing.
pub fn probe() -> Result<(), Reason> {
    let manner = Manner { promiscuous: false, filter: None, buffer_bytes: 1 << 16 };
    Capture::open(&Pcap::open()?, ANY, &manner).map(|_| ())
}

/// A source of tasks, with traffic by captured packets.
pub struct PcapSource {
    tasks: Box<dyn Source>,
    pcap: Arc<Pcap>,
    want: Want,
    proc_root: PathBuf,
    spaces: Vec<Space>,
    /// The sample in which a process was last seen in a namespace.
    seen: HashMap<u32, u64>,
    owners: Owners,
    ledger: Ledger,
    connections: Option<Connections>,
    sample: u64,
    /// Of captures that are closed.
    lost: Losses,
    /// Why a capture ended that should not have.
    failed: Option<String>,
    /// Why other namespaces are not captured, and what else the user should know.
    notes: Vec<String>,
    /// Readable when packets have come, or when the source of the tasks wants to be looked after.
    wakeup: OwnedFd,
}

impl std::fmt::Debug for PcapSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PcapSource").field("spaces", &self.spaces).finish_non_exhaustive()
    }
}

/// What the source of the tasks is asked for: everything but traffic.
pub fn without_traffic(want: &Want) -> Want {
    let connections = Facts::CONNECTIONS | Facts::CONNECTION_GROUPS | Facts::INTERFACES;
    let traffic = Facts::TRAFFIC | connections;
    Want { facts: want.facts.without(traffic), ..want.clone() }
}

impl PcapSource {
    /// Opens the captures. `tasks` opens the source of the tasks once it is clear that they work.
    ///
    /// # Errors
    /// What is missing: the library, the privilege, a device, or a filter that makes sense.
    pub fn open<E>(
        proc_root: &Path,
        want: &Want,
        tasks: impl FnOnce() -> Result<Box<dyn Source>, E>,
    ) -> Result<Result<PcapSource, E>, Reason> {
        let pcap = Pcap::open()?;
        let host = procfs::host(proc_root, Path::new(procfs::SYS_ROOT));
        let failed = |error: std::io::Error| Reason::Other(error.to_string());
        let mut owners = Owners::open(proc_root, host).map_err(failed)?;
        let own = owners.reader().network_namespace(std::process::id()).unwrap_or(0);
        let space = Space::own(&pcap, own, &want.capturing)?;
        let tasks = match tasks() {
            Ok(tasks) => tasks,
            Err(error) => return Ok(Err(error)),
        };
        let connections = want.facts.has(Facts::CONNECTIONS).then(|| Connections::new(want.facts, proc_root));
        let wakeup = poll().map_err(failed)?;
        let mut source = PcapSource {
            tasks,
            pcap,
            want: want.clone(),
            proc_root: proc_root.into(),
            spaces: vec![space],
            seen: HashMap::new(),
            owners,
            ledger: Ledger::default(),
            connections,
            sample: 0,
            lost: Losses::default(),
            failed: None,
            notes: Vec::new(),
            wakeup,
        };
        let tasks = source.tasks.wakeup().map(|fd| fd.as_raw_fd());
        let fds = source.spaces[0].captures.iter().map(AsRawFd::as_raw_fd).chain(tasks);
        fds.for_each(|fd| watch(&source.wakeup, fd));
        if !source.owners.sees_all() {
            source.notes.push(
                "connections of other users have no owner without CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
                    .into(),
            );
        }
        source.find_spaces(true);
        // Owners of what is there already.
        source.owners.look_everywhere();
        Ok(Ok(source))
    }

    /// Captures in network namespaces that have become known, and no more in those that nobody is in.
    fn find_spaces(&mut self, first: bool) {
        if !self.want.capturing.devices.is_empty() {
            return;
        }
        for (inode, pid) in self.owners.spaces() {
            let known = self.seen.insert(inode, self.sample).is_some();
            if known || self.spaces[0].inode == inode || self.spaces.len() >= SPACES_MAX {
                continue;
            }
            let of = self.proc_root.join(pid.to_string()).join("ns/net");
            match Space::other(&self.pcap, inode, &of, &self.want.capturing) {
                Ok(space) => {
                    space.captures.iter().for_each(|capture| watch(&self.wakeup, capture.as_raw_fd()));
                    self.spaces.push(space);
                }
                Err(why) if first && self.notes.iter().all(|note| !note.contains("namespaces")) => {
                    self.notes.push(format!("other network namespaces are not captured: {why}"));
                }
                Err(_) => {}
            }
        }
        let (sample, seen, lost) = (self.sample, &mut self.seen, &mut self.lost);
        seen.retain(|_, last| *last + SPACE_IDLE > sample);
        let own = self.spaces[0].inode;
        self.spaces.retain_mut(|space| {
            let keep = space.inode == own || seen.contains_key(&space.inode);
            if !keep {
                lost.pcap_dropped += space.dropped();
                lost.pcap_unread += space.unread;
            }
            keep
        });
    }

    /// Takes over every packet that has come. Sockets are asked for at once, before they are gone; who has them, after that.
    fn take(&mut self) {
        let (ledger, mut met) = (&mut self.ledger, Vec::new());
        for space in &mut self.spaces {
            let drained = space.drain(|diag, (key, sent), packet, epoch_ns| {
                if ledger.add(key, sent, packet, epoch_ns) {
                    meet(ledger, diag, &key);
                    met.push(key);
                }
            });
            if let Err(why) = drained {
                self.failed = Some(format!("a capture ended: {why}"));
            }
        }
        for key in met {
            name(ledger, &mut self.owners, &key);
        }
    }

    /// Finds out whose the connections are that moved, and how they stand.
    fn own(&mut self) {
        let due = self.ledger.due();
        for key in &due {
            if let Some(space) = self.spaces.iter_mut().find(|space| space.inode == key.space) {
                meet(&mut self.ledger, &mut space.diag, key);
            }
        }
        let (ledger, owners) = (&mut self.ledger, &mut self.owners);
        let mut nameless: Vec<&FlowKey> = due.iter().filter(|key| !name(ledger, owners, key)).collect();
        let unsearched = nameless.iter().filter(|key| ledger.search(key)).count();
        if unsearched > 0 {
            owners.look_everywhere();
            nameless.retain(|key| !name(ledger, owners, key));
        }
        for key in nameless {
            if let Some(owner) = ledger.remembered(key) {
                ledger.owned(key, owner, false);
            }
        }
    }

    /// Puts the sums into the rows of processes, and those of processes without one into `departed`.
    fn fill(&self, out: &mut Sample) {
        for task in out.tasks.iter_mut().filter(|task| task.is_process()) {
            task.traffic = Ok(Traffic::default());
        }
        for task in &mut out.departed {
            // The last row of a process whose record is still to come stays as it was shown.
            if !matches!(task.end, End::Leaving { .. }) {
                task.traffic = Ok(Traffic::default());
            }
        }
        let before = out.departed.len();
        for (key, account) in self.ledger.accounts() {
            let place = |list: &[Task]| list.binary_search_by(|task| task.key.cmp(key));
            if let Ok(at) = place(&out.tasks) {
                out.tasks[at].traffic = Ok(account.traffic);
            } else if let Ok(at) = place(&out.departed[..before]) {
                let task = &mut out.departed[at];
                if !matches!(task.end, End::Leaving { .. }) {
                    task.traffic = Ok(account.traffic);
                }
            } else if self.wants(key) {
                let mut task = Task::blank(*key, account.user.comm, Missing::Gone);
                task.uid = account.user.uid;
                task.traffic = Ok(account.traffic);
                task.end = End::TrafficOnly;
                out.departed.push(task);
            }
        }
        out.departed.sort_unstable_by_key(|task| task.key);
    }

    fn wants(&self, key: &TaskKey) -> bool {
        match &self.want.pids {
            Pids::All => true,
            Pids::Only(list) => list.binary_search(&key.tgid).is_ok(),
        }
    }

    /// Says where the traffic comes from.
    fn sign(&mut self, out: &mut Sample) {
        let origin = &mut out.origin;
        (origin.net_rung, origin.net_shortfall) = (Some(Ok(NAME)), Some(SHORTFALL));
        origin.net_approximate = true;
        let spaces = self.spaces.iter_mut();
        let sums = spaces.fold((self.lost.pcap_dropped, self.lost.pcap_unread), |sum, space| {
            (sum.0 + space.dropped(), sum.1 + space.unread)
        });
        (origin.losses.pcap_dropped, origin.losses.pcap_unread) = sums;
    }
}

/// Asks for the socket of a connection, and for the one that listens where it has no descriptor: before it is accepted and
/// after it was closed.
fn meet(ledger: &mut Ledger, diag: &mut diag::Diag, key: &FlowKey) {
    let protocol = u16::from(key.protocol);
    let found = diag.socket(protocol, key.local, key.remote);
    if protocol != TCP {
        ledger.met(key, found, 0);
        return;
    }
    match found {
        Some(found) if found.remote.is_none() => ledger.met(key, None, found.inode),
        Some(found) if found.inode != 0 => ledger.met(key, Some(found), 0),
        found => {
            let nobody = if key.local.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let listener = diag.socket(protocol, key.local, SocketAddr::new(nobody, 0));
            ledger.met(key, found, listener.map_or(0, |listener| listener.inode));
        }
    }
}

/// Finds out whose a connection is; says whether anybody is known.
fn name(ledger: &mut Ledger, owners: &mut Owners, key: &FlowKey) -> bool {
    let Some((own, listener)) = ledger.inodes(key) else { return true };
    // Otherwise it is the listener's.
    let inode = if own == 0 { listener } else { own };
    let owner = if inode == 0 { None } else { owners.of(inode) };
    if let Some(owner) = owner {
        ledger.owned(key, owner, own != 0);
    }
    owner.is_some()
}

/// A descriptor that is readable when one of those is that it watches.
fn poll() -> std::io::Result<OwnedFd> {
    // SAFETY: the call takes a number.
    let poll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if poll < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(poll) })
}

/// Adds a descriptor; one that cannot be watched is looked at with every sample all the same.
fn watch(poll: &OwnedFd, fd: i32) {
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
    // SAFETY: both descriptors are open, and `event` is valid for the call to read.
    unsafe { libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
}

impl Source for PcapSource {
    fn host(&self) -> &Host {
        self.tasks.host()
    }

    fn sample(
        &mut self,
        clock: &Clock,
        previous: Option<&Sample>,
        out: &mut Sample,
    ) -> Result<(), SourceError> {
        // Before the tasks: whoever moved something and is in no row has ended.
        self.take();
        if let Some(why) = self.failed.take() {
            return Err(SourceError::Kernel(why));
        }
        self.own();
        self.ledger.settle(ebpf::net::process_exists);
        self.tasks.sample(clock, previous, out)?;
        self.fill(out);
        if let Some(connections) = &mut self.connections {
            self.ledger.connections(out.uptime_ns, out.epoch_ns, &mut out.connections);
            connections.fill(self.owners.reader(), out);
        }
        self.sign(out);
        self.sample += 1;
        self.find_spaces(false);
        Ok(())
    }

    fn note(&self) -> Option<String> {
        let own = format!("traffic is counted by {NAME}: {SHORTFALL}");
        let notes = self.tasks.note().into_iter().chain([own]).chain(self.notes.iter().cloned());
        notes.reduce(|a, b| format!("{a}; {b}"))
    }

    fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wakeup.as_fd())
    }

    fn drain(&mut self) {
        self.take();
        self.tasks.drain();
    }

    fn late(&mut self, previous: &Sample, out: &mut Sample, closing: bool) -> bool {
        let more = self.tasks.late(previous, out, closing);
        self.fill(out);
        self.sign(out);
        more
    }
}

/// Whether what is asked about captures means something only for this rung.
pub fn is_asked(capturing: &Capturing) -> bool {
    !capturing.devices.is_empty() || capturing.promiscuous || capturing.filter.is_some()
}
