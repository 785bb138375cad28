//! Dates and times as reports show them.

use crate::sample::Host;
use jiff::{Timestamp, fmt::strtime, tz::TimeZone};
use std::io::Write as _;

/// How a moment is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// `04:02:21`, and `11/21/26` in the banner.
    #[default]
    Clock,
    /// `04:02:21`, and `2026-11-21` in the banner (`S_TIME_FORMAT=ISO`).
    Iso,
    /// Seconds since the epoch (`-H`), and the date as `clock` has it.
    Epoch,
    /// `2026-11-21T04:02:21+00:00` (`--time-format iso`).
    Full,
    /// As strftime(3) has it.
    Pattern(String),
}

impl TimeFormat {
    /// The format of `--time-format`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn named(text: &str) -> Result<TimeFormat, String> {
        match text {
            "clock" => Ok(TimeFormat::Clock),
            "iso" => Ok(TimeFormat::Full),
            "epoch" => Ok(TimeFormat::Epoch),
            _ if !text.contains('%') => {
                Err("it is clock, iso, epoch or a strftime pattern like %H:%M:%S".into())
            }
            _ => {
                let any = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
                strtime::format(text, &any).map_err(|error| error.to_string())?;
                Ok(TimeFormat::Pattern(text.into()))
            }
        }
    }
}

/// Turns moments into text in one time zone.
#[derive(Clone, Debug)]
pub(super) struct Times {
    format: TimeFormat,
    /// Whether the banner's date is ISO; `-H` changes the rows alone.
    iso_date: bool,
    zone: TimeZone,
}

impl Times {
    pub(super) fn new(format: TimeFormat, iso_date: bool, zone: TimeZone) -> Times {
        Times { format, iso_date, zone }
    }

    /// The date of the banner.
    pub(super) fn date(&self, epoch_ns: i64) -> String {
        let format = if self.iso_date || self.format == TimeFormat::Iso { "%Y-%m-%d" } else { "%m/%d/%y" };
        self.zoned(epoch_ns).strftime(format).to_string()
    }

    /// The time of a row.
    /// sysstat's line about the machine.
    pub(super) fn banner(&self, host: &Host, epoch_ns: i64, out: &mut Vec<u8>) {
        let _ = writeln!(
            out,
            "{} {} ({}) \t{} \t_{}_\t({} CPU)",
            host.sysname,
            host.release,
            host.nodename,
            self.date(epoch_ns),
            host.machine,
            host.cpus
        );
    }

    pub(super) fn time(&self, epoch_ns: i64) -> String {
        match &self.format {
            TimeFormat::Pattern(pattern) => {
                // Patterns were tried before; one that works for one moment works for all.
                strtime::format(pattern, &self.zoned(epoch_ns)).unwrap_or_default()
            }
            TimeFormat::Full => self.zoned(epoch_ns).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            TimeFormat::Epoch => epoch_ns.div_euclid(1_000_000_000).to_string(),
            TimeFormat::Clock | TimeFormat::Iso => self.zoned(epoch_ns).strftime("%H:%M:%S").to_string(),
        }
    }

    fn zoned(&self, epoch_ns: i64) -> jiff::Zoned {
        Timestamp::from_nanosecond(i128::from(epoch_ns)).unwrap_or_default().to_zoned(self.zone.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_formats() {
        let at = 1_795_233_741_000_000_000;
        let utc = |format, iso| Times::new(format, iso, TimeZone::UTC);
        assert_eq!(utc(TimeFormat::Clock, false).date(at), "11/21/26");
        assert_eq!(utc(TimeFormat::Clock, false).time(at), "04:02:21");
        assert_eq!(utc(TimeFormat::Iso, true).date(at), "2026-11-21");
        assert_eq!(utc(TimeFormat::Epoch, false).time(at), "1795233741");
    }

    #[test]
    fn named_formats_and_patterns_have_dates() {
        let at = 1_795_233_741_250_000_000;
        let time = |text: &str, zone| Times::new(TimeFormat::named(text).unwrap(), false, zone).time(at);
        let east = TimeZone::fixed(jiff::tz::offset(5));
        assert_eq!(time("clock", east.clone()), "09:02:21");
        assert_eq!(time("iso", east), "2026-11-21T09:02:21+05:00");
        assert_eq!(time("epoch", TimeZone::UTC), "1795233741");
        assert_eq!(time("%d.%m. %H:%M:%S%.3f", TimeZone::UTC), "21.11. 04:02:21.250");
        assert!(TimeFormat::named("hours").unwrap_err().contains("strftime"));
        assert!(TimeFormat::named("%").is_err() && TimeFormat::named("%!").is_err());
    }
}
