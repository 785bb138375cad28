//! Decimal numbers as the kernel prints them, read from bytes that need not be text.

/// Reads whole numbers one after another, as `scanf` does: blanks before a number are skipped, anything else ends it.
///
/// A number too big for 64 bits is `u64::MAX`. A negative one is 0: the kernel prints some counters as signed, but none
/// of them can be below zero.
#[derive(Clone, Debug)]
pub struct Numbers<'a> {
    rest: &'a [u8],
}

impl<'a> Numbers<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Numbers<'a> {
        Numbers { rest: bytes }
    }

    /// The bytes after the last number read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut rest = self.rest.trim_ascii_start();
        let negative = rest.first() == Some(&b'-');
        if negative {
            rest = &rest[1..];
        }
        let mut value = 0u64;
        let mut digits = 0;
        for byte in rest {
            if !byte.is_ascii_digit() {
                break;
            }
            value = value.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
            digits += 1;
        }
        if digits == 0 {
            return None;
        }
        self.rest = &rest[digits..];
        Some(if negative { 0 } else { value })
    }
}

/// The first number in `bytes`.
pub fn first(bytes: &[u8]) -> Option<u64> {
    Numbers::new(bytes).next()
}

/// A number that is known to be small; what does not fit is the largest that does.
pub fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The process or thread number that a directory entry's name is, if it is nothing but digits and fits.
pub fn entry(name: &[u8]) -> Option<u32> {
    if name.is_empty() || name.len() > 10 || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    u32::try_from(first(name)?).ok()
}

/// Writes `value` in decimal, without the formatting machinery: paths are built for every file of every task.
pub fn push(out: &mut Vec<u8>, mut value: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_text_begins() {
        let mut numbers = Numbers::new(b" 12\t-7\n18446744073709551616 3x 4");
        assert_eq!(numbers.by_ref().collect::<Vec<_>>(), [12, 0, u64::MAX, 3]);
        assert_eq!(numbers.rest(), b"x 4");
        assert_eq!(first(b"-"), None);
        assert_eq!(first(b""), None);
    }

    #[test]
    fn entries_are_digits_only() {
        assert_eq!(entry(b"4294967295"), Some(u32::MAX));
        for name in [&b""[..], b"4294967296", b"self", b"-1", b"+1", b"12a", b"00000000001"] {
            assert_eq!(entry(name), None, "{name:?}");
        }
    }

    #[test]
    fn pushed_numbers_read_back() {
        for value in [0, 9, 10, 4_194_304, u32::MAX] {
            let mut out = Vec::new();
            push(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
