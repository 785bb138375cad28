//! Connections that did anything: what they are, what they moved in the interval, and what they moved in all.

use crate::{
    rate::stirred::{GAINS, Stirred},
    sample::connected::{Cell, FIELDS, TABLE, whole},
};
use rusqlite::{
    Connection, ToSql,
    types::{ToSqlOutput, ValueRef},
};

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Whole(number) => ValueRef::Integer(*number),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// Makes the table where it is not there yet, and the columns that an older version did not have.
///
/// # Errors
/// What SQLite said.
pub fn create(connection: &Connection) -> rusqlite::Result<()> {
    let kind = |text| if text { "TEXT" } else { "INTEGER" };
    let columns = || {
        let own = FIELDS.iter().map(|field| (field.name, kind(field.text)));
        own.chain(GAINS.iter().map(|(name, _)| (*name, "INTEGER")))
    };
    let declared: String = columns().map(|(name, kind)| format!(", {name} {kind}")).collect();
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (sample_id INTEGER NOT NULL, ts REAL NOT NULL{declared});
         CREATE INDEX IF NOT EXISTS connection_of_sample ON {TABLE} (sample_id);"
    ))?;
    super::add_columns(connection, TABLE, columns())
}

/// Writes the connections of one sample that stirred.
///
/// # Errors
/// What SQLite said.
pub fn write(
    connection: &Connection,
    (sample, ts): (i64, f64),
    stirred: &[Stirred<'_>],
) -> rusqlite::Result<()> {
    if stirred.is_empty() {
        return Ok(());
    }
    let own = FIELDS.iter().map(|field| field.name);
    let names: Vec<&str> = own.chain(GAINS.iter().map(|(name, _)| *name)).collect();
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO {TABLE} (sample_id,ts,{}) VALUES (?,?{})",
        names.join(","),
        ",?".repeat(names.len())
    ))?;
    insert.raw_bind_parameter(1, sample)?;
    insert.raw_bind_parameter(2, ts)?;
    for Stirred { now, gain } in stirred {
        let cells = FIELDS.iter().map(|field| (field.get)(now));
        let gains = GAINS.iter().map(|(_, of)| match gain {
            Ok(gain) => whole(of(gain)),
            Err(_) => Cell::Null,
        });
        for (at, cell) in cells.chain(gains).enumerate() {
            insert.raw_bind_parameter(at + 3, cell)?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}
