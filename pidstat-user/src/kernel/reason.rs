//! Why something of the kernel side is not used, and what would change that.

use super::btf::BtfError;
use std::{fmt, io};

/// Why a program, a family or the whole kernel side is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The kernel publishes no type information.
    NoBtf,
    /// The type information is there but cannot be read.
    BadBtf(String),
    /// The user lacks capabilities; their names.
    Capability(Vec<&'static str>),
    /// The kernel is locked down; the mode.
    Lockdown(String),
    /// The capabilities are there and the kernel refuses all the same: a user namespace, seccomp or a security module.
    Refused(&'static str),
    /// The kernel has no such hook: `tracepoint sock_send_length`.
    NoHook(String),
    /// A field without which the family is useless is not in this kernel.
    NoField(&'static str),
    /// The verifier rejected the program; its last lines.
    Verifier(String),
    /// /proc is not what it seems; in what way.
    ForeignProc(&'static str),
    /// libpcap cannot be opened; the loader's words.
    NoLibpcap(String),
    /// libpcap refuses a device or a filter; its words.
    NoCapture(String),
    /// Anything else, in the words of who failed.
    Other(String),
}

impl Reason {
    /// What an administrator could do about it.
    pub fn remedy(&self) -> String {
        match self {
            Reason::NoBtf | Reason::BadBtf(_) => "use a kernel built with CONFIG_DEBUG_INFO_BTF=y".into(),
            Reason::Capability(names) => format!("run as root, or with {}", names.join(" and ")),
            Reason::Lockdown(_) => "boot without lockdown=confidentiality".into(),
            Reason::Refused(_) => {
                "run in the initial user namespace, and allow bpf(2) in seccomp and LSM policy".into()
            }
            Reason::NoHook(_) | Reason::NoField(_) => {
                "a newer kernel, or one with that feature built in".into()
            }
            Reason::Verifier(_) => "report it, with this output".into(),
            Reason::ForeignProc(_) => "mount this PID namespace's own procfs on /proc".into(),
            Reason::NoLibpcap(_) => "install libpcap (Debian: apt-get install libpcap0.8)".into(),
            Reason::NoCapture(_) => {
                "ip link has the names of devices, pcap-filter(7) the language of filters".into()
            }
            Reason::Other(_) => "nothing that is known".into(),
        }
    }

    /// Finds out why a call was refused with EPERM or EACCES.
    fn of_refusal(call: &'static str) -> Reason {
        let missing = missing_capabilities();
        if !missing.is_empty() {
            return Reason::Capability(missing);
        }
        match lockdown() {
            Some(mode) if mode == "confidentiality" => Reason::Lockdown(mode),
            _ => Reason::Refused(call),
        }
    }

    /// Turns a failed call into its reason.
    pub fn of_call(call: &'static str, error: &io::Error) -> Reason {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Reason::of_refusal(call),
            _ => Reason::Other(format!("{call}: {error}")),
        }
    }

    /// Turns aya's errors into reasons.
    pub fn of_error(error: &aya::EbpfError) -> Reason {
        match error {
            aya::EbpfError::MapError(e) => Reason::of_map(e),
            aya::EbpfError::ProgramError(e) => Reason::of_program(e),
            e => Reason::of_chain(e),
        }
    }

    /// Turns aya's errors of maps into reasons.
    pub fn of_map(error: &aya::maps::MapError) -> Reason {
        match error {
            aya::maps::MapError::CreateError { io_error, .. } => Reason::of_call("map creation", io_error),
            aya::maps::MapError::SyscallError(e) => Reason::of_call(e.call, &e.io_error),
            e => Reason::of_chain(e),
        }
    }

    /// Turns aya's errors of programs into reasons.
    pub fn of_program(error: &aya::programs::ProgramError) -> Reason {
        use aya::programs::ProgramError;
        match error {
            ProgramError::LoadError { io_error, verifier_log } => {
                // Helpers that read any memory do not exist for the verifier then, which says no more than that.
                if let Some(mode) = lockdown().filter(|mode| mode == "confidentiality") {
                    return Reason::Lockdown(mode);
                }
                let log = verifier_log.to_string();
                let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
                // The verifier writes nothing when the program did not get that far.
                if lines.is_empty() {
                    return Reason::of_call("program load", io_error);
                }
                Reason::Verifier(lines[lines.len().saturating_sub(4)..].join(" | "))
            }
            ProgramError::SyscallError(e) => Reason::of_call(e.call, &e.io_error),
            ProgramError::MapError(e) => Reason::of_map(e),
            e => Reason::of_chain(e),
        }
    }

    fn of_chain(error: &dyn std::error::Error) -> Reason {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(e) = next {
            let more = e.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            next = e.source();
        }
        Reason::Other(text)
    }
}

impl From<BtfError> for Reason {
    fn from(error: BtfError) -> Reason {
        Reason::BadBtf(error.to_string())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoBtf => f.write_str("the kernel has no BTF"),
            Reason::BadBtf(why) => write!(f, "the kernel's BTF cannot be read: {why}"),
            Reason::Capability(names) => write!(f, "{} missing", names.join(" and ")),
            Reason::Lockdown(mode) => write!(f, "the kernel is locked down ({mode})"),
            Reason::Refused(call) => write!(f, "the kernel refused: {call}"),
            Reason::NoHook(hook) => write!(f, "this kernel has no {hook}"),
            Reason::NoField(field) => write!(f, "this kernel has no {field}"),
            Reason::Verifier(tail) => write!(f, "the verifier rejected it: {tail}"),
            Reason::ForeignProc(how) => f.write_str(how),
            Reason::NoLibpcap(why) => write!(f, "libpcap cannot be opened: {why}"),
            Reason::NoCapture(text) | Reason::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Reason {}

/// `none`, `integrity` or `confidentiality`; `None` where the kernel has no such thing or does not show it.
pub fn lockdown() -> Option<String> {
    let text = std::fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let chosen = text.split_once('[')?.1;
    Some(chosen.split_once(']')?.0.to_owned())
}

const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The effective capabilities of this thread, as a set of bits; 0 if the kernel does not say.
pub fn capabilities() -> u64 {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let mut header = Header { version: 0x2008_0522, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 of the call fills exactly two `Data`, and both structs have the kernel's layout.
    let ret = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if ret == 0 { u64::from(data[0].effective) | u64::from(data[1].effective) << 32 } else { 0 }
}

/// What loading and attaching needs and this process does not have.
pub fn missing_capabilities() -> Vec<&'static str> {
    let have = |cap: u32| capabilities() >> cap & 1 != 0;
    if have(CAP_SYS_ADMIN) {
        return Vec::new();
    }
    // SAFETY: this call takes no pointers; it fails with EINVAL for a capability the kernel does not know.
    let known = |cap: u32| unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(cap)) } >= 0;
    if !known(CAP_BPF) {
        return vec!["CAP_SYS_ADMIN"];
    }
    [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|(cap, _)| !have(*cap))
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_capability_or_who_refused() {
        let reason = Reason::of_call("program load", &io::Error::from_raw_os_error(libc::EPERM));
        match missing_capabilities() {
            missing if missing.is_empty() => {
                assert!(matches!(reason, Reason::Refused(_) | Reason::Lockdown(_)), "{reason:?}");
            }
            missing => {
                assert!(reason.remedy().contains(missing[0]), "{}", reason.remedy());
                assert_eq!(reason, Reason::Capability(missing));
            }
        }
    }

    #[test]
    fn other_errors_keep_their_words() {
        let reason = Reason::of_call("link creation", &io::Error::from_raw_os_error(libc::E2BIG));
        assert!(reason.to_string().starts_with("link creation: Argument list too long"), "{reason}");
    }
}
