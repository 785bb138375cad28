//! JSON: sysstat's document with a `kpidstat` object in each sample, or one such sample per line.

use super::{Absent, Frame, Sink, Table, TimeFormat, time::Times};
use crate::{
    column::{Column, Unit, Value},
    rate::Row,
    sample::{End, Host, Missing, Origin, Reading, Task},
};
use jiff::tz::TimeZone;
use std::io::Write as _;

/// What the document looks like.
#[derive(Clone, Debug)]
pub struct Style {
    /// How samples are stamped.
    pub time: TimeFormat,
    /// Whether the date is ISO.
    pub iso_date: bool,
    /// The time zone.
    pub zone: TimeZone,
    /// Whether threads have rows.
    pub threads: bool,
    /// User names instead of numbers.
    pub users: bool,
    /// Command lines instead of names.
    pub command_lines: bool,
    /// One line per sample, and nothing around it.
    pub lines: bool,
    /// sysstat's document and nothing else: no object of our own, no columns that sysstat does not have.
    pub plain: bool,
}

/// The JSON sink.
#[derive(Debug)]
pub struct Json {
    style: Style,
    times: Times,
    samples: u64,
}

/// Line breaks and indentation, or nothing.
struct Layout {
    lines: bool,
}

impl Layout {
    fn newline(&self, depth: usize, out: &mut Vec<u8>) {
        if !self.lines {
            out.push(b'\n');
            out.resize(out.len() + depth, b'\t');
        }
    }
}

impl Json {
    /// A sink of this style.
    pub fn new(style: Style) -> Json {
        let times = Times::new(style.time.clone(), style.iso_date, style.zone.clone());
        Json { style, times, samples: 0 }
    }

    fn table(&self, table: &Table<'_>, layout: &Layout, out: &mut Vec<u8>) {
        let columns: Vec<&Column> = table.columns(!self.style.plain).collect();
        for (number, row) in table.rows.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            layout.newline(6, out);
            self.row(row, &columns, out);
        }
        if table.rows.is_empty() {
            layout.newline(0, out);
        }
    }

    fn value(&self, column: &Column, row: &Row<'_>) -> Value {
        let absent = if self.style.plain { Absent::Number } else { Absent::Said };
        match column.value(row) {
            Value::Missing(why) => match absent.number(why, column.unit) {
                // Not a word: sysstat writes it without quotes.
                Some(Value::Word(_)) => Value::Real(-1.0),
                other => other.unwrap_or(Value::Missing(why)),
            },
            known => known,
        }
    }

    fn row(&self, row: &Row<'_>, columns: &[&Column], out: &mut Vec<u8>) {
        let task = row.now;
        match &task.user {
            Some(user) if self.style.users => {
                out.extend_from_slice(b"{\"USER\": ");
                string(user.as_bytes(), out);
            }
            _ if task.uid == Task::UNKNOWN => out.extend_from_slice(b"{\"UID\": null"),
            _ => {
                let key = if self.style.users { "USER" } else { "UID" };
                // To sysstat a user's number is a signed one.
                let uid =
                    if self.style.plain { i64::from(task.uid.cast_signed()) } else { i64::from(task.uid) };
                let _ = write!(out, "{{\"{key}\": \"{uid}\"");
            }
        }
        if self.style.threads {
            let _ = write!(out, ", \"TGID\": \"{}\", \"TID\": \"", task.key.tgid);
            if !task.is_process() {
                let _ = write!(out, "{}", task.key.tid);
            }
            out.push(b'"');
        } else {
            let _ = write!(out, ", \"PID\": \"{}\"", task.key.tgid);
        }
        for column in columns {
            let _ = write!(out, ", \"{}\": ", column.json);
            number(column.unit, self.value(column, row), out);
        }
        if self.style.threads {
            out.extend_from_slice(b", \"leader\": ");
            string(row.process.map_or(b"", |process| process.name()), out);
        }
        out.extend_from_slice(b", \"cmd\": ");
        let line = task.cmdline.as_deref().filter(|_| self.style.command_lines && task.is_process());
        string(line.unwrap_or_else(|| task.name()), out);
        if row.exited {
            out.extend_from_slice(b", \"exited\": true");
            if let End::Exited(exit) = task.end {
                let _ = write!(out, ", \"exit_code\": {}", exit.code());
            }
        }
        out.push(b'}');
    }
}

impl Sink for Json {
    fn begin(&mut self, host: &Host, epoch_ns: i64, out: &mut Vec<u8>) {
        if self.style.lines {
            return;
        }
        out.extend_from_slice(b"{\"sysstat\": {\n\t\"hosts\": [\n\t\t{\n");
        let texts = [
            ("nodename", &host.nodename),
            ("sysname", &host.sysname),
            ("release", &host.release),
            ("machine", &host.machine),
        ];
        for (key, value) in texts {
            let _ = write!(out, "\t\t\t\"{key}\": ");
            string(value.as_bytes(), out);
            out.extend_from_slice(b",\n");
        }
        let date = self.times.date(epoch_ns);
        let _ = writeln!(out, "\t\t\t\"number-of-cpus\": {},\n\t\t\t\"date\": \"{date}\",", host.cpus);
        out.extend_from_slice(b"\t\t\t\"statistics\": [");
    }

    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let layout = Layout { lines: self.style.lines };
        if self.samples > 0 && !self.style.lines {
            out.push(b',');
        }
        layout.newline(4, out);
        out.push(b'{');
        layout.newline(5, out);
        out.extend_from_slice(b"\"timestamp\": ");
        string(self.times.time(frame.now_epoch_ns).as_bytes(), out);
        for table in &frame.tables {
            out.push(b',');
            layout.newline(5, out);
            let _ = write!(out, "\"{}\": [", table.key());
            self.table(table, &layout, out);
            layout.newline(5, out);
            out.push(b']');
        }
        if !self.style.plain {
            out.push(b',');
            layout.newline(5, out);
            about(frame.origin, frame.before_epoch_ns, frame.now_epoch_ns, out);
            books(frame, out);
            out.push(b'}');
        }
        layout.newline(4, out);
        out.push(b'}');
        if self.style.lines {
            out.push(b'\n');
        }
        self.samples += 1;
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.style.lines {
            out.extend_from_slice(b"\n\t\t\t]\n\t\t}\n\t]\n}}\n");
        }
    }
}

/// The object that says where the numbers came from, open at its end for more.
pub(super) fn about(origin: &Origin, before_epoch_ns: i64, now_epoch_ns: i64, out: &mut Vec<u8>) {
    let _ = write!(
        out,
        "\"kpidstat\": {{\"epoch_ns\": {}, \"interval_ns\": {}, \"source\": \"{}\"",
        now_epoch_ns,
        now_epoch_ns - before_epoch_ns,
        origin.source
    );
    match &origin.net_rung {
        Some(Ok(rung)) => {
            let _ = write!(out, ", \"net_rung\": \"{rung}\"");
            if let Some(lacks) = origin.net_shortfall {
                let _ = write!(out, ", \"net_shortfall\": \"{lacks}\"");
            }
        }
        Some(Err(why)) => {
            out.extend_from_slice(b", \"net_rung\": null, \"net_reason\": ");
            string(why.as_bytes(), out);
        }
        None => {}
    }
    out.extend_from_slice(b", \"losses\": {");
    for (number, (name, count)) in origin.losses.named().iter().enumerate() {
        let _ = write!(out, "{}\"{name}\": {count}", if number > 0 { ", " } else { "" });
    }
    out.push(b'}');
}

/// What kpidstat itself costs, and the books of `--check`, as members of the same object.
fn books(frame: &Frame<'_>, out: &mut Vec<u8>) {
    if let Some(cost) = &frame.origin.cost {
        out.extend_from_slice(b", \"self\": {");
        for (number, (name, figure)) in cost.named(frame.own_cpu_ns).iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            let _ = match figure {
                Some(figure) => write!(out, "{comma}\"{name}\": {figure}"),
                None => write!(out, "{comma}\"{name}\": null"),
            };
        }
        out.push(b'}');
    }
    match &frame.check {
        Some(Ok(check)) => {
            let machine = &check.machine;
            let or_null =
                |figure: Reading<u64>| figure.map_or("null".to_owned(), |figure| figure.to_string());
            let _ = write!(
                out,
                ", \"check\": {{\"tasks_cpu_ns\": {}, \"machine_cpu_ns\": {}, \"found_pct\": {:.2}, \
                 \"interrupt_ns\": {}, \"steal_ns\": {}, \"idle_ns\": {}, \"tasks_switches\": {}, \
                 \"machine_switches\": {}, \"tasks_read_bytes\": {}, \"disks_read_bytes\": {}, \
                 \"tasks_written_bytes\": {}, \"disks_written_bytes\": {}, \
                 \"connections_rx_wire_bytes\": {}, \"devices_rx_wire_bytes\": {}, \
                 \"connections_tx_wire_bytes\": {}, \"devices_tx_wire_bytes\": {}}}",
                check.tasks_ns,
                check.busy_ns(),
                check.found_pct(),
                machine.interrupt_ns,
                machine.steal_ns,
                machine.idle_ns,
                or_null(check.switches),
                machine.switches,
                or_null(check.read_bytes),
                machine.read_bytes,
                or_null(check.written_bytes),
                machine.written_bytes,
                or_null(check.wire.map(|wire| wire.rx_bytes)),
                or_null(check.wire.map(|wire| wire.devices_rx_bytes)),
                or_null(check.wire.map(|wire| wire.tx_bytes)),
                or_null(check.wire.map(|wire| wire.devices_tx_bytes)),
            );
        }
        Some(Err(why)) => {
            let _ = write!(out, ", \"check\": null, \"check_reason\": \"{}\"", why.reason());
        }
        None => {}
    }
}

/// Writes a value with the decimals of its unit.
pub(super) fn number(unit: Unit, value: Value, out: &mut Vec<u8>) {
    let decimals = match unit {
        Unit::PerSec | Unit::Pct | Unit::KibPerSec => 2,
        Unit::Microseconds => 3,
        Unit::Seconds => 6,
        _ => 0,
    };
    let _ = match value {
        Value::Real(real) => write!(out, "{real:.decimals$}"),
        Value::Whole(whole) => write!(out, "{whole}"),
        Value::Word(word) => write!(out, "\"{word}\""),
        Value::Text(text) => {
            string(&text, out);
            Ok(())
        }
        Value::Counts(counts) => write!(out, "{counts:?}"),
        Value::Missing(Missing::DoesNotApply | _) => write!(out, "null"),
    };
}

/// Writes a JSON string; bytes that are no UTF-8 become U+FFFD.
pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for c in String::from_utf8_lossy(bytes).chars() {
        let _ = match c {
            '"' => write!(out, "\\\""),
            '\\' => write!(out, "\\\\"),
            '\n' => write!(out, "\\n"),
            '\t' => write!(out, "\\t"),
            c if c < ' ' || c == '\u{7f}' => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_a_valid_string() {
        for name in [&b"a\"b\\c"[..], b"line\nbreak\ttab\x01\x7f", b"\xff\xfe broken", "ok \u{fc}".as_bytes()]
        {
            let mut out = Vec::new();
            string(name, &mut out);
            let parsed: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(parsed, String::from_utf8_lossy(name));
        }
    }
}
