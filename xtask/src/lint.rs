//! `cargo xtask lint`: formatting and clippy for every crate, warnings refused; the kernel side with its own compiler.

use crate::{
    apt,
    command::{self, cargo, output, run, say},
    setup,
    toolchain::{self, Compiler},
};
use anyhow::{Result, anyhow};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Checks everything.
///
/// # Errors
/// The first command that found something.
pub fn lint() -> Result<()> {
    setup::if_missing()?;
    say("lint: formatting");
    run(cargo("fmt").args(["--all", "--check"]))?;
    say("lint: clippy");
    run(cargo("clippy")
        .args(["--quiet", "--workspace", "--exclude", "pidstat-ebpf", "--all-targets"])
        .args(["--", "--deny", "warnings"]))?;
    kernel_side()
}

fn kernel_side() -> Result<()> {
    let root = command::root();
    let mut check = toolchain::cargo(&root, "check").map_err(|why| anyhow!(why))?;
    // A directory of its own: the checker's artefacts are not the compiler's.
    check.args(["--profile", "bpf", "--target-dir"]).arg(command::target_dir()?.join("bpf-lint"));
    match clippy(&root)? {
        Some(driver) => {
            say("lint: clippy on the kernel side");
            check
                .env("RUSTC_WORKSPACE_WRAPPER", driver)
                .env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__")
                .env("CLIPPY_CONF_DIR", &root);
        }
        None => {
            say(
                "lint: the compiler's own lints on the kernel side: clippy comes with Debian's compiler only",
            );
        }
    }
    let flags =
        check.get_envs().find(|(key, _)| *key == "CARGO_ENCODED_RUSTFLAGS").and_then(|(_, value)| value);
    let flags = format!("{}\x1f-Dwarnings", flags.unwrap_or_default().to_string_lossy());
    run(check.env("CARGO_ENCODED_RUSTFLAGS", flags))
}

/// The clippy that belongs to Debian's compiler, of the very same version: it links the compiler's library, and reads
/// the prebuilt `core`, which rustup's clippy cannot. It is unpacked and never installed, so it conflicts with nothing.
fn clippy(root: &Path) -> Result<Option<PathBuf>> {
    let Some(Compiler::Prebuilt(rustc)) = toolchain::compiler(root) else { return Ok(None) };
    let version = output(Command::new(rustc).arg("--version"))?;
    let dir = toolchain::tools_dir(root).join("clippy-web");
    let driver = dir.join("usr/bin/clippy-driver");
    let of_version = dir.join("version");
    if !driver.exists() || fs::read_to_string(&of_version).ok().as_ref() != Some(&version) {
        say("lint: clippy for the kernel side: apt-get download rust-web-clippy");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        apt::unpack(&apt::download("rust-web-clippy", &dir.join("debs"))?, &dir)?;
        fs::write(&of_version, &version)?;
    }
    Ok(Some(driver))
}
