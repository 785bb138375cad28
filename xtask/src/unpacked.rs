//! Debian packages for this checkout alone: unpacked, not installed, where apt would remove something or may not install.

use crate::{
    apt,
    command::{self, say},
    toolchain,
};
use anyhow::{Result, bail};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

/// A program, and how it runs from a place that it was not made for. `$top` is where its packages are unpacked, `$triple`
/// the name of the architecture's directory of libraries.
pub struct Unpacked {
    /// The directory below the tools.
    pub name: &'static str,
    /// What to ask apt for.
    pub packages: &'static [&'static str],
    /// What to run, in the packages' `/usr/bin`.
    pub program: &'static str,
    /// Variables to set, as the shell writes them.
    pub environment: &'static str,
    /// Arguments to put before the caller's.
    pub arguments: &'static str,
}

impl Unpacked {
    /// The program, if it was unpacked.
    pub fn there(&self) -> Option<PathBuf> {
        Some(self.dir().join("bin").join(self.program)).filter(|program| program.exists())
    }

    /// Installs the packages where apt may and nothing has to go for them; else unpacks them.
    ///
    /// # Errors
    /// When apt fails.
    pub fn install_or_unpack(&self) -> Result<()> {
        let asked = self.packages.join(" ");
        let plan = apt::plan(self.packages)?;
        if plan.remove.is_empty() && command::is_root() {
            say(format_args!("{}: apt-get install {asked}", self.program));
            return apt::install(self.packages);
        }
        let why = match plan.remove.as_slice() {
            [] => "only root may install".to_owned(),
            others => format!("apt would remove {}", others.join(" ")),
        };
        say(format_args!("{}: {why}, so {asked} is unpacked below {}", self.program, self.dir().display()));
        self.unpack(&plan.install)
    }

    fn dir(&self) -> PathBuf {
        toolchain::tools_dir(&command::root()).join(self.name)
    }

    /// Unpacks every package that apt would install: the asked ones and the libraries that the system lacks.
    fn unpack(&self, packages: &[String]) -> Result<()> {
        if packages.is_empty() {
            bail!(
                "apt says that {} is installed, but {} is not there",
                self.packages.join(" "),
                self.program
            );
        }
        let dir = self.dir();
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        let debs = dir.join("debs");
        for package in packages {
            apt::unpack(&apt::download(package, &debs)?, &dir)?;
        }
        fs::remove_dir_all(&debs)?;
        // The caller's libraries come first: rustup's cargo puts its libLLVM there, which is the one that bpf-linker was
        // pinned for. The script is written last, so that its presence says that the rest is complete.
        let script = format!(
            "#!/bin/sh\n\
             # Runs an unpacked program with the libraries that were unpacked beside it.\n\
             top=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")\n\
             triple={}-linux-gnu\n\
             own=$top/usr/lib/$triple:$top/lib/$triple:$top/usr/lib\n\
             export LD_LIBRARY_PATH=\"${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}$own\" {}\n\
             exec \"$top/usr/bin/{}\" {} \"$@\"\n",
            std::env::consts::ARCH,
            self.environment,
            self.program,
            self.arguments
        );
        let bin = dir.join("bin");
        fs::create_dir_all(&bin)?;
        let partial = bin.join("partial");
        fs::write(&partial, script)?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
        fs::rename(partial, bin.join(self.program))?;
        Ok(())
    }
}
