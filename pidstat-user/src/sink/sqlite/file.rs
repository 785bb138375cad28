//! A recording's file: opened for one recorder at a time, written one transaction per sample, closed as one plain file.

use super::RecordError;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, config::DbConfig, ffi};
use std::{
    fs::{OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes in a page of a new file: rows of a sample are neighbours, so large pages save calls.
const PAGE_BYTES: u32 = 16_384;
/// How long to wait for another program that has the file in its hands.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open recording.
pub struct File {
    path: PathBuf,
    connection: Connection,
    /// Holds the lock against other recorders. Closed after the connection: to close any descriptor of a file drops
    /// SQLite's own locks on it.
    _lock: std::fs::File,
}

/// The usual result.
pub type Usual<T> = Result<T, RecordError>;

impl File {
    /// Opens or makes the file, and keeps every other recorder away until it is closed.
    ///
    /// # Errors
    /// It cannot be had, or is no database.
    pub fn open(path: &Path) -> Usual<File> {
        let io = |error| RecordError::Io { path: path.into(), error };
        let lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        lock_out_others(&lock, path)?;
        let opened = Connection::open(path).and_then(|connection| {
            // The file may be somebody else's: what its schema would do with our rows is not done.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.busy_timeout(PATIENCE)?;
            // Means nothing to a file that has pages already.
            connection.pragma_update(None, "page_size", PAGE_BYTES)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            // A sample may be lost to a loss of power, the file never is; to fsync each would wait for the disk.
            connection.pragma_update(None, "synchronous", "normal")?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| because(path, error))?;
        Ok(File { path: path.into(), connection, _lock: lock })
    }

    /// Does several things or none of them, as one transaction.
    ///
    /// # Errors
    /// What kept it from being written; nothing was.
    pub fn atomically<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Usual<T> {
        let path = &self.path;
        let all = || -> rusqlite::Result<T> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        all().map_err(|error| because(path, error))
    }

    /// Does what makes a transaction of its own.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Usual<T> {
        let path = &self.path;
        work(&mut self.connection).map_err(|error| because(path, error))
    }

    /// Bytes of the finished samples.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn size_bytes(&self) -> Usual<u64> {
        let number = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let size = number("page_count").and_then(|pages| Ok(pages.saturating_mul(number("page_size")?)));
        size.map(i64::unsigned_abs).map_err(|error| because(&self.path, error))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes it as one plain file, readable from read-only media too. While somebody reads, or without room, the log
    /// stays beside it; nothing is lost by that.
    pub fn close(self) {
        let _ = self.connection.busy_timeout(Duration::ZERO);
        let _ = self.connection.pragma_update(None, "journal_mode", "delete");
    }
}

/// Takes the kernel's lock on a file, which goes with the process however that ends.
pub fn lock_out_others(file: &std::fs::File, path: &Path) -> Usual<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RecordError::Taken(path.into())),
        Err(TryLockError::Error(error)) => Err(RecordError::Io { path: path.into(), error }),
    }
}

fn because(path: &Path, error: rusqlite::Error) -> RecordError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            RecordError::Full { path: path.into(), why: "no space is left on the device" }
        }
        // The second is the index that stands beside the log.
        _ if error.sqlite_error().is_some_and(|error| {
            [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE].contains(&error.extended_code)
        }) =>
        {
            RecordError::Full {
                path: path.into(),
                why: "no space is left, a limit on sizes of files or a quota is reached, or the device failed",
            }
        }
        Some(ErrorCode::NotADatabase) => RecordError::NotOurs(path.into()),
        _ => RecordError::Sqlite { path: path.into(), error },
    }
}
