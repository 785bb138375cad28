//! The key i of the live view: whose I/O priority is set, and to what. Asked on the second line, as iotop asks.

use crate::source::ioprio::Priority;

/// A question under way.
#[derive(Debug)]
pub(super) struct Prompt {
    processes: bool,
    state: State,
    /// What came of a key that sends several bytes.
    pending: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Who(String),
    Class {
        id: u32,
        place: usize,
        level: Option<u8>,
    },
    Level {
        id: u32,
        realtime: bool,
        text: String,
        level: Option<u8>,
    },
    /// What went wrong, until the next key.
    Said(String),
}

/// What a key led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The question goes on.
    Wait,
    /// It is over.
    Over,
    /// The priority of this one has to be looked up; [`Prompt::found`] takes it.
    Look(u32),
    /// This is what it shall have.
    Set(u32, Priority),
}

const CLASSES: [&str; 3] = ["Real-time", "Best-effort", "Idle"];
/// Digits of an answer.
const MOST_DIGITS: usize = 10;

impl Prompt {
    /// Asks whose.
    pub(super) fn new(processes: bool) -> Prompt {
        Prompt { processes, state: State::Who(String::new()), pending: Vec::new() }
    }

    /// Takes what was looked up; none if there is nobody with this number.
    pub(super) fn found(&mut self, id: u32, priority: Option<Priority>) {
        let (place, level) = match priority {
            None | Some(Priority::Unknown) => {
                let what = if self.processes { "process" } else { "thread" };
                return self.say(format!("Invalid {what} id!"));
            }
            Some(Priority::Realtime(level)) => (0, Some(level)),
            Some(Priority::BestEffort(level)) => (1, Some(level)),
            Some(Priority::Several) => (1, None),
            Some(Priority::Idle) => (2, None),
        };
        self.state = State::Class { id, place, level };
    }

    /// Says what went wrong.
    pub(super) fn say(&mut self, what: String) {
        self.state = State::Said(what);
    }

    /// Takes a byte in.
    pub(super) fn key(&mut self, byte: u8) -> Step {
        self.pending.push(byte);
        let key = match self.pending.as_slice() {
            [0x1b] | [0x1b, b'[' | b'O'] => return Step::Wait,
            [0x1b, b'[' | b'O', b'D'] => Key::Left,
            [0x1b, b'[' | b'O', b'C'] => Key::Right,
            [0x1b, b'[' | b'O', _] => Key::Other,
            [0x1b, ..] => Key::Cancel,
            [b'\r' | b'\n'] => Key::Enter,
            [8 | 127] => Key::Back,
            _ => Key::Byte(byte),
        };
        self.pending.clear();
        self.press(key)
    }

    /// Time goes by: an escape after which nothing came was the key of this name.
    pub(super) fn wait(&mut self) -> Step {
        if self.pending == [0x1b] { Step::Over } else { Step::Wait }
    }

    fn press(&mut self, key: Key) -> Step {
        match (&mut self.state, key) {
            (State::Said(_), _) | (_, Key::Cancel) => return Step::Over,
            (State::Who(text), Key::Enter) if text.is_empty() => return Step::Over,
            (State::Who(text), Key::Enter) => match text.parse() {
                Ok(id) if id > 0 => return Step::Look(id),
                _ => self.found(0, None),
            },
            (State::Who(text) | State::Level { text, .. }, Key::Back) => drop(text.pop()),
            (State::Who(text) | State::Level { text, .. }, Key::Byte(byte))
                if byte.is_ascii_graphic() && text.len() < MOST_DIGITS =>
            {
                text.push(byte.into());
            }
            (State::Class { .. }, Key::Byte(b'q' | b'Q')) => return Step::Over,
            (State::Class { place, .. }, Key::Left | Key::Byte(b'l')) => *place = place.saturating_sub(1),
            (State::Class { place, .. }, Key::Right | Key::Byte(b'r')) => *place = (*place + 1).min(2),
            (State::Class { id, place: 2, .. }, Key::Enter) => return Step::Set(*id, Priority::Idle),
            (State::Class { id, place, level }, Key::Enter) => {
                self.state =
                    State::Level { id: *id, realtime: *place == 0, text: String::new(), level: *level };
            }
            (State::Level { id, realtime, text, level }, Key::Enter) => {
                let typed = if text.is_empty() { *level } else { text.parse().ok() };
                match typed.filter(|level| *level < 8) {
                    Some(level) if *realtime => return Step::Set(*id, Priority::Realtime(level)),
                    Some(level) => return Step::Set(*id, Priority::BestEffort(level)),
                    None => self.say("Invalid I/O priority data!".into()),
                }
            }
            _ => {}
        }
        Step::Wait
    }

    /// The question as the terminal shows it, no wider than this; what is chosen is turned around.
    pub(super) fn line(&self, width: usize) -> String {
        let mut line = String::new();
        let mut room = width;
        let mut put = |text: &str, style: &str| {
            let cut: String = text.chars().take(room).collect();
            room -= cut.chars().count();
            line += &format!("\x1b[{style}m{cut}\x1b[0m");
        };
        const BOLD: &str = "1";
        const TURNED: &str = "7";
        match &self.state {
            State::Who(text) => {
                put(if self.processes { "PID to ionice: " } else { "TID to ionice: " }, BOLD);
                put(text, "");
                put(" ", TURNED);
            }
            State::Class { place, .. } => {
                put("I/O priority class: ", BOLD);
                for (number, class) in CLASSES.iter().enumerate() {
                    put(&format!(" {class} "), if number == *place { TURNED } else { "" });
                }
            }
            State::Level { text, level, .. } => {
                let now = level.map_or(String::new(), |level| format!(", currently {level}"));
                put(&format!("I/O priority data (0-7{now}): "), BOLD);
                put(text, "");
                put(" ", TURNED);
            }
            State::Said(what) => put(&format!("  {what}  "), TURNED),
        }
        line
    }
}

/// What was pressed.
#[derive(Clone, Copy)]
enum Key {
    Byte(u8),
    Enter,
    Back,
    Left,
    Right,
    Cancel,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(prompt: &mut Prompt, bytes: &[u8]) -> Step {
        bytes.iter().fold(Step::Wait, |_, byte| prompt.key(*byte))
    }

    #[test]
    fn answers_lead_to_a_priority() {
        let mut prompt = Prompt::new(false);
        assert_eq!(typed(&mut prompt, b"12\x7f34\r"), Step::Look(134));
        prompt.found(134, Some(Priority::BestEffort(4)));
        assert_eq!(typed(&mut prompt, b"\r\r"), Step::Set(134, Priority::BestEffort(4)));
        prompt.found(134, Some(Priority::BestEffort(4)));
        assert_eq!(typed(&mut prompt, b"\x1b[D\r7\r"), Step::Set(134, Priority::Realtime(7)));
        prompt.found(134, Some(Priority::Several));
        assert_eq!(typed(&mut prompt, b"\x1bOC\x1b[C\r"), Step::Set(134, Priority::Idle));
    }

    #[test]
    fn what_makes_no_sense_is_said_and_nothing_is_set() {
        for (answers, said) in [(&b"x\r"[..], "Invalid thread id!"), (b"0\r", "Invalid thread id!")] {
            let mut prompt = Prompt::new(false);
            assert_eq!(typed(&mut prompt, answers), Step::Wait);
            assert!(prompt.line(80).contains(said), "{}", prompt.line(80));
            assert_eq!(prompt.key(b'x'), Step::Over);
        }
        for data in [&b"\r8\r"[..], b"\r-1\r", b"\r\r"] {
            let mut prompt = Prompt::new(true);
            prompt.found(7, Some(Priority::Several));
            assert_eq!(typed(&mut prompt, data), Step::Wait);
            assert!(prompt.line(80).contains("Invalid I/O priority data!"));
        }
        let mut prompt = Prompt::new(true);
        prompt.found(7, None);
        assert!(prompt.line(80).contains("Invalid process id!"));
    }

    #[test]
    fn it_can_be_left() {
        assert_eq!(Prompt::new(false).key(b'\r'), Step::Over);
        let mut prompt = Prompt::new(false);
        prompt.found(7, Some(Priority::Idle));
        assert_eq!(prompt.key(b'q'), Step::Over);
        let mut prompt = Prompt::new(false);
        assert_eq!((prompt.key(0x1b), prompt.wait()), (Step::Wait, Step::Over));
    }
}
