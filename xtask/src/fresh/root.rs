//! A minimal Debian root with this machine's cargo, its network configuration, a real /proc and /sys, and a clean clone.

use super::mirror::{SUITE, mirror};
use crate::command::{output, run, say};
use anyhow::{Context, Result, ensure};
use std::{
    env,
    fs::{self, File},
    io::Error,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the clone lies inside.
const CLONE: &str = "/root/kpidstat";

/// What comes with cargo on a bare machine: rustup asks for a linker and the C library before it installs itself.
const WITH_CARGO: &str = "gcc,libc6-dev,ca-certificates";

/// The root, mounted in a mount namespace that only this process and its children see: when the last of them ends, be
/// it killed, nothing stays mounted, and what stays on the disk is removed by the next run.
pub struct Root {
    path: PathBuf,
    rustup: PathBuf,
    /// Two at once would remove what the other one makes.
    _lock: File,
}

impl Root {
    /// Makes it, in place of one that a killed run left.
    ///
    /// # Errors
    /// When one of the many steps fails.
    pub fn make(path: &Path) -> Result<Self> {
        let home = PathBuf::from(env::var_os("HOME").context("HOME is not set")?);
        let rustup = env::var_os("RUSTUP_HOME").map_or_else(|| home.join(".rustup"), PathBuf::from);
        let cargo = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        ensure!(
            rustup.is_dir(),
            "{} is missing; fresh lends this machine's rustup to the root",
            rustup.display()
        );
        let lock = File::create(path.with_extension("lock"))?;
        ensure!(lock.try_lock().is_ok(), "another fresh is at work in {}", path.display());
        let root = Self { path: path.to_path_buf(), rustup, _lock: lock };
        root.remove()?;
        fs::create_dir_all(path)?;
        // SAFETY: unshare takes a number. This process has one thread, so no other one keeps the old namespace.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        ensure!(unshared == 0, "a mount namespace: {}", Error::last_os_error());
        match root.fill(&cargo) {
            Ok(()) => Ok(root),
            Err(why) => {
                root.remove()?;
                Err(why)
            }
        }
    }

    fn fill(&self, cargo: &Path) -> Result<()> {
        self.mount(&["--make-rprivate"], Path::new("/"))?;
        // Inside, `/` must be a mount point, as it is on a machine: unshare changes how it propagates.
        self.mount(&["--bind", &self.path.to_string_lossy()], &self.path)?;
        self.debootstrap()?;
        self.lend_network()?;
        self.lend_cargo(cargo)?;
        for dir in ["proc", "sys", "dev"] {
            self.mount(&["--rbind", &format!("/{dir}")], &self.path.join(dir))?;
        }
        Ok(())
    }

    /// Puts a clean clone of a repository's HEAD inside.
    ///
    /// # Errors
    /// When git fails.
    pub fn clone_head(&self, from: &Path) -> Result<()> {
        let commit = output(Command::new("git").current_dir(from).args(["log", "-1", "--format=%h %s"]))?;
        say(format_args!("fresh: a clean clone of {}", commit.trim()));
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--no-hardlinks"]).arg(from).arg(self.inside(CLONE));
        run(&mut clone)
    }

    /// A shell command in the clone, with nothing of this machine's environment but what the network needs.
    pub fn shell(&self, line: &str) -> Command {
        let mut chroot = Command::new("chroot");
        chroot.arg(&self.path).args(["/bin/sh", "-c"]).arg(format!("cd {CLONE} && {line}"));
        chroot.env_clear();
        for (key, value) in env::vars_os().filter(|(key, _)| is_of_network(&key.to_string_lossy())) {
            chroot.env(key, value);
        }
        chroot
            .env("HOME", "/root")
            .env("TERM", env::var_os("TERM").unwrap_or_else(|| "dumb".into()))
            .env("RUSTUP_HOME", &self.rustup)
            .env("PATH", "/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        chroot
    }

    /// Removes it, after making sure that nothing of this machine is mounted in it any more.
    ///
    /// # Errors
    /// When something still is.
    pub fn remove(&self) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let path = self.path.canonicalize()?;
        let below = || -> Result<Vec<PathBuf>> {
            let mounts = fs::read_to_string("/proc/self/mountinfo")?;
            let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
            Ok(points.filter(|point| point.starts_with(&path)).collect())
        };
        // The newest first: later ones can lie in earlier ones.
        for point in below()?.iter().rev() {
            run(Command::new("umount").arg("--lazy").arg(point))?;
        }
        let left = below()?;
        ensure!(left.is_empty(), "still mounted, so nothing is removed: {left:?}");
        run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&path))
    }

    fn inside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn mount(&self, options: &[&str], to: &Path) -> Result<()> {
        run(Command::new("mount").args(options).arg(to))
    }

    fn debootstrap(&self) -> Result<()> {
        let mirror = mirror()?;
        say(format_args!("fresh: debootstrap {SUITE}, with {WITH_CARGO} because cargo needs them"));
        let mut debootstrap = Command::new("debootstrap");
        debootstrap
            .args(["--variant=minbase", &format!("--include={WITH_CARGO}")])
            .arg(format!("--keyring={}", mirror.keyring.display()))
            .arg(SUITE)
            .arg(&self.path)
            .arg(&mirror.uri);
        if env::var_os("http_proxy").is_none()
            && let Some(proxy) = apt_option("Acquire::http::Proxy")?
        {
            debootstrap.env("http_proxy", proxy);
        }
        // Its hundred lines of progress tell nothing; when it fails, the reason is in them.
        output(&mut debootstrap).map(|_| ())
    }

    /// Lets apt and cargo inside reach what they reach outside.
    fn lend_network(&self) -> Result<()> {
        let names = ["/etc/resolv.conf", "/etc/hosts"];
        let sources = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];
        let access = ["/etc/apt/auth.conf", "/etc/apt/auth.conf.d"];
        let keys =
            ["/etc/apt/keyrings", "/etc/apt/trusted.gpg", "/etc/apt/trusted.gpg.d", "/usr/share/keyrings"];
        let certificates = ["/etc/ssl/certs", "/usr/local/share/ca-certificates"];
        // debootstrap wrote a source of its own, which the machine's replace.
        fs::remove_file(self.inside("/etc/apt/sources.list"))?;
        let all = [&names[..], &sources, &access, &keys, &certificates].concat();
        for path in all.into_iter().map(Path::new).filter(|path| path.exists()) {
            self.copy(path, path)?;
        }
        // How to reach them, and none of the hooks that this machine's apt runs besides.
        let dump = output(Command::new("apt-config").arg("dump"))?;
        let acquire: Vec<&str> = dump.lines().filter(|line| line.starts_with("Acquire::")).collect();
        fs::write(self.inside("/etc/apt/apt.conf.d/99host"), acquire.join("\n") + "\n")?;
        Ok(())
    }

    /// rustup's toolchains as they are, read-only and under the same path, for they hold absolute links; of cargo's home
    /// only the programs and the configuration: its caches are what a bare machine does not have.
    fn lend_cargo(&self, cargo: &Path) -> Result<()> {
        let to = self.inside(&self.rustup);
        fs::create_dir_all(&to)?;
        let from = self.rustup.to_string_lossy().into_owned();
        self.mount(&["--bind", &from], &to)?;
        self.mount(&["-o", "remount,bind,ro"], &to)?;
        for name in ["bin", "config", "config.toml"] {
            if cargo.join(name).exists() {
                self.copy(&cargo.join(name), &Path::new("/root/.cargo").join(name))?;
            }
        }
        Ok(())
    }

    /// Puts a file or a directory of this machine in place of the one inside.
    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let to = self.inside(to);
        let parent = to.parent().context("a path inside the root")?;
        fs::create_dir_all(parent)?;
        // Never written through: an absolute link inside leads to this machine's file.
        if to.is_dir() && !to.is_symlink() {
            fs::remove_dir_all(&to)?;
        } else if to.exists() || to.is_symlink() {
            fs::remove_file(&to)?;
        }
        let mut copy = Command::new("cp");
        copy.args(["--recursive", "--preserve=mode", "--no-target-directory"]);
        // Debian's directory of certificates is links to files that the minimal root lacks; rustup's programs are links
        // to one another and must stay so.
        if from.starts_with("/etc") || from.starts_with("/usr") {
            copy.arg("--dereference");
        }
        run(copy.arg(from).arg(&to))
    }
}

fn apt_option(name: &str) -> Result<Option<String>> {
    let value = output(Command::new("apt-config").args(["shell", "VALUE", name]))?;
    let value = value.trim().strip_prefix("VALUE='").and_then(|rest| rest.strip_suffix('\''));
    Ok(value.filter(|value| !value.is_empty() && *value != "DIRECT").map(str::to_owned))
}

/// Whether a variable tells programs how to reach the package registries.
fn is_of_network(key: &str) -> bool {
    let starts = [
        "CARGO_NET",
        "CARGO_HTTP",
        "CARGO_REGISTR",
        "CARGO_SOURCE",
        "SSL_CERT_",
        "RUSTUP_DIST",
        "RUSTUP_UPDATE",
    ];
    starts.iter().any(|start| key.starts_with(start))
        || key.to_ascii_lowercase().ends_with("_proxy")
        || ["CURL_CA_BUNDLE", "RUSTUP_AUTO_INSTALL"].contains(&key)
}
