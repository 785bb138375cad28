//! `cargo xtask tidy`: the house rules that no compiler knows.

mod arrow;
mod code;
mod file;
mod house;

use crate::command::{self, output, say};
use anyhow::{Context, Result, bail};
use code::Code;
use std::{fs, process::Command};

/// A file of the repository.
pub struct Source {
    /// Relative to the workspace.
    pub path: String,
    /// What it says.
    pub text: String,
    /// The same, taken apart.
    pub code: Code,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: Code::new(text) }
    }

    /// Whether everything in it is a test or serves tests, or is the project's own command.
    fn is_beside_the_product(&self) -> bool {
        ["tests/", "xtask/"].iter().any(|dir| self.path.starts_with(dir)) || self.path.ends_with("/tests.rs")
    }
}

/// Where a rule is broken, and which.
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint {
    path: String,
    line: usize,
    what: String,
}

impl Complaint {
    fn new(source: &Source, line: usize, what: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, what: what.into() }
    }
}

/// Checks every file that git knows or would add.
///
/// # Errors
/// When a rule is broken.
pub fn tidy() -> Result<()> {
    let root = command::root();
    let listed = output(Command::new("git").current_dir(&root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    // A file that was deleted and not yet committed is still listed.
    let paths: Vec<&str> = listed.lines().filter(|path| root.join(path).exists()).collect();
    let mut sources = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".rs")) {
        let text = fs::read_to_string(root.join(path)).with_context(|| (*path).to_owned())?;
        sources.push(Source::new(path, &text));
    }
    let manifest = fs::read_to_string(root.join("tests/Cargo.toml")).context("tests/Cargo.toml")?;
    let mut complaints = house::names(&paths);
    complaints.extend(house::suites(&paths, &manifest)?);
    complaints.extend(house::column_ids(&sources));
    for source in &sources {
        complaints.extend(file::check(source));
        complaints.extend(arrow::check(source));
        if let Some(question) = file::question(source) {
            say(format_args!("tidy: {question}"));
        }
    }
    for Complaint { path, line, what } in &complaints {
        say(format_args!("tidy: {path}:{line}: {what}"));
    }
    if !complaints.is_empty() {
        bail!("{} house rules broken", complaints.len());
    }
    say(format_args!("tidy: {} files, {} of them Rust", paths.len(), sources.len()));
    Ok(())
}
