//! The options that every job on the process tree has: `query`, `record`, `watch`.

use crate::{sample::node::Member, source::procfs::node::Target};
use clap::{Args, ValueEnum};
use std::{path::PathBuf, str::FromStr};

/// What the tree is made of.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct TreeArgs {
    /// What to read of each process: stat, cmdline, io, status, fd, smaps_rollup, cgroup, delay, net, exited
    #[arg(
        short = 'f',
        long = "procfile-list",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "stat,cmdline",
        value_parser = member
    )]
    pub members: Vec<Member>,

    /// Read another procfs, or a copy of one
    #[arg(long, value_name = "PATH", default_value = crate::source::procfs::PROC_ROOT)]
    pub procfs: PathBuf,

    /// Processes, or threads as well
    #[arg(long = "procfs-target", value_name = "process|thread", default_value = "process")]
    pub target: TargetArg,
}

impl TreeArgs {
    /// Says what is wrong with the options together.
    ///
    /// # Errors
    /// Words for the user.
    pub fn check(&self) -> Result<(), String> {
        if self.members.contains(&Member::Stat) {
            return Ok(());
        }
        Err("--procfile-list needs stat: without it nobody knows whose child a process is".into())
    }
}

/// What `--procfs-target` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetArg {
    /// Processes.
    Process,
    /// Threads.
    Thread,
}

impl From<TargetArg> for Target {
    fn from(target: TargetArg) -> Target {
        match target {
            TargetArg::Process => Target::Process,
            TargetArg::Thread => Target::Thread,
        }
    }
}

fn member(name: &str) -> Result<Member, String> {
    let name = name.trim();
    Member::named(name).ok_or_else(|| {
        let names: Vec<&str> = Member::ALL.iter().map(|member| member.name()).collect();
        format!("there is no `{name}`; there are {}", names.join(", "))
    })
}

/// `NAME=COMMAND`: a variable, and the command whose output is its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The variable.
    pub name: String,
    /// What `sh -c` runs.
    pub command: String,
}

impl FromStr for Definition {
    type Err = String;

    fn from_str(text: &str) -> Result<Definition, String> {
        let (name, command) = text.split_once('=').ok_or("a variable is NAME=COMMAND")?;
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("`{name}` is no name of a variable: letters, digits and _, no digit first"));
        }
        Ok(Definition { name: name.into(), command: command.into() })
    }
}
