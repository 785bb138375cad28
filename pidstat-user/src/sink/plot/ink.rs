//! Writes the elements of a picture; whatever comes from outside goes through [`Escaped`].

use std::fmt::{self, Display, Write as _};

/// Text of unknown origin as XML holds it: nothing in it is markup, and what XML cannot hold is replaced.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\t' | '\n' | '\r' => f.write_char(' ')?,
                // Control characters, those that turn the direction of text, and what is no character.
                '\0'..='\x1f'
                | '\x7f'..='\u{9f}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{fffe}'
                | '\u{ffff}' => f.write_char(char::REPLACEMENT_CHARACTER)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The picture under way.
#[derive(Debug, Default)]
pub struct Ink {
    /// What is written so far.
    pub out: String,
}

impl Ink {
    /// Writes markup of our own.
    pub fn put(&mut self, markup: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(markup);
    }

    /// Text at a place; `anchor` is start, middle or end.
    pub fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        let (x, y, text) = (Short(x), Short(y), Escaped(text));
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let anchor = if anchor == "start" { String::new() } else { format!(" text-anchor=\"{anchor}\"") };
        self.put(format_args!("<text x=\"{x}\" y=\"{y}\"{class}{anchor}>{text}</text>\n"));
    }
}

/// A place on the paper to a tenth.
pub struct Short(pub f64);

impl Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        if tenths < 0 {
            f.write_char('-')?;
        }
        let tenths = tenths.unsigned_abs();
        match tenths % 10 {
            0 => write!(f, "{}", tenths / 10),
            tenth => write!(f, "{}.{tenth}", tenths / 10),
        }
    }
}

/// The beginning of a text, with a sign where the rest is missing.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        let hostile = "</text><script>alert('1')</script>&\"\u{1}\u{202e}\n\u{ffff}";
        let shown = Escaped(hostile).to_string();
        assert_eq!(
            shown,
            "&lt;/text&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}\u{fffd} \u{fffd}"
        );
    }

    #[test]
    fn places_are_short() {
        let short: Vec<String> = [0.0, 1.04, -0.26, 12.0, -3.97].map(|place| Short(place).to_string()).into();
        assert_eq!(short, ["0", "1", "-0.3", "12", "-4"]);
        assert_eq!((cut("abcdef", 4).as_str(), cut("äbc", 3).as_str()), ("abc…", "äbc"));
    }
}
