//! `--unix`: what went through UNIX sockets, counted at the sockets as the network's is (net/unix/af_unix.c).

use super::{Column, NO_LETTER, Report, Scope, Unit, Value};
use crate::{
    rate::Row,
    sample::{Facts, Reading, Task, UnixTraffic},
};

/// The report's key in JSON.
pub const UNIX: &str = "task-unix-load";

const NEEDS: Facts = Facts::TRAFFIC.and(Facts::UNIX);

/// Bytes and messages of the process.
pub(super) const REPORT: Report = Report {
    flag: NO_LETTER,
    scope: Scope::Task,
    json: UNIX,
    title: "UNIX sockets, by --unix",
    columns: &[
        Column {
            id: "rx_unix_messages_per_sec",
            head: "rxuxmsg/s",
            json: "rxuxmsg/s",
            width: 12,
            unit: Unit::PerSec,
            needs: NEEDS,
            machine_only: false,
            help: "Messages received through UNIX sockets of datagrams and of packets.",
            read: |row| per_sec(row, |unix| unix.rx_messages).into(),
        },
        Column {
            id: "tx_unix_messages_per_sec",
            head: "txuxmsg/s",
            json: "txuxmsg/s",
            width: 12,
            unit: Unit::PerSec,
            needs: NEEDS,
            machine_only: false,
            help: "Messages sent through UNIX sockets of datagrams and of packets.",
            read: |row| per_sec(row, |unix| unix.tx_messages).into(),
        },
        Column {
            id: "rx_unix_kib_per_sec",
            head: "rxuxkB/s",
            json: "rxuxkB/s",
            width: 11,
            unit: Unit::KibPerSec,
            needs: NEEDS,
            machine_only: false,
            help: "Bytes received through UNIX sockets, charged to whoever took them; missing where the rung cannot count them.",
            read: |row| kib_per_sec(row, |unix| unix.rx_bytes),
        },
        Column {
            id: "tx_unix_kib_per_sec",
            head: "txuxkB/s",
            json: "txuxkB/s",
            width: 11,
            unit: Unit::KibPerSec,
            needs: NEEDS,
            machine_only: false,
            help: "Bytes sent through UNIX sockets, charged to whoever sent them; missing where the rung cannot count them.",
            read: |row| kib_per_sec(row, |unix| unix.tx_bytes),
        },
        Column {
            id: "rx_unix_bytes",
            head: "rxuxB",
            json: "rx_unix_bytes",
            width: 12,
            unit: Unit::Bytes,
            needs: NEEDS,
            machine_only: true,
            help: "Bytes received through UNIX sockets in the interval; the sum over a run is exact.",
            read: |row| row.delta(|task| figure(task, |unix| unix.rx_bytes)).into(),
        },
        Column {
            id: "tx_unix_bytes",
            head: "txuxB",
            json: "tx_unix_bytes",
            width: 12,
            unit: Unit::Bytes,
            needs: NEEDS,
            machine_only: true,
            help: "Bytes sent through UNIX sockets in the interval; the sum over a run is exact.",
            read: |row| row.delta(|task| figure(task, |unix| unix.tx_bytes)).into(),
        },
    ],
    active: |row| row.changed(|task| figure(task, |unix| unix.tx_bytes + unix.rx_bytes).unwrap_or(0)),
};

fn figure(task: &Task, counter: fn(&UnixTraffic) -> u64) -> Reading<u64> {
    task.traffic.and_then(|traffic| traffic.unix).map(|unix| counter(&unix))
}

fn per_sec(row: &Row<'_>, counter: fn(&UnixTraffic) -> u64) -> Reading<f64> {
    row.per_sec(|task| figure(task, counter))
}

fn kib_per_sec(row: &Row<'_>, counter: fn(&UnixTraffic) -> u64) -> Value {
    per_sec(row, counter).map(|rate| rate / 1024.0).into()
}
