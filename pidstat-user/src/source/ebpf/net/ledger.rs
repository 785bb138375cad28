//! The books of the net family: adds what sockets and flows gained to the sums of their processes. No I/O.
//!
//! The kernel's counters are cumulative per socket; sockets come and go, so the sums are kept here. Adding differences
//! rather than whole counters makes three things right at once: a sum never goes back when a socket ends, the u32 segment
//! counters may wrap, and a socket that a walk lists twice counts once.

mod left;
mod live;
mod overflow;

use crate::sample::{
    Comm, TaskKey, Traffic,
    socket::{Connection, ConnectionKey, Moved, User},
};
use left::{Left, Listeners, unaccepted};
use live::{CookieHasher, Listed, LiveFlow, Wire};
use overflow::Overflow;
use pidstat_common::net::{
    FlowCounters, FlowKey, OWNER_KERNEL, Owner, PacketCounters, SOCK_INNER, SockRecord,
};
use std::{collections::HashMap, hash::BuildHasherDefault};

/// `start_boottime` in the unit of [`crate::sample::TaskKey::start_ticks`].
const NS_PER_TICK: u64 = 10_000_000;
/// AF_UNIX.
const AF_UNIX: u16 = 1;
/// Where no cookie could be had the kernel's address of the socket stands in, which is larger than any cookie.
const FIRST_ADDRESS: u64 = 1 << 63;
/// A flow ends when its socket is missing in so many walks in a row: one walk alone can skip a socket that lives.
const FLOW_ABSENT_WALKS: u64 = 2;
/// A TCP socket whose final record never came is dropped after so many samples; dropping one that lives would count it
/// twice when it comes back, keeping a dead one costs 64 bytes.
const TCP_ABSENT_SAMPLES: u64 = 64;
/// Connections that ended in one interval and keep a row of their own each; what the others moved is one row per process.
const CLOSED_MAX: usize = 1 << 17;
/// Samples for which an owner without sockets must stand still before its process is looked for.
const OWNER_IDLE_SAMPLES: u64 = 2;

/// The traffic of one process since the tool started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetOwner {
    /// Process id in the initial PID namespace; 0 stands for everything outside the reader's, and for the kernel.
    pub tgid: u32,
    /// Process id in the reader's PID namespace; 0 if it is outside.
    pub pid: u32,
    /// Start in clock ticks (1/100 s) since boot, as [`crate::sample::TaskKey`] has it; 1 for the kernel.
    pub start_ticks: u64,
    /// Name when it was first seen; `[outside]` for everything outside the reader's PID namespace, `[kernel]` for what
    /// threads of the kernel do (file systems and block devices over the network), `[unaccepted]` for what no process took.
    pub comm: Comm,
    /// Real uid.
    pub uid: u32,
    /// Cumulative: everything but UNIX sockets.
    pub traffic: Traffic,
    /// Cumulative: UNIX sockets, where they are counted.
    pub unix: Traffic,
}

/// A process for ever: tgid in the initial PID namespace and start in nanoseconds. All processes outside the reader's
/// namespace are one, and so are all threads of the kernel.
type OwnerKey = (u32, u64);

#[derive(Debug)]
struct Account {
    shown: NetOwner,
    /// Sockets and flows that may still bring something.
    open: u64,
    changed: u64,
}

impl NetOwner {
    fn key(&self) -> TaskKey {
        TaskKey { tgid: self.pid, tid: 0, start_ticks: self.start_ticks }
    }

    fn user(&self) -> User {
        User { comm: self.comm, uid: self.uid }
    }
}

/// Sums per process, and what is needed to go on with them.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Whether ended connections are kept until [`Ledger::connections`] takes them.
    pub keep_closed: bool,
    /// Whether packets on the wire are counted, which then stand for messages.
    on_wire: bool,
    /// Those packets by cookie.
    wires: HashMap<u64, Wire>,
    closed: Vec<Connection>,
    /// What processes moved through connections that ended and did not get a row.
    more: HashMap<ConnectionKey, (User, Moved)>,
    /// Uptime of the connections that were taken last, so far as a record tells.
    taken: u64,
    owners: HashMap<OwnerKey, Account>,
    sockets: HashMap<u64, Listed, BuildHasherDefault<CookieHasher>>,
    flows: HashMap<FlowKey, LiveFlow>,
    /// What ended without an owner.
    left: Left,
    /// What had no room.
    overflow: Overflow,
    /// Cookies of TCP sockets that are gone, since this was last asked.
    gone: Vec<u64>,
    sample: u64,
    /// Where the search for processes that are gone goes on.
    probe: usize,
}

impl Ledger {
    /// Empty books; `on_wire` says whether packets on the wire are counted.
    pub fn new(on_wire: bool) -> Ledger {
        Ledger { on_wire, ..Ledger::default() }
    }

    /// How many uses of sockets are followed.
    pub fn flow_count(&self) -> u64 {
        self.flows.len() as u64
    }

    /// How many TCP sockets are connected, or were.
    pub fn tcp_count(&self) -> u64 {
        self.sockets.values().filter(|live| live.is_tcp() && !live.listens()).count() as u64
    }

    /// Starts a sample: flows, then walks over the sockets and ring records, then [`Ledger::end`].
    pub fn begin(&mut self) {
        self.sample += 1;
    }

    /// Every process with traffic.
    pub fn owners(&self) -> impl Iterator<Item = &NetOwner> {
        self.owners.values().map(|account| &account.shown)
    }

    /// A flow as it stands now.
    pub fn flow(&mut self, key: &FlowKey, now: &FlowCounters) {
        if self.final_record(key, now) {
            return;
        }
        let on_wire = self.on_wire && now.name.family != AF_UNIX;
        let flow = self.flows.entry(*key).or_insert_with(|| {
            let owner = account(&mut self.owners, &now.owner, self.sample);
            if on_wire {
                let wire = self.wires.entry(key.cookie).or_default();
                wire.users += 1;
                wire.owner.get_or_insert(owner);
            }
            let last = FlowCounters { tx_bytes: 0, rx_bytes: 0, tx_messages: 0, rx_messages: 0, ..*now };
            LiveFlow { owner, last, name: now.name, changed: 0, absent: 0 }
        });
        let mut gain = flow.advance(now);
        if gain != Traffic::default() {
            flow.changed = self.sample;
        }
        if on_wire {
            (gain.tx_packets, gain.rx_packets) = (0, 0);
        }
        let book: Book = if now.name.family == AF_UNIX { unix } else { inet };
        credit(&mut self.owners, flow.owner, book, gain, self.sample);
    }

    /// A flow is out of the map.
    pub fn flow_ended(&mut self, key: &FlowKey) {
        if self.final_ended(key) {
            return;
        }
        let Some(flow) = self.flows.remove(key) else { return };
        if self.keep_closed
            && let Some((of, user)) = identity(&self.owners, key.cookie, flow.owner)
        {
            let row = flow.connection(of, user, None, self.wire(key.cookie, &flow));
            self.bury(row);
        }
        if let Some(wire) = self.wires.get_mut(&key.cookie) {
            wire.users = wire.users.saturating_sub(1);
        }
        close(&mut self.owners, flow.owner, self.sample);
    }

    /// Packets of a socket as they stand now; after the flows and walks of a sample.
    pub fn packets(&mut self, cookie: u64, now: &PacketCounters) {
        let wire = self.wires.entry(cookie).or_default();
        if wire.last != *now {
            (wire.last, wire.changed) = (*now, self.sample);
        }
        if let Some(owner) = wire.owner {
            credit(&mut self.owners, owner, inet, wire.gain(), self.sample);
        }
    }

    /// Ends the packets of sockets that are gone, and of those that nobody used for long; returns their cookies.
    pub fn packets_ended(&mut self) -> Vec<u64> {
        let (sample, mut ended) = (self.sample, Vec::new());
        let mut unowned = Traffic::default();
        self.wires.retain(|cookie, wire| {
            let keep = wire.users > 0 || wire.owner.is_none() && wire.changed + TCP_ABSENT_SAMPLES > sample;
            if !keep {
                ended.push(*cookie);
                if wire.owner.is_none() {
                    unowned.tx_packets += wire.last.tx_packets;
                    unowned.rx_packets += wire.last.rx_packets;
                }
            }
            keep
        });
        if unowned != Traffic::default() {
            self.credit_nobody(unowned);
        }
        ended
    }

    /// What went over the wire for one user of a socket: everything for the first, if it is counted.
    fn wire(&self, cookie: u64, flow: &LiveFlow) -> Option<PacketCounters> {
        if !self.on_wire || flow.last.name.family == AF_UNIX {
            return None;
        }
        let wire = self.wires.get(&cookie).filter(|wire| wire.owner == Some(flow.owner));
        Some(wire.map_or_else(PacketCounters::default, |wire| wire.last))
    }

    /// A socket as a walk saw it.
    pub fn socket(&mut self, now: &SockRecord) {
        let live = self.sockets.entry(now.cookie).or_insert_with(|| Listed::new(now));
        live.seen = self.sample;
        let gain = live.advance(now);
        let gain = match live.owner {
            Some(_) => gain,
            None if now.owner.tgid == 0 || !live.is_tcp() => return self.ownerless(now.cookie, &now.owner),
            None => {
                live.owner = Some(account(&mut self.owners, &now.owner, self.sample));
                live.moved
            }
        };
        if let Some(owner) = live.owner {
            credit(&mut self.owners, owner, inet, traffic(&gain), self.sample);
        }
    }

    /// Whether a socket without an owner moved something since the last time this was asked.
    pub fn owner_wanted(&mut self) -> bool {
        let sample = self.sample;
        let mut wanted = false;
        for live in self.sockets.values_mut() {
            let inner = u16::from(live.record.flags) & SOCK_INNER != 0;
            if live.owner.is_none() && live.is_tcp() && !inner && live.seen == sample {
                let moved = live.moved;
                wanted |= live.searched.replace(moved) != Some(moved);
            }
        }
        wanted
    }

    /// A socket that a walk saw, and that did not move since the walk before.
    pub fn still(&mut self, cookie: u64) {
        if let Some(live) = self.sockets.get_mut(&cookie) {
            live.seen = self.sample;
        }
    }

    /// The final record of a TCP socket. It may not be the first: a walk can have seen the socket or not.
    pub fn closed(&mut self, last: &SockRecord) {
        self.socket(last);
        let Some(live) = self.sockets.remove(&last.cookie) else { return };
        self.gone.push(last.cookie);
        let Some(owner) = live.owner else { return self.leave(last.cookie, live.into()) };
        if live.listens() {
            self.listened(live.record.name, owner);
        } else if self.keep_closed
            && let Some((key, user)) = identity(&self.owners, last.cookie, owner)
        {
            self.bury(live.connection(key, user, true));
        }
        close(&mut self.owners, owner, self.sample);
    }

    /// Keeps the row of a connection that ended. Beyond so many, one that nobody saw before is only added up.
    fn bury(&mut self, row: Connection) {
        if self.closed.len() < CLOSED_MAX || row.opened_ns.is_ok_and(|opened| opened <= self.taken) {
            self.closed.push(row);
            return;
        }
        let key = ConnectionKey { cookie: 0, ..row.key };
        let (_, sum) = self.more.entry(key).or_insert((row.user, Moved::default()));
        *sum = sum.plus(row.moved);
    }

    /// Hands over every connection with an owner or with traffic, sorted by key: those that live, and those that ended
    /// since the last call.
    pub fn connections(&mut self, uptime_ns: u64, out: &mut Vec<Connection>) {
        out.clear();
        out.append(&mut self.closed);
        self.taken = uptime_ns;
        let mut listeners: Option<Listeners> = None;
        for (cookie, live) in self.sockets.iter().filter(|(_, live)| live.is_tcp() && !live.listens()) {
            if live.owner.is_none() && live.moved == Moved::default() {
                continue;
            }
            let owner = live
                .owner
                .or_else(|| listeners.get_or_insert_with(|| self.listeners()).of(&live.record.name));
            let known = owner.and_then(|owner| identity(&self.owners, *cookie, owner));
            let (key, user) = known.unwrap_or_else(|| unaccepted(*cookie));
            out.push(live.connection(key, user, false));
        }
        for (key, flow) in &self.flows {
            if let Some((of, user)) = identity(&self.owners, key.cookie, flow.owner) {
                let socket = self.sockets.get(&key.cookie).map(|live| &live.record);
                out.push(flow.connection(of, user, socket, self.wire(key.cookie, flow)));
            }
        }
        self.more.retain(|key, _| self.owners.values().any(|account| account.shown.key() == key.owner));
        let more = |(key, (user, moved)): (&ConnectionKey, &(User, Moved))| Connection {
            moved: *moved,
            closed: true,
            ..Connection::blank(*key, *user)
        };
        out.extend(self.more.iter().map(more));
        self.overflow_rows(out);
        out.sort_unstable_by_key(|connection| connection.key);
    }

    /// Whether TCP sockets of the sample before are neither in this one's walks nor closed.
    pub fn missed_any(&self) -> bool {
        self.sockets.values().any(|live| live.seen + 1 == self.sample && live.is_tcp())
    }

    /// Cookies of the TCP sockets that went since this was last asked.
    pub fn take_gone(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.gone)
    }

    /// Ends the sample; returns the flows whose socket is gone, to be taken out of the map.
    pub fn end(&mut self, exists: impl Fn(u32) -> bool) -> Vec<FlowKey> {
        let sample = self.sample;
        let owners = &mut self.owners;
        let gone = &mut self.gone;
        self.sockets.retain(|cookie, live| {
            let keep = live.seen == sample || live.is_tcp() && live.seen + TCP_ABSENT_SAMPLES > sample;
            if let (false, Some(owner)) = (keep, live.owner) {
                close(owners, owner, sample);
            }
            if !keep && live.is_tcp() {
                gone.push(*cookie);
            }
            keep
        });
        let mut ended = self.overflow.finals();
        for (key, flow) in &mut self.flows {
            let there = if key.cookie < FIRST_ADDRESS {
                let listed = self.sockets.get(&key.cookie).filter(|live| live.seen == sample);
                // A socket may connect after its first use, and the row of one that is gone has its last name.
                listed.inspect(|live| flow.name = live.record.name).is_some()
            } else {
                flow.changed == sample || owners.get(&flow.owner).is_none_or(|a| exists(a.shown.pid))
            };
            flow.absent = if there { 0 } else { flow.absent + 1 };
            if flow.absent >= FLOW_ABSENT_WALKS {
                ended.push(*key);
            }
        }
        ended
    }

    /// Forgets owners that have no socket, stood still for two samples and whose process is gone.
    ///
    /// Few are probed in one sample, more the more there are, so that the cost is small and the number bounded.
    pub fn forget_gone(&mut self, exists: impl Fn(u32) -> bool) {
        let sample = self.sample;
        let mut idle: Vec<(OwnerKey, u32)> = self
            .owners
            .iter()
            .filter(|(_, a)| a.open == 0 && a.changed + OWNER_IDLE_SAMPLES <= sample && a.shown.pid != 0)
            .map(|(key, a)| (*key, a.shown.pid))
            .collect();
        if idle.is_empty() {
            return;
        }
        idle.sort_unstable();
        let many = idle.len().min(8.max(idle.len() / 4));
        self.probe %= idle.len();
        for (key, pid) in idle.iter().cycle().skip(self.probe).take(many) {
            if !exists(*pid) {
                self.owners.remove(key);
            }
        }
        self.probe += many;
    }
}

/// What a process' sums take of a gain.
fn traffic(moved: &Moved) -> Traffic {
    Traffic {
        tx_bytes: moved.tx_bytes,
        rx_bytes: moved.rx_bytes,
        tx_packets: moved.tx_packets(),
        rx_packets: moved.rx_packets(),
        ..Traffic::default()
    }
}

/// What a connection of an owner is called, and whose it is.
fn identity(
    owners: &HashMap<OwnerKey, Account>,
    cookie: u64,
    owner: OwnerKey,
) -> Option<(ConnectionKey, User)> {
    let shown = &owners.get(&owner)?.shown;
    Some((ConnectionKey { cookie, owner: shown.key() }, shown.user()))
}

/// Opens one more socket or flow of a process; makes its account with the first.
fn account(owners: &mut HashMap<OwnerKey, Account>, owner: &Owner, sample: u64) -> OwnerKey {
    if owner.flags & OWNER_KERNEL != 0 {
        return named(owners, (0, NS_PER_TICK), b"[kernel]", sample);
    }
    if owner.pid == 0 {
        return named(owners, (0, 0), b"[outside]", sample);
    }
    open(owners, (owner.tgid, owner.start_ns), (owner.pid, owner.uid), &owner.comm, sample)
}

/// The same for what has no process.
fn named(owners: &mut HashMap<OwnerKey, Account>, key: OwnerKey, name: &[u8], sample: u64) -> OwnerKey {
    open(owners, key, (0, 0), name, sample)
}

fn open(
    owners: &mut HashMap<OwnerKey, Account>,
    key: OwnerKey,
    (pid, uid): (u32, u32),
    name: &[u8],
    sample: u64,
) -> OwnerKey {
    let account = owners.entry(key).or_insert_with(|| Account {
        shown: NetOwner {
            tgid: key.0,
            pid,
            start_ticks: key.1 / NS_PER_TICK,
            comm: Comm::new(name),
            uid,
            traffic: Traffic::default(),
            unix: Traffic::default(),
        },
        open: 0,
        changed: sample,
    });
    account.open += 1;
    key
}

/// The sums of a process that a gain belongs in.
type Book = fn(&mut NetOwner) -> &mut Traffic;

fn unix(shown: &mut NetOwner) -> &mut Traffic {
    &mut shown.unix
}

fn inet(shown: &mut NetOwner) -> &mut Traffic {
    &mut shown.traffic
}

fn credit(owners: &mut HashMap<OwnerKey, Account>, owner: OwnerKey, book: Book, gain: Traffic, sample: u64) {
    if gain == Traffic::default() {
        return;
    }
    if let Some(account) = owners.get_mut(&owner) {
        let sum = book(&mut account.shown);
        sum.tx_bytes += gain.tx_bytes;
        sum.rx_bytes += gain.rx_bytes;
        sum.tx_packets += gain.tx_packets;
        sum.rx_packets += gain.rx_packets;
        account.changed = sample;
    }
}

/// Closes one socket or flow of a process.
fn close(owners: &mut HashMap<OwnerKey, Account>, owner: OwnerKey, sample: u64) {
    if let Some(account) = owners.get_mut(&owner) {
        account.open = account.open.saturating_sub(1);
        account.changed = sample;
    }
}

#[cfg(test)]
mod tests;
