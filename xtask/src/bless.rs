//! `cargo xtask bless`: rewrites the golden files to what the program prints now; git then shows what changed.

use crate::{
    command::{cargo, run},
    setup,
};
use anyhow::Result;

/// Runs the golden suite so that it writes instead of comparing.
///
/// # Errors
/// When the suite does not build or fails for another reason than a difference.
pub fn bless() -> Result<()> {
    setup::if_missing()?;
    run(cargo("test").args(["--package", "pidstat-tests", "--test", "golden"]).env("BLESS", "1"))
}
