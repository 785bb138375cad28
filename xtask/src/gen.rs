//! `cargo xtask gen`: makes man page, completions and `docs/columns.md` from the registry and the argument definitions.

use crate::{
    command::{self, cargo, run, say},
    setup,
};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where the generated files stand in the repository.
const DOCS: &str = "pidstat-user/docs";

/// Writes the generated files; with `check`, only compares them with what stands there.
///
/// # Errors
/// When the generator fails, or `check` finds a difference.
pub fn generate(check: bool) -> Result<()> {
    setup::if_missing()?;
    let docs = command::root().join(DOCS);
    let out = if check { command::target_dir()?.join("gen") } else { docs.clone() };
    if check && out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    run(cargo("run").args(["--quiet", "--package", "pidstat-user", "--example", "gen", "--"]).arg(&out))?;
    if !check {
        return Ok(());
    }
    let (fresh, there) = (files(&out)?, files(&docs)?);
    let stale: Vec<String> = fresh
        .iter()
        .filter(|(path, text)| there.get(*path) != Some(text))
        .map(|(path, _)| format!("{DOCS}/{}", path.display()))
        .collect();
    if !stale.is_empty() {
        bail!("out of date: {}; run: cargo xtask gen", stale.join(", "));
    }
    say(format_args!("gen: {} files are what the registry makes", fresh.len()));
    Ok(())
}

/// Every file below a directory, by its path in it. Files written by hand stand among the generated ones, so only what
/// the generator made is compared.
fn files(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("{}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.strip_prefix(dir)?.to_path_buf(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}
