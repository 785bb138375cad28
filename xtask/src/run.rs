//! `cargo xtask run -- ARGS`: builds the command and becomes it.

use crate::build;
use anyhow::{Context, Result};
use std::{convert::Infallible, ffi::OsString, os::unix::process::CommandExt, process::Command};

/// Replaces this process by the command, so that its exit code and the terminal's signals are its own.
///
/// # Errors
/// When the build fails or the command cannot be started.
pub fn run(release: bool, args: &[OsString]) -> Result<Infallible> {
    let kpidstat = build::build(release)?;
    Err(Command::new(&kpidstat).args(args).exec()).with_context(|| format!("{}", kpidstat.display()))
}
