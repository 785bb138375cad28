//! Opens SQLite files of other hands to read: nothing in them runs, and nothing is written to or beside them.

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, limits::Limit};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It is not there, or may not be read.
    #[error("cannot open the database {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("cannot open the database {0}: it is not a file")]
    NotAFile(PathBuf),
    /// Some other file, or an empty one.
    #[error("{0} is not an SQLite database")]
    NotADatabase(PathBuf),
    /// SQLite refused it.
    #[error("cannot open the database {path}: {error}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        error: rusqlite::Error,
    },
}

/// What every SQLite file begins with; one byte each for who may write and who may read it follows two bytes later.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The value of these two bytes in a file with a write-ahead log.
const WAL: u8 = 2;

/// Opens a file to read. `views` says whether its views may be used: they are SQL of whoever made the file, which can
/// run for ever but do nothing else.
///
/// # Errors
/// When it is not a database that can be read.
pub fn open(path: &Path, views: bool) -> Result<Connection, DatabaseError> {
    let unreadable = |error| DatabaseError::Unreadable { path: path.to_owned(), error };
    // A named pipe would wait for a writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(DatabaseError::NotAFile(path.to_owned()));
    }
    let mut head = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(unreadable(error)),
        Err(_) => return Err(DatabaseError::NotADatabase(path.to_owned())),
        Ok(()) if !head.starts_with(MAGIC) => return Err(DatabaseError::NotADatabase(path.to_owned())),
        Ok(()) => {}
    }
    let path = path.canonicalize().map_err(unreadable)?;
    let refused = |error| DatabaseError::Refused { path: path.clone(), error };
    // Whoever has a file with a write-ahead log open keeps the log beside it. Without one nobody writes, and SQLite,
    // which would make one even to read, can be told so.
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    let settled = (head[18] == WAL || head[19] == WAL) && !Path::new(&log).exists();
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => address.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => address.push(char::from(*byte)),
            // Writing to a string cannot fail.
            byte => {
                let _ = write!(address, "%{byte:02x}");
            }
        }
    }
    address += if settled { "?mode=ro&immutable=1" } else { "?mode=ro" };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(address, flags).map_err(refused)?;
    harden(&database, views).map_err(refused)?;
    Ok(database)
}

/// Functions with side effects are refused in schemas, damaged pages are noticed, and no value is larger than a recorder
/// would write.
fn harden(database: &Connection, views: bool) -> rusqlite::Result<()> {
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, views)?;
    database.set_limit(Limit::SQLITE_LIMIT_LENGTH, 16 << 20)?;
    database.pragma_update(None, "cell_size_check", true)?;
    database.pragma_update(None, "temp_store", "memory")
}

/// How much memory all statements together may take.
const MOST_MEMORY: i64 = 512 << 20;

/// Bounds what statements take from now on: so much time altogether, and 512 MiB.
///
/// # Errors
/// When SQLite refuses.
pub fn bound(database: &mut Connection, time: Duration) -> rusqlite::Result<()> {
    database.pragma_update(None, "hard_heap_limit", MOST_MEMORY)?;
    let end = Instant::now() + time;
    database.progress_handler(10_000, Some(move || Instant::now() > end))
}

/// SQLite's own words, without what the library puts around them; those of a limit in ours.
pub fn words(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            return "the statement took longer than it may".into();
        }
        Some(ErrorCode::OutOfMemory) => return "the statement needs more memory than it may have".into(),
        Some(ErrorCode::AuthorizationForStatementDenied) => {
            return "a statement may only use this database".into();
        }
        _ => {}
    }
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::MultipleStatement => "You can only execute one statement at a time.".into(),
        other => other.to_string(),
    }
}

/// The columns of a table, in order; none if there is no such table.
///
/// # Errors
/// When the file cannot be read.
pub fn columns(database: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut found = database.prepare("SELECT name FROM pragma_table_info(?)")?;
    found.query_map([table], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_not_made_and_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("x.sqlite");
        assert!(matches!(open(&missing, false), Err(DatabaseError::Unreadable { .. })));
        assert!(!missing.exists());
        assert!(matches!(open(dir.path(), false), Err(DatabaseError::NotAFile(_))));
        for text in ["", "short", "SQLite format 3 or something like it"] {
            fs::write(&missing, text).unwrap();
            assert!(matches!(open(&missing, false), Err(DatabaseError::NotADatabase(_))), "{text}");
        }
    }

    #[test]
    fn reading_writes_nothing_and_odd_names_are_names() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("a?mode=rwc&b#%41.sqlite", "delete"), ("ü wal.sqlite", "wal")] {
            let path = dir.path().join(name);
            let made = Connection::open(&path).unwrap();
            made.pragma_update(None, "journal_mode", mode).unwrap();
            made.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (7);").unwrap();
            drop(made);
            let before = fs::read_dir(dir.path()).unwrap().count();
            let database = open(&path, true).unwrap();
            let seven: i64 = database.query_row("SELECT a FROM t", [], |row| row.get(0)).unwrap();
            assert_eq!((seven, columns(&database, "t").unwrap()), (7, vec!["a".to_owned()]));
            assert!(database.execute_batch("INSERT INTO t VALUES (8)").is_err());
            assert!(database.execute_batch("SELECT load_extension('/tmp/x.so')").is_err());
            drop(database);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "{name}");
        }
    }

    #[test]
    fn a_recording_in_progress_is_read_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.sqlite");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1);").unwrap();
        let reader = open(&path, false).unwrap();
        let count = || -> i64 { reader.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap() };
        assert_eq!(count(), 1);
        writer.execute_batch("INSERT INTO t VALUES (2);").unwrap();
        assert_eq!(count(), 2);
    }

    #[test]
    fn a_view_is_used_only_where_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("view.sqlite");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE VIEW record AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT x FROM r;")
            .unwrap();
        assert!(open(&path, false).unwrap().prepare("SELECT x FROM record").is_err());
        assert!(open(&path, true).unwrap().prepare("SELECT x FROM record").is_ok());
    }
}
