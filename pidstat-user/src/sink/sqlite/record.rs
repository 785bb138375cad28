//! Procpath's tables: `record`, one row per process and sample, and `meta`, what the numbers mean.

use crate::sample::{
    Missing,
    node::{Column, Kind, Value},
};
use rusqlite::{
    CachedStatement, Connection, ToSql,
    types::{ToSqlOutput, ValueRef},
};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Missing(_) => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Integer(number) => ToSqlOutput::from(*number),
            Value::Large(number) => ToSqlOutput::from(format!("{number:#x}")),
            Value::Text(text) => ToSqlOutput::from(&**text),
            Value::List(numbers) => ToSqlOutput::from(Value::one_text(numbers)),
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
    columns: &[Column],
    meta: &[(&str, String)],
) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    let declared: String =
        columns.iter().map(|column| format!(",\n{} {}", column.name, kind(column))).collect();
    change.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS record (\nrecord_id INTEGER PRIMARY KEY NOT NULL,\nts REAL NOT NULL{declared}\n);
         CREATE TABLE IF NOT EXISTS meta (\nkey TEXT PRIMARY KEY NOT NULL,\nvalue TEXT NOT NULL\n);"
    ))?;
    super::add_columns(&change, "record", columns.iter().map(|column| (column.name.as_str(), kind(column))))?;
    for (key, value) in meta {
        change.execute("REPLACE INTO meta VALUES (?1, ?2)", (key, value))?;
    }
    change.commit()
}

fn kind(column: &Column) -> &'static str {
    match column.kind {
        Kind::Integer | Kind::Mask => "INTEGER",
        Kind::Text | Kind::List => "TEXT",
    }
}

/// The rows of one sample on their way into `record`. Whoever makes them holds the transaction.
pub struct Rows<'a, 'v> {
    insert: CachedStatement<'a>,
    /// What the statement is bound to.
    bound: Vec<&'v Value>,
    written: u64,
}

/// What a parameter is bound to that was not bound yet.
const NONE: &Value = &Value::Missing(Missing::NotAsked);

impl<'a, 'v> Rows<'a, 'v> {
    /// Begins the sample of the moment `ts`, in seconds since the epoch.
    ///
    /// # Errors
    /// What SQLite said: the tables are not those of `fields`.
    pub fn new(connection: &'a Connection, columns: &[Column], ts: f64) -> rusqlite::Result<Rows<'a, 'v>> {
        let names: String = columns.iter().map(|column| format!(",{}", column.name)).collect();
        let marks = ",?".repeat(columns.len());
        let mut insert =
            connection.prepare_cached(&format!("INSERT INTO record(ts{names}) VALUES (?{marks})"))?;
        // The statement may have been used before.
        insert.clear_bindings();
        insert.raw_bind_parameter(1, ts)?;
        Ok(Rows { insert, bound: vec![NONE; columns.len()], written: 0 })
    }

    /// Adds a row: a value for each column, in order. Those that are left out at the end are null.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn add(&mut self, values: impl IntoIterator<Item = &'v Value>) -> rusqlite::Result<()> {
        let mut values = values.into_iter();
        for (at, bound) in self.bound.iter_mut().enumerate() {
            let value = values.next().unwrap_or(NONE);
            // Neighbours have much in common, and what is bound stays so.
            if *bound != value {
                self.insert.raw_bind_parameter(at + 2, value)?;
                *bound = value;
            }
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

    use crate::sample::node::{Member, columns};

    #[test]
    fn the_tables_are_procpaths() {
        let mut connection = Connection::open_in_memory().unwrap();
        create(&mut connection, &columns(&[Member::Cmdline]), &[("page_size", "4096".into())]).unwrap();
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
            ]
        );
        assert_eq!(of("meta"), [column("key", "TEXT", true, true), column("value", "TEXT", true, false)]);
    }

    #[test]
    fn an_older_recording_gets_the_columns_it_lacks() {
        let mut connection = Connection::open_in_memory().unwrap();
        let old = columns(&[Member::Cmdline, Member::Fd]);
        create(&mut connection, &old, &[("procfile_list", "old".into())]).unwrap();
        Rows::new(&connection, &old, 1.0)
            .unwrap()
            .add(&[Value::Text("a".into()), Value::Integer(1)])
            .unwrap();
        let new = columns(&[Member::Cmdline, Member::Fd, Member::Cgroup]);
        create(&mut connection, &new, &[("procfile_list", "new".into())]).unwrap();
        Rows::new(&connection, &new, 2.0)
            .unwrap()
            .add(&[Value::Text("/".into()), Value::List([1, 2].into()), Value::Large(u64::MAX)])
            .unwrap();
        let rows: Vec<(f64, Option<String>, String, rusqlite::types::Value)> = connection
            .prepare("SELECT ts, cgroup, cmdline, fd_anon FROM record ORDER BY record_id")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let large = "0xffffffffffffffff".to_owned();
        assert_eq!(
            rows,
            [(1.0, None, "a".into(), 1.into()), (2.0, Some("/".into()), "[1,2]".into(), large.into())]
        );
        let meta: String = connection.query_row("SELECT value FROM meta", [], |row| row.get(0)).unwrap();
        assert_eq!(meta, "new");
    }
}
