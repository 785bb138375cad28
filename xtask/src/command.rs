//! Runs other programs: says what is done, stops with the command line when one fails.

use anyhow::{Context, Result, bail};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Says a step, on stderr: stdout belongs to the program that `run` starts.
pub fn say(step: impl std::fmt::Display) {
    eprintln!("xtask: {step}");
}

/// Runs it with our own streams.
///
/// # Errors
/// The command line, when it cannot be started or does not exit with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| line(command))?;
    if !status.success() {
        bail!("{} ({status})", line(command));
    }
    Ok(())
}

/// Runs it and returns what it printed on stdout.
///
/// # Errors
/// The command line and what it printed on stderr, when it does not exit with 0.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| line(command))?;
    if !out.status.success() {
        bail!("{} ({})\n{}", line(command), out.status, String::from_utf8_lossy(&out.stderr).trim_end());
    }
    String::from_utf8(out.stdout).with_context(|| line(command))
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A cargo in the workspace, without what `cargo run` told this process about xtask: build scripts that ask to be
/// run again when such a variable changes would be run every time.
pub fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_xtask = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (key, _) in env::vars_os() {
        if of_xtask.iter().any(|prefix| key.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(key);
        }
    }
    cargo.current_dir(root()).arg(verb);
    cargo
}

/// The workspace.
pub fn root() -> PathBuf {
    let of_xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&of_xtask).parent().unwrap_or(Path::new("/")).to_path_buf()
}

/// Where cargo puts what it builds: xtask itself lies in `TARGET_DIR/PROFILE`.
///
/// # Errors
/// When the path of this process cannot be read.
pub fn target_dir() -> Result<PathBuf> {
    let xtask = env::current_exe().context("where xtask itself lies")?;
    Ok(xtask.ancestors().nth(2).unwrap_or(Path::new("/")).to_path_buf())
}

/// Whether a program is on PATH, or where Debian keeps root's; a library (`.so`) where Debian keeps those.
pub fn has(program: &str) -> bool {
    if program.contains(".so") {
        let triple = format!("{}-linux-gnu", env::consts::ARCH);
        return ["/usr/lib", "/lib"].iter().any(|dir| Path::new(dir).join(&triple).join(program).is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|dir| dir.join(program).is_file())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
