//! Stories of sockets and flows, told to the ledger in the order in which the kernel's maps are read.

use super::*;
use crate::sample::socket::TCP;
use pidstat_common::net::{Credentials, OWNER_ACCEPTED, SockName};

fn owner(tgid: u32) -> Owner {
    Owner {
        start_ns: 70_000_000 + u64::from(tgid),
        tgid,
        pid: tgid,
        uid: 5,
        flags: 0,
        comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
    }
}

fn tcp(cookie: u64, tgid: u32, tx_bytes: u64, segs_out: u32) -> SockRecord {
    let owner = if tgid == 0 { Owner::default() } else { owner(tgid) };
    SockRecord {
        cookie,
        owner,
        tx_bytes,
        rx_bytes: 2 * tx_bytes,
        segs_out,
        name: SockName { protocol: TCP, ..SockName::default() },
        ..SockRecord::default()
    }
}

fn udp(cookie: u64) -> SockRecord {
    SockRecord {
        cookie,
        owner: owner(9),
        name: SockName { protocol: 17, ..SockName::default() },
        ..SockRecord::default()
    }
}

fn flow(cookie: u64, tgid: u32, bytes: u64) -> (FlowKey, FlowCounters) {
    let owner = owner(tgid);
    let key = FlowKey { cookie, start_ns: owner.start_ns, tgid, kind: 0 };
    (key, FlowCounters { owner, tx_bytes: bytes, tx_messages: 1, ..FlowCounters::default() })
}

fn sum(ledger: &Ledger, tgid: u32) -> Traffic {
    ledger.owners().find(|o| o.tgid == tgid).map(|o| o.traffic).unwrap_or_default()
}

/// One sample; returns the flows that ended, already taken out with what `flows` says of them.
fn sample(
    ledger: &mut Ledger,
    flows: &[(FlowKey, FlowCounters)],
    walk: &[SockRecord],
    ring: &[SockRecord],
) -> usize {
    ledger.begin();
    flows.iter().for_each(|(key, value)| ledger.flow(key, value));
    walk.iter().for_each(|record| ledger.socket(record));
    ring.iter().for_each(|record| ledger.closed(record));
    ledger.adopt();
    let ended = ledger.end(|_| true);
    ended.iter().for_each(|key| ledger.flow_ended(key));
    ended.len()
}

#[test]
fn a_socket_that_closes_between_walk_and_ring_counts_once() {
    let mut ledger = Ledger::default();
    sample(&mut ledger, &[], &[tcp(1, 7, 100, 3)], &[]);
    sample(&mut ledger, &[], &[tcp(1, 7, 150, 4)], &[tcp(1, 7, 151, 6)]);
    assert_eq!(
        sum(&ledger, 7),
        Traffic { tx_bytes: 151, rx_bytes: 302, tx_packets: 6, ..Traffic::default() }
    );
    sample(&mut ledger, &[], &[], &[]);
    assert_eq!(sum(&ledger, 7).tx_bytes, 151);
}

#[test]
fn a_socket_that_no_walk_saw_counts_by_its_final_record() {
    let mut ledger = Ledger::default();
    ledger.closed(&tcp(1, 7, 13, 2));
    sample(&mut ledger, &[], &[], &[tcp(2, 7, 17, 2)]);
    assert_eq!(sum(&ledger, 7).tx_bytes, 30);
}

#[test]
fn a_walk_that_skips_or_repeats_a_socket_changes_nothing() {
    let mut ledger = Ledger::default();
    sample(&mut ledger, &[], &[tcp(1, 7, 100, 1), tcp(1, 7, 100, 1)], &[]);
    ledger.begin();
    assert!(ledger.missed_any());
    assert!(ledger.end(|_| true).is_empty());
    assert_eq!(sum(&ledger, 7).tx_bytes, 100);
    sample(&mut ledger, &[], &[tcp(1, 7, 107, 1)], &[]);
    assert_eq!(sum(&ledger, 7).tx_bytes, 107);
}

#[test]
fn segment_counters_may_wrap() {
    let mut ledger = Ledger::default();
    sample(&mut ledger, &[], &[tcp(1, 7, 0, u32::MAX - 1)], &[]);
    sample(&mut ledger, &[], &[tcp(1, 7, 0, 3)], &[]);
    assert_eq!(sum(&ledger, 7).tx_packets, u64::from(u32::MAX) + 4);
}

#[test]
fn what_came_before_the_owner_was_known_is_the_owners() {
    let mut ledger = Ledger::default();
    sample(&mut ledger, &[], &[tcp(1, 0, 0, 5)], &[]);
    assert_eq!(ledger.owners().count(), 0);
    sample(&mut ledger, &[], &[tcp(1, 7, 11, 8)], &[tcp(2, 0, 0, 4)]);
    assert_eq!(sum(&ledger, 7).tx_packets, 8);
    let nobody = ledger.owners().find(|owner| owner.comm.as_bytes() == b"[unaccepted]");
    assert_eq!(nobody.map(|nobody| (nobody.pid, nobody.traffic.tx_packets)), Some((0, 4)));
}

/// What begins a connection at port 80 of `local` that nobody owns, and a socket that listens there.
fn at_port_80(cookie: u64, tgid: u32, local: u32, segs_in: u32) -> SockRecord {
    let mut record = tcp(cookie, tgid, 0, 0);
    let remote_port = if segs_in > 0 { 4000 } else { 0 };
    record.name = SockName { family: 2, local_port: 80, local: [local, 0, 0, 0], remote_port, ..record.name };
    SockRecord { segs_in, ..record }
}

#[test]
fn what_nobody_accepted_is_the_listeners() {
    let mut ledger = Ledger { keep_closed: true, ..Ledger::default() };
    let (any, mine, other) = (0, u32::to_be(0x7f00_0001), u32::to_be(0x7f00_0002));
    let walk = [at_port_80(1, 7, any, 0), at_port_80(2, 8, mine, 0), at_port_80(5, 0, other, 4)];
    let ring = [at_port_80(3, 0, mine, 2), at_port_80(4, 0, other, 3)];
    sample(&mut ledger, &[], &walk, &ring);
    assert_eq!([7, 8].map(|tgid| sum(&ledger, tgid).rx_packets), [3, 2]);
    let mut rows = Vec::new();
    ledger.connections(0, &mut rows);
    let rows: Vec<_> = rows.iter().map(|row| (row.key.cookie, row.key.owner.tgid, row.closed)).collect();
    assert_eq!(rows, [(3, 8, true), (4, 7, true), (5, 7, false)], "and those that listen have no rows");
    // A process that ends closes what waits for it before it closes what it waited with.
    sample(&mut ledger, &[], &[], &[at_port_80(5, 0, other, 6), at_port_80(1, 7, any, 0)]);
    assert_eq!(sum(&ledger, 7).rx_packets, 9);
}

#[test]
fn what_somebody_else_closed_is_whose_credentials_accepted_it() {
    let mut ledger = Ledger::default();
    let left = |cookie, opened_ns| {
        let mut record = at_port_80(cookie, 0, 0, 3);
        record.owner = Owner { start_ns: 0xc0de, flags: OWNER_ACCEPTED, ..Owner::default() };
        record.tx_bytes = 13;
        record.name.opened_ns = opened_ns;
        record
    };
    ledger.begin();
    [at_port_80(1, 7, 0, 0), left(2, 90_000_000)].iter().for_each(|record| ledger.socket(record));
    [left(3, 90_000_000), left(4, 60_000_000)].iter().for_each(|record| ledger.closed(record));
    assert!(ledger.wants_credentials());
    ledger.credentials(&Credentials { address: 0xc0de, owner: owner(8) });
    ledger.adopt();
    assert!(!ledger.wants_credentials());
    assert_eq!(sum(&ledger, 8).tx_bytes, 26, "one that ended and one that did not yet");
    assert_eq!(sum(&ledger, 7).tx_bytes, 13, "who began after the connection did not accept it");
}

#[test]
fn a_flow_ends_after_two_walks_without_its_socket() {
    let mut ledger = Ledger::default();
    assert_eq!(sample(&mut ledger, &[flow(3, 9, 5)], &[udp(3)], &[]), 0);
    assert_eq!(sample(&mut ledger, &[flow(3, 9, 8)], &[], &[]), 0);
    assert_eq!(sample(&mut ledger, &[flow(3, 9, 8)], &[udp(3)], &[]), 0);
    assert_eq!(sample(&mut ledger, &[flow(3, 9, 8)], &[], &[]), 0);
    assert_eq!(sample(&mut ledger, &[flow(3, 9, 8)], &[], &[]), 1);
    assert_eq!(sum(&ledger, 9), Traffic { tx_bytes: 8, tx_packets: 1, ..Traffic::default() });
}

#[test]
fn a_shared_socket_is_split_between_storage_and_flow() {
    let mut ledger = Ledger::default();
    sample(&mut ledger, &[flow(1, 8, 31)], &[tcp(1, 7, 100, 3)], &[]);
    assert_eq!((sum(&ledger, 7).tx_bytes, sum(&ledger, 8).tx_bytes), (100, 31));
}

#[test]
fn only_owners_whose_process_is_gone_are_forgotten() {
    let mut ledger = Ledger::default();
    sample(&mut ledger, &[], &[], &[tcp(1, 7, 1, 1), tcp(2, 8, 1, 1)]);
    ledger.forget_gone(|_| false);
    assert_eq!(ledger.owners().count(), 2, "the sample that changed them must be shown, and the one after");
    sample(&mut ledger, &[], &[tcp(3, 9, 0, 0)], &[]);
    sample(&mut ledger, &[], &[tcp(3, 9, 0, 0)], &[]);
    sample(&mut ledger, &[], &[tcp(3, 9, 0, 0)], &[]);
    ledger.forget_gone(|pid| pid == 8);
    let mut left: Vec<u32> = ledger.owners().map(|o| o.tgid).collect();
    left.sort_unstable();
    assert_eq!(left, [8, 9], "8 still runs, 9 has a socket");
}

#[test]
fn everything_outside_our_namespace_is_one_owner() {
    let mut ledger = Ledger::default();
    let outside = |cookie, tgid| {
        let mut record = tcp(cookie, tgid, 10, 1);
        record.owner.pid = 0;
        record
    };
    sample(&mut ledger, &[], &[outside(1, 70), outside(2, 80)], &[]);
    let all: Vec<&NetOwner> = ledger.owners().collect();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].tgid, all[0].comm.as_bytes(), all[0].traffic.tx_bytes), (0, &b"[outside]"[..], 20));
}
