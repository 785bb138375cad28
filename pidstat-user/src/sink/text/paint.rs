//! Colours, with sysstat's letters and variables.

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
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

/// The escape sequences in force; none when colours are off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    codes: Option<Codes>,
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
        let mut codes = Codes {
            id: "32;22".into(),
            value: "34;1".into(),
            zero: "34;22".into(),
            warning: "35;1".into(),
            extreme: "31;1".into(),
        };
        for item in changes.split(':') {
            let Some((letter, code)) = item.split_once('=') else { continue };
            let fits = (3..=18).contains(&item.len()) && !code.is_empty();
            if !fits || !code.bytes().all(|b| b.is_ascii_digit() || b == b';') {
                continue;
            }
            match letter {
                "I" => codes.id = code.into(),
                "N" => codes.value = code.into(),
                "Z" => codes.zero = code.into(),
                "W" | "M" => codes.warning = code.into(),
                "X" | "H" => codes.extreme = code.into(),
                _ => {}
            }
        }
        Palette { codes: Some(codes) }
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

    /// Ends it.
    pub(super) fn stop(&self, out: &mut Vec<u8>) {
        if self.codes.is_some() {
            out.extend_from_slice(b"\x1b[0m");
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
