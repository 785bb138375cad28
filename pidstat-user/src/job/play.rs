//! `play`: runs sections of a playbook, each as the command that its name ends in.

mod command;
mod ini;
mod section;

use super::run as run_command;
use crate::cli::{Args, exit, play::PlayArgs};
use ini::Section;
use section::Chain;
use std::ffi::OsString;

/// What is wrong with a playbook.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// It cannot be read.
    #[error("{0}")]
    Book(String),
    /// A section says what its command does not understand.
    #[error("Invalid section: {0}")]
    Section(String),
    /// There is nothing to play.
    #[error("No section matches the target(s)")]
    NoMatch,
}

/// Plays, and says the exit code.
pub fn run(args: &PlayArgs) -> u8 {
    play(args).unwrap_or_else(|error| {
        eprintln!("kpidstat: {error}");
        exit::FAILED
    })
}

fn play(args: &PlayArgs) -> Result<u8, PlayError> {
    let text = std::fs::read_to_string(&args.playbook)
        .map_err(|error| PlayError::Book(format!("cannot read {}: {error}", args.playbook.display())))?;
    let book = ini::parse(&text)?;
    let matching: Vec<&Section> = args
        .targets
        .iter()
        .flat_map(|pattern| book.iter().filter(|section| matches(pattern, &section.name)))
        .filter(|section| command::of(&section.name).is_some())
        .collect();
    if args.list_sections {
        let names: Vec<&str> = matching.iter().map(|section| section.name.as_str()).collect();
        println!("{}", names.join("\n"));
        return Ok(exit::OK);
    }
    if matching.is_empty() {
        return Err(PlayError::NoMatch);
    }
    let overrides = Section { name: "-o".into(), options: args.options.clone() };
    for section in matching {
        eprintln!("kpidstat: Executing section {}", section.name);
        let chain = Chain::new(&book, section, &overrides)?;
        let resolved = command::resolve(command::of(&section.name).unwrap_or_default(), &chain)?;
        if args.dry_run {
            let json = serde_json::to_string_pretty(&resolved.arguments);
            println!("{}", json.map_err(|error| PlayError::Section(error.to_string()))?);
            continue;
        }
        let asked = Args::try_read(resolved.words.into_iter().map(OsString::from))
            .map_err(|error| PlayError::Section(error.to_string().trim_end().into()))?;
        let code = asked.command.as_ref().map_or(exit::USAGE, run_command);
        if code != exit::OK {
            return Ok(code);
        }
    }
    Ok(exit::OK)
}

/// Whether a name matches a pattern of a shell: `*`, `?`, `[abc]`, `[!a-z]`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut regex = String::from("(?s)^");
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let set = (c == '[').then(|| set(after)).flatten();
        rest = after;
        match (c, set) {
            ('*', _) => regex.push_str(".*"),
            ('?', _) => regex.push('.'),
            (_, Some((inside, behind))) => {
                let (not, inside) = inside.strip_prefix('!').map_or(("", inside), |inside| ("^", inside));
                let mut quoted = String::new();
                for c in inside.chars() {
                    if c.is_ascii_punctuation() && c != '-' {
                        quoted.push('\\');
                    }
                    quoted.push(c);
                }
                regex.push_str(&format!("[{not}{quoted}]"));
                rest = behind;
            }
            _ => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    // A range that runs backwards matches nothing, as in a shell.
    regex::Regex::new(&regex).is_ok_and(|regex| regex.is_match(name))
}

/// What stands in brackets, and what behind them; a `]` that stands first is one of the set.
fn set(after: &str) -> Option<(&str, &str)> {
    let first = if after.starts_with('!') { 1 } else { 0 };
    let skip = first + usize::from(after[first..].starts_with(']'));
    let end = after[skip..].find(']')? + skip;
    Some((&after[..end], &after[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_a_shells() {
        for (pattern, name, is) in [
            ("*", "a:query", true),
            ("a:*", "a:query", true),
            ("A:*", "a:query", false),
            ("a?q*", "a:query", true),
            ("[ab]:query", "b:query", true),
            ("[!ab]:query", "b:query", false),
            ("[a-c]:query", "b:query", true),
            ("[]x]", "]", true),
            ("a[", "a[", true),
            ("a.query", "a:query", false),
            ("query", "a:query", false),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }
}
