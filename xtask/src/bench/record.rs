//! Recordings of the process tree: what a sample costs, ours and Procpath's in turn, and whether 0.1 s are enough for ours.

use super::{
    arena::{self, Population},
    results::median,
};
use crate::{command, pypi};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// What is recorded, as it is shown, and its arguments; stat and cmdline of every process in both.
pub const RECORDINGS: [(&str, &[&str]); 2] =
    [("", &[]), ("'$..children[?(@.stat.pid == 1)]'", &["$..children[?(@.stat.pid == 1)]"])];

/// Where it is recorded.
pub const POPULATION: Population = Population::Processes(1_000);

/// Seconds between samples of both.
const INTERVAL: f64 = 0.1;
/// Samples after the first, ours and Procpath's: ours begins with a start that varies, so it has more of them.
const SAMPLES: [usize; 2] = [100, 10];
const QUICK_SAMPLES: [usize; 2] = [30, 5];

/// One run's samples.
#[derive(Clone, Copy, Debug)]
pub struct Recording {
    /// Which of [`RECORDINGS`].
    pub which: usize,
    /// Whether it was ours.
    pub own: bool,
    /// CPU time of a sample, in milliseconds.
    pub cpu_ms: f64,
    /// Elapsed time from one sample to the next, in seconds.
    pub step_s: f64,
}

/// Records three times, or once and shorter.
///
/// # Errors
/// Procpath is not there, or a recording failed.
pub fn play(kpidstat: &Path, quick: bool) -> Result<Vec<Recording>> {
    let procpath = pypi::program(pypi::PROCPATH, "procpath")?;
    let dir = command::target_dir()?.join("bench-record");
    fs::create_dir_all(&dir)?;
    let programs: [(bool, PathBuf); 2] = [(true, kpidstat.to_owned()), (false, procpath)];
    let said = arena::within(POPULATION, false, |out| {
        for _ in 0..if quick { 1 } else { 3 } {
            for (which, (shown, arguments)) in RECORDINGS.iter().enumerate() {
                for (own, program) in &programs {
                    let samples = if quick { QUICK_SAMPLES } else { SAMPLES }[usize::from(!own)];
                    let run = |count| {
                        record(program, arguments, &dir.join("bench.sqlite"), count)
                            .with_context(|| format!("record {shown}"))
                    };
                    let (first, all) = (run(1)?, run(1 + samples)?);
                    let of = |whole: f64, start: f64| (whole - start) / samples as f64;
                    writeln!(out, "{which}\t{own}\t{}\t{}", of(all.0, first.0), of(all.1, first.1))?;
                }
            }
        }
        Ok(())
    });
    fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let recording = |line: &str| {
        let mut words = line.split('\t');
        let (which, own) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (cpu_ms, step_s) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Recording { which, own, cpu_ms, step_s })
    };
    said?.lines().map(|line| recording(line).with_context(|| format!("no recording: {line}"))).collect()
}

/// CPU time in milliseconds and elapsed time in seconds of a recording of so many samples.
fn record(program: &Path, arguments: &[&str], file: &Path, samples: usize) -> Result<(f64, f64)> {
    if file.exists() {
        fs::remove_file(file)?;
    }
    let mut command = Command::new(program);
    command.args(["record", "-i", &INTERVAL.to_string(), "-r", &samples.to_string(), "-d"]).arg(file);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let child = command.spawn()?;
    let cpu_ms = arena::wait(i32::try_from(child.id())?);
    let elapsed_s = begun.elapsed().as_secs_f64();
    let count = Command::new("sqlite3").arg(file).arg("SELECT count(DISTINCT ts) FROM record").output()?;
    let count = String::from_utf8_lossy(&count.stdout).trim().to_owned();
    if count != samples.to_string() {
        bail!("{count} of {samples} samples");
    }
    ensure!(cpu_ms > 0.0, "it used no time");
    Ok((cpu_ms, elapsed_s))
}

/// The middle of the runs of one side.
pub fn cpu_ms(recordings: &[Recording], which: usize, own: bool) -> Option<f64> {
    let of = recordings.iter().filter(|recording| recording.which == which && recording.own == own);
    median(of.map(|recording| recording.cpu_ms).collect())
}

/// How many times our CPU time Procpath takes.
pub fn ratio(recordings: &[Recording], which: usize) -> Option<f64> {
    Some(cpu_ms(recordings, which, false)? / cpu_ms(recordings, which, true)?)
}

/// How long our interval became, in seconds: the middle of all runs.
pub fn step_s(recordings: &[Recording]) -> Option<f64> {
    median(recordings.iter().filter(|one| one.own).map(|one| one.step_s).collect())
}

/// By how much an interval may be longer than was asked for: a step is never shorter.
pub const HOLDS: f64 = INTERVAL * 1.02;
