//! The real pidstat on an invented machine, as the judge of what kpidstat prints under its name.
//!
//! `oracle/shim.c`, preloaded, leads pidstat's every look at the machine into a story's instants and turns to the next
//! instant where pidstat would wait; parsing, formulas and printing are Debian's own. The shim is not a mount namespace
//! because it needs no privilege, cannot leave a mount behind, and changes instants without a second process.

use crate::tool;
use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// Debian's pidstat.
const PIDSTAT: &str = "/usr/bin/pidstat";
/// What its `-V` begins with; another version is another judge.
const VERSION: &str = "sysstat version 12.6.1\n";

/// A line of `oracle/combinations.txt`: `[NAME=VALUE ...] pidstat ARGUMENTS`.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The line.
    pub line: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Ask {
    /// Takes a line apart; single quotes keep blanks together and make empty words.
    pub fn parse(line: &str) -> Ask {
        let mut words = words(line).into_iter();
        let environment = words
            .by_ref()
            .take_while(|word| word != "pidstat")
            .map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect::<Option<_>>()
            .unwrap_or_else(|| panic!("{line}: NAME=VALUE stands before pidstat"));
        Ask { line: line.to_owned(), environment, arguments: words.collect() }
    }
}

/// All combinations of options, in the order of the file.
pub fn asks() -> Vec<Ask> {
    let text = fs::read_to_string(tool::root().join("tests/oracle/combinations.txt"))
        .expect("the combinations are there");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(Ask::parse).collect()
}

/// An invented machine.
#[derive(Clone, Debug)]
pub struct Story {
    /// The name of its directory.
    pub name: String,
    dir: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Story {
    /// Reads `DIR/scenario.toml`, which must name everything that pidstat would ask the kernel by system call.
    pub fn open(dir: PathBuf) -> Story {
        let text = fs::read_to_string(dir.join("scenario.toml")).expect("a story has a scenario.toml");
        let table: toml::Table = text.parse().expect("scenario.toml is TOML");
        let value = |key: &str, otherwise: &str| match table.get(key) {
            Some(toml::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => otherwise.to_owned(),
        };
        let settings = vec![
            ("ORACLE_STORY", dir.to_str().expect("the checkout's path is text").to_owned()),
            ("ORACLE_EPOCH", value("epoch", "0")),
            ("ORACLE_SYSNAME", value("sysname", "Linux")),
            ("ORACLE_NODENAME", value("nodename", "localhost")),
            ("ORACLE_RELEASE", value("release", "unknown")),
            ("ORACLE_MACHINE", value("machine", "unknown")),
            ("ORACLE_CLOCK_TICKS", value("clock_ticks", "100")),
            ("ORACLE_PAGE_SIZE", value("page_size", "4096")),
        ];
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Story { name, dir, settings }
    }
}

/// All stories, by name.
pub fn stories() -> Vec<Story> {
    let listing = fs::read_dir(tool::root().join("tests/scenarios")).expect("stories are there");
    let mut dirs: Vec<_> = listing.map(|entry| entry.expect("an entry").path()).collect();
    dirs.sort();
    dirs.into_iter().map(Story::open).collect()
}

/// What a program printed, and how it ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Printed {
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: Vec<u8>,
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
}

impl Printed {
    /// All of it as lines, for people to read.
    pub fn lines(&self) -> Vec<String> {
        let of = |bytes: &[u8], mark: &str| -> Vec<String> {
            let lines = bytes.split_inclusive(|b| *b == b'\n');
            lines.map(|line| format!("{mark}{}", line.escape_ascii())).collect()
        };
        let mut lines = of(&self.out, "");
        lines.extend(of(&self.err, "[stderr] "));
        lines.push(format!("[exit {:?}]", self.code));
        lines
    }
}

impl From<Output> for Printed {
    fn from(output: Output) -> Printed {
        Printed { out: output.stdout, err: output.stderr, code: output.status.code() }
    }
}

/// What Debian's pidstat prints.
///
/// # Panics
/// When it cannot be asked: not installed, another version, no C compiler for the shim. An oracle is never skipped.
pub fn real(story: &Story, ask: &Ask) -> Printed {
    let mut command = command(Path::new(PIDSTAT), ask);
    command.env("LD_PRELOAD", shim()).envs(story.settings.iter().map(|(name, value)| (name, value)));
    printed(command.args(&ask.arguments), story)
}

/// What kpidstat prints under the name of pidstat, by 12.6.1's rules.
pub fn ours(story: &Story, ask: &Ask) -> Printed {
    let mut command = command(&tool::kpidstat(), ask);
    command.args(["--sysstat", "12.6", "--root"]).arg(&story.dir);
    printed(command.args(&ask.arguments), story)
}

/// Runs it under a number that is nobody's in the story, for `-p SELF`.
fn printed(command: &mut Command, story: &Story) -> Printed {
    loop {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let taken = story.dir.join("0/proc").join(child.id().to_string()).exists();
        let printed = child.wait_with_output().expect("it can be waited for");
        if !taken {
            return printed.into();
        }
    }
}

/// What both print of this machine, Debian's pidstat first. `more` goes to both behind the arguments.
pub fn live(ask: &Ask, more: &[&str]) -> (Printed, Printed) {
    let run = |mut command: Command| -> Printed {
        command.args(&ask.arguments).args(more).output().expect("it starts").into()
    };
    let mut ours = command(&tool::kpidstat(), ask);
    ours.args(["--sysstat", "12.6"]);
    (run(command(Path::new(PIDSTAT), ask)), run(ours))
}

fn command(program: &Path, ask: &Ask) -> Command {
    let mut command = Command::new(program);
    command.arg0("pidstat").env_clear().env("TZ", "UTC").env("LC_ALL", "C").stdin(Stdio::null());
    command.envs(ask.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Compiles the shim once, beside the tests, and makes sure that the judge is the one that was agreed on.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let version = Command::new(PIDSTAT).arg("-V").output();
        let version =
            version.unwrap_or_else(|error| panic!("{PIDSTAT}: {error}; install Debian 12's sysstat"));
        assert!(version.stdout.starts_with(VERSION.as_bytes()), "{PIDSTAT} is not 12.6.1");
        let test = std::env::current_exe().expect("a test has a path");
        // Two suites may do this at once: each compiles its own.
        let mut name = test.into_os_string().into_vec();
        name.extend_from_slice(b".shim.so");
        let library = PathBuf::from(OsString::from_vec(name));
        let source = tool::root().join("tests/oracle/shim.c");
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .expect("a C compiler is there as cc");
        assert!(compiled.status.success(), "the shim: {}", String::from_utf8_lossy(&compiled.stderr));
        library
    })
}

/// Splits at blanks; single quotes keep blanks together and can make an empty word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let ask = Ask::parse("TZ=UTC A=b=c pidstat -C '^a b$' -p '' 1");
        assert_eq!(ask.environment, [("TZ".into(), "UTC".into()), ("A".into(), "b=c".into())]);
        assert_eq!(ask.arguments, ["-C", "^a b$", "-p", "", "1"]);
    }
}
