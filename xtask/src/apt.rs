//! Debian's packages: what is missing, installing it, and unpacking it without installing.

use crate::command::{self, output, run, say};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What apt would do to install some packages.
pub struct Plan {
    /// Packages to unpack and configure, those that the asked ones depend on included.
    pub install: Vec<String>,
    /// Packages that would have to go.
    pub remove: Vec<String>,
}

/// Whether this is the system that `setup` knows: Debian 12.
pub fn is_debian_12() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let has = |key: &str, value: &str| {
        release
            .lines()
            .filter_map(|line| line.split_once('='))
            .any(|(k, v)| k == key && v.trim_matches('"') == value)
    };
    has("ID", "debian") && has("VERSION_ID", "12")
}

fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    // The words of the simulation are parsed, and no question may wait for an answer.
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C").stdin(std::process::Stdio::null());
    apt
}

fn no_lists() -> bool {
    let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    !lists.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("_Packages"))
}

fn update() -> Result<()> {
    if !command::is_root() {
        bail!("apt does not know the packages; run: sudo apt-get update");
    }
    say("apt-get update");
    run(apt_get().args(["-q", "update"]).stdout(std::io::stderr()))
}

/// Asks apt what it would do, changing nothing.
///
/// # Errors
/// When apt cannot find a package, even after an update.
pub fn plan(packages: &[&str]) -> Result<Plan> {
    if no_lists() {
        update()?;
    }
    let simulate =
        || output(apt_get().args(["--simulate", "install", "--no-install-recommends"]).args(packages));
    // Lists older than the packages name versions that are gone.
    let said = simulate().or_else(|_| update().and_then(|()| simulate()))?;
    let named = |verb: &str| {
        let lines = said.lines().filter_map(|line| line.strip_prefix(verb)?.split_whitespace().next());
        lines.map(str::to_owned).collect()
    };
    Ok(Plan { install: named("Inst "), remove: named("Remv ") })
}

/// Installs packages; never at the price of another one.
///
/// # Errors
/// When apt fails, even after an update.
pub fn install(packages: &[&str]) -> Result<()> {
    let install = || {
        let options = ["-q", "-y", "--no-install-recommends", "--no-remove", "install"];
        run(apt_get().args(options).args(packages).stdout(std::io::stderr()))
    };
    if no_lists() {
        update()?;
    }
    install().or_else(|_| update().and_then(|()| install()))
}

/// Downloads a package into an empty directory and returns its file.
///
/// # Errors
/// When apt cannot download it.
pub fn download(package: &str, dir: &Path) -> Result<PathBuf> {
    if no_lists() {
        update()?;
    }
    fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
    let download = || output(apt_get().args(["-q", "download", package]).current_dir(dir));
    download().or_else(|_| update().and_then(|()| download()))?;
    let prefix = format!("{package}_");
    let files = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let is_it =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    files.into_iter().find(is_it).with_context(|| format!("apt-get download {package} left no file"))
}

/// Unpacks a package's files below a directory, without installing it.
///
/// # Errors
/// When dpkg-deb cannot read it.
pub fn unpack(deb: &Path, into: &Path) -> Result<()> {
    run(Command::new("dpkg-deb").arg("--extract").args([deb, into]))
}
