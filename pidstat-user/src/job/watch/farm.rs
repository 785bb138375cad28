//! The commands that are watched: each a shell in a process group of its own, and its output line by line.

use super::{super::environment::Variables, say::Log};
use crate::{
    cli::{query::Level, watch::Signal},
    engine::wait::unblock,
    sample::node::Member,
    source::procfs::{
        self,
        files::{Extent, Files, Place},
        node::{Target, Tree},
        stat,
    },
};
use std::{
    io::{self, BufRead as _, BufReader, Read},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often one that should end is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How long output is waited for when all commands have ended; what has left its shell may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Commands by their number.
pub struct Farm {
    log: Log,
    longest_line: usize,
    shells: Vec<Shell>,
    readers: Vec<JoinHandle<()>>,
}

struct Shell {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Farm {
    /// None yet.
    pub fn new(log: Log, longest_line: usize) -> Farm {
        Farm { log, longest_line, shells: Vec::new(), readers: Vec::new() }
    }

    /// Starts the command with this number, counted from 0, unless it runs. It finds the variables, and the process ids of
    /// the other shells as WPS1, WPS2, ..., in its environment.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub fn run(&mut self, at: usize, command: &str, variables: &Variables) -> io::Result<()> {
        if let Some(shell) = self.shells.get_mut(at) {
            match shell.look() {
                None => return Ok(()),
                Some(status) => {
                    let text = format!("№{} exited with code {}, restarting", at + 1, code(status));
                    self.log.say(Level::Info, &text);
                }
            }
        }
        self.log.say(Level::Debug, &format!("Starting №{}: {command}", at + 1));
        let others = self.shells.iter().enumerate().filter(|(other, _)| *other != at);
        let others = others.map(|(other, shell)| (format!("WPS{}", other + 1), shell.child.id().to_string()));
        let mut child = unblock(&mut Command::new("sh"))
            .args(["-c", command])
            .envs(variables.all())
            .envs(others)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        self.log.say(Level::Debug, &format!("Started №{} shell as PID {}", at + 1, child.id()));
        self.readers.retain(|reader| !reader.is_finished());
        if let Some(out) = child.stdout.take() {
            self.forward(at + 1, out, Level::Info);
        }
        if let Some(err) = child.stderr.take() {
            self.forward(at + 1, err, Level::Warning);
        }
        let shell = Shell { child, ended: None };
        match self.shells.get_mut(at) {
            Some(before) => *before = shell,
            None => self.shells.push(shell),
        }
        Ok(())
    }

    /// Whether no command runs.
    pub fn all_ended(&mut self) -> bool {
        self.shells.iter_mut().all(|shell| shell.look().is_some())
    }

    /// Sends every shell's process group the signal, waits, kills the shells that still run, and then every descendant
    /// that there was when this began and that still is.
    pub fn stop(&mut self, signal: Signal, kill_after: Duration) {
        let descendants = self.descendants();
        for shell in self.shells.iter().filter(|shell| shell.ended.is_none()) {
            self.log
                .say(Level::Debug, &format!("Sending {} to shell PGRP {}", signal.name, shell.child.id()));
            kill(-i64::from(shell.child.id()), signal.number);
        }
        let end = Instant::now() + kill_after;
        while !self.all_ended() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        for shell in self.shells.iter_mut().filter(|shell| shell.ended.is_none()) {
            self.log.say(Level::Debug, &format!("Killing unterminated shell PID {}", shell.child.id()));
            let _ = shell.child.kill();
            shell.ended = shell.child.wait().ok();
        }
        for (pid, started) in descendants {
            // The number may be somebody else's by now.
            if started_at(pid) == Some(started) {
                self.log.say(Level::Debug, &format!("Killing unterminated descendant PID {pid}"));
                kill(pid.into(), libc::SIGKILL);
            }
        }
        let end = Instant::now() + LAST_WORDS;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
    }

    /// Processes below the shells that run, and when each started.
    fn descendants(&mut self) -> Vec<(u32, i64)> {
        let running: Vec<u32> = self
            .shells
            .iter_mut()
            .filter(|shell| shell.ended.is_none())
            .map(|shell| shell.child.id())
            .collect();
        if running.is_empty() {
            return Vec::new();
        }
        let Ok(tree) = Tree::read(procfs::PROC_ROOT.as_ref(), Target::Process) else { return Vec::new() };
        let all = tree.flat(tree.roots());
        let shells: Vec<_> = all.into_iter().filter(|node| running.contains(&tree.number(*node))).collect();
        let below = tree.flat(&shells);
        let started = Member::Stat.field("starttime").unwrap_or_default();
        below
            .into_iter()
            .filter_map(|node| Some((tree.number(node), tree.values(node, Member::Stat)[started].integer()?)))
            .collect()
    }

    fn forward(&mut self, number: usize, from: impl Read + Send + 'static, level: Level) {
        let (log, longest) = (self.log, self.longest_line);
        let reader = std::thread::Builder::new().name(format!("output of {number}"));
        let reader = reader.spawn(move || lines(from, longest, |line| match line {
            Some(line) => log.say(level, &format!("№{number}: {line}")),
            None => log.say(
                Level::Error,
                &format!("№{number}: a line is longer than {longest} bytes and left out; --stream-read-buffer allows more"),
            ),
        }));
        match reader {
            Ok(reader) => self.readers.push(reader),
            Err(error) => {
                self.log.say(Level::Error, &format!("№{number}: its output cannot be read: {error}"));
            }
        }
    }
}

impl Shell {
    /// How it ended, if it did.
    fn look(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }
}

/// The exit code, or the signal that ended it as a negative number.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}

/// Sends a signal; to a whole process group if the number is negative. Who is gone needs none.
fn kill(pid: i64, signal: i32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: kill takes two numbers and touches no memory of ours.
    unsafe { libc::kill(pid, signal) };
}

/// When a process started, in clock ticks since boot.
fn started_at(pid: u32) -> Option<i64> {
    let mut files = Files::open(procfs::PROC_ROOT.as_ref()).ok()?;
    let line = files.read(Place::process(pid), Member::Stat.name(), Extent::Record).ok()?;
    i64::try_from(stat::parse(line)?.start_ticks).ok()
}

/// Hands every line over without the blanks around it; of one that is too long, that it is.
fn lines(from: impl Read, longest: usize, mut each: impl FnMut(Option<&str>)) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let mut skipping = false;
    loop {
        line.clear();
        let most = longest as u64 + 1;
        match from.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let whole = line.ends_with(b"\n");
        let long = !whole && line.len() > longest;
        if skipping {
            skipping = long;
        } else if long {
            each(None);
            skipping = true;
        } else {
            each(Some(String::from_utf8_lossy(&line).trim()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_too_long_are_told_and_left_out() {
        let mut seen = Vec::new();
        let text = [b"a\n  b \xff\n".as_slice(), &[b'x'; 8], b"\n", &[b'y'; 100], b"\nend"].concat();
        lines(&text[..], 8, |line| seen.push(line.map(str::to_owned)));
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(seen, [line("a"), line("b \u{fffd}"), line("xxxxxxxx"), None, line("end")]);
    }
}
