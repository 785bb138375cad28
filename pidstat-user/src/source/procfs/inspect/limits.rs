//! `limits`: soft and hard limits of resources.

use crate::sample::{Tree, tree::Name};

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The kernel's name: `Max open files`.
    pub name: String,
    /// What holds now; `None` is unlimited.
    pub soft: Option<u64>,
    /// What the process may raise it to; `None` is unlimited.
    pub hard: Option<u64>,
    /// The unit of both, in the kernel's word (`bytes`, `files`, `us`); `None` for the two priorities.
    pub units: Option<String>,
}

/// Where the soft limit begins; every line has its columns at the same places (proc_pid_limits() of `fs/proc/base.c`).
const SOFT: usize = 26;

/// Reads the file; `None` if a line is no limit.
pub fn parse(bytes: &[u8]) -> Option<Vec<Limit>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().skip(1).map(limit).collect()
}

fn limit(line: &str) -> Option<Limit> {
    let (name, values) = (line.get(..SOFT)?.trim_end(), line.get(SOFT..)?);
    let mut words = values.split_ascii_whitespace();
    let mut value = || match words.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Limit {
        name: name.to_owned(),
        soft: value()?,
        hard: value()?,
        units: words.next().map(str::to_owned),
    })
}

fn shown(value: Option<u64>) -> Tree {
    value.map_or_else(|| "unlimited".into(), Tree::Count)
}

impl Limit {
    /// Its name, and `soft`, `hard` (a number or `unlimited`) and `units`.
    pub fn entry(&self) -> (Name, Tree) {
        let about =
            [("soft", shown(self.soft)), ("hard", shown(self.hard)), ("units", self.units.clone().into())];
        (Name::Owned(self.name.clone()), Tree::record(about))
    }

    /// The same in one flat row.
    pub fn row(&self) -> Tree {
        Tree::record([
            ("limit", self.name.as_str().into()),
            ("soft", shown(self.soft)),
            ("hard", shown(self.hard)),
            ("units", self.units.clone().into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_their_columns() {
        let limits = parse(
            b"Limit                     Soft Limit           Hard Limit           Units     \n\
              Max cpu time              unlimited            unlimited            seconds   \n\
              Max open files            1024                 1048576              files     \n\
              Max nice priority         0                    0                    \n",
        )
        .unwrap();
        assert_eq!((limits[0].name.as_str(), limits[0].soft), ("Max cpu time", None));
        assert_eq!((limits[1].soft, limits[1].hard), (Some(1024), Some(1_048_576)));
        assert_eq!((limits[1].units.as_deref(), limits[2].units.as_deref()), (Some("files"), None));
        assert_eq!(parse(b"Limit\nMax\n"), None);
        assert_eq!(parse(b""), Some(vec![]));
    }
}
