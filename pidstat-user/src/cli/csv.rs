//! `kpidstat csv`: linuxprocfs.py's options.

use clap::{ArgAction, Args};
use std::path::PathBuf;

/// The command line of `csv`. Every option is linuxprocfs.py's, but the last two.
#[derive(Clone, Debug, Args)]
#[command(
    override_usage = "kpidstat csv [options] [pid...]",
    after_help = "Prints the stat, status or io files of the given threads, or of all processes and threads, as CSV."
)]
pub struct CsvArgs {
    /// Print this help
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    help: Option<bool>,

    /// Rows of stat (the default)
    #[arg(short = 's', long)]
    pub stat: bool,

    /// Rows of status
    #[arg(short = 'S', long)]
    pub status: bool,

    /// Rows of io
    #[arg(short = 'i', long)]
    pub io: bool,

    /// A line of titles before the first row of each kind
    #[arg(short = 't', long)]
    pub titles: bool,

    /// Again and again until interrupted
    #[arg(short = 'r', long)]
    pub repeat: bool,

    /// Seconds between repetitions
    #[arg(short = 'w', long = "sleep", value_name = "WAIT", default_value = "5", value_parser = seconds)]
    pub wait: f64,

    /// All processes, but not their threads
    #[arg(short = 'p', long)]
    pub processes: bool,

    /// A first column with the time of the pass, seconds since the epoch
    #[arg(long)]
    pub ts: bool,

    /// Read another procfs, or a copy of one
    #[arg(long, value_name = "DIR")]
    pub procfs: Option<PathBuf>,

    /// Threads by number, or by a pattern like '12*'; the number of a process is that of its main thread
    #[arg(value_name = "pid")]
    pub pids: Vec<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err("seconds from 0 on are wanted".into()),
    }
}
