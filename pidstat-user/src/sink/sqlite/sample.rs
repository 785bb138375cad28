//! Our own tables of samples: every counter of every task, written when it changed, so that any report can be made later.
//!
//! `sample` has one row per sample, `task` one per task whose figures differ from its last row, `task_end` one per task
//! that is there no more. A sample with `whole` = 1 stands for itself: what was before it is to be forgotten.

use crate::sample::{
    Sample, Task, TaskKey,
    stored::{self, FIELDS, Stored},
};
use rusqlite::{
    CachedStatement, Connection, ToSql,
    types::{ToSqlOutput, ValueRef},
};
use std::cmp::Ordering;

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Stored::Null => ValueRef::Null,
            Stored::Whole(number) => ValueRef::Integer(*number),
            // Names are any bytes to the kernel; what is not UTF-8 is a BLOB, so that nothing is lost.
            Stored::Text(bytes) if str::from_utf8(bytes).is_ok() => ValueRef::Text(bytes),
            Stored::Text(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Makes the tables where they are not there yet, and the columns that an older version did not have.
///
/// # Errors
/// What SQLite said.
pub fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS sample (
            sample_id INTEGER PRIMARY KEY NOT NULL,
            ts REAL NOT NULL,
            epoch_ns INTEGER NOT NULL,
            uptime_ns INTEGER NOT NULL,
            whole INTEGER NOT NULL,
            total_cpu_ticks INTEGER,
            ticks_per_second INTEGER NOT NULL,
            mem_total_kib INTEGER,
            source TEXT NOT NULL,
            net_rung TEXT,
            net_missing TEXT,
            net_shortfall TEXT,
            net_approximate INTEGER NOT NULL,
            losses TEXT NOT NULL
        );
        CREATE TABLE IF NOT EXISTS task_end (
            sample_id INTEGER NOT NULL,
            tgid INTEGER NOT NULL,
            tid INTEGER NOT NULL,
            start_ticks INTEGER NOT NULL
        );
        CREATE INDEX IF NOT EXISTS task_end_of_sample ON task_end (sample_id);",
    )?;
    let columns: String = FIELDS
        .iter()
        .map(|field| format!(",\n{} {}", field.name, if field.text { "TEXT" } else { "INTEGER" }))
        .collect();
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS task (
            sample_id INTEGER NOT NULL,
            departed INTEGER NOT NULL,
            missing TEXT{columns}
        );
        CREATE INDEX IF NOT EXISTS task_of_sample ON task (sample_id);"
    ))?;
    super::add_columns(
        connection,
        "task",
        FIELDS.iter().map(|field| (field.name, if field.text { "TEXT" } else { "INTEGER" })),
    )
}

/// Writes a sample; without `before` a whole one. Gives its number.
///
/// # Errors
/// What SQLite said.
pub fn write(connection: &Connection, before: Option<&Sample>, now: &Sample) -> rusqlite::Result<i64> {
    let rung = now.origin.net_rung.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO sample (ts, epoch_ns, uptime_ns, whole, total_cpu_ticks, mem_total_kib, source, net_rung,
                net_missing, losses, ticks_per_second, net_shortfall, net_approximate) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute((
            super::seconds(now.epoch_ns),
            now.epoch_ns,
            now.uptime_ns.cast_signed(),
            before.is_none(),
            now.system.total_cpu_ticks.ok().map(u64::cast_signed),
            now.system.mem_total_kib.ok().map(u64::cast_signed),
            now.origin.source,
            rung.and_then(|rung| rung.as_ref().ok()),
            rung.and_then(|rung| rung.as_ref().err()),
            stored::losses_text(&now.origin.losses),
            now.system.ticks_per_second.cast_signed(),
            now.origin.net_shortfall,
            now.origin.net_approximate,
        ))?;
    let sample = connection.last_insert_rowid();
    let mut rows = Rows::new(connection, sample)?;
    let mut gone = connection.prepare_cached("INSERT INTO task_end VALUES (?, ?, ?, ?)")?;
    let mut earlier = before.map_or(&[][..], |before| &before.tasks).iter().peekable();
    let mut end = |key: TaskKey| gone.execute((sample, key.tgid, key.tid, key.start_ticks.cast_signed()));
    for task in &now.tasks {
        let mut known = None;
        // Both are sorted, so each is walked once.
        while let Some(first) = earlier.peek() {
            match first.key.cmp(&task.key) {
                Ordering::Less => {
                    end(first.key)?;
                    earlier.next();
                }
                Ordering::Equal => {
                    known = earlier.next();
                    break;
                }
                Ordering::Greater => break,
            }
        }
        if known.is_none_or(|known| known != task) {
            rows.add(task, false)?;
        }
    }
    for task in earlier {
        end(task.key)?;
    }
    for task in &now.departed {
        rows.add(task, true)?;
    }
    Ok(sample)
}

/// Rows on their way into `task`.
struct Rows<'a> {
    insert: CachedStatement<'a>,
    reasons: Vec<u8>,
}

impl<'a> Rows<'a> {
    fn new(connection: &'a Connection, sample: i64) -> rusqlite::Result<Rows<'a>> {
        let names: String = FIELDS.iter().map(|field| format!(",{}", field.name)).collect();
        let marks = ",?".repeat(FIELDS.len());
        let mut insert = connection.prepare_cached(&format!(
            "INSERT INTO task(sample_id, departed, missing{names}) VALUES (?,?,?{marks})"
        ))?;
        insert.raw_bind_parameter(1, sample)?;
        Ok(Rows { insert, reasons: Vec::new() })
    }

    fn add(&mut self, task: &Task, departed: bool) -> rusqlite::Result<()> {
        stored::reasons(task, &mut self.reasons);
        self.insert.raw_bind_parameter(2, departed)?;
        let missing = if self.reasons.is_empty() { Stored::Null } else { Stored::Text(&self.reasons) };
        self.insert.raw_bind_parameter(3, missing)?;
        for (at, field) in FIELDS.iter().enumerate() {
            self.insert.raw_bind_parameter(at + 4, (field.get)(task))?;
        }
        self.insert.raw_execute()?;
        Ok(())
    }
}
