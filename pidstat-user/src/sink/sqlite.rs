//! Recordings in SQLite: Procpath's tables as Procpath makes them, and our own beside them.

pub mod connection;
mod exited;
mod file;
pub mod rate;
pub mod record;
mod recorder;
pub mod sample;

pub(super) use file::lock_out_others;
pub use file::{File, Usual};
pub use record::Rows;
pub use recorder::Recorder;

use rusqlite::Connection;
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

/// What keeps a recording from being written. The file is intact after each of them: it holds every finished sample.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another recorder has the file.
    #[error("{0} is being recorded to by another process; give each recorder a file of its own")]
    Taken(PathBuf),
    /// No room.
    #[error("{path} cannot grow: {why}; it is intact and holds every sample that was finished")]
    Full {
        /// The file.
        path: PathBuf,
        /// What stands in the way.
        why: &'static str,
    },
    /// The file is there and is something else.
    #[error("{0} is not a SQLite database; remove it or name another file")]
    NotOurs(PathBuf),
    /// The file system said no.
    #[error("cannot write {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// SQLite said no.
    #[error("{path}: {error}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: rusqlite::Error,
    },
}

impl RecordError {
    /// What the file system said of a file that is no database.
    pub fn of_io(path: &Path, error: io::Error) -> RecordError {
        let path = path.into();
        match error.kind() {
            io::ErrorKind::StorageFull => RecordError::Full { path, why: "no space is left on the device" },
            io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded => {
                RecordError::Full { path, why: "a limit on sizes of files or a quota is reached" }
            }
            _ => RecordError::Io { path, error },
        }
    }
}

/// Adds the columns that a table of an older file lacks.
fn add_columns<'a>(
    connection: &Connection,
    table: &str,
    columns: impl Iterator<Item = (&'a str, &'a str)>,
) -> rusqlite::Result<()> {
    let there: HashSet<String> = connection
        .prepare("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, kind) in columns.filter(|(name, _)| !there.contains(*name)) {
        connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"))?;
    }
    Ok(())
}

/// A moment as Procpath writes it: seconds since the epoch, to the microsecond.
pub fn seconds(epoch_ns: i64) -> f64 {
    (epoch_ns as f64 / 1e3).round() / 1e6
}
