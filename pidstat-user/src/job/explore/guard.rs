//! SQL of a visitor: it reads this recording, for a limited time, and does nothing else.

use crate::source::database::{self, DatabaseError};
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::{path::Path, time::Duration};

/// How long a statement may run.
const MOST_TIME: Duration = Duration::from_secs(20);

/// Opens the recording for one question.
///
/// # Errors
/// When it cannot be read any more.
pub fn open(path: &Path) -> Result<Connection, DatabaseError> {
    let mut database = database::open(path, true)?;
    let guarded = guard(&mut database);
    guarded.map(|()| database).map_err(|error| DatabaseError::Refused { path: path.to_owned(), error })
}

fn guard(database: &mut Connection) -> rusqlite::Result<()> {
    database::bound(database, MOST_TIME)?;
    database.authorizer(Some(allowed))
}

/// Reading, and functions that compute: all else is another file, another setting, or nothing for a visitor.
fn allowed(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name }
            if !["load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"]
                .iter()
                .any(|name| function_name.eq_ignore_ascii_case(name)) =>
        {
            Authorization::Allow
        }
        AuthAction::Pragma { pragma_name: "table_info" | "table_list" | "table_xinfo", .. } => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::open;
    use rusqlite::Connection;

    #[test]
    fn a_visitor_reads_and_does_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sqlite");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE record(a); INSERT INTO record VALUES (1)")
            .unwrap();
        let database = open(&path).unwrap();
        for fine in [
            "SELECT a FROM record",
            "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 9) SELECT max(x) FROM r",
            "SELECT name FROM sqlite_schema",
            "SELECT * FROM pragma_table_info('record')",
            "SELECT group_concat(a, upper('x')) OVER (ORDER BY a) FROM record",
        ] {
            assert!(database.prepare(fine).is_ok(), "{fine}");
        }
        for refused in [
            "INSERT INTO record VALUES (2)",
            "CREATE TEMP TABLE t(a)",
            "ATTACH '/etc/passwd' AS other",
            "PRAGMA writable_schema = 1",
            "PRAGMA hard_heap_limit = 0",
            "SELECT load_extension('x')",
            "VACUUM INTO '/tmp/x'",
            "BEGIN",
        ] {
            // VACUUM is refused when it begins, not when it is read.
            let error = database.execute_batch(refused).unwrap_err().to_string();
            let denied = error.contains("not authorized") || error.contains("authorization denied");
            assert!(denied, "{refused}: {error}");
        }
    }
}
