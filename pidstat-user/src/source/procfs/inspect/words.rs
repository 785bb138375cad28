//! `cmdline` and `environ`: words that a NUL ends.

use crate::sample::{Tree, tree::Name};
use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// What stands before the first `=`.
    pub name: OsString,
    /// What stands behind it; `None` without one.
    pub value: Option<OsString>,
}

/// Bytes as the system's text.
pub fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// The words of `cmdline`.
pub fn arguments(bytes: &[u8]) -> Vec<OsString> {
    match bytes.iter().rposition(|b| *b != 0) {
        Some(last) => bytes[..=last].split(|b| *b == 0).map(os).collect(),
        None => Vec::new(),
    }
}

/// The variables of `environ`, in its order; empty words are padding.
pub fn variables(bytes: &[u8]) -> Vec<Variable> {
    let words = bytes.split(|b| *b == 0).filter(|word| !word.is_empty());
    words
        .map(|word| match word.iter().position(|b| *b == b'=') {
            Some(at) => Variable { name: os(&word[..at]), value: Some(os(&word[at + 1..])) },
            None => Variable { name: os(word), value: None },
        })
        .collect()
}

impl Variable {
    /// One row: `name` and `value`.
    pub fn row(&self) -> Tree {
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        Tree::record([("name", text(&self.name).into()), ("value", self.value.as_ref().map(text).into())])
    }
}

/// A list of texts.
pub fn list(arguments: &[OsString]) -> Tree {
    arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// A record by name; of two variables with one name the first counts, as for getenv(3).
pub fn record(variables: &[Variable]) -> Tree {
    let mut seen = std::collections::HashSet::new();
    let mut fields = Vec::new();
    for variable in variables {
        let name = variable.name.to_string_lossy().into_owned();
        if seen.insert(name.clone()) {
            let value = variable.value.as_ref().map(|value| value.to_string_lossy().into_owned());
            fields.push((Name::Owned(name), value.into()));
        }
    }
    Tree::Record(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_empty_ones_inside() {
        assert_eq!(arguments(b"sh\0-c\0\0x y\0"), ["sh", "-c", "", "x y"]);
        assert_eq!(arguments(b"nginx: master\0\0\0\0"), ["nginx: master"]);
        assert_eq!(arguments(b"\0"), Vec::<OsString>::new());
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        let variables = variables(b"A=b=c\0=x\0B\0A=2\0\0");
        assert_eq!(variables[0], Variable { name: "A".into(), value: Some("b=c".into()) });
        assert_eq!((variables[1].name.len(), variables[2].value.as_ref()), (0, None));
        let Tree::Record(fields) = record(&variables) else { panic!() };
        assert_eq!((fields.len(), &fields[0].1), (3, &Tree::Text("b=c".into())));
    }
}
