//! Colours, with sysstat's letters and variables.

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) enum Class {
    /// A user, process, thread or CPU number (letter I).
    Id,
    /// A value that is not zero, a process name (N).
    Name,
    /// A zero, a thread's name, a missing value (Z).
    Zero,
    /// A thread's name (Z too).
    Thread,
    /// A percentage of 75 or more (W, or M as it was once called).
    Warning,
    /// A percentage of 90 or more (X, once H).
    Extreme,
}

/// Back to no colour.
const RESET: &[u8] = b"\x1b[0m";

/// The escape sequences in force; none when colours are off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    codes: Option<Codes>,
    /// Colours as 12.6.1 has them.
    old: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Codes {
    id: String,
    value: String,
    zero: String,
    warning: String,
    extreme: String,
}

impl Palette {
    /// No colours.
    pub fn off() -> Palette {
        Palette::default()
    }

    /// sysstat's colours, changed by a list as in `S_COLORS_SGR`: `I=32;22:N=34;1`, unknown or malformed items ignored.
    pub fn on(changes: &str) -> Palette {
        Palette::changed(changes, false)
    }

    /// The colours of sysstat 12.6.1: percentages stand out from 50 and 75 on, the letters are M and H alone, codes are
    /// short, and the command's colour ends after its line.
    pub fn old(changes: &str) -> Palette {
        Palette::changed(changes, true)
    }

    fn changed(changes: &str, old: bool) -> Palette {
        let mut codes = Codes {
            id: "32;22".into(),
            value: "34;1".into(),
            zero: "34;22".into(),
            warning: "35;1".into(),
            extreme: "31;1".into(),
        };
        for item in changes.split(':') {
            let Some((letter, code)) = item.split_once('=') else { continue };
            let fits = (3..=if old { 7 } else { 18 }).contains(&item.len()) && !code.is_empty();
            if !fits || !code.bytes().all(|b| b.is_ascii_digit() || b == b';') {
                continue;
            }
            match letter {
                "I" => codes.id = code.into(),
                "N" => codes.value = code.into(),
                "Z" => codes.zero = code.into(),
                "W" if !old => codes.warning = code.into(),
                "X" if !old => codes.extreme = code.into(),
                "M" => codes.warning = code.into(),
                "H" => codes.extreme = code.into(),
                _ => {}
            }
        }
        Palette { codes: Some(codes), old }
    }

    /// Starts a piece of text.
    pub(super) fn start(&self, class: Class, out: &mut Vec<u8>) {
        let Some(codes) = &self.codes else { return };
        let code = match class {
            Class::Id => &codes.id,
            Class::Name => &codes.value,
            Class::Zero | Class::Thread => &codes.zero,
            Class::Warning => &codes.warning,
            Class::Extreme => &codes.extreme,
        };
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(code.as_bytes());
        out.push(b'm');
    }

    /// The percentage from which on it is a warning.
    pub(super) fn warning_from(&self) -> f64 {
        if self.old { 50.0 } else { 75.0 }
    }

    /// The percentage from which on it is extreme.
    pub(super) fn extreme_from(&self) -> f64 {
        if self.old { 75.0 } else { 90.0 }
    }

    /// Takes back the end of a piece of text if that is `word`, so that the same word can be added to it: sysstat paints
    /// its three -1.00 in one.
    pub(super) fn goes_on_after(&self, word: &str, out: &mut Vec<u8>) -> bool {
        let before = out.strip_suffix(RESET).filter(|before| before.ends_with(word.as_bytes()));
        let Some(length) = before.map(<[u8]>::len) else { return false };
        out.truncate(length);
        true
    }

    /// Ends a line after its last piece of text.
    pub(super) fn end_line(&self, out: &mut Vec<u8>) {
        if self.old && self.codes.is_some() && out.ends_with(RESET) {
            out.truncate(out.len() - RESET.len());
            out.push(b'\n');
            out.extend_from_slice(RESET);
        } else {
            out.push(b'\n');
        }
    }

    /// Ends it.
    pub(super) fn stop(&self, out: &mut Vec<u8>) {
        if self.codes.is_some() {
            out.extend_from_slice(RESET);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_changes_are_ignored() {
        assert_eq!(Palette::on("I=:Q=1;2:N=abc:Z"), Palette::on(""));
        assert_ne!(Palette::on("I=31"), Palette::on(""));
    }
}
