//! The commands that a section may be: their options, as a playbook names them, and the words of their command lines.

use super::{PlayError, section::Chain};
use crate::{cli::Args, source::procfs::PROC_ROOT};
use clap::CommandFactory as _;
use serde_json::{Map, Value, json};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Whole,
    Real,
    /// Yes or no.
    Flag,
    /// Texts separated by commas.
    Texts,
    /// Whole numbers separated by commas.
    Numbers,
    /// A directory, without a slash at its end.
    Directory,
    /// Bytes, with k or m after them.
    Size,
    /// Lines.
    Lines,
    /// Lines `NAME=VALUE`.
    Pairs,
    /// It has no option of its own, it stands at the end.
    Position,
}

/// An option: its key in a playbook, its name in the resolved arguments, what it is, and what it is if it is not set.
type Known = (&'static str, &'static str, Kind, Option<&'static str>);

const TREE: [Known; 3] = [
    ("procfile_list", "procfile_list", Kind::Texts, Some("stat, cmdline")),
    ("procfs", "procfs", Kind::Directory, Some(PROC_ROOT)),
    ("procfs_target", "procfs_target", Kind::Text, Some("process")),
];

const QUERY: [Known; 5] = [
    ("query", "query", Kind::Position, None),
    ("sql_query", "sql_query", Kind::Position, None),
    ("delimiter", "delimiter", Kind::Text, None),
    ("indent", "indent", Kind::Whole, None),
    ("environment", "environment", Kind::Pairs, None),
];

const RECORD: [Known; 8] = [
    ("query", "query", Kind::Position, None),
    ("environment", "environment", Kind::Pairs, None),
    ("database_file", "database_file", Kind::Text, None),
    ("pid_list", "pid_list", Kind::Text, None),
    ("interval", "interval", Kind::Real, Some("10")),
    ("recnum", "recnum", Kind::Whole, None),
    ("reevalnum", "reevalnum", Kind::Whole, None),
    ("stop_without_result", "stop_without_result", Kind::Flag, None),
];

const PLOT: [Known; 17] = [
    ("database_file", "database_file", Kind::Text, None),
    ("plot_file", "plot_file", Kind::Text, Some("plot.svg")),
    ("query_name", "query_name_list", Kind::Lines, None),
    ("custom_query_file", "custom_query_file_list", Kind::Lines, None),
    ("custom_value_expr", "custom_value_expr_list", Kind::Lines, None),
    ("after", "after", Kind::Text, None),
    ("before", "before", Kind::Text, None),
    ("pid_list", "pid_list", Kind::Numbers, None),
    ("share_y_axis", "share_y_axis", Kind::Flag, None),
    ("logarithmic", "logarithmic", Kind::Flag, None),
    ("style", "style", Kind::Text, None),
    ("formatter", "formatter", Kind::Text, None),
    ("title", "title", Kind::Text, None),
    ("no_dots", "no_dots", Kind::Flag, None),
    ("relative_time", "relative_time", Kind::Flag, None),
    ("epsilon", "epsilon", Kind::Real, None),
    ("moving_average_window", "moving_average_window", Kind::Whole, None),
];

const WATCH: [Known; 9] = [
    ("environment", "environment", Kind::Pairs, None),
    ("query", "query_list", Kind::Pairs, None),
    ("command", "command_list", Kind::Lines, None),
    ("interval", "interval", Kind::Real, None),
    ("repeat", "repeat", Kind::Whole, None),
    ("no_restart", "no_restart", Kind::Flag, None),
    ("stop_signal", "stop_signal", Kind::Text, Some("SIGINT")),
    ("kill_after", "kill_after", Kind::Real, Some("10")),
    ("stream_read_buffer", "stream_read_buffer", Kind::Size, Some("64k")),
];

/// A command and what Procpath's has.
struct Form {
    options: Vec<Known>,
    required: &'static [&'static str],
}

fn form(command: &str) -> Option<Form> {
    let with_tree = |own: &[Known]| [own, &TREE].concat();
    let (options, required): (_, &[&str]) = match command {
        "query" => (with_tree(&QUERY), &[]),
        "record" => (with_tree(&RECORD), &["database_file"]),
        "plot" => (PLOT.to_vec(), &["database_file"]),
        "watch" => (with_tree(&WATCH), &["command", "interval"]),
        _ => return None,
    };
    Some(Form { options, required })
}

/// The command that a section is, by the end of its name.
pub fn of(section: &str) -> Option<&str> {
    let command = section.rsplit(':').next()?;
    form(command).map(|_| command)
}

/// A section, resolved.
#[derive(Debug)]
pub struct Resolved {
    /// What Procpath would print of it.
    pub arguments: Map<String, Value>,
    /// The words of our command line.
    pub words: Vec<String>,
}

/// Resolves a section's options.
///
/// # Errors
/// What is wrong with them.
pub fn resolve(command: &str, chain: &Chain<'_>) -> Result<Resolved, PlayError> {
    let Some(Form { options, required }) = form(command) else {
        return Err(PlayError::Section(format!("there is no command {command}")));
    };
    let mut words = vec!["kpidstat".to_owned(), command.to_owned()];
    for key in chain.keys() {
        let value = chain.get(key).unwrap_or_default();
        match options.iter().any(|(known, ..)| *known == key) {
            true => {}
            // Options that only ours has.
            false if is_ours(command, key) => words.push(format!("--{}={value}", key.replace('_', "-"))),
            false => {
                return Err(PlayError::Section(format!("unrecognized arguments: {}", key.replace('_', "-"))));
            }
        }
    }
    let absent: Vec<String> = required
        .iter()
        .filter(|key| match chain.lines(key) {
            Ok(lines) => lines.is_empty(),
            Err(_) => false,
        })
        .map(|key| key.replace('_', "-"))
        .collect();
    if !absent.is_empty() {
        let absent = absent.join(", ");
        return Err(PlayError::Section(format!("the following arguments are required: {absent}")));
    }
    let mut arguments = Map::new();
    let mut positions = vec!["--".to_owned()];
    for (key, name, kind, otherwise) in options {
        let option = format!("--{}", key.replace('_', "-"));
        let value = match kind {
            Kind::Position => {
                let value = chain.get(key).unwrap_or_default();
                positions.push(value.into());
                json!(value)
            }
            Kind::Flag => {
                let set = chain.flag(key)?;
                words.extend(set.then_some(option));
                json!(set)
            }
            Kind::Lines | Kind::Pairs => {
                let lines = chain.lines(key)?;
                words.extend(lines.iter().map(|line| format!("{option}={line}")));
                match kind {
                    _ if lines.is_empty() => Value::Null,
                    Kind::Pairs => lines.iter().map(|line| pair(line)).collect::<Vec<Value>>().into(),
                    _ => json!(lines),
                }
            }
            _ => match chain.get(key) {
                Some(text) => {
                    words.push(format!("{option}={text}"));
                    typed(key, kind, text)?
                }
                None => otherwise.map_or(Ok(Value::Null), |text| typed(key, kind, text))?,
            },
        };
        arguments.insert(name.into(), value);
    }
    if positions.len() > 1 {
        words.extend(positions);
    }
    Ok(Resolved { arguments, words })
}

/// Whether an option is one that our command has and Procpath's has not.
fn is_ours(command: &str, key: &str) -> bool {
    let ours = Args::command();
    let Some(command) = ours.get_subcommands().find(|known| known.get_name() == command) else {
        return false;
    };
    let long = key.replace('_', "-");
    command.get_arguments().any(|argument| argument.get_long() == Some(&long))
}

/// `NAME=VALUE` as a list of two; without `=`, of one.
fn pair(line: &str) -> Value {
    line.splitn(2, '=').collect::<Vec<&str>>().into()
}

fn typed(key: &str, kind: Kind, text: &str) -> Result<Value, PlayError> {
    let wrong = |what: &str| {
        PlayError::Section(format!("argument {}: invalid {what} value: '{text}'", key.replace('_', "-")))
    };
    let trimmed = text.trim();
    Ok(match kind {
        Kind::Whole => json!(trimmed.parse::<i64>().map_err(|_| wrong("int"))?),
        Kind::Real => json!(trimmed.parse::<f64>().map_err(|_| wrong("float"))?),
        Kind::Texts => json!(text.split(',').map(str::trim).collect::<Vec<&str>>()),
        Kind::Numbers => {
            let numbers = text.split(',').map(|number| number.trim().parse::<i64>());
            json!(numbers.collect::<Result<Vec<i64>, _>>().map_err(|_| wrong("list of int"))?)
        }
        Kind::Directory => json!(text.trim_end_matches('/')),
        Kind::Size => {
            let last = text.chars().last().map(|c| c.to_ascii_lowercase());
            let (number, unit) = match last {
                Some('k') => (&text[..text.len() - 1], 1024.0),
                Some('m') => (&text[..text.len() - 1], 1024.0 * 1024.0),
                _ => (text, 1.0),
            };
            json!((number.trim().parse::<f64>().map_err(|_| wrong("size"))? * unit) as i64)
        }
        _ => json!(text),
    })
}
