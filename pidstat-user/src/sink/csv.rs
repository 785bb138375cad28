//! CSV: one row per task per sample with all reports side by side, column ids as header, time since the epoch first.

use super::{Frame, Join, Sink};
use crate::{
    column::{Column, Value},
    sample::{End, Host, Task, stored::losses_text},
};
use std::io::Write as _;

/// The CSV sink.
#[derive(Debug)]
pub struct Csv {
    threads: bool,
    command_lines: bool,
    header_done: bool,
}

impl Csv {
    /// A sink; `threads` adds the tid, `command_lines` shows arguments instead of names.
    pub fn new(threads: bool, command_lines: bool) -> Csv {
        Csv { threads, command_lines, header_done: false }
    }
}

impl Sink for Csv {
    fn begin(&mut self, _host: &Host, _epoch_ns: i64, _out: &mut Vec<u8>) {}

    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        for table in &frame.tables {
            let columns: Vec<&Column> = table.columns(true).collect();
            if !std::mem::replace(&mut self.header_done, true) {
                out.extend_from_slice(b"epoch_seconds,uid,user,pid");
                out.extend_from_slice(if self.threads { b",tid" } else { b"" });
                for column in &columns {
                    let _ = write!(out, ",{}", column.id);
                }
                out.extend_from_slice(if frame.origin.net_rung.is_some() { b",net_rung" } else { b"" });
                out.extend_from_slice(b",losses");
                for (name, _) in frame.origin.cost.iter().flat_map(|cost| cost.named(None)) {
                    let _ = write!(out, ",self_{name}");
                }
                out.extend_from_slice(b",exited,exit_code,command\n");
            }
            // The same in every row: what was lost so far, and what the tool itself cost.
            let losses = losses_text(&frame.origin.losses);
            let mut own = format!(",{}", if losses.is_empty() { "none" } else { &losses });
            for (_, figure) in frame.origin.cost.iter().flat_map(|cost| cost.named(frame.own_cpu_ns)) {
                own.push(',');
                own.extend(figure.map(|figure| figure.to_string()));
            }
            for row in &table.rows {
                let task = row.now;
                let (seconds, nanos) = (
                    frame.now_epoch_ns.div_euclid(1_000_000_000),
                    frame.now_epoch_ns.rem_euclid(1_000_000_000),
                );
                let _ = write!(out, "{seconds}.{:03},", nanos / 1_000_000);
                if task.uid != Task::UNKNOWN {
                    let _ = write!(out, "{}", task.uid);
                }
                out.push(b',');
                field(task.user.as_deref().unwrap_or("").as_bytes(), out);
                let _ = write!(out, ",{}", task.key.tgid);
                if self.threads {
                    out.push(b',');
                    if !task.is_process() {
                        let _ = write!(out, "{}", task.key.tid);
                    }
                }
                for column in &columns {
                    out.push(b',');
                    let _ = match column.value(row) {
                        Value::Real(real) => write!(out, "{real:.4}"),
                        Value::Whole(whole) => write!(out, "{whole}"),
                        Value::Word(word) => write!(out, "{word}"),
                        Value::Text(text) => {
                            field(&text, out);
                            Ok(())
                        }
                        Value::Counts(counts) => write!(out, "{}", Value::counts_text(&counts)),
                        Value::Missing(_) => Ok(()),
                    };
                }
                if let Some(rung) = &frame.origin.net_rung {
                    let _ = write!(out, ",{}", rung.as_ref().unwrap_or(&""));
                }
                out.extend_from_slice(own.as_bytes());
                let _ = write!(out, ",{},", u8::from(row.exited));
                if let End::Exited(exit) = task.end {
                    let _ = write!(out, "{}", exit.code());
                }
                out.push(b',');
                let line = task.cmdline.as_deref().filter(|_| self.command_lines && task.is_process());
                field(line.unwrap_or_else(|| task.name()), out);
                out.push(b'\n');
            }
        }
    }

    fn join(&self) -> Join {
        Join::All
    }
}

/// Writes a field, quoted where RFC 4180 wants it.
pub(super) fn field(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for byte in bytes {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_only_where_they_must_be() {
        let shown = |text: &[u8]| {
            let mut out = Vec::new();
            field(text, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(b"plain name"), "plain name");
        assert_eq!(shown(b"a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
    }
}
