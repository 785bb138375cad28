//! Two samples become rows: the only subtraction in the program.
//!
//! A counter that is lower than before yields [`Missing::WentBackwards`], never a wrapped number, and a task that was
//! not in the earlier sample starts from zero only if it was born since.

pub mod average;
pub mod ended;
pub mod fold;
pub mod pair;

pub use average::{Averages, Sums};
pub use ended::Ended;
pub use pair::{departed, pairs};

use crate::sample::{Missing, Reading, Sample, Task};

/// The span between two samples, in the units that the formulas need.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Elapsed time in 1/100 s, at least a nanosecond. Formulas divide by it exactly as sysstat's do, so that equal
    /// counters give equal bits.
    pub elapsed_centis: f64,
    /// Ticks of all CPUs together in the span.
    pub total_cpu_ticks: Reading<u64>,
    /// Installed memory in KiB.
    pub mem_total_kib: Reading<u64>,
    /// CPU and wait times are cut to multiples of this many nanoseconds before they are compared: 1 keeps them exact,
    /// 10 000 000 is what sysstat sees.
    pub tick_ns: u64,
    /// Whether `%CPU` is a share of the whole machine (`-I`).
    pub of_machine: bool,
}

impl Span {
    /// The span from `before` to `now`.
    pub fn between(before: &Sample, now: &Sample, tick_ns: u64, of_machine: bool) -> Span {
        let total = match (now.system.total_cpu_ticks, before.system.total_cpu_ticks) {
            (Ok(now), Ok(before)) => now.checked_sub(before).ok_or(Missing::WentBackwards),
            (Ok(now), Err(_)) if before.uptime_ns == 0 => Ok(now),
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
        Span {
            elapsed_centis: now.uptime_ns.saturating_sub(before.uptime_ns).max(1) as f64 / 1e7,
            total_cpu_ticks: total,
            mem_total_kib: now.system.mem_total_kib,
            tick_ns,
            of_machine,
        }
    }
}

/// What a task's counters are compared with.
#[derive(Clone, Copy, Debug)]
pub enum Before<'a> {
    /// It was born in this interval: everything it has, it used since.
    Zero,
    /// The same task in the earlier sample.
    Known(&'a Task),
    /// It is older than the interval but was not seen: no difference can be had.
    Unknown,
}

/// One task over an interval, or over the whole run for averages.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The task as it is now (or was last seen, for one that ended).
    pub now: &'a Task,
    /// The task as it was.
    pub before: Before<'a>,
    /// The time between.
    pub span: &'a Span,
    /// Sums over the run; present exactly in averages.
    pub sums: Option<&'a Sums>,
    /// The process row of a thread.
    pub process: Option<&'a Task>,
    /// Whether the task ended before `now` was taken.
    pub exited: bool,
    /// Whether `now` carries identity and traffic alone.
    pub traffic_only: bool,
}

impl<'a> Row<'a> {
    /// How much a cumulative counter grew.
    pub fn delta(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<u64> {
        let now = counter(self.now)?;
        let before = match self.before {
            Before::Zero => 0,
            Before::Known(task) => counter(task)?,
            Before::Unknown => return Err(Missing::NoEarlier),
        };
        now.checked_sub(before).ok_or(Missing::WentBackwards)
    }

    /// How much a time in nanoseconds grew, in clock ticks of 10 ms.
    pub fn delta_ticks(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<f64> {
        let tick_ns = self.span.tick_ns;
        let cut = self.delta(|task| counter(task).map(|ns| ns / tick_ns))?;
        Ok((cut * tick_ns) as f64 / 1e7)
    }

    /// Growth per second.
    pub fn per_sec(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<f64> {
        Ok(self.delta(counter)? as f64 / self.span.elapsed_centis * 100.0)
    }

    /// Growth of a time in nanoseconds as a percentage of the elapsed time.
    pub fn pct_of_time(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<f64> {
        Ok(self.delta_ticks(counter)? / self.span.elapsed_centis * 100.0)
    }

    /// A present amount; in averages its mean over the samples in which the task existed.
    pub fn level(&self, now: impl Fn(&Task) -> Reading<u64>, sum: impl Fn(&Sums) -> u64) -> Reading<Level> {
        let now = now(self.now)?;
        Ok(match self.sums {
            Some(sums) if sums.samples > 0 => Level::Mean(sum(sums) as f64 / f64::from(sums.samples)),
            _ => Level::Now(now),
        })
    }

    /// Growth in the interval; in averages, per sample.
    pub fn per_sample(&self, delta: f64) -> Level {
        match self.sums {
            Some(sums) if sums.samples > 0 => Level::Mean(delta / f64::from(sums.samples)),
            _ => Level::Now(delta as u64),
        }
    }

    /// The value of `counter` before, zero where there was nothing.
    fn was(&self, counter: impl Fn(&Task) -> u64) -> u64 {
        match self.before {
            Before::Known(task) => counter(task),
            Before::Zero | Before::Unknown => 0,
        }
    }

    /// How far `figure` is from where it was, in either direction.
    pub fn distance(&self, figure: impl Fn(&Task) -> u64) -> u64 {
        figure(self.now).abs_diff(self.was(figure))
    }

    /// Whether `figure` differs from before; a task that was not there before had zero.
    pub fn changed(&self, figure: impl Fn(&Task) -> u64) -> bool {
        figure(self.now) != self.was(figure)
    }
}

/// An amount that exists at an instant, or its mean over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// The amount now.
    Now(u64),
    /// The mean.
    Mean(f64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Comm, TaskKey};

    fn task(start_ticks: u64, user_ns: u64) -> Task {
        let key = TaskKey { tgid: 7, tid: 0, start_ticks };
        let mut task = Task::blank(key, Comm::new(b"t"), Missing::NotAsked);
        task.cpu.user_ns = user_ns;
        task
    }

    fn sample(uptime_ns: u64, tasks: Vec<Task>) -> Sample {
        Sample { uptime_ns, tasks, ..Sample::default() }
    }

    fn user_pct(before: &Sample, now: &Sample) -> Reading<f64> {
        let span = Span::between(before, now, 1, false);
        let row = pairs(before, now, &span, false).next().unwrap();
        row.pct_of_time(|task| Ok(task.cpu.user_ns))
    }

    #[test]
    fn half_a_second_in_one_is_fifty_percent() {
        let before = sample(1_000_000_000, vec![task(1, 0)]);
        let now = sample(2_000_000_000, vec![task(1, 500_000_000)]);
        assert_eq!(user_pct(&before, &now), Ok(50.0));
    }

    #[test]
    fn a_reused_pid_starts_from_zero() {
        let before = sample(1_000_000_000, vec![task(1, 900_000_000)]);
        let now = sample(2_000_000_000, vec![task(150, 100_000_000)]);
        assert_eq!(user_pct(&before, &now), Ok(10.0));
    }

    #[test]
    fn a_counter_that_goes_backwards_is_missing() {
        let before = sample(1_000_000_000, vec![task(1, 2)]);
        let now = sample(2_000_000_000, vec![task(1, 1)]);
        assert_eq!(user_pct(&before, &now), Err(Missing::WentBackwards));
    }

    #[test]
    fn an_old_task_that_was_not_seen_before_has_no_rate() {
        let before = sample(1_000_000_000, vec![]);
        let now = sample(2_000_000_000, vec![task(1, 5)]);
        assert_eq!(user_pct(&before, &now), Err(Missing::NoEarlier));
    }
}
