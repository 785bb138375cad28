//! What names are tested against: a regular expression of this program's kind, or one of the C library's.

use regex::bytes::Regex;
use std::{
    ffi::{CString, c_char, c_int, c_void},
    rc::Rc,
};

/// A test of names.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// A regular expression as the documentation describes it.
    Regex(Regex),
    /// A POSIX extended regular expression, as sysstat has it.
    Posix(Rc<Posix>),
    /// Matches nothing.
    Nothing,
}

impl Pattern {
    /// A POSIX extended regular expression; a malformed one matches nothing, as in sysstat.
    pub fn posix(text: &[u8]) -> Pattern {
        Posix::new(text).map_or(Pattern::Nothing, |posix| Pattern::Posix(Rc::new(posix)))
    }

    /// Whether it is found anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        match self {
            Pattern::Regex(regex) => regex.is_match(text),
            Pattern::Posix(posix) => posix.is_match(text),
            Pattern::Nothing => false,
        }
    }
}

impl From<Regex> for Pattern {
    fn from(regex: Regex) -> Pattern {
        Pattern::Regex(regex)
    }
}

/// `regex_t`, which no crate declares for Linux: 64 bytes in glibc and in musl; there is room for four times that.
#[repr(C, align(16))]
struct Room([u8; 256]);

unsafe extern "C" {
    fn regcomp(compiled: *mut Room, pattern: *const c_char, flags: c_int) -> c_int;
    fn regexec(
        compiled: *const Room,
        text: *const c_char,
        groups: usize,
        places: *mut c_void,
        flags: c_int,
    ) -> c_int;
    fn regfree(compiled: *mut Room);
}

/// The same numbers in glibc and in musl.
const REG_EXTENDED: c_int = 1;
const REG_NOSUB: c_int = 8;

/// A compiled POSIX extended regular expression. The C locale is in force, so it works on bytes.
pub struct Posix {
    compiled: Box<Room>,
}

impl Posix {
    /// Compiles; `None` if it is malformed.
    pub fn new(pattern: &[u8]) -> Option<Posix> {
        let pattern = CString::new(pattern).ok()?;
        let mut compiled = Box::new(Room([0; 256]));
        // SAFETY: `compiled` is writable, aligned and larger than a regex_t; `pattern` ends with a NUL.
        let error = unsafe { regcomp(&raw mut *compiled, pattern.as_ptr(), REG_EXTENDED | REG_NOSUB) };
        // A regcomp that fails leaves nothing to free.
        (error == 0).then(|| Posix { compiled })
    }

    /// Whether it is found in `text`, which ends for it at the first NUL.
    pub fn is_match(&self, text: &[u8]) -> bool {
        let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
        let Ok(text) = CString::new(&text[..end]) else { return false };
        // SAFETY: `compiled` was filled by a regcomp that succeeded and is not freed before `self` is dropped; `text`
        // ends with a NUL; no places are asked for, so the null pointer is not written to.
        unsafe { regexec(&raw const *self.compiled, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: `compiled` was filled by a regcomp that succeeded, and this is the only place that frees it.
        unsafe { regfree(&raw mut *self.compiled) };
    }
}

impl std::fmt::Debug for Posix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Posix")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posix_rules_hold() {
        let matches =
            |pattern: &str, text: &str| Pattern::posix(pattern.as_bytes()).is_match(text.as_bytes());
        assert!(matches("^thr(demo|x){1}$", "thrdemo"));
        assert!(matches("[[:upper:]]", "aBc") && !matches("[[:upper:]]", "abc"));
        // A bracket that is not closed and an interval that goes backwards are malformed: nothing matches.
        assert!(!matches("[", "[") && !matches("a{2,1}", "aa"));
    }

    #[test]
    fn bytes_need_not_be_text() {
        assert!(Pattern::posix(b"f\xe9$").is_match(b"caf\xe9"));
        assert!(!Pattern::posix(b"\0").is_match(b"x"));
    }
}
