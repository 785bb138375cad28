//! Golden files: a command, what it printed, and its exit code, compared byte for byte.
//!
//! A file `golden/STORY/CASE` begins with `$ kpidstat ARGS`; the rest is what that prints when it plays back
//! `scenarios/STORY`. A new case is a file with that one line; `cargo xtask bless` writes the rest. A line
//! `$ NAME=VALUE kpidstat ARGS` sets the environment; ARGS may begin with the name of a subcommand.

use crate::tool;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// One golden file.
#[derive(Debug)]
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// The story it plays.
    pub story: String,
    /// Its first line.
    pub command: String,
    /// The whole of it.
    pub expected: Vec<u8>,
}

/// All cases in order.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for story in entries(&tool::root().join("tests/golden")) {
        for path in entries(&story) {
            let expected = fs::read(&path).expect("a golden file can be read");
            let end = expected.iter().position(|b| *b == b'\n').unwrap_or(expected.len());
            let command = String::from_utf8(expected[..end].to_vec()).expect("the command is text");
            let story = story.file_name().unwrap_or_default().to_string_lossy().into_owned();
            cases.push(Case { path, story, command, expected });
        }
    }
    cases
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("golden cases exist").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

impl Case {
    /// Runs the command and returns what the file should hold.
    pub fn actual(&self) -> Vec<u8> {
        let line = self.command.strip_prefix("$ ").expect("a golden file begins with `$ `");
        let (settings, arguments) = line.split_once("kpidstat").expect("the command is kpidstat");
        let story = tool::root().join("tests/scenarios").join(&self.story);
        let words = words(arguments);
        // A subcommand has options of its own.
        let named = words.first().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
        let (name, rest) = words.split_at(usize::from(named));
        let mut command = tool::command(&name.iter().map(String::as_str).collect::<Vec<_>>());
        command.envs(settings.split_whitespace().map(|setting| setting.split_once('=').expect("NAME=VALUE")));
        command.arg("--root").arg(story).args(rest);
        let run = command.output().expect("kpidstat starts");
        let mut actual = format!("{}\n", self.command).into_bytes();
        actual.extend_from_slice(&run.stdout);
        for line in run.stderr.split_inclusive(|b| *b == b'\n') {
            actual.extend_from_slice(b"[stderr] ");
            actual.extend_from_slice(line);
        }
        let code = run.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string());
        actual.extend_from_slice(format!("[exit {code}]\n").as_bytes());
        actual
    }
}

/// Splits at blanks; single quotes keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, piece) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    words
}
