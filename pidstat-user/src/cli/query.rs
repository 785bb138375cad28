//! The options of `query`: Procpath's, and what ours adds.

use super::tree::{Definition, TreeArgs};
use crate::select::jsonpath::Dialect;
use clap::{Args, ValueEnum};
use std::time::Duration;

/// What `query` was asked for.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct QueryArgs {
    /// What to find.
    #[arg(
        value_name = "JSONPATH",
        help = "What to find, like '$..children[?(@.stat.pid == 2610)]..pid'; every process without it"
    )]
    pub query: Option<String>,

    /// What to make of the processes found, like 'SELECT SUM(stat_rss) / 1024.0 * 4 total FROM record'
    #[arg(value_name = "SQL")]
    pub sql: Option<String>,

    /// Print what was found joined by this text instead of JSON
    #[arg(short = 'd', long, value_name = "TEXT", allow_hyphen_values = true)]
    pub delimiter: Option<String>,

    /// Indent the JSON by so many blanks
    #[arg(short = 'i', long, value_name = "N")]
    pub indent: Option<u8>,

    /// A variable for both queries: what COMMAND prints, by sh
    #[arg(short = 'e', long = "environment", value_name = "VAR=COMMAND")]
    pub environment: Vec<Definition>,

    // Only a field: a comment for the user would become the help's first line.
    #[expect(missing_docs, reason = "clap would show it")]
    #[command(flatten)]
    pub tree: TreeArgs,

    /// Wait so long first; processes that end meanwhile are in the tree, with a member exited
    #[arg(long, value_name = "SECONDS", value_parser = waiting)]
    pub exited: Option<Duration>,

    /// The language of JSONPATH
    #[arg(long = "jsonpath", value_name = "LANGUAGE", default_value = "both")]
    pub dialect: DialectArg,

    /// Behave as an older Procpath: 0.2 has one tree, that of process 1
    #[arg(long, value_name = "VERSION")]
    pub compat: Option<Compat>,

    /// What to say on standard error: warnings and errors, or errors alone
    #[arg(long = "logging-level", value_name = "LEVEL", default_value = "INFO", ignore_case = true)]
    pub level: Level,

    /// Print this help
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn waiting(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.001..=1e6).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a time is in seconds, like 10 or 0.5".into())
}

/// What `--jsonpath` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// RFC 9535 and Procpath's
    Both,
    /// RFC 9535 alone
    Strict,
}

impl From<DialectArg> for Dialect {
    fn from(dialect: DialectArg) -> Dialect {
        match dialect {
            DialectArg::Both => Dialect::Both,
            DialectArg::Strict => Dialect::Strict,
        }
    }
}

/// What `--compat` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// 0.2.0
    #[value(name = "0.2", alias = "0.2.0")]
    Old,
}

/// What `--logging-level` takes: Python's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Level {
    /// Everything.
    Debug,
    /// What is done.
    Info,
    /// What may be wrong.
    #[value(alias = "WARN")]
    Warning,
    /// What is wrong.
    Error,
    /// What ends the program.
    #[value(alias = "FATAL")]
    Critical,
}
