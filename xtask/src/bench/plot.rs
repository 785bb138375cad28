//! What a plot costs: ours of a recording of 1 000 processes and 1 000 samples, and Procpath's of what it can bear.

use super::arena;
use crate::{
    command::{self, run, say},
    pypi,
};
use anyhow::{Context, Result, bail};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// Makes a recording with Procpath's own storage.
const RECORDING: &str = include_str!("recording.py");

/// One program's plot of one recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// As one would type it.
    pub name: String,
    /// Samples of the 1 000 processes.
    pub samples: usize,
    /// User and system time in seconds.
    pub cpu_s: f64,
    /// Elapsed time in seconds.
    pub wall_s: f64,
}

/// The samples of the large recording, and of the one that Procpath draws too: it needs a minute for each 100 samples.
pub const SAMPLES: [usize; 2] = [1_000, 10];

/// Measures everything, the best of three of ours; or only the large recording, once.
///
/// # Errors
/// When there is no Procpath, or a plot fails.
pub fn measure(kpidstat: &Path, quick: bool) -> Result<Vec<Plot>> {
    let procpath = pypi::program(pypi::PROCPATH, "procpath")?;
    let python = procpath.with_file_name("python3");
    let dir = command::target_dir()?.join("bench-plot");
    std::fs::create_dir_all(&dir)?;
    let mut plots = Vec::new();
    for samples in SAMPLES.into_iter().take(if quick { 1 } else { 2 }) {
        let database = dir.join(format!("{samples}.sqlite"));
        if !database.exists() {
            say(format_args!("bench: recording 1 000 processes, {samples} samples"));
            run(Command::new(&python).args(["-c", RECORDING]).arg(&database).arg(samples.to_string()))?;
        }
        for (format, query) in [("svg", "rss"), ("svg", "cpu"), ("png", "rss"), ("png", "cpu")] {
            let mut best: Option<Plot> = None;
            for _ in 0..if quick { 1 } else { 3 } {
                let plot = plotted(kpidstat, "kpidstat", &database, samples, query, format)?;
                if best.as_ref().is_none_or(|best| plot.cpu_s < best.cpu_s) {
                    best = Some(plot);
                }
            }
            plots.extend(best);
        }
        if samples == SAMPLES[1] {
            for query in ["rss", "cpu"] {
                plots.push(plotted(&procpath, "procpath", &database, samples, query, "svg")?);
            }
        }
    }
    std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(plots)
}

fn plotted(
    program: &Path,
    name: &str,
    database: &Path,
    samples: usize,
    query: &str,
    format: &str,
) -> Result<Plot> {
    let picture = database.with_extension(format);
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.args(["plot", "-q", query, "-d"]).arg(database).arg("-f").arg(&picture);
    let child = command.stdin(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
    let cpu_ms = arena::wait(i32::try_from(child.id())?);
    let wall_s = begun.elapsed().as_secs_f64();
    if std::fs::metadata(&picture).map_or(0, |file| file.len()) < 10_000 {
        bail!("{name} plot -q {query} drew nothing");
    }
    std::fs::remove_file(&picture)?;
    let name = format!("{name} plot -q {query} -f x.{format}");
    Ok(Plot { name, samples, cpu_s: cpu_ms / 1e3, wall_s })
}

/// A row for each plot.
pub fn rows(plots: &[Plot]) -> Vec<Vec<String>> {
    let row = |plot: &Plot| {
        let points = format!("1 000 x {}", plot.samples);
        vec![
            format!("`{}`", plot.name),
            points,
            format!("{:.2} s", plot.cpu_s),
            format!("{:.2} s", plot.wall_s),
        ]
    };
    plots.iter().map(row).collect()
}
