//! Rows of connections on a terminal: the table is drawn anew with every sample, cut to the screen.

use super::{Columns, Frame, Sink, Table, Typed, table::devices};
use crate::{rate::connection::Line, sink::text::Palette};
use jiff::tz::TimeZone;

/// The screen.
#[derive(Debug)]
pub struct Screen {
    table: Table,
    title: String,
    /// Columns and rows of the terminal, asked for again with every frame.
    size: fn() -> Option<(usize, usize)>,
    /// Rows that are above the screen.
    top: usize,
    /// How many rows there were.
    rows: usize,
}

impl Screen {
    /// A screen; `size` says how many columns and rows the terminal has now.
    pub fn new(
        columns: Columns,
        zone: TimeZone,
        palette: Palette,
        title: String,
        size: fn() -> Option<(usize, usize)>,
    ) -> Screen {
        let table = Table::new(columns, zone, false, palette).unstamped();
        Screen { table, title, size, top: 0, rows: 0 }
    }

    /// The part of the rows that fits.
    fn window<'a>(&mut self, lines: &'a [Line], fits: usize) -> &'a [Line] {
        self.rows = lines.len();
        self.top = self.top.min(lines.len().saturating_sub(fits));
        &lines[self.top..lines.len().min(self.top + fits)]
    }
}

/// What goes before and after: the screen without cursor, and back to what was there.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";
const REVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

impl Sink for Screen {
    fn begin(&mut self, _host: &crate::sample::Host, _epoch_ns: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(ENTER);
    }

    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let (columns, rows) = (self.size)().unwrap_or((80, 24));
        let mut tail = Vec::new();
        devices(frame.attributed, None, &mut tail);
        let tail_rows = tail.iter().filter(|b| **b == b'\n').count();
        // Title, header, total, and the line about the keys.
        let fits = rows.saturating_sub(4 + tail_rows).max(1);
        let mut text = Vec::new();
        text.extend_from_slice(self.title.as_bytes());
        text.push(b'\n');
        let header_at = text.len();
        self.table.header("", frame.origin.net_approximate, &mut text);
        let header_end = text.len();
        for line in self.window(frame.lines, fits) {
            self.table.row(line, "", &mut text);
        }
        self.table.row(frame.total, "", &mut text);
        text.extend_from_slice(&tail);
        let more = self.rows.saturating_sub(self.top + fits);
        let scroll = if more + self.top > 0 {
            format!("  rows {}..{} of {}, j k scroll", self.top + 1, self.rows - more, self.rows)
        } else {
            String::new()
        };
        text.extend_from_slice(
            format!("q quit, s sort by sent, r by received, l command lines{scroll}").as_bytes(),
        );
        // Home, then each line over the old one: no flicker. What is left of the old screen goes at the end.
        out.extend_from_slice(b"\x1b[H");
        let mut at = 0;
        for line in text.split_inclusive(|b| *b == b'\n').take(rows) {
            let header = (header_at..header_end).contains(&at);
            at += line.len();
            out.extend_from_slice(if header { REVERSE.as_bytes() } else { b"" });
            out.extend_from_slice(&cut(line.strip_suffix(b"\n").unwrap_or(line), columns));
            out.extend_from_slice(PLAIN.as_bytes());
            out.extend_from_slice(b"\x1b[K");
            if line.ends_with(b"\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"\x1b[J");
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(LEAVE);
    }

    fn key(&mut self, key: u8) -> Typed {
        match key {
            // Ctrl-C arrives as a signal; q and Q end it.
            b'q' | b'Q' => Typed::Quit,
            b's' => Typed::SortSent,
            b'r' => Typed::SortReceived,
            b'l' => {
                self.table.toggle_command_lines();
                Typed::Again
            }
            b'j' => {
                self.top += 1;
                Typed::Again
            }
            b'k' => {
                self.top = self.top.saturating_sub(1);
                Typed::Again
            }
            _ => Typed::Nothing,
        }
    }
}

/// The first so many characters of a line; what paints them takes no room.
fn cut(line: &[u8], columns: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let (mut used, mut painting) = (0, false);
    for c in String::from_utf8_lossy(line).chars() {
        if c == '\x1b' {
            painting = true;
        } else if painting {
            painting = c != 'm';
        } else if used == columns {
            continue;
        } else {
            used += 1;
            kept.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        kept.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        column::connection::FIGURES,
        rate::connection::Lines,
        sample::{Origin, Sample},
    };

    #[test]
    fn a_screen_has_no_column_for_the_time() {
        let figures = FIGURES.iter().filter(|figure| ["pid", "tx_kib_per_sec"].contains(&figure.id));
        let columns = Columns { figures: figures.collect(), names: true, command_lines: false };
        let title = "title".to_owned();
        let mut screen = Screen::new(columns, TimeZone::UTC, Palette::default(), title, || Some((80, 24)));
        let (empty, origin) = (Sample::default(), Origin::default());
        let total = Lines::default().total(&[], &empty, &empty);
        let frame = Frame {
            lines: &[],
            total: &total,
            unknown: &[],
            attributed: &[],
            before_epoch_ns: 0,
            now_epoch_ns: 1,
            origin: &origin,
        };
        let mut out = Vec::new();
        screen.sample(&frame, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches("\x1b[K")).collect();
        assert!(lines[1].contains("       PID    txkB/s  Command"), "{lines:?}");
        assert!(!lines[1].contains("           PID"), "{lines:?}");
        assert!(lines[2].contains("                0.00  Total"), "{lines:?}");
    }

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(cut(b"abcdef", 3), b"abc");
        assert_eq!(cut(b"\x1b[1mabc\x1b[0mdef", 4), b"\x1b[1mabc\x1b[0md");
        assert_eq!(cut("äöü".as_bytes(), 2), "äö".as_bytes());
    }
}
