//! Packets on the wire, counted for every socket but TCP's, against workloads that know how many they sent.

use crate::traffic::Bench;
use pidstat_user::{
    kernel::net::{Options, PidNamespace},
    sample::NetChoice,
};

/// A workload, its families, and how many packets the sender and the receiver have where that is not the number of calls.
const CASES: [(&str, &str, Option<[u64; 2]>); 9] = [
    ("udp", "4 6 mapped", None),
    ("udp-connected", "4 6 mapped", None),
    ("udp-zero", "4 6", None),
    ("udp-churn", "4", None),
    ("udp-recvmmsg", "4 6", None),
    ("error-queue", "4", None),
    ("ping", "4 6", None),
    // Five pieces are one datagram.
    ("udp-more", "4 6", Some([5, 5])),
    // One call makes ten datagrams, and one call takes many.
    ("udp-gso", "4 6", Some([110, 110])),
];

/// Runs them with a rung attached that also counts packets.
///
/// # Errors
/// What does not hold.
pub fn are_exact(choice: NetChoice) -> Result<(), String> {
    let options = Options { packets: true, ..Options::default() };
    let mut bench =
        Bench::open_by(choice, PidNamespace::default(), options).map_err(|why| why.to_string())?;
    if !bench.net.counts_packets() {
        return Err(format!("packets are not counted: {:?}", bench.net.note()));
    }
    for (case, families, known) in CASES {
        for family in families.split(' ') {
            for report in bench.run(&[case, family]) {
                let calls = [report.tx_messages, report.rx_messages];
                let known = known.unwrap_or(calls);
                // A side that made no call moved nothing.
                let expected = [0, 1].map(|side: usize| if calls[side] == 0 { 0 } else { known[side] });
                let traffic = bench.traffic(report.pid);
                let counted = [traffic.tx_packets, traffic.rx_packets];
                if counted != expected || expected == [0, 0] {
                    return Err(format!("{case} {family}: {counted:?} of {expected:?}, {report:?}"));
                }
                if (traffic.tx_bytes, traffic.rx_bytes) != (report.tx, report.rx) {
                    return Err(format!("{case} {family}: bytes {traffic:?}, {report:?}"));
                }
            }
        }
    }
    Ok(())
}
