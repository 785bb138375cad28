//! Programs of PyPI, in an environment of their own below the tools.

use crate::{
    apt,
    command::{self, run, say},
    toolchain,
};
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Procpath, which the tests compare with: this version and no other.
pub const PROCPATH: &str = "Procpath==1.15.1";

/// Reads Parquet; of any version.
pub const DUCKDB: &str = "duckdb";

/// The path of a program in the environment, after installing what brings it. `python3` stands for the interpreter that
/// can import the package. A requirement is a name, or a name with `==` and a version.
///
/// # Errors
/// When pip fails.
pub fn program(requirement: &str, program: &str) -> Result<PathBuf> {
    let dir = toolchain::tools_dir(&command::root()).join("python");
    if !dir.join("bin/pip").exists() {
        let can =
            Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            if !(command::is_root() && command::has("apt-get")) {
                bail!("python3 makes no environments; on Debian run: sudo apt-get install python3-venv");
            }
            say("python3 -m venv: apt-get install python3-venv");
            apt::install(&["python3-venv"])?;
        }
        say("python3 -m venv");
        run(quiet(Command::new("python3").args(["-m", "venv"]).arg(&dir)))?;
    }
    let (package, version) = requirement.split_once("==").unwrap_or((requirement, ""));
    let there = |dir: &Path| {
        let asked = match (program, version) {
            ("python3", "") => format!("import {package}"),
            _ => format!(
                "from importlib.metadata import version; import sys; \
                 sys.exit('{version}' not in ('', version('{package}')))"
            ),
        };
        let python =
            Command::new(dir.join("bin/python3")).args(["-c", &asked]).stderr(Stdio::null()).status();
        python.is_ok_and(|status| status.success()) && dir.join("bin").join(program).exists()
    };
    if !there(&dir) {
        say(format_args!("pip install {requirement}"));
        // The program pip knows where the environment was made, not where it may have been copied to.
        run(quiet(Command::new(dir.join("bin/python3")).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            requirement,
        ])))
        .with_context(|| format!("{requirement} from PyPI"))?;
    }
    Ok(dir.join("bin").join(program))
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null())
}
