//! The user's time zone, by its own file: to look one up by name, jiff lists all zones of the machine first.

use jiff::tz::TimeZone;
use std::{fs, path::Path};

/// Where the files of all zones are.
const ZONES: &str = "/usr/share/zoneinfo";
/// The zone of the machine, a link to one of them.
const LOCAL: &str = "/etc/localtime";

/// The zone that TZ names, else the machine's.
pub fn of_this_process() -> TimeZone {
    let name = std::env::var_os("TZ");
    let elsewhere = std::env::var_os("TZDIR").is_some();
    let found = match &name {
        _ if elsewhere => None,
        Some(name) => name.to_str().and_then(named),
        None => local(),
    };
    // Whatever else there is: rules instead of a name, files elsewhere, no files at all.
    found.unwrap_or_else(TimeZone::system)
}

fn named(name: &str) -> Option<TimeZone> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+-/".contains(c);
    match name {
        "UTC" => Some(TimeZone::UTC),
        _ if name.is_empty() || name.starts_with('/') || !name.chars().all(plain) => None,
        _ => TimeZone::tzif(name, &fs::read(Path::new(ZONES).join(name)).ok()?).ok(),
    }
}

fn local() -> Option<TimeZone> {
    let target = fs::read_link(LOCAL).ok()?;
    named(target.to_str()?.split_once("zoneinfo/")?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn a_zone_is_the_same_as_by_its_name() {
        for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "EST5EDT", "Etc/GMT+5"] {
            let (Some(ours), Ok(theirs)) = (named(name), TimeZone::get(name)) else {
                assert_eq!(named(name).is_some(), TimeZone::get(name).is_ok(), "{name}");
                continue;
            };
            assert_eq!(ours.iana_name(), theirs.iana_name());
            for day in 0..366 {
                let at = Timestamp::from_second(1_767_225_600 + day * 86_400).unwrap();
                assert_eq!(ours.to_offset_info(at), theirs.to_offset_info(at), "{name}, day {day}");
            }
        }
        for name in ["", "/etc/passwd", "../../../etc/passwd", "Nowhere/None", "CET-1CEST,M3.5.0,M10.5.0/3"] {
            assert!(named(name).is_none(), "{name}");
        }
    }
}
