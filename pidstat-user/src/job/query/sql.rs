//! SQL over the processes that were found: the tables of a recording with one sample, in memory.

use super::print::{Row, Scalar};
use crate::{
    job::meta::meta,
    sample::node::{Column, Member, columns},
    sink::sqlite::{Rows, record, seconds},
    source::{
        database,
        procfs::{
            self,
            node::{NodeId, Target, Tree},
        },
    },
};
use rusqlite::{Connection, ffi, limits::Limit, types::ValueRef};
use std::{path::Path, time::Duration};

/// How long a statement may take.
const MOST_TIME: Duration = Duration::from_secs(20);
/// How large an answer may be.
const MOST_BYTES: usize = 256 << 20;
/// What a cell takes besides its texts.
const CELL_BYTES: usize = 80;

/// What a query is asked over.
pub struct Table<'t> {
    /// The tree.
    pub tree: &'t Tree,
    /// The rows.
    pub nodes: &'t [NodeId],
    /// Where the tree was read from.
    pub procfs: &'t Path,
    /// What the nodes are.
    pub target: Target,
    /// When it was read, in nanoseconds since the epoch.
    pub epoch_ns: i64,
}

impl Table<'_> {
    /// What a query says of `record`, which has the columns of `listed` and of those members that the query names.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn ask(&self, sql: &str, listed: &[Member]) -> rusqlite::Result<Vec<Row>> {
        let mut members = listed.to_vec();
        members.extend(
            Member::ALL
                .into_iter()
                .filter(|member| !listed.contains(member) && !member.is_procpaths() && names(sql, *member)),
        );
        let columns = columns(&members);
        let host = procfs::host(self.procfs, procfs::SYS_ROOT.as_ref());
        let mut connection = Connection::open_in_memory()?;
        record::create(&mut connection, &columns, &meta(&host, self.procfs, self.target, &members))?;
        // A member that the query cannot see need not be read.
        let all = sees_all(sql);
        let seen: Vec<Column> =
            columns.into_iter().filter(|column| all || words(sql).any(|word| word == column.name)).collect();
        let fill = connection.transaction()?;
        {
            let mut rows = Rows::new(&fill, &seen, seconds(self.epoch_ns))?;
            for node in self.nodes {
                rows.add(seen.iter().map(|column| self.tree.value(*node, column)))?;
            }
        }
        fill.commit()?;
        // Whoever wrote the statement asks about processes: no other file, and no end that never comes.
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        database::bound(&mut connection, MOST_TIME)?;
        let mut statement = connection.prepare(sql)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let (mut answer, mut bytes) = (Vec::new(), 0);
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut cells = Row::new();
            for (at, name) in names.iter().enumerate() {
                let value = row.get_ref(at)?;
                bytes +=
                    CELL_BYTES + name.len() + value.as_bytes_or_null().ok().flatten().map_or(0, <[u8]>::len);
                cells.push((name.clone(), cell(value)));
            }
            if bytes > MOST_BYTES {
                let why = format!("the answer is larger than {} MiB", MOST_BYTES >> 20);
                return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), Some(why)));
            }
            answer.push(cells);
        }
        Ok(answer)
    }
}

/// Whether a query may look at columns that it does not name: by `*`, unless that is a multiplication or `count(*)`, or by
/// a natural join. A comment may hide what stands before a `*`.
fn sees_all(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    let wild = sql.match_indices('*').any(|(at, _)| {
        let before = sql[..at].trim_end();
        let word = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        before.ends_with([',', '.']) || matches!(word, "select" | "distinct" | "all")
    });
    wild || ["--", "/*", "natural"].iter().any(|part| sql.contains(part))
}

/// Whether a query names a column of a member.
fn names(sql: &str, member: Member) -> bool {
    words(sql).any(|word| {
        word.strip_prefix(member.name()).is_some_and(|rest| {
            rest.is_empty() && member.fields().is_empty()
                || rest.strip_prefix('_').is_some_and(|field| member.field(field).is_some())
        })
    })
}

/// What may be a name in a query, in small letters.
fn words(sql: &str) -> impl Iterator<Item = String> {
    sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_ascii_lowercase)
}

fn cell(value: ValueRef<'_>) -> Scalar {
    match value {
        ValueRef::Null => Scalar::Null,
        ValueRef::Integer(number) => Scalar::Integer(number.into()),
        ValueRef::Real(number) => Scalar::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Scalar::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sees_all;

    #[test]
    fn a_multiplication_is_no_star() {
        for sql in [
            "SELECT * FROM record",
            "select a.*, 1 from record a",
            "SELECT 1,\n* FROM record",
            "SELECT DISTINCT * FROM record",
        ] {
            assert!(sees_all(sql), "{sql}");
        }
        for sql in [
            "SELECT 1 -- x\n * FROM record",
            "SELECT /**/ * FROM record",
            "SELECT 1 FROM a NATURAL JOIN record",
        ] {
            assert!(sees_all(sql), "{sql}");
        }
        for sql in [
            "SELECT SUM(stat_rss) / 1024.0 * 4 FROM record",
            "SELECT count(*) FROM record",
            "SELECT 2 * stat_rss FROM record",
        ] {
            assert!(!sees_all(sql), "{sql}");
        }
    }
}
