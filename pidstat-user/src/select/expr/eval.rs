//! What an expression is worth where names have values.

use super::{Condition, Operand, Operator, Relation, Rules, Term, call};
use std::{borrow::Cow, cmp::Ordering};

/// Bytes that a calculated text may have.
const MOST_TEXT: usize = 1 << 20;

/// Why an expression has no value by Python's rules, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub &'static str);

/// What is missing.
pub(super) const ABSENT: Fault = Fault("there is no such member");

/// Where names have values.
pub trait Environment<N> {
    /// The value of a name.
    fn value<'a>(&'a self, name: &'a N) -> Operand<'a>;

    /// Whether a name has any value.
    fn exists(&self, name: &N) -> bool {
        !matches!(self.value(name), Operand::Missing)
    }

    /// How many values a name has.
    fn count(&self, name: &N) -> usize {
        usize::from(self.exists(name))
    }

    /// The value of a name that has one value, not several.
    fn only<'a>(&'a self, name: &'a N) -> Operand<'a> {
        self.value(name)
    }

    /// The rules for what is missing.
    fn rules(&self) -> Rules {
        Rules::Columns
    }
}

impl<N> Condition<N> {
    /// Whether it holds in an environment; what cannot be said does not.
    pub fn holds(&self, env: &impl Environment<N>) -> bool {
        self.judge(env).unwrap_or(false)
    }

    /// Whether it holds in an environment.
    ///
    /// # Errors
    /// By Python's rules only: something has no value, or kinds do not go together.
    pub fn judge(&self, env: &impl Environment<N>) -> Result<bool, Fault> {
        Ok(match self {
            Condition::All(parts) => {
                for part in parts {
                    if !part.judge(env)? {
                        return Ok(false);
                    }
                }
                true
            }
            Condition::Any(parts) => {
                for part in parts {
                    if part.judge(env)? {
                        return Ok(true);
                    }
                }
                false
            }
            Condition::Not(part) => !part.judge(env)?,
            Condition::Compare(first, rest) => {
                let mut left = present(first.value(env)?, env)?;
                for (relation, term) in rest {
                    if let (Term::List(items), Relation::In | Relation::NotIn) = (term, relation) {
                        return listed(&left, items, *relation == Relation::In, env);
                    }
                    let right = present(term.value(env)?, env)?;
                    if !related(&left, *relation, &right, env.rules())? {
                        return Ok(false);
                    }
                    left = right;
                }
                true
            }
            Condition::Matches(parts) => match present(parts.0.value(env)?, env)? {
                Operand::Text(text) => parts.1.matches(&text, env)?,
                _ if env.rules() == Rules::Python => {
                    return Err(Fault("a regular expression looks into text"));
                }
                _ => false,
            },
            Condition::True(term) => truth(&present(term.value(env)?, env)?, env.rules()),
            Condition::Exists(name) => env.exists(name),
        })
    }
}

/// A value that is there; what is missing is a fault in Python.
fn present<'a, N>(value: Operand<'a>, env: &impl Environment<N>) -> Result<Operand<'a>, Fault> {
    let absent = matches!(value, Operand::Missing) && env.rules() == Rules::Python;
    if absent { Err(ABSENT) } else { Ok(value) }
}

/// Whether a value counts as true.
pub(super) fn truth(value: &Operand<'_>, rules: Rules) -> bool {
    match value {
        Operand::Truth(truth) => *truth,
        _ if rules == Rules::Columns => false,
        Operand::Missing | Operand::Null => false,
        Operand::Number(number) => *number != 0.0,
        Operand::Integer(number) => *number != 0,
        Operand::Text(text) => !text.is_empty(),
        Operand::List(items) => !items.is_empty(),
        Operand::Branch(branch) => !branch.is_empty(),
    }
}

/// Whether a value is among those of a list that was written.
fn listed<N>(
    value: &Operand<'_>,
    items: &[Term<N>],
    wanted: bool,
    env: &impl Environment<N>,
) -> Result<bool, Fault> {
    let mut found = false;
    for item in items {
        if equal(value, &present(item.value(env)?, env)?, env.rules()) == Some(true) {
            found = true;
            break;
        }
    }
    // A value that is missing is neither in a list nor outside it, unless null is an item.
    let known = !matches!(value, Operand::Missing) || found;
    Ok(known && found == wanted)
}

/// Whether two values are equal; on columns `None` if one is missing, and the other is not `null`.
pub(super) fn equal(left: &Operand<'_>, right: &Operand<'_>, rules: Rules) -> Option<bool> {
    match (left, right) {
        (Operand::Missing | Operand::Null, Operand::Null) | (Operand::Null, Operand::Missing)
            if rules == Rules::Columns =>
        {
            Some(true)
        }
        (Operand::Missing, _) | (_, Operand::Missing) if rules == Rules::Columns => None,
        // In Python true is a number.
        (Operand::Truth(truth), Operand::Integer(_) | Operand::Number(_)) if rules == Rules::Python => {
            Some(*right == Operand::Integer(i128::from(*truth)))
        }
        (Operand::Integer(_) | Operand::Number(_), Operand::Truth(_)) if rules == Rules::Python => {
            equal(right, left, rules)
        }
        _ => Some(left == right),
    }
}

/// The order of two values of one kind.
pub(super) fn order(left: &Operand<'_>, right: &Operand<'_>) -> Option<Ordering> {
    match (left, right) {
        (Operand::Number(left), Operand::Number(right)) => left.partial_cmp(right),
        (Operand::Integer(left), Operand::Integer(right)) => Some(left.cmp(right)),
        (Operand::Integer(left), Operand::Number(right)) => (*left as f64).partial_cmp(right),
        (Operand::Number(left), Operand::Integer(right)) => left.partial_cmp(&(*right as f64)),
        (Operand::Text(left), Operand::Text(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whether a value is a part of another: of a text, of a list, or a name in an object.
fn part(part: &Operand<'_>, whole: &Operand<'_>, rules: Rules) -> Option<bool> {
    match (part, whole) {
        (Operand::Text(part), Operand::Text(whole)) => Some(contains(whole, part)),
        (Operand::Missing, _) => None,
        (Operand::Text(name), Operand::Branch(branch)) if !branch.is_list() => {
            Some(std::str::from_utf8(name).is_ok_and(|name| branch.member(name).is_some()))
        }
        _ => {
            let items = whole.length_of_list()?;
            Some(
                (0..items).any(|at| {
                    whole.item_of_list(at).is_some_and(|item| equal(part, &item, rules) == Some(true))
                }),
            )
        }
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

fn related(left: &Operand<'_>, relation: Relation, right: &Operand<'_>, rules: Rules) -> Result<bool, Fault> {
    let ordered = |holds: fn(Ordering) -> bool| match order(left, right) {
        Some(order) => Ok(holds(order)),
        None if rules == Rules::Python => Err(Fault("values of different kinds have no order")),
        // RFC 9535: `<=` is also `==`.
        None => Ok(rules == Rules::Rfc && holds(Ordering::Equal) && left == right),
    };
    let contained = || match part(left, right, rules) {
        None if rules == Rules::Python => Err(Fault("in looks into a text, a list or an object")),
        known => Ok(known),
    };
    match relation {
        Relation::Equal => Ok(equal(left, right, rules) == Some(true)),
        Relation::Unequal => Ok(equal(left, right, rules) == Some(false)),
        Relation::Less => ordered(Ordering::is_lt),
        Relation::LessOrEqual => ordered(Ordering::is_le),
        Relation::Greater => ordered(Ordering::is_gt),
        Relation::GreaterOrEqual => ordered(Ordering::is_ge),
        Relation::In => Ok(contained()? == Some(true)),
        Relation::NotIn => Ok(contained()? == Some(false)),
    }
}

impl<N> Term<N> {
    /// Its value in an environment.
    ///
    /// # Errors
    /// As [`Condition::judge`].
    pub fn value<'a>(&'a self, env: &'a impl Environment<N>) -> Result<Operand<'a>, Fault> {
        Ok(match self {
            Term::Name(name) => env.value(name),
            Term::Number(number) => Operand::Number(*number),
            Term::Integer(number) => Operand::Integer(*number),
            Term::Text(text) => Operand::Text(Cow::Borrowed(text)),
            Term::Truth(truth) => Operand::Truth(*truth),
            Term::Null => Operand::Null,
            Term::Count(name) => Operand::Integer(env.count(name) as i128),
            Term::Only(name) => env.only(name),
            Term::List(items) => Operand::List(values(items, env)?.into()),
            Term::Chain(first, rest) => {
                let mut value = present(first.value(env)?, env)?;
                for (operator, term) in rest {
                    value = combine(value, *operator, present(term.value(env)?, env)?, env.rules())?;
                }
                value
            }
            Term::Negative(term) => match present(term.value(env)?, env)? {
                Operand::Number(number) => Operand::Number(-number),
                Operand::Integer(number) => number.checked_neg().map_or(Operand::Missing, Operand::Integer),
                _ => return none(env.rules(), "one calculates with numbers"),
            },
            Term::Call(function, arguments) => call::call(*function, &values(arguments, env)?, env.rules())?,
            Term::Item(of, key) => {
                call::item(&present(of.value(env)?, env)?, &present(key.value(env)?, env)?, env.rules())?
            }
            Term::Slice(of, bounds) => call::slice(&present(of.value(env)?, env)?, *bounds, env.rules())?,
            Term::Choice(parts) => {
                let (condition, then, otherwise) = &**parts;
                if condition.judge(env)? { then.value(env)? } else { otherwise.value(env)? }
            }
            Term::Condition(condition) => condition.worth(env)?,
        })
    }
}

impl<N> Condition<N> {
    /// Its value: in Python `a or b` is the first of the two that is true, or the last.
    fn worth<'a>(&'a self, env: &'a impl Environment<N>) -> Result<Operand<'a>, Fault> {
        let (parts, until) = match self {
            Condition::True(term) => return present(term.value(env)?, env),
            Condition::Any(parts) if env.rules() == Rules::Python => (parts, true),
            Condition::All(parts) if env.rules() == Rules::Python => (parts, false),
            _ => return Ok(Operand::Truth(self.judge(env)?)),
        };
        let mut worth = Operand::Missing;
        for part in parts {
            worth = part.worth(env)?;
            if truth(&worth, Rules::Python) == until {
                break;
            }
        }
        Ok(worth)
    }
}

fn values<'a, N>(terms: &'a [Term<N>], env: &'a impl Environment<N>) -> Result<Vec<Operand<'a>>, Fault> {
    terms.iter().map(|term| present(term.value(env)?, env)).collect()
}

/// No value: a fault in Python, missing elsewhere.
pub(super) fn none<'a>(rules: Rules, what: &'static str) -> Result<Operand<'a>, Fault> {
    if rules == Rules::Python { Err(Fault(what)) } else { Ok(Operand::Missing) }
}

fn combine<'a>(
    left: Operand<'a>,
    operator: Operator,
    right: Operand<'a>,
    rules: Rules,
) -> Result<Operand<'a>, Fault> {
    use Operand::{Integer, Number, Text, Truth};
    let value = match (left, right) {
        (Number(left), Number(right)) => float(left, operator, right, rules),
        (Integer(left), Integer(right)) => match whole(left, operator, right) {
            Some(whole) => Some(Integer(whole)),
            None => float(left as f64, operator, right as f64, rules),
        },
        (Integer(left), Number(right)) => float(left as f64, operator, right, rules),
        (Number(left), Integer(right)) => float(left, operator, right as f64, rules),
        (Truth(left), right) if rules == Rules::Python => {
            return combine(Integer(left.into()), operator, right, rules);
        }
        (left, Truth(right)) if rules == Rules::Python => {
            return combine(left, operator, Integer(right.into()), rules);
        }
        (Text(left), Text(right)) if operator == Operator::Plus && rules != Rules::Columns => {
            let joined = [&left[..], &right[..]].concat();
            (joined.len() <= MOST_TEXT).then_some(Text(Cow::Owned(joined)))
        }
        _ => return none(rules, "one calculates with numbers"),
    };
    // Division by zero gives what is not finite, and therefore nothing.
    value.map_or_else(|| none(rules, "the result is no number"), Ok)
}

fn whole(left: i128, operator: Operator, right: i128) -> Option<i128> {
    match operator {
        Operator::Plus => left.checked_add(right),
        Operator::Minus => left.checked_sub(right),
        Operator::Times => left.checked_mul(right),
        Operator::Over => None,
        Operator::Floor => {
            let quotient = left.checked_div(right)?;
            Some(if left % right != 0 && (left < 0) != (right < 0) { quotient - 1 } else { quotient })
        }
        Operator::Remainder => {
            let rest = left.checked_rem(right)?;
            Some(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest })
        }
        Operator::Power => left.checked_pow(u32::try_from(right).ok()?),
        Operator::And => Some(left & right),
        Operator::Or => Some(left | right),
        Operator::Xor => Some(left ^ right),
        Operator::Left => {
            let shift = u32::try_from(right).ok().filter(|shift| *shift < 127)?;
            left.checked_mul(1_i128.checked_shl(shift)?)
        }
        Operator::Right => Some(left >> u32::try_from(right).ok()?.min(127)),
    }
}

fn float<'a>(left: f64, operator: Operator, right: f64, rules: Rules) -> Option<Operand<'a>> {
    let value = match operator {
        Operator::Plus => left + right,
        Operator::Minus => left - right,
        Operator::Times => left * right,
        Operator::Over => left / right,
        Operator::Floor => (left / right).floor(),
        Operator::Remainder if rules == Rules::Columns => left % right,
        Operator::Remainder => left - right * (left / right).floor(),
        Operator::Power => left.powf(right),
        Operator::And | Operator::Or | Operator::Xor | Operator::Left | Operator::Right => return None,
    };
    value.is_finite().then_some(Operand::Number(value))
}
