//! One value in one cell: widths, decimals, units.

use super::{
    super::Absent,
    paint::{Class, Palette},
};
use crate::{
    column::{Column, Unit, Value},
    sample::Missing,
};
use std::{fmt, io::Write as _};

/// How values are written.
#[derive(Clone, Debug)]
pub(in crate::sink) struct Cells {
    decimals: usize,
    human: bool,
    absent: Absent,
    palette: Palette,
}

impl Cells {
    pub(in crate::sink) fn new(decimals: usize, human: bool, absent: Absent, palette: Palette) -> Cells {
        Cells { decimals, human, absent, palette }
    }

    /// Writes a value, or an average, right-aligned in its column.
    pub(super) fn put(&self, column: &Column, value: Value, average: bool, out: &mut Vec<u8>) {
        self.fill((column.width, column.unit), value, average, out);
    }

    /// The same for a place of this width, blank included, and unit.
    pub(in crate::sink) fn fill(
        &self,
        (width, unit): (usize, Unit),
        value: Value,
        average: bool,
        out: &mut Vec<u8>,
    ) {
        let width = width - 1;
        let value = match value {
            Value::Missing(why) => match self.absent.number(why, unit) {
                Some(Value::Word(word)) => {
                    // To sysstat the -1 of a count is a number in averages, and no number before.
                    let class = if average && unit == Unit::Count { Class::Name } else { Class::Zero };
                    return if self.palette.goes_on_after(word, out) {
                        let _ = write!(out, " {word:>width$}");
                        self.palette.stop(out);
                    } else {
                        self.painted(class, format_args!(" {word:>width$}"), out);
                    };
                }
                Some(number) => number,
                None => value,
            },
            known => known,
        };
        match (value, unit) {
            (Value::Missing(Missing::DoesNotApply), Unit::CpuNumber) => {
                self.painted(Class::Id, format_args!(" {:>width$}", "-"), out);
            }
            (Value::Missing(_), _) => self.painted(Class::Zero, format_args!(" {:>width$}", "-"), out),
            (Value::Text(text), _) => {
                let blanks = width.saturating_sub(String::from_utf8_lossy(&text).chars().count());
                self.bytes(Class::Name, [&b" ".repeat(blanks + 1), &text], out);
            }
            (Value::Word(word), _) => self.painted(Class::Name, format_args!(" {word:>width$}"), out),
            (Value::Whole(number), Unit::CpuNumber) => {
                // Three blanks, then the number, even where that makes the column wider.
                self.painted(
                    Class::Id,
                    format_args!("   {number:>width$}", width = width.saturating_sub(2)),
                    out,
                );
            }
            (Value::Whole(number), Unit::Kib) if self.human => self.size(number as f64, 1, width, out),
            (Value::Real(number), Unit::Kib) if self.human => self.size(number, 1, width, out),
            (Value::Real(number), Unit::KibPerSec) if self.human => self.size(number * 1024.0, 0, width, out),
            (Value::Whole(number), _) => {
                let class = if number == 0 { Class::Zero } else { Class::Name };
                self.painted(class, format_args!(" {number:>width$}"), out);
            }
            (Value::Real(number), Unit::Pct) => self.percent(number, width, out),
            (Value::Real(number), Unit::PerSec | Unit::KibPerSec | Unit::Seconds) => {
                self.real(number, self.decimals, width, out);
            }
            // An average of whole numbers.
            (Value::Real(number), _) => self.real(number, 0, width, out),
        }
    }

    /// Writes text in the colour of its class.
    pub(in crate::sink) fn painted(&self, class: Class, text: fmt::Arguments<'_>, out: &mut Vec<u8>) {
        self.palette.start(class, out);
        let _ = out.write_fmt(text);
        self.palette.stop(out);
    }

    /// Ends a line whose last text may still be in its colour.
    pub(in crate::sink) fn end_line(&self, out: &mut Vec<u8>) {
        self.palette.end_line(out);
    }

    /// Writes raw bytes in the colour of their class.
    pub(in crate::sink) fn bytes<const N: usize>(&self, class: Class, text: [&[u8]; N], out: &mut Vec<u8>) {
        self.palette.start(class, out);
        text.iter().for_each(|part| out.extend_from_slice(part));
        self.palette.stop(out);
    }

    fn real(&self, number: f64, decimals: usize, width: usize, out: &mut Vec<u8>) {
        let class = if is_zero(number, decimals) { Class::Zero } else { Class::Name };
        self.painted(class, format_args!(" {number:>width$.decimals$}"), out);
    }

    fn percent(&self, number: f64, width: usize, out: &mut Vec<u8>) {
        let decimals = if self.human { self.decimals.min(1) } else { self.decimals };
        let class = match number {
            n if n >= self.palette.extreme_from() => Class::Extreme,
            n if n >= self.palette.warning_from() => Class::Warning,
            n if is_zero(n, decimals) => Class::Zero,
            _ => Class::Name,
        };
        if self.human {
            let width = width - 1;
            self.painted(class, format_args!(" {number:>width$.decimals$}"), out);
            out.push(b'%');
        } else {
            self.painted(class, format_args!(" {number:>width$.decimals$}"), out);
        }
    }

    /// Writes a size with its unit; `step` is the power of 1024 that it starts from.
    fn size(&self, mut number: f64, mut step: usize, width: usize, out: &mut Vec<u8>) {
        while number >= 1024.0 {
            number /= 1024.0;
            step += 1;
        }
        let decimals = self.decimals.min(1);
        // A size that shows as 0.0 counts as zero only by the decimals that were asked for, in sysstat as well.
        let class = if is_zero(number, self.decimals) { Class::Zero } else { Class::Name };
        let width = width - 1;
        self.painted(class, format_args!(" {number:>width$.decimals$}"), out);
        out.push(*b"BkMGTP?".get(step).unwrap_or(&b'?'));
    }
}

/// Whether a number shows as zero.
fn is_zero(number: f64, decimals: usize) -> bool {
    match decimals {
        0 => number.abs() <= 0.5,
        1 => number.abs() < 0.05,
        _ => number.abs() < 0.005,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::REPORTS;

    fn shown(cells: &Cells, id: &str, value: Value) -> String {
        let column = REPORTS.iter().flat_map(|report| report.columns).find(|column| column.id == id).unwrap();
        let mut out = Vec::new();
        cells.put(column, value, false, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_fill_their_columns() {
        let plain = Cells::new(2, false, Absent::Said, Palette::off());
        assert_eq!(shown(&plain, "user_pct", Value::Real(14.333)), "   14.33");
        assert_eq!(shown(&plain, "vsz_kib", Value::Whole(117_188)), "  117188");
        assert_eq!(shown(&plain, "vsz_kib", Value::Real(12.5)), "      12");
        assert_eq!(shown(&plain, "read_kib_per_sec", Value::Missing(Missing::NoPermission)), "         -");
        assert_eq!(shown(&plain, "minflt_per_sec", Value::Real(12_345_678_901.0)), " 12345678901.00");
    }

    #[test]
    fn human_sizes_carry_units() {
        let human = Cells::new(2, true, Absent::Said, Palette::off());
        assert_eq!(shown(&human, "vsz_kib", Value::Whole(117_188)), "  114.4M");
        assert_eq!(shown(&human, "user_pct", Value::Real(14.333)), "   14.3%");
        assert_eq!(shown(&human, "write_kib_per_sec", Value::Real(12_288.0)), "     12.0M");
    }

    #[test]
    fn halves_round_to_even_as_in_c() {
        let plain = Cells::new(2, false, Absent::Said, Palette::off());
        assert_eq!(shown(&plain, "user_pct", Value::Real(0.125)), "    0.12");
        assert_eq!(shown(&plain, "user_pct", Value::Real(0.375)), "    0.38");
    }
}
