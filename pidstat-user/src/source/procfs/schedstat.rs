//! `/proc/PID/schedstat` and `/proc/PID/task/TID/schedstat`: time on a CPU and waiting for one.

use super::number::Numbers;
use crate::sample::Sched;

/// Reads the file: nanoseconds on a CPU, nanoseconds runnable but waiting, times put on a CPU. `None` unless the first
/// two are there; the third is then 0 if missing.
pub fn parse(bytes: &[u8]) -> Option<Sched> {
    let mut numbers = Numbers::new(bytes);
    let (run_ns, wait_ns) = (numbers.next()?, numbers.next()?);
    Some(Sched { run_ns, wait_ns, timeslices: numbers.next().unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers() {
        let sched = parse(b"174535971 17433095 391\n").unwrap();
        assert_eq!((sched.run_ns, sched.wait_ns, sched.timeslices), (174_535_971, 17_433_095, 391));
        assert_eq!(parse(b"1 2").unwrap().timeslices, 0);
        assert_eq!(parse(b"1"), None);
        assert_eq!(parse(b"\xff"), None);
    }
}
