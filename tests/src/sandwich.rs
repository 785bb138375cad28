//! The oracle for a live machine: what /proc says between two looks at the kernel that agree must be what they say.

use pidstat_user::{
    clock::Clock,
    sample::{Facts, Pids, Sample, Task, TaskKey, Want},
    source::{Source, SourceError, ebpf::EbpfSource, procfs::ProcSource},
};
use std::{collections::HashMap, path::Path};

/// /proc shows CPU times and block delays in these.
const TICK_NS: u64 = 10_000_000;

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Tasks that did not change between the two looks, and so were compared.
    pub compared: usize,
    /// Tasks that changed meanwhile, or were not in all three samples.
    pub passed_over: usize,
    /// Task, field, what the kernel side says, what /proc says.
    pub differences: Vec<String>,
}

/// What `-u -r -d -w` show, of every process and every thread.
pub fn want() -> Want {
    let facts = Facts::OWNER | Facts::SCHED | Facts::SWITCHES | Facts::IO | Facts::DELAYS;
    // A process's files show its main thread's switches; the sum over all threads is in no file.
    Want { facts, pids: Pids::All, threads: true, sum_threads: false, ..Want::default() }
}

/// Samples kernel, /proc, kernel, and compares what can be compared.
///
/// # Errors
/// When a source fails.
pub fn compare(kernel: &mut EbpfSource, proc: &mut ProcSource) -> Result<Outcome, SourceError> {
    let (mut before, mut files, mut after) = (Sample::default(), Sample::default(), Sample::default());
    kernel.sample(&Clock::Real, None, &mut before)?;
    proc.sample(&Clock::Real, None, &mut files)?;
    kernel.sample(&Clock::Real, Some(&before), &mut after)?;
    let after: HashMap<TaskKey, &Task> = after.tasks.iter().map(|task| (task.key, task)).collect();
    let files: HashMap<TaskKey, &Task> = files.tasks.iter().map(|task| (task.key, task)).collect();
    let mut outcome = Outcome::default();
    for task in &before.tasks {
        let quiet = after.get(&task.key).is_some_and(|after| figures(task) == figures(after));
        let Some(file) = files.get(&task.key).filter(|_| quiet) else {
            outcome.passed_over += 1;
            continue;
        };
        outcome.compared += 1;
        for ((field, ours), (_, theirs)) in figures(task).into_iter().zip(figures(file)) {
            // From /proc these come in ticks; the kernel rounds down.
            let ours = if field.ends_with("_ns") && !EXACT.contains(&field) {
                ours.map(|ns| ns - ns % TICK_NS)
            } else {
                ours
            };
            if ours != theirs {
                let name = String::from_utf8_lossy(task.name()).into_owned();
                outcome
                    .differences
                    .push(format!("{:?} {name}: {field} {ours:?}, /proc {theirs:?}", task.key));
            }
        }
    }
    Ok(outcome)
}

/// Opens both sources on the machine's own /proc.
///
/// # Errors
/// Why one of them does not open, in words.
pub fn open() -> Result<(EbpfSource, ProcSource), String> {
    let want = want();
    let kernel =
        EbpfSource::open(Path::new("/proc"), Path::new("/sys"), &want).map_err(|why| why.to_string())?;
    let proc = ProcSource::open(want).map_err(|why| why.to_string())?;
    Ok((kernel, proc))
}

/// Figures in nanoseconds that /proc shows in nanoseconds too.
const EXACT: [&str; 2] = ["run_ns", "wait_ns"];

/// Every figure by name; `None` where there is none, whatever the reason.
fn figures(task: &Task) -> Vec<(&'static str, Option<u64>)> {
    let (sched, switches) = (task.sched.ok(), task.switches.ok());
    let (io, delays) = (task.io.ok(), task.delays.ok());
    vec![
        ("ppid", Some(task.ppid.into())),
        ("uid", Some(task.uid.into())),
        ("kernel_thread", Some(task.kernel_thread.into())),
        ("threads", Some(task.threads.into())),
        ("rt_priority", Some(task.rt_priority.into())),
        ("policy", Some(task.policy.into())),
        ("user_ns", Some(task.cpu.user_ns)),
        ("system_ns", Some(task.cpu.system_ns)),
        ("guest_ns", Some(task.cpu.guest_ns)),
        ("children_user_ns", Some(task.cpu.children_user_ns)),
        ("children_system_ns", Some(task.cpu.children_system_ns)),
        ("children_guest_ns", Some(task.cpu.children_guest_ns)),
        ("minor", Some(task.faults.minor)),
        ("major", Some(task.faults.major)),
        ("children_minor", Some(task.faults.children_minor)),
        ("children_major", Some(task.faults.children_major)),
        ("virtual_bytes", Some(task.memory.virtual_bytes)),
        ("resident_bytes", Some(task.memory.resident_bytes)),
        ("run_ns", sched.map(|sched| sched.run_ns)),
        ("wait_ns", sched.map(|sched| sched.wait_ns)),
        ("timeslices", sched.map(|sched| sched.timeslices)),
        ("voluntary", switches.map(|switches| switches.voluntary)),
        ("involuntary", switches.map(|switches| switches.involuntary)),
        ("rchar_bytes", io.map(|io| io.rchar_bytes)),
        ("wchar_bytes", io.map(|io| io.wchar_bytes)),
        ("read_calls", io.map(|io| io.read_calls)),
        ("write_calls", io.map(|io| io.write_calls)),
        ("read_bytes", io.map(|io| io.read_bytes)),
        ("write_bytes", io.map(|io| io.write_bytes)),
        ("cancelled_write_bytes", io.map(|io| io.cancelled_write_bytes)),
        ("block_io_ns", delays.map(|delays| delays.block_io_ns)),
    ]
}
