//! Debian packages for this checkout alone: unpacked, not installed, where apt would remove something or may not install.

use crate::{
    apt,
    command::{self, say},
    toolchain,
};
use anyhow::{Result, bail};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

/// Programs, and how they run from a place that they were not made for. `$top` is where their packages are unpacked,
/// `$triple` the name of the architecture's directory of libraries.
pub struct Unpacked {
    /// The directory below the tools.
    pub name: &'static str,
    /// What to ask apt for.
    pub packages: &'static [&'static str],
    /// What to run, below the packages' `/usr`.
    pub programs: &'static [&'static str],
    /// Variables to set, as the shell writes them.
    pub environment: &'static str,
    /// Arguments to put before the caller's.
    pub arguments: &'static str,
}

impl Unpacked {
    /// The first program, if all were unpacked.
    pub fn there(&self) -> Option<PathBuf> {
        let bin = self.dir().join("bin");
        let mut paths = self.programs.iter().map(|program| bin.join(name(program)));
        let first = paths.next().filter(|program| program.exists())?;
        paths.all(|program| program.exists()).then_some(first)
    }

    /// Unpacks the packages if the programs are neither there nor installed: for those whose installation would start and
    /// enable a service.
    ///
    /// # Errors
    /// When apt fails.
    pub fn ensure(&self) -> Result<()> {
        if self.there().is_some() || self.programs.iter().all(|program| command::has(name(program))) {
            return Ok(());
        }
        say(format_args!("{} is unpacked below {}", self.packages.join(" "), self.dir().display()));
        self.unpack(&apt::plan(self.packages)?.install)
    }

    /// Installs the packages where apt may and nothing has to go for them; else unpacks them.
    ///
    /// # Errors
    /// When apt fails.
    pub fn install_or_unpack(&self) -> Result<()> {
        let asked = self.packages.join(" ");
        let plan = apt::plan(self.packages)?;
        if plan.remove.is_empty() && command::is_root() {
            say(format_args!("{}: apt-get install {asked}", self.name));
            return apt::install(self.packages);
        }
        let why = match plan.remove.as_slice() {
            [] => "only root may install".to_owned(),
            others => format!("apt would remove {}", others.join(" ")),
        };
        say(format_args!("{}: {why}, so {asked} is unpacked below {}", self.name, self.dir().display()));
        self.unpack(&plan.install)
    }

    fn dir(&self) -> PathBuf {
        toolchain::tools_dir(&command::root()).join(self.name)
    }

    /// Unpacks every package that apt would install: the asked ones and the libraries that the system lacks.
    fn unpack(&self, packages: &[String]) -> Result<()> {
        let dir = self.dir();
        if packages.is_empty() {
            bail!(
                "apt says that {} is installed, but {} is not there",
                self.packages.join(" "),
                self.programs.join(" or ")
            );
        }
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        let debs = dir.join("debs");
        for package in packages {
            apt::unpack(&apt::download(package, &debs)?, &dir)?;
        }
        fs::remove_dir_all(&debs)?;
        let bin = dir.join("bin");
        fs::create_dir_all(&bin)?;
        // Scripts are written last, so that their presence says that the rest is complete.
        for program in self.programs {
            let partial = bin.join("partial");
            fs::write(&partial, self.script(program))?;
            fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
            fs::rename(partial, bin.join(name(program)))?;
        }
        Ok(())
    }

    /// What runs a program. The caller's libraries come first: rustup's cargo puts its libLLVM there, which is the one that
    /// bpf-linker was pinned for.
    fn script(&self, program: &str) -> String {
        format!(
            "#!/bin/sh\n\
             # Runs an unpacked program with the libraries that were unpacked beside it.\n\
             top=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")\n\
             triple={}-linux-gnu\n\
             own=$top/usr/lib/$triple:$top/lib/$triple:$top/usr/lib\n\
             export LD_LIBRARY_PATH=\"${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}$own\" {}\n\
             exec \"$top/usr/{program}\" {} \"$@\"\n",
            std::env::consts::ARCH,
            self.environment,
            self.arguments
        )
    }
}

/// The last part of a program's path.
fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}
