//! Reads an expression's text piece by piece: blanks, signs, words, numbers, strings.

use super::{ExprError, Grammar};

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(in crate::select) struct Cursor<'t> {
    text: &'t str,
    grammar: Grammar,
    /// The next byte; always the first of a character.
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(in crate::select) fn new(text: &'t str, at: usize, grammar: Grammar) -> Cursor<'t> {
        Cursor { text, grammar, at }
    }

    pub(in crate::select) fn at(&self) -> usize {
        self.at
    }

    /// What is left, blanks skipped, and in Procpath's language backslashes before parentheses.
    pub(in crate::select) fn rest(&mut self) -> &'t str {
        loop {
            let rest = self.text.get(self.at..).unwrap_or("");
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            let escaped =
                self.grammar.is_rich() && (trimmed.starts_with("\\(") || trimmed.starts_with("\\)"));
            if !escaped {
                return trimmed;
            }
            self.at += 1;
        }
    }

    /// What is left, with its blanks.
    pub(in crate::select) fn left(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Goes `length` bytes on, which must end at a character.
    pub(in crate::select) fn skip(&mut self, length: usize) {
        self.at = self.at.saturating_add(length).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    /// Takes a sign if it is next.
    pub(in crate::select) fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.skip(sign.len());
        }
        found
    }

    /// The word that is next, not taken: a letter or `_`, then letters, digits and `_`.
    pub(in crate::select) fn word(&mut self) -> Option<&'t str> {
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

    /// Takes a number if one is next: `12`, `0.5`, `.5`, `1e6`, `2.5E-3`; RFC 9535's have a digit on both sides of the dot, no
    /// zero in front, and perhaps a minus sign.
    pub(super) fn number(&mut self) -> Option<Result<Number, ExprError>> {
        let strict = self.grammar == Grammar::Strict;
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let signed = usize::from(strict && bytes.first() == Some(&b'-'));
        let mut end = signed + digits(signed);
        let starts = end > signed
            || !strict && bytes.first() == Some(&b'.') && bytes.get(1).is_some_and(u8::is_ascii_digit);
        if !starts {
            return None;
        }
        let start = self.at;
        if strict && bytes[signed] == b'0' && end > signed + 1 {
            return Some(Err(ExprError::new(start, "a number does not begin with 0")));
        }
        let mut whole = true;
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            if strict && fraction == 0 {
                return Some(Err(ExprError::new(start + end, "a digit must follow the dot")));
            }
            end += 1 + fraction;
            whole = false;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits((end + 1 + sign).min(bytes.len()));
            if exponent > 0 {
                end += 1 + sign + exponent;
                whole = false;
            }
        }
        self.skip(end);
        // `12abc` is neither a number nor a name.
        if bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return Some(Err(ExprError::new(self.at, "a number ends in a letter")));
        }
        let text = &rest[..end];
        if whole
            && self.grammar != Grammar::Columns
            && let Ok(number) = text.parse()
        {
            return Some(Ok(Number::Whole(number)));
        }
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        Some(number.map(Number::Real).ok_or_else(|| ExprError::new(start, "this number is too large")))
    }

    /// Takes a string in single or double quotes if one is next.
    pub(in crate::select) fn string(&mut self) -> Option<Result<Vec<u8>, ExprError>> {
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
                    if let Err(error) = self.escape(here, quote, &mut bytes) {
                        return Some(Err(error));
                    }
                }
                '\0'..='\x1f' if self.grammar == Grammar::Strict => {
                    return Some(Err(ExprError::new(here, "a control character is written \\uXXXX")));
                }
                _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// Takes a string of Python in which backslashes mean nothing: `r'\d+'`.
    pub(super) fn raw_string(&mut self) -> Option<Result<Vec<u8>, ExprError>> {
        let rest = self.rest().strip_prefix('r')?;
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let start = self.at;
        let Some(length) = rest[1..].find(quote) else {
            return Some(Err(ExprError::new(start, format!("this string has no closing {quote}"))));
        };
        self.skip(length + 3);
        Some(Ok(rest.as_bytes()[1..=length].to_vec()))
    }

    /// Takes what follows a backslash: JSON's escapes, quotes, and `\xNN` for a byte; RFC 9535's are JSON's and the quote.
    fn escape(&mut self, start: usize, quote: char, out: &mut Vec<u8>) -> Result<(), ExprError> {
        let strict = self.grammar == Grammar::Strict;
        let c = self.text[self.at..].chars().next();
        self.skip(c.map_or(0, char::len_utf8));
        match c {
            Some(c @ ('\'' | '"')) if strict && c != quote => {
                return Err(ExprError::new(
                    start,
                    format!("{c} needs no backslash between {quote} and {quote}"),
                ));
            }
            // Procpath's way to have these two in a string.
            Some('\\') if self.grammar.is_rich() && self.left().starts_with(['@', '$']) => {}
            Some(c @ ('(' | ')' | '@' | '$')) if self.grammar.is_rich() => out.push(c as u8),
            Some(c @ ('\\' | '/' | '\'' | '"')) => out.push(c as u8),
            Some('b') => out.push(8),
            Some('f') => out.push(12),
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('x') if !strict => out.push(self.hex(start, 2)? as u8),
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

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Of a document, without a fraction.
    Whole(i128),
    /// Any other.
    Real(f64),
}
