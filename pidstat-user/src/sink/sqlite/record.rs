//! Procpath's tables: `record`, one row per process and sample, and `meta`, what the numbers mean.

use rusqlite::{
    CachedStatement, Connection, ToSql,
    types::{ToSqlOutput, ValueRef},
};
use std::collections::HashSet;

/// A column of `record`, besides `record_id` and `ts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name: `FILE_FIELD`, or the file's alone; letters, digits and `_`.
    pub name: String,
    /// Whether it is TEXT rather than INTEGER.
    pub text: bool,
}

/// A value of `record`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// The file could not be read, or does not have it.
    Null,
    /// A number.
    Whole(i64),
    /// A number that may be too large for SQLite: then it is text like `0xffffffffffffffff`, as in Procpath.
    Unsigned(u64),
    /// Any bytes; what is not UTF-8 among them is replaced.
    Text(&'a [u8]),
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Cell::Whole(number) => ToSqlOutput::from(*number),
            Cell::Unsigned(number) => match i64::try_from(*number) {
                Ok(number) => ToSqlOutput::from(number),
                Err(_) => ToSqlOutput::from(format!("{number:#x}")),
            },
            Cell::Text(bytes) => match str::from_utf8(bytes) {
                Ok(text) => ToSqlOutput::from(text),
                Err(_) => ToSqlOutput::from(String::from_utf8_lossy(bytes).into_owned()),
            },
        })
    }
}

/// Makes the tables where they are not there yet, adds the columns that an older recording lacks, and replaces what
/// `meta` says.
///
/// # Errors
/// What SQLite said; nothing was changed then.
pub fn create(
    connection: &mut Connection,
    fields: &[Field],
    meta: &[(&str, String)],
) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    let columns: String = fields.iter().map(|field| format!(",\n{} {}", field.name, kind(field))).collect();
    change.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS record (\nrecord_id INTEGER PRIMARY KEY NOT NULL,\nts REAL NOT NULL{columns}\n);
         CREATE TABLE IF NOT EXISTS meta (\nkey TEXT PRIMARY KEY NOT NULL,\nvalue TEXT NOT NULL\n);"
    ))?;
    let there: HashSet<String> = change
        .prepare("SELECT name FROM pragma_table_info('record')")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for field in fields.iter().filter(|field| !there.contains(&field.name)) {
        change.execute_batch(&format!("ALTER TABLE record ADD COLUMN {} {}", field.name, kind(field)))?;
    }
    for (key, value) in meta {
        change.execute("REPLACE INTO meta VALUES (?1, ?2)", (key, value))?;
    }
    change.commit()
}

fn kind(field: &Field) -> &'static str {
    if field.text { "TEXT" } else { "INTEGER" }
}

/// The rows of one sample on their way into `record`. Whoever makes them holds the transaction.
pub struct Rows<'a> {
    insert: CachedStatement<'a>,
    columns: usize,
    written: u64,
}

impl<'a> Rows<'a> {
    /// Begins the sample of the moment `ts`, in seconds since the epoch; microseconds are kept, as in Procpath.
    ///
    /// # Errors
    /// What SQLite said: the tables are not those of `fields`.
    pub fn new(connection: &'a Connection, fields: &[Field], ts: f64) -> rusqlite::Result<Rows<'a>> {
        let names: String = fields.iter().map(|field| format!(",{}", field.name)).collect();
        let marks = ",?".repeat(fields.len());
        let mut insert =
            connection.prepare_cached(&format!("INSERT INTO record(ts{names}) VALUES (?{marks})"))?;
        insert.raw_bind_parameter(1, (ts * 1e6).round() / 1e6)?;
        Ok(Rows { insert, columns: fields.len(), written: 0 })
    }

    /// Adds a row: a cell for each field, in order. Cells that are left out at the end are null.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn add<'c>(&mut self, cells: impl IntoIterator<Item = Cell<'c>>) -> rusqlite::Result<()> {
        let mut cells = cells.into_iter();
        for at in 0..self.columns {
            self.insert.raw_bind_parameter(at + 2, cells.next().unwrap_or(Cell::Null))?;
        }
        self.insert.raw_execute()?;
        self.written += 1;
        Ok(())
    }

    /// Rows added so far.
    pub fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> Vec<Field> {
        names.iter().map(|name| Field { name: (*name).into(), text: *name == "cmdline" }).collect()
    }

    #[test]
    fn the_tables_are_procpaths() {
        let mut connection = Connection::open_in_memory().unwrap();
        create(&mut connection, &fields(&["cmdline", "stat_pid"]), &[("page_size", "4096".into())]).unwrap();
        let mut columns =
            connection.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1)").unwrap();
        let mut of = |table: &str| -> Vec<(String, String, bool, bool)> {
            let rows =
                columns.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
            rows.unwrap().map(Result::unwrap).collect()
        };
        let column =
            |name: &str, kind: &str, not_null, key| (name.to_owned(), kind.to_owned(), not_null, key);
        assert_eq!(
            of("record"),
            [
                column("record_id", "INTEGER", true, true),
                column("ts", "REAL", true, false),
                column("cmdline", "TEXT", false, false),
                column("stat_pid", "INTEGER", false, false),
            ]
        );
        assert_eq!(of("meta"), [column("key", "TEXT", true, true), column("value", "TEXT", true, false)]);
    }

    #[test]
    fn an_older_recording_gets_the_columns_it_lacks() {
        let mut connection = Connection::open_in_memory().unwrap();
        let old = fields(&["cmdline", "stat_pid"]);
        create(&mut connection, &old, &[("procfile_list", "old".into())]).unwrap();
        Rows::new(&connection, &old, 1.0).unwrap().add([Cell::Text(b"a"), Cell::Whole(1)]).unwrap();
        let new = fields(&["cmdline", "io_rchar", "stat_pid"]);
        create(&mut connection, &new, &[("procfile_list", "new".into())]).unwrap();
        Rows::new(&connection, &new, 2.0)
            .unwrap()
            .add([Cell::Text(b"\xff"), Cell::Unsigned(u64::MAX), Cell::Whole(2)])
            .unwrap();
        let rows: Vec<(f64, String, Option<String>, i64)> = connection
            .prepare("SELECT ts, cmdline, io_rchar, stat_pid FROM record ORDER BY record_id")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let large = Some("0xffffffffffffffff".to_owned());
        assert_eq!(rows, [(1.0, "a".into(), None, 1), (2.0, "\u{fffd}".into(), large, 2)]);
        let meta: String = connection.query_row("SELECT value FROM meta", [], |row| row.get(0)).unwrap();
        assert_eq!(meta, "new");
    }
}
