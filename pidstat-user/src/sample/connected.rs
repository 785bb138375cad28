//! A connection as a row of a table, and back: each of its figures with its column's name, declared once for both ways.

use super::{
    Cgroup, Comm, Connection, Missing, Stream, TaskKey,
    socket::{MPTCP, SCTP, TCP, UDP, UDPLITE, UNIX_DGRAM, UNIX_SEQPACKET, UNIX_STREAM, Upper},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

/// The table, and the member of a line.
pub const TABLE: &str = "connection";

/// A value in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// There is none.
    Null,
    /// A number; one above [`i64::MAX`] is stored as the negative number of the same bits.
    Whole(i64),
    /// Text. What is not UTF-8 was replaced.
    Text(String),
}

impl Cell {
    fn whole(&self) -> u64 {
        match self {
            Cell::Whole(number) => number.cast_unsigned(),
            Cell::Null | Cell::Text(_) => 0,
        }
    }

    /// The number, the largest that fits if it does not.
    fn narrow<T: TryFrom<u64>>(&self, most: T) -> T {
        T::try_from(self.whole()).unwrap_or(most)
    }

    fn text(&self) -> &str {
        match self {
            Cell::Text(text) => text,
            Cell::Null | Cell::Whole(_) => "",
        }
    }

    /// An address; the unspecified one for what is none.
    fn address(&self) -> IpAddr {
        self.text().parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// A whole number.
pub fn whole(number: impl Into<u64>) -> Cell {
    Cell::Whole(number.into().cast_signed())
}

/// A column of the table of connections.
pub struct Field {
    /// Its name, with the unit at the end.
    pub name: &'static str,
    /// Whether it is text rather than a number.
    pub text: bool,
    /// What a connection has there.
    pub get: fn(&Connection) -> Cell,
    /// Puts it back; not called for what is null.
    pub set: fn(&mut Connection, &Cell),
}

macro_rules! stream {
    ($name:ident) => {
        Field {
            name: stringify!($name),
            text: false,
            get: |one| one.stream.map_or(Cell::Null, |stream| whole(stream.$name)),
            set: |one, cell| {
                let mut stream = one.stream.unwrap_or_default();
                stream.$name = cell.narrow(u32::MAX);
                one.stream = Ok::<Stream, Missing>(stream);
            },
        }
    };
}

macro_rules! total {
    ($name:ident = $figure:ident) => {
        Field {
            name: stringify!($name),
            text: false,
            get: |one| whole(one.moved.$figure),
            set: |one, cell| one.moved.$figure = cell.whole(),
        }
    };
}

/// The columns, in order. The key stands first.
pub static FIELDS: &[Field] = &[
    Field {
        name: "cookie",
        text: false,
        get: |one| whole(one.key.cookie),
        set: |one, cell| one.key.cookie = cell.whole(),
    },
    Field {
        name: "pid",
        text: false,
        get: |one| whole(one.key.owner.tgid),
        set: |one, cell| one.key.owner.tgid = cell.narrow(u32::MAX),
    },
    Field {
        name: "start_ticks",
        text: false,
        get: |one| whole(one.key.owner.start_ticks),
        set: |one, cell| one.key.owner = TaskKey { start_ticks: cell.whole(), ..one.key.owner },
    },
    Field {
        name: "uid",
        text: false,
        get: |one| whole(one.user.uid),
        set: |one, cell| one.user.uid = cell.narrow(u32::MAX),
    },
    Field {
        name: "comm",
        text: true,
        get: |one| Cell::Text(String::from_utf8_lossy(one.user.comm.as_bytes()).into_owned()),
        set: |one, cell| one.user.comm = Comm::new(cell.text().as_bytes()),
    },
    Field {
        name: "protocol",
        text: true,
        get: |one| Cell::Text(one.protocol_name().into()),
        set: |one, cell| (one.protocol, one.upper) = protocol(cell.text()),
    },
    Field {
        name: "local_address",
        text: true,
        get: |one| Cell::Text(one.local.ip().to_string()),
        set: |one, cell| one.local.set_ip(cell.address()),
    },
    Field {
        name: "local_port",
        text: false,
        get: |one| whole(one.local.port()),
        set: |one, cell| one.local.set_port(cell.narrow(u16::MAX)),
    },
    Field {
        name: "remote_address",
        text: true,
        get: |one| one.remote.map_or(Cell::Null, |remote| Cell::Text(remote.ip().to_string())),
        set: |one, cell| one.remote = Some(SocketAddr::new(cell.address(), 0)),
    },
    Field {
        name: "remote_port",
        text: false,
        get: |one| one.remote.map_or(Cell::Null, |remote| whole(remote.port())),
        set: |one, cell| {
            if let Some(remote) = &mut one.remote {
                remote.set_port(cell.narrow(u16::MAX));
            }
        },
    },
    Field {
        name: "state",
        text: true,
        get: |one| Cell::Text(Connection { closed: false, ..one.clone() }.state_name().into()),
        set: |one, cell| one.state = state(cell.text()),
    },
    Field {
        name: "closed",
        text: false,
        get: |one| whole(one.closed),
        set: |one, cell| one.closed = cell.whole() != 0,
    },
    Field {
        name: "netns",
        text: false,
        get: |one| whole(one.netns),
        set: |one, cell| one.netns = cell.narrow(u32::MAX),
    },
    Field {
        name: "opened_uptime_ns",
        text: false,
        get: |one| one.opened_ns.map_or(Cell::Null, whole),
        set: |one, cell| one.opened_ns = Ok(cell.whole()),
    },
    Field {
        name: "cgroup",
        text: true,
        get: |one| {
            let path = one.cgroup.as_ref().map(|group| String::from_utf8_lossy(&group.path).into_owned());
            path.map_or(Cell::Null, Cell::Text)
        },
        set: |one, cell| one.cgroup = Ok(Rc::new(Cgroup::new(cell.text().as_bytes()))),
    },
    stream!(rtt_us),
    stream!(cwnd_segments),
    stream!(unread_bytes),
    stream!(unsent_bytes),
    stream!(unacked_bytes),
    total!(total_tx_bytes = tx_bytes),
    total!(total_rx_bytes = rx_bytes),
    total!(total_tx_messages = tx_messages),
    total!(total_rx_messages = rx_messages),
    total!(total_tx_datagrams = tx_datagrams),
    total!(total_rx_datagrams = rx_datagrams),
    total!(total_tx_segments = tx_segments),
    total!(total_rx_segments = rx_segments),
    total!(total_tx_wire_bytes = tx_wire_bytes),
    total!(total_rx_wire_bytes = rx_wire_bytes),
    total!(total_retransmits = retransmits),
];

/// The number of a protocol by its name, and what lies above it; 0, which is called `other`, for one that has none here.
fn protocol(name: &str) -> (u16, Upper) {
    let number = match name {
        "ktls" => return (TCP, Upper::Tls),
        "subflow" => return (TCP, Upper::Mptcp),
        "tcp" => TCP,
        "udp" => UDP,
        "icmp" => 1,
        "icmp6" => 58,
        "sctp" => SCTP,
        "udplite" => UDPLITE,
        "raw" => 255,
        "mptcp" => MPTCP,
        "unix" => UNIX_STREAM,
        "unix-dgram" => UNIX_DGRAM,
        "unix-seqpacket" => UNIX_SEQPACKET,
        _ => 0,
    };
    (number, Upper::Nothing)
}

/// The number of a state by its name. What is no stream has its state from whether it is connected.
fn state(name: &str) -> u8 {
    const NAMES: [&str; 12] = [
        "",
        "ESTAB",
        "SYN-SENT",
        "SYN-RECV",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
        "UNCONN",
        "CLOSE-WAIT",
        "LAST-ACK",
        "LISTEN",
        "CLOSING",
    ];
    NAMES.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{ConnectionKey, Moved, socket::User};

    fn full(state: u8, protocol: u16) -> Connection {
        let owner = TaskKey { tgid: 7, tid: 0, start_ticks: 8 };
        let user = User { comm: Comm::new(b"curl"), uid: 1_000 };
        Connection {
            protocol,
            local: "[2001:db8::1]:443".parse().unwrap(),
            remote: Some("10.1.2.3:50000".parse().unwrap()),
            state,
            closed: true,
            netns: 9,
            opened_ns: Ok(10),
            moved: Moved {
                tx_bytes: 11,
                rx_bytes: 12,
                tx_messages: 13,
                rx_messages: 14,
                tx_datagrams: 13,
                rx_datagrams: 14,
                tx_segments: 15,
                rx_segments: 16,
                tx_wire_bytes: 17,
                rx_wire_bytes: 18,
                retransmits: 19,
                ..Moved::default()
            },
            stream: Ok(Stream {
                rtt_us: 20,
                cwnd_segments: 21,
                unread_bytes: 22,
                unsent_bytes: 23,
                unacked_bytes: 24,
            }),
            cgroup: Ok(Rc::new(Cgroup::new(b"/system.slice"))),
            ..Connection::blank(ConnectionKey { cookie: u64::MAX, owner }, user)
        }
    }

    fn copied(one: &Connection) -> Connection {
        let mut copy = Connection::blank(ConnectionKey::default(), User { comm: Comm::default(), uid: 0 });
        for field in FIELDS {
            let cell = (field.get)(one);
            if cell != Cell::Null {
                (field.set)(&mut copy, &cell);
            }
        }
        copy
    }

    #[test]
    fn a_connection_comes_back_as_it_was() {
        for state in 1..12 {
            let one = full(state, TCP);
            assert_eq!(format!("{:?}", copied(&one)), format!("{one:?}"));
        }
        for protocol in [UDP, 1, 58, 132, 136, 255, 262] {
            assert_eq!(copied(&full(1, protocol)).protocol, protocol);
        }
        let bare = Connection { remote: None, stream: Err(Missing::DoesNotApply), ..full(10, TCP) };
        let copy = copied(&bare);
        assert_eq!((copy.remote, copy.stream, copy.local), (None, Err(Missing::DoesNotApply), bare.local));
    }
}
