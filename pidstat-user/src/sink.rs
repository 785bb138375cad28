//! What rows are turned into: text, JSON, CSV. Sinks format; they never read the machine and never name a column.

pub mod csv;
pub mod iotop;
pub mod json;
pub mod lines;
pub mod net;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod plot;
pub mod pprint;
pub mod pypidstat;
pub mod recording;
pub mod sheet;
pub mod sqlite;
pub mod text;
mod time;

pub use time::TimeFormat;

use crate::{
    column::{Column, Report, Unit, Value},
    rate::{Check, Row},
    sample::{Host, Missing, Origin, Reading},
};

/// A table to show.
#[derive(Debug)]
pub struct Table<'a> {
    /// The reports whose columns it has: one, or several side by side.
    pub reports: Vec<&'static Report>,
    /// The columns that were chosen, if they were, rather than all of the reports.
    pub chosen: Option<&'a [&'static Column]>,
    /// Columns that every table has besides, on the right.
    pub extra: &'a [&'static Column],
    /// Its rows in order.
    pub rows: Vec<Row<'a>>,
}

impl Table<'_> {
    /// Its columns left to right, without those that only machines read unless `machine` or they were chosen.
    pub fn columns(&self, machine: bool) -> impl Iterator<Item = &'static Column> {
        let reports: &[_] = if self.chosen.is_some() { &[] } else { &self.reports };
        let columns = reports.iter().flat_map(|report| report.columns);
        let shown = columns.filter(move |column| machine || !column.machine_only);
        shown.chain(self.chosen.unwrap_or_default().iter().copied()).chain(self.extra.iter().copied())
    }

    /// What it is called in a document: its report's name, or a common one for columns of several.
    pub fn key(&self) -> &'static str {
        match (self.chosen, self.reports.as_slice()) {
            (None, [report]) => report.json,
            _ => "tasks",
        }
    }
}

/// Everything a sink gets for one sample, or for the averages.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The tables in order.
    pub tables: Vec<Table<'a>>,
    /// Wall clock of the sample before, nanoseconds since the epoch.
    pub before_epoch_ns: i64,
    /// Wall clock of this sample.
    pub now_epoch_ns: i64,
    /// Where the numbers came from.
    pub origin: &'a Origin,
    /// What kpidstat itself used in the interval, in nanoseconds of CPU time.
    pub own_cpu_ns: Option<u64>,
    /// What all processes did beside what the machine counted, if that is asked for.
    pub check: Option<Reading<Check>>,
}

/// How the last sample came about, for the closing of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All samples were taken.
    Complete,
    /// SIGINT or SIGTERM.
    Interrupted,
}

/// Which reports become one wide row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Each has a table of its own.
    None,
    /// Those about tasks become one table, those about tasks and their children another.
    PerScope,
    /// All become one table.
    All,
}

/// What stands for a value that is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absent {
    /// Something that is no number.
    #[default]
    Said,
    /// A number, where sysstat prints one: -1 for what the kernel refused, else 0.
    Number,
}

impl Absent {
    /// What to show instead of nothing, where that is a number. The -1 of a rate has two decimals whatever was asked.
    pub(crate) fn number(self, why: Missing, unit: Unit) -> Option<Value> {
        let applies = self == Absent::Number && unit != Unit::CpuNumber && unit != Unit::Text;
        applies.then_some(match (why, unit) {
            (Missing::WentBackwards | Missing::NoEarlier, Unit::KibPerSec) => Value::Real(0.0),
            (_, Unit::KibPerSec) => Value::Word("-1.00"),
            (_, Unit::Count) => Value::Word("-1"),
            (_, Unit::PerSec | Unit::Pct) => Value::Real(0.0),
            _ => Value::Whole(0),
        })
    }
}

/// An output. Each call appends to `out`, which the engine writes in one go.
pub trait Sink {
    /// Before the first sample; `epoch_ns` is the moment of the start.
    fn begin(&mut self, host: &Host, epoch_ns: i64, out: &mut Vec<u8>);

    /// One sample.
    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>);

    /// The averages over the run; sinks for machines leave them out.
    fn averages(&mut self, _frame: &Frame<'_>, _out: &mut Vec<u8>) {}

    /// After the last sample, before the averages.
    fn stop(&mut self, _end: End, _out: &mut Vec<u8>) {}

    /// The very end.
    fn finish(&mut self, _out: &mut Vec<u8>) {}

    /// Whether several reports become one wide row per task.
    fn join(&self) -> Join {
        Join::None
    }

    /// Whether averages are wanted.
    fn wants_averages(&self) -> bool {
        false
    }
}
