//! What rows of connections are turned into: text, JSON, CSV, nethogs' trace, and a screen that is drawn again and again.

mod machine;
mod screen;
mod table;
mod trace;

pub use machine::{Csv, Json};
pub use screen::Screen;
pub use table::Table;
pub use trace::{Measure, Trace};

use crate::{
    column::connection::Figure,
    rate::connection::{Attributed, Line},
    sample::{Connection, Host, Origin},
};

/// Everything a sink gets for one sample.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The rows in order.
    pub lines: &'a [Line],
    /// All rows together, those that are not shown included.
    pub total: &'a Line,
    /// TCP connections that no process was found for, for nethogs' trace.
    pub unknown: &'a [&'a Connection],
    /// How much of what the devices moved is in connections.
    pub attributed: &'a [Attributed],
    /// Wall clock of the sample before, nanoseconds since the epoch.
    pub before_epoch_ns: i64,
    /// Wall clock of this sample.
    pub now_epoch_ns: i64,
    /// Where the numbers came from.
    pub origin: &'a Origin,
}

/// An output of connections. Each call appends to `out`, which is written in one go.
pub trait Sink {
    /// Before the first sample.
    fn begin(&mut self, _host: &Host, _epoch_ns: i64, _out: &mut Vec<u8>) {}

    /// One sample.
    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>);

    /// The very end.
    fn finish(&mut self, _out: &mut Vec<u8>) {}

    /// A key that was typed; says whether the rows are to be shown again.
    fn key(&mut self, _key: u8) -> Typed {
        Typed::Nothing
    }
}

/// What a key that was typed means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Nothing.
    Nothing,
    /// The end.
    Quit,
    /// Sort by sent bytes.
    SortSent,
    /// Sort by received bytes.
    SortReceived,
    /// Show the same rows in another way.
    Again,
}

/// The columns and the names of rows.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Columns, left to right.
    pub figures: Vec<&'static Figure>,
    /// Whether the process' name stands behind them.
    pub names: bool,
    /// Command lines instead of names.
    pub command_lines: bool,
}

impl Columns {
    /// What the process of a row is called; nothing if the row is about none.
    fn name<'a>(&self, line: &'a Line) -> Option<&'a [u8]> {
        let who = line.who.as_ref()?;
        Some(who.cmdline.as_deref().filter(|_| self.command_lines).unwrap_or(&who.name))
    }
}
