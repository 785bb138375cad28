//! One sample as recordings take it, whatever they are written in.

use crate::{
    column::Report,
    rate::Row,
    sample::{
        Sample, Traffic,
        node::{Column, Value},
    },
};

/// One sample.
pub struct Taken<'a> {
    /// When it was taken, in nanoseconds since the epoch.
    pub epoch_ns: i64,
    /// The columns of the tree's flat table.
    pub columns: &'a [Column],
    /// Its values, row by row.
    pub values: &'a [&'a Value],
    /// What reports are made of, unless there is nothing to make them of.
    pub counters: Option<Counters<'a>>,
}

/// The counters of a sample, and what they say of the interval before it.
pub struct Counters<'a> {
    /// The sample before, if the recording has it.
    pub before: Option<&'a Sample>,
    /// The sample.
    pub now: &'a Sample,
    /// The tasks that did anything in the interval, compared; none for the first sample.
    pub rows: Vec<Row<'a>>,
}

impl Taken<'_> {
    /// The rows of the flat table.
    pub fn rows(&self) -> impl Iterator<Item = &[&Value]> {
        self.values.chunks_exact(self.columns.len().max(1))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns.len().max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// What a task received and sent in the interval: bytes, bytes, packets, packets.
pub fn moved(row: &Row<'_>) -> [u64; 4] {
    Traffic::FIGURES.map(|(_, figure)| row.delta(|task| task.traffic.map(figure)).unwrap_or(0))
}

/// The columns of the rates of these reports.
pub fn rate_columns<'a>(
    reports: &'a [&'static Report],
) -> impl Iterator<Item = &'static crate::column::Column> + 'a {
    reports.iter().flat_map(|report| report.columns)
}
