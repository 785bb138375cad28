//! What a recording says of its machine and of itself: the rows of table `meta`, those of Procpath first.

use crate::{
    sample::{Host, node::Member},
    source::procfs::node::Target,
};
use std::path::Path;

/// The version of Procpath whose tables ours are.
const PROCPATH_VERSION: &str = "1.15.1";

/// The rows for a recording of these members from a proc directory of this machine.
pub fn meta(host: &Host, procfs: &Path, target: Target, members: &[Member]) -> Vec<(&'static str, String)> {
    let list: Vec<String> = members.iter().map(|member| format!("\"{}\"", member.name())).collect();
    let path = std::path::absolute(procfs).unwrap_or_else(|_| procfs.into());
    let target = match target {
        Target::Process => "process",
        Target::Thread => "thread",
    };
    vec![
        ("platform_node", host.nodename.clone()),
        ("platform_platform", format!("{}-{}-{}{}", host.sysname, host.release, host.machine, library())),
        ("page_size", host.page_bytes.to_string()),
        ("clock_ticks", host.clock_ticks.to_string()),
        ("physical_pages", system(libc::_SC_PHYS_PAGES).to_string()),
        ("cpu_count", system(libc::_SC_NPROCESSORS_ONLN).to_string()),
        ("procfile_list", format!("[{}]", list.join(", "))),
        ("procpath_version", PROCPATH_VERSION.into()),
        ("procfs_path", path.to_string_lossy().into_owned()),
        ("procfs_target", target.into()),
        ("kpidstat_version", env!("CARGO_PKG_VERSION").into()),
        ("sysname", host.sysname.clone()),
        ("release", host.release.clone()),
        ("machine", host.machine.clone()),
        ("cpus", host.cpus.to_string()),
    ]
}

fn system(name: libc::c_int) -> libc::c_long {
    // SAFETY: asks for a number by the number of its name; nothing is written.
    unsafe { libc::sysconf(name) }
}

/// The C library as Python names it.
#[cfg(target_env = "gnu")]
fn library() -> String {
    // SAFETY: the library's own static string, which is never freed.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("-with-glibc{}", version.to_string_lossy())
}

/// Others do not say their version.
#[cfg(not(target_env = "gnu"))]
fn library() -> String {
    String::new()
}
