//! Reads one member of one node.

use super::{
    super::{
        cgroup,
        files::{Extent, Files, Place, Refusal},
        number, schedstat,
    },
    Target, parse,
};
use crate::sample::{
    Missing,
    node::{Member, Value},
};
use std::rc::Rc;

/// A command line can have 6 MiB, nothing else has as much.
const MOST_BYTES: usize = 8 << 20;

/// The values of a member; `stat` is the node's own, if it was read already.
///
/// # Errors
/// Why there are none.
pub(super) fn read(
    files: &mut Files,
    at: Place,
    target: Target,
    member: Member,
    stat: Option<&[Value]>,
) -> Result<Rc<[Value]>, Missing> {
    let parse = match member {
        Member::Stat => parse::stat,
        Member::Cmdline => parse::cmdline,
        Member::Io => parse::io,
        Member::Status => parse::status,
        Member::SmapsRollup => parse::smaps_rollup,
        Member::Cgroup => group,
        Member::Fd => return descriptors(files, at),
        Member::Delay => return delays(files, at, target, stat),
        Member::Exited => return Err(Missing::DoesNotApply),
        // The tree reads it, which knows all sockets.
        Member::Net => return Err(Missing::NotInSource),
    };
    // The kernel makes each of these files in one go.
    let extent = if member == Member::Cmdline { Extent::RecordAtMost(MOST_BYTES) } else { Extent::Record };
    Ok(parse(files.read(at, member.name(), extent)?))
}

fn group(bytes: &[u8]) -> Rc<[Value]> {
    let path = cgroup::path(bytes).map(parse::text);
    [path.unwrap_or(Value::Missing(Missing::DoesNotApply))].into()
}

/// Counts descriptors by the kind of what they lead to.
fn descriptors(files: &mut Files, at: Place) -> Result<Rc<[Value]>, Missing> {
    /// In the order of the fields; what has no inode of its own has no kind either.
    const KINDS: [libc::mode_t; 8] = [
        0,
        libc::S_IFDIR,
        libc::S_IFCHR,
        libc::S_IFBLK,
        libc::S_IFREG,
        libc::S_IFIFO,
        libc::S_IFLNK,
        libc::S_IFSOCK,
    ];
    let mut counts = [0; KINDS.len()];
    files.modes(at, Member::Fd.name(), |mode, _| {
        if let Some(kind) = KINDS.iter().position(|kind| *kind == mode & libc::S_IFMT) {
            counts[kind] += 1;
        }
    })?;
    Ok(counts.map(Value::Integer).into())
}

/// Adds the waiting times of the live threads up; of a thread, its own.
fn delays(
    files: &mut Files,
    at: Place,
    target: Target,
    stat: Option<&[Value]>,
) -> Result<Rc<[Value]>, Missing> {
    const FILE: &str = "schedstat";
    let mut threads = Vec::new();
    match target {
        Target::Thread => threads.push(at),
        Target::Process => files.list(at, "task", |name| {
            threads.extend(number::entry(name).map(|tid| Place { pid: at.pid, tid }));
        })?,
    }
    let mut sum: Option<[u64; 3]> = None;
    let mut refused = Missing::Gone;
    for thread in threads {
        match files.read(thread, FILE, Extent::Record).map(schedstat::parse) {
            Ok(Some(times)) => {
                let sum = sum.get_or_insert_default();
                for (sum, time) in sum.iter_mut().zip([times.run_ns, times.wait_ns, times.timeslices]) {
                    *sum = sum.saturating_add(time);
                }
            }
            Ok(None) => {}
            Err(Refusal(libc::ENOENT)) if files.exists(thread, "stat") => refused = Missing::NotInKernel,
            Err(refusal) => refused = refusal.into(),
        }
    }
    let [run, wait, slices] = match sum {
        Some(sum) => sum.map(Value::unsigned),
        None => [(); 3].map(|()| Value::Missing(refused)),
    };
    Ok([run, wait, slices, block_io(files, stat)].into())
}

/// Field 42 of `stat` in nanoseconds. The kernel says 0 also when it does not measure.
fn block_io(files: &mut Files, stat: Option<&[Value]>) -> Value {
    const DELAY_TICKS: usize = 24;
    /// USER_HZ is 100 wherever eBPF runs.
    const NS_PER_TICK: i64 = 10_000_000;
    let measured = files.read_system("sys/kernel/task_delayacct").ok().and_then(number::first);
    match stat.map(|stat| &stat[DELAY_TICKS]) {
        Some(Value::Integer(0)) if measured == Some(0) => Value::Missing(Missing::NotMeasured),
        Some(Value::Integer(ticks)) => Value::Integer(ticks.saturating_mul(NS_PER_TICK)),
        Some(other) => other.clone(),
        None => Value::Missing(Missing::Gone),
    }
}
