//! Plays recorded instants back: numbered directories, one per sample, of one machine that lives only in them.
//!
//! `DIR/0/{proc,sys,etc}`, `DIR/1/...` look like the directories of a machine. Time since boot is each instant's own
//! `proc/uptime`; the wall clock is the caller's fake one. The optional `DIR/scenario.toml` says what no file does (see
//! [`Scenario`]). A file that is missing means that the task is gone, except that `io`, `smaps` and `fd` missing beside a
//! `stat` mean that the reader was refused (see [`Reader`](super::procfs::Reader)).

use super::{
    Source, SourceError,
    procfs::{
        ProcSource, Users,
        host::{cpus, recorded_name},
        machine::Machine,
        small,
    },
};
use crate::{
    clock::{Clock, Instant},
    sample::{Host, Sample, Want},
};
use std::{
    io,
    path::{Path, PathBuf},
};

#[cfg(test)]
mod tests;

/// What `DIR/scenario.toml` may say; every key is optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// `epoch`: seconds since the epoch at the first instant; 0.
    pub epoch_seconds: i64,
    /// `sysname`; else the first instant's `proc/sys/kernel/ostype`, else `Linux`.
    pub sysname: Option<String>,
    /// `nodename`; else `proc/sys/kernel/hostname`, else `localhost`.
    pub nodename: Option<String>,
    /// `release`; else `proc/sys/kernel/osrelease`, else `unknown`.
    pub release: Option<String>,
    /// `machine`; else `proc/sys/kernel/arch`, else `unknown`.
    pub machine: Option<String>,
    /// `clock_ticks`: ticks per second in the recorded files; 100.
    pub clock_ticks: u64,
    /// `page_size`: bytes per page; 4096.
    pub page_bytes: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            epoch_seconds: 0,
            sysname: None,
            nodename: None,
            release: None,
            machine: None,
            clock_ticks: 100,
            page_bytes: 4096,
        }
    }
}

/// Most seconds that nanoseconds in 64 bits can hold.
const MOST_SECONDS: i64 = i64::MAX / 1_000_000_000;

impl Scenario {
    /// Reads the text of the file; `Err` says what is wrong with it.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let mut scenario = Scenario::default();
        for (key, value) in &table {
            match key.as_str() {
                "epoch" => scenario.epoch_seconds = whole(key, value, -MOST_SECONDS, MOST_SECONDS)?,
                "sysname" => scenario.sysname = Some(text_of(key, value)?),
                "nodename" => scenario.nodename = Some(text_of(key, value)?),
                "release" => scenario.release = Some(text_of(key, value)?),
                "machine" => scenario.machine = Some(text_of(key, value)?),
                "clock_ticks" => scenario.clock_ticks = whole(key, value, 1, 1_000_000)?.unsigned_abs(),
                "page_size" => scenario.page_bytes = whole(key, value, 1, 1 << 30)?.unsigned_abs(),
                _ => {
                    return Err(format!(
                        "unknown key `{key}`; known are epoch, sysname, nodename, release, machine, clock_ticks and \
                         page_size"
                    ));
                }
            }
        }
        Ok(scenario)
    }
}

fn whole(key: &str, value: &toml::Value, least: i64, most: i64) -> Result<i64, String> {
    value
        .as_integer()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("`{key}` must be a whole number from {least} to {most}, not {value}"))
}

fn text_of(key: &str, value: &toml::Value) -> Result<String, String> {
    value.as_str().map(String::from).ok_or_else(|| format!("`{key}` must be a string, not {value}"))
}

/// Samples from numbered directories.
#[derive(Debug)]
pub struct ReplaySource {
    dir: PathBuf,
    files: ProcSource,
    next: u64,
    start: Instant,
}

impl ReplaySource {
    /// Opens `dir`, of which at least the instant 0 must exist.
    pub fn open(dir: &Path, want: Want) -> Result<ReplaySource, SourceError> {
        let scenario = read_scenario(&dir.join("scenario.toml"))?;
        let instant = dir.join("0");
        let proc_root = instant.join("proc");
        let named = |given: &Option<String>, file: &str, otherwise: &str| {
            given.clone().or_else(|| recorded_name(&proc_root, file)).unwrap_or_else(|| otherwise.into())
        };
        let host = Host {
            sysname: named(&scenario.sysname, "ostype", "Linux"),
            nodename: named(&scenario.nodename, "hostname", "localhost"),
            release: named(&scenario.release, "osrelease", "unknown"),
            machine: named(&scenario.machine, "arch", "unknown"),
            cpus: cpus(&proc_root, &instant.join("sys")),
            clock_ticks: scenario.clock_ticks,
            page_bytes: scenario.page_bytes,
        };
        let users = Users::recorded(&instant.join("etc"));
        let files = ProcSource::on("replay", &proc_root, host, users, want)?;
        let start = Instant {
            uptime_ns: Machine::new(&proc_root).uptime_ns()?,
            epoch_ns: scenario.epoch_seconds * 1_000_000_000,
        };
        Ok(ReplaySource { dir: dir.into(), files, next: 0, start })
    }

    /// The moment of the first instant, for the clock to start at.
    pub fn start(&self) -> Instant {
        self.start
    }
}

impl Source for ReplaySource {
    fn host(&self) -> &Host {
        self.files.host()
    }

    fn sample(
        &mut self,
        clock: &Clock,
        previous: Option<&Sample>,
        out: &mut Sample,
    ) -> Result<(), SourceError> {
        let instant = self.dir.join(self.next.to_string());
        if !instant.is_dir() {
            return Err(SourceError::Exhausted);
        }
        self.files.turn_to(&instant.join("proc"), Users::recorded(&instant.join("etc")))?;
        self.next += 1;
        self.files.sample(clock, previous, out)
    }
}

fn read_scenario(path: &Path) -> Result<Scenario, SourceError> {
    let read = match small::read_text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Scenario::default()),
        other => other,
    };
    let parsed = read.and_then(|text| {
        Scenario::parse(&text).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
    });
    parsed.map_err(|error| SourceError::Unreadable { path: path.display().to_string(), error })
}
