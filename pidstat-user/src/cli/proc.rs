//! `kpidstat proc`: what one file of the kernel says of processes.

use super::args::PidArg;
use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;

/// The command line of `proc`.
#[derive(Clone, Debug, Args)]
#[command(
    override_usage = "kpidstat proc READER [PID|SELF|ALL]...\n       kpidstat proc net|sys [KEY]...",
    after_help = "One process is printed as the file's own shape, several as a list. Fields and units: man kpidstat."
)]
pub struct ProcArgs {
    /// Print this help
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    help: Option<bool>,

    /// Which file
    #[arg(value_name = "READER")]
    pub reader: ReaderArg,

    /// Processes or threads (all by default); with net and sys, files or directories below /proc/sys/net or /proc/sys
    #[arg(value_name = "PID|KEY")]
    pub of: Vec<String>,

    /// As Python's pprint prints it, as one JSON document, as one JSON object or CSV line per row
    #[arg(short = 'o', value_name = "FORMAT", default_value = "pprint", ignore_case = true)]
    pub output: FormArg,

    /// Read another procfs, or a copy of one
    #[arg(long, value_name = "DIR")]
    pub procfs: Option<PathBuf>,
}

/// What READER takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReaderArg {
    /// State, times, sizes: every field
    Stat,
    /// Memory in pages
    Statm,
    /// Every line, as text
    Status,
    /// Bytes and system calls
    Io,
    /// Nanoseconds on a CPU and waiting for one (of a process: its main thread's)
    Schedstat,
    /// Mappings
    Maps,
    /// Memory by kind in KiB, summed over the mappings
    #[value(name = "smaps_rollup", alias = "smaps-rollup")]
    SmapsRollup,
    /// What is mounted where
    Mountinfo,
    /// Mounts with their statistics
    Mountstats,
    /// Open files
    Fd,
    /// Limits of resources
    Limits,
    /// Control groups
    Cgroup,
    /// Environment
    Environ,
    /// Arguments
    Cmdline,
    /// The settings below /proc/sys/net
    Net,
    /// The settings below /proc/sys
    Sys,
}

/// What `-o` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    /// One document.
    Json,
    /// One object per row and line.
    Ndjson,
    /// One line per row.
    Csv,
    /// What Python's pprint prints.
    Pprint,
}

impl ProcArgs {
    /// The processes that were named, `None` for all.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn pids(&self) -> Result<Option<Vec<u32>>, String> {
        let mut pids = Vec::new();
        for text in &self.of {
            match text.parse().map_err(|why: String| format!("{text}: {why}"))? {
                PidArg::Number(pid) => pids.push(pid),
                PidArg::Myself => pids.push(std::process::id()),
                PidArg::All => return Ok(None),
            }
        }
        Ok((!pids.is_empty()).then_some(pids))
    }
}
