//! The table of `tests/vm/kernels.toml` that says what each rung counts of each way to move bytes, and the run that asserts it.
//!
//! Every workload runs with the rungs of a kernel attached beside each other.

use crate::traffic::{self, Bench, Load, Report};
use pidstat_user::{
    kernel::net::{Options, PidNamespace},
    sample::{NetChoice, Traffic},
};
use std::{thread, time::Duration};

/// What an approximate count may be off by, of all that a workload moved.
const APPROXIMATE_PCT: u64 = 10;

/// What a cell of the table says of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Each process to the byte.
    Exact,
    /// Nothing at all.
    NotCounted,
    /// All processes together to [`APPROXIMATE_PCT`], or each process so.
    Approximate,
}

/// One cell: `exact`, or `not counted: why`, or `approximate: why`, or two of them as `sent exact, received ...`.
fn cell(text: &str) -> Result<[Verdict; 2], String> {
    let one = |text: &str| match text.split_once(": ") {
        None if text == "exact" => Ok(Verdict::Exact),
        Some(("not counted", why)) if !why.is_empty() => Ok(Verdict::NotCounted),
        Some(("approximate", why)) if !why.is_empty() => Ok(Verdict::Approximate),
        _ => {
            Err(format!("{text:?} is neither \"exact\", nor \"not counted: why\", nor \"approximate: why\""))
        }
    };
    match text.strip_prefix("sent ").and_then(|rest| rest.split_once(", received ")) {
        Some((sent, received)) => Ok([one(sent)?, one(received)?]),
        None => one(text).map(|verdict| [verdict, verdict]),
    }
}

/// The rung of a name.
pub fn choice(name: &str) -> Option<NetChoice> {
    [NetChoice::Tracepoint, NetChoice::Fexit, NetChoice::Kprobe, NetChoice::Sampled]
        .into_iter()
        .find(|choice| choice.name() == name)
}

/// Runs every path of the table on every one of these rungs, and says of each what was asserted and how it went. What the
/// kernel lacks must not be lacking where it has `everything`.
///
/// # Errors
/// What is wrong with the table, or which rung does not attach.
pub fn run(
    table: &toml::Table,
    rungs: &[&str],
    everything: bool,
    mut said: impl FnMut(&str, Result<(), String>),
) -> Result<(), String> {
    let paths = table.get("paths").and_then(toml::Value::as_table).ok_or("kernels.toml has no [paths]")?;
    let mut benches = Vec::new();
    for rung in rungs {
        let choice = choice(rung).ok_or_else(|| format!("there is no rung {rung}"))?;
        let options = Options { unix: true, ..Options::default() };
        let bench = Bench::open_by(choice, PidNamespace::default(), options);
        benches.push((*rung, bench.map_err(|why| format!("{rung}: {why}"))?));
    }
    for (path, facts) in paths {
        let text = |key: &str| facts.get(key).and_then(toml::Value::as_str);
        if let Some(needed) = text("needs")
            && !traffic::kernel_has(needed)
        {
            let outcome = if everything { Err("the kernel must have it".to_owned()) } else { Ok(()) };
            said(&format!("{path} is not there: this kernel has no {needed}"), outcome);
            continue;
        }
        for family in text("families").unwrap_or("4").split(' ') {
            let reports = workload(&mut benches, &[path, family]);
            for (rung, bench) in &benches {
                let words =
                    text(rung).ok_or_else(|| format!("kernels.toml: {path} says nothing of {rung}"))?;
                let wanted = cell(words).map_err(|why| format!("kernels.toml: {path}: {why}"))?;
                let outcome = reports
                    .clone()
                    .and_then(|reports| judge(bench, path.starts_with("unix"), wanted, &reports));
                said(&format!("{path} {family} by {rung}: {words}"), outcome);
            }
        }
    }
    for (rung, bench) in &benches {
        let lost: Vec<_> = bench
            .losses
            .named()
            .into_iter()
            .filter(|(name, n)| *n > 0 && *name != "recursion_misses")
            .collect();
        let outcome = if lost.is_empty() { Ok(()) } else { Err(format!("{lost:?}")) };
        said(&format!("{rung} lost nothing"), outcome);
    }
    Ok(())
}

/// Runs a workload and samples by every rung all along, then once more.
fn workload(benches: &mut [(&str, Bench)], args: &[&str]) -> Result<Vec<Report>, String> {
    let mut load = Load::start(args);
    while load.running() {
        benches.iter_mut().for_each(|(_, bench)| bench.collect());
        thread::sleep(Duration::from_millis(10));
    }
    let reports = load.finished();
    benches.iter_mut().for_each(|(_, bench)| bench.collect());
    reports
}

fn judge(bench: &Bench, unix: bool, wanted: [Verdict; 2], reports: &[Report]) -> Result<(), String> {
    if reports.is_empty() {
        return Err("the workload says nothing".into());
    }
    let counted = |report: &Report| -> Traffic {
        if unix { bench.unix_traffic(report.pid) } else { bench.traffic(report.pid) }
    };
    if wanted == [Verdict::Exact; 2] {
        // Where datagrams are all that a process moved, each is a packet.
        for report in reports.iter().filter(|report| report.tx_messages + report.rx_messages > 0) {
            let traffic = counted(report);
            if (traffic.tx_packets, traffic.rx_packets) != (report.tx_messages, report.rx_messages) {
                return Err(format!("messages: {traffic:?}, not {report:?}"));
            }
        }
    }
    for (direction, verdict) in wanted.into_iter().enumerate() {
        let each = reports.iter().map(|report| {
            let traffic = counted(report);
            let both = [(report.tx, traffic.tx_bytes), (report.rx, traffic.rx_bytes)];
            (report.pid, both[direction])
        });
        let sum = each.clone().fold((0, 0), |sum, (_, (is, says))| (sum.0 + is, sum.1 + says));
        let good = match verdict {
            Verdict::Exact => each.clone().all(|(_, (is, says))| is == says),
            Verdict::NotCounted => sum.1 == 0,
            Verdict::Approximate => sum.0.abs_diff(sum.1) * 100 <= sum.0 * APPROXIMATE_PCT,
        };
        if !good {
            let list: Vec<String> =
                each.map(|(pid, (is, says))| format!("{says} of {is} by process {pid}")).collect();
            let word = ["sent", "received"][direction];
            return Err(format!("{word}: {}; {:?}", list.join(", "), bench.losses));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Verdict, cell};

    #[test]
    fn a_cell_says_one_thing_or_one_for_each_direction() {
        assert_eq!(cell("exact"), Ok([Verdict::Exact; 2]));
        assert_eq!(cell("not counted: why"), Ok([Verdict::NotCounted; 2]));
        assert_eq!(
            cell("sent exact, received approximate: a, b"),
            Ok([Verdict::Exact, Verdict::Approximate])
        );
        for bad in ["", "exactly", "not counted", "approximate: ", "sent exact"] {
            assert!(cell(bad).is_err(), "{bad}");
        }
    }
}
