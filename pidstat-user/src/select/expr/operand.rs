//! Values while an expression is evaluated, and when two of them are equal.

use std::{borrow::Cow, fmt, rc::Rc};

/// A value while an expression is evaluated.
#[derive(Clone, Debug)]
pub enum Operand<'a> {
    /// There is none: not known, not measured, not in the document, not a number.
    Missing,
    /// `null`, written or found.
    Null,
    /// True or false.
    Truth(bool),
    /// A number, always finite.
    Number(f64),
    /// A whole number of a document, exact.
    Integer(i128),
    /// Text.
    Text(Cow<'a, [u8]>),
    /// A list that was written or calculated.
    List(Rc<[Operand<'a>]>),
    /// A list or an object of the document, looked into only as far as needed.
    Branch(Rc<dyn Branch<'a> + 'a>),
}

/// A list or an object of a document.
pub trait Branch<'a>: fmt::Debug {
    /// Whether it is a list; otherwise it is an object.
    fn is_list(&self) -> bool;

    /// How many values it has.
    fn len(&self) -> usize;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a place, with its name if this is an object.
    fn item(&self, at: usize) -> Option<(Option<Cow<'a, str>>, Operand<'a>)>;

    /// The value of a name in an object.
    fn member(&self, name: &str) -> Option<Operand<'a>>;
}

/// Levels to which lists and objects are compared; a hostile document may be deeper than the stack.
const MOST_DEPTH: usize = 256;

impl<'a> Operand<'a> {
    /// A number, or nothing if it is not finite.
    pub fn number(number: f64) -> Operand<'a> {
        if number.is_finite() { Operand::Number(number) } else { Operand::Missing }
    }

    /// A text.
    pub fn text(text: &'a str) -> Operand<'a> {
        Operand::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// How many values a list has; nothing of anything else.
    pub(super) fn length_of_list(&self) -> Option<usize> {
        match self {
            Operand::List(items) => Some(items.len()),
            Operand::Branch(branch) if branch.is_list() => Some(branch.len()),
            _ => None,
        }
    }

    /// A value of a list; nothing of anything else.
    pub(super) fn item_of_list(&self, at: usize) -> Option<Operand<'a>> {
        match self {
            Operand::List(items) => items.get(at).cloned(),
            Operand::Branch(branch) if branch.is_list() => branch.item(at).map(|(_, value)| value),
            _ => None,
        }
    }

    fn same(&self, other: &Operand<'_>, depth: usize) -> bool {
        match (self, other) {
            (Operand::Missing, Operand::Missing) | (Operand::Null, Operand::Null) => true,
            (Operand::Truth(a), Operand::Truth(b)) => a == b,
            (Operand::Number(a), Operand::Number(b)) => a == b,
            (Operand::Integer(a), Operand::Integer(b)) => a == b,
            (Operand::Integer(whole), Operand::Number(number))
            | (Operand::Number(number), Operand::Integer(whole)) => *whole as f64 == *number,
            (Operand::Text(a), Operand::Text(b)) => a == b,
            _ if depth == MOST_DEPTH => false,
            (Operand::Branch(a), Operand::Branch(b)) if !a.is_list() && !b.is_list() => {
                a.len() == b.len()
                    && (0..a.len()).all(|at| {
                        let Some((Some(name), value)) = a.item(at) else { return false };
                        b.member(&name).is_some_and(|other| value.same(&other, depth + 1))
                    })
            }
            _ => match (self.length_of_list(), other.length_of_list()) {
                (Some(a), Some(b)) if a == b => (0..a).all(|at| {
                    let pair = self.item_of_list(at).zip(other.item_of_list(at));
                    pair.is_some_and(|(a, b)| a.same(&b, depth + 1))
                }),
                _ => false,
            },
        }
    }
}

impl<'b> PartialEq<Operand<'b>> for Operand<'_> {
    fn eq(&self, other: &Operand<'b>) -> bool {
        self.same(other, 0)
    }
}
