//! `kpidstat io`: iotop's command line.

use clap::{ArgAction, Args};
use std::path::PathBuf;

/// What was typed after `io`, or after `iotop`.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, disable_version_flag = true, version, display_name = "kpidstat")]
pub struct IoArgs {
    /// Only processes or threads that do I/O
    #[arg(short = 'o', long)]
    pub only: bool,

    /// Print tables one after the other instead of drawing the screen anew
    #[arg(short = 'b', long)]
    pub batch: bool,

    /// Number of tables
    #[arg(short = 'n', long = "iter", value_name = "NUM")]
    pub iterations: Option<u64>,

    /// Seconds between tables, fractions allowed
    #[arg(short = 'd', long = "delay", value_name = "SEC", default_value = "1", value_parser = seconds)]
    pub delay: f64,

    /// Only this thread, or with -P this process with all its threads; can be given several times
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,

    /// Only this user's, by name or number; can be given several times
    #[arg(short = 'u', long = "user", value_name = "USER")]
    pub users: Vec<String>,

    /// Processes instead of threads
    #[arg(short = 'P', long)]
    pub processes: bool,

    /// Sums since the start instead of rates
    #[arg(short = 'a', long)]
    pub accumulated: bool,

    /// All sizes in KiB
    #[arg(short = 'k', long)]
    pub kilobytes: bool,

    /// The time of day before each line; implies -b
    #[arg(short = 't', long)]
    pub time: bool,

    /// Titles only once, -qq never, -qqq no sums either; implies -b
    #[arg(short = 'q', long, action = ArgAction::Count)]
    pub quiet: u8,

    /// No line about the keys
    #[arg(long = "no-help")]
    pub no_help: bool,

    /// Have the kernel measure delays (kernel.task_delayacct) while this runs, of processes started from then on
    #[arg(long)]
    pub delayacct: bool,

    /// Play back recorded instants: DIR/0/proc, DIR/1/proc, ...
    #[arg(long, value_name = "DIR", conflicts_with = "delayacct")]
    pub root: Option<PathBuf>,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Print this help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl IoArgs {
    /// Whether tables are printed rather than drawn.
    pub fn is_batch(&self) -> bool {
        self.batch || self.time || self.quiet > 0 || self.root.is_some()
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.01..=1e6).contains(seconds));
    seconds.ok_or_else(|| "seconds are a number like 1 or 0.5, at least 0.01".into())
}
