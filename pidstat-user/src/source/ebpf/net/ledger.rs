//! The books of the net family: adds what sockets and flows gained to the sums of their processes. No I/O.
//!
//! The kernel's counters are cumulative per socket; sockets come and go, so the sums are kept here. Adding differences
//! rather than whole counters makes three things right at once: a sum never goes back when a socket ends, the u32 segment
//! counters may wrap, and a socket that a walk lists twice counts once.

use crate::sample::{Comm, Traffic};
use pidstat_common::net::{FlowCounters, FlowKey, Owner, SockRecord};
use std::collections::HashMap;

/// `start_boottime` in the unit of [`crate::sample::TaskKey::start_ticks`].
const NS_PER_TICK: u64 = 10_000_000;
/// IPPROTO_TCP.
const TCP: u16 = 6;
const AF_UNIX: u16 = 1;
/// Where no cookie could be had the kernel's address of the socket stands in, which is larger than any cookie.
const FIRST_ADDRESS: u64 = 1 << 63;
/// A flow ends when its socket is missing in so many walks in a row: one walk alone can skip a socket that lives.
const FLOW_ABSENT_WALKS: u64 = 2;
/// A TCP socket whose final record never came is dropped after so many samples; dropping one that lives would count it
/// twice when it comes back, keeping a dead one costs 64 bytes.
const TCP_ABSENT_SAMPLES: u64 = 64;
/// Samples for which an owner without sockets must stand still before its process is looked for.
const OWNER_IDLE_SAMPLES: u64 = 2;

/// The traffic of one process since the tool started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetOwner {
    /// Process id in the initial PID namespace; 0 stands for everything outside the reader's.
    pub tgid: u32,
    /// Process id in the reader's PID namespace; 0 if it is outside.
    pub pid: u32,
    /// Start in clock ticks (1/100 s) since boot, as [`crate::sample::TaskKey`] has it.
    pub start_ticks: u64,
    /// Name when it was first seen; `[outside]` for everything outside the reader's PID namespace.
    pub comm: Comm,
    /// Real uid.
    pub uid: u32,
    /// Cumulative: everything but UNIX sockets.
    pub traffic: Traffic,
    /// Cumulative: UNIX sockets, where they are counted.
    pub unix: Traffic,
}

/// A process for ever: tgid in the initial PID namespace and start in nanoseconds. All processes outside the reader's
/// namespace are one.
type OwnerKey = (u32, u64);

#[derive(Debug)]
struct Account {
    shown: NetOwner,
    /// Sockets and flows that may still bring something.
    open: u64,
    changed: u64,
}

#[derive(Debug)]
struct Live {
    owner: Option<OwnerKey>,
    tx_bytes: u64,
    rx_bytes: u64,
    segs_in: u32,
    segs_out: u32,
    tcp: bool,
    /// An upper layer holds it, so that no descriptor leads to it.
    inner: bool,
    seen: u64,
    /// What had moved when an owner was looked for in vain.
    searched: Option<[u64; 4]>,
    /// What has moved by the last look.
    pending: [u64; 4],
}

#[derive(Debug)]
struct LiveFlow {
    owner: OwnerKey,
    last: Traffic,
    unix: bool,
    changed: u64,
    absent: u64,
}

/// Sums per process, and what is needed to go on with them.
#[derive(Debug, Default)]
pub struct Ledger {
    owners: HashMap<OwnerKey, Account>,
    sockets: HashMap<u64, Live>,
    flows: HashMap<FlowKey, LiveFlow>,
    unowned: Traffic,
    /// Cookies of TCP sockets that are gone, since this was last asked.
    closed: Vec<u64>,
    sample: u64,
    /// Where the search for processes that are gone goes on.
    probe: usize,
}

impl Ledger {
    /// Starts a sample: flows, then walks over the sockets and ring records, then [`Ledger::end`].
    pub fn begin(&mut self) {
        self.sample += 1;
    }

    /// Every process with traffic.
    pub fn owners(&self) -> impl Iterator<Item = &NetOwner> {
        self.owners.values().map(|account| &account.shown)
    }

    /// Traffic of connections that never had an owner.
    pub fn unowned(&self) -> Traffic {
        self.unowned
    }

    /// A flow as it stands now.
    pub fn flow(&mut self, key: &FlowKey, now: &FlowCounters) {
        let flow = self.flows.entry(*key).or_insert_with(|| {
            let owner = account(&mut self.owners, &now.owner, self.sample).0;
            LiveFlow { owner, last: Traffic::default(), unix: now.family == AF_UNIX, changed: 0, absent: 0 }
        });
        let now = Traffic {
            tx_bytes: now.tx_bytes,
            rx_bytes: now.rx_bytes,
            tx_packets: now.tx_messages,
            rx_packets: now.rx_messages,
        };
        let gain = Traffic {
            tx_bytes: now.tx_bytes.wrapping_sub(flow.last.tx_bytes),
            rx_bytes: now.rx_bytes.wrapping_sub(flow.last.rx_bytes),
            tx_packets: now.tx_packets.wrapping_sub(flow.last.tx_packets),
            rx_packets: now.rx_packets.wrapping_sub(flow.last.rx_packets),
        };
        if gain != Traffic::default() {
            flow.changed = self.sample;
        }
        flow.last = now;
        let book: Book = if flow.unix { unix } else { inet };
        credit(&mut self.owners, flow.owner, book, gain, self.sample);
    }

    /// A flow is out of the map.
    pub fn flow_ended(&mut self, key: &FlowKey) {
        if let Some(flow) = self.flows.remove(key) {
            close(&mut self.owners, flow.owner, self.sample);
        }
    }

    /// A socket as a walk saw it.
    pub fn socket(&mut self, now: &SockRecord) {
        let live = self.sockets.entry(now.cookie).or_insert_with(|| Live {
            owner: None,
            tx_bytes: 0,
            rx_bytes: 0,
            segs_in: 0,
            segs_out: 0,
            tcp: now.protocol == TCP,
            inner: false,
            seen: 0,
            searched: None,
            pending: [0; 4],
        });
        live.seen = self.sample;
        live.inner = now.upper_layer != 0;
        if live.tcp {
            advance(&mut self.owners, live, now, self.sample);
        }
        live.pending = [now.tx_bytes, now.rx_bytes, now.segs_out.into(), now.segs_in.into()];
    }

    /// Whether a socket without an owner moved something since the last time this was asked.
    pub fn owner_wanted(&mut self) -> bool {
        let sample = self.sample;
        let mut wanted = false;
        for live in self.sockets.values_mut() {
            if live.owner.is_none() && live.tcp && !live.inner && live.seen == sample {
                wanted |= live.searched.replace(live.pending) != Some(live.pending);
            }
        }
        wanted
    }

    /// The final record of a TCP socket. It may not be the first: a walk can have seen the socket or not.
    pub fn closed(&mut self, last: &SockRecord) {
        self.socket(last);
        let Some(live) = self.sockets.remove(&last.cookie) else { return };
        self.closed.push(last.cookie);
        match live.owner {
            Some(owner) => close(&mut self.owners, owner, self.sample),
            None => {
                self.unowned.tx_bytes += last.tx_bytes;
                self.unowned.rx_bytes += last.rx_bytes;
                self.unowned.tx_packets += u64::from(last.segs_out);
                self.unowned.rx_packets += u64::from(last.segs_in);
            }
        }
    }

    /// Whether TCP sockets of the sample before are neither in this one's walks nor closed.
    pub fn missed_any(&self) -> bool {
        self.sockets.values().any(|live| live.tcp && live.seen + 1 == self.sample)
    }

    /// Cookies of the TCP sockets that went since this was last asked.
    pub fn take_closed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.closed)
    }

    /// Ends the sample; returns the flows whose socket is gone, to be taken out of the map.
    pub fn end(&mut self, exists: impl Fn(u32) -> bool) -> Vec<FlowKey> {
        let sample = self.sample;
        let owners = &mut self.owners;
        let closed = &mut self.closed;
        self.sockets.retain(|cookie, live| {
            let keep = live.seen == sample || live.tcp && live.seen + TCP_ABSENT_SAMPLES > sample;
            if let (false, Some(owner)) = (keep, live.owner) {
                close(owners, owner, sample);
            }
            if !keep && live.tcp {
                closed.push(*cookie);
            }
            keep
        });
        let mut ended = Vec::new();
        for (key, flow) in &mut self.flows {
            let there = if key.cookie < FIRST_ADDRESS {
                self.sockets.get(&key.cookie).is_some_and(|live| live.seen == sample)
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

/// Adds what a TCP socket gained, once it is known to whom.
fn advance(owners: &mut HashMap<OwnerKey, Account>, live: &mut Live, now: &SockRecord, sample: u64) {
    let owner = match live.owner {
        Some(owner) => owner,
        None if now.owner.tgid == 0 => return,
        None => {
            let (key, _) = account(owners, &now.owner, sample);
            live.owner = Some(key);
            key
        }
    };
    let gain = Traffic {
        // A sampled number can be a byte behind what it was, while an end of file is being read.
        tx_bytes: now.tx_bytes.saturating_sub(live.tx_bytes),
        rx_bytes: now.rx_bytes.saturating_sub(live.rx_bytes),
        tx_packets: u64::from(now.segs_out.wrapping_sub(live.segs_out)),
        rx_packets: u64::from(now.segs_in.wrapping_sub(live.segs_in)),
    };
    live.tx_bytes = now.tx_bytes.max(live.tx_bytes);
    live.rx_bytes = now.rx_bytes.max(live.rx_bytes);
    live.segs_in = now.segs_in;
    live.segs_out = now.segs_out;
    credit(owners, owner, inet, gain, sample);
}

/// The sums of a process that a gain belongs in.
type Book = fn(&mut NetOwner) -> &mut Traffic;

fn unix(shown: &mut NetOwner) -> &mut Traffic {
    &mut shown.unix
}

fn inet(shown: &mut NetOwner) -> &mut Traffic {
    &mut shown.traffic
}

/// Opens one more socket or flow of a process; makes its account with the first.
fn account<'a>(
    owners: &'a mut HashMap<OwnerKey, Account>,
    owner: &Owner,
    sample: u64,
) -> (OwnerKey, &'a mut Account) {
    let outside = owner.pid == 0;
    let key = if outside { (0, 0) } else { (owner.tgid, owner.start_ns) };
    let account = owners.entry(key).or_insert_with(|| Account {
        shown: NetOwner {
            tgid: key.0,
            pid: owner.pid,
            start_ticks: key.1 / NS_PER_TICK,
            comm: Comm::new(if outside { b"[outside]" } else { &owner.comm }),
            uid: if outside { 0 } else { owner.uid },
            traffic: Traffic::default(),
            unix: Traffic::default(),
        },
        open: 0,
        changed: sample,
    });
    account.open += 1;
    (key, account)
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
