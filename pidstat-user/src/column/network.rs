//! `-n`: network traffic, counted at the sockets (net/socket.c, net/ipv4/tcp.c).

use super::{Column, Report, Scope, Unit, Value};
use crate::{
    rate::Row,
    sample::{Facts, Traffic},
};

/// Bytes and packets of the process, loopback included.
pub(super) const REPORT: Report = Report {
    flag: 'n',
    scope: Scope::Task,
    json: "task-network-load",
    title: "network",
    columns: &[
        Column {
            id: "rx_packets_per_sec",
            head: "rxpck/s",
            json: "rxpck/s",
            width: 10,
            unit: Unit::PerSec,
            needs: Facts::TRAFFIC,
            machine_only: false,
            help: "TCP segments and UDP messages received, charged to the first owner of the socket.",
            read: |row| row.per_sec(|task| task.traffic.map(|traffic| traffic.rx_packets)).into(),
        },
        Column {
            id: "tx_packets_per_sec",
            head: "txpck/s",
            json: "txpck/s",
            width: 10,
            unit: Unit::PerSec,
            needs: Facts::TRAFFIC,
            machine_only: false,
            help: "TCP segments and UDP messages sent, charged to the first owner of the socket.",
            read: |row| row.per_sec(|task| task.traffic.map(|traffic| traffic.tx_packets)).into(),
        },
        Column {
            id: "rx_kib_per_sec",
            head: "rxkB/s",
            json: "rxkB/s",
            width: 10,
            unit: Unit::KibPerSec,
            needs: Facts::TRAFFIC,
            machine_only: false,
            help: "Application bytes received, charged to whoever took them.",
            read: |row| kib_per_sec(row, |traffic| traffic.rx_bytes),
        },
        Column {
            id: "tx_kib_per_sec",
            head: "txkB/s",
            json: "txkB/s",
            width: 10,
            unit: Unit::KibPerSec,
            needs: Facts::TRAFFIC,
            machine_only: false,
            help: "Application bytes sent, charged to whoever sent them.",
            read: |row| kib_per_sec(row, |traffic| traffic.tx_bytes),
        },
        Column {
            id: "rx_packets",
            head: "rxpck",
            json: "rx_packets",
            width: 10,
            unit: Unit::Count,
            needs: Facts::TRAFFIC,
            machine_only: true,
            help: "TCP segments and UDP messages received in the interval.",
            read: |row| row.delta(|task| task.traffic.map(|traffic| traffic.rx_packets)).into(),
        },
        Column {
            id: "tx_packets",
            head: "txpck",
            json: "tx_packets",
            width: 10,
            unit: Unit::Count,
            needs: Facts::TRAFFIC,
            machine_only: true,
            help: "TCP segments and UDP messages sent in the interval.",
            read: |row| row.delta(|task| task.traffic.map(|traffic| traffic.tx_packets)).into(),
        },
        Column {
            id: "rx_bytes",
            head: "rxB",
            json: "rx_bytes",
            width: 12,
            unit: Unit::Bytes,
            needs: Facts::TRAFFIC,
            machine_only: true,
            help: "Application bytes received in the interval; the sum over a run is exact.",
            read: |row| row.delta(|task| task.traffic.map(|traffic| traffic.rx_bytes)).into(),
        },
        Column {
            id: "tx_bytes",
            head: "txB",
            json: "tx_bytes",
            width: 12,
            unit: Unit::Bytes,
            needs: Facts::TRAFFIC,
            machine_only: true,
            help: "Application bytes sent in the interval; the sum over a run is exact.",
            read: |row| row.delta(|task| task.traffic.map(|traffic| traffic.tx_bytes)).into(),
        },
    ],
    active: |row| {
        [
            |traffic: Traffic| traffic.rx_bytes,
            |traffic: Traffic| traffic.tx_bytes,
            |traffic: Traffic| traffic.rx_packets,
            |traffic: Traffic| traffic.tx_packets,
        ]
        .into_iter()
        .any(|figure| row.changed(|task| task.traffic.map_or(0, figure)))
    },
};

fn kib_per_sec(row: &Row<'_>, bytes: fn(&Traffic) -> u64) -> Value {
    row.per_sec(|task| task.traffic.map(|traffic| bytes(&traffic))).map(|rate| rate / 1024.0).into()
}
