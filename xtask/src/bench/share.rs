//! How the time of a bench is divided: each part has a share, and plays as many rounds as fit into it.

use std::time::{Duration, Instant};

/// The time of one part, from the moment it is handed out.
pub struct Share {
    began: Instant,
    length: Duration,
    /// Whether the whole bench is a short one.
    pub quick: bool,
}

impl Share {
    /// So many seconds from now on.
    pub fn of(seconds: u64, quick: bool) -> Share {
        Share { began: Instant::now(), length: Duration::from_secs(seconds), quick }
    }

    /// One round in any case, so that everything is measured, and at most so many; another one only if it will be over
    /// in time, judging by those before it.
    pub fn rounds(&self, most: usize) -> impl Iterator<Item = usize> + use<> {
        let first = Instant::now();
        let left = self.length.saturating_sub(first - self.began);
        (0..most).take_while(move |round| {
            let gone = first.elapsed();
            *round == 0 || gone + gone / u32::try_from(*round).unwrap_or(u32::MAX) <= left
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Share;
    use std::{thread, time::Duration};

    #[test]
    fn one_round_even_if_the_time_is_over() {
        assert_eq!(Share::of(0, true).rounds(5).count(), 1);
    }

    #[test]
    fn no_more_rounds_than_were_asked_for() {
        assert_eq!(Share::of(60, true).rounds(5).count(), 5);
    }

    #[test]
    fn no_round_that_would_end_too_late() {
        let rounds = Share::of(1, true).rounds(100).inspect(|_| thread::sleep(Duration::from_millis(400)));
        assert_eq!(rounds.count(), 2);
    }
}
