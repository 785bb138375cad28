//! What tasks did in an interval: `rate`, a row for each that did anything, and `network`, what was sent and received.

use crate::{
    column::{Column, Report, Unit, Value},
    rate::Row,
    sink::recording::{moved, rate_columns},
};
use rusqlite::{
    Connection, ToSql,
    types::{ToSqlOutput, ValueRef},
};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Real(number) => ToSqlOutput::from(*number),
            Value::Whole(number) => ToSqlOutput::from(number.cast_signed()),
            Value::Word(word) => ToSqlOutput::from(*word),
            Value::Text(bytes) => ToSqlOutput::from(String::from_utf8_lossy(bytes).into_owned()),
            Value::Missing(_) => ToSqlOutput::Borrowed(ValueRef::Null),
        })
    }
}

fn kind(column: &Column) -> &'static str {
    match column.unit {
        Unit::PerSec | Unit::Pct | Unit::KibPerSec => "REAL",
        Unit::Text => "TEXT",
        _ => "NUMERIC",
    }
}

/// Who a row is about, in both tables.
const WHO: &str = "sample_id INTEGER NOT NULL, ts REAL NOT NULL, pid INTEGER NOT NULL, tid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL, uid INTEGER NOT NULL, comm TEXT NOT NULL, exited INTEGER NOT NULL";

/// Makes the tables where they are not there yet, and the columns that an older recording lacks.
///
/// # Errors
/// What SQLite said.
pub fn create(connection: &Connection, reports: &[&'static Report]) -> rusqlite::Result<()> {
    let columns: String =
        rate_columns(reports).map(|column| format!(", {} {}", column.id, kind(column))).collect();
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS rate ({WHO}{columns});
         CREATE TABLE IF NOT EXISTS network ({WHO}, rx_bytes INTEGER NOT NULL, tx_bytes INTEGER NOT NULL,
            rx_packets INTEGER NOT NULL, tx_packets INTEGER NOT NULL);"
    ))?;
    super::add_columns(connection, "rate", rate_columns(reports).map(|column| (column.id, kind(column))))
}

/// Writes the rows of one sample.
///
/// # Errors
/// What SQLite said.
pub fn write(
    connection: &Connection,
    (sample, ts): (i64, f64),
    reports: &[&'static Report],
    rows: &[Row<'_>],
) -> rusqlite::Result<()> {
    let names: String = rate_columns(reports).map(|column| format!(",{}", column.id)).collect();
    let marks = ",?".repeat(rate_columns(reports).count());
    let mut rate = connection.prepare_cached(&format!(
        "INSERT INTO rate (sample_id,ts,pid,tid,start_ticks,uid,comm,exited{names}) VALUES (?,?,?,?,?,?,?,?{marks})"
    ))?;
    let mut network = connection.prepare_cached("INSERT INTO network VALUES (?,?,?,?,?,?,?,?,?,?,?,?)")?;
    for row in rows {
        let key = row.now.key;
        let name = String::from_utf8_lossy(row.now.name());
        let bind_who = |statement: &mut rusqlite::CachedStatement<'_>| -> rusqlite::Result<()> {
            statement.raw_bind_parameter(1, sample)?;
            statement.raw_bind_parameter(2, ts)?;
            statement.raw_bind_parameter(3, key.tgid)?;
            statement.raw_bind_parameter(4, key.tid)?;
            statement.raw_bind_parameter(5, key.start_ticks.cast_signed())?;
            statement.raw_bind_parameter(6, row.now.uid)?;
            statement.raw_bind_parameter(7, &*name)?;
            statement.raw_bind_parameter(8, row.exited)
        };
        if !row.traffic_only {
            bind_who(&mut rate)?;
            for (at, column) in rate_columns(reports).enumerate() {
                rate.raw_bind_parameter(at + 9, column.value(row))?;
            }
            rate.raw_execute()?;
        }
        let moved = moved(row);
        if moved != [0; 4] {
            bind_who(&mut network)?;
            for (at, number) in moved.into_iter().enumerate() {
                network.raw_bind_parameter(at + 9, number.cast_signed())?;
            }
            network.raw_execute()?;
        }
    }
    Ok(())
}
