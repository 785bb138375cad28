//! `/proc/PID/statm`: memory in pages, with a resident size that is exact where `stat`'s is not.

use super::number::Numbers;
use crate::sample::Tree;

/// The fields that still have a meaning, in pages.
///
/// Since Linux 6.2 the kernel keeps resident sizes per CPU: this file adds the parts up, `stat` shows the rounded sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statm {
    /// Virtual size.
    pub size_pages: u64,
    /// Resident set.
    pub resident_pages: u64,
    /// Resident pages of files and shared memory.
    pub shared_pages: u64,
    /// Code.
    pub text_pages: u64,
    /// Data and stack.
    pub data_pages: u64,
}

/// procutils' names.
impl From<&Statm> for Tree {
    fn from(statm: &Statm) -> Tree {
        Tree::record([
            ("size", statm.size_pages.into()),
            ("resident", statm.resident_pages.into()),
            ("shared", statm.shared_pages.into()),
            ("text", statm.text_pages.into()),
            ("data", statm.data_pages.into()),
        ])
    }
}

/// Reads the file; `None` if a field is missing.
pub fn parse(bytes: &[u8]) -> Option<Statm> {
    let mut numbers = Numbers::new(bytes);
    let mut next = || numbers.next();
    let (size_pages, resident_pages, shared_pages, text_pages) = (next()?, next()?, next()?, next()?);
    let _library_pages = next()?; // always 0 since Linux 2.6
    Some(Statm { size_pages, resident_pages, shared_pages, text_pages, data_pages: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_numbers_of_which_five_mean_something() {
        let statm = parse(b"765 418 382 5 0 90 0\n").unwrap();
        assert_eq!((statm.size_pages, statm.resident_pages, statm.shared_pages), (765, 418, 382));
        assert_eq!((statm.text_pages, statm.data_pages), (5, 90));
        assert_eq!(parse(b"765 418 382 5 0"), None);
    }
}
