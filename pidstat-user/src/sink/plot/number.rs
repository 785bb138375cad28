//! How values are written.

/// The ways that `--formatter` knows; all but the first are pygal's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Formatter {
    /// As many decimals as the axis needs, and large numbers with k, M, G.
    #[default]
    Plain,
    /// Always between 1 and 1000 with a prefix: `500m`, `1.234k`.
    HumanReadable,
    /// Ten significant digits.
    Significant,
    /// Without decimals.
    Integer,
    /// All digits there are.
    Raw,
}

impl Formatter {
    /// The names of `--formatter`.
    pub const NAMES: [&'static str; 5] = ["human_readable", "default", "significant", "integer", "raw"];

    /// The formatter of this name.
    pub fn named(name: &str) -> Option<Formatter> {
        Some(match name {
            "human_readable" => Formatter::HumanReadable,
            "default" | "significant" => Formatter::Significant,
            "integer" => Formatter::Integer,
            "raw" => Formatter::Raw,
            _ => return None,
        })
    }

    /// What the script in the picture calls it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Formatter::Plain => "plain",
            Formatter::HumanReadable => "human",
            Formatter::Significant => "significant",
            Formatter::Integer => "integer",
            Formatter::Raw => "raw",
        }
    }

    /// Writes a value of an axis whose ticks are `step` apart; 0 says that it stands alone.
    pub fn write(self, value: f64, step: f64) -> String {
        match self {
            Formatter::Plain => plain(value, step),
            Formatter::HumanReadable => human(value),
            Formatter::Significant => significant(value, 10),
            Formatter::Integer => format!("{:.0}", value.trunc()),
            Formatter::Raw => format!("{value:?}"),
        }
    }
}

const LARGE: [&str; 9] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 9] = ["", "m", "µ", "n", "p", "f", "a", "z", "y"];

fn plain(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let size = value.abs();
    let (scale, suffix) = if size < 10_000.0 {
        (1.0, "")
    } else {
        let order = ((size.log10() / 3.0).floor() as usize).min(LARGE.len() - 1);
        (1000_f64.powi(order as i32), LARGE[order])
    };
    if step <= 0.0 {
        return significant(value / scale, 4) + suffix;
    }
    // As many as the distance between ticks has.
    let whole = |decimals: &usize| {
        let step = step / scale * 10_f64.powi(*decimals as i32);
        step > 0.5 && (step - step.round()).abs() < step * 1e-6
    };
    match (0..9).find(whole) {
        Some(decimals) => trimmed(&format!("{:.decimals$}", value / scale)) + suffix,
        None => significant(value / scale, 4) + suffix,
    }
}

/// As pygal's HumanReadable computes it.
fn human(value: f64) -> String {
    let order = if value == 0.0 { 0 } else { (value.abs().ln() / 1000_f64.ln()).floor() as i32 };
    let suffixes = if order > 0 { LARGE } else { SMALL };
    let suffix = suffixes.get(order.unsigned_abs() as usize).copied().unwrap_or_default();
    trimmed(&format!("{:.3}", value / 1000_f64.powi(order))) + suffix
}

/// `%.{digits}g` of C.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (digits_part, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits as i32).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return trimmed(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits_part), exponent.abs())
}

/// Without zeros at the end of the decimals.
fn trimmed(number: &str) -> String {
    if !number.contains('.') {
        return number.to_owned();
    }
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::Formatter;

    #[test]
    fn human_readable_is_pygals() {
        let cases = [
            (1234.0, "1.234k"),
            (0.5, "500m"),
            (0.0, "0"),
            (1.0, "1"),
            (999.0, "999"),
            (-2_500_000.0, "-2.5M"),
            (12e9, "12G"),
            (0.000_002_5, "2.5µ"),
        ];
        for (value, text) in cases {
            assert_eq!(Formatter::HumanReadable.write(value, 0.0), text);
        }
    }

    #[test]
    fn the_others() {
        assert_eq!(Formatter::Significant.write(1.0 / 3.0, 0.0), "0.3333333333");
        assert_eq!(Formatter::Significant.write(1e10, 0.0), "1e+10");
        assert_eq!(Formatter::Significant.write(1_234_567_890.0, 0.0), "1234567890");
        assert_eq!(Formatter::Significant.write(0.000_01, 0.0), "1e-05");
        assert_eq!(Formatter::Integer.write(-1.9, 0.0), "-1");
        assert_eq!(Formatter::Raw.write(3.0, 0.0), "3.0");
    }

    #[test]
    fn a_plain_value_has_the_decimals_of_its_axis() {
        let cases = [
            (0.5, 0.5, "0.5"),
            (1.0, 0.5, "1"),
            (9500.0, 500.0, "9500"),
            (25_000.0, 5000.0, "25k"),
            (22_500.0, 2500.0, "22.5k"),
            (1e6, 2e5, "1M"),
            (1e-7, 1e-7, "0.0000001"),
            (123.456, 0.0, "123.5"),
        ];
        for (value, step, text) in cases {
            assert_eq!(Formatter::Plain.write(value, step), text, "{value} by {step}");
        }
    }
}
