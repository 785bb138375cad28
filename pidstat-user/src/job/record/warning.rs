//! Says that samples take longer than the interval, but not every time.

use std::time::{Duration, Instant};

/// How long it is quiet after it has said so.
const QUIET: Duration = Duration::from_secs(60);

/// Samples that took too long.
#[derive(Debug, Default)]
pub struct Overruns {
    said: Option<Instant>,
    unsaid: u64,
}

impl Overruns {
    /// Looks at what one sample took.
    pub fn look(&mut self, took: Duration, interval: Duration) {
        if took <= interval {
            return;
        }
        if self.said.is_some_and(|said| said.elapsed() < QUIET) {
            self.unsaid += 1;
            return;
        }
        let more = match self.unsaid {
            0 => String::new(),
            unsaid => format!(" ({unsaid} more since the last time)"),
        };
        eprintln!(
            "kpidstat: Iteration took longer ({:.2}s) than record interval. Try longer interval.{more}",
            took.as_secs_f64()
        );
        (self.said, self.unsaid) = (Some(Instant::now()), 0);
    }
}
