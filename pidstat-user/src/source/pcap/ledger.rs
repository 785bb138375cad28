//! The books of captured packets: what every connection and every process sent and received. No I/O.
//!
//! What a packet adds waits in its connection until a sample is taken, and goes to whoever is known as the owner then. So
//! a name that is found late is found in time, and what was shown for one owner never moves to another.

mod coverage;
mod flow;

use super::{diag::Found, frame::Packet, owners::Owner};
use crate::sample::{
    Comm, Connection, Missing, Moved, TaskKey, Traffic,
    socket::{ConnectionKey, TCP, UDP, User},
};
pub use flow::FlowKey;
use flow::{Flow, Side};
use std::collections::HashMap;

/// Connections that are told apart; packets of others are one row without an owner for each protocol.
const FLOWS_MAX: usize = 1 << 17;
/// Where no socket has a cookie, numbers from here on stand in; cookies are smaller.
const FIRST_NUMBER: u64 = 1 << 63;
/// Samples without a packet after which what has ended, or never had a socket, is forgotten.
const ENDED_IDLE: u64 = 2;
/// The same for what still has one: then its socket is asked for again.
const SOCKET_IDLE: u64 = 64;
/// Samples without a packet after which a process that is gone is forgotten.
const OWNER_IDLE: u64 = 128;
/// How long it is remembered who had a connection that is gone, or a port.
const REMEMBERED_NS: i64 = 60_000_000_000;
/// What is remembered at most.
const MEMORY_MAX: usize = 1 << 16;
/// Start of those who have no process, which tells them apart; 0 is `[outside]`, 1 the kernel.
const UNKNOWN: [(u64, &[u8]); 3] = [(2, b"unknown TCP"), (3, b"unknown UDP"), (4, b"unknown IP")];

/// The traffic of one process, or of those without one.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Who that is.
    pub user: User,
    /// What it sent and received since it was first seen.
    pub traffic: Traffic,
    changed: u64,
}

/// A connection as it is shown.
#[derive(Debug)]
struct Row {
    connection: Connection,
    opened_epoch_ns: Option<i64>,
    seen: u64,
}

/// Everything that was captured.
#[derive(Debug, Default)]
pub struct Ledger {
    flows: HashMap<FlowKey, Flow>,
    rows: HashMap<ConnectionKey, Row>,
    accounts: HashMap<TaskKey, Account>,
    /// Who had a connection that is forgotten.
    gone: HashMap<FlowKey, (Owner, i64)>,
    /// Who last had a port: network namespace, protocol, port.
    ports: HashMap<(u32, u8, u16), (Owner, i64)>,
    /// The last number that stands for a cookie.
    number: u64,
    sample: u64,
    epoch_ns: i64,
}

impl Ledger {
    /// Adds a packet that a local end sent or received. Says whether its owner should be looked for now.
    pub fn add(&mut self, key: FlowKey, sent: bool, packet: &Packet, epoch_ns: i64) -> bool {
        self.epoch_ns = self.epoch_ns.max(epoch_ns);
        let key =
            if self.flows.len() < FLOWS_MAX || self.flows.contains_key(&key) { key } else { key.blurred() };
        let sample = self.sample;
        let number = &mut self.number;
        let flow = self.flows.entry(key).or_insert_with(|| {
            *number += 1;
            Flow::new(FIRST_NUMBER | *number, key.protocol)
        });
        let side = if sent { Side::Sent } else { Side::Received };
        flow.add(side, packet, sample, epoch_ns) && key.has_socket()
    }

    /// Takes over what was found out about a connection's socket, and the inode of the one that listens for it, if it waits
    /// to be accepted.
    pub fn met(&mut self, key: &FlowKey, found: Option<Found>, listener: u64) {
        if let Some(flow) = self.flows.get_mut(key) {
            flow.met(found, listener);
        }
    }

    /// Takes over whose it is; `sure` if that is not only a guess.
    pub fn owned(&mut self, key: &FlowKey, owner: Owner, sure: bool) {
        let port = (key.space, key.protocol, key.local.port());
        if self.ports.len() < MEMORY_MAX || self.ports.contains_key(&port) {
            self.ports.insert(port, (owner, self.epoch_ns));
        }
        if let Some(flow) = self.flows.get_mut(key) {
            flow.owned(owner, sure);
        }
    }

    /// The inode of its socket and of the one that listens for it, 0 where there is none, while its owner is not known for
    /// sure.
    pub fn inodes(&self, key: &FlowKey) -> Option<(u64, u64)> {
        self.flows.get(key).filter(|flow| !flow.is_sure()).map(Flow::inodes)
    }

    /// Who had it, or had its port, when it cannot be found out any more.
    pub fn remembered(&self, key: &FlowKey) -> Option<Owner> {
        let port = (key.space, key.protocol, key.local.port());
        let fresh = |known: &&(Owner, i64)| known.1 + REMEMBERED_NS > self.epoch_ns;
        self.gone.get(key).filter(fresh).or_else(|| self.ports.get(&port).filter(fresh)).map(|known| known.0)
    }

    /// Those whose socket must be asked for before a sample: they moved, or have not for long.
    pub fn due(&self) -> Vec<FlowKey> {
        let due = |flow: &Flow| {
            flow.touched == self.sample
                || flow.is_open() && (self.sample - flow.touched).is_multiple_of(SOCKET_IDLE)
        };
        let flows = self.flows.iter().filter(|(key, flow)| key.has_socket() && due(flow));
        flows.map(|(key, _)| *key).collect()
    }

    /// Whether its owner is worth a look at all processes: sockets of the kernel are nobody's, however often one looks.
    pub fn search(&mut self, key: &FlowKey) -> bool {
        self.flows.get_mut(key).is_some_and(Flow::search)
    }

    /// Ends a sample: what waits goes to the rows and to their owners, and what is over is forgotten.
    pub fn settle(&mut self, exists: impl Fn(u32) -> bool) {
        let sample = self.sample;
        for (key, flow) in &mut self.flows {
            let (owner, user) = flow.owner.unwrap_or_else(|| unknown(key.protocol));
            let gain = std::mem::take(&mut flow.gain);
            // What is over and stood still was shown before.
            if !flow.is_open() && flow.touched != sample {
                continue;
            }
            let of = ConnectionKey { cookie: flow.cookie(), owner };
            let row = self.rows.entry(of).or_insert_with(|| Row {
                connection: Connection::blank(of, user),
                opened_epoch_ns: flow.opened_epoch_ns,
                seen: 0,
            });
            row.seen = sample;
            flow.describe(key, &mut row.connection);
            if gain == Moved::default() {
                continue;
            }
            row.connection.moved = row.connection.moved.plus(gain);
            let blank = Account { user, traffic: Traffic::default(), changed: sample };
            let account = self.accounts.entry(owner).or_insert(blank);
            account.changed = sample;
            account.traffic.tx_bytes += gain.tx_bytes;
            account.traffic.rx_bytes += gain.rx_bytes;
            account.traffic.tx_packets += gain.tx_packets();
            account.traffic.rx_packets += gain.rx_packets();
        }
        self.rows.retain(|_, row| row.seen == sample);
        self.forget(exists);
        self.sample += 1;
    }

    fn forget(&mut self, exists: impl Fn(u32) -> bool) {
        let (sample, now) = (self.sample, self.epoch_ns);
        let gone = &mut self.gone;
        self.flows.retain(|key, flow| {
            let idle = sample - flow.touched;
            // A server of datagrams has as many peers as there are.
            let keep =
                idle < ENDED_IDLE || flow.is_open() && (u16::from(key.protocol) == TCP || idle < SOCKET_IDLE);
            if let (false, Some(owner)) = (keep, flow.owner)
                && gone.len() < MEMORY_MAX
            {
                gone.insert(*key, (owner, now));
            }
            keep
        });
        gone.retain(|_, known| known.1 + REMEMBERED_NS > now);
        self.ports.retain(|_, known| known.1 + REMEMBERED_NS > now);
        let idle = |account: &Account| account.changed + OWNER_IDLE < sample;
        self.accounts.retain(|key, account| key.tgid == 0 || !idle(account) || exists(key.tgid));
    }

    /// Every process with traffic, and those without a process.
    pub fn accounts(&self) -> impl Iterator<Item = (&TaskKey, &Account)> {
        self.accounts.iter()
    }

    /// Every connection as of the last [`Ledger::settle`], sorted.
    pub fn connections(&self, uptime_ns: u64, epoch_ns: i64, out: &mut Vec<Connection>) {
        out.clear();
        out.extend(self.rows.values().map(|row| Connection {
            opened_ns: row.opened_epoch_ns.ok_or(Missing::NotMeasured).map(|opened| {
                uptime_ns.saturating_sub(u64::try_from(epoch_ns.saturating_sub(opened)).unwrap_or(0))
            }),
            ..row.connection.clone()
        }));
        out.sort_unstable_by_key(|connection| connection.key);
    }
}

/// What is nobody's, by protocol.
fn unknown(protocol: u8) -> Owner {
    let at = match u16::from(protocol) {
        TCP => 0,
        UDP => 1,
        _ => 2,
    };
    let (start_ticks, name) = UNKNOWN[at];
    (TaskKey { tgid: 0, tid: 0, start_ticks }, User { comm: Comm::new(name), uid: 0 })
}

#[cfg(test)]
mod tests;
