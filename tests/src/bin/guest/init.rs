//! Process 1 of a guest: mounts what a machine has, runs the checks, says how they ended, switches the machine off.

use anyhow::{Context, Result, ensure};
use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{Error, Write as _},
    process::{Command, Stdio},
};

/// Where from, of which kind, where to.
const MOUNTS: [(&str, &str); 9] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
    ("tracefs", "/sys/kernel/tracing"),
    ("securityfs", "/sys/kernel/security"),
];

/// Never returns: a process 1 that ends is a panic.
pub fn run() -> ! {
    let code = match start() {
        Ok(code) => code,
        Err(why) => {
            println!("init: {why:#}");
            125
        }
    };
    // The host reads the code from the kernel's log, because a QEMU that is switched off exits with 0.
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/ttyS0") {
        let _ = writeln!(console, "\nVM-EXIT:{code}");
    }
    // SAFETY: sync takes nothing and cannot fail; reboot takes a number. Process 1 of a VM may do both.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    loop {
        std::thread::park();
    }
}

/// Runs this program again as an ordinary process: process 1 ignores signals and inherits every orphan.
fn start() -> Result<i32> {
    for (kind, to) in MOUNTS {
        mount(kind, to)?;
    }
    loopback_up()?;
    let line = OpenOptions::new().write(true).open("/dev/ttyS1").context("/dev/ttyS1")?;
    let status = Command::new("/init")
        .stdin(Stdio::from(File::open("/dev/null")?))
        .stdout(Stdio::from(line.try_clone()?))
        .stderr(Stdio::from(line))
        .status()
        .context("the checks")?;
    Ok(status.code().unwrap_or(125))
}

fn mount(kind: &str, to: &str) -> Result<()> {
    if kind == "tmpfs" {
        fs::create_dir_all(to)?;
    }
    let (kind, to) = (CString::new(kind)?, CString::new(to)?);
    // SAFETY: three strings that end in a zero and live through the call, and no data.
    let done = unsafe { libc::mount(kind.as_ptr(), to.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    ensure!(done == 0, "mount {to:?}: {}", Error::last_os_error());
    Ok(())
}

/// Brings up `lo`, which is where the checks' traffic goes.
fn loopback_up() -> Result<()> {
    // SAFETY: socket takes numbers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    ensure!(socket >= 0, "socket: {}", Error::last_os_error());
    // SAFETY: ifreq is integers, byte arrays and pointers; all zeroes are valid for each of them.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING)?;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives through the call; the socket is open, and closed once.
    let done = unsafe {
        let done = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        libc::close(socket);
        done
    };
    ensure!(done == 0, "lo: {}", Error::last_os_error());
    Ok(())
}
