//! The real Procpath, which `cargo xtask setup --tests` installs from PyPI.

use crate::tool;
use std::{path::PathBuf, process::Command};

/// The interpreter that can import Procpath; `procpath` itself stands beside it.
///
/// # Panics
/// When it is not installed. An oracle is never skipped.
pub fn python() -> PathBuf {
    let python = tool::tools_dir().join("python/bin/python3");
    let version = Command::new(&python).args(["-c", "import procpath; print(procpath.__version__)"]).output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    assert_eq!(
        version.unwrap_or_default(),
        "1.15.1",
        "{} has no Procpath 1.15.1; install it with: cargo xtask setup --tests",
        python.display()
    );
    python
}
