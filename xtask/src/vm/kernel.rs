//! Kernels for the guests: Debian's packages, downloaded and unpacked, never installed.

use crate::{
    apt,
    command::{output, run, say},
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Returns the kernel image below a directory, after fetching the package that a meta package stands for if it is not
/// there yet.
///
/// # Errors
/// When apt does not know or cannot download the package.
pub fn ready(meta: &str, dir: &Path) -> Result<PathBuf> {
    if let Some(there) = image(&dir.join("boot")) {
        return Ok(there);
    }
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    // A meta package depends on the newest image, whose name holds its version.
    apt::plan(&[meta])?;
    let depends =
        output(Command::new("apt-cache").args(["depends", "--no-recommends", meta]).env("LC_ALL", "C"))?;
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package = package.with_context(|| format!("{meta} depends on no kernel image"))?;
    say(format_args!("vm: apt-get download {package}"));
    let debs = dir.join("debs");
    let deb = apt::download(package, &debs)?;
    // The image alone: the modules are ten times its size, and the checks need none.
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&deb)
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb")?;
    let files = archive.stdout.take().context("stdout was piped")?;
    // The directory comes first: tar takes it for the names that follow it.
    run(Command::new("tar").arg("-C").arg(dir).args(["-x", "--wildcards", "./boot/vmlinuz-*"]).stdin(files))?;
    archive.wait()?;
    fs::remove_dir_all(&debs)?;
    image(&dir.join("boot")).with_context(|| format!("{package} holds no kernel image"))
}

fn image(boot: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(boot).ok()?.flatten().map(|entry| entry.path());
    files
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
}
