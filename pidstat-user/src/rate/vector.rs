//! pypidstat's view of the network as a library: for each process, and for each of its connections by name, how many packets
//! and bytes it sent and received.

use crate::sample::{Moved, Sample};
use std::collections::BTreeMap;

/// `[send_packet_cnt, send_packet_bytes, recv_packet_cnt, recv_packet_bytes]`, cumulative since the tool saw the sockets.
///
/// Packets are TCP segments and messages of everything else; bytes are what the application wrote and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// TCP segments and UDP messages sent.
    pub sent_packets: u64,
    /// Bytes the kernel accepted from the application.
    pub sent_bytes: u64,
    /// TCP segments and UDP messages received.
    pub received_packets: u64,
    /// Bytes the application took.
    pub received_bytes: u64,
}

impl Vector {
    fn of(moved: &Moved) -> Vector {
        Vector {
            sent_packets: moved.tx_packets(),
            sent_bytes: moved.tx_bytes,
            received_packets: moved.rx_packets(),
            received_bytes: moved.rx_bytes,
        }
    }

    fn plus(self, other: Vector) -> Vector {
        Vector {
            sent_packets: self.sent_packets.saturating_add(other.sent_packets),
            sent_bytes: self.sent_bytes.saturating_add(other.sent_bytes),
            received_packets: self.received_packets.saturating_add(other.received_packets),
            received_bytes: self.received_bytes.saturating_add(other.received_bytes),
        }
    }

    /// As the list that pypidstat has.
    pub fn to_array(self) -> [u64; 4] {
        [self.sent_packets, self.sent_bytes, self.received_packets, self.received_bytes]
    }
}

/// The traffic of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessTraffic {
    /// All its connections together.
    pub all: Vector,
    /// Each by its name, `src_ip:src_port-dst_ip:dst_port` as seen from the process. Connections that follow each other
    /// under one name are added up.
    pub connections: BTreeMap<String, Vector>,
}

/// Adds samples up: connections that ended between two samples are in the later one only, so every sample has to be taken
/// in.
///
/// ```
/// use pidstat_user::{
///     rate::vector::Vectors,
///     sample::{Comm, Connection, ConnectionKey, Moved, Sample, TaskKey, socket::User},
/// };
///
/// // What a source fills; `source::ebpf::EbpfSource` does, opened with `Facts::TRAFFIC | Facts::CONNECTIONS`.
/// let key = ConnectionKey { cookie: 9, owner: TaskKey { tgid: 42, tid: 0, start_ticks: 7 } };
/// let mut connection = Connection::blank(key, User { comm: Comm::new(b"curl"), uid: 0 });
/// connection.local = "10.0.0.1:40000".parse().unwrap();
/// connection.remote = Some("10.0.0.2:80".parse().unwrap());
/// connection.moved = Moved { tx_segments: 3, tx_bytes: 75, rx_segments: 4, rx_bytes: 5000, ..Moved::default() };
/// let sample = Sample { connections: vec![connection], ..Sample::default() };
///
/// let mut vectors = Vectors::default();
/// vectors.take(&Sample::default(), &sample);
/// let curl = &vectors.processes()[&42];
/// assert_eq!(curl.all.to_array(), [3, 75, 4, 5000]);
/// assert_eq!(curl.connections["10.0.0.1:40000-10.0.0.2:80"].sent_bytes, 75);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Vectors {
    processes: BTreeMap<u32, ProcessTraffic>,
}

impl Vectors {
    /// Takes in what moved from one sample to the next. A counter that fell adds nothing.
    pub fn take(&mut self, before: &Sample, now: &Sample) {
        for change in super::connection::changes(before, now) {
            let Ok(gain) = change.gain else { continue };
            if gain == Moved::default() {
                continue;
            }
            let process = self.processes.entry(change.now.key.owner.tgid).or_default();
            process.all = process.all.plus(Vector::of(&gain));
            let one = process.connections.entry(change.now.conn_key()).or_default();
            *one = one.plus(Vector::of(&gain));
        }
    }

    /// Every process with traffic, by its id; 0 stands for what has no process here.
    pub fn processes(&self) -> &BTreeMap<u32, ProcessTraffic> {
        &self.processes
    }

    /// Forgets a process, which a tool that runs for months does when it ended.
    pub fn forget(&mut self, pid: u32) {
        self.processes.remove(&pid);
    }
}
