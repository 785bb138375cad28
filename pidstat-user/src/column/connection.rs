//! `kpidstat net`: what a row of connections has, declared once for text, JSON, CSV, `--columns`, `--sort` and `--where`.

use super::{Unit, Value};
use crate::{
    rate::connection::{Line, LineKey, Who, service},
    sample::{Cgroup, Missing, Moved, Stream},
};
use std::rc::Rc;

/// Shown in text where rows are processes.
pub const PROCESS: u8 = 1;
/// Shown in text where rows are connections.
pub const CONNECTION: u8 = 2;
/// Shown in text where rows are containers.
pub const CONTAINER: u8 = 4;
/// Shown in text where rows are remote addresses.
pub const REMOTE: u8 = 8;
/// Shown in text where rows are services.
pub const PORT: u8 = 16;
/// Shown in every text.
pub const ALL: u8 = PROCESS | CONNECTION | CONTAINER | REMOTE | PORT;
/// Shown to machines and to whoever asks.
pub const MACHINE: u8 = 0;

/// One column of a report about connections.
#[derive(Debug)]
pub struct Figure {
    /// Its name for ever: JSON key, CSV header, `--columns`, `--sort`, expressions.
    pub id: &'static str,
    /// Its title in text.
    pub head: &'static str,
    /// Characters in text, the separating blank included.
    pub width: usize,
    /// What it counts.
    pub unit: Unit,
    /// The kinds of rows whose text has it.
    pub shown: u8,
    /// One sentence for documents.
    pub help: &'static str,
    /// Its value for a row.
    pub read: fn(&Line) -> Value,
}

impl Figure {
    /// Whether it is about what was moved, which not every rung counts exactly.
    pub fn is_of_traffic(&self) -> bool {
        let heads = ["rx_", "tx_", "retransmits", "connections", "closed"];
        heads.iter().any(|head| self.id.starts_with(head))
    }
}

/// All of them, left to right. The name of the process stands behind them.
pub const FIGURES: &[Figure] = &[
    Figure {
        id: "uid",
        head: "UID",
        width: 6,
        unit: Unit::Count,
        shown: PROCESS,
        help: "Real user id of the process.",
        read: |line| whole(line, |who| u64::from(who.uid)),
    },
    Figure {
        id: "user",
        head: "USER",
        width: 9,
        unit: Unit::Text,
        shown: MACHINE,
        help: "Name of the real user; missing if nobody has that id.",
        read: |line| of_process(line, |who| who.user.as_deref().map(|user| user.as_bytes().into())),
    },
    Figure {
        id: "pid",
        head: "PID",
        width: 10,
        unit: Unit::Count,
        shown: PROCESS | CONNECTION,
        help: "Process id; 0 stands for what has no process here.",
        read: |line| whole(line, |who| u64::from(who.key.tgid)),
    },
    Figure {
        id: "protocol",
        head: "proto",
        width: 8,
        unit: Unit::Text,
        shown: CONNECTION | PORT,
        help: "Protocol.",
        read: |line| {
            only(line.is_connection() || matches!(line.key, LineKey::Port(..)), || {
                word(line.one.protocol_name())
            })
        },
    },
    Figure {
        id: "state",
        head: "state",
        width: 11,
        unit: Unit::Text,
        shown: CONNECTION,
        help: "State, as ss calls it; CLOSED for what ended in the interval.",
        read: |line| only(line.is_connection(), || word(line.one.state_name())),
    },
    Figure {
        id: "rx_packets_per_sec",
        head: "rxpck/s",
        width: 10,
        unit: Unit::PerSec,
        shown: PROCESS | CONTAINER | REMOTE | PORT,
        help: "TCP segments and UDP messages received.",
        read: |line| line.per_sec(Moved::rx_packets).into(),
    },
    Figure {
        id: "tx_packets_per_sec",
        head: "txpck/s",
        width: 10,
        unit: Unit::PerSec,
        shown: PROCESS | CONTAINER | REMOTE | PORT,
        help: "TCP segments and UDP messages sent.",
        read: |line| line.per_sec(Moved::tx_packets).into(),
    },
    Figure {
        id: "rx_kib_per_sec",
        head: "rxkB/s",
        width: 10,
        unit: Unit::KibPerSec,
        shown: ALL,
        help: "Application bytes received.",
        read: |line| kib_per_sec(line, |moved| moved.rx_bytes),
    },
    Figure {
        id: "tx_kib_per_sec",
        head: "txkB/s",
        width: 10,
        unit: Unit::KibPerSec,
        shown: ALL,
        help: "Application bytes sent.",
        read: |line| kib_per_sec(line, |moved| moved.tx_bytes),
    },
    Figure {
        id: "rx_total_kib",
        head: "rxkB",
        width: 10,
        unit: Unit::Kib,
        shown: PROCESS | CONTAINER | REMOTE | PORT,
        help: "Application bytes received since the start; for a connection, since it was first seen.",
        read: |line| Value::Whole(line.total.rx_bytes / 1024),
    },
    Figure {
        id: "tx_total_kib",
        head: "txkB",
        width: 10,
        unit: Unit::Kib,
        shown: PROCESS | CONTAINER | REMOTE | PORT,
        help: "Application bytes sent since the start; for a connection, since it was first seen.",
        read: |line| Value::Whole(line.total.tx_bytes / 1024),
    },
    Figure {
        id: "retransmits_per_sec",
        head: "retr/s",
        width: 8,
        unit: Unit::PerSec,
        shown: ALL,
        help: "TCP segments sent again.",
        read: |line| line.per_sec(|moved| moved.retransmits).into(),
    },
    Figure {
        id: "connections",
        head: "conns",
        width: 7,
        unit: Unit::Count,
        shown: PROCESS | CONTAINER | REMOTE | PORT,
        help: "Connections that live or ended in the interval; one that several processes use counts for each.",
        read: |line| Value::Whole(line.connections),
    },
    Figure {
        id: "rtt_us",
        head: "rtt_us",
        width: 9,
        unit: Unit::Microseconds,
        shown: CONNECTION,
        help: "Smoothed round trip time; missing before the first measurement.",
        read: |line| stream(line, |stream| stream.rtt_us),
    },
    Figure {
        id: "cwnd_segments",
        head: "cwnd",
        width: 7,
        unit: Unit::Count,
        shown: CONNECTION,
        help: "Congestion window in segments.",
        read: |line| stream(line, |stream| stream.cwnd_segments),
    },
    Figure {
        id: "unread_bytes",
        head: "unread",
        width: 9,
        unit: Unit::Size,
        shown: CONNECTION,
        help: "Bytes that were received and not read yet.",
        read: |line| gauge(line, |stream| stream.unread_bytes),
    },
    Figure {
        id: "unsent_bytes",
        head: "unsent",
        width: 9,
        unit: Unit::Size,
        shown: CONNECTION,
        help: "Bytes that the application wrote and that were not sent once yet.",
        read: |line| gauge(line, |stream| stream.unsent_bytes),
    },
    Figure {
        id: "unacked_bytes",
        head: "unacked",
        width: 9,
        unit: Unit::Size,
        shown: MACHINE,
        help: "Bytes that were sent and not acknowledged yet.",
        read: |line| gauge(line, |stream| stream.unacked_bytes),
    },
    Figure {
        id: "age_seconds",
        head: "age",
        width: 10,
        unit: Unit::Seconds,
        shown: CONNECTION,
        help: "How long the connection has existed; missing if it is older than the tool.",
        read: |line| match line.one.age_ns(line.uptime_ns) {
            Ok(ns) if line.is_connection() => Value::Real(ns as f64 / 1e9),
            Ok(_) => Value::Missing(Missing::DoesNotApply),
            Err(why) => Value::Missing(why),
        },
    },
    Figure {
        id: "rx_bytes",
        head: "rxB",
        width: 12,
        unit: Unit::Bytes,
        shown: MACHINE,
        help: "Application bytes received in the interval; the sum over a run is exact.",
        read: |line| gained(line, |moved| moved.rx_bytes),
    },
    Figure {
        id: "tx_bytes",
        head: "txB",
        width: 12,
        unit: Unit::Bytes,
        shown: MACHINE,
        help: "Application bytes sent in the interval; the sum over a run is exact.",
        read: |line| gained(line, |moved| moved.tx_bytes),
    },
    Figure {
        id: "rx_messages",
        head: "rxmsg",
        width: 10,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Messages received in the interval, of what is no stream.",
        read: |line| gained(line, |moved| moved.rx_messages),
    },
    Figure {
        id: "tx_messages",
        head: "txmsg",
        width: 10,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Messages sent in the interval, of what is no stream.",
        read: |line| gained(line, |moved| moved.tx_messages),
    },
    Figure {
        id: "rx_datagrams",
        head: "rxdgm",
        width: 10,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Packets received that are no TCP segments: messages, or with --net-packets what arrived on the wire.",
        read: |line| gained(line, |moved| moved.rx_datagrams),
    },
    Figure {
        id: "tx_datagrams",
        head: "txdgm",
        width: 10,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Packets sent that are no TCP segments: messages, or with --net-packets what left on the wire.",
        read: |line| gained(line, |moved| moved.tx_datagrams),
    },
    Figure {
        id: "rx_segments",
        head: "rxseg",
        width: 10,
        unit: Unit::Count,
        shown: MACHINE,
        help: "TCP segments received in the interval.",
        read: |line| gained(line, |moved| moved.rx_segments),
    },
    Figure {
        id: "tx_segments",
        head: "txseg",
        width: 10,
        unit: Unit::Count,
        shown: MACHINE,
        help: "TCP segments sent in the interval.",
        read: |line| gained(line, |moved| moved.tx_segments),
    },
    Figure {
        id: "rx_wire_bytes",
        head: "rxwireB",
        width: 12,
        unit: Unit::Bytes,
        shown: MACHINE,
        help: "Bytes received with all headers in the interval; estimated, without SACK blocks and data that came twice.",
        read: |line| gained(line, |moved| moved.rx_wire_bytes),
    },
    Figure {
        id: "tx_wire_bytes",
        head: "txwireB",
        width: 12,
        unit: Unit::Bytes,
        shown: MACHINE,
        help: "Bytes sent with all headers in the interval; exact for TCP that connected from here, estimated otherwise.",
        read: |line| gained(line, |moved| moved.tx_wire_bytes),
    },
    Figure {
        id: "rx_wire_kib_per_sec",
        head: "rxwirekB/s",
        width: 11,
        unit: Unit::KibPerSec,
        shown: MACHINE,
        help: "Bytes received with all headers; estimated.",
        read: |line| kib_per_sec(line, |moved| moved.rx_wire_bytes),
    },
    Figure {
        id: "tx_wire_kib_per_sec",
        head: "txwirekB/s",
        width: 11,
        unit: Unit::KibPerSec,
        shown: MACHINE,
        help: "Bytes sent with all headers; estimated but for TCP that connected from here.",
        read: |line| kib_per_sec(line, |moved| moved.tx_wire_bytes),
    },
    Figure {
        id: "retransmits",
        head: "retr",
        width: 8,
        unit: Unit::Count,
        shown: MACHINE,
        help: "TCP segments sent again in the interval.",
        read: |line| gained(line, |moved| moved.retransmits),
    },
    Figure {
        id: "rx_total_bytes",
        head: "rxtotalB",
        width: 13,
        unit: Unit::Size,
        shown: MACHINE,
        help: "Application bytes received since the start; for a connection, since it was first seen.",
        read: |line| Value::Whole(line.total.rx_bytes),
    },
    Figure {
        id: "tx_total_bytes",
        head: "txtotalB",
        width: 13,
        unit: Unit::Size,
        shown: MACHINE,
        help: "Application bytes sent since the start; for a connection, since it was first seen.",
        read: |line| Value::Whole(line.total.tx_bytes),
    },
    Figure {
        id: "rx_unix_kib_per_sec",
        head: "rxuxkB/s",
        width: 11,
        unit: Unit::KibPerSec,
        shown: MACHINE,
        help: "Bytes received through UNIX sockets, where rows mix them with others; missing without --unix.",
        read: |line| unix(line, kib_per_sec(line, |moved| moved.rx_unix_bytes)),
    },
    Figure {
        id: "tx_unix_kib_per_sec",
        head: "txuxkB/s",
        width: 11,
        unit: Unit::KibPerSec,
        shown: MACHINE,
        help: "Bytes sent through UNIX sockets, where rows mix them with others; missing without --unix.",
        read: |line| unix(line, kib_per_sec(line, |moved| moved.tx_unix_bytes)),
    },
    Figure {
        id: "rx_unix_bytes",
        head: "rxuxB",
        width: 12,
        unit: Unit::Bytes,
        shown: MACHINE,
        help: "Bytes received through UNIX sockets in the interval, where rows mix them with others.",
        read: |line| unix(line, gained(line, |moved| moved.rx_unix_bytes)),
    },
    Figure {
        id: "tx_unix_bytes",
        head: "txuxB",
        width: 12,
        unit: Unit::Bytes,
        shown: MACHINE,
        help: "Bytes sent through UNIX sockets in the interval, where rows mix them with others.",
        read: |line| unix(line, gained(line, |moved| moved.tx_unix_bytes)),
    },
    Figure {
        id: "closed",
        head: "closed",
        width: 8,
        unit: Unit::Count,
        shown: MACHINE,
        help: "How many of the connections ended in the interval.",
        read: |line| Value::Whole(line.closed),
    },
    Figure {
        id: "local_address",
        head: "local",
        width: 24,
        unit: Unit::Text,
        shown: MACHINE,
        help: "Local address; IPv4 through an IPv6 socket is shown as IPv4.",
        read: |line| only(line.is_connection(), || text(line.one.local.ip().to_string())),
    },
    Figure {
        id: "local_port",
        head: "lport",
        width: 7,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Local port.",
        read: |line| only(line.is_connection(), || Value::Whole(line.one.local.port().into())),
    },
    Figure {
        id: "remote_address",
        head: "remote",
        width: 24,
        unit: Unit::Text,
        shown: REMOTE,
        help: "Remote address; missing while the socket is connected to nobody.",
        read: remote_address,
    },
    Figure {
        id: "remote_port",
        head: "rport",
        width: 7,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Remote port.",
        read: |line| match line.one.remote {
            Some(remote) if line.is_connection() => Value::Whole(remote.port().into()),
            _ => Value::Missing(Missing::DoesNotApply),
        },
    },
    Figure {
        id: "port",
        head: "port",
        width: 7,
        unit: Unit::Count,
        shown: PORT,
        help: "Port of the service: the smaller one of the two.",
        read: |line| {
            let any = line.is_connection() || matches!(line.key, LineKey::Port(..));
            only(any, || Value::Whole(service(&line.one).into()))
        },
    },
    Figure {
        id: "cookie",
        head: "cookie",
        width: 12,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Cookie of the socket, as ss -e shows it: unique until reboot.",
        read: |line| match line.one.key.cookie {
            // What stands in where no cookie could be had is larger than any.
            0x8000_0000_0000_0000.. if line.is_connection() => Value::Missing(Missing::NotInSource),
            cookie => only(line.is_connection(), || Value::Whole(cookie)),
        },
    },
    Figure {
        id: "netns",
        head: "netns",
        width: 12,
        unit: Unit::Count,
        shown: MACHINE,
        help: "Inode number of the network namespace.",
        read: |line| only(line.is_connection(), || Value::Whole(line.one.netns.into())),
    },
    Figure {
        id: "unit",
        head: "unit",
        width: 26,
        unit: Unit::Text,
        shown: MACHINE,
        help: "Innermost service or scope of systemd that the process is in.",
        read: |line| group(line, |group| group.unit.as_ref()),
    },
    Figure {
        id: "pod",
        head: "pod",
        width: 38,
        unit: Unit::Text,
        shown: MACHINE,
        help: "Pod of Kubernetes that the process is in.",
        read: |line| group(line, |group| group.pod.as_ref()),
    },
    Figure {
        id: "container",
        head: "container",
        width: 26,
        unit: Unit::Text,
        shown: CONTAINER,
        help: "Container that the process is in: runtime and the id's first 12 digits, or runtime and name.",
        read: |line| group(line, |group| group.container.as_ref()),
    },
    Figure {
        id: "cgroup",
        head: "cgroup",
        width: 32,
        unit: Unit::Text,
        shown: MACHINE,
        help: "Path of the control group that the process is in.",
        read: |line| group(line, |group| Some(&group.path)),
    },
    Figure {
        id: "exited",
        head: "exited",
        width: 7,
        unit: Unit::Count,
        shown: MACHINE,
        help: "1 if the process ended before the sample was taken.",
        read: |line| whole(line, |who| u64::from(who.exited)),
    },
    Figure {
        id: "connection",
        head: "Connection",
        width: 46,
        unit: Unit::Text,
        shown: CONNECTION,
        help: "The connection as pypidstat calls it: src_ip:src_port-dst_ip:dst_port as seen from here; a UNIX socket by its cookie and name.",
        read: |line| only(line.is_connection(), || text(line.one.label())),
    },
];

/// A figure by its id, or by its head whatever its capitals.
pub fn find(name: &str) -> Option<&'static Figure> {
    let by_id = FIGURES.iter().find(|figure| figure.id == name);
    by_id.or_else(|| FIGURES.iter().find(|figure| figure.head.eq_ignore_ascii_case(name)))
}

fn only(applies: bool, value: impl FnOnce() -> Value) -> Value {
    if applies { value() } else { Value::Missing(Missing::DoesNotApply) }
}

/// What rows about one protocol do not have, and what nobody has without `--unix`.
fn unix(line: &Line, value: Value) -> Value {
    match line.key {
        LineKey::Connection(_) | LineKey::Port(..) => Value::Missing(Missing::DoesNotApply),
        _ if !line.unix => Value::Missing(Missing::NotAsked),
        _ => value,
    }
}

fn word(word: &'static str) -> Value {
    Value::Word(word)
}

fn text(text: String) -> Value {
    Value::Text(text.into_bytes().into())
}

fn whole(line: &Line, number: fn(&Who) -> u64) -> Value {
    line.who.as_ref().map_or(Value::Missing(Missing::DoesNotApply), |who| Value::Whole(number(who)))
}

fn of_process(line: &Line, text: fn(&Who) -> Option<Rc<[u8]>>) -> Value {
    line.who.as_ref().and_then(text).map_or(Value::Missing(Missing::DoesNotApply), Value::Text)
}

fn kib_per_sec(line: &Line, bytes: fn(&Moved) -> u64) -> Value {
    line.per_sec(bytes).map(|rate| rate / 1024.0).into()
}

fn gained(line: &Line, counter: fn(&Moved) -> u64) -> Value {
    line.gain.map(|gain| counter(&gain)).into()
}

fn gauge(line: &Line, of: fn(&Stream) -> u32) -> Value {
    match line.one.stream {
        Ok(stream) if line.is_connection() => Value::Whole(of(&stream).into()),
        Ok(_) => Value::Missing(Missing::DoesNotApply),
        Err(why) => Value::Missing(why),
    }
}

/// A figure that is 0 while TCP does not know it.
fn stream(line: &Line, of: fn(&Stream) -> u32) -> Value {
    match gauge(line, of) {
        Value::Whole(0) => Value::Missing(Missing::NotMeasured),
        other => other,
    }
}

fn remote_address(line: &Line) -> Value {
    match (&line.key, line.one.remote) {
        (LineKey::Remote(Some(address)), _) => text(address.to_string()),
        (LineKey::Connection(_), Some(remote)) => text(remote.ip().to_string()),
        _ => Value::Missing(Missing::DoesNotApply),
    }
}

fn group(line: &Line, part: for<'a> fn(&'a Cgroup) -> Option<&'a Rc<[u8]>>) -> Value {
    // Other rows are of processes in any number of groups.
    if matches!(line.key, LineKey::Remote(_) | LineKey::Port(..) | LineKey::Total) {
        return Value::Missing(Missing::DoesNotApply);
    }
    match &line.one.cgroup {
        Ok(group) => {
            part(group).map_or(Value::Missing(Missing::DoesNotApply), |text| Value::Text(Rc::clone(text)))
        }
        Err(why) => Value::Missing(*why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_and_heads_are_unique_and_documented() {
        let ids: HashSet<_> = FIGURES.iter().map(|figure| figure.id).collect();
        let heads: HashSet<_> = FIGURES.iter().map(|figure| figure.head.to_ascii_lowercase()).collect();
        assert_eq!((ids.len(), heads.len()), (FIGURES.len(), FIGURES.len()));
        for figure in FIGURES {
            assert!(figure.help.ends_with('.') && figure.width > figure.head.len(), "{}", figure.id);
        }
    }

    #[test]
    fn ids_end_in_their_unit() {
        for figure in FIGURES {
            let ends = match figure.unit {
                Unit::PerSec => "_per_sec",
                Unit::KibPerSec => "_kib_per_sec",
                Unit::Kib => "_kib",
                Unit::Bytes | Unit::Size => "_bytes",
                Unit::Microseconds => "_us",
                Unit::Seconds => "_seconds",
                _ => continue,
            };
            assert!(figure.id.ends_with(ends), "{} should end in {ends}", figure.id);
        }
    }
}
