//! Connections that did anything in an interval: moved something, came, went on to another state, or ended.

use super::connection::changes;
use crate::sample::{Connection, Missing, Moved, Reading, Sample};
use std::borrow::Cow;

/// A connection that did something.
#[derive(Clone, Debug)]
pub struct Stirred<'a> {
    /// As it is, or as it ended.
    pub now: Cow<'a, Connection>,
    /// What it moved in the interval.
    pub gain: Reading<Moved>,
}

/// What happened between two samples; without an earlier one, or if it is to stand for itself (`whole`), every connection
/// is there. Sorted by key, those last that went without having been seen to end.
pub fn stirred<'a>(before: Option<&'a Sample>, now: &'a Sample, whole: bool) -> Vec<Stirred<'a>> {
    let nothing = Sample::default();
    let earlier = before.unwrap_or(&nothing);
    let find = |list: &'a [Connection], of: &Connection| {
        list.binary_search_by(|one| one.key.cmp(&of.key)).ok().map(|at| &list[at])
    };
    let known = before.map_or(&[][..], |before| &before.connections);
    let all = whole || before.is_none();
    let mut stirred: Vec<Stirred<'a>> = Vec::new();
    for (connection, change) in now.connections.iter().zip(changes(earlier, now)) {
        let was = find(known, connection);
        let same = was.is_some_and(|was| (was.state, was.remote) == (connection.state, connection.remote));
        if all || !same || connection.closed || change.gain != Ok(Moved::default()) {
            stirred.push(Stirred { now: Cow::Borrowed(connection), gain: change.gain });
        }
    }
    if !whole {
        let gone = known.iter().filter(|one| !one.closed && find(&now.connections, one).is_none());
        stirred.extend(gone.map(|one| Stirred {
            now: Cow::Owned(Connection { closed: true, ..one.clone() }),
            // Whatever it moved last, nobody saw.
            gain: Err(Missing::Gone),
        }));
    }
    stirred
}

/// A figure of what was moved, with its column's name.
pub type Gain = (&'static str, fn(&Moved) -> u64);

/// What a connection moved in an interval: the columns' names and figures.
pub const GAINS: [Gain; 7] = [
    ("rx_bytes", |moved| moved.rx_bytes),
    ("tx_bytes", |moved| moved.tx_bytes),
    ("rx_packets", Moved::rx_packets),
    ("tx_packets", Moved::tx_packets),
    ("rx_wire_bytes", |moved| moved.rx_wire_bytes),
    ("tx_wire_bytes", |moved| moved.tx_wire_bytes),
    ("retransmits", |moved| moved.retransmits),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Comm, ConnectionKey, TaskKey, socket::User};

    fn one(cookie: u64, tx_bytes: u64, state: u8) -> Connection {
        let key = ConnectionKey { cookie, owner: TaskKey { tgid: 7, tid: 0, start_ticks: 1 } };
        let user = User { comm: Comm::new(b"x"), uid: 0 };
        Connection { state, moved: Moved { tx_bytes, ..Moved::default() }, ..Connection::blank(key, user) }
    }

    #[test]
    fn who_stood_still_is_left_out_and_who_went_is_closed() {
        let sample = |connections| Sample { connections, ..Sample::default() };
        let before = sample(vec![one(1, 5, 1), one(2, 5, 1), one(3, 5, 1), one(4, 5, 1), one(6, 5, 1)]);
        let ended = Connection { closed: true, ..one(4, 5, 0) };
        let now = sample(vec![one(1, 5, 1), one(2, 9, 1), one(3, 5, 8), ended, one(5, 2, 1)]);
        let told = |whole| -> Vec<(u64, bool, Reading<u64>)> {
            let gain = |one: &Stirred<'_>| one.gain.map(|gain| gain.tx_bytes);
            stirred(Some(&before), &now, whole)
                .iter()
                .map(|one| (one.now.key.cookie, one.now.closed, gain(one)))
                .collect()
        };
        let some = [
            (2, false, Ok(4)),
            (3, false, Ok(0)),
            (4, true, Ok(0)),
            (5, false, Ok(2)),
            (6, true, Err(Missing::Gone)),
        ];
        assert_eq!(told(false), some);
        assert_eq!(told(true).len(), 5);
        assert_eq!(stirred(None, &now, false).len(), 5);
    }
}
