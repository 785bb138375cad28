//! The options of `record`: Procpath's, and what ours adds.

use super::{
    args::SourceArg,
    tree::{Definition, TreeArgs},
};
use clap::{Args, ValueEnum};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What `record` was asked to do.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct RecordArgs {
    /// JSONPath of the processes to record, with their descendants; all without it
    #[arg(value_name = "JSONPATH", allow_hyphen_values = false)]
    pub query: Option<String>,

    /// A variable for the query, -d and -p: what COMMAND prints, by sh
    #[arg(short = 'e', long = "environment", value_name = "VAR=COMMAND")]
    pub environment: Vec<Definition>,

    /// The recording; an existing one is continued
    #[arg(short = 'd', long = "database-file", value_name = "FILE")]
    pub database: String,

    /// Only these processes with their descendants and the way to them, before the query
    #[arg(short = 'p', long = "pid-list", value_name = "LIST")]
    pub pids: Option<String>,

    /// Seconds between samples
    #[arg(short = 'i', long, value_name = "SECONDS", default_value = "10", value_parser = interval)]
    pub interval: Duration,

    /// Number of samples; 0 or none means until interrupted
    #[arg(short = 'r', long = "recnum", value_name = "N")]
    pub count: Option<u64>,

    /// Run the commands of -e again every N samples
    #[arg(short = 'v', long = "reevalnum", value_name = "N")]
    pub reevaluate: Option<u64>,

    /// Stop after a sample without any process
    #[arg(long)]
    pub stop_without_result: bool,

    // Only a field: a comment for the user would become the help's first line.
    #[expect(missing_docs, reason = "clap would show it")]
    #[command(flatten)]
    pub tree: TreeArgs,

    /// What FILE is; by its name if not given (.ndjson, .parquet, else sqlite); Parquet has the table record alone
    #[arg(long, value_name = "FORMAT", ignore_case = true)]
    pub format: Option<RecordFormat>,

    /// The reports that can be made of the recording, by their letters (c: control group, D: delays); s, v, c and D cost a look at each process in every sample, - none
    #[arg(long, value_name = "LETTERS", default_value = "urdwRn", value_parser = letters, allow_hyphen_values = true)]
    pub reports: String,

    /// Begin a new file after this time (90s, 15m, 12h, 7d), keeping the old ones as FILE.1, FILE.2, ...
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub rotate: Option<Duration>,

    /// Begin a new file when it has grown to this size (64k, 100m, 2g)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,

    /// How many old files to keep; all without it
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,

    /// Where the numbers of the reports come from
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    pub source: SourceArg,

    /// Record played back instants: DIR/0/proc, DIR/1/proc, ...
    #[arg(long, value_name = "DIR", conflicts_with = "procfs")]
    pub root: Option<PathBuf>,

    /// Print this help
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// What a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// A database with Procpath's tables and ours.
    Sqlite,
    /// One JSON object per sample and line.
    Ndjson,
    /// The table `record` in groups of rows.
    Parquet,
}

impl RecordFormat {
    /// What a file is by its name.
    pub fn of(path: &Path) -> RecordFormat {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match ending.as_deref().and_then(|ending| ending.to_str()) {
            Some("ndjson" | "jsonl") => RecordFormat::Ndjson,
            Some("parquet") => RecordFormat::Parquet,
            _ => RecordFormat::Sqlite,
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds));
    let seconds = seconds.ok_or("an interval is in seconds, like 10 or 0.5")?;
    if seconds < 0.001 {
        return Err("the shortest interval is 0.001 seconds".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A number with one of these letters after it, in their units.
fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let last = text.chars().last()?.to_ascii_lowercase();
    let unit = units.iter().find(|(letter, _)| *letter == last);
    let number = unit.map_or(text, |_| &text[..text.len() - 1]);
    let number = number.parse::<f64>().ok().filter(|number| *number > 0.0)?;
    Some((number * unit.map_or(1.0, |(_, size)| *size as f64)) as u64).filter(|scaled| *scaled > 0)
}

fn span(text: &str) -> Result<Duration, String> {
    let seconds = scaled(text, &[('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)]);
    seconds.map(Duration::from_secs).ok_or_else(|| "a time is like 90s, 15m, 12h or 7d".into())
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = scaled(text, &[('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)]);
    bytes.ok_or_else(|| "a size is like 64k, 100m or 2g".into())
}

fn letters(text: &str) -> Result<String, String> {
    let known = "ursdwvRncD";
    if text == "-" || !text.is_empty() && text.chars().all(|letter| known.contains(letter)) {
        return Ok(text.into());
    }
    Err(format!("reports are some of the letters {known}, or - for none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!((size("64k"), size("1.5M"), size("7")), (Ok(65_536), Ok(3 << 19), Ok(7)));
        assert_eq!((span("90s"), span("2h")), (Ok(Duration::from_secs(90)), Ok(Duration::from_secs(7_200))));
        for text in ["", "k", "-1k", "0", "1x", "nan"] {
            assert!(size(text).is_err() && span(text).is_err(), "{text}");
        }
    }
}
