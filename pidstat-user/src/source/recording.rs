//! Plays a recording back: every sample that `record` wrote, in order, as the reports of that time saw it.
//!
//! A recording that has Procpath's tables alone is played back as far as those go; what they do not hold is missing.

mod connections;
mod own;
mod procpath;

use super::{Source, SourceError, database};
use crate::{
    clock::{Clock, Instant},
    sample::{ConnectionKey, Facts, Host, Origin, Sample, TaskKey, Want},
};
use own::Own;
use procpath::Procpath;
use rusqlite::{Connection, OptionalExtension as _};
use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
};

/// Samples from a recording.
pub struct RecordingSource {
    path: String,
    host: Host,
    connection: Connection,
    tables: Tables,
    /// The sample that was read last and not given out yet.
    ahead: Option<Sample>,
    start: Instant,
    /// When the sample before was due.
    due_ns: u64,
    /// Whether anybody asks how traffic was counted.
    traffic: bool,
}

enum Tables {
    Own(Own),
    Procpath(Procpath),
}

impl RecordingSource {
    /// Opens a recording, also one that is being written. It must hold a sample.
    ///
    /// # Errors
    /// It is not there, or is no recording, or an empty one.
    pub fn open(path: &Path, want: &Want) -> Result<RecordingSource, SourceError> {
        let name = path.display().to_string();
        let wrong = |error| SourceError::Unreadable { path: name.clone(), error };
        // Views are code of whoever made the file.
        let connection = database::open(path, false)?;
        let opened = || -> rusqlite::Result<Option<(Connection, Host, Tables)>> {
            let meta = meta(&connection)?;
            let host = host(&meta);
            let has = |table: &str| connection.table_exists(None, table);
            let tables = if has("sample")? && has("task")? {
                Tables::Own(Own::new(&connection)?)
            } else if has("record")? {
                Tables::Procpath(Procpath::new(&connection, &host)?)
            } else {
                return Ok(None);
            };
            Ok(Some((connection, host, tables)))
        };
        let broken = |error: rusqlite::Error| wrong(io::Error::other(error));
        let nothing = || wrong(io::Error::new(io::ErrorKind::InvalidData, "it holds no sample of processes"));
        let (connection, host, tables) = opened().map_err(broken)?.ok_or_else(nothing)?;
        let mut source = RecordingSource {
            path: name.clone(),
            host,
            connection,
            tables,
            ahead: None,
            start: Instant::default(),
            due_ns: 0,
            traffic: want.facts.has(Facts::TRAFFIC),
        };
        let first = source.next()?.ok_or_else(nothing)?;
        source.start = Instant { uptime_ns: first.uptime_ns, epoch_ns: first.epoch_ns };
        source.due_ns = first.uptime_ns;
        source.ahead = Some(first);
        Ok(source)
    }

    /// The moment of the first sample, for the clock to start at.
    pub fn start(&self) -> Instant {
        self.start
    }

    fn next(&mut self) -> Result<Option<Sample>, SourceError> {
        let next = match &mut self.tables {
            Tables::Own(own) => own.next(&self.connection),
            Tables::Procpath(procpath) => procpath.next(&self.connection),
        };
        next.map_err(|error| SourceError::Unreadable {
            path: self.path.clone(),
            error: io::Error::other(error),
        })
    }
}

impl Source for RecordingSource {
    fn host(&self) -> &Host {
        &self.host
    }

    /// Gives the first sample that is not earlier than the clock, whose interval may be longer than the recording's. No
    /// sample was taken exactly when it was due, so a quarter of an interval too early is not too early.
    fn sample(&mut self, clock: &Clock, _: Option<&Sample>, out: &mut Sample) -> Result<(), SourceError> {
        let due_ns = clock.now().uptime_ns;
        let slack_ns = due_ns.saturating_sub(self.due_ns) / 4;
        self.due_ns = due_ns;
        // What ended in samples that are passed by is told with the next.
        let mut passed = Sample::default();
        loop {
            let mut sample = match self.ahead.take() {
                Some(sample) => sample,
                None => self.next()?.ok_or(SourceError::Exhausted)?,
            };
            if sample.uptime_ns >= due_ns - slack_ns {
                if !self.traffic {
                    let Origin { source, losses, .. } = sample.origin;
                    sample.origin = Origin { source, losses, ..Origin::default() };
                }
                add_ended(passed, &mut sample);
                *out = sample;
                return Ok(());
            }
            passed = {
                add_ended(passed, &mut sample);
                sample
            };
        }
    }
}

/// Adds what ended before a sample and is not in it.
fn add_ended(earlier: Sample, sample: &mut Sample) {
    let known: HashSet<TaskKey> = sample.departed.iter().chain(&sample.tasks).map(|task| task.key).collect();
    sample.departed.extend(earlier.departed.into_iter().filter(|task| !known.contains(&task.key)));
    sample.departed.sort_by_key(|task| task.key);
    let known: HashSet<ConnectionKey> = sample.connections.iter().map(|one| one.key).collect();
    let ended = earlier.connections.into_iter().filter(|one| one.closed && !known.contains(&one.key));
    sample.connections.extend(ended);
    sample.connections.sort_by_key(|one| one.key);
}

fn meta(connection: &Connection) -> rusqlite::Result<HashMap<String, String>> {
    if !connection.table_exists(None, "meta")? {
        return Ok(HashMap::new());
    }
    let mut rows = connection.prepare("SELECT key, value FROM meta")?;
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The machine, as `meta` says; `platform_platform` is like `Linux-6.1.0-x86_64-with-glibc2.36`.
fn host(meta: &HashMap<String, String>) -> Host {
    let platform =
        meta.get("platform_platform").map_or("Linux", |text| text.split("-with-").next().unwrap_or(text));
    let (sysname, rest) = platform.split_once('-').unwrap_or((platform, ""));
    let (release, machine) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let text = |key: &str, otherwise: &str| meta.get(key).map_or(otherwise, String::as_str).to_owned();
    let number =
        |key: &str| meta.get(key).and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
    Host {
        sysname: text("sysname", sysname),
        nodename: text("platform_node", "localhost"),
        release: text("release", release),
        machine: text("machine", machine),
        cpus: number("cpus").or(number("cpu_count")).and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1),
        clock_ticks: number("clock_ticks").unwrap_or(100),
        page_bytes: number("page_size").unwrap_or(4096),
    }
}

/// The first row, if there is one.
fn first<T>(
    connection: &Connection,
    sql: &str,
    of: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.query_row(sql, [], of).optional()
}
