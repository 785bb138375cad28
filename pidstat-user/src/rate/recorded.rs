//! Rates of counters that stand in a recording: each row of a process against the one before.

/// One process's counter, row after row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorded {
    last: Option<Reading>,
}

/// What one row says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    /// When the process started, where the recording says it: another start is another process with the same id.
    start: Option<i64>,
    ts: f64,
    count: i64,
}

/// What a row adds to a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The first row of a process: there is nothing to compare it with.
    First,
    /// What was counted since the row before, and in how many seconds.
    Counted(f64, f64),
    /// Not known: the counter went backwards, or no time passed.
    Missing,
}

impl Recorded {
    /// Takes the next row; a count is missing where the recorder could not read it.
    pub fn step(&mut self, start: Option<i64>, ts: f64, count: Option<i64>) -> Step {
        let now = count.map(|count| Reading { start, ts, count });
        let before = std::mem::replace(&mut self.last, now);
        let (Some(before), Some(now)) = (before, now) else { return Step::First };
        if before.start != now.start {
            return Step::First;
        }
        match now.count.checked_sub(before.count) {
            Some(counted @ 0..) if now.ts > before.ts => Step::Counted(counted as f64, now.ts - before.ts),
            _ => Step::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Recorded, Step};

    #[test]
    fn each_row_is_compared_with_the_one_before() {
        let mut counter = Recorded::default();
        let mut step = |start, ts, count| counter.step(Some(start), ts, count);
        assert_eq!(step(5, 10.0, Some(100)), Step::First);
        assert_eq!(step(5, 12.0, Some(107)), Step::Counted(7.0, 2.0));
        assert_eq!(step(5, 13.0, Some(100)), Step::Missing);
        assert_eq!(step(5, 13.0, Some(101)), Step::Missing);
        assert_eq!(step(5, 14.0, None), Step::First);
        assert_eq!(step(5, 15.0, Some(102)), Step::First);
        assert_eq!(step(9, 16.0, Some(103)), Step::First, "another process with the same id");
        assert_eq!(step(9, 17.0, Some(i64::MAX)), Step::Counted((i64::MAX - 103) as f64, 1.0));
    }
}
