//! `smaps_rollup`: the memory of a process by kind, summed over its mappings.

use super::status::pairs;
use crate::{
    sample::{Tree, tree::Name},
    source::procfs::number::first,
};

/// Sizes in KiB by their names in lower case (`rss`, `pss`, `private_dirty`, ...), in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// Names and KiB.
    pub sizes_kib: Vec<(String, u64)>,
}

impl Rollup {
    /// The KiB of a name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.sizes_kib.iter().find(|(known, _)| known == name).map(|(_, kib)| *kib)
    }
}

/// Reads the file. The first line, a range of addresses, has no number of KiB.
pub fn parse(bytes: &[u8]) -> Rollup {
    let mut sizes_kib: Vec<(String, u64)> = Vec::new();
    for (key, value) in pairs(bytes) {
        if value.trim_ascii_end().ends_with(b"kB")
            && let (Ok(key), Some(kib)) = (std::str::from_utf8(key), first(value))
            && !sizes_kib.iter().any(|(known, _)| known.eq_ignore_ascii_case(key))
            && sizes_kib.len() < MOST_NAMES
        {
            sizes_kib.push((key.to_ascii_lowercase(), kib));
        }
    }
    Rollup { sizes_kib }
}

/// Kernels have about 20.
const MOST_NAMES: usize = 256;

/// The names in lower case, KiB.
impl From<&Rollup> for Tree {
    fn from(rollup: &Rollup) -> Tree {
        let sizes = rollup.sizes_kib.iter();
        Tree::Record(sizes.map(|(name, kib)| (Name::Owned(name.clone()), (*kib).into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_and_nothing_else() {
        let text = b"5580-7ffe ---p 00000000 00:00 0                   [rollup: x]\nRss:                1234 kB\nPss_Dirty:  7 kB\n";
        let rollup = parse(text);
        assert_eq!(rollup.sizes_kib, [("rss".to_owned(), 1234), ("pss_dirty".to_owned(), 7)]);
        assert_eq!((rollup.get("rss"), rollup.get("swap")), (Some(1234), None));
        assert_eq!(parse(b""), Rollup::default());
    }
}
