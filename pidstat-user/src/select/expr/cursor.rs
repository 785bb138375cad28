//! Reads an expression's text piece by piece: blanks, signs, words, numbers, strings.

use super::ExprError;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    /// The next byte; always the first of a character.
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, at: usize) -> Cursor<'t> {
        Cursor { text, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What is left, blanks skipped.
    pub(super) fn rest(&mut self) -> &'t str {
        let rest = self.text.get(self.at..).unwrap_or("");
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    /// Goes `length` bytes on, which must end at a character.
    pub(super) fn skip(&mut self, length: usize) {
        self.at = self.at.saturating_add(length).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    /// Takes a sign if it is next.
    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.skip(sign.len());
        }
        found
    }

    /// The word that is next, not taken: a letter or `_`, then letters, digits and `_`.
    pub(super) fn word(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let word = &rest[..end];
        word.starts_with(|c: char| !c.is_ascii_digit()).then_some(word)
    }

    /// Takes a word if it is next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.word() == Some(word);
        if found {
            self.skip(word.len());
        }
        found
    }

    /// Takes a number if one is next: `12`, `0.5`, `.5`, `1e6`, `2.5E-3`.
    pub(super) fn number(&mut self) -> Option<Result<f64, ExprError>> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = digits(0);
        let starts = end > 0 || bytes.first() == Some(&b'.') && bytes.get(1).is_some_and(u8::is_ascii_digit);
        if !starts {
            return None;
        }
        if bytes.get(end) == Some(&b'.') {
            end += 1 + digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits((end + 1 + sign).min(bytes.len()));
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        let start = self.at;
        self.skip(end);
        // `12abc` is neither a number nor a name.
        if bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return Some(Err(ExprError::new(self.at, "a number ends in a letter")));
        }
        let number = rest[..end].parse().ok().filter(|number: &f64| number.is_finite());
        Some(number.ok_or_else(|| ExprError::new(start, "this number is too large")))
    }

    /// Takes a string in single or double quotes if one is next.
    pub(super) fn string(&mut self) -> Option<Result<Vec<u8>, ExprError>> {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let start = self.at;
        self.skip(1);
        let mut bytes = Vec::new();
        loop {
            let Some(c) = self.text[self.at..].chars().next() else {
                return Some(Err(ExprError::new(start, format!("this string has no closing {quote}"))));
            };
            let here = self.at;
            self.skip(c.len_utf8());
            match c {
                _ if c == quote => return Some(Ok(bytes)),
                '\\' => {
                    if let Err(error) = self.escape(here, &mut bytes) {
                        return Some(Err(error));
                    }
                }
                _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// Takes what follows a backslash: JSON's escapes, quotes, and `\xNN` for a byte.
    fn escape(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), ExprError> {
        let c = self.text[self.at..].chars().next();
        self.skip(c.map_or(0, char::len_utf8));
        match c {
            Some(c @ ('\\' | '/' | '\'' | '"')) => out.push(c as u8),
            Some('b') => out.push(8),
            Some('f') => out.push(12),
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('x') => out.push(self.hex(start, 2)? as u8),
            Some('u') => {
                let mut code = self.hex(start, 4)?;
                if (0xD800..0xDC00).contains(&code) && self.text[self.at..].starts_with("\\u") {
                    self.skip(2);
                    let low = self.hex(start, 4)?;
                    if (0xDC00..0xE000).contains(&low) {
                        code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    }
                }
                let c = char::from_u32(code)
                    .ok_or_else(|| ExprError::new(start, "half of a surrogate pair is no character"))?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(c) => {
                return Err(ExprError::new(
                    start,
                    format!("\\{c} means nothing in a string; for a backslash write \\\\"),
                ));
            }
            None => return Err(ExprError::new(start, "the string ends after a backslash")),
        }
        Ok(())
    }

    fn hex(&mut self, start: usize, digits: usize) -> Result<u32, ExprError> {
        let text = self.text.get(self.at..self.at + digits).unwrap_or("");
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ExprError::new(start, format!("{digits} hexadecimal digits must follow")));
        }
        self.skip(digits);
        u32::from_str_radix(text, 16).map_err(|_| ExprError::new(start, "no hexadecimal number"))
    }
}
