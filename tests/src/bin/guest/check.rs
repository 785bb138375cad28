//! The checks of a guest, one line each: `ok WHAT` or `FAILED WHAT: WHY`.

use anyhow::{Context, Result, ensure};
use std::fs;

/// Runs every check; true when all succeeded.
///
/// # Errors
/// When what is expected cannot be read.
pub fn all() -> Result<bool> {
    let booted = fs::read_to_string("/proc/cmdline")?;
    let kernel =
        booted.split_whitespace().find_map(|word| word.strip_prefix("kernel=")).context("kernel=")?;
    let listed: toml::Table = fs::read_to_string("/kernels.toml")?.parse()?;
    ensure!(listed.contains_key(kernel), "kernels.toml has no {kernel}");
    let mut good = true;
    let mut check = |what: &str, outcome: Result<()>| match outcome {
        Ok(()) => println!("ok {what}"),
        Err(why) => {
            println!("FAILED {what}: {why:#}");
            good = false;
        }
    };
    check("the kernel is the listed one", release(kernel));
    check("its types are there", types());
    Ok(good)
}

fn release(kernel: &str) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(release.starts_with(&format!("{kernel}.")), "{}", release.trim());
    Ok(())
}

fn types() -> Result<()> {
    let btf = fs::read("/sys/kernel/btf/vmlinux")?;
    ensure!(btf.starts_with(&0xeb9f_u16.to_ne_bytes()), "no BTF magic");
    Ok(())
}
