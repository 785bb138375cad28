//! Finds and runs the kpidstat that was built beside the tests.

use std::{
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests package is a folder of the workspace")
}

/// Where `cargo xtask setup` puts what is for this checkout alone.
pub fn tools_dir() -> PathBuf {
    std::env::var_os("KPIDSTAT_TOOLS").map_or_else(|| root().join("target/tools"), PathBuf::from)
}

/// The binary of the profile that the tests were built in.
///
/// # Panics
/// When it was not built; says how to.
pub fn kpidstat() -> PathBuf {
    built("kpidstat")
}

/// The project's own commands, which run the tests.
///
/// # Panics
/// When they were not built; says how to.
pub fn xtask() -> PathBuf {
    built("xtask")
}

fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().find(|dir| dir.join(name).is_file());
    profile.unwrap_or_else(|| panic!("{name} is not built; run the tests with: cargo xtask test")).join(name)
}

/// Runs it in an environment where nothing depends on the machine.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("kpidstat starts")
}

/// The command that [`run`] runs.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(kpidstat());
    command.args(arguments).env_clear().env("TZ", "UTC").env("PATH", "/usr/bin:/bin");
    interruptible(&mut command);
    command
}

/// The same as an ordinary user, whoever runs the tests.
///
/// # Panics
/// When it was not built.
pub fn as_nobody(arguments: &[&str]) -> Command {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return command(arguments);
    }
    // The folder it was built in may be closed to others, the file is not: it is run by descriptor, which every child
    // inherits.
    static FILE: OnceLock<OwnedFd> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = std::fs::File::open(kpidstat()).expect("it can be read");
        // SAFETY: the descriptor is open, and what the call returns belongs to nobody else.
        unsafe { OwnedFd::from_raw_fd(libc::dup(file.as_raw_fd())) }
    });
    let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    command.args(arguments).env_clear().env("TZ", "UTC").uid(NOBODY).gid(NOBODY);
    command
}

/// Lets SIGINT do what it does by itself. A shell that runs the tests in the background has them ignore it, and whatever they
/// start.
pub fn interruptible(command: &mut Command) {
    // SAFETY: to put a signal back to what it does by itself allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
}
