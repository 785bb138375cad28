//! `cargo xtask vm`: boots Debian's kernels in QEMU and runs the guest's checks there.

mod initramfs;
mod kernel;
mod qemu;

use crate::{
    command::{self, cargo, run, say},
    setup,
    test::Tally,
};
use anyhow::{Context, Result, bail};
use std::{fs, path::PathBuf};

/// Which kernels there are, and what is expected of each; the guest reads the same file.
const KERNELS: &str = "tests/vm/kernels.toml";

/// What the guest is built for; static, so that it is all that a guest needs.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Checks the named kernels.
///
/// # Errors
/// When a check fails, or a guest does not get that far.
pub fn vm(kernels: &[String]) -> Result<()> {
    let tally = check(kernels)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("not everything passed");
    }
    Ok(())
}

/// Checks every kernel.
///
/// # Errors
/// When the machine or the guest cannot be made ready.
pub fn all() -> Result<Tally> {
    check(&["all".to_owned()])
}

fn check(wanted: &[String]) -> Result<Tally> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the guests are x86_64; on another architecture nothing of them was tried");
    }
    let file = command::root().join(KERNELS);
    let listed: toml::Table = fs::read_to_string(&file).context(KERNELS)?.parse().context(KERNELS)?;
    let all = wanted.iter().any(|name| name == "all");
    if let Some(unknown) = wanted.iter().find(|name| *name != "all" && !listed.contains_key(*name)) {
        bail!("{KERNELS} has no {unknown}, only {}", listed.keys().cloned().collect::<Vec<_>>().join(", "));
    }
    setup::if_missing()?;
    let qemu = setup::qemu()?;
    let [guest, netload] = guest()?;
    let mut tally = Tally::default();
    // A table without a package is about all of them.
    let kernels = listed.iter().filter(|(_, facts)| facts.get("package").is_some());
    for (name, facts) in kernels.filter(|(name, _)| all || wanted.contains(name)) {
        let package = facts.get("package").and_then(toml::Value::as_str);
        let package = package.with_context(|| format!("{KERNELS}: {name} has no package"))?;
        let dir = command::target_dir()?.join("vm").join(name);
        let names = facts.get("modules").and_then(toml::Value::as_array).into_iter().flatten();
        let names: Vec<&str> = names.filter_map(toml::Value::as_str).collect();
        let (vmlinuz, modules) = kernel::ready(package, &names, &dir)?;
        say(format_args!("vm {name}: {}", vmlinuz.display()));
        let initrd = dir.join("initramfs.cpio");
        let mut files = vec![
            ("init".to_owned(), guest.as_path(), 0o755),
            ("netload".to_owned(), netload.as_path(), 0o755),
            ("kernels.toml".to_owned(), file.as_path(), 0o644),
        ];
        files.extend(
            names.iter().zip(&modules).map(|(name, at)| (format!("modules/{name}.ko"), at.as_path(), 0o644)),
        );
        let directories = ["dev", "proc", "sys", "tmp", "run", "modules"];
        fs::write(&initrd, initramfs::archive(&directories, &files)?)?;
        tally.add(qemu::boot(&qemu, &vmlinuz, &initrd, name, &dir.join("kernel.log"))?);
    }
    Ok(tally)
}

/// Builds the program that is the guest's init and runs its checks, and the workload that it runs.
fn guest() -> Result<[PathBuf; 2]> {
    say("vm: building the guest");
    run(cargo("build")
        .args(["--quiet", "--release", "--package", "pidstat-tests", "--bin", "guest", "--bin", "netload"])
        .args(["--target", TRIPLE])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // Linking is most of the time, and nobody waits for the guest's speed.
        .env("CARGO_PROFILE_RELEASE_LTO", "off"))?;
    let built = command::target_dir()?.join(TRIPLE).join("release");
    Ok([built.join("guest"), built.join("netload")])
}
