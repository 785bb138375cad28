//! The clock that the stages are handed: the machine's, or one that a story moves.

use std::time::Duration;

/// A moment, on both scales that reports need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instant {
    /// Nanoseconds since boot, suspend included (CLOCK_BOOTTIME).
    pub uptime_ns: u64,
    /// Nanoseconds since the epoch (CLOCK_REALTIME).
    pub epoch_ns: i64,
}

/// Where the time comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clocks.
    Real,
    /// A moment that only [`Clock::advance`] moves.
    Fake(Instant),
}

impl Clock {
    /// The present moment.
    pub fn now(&self) -> Instant {
        match self {
            Clock::Real => Instant {
                uptime_ns: read(libc::CLOCK_BOOTTIME).unsigned_abs(),
                epoch_ns: read(libc::CLOCK_REALTIME),
            },
            Clock::Fake(at) => *at,
        }
    }

    /// Moves a fake clock on; the machine's moves by itself.
    pub fn advance(&mut self, by: Duration) {
        if let Clock::Fake(at) = self {
            let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            at.uptime_ns = at.uptime_ns.saturating_add(ns);
            at.epoch_ns = at.epoch_ns.saturating_add_unsigned(ns);
        }
    }
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid timespec for the call to fill; both clocks exist on every kernel this runs on.
    unsafe { libc::clock_gettime(clock, &raw mut ts) };
    ts.tv_sec * 1_000_000_000 + ts.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fake_clock_moves_only_when_told() {
        let mut clock = Clock::Fake(Instant { uptime_ns: 5, epoch_ns: 7 });
        assert_eq!(clock.now(), clock.now());
        clock.advance(Duration::from_nanos(10));
        assert_eq!(clock.now(), Instant { uptime_ns: 15, epoch_ns: 17 });
    }

    #[test]
    fn the_real_clock_agrees_with_the_machine() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let ours = Clock::Real.now().uptime_ns as f64 / 1e9;
        assert!((ours - seconds).abs() < 1.0, "{ours} against {seconds}");
    }
}
