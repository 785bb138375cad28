//! Text as pidstat prints it.

pub(in crate::sink) mod cell;
pub(in crate::sink) mod paint;

pub use paint::Palette;

use super::{Absent, End, Frame, Join, Sink, Table, TimeFormat, time::Times};
use crate::{
    column::Column,
    rate::Row,
    sample::{Facts, Host, Origin, Reading, Task},
};
use cell::Cells;
use jiff::tz::TimeZone;
use paint::Class;
use std::io::Write as _;

/// What the text looks like.
#[derive(Clone, Debug)]
pub struct Style {
    /// How rows are stamped.
    pub time: TimeFormat,
    /// Whether the banner's date is ISO.
    pub iso_date: bool,
    /// The time zone.
    pub zone: TimeZone,
    /// Threads have rows, so two columns of ids are shown (`-t`).
    pub threads: bool,
    /// User names instead of numbers (`-U`).
    pub users: bool,
    /// User numbers from 2^31 on as negative ones, which they are to sysstat.
    pub signed_users: bool,
    /// Command lines instead of names (`-l`).
    pub command_lines: bool,
    /// One wide row per task, no averages (`-h`).
    pub one_line: bool,
    /// Decimals of rates (`--dec`).
    pub decimals: usize,
    /// Sizes with units (`--human`).
    pub human: bool,
    /// What stands for a missing value.
    pub absent: Absent,
    /// Colours.
    pub palette: Palette,
    /// A header before every table of every sample, rather than every `header_period` samples.
    pub header_always: bool,
    /// Samples between headers where `header_always` is off.
    pub header_period: u64,
}

/// Characters that a stamp is padded to, if it is not longer.
const STAMP_WIDTH: usize = 11;

/// The text sink.
#[derive(Debug)]
pub struct Text {
    style: Style,
    times: Times,
    stamp_width: usize,
    cells: Cells,
    samples: u64,
}

impl Text {
    /// A sink of this style.
    pub fn new(style: Style) -> Text {
        let times = Times::new(style.time.clone(), style.iso_date, style.zone.clone());
        let cells = Cells::new(style.decimals, style.human, style.absent, style.palette.clone());
        Text { style, times, cells, stamp_width: STAMP_WIDTH, samples: 0 }
    }

    fn table(
        &self,
        table: &Table<'_>,
        origin: &Origin,
        stamp: &str,
        header: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let columns: Vec<&Column> = table.columns(false).collect();
        if let Some(header) = header {
            self.header(&columns, origin, header, out);
        }
        let mut shown = None;
        for row in &table.rows {
            let place = Place::of(row, &mut shown);
            self.row(row, &columns, stamp, &place, out);
        }
    }

    fn header(&self, columns: &[&Column], origin: &Origin, stamp: &str, out: &mut Vec<u8>) {
        out.push(b'\n');
        let _ = write!(out, "{stamp:<width$}", width = self.stamp_width);
        out.extend_from_slice(if self.style.users { b"     USER" } else { b"   UID" });
        out.extend_from_slice(if self.style.threads { b"      TGID       TID" } else { b"       PID" });
        for column in columns {
            if origin.net_approximate && column.needs.has(Facts::TRAFFIC) {
                let _ = write!(out, "{:>width$}", format!("~{}", column.head), width = column.width);
            } else {
                let _ = write!(out, "{:>width$}", column.head, width = column.width);
            }
        }
        out.extend_from_slice(b"  Command\n");
    }

    fn row(&self, row: &Row<'_>, columns: &[&Column], stamp: &str, place: &Place<'_>, out: &mut Vec<u8>) {
        let task = row.now;
        let _ = write!(out, "{stamp:<width$}", width = self.stamp_width);
        self.ids(task, place, out);
        for column in columns {
            self.cells.put(column, column.value(row), row.sums.is_some(), out);
        }
        self.command(task, place, row.exited, out);
        self.cells.end_line(out);
    }

    fn ids(&self, task: &Task, place: &Place<'_>, out: &mut Vec<u8>) {
        let id = |text: std::fmt::Arguments<'_>, out: &mut Vec<u8>| self.cells.painted(Class::Id, text, out);
        match &task.user {
            Some(user) if self.style.users => id(format_args!(" {user:>8}"), out),
            _ if task.uid == Task::UNKNOWN => id(format_args!("     -"), out),
            _ if self.style.signed_users => id(format_args!(" {:>5}", task.uid.cast_signed()), out),
            _ => id(format_args!(" {:>5}", task.uid), out),
        }
        let (tgid, tid) = (task.key.tgid, task.key.tid);
        match (self.style.threads, place) {
            (false, _) => id(format_args!(" {tgid:>9}"), out),
            (true, Place::Process) => id(format_args!(" {tgid:>9}         -"), out),
            (true, Place::Thread) => id(format_args!("         - {tid:>9}"), out),
            (true, Place::Orphan(_)) => {
                id(format_args!(" {tgid:>9}"), out);
                id(format_args!(" {tid:>9}"), out);
            }
        }
    }

    fn command(&self, task: &Task, place: &Place<'_>, exited: bool, out: &mut Vec<u8>) {
        match place {
            Place::Process => {
                let line = task.cmdline.as_deref().filter(|_| self.style.command_lines);
                self.cells.bytes(Class::Name, [b"  ", line.unwrap_or_else(|| task.name())], out);
            }
            Place::Thread => self.cells.bytes(Class::Thread, [b"  |__", task.name()], out),
            Place::Orphan(leader) => {
                self.cells.bytes(Class::Name, [b"  (", leader, b")"], out);
                self.cells.bytes(Class::Thread, [b"__", task.name()], out);
            }
        }
        if exited {
            out.extend_from_slice(b" <exited>");
        }
    }
}

impl Sink for Text {
    fn begin(&mut self, host: &Host, epoch_ns: i64, out: &mut Vec<u8>) {
        self.stamp_width = self.times.time(epoch_ns).chars().count().max(STAMP_WIDTH);
        self.times.banner(host, epoch_ns, out);
    }

    fn sample(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let now = self.times.time(frame.now_epoch_ns);
        let due = self.style.header_always || self.samples.is_multiple_of(self.style.header_period);
        let before =
            if self.style.one_line { "# Time".into() } else { self.times.time(frame.before_epoch_ns) };
        for table in &frame.tables {
            self.table(table, frame.origin, &now, due.then_some(&before), out);
        }
        own(frame, &now, out);
        check(frame, &now, out);
        self.samples += 1;
    }

    fn averages(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        for table in &frame.tables {
            self.table(table, frame.origin, "Average:", self.style.header_always.then_some("Average:"), out);
        }
        own(frame, "Average:", out);
        check(frame, "Average:", out);
    }

    fn stop(&mut self, end: End, out: &mut Vec<u8>) {
        if end == End::Interrupted && self.samples > 0 {
            // Stands after the ^C that the terminal echoed.
            out.push(b'\n');
        }
    }

    fn join(&self) -> Join {
        if self.style.one_line { Join::PerScope } else { Join::None }
    }

    fn wants_averages(&self) -> bool {
        !self.style.one_line
    }
}

/// How a row stands to the rows above it.
enum Place<'a> {
    /// A process.
    Process,
    /// A thread below its process.
    Thread,
    /// The first thread of a process that is not shown; carries the process's name.
    Orphan(&'a [u8]),
}

impl<'a> Place<'a> {
    /// `shown` is the process that the rows above belong to.
    fn of(row: &Row<'a>, shown: &mut Option<u32>) -> Place<'a> {
        let tgid = row.now.key.tgid;
        let below = shown.replace(tgid) == Some(tgid);
        if row.now.is_process() {
            Place::Process
        } else if below {
            Place::Thread
        } else {
            Place::Orphan(row.process.map_or(b"?", |process| process.name()))
        }
    }
}
/// A row for `--self`.
fn own(frame: &Frame<'_>, stamp: &str, out: &mut Vec<u8>) {
    let (Some(cost), Some(used)) = (&frame.origin.cost, frame.own_cpu_ns) else { return };
    let span = (frame.now_epoch_ns - frame.before_epoch_ns).max(1) as f64;
    let _ = writeln!(
        out,
        "\n{stamp}    %CPU      RSS     peak  ms/sample   BPF-ms  BPF-runs  dying  losses  Command"
    );
    let bpf = cost.bpf.map_or(("-".to_owned(), "-".to_owned()), |(ns, runs)| {
        (format!("{:.2}", ns as f64 / 1e6), runs.to_string())
    });
    let _ = writeln!(
        out,
        "{stamp}  {:6.2} {:>8} {:8} {:10.2} {:>8} {:>9} {:>6} {:7}  kpidstat",
        used as f64 / span * 100.0,
        cost.resident_bytes.map_or("-".to_owned(), |bytes| (bytes >> 10).to_string()),
        cost.peak_bytes >> 10,
        cost.sample_ns as f64 / 1e6,
        bpf.0,
        bpf.1,
        cost.exit_map.map_or("-".to_owned(), |(used, _)| used.to_string()),
        frame.origin.losses.named().iter().map(|(_, count)| count).sum::<u64>(),
    );
}

/// Three lines for `--check`; one where there is nothing to compare with.
fn check(frame: &Frame<'_>, stamp: &str, out: &mut Vec<u8>) {
    let check = match &frame.check {
        None => return,
        Some(Ok(check)) => check,
        Some(Err(why)) => {
            let _ = writeln!(out, "\n{stamp}  check: not possible ({})", why.reason());
            return;
        }
    };
    let seconds = |ns: u64| ns as f64 / 1e9;
    let machine = &check.machine;
    let kib = |bytes: u64| bytes >> 10;
    let or_dash = |figure: Reading<u64>| figure.map_or("-".to_owned(), |figure| figure.to_string());
    let _ = writeln!(
        out,
        "\n{stamp}  check: processes used {:.2} s CPU of {:.2} s ({:.1} %), irq {:.2} s in it; besides: steal {:.2} s, idle {:.2} s",
        seconds(check.tasks_ns),
        seconds(check.busy_ns()),
        check.found_pct(),
        seconds(machine.interrupt_ns),
        seconds(machine.steal_ns),
        seconds(machine.idle_ns),
    );
    let _ = writeln!(
        out,
        "{stamp}  check: switches {} of {} (idle tasks'), read {} of {} kB, written {} of {} kB (writeback, metadata)",
        or_dash(check.switches),
        machine.switches,
        or_dash(check.read_bytes.map(kib)),
        kib(machine.read_bytes),
        or_dash(check.written_bytes.map(kib)),
        kib(machine.written_bytes),
    );
    match check.wire {
        Ok(wire) => {
            let _ = writeln!(
                out,
                "{stamp}  check: on the wire connections received {} of {} kB, sent {} of {} kB (forwarded, other protocols; \
                 devices count the headers of segments that they move together once)",
                kib(wire.rx_bytes),
                kib(wire.devices_rx_bytes),
                kib(wire.tx_bytes),
                kib(wire.devices_tx_bytes),
            );
        }
        Err(why) => {
            let _ = writeln!(out, "{stamp}  check: bytes on the wire are not counted ({})", why.reason());
        }
    }
}
