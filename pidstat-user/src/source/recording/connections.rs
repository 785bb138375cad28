//! Connections from our own table: each as it was when it last did something, until it ends.

use super::own::moved;
use crate::sample::{
    Comm, ConnectionKey,
    connected::{Cell, FIELDS, Field, TABLE},
    socket::{Connection, User},
};
use rusqlite::{Row, types::ValueRef};
use std::collections::BTreeMap;

/// Who was there at the last sample.
pub struct Connections {
    sql: String,
    /// The columns that this recording has.
    fields: Vec<&'static Field>,
    live: BTreeMap<ConnectionKey, Connection>,
}

impl Connections {
    /// Looks at the columns; none if there is no such table.
    pub fn new(database: &rusqlite::Connection) -> rusqlite::Result<Option<Connections>> {
        let there = crate::source::database::columns(database, TABLE)?;
        if there.is_empty() {
            return Ok(None);
        }
        let fields: Vec<&Field> =
            FIELDS.iter().filter(|field| there.iter().any(|name| name == field.name)).collect();
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let sql = format!("SELECT {} FROM {TABLE} WHERE sample_id = ?", names.join(", "));
        Ok((!fields.is_empty()).then(|| Connections { sql, fields, live: BTreeMap::new() }))
    }

    /// Those of a sample, and those that ended in the interval before it; sorted.
    pub fn next(
        &mut self,
        database: &rusqlite::Connection,
        (sample, whole, boots_ns): (i64, bool, u64),
        out: &mut Vec<Connection>,
    ) -> rusqlite::Result<()> {
        if whole {
            self.live.clear();
        }
        let mut rows = database.prepare_cached(&self.sql)?;
        let mut rows = rows.query([sample])?;
        while let Some(row) = rows.next()? {
            let one = self.connection(row, boots_ns)?;
            self.live.insert(one.key, one);
        }
        out.extend(self.live.values().cloned());
        self.live.retain(|_, one| !one.closed);
        Ok(())
    }

    fn connection(&self, row: &Row<'_>, boots_ns: u64) -> rusqlite::Result<Connection> {
        let user = User { comm: Comm::default(), uid: 0 };
        let mut one = Connection::blank(ConnectionKey::default(), user);
        for (at, field) in self.fields.iter().enumerate() {
            match row.get_ref(at)? {
                ValueRef::Integer(number) => (field.set)(&mut one, &Cell::Whole(number)),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    (field.set)(&mut one, &Cell::Text(String::from_utf8_lossy(bytes).into_owned()));
                }
                ValueRef::Null | ValueRef::Real(_) => {}
            }
        }
        one.key.owner = moved(one.key.owner, boots_ns);
        one.opened_ns = one.opened_ns.map(|opened| opened.saturating_add(boots_ns));
        Ok(one)
    }
}
