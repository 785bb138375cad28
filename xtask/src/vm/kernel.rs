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

/// Returns the kernel image below a directory and its modules of these names, after fetching the package that a meta
/// package stands for if they are not there yet.
///
/// # Errors
/// When apt does not know or cannot download the package, or it lacks a module.
pub fn ready(meta: &str, modules: &[&str], dir: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    let wanted: Vec<PathBuf> =
        modules.iter().map(|name| dir.join("modules").join(format!("{name}.ko"))).collect();
    if let Some(there) = image(&dir.join("boot"))
        && wanted.iter().all(|module| module.is_file())
    {
        return Ok((there, wanted));
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
    // The image, and of the modules, which are ten times its size, those that are wanted.
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&deb)
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb")?;
    let files = archive.stdout.take().context("stdout was piped")?;
    let patterns = modules.iter().map(|name| format!("./lib/modules/*/{name}.ko*"));
    // The directory comes first: tar takes it for the names that follow it.
    run(Command::new("tar")
        .arg("-C")
        .arg(dir)
        .args(["-x", "--wildcards", "./boot/vmlinuz-*"])
        .args(patterns)
        .stdin(files))?;
    archive.wait()?;
    fs::create_dir_all(dir.join("modules"))?;
    for (name, to) in modules.iter().zip(&wanted) {
        let from = find(&dir.join("lib"), name).with_context(|| format!("{package} holds no {name}"))?;
        // Compressed or not: the kernel can tell.
        fs::rename(&from, to)?;
    }
    fs::remove_dir_all(dir.join("lib"))?;
    fs::remove_dir_all(&debs)?;
    let image = image(&dir.join("boot")).with_context(|| format!("{package} holds no kernel image"))?;
    Ok((image, wanted))
}

/// A module's file somewhere below a directory, compressed or not.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return find(&path, name);
        }
        let file = path.file_name()?.to_str()?.strip_prefix(name)?;
        matches!(file, ".ko" | ".ko.xz").then_some(path.clone())
    })
}

fn image(boot: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(boot).ok()?.flatten().map(|entry| entry.path());
    files
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
}
