//! Opens the source that a plan chose: the best of this machine, and what is said where that is not the best there is.

use super::Failure;
use crate::{
    cli::{Plan, plan::From},
    clock::Clock,
    kernel::Reason,
    sample::{Facts, NetChoice, Want},
    source::{
        Source,
        ebpf::{self, EbpfSource},
        pcap::{self, PcapSource},
        procfs::{self, ProcSource},
        recording::RecordingSource,
        replay::ReplaySource,
    },
};
use std::path::Path;

/// Opens the source that the plan chose, with the clock that goes with it.
pub(crate) fn open_source(plan: &Plan) -> Result<(Box<dyn Source>, Clock), Failure> {
    match &plan.from {
        From::Instants(dir) => {
            let source = ReplaySource::open(dir, plan.want.clone())?;
            let clock = Clock::Fake(source.start());
            Ok((Box::new(source), clock))
        }
        From::Recording(file) => {
            let source = RecordingSource::open(file, &plan.want)?;
            let clock = Clock::Fake(source.start());
            Ok((Box::new(source), clock))
        }
        machine => Ok((open_machine(&plan.want, machine, plan.notes)?, Clock::Real)),
    }
}

/// The machine itself. `notes` says whether standard error is told what is not the best.
fn open_machine(want: &Want, from: &From, notes: bool) -> Result<Box<dyn Source>, Failure> {
    let traffic = want.facts.has(Facts::TRAFFIC);
    if traffic && want.net == NetChoice::Pcap {
        let refused = |why| Failure::UnsupportedRung { rung: NetChoice::Pcap, why };
        return captured(want, from, notes).map_err(refused)?;
    }
    match from {
        From::Files(Some(procfs)) => Ok(Box::new(ProcSource::open_at(procfs, want.clone())?)),
        From::Files(None) => Ok(Box::new(ProcSource::open(want.clone())?)),
        From::Ebpf => {
            let source = open_ebpf(want).map_err(Failure::Unsupported)?;
            demand_rung(want, source.net_failure())?;
            say_where(want, notes);
            Ok(Box::new(source))
        }
        _ => {
            let (why, source) = match open_ebpf(want) {
                Ok(source) => (source.net_failure().cloned(), Some(source)),
                Err(why) => (Some(why), None),
            };
            demand_rung(want, why.as_ref())?;
            let fallback = match why {
                Some(_) if traffic => Some(captured(want, from, notes)),
                _ => None,
            };
            match (fallback, source) {
                (Some(Ok(source)), ebpf) => {
                    if let (Some(why), true, true) = (why, notes, ebpf.is_some()) {
                        eprintln!("kpidstat: eBPF does not count traffic: {why}; {}", why.remedy());
                    }
                    source
                }
                (fallback, source) => {
                    let source = match source {
                        Some(source) => {
                            say_where(want, notes);
                            Ok(Box::new(source) as Box<dyn Source>)
                        }
                        None => open_files(want, why.as_ref(), notes),
                    };
                    if let (Some(Err(why)), true) = (fallback, notes) {
                        eprintln!("kpidstat: nor can packets be captured: {why}; {}", why.remedy());
                    }
                    source
                }
            }
        }
    }
}

/// The machine with its traffic, by whatever rung counts it.
///
/// # Errors
/// Why nothing counts it.
pub(crate) fn open_traffic(want: &Want) -> Result<Box<dyn Source>, Failure> {
    if want.net == NetChoice::Pcap {
        return open_machine(want, &From::Auto, true);
    }
    let failed = match open_ebpf(want) {
        Ok(source) => match source.net_failure().cloned() {
            None => {
                say_where(want, true);
                return Ok(Box::new(source));
            }
            Some(why) => why,
        },
        Err(why) => why,
    };
    demand_rung(want, Some(&failed))?;
    match captured(want, &From::Auto, true) {
        Ok(source) => source,
        Err(pcap) => Err(Failure::NoTraffic { ebpf: failed, pcap }),
    }
}

/// Traffic by captured packets, tasks by the best that can be had.
fn captured(want: &Want, from: &From, notes: bool) -> Result<Result<Box<dyn Source>, Failure>, Reason> {
    let want_tasks = pcap::without_traffic(want);
    let tasks = || match from {
        From::Files(_) => open_machine(&want_tasks, from, notes),
        From::Ebpf => Ok(Box::new(open_ebpf(&want_tasks).map_err(Failure::Unsupported)?) as Box<dyn Source>),
        _ => match open_ebpf(&want_tasks) {
            Ok(source) => Ok(Box::new(source) as Box<dyn Source>),
            Err(why) => open_files(&want_tasks, Some(&why), notes),
        },
    };
    let opened = PcapSource::open(Path::new(procfs::PROC_ROOT), want, tasks)?;
    Ok(opened.map(|source| Box::new(source) as Box<dyn Source>))
}

/// Files of the machine, because eBPF cannot be used.
fn open_files(want: &Want, why: Option<&Reason>, notes: bool) -> Result<Box<dyn Source>, Failure> {
    if let (Some(why), true) = (why, notes) {
        eprintln!("kpidstat: eBPF cannot be used, so /proc is read: {why}; {}", why.remedy());
    }
    Ok(Box::new(ProcSource::open(want.clone())?))
}

/// Says that devices and filters mean nothing, if any were asked for.
fn say_where(want: &Want, notes: bool) {
    if notes && want.facts.has(Facts::TRAFFIC) && pcap::is_asked(&want.capturing) {
        eprintln!(
            "kpidstat: traffic is counted at the sockets, so on all devices and unfiltered; devices and filters of packets \
             are for --net pcap"
        );
    }
}

/// Fails if a way to count traffic was demanded and there is a reason against it.
fn demand_rung(want: &Want, why_not: Option<&Reason>) -> Result<(), Failure> {
    match why_not {
        Some(why) if want.net != NetChoice::Auto => {
            Err(Failure::UnsupportedRung { rung: want.net, why: why.clone() })
        }
        _ => Ok(()),
    }
}

fn open_ebpf(want: &Want) -> Result<EbpfSource, Reason> {
    let proc_root = Path::new(procfs::PROC_ROOT);
    ebpf::usable(proc_root)?;
    EbpfSource::open(proc_root, Path::new(procfs::SYS_ROOT), want)
}
