//! Nested plain data in the order it was found: what one file of the kernel says, for outputs that know no such file.

use super::{Io, Sched};
use std::borrow::Cow;

/// A value, or values in values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// There is none: `null`, Python's `None`, an empty field.
    Nothing,
    /// A fact that holds or does not.
    Truth(bool),
    /// A number that may be below zero.
    Signed(i64),
    /// A number that may need all 64 bits.
    Count(u64),
    /// Text; bytes that are no UTF-8 became U+FFFD where it was read.
    Text(String),
    /// Values in order.
    List(Vec<Tree>),
    /// Named values in order; no name twice.
    Record(Vec<(Name, Tree)>),
}

/// The name of a value: one that we gave, or one from the file.
pub type Name = Cow<'static, str>;

impl Tree {
    /// A record with names of ours.
    pub fn record<const N: usize>(fields: [(&'static str, Tree); N]) -> Tree {
        Tree::Record(fields.into_iter().map(|(name, value)| (Name::Borrowed(name), value)).collect())
    }

    /// Text, whatever the bytes are.
    pub fn lossy(bytes: &[u8]) -> Tree {
        Tree::Text(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// procutils' names.
impl From<&Io> for Tree {
    fn from(io: &Io) -> Tree {
        Tree::record([
            ("rchar", io.rchar_bytes.into()),
            ("wchar", io.wchar_bytes.into()),
            ("syscr", io.read_calls.into()),
            ("syscw", io.write_calls.into()),
            ("read_bytes", io.read_bytes.into()),
            ("write_bytes", io.write_bytes.into()),
            ("cancelled_write_bytes", io.cancelled_write_bytes.into()),
        ])
    }
}

impl From<&Sched> for Tree {
    fn from(sched: &Sched) -> Tree {
        Tree::record([
            ("run_ns", sched.run_ns.into()),
            ("wait_ns", sched.wait_ns.into()),
            ("timeslices", sched.timeslices.into()),
        ])
    }
}

impl From<bool> for Tree {
    fn from(value: bool) -> Tree {
        Tree::Truth(value)
    }
}

impl From<i64> for Tree {
    fn from(value: i64) -> Tree {
        Tree::Signed(value)
    }
}

impl From<u64> for Tree {
    fn from(value: u64) -> Tree {
        Tree::Count(value)
    }
}

impl From<u32> for Tree {
    fn from(value: u32) -> Tree {
        Tree::Count(value.into())
    }
}

impl From<&str> for Tree {
    fn from(value: &str) -> Tree {
        Tree::Text(value.to_owned())
    }
}

impl From<String> for Tree {
    fn from(value: String) -> Tree {
        Tree::Text(value)
    }
}

impl<T: Into<Tree>> From<Option<T>> for Tree {
    fn from(value: Option<T>) -> Tree {
        value.map_or(Tree::Nothing, Into::into)
    }
}

impl<T: Into<Tree>> FromIterator<T> for Tree {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Tree {
        Tree::List(values.into_iter().map(Into::into).collect())
    }
}
