//! What had no room: final records that the kernel kept among the flows, and a row for what nobody could be charged with.

use super::{Book, Ledger, NS_PER_TICK, OwnerKey, credit, identity, inet, named, unix};
use crate::sample::{
    Traffic,
    socket::{Connection, Moved, TCP},
};
use pidstat_common::net::{FINAL_WHOLE, FLOW_FINAL, FlowCounters, FlowKey, NetLosses, SockRecord, Uncounted};
use std::collections::HashSet;

/// The owner of what no map had room for.
const OVERFLOW: OwnerKey = (0, 3 * NS_PER_TICK);
const OVERFLOW_NAME: &[u8] = b"[overflow]";

/// What had no room so far.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    /// Final records that were found among the flows and are not out of the map yet.
    finals: HashSet<FlowKey>,
    /// What the row has.
    inet: Uncounted,
    unix: Uncounted,
}

impl Overflow {
    /// Final records that were taken over, to be taken out of the map.
    pub(super) fn finals(&self) -> Vec<FlowKey> {
        self.finals.iter().copied().collect()
    }
}

impl Ledger {
    /// Takes a final record over that stands among the flows; `false` if this is a flow.
    pub(super) fn final_record(&mut self, key: &FlowKey, record: &FlowCounters) -> bool {
        if key.kind != FLOW_FINAL {
            return false;
        }
        let whole = record.tx_messages & FINAL_WHOLE != 0;
        if whole && self.overflow.finals.insert(*key) {
            let record = self.restored(key.cookie, record);
            self.closed(&record);
        }
        true
    }

    /// The record as the ring would have had it. What TCP knew of its stream is as the last walk saw it.
    fn restored(&self, cookie: u64, record: &FlowCounters) -> SockRecord {
        let known = self.sockets.get(&cookie).map(|live| live.record).unwrap_or_default();
        let segments = |count| u32::try_from(count).unwrap_or(u32::MAX);
        SockRecord {
            cookie,
            owner: record.owner,
            name: record.name,
            tx_bytes: record.tx_bytes,
            rx_bytes: record.rx_bytes,
            segs_out: segments(record.tx_messages & !FINAL_WHOLE),
            segs_in: segments(record.rx_messages),
            bytes_sent: known.bytes_sent + record.tx_bytes.saturating_sub(known.tx_bytes),
            bytes_received: known.bytes_received + record.rx_bytes.saturating_sub(known.rx_bytes),
            header_bytes: known.header_bytes.max(TCP_HEADER),
            ..known
        }
    }

    /// One of them is out of the map; `false` if it was a flow.
    pub(super) fn final_ended(&mut self, key: &FlowKey) -> bool {
        self.overflow.finals.remove(key)
    }

    /// Credits the row of what had no room with what the kernel could not charge anybody with, as it stands now.
    pub fn lost(&mut self, now: &NetLosses) {
        let was = (self.overflow.inet, self.overflow.unix);
        (self.overflow.inet, self.overflow.unix) = (now.inet, now.unix);
        for (book, was, now) in [(inet as Book, was.0, now.inet), (unix as Book, was.1, now.unix)] {
            if was != now {
                let of = |sum: &Uncounted| self.overflown(sum);
                let (was, now) = (of(&was), of(&now));
                let gain = Traffic {
                    tx_bytes: now.tx_bytes - was.tx_bytes,
                    rx_bytes: now.rx_bytes - was.rx_bytes,
                    tx_packets: now.tx_packets - was.tx_packets,
                    rx_packets: now.rx_packets - was.rx_packets,
                    ..Traffic::default()
                };
                // Opened again with each gain and never closed: the row stays for good.
                let key = named(&mut self.owners, OVERFLOW, OVERFLOW_NAME, self.sample);
                credit(&mut self.owners, key, book, gain, self.sample);
            }
        }
    }

    /// What the sums take of it: where packets on the wire are counted, messages are none.
    fn overflown(&self, sum: &Uncounted) -> Traffic {
        let messages = |count| if self.on_wire { 0 } else { count };
        Traffic {
            tx_bytes: sum.tx_bytes,
            rx_bytes: sum.rx_bytes,
            tx_packets: sum.tx_packets + messages(sum.tx_messages),
            rx_packets: sum.rx_packets + messages(sum.rx_messages),
            ..Traffic::default()
        }
    }

    /// Its connections, which nothing tells apart: one row for each kind of address.
    pub(super) fn overflow_rows(&self, out: &mut Vec<Connection>) {
        let Some((key, user)) = identity(&self.owners, 0, OVERFLOW) else { return };
        let sum = self.overflown(&self.overflow.inet);
        out.push(Connection {
            protocol: TCP,
            moved: Moved {
                tx_bytes: sum.tx_bytes,
                rx_bytes: sum.rx_bytes,
                tx_datagrams: sum.tx_packets,
                rx_datagrams: sum.rx_packets,
                ..Moved::default()
            },
            ..Connection::blank(key, user)
        });
    }
}

/// Bytes of a TCP header without options.
const TCP_HEADER: u16 = 20;
