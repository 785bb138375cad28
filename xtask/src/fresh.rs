//! `cargo xtask fresh`: runs the README's commands in a minimal Debian 12 that has nothing but cargo.

mod mirror;
mod root;

use crate::{
    command::{self, output, say},
    setup,
};
use anyhow::{Context, Result, bail};
use root::Root;
use std::{collections::BTreeSet, fs, process::Command, time::Instant};

/// How many commands the README promises.
const PROMISED: usize = 2;

/// Exits with 4 unless the first command's report came from eBPF.
const PROOF: &str = "cargo xtask run --release -- doctor";

/// Makes the root, runs the commands in a clean clone of HEAD inside, says what they had to install, removes it.
///
/// # Errors
/// When the root cannot be made, or a command fails.
pub fn fresh(commands: &[String]) -> Result<()> {
    if !command::is_root() {
        bail!("debootstrap and chroot need root; run: sudo -E env \"PATH=$PATH\" cargo xtask fresh");
    }
    setup::ensure(&setup::FRESH)?;
    let mut commands = commands.to_vec();
    if commands.is_empty() {
        commands = promised()?;
        commands.insert(1, PROOF.to_owned());
    }
    let clean = output(Command::new("git").current_dir(command::root()).args(["status", "--porcelain"]))?;
    if !clean.is_empty() {
        say("fresh: what is not committed is not in the clone");
    }
    let root = Root::make(&command::target_dir()?.join("fresh"))?;
    root.clone_head(&command::root())?;
    let before = installed(&root)?;
    let mut failed = Vec::new();
    for line in &commands {
        say(format_args!("fresh: $ {line}"));
        let start = Instant::now();
        let status = root.shell(line).status().context("chroot")?;
        say(format_args!("fresh: {status} after {:.0} s: {line}", start.elapsed().as_secs_f64()));
        if !status.success() {
            failed.push(line.clone());
        }
    }
    let after = installed(&root)?;
    let added: Vec<&str> = after.difference(&before).map(String::as_str).collect();
    say(format_args!(
        "fresh: {} packages were missing and are now installed: {}",
        added.len(),
        added.join(" ")
    ));
    root.remove()?;
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    Ok(())
}

/// The commands that stand in the README's code blocks, in its order.
fn promised() -> Result<Vec<String>> {
    let readme = fs::read_to_string(command::root().join("README.md")).context("README.md")?;
    let found: Vec<String> = commands(&readme).into_iter().take(PROMISED).collect();
    if found.len() < PROMISED {
        bail!(
            "README.md has {} lines that begin with `cargo xtask` in its code blocks, not {PROMISED}",
            found.len()
        );
    }
    Ok(found)
}

fn commands(readme: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in readme.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        let line = line.trim().trim_start_matches(['$', '#', ' ']);
        if in_block && line.starts_with("cargo xtask ") {
            // A remark behind the command is for the reader.
            found.push(line.split(" # ").next().unwrap_or(line).trim().to_owned());
        }
    }
    found
}

fn installed(root: &Root) -> Result<BTreeSet<String>> {
    let listed = output(&mut root.shell("dpkg-query --show --showformat '${Package}\\n'"))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_are_taken_from_code_blocks_alone() {
        let readme = "Run `cargo xtask build`.\ncargo xtask lint\n```sh\n$ cargo xtask run -- -u 1   # look\nls\n```\n\
                      ```\ncargo xtask test\n```\n";
        assert_eq!(commands(readme), ["cargo xtask run -- -u 1", "cargo xtask test"]);
    }
}
