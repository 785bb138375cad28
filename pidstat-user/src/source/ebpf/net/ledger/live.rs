//! One socket, and one use of one, as the ledger keeps them: what they gained since the walk before, and the rows they make.

use super::{AF_UNIX, OwnerKey};
use crate::sample::{
    Missing, Traffic,
    socket::{
        Connection, ConnectionKey, Moved, SCTP, Stream, TCP, UDP, UDPLITE, UNIX_DGRAM, UNIX_SEQPACKET,
        UNIX_STREAM, Upper, User, address,
    },
};
use pidstat_common::net::{
    FlowCounters, PacketCounters, SOCK_OLDER, SockName, SockRecord, UPPER_MPTCP, UPPER_TLS,
};
use std::{
    hash::Hasher,
    net::SocketAddr,
    ops::{Deref, DerefMut},
};

/// Bytes of an Ethernet header.
const ETHERNET: u64 = 14;
/// A SYN's options are so much longer than those of the segments that follow.
const SYN_MORE: u64 = 8;

/// A socket that a walk lists.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) owner: Option<OwnerKey>,
    /// As last seen.
    pub(super) record: SockRecord,
    /// Since it was first seen.
    pub(super) moved: Moved,
    /// What had moved when an owner was looked for in vain.
    pub(super) searched: Option<Moved>,
}

impl Live {
    /// Of a socket that is seen for the first time. What an old one did before is not ours.
    pub(super) fn new(now: &SockRecord) -> Live {
        let mut record = SockRecord { cookie: now.cookie, name: now.name, ..SockRecord::default() };
        if u16::from(now.flags) & SOCK_OLDER != 0 {
            record.bytes_sent = now.bytes_sent;
            record.bytes_received = now.bytes_received;
            record.retransmits = now.retransmits;
        }
        Live { owner: None, record, moved: Moved::default(), searched: None }
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.record.name.protocol == TCP
    }

    /// Whether it listens, or did: it is connected to nobody and never was.
    pub(super) fn listens(&self) -> bool {
        self.is_tcp() && self.record.name.remote_port == 0 && self.moved == Moved::default()
    }

    /// Takes a later record over and says what the socket gained.
    pub(super) fn advance(&mut self, now: &SockRecord) -> Moved {
        let was = std::mem::replace(&mut self.record, *now);
        // A sampled number can be a byte behind what it was, while an end of file is being read.
        self.record.tx_bytes = now.tx_bytes.max(was.tx_bytes);
        self.record.rx_bytes = now.rx_bytes.max(was.rx_bytes);
        if !self.is_tcp() {
            return Moved::default();
        }
        // `tcp_disconnect()` zeroes these; then all they show is new.
        let grown = |now: u64, was: u64| now.checked_sub(was).unwrap_or(now);
        let tx_segments = u64::from(now.segs_out.wrapping_sub(was.segs_out));
        let rx_segments = u64::from(now.segs_in.wrapping_sub(was.segs_in));
        let header = ETHERNET + ip_header(&now.name) + u64::from(now.header_bytes);
        let syns = u64::from(now.syns.wrapping_sub(was.syns));
        let retransmits = grown(now.retransmits.into(), was.retransmits.into());
        let gain = Moved {
            tx_bytes: self.record.tx_bytes - was.tx_bytes,
            rx_bytes: self.record.rx_bytes - was.rx_bytes,
            tx_segments,
            rx_segments,
            tx_wire_bytes: grown(now.bytes_sent, was.bytes_sent) + tx_segments * header + syns * SYN_MORE,
            rx_wire_bytes: grown(now.bytes_received, was.bytes_received) + rx_segments * header,
            retransmits,
            ..Moved::default()
        };
        self.moved = self.moved.plus(gain);
        gain
    }

    /// Its row.
    pub(super) fn connection(&self, key: ConnectionKey, user: User, closed: bool) -> Connection {
        let record = &self.record;
        Connection {
            state: record.state,
            upper: match record.upper {
                0 => Upper::Nothing,
                UPPER_TLS => Upper::Tls,
                UPPER_MPTCP => Upper::Mptcp,
                _ => Upper::Other,
            },
            closed,
            moved: self.moved,
            stream: Ok(Stream {
                rtt_us: record.rtt_us,
                cwnd_segments: record.cwnd,
                unread_bytes: record.unread_bytes,
                unsent_bytes: record.unsent_bytes,
                unacked_bytes: record.unacked_bytes,
            }),
            ..named(key, user, &record.name)
        }
    }
}

/// A socket in the table that each walk goes through: small, so that what does not move costs little.
#[derive(Debug)]
pub(super) struct Listed {
    /// The last sample that saw it.
    pub(super) seen: u64,
    live: Box<Live>,
}

impl Listed {
    pub(super) fn new(now: &SockRecord) -> Listed {
        Listed { seen: 0, live: Box::new(Live::new(now)) }
    }
}

impl From<Listed> for Live {
    fn from(listed: Listed) -> Live {
        *listed.live
    }
}

impl Deref for Listed {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.live
    }
}

impl DerefMut for Listed {
    fn deref_mut(&mut self) -> &mut Live {
        &mut self.live
    }
}

/// Hashes cookies, which the kernel counts up: one multiplication spreads them, and nobody can choose them.
#[derive(Debug, Default)]
pub(super) struct CookieHasher(u64);

impl Hasher for CookieHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // The golden ratio; the table takes its place from the low bits and a tag from the high ones.
        let product = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}

/// A use of a socket.
#[derive(Debug)]
pub(super) struct LiveFlow {
    pub(super) owner: OwnerKey,
    pub(super) last: FlowCounters,
    /// The socket, as of the last walk that saw it.
    pub(super) name: SockName,
    /// The last sample in which it gained something.
    pub(super) changed: u64,
    /// Walks in a row that did not list its socket.
    pub(super) absent: u64,
}

impl LiveFlow {
    /// Takes later counters over and says what was gained.
    pub(super) fn advance(&mut self, now: &FlowCounters) -> Traffic {
        let was = std::mem::replace(&mut self.last, *now);
        Traffic {
            tx_bytes: now.tx_bytes.wrapping_sub(was.tx_bytes),
            rx_bytes: now.rx_bytes.wrapping_sub(was.rx_bytes),
            tx_packets: now.tx_messages.wrapping_sub(was.tx_messages),
            rx_packets: now.rx_messages.wrapping_sub(was.rx_messages),
            ..Traffic::default()
        }
    }

    /// Its row; `socket` is the socket as it stands now, if it does, and `wire` what went over the wire for this user of it,
    /// if that is counted.
    pub(super) fn connection(
        &self,
        key: ConnectionKey,
        user: User,
        socket: Option<&SockRecord>,
        wire: Option<PacketCounters>,
    ) -> Connection {
        let last = &self.last;
        let name = socket.map_or(&self.name, |socket| &socket.name);
        let datagrams = last.tx_messages + last.rx_messages > 0 && name.family != AF_UNIX;
        let header = ip_header(name) + transport_header(name.protocol);
        let estimate = |bytes, messages| if datagrams { bytes + messages * header } else { 0 };
        let wire = wire.unwrap_or(PacketCounters {
            tx_packets: last.tx_messages,
            rx_packets: last.rx_messages,
            tx_bytes: estimate(last.tx_bytes, last.tx_messages),
            rx_bytes: estimate(last.rx_bytes, last.rx_messages),
        });
        let ethernet = if name.family == AF_UNIX { 0 } else { ETHERNET };
        Connection {
            state: socket.map_or(0, |socket| socket.state),
            closed: socket.is_none(),
            moved: Moved {
                tx_bytes: last.tx_bytes,
                rx_bytes: last.rx_bytes,
                tx_messages: last.tx_messages,
                rx_messages: last.rx_messages,
                tx_datagrams: wire.tx_packets,
                rx_datagrams: wire.rx_packets,
                tx_wire_bytes: wire.tx_bytes + wire.tx_packets * ethernet,
                rx_wire_bytes: wire.rx_bytes + wire.rx_packets * ethernet,
                ..Moved::default()
            },
            ..named(key, user, name)
        }
    }
}

fn named(key: ConnectionKey, user: User, name: &SockName) -> Connection {
    let end = |words, port| SocketAddr::new(address(name.family, words), port);
    let remote = end(name.remote, name.remote_port);
    Connection {
        protocol: match i32::from(name.kind) {
            _ if name.family != AF_UNIX => name.protocol,
            libc::SOCK_DGRAM => UNIX_DGRAM,
            libc::SOCK_SEQPACKET => UNIX_SEQPACKET,
            _ => UNIX_STREAM,
        },
        local: end(name.local, name.local_port),
        remote: (remote.port() != 0 || !remote.ip().is_unspecified()).then_some(remote),
        netns: name.netns,
        opened_ns: if name.opened_ns == 0 { Err(Missing::NotMeasured) } else { Ok(name.opened_ns) },
        cgroup_id: name.cgroup_id,
        ..Connection::blank(key, user)
    }
}

/// Bytes of the header behind IP's: a raw socket's packets bring their own.
fn transport_header(protocol: u16) -> u64 {
    match protocol {
        UDP | UDPLITE => 8,
        // With that of one chunk of data.
        SCTP => 28,
        _ => 0,
    }
}

/// What went over the wire for one socket.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The first user of the socket; none while nobody used it.
    pub(super) owner: Option<OwnerKey>,
    /// As last seen.
    pub(super) last: PacketCounters,
    /// What its owner's sums have.
    credited: PacketCounters,
    /// The last sample in which something was seen.
    pub(super) changed: u64,
    /// Flows of the socket.
    pub(super) users: u64,
}

impl Wire {
    /// What the owner's sums do not have yet.
    pub(super) fn gain(&mut self) -> Traffic {
        let was = std::mem::replace(&mut self.credited, self.last);
        Traffic {
            tx_packets: self.last.tx_packets.wrapping_sub(was.tx_packets),
            rx_packets: self.last.rx_packets.wrapping_sub(was.rx_packets),
            ..Traffic::default()
        }
    }
}

/// Bytes of an IP header without options.
fn ip_header(name: &SockName) -> u64 {
    if address(name.family, name.remote).is_ipv6() { 40 } else { 20 }
}
