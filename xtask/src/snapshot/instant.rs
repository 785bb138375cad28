//! One instant: the files that a sample reads, copied with what they tell of people and of the host replaced.

use super::{scrub::Scrub, write};
use anyhow::Result;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Of the whole machine.
const OF_MACHINE: [&str; 6] =
    ["uptime", "stat", "meminfo", "diskstats", "net/dev", "sys/kernel/task_delayacct"];

/// What threads share, so that it is read once for each process.
struct Shared {
    cmdline: Option<Vec<u8>>,
    smaps: Option<Vec<u8>>,
    fds: Option<Vec<String>>,
}

/// Takes this moment into `dir`; how many processes.
///
/// # Errors
/// When something cannot be written. What cannot be read is not there in the copy either: the replay understands a missing
/// file as kpidstat would have understood the refusal.
pub fn take(dir: &Path, pids: &BTreeSet<u32>, scrub: &mut Scrub) -> Result<usize> {
    let (from, to) = (Path::new("/proc"), dir.join("proc"));
    for file in OF_MACHINE {
        if let Ok(bytes) = fs::read(from.join(file)) {
            write(&to.join(file), &bytes)?;
        }
    }
    let cpus = Path::new("devices/system/cpu");
    for name in entries(&Path::new("/sys").join(cpus)).unwrap_or_default() {
        if name.strip_prefix("cpu").is_some_and(is_number) {
            fs::create_dir_all(dir.join("sys").join(cpus).join(name))?;
        }
    }
    let mut taken = 0;
    for name in entries(from).unwrap_or_default() {
        let Ok(pid) = name.parse::<u32>() else { continue };
        if pids.is_empty() || pids.contains(&pid) {
            taken += usize::from(process(&from.join(&name), &to.join(&name), scrub)?);
        }
    }
    Ok(taken)
}

/// Copies a process and its threads; false if it ended meanwhile.
fn process(from: &Path, to: &Path, scrub: &mut Scrub) -> Result<bool> {
    let shared = Shared {
        cmdline: fs::read(from.join("cmdline")).ok().map(|bytes| scrub.cmdline(&bytes)),
        smaps: fs::read(from.join("smaps")).ok().map(|bytes| stack(&bytes)),
        fds: entries(&from.join("fd")),
    };
    if !task(from, to, &shared, scrub)? {
        return Ok(false);
    }
    for name in entries(&from.join("task")).unwrap_or_default() {
        task(&from.join("task").join(&name), &to.join("task").join(&name), &shared, scrub)?;
    }
    Ok(true)
}

/// Copies one directory; false, with nothing written, if the task ended before all of it was read.
fn task(from: &Path, to: &Path, shared: &Shared, scrub: &mut Scrub) -> Result<bool> {
    let read = |name: &str| fs::read(from.join(name)).ok();
    let (Some(stat), Some(status), Some(comm)) = (read("stat"), read("status"), read("comm")) else {
        return Ok(false);
    };
    let rest = [("io", read("io")), ("schedstat", read("schedstat")), ("cgroup", read("cgroup"))];
    // The last look: half a task would replay as one that was refused to us.
    if read("stat").is_none() {
        return Ok(false);
    }
    scrub.saw_owner(&status);
    write(&to.join("stat"), &scrub.stat(&stat))?;
    write(&to.join("status"), &scrub.status(&status))?;
    write(&to.join("comm"), &scrub.text(&comm))?;
    for (name, bytes) in rest {
        if let Some(bytes) = bytes {
            write(&to.join(name), &scrub.text(&bytes))?;
        }
    }
    for (name, bytes) in [("cmdline", &shared.cmdline), ("smaps", &shared.smaps)] {
        if let Some(bytes) = bytes {
            write(&to.join(name), bytes)?;
        }
    }
    if let Some(fds) = &shared.fds {
        fs::create_dir_all(to.join("fd"))?;
        for fd in fds {
            write(&to.join("fd").join(fd), b"")?;
        }
    }
    Ok(true)
}

/// The mapping of the stack out of smaps: the others name files.
fn stack(smaps: &[u8]) -> Vec<u8> {
    let mut inside = false;
    let lines = smaps.split_inclusive(|b| *b == b'\n');
    let kept = lines.filter(|line| {
        // Fields begin with capitals, headers with an address.
        if line.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            inside = line.trim_ascii_end().ends_with(b"[stack]");
        }
        inside
    });
    kept.flatten().copied().collect()
}

/// Names in a directory, as far as they are text; none if it cannot be listed.
fn entries(dir: &Path) -> Option<Vec<String>> {
    let listing = fs::read_dir(dir).ok()?;
    let paths = listing.filter_map(|entry| Some(entry.ok()?.file_name())).map(PathBuf::from);
    Some(paths.filter_map(|path| path.to_str().map(str::to_owned)).collect())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_stack_is_kept() {
        let smaps = b"00-01 r-xp 0 00:00 0 /home/a\nSize: 9 kB\n02-03 rw-p 0 00:00 0   [stack]\nSize: 4 kB\n\
            Referenced: 1 kB\n05-06 r-xp 0 00:00 0   [vdso]\nSize: 8 kB\n";
        let stack = super::stack(smaps);
        assert_eq!(stack, b"02-03 rw-p 0 00:00 0   [stack]\nSize: 4 kB\nReferenced: 1 kB\n");
    }
}
