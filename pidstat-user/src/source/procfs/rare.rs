//! Files that are read once or never, by the procfs crate: mount points and limits.

use procfs::{
    ProcResult,
    process::{LimitValue, Process},
};
use std::path::{Path, PathBuf};

/// Where the cgroup v2 hierarchy is mounted, if it is: socket hooks of cgroups attach there.
///
/// # Errors
/// `mountinfo` cannot be read.
pub fn cgroup2(proc_root: &Path) -> ProcResult<Option<PathBuf>> {
    let mounts = own(proc_root)?.mountinfo()?;
    Ok(mounts.into_iter().find(|mount| mount.fs_type == "cgroup2").map(|mount| mount.mount_point))
}

/// The limit of locked memory in bytes, which kernels before 5.11 charge BPF maps to; `None` is unlimited.
///
/// # Errors
/// `limits` cannot be read.
pub fn locked_memory_bytes(proc_root: &Path) -> ProcResult<Option<u64>> {
    match own(proc_root)?.limits()?.max_locked_memory.soft_limit {
        LimitValue::Unlimited => Ok(None),
        LimitValue::Value(bytes) => Ok(Some(bytes)),
    }
}

fn own(proc_root: &Path) -> ProcResult<Process> {
    Process::new_with_root(proc_root.join("self"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::procfs::PROC_ROOT;

    #[test]
    fn the_crate_and_the_machine_agree() {
        let root = Path::new(PROC_ROOT);
        let mounts = std::fs::read_to_string(root.join("self/mounts")).unwrap();
        let mounted = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let expected = mounted.and_then(|line| line.split(' ').nth(1)).map(PathBuf::from);
        assert_eq!(cgroup2(root).unwrap(), expected);
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is a valid rlimit for the call to fill.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }, 0);
        let expected = (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur);
        assert_eq!(locked_memory_bytes(root).unwrap(), expected);
    }
}
