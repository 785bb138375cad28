//! One connection at one instant: a socket, and one of the processes that use it.

use super::{Cgroup, Comm, Missing, Reading, TaskKey};
use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

/// What a connection is called for its whole life: never an address or a descriptor, which are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    /// Socket cookie: unique until reboot, as `ss -e` and SO_COOKIE show it. 0 stands for the connections of a process
    /// that are not told apart because too many ended in one interval.
    pub cookie: u64,
    /// The process that uses it. A socket that several processes use is several connections with one cookie.
    pub owner: TaskKey,
}

/// The process at this end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Name when it was first seen; `[outside]`, `[kernel]` and `[unaccepted]` stand for what has no process.
    pub comm: Comm,
    /// Real user id.
    pub uid: u32,
}

/// What was moved, cumulative since the tool saw the connection, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes the kernel accepted from the application.
    pub tx_bytes: u64,
    /// Bytes the application took.
    pub rx_bytes: u64,
    /// Messages sent, empty ones included; 0 for streams.
    pub tx_messages: u64,
    /// Messages received, empty ones included; 0 for streams.
    pub rx_messages: u64,
    /// Packets sent that are no TCP segments: messages, or what went over the wire at the first user of the socket, where
    /// that is counted.
    pub tx_datagrams: u64,
    /// Packets received that are no TCP segments, read or not where they are counted on the wire.
    pub rx_datagrams: u64,
    /// TCP segments sent, at the first user of the socket.
    pub tx_segments: u64,
    /// TCP segments received, at the first user of the socket.
    pub rx_segments: u64,
    /// Bytes sent with all headers down to Ethernet's, retransmissions included, at the first user of the socket.
    pub tx_wire_bytes: u64,
    /// Bytes received with all headers; without SACK blocks and without data that came twice.
    pub rx_wire_bytes: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// In a sum: bytes sent through UNIX sockets, which are in none of the others. 0 for a connection.
    pub tx_unix_bytes: u64,
    /// In a sum: bytes received through UNIX sockets.
    pub rx_unix_bytes: u64,
}

impl Moved {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Moved) -> Moved {
        self.with(other, |a, b| Some(a.saturating_add(b))).unwrap_or_default()
    }

    /// What is in this one and not in the earlier one; nothing if any counter fell.
    pub fn since(self, earlier: Moved) -> Option<Moved> {
        self.with(earlier, u64::checked_sub)
    }

    /// What a sum over network and UNIX sockets has of this, which a UNIX socket moved.
    #[must_use]
    pub fn of_unix(self) -> Moved {
        Moved { tx_unix_bytes: self.tx_bytes, rx_unix_bytes: self.rx_bytes, ..Moved::default() }
    }

    /// Packets sent: segments of streams, datagrams of everything else.
    pub fn tx_packets(&self) -> u64 {
        self.tx_segments.saturating_add(self.tx_datagrams)
    }

    /// Packets received.
    pub fn rx_packets(&self) -> u64 {
        self.rx_segments.saturating_add(self.rx_datagrams)
    }

    fn with(self, other: Moved, join: impl Fn(u64, u64) -> Option<u64>) -> Option<Moved> {
        Some(Moved {
            tx_bytes: join(self.tx_bytes, other.tx_bytes)?,
            rx_bytes: join(self.rx_bytes, other.rx_bytes)?,
            tx_messages: join(self.tx_messages, other.tx_messages)?,
            rx_messages: join(self.rx_messages, other.rx_messages)?,
            tx_datagrams: join(self.tx_datagrams, other.tx_datagrams)?,
            rx_datagrams: join(self.rx_datagrams, other.rx_datagrams)?,
            tx_segments: join(self.tx_segments, other.tx_segments)?,
            rx_segments: join(self.rx_segments, other.rx_segments)?,
            tx_wire_bytes: join(self.tx_wire_bytes, other.tx_wire_bytes)?,
            rx_wire_bytes: join(self.rx_wire_bytes, other.rx_wire_bytes)?,
            retransmits: join(self.retransmits, other.retransmits)?,
            tx_unix_bytes: join(self.tx_unix_bytes, other.tx_unix_bytes)?,
            rx_unix_bytes: join(self.rx_unix_bytes, other.rx_unix_bytes)?,
        })
    }
}

/// How a TCP socket stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Smoothed round trip time in microseconds; 0 before the first measurement.
    pub rtt_us: u32,
    /// Congestion window in segments.
    pub cwnd_segments: u32,
    /// Bytes received and not read.
    pub unread_bytes: u32,
    /// Bytes accepted from the application and not sent once.
    pub unsent_bytes: u32,
    /// Bytes sent and not acknowledged.
    pub unacked_bytes: u32,
}

/// What lies between a TCP socket and its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upper {
    /// Nothing that changes bytes.
    #[default]
    Nothing,
    /// The kernel's TLS.
    Tls,
    /// MPTCP, of which it is a subflow.
    Mptcp,
    /// Another layer.
    Other,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Identity.
    pub key: ConnectionKey,
    /// Whose it is.
    pub user: User,
    /// IP protocol number, or one of the numbers beyond them: [`UNIX_STREAM`] and so on.
    pub protocol: u16,
    /// What lies between a TCP socket and its user.
    pub upper: Upper,
    /// Local end; IPv4 through an IPv6 socket is shown as IPv4. The port is 0 if it never had one.
    pub local: SocketAddr,
    /// Remote end; none while it is connected to nobody.
    pub remote: Option<SocketAddr>,
    /// State as include/net/tcp_states.h numbers it; UDP uses ESTABLISHED and CLOSE for connected and not.
    pub state: u8,
    /// Whether it ended before this instant.
    pub closed: bool,
    /// Inode number of its network namespace.
    pub netns: u32,
    /// When it began (CLOCK_BOOTTIME).
    ///
    /// Missing (`NotMeasured`) if it is older than the tool.
    pub opened_ns: Reading<u64>,
    /// What it moved.
    pub moved: Moved,
    /// How the stream stands.
    ///
    /// Missing (`DoesNotApply`) for what is no TCP, and at the other users of a shared socket.
    pub stream: Reading<Stream>,
    /// Id of the socket's group in the hierarchy of cgroup v2: the one its process was in when it made the socket; 0 if
    /// not known.
    pub cgroup_id: u64,
    /// The group of `cgroup_id`.
    pub cgroup: Reading<Rc<Cgroup>>,
    /// Of a UNIX socket: the path or abstract name (`@` for its first byte) that it is bound to, or behind `->` the one that
    /// its peer is; none if it has neither, or was gone before anybody looked.
    pub unix_name: Option<Rc<str>>,
}

/// IPPROTO_TCP.
pub const TCP: u16 = 6;
/// IPPROTO_UDP.
pub const UDP: u16 = 17;
/// IPPROTO_SCTP.
pub const SCTP: u16 = 132;
/// IPPROTO_UDPLITE.
pub const UDPLITE: u16 = 136;
/// IPPROTO_MPTCP.
pub const MPTCP: u16 = 262;
/// No IP protocol: a UNIX socket that is a stream.
pub const UNIX_STREAM: u16 = 0xff01;
/// A UNIX socket of datagrams.
pub const UNIX_DGRAM: u16 = 0xff02;
/// A UNIX socket of packets in sequence.
pub const UNIX_SEQPACKET: u16 = 0xff05;

impl Connection {
    /// Whether it is a UNIX socket.
    pub fn is_unix(&self) -> bool {
        matches!(self.protocol, UNIX_STREAM | UNIX_DGRAM | UNIX_SEQPACKET)
    }

    /// pypidstat's name for it, `src_ip:src_port-dst_ip:dst_port` as seen from here; IPv6 addresses stand in brackets, and
    /// `*` stands for nobody. A UNIX socket is called by its cookie, `unix:12`.
    pub fn conn_key(&self) -> String {
        if self.is_unix() {
            return format!("unix:{}", self.key.cookie);
        }
        match self.remote {
            Some(remote) => format!("{}-{remote}", self.local),
            None => format!("{}-*", self.local),
        }
    }

    /// The same for people, with the name of a UNIX socket behind it.
    pub fn label(&self) -> String {
        match &self.unix_name {
            Some(name) => format!("{} {name}", self.conn_key()),
            None => self.conn_key(),
        }
    }

    /// The protocol in letters.
    pub fn protocol_name(&self) -> &'static str {
        match self.protocol {
            TCP if self.upper == Upper::Tls => "ktls",
            TCP if self.upper == Upper::Mptcp => "subflow",
            TCP => "tcp",
            UDP => "udp",
            1 => "icmp",
            58 => "icmp6",
            SCTP => "sctp",
            UDPLITE => "udplite",
            253..=255 => "raw",
            MPTCP => "mptcp",
            UNIX_STREAM => "unix",
            UNIX_DGRAM => "unix-dgram",
            UNIX_SEQPACKET => "unix-seqpacket",
            _ => "other",
        }
    }

    /// The state in ss's letters.
    pub fn state_name(&self) -> &'static str {
        if self.closed {
            return "CLOSED";
        }
        if !matches!(self.protocol, TCP | MPTCP) && !self.is_unix() {
            return if self.remote.is_some() { "ESTAB" } else { "UNCONN" };
        }
        match self.state {
            1 => "ESTAB",
            2 => "SYN-SENT",
            3 => "SYN-RECV",
            4 => "FIN-WAIT-1",
            5 => "FIN-WAIT-2",
            6 => "TIME-WAIT",
            7 => "UNCONN",
            8 => "CLOSE-WAIT",
            9 => "LAST-ACK",
            10 => "LISTEN",
            11 => "CLOSING",
            _ => "-",
        }
    }

    /// How long it has lived at `uptime_ns`.
    pub fn age_ns(&self, uptime_ns: u64) -> Reading<u64> {
        self.opened_ns.map(|opened| uptime_ns.saturating_sub(opened))
    }
}

/// An address as the kernel keeps it, v4-mapped ones as IPv4.
pub fn address(family: u16, words: [u32; 4]) -> IpAddr {
    if i32::from(family) == libc::AF_INET6 {
        let mut bytes = [0; 16];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        IpAddr::from(bytes).to_canonical()
    } else {
        IpAddr::from(words[0].to_ne_bytes())
    }
}

/// One network device of the reader's namespace at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Bytes received, cumulative.
    pub rx_bytes: u64,
    /// Bytes sent, cumulative.
    pub tx_bytes: u64,
    /// Packets received, cumulative.
    pub rx_packets: u64,
    /// Packets sent, cumulative.
    pub tx_packets: u64,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Connection {
    /// A connection of which only key and user are known.
    pub fn blank(key: ConnectionKey, user: User) -> Connection {
        Connection {
            key,
            user,
            protocol: 0,
            upper: Upper::Nothing,
            local: SocketAddr::from(([0, 0, 0, 0], 0)),
            remote: None,
            state: 0,
            closed: false,
            netns: 0,
            opened_ns: Err(Missing::NotMeasured),
            moved: Moved::default(),
            stream: Err(Missing::DoesNotApply),
            cgroup_id: 0,
            cgroup: Err(Missing::NotAsked),
            unix_name: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(local: &str, remote: Option<&str>) -> Connection {
        let user = User { comm: Comm::new(b"x"), uid: 0 };
        Connection {
            local: local.parse().unwrap(),
            remote: remote.map(|text| text.parse().unwrap()),
            ..Connection::blank(ConnectionKey::default(), user)
        }
    }

    #[test]
    fn a_connection_is_called_as_in_pypidstat() {
        assert_eq!(connection("10.0.0.1:80", Some("1.2.3.4:5")).conn_key(), "10.0.0.1:80-1.2.3.4:5");
        assert_eq!(connection("[::1]:80", None).conn_key(), "[::1]:80-*");
    }

    #[test]
    fn mapped_addresses_are_shown_as_what_they_mean() {
        let words = |bytes: [u8; 16]| {
            let mut words = [0; 4];
            for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_ne_bytes(four.try_into().unwrap());
            }
            words
        };
        let v6 = libc::AF_INET6 as u16;
        let mapped: std::net::Ipv6Addr = "::ffff:10.1.2.3".parse().unwrap();
        assert_eq!(address(v6, words(mapped.octets())).to_string(), "10.1.2.3");
        let real: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert_eq!(address(v6, words(real.octets())).to_string(), "2001:db8::1");
        let v4 = u32::from_ne_bytes([127, 0, 0, 1]);
        assert_eq!(address(2, [v4, 9, 9, 9]).to_string(), "127.0.0.1");
    }

    #[test]
    fn a_counter_that_fell_gives_no_difference() {
        let more = Moved { tx_bytes: 5, rx_bytes: 1, ..Moved::default() };
        let less = Moved { tx_bytes: 2, ..Moved::default() };
        assert_eq!(more.since(less), Some(Moved { tx_bytes: 3, rx_bytes: 1, ..Moved::default() }));
        assert_eq!(less.since(more), None);
        assert_eq!(less.plus(more).tx_bytes, 7);
    }
}
