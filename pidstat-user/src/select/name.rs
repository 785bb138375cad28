//! Names of what a row has: the columns of every report, and what a task is called.

use super::{
    expr::{Environment, ExprError, Found, Kind, Names, Operand},
    near,
};
use crate::{
    column::{Column, REPORTS, Unit, Value},
    rate::Row,
    sample::{Facts, Task},
};
use std::borrow::Cow;

/// What a task is called and how it stands, which every table shows or could show.
#[derive(Debug)]
pub struct Identity {
    /// Its name.
    pub id: &'static str,
    /// What it is worth.
    pub kind: Kind,
    /// What has to be read for it.
    pub needs: Facts,
    /// One sentence for documents.
    pub help: &'static str,
    read: for<'a> fn(&Row<'a>) -> Operand<'a>,
}

/// All of them.
pub const IDENTITIES: [Identity; 9] = [
    Identity {
        id: "pid",
        kind: Kind::Number,
        needs: Facts::NONE,
        help: "Process id.",
        read: |row| whole(row.now.key.tgid),
    },
    Identity {
        id: "tid",
        kind: Kind::Number,
        needs: Facts::NONE,
        help: "Thread id; missing in the row of a whole process.",
        read: |row| if row.now.is_process() { Operand::Missing } else { whole(row.now.key.tid) },
    },
    Identity {
        id: "ppid",
        kind: Kind::Number,
        needs: Facts::NONE,
        help: "Process id of the parent.",
        read: |row| if row.traffic_only { Operand::Missing } else { whole(row.now.ppid) },
    },
    Identity {
        id: "uid",
        kind: Kind::Number,
        needs: Facts::OWNER,
        help: "Real user id.",
        read: |row| if row.now.uid == Task::UNKNOWN { Operand::Missing } else { whole(row.now.uid) },
    },
    Identity {
        id: "user",
        kind: Kind::Text,
        needs: Facts::USER,
        help: "Name of the real user; missing if nobody has that id.",
        read: |row| row.now.user.as_deref().map_or(Operand::Missing, |user| text(user.as_bytes())),
    },
    Identity {
        id: "comm",
        kind: Kind::Text,
        needs: Facts::NONE,
        help: "Name of the task.",
        read: |row| text(row.now.name()),
    },
    Identity {
        id: "command",
        kind: Kind::Text,
        needs: Facts::CMDLINE,
        help: "Command line; the name where there is none.",
        read: |row| text(row.now.cmdline.as_deref().unwrap_or_else(|| row.now.name())),
    },
    Identity {
        id: "state",
        kind: Kind::Text,
        needs: Facts::NONE,
        help: "State: R running, S sleeping, D waiting for a disk, Z zombie, T stopped, t traced, I idle.",
        read: |row| match row.now.state {
            b'?' => Operand::Missing,
            letter => Operand::Text(Cow::Owned(vec![letter])),
        },
    },
    Identity {
        id: "exited",
        kind: Kind::Truth,
        needs: Facts::NONE,
        help: "Whether the process ended in the interval.",
        read: |row| Operand::Truth(row.exited),
    },
];

fn whole<'a>(number: u32) -> Operand<'a> {
    Operand::Number(f64::from(number))
}

fn text(bytes: &[u8]) -> Operand<'_> {
    Operand::Text(Cow::Borrowed(bytes))
}

/// A name of something that a row has.
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// A column.
    Column(&'static Column),
    /// What the task is called.
    Identity(&'static Identity),
}

impl Name {
    /// Finds a name by its id or, for columns, by its head.
    ///
    /// # Errors
    /// What is wrong with it, with names that are close.
    pub fn find(text: &str) -> Result<Name, String> {
        if let Some(name) = all().find(|name| name.id() == text) {
            return Ok(name);
        }
        column_by_head(text).map(Name::Column).ok_or_else(|| unknown("name", text, all().map(Name::id)))
    }

    /// What it is called.
    pub fn id(self) -> &'static str {
        match self {
            Name::Column(column) => column.id,
            Name::Identity(identity) => identity.id,
        }
    }

    /// What has to be read for it.
    pub fn needs(self) -> Facts {
        match self {
            Name::Column(column) => column.needs,
            Name::Identity(identity) => identity.needs,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Name::Column(column) if column.unit == Unit::Text => Kind::Text,
            Name::Column(_) => Kind::Number,
            Name::Identity(identity) => identity.kind,
        }
    }

    /// Its value in a row.
    pub fn value<'a>(self, row: &Row<'a>) -> Operand<'a> {
        match self {
            Name::Identity(identity) => (identity.read)(row),
            Name::Column(column) => match column.value(row) {
                Value::Real(real) => Operand::number(real),
                Value::Whole(whole) => Operand::number(whole as f64),
                Value::Word(word) => text(word.as_bytes()),
                Value::Text(bytes) => Operand::Text(Cow::Owned(bytes.to_vec())),
                Value::Counts(_) | Value::Missing(_) => Operand::Missing,
            },
        }
    }
}

/// A column by its id or its head.
///
/// # Errors
/// That there is none, with ids that are close.
pub fn column(text: &str) -> Result<&'static Column, String> {
    let found = columns().find(|column| column.id == text).or_else(|| column_by_head(text));
    found.ok_or_else(|| unknown("column", text, columns().map(|column| column.id)))
}

fn columns() -> impl Iterator<Item = &'static Column> {
    REPORTS.iter().flat_map(|report| report.columns)
}

fn all() -> impl Iterator<Item = Name> {
    IDENTITIES.iter().map(Name::Identity).chain(columns().map(Name::Column))
}

/// Heads are for people, who do not mind capitals; the exact one goes first.
fn column_by_head(text: &str) -> Option<&'static Column> {
    let exact = columns().find(|column| column.head == text);
    exact.or_else(|| columns().find(|column| column.head.eq_ignore_ascii_case(text)))
}

fn unknown(what: &str, text: &str, known: impl Iterator<Item = &'static str>) -> String {
    let close = near::near(text, known);
    let hint = match close.as_slice() {
        [] => "the man page lists them".into(),
        close => format!("did you mean {}?", close.join(" or ")),
    };
    format!("there is no {what} {text:?}; {hint}")
}

/// The names of rows, as expressions use them: by id alone.
#[derive(Clone, Copy, Debug)]
pub struct RowNames;

impl Names for RowNames {
    type Name = Name;

    fn read(&self, text: &str, _depth: usize) -> Option<Result<Found<Name>, ExprError>> {
        let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let word = text.get(..length).filter(|word| !word.is_empty())?;
        let found = all().find(|name| name.id() == word);
        Some(match found {
            Some(name) => Ok(Found { name, kind: name.kind(), length }),
            None => Err(ExprError::new(0, unknown("name", word, all().map(Name::id)))),
        })
    }
}

/// A row as the place where names have values.
#[derive(Clone, Copy, Debug)]
pub struct OfRow<'r, 'a>(pub &'r Row<'a>);

impl Environment<Name> for OfRow<'_, '_> {
    fn value<'e>(&'e self, name: &'e Name) -> Operand<'e> {
        name.value(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rate::{Before, Span},
        sample::{Comm, Missing, Sample, TaskKey},
        select::expr::parse,
    };
    use std::collections::HashSet;

    fn holds(text: &str) -> bool {
        let key = TaskKey { tgid: 7, tid: 0, start_ticks: 0 };
        let mut task = Task::blank(key, Comm::new(b"busy"), Missing::NotAsked);
        (task.ppid, task.state, task.threads) = (1, b'R', 3);
        let now = Sample { uptime_ns: 1_000_000_000, ..Sample::default() };
        let span = Span::between(&Sample::default(), &now, 1, false);
        let row = Row::new(&task, Before::Zero, &span);
        parse(text, &RowNames).unwrap().holds(&OfRow(&row))
    }

    #[test]
    fn rows_are_asked_by_name() {
        assert!(holds(
            "pid == 7 and ppid == 1 and comm == 'busy' and command == comm and state in ['R', 'D']"
        ));
        assert!(holds("threads >= 3 and cpu_pct == 0 and policy == 'NORMAL' and not exited"));
        assert!(holds(
            "tid == null and user == null and read_kib_per_sec == null and not read_kib_per_sec < 1"
        ));
    }

    #[test]
    fn names_are_unique_and_heads_are_too() {
        let ids: HashSet<_> = all().map(Name::id).collect();
        assert_eq!(ids.len(), all().count());
        let heads: HashSet<_> = columns().map(|column| column.head).collect();
        assert_eq!(heads.len(), columns().count());
        let keys: HashSet<_> = columns().map(|column| column.json).collect();
        assert_eq!(keys.len(), columns().count(), "chosen columns share one JSON object");
    }

    #[test]
    fn a_column_is_found_by_id_or_head_and_otherwise_close_ones_are_named() {
        assert_eq!(column("%CPU").unwrap().id, "cpu_pct");
        assert_eq!(column("rss").unwrap().id, "rss_kib");
        assert_eq!(column("cpupct").unwrap_err(), "there is no column \"cpupct\"; did you mean cpu_pct?");
        assert_eq!(Name::find("pid").unwrap().id(), "pid");
        let error = parse("threads > 1 and cpu > 5", &RowNames).unwrap_err();
        assert_eq!(error.at, 16);
        assert_eq!(error.what, "there is no name \"cpu\"; did you mean cpu_pct or cpu_number?");
    }
}
