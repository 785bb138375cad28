//! Rows of connections as text, one table for each sample, in pidstat's manner.

use super::{Columns, Frame, Sink};
use crate::{
    column::{Unit, Value},
    rate::connection::{Attributed, Line, LineKey},
    sample::Host,
    sink::{
        Absent, TimeFormat,
        text::{Palette, cell::Cells, paint::Class},
        time::Times,
    },
};
use jiff::tz::TimeZone;
use std::io::Write as _;

/// The text sink.
#[derive(Debug)]
pub struct Table {
    columns: Columns,
    times: Times,
    cells: Cells,
    /// Whether rows begin with the time; a screen has none.
    stamped: bool,
}

/// Characters of a stamp.
const STAMP_WIDTH: usize = 11;

impl Table {
    /// A sink for these columns.
    pub fn new(columns: Columns, zone: TimeZone, iso: bool, palette: Palette) -> Table {
        let format = if iso { TimeFormat::Iso } else { TimeFormat::Clock };
        Table {
            columns,
            times: Times::new(format, iso, zone),
            cells: Cells::new(2, false, Absent::Said, palette),
            stamped: true,
        }
    }

    /// The same without a column for the time.
    pub(super) fn unstamped(self) -> Table {
        Table { stamped: false, ..self }
    }

    /// Turns command lines on or off.
    pub(super) fn toggle_command_lines(&mut self) {
        self.columns.command_lines = !self.columns.command_lines;
    }

    /// Writes the titles.
    ///
    /// Those of figures that may lack something begin with `~`.
    pub(super) fn header(&self, stamp: &str, approximate: bool, out: &mut Vec<u8>) {
        if self.stamped {
            let _ = write!(out, "{stamp:<STAMP_WIDTH$}");
        }
        for figure in &self.columns.figures {
            let width = figure.width;
            let _ = if figure.unit == Unit::Text {
                write!(out, "  {:<width$}", figure.head, width = width - 2)
            } else if approximate && figure.is_of_traffic() {
                write!(out, "{:>width$}", format!("~{}", figure.head))
            } else {
                write!(out, "{:>width$}", figure.head)
            };
        }
        if self.columns.names {
            out.extend_from_slice(b"  Command");
        }
        no_blanks_at_end(out);
        out.push(b'\n');
    }

    /// Writes a row.
    pub(super) fn row(&self, line: &Line, stamp: &str, out: &mut Vec<u8>) {
        let total = line.key == LineKey::Total;
        if self.stamped {
            let _ = write!(out, "{stamp:<STAMP_WIDTH$}");
        }
        for figure in &self.columns.figures {
            let blank = figure.width;
            match (figure.read)(line) {
                Value::Missing(_) if total => out.resize(out.len() + blank, b' '),
                Value::Missing(_) if figure.unit == Unit::Text => left("-", blank, &self.cells, out),
                Value::Word(word) => left(word, blank, &self.cells, out),
                Value::Text(text) => left(&String::from_utf8_lossy(&text), blank, &self.cells, out),
                value => self.cells.fill((figure.width, figure.unit), value, false, out),
            }
        }
        if let Some(name) = self.columns.name(line).filter(|_| self.columns.names) {
            self.cells.bytes(Class::Name, [b"  ", &printable(name)], out);
            if line.who.as_ref().is_some_and(|who| who.exited) {
                out.extend_from_slice(b" <exited>");
            }
        }
        no_blanks_at_end(out);
        if total && !self.stamped {
            // Where the others have their name.
            out.extend_from_slice(b"  Total");
        }
        self.cells.end_line(out);
    }
}

fn no_blanks_at_end(out: &mut Vec<u8>) {
    out.truncate(out.trim_ascii_end().len());
}

/// A left-aligned word.
fn left(text: &str, width: usize, cells: &Cells, out: &mut Vec<u8>) {
    cells.painted(Class::Name, format_args!("  {text:<width$}", width = width - 2), out);
}

/// A name without characters that would move the cursor.
pub(super) fn printable(name: &[u8]) -> Vec<u8> {
    name.iter().map(|byte| if *byte < b' ' || *byte == 0x7f { b'?' } else { *byte }).collect()
}

/// Writes what the devices moved, and how much of it is in connections; devices that moved nothing are left out.
pub(super) fn devices(attributed: &[Attributed], stamp: Option<&str>, out: &mut Vec<u8>) {
    for device in attributed {
        let (Ok(rx), Ok(tx)) = (device.rx_bytes, device.tx_bytes) else { continue };
        if rx + tx == 0 {
            continue;
        }
        let rate = |bytes: u64| bytes as f64 / 1024.0 / device.seconds;
        let [rx_pct, tx_pct] =
            device.pct().map(|pct| pct.map_or_else(|_| "-".into(), |pct| format!("{pct:.1}")));
        if let Some(stamp) = stamp {
            let _ = write!(out, "{stamp:<STAMP_WIDTH$} ");
        }
        let _ = writeln!(
            out,
            "{}: {:.2} kB/s received, {rx_pct} % of interface bytes attributed; \
             {:.2} kB/s sent, {tx_pct} %",
            device.name,
            rate(rx),
            rate(tx)
        );
    }
}

impl Sink for Table {
    fn begin(&mut self, host: &Host, epoch_ns: i64, out: &mut Vec<u8>) {
        self.times.banner(host, epoch_ns, out);
    }

    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let stamp = self.times.time(frame.now_epoch_ns);
        out.push(b'\n');
        let approximate = frame.origin.net_approximate;
        self.header(&self.times.time(frame.before_epoch_ns), approximate, out);
        for line in frame.lines {
            self.row(line, &stamp, out);
        }
        self.row(frame.total, "Total:", out);
        devices(frame.attributed, Some(&stamp), out);
    }
}
