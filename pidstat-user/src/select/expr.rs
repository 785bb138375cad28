//! Expressions: conditions over named values, written by the user, checked before anything runs.
//!
//! ```text
//! (cpu_pct > 50 or 1 < wait_pct <= 20) and comm not in ['kworker', 'idle'] and not match(user, 'r.*')
//! ```
//!
//! The language has no names of its own: whoever uses it says what a name is ([`Names`]) and what it is worth
//! ([`Environment`]). So one parser serves the columns of a row and the paths of a document. Types are checked while
//! parsing as far as they are known, and regular expressions are compiled then. What stands where no value is, is
//! [`Operand::Missing`]; what a comparison with it says depends on the [`Rules`].
//!
//! The same parser reads three languages that differ in what they allow ([`Grammar`]): conditions on columns, RFC 9535's
//! filters, and the filters of Procpath, which are Python's expressions. No text is ever run as a program.

mod call;
pub(in crate::select) mod cursor;
mod error;
mod eval;
mod operand;
mod parse;
mod pattern;
mod piece;

pub use call::{Function, float_text, places};
pub use error::ExprError;
pub use eval::{Environment, Fault};
pub use operand::{Branch, Operand};
pub(in crate::select) use parse::MOST_DEPTH;
pub use parse::{parse, prefix, prefix_term};
pub use pattern::Pattern;

/// Which language a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// Conditions on columns: `and or not in`, chained comparisons, arithmetic, `match()`, `search()`; kinds are checked.
    Columns,
    /// RFC 9535's filters and not a blank more.
    Strict,
    /// RFC 9535's filters, and whatever the other two have.
    Document,
    /// Procpath's filters: Python's expressions as far as they calculate and compare. A backslash before a parenthesis,
    /// which Procpath needs, means nothing.
    Python,
}

impl Grammar {
    /// The rules by which it is evaluated.
    pub fn rules(self) -> Rules {
        match self {
            Grammar::Columns => Rules::Columns,
            Grammar::Strict | Grammar::Document => Rules::Rfc,
            Grammar::Python => Rules::Python,
        }
    }

    /// Whether it has more than columns and RFC 9535 need: methods, subscripts, texts that are added.
    fn is_rich(self) -> bool {
        matches!(self, Grammar::Document | Grammar::Python)
    }
}

/// What is true of values that are missing or of different kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Every comparison with what is missing is false, except that it is equal to `null`.
    Columns,
    /// RFC 9535: what is missing is equal to what is missing, `!=` is the opposite of `==`, and other kinds have no order.
    Rfc,
    /// Python: a number above 0 and a text with something in it are true; what is missing, and kinds that have no order, are
    /// a [`Fault`], which ends the evaluation.
    Python,
}

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
    /// A list in brackets; on columns it stands only after `in`.
    List,
    /// What a query finds that may find several values; RFC 9535 compares none of them.
    Nodes,
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
    /// where in `text`, and in what way. It stands `depth` levels deep, which matters where names contain expressions.
    fn read(&self, text: &str, depth: usize) -> Option<Result<Found<Self::Name>, ExprError>>;

    /// The language in which they stand.
    fn grammar(&self) -> Grammar {
        Grammar::Columns
    }

    /// How many levels deep the expression itself is embedded in others.
    fn depth(&self) -> usize {
        0
    }
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
    /// `match(text, regex)`, `search(text, regex)`.
    Matches(Box<(Term<N>, Pattern<N>)>),
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
    /// `a + b - c`, without nesting, so that a long sum needs no deep stack. All operators of one chain bind equally.
    Chain(Box<Term<N>>, Vec<(Operator, Term<N>)>),
    /// `-a`.
    Negative(Box<Term<N>>),
    /// A whole number as written, in documents.
    Integer(i128),
    /// `count(name)`: how many values the query finds.
    Count(N),
    /// `value(name)`: the value that the query finds, if it is one.
    Only(N),
    /// A function of its arguments; of a method, what it is called on comes first.
    Call(Function, Vec<Term<N>>),
    /// `a[b]`, and `a.b` where `a` is not a name.
    Item(Box<Term<N>>, Box<Term<N>>),
    /// `a[from:to:step]`.
    Slice(Box<Term<N>>, [Option<i64>; 3]),
    /// `a if c else b`.
    Choice(Box<(Condition<N>, Term<N>, Term<N>)>),
    /// A condition as a value; in Python `a or b` is one of the two.
    Condition(Box<Condition<N>>),
}

/// How a part enters a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
    /// `//`, the quotient rounded down.
    Floor,
    /// `%`, the remainder: on columns with the sign of what is divided, elsewhere with the divisor's.
    Remainder,
    /// `**`
    Power,
    /// `&`
    And,
    /// `|`
    Or,
    /// `^`
    Xor,
    /// `<<`
    Left,
    /// `>>`
    Right,
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
            Condition::Matches(parts) => {
                parts.0.names(each);
                parts.1.names(each);
            }
            Condition::True(term) => term.names(each),
            Condition::Exists(name) => each(name),
        }
    }
}

impl<N> Term<N> {
    /// Calls `each` with every name in it.
    pub fn names(&self, each: &mut impl FnMut(&N)) {
        match self {
            Term::Name(name) | Term::Count(name) | Term::Only(name) => each(name),
            Term::Number(_) | Term::Integer(_) | Term::Text(_) | Term::Truth(_) | Term::Null => {}
            Term::List(items) | Term::Call(_, items) => items.iter().for_each(|item| item.names(each)),
            Term::Chain(first, rest) => {
                first.names(each);
                rest.iter().for_each(|(_, term)| term.names(each));
            }
            Term::Negative(term) | Term::Slice(term, _) => term.names(each),
            Term::Item(of, key) => {
                of.names(each);
                key.names(each);
            }
            Term::Choice(parts) => {
                parts.0.names(each);
                parts.1.names(each);
                parts.2.names(each);
            }
            Term::Condition(condition) => condition.names(each),
        }
    }
}

#[cfg(test)]
mod tests;
