//! `cargo xtask build`: the command with its kernel objects inside, after `setup` where that is missing.

use crate::{
    command::{self, cargo, run},
    setup,
};
use anyhow::Result;
use std::path::PathBuf;

/// Builds the command and returns its path.
///
/// # Errors
/// When setup or cargo fails.
pub fn build(release: bool) -> Result<PathBuf> {
    setup::if_missing()?;
    let mut cargo = cargo("build");
    cargo.args(["--package", "pidstat-user", "--bin", "kpidstat"]);
    if release {
        cargo.arg("--release");
    }
    run(&mut cargo)?;
    Ok(command::target_dir()?.join(if release { "release" } else { "debug" }).join("kpidstat"))
}
