//! nethogs' trace mode: after each refresh a line for each process, `NAME/PID/UID`, sent, received, separated by tabs.

use super::{Frame, Sink};
use crate::{rate::connection::Line, sample::Moved};
use std::{io::Write as _, net::SocketAddr};

/// What nethogs shows of a process, by the number of its view mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Since the start, rather than per second.
    pub total: bool,
    /// Power of 1024 that is one unit.
    pub power: i32,
    /// The unit.
    pub unit: &'static str,
}

impl Measure {
    /// The view modes 0 to 5; others count on modulo 6, as in nethogs.
    pub fn mode(number: u32) -> Measure {
        let (total, power, unit) = [
            (false, 1, "kB/s"),
            (true, 1, "kB"),
            (true, 0, "B"),
            (true, 2, "MB"),
            (false, 2, "MB/s"),
            (false, 3, "GB/s"),
        ][number as usize % 6];
        Measure { total, power, unit }
    }

    /// Sent and received, with all headers as nethogs has them.
    pub fn of(self, line: &Line) -> [f64; 2] {
        let unit = 1024f64.powi(self.power);
        let (moved, seconds) = if self.total {
            (line.total, 1.0)
        } else {
            (line.gain.unwrap_or_else(|_| Moved::default()), line.seconds)
        };
        [moved.tx_wire_bytes, moved.rx_wire_bytes].map(|bytes| bytes as f64 / unit / seconds)
    }
}

/// The trace.
#[derive(Debug)]
pub struct Trace {
    /// What is shown.
    pub measure: Measure,
    /// Arguments too.
    pub command_lines: bool,
    /// Names without their directories.
    pub base_names: bool,
    /// Whether the rows are what is left when some processes were asked for: one more line then says what the others moved.
    pub rest: Option<&'static str>,
    /// Losses and the rung on a line of their own.
    pub debug: bool,
}

impl Sink for Trace {
    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\nRefreshing:\n");
        let mut shown = [0.0; 2];
        for line in frame.lines {
            let Some(who) = &line.who else { continue };
            let amounts = self.measure.of(line);
            shown = [shown[0] + amounts[0], shown[1] + amounts[1]];
            out.extend_from_slice(&super::table::printable(&program(
                line,
                self.command_lines,
                self.base_names,
            )));
            let [sent, received] = amounts.map(general);
            let _ = writeln!(out, "/{}/{}\t{sent}\t{received}", who.key.tgid, who.uid);
        }
        if let Some(name) = self.rest {
            let all = self.measure.of(frame.total);
            let rest = [0, 1].map(|side: usize| general((all[side] - shown[side]).max(0.0)));
            let _ = writeln!(out, "{name}/0/0\t{}\t{}", rest[0], rest[1]);
        }
        for one in frame.unknown {
            let any = SocketAddr::new(one.local.ip(), 0);
            let [local, remote] = [one.local, one.remote.unwrap_or(any)].map(|end| (end.ip(), end.port()));
            let _ = writeln!(out, "Unknown connection: {}:{}-{}:{}", local.0, local.1, remote.0, remote.1);
        }
        if self.debug {
            let rung = match &frame.origin.net_rung {
                Some(Ok(rung)) => (*rung).to_owned(),
                Some(Err(why)) => why.clone(),
                None => "-".into(),
            };
            let _ = write!(out, "rung: {rung}; lost:");
            for (name, count) in frame.origin.losses.named() {
                let _ = write!(out, " {name}={count}");
            }
            out.push(b'\n');
        }
    }
}

/// What nethogs calls a program: the first word of its command line, or all of it.
pub(super) fn program(line: &Line, arguments: bool, base_name: bool) -> Vec<u8> {
    let Some(who) = &line.who else { return Vec::new() };
    let whole: &[u8] = who.cmdline.as_deref().unwrap_or(&who.name);
    let (first, rest) = match whole.iter().position(|b| *b == b' ') {
        Some(end) if who.cmdline.is_some() => whole.split_at(end),
        _ => (whole, &b""[..]),
    };
    let start = if base_name { first.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1) } else { 0 };
    [&first[start..], if arguments { rest } else { b"" }].concat()
}

/// A number as C++ streams write it: six digits that count, no zeros behind them, powers of ten where it is long.
pub(super) fn general(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return "0".into();
    }
    // Rounded to six digits first: that can add a digit before the point.
    let scientific = format!("{number:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.into()
        }
    };
    if (-4..6).contains(&exponent) {
        trimmed(&format!("{number:.*}", usize::try_from(5 - exponent).unwrap_or(0)))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_cpp() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (19.123_456_78, "19.1235"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.23457e+06"),
            (999_999.7, "1e+06"),
            (0.000_123_456_7, "0.000123457"),
            (0.000_012_3, "1.23e-05"),
            (5_358_608.0, "5.35861e+06"),
        ];
        for (number, text) in cases {
            assert_eq!(general(number), text);
        }
    }

    #[test]
    fn view_modes_count_on() {
        assert_eq!((Measure::mode(2).unit, Measure::mode(8).unit, Measure::mode(5).unit), ("B", "B", "GB/s"));
    }
}
