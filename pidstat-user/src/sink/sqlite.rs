//! Recordings in SQLite: Procpath's tables as Procpath makes them.

mod file;
pub mod record;

pub use file::{File, Usual};
pub use record::{Cell, Field, Rows};

use std::path::PathBuf;

/// What keeps a recording from being written. The file is intact after each of them: it holds every finished sample.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another recorder has the file.
    #[error("{0} is being recorded to by another process; give each recorder a file of its own")]
    Taken(PathBuf),
    /// No room.
    #[error("no space is left for {0}; it is intact and holds every sample that was finished")]
    Full(PathBuf),
    /// The file is there and is something else.
    #[error("{0} is not a SQLite database; remove it or name another file")]
    NotOurs(PathBuf),
    /// The file system said no.
    #[error("cannot write {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
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
