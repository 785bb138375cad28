//! Lines on standard error, with the time and how serious they are, as Procpath writes them.

use crate::cli::query::Level;
use jiff::Zoned;
use std::io::{self, Write as _};

/// What is said at all.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    least: Level,
}

impl Log {
    /// Says what is at least so serious.
    pub fn new(least: Level) -> Log {
        Log { least }
    }

    /// Says a line. Nobody is left to tell if standard error is gone.
    pub fn say(self, level: Level, text: &str) {
        if level < self.least {
            return;
        }
        let word = match level {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Critical => "CRITICAL",
        };
        let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        // One write for each line, so that those of several commands do not mix.
        let line = format!("{now} {word:<7} kpidstat {text}\n");
        let _ = io::stderr().write_all(line.as_bytes());
    }
}
