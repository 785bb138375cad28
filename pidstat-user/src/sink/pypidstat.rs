//! pypidstat's table: one line per process with all blocks side by side, one header, no averages.

use super::{End, Frame, Join, Sink};
use crate::{
    column::{
        Column, Value,
        pypidstat::{Block, Field},
    },
    rate::Row,
    sample::Host,
};
use jiff::{Timestamp, tz::TimeZone};
use std::io::Write as _;

/// What the table looks like.
#[derive(Clone, Debug)]
pub struct Style {
    /// The blocks asked for, in their order.
    pub blocks: Vec<Block>,
    /// The time zone.
    pub zone: TimeZone,
    /// Command lines instead of names (`-l`).
    pub command_lines: bool,
}

/// The sink.
#[derive(Debug)]
pub struct Pypidstat {
    style: Style,
    /// The registry's column of each field of each block.
    columns: Vec<Vec<(Field, Option<&'static Column>)>>,
}

impl Pypidstat {
    /// A sink of this style.
    pub fn new(style: Style) -> Pypidstat {
        let columns = |block: &Block| block.fields.iter().map(|field| (*field, field.column())).collect();
        Pypidstat { columns: style.blocks.iter().map(columns).collect(), style }
    }

    fn row(&self, row: &Row<'_>, stamp: &str, out: &mut Vec<u8>) {
        let task = row.now;
        let _ = write!(out, "{stamp:<20} {:<6} ", task.key.tgid);
        match &task.user {
            Some(user) => {
                let _ = write!(out, "{user:<8}");
            }
            None => {
                let _ = write!(out, "{:<8}", task.uid);
            }
        }
        for (block, columns) in self.style.blocks.iter().zip(&self.columns) {
            for (number, (field, column)) in columns.iter().enumerate() {
                if number > 0 {
                    out.push(b' ');
                }
                let value = column.map(|column| column.value(row));
                let text = cell(field, value);
                let width = field.width;
                let _ =
                    if block.left { write!(out, "{text:<width$}") } else { write!(out, "{text:^width$}") };
            }
            if block.trailing_blank {
                out.push(b' ');
            }
        }
        match task.cmdline.as_deref().filter(|_| self.style.command_lines) {
            // The NUL after the last argument became a blank there.
            Some(line) => command(line, b" ", out),
            None => command(task.name(), b"", out),
        }
        out.push(b'\n');
    }
}

impl Sink for Pypidstat {
    fn begin(&mut self, _host: &Host, _epoch_ns: i64, out: &mut Vec<u8>) {
        let _ = write!(out, "{:<20} {:<6} {:<8}", "Time", "PID", "User");
        for block in &self.style.blocks {
            for (number, field) in block.fields.iter().enumerate() {
                let (head, width) = (field.head, field.width);
                let blank = if number > 0 { " " } else { "" };
                let _ = if field.head_centred {
                    write!(out, "{blank}{head:^width$}")
                } else {
                    write!(out, "{blank}{head:<width$}")
                };
            }
        }
        let _ = writeln!(out, "{:<50}", "Command");
    }

    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let now = Timestamp::from_nanosecond(i128::from(frame.now_epoch_ns)).unwrap_or_default();
        let stamp = now.to_zoned(self.style.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        for row in frame.tables.iter().flat_map(|table| &table.rows) {
            self.row(row, &stamp, out);
        }
    }

    fn stop(&mut self, end: End, out: &mut Vec<u8>) {
        if end == End::Interrupted {
            out.extend_from_slice(b"Caught Ctrl+C / SIGINT signal\n");
        }
    }

    fn join(&self) -> Join {
        Join::All
    }
}

fn cell(field: &Field, value: Option<Value>) -> String {
    match value {
        Some(Value::Real(real)) => number(real * field.factor, field.digits, field.decimals),
        Some(Value::Whole(whole)) => number(whole as f64 * field.factor, field.digits, field.decimals),
        Some(Value::Word(word)) => word.into(),
        Some(Value::Text(text)) => String::from_utf8_lossy(&text).into_owned(),
        Some(Value::Counts(counts)) => Value::counts_text(&counts),
        Some(Value::Missing(_)) | None => "-".into(),
    }
}

/// A number in pypidstat's way: plain while it is at most ten to the width less decimals and two, else with an exponent.
fn number(number: f64, width: usize, decimals: usize) -> String {
    let power = width.saturating_sub(decimals + 2);
    if number <= 10_f64.powi(i32::try_from(power).unwrap_or(i32::MAX)) {
        return format!("{number:.decimals$}");
    }
    let text = format!("{number:.decimals$E}");
    // Rust writes 7.3E5 where C and Python write 7.3E+05; a number this large has no negative exponent.
    match text.split_once('E') {
        Some((mantissa, exponent)) => format!("{mantissa}E+{exponent:0>2}"),
        None => text,
    }
}

/// Writes a command padded to 50 characters; its bytes are not touched.
fn command(text: &[u8], end: &[u8], out: &mut Vec<u8>) {
    let characters = String::from_utf8_lossy(text).chars().count() + end.len();
    out.extend_from_slice(text);
    out.extend_from_slice(end);
    out.resize(out.len() + 50_usize.saturating_sub(characters), b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::pypidstat::BLOCKS;

    #[test]
    fn numbers_are_those_of_the_original() {
        let reference = [
            (100.0, 6, 2, "100.00"),
            (100.01, 6, 2, "1.00E+02"),
            (99_999.94, 8, 1, "99999.9"),
            (100_000.0, 8, 1, "100000.0"),
            (729_000.0, 8, 1, "7.3E+05"),
            (1e6, 8, 0, "1000000"),
            (1e7, 8, 0, "1E+07"),
            (1_234_567.8, 10, 0, "1234568"),
            (-5.0, 8, 0, "-5"),
            (1e100, 8, 0, "1E+100"),
        ];
        for (value, width, decimals, text) in reference {
            assert_eq!(number(value, width, decimals), text, "{value}");
        }
    }

    #[test]
    fn the_header_is_that_of_the_readme() {
        let blocks = BLOCKS.iter().filter(|block| block.letter != 'n').copied().collect();
        let mut sink = Pypidstat::new(Style { blocks, zone: TimeZone::UTC, command_lines: true });
        let mut out = Vec::new();
        sink.begin(&Host::default(), 0, &mut out);
        let readme = "Time                 PID    User    %usr   %sys   %guest %wait  %CPU   CPU_ID  minflt/s majflt/s \
                      VSZ      RSS      VmPeak(KB)   %MEM  kB_rd/s  kB_wr/s  kB_cwr/s  iodelay  cswch/s  nvcswch/s \
                      Command";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{readme}{}\n", " ".repeat(43)));
    }

    #[test]
    fn commands_are_padded_by_characters() {
        let shown = |text: &[u8], end: &[u8]| {
            let mut out = Vec::new();
            command(text, end, &mut out);
            out
        };
        assert_eq!(shown("fü".as_bytes(), b"").len(), 51);
        assert_eq!(shown(&[b'x'; 60], b" ").len(), 61);
        assert_eq!(shown(b"\xff", b"").len(), 50);
    }
}
