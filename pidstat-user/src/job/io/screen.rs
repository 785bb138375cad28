//! The live view: what keys mean, the order of the lines, and the screen that is drawn anew with every sample.

use super::prompt::{Prompt, Step};
use crate::{
    rate::io::{Amounts, Line},
    sink::iotop::{self, Layout, TITLES},
    source::ioprio::Priority,
};
use std::{
    cmp::Ordering,
    io::{self, Write as _},
};

/// What lines are sorted by: the columns, left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Id,
    Priority,
    User,
    Read,
    Write,
    SwapIn,
    Io,
    Command,
}

const COLUMNS: [Sort; 8] =
    [Sort::Id, Sort::Priority, Sort::User, Sort::Read, Sort::Write, Sort::SwapIn, Sort::Io, Sort::Command];

impl Sort {
    /// Whether the largest comes first, unless it is turned around.
    fn falls(self) -> bool {
        matches!(self, Sort::Read | Sort::Write | Sort::SwapIn | Sort::Io)
    }

    fn place(self) -> usize {
        COLUMNS.iter().position(|column| *column == self).unwrap_or(0)
    }
}

/// A line with what is not a counter.
pub(super) struct Shown<'a> {
    pub line: &'a Line,
    pub priority: Option<Priority>,
    pub command: Vec<u8>,
}

/// What the user chose while it ran.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub by: Sort,
    pub falls: bool,
}

impl Default for Order {
    fn default() -> Order {
        Order { by: Sort::Io, falls: true }
    }
}

impl Order {
    /// Sorts; equal lines stay as they are.
    pub(super) fn apply(self, shown: &mut [Shown<'_>], accumulated: bool) {
        let amounts = |shown: &Shown<'_>| if accumulated { shown.line.sum } else { shown.line.now };
        // Who writes without waiting comes before who does nothing.
        let io = |amounts: &Amounts| {
            let busy = amounts.read_bytes > 0 || amounts.write_bytes > 0;
            amounts.block_io_ns.filter(|ns| *ns > 0.0).unwrap_or(if busy { 1.0 } else { 0.0 })
        };
        let moved = |amounts: &Amounts| amounts.read_bytes.saturating_add(amounts.kept_bytes());
        let user =
            |shown: &Shown<'_>| shown.line.user.clone().unwrap_or_else(|| shown.line.uid.to_string().into());
        let compare = |a: &Shown<'_>, b: &Shown<'_>| -> Ordering {
            let (these, those) = (amounts(a), amounts(b));
            match self.by {
                Sort::Id => a.line.id.cmp(&b.line.id),
                Sort::Priority => a.priority.cmp(&b.priority),
                Sort::User => user(a).cmp(&user(b)),
                Sort::Read => these.read_bytes.cmp(&those.read_bytes),
                Sort::Write => these.kept_bytes().cmp(&those.kept_bytes()),
                Sort::SwapIn => these.swap_in_ns.unwrap_or(0.0).total_cmp(&those.swap_in_ns.unwrap_or(0.0)),
                // Where no waits are measured, who moved most comes first.
                Sort::Io => io(&these).total_cmp(&io(&those)).then(moved(&these).cmp(&moved(&those))),
                Sort::Command => a.command.cmp(&b.command),
            }
        };
        shown.sort_by(|a, b| if self.falls { compare(b, a) } else { compare(a, b) });
    }

    fn go_to(&mut self, place: usize) {
        let by = COLUMNS[place.min(COLUMNS.len() - 1)];
        if by != self.by {
            (self.by, self.falls) = (by, by.falls());
        }
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    /// Only who does I/O, or all.
    Only,
    /// Processes, or threads.
    Processes,
    /// Sums, or rates.
    Accumulated,
    /// Somebody's I/O priority shall be set.
    Ionice,
    /// What an answer to the question led to.
    Answered(Step),
    /// The order changed: the screen is drawn anew.
    Refresh,
    /// A new sample is taken now.
    Sample,
}

/// The screen, as long as it is ours.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub order: Order,
    /// What came of a key that sends several bytes.
    pending: Vec<u8>,
    /// A question on the second line.
    pub prompt: Option<Prompt>,
    help: bool,
    /// A line at the bottom.
    status: Option<String>,
}

/// Gives the terminal back however the run ends.
pub(super) struct Taken;

impl Taken {
    pub(super) fn take() -> io::Result<Taken> {
        let mut out = io::stdout().lock();
        out.write_all(b"\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J")?;
        out.flush()?;
        Ok(Taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // There is nobody left to tell.
        let _ = out.write_all(b"\x1b[?25h\x1b[?1049l").and_then(|()| out.flush());
    }
}

/// What is on top: sums and titles.
pub(super) struct Head<'a> {
    pub summary: &'a [String],
    pub layout: &'a Layout,
}

impl Screen {
    /// A screen with or without a line about the keys, and with what the user should know.
    pub(super) fn new(help: bool, status: Option<String>) -> Screen {
        Screen { help, status, ..Screen::default() }
    }

    /// Shows what the user should know, instead of what it showed before.
    pub(super) fn say(&mut self, what: Option<String>) {
        self.status = what.or(self.status.take());
    }

    /// Takes a byte of a key in; nothing until the key is whole.
    pub(super) fn key(&mut self, byte: u8) -> Option<Action> {
        if let Some(prompt) = &mut self.prompt {
            return Some(Action::Answered(prompt.key(byte)));
        }
        if byte == 0x1b {
            self.pending = vec![byte];
            return None;
        }
        if !self.pending.is_empty() {
            self.pending.push(byte);
            let place = self.order.by.place();
            match self.pending.as_slice() {
                [_, b'[' | b'O'] | [_, b'[', b'0'..=b'9'] => return None,
                [_, b'[' | b'O', b'D'] => self.order.go_to(place.saturating_sub(1)),
                [_, b'[' | b'O', b'C'] => self.order.go_to(place + 1),
                [_, b'[' | b'O', b'H'] | [_, b'[', b'1' | b'7', b'~'] => self.order.go_to(0),
                [_, b'[' | b'O', b'F'] | [_, b'[', b'4' | b'8', b'~'] => self.order.go_to(COLUMNS.len()),
                _ => {
                    self.pending.clear();
                    return Some(Action::Sample);
                }
            }
            self.pending.clear();
            return Some(Action::Refresh);
        }
        Some(match byte.to_ascii_lowercase() {
            b'q' => Action::Quit,
            b'o' => Action::Only,
            b'p' => Action::Processes,
            b'a' => Action::Accumulated,
            b'i' => Action::Ionice,
            b'r' => {
                self.order.falls = !self.order.falls;
                Action::Refresh
            }
            _ => Action::Sample,
        })
    }

    /// Draws as many lines as fit; `rows` are the lines without and with their command.
    pub(super) fn draw(
        &self,
        head: &Head<'_>,
        rows: &[(Vec<u8>, &[u8])],
        (width, height): (usize, usize),
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"\x1b[H");
        let bottom = usize::from(self.help) + usize::from(self.status.is_some());
        let mut left = height;
        let mut put = |text: &str, out: &mut Vec<u8>| {
            if left > 0 {
                left -= 1;
                out.extend_from_slice(text.as_bytes());
                // After the last line nothing may scroll.
                if left > 0 {
                    out.extend_from_slice(b"\r\n");
                }
            }
        };
        let mut line = |text: &str, style: &str, out: &mut Vec<u8>| {
            let cut: String = text.chars().take(width).collect();
            let pad = width.saturating_sub(cut.chars().count());
            match style {
                "" => put(&format!("{cut}\x1b[K"), out),
                style => put(&format!("{style}{cut}{:pad$}\x1b[0m", ""), out),
            }
        };
        for (number, text) in head.summary.iter().enumerate() {
            match &self.prompt {
                Some(prompt) if number == 1 => {
                    out.extend_from_slice(prompt.line(width).as_bytes());
                    line("", "", out);
                }
                _ => line(text, "", out),
            }
        }
        line(&self.titles(head.layout), "\x1b[7m", out);
        let fits = height.saturating_sub(head.summary.len() + 1 + bottom);
        for number in 0..fits {
            let text = rows.get(number).map_or(String::new(), |(row, command)| elided(row, command, width));
            line(&text, "", out);
        }
        if self.help {
            line(
                "  q: quit  o: active or all  p: processes or threads  a: sums or rates  i: ionice  left, right, home, end: sort by  r: turn around",
                "\x1b[7m",
                out,
            );
        }
        if let Some(status) = &self.status {
            line(status, "\x1b[1m", out);
        }
    }

    /// The titles; the one that is sorted by has an arrow.
    fn titles(&self, layout: &Layout) -> String {
        let titles = std::iter::once(layout.id_title()).chain(TITLES.map(String::from));
        let sorted = self.order.by.place();
        let mut text = String::new();
        for (number, title) in titles.enumerate() {
            if number == sorted {
                text.push_str(title.strip_prefix(' ').unwrap_or(&title));
                text.push(if self.order.falls { '>' } else { '<' });
            } else {
                text.push_str(&title);
            }
        }
        text
    }
}

/// A line whose command is cut in its middle if it does not fit.
fn elided(row: &[u8], command: &[u8], width: usize) -> String {
    let row = String::from_utf8_lossy(row);
    let command: Vec<char> = String::from_utf8_lossy(command).chars().collect();
    let room = width.saturating_sub(row.chars().count());
    let cut: String = if room > 2 && command.len() > room {
        let (first, rest) = ((room - 1) / 2, room - 1 - (room - 1) / 2);
        let end = &command[command.len() - rest..];
        command[..first].iter().chain(&['~']).chain(end).collect()
    } else {
        command.into_iter().collect()
    };
    format!("{row}{cut}")
}

/// The lines as text, in order.
pub(super) fn rows<'a>(
    shown: &'a [Shown<'_>],
    layout: &Layout,
    uptime_ns: u64,
    elapsed_ns: u64,
) -> Vec<(Vec<u8>, &'a [u8])> {
    let row = |shown: &'a Shown<'_>| {
        let mut text = Vec::new();
        let priority = shown.priority.map_or("-".into(), |priority| priority.to_string());
        layout.row(shown.line, &priority, uptime_ns, elapsed_ns, &mut text);
        (text, shown.command.as_slice())
    };
    shown.iter().map(row).collect()
}

/// A line with its command.
pub(super) fn shown(line: &Line, priority: Option<Priority>) -> Shown<'_> {
    Shown { line, priority, command: iotop::command(line) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::TaskKey;
    use std::rc::Rc;

    fn keys(screen: &mut Screen, bytes: &[u8]) -> Option<Action> {
        bytes.iter().fold(None, |_, byte| screen.key(*byte))
    }

    #[test]
    fn keys_are_iotops() {
        let mut screen = Screen::default();
        assert_eq!(keys(&mut screen, b"Q"), Some(Action::Quit));
        assert_eq!(keys(&mut screen, b"p"), Some(Action::Processes));
        keys(&mut screen, b"\x1b[D");
        assert_eq!((screen.order.by, screen.order.falls), (Sort::SwapIn, true));
        keys(&mut screen, b"r");
        assert!(!screen.order.falls);
        keys(&mut screen, b"\x1bOC\x1b[C\x1b[C\x1b[C");
        assert_eq!((screen.order.by, screen.order.falls), (Sort::Command, false));
        keys(&mut screen, b"\x1b[1~");
        assert_eq!(screen.order.by, Sort::Id);
        keys(&mut screen, b"\x1b[F");
        assert_eq!(screen.order.by, Sort::Command);
        assert_eq!(keys(&mut screen, b"\x1b[5~"), Some(Action::Sample));
        assert_eq!(keys(&mut screen, b" "), Some(Action::Sample));
        assert_eq!(keys(&mut screen, b"o"), Some(Action::Only), "what came before it is over");
    }

    #[test]
    fn who_waits_comes_first_then_who_moved_most() {
        let line = |id, read_bytes, cancelled_bytes, block_io_ns| Line {
            id,
            key: TaskKey::default(),
            uid: 0,
            user: None,
            cmdline: None,
            name: Rc::from(*b"x"),
            own_name: false,
            tids: Vec::new(),
            now: Amounts { read_bytes, write_bytes: 5, cancelled_bytes, block_io_ns, ..Amounts::default() },
            sum: Amounts::default(),
            since_ns: 0,
            unreadable: false,
            ended: false,
        };
        let lines =
            [line(1, 0, 5, None), line(2, 10, 0, None), line(3, 20, 0, Some(0.0)), line(4, 0, 5, Some(9.0))];
        let mut all: Vec<_> = lines.iter().map(|line| shown(line, None)).collect();
        Order::default().apply(&mut all, false);
        assert_eq!(all.iter().map(|shown| shown.line.id).collect::<Vec<_>>(), [4, 3, 2, 1]);
    }

    #[test]
    fn a_long_command_loses_its_middle() {
        assert_eq!(elided(b"12345 ", b"abcdefghij", 13), "12345 abc~hij");
        assert_eq!(elided(b"12345 ", b"abcdefg", 13), "12345 abcdefg");
    }

    #[test]
    fn the_screen_is_as_wide_and_high_as_the_terminal() {
        let screen = Screen { help: true, status: Some("a status".into()), ..Screen::default() };
        let layout = Layout { id_digits: 5, ..Layout::default() };
        let summary = ["one".to_owned(), "two".to_owned()];
        let rows: Vec<(Vec<u8>, &[u8])> =
            (0..50).map(|n| (format!("row {n} ").into_bytes(), &b"x"[..])).collect();
        for (width, height) in [(80, 24), (20, 5), (3, 1), (200, 60)] {
            let mut out = Vec::new();
            screen.draw(&Head { summary: &summary, layout: &layout }, &rows, (width, height), &mut out);
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<&str> = text.split("\r\n").collect();
            assert_eq!(lines.len(), height);
            let plain = |line: &str| {
                let mut bare = String::new();
                let mut parts = line.split('\x1b');
                bare.push_str(parts.next().unwrap_or_default());
                for part in parts {
                    let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
                    bare.push_str(&part[end..]);
                }
                bare
            };
            assert!(lines.iter().all(|line| plain(line).chars().count() <= width), "{text}");
        }
    }
}
