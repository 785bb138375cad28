//! Rows of connections for machines: JSON, one object per line or one document, and CSV.

use super::{Columns, Frame, Sink};
use crate::{
    column::Value,
    rate::connection::Line,
    sample::{Host, Reading},
    sink::{csv, json},
};
use std::io::Write as _;

/// The JSON sink.
#[derive(Debug)]
pub struct Json {
    columns: Columns,
    /// One line per sample, and nothing around it.
    lines: bool,
    samples: u64,
}

impl Json {
    /// A sink for these columns; with `lines` every sample is a document of its own on one line.
    pub fn new(columns: Columns, lines: bool) -> Json {
        Json { columns, lines, samples: 0 }
    }

    fn row(&self, line: &Line, out: &mut Vec<u8>) {
        out.push(b'{');
        for figure in &self.columns.figures {
            let _ = write!(out, "\"{}\": ", figure.id);
            json::number(figure.unit, (figure.read)(line), out);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"\"command\": ");
        match self.columns.name(line) {
            Some(name) => json::string(name, out),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

impl Sink for Json {
    fn begin(&mut self, host: &Host, _epoch_ns: i64, out: &mut Vec<u8>) {
        if self.lines {
            return;
        }
        out.extend_from_slice(b"{\"nodename\": ");
        json::string(host.nodename.as_bytes(), out);
        out.extend_from_slice(b", \"release\": ");
        json::string(host.release.as_bytes(), out);
        out.extend_from_slice(b", \"samples\": [\n");
    }

    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        if self.samples > 0 && !self.lines {
            out.extend_from_slice(b",\n");
        }
        self.samples += 1;
        let between = if self.lines { "" } else { "\n " };
        let _ = write!(out, "{{\"rows\": [");
        for (number, line) in frame.lines.iter().enumerate() {
            let _ = write!(out, "{}{between}", if number > 0 { ", " } else { "" });
            self.row(line, out);
        }
        let _ = write!(out, "],{between} \"total\": ");
        self.row(frame.total, out);
        let _ = write!(out, ",{between} \"interfaces\": [");
        for (number, device) in frame.attributed.iter().enumerate() {
            out.extend_from_slice(if number > 0 { b", {\"name\": " } else { b"{\"name\": " });
            json::string(device.name.as_bytes(), out);
            let [rx_pct, tx_pct] = device.pct();
            let whole = |reading: Reading<u64>| reading.map_or_else(|_| "null".into(), |n| n.to_string());
            let real = |reading: Reading<f64>| reading.map_or_else(|_| "null".into(), |n| format!("{n:.2}"));
            let _ = write!(
                out,
                ", \"rx_bytes\": {}, \"tx_bytes\": {}, \"rx_attributed_bytes\": {}, \"tx_attributed_bytes\": {}, \
                 \"rx_attributed_pct\": {}, \"tx_attributed_pct\": {}}}",
                whole(device.rx_bytes),
                whole(device.tx_bytes),
                device.rx_attributed_bytes,
                device.tx_attributed_bytes,
                real(rx_pct),
                real(tx_pct),
            );
        }
        let _ = write!(out, "],{between} ");
        json::about(frame.origin, frame.before_epoch_ns, frame.now_epoch_ns, out);
        out.push(b'}');
        out.extend_from_slice(if self.lines { b"}\n" } else { b"}" });
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.lines {
            out.extend_from_slice(b"\n]}\n");
        }
    }
}

/// The CSV sink: one row per line per sample, ids as header, time since the epoch first.
#[derive(Debug)]
pub struct Csv {
    columns: Columns,
    header_done: bool,
}

impl Csv {
    /// A sink for these columns.
    pub fn new(columns: Columns) -> Csv {
        Csv { columns, header_done: false }
    }
}

impl Sink for Csv {
    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.header_done, true) {
            out.extend_from_slice(b"epoch_seconds");
            for figure in &self.columns.figures {
                let _ = write!(out, ",{}", figure.id);
            }
            out.extend_from_slice(b",net_rung,command\n");
        }
        let rung = frame.origin.net_rung.as_ref().and_then(|rung| rung.as_ref().ok()).copied().unwrap_or("");
        let at = frame.now_epoch_ns;
        let (seconds, nanos) = (at.div_euclid(1_000_000_000), at.rem_euclid(1_000_000_000));
        for line in frame.lines {
            let _ = write!(out, "{seconds}.{:03}", nanos / 1_000_000);
            for figure in &self.columns.figures {
                out.push(b',');
                let _ = match (figure.read)(line) {
                    Value::Real(real) => write!(out, "{real:.4}"),
                    Value::Whole(whole) => write!(out, "{whole}"),
                    Value::Word(word) => write!(out, "{word}"),
                    Value::Text(text) => {
                        csv::field(&text, out);
                        Ok(())
                    }
                    Value::Counts(counts) => write!(out, "{}", Value::counts_text(&counts)),
                    Value::Missing(_) => Ok(()),
                };
            }
            let _ = write!(out, ",{rung},");
            csv::field(self.columns.name(line).unwrap_or_default(), out);
            out.push(b'\n');
        }
    }
}
