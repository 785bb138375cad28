//! The registry: every column is declared once, and every output is a fold over these declarations.
//!
//! To add a column, add an entry to the file of its report. Text, JSON, CSV, `--columns`, the man page and
//! `docs/columns.md` follow by themselves.

mod cgroup;
pub mod connection;
mod cpu;
mod delay;
mod io;
mod kernel;
mod memory;
mod network;
pub mod pypidstat;
mod realtime;
pub mod sched;
mod stack;
mod switch;
pub mod unix;

use crate::{
    rate::{Level, Row},
    sample::{Facts, Missing, Reading, Task},
};
use std::rc::Rc;

/// What a number counts, which decides how sinks show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Events per second.
    PerSec,
    /// Percent.
    Pct,
    /// KiB per second.
    KibPerSec,
    /// KiB.
    Kib,
    /// Bytes in the interval.
    Bytes,
    /// Bytes that are there, or since the start.
    Size,
    /// A whole number of things.
    Count,
    /// Clock ticks of 10 ms in the interval.
    Ticks,
    /// Milliseconds in the interval.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Seconds.
    Seconds,
    /// The number of a CPU.
    CpuNumber,
    /// A word.
    Text,
}

impl Unit {
    /// The unit in words, for documents.
    pub fn name(self) -> &'static str {
        match self {
            Unit::PerSec => "per second",
            Unit::Pct => "percent",
            Unit::KibPerSec => "KiB per second",
            Unit::Kib => "KiB",
            Unit::Bytes => "bytes in the interval",
            Unit::Size => "bytes",
            Unit::Count => "number",
            Unit::Ticks => "clock ticks (10 ms) in the interval",
            Unit::Milliseconds => "milliseconds in the interval",
            Unit::Microseconds => "microseconds",
            Unit::Seconds => "seconds",
            Unit::CpuNumber => "CPU number",
            Unit::Text => "text",
        }
    }
}

/// A typed cell; only sinks turn it into characters.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A rate, a percentage or a mean.
    Real(f64),
    /// A whole number.
    Whole(u64),
    /// A word.
    Word(&'static str),
    /// Text that is found in the machine; any bytes.
    Text(Rc<[u8]>),
    /// Counts, bucket by bucket.
    Counts(Rc<[u64]>),
    /// Nothing, and why.
    Missing(Missing),
}

impl Value {
    /// Counts with a blank between them, where there is room for one text only.
    pub fn counts_text(counts: &[u64]) -> String {
        counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }
}

impl From<Reading<f64>> for Value {
    fn from(reading: Reading<f64>) -> Value {
        reading.map_or_else(Value::Missing, Value::Real)
    }
}

impl From<Reading<u64>> for Value {
    fn from(reading: Reading<u64>) -> Value {
        reading.map_or_else(Value::Missing, Value::Whole)
    }
}

impl From<Level> for Value {
    fn from(level: Level) -> Value {
        match level {
            Level::Now(now) => Value::Whole(now),
            Level::Mean(mean) => Value::Real(mean),
        }
    }
}

impl From<Reading<Level>> for Value {
    fn from(reading: Reading<Level>) -> Value {
        reading.map_or_else(Value::Missing, Value::from)
    }
}

/// What a number says, unless a recording does not hold it.
fn unless_unknown(number: u32, says: impl FnOnce(u32) -> Value) -> Value {
    if number == Task::UNKNOWN { Value::Missing(Missing::NotInSource) } else { says(number) }
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its name for ever, in snake case with the unit at the end: CSV header, `--columns`, `--sort`, expressions.
    pub id: &'static str,
    /// Its title in text, sysstat's where sysstat has one.
    pub head: &'static str,
    /// Its key in JSON, sysstat's where sysstat has one.
    pub json: &'static str,
    /// Characters in text, the separating blank included.
    pub width: usize,
    /// What it counts.
    pub unit: Unit,
    /// What has to be read for it.
    pub needs: Facts,
    /// Whether only machine-readable outputs show it.
    pub machine_only: bool,
    /// One sentence for the man page.
    pub help: &'static str,
    /// Its value for a row.
    pub read: fn(&Row<'_>) -> Value,
}

impl Column {
    /// Its value for a row; of a row that knows traffic alone, every other column is missing.
    pub fn value(&self, row: &Row<'_>) -> Value {
        if row.traffic_only && !self.needs.has(Facts::TRAFFIC) {
            return Value::Missing(Missing::Gone);
        }
        (self.read)(row)
    }
}

/// Whom a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The task itself.
    Task,
    /// The task and the children it waited for (`-T CHILD`).
    Children,
}

/// The letter of a report that has none; its title says what brings it.
pub const NO_LETTER: char = ' ';
/// What stands for `--delay` where others have a letter.
pub const DELAY: char = '+';

/// A group of columns that appear together under one option.
#[derive(Debug)]
pub struct Report {
    /// Its option letter, or [`NO_LETTER`].
    pub flag: char,
    /// Whom it is about.
    pub scope: Scope,
    /// Its array's key in JSON.
    pub json: &'static str,
    /// What it shows, in a few words.
    pub title: &'static str,
    /// Its columns, left to right.
    pub columns: &'static [Column],
    /// Whether the task did anything that this report shows; idle tasks are left out unless they were asked for.
    pub active: fn(&Row<'_>) -> bool,
}

impl Report {
    /// Whether the row has anything to show here.
    pub fn is_active(&self, row: &Row<'_>) -> bool {
        (!row.traffic_only || self.needs().has(Facts::TRAFFIC))
            && ((self.active)(row) || row.descendants.iter().any(self.active))
    }

    /// Everything that has to be read for this report.
    pub fn needs(&self) -> Facts {
        self.columns.iter().fold(Facts::NONE, |facts, column| facts | column.needs)
    }
}

/// Every report in the order of display.
pub const REPORTS: [&Report; 16] = [
    &cpu::TASK,
    &cpu::CHILDREN,
    &memory::TASK,
    &memory::CHILDREN,
    &memory::MORE,
    &stack::REPORT,
    &io::REPORT,
    &io::MORE,
    &switch::REPORT,
    &kernel::REPORT,
    &realtime::REPORT,
    &network::REPORT,
    &unix::REPORT,
    &sched::REPORT,
    &delay::REPORT,
    &cgroup::REPORT,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_snake_case_and_documented() {
        let mut seen = HashSet::new();
        for column in REPORTS.iter().flat_map(|report| report.columns) {
            assert!(seen.insert(column.id), "{} twice", column.id);
            assert!(
                column.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                "{}",
                column.id
            );
            assert!(column.help.ends_with('.'), "{}", column.id);
            assert!(column.width > column.head.len(), "{} touches its neighbour", column.id);
        }
    }

    #[test]
    fn ids_end_in_their_unit() {
        for column in REPORTS.iter().flat_map(|report| report.columns) {
            let ends = match column.unit {
                Unit::PerSec => "_per_sec",
                Unit::Pct => "_pct",
                Unit::KibPerSec => "_kib_per_sec",
                Unit::Kib => "_kib",
                Unit::Bytes | Unit::Size => "_bytes",
                Unit::Microseconds => "_us",
                Unit::Seconds => "_seconds",
                Unit::Ticks => "_ticks",
                Unit::Milliseconds => "_ms",
                Unit::Count | Unit::CpuNumber | Unit::Text => continue,
            };
            assert!(column.id.ends_with(ends), "{} should end in {ends}", column.id);
        }
    }
}
