//! How the scheduler treated a task: its switches by kind, how long it ran and waited each time, who took its CPU.

use super::Comm;

/// Buckets of a histogram.
pub const BUCKETS: usize = 32;
/// Bucket 0 ends at twice this many nanoseconds; each further one is as wide as all before it together.
pub const BUCKET_NS: u64 = 64;

/// Durations by length: bucket `i` has those from `64 << i` to less than `128 << i` nanoseconds. The first begins at 0, the
/// last never ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram(pub [u64; BUCKETS]);

impl Histogram {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Where bucket `index` begins, in nanoseconds.
    pub fn begin_ns(index: usize) -> u64 {
        if index == 0 { 0 } else { BUCKET_NS << index.min(BUCKETS) }
    }

    /// The duration that `share` of all are not longer than, as if those of a bucket lay evenly in it; never more than
    /// `max_ns`. `None` if there are none.
    pub fn quantile_ns(&self, share: f64, max_ns: u64) -> Option<u64> {
        let wanted = share * self.count() as f64;
        let mut before = 0.0;
        for (index, count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            let until = before + *count as f64;
            if until >= wanted {
                let (begin, end) = (Self::begin_ns(index), Self::begin_ns(index + 1));
                let part = ((wanted - before) / *count as f64).clamp(0.0, 1.0);
                return Some((begin + ((end - begin) as f64 * part) as u64).min(max_ns));
            }
            before = until;
        }
        None
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Histogram) -> Histogram {
        Histogram(std::array::from_fn(|at| self.0[at].saturating_add(other.0[at])))
    }

    /// What was added since `earlier`; `None` if any bucket fell.
    pub fn since(&self, earlier: &Histogram) -> Option<Histogram> {
        let mut grown = *self;
        for (now, before) in grown.0.iter_mut().zip(earlier.0) {
            *now = now.checked_sub(before)?;
        }
        Some(grown)
    }
}

/// Who took the CPU from a task most often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preemptor {
    /// Its thread id, 0 if it is outside the PID namespace.
    pub tid: u32,
    /// Its name.
    pub comm: Comm,
    /// How often, in the interval that ends with the sample.
    pub count: u64,
}

/// What the hooks on the scheduler counted, cumulative since they were attached but for the last three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Switches by which the task gave up the CPU.
    pub voluntary: u64,
    /// Switches by which it was taken from it.
    pub involuntary: u64,
    /// Times on a CPU.
    pub on_cpu: Histogram,
    /// Times runnable without one.
    pub wait: Histogram,
    /// Longest time on a CPU that ended since the sample before.
    pub on_cpu_max_ns: u64,
    /// Longest wait that ended since the sample before.
    pub wait_max_ns: u64,
    /// Who took the CPU from it most often since the sample before.
    pub preempted_by: Option<Preemptor>,
}

impl Runs {
    /// Both together: counts are added, of the others the larger counts.
    #[must_use]
    pub fn plus(&self, other: &Runs) -> Runs {
        let times = |by: &Option<Preemptor>| by.map_or(0, |by| by.count);
        Runs {
            voluntary: self.voluntary.saturating_add(other.voluntary),
            involuntary: self.involuntary.saturating_add(other.involuntary),
            on_cpu: self.on_cpu.plus(&other.on_cpu),
            wait: self.wait.plus(&other.wait),
            on_cpu_max_ns: self.on_cpu_max_ns.max(other.on_cpu_max_ns),
            wait_max_ns: self.wait_max_ns.max(other.wait_max_ns),
            preempted_by: if times(&self.preempted_by) >= times(&other.preempted_by) {
                self.preempted_by
            } else {
                other.preempted_by
            },
        }
    }

    /// What was counted since `earlier`; `None` if a count fell.
    pub fn since(&self, earlier: &Runs) -> Option<Runs> {
        Some(Runs {
            voluntary: self.voluntary.checked_sub(earlier.voluntary)?,
            involuntary: self.involuntary.checked_sub(earlier.involuntary)?,
            on_cpu: self.on_cpu.since(&earlier.on_cpu)?,
            wait: self.wait.since(&earlier.wait)?,
            ..*self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[(usize, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        counts.iter().for_each(|(index, count)| histogram.0[*index] = *count);
        histogram
    }

    #[test]
    fn quantiles_lie_in_their_bucket_and_below_the_maximum() {
        let even = histogram(&[(4, 100)]);
        assert_eq!(even.quantile_ns(0.5, u64::MAX), Some(1536));
        assert_eq!(even.quantile_ns(0.99, 1900), Some(1900));
        let two = histogram(&[(0, 99), (10, 1)]);
        assert_eq!(two.quantile_ns(0.99, u64::MAX), Some(128));
        assert_eq!(two.quantile_ns(1.0, u64::MAX), Some(131_072));
        assert_eq!(histogram(&[]).quantile_ns(0.5, 7), None);
        assert_eq!(histogram(&[(31, 1)]).quantile_ns(0.0, u64::MAX), Some(64 << 31));
    }

    #[test]
    fn a_difference_takes_a_sum_apart() {
        let a = Runs { voluntary: 2, on_cpu: histogram(&[(3, 2)]), on_cpu_max_ns: 9, ..Runs::default() };
        let b =
            Runs { voluntary: 5, on_cpu: histogram(&[(3, 1), (5, 4)]), on_cpu_max_ns: 7, ..Runs::default() };
        let sum = a.plus(&b);
        assert_eq!((sum.voluntary, sum.on_cpu.count(), sum.on_cpu_max_ns), (7, 7, 9));
        assert_eq!(sum.since(&a).map(|runs| (runs.voluntary, runs.on_cpu)), Some((5, b.on_cpu)));
        assert_eq!(a.since(&sum), None);
    }
}
