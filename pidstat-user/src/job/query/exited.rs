//! Processes that end while a query waits for them.

use super::Trouble;
use crate::{
    cli::tree::{TargetArg, TreeArgs},
    clock::Clock,
    sample::{Facts, Host, Sample, Want},
    source::{
        Source as _,
        ebpf::{self, EbpfSource},
        procfs,
    },
};
use std::{
    mem,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How often what the kernel has ready is taken over meanwhile.
const STEP: Duration = Duration::from_millis(50);
/// After how many of these everybody is looked at: a command line is known of who was seen while the program ran.
const LOOK: u32 = 4;
/// How long records of processes that ended in time are waited for.
const LATE: Duration = Duration::from_secs(1);

/// The sample at the end of so much time, with those who ended in it, and the machine.
pub(super) fn during(time: Duration, args: &TreeArgs) -> Result<(Sample, Host), Trouble> {
    let proc_root = Path::new(procfs::PROC_ROOT);
    if args.procfs != proc_root || args.target == TargetArg::Thread {
        return Err(Trouble::Usage("--exited is about processes of this machine".into()));
    }
    let facts = Facts::CMDLINE | Facts::IO | Facts::SWITCHES | Facts::TRAFFIC;
    let want = Want { facts, sum_threads: true, ..Want::default() };
    let opened = ebpf::usable(proc_root)
        .and_then(|()| EbpfSource::open(proc_root, Path::new(procfs::SYS_ROOT), &want));
    let mut source = opened.map_err(Trouble::Unsupported)?;
    if let Some(note) = source.note() {
        eprintln!("kpidstat: {note}");
    }
    let (mut before, mut now) = (Sample::default(), Sample::default());
    source.sample(&Clock::Real, None, &mut before)?;
    let begun = Instant::now();
    let mut departed = Vec::new();
    for step in 1u32.. {
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        thread::sleep(left.min(STEP));
        source.drain();
        if step.is_multiple_of(LOOK) {
            source.sample(&Clock::Real, Some(&before), &mut now)?;
            departed.extend(now.departed.iter().filter(|task| task.exit().is_some()).cloned());
            mem::swap(&mut before, &mut now);
        }
    }
    source.sample(&Clock::Real, Some(&before), &mut now)?;
    let ended = Instant::now();
    while source.late(&before, &mut now, ended.elapsed() >= LATE) {
        thread::sleep(STEP);
    }
    now.departed.append(&mut departed);
    let host = source.host().clone();
    Ok((now, host))
}
