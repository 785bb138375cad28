//! The options of `watch`: Procpath's.

use super::{
    query::Level,
    tree::{Definition, TreeArgs},
};
use clap::Args;
use std::{str::FromStr, time::Duration};

/// What `watch` was asked to do.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct WatchArgs {
    /// A variable for queries and commands: what COMMAND prints, by sh
    #[arg(short = 'e', long = "environment", value_name = "VAR=COMMAND")]
    pub environment: Vec<Definition>,

    /// Variables for commands.
    #[arg(
        short = 'q',
        long = "query",
        value_name = "VAR=JSONPATH",
        help = "A variable for commands: what JSONPATH finds, joined by commas, like L='$..children[?(@.stat.pid == $C1)]..pid'"
    )]
    pub queries: Vec<Definition>,

    /// What to run, by sh; $WPS1, $WPS2, ... are the process ids of the shells before it
    #[arg(short = 'c', long = "command", value_name = "COMMAND", required = true)]
    pub commands: Vec<String>,

    /// Seconds after which variables are evaluated again, and commands that ended are started again
    #[arg(short = 'i', long, value_name = "SECONDS", value_parser = seconds)]
    pub interval: Duration,

    /// Number of intervals; without it, until interrupted
    #[arg(short = 'r', long, value_name = "N")]
    pub repeat: Option<u64>,

    /// Start each command once, and end when all have ended
    #[arg(long)]
    pub no_restart: bool,

    /// What commands are told when watching ends
    #[arg(short = 's', long, value_name = "SIGNAL", default_value = "SIGINT")]
    pub stop_signal: Signal,

    /// Seconds from then until those that still run are killed
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub kill_after: Duration,

    /// The longest line of a command that is shown (k and m are units)
    #[arg(long, value_name = "SIZE", default_value = "64k", value_parser = size)]
    pub stream_read_buffer: usize,

    // Only a field: a comment for the user would become the help's first line.
    #[expect(missing_docs, reason = "clap would show it")]
    #[command(flatten)]
    pub tree: TreeArgs,

    /// What to say on standard error: output of commands is INFO, their errors are WARNING
    #[arg(long = "logging-level", value_name = "LEVEL", default_value = "INFO", ignore_case = true)]
    pub level: Level,

    /// Print this help
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// A signal by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// `SIGINT`
    pub name: &'static str,
}

impl FromStr for Signal {
    type Err = String;

    fn from_str(text: &str) -> Result<Signal, String> {
        const SIGNALS: [(&str, i32); 12] = [
            ("SIGHUP", libc::SIGHUP),
            ("SIGINT", libc::SIGINT),
            ("SIGQUIT", libc::SIGQUIT),
            ("SIGKILL", libc::SIGKILL),
            ("SIGUSR1", libc::SIGUSR1),
            ("SIGUSR2", libc::SIGUSR2),
            ("SIGALRM", libc::SIGALRM),
            ("SIGTERM", libc::SIGTERM),
            ("SIGCONT", libc::SIGCONT),
            ("SIGSTOP", libc::SIGSTOP),
            ("SIGTSTP", libc::SIGTSTP),
            ("SIGWINCH", libc::SIGWINCH),
        ];
        let known =
            SIGNALS.into_iter().find(|(name, _)| *name == text || name.strip_prefix("SIG") == Some(text));
        known.map(|(name, number)| Signal { number, name }).ok_or_else(|| {
            format!(
                "there is no signal `{text}` here; there are {}",
                SIGNALS.map(|(name, _)| name).join(", ")
            )
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a number of seconds, fractions allowed".into())
}

/// Bytes; at least one, at most what memory is spent on for a line.
fn size(text: &str) -> Result<usize, String> {
    const MOST: f64 = 1e9;
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024.0),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1024.0 * 1024.0),
        _ => (text, 1.0),
    };
    let bytes = number.parse::<f64>().ok().map(|number| number * unit);
    let bytes = bytes.filter(|bytes| (1.0..=MOST).contains(bytes));
    bytes.map(|bytes| bytes as usize).ok_or_else(|| "a size from 1 byte to 1 GB, like 64k or 1m".into())
}
