//! Two samples become rows: the only subtraction in the program.
//!
//! A counter that is lower than before yields [`Missing::WentBackwards`], never a wrapped number, and a task that was
//! not in the earlier sample starts from zero only if it was born since.

pub mod average;
pub mod check;
pub mod connection;
pub mod ended;
pub mod fold;
pub mod folded;
pub mod io;
pub mod pair;
pub mod recorded;
mod runs;
pub mod stirred;
pub mod tree;
pub mod vector;

pub use average::{Averages, Sums};
pub use check::{Check, Wire};
pub use ended::Ended;
pub use folded::Folded;
pub use pair::{departed, pairs};
pub use tree::Forest;

use crate::sample::{Missing, Reading, Sample, Task};

/// CPU time that the tool itself used between two samples, if both say.
pub fn own_cpu_ns(before: &Sample, now: &Sample) -> Option<u64> {
    now.origin.cost?.cpu_ns.checked_sub(before.origin.cost?.cpu_ns)
}

/// The span between two samples, in the units that the formulas need.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Elapsed time in 1/100 s, at least a nanosecond. Formulas divide by it exactly as sysstat's do, so that equal
    /// counters give equal bits.
    pub elapsed_centis: f64,
    /// Time of all CPUs together in the span, in the clock ticks of `elapsed_ticks`.
    pub total_cpu_ticks: Reading<f64>,
    /// Installed memory in KiB.
    pub mem_total_kib: Reading<u64>,
    /// Elapsed time in clock ticks: of 10 ms, or whole ones of the kernel's length where times are cut to those.
    pub elapsed_ticks: f64,
    /// Clock ticks in a second.
    pub ticks_per_second: f64,
    /// CPU and wait times are cut to multiples of this many nanoseconds before they are compared: 1 keeps them exact,
    /// the length of a clock tick is what sysstat sees.
    pub tick_ns: u64,
    /// Whether `%CPU` is a share of the whole machine (`-I`).
    pub of_machine: bool,
    /// Time since boot when the span began, in nanoseconds.
    pub began_ns: u64,
}

impl Span {
    /// The span from `before` to `now`. A `tick_ns` of 1 keeps times exact; otherwise they, and the span itself, are cut
    /// to what sysstat sees: ticks of that length and hundredths of a second.
    pub fn between(before: &Sample, now: &Sample, tick_ns: u64, of_machine: bool) -> Span {
        let total = match (now.system.total_cpu_ticks, before.system.total_cpu_ticks) {
            (Ok(now), Ok(before)) => now.checked_sub(before).ok_or(Missing::WentBackwards),
            (Ok(now), Err(_)) if before.uptime_ns == 0 => Ok(now),
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
        let (elapsed_centis, elapsed_ticks, ticks_per_second) = if tick_ns == 1 {
            let centis = now.uptime_ns.saturating_sub(before.uptime_ns).max(1) as f64 / 1e7;
            (centis, centis, 100.0)
        } else {
            let centis = (now.uptime_ns / 10_000_000).saturating_sub(before.uptime_ns / 10_000_000).max(1);
            let per_second = 1_000_000_000 / tick_ns.max(1);
            (centis as f64, (centis * per_second / 100).max(1) as f64, per_second as f64)
        };
        // The file's ticks need not be of the span's length.
        let length =
            if tick_ns == 1 { ticks_per_second / now.system.ticks_per_second.max(1) as f64 } else { 1.0 };
        Span {
            elapsed_centis,
            elapsed_ticks,
            ticks_per_second,
            total_cpu_ticks: total.map(|ticks| ticks as f64 * length),
            mem_total_kib: now.system.mem_total_kib,
            tick_ns,
            of_machine,
            began_ns: before.uptime_ns,
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
    /// The processes below this one whose figures are added to its own (`--tree`).
    pub descendants: &'a [Row<'a>],
    /// Whether the task ended before `now` was taken.
    pub exited: bool,
    /// Whether `now` carries identity and traffic alone.
    pub traffic_only: bool,
}

impl<'a> Row<'a> {
    /// Of a living task with nothing around it.
    pub fn new(now: &'a Task, before: Before<'a>, span: &'a Span) -> Row<'a> {
        Row {
            now,
            before,
            span,
            sums: None,
            process: None,
            descendants: &[],
            exited: false,
            traffic_only: false,
        }
    }

    /// How much a cumulative counter grew, with those of the descendants.
    pub fn delta(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<u64> {
        let mut sum = self.own_delta(&counter)?;
        for row in self.descendants {
            match row.own_delta(&counter) {
                Ok(delta) => sum = sum.saturating_add(delta),
                // Of one that ended the kernel does not say everything.
                Err(Missing::DoesNotApply | Missing::Gone) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(sum)
    }

    fn own_delta(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<u64> {
        let now = counter(self.now)?;
        let before = match self.before {
            Before::Zero => 0,
            // What sysstat could not read was zero.
            Before::Known(task) if self.span.tick_ns > 1 => counter(task).unwrap_or(0),
            Before::Known(task) => counter(task)?,
            Before::Unknown => return Err(Missing::NoEarlier),
        };
        now.checked_sub(before).ok_or(Missing::WentBackwards)
    }

    /// How much a time in nanoseconds grew, in the span's clock ticks.
    pub fn delta_ticks(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<f64> {
        let tick_ns = self.span.tick_ns;
        let cut = self.delta(|task| counter(task).map(|ns| ns / tick_ns))?;
        Ok(if tick_ns == 1 { cut as f64 / 1e7 } else { cut as f64 })
    }

    /// A time in nanoseconds, cut to the span's ticks: what is added up or subtracted is cut before, as in `/proc`.
    pub fn cut(&self, ns: u64) -> u64 {
        ns / self.span.tick_ns * self.span.tick_ns
    }

    /// A growth of time spent waiting, if it can be. Linux 6.18 now and then takes a wait for one since boot (a task that
    /// another one takes off its queue late has no start of its wait): a figure that long, of tasks that are younger, is
    /// none. sysstat shows it.
    pub fn waited(&self, growth: Reading<f64>) -> Reading<f64> {
        let ticks = growth?;
        if self.span.tick_ns > 1 {
            return Ok(ticks);
        }
        let boot_ticks = self.span.began_ns as f64 / 1e9 * self.span.ticks_per_second;
        let lived = |row: &Row<'_>| {
            let age_ticks = boot_ticks + self.span.elapsed_ticks
                - row.now.key.start_ticks as f64 / 100.0 * self.span.ticks_per_second;
            age_ticks.max(0.0) * f64::from(row.now.threads.max(1))
        };
        let possible = lived(self) + self.descendants.iter().map(lived).sum::<f64>();
        if ticks >= boot_ticks && ticks > possible + 1.0 { Err(Missing::NotMeasured) } else { Ok(ticks) }
    }

    /// Growth per second.
    pub fn per_sec(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<f64> {
        Ok(self.delta(counter)? as f64 / self.span.elapsed_centis * 100.0)
    }

    /// Growth of a time in nanoseconds as a percentage of the elapsed time.
    pub fn pct_of_time(&self, counter: impl Fn(&Task) -> Reading<u64>) -> Reading<f64> {
        Ok(self.pct(self.delta_ticks(counter)?))
    }

    /// Clock ticks as a percentage of the elapsed time.
    pub fn pct(&self, ticks: f64) -> f64 {
        ticks / self.span.elapsed_ticks * 100.0
    }

    /// A present amount, with those of the descendants; in averages its mean over the samples in which each existed.
    pub fn level(&self, now: impl Fn(&Task) -> Reading<u64>, sum: impl Fn(&Sums) -> u64) -> Reading<Level> {
        let mut level = self.own_level(&now, &sum)?;
        // Who ended has nothing now.
        for row in self.descendants.iter().filter(|row| !row.exited) {
            match row.own_level(&now, &sum) {
                Ok(part) => level = level.plus(part),
                Err(Missing::DoesNotApply) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(level)
    }

    fn own_level(&self, now: impl Fn(&Task) -> Reading<u64>, sum: impl Fn(&Sums) -> u64) -> Reading<Level> {
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

impl Level {
    fn plus(self, other: Level) -> Level {
        match (self, other) {
            (Level::Now(a), Level::Now(b)) => Level::Now(a.saturating_add(b)),
            (a, b) => Level::Mean(a.real() + b.real()),
        }
    }

    fn real(self) -> f64 {
        match self {
            Level::Now(now) => now as f64,
            Level::Mean(mean) => mean,
        }
    }
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

    #[test]
    fn a_wait_longer_than_its_task_lived_is_missing() {
        let waited = |start_ticks, ns| {
            let mut now = task(start_ticks, 0);
            now.delays = Ok(crate::sample::Delays { block_io_ns: ns });
            let before = sample(100_000_000_000, vec![]);
            let now = sample(101_000_000_000, vec![now]);
            let span = Span::between(&before, &now, 1, false);
            let row = Row { before: Before::Zero, ..pairs(&before, &now, &span, false).next().unwrap() };
            row.waited(row.delta_ticks(|task| Ok(task.delays?.block_io_ns)))
        };
        assert_eq!(waited(10_050, 100_100_000_000), Err(Missing::NotMeasured));
        assert_eq!(waited(10_050, 400_000_000), Ok(40.0));
        // A hanging disk, and a task as old as the machine.
        assert_eq!(waited(10, 100_500_000_000), Ok(10_050.0));
    }
}
