//! JSONPath over any tree: RFC 9535, and Procpath's dialect with the order in which it finds things.
//!
//! ```text
//! $..children[?('python' in @.stat.comm and @.stat.pid not in [1, 2])]..pid        Procpath's
//! $..children[?@.stat.rss * 4 > 1000 && match(@.stat.comm, 'py.*')].stat.pid       RFC 9535's
//! ```
//!
//! A filter in parentheses and nothing more is read as Procpath reads it, by Python's rules: a number above 0 is true, and a
//! node for which the expression has no value is left out. Any other filter follows RFC 9535. Nothing is executed, regular
//! expressions are compiled once, and what a query may cost has a limit.
//!
//! The engine knows places of a [`Document`], not values: what a query does not look at need not exist yet.

mod json;
mod parse;
mod run;

pub use parse::parse;
pub use run::{Found, TooMuch};

use super::expr::{Condition, Operand, Rules, Term};

/// A tree of values.
pub trait Document {
    /// Where a value is.
    type Place: Copy;

    /// The whole.
    fn root(&self) -> Self::Place;

    /// What kind of value is there.
    fn shape(&self, place: Self::Place) -> Shape;

    /// How many values a list or an object holds.
    fn len(&self, place: Self::Place) -> usize;

    /// Adds the places of all its values to `out`; those of an object in the order of their names.
    fn children(&self, place: Self::Place, out: &mut Vec<Self::Place>);

    /// The name of the value at a place among an object's [`Document::children`].
    fn name(&self, place: Self::Place, at: usize) -> Option<String>;

    /// The value of a name in an object.
    fn member(&self, place: Self::Place, name: &str) -> Option<Self::Place>;

    /// The value at a place in a list.
    fn element(&self, place: Self::Place, at: usize) -> Option<Self::Place>;

    /// A value that is neither a list nor an object.
    fn scalar(&self, place: Self::Place) -> Operand<'_>;

    /// Whether no object lies below it, so that no name is found there but its own.
    fn is_flat(&self, _place: Self::Place) -> bool {
        false
    }
}

/// What kind of value there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Values with names.
    Object,
    /// Values in a row.
    List,
    /// Neither.
    Scalar,
}

/// Which language a query is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 9535 and Procpath's; what is found stands in Procpath's order.
    #[default]
    Both,
    /// RFC 9535 alone, in its order.
    Strict,
}

/// A query that was read.
#[derive(Clone, Debug)]
pub struct Query {
    path: Path,
    dialect: Dialect,
}

/// Steps from the whole, or from the value that a filter looks at.
#[derive(Clone, Debug)]
pub struct Path {
    from_root: bool,
    /// Whether it can find one value at most, by names and numbers alone.
    single: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    /// `..`: of the values themselves and everything below.
    deep: bool,
    targets: Vec<Target>,
}

#[derive(Clone, Debug)]
enum Target {
    Name(Box<str>),
    Index(i64),
    Slice([Option<i64>; 3]),
    All,
    Root,
    Current,
    Filter(Box<Condition<Path>>, Rules),
    /// A name or a number that is calculated.
    Key(Box<Term<Path>>),
}

impl Query {
    /// Calls `each` with every name that stands in the query, those in filters included: what a document need not have
    /// if it is not among them.
    pub fn names(&self, each: &mut impl FnMut(&str)) {
        self.path.names(&mut |name| each(name));
    }
}

impl Path {
    fn names(&self, each: &mut dyn FnMut(&str)) {
        for target in self.steps.iter().flat_map(|step| &step.targets) {
            match target {
                Target::Name(name) => each(name),
                Target::Filter(condition, _) => condition.names(&mut |path| path.names(each)),
                Target::Key(term) => term.names(&mut |path| path.names(each)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
