//! Packets in, rows and sums out.

use super::*;
use crate::{
    sample::{Comm, Stream},
    source::pcap::frame::{Ports, Segment, Way},
};
use std::net::SocketAddr;

const LISTENER: &str = "10.0.0.1:80";
const CLIENT: &str = "10.0.0.2:4000";

fn key(protocol: u16) -> FlowKey {
    FlowKey {
        space: 1,
        protocol: protocol as u8,
        local: LISTENER.parse().unwrap(),
        remote: CLIENT.parse().unwrap(),
    }
}

fn packet(protocol: u16, device: u32, sequence: u32, payload_bytes: u64) -> Packet {
    Packet {
        device,
        way: Way::Out,
        wire_bytes: payload_bytes + 54,
        protocol: protocol as u8,
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        ports: Ports::Are(80, 4000),
        fragment: None,
        payload_bytes,
        segment: (protocol == TCP).then_some(Segment { sequence, opens: false }),
    }
}

fn owner(tgid: u32) -> Owner {
    (TaskKey { tgid, tid: 0, start_ticks: 9 }, User { comm: Comm::new(b"x"), uid: 7 })
}

fn socket(cookie: u64, state: u8, remote: Option<SocketAddr>) -> Found {
    Found {
        cookie,
        inode: 5,
        state,
        local: LISTENER.parse().unwrap(),
        remote,
        stream: Ok(Stream::default()),
        cgroup_id: 3,
    }
}

fn shown(ledger: &mut Ledger) -> Vec<Connection> {
    ledger.settle(|_| true);
    let mut connections = Vec::new();
    ledger.connections(100, 100, &mut connections);
    connections
}

fn traffic(ledger: &Ledger, tgid: u32) -> Traffic {
    ledger.accounts().filter(|(key, _)| key.tgid == tgid).fold(Traffic::default(), |sum, (_, account)| {
        Traffic {
            tx_bytes: sum.tx_bytes + account.traffic.tx_bytes,
            rx_bytes: sum.rx_bytes + account.traffic.rx_bytes,
            tx_packets: sum.tx_packets + account.traffic.tx_packets,
            rx_packets: sum.rx_packets + account.traffic.rx_packets,
            ..Traffic::default()
        }
    })
}

#[test]
fn an_owner_that_is_found_late_has_it_all_and_one_that_is_found_too_late_the_rest() {
    let (mut ledger, key) = (Ledger::default(), key(TCP));
    assert!(ledger.add(key, true, &packet(TCP, 1, 0, 10), 0), "looked for at once");
    ledger.met(&key, Some(socket(8, 1, Some(key.remote))), 0);
    ledger.owned(&key, owner(4), true);
    let rows = shown(&mut ledger);
    assert_eq!((rows.len(), rows[0].key.cookie, rows[0].moved.tx_bytes), (1, 8, 10));
    assert_eq!(traffic(&ledger, 4), Traffic { tx_bytes: 10, tx_packets: 1, ..Traffic::default() });

    let mut ledger = Ledger::default();
    ledger.add(key, false, &packet(TCP, 1, 0, 10), 0);
    let rows = shown(&mut ledger);
    assert_eq!((rows[0].key.owner.tgid, rows[0].user.comm.as_bytes()), (0, &b"unknown TCP"[..]));
    ledger.add(key, false, &packet(TCP, 1, 10, 5), 0);
    ledger.met(&key, Some(socket(8, 1, Some(key.remote))), 0);
    ledger.owned(&key, owner(4), true);
    let rows = shown(&mut ledger);
    assert_eq!((rows.len(), rows[0].key.cookie, rows[0].moved.rx_bytes), (1, 8, 5));
    assert_eq!((traffic(&ledger, 0).rx_bytes, traffic(&ledger, 4).rx_bytes), (10, 5));
}

#[test]
fn what_goes_through_two_devices_counts_once_and_a_new_way_is_followed() {
    let (mut ledger, key) = (Ledger::default(), key(UDP));
    for device in [3, 4, 3, 4] {
        ledger.add(key, true, &packet(UDP, device, 0, 10), 0);
    }
    shown(&mut ledger);
    assert_eq!(traffic(&ledger, 0).tx_packets, 2);
    for _ in 0..2 {
        shown(&mut ledger);
        ledger.met(&key, Some(socket(8, 1, Some(key.remote))), 0);
    }
    ledger.add(key, true, &packet(UDP, 4, 0, 10), 0);
    shown(&mut ledger);
    assert_eq!(traffic(&ledger, 0).tx_packets, 3);
}

#[test]
fn an_unconnected_socket_is_one_row() {
    let mut ledger = Ledger::default();
    for port in [1, 2, 3] {
        let key = FlowKey { remote: SocketAddr::from(([1, 1, 1, 1], port)), ..key(UDP) };
        ledger.add(key, true, &packet(UDP, 1, 0, 10), 0);
        ledger.met(&key, Some(socket(8, 7, None)), 0);
        ledger.owned(&key, owner(4), true);
    }
    let rows = shown(&mut ledger);
    assert_eq!((rows.len(), rows[0].moved.tx_messages, rows[0].remote, rows[0].closed), (1, 3, None, false));
}

#[test]
fn what_ended_is_shown_once_and_remembered_for_a_while() {
    let (mut ledger, key) = (Ledger::default(), key(TCP));
    ledger.add(key, true, &packet(TCP, 1, 0, 10), 1);
    ledger.met(&key, Some(socket(8, 1, Some(key.remote))), 0);
    ledger.owned(&key, owner(4), true);
    shown(&mut ledger);
    ledger.add(key, true, &packet(TCP, 1, 10, 0), 1);
    ledger.met(&key, None, 0);
    assert!(shown(&mut ledger)[0].closed);
    assert_eq!(shown(&mut ledger).len(), 0);
    shown(&mut ledger);
    assert_eq!(ledger.flows.len(), 0);
    assert_eq!(ledger.remembered(&key), Some(owner(4)));
    let other = FlowKey { remote: SocketAddr::from(([1, 1, 1, 1], 1)), ..key };
    assert_eq!(ledger.remembered(&other), Some(owner(4)), "whoever had the port");
    ledger.add(other, true, &packet(TCP, 1, 0, 0), REMEMBERED_NS + 2);
    assert_eq!(ledger.remembered(&key), None);
}

#[test]
fn rows_and_sums_of_everything_are_what_was_captured() {
    let mut ledger = Ledger::default();
    let mut expected = 0;
    for round in 0..30u32 {
        for port in 0..5u16 {
            let key = FlowKey { remote: SocketAddr::from(([1, 1, 1, 1], port)), ..key(UDP) };
            let sent = (round + u32::from(port)) % 3 == 0;
            ledger.add(key, sent, &packet(UDP, 1, 0, u64::from(port) + 1), 0);
            expected += u64::from(port) + 1;
            if round == 7 {
                ledger.met(&key, Some(socket(port.into(), 1, Some(key.remote))), 0);
                ledger.owned(&key, owner(4), true);
            }
        }
        shown(&mut ledger);
    }
    let all = [traffic(&ledger, 0), traffic(&ledger, 4)];
    assert_eq!(all.iter().map(|sum| sum.tx_bytes + sum.rx_bytes).sum::<u64>(), expected);
    assert_eq!(all.iter().map(|sum| sum.tx_packets + sum.rx_packets).sum::<u64>(), 150);
    assert!(all.iter().all(|sum| sum.tx_bytes > 0));
}

#[test]
fn more_connections_than_are_told_apart_are_one_row() {
    let mut ledger = Ledger::default();
    for number in 0..FLOWS_MAX + 10 {
        let remote = SocketAddr::from(([1, 1, (number >> 16) as u8, 1], number as u16));
        ledger.add(FlowKey { remote, ..key(UDP) }, true, &packet(UDP, 1, 0, 1), 0);
    }
    assert_eq!(ledger.flows.len(), FLOWS_MAX + 1);
    shown(&mut ledger);
    assert_eq!(traffic(&ledger, 0).tx_packets, FLOWS_MAX as u64 + 10);
}

#[test]
fn a_socket_that_is_being_closed_keeps_its_inode_while_its_owner_is_looked_for() {
    let (mut ledger, key) = (Ledger::default(), key(TCP));
    ledger.add(key, true, &packet(TCP, 1, 0, 10), 0);
    ledger.met(&key, Some(socket(8, 1, Some(key.remote))), 0);
    ledger.met(&key, Some(Found { inode: 0, ..socket(8, 6, Some(key.remote)) }), 0);
    assert_eq!(ledger.inodes(&key), Some((5, 0)));
    assert!(ledger.search(&key) && !ledger.search(&key), "all processes are looked at once for it");
    ledger.owned(&key, owner(3), false);
    ledger.owned(&key, owner(4), true);
    assert_eq!(ledger.inodes(&key), None, "it is known for sure");
    let rows = shown(&mut ledger);
    assert_eq!((rows[0].key.owner.tgid, rows[0].key.cookie, rows[0].closed), (4, 8, true));
}
