//! What this user may not read, found by trying, and which capability would change it.

use super::Reader;
use crate::sample::{Facts, Missing, Pids, Want};

/// `cap_dac_override`, `cap_dac_read_search` and `cap_sys_ptrace` of capabilities(7).
const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;

/// One kind of file that is guarded: what it gives, and what opens those of other users.
struct Guarded {
    fact: Facts,
    what: &'static str,
    mode: bool,
    trace: bool,
}

/// `io` has mode 0400 and a ptrace check, `fd` only the mode (0500), `smaps` only the check (measured on Linux 6.18, with
/// each capability alone).
const GUARDED: [Guarded; 3] = [
    Guarded { fact: Facts::IO, what: "disk figures", mode: true, trace: true },
    Guarded { fact: Facts::STACK, what: "stack sizes", mode: false, trace: true },
    Guarded { fact: Facts::FDS, what: "numbers of open files", mode: true, trace: false },
];

/// One line about what of `want` this user cannot have, `None` if everything asked for can be had. A fact counts as
/// refused when a capability for it is not in effect and a process is found whose file is in fact refused.
pub fn note(reader: &mut Reader, want: &Want) -> Option<String> {
    if !reader.real() {
        return None;
    }
    let effective = effective_capabilities();
    let mut refusals = Vec::new();
    for guarded in &GUARDED {
        let missing = missing_capabilities(guarded, effective);
        if want.facts.has(guarded.fact) && !missing.is_empty() && refused(reader, want, guarded.fact) {
            refusals.push(format!("{} (needs {})", guarded.what, missing.join(" and ")));
        }
    }
    let mut parts = Vec::new();
    if !refusals.is_empty() {
        parts.push(format!("shown as - for other users' processes: {}", refusals.join(", ")));
    }
    if want.pids == Pids::All && hidden(reader) && !may_trace() {
        parts.push("processes of other users are hidden (hidepid) without CAP_SYS_PTRACE".into());
    }
    if want.facts.has(Facts::TRAFFIC) {
        parts.push("files of the kernel have no network figures per process".into());
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn missing_capabilities(guarded: &Guarded, effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    let mut missing = Vec::new();
    if guarded.mode && !has(DAC_READ_SEARCH) && !has(DAC_OVERRIDE) {
        missing.push("CAP_DAC_READ_SEARCH");
    }
    if guarded.trace && !has(SYS_PTRACE) {
        missing.push("CAP_SYS_PTRACE");
    }
    missing
}

/// Tries the processes in turn until one refuses: for an ordinary user the first already does.
fn refused(reader: &mut Reader, want: &Want, fact: Facts) -> bool {
    let mut pids = Vec::new();
    match &want.pids {
        Pids::Only(listed) => pids.clone_from(listed),
        Pids::All if reader.pids(&mut pids).is_err() => return false,
        Pids::All => {}
    }
    let refused = |why: Option<Missing>| why == Some(Missing::NoPermission);
    pids.into_iter().any(|pid| match fact {
        Facts::IO => refused(reader.io(pid).err()),
        Facts::STACK => refused(reader.stack(pid).err()),
        _ => refused(reader.fds(pid).err()),
    })
}

/// Every PID namespace has a process 1; where it cannot be seen, nor can others.
fn hidden(reader: &mut Reader) -> bool {
    reader.name(1).is_none()
}

/// Whether this process may look into those of other users.
pub fn may_trace() -> bool {
    effective_capabilities() & (1 << SYS_PTRACE) != 0
}

/// The effective set of this process, by capget(2); empty if the kernel does not say.
pub fn effective_capabilities() -> u64 {
    /// `_LINUX_CAPABILITY_VERSION_3`: two words per set.
    const VERSION: u32 = 0x2008_0522;
    let mut header = [VERSION, 0];
    // Two `struct __user_cap_data_struct`: effective, permitted and inheritable of the low words, then of the high ones.
    let mut data = [0u32; 6];
    // SAFETY: the header is two words (version, pid 0 for this thread) and version 3 fills exactly six words.
    let error = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    if error != 0 {
        return 0;
    }
    u64::from(data[0]) | u64::from(data[3]) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_effective_set_is_what_status_says() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        assert_eq!(effective_capabilities(), u64::from_str_radix(line.trim(), 16).unwrap());
    }

    #[test]
    fn only_what_is_missing_is_named() {
        let names = |effective| missing_capabilities(&GUARDED[0], effective);
        assert_eq!(names(0), ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]);
        assert_eq!(names(1 << SYS_PTRACE), ["CAP_DAC_READ_SEARCH"]);
        assert_eq!(names(1 << DAC_OVERRIDE), ["CAP_SYS_PTRACE"]);
        assert!(names(u64::MAX).is_empty());
    }

    #[test]
    fn nothing_asked_nothing_missed() {
        let mut reader = Reader::open(Path::new("/proc")).unwrap();
        let ourselves = Want { pids: Pids::Only(vec![std::process::id()]), ..Want::default() };
        assert_eq!(note(&mut reader, &ourselves), None);
        let io = Want { facts: Facts::IO.and(Facts::STACK).and(Facts::FDS), ..ourselves };
        assert_eq!(note(&mut reader, &io), None);
    }

    #[test]
    fn an_ordinary_user_is_told_what_is_missing() {
        // Credentials belong to threads; the bare system call, unlike libc's, changes those of this one only.
        let told = std::thread::spawn(|| {
            // SAFETY: setresuid takes three numbers and touches no memory.
            let error = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
            // SAFETY: getuid cannot fail and touches no memory.
            assert!(error == 0 || unsafe { libc::getuid() } != 0);
            let mut reader = Reader::open(Path::new("/proc")).unwrap();
            let want = Want { facts: Facts::IO.and(Facts::STACK), ..Want::default() };
            assert_eq!(reader.io(1), Err(Missing::NoPermission));
            assert_eq!(reader.stack(1), Err(Missing::NoPermission));
            assert_eq!(reader.fds(1), Err(Missing::NoPermission));
            note(&mut reader, &want)
        });
        assert_eq!(
            told.join().unwrap().as_deref(),
            Some(
                "shown as - for other users' processes: disk figures (needs CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE), \
                 stack sizes (needs CAP_SYS_PTRACE)"
            )
        );
    }
}
