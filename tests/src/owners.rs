//! Who is said to own connections, where that is hard to tell: beside another watcher, and for what the kernel adds by itself.

use crate::traffic::{Bench, Load, kernel_has};
use pidstat_user::{
    kernel::net::{Options, PidNamespace},
    sample::{NetChoice, socket::Upper},
};
use std::process;

fn open(choice: NetChoice) -> Result<Bench, String> {
    Bench::open_by(choice, PidNamespace::default(), Options::default())
        .map_err(|why| format!("{}: {why}", choice.name()))
}

/// Two watchers look at so many rounds of short connections at the same time, and each must say the truth. A walk over
/// descriptors holds each for a moment; a process that closes its socket just then leaves it to the walk to close, in the
/// name of whoever walks.
///
/// # Errors
/// Which of them says something else.
pub fn told_beside_another(choices: [NetChoice; 2], load: &str, rounds: u32) -> Result<(), String> {
    let mut benches = [open(choices[0])?, open(choices[1])?];
    for round in 0..rounds {
        let mut load = Load::start(&[load, "4"]);
        while load.running() {
            benches.iter_mut().for_each(Bench::collect);
        }
        let reports = load.finished()?;
        for (choice, bench) in choices.iter().zip(&mut benches) {
            bench.collect();
            for report in &reports {
                let counted = bench.traffic(report.pid);
                if (counted.tx_bytes, counted.rx_bytes) != (report.tx, report.rx) {
                    return Err(format!("{}, round {round}: {counted:?}, not {report:?}", choice.name()));
                }
            }
        }
    }
    for (choice, bench) in choices.iter().zip(&benches) {
        let own = bench.traffic(process::id());
        if (own.tx_bytes, own.rx_bytes, own.tx_packets, own.rx_packets) != (0, 0, 0, 0) {
            return Err(format!("{}: the watcher itself has {own:?}", choice.name()));
        }
        bench.nothing_lost();
    }
    Ok(())
}

/// Subflows of MPTCP belong to who uses the MPTCP socket, whether a walk saw them or not.
///
/// # Errors
/// Which row says something else.
pub fn of_subflows(choice: NetChoice) -> Result<(), String> {
    if !kernel_has("mptcp") {
        return Err("the kernel has no MPTCP".into());
    }
    for family in ["4", "6"] {
        for seen in [true, false] {
            let mut bench = open(choice)?;
            bench.net.keep_closed(true);
            let reports =
                if seen { bench.run(&["mptcp", family]) } else { bench.run_unseen(&["mptcp", family]) };
            bench.collect();
            let mut rows = Vec::new();
            bench.net.connections(0, &mut rows);
            let subflows: Vec<_> = rows.iter().filter(|row| row.upper == Upper::Mptcp).collect();
            for report in &reports {
                if !subflows.iter().any(|row| row.key.owner.tgid == report.pid) {
                    return Err(format!("{family}, seen {seen}: none is of {report:?}: {subflows:?}"));
                }
            }
            let is_known = |pid| reports.iter().any(|report| report.pid == pid);
            if let Some(row) = subflows.iter().find(|row| !is_known(row.key.owner.tgid)) {
                return Err(format!("{family}, seen {seen}: whose is {row:?}"));
            }
        }
    }
    Ok(())
}
