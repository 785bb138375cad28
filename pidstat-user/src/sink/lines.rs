//! Recordings as NDJSON: one object per sample and line, with the tables of the database as its members.

use super::{
    recording::{Taken, rate_columns},
    sqlite::{RecordError, lock_out_others, seconds},
};
use crate::{
    column::{self, Report},
    rate::{
        Row,
        stirred::{GAINS, Stirred, stirred},
    },
    sample::{
        End, Traffic,
        connected::{self, Cell, FIELDS},
        node,
    },
};
use serde_json::{Map, Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

/// A file of lines under way.
pub struct Lines {
    path: PathBuf,
    file: File,
    reports: Vec<&'static Report>,
    size: u64,
}

impl Lines {
    /// Opens or makes the file and keeps every other recorder away. What a killed recorder left of a line is cut off.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn open(path: &Path, reports: Option<&[&'static Report]>) -> Result<Lines, RecordError> {
        let io = |error| RecordError::Io { path: path.into(), error };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        lock_out_others(&file, path)?;
        let size = whole_lines(&mut file).map_err(io)?;
        file.set_len(size).and_then(|()| file.seek(SeekFrom::End(0))).map_err(io)?;
        Ok(Lines { path: path.into(), file, reports: reports.unwrap_or_default().into(), size })
    }

    /// Writes a sample.
    ///
    /// # Errors
    /// What kept it from being written; the file holds whole lines only.
    pub fn write(&mut self, taken: &Taken<'_>) -> Result<(), RecordError> {
        let mut line = json!({ "ts": seconds(taken.epoch_ns), "record": record(taken) });
        if let (Some(counters), Some(line)) = (&taken.counters, line.as_object_mut()) {
            let rates = counters.rows.iter().filter(|row| !row.traffic_only);
            line.insert("rate".into(), rates.map(|row| rate(row, &self.reports)).collect());
            let network = counters.rows.iter().filter_map(network);
            line.insert("network".into(), network.collect());
            let connections = stirred(counters.before, counters.now, false);
            line.insert(connected::TABLE.into(), connections.iter().map(connection).collect());
            let exited = counters.now.departed.iter().filter_map(|task| match task.end {
                End::Exited(exit) => Some(json!({
                    "pid": task.key.tgid, "start_ticks": task.key.start_ticks, "ppid": task.ppid, "uid": task.uid,
                    "comm": String::from_utf8_lossy(task.name()), "exit_code": exit.code(),
                    "user_ns": task.cpu.user_ns, "system_ns": task.cpu.system_ns,
                    "max_resident_bytes": task.memory.resident_bytes,
                })),
                _ => None,
            });
            line.insert("exited".into(), exited.collect());
        }
        let mut text = line.to_string();
        text.push('\n');
        let written = self.file.write_all(text.as_bytes());
        if let Err(error) = written {
            // Half a line helps nobody.
            let _ = self.file.set_len(self.size);
            let _ = self.file.seek(SeekFrom::Start(self.size));
            return Err(RecordError::of_io(&self.path, error));
        }
        self.size += text.len() as u64;
        Ok(())
    }

    /// Bytes of the lines.
    pub fn size_bytes(&self) -> u64 {
        self.size
    }
}

/// Where the last line that has an end ends.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const PIECE: u64 = 65_536;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut bytes = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(start))?;
        bytes.clear();
        file.take(end - start).read_to_end(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn record(taken: &Taken<'_>) -> Value {
    let rows = taken.rows().map(|row| {
        let cells = taken.columns.iter().zip(row);
        cells.map(|(column, value)| (column.name.clone(), node_value(value))).collect::<Map<_, _>>().into()
    });
    Value::Array(rows.collect())
}

fn node_value(value: &node::Value) -> Value {
    match value {
        node::Value::Missing(_) => Value::Null,
        node::Value::Integer(number) => json!(number),
        node::Value::Large(number) => json!(number),
        node::Value::Text(text) => json!(text),
        node::Value::List(numbers) => json!(numbers),
    }
}

fn who(row: &Row<'_>) -> Map<String, Value> {
    let key = row.now.key;
    let who = json!({
        "pid": key.tgid, "tid": key.tid, "start_ticks": key.start_ticks, "uid": row.now.uid,
        "comm": String::from_utf8_lossy(row.now.name()), "exited": row.exited,
    });
    match who {
        Value::Object(who) => who,
        _ => Map::new(),
    }
}

fn rate(row: &Row<'_>, reports: &[&'static Report]) -> Value {
    let mut object = who(row);
    for column in rate_columns(reports) {
        let value = match column.value(row) {
            column::Value::Real(number) => json!(number),
            column::Value::Whole(number) => json!(number),
            column::Value::Word(word) => json!(word),
            column::Value::Text(bytes) => json!(String::from_utf8_lossy(&bytes)),
            column::Value::Counts(counts) => json!(*counts),
            column::Value::Missing(_) => Value::Null,
        };
        object.insert(column.id.into(), value);
    }
    Value::Object(object)
}

fn network(row: &Row<'_>) -> Option<Value> {
    let moved = super::recording::moved(row);
    (moved != [0; 4]).then(|| {
        let mut object = who(row);
        for ((name, _), number) in Traffic::FIGURES.into_iter().zip(moved) {
            object.insert(name.into(), json!(number));
        }
        Value::Object(object)
    })
}

fn connection(one: &Stirred<'_>) -> Value {
    let own = FIELDS.iter().map(|field| {
        let cell = match (field.get)(&one.now) {
            Cell::Null => Value::Null,
            Cell::Whole(number) => json!(number.cast_unsigned()),
            Cell::Text(text) => json!(text),
        };
        (field.name.to_owned(), cell)
    });
    let gain = GAINS.iter().map(|(name, of)| {
        ((*name).to_owned(), one.gain.as_ref().map_or(Value::Null, |gain| json!(of(gain))))
    });
    Value::Object(own.chain(gain).collect())
}
