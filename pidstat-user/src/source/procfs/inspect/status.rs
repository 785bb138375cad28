//! `status` whole: every line as the kernel wrote it, whatever lines this kernel has.

use crate::sample::{Tree, tree::Name};

/// A task's `status`: about sixty lines for a process, forty for a kernel thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Keys and values in the order of the file. A value has its tabs turned into blanks and keeps inner and trailing
    /// ones: `Uid` is `1000 1000 1000 1000`, `VmData` is `    4708 kB`. The kernel escapes line ends in `Name`.
    pub lines: Vec<(String, String)>,
}

impl Status {
    /// Reads the file; a line without a colon is none. Of two lines with one key, which no kernel writes, the last counts.
    pub fn parse(bytes: &[u8]) -> Status {
        let mut status = Status::default();
        let mut places = std::collections::HashMap::new();
        for (key, value) in pairs(bytes) {
            let key = String::from_utf8_lossy(key).into_owned();
            let value =
                String::from_utf8_lossy(value.strip_prefix(b"\t").unwrap_or(value)).replace('\t', " ");
            let place = *places.entry(key.clone()).or_insert(status.lines.len());
            match status.lines.get_mut(place) {
                Some(line) => line.1 = value,
                None => status.lines.push((key, value)),
            }
        }
        status
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// A value that is one number, with or without `kB` behind it: KiB for the `Vm` and `Rss` lines, a count for others.
    pub fn number(&self, key: &str) -> Option<u64> {
        let value = self.get(key)?.trim();
        value.strip_suffix("kB").unwrap_or(value).trim_end().parse().ok()
    }
}

/// Every key, and everything between its colon and the end of the line.
pub fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    bytes.split(|b| *b == b'\n').filter_map(|line| {
        let colon = line.iter().position(|b| *b == b':')?;
        Some((&line[..colon], &line[colon + 1..]))
    })
}

/// The kernel's keys, in its order.
impl From<&Status> for Tree {
    fn from(status: &Status) -> Tree {
        let lines = status.lines.iter();
        Tree::Record(lines.map(|(key, value)| (Name::Owned(key.clone()), value.as_str().into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_stay_and_tabs_become_blanks() {
        let status = Status::parse(
            b"Name:\ta: b\\n\nUid:\t1\t2\t3\t4\nGroups:\t100 488 \nVmData:\t    4708 kB\nx86_Thread_features:\t\nThreads:\t7\n",
        );
        let get = |key| status.get(key).unwrap();
        assert_eq!((get("Name"), get("Uid"), get("Groups")), ("a: b\\n", "1 2 3 4", "100 488 "));
        assert_eq!((get("VmData"), get("x86_Thread_features")), ("    4708 kB", ""));
        assert_eq!((status.number("VmData"), status.number("Threads")), (Some(4708), Some(7)));
        assert_eq!((status.number("Uid"), status.number("VmPeak")), (None, None));
    }

    #[test]
    fn the_last_of_two_lines_counts() {
        let status = Status::parse(b"A:\t1\nB:\t2\nA:\t3\nno line\n:\n");
        assert_eq!(
            status.lines,
            [("A".into(), "3".into()), ("B".into(), "2".into()), ("".into(), "".into())]
        );
    }
}
