//! Which PID namespace this process is in, and whether a proc directory shows the same one.

use crate::{
    kernel::{
        Attached, Kernel, Object, Reason,
        bpf::{IterBuffer, Scope},
        net::PidNamespace,
        task,
    },
    source::procfs::Reader,
};
use pidstat_common::exit::RING_BYTES;
use std::{os::unix::fs::MetadataExt, path::Path};

/// Inode of the initial PID namespace (PROC_PID_INIT_INO), part of the kernel's ABI.
const INITIAL: u32 = 0xEFFF_FFFC;

/// The PID namespace of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// How deep it lies; 0 is the initial one.
    pub level: u32,
    /// Its inode number.
    pub inode: u32,
}

/// Says whether `proc_root` shows what the iterator shows: a real procfs, of our own PID namespace.
///
/// # Errors
/// In what way it does not.
pub fn usable(proc_root: &Path) -> Result<(), Reason> {
    let mut reader = Reader::open(proc_root).map_err(|_| Reason::ForeignProc("there is no procfs"))?;
    if !reader.real() {
        return Err(Reason::ForeignProc("the proc directory is not a procfs"));
    }
    let own = std::process::id();
    // `NSpid:` lists our number in the namespace of the mount, then in each below it down to ours: one, if they are the
    // same.
    let same = reader.system_file("self/status").is_ok_and(|bytes| {
        let line = bytes.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
        let numbers = line.map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default();
        numbers.split_ascii_whitespace().map(str::parse).eq([Ok(own)])
    });
    if same { Ok(()) } else { Err(Reason::ForeignProc("the procfs belongs to another PID namespace")) }
}

/// Finds our PID namespace. The kernel shows a namespace's depth to its programs only, so outside the initial one a
/// second iterator looks it up.
///
/// # Errors
/// Why this machine or this user cannot have that.
pub fn own(kernel: &Kernel, proc_root: &Path) -> Result<Namespace, Reason> {
    let about = std::fs::metadata(proc_root.join("self/ns/pid"))
        .map_err(|error| Reason::Other(format!("self/ns/pid: {error}")))?;
    let inode = u32::try_from(about.ino()).map_err(|_| Reason::Other("a namespace without number".into()))?;
    if inode == INITIAL {
        return Ok(Namespace { level: 0, inode });
    }
    let globals = task::globals(kernel.btf(), 0, PidNamespace::default(), RING_BYTES as u32)?;
    let mut object = Object::load(kernel, &task::FAMILY, &globals)?;
    let Attached::Iter(program) = object.attach(kernel, &task::LEVEL)? else {
        return Err(Reason::Other("the iterator is not one".into()));
    };
    let mut level = None;
    let read = program.link(Scope::All).and_then(|link| {
        link.read(&mut IterBuffer::default(), |bytes| {
            level = level.or_else(|| bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)));
        })
    });
    read.map_err(|error| Reason::of_call("iterator", &error))?;
    let level = level.ok_or_else(|| Reason::Other("the iterator does not show this process".into()))?;
    Ok(Namespace { level, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_procfs_is_usable() {
        assert_eq!(usable(Path::new("/proc")), Ok(()));
        let recorded = tempfile::tempdir().unwrap();
        assert!(matches!(usable(recorded.path()), Err(Reason::ForeignProc(_))));
        assert!(matches!(usable(&recorded.path().join("none")), Err(Reason::ForeignProc(_))));
    }
}
