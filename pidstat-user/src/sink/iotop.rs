//! iotop's table: two lines of sums, a line of titles, a line for each thread or process.

use crate::rate::io::{Amounts, Line};
use std::io::Write as _;

/// How it looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Digits of the largest id.
    pub id_digits: usize,
    /// Processes rather than threads.
    pub processes: bool,
    /// Sums rather than rates.
    pub accumulated: bool,
    /// All sizes in KiB.
    pub kilobytes: bool,
}

/// The titles behind the id's, each as wide as its column.
pub const TITLES: [&str; 7] =
    ["  PRIO", "  USER", "     DISK READ", "  DISK WRITE", "  SWAPIN", "      IO", "    COMMAND"];

impl Layout {
    /// The sums of the lines, and of the whole machine where they are known, over so many seconds.
    pub fn summary(&self, total: &Amounts, machine: Option<(u64, u64)>, seconds: f64) -> [String; 2] {
        let rate = |bytes: u64| format!("{}/s", self.size(bytes as f64 / seconds));
        let machine = |of: fn((u64, u64)) -> u64| machine.map_or("-".into(), |both| rate(of(both)));
        [
            format!(
                "Total DISK READ:   {:>14} | Total DISK WRITE:   {:>14}",
                rate(total.read_bytes),
                rate(total.write_bytes)
            ),
            format!(
                "Current DISK READ: {:>14} | Current DISK WRITE: {:>14}",
                machine(|both| both.0),
                machine(|both| both.1)
            ),
        ]
    }

    /// The id's title.
    pub fn id_title(&self) -> String {
        let width = self.id_digits.max(3);
        format!("{:>width$}", if self.processes { "PID" } else { "TID" })
    }

    /// A line without its command; `prio` is the I/O priority, `uptime_ns` the time of the sample and `elapsed_ns` the
    /// length of the interval.
    pub fn row(&self, line: &Line, prio: &str, uptime_ns: u64, elapsed_ns: u64, out: &mut Vec<u8>) {
        let (amounts, elapsed_ns) = if self.accumulated {
            (&line.sum, uptime_ns.saturating_sub(line.since_ns))
        } else {
            (&line.now, elapsed_ns)
        };
        let (elapsed_ns, digits) = (elapsed_ns.max(1) as f64, self.id_digits);
        let size = |bytes: u64| match bytes {
            _ if line.unreadable => "-".into(),
            bytes if self.accumulated => self.size(bytes as f64),
            bytes => format!("{}/s", self.size(bytes as f64 / elapsed_ns * 1e9)),
        };
        let share = |ns: Option<f64>| {
            ns.map_or("-".into(), |ns| format!("{:.2} %", (ns / elapsed_ns * 100.0).min(99.99)))
        };
        let number = line.uid.to_string();
        let user: String = line.user.as_deref().unwrap_or(&number).chars().take(8).collect();
        let _ = write!(
            out,
            "{:>digits$} {prio:>4} {user:<8} {:>11} {:>11} {:>7} {:>7} ",
            line.id,
            size(amounts.read_bytes),
            size(amounts.kept_bytes()),
            share(amounts.swap_in_ns),
            share(amounts.block_io_ns),
        );
    }

    /// A size in the unit in which it is below 2048.
    fn size(&self, bytes: f64) -> String {
        if self.kilobytes {
            return format!("{:.2} K", bytes / 1024.0);
        }
        let (mut size, mut units) = (bytes, ["B", "K", "M", "G", "T", "P", "E"].iter());
        let mut unit = units.next();
        while size >= 2048.0
            && let Some(next) = units.next()
        {
            (size, unit) = (size / 1024.0, Some(next));
        }
        format!("{size:.2} {}", unit.unwrap_or(&"E"))
    }
}

/// The command of a line: its arguments without the path before the program's name, or its name in brackets; behind it the
/// name that a thread gave itself. What a terminal would take for an order is a `?`.
pub fn command(line: &Line) -> Vec<u8> {
    let mut text = Vec::new();
    match line.cmdline.as_deref() {
        Some(arguments) => {
            let program = arguments.iter().position(|b| *b == b' ').unwrap_or(arguments.len());
            let path = if arguments.first() == Some(&b'/') { &arguments[..program] } else { &[] };
            let start = path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
            text.extend_from_slice(arguments[start..].trim_ascii());
            if line.own_name {
                text.extend_from_slice(b" [");
                text.extend_from_slice(&line.name);
                text.push(b']');
            }
        }
        None if line.ended => text.extend_from_slice(&line.name),
        None => {
            text.push(b'[');
            text.extend_from_slice(&line.name);
            text.push(b']');
        }
    }
    if line.ended {
        text.extend_from_slice(b" <exited>");
    }
    for byte in &mut text {
        if byte.is_ascii_control() {
            *byte = b'?';
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::TaskKey;

    fn line(cmdline: Option<&[u8]>, name: &[u8]) -> Line {
        Line {
            id: 42,
            key: TaskKey { tgid: 42, tid: 42, start_ticks: 0 },
            uid: 1000,
            user: None,
            cmdline: cmdline.map(Into::into),
            name: name.into(),
            own_name: false,
            tids: vec![42],
            now: Amounts {
                read_bytes: 3 << 20,
                write_bytes: 5000,
                cancelled_bytes: 904,
                ..Amounts::default()
            },
            sum: Amounts { swap_in_ns: Some(5e8), block_io_ns: Some(1e10), ..Amounts::default() },
            since_ns: 0,
            unreadable: false,
            ended: false,
        }
    }

    #[test]
    fn sizes_are_iotops() {
        let layout = Layout::default();
        for (bytes, text) in [
            (0.0, "0.00 B"),
            (2047.0, "2047.00 B"),
            (2048.0, "2.00 K"),
            (1_048_576.0, "1024.00 K"),
            (2_097_152.0, "2.00 M"),
            (0.25, "0.25 B"),
            (1e21, "867.36 E"),
        ] {
            assert_eq!(layout.size(bytes), text);
        }
        assert_eq!(Layout { kilobytes: true, ..layout }.size(1_048_576.0), "1024.00 K");
    }

    #[test]
    fn rows_are_iotops_but_for_what_was_not_measured() {
        let layout = Layout { id_digits: 5, ..Layout::default() };
        let row = |layout: Layout, line: &Line| {
            let mut out = Vec::new();
            layout.row(line, "be/4", 5_000_000_000, 1_000_000_000, &mut out);
            String::from_utf8(out).unwrap()
        };
        let line = line(None, b"kthread");
        assert_eq!(row(layout, &line), "   42 be/4 1000        3.00 M/s    4.00 K/s       -       - ");
        let sums = Layout { accumulated: true, ..layout };
        assert_eq!(row(sums, &line), "   42 be/4 1000          0.00 B      0.00 B 10.00 % 99.99 % ");
        let refused = Line { unreadable: true, ..line };
        assert_eq!(row(layout, &refused), "   42 be/4 1000               -           -       -       - ");
        assert_eq!(
            layout.id_title() + &TITLES.concat(),
            "  TID  PRIO  USER     DISK READ  DISK WRITE  SWAPIN      IO    COMMAND"
        );
    }

    #[test]
    fn commands_lose_their_path_and_what_a_terminal_would_obey() {
        let of = |line: &Line| String::from_utf8_lossy(&command(line)).into_owned();
        assert_eq!(of(&line(Some(b"/usr/bin/dd if=/dev/zero"), b"dd")), "dd if=/dev/zero");
        assert_eq!(of(&line(Some(b"./dd /x"), b"dd")), "./dd /x");
        assert_eq!(of(&line(None, b"kworker/0:1")), "[kworker/0:1]");
        assert_eq!(of(&line(Some(b"a\x1b[2Jb"), b"a")), "a?[2Jb");
        assert_eq!(of(&Line { own_name: true, ..line(Some(b"/bin/a b"), b"worker") }), "a b [worker]");
        assert_eq!(of(&Line { ended: true, ..line(None, b"dd") }), "dd <exited>");
    }
}
