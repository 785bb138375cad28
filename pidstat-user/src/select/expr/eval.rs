//! What an expression is worth where names have values.

use super::{Condition, Relation, Scale, Sign, Term};
use std::{borrow::Cow, cmp::Ordering};

/// A value while an expression is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand<'a> {
    /// There is none: not known, not measured, not in the document, not a number.
    Missing,
    /// `null`, written or found.
    Null,
    /// True or false.
    Truth(bool),
    /// A number, always finite.
    Number(f64),
    /// Text.
    Text(Cow<'a, [u8]>),
}

impl Operand<'_> {
    /// A number, or nothing if it is not finite.
    pub fn number(number: f64) -> Operand<'static> {
        if number.is_finite() { Operand::Number(number) } else { Operand::Missing }
    }
}

/// Where names have values.
pub trait Environment<N> {
    /// The value of a name.
    fn value<'a>(&'a self, name: &'a N) -> Operand<'a>;

    /// Whether a name has any value.
    fn exists(&self, name: &N) -> bool {
        !matches!(self.value(name), Operand::Missing)
    }
}

impl<N> Condition<N> {
    /// Whether it holds in an environment.
    pub fn holds(&self, env: &impl Environment<N>) -> bool {
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.holds(env)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(env)),
            Condition::Not(part) => !part.holds(env),
            Condition::Compare(first, rest) => {
                let mut left = first.value(env);
                for (relation, term) in rest {
                    if let Term::List(items) = term {
                        let wanted = *relation == Relation::In;
                        // A value that is missing is neither in a list nor outside it, unless null is an item.
                        let found = items.iter().any(|item| equal(&left, &item.value(env)) == Some(true));
                        let known = left != Operand::Missing || found;
                        return known && found == wanted;
                    }
                    let right = term.value(env);
                    if !related(&left, *relation, &right) {
                        return false;
                    }
                    left = right;
                }
                true
            }
            Condition::Matches(term, regex) => {
                matches!(term.value(env), Operand::Text(text) if regex.is_match(&text))
            }
            Condition::True(term) => term.value(env) == Operand::Truth(true),
            Condition::Exists(name) => env.exists(name),
        }
    }
}

/// Whether two values are equal; `None` if one is missing, and the other is not `null`.
fn equal(left: &Operand<'_>, right: &Operand<'_>) -> Option<bool> {
    match (left, right) {
        (Operand::Missing | Operand::Null, Operand::Null) | (Operand::Null, Operand::Missing) => Some(true),
        (Operand::Missing, _) | (_, Operand::Missing) => None,
        _ => Some(left == right),
    }
}

fn related(left: &Operand<'_>, relation: Relation, right: &Operand<'_>) -> bool {
    let order = || match (left, right) {
        (Operand::Number(left), Operand::Number(right)) => left.partial_cmp(right),
        (Operand::Text(left), Operand::Text(right)) => Some(left.cmp(right)),
        _ => None,
    };
    let part = || match (left, right) {
        (Operand::Text(part), Operand::Text(whole)) => {
            Some(part.is_empty() || whole.windows(part.len()).any(|window| window == &part[..]))
        }
        _ => None,
    };
    match relation {
        Relation::Equal => equal(left, right) == Some(true),
        Relation::Unequal => equal(left, right) == Some(false),
        Relation::Less => order() == Some(Ordering::Less),
        Relation::LessOrEqual => order().is_some_and(Ordering::is_le),
        Relation::Greater => order() == Some(Ordering::Greater),
        Relation::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        Relation::In => part() == Some(true),
        Relation::NotIn => part() == Some(false),
    }
}

impl<N> Term<N> {
    /// Its value in an environment. A list has none of its own.
    pub fn value<'a>(&'a self, env: &'a impl Environment<N>) -> Operand<'a> {
        match self {
            Term::Name(name) => env.value(name),
            Term::Number(number) => Operand::Number(*number),
            Term::Text(text) => Operand::Text(Cow::Borrowed(text)),
            Term::Truth(truth) => Operand::Truth(*truth),
            Term::Null => Operand::Null,
            Term::List(_) => Operand::Missing,
            Term::Sum(first, rest) => fold(first, rest, env, |sum, sign, part| match sign {
                Sign::Plus => sum + part,
                Sign::Minus => sum - part,
            }),
            // Division by zero gives what is not finite, and therefore nothing.
            Term::Product(first, rest) => fold(first, rest, env, |product, scale, part| match scale {
                Scale::Times => product * part,
                Scale::Over => product / part,
                Scale::Remainder => product % part,
            }),
            Term::Negative(term) => match term.value(env) {
                Operand::Number(number) => Operand::Number(-number),
                _ => Operand::Missing,
            },
        }
    }
}

fn fold<N, S: Copy>(
    first: &Term<N>,
    rest: &[(S, Term<N>)],
    env: &impl Environment<N>,
    step: fn(f64, S, f64) -> f64,
) -> Operand<'static> {
    let Operand::Number(mut value) = first.value(env) else { return Operand::Missing };
    for (how, term) in rest {
        let Operand::Number(part) = term.value(env) else { return Operand::Missing };
        value = step(value, *how, part);
    }
    Operand::number(value)
}
