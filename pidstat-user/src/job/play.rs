//! `play`: runs sections of a playbook, each as the command that its name ends in.

mod command;
mod ini;
mod section;

use super::{glob::glob, run as run_command, script};
use crate::{
    cli::{Args, exit, play::PlayArgs},
    engine::wait,
};
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
    let text = script::read(&args.playbook)
        .map_err(|error| PlayError::Book(format!("cannot read {}: {error}", args.playbook.display())))?;
    let book = ini::parse(&text)?;
    let matching: Vec<&Section> = args
        .targets
        .iter()
        .map(|pattern| glob(pattern))
        .flat_map(|pattern| book.iter().filter(move |section| pattern.is_match(&section.name)))
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
        if code != exit::OK || wait::is_ended() {
            return Ok(code);
        }
    }
    Ok(exit::OK)
}
