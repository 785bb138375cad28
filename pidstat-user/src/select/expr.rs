//! Expressions: conditions over named values, written by the user, checked before anything runs.
//!
//! ```text
//! (cpu_pct > 50 or 1 < wait_pct <= 20) and comm not in ['kworker', 'idle'] and not match(user, 'r.*')
//! ```
//!
//! The language has no names of its own: whoever uses it says what a name is ([`Names`]) and what it is worth
//! ([`Environment`]). So one parser serves the columns of a row and the paths of a document. Types are checked while
//! parsing as far as they are known, regular expressions are compiled then, and evaluation cannot fail: whatever has no
//! value is [`Operand::Missing`], and every comparison with it is false, except `== null`.

mod cursor;
mod error;
mod eval;
mod parse;
mod piece;

pub use error::ExprError;
pub use eval::{Environment, Operand};
pub use parse::{parse, prefix};

use regex::bytes::Regex;

/// What kind of value a term has, as far as it is known before anything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Known only when it is looked at, like a member of a document.
    Any,
    /// A number.
    Number,
    /// Text: bytes, not necessarily UTF-8.
    Text,
    /// True or false.
    Truth,
    /// `null`.
    Null,
    /// A list in brackets; stands only after `in`.
    List,
}

/// A name that was read, and how much of the text it takes.
#[derive(Clone, Copy, Debug)]
pub struct Found<N> {
    /// The name.
    pub name: N,
    /// What it will be worth.
    pub kind: Kind,
    /// Its length in bytes, more than 0.
    pub length: usize,
}

/// What names there are.
pub trait Names {
    /// A name that is understood.
    type Name;

    /// Reads the name with which `text` begins; `None` if it does not begin with one. `Err` is a name that is no good:
    /// where in `text`, and in what way.
    fn read(&self, text: &str) -> Option<Result<Found<Self::Name>, ExprError>>;
}

/// Something that holds or does not.
#[derive(Clone, Debug)]
pub enum Condition<N> {
    /// `a and b and ...`.
    All(Vec<Condition<N>>),
    /// `a or b or ...`.
    Any(Vec<Condition<N>>),
    /// `not a`.
    Not(Box<Condition<N>>),
    /// `a < b <= c`: each term is compared with the next.
    Compare(Term<N>, Vec<(Relation, Term<N>)>),
    /// `match(text, regex)`, `search(text, regex)`; the former's regex is anchored at both ends.
    Matches(Term<N>, Regex),
    /// A term that is true.
    True(Term<N>),
    /// A name that has any value.
    Exists(N),
}

/// How two terms are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`: an item of a list, or a part of a text.
    In,
    /// `not in`
    NotIn,
}

/// Something that has a value.
#[derive(Clone, Debug)]
pub enum Term<N> {
    /// What the environment knows.
    Name(N),
    /// A number as written.
    Number(f64),
    /// A text as written.
    Text(Vec<u8>),
    /// `true` or `false`.
    Truth(bool),
    /// `null`.
    Null,
    /// `[a, b, ...]`.
    List(Vec<Term<N>>),
    /// `a + b - c`, without nesting, so that a long sum needs no deep stack.
    Sum(Box<Term<N>>, Vec<(Sign, Term<N>)>),
    /// `a * b / c % d`.
    Product(Box<Term<N>>, Vec<(Scale, Term<N>)>),
    /// `-a`.
    Negative(Box<Term<N>>),
}

/// How a part enters a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// How a part enters a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// `*`
    Times,
    /// `/`
    Over,
    /// `%`, the remainder, with the sign of what is divided.
    Remainder,
}

impl<N> Condition<N> {
    /// Calls `each` with every name in it.
    pub fn names(&self, each: &mut impl FnMut(&N)) {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| part.names(each)),
            Condition::Not(part) => part.names(each),
            Condition::Compare(first, rest) => {
                first.names(each);
                rest.iter().for_each(|(_, term)| term.names(each));
            }
            Condition::Matches(term, _) | Condition::True(term) => term.names(each),
            Condition::Exists(name) => each(name),
        }
    }
}

impl<N> Term<N> {
    fn names(&self, each: &mut impl FnMut(&N)) {
        match self {
            Term::Name(name) => each(name),
            Term::Number(_) | Term::Text(_) | Term::Truth(_) | Term::Null => {}
            Term::List(items) => items.iter().for_each(|item| item.names(each)),
            Term::Sum(first, rest) => {
                first.names(each);
                rest.iter().for_each(|(_, term)| term.names(each));
            }
            Term::Product(first, rest) => {
                first.names(each);
                rest.iter().for_each(|(_, term)| term.names(each));
            }
            Term::Negative(term) => term.names(each),
        }
    }
}

#[cfg(test)]
mod tests;
