//! The time axis: at which moments it is labelled, and how.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// Moments that recordings can have: what a date can be written of.
pub const MOMENTS: std::ops::Range<f64> = -60e9..200e9;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// Distances of labels that clocks and calendars make round.
const STEPS: [f64; 24] = [
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    30.0 * DAY,
    90.0 * DAY,
    365.0 * DAY,
];

/// One label.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Its moment.
    pub ts: f64,
    /// Its text.
    pub text: String,
    /// The date, where it is another than at the label before.
    pub date: Option<String>,
}

/// Labels from `from` to `to`, at most about so many; `relative` counts from `from`.
pub fn labels(from: f64, to: f64, most: usize, relative: bool) -> Vec<Label> {
    let least = (to - from) / most.max(1) as f64;
    let step = if least <= 0.5 {
        let power = 10_f64.powf(least.max(1e-6).log10().floor());
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|of| of * power).find(|step| *step >= least * 0.999_999)
    } else {
        STEPS.into_iter().find(|step| *step >= least)
    };
    let step = step.unwrap_or_else(|| (least / (365.0 * DAY)).ceil() * 365.0 * DAY);
    let decimals = if step < 1.0 { (-step.log10()).ceil() as usize } else { 0 };
    let zero = if relative { from } else { 0.0 };
    let first = ((from - zero) / step - 1e-9).ceil();
    let mut last_date = None;
    let mut labels = Vec::new();
    for at in 0..=4 * most {
        let ts = zero + (first + at as f64) * step;
        if ts > to + step * 1e-9 {
            break;
        }
        if relative {
            labels.push(Label { ts, text: since(ts - zero, decimals), date: None });
            continue;
        }
        let (date, clock) = written(ts, decimals);
        let date = (last_date.as_ref() != Some(&date)).then(|| last_date.insert(date).clone());
        let clock = if step >= DAY {
            String::new()
        } else if step >= MINUTE {
            clock[..5].into()
        } else {
            clock
        };
        labels.push(Label { ts, text: clock, date });
    }
    labels
}

/// A moment as date and time of day, in UTC.
pub fn written(ts: f64, decimals: usize) -> (String, String) {
    let scale = 10_f64.powi(decimals as i32);
    let ts = (ts * scale).round() / scale;
    let duration = SignedDuration::try_from_secs_f64(ts).unwrap_or_default();
    let moment = Timestamp::from_duration(duration).unwrap_or_default().to_zoned(TimeZone::UTC);
    let mut clock = moment.strftime("%H:%M:%S").to_string();
    if decimals > 0 {
        let fraction = format!("{:.decimals$}", ts.rem_euclid(1.0));
        clock += fraction.get(1..).unwrap_or_default();
    }
    (moment.strftime("%F").to_string(), clock)
}

/// A time since the start, as Python writes one: `0:00:01`, `1 day, 0:00:00`.
pub fn since(seconds: f64, decimals: usize) -> String {
    let scale = 10_f64.powi(decimals as i32);
    let seconds = (seconds * scale).round() / scale;
    let whole = seconds.floor();
    let (days, rest) = ((whole / DAY).floor(), whole.rem_euclid(DAY) as u32);
    let mut text = match days as i64 {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    text += &format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if decimals > 0 {
        text += format!("{:.decimals$}", seconds - whole).get(1..).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(from: f64, to: f64, relative: bool) -> Vec<String> {
        let labels = labels(from, to, 6, relative);
        labels.into_iter().map(|label| format!("{} {}", label.date.unwrap_or_default(), label.text)).collect()
    }

    #[test]
    fn labels_are_round_times_and_the_date_stands_once() {
        let ten = 1_795_256_100.0; // 2026-11-21T10:15:00
        assert_eq!(
            texts(ten + 2.0, ten + 70.0, false),
            ["2026-11-21 10:15:15", " 10:15:30", " 10:15:45", " 10:16:00"]
        );
        let eve = ten - 10.25 * HOUR - HOUR;
        assert_eq!(
            texts(eve, eve + 2.0 * HOUR, false),
            ["2026-11-20 23:00", " 23:30", "2026-11-21 00:00", " 00:30", " 01:00"]
        );
        assert_eq!(texts(ten, ten + 0.5, false)[1], " 10:15:00.1");
        assert_eq!(texts(ten, ten + 4.0 * DAY, false)[0], "2026-11-22 ");
        assert!(labels(-50e9, 190e9, 6, false).len() <= 7);
    }

    #[test]
    fn relative_times_are_pythons() {
        assert_eq!(texts(5.5, 9.5, true), [" 0:00:00", " 0:00:01", " 0:00:02", " 0:00:03", " 0:00:04"]);
        assert_eq!(since(90_061.0, 0), "1 day, 1:01:01");
        assert_eq!(since(3.25, 2), "0:00:03.25");
    }
}
