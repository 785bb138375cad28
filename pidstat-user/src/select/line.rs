//! Which rows of connections are shown, and in which order: names of their columns in expressions and sort keys.

use super::{
    expr::{Condition, Environment, ExprError, Found, Kind, Names, Operand, parse},
    near,
};
use crate::{
    column::{
        Unit, Value,
        connection::{FIGURES, Figure, find},
    },
    rate::connection::{Line, Who},
};
use std::{borrow::Cow, cmp::Ordering};

/// Something that a row of connections has.
#[derive(Clone, Copy, Debug)]
pub enum LineName {
    /// A column.
    Figure(&'static Figure),
    /// `comm`: the name of the process.
    Comm,
    /// `command`: its command line, or its name where that is not known.
    Command,
}

impl LineName {
    /// Finds one by its id or, for columns, by its head.
    ///
    /// # Errors
    /// That there is none, with ids that are close.
    pub fn find(text: &str) -> Result<LineName, String> {
        match text {
            "comm" => Ok(LineName::Comm),
            "command" | "Command" => Ok(LineName::Command),
            _ => find(text).map(LineName::Figure).ok_or_else(|| unknown(text)),
        }
    }

    fn value(self, line: &Line) -> Operand<'_> {
        let text = |bytes: fn(&Who) -> &[u8]| {
            line.who.as_ref().map_or(Operand::Missing, |who| Operand::Text(Cow::Borrowed(bytes(who))))
        };
        match self {
            LineName::Comm => text(|who| &who.name),
            LineName::Command => text(|who| who.cmdline.as_deref().unwrap_or(&who.name)),
            LineName::Figure(figure) => match (figure.read)(line) {
                Value::Real(real) => Operand::number(real),
                Value::Whole(whole) => Operand::number(whole as f64),
                Value::Word(word) => Operand::Text(Cow::Borrowed(word.as_bytes())),
                Value::Text(bytes) => Operand::Text(Cow::Owned(bytes.to_vec())),
                Value::Missing(_) => Operand::Missing,
            },
        }
    }
}

/// A column by its id or head.
///
/// # Errors
/// That there is none, with ids that are close.
pub fn figure(text: &str) -> Result<&'static Figure, String> {
    find(text).ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> String {
    let close = near::near(text, FIGURES.iter().map(|figure| figure.id).chain(["comm", "command"]));
    let hint = match close.as_slice() {
        [] => "columns.md lists them".into(),
        close => format!("did you mean {}?", close.join(" or ")),
    };
    format!("rows of connections have no {text:?}; {hint}")
}

/// The names of rows of connections.
#[derive(Clone, Copy, Debug)]
struct LineNames;

impl Names for LineNames {
    type Name = LineName;

    fn read(&self, text: &str, _depth: usize) -> Option<Result<Found<LineName>, ExprError>> {
        let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let word = text.get(..length).filter(|word| !word.is_empty())?;
        let found = match word {
            "comm" => Some(LineName::Comm),
            "command" => Some(LineName::Command),
            _ => FIGURES.iter().find(|figure| figure.id == word).map(LineName::Figure),
        };
        let Some(name) = found else { return Some(Err(ExprError::new(0, unknown(word)))) };
        let kind = match name {
            LineName::Figure(figure) if figure.unit != Unit::Text => Kind::Number,
            _ => Kind::Text,
        };
        Some(Ok(Found { name, kind, length }))
    }
}

struct OfLine<'a>(&'a Line);

impl Environment<LineName> for OfLine<'_> {
    fn value<'a>(&'a self, name: &'a LineName) -> Operand<'a> {
        name.value(self.0)
    }
}

/// Which rows, and in which order.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    condition: Option<Condition<LineName>>,
    sort: Option<(LineName, bool)>,
    /// How many stay.
    pub top: Option<usize>,
    /// Whether rows that did nothing in the interval are shown too.
    pub idle_too: bool,
}

impl Choice {
    /// Reads the condition of `--where` and the key of `--sort`, which is ascending with `-` before or `:asc` behind it.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(condition: Option<&str>, sort: Option<&str>) -> Result<Choice, String> {
        let mut choice = Choice::default();
        if let Some(text) = condition {
            let parsed =
                parse(text, &LineNames).map_err(|error| format!("--where: {}", error.shown(text)))?;
            choice.condition = Some(parsed);
        }
        if let Some(text) = sort {
            choice.sort_by(text)?;
        }
        Ok(choice)
    }

    /// Sorts by another key.
    ///
    /// # Errors
    /// That there is no such name.
    pub fn sort_by(&mut self, text: &str) -> Result<(), String> {
        let (name, ascending) = match (text.strip_prefix('-'), text.rsplit_once(':')) {
            (Some(name), _) => (name, true),
            (None, Some((name, "asc"))) => (name, true),
            (None, Some((name, "desc"))) => (name, false),
            (None, _) => (text, false),
        };
        self.sort = Some((LineName::find(name).map_err(|what| format!("--sort: {what}"))?, ascending));
        Ok(())
    }

    /// Leaves out what is not wanted, and orders the rest.
    pub fn apply(&self, lines: &mut Vec<Line>) {
        lines.retain(|line| {
            (self.idle_too || line.is_active())
                && self.condition.as_ref().is_none_or(|condition| condition.holds(&OfLine(line)))
        });
        if let Some((name, ascending)) = self.sort {
            lines.sort_by(|a, b| {
                let (a, b) = (name.value(a), name.value(b));
                let missing = |operand: &Operand<'_>| *operand == Operand::Missing;
                // What is missing stands last, whichever way the rest goes.
                let order = match (&a, &b) {
                    (Operand::Number(a), Operand::Number(b)) => a.total_cmp(b),
                    (Operand::Text(a), Operand::Text(b)) => a.cmp(b),
                    _ => return missing(&a).cmp(&missing(&b)),
                };
                if ascending { order } else { Ordering::reverse(order) }
            });
        }
        lines.truncate(self.top.unwrap_or(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rate::connection::{By, Lines},
        sample::{Comm, Connection, ConnectionKey, Moved, Sample, TaskKey, socket::User},
    };

    fn lines() -> Vec<Line> {
        let connection = |tgid: u32, name: &str, tx_bytes| {
            let key = ConnectionKey { cookie: tgid.into(), owner: TaskKey { tgid, tid: 0, start_ticks: 1 } };
            Connection {
                moved: Moved { tx_bytes, ..Moved::default() },
                ..Connection::blank(key, User { comm: Comm::new(name.as_bytes()), uid: 0 })
            }
        };
        let now = Sample {
            uptime_ns: 1_000_000_000,
            connections: vec![connection(1, "curl", 5), connection(2, "nginx", 90), connection(3, "idle", 0)],
            ..Sample::default()
        };
        Lines::new(By::Process).of(&Sample::default(), &now, |_| true)
    }

    fn pids(choice: &Choice) -> Vec<u32> {
        let mut lines = lines();
        choice.apply(&mut lines);
        lines.iter().map(|line| line.who.as_ref().unwrap().key.tgid).collect()
    }

    #[test]
    fn rows_are_chosen_and_ordered_by_their_columns() {
        assert_eq!(pids(&Choice::new(None, Some("tx_bytes")).unwrap()), [2, 1]);
        assert_eq!(pids(&Choice::new(None, Some("-txkB/s")).unwrap()), [1, 2]);
        assert_eq!(pids(&Choice::new(Some("tx_bytes > 5 and comm == 'nginx'"), None).unwrap()), [2]);
        let all = Choice { idle_too: true, top: Some(2), ..Choice::new(None, Some("comm:asc")).unwrap() };
        assert_eq!(pids(&all), [1, 3]);
    }

    #[test]
    fn names_that_are_not_there_are_said_with_those_that_are_close() {
        let said = Choice::new(Some("tx_byte > 5"), None).unwrap_err();
        assert!(said.contains("did you mean tx_bytes"), "{said}");
        assert!(Choice::new(None, Some("rttus")).unwrap_err().contains("rtt_us"));
    }
}
