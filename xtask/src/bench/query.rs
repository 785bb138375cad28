//! Queries of the process tree, whole runs of ours and of Procpath's in turn.

use super::{
    arena::{self, Population},
    results::median,
};
use crate::pypi;
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What is asked, as it is shown, and its arguments.
pub const QUERIES: [(&str, &[&str]); 3] = [
    ("-d , '$..children[?(@.stat.pid == 1)]..pid'", &["-d", ",", "$..children[?(@.stat.pid == 1)]..pid"]),
    ("'' 'SELECT SUM(stat_rss) FROM record'", &["", "SELECT SUM(stat_rss) FROM record"]),
    ("", &[]),
];

/// Stands for no query: what the last one has to read is read, and nothing is done with it.
const READ_ONLY: usize = QUERIES.len();

/// Where it is asked.
pub const POPULATION: Population = Population::Processes(1_000);

/// One answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Which query.
    pub query: usize,
    /// Whether it was ours.
    pub own: bool,
    /// CPU time of the whole run, in milliseconds.
    pub cpu_ms: f64,
}

/// Asks every query so many times.
///
/// # Errors
/// Procpath is not there, or a query failed.
pub fn play(kpidstat: &Path, rounds: usize) -> Result<Vec<Answer>> {
    let procpath = pypi::program(pypi::PROCPATH, "procpath")?;
    let programs: [(bool, PathBuf); 2] = [(true, kpidstat.to_owned()), (false, procpath)];
    let said = arena::within(POPULATION, false, |out| {
        for _ in 0..rounds {
            for (query, (shown, arguments)) in QUERIES.iter().enumerate() {
                for (own, program) in &programs {
                    let cpu_ms = ask(program, arguments).with_context(|| format!("query {shown}"))?;
                    writeln!(out, "{query}\t{own}\t{cpu_ms}")?;
                }
            }
            writeln!(out, "{READ_ONLY}\ttrue\t{}", arena::wait(arena::fork(read_only)?))?;
        }
        Ok(())
    })?;
    let answer = |line: &str| {
        let mut words = line.split('\t');
        let (query, own) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Answer { query, own, cpu_ms: words.next()?.parse().ok()? })
    };
    said.lines().map(|line| answer(line).with_context(|| format!("no answer: {line}"))).collect()
}

/// Three system calls for each of two files of every process: nobody who asks `/proc` gets by with less.
fn read_only() {
    let mut buffer = [0u8; 8192];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.as_encoded_bytes();
        if !number[0].is_ascii_digit() {
            continue;
        }
        for file in [&b"/stat\0"[..], b"/cmdline\0"] {
            let path = [b"/proc/", number, file].concat();
            // SAFETY: the path ends with a NUL, the buffer is as long as is said, and the descriptor is closed here only.
            unsafe {
                let fd = libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
                libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len());
                libc::close(fd);
            }
        }
    }
}

fn ask(program: &Path, arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new(program);
    command.arg("query").args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn()?;
    let pid = i32::try_from(child.id())?;
    let cpu_ms = arena::wait(pid);
    ensure!(cpu_ms > 0.0, "it used no time");
    Ok(cpu_ms)
}

/// The middle of the runs of one side.
pub fn cpu_ms(answers: &[Answer], query: usize, own: bool) -> Option<f64> {
    let of = answers.iter().filter(|answer| answer.query == query && answer.own == own);
    median(of.map(|answer| answer.cpu_ms).collect())
}

/// How many times the CPU time of reading alone Procpath takes for the last query.
pub fn most(answers: &[Answer]) -> Option<f64> {
    Some(cpu_ms(answers, READ_ONLY - 1, false)? / cpu_ms(answers, READ_ONLY, true)?)
}

/// How many times our CPU time Procpath takes.
pub fn ratio(answers: &[Answer], query: usize) -> Option<f64> {
    Some(cpu_ms(answers, query, false)? / cpu_ms(answers, query, true)?)
}
