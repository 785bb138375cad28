//! What the terminal and the environment say.

use crate::sink::text::Palette;
use jiff::tz::TimeZone;

/// What the surroundings say.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Rows of the terminal that stdout is, if it is one.
    pub terminal_rows: Option<u64>,
    /// Process id of this process.
    pub own_pid: u32,
    /// The time zone.
    pub zone: TimeZone,
    /// Reads an environment variable.
    pub variable: fn(&str) -> Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Surroundings {
        Surroundings {
            terminal_rows: super::terminal_rows(),
            own_pid: std::process::id(),
            zone: super::zone::of_this_process(),
            variable: |name| std::env::var(name).ok(),
        }
    }

    /// The colours: `on` makes them from the changes that the user wants.
    pub fn palette(&self, on: fn(&str) -> Palette) -> Palette {
        let variable = self.variable;
        let forbidden = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = match variable("S_COLORS").as_deref() {
            Some("always") => true,
            Some("never") => false,
            _ => self.terminal_rows.is_some() && !forbidden,
        };
        if wanted { on(&variable("S_COLORS_SGR").unwrap_or_default()) } else { Palette::off() }
    }

    /// Samples between two headers, where not every table has one.
    pub fn header_period(&self) -> u64 {
        let asked = || (self.variable)("S_REPEAT_HEADER")?.parse::<u64>().ok().filter(|period| *period > 0);
        match self.terminal_rows {
            Some(rows) if rows > 2 => rows - 2,
            // A terminal that does not know its size says 0.
            Some(_) => 86_400,
            None => asked().unwrap_or(86_400),
        }
    }
}
