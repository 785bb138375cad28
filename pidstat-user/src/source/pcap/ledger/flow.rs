//! One connection as packets show it, from one end.

use super::coverage::Coverage;
use crate::{
    sample::{Connection, Missing, Moved, socket::TCP},
    source::pcap::{diag::Found, frame::Packet, owners::Owner},
};
use std::net::SocketAddr;

/// TCP_TIME_WAIT and TCP_CLOSE: no process has such a socket.
const OVER: [u8; 2] = [6, 7];

/// A local end, and who it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Inode number of the network namespace.
    pub space: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// The end that is here.
    pub local: SocketAddr,
    /// The other one.
    pub remote: SocketAddr,
}

impl FlowKey {
    /// All connections of the protocol as one.
    pub(super) fn blurred(self) -> FlowKey {
        let nobody = SocketAddr::from(([0; 4], 0));
        FlowKey { local: nobody, remote: nobody, ..self }
    }

    /// Whether it can have a socket that is found by its ends.
    pub(super) fn has_socket(&self) -> bool {
        self.local.port() != 0
    }
}

/// Which end's packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Sent,
    Received,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Flow {
    /// What is in no row yet.
    pub(super) gain: Moved,
    /// The last sample before which a packet came.
    pub(super) touched: u64,
    /// When the packet that opened it came.
    pub(super) opened_epoch_ns: Option<i64>,
    pub(super) owner: Option<Owner>,
    /// Whether `owner` has its descriptor.
    sure: bool,
    /// Its socket as it was last seen, and whether it was there when it was last asked for.
    socket: Option<Found>,
    present: bool,
    /// Its inode and the listener's.
    inodes: (u64, u64),
    /// Those that were looked for among all processes in vain.
    searched: (u64, u64),
    stream: bool,
    /// Stands for the cookie while there is none.
    number: u64,
    /// The cookie that its rows have.
    cookie: Option<u64>,
    packets: u64,
    /// What was sent and received of a stream.
    seen: [Coverage; 2],
    /// The device on which each side's packets are counted, and the last sample it had one in: some frames pass several.
    devices: [(u32, u64); 2],
}

impl Flow {
    pub(super) fn new(number: u64, protocol: u8) -> Flow {
        Flow {
            gain: Moved::default(),
            touched: 0,
            opened_epoch_ns: None,
            owner: None,
            sure: false,
            socket: None,
            present: false,
            inodes: (0, 0),
            searched: (0, 0),
            stream: u16::from(protocol) == TCP,
            number,
            cookie: None,
            packets: 0,
            seen: Default::default(),
            devices: [(0, 0); 2],
        }
    }

    /// Adds a packet. Says whether its owner should be looked for.
    pub(super) fn add(&mut self, side: Side, packet: &Packet, sample: u64, epoch_ns: i64) -> bool {
        let device = &mut self.devices[usize::from(side == Side::Received)];
        if self.packets > 0 && device.0 != 0 && device.0 != packet.device && device.1 + 1 >= sample {
            return false;
        }
        *device = (packet.device, sample);
        self.touched = sample;
        self.packets += 1;
        let opens = packet.segment.is_some_and(|segment| segment.opens);
        if opens && self.opened_epoch_ns.is_none() {
            self.opened_epoch_ns = Some(epoch_ns);
        }
        let stream = self.stream;
        let new_bytes = match packet.segment {
            Some(segment) => {
                self.seen[usize::from(side == Side::Received)].take(segment, packet.payload_bytes)
            }
            None => packet.payload_bytes,
        };
        let gain = &mut self.gain;
        match side {
            Side::Sent => {
                gain.tx_bytes += new_bytes;
                gain.tx_wire_bytes += packet.wire_bytes;
                gain.retransmits += u64::from(new_bytes < packet.payload_bytes);
                *(if stream { &mut gain.tx_segments } else { &mut gain.tx_messages }) += 1;
                gain.tx_datagrams = gain.tx_messages;
            }
            Side::Received => {
                gain.rx_bytes += new_bytes;
                gain.rx_wire_bytes += packet.wire_bytes;
                *(if stream { &mut gain.rx_segments } else { &mut gain.rx_messages }) += 1;
                gain.rx_datagrams = gain.rx_messages;
            }
        }
        // At once, and ever less often while it is in vain.
        !self.sure && self.packets.is_power_of_two()
    }

    /// Takes over what was found out. A socket that is being closed has no inode any more, but its process may have it still.
    pub(super) fn met(&mut self, found: Option<Found>, listener: u64) {
        let over = |found: &Found| self.stream && OVER.contains(&found.state);
        self.present = found.as_ref().is_some_and(|found| !over(found));
        let inode = found.as_ref().map_or(0, |found| found.inode);
        self.inodes = (if inode != 0 { inode } else { self.inodes.0 }, listener);
        self.socket = found.or_else(|| self.socket.take());
    }

    pub(super) fn owned(&mut self, owner: Owner, sure: bool) {
        if !self.sure {
            (self.owner, self.sure) = (Some(owner), sure);
        }
    }

    pub(super) fn inodes(&self) -> (u64, u64) {
        self.inodes
    }

    /// Whether nobody has looked among all processes for whoever has it; from now on somebody has.
    pub(super) fn search(&mut self) -> bool {
        !self.sure && std::mem::replace(&mut self.searched, self.inodes) != self.inodes
    }

    pub(super) fn is_sure(&self) -> bool {
        self.sure
    }

    /// Whether its socket was there when it was last asked for.
    pub(super) fn is_open(&self) -> bool {
        self.present
    }

    /// What its row is called: the first cookie it had, since that of a request or of a dying socket is another one.
    pub(super) fn cookie(&mut self) -> u64 {
        match (self.cookie, &self.socket) {
            (Some(cookie), _) => cookie,
            (None, Some(socket)) if self.sure => *self.cookie.insert(socket.cookie),
            _ => self.number,
        }
    }

    /// Fills in what a row has besides what was moved.
    pub(super) fn describe(&self, key: &FlowKey, row: &mut Connection) {
        let socket = self.socket.as_ref();
        row.protocol = key.protocol.into();
        row.netns = key.space;
        // A socket that is connected to nobody has one row, whoever it talks to.
        let unconnected = socket.filter(|socket| !self.stream && socket.remote.is_none());
        row.local = unconnected.map_or(key.local, |socket| socket.local);
        row.remote = if unconnected.is_some() || !key.has_socket() { None } else { Some(key.remote) };
        row.closed = socket.is_some() && !self.present;
        row.state = socket.map_or(0, |socket| socket.state);
        row.cgroup_id = socket.map_or(0, |socket| socket.cgroup_id);
        let unfound = if self.stream { Missing::NotInSource } else { Missing::DoesNotApply };
        row.stream = socket.map_or(Err(unfound), |socket| socket.stream);
    }
}
