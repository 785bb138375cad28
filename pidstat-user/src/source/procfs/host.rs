//! What does not change on a machine: names, CPUs, units.

use super::{files::Files, small, system};
use crate::sample::Host;
use std::{ffi::CStr, path::Path};

/// The live machine: uname(2), sysconf(3), and the CPUs of `sys_root`, else of `proc_root`.
pub fn host(proc_root: &Path, sys_root: &Path) -> Host {
    let mut names = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: `names` is room for one utsname. The call can only fail for a bad address; then the zeros remain.
    let _ = unsafe { libc::uname(names.as_mut_ptr()) };
    // SAFETY: all zeros is a valid utsname (arrays of characters), and the call wrote at most valid strings over it.
    let names = unsafe { names.assume_init() };
    Host {
        sysname: text(&names.sysname),
        nodename: text(&names.nodename),
        release: text(&names.release),
        machine: text(&names.machine),
        cpus: cpus(proc_root, sys_root),
        clock_ticks: sysconf(libc::_SC_CLK_TCK, 100),
        page_bytes: sysconf(libc::_SC_PAGESIZE, 4096),
    }
}

/// CPUs present, online or not: `cpuN` entries of `devices/system/cpu` below `sys_root`; if there are none, the highest
/// `cpuN` of `stat` below `proc_root` plus one; at least 1.
pub fn cpus(proc_root: &Path, sys_root: &Path) -> u32 {
    let mut count = 0;
    if let Ok(mut directory) = Files::open(&sys_root.join("devices/system/cpu")) {
        let _ = directory.list_root(|name| count += u32::from(system::is_cpu(name)));
    }
    if count == 0 {
        let stat = small::read(&proc_root.join("stat")).unwrap_or_default();
        count = system::cpus_in_stat(&stat).unwrap_or(0);
    }
    count.max(1)
}

/// Whether this machine measures delays of tasks started from now on (`kernel.task_delayacct`); `None` where the kernel
/// has no such switch.
pub fn delay_accounting(proc_root: &Path) -> Option<bool> {
    let text = small::read_text(&proc_root.join("sys/kernel/task_delayacct")).ok()?;
    Some(text.trim() != "0")
}

/// A name that a recorded machine gives itself in `sys/kernel/FILE` below `proc_root`.
pub fn recorded_name(proc_root: &Path, file: &str) -> Option<String> {
    let text = small::read_text(&proc_root.join("sys/kernel").join(file)).ok()?;
    Some(text.trim_end().to_owned()).filter(|name| !name.is_empty())
}

fn sysconf(name: libc::c_int, otherwise: u64) -> u64 {
    // SAFETY: sysconf takes any number and touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(name) }).ok().filter(|value| *value > 0).unwrap_or(otherwise)
}

fn text(field: &[libc::c_char]) -> String {
    // SAFETY: a character array is as many bytes; only the sign of the element type differs.
    let bytes = unsafe { std::slice::from_raw_parts(field.as_ptr().cast::<u8>(), field.len()) };
    CStr::from_bytes_until_nul(bytes)
        .map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn offline_cpus_count_and_other_entries_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let (proc_root, sys_root) = (dir.path().join("proc"), dir.path().join("sys"));
        fs::create_dir_all(&proc_root).unwrap();
        assert_eq!(cpus(&proc_root, &sys_root), 1);
        fs::write(proc_root.join("stat"), "cpu  1 2 3 4\ncpu0 1\ncpu6 1\n").unwrap();
        assert_eq!(cpus(&proc_root, &sys_root), 7);
        for name in ["cpu0", "cpu1", "cpufreq", "cpuidle"] {
            fs::create_dir_all(sys_root.join("devices/system/cpu").join(name)).unwrap();
        }
        fs::write(sys_root.join("devices/system/cpu/present"), "0-1").unwrap();
        assert_eq!(cpus(&proc_root, &sys_root), 2);
    }

    #[test]
    fn the_machine_has_a_name() {
        let host = host(Path::new("/proc"), Path::new("/sys"));
        assert_eq!(host.sysname, "Linux");
        assert!(!host.nodename.is_empty() && !host.release.is_empty() && !host.machine.is_empty());
        assert!(host.clock_ticks >= 100 && host.page_bytes >= 4096 && host.cpus >= 1);
    }
}
