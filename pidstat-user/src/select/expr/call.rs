//! Functions and methods: RFC 9535's `length`, and those of Python that calculate and look into texts.

use super::{
    Operand, Rules,
    eval::{ABSENT, Fault, none, order, truth},
};
use std::{borrow::Cow, cmp::Ordering};

/// Bytes that a calculated text may have.
const MOST_TEXT: usize = 1 << 20;

/// A function, or a method of a text or an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// RFC 9535's `length`: characters of a text, values of a list or an object, of anything else nothing.
    Length,
    /// Python's `len`, which is the same but refuses anything else.
    Len,
    /// A number or its text as a whole number.
    Int,
    /// A number or its text as a number.
    Float,
    /// A value as text.
    Str,
    /// Whether a value counts as true.
    Bool,
    /// A number without its sign.
    Abs,
    /// The smallest of a list or of the arguments.
    Min,
    /// The largest.
    Max,
    /// The sum of a list.
    Sum,
    /// Whether any of a list counts as true.
    Any,
    /// Whether all do.
    All,
    /// A list in order.
    Sorted,
    /// In small letters.
    Lower,
    /// In capital letters.
    Upper,
    /// Whether it begins so.
    StartsWith,
    /// Whether it ends so.
    EndsWith,
    /// Without blanks, or the given characters, at both ends.
    Strip,
    /// At the beginning.
    LStrip,
    /// At the end.
    RStrip,
    /// The parts between separators, or between blanks.
    Split,
    /// Where a part begins, -1 if nowhere.
    Find,
    /// How often a part is in it.
    Count,
    /// With a part replaced by another.
    Replace,
    /// Whether it is made of digits.
    IsDigit,
    /// The value of a name in an object, or the second argument, or nothing.
    Get,
    /// The names in an object.
    Keys,
    /// The values of an object.
    Values,
}

/// A function's name, and how many arguments it takes.
type Signature = (&'static str, Function, std::ops::RangeInclusive<usize>);

/// What stands alone.
pub(super) const FUNCTIONS: [Signature; 12] = [
    ("len", Function::Len, 1..=1),
    ("int", Function::Int, 1..=1),
    ("float", Function::Float, 1..=1),
    ("str", Function::Str, 1..=1),
    ("bool", Function::Bool, 1..=1),
    ("abs", Function::Abs, 1..=1),
    ("min", Function::Min, 1..=64),
    ("max", Function::Max, 1..=64),
    ("sum", Function::Sum, 1..=1),
    ("any", Function::Any, 1..=1),
    ("all", Function::All, 1..=1),
    ("sorted", Function::Sorted, 1..=1),
];

/// What stands behind a dot; what it is called on is an argument too.
pub(super) const METHODS: [Signature; 15] = [
    ("lower", Function::Lower, 1..=1),
    ("upper", Function::Upper, 1..=1),
    ("startswith", Function::StartsWith, 2..=2),
    ("endswith", Function::EndsWith, 2..=2),
    ("strip", Function::Strip, 1..=2),
    ("lstrip", Function::LStrip, 1..=2),
    ("rstrip", Function::RStrip, 1..=2),
    ("split", Function::Split, 1..=2),
    ("find", Function::Find, 2..=2),
    ("count", Function::Count, 2..=2),
    ("replace", Function::Replace, 3..=3),
    ("isdigit", Function::IsDigit, 1..=1),
    ("get", Function::Get, 2..=3),
    ("keys", Function::Keys, 1..=1),
    ("values", Function::Values, 1..=1),
];

/// What a function makes of its arguments, whose number was checked.
pub(super) fn call<'a>(
    function: Function,
    arguments: &[Operand<'a>],
    rules: Rules,
) -> Result<Operand<'a>, Fault> {
    let first = &arguments[0];
    match function {
        Function::Length => Ok(length(first).map_or(Operand::Missing, |n| Operand::Integer(n as i128))),
        Function::Len => match length(first) {
            Some(length) => Ok(Operand::Integer(length as i128)),
            None => none(rules, "len() counts a text, a list or an object"),
        },
        Function::Int | Function::Float => number(function, first, rules),
        Function::Str => Ok(match first {
            Operand::Text(_) => first.clone(),
            Operand::Integer(number) => owned(number.to_string()),
            Operand::Number(number) => owned(float_text(*number)),
            Operand::Truth(truth) => Operand::text(if *truth { "True" } else { "False" }),
            Operand::Null => Operand::text("None"),
            _ => return none(rules, "str() writes numbers and texts"),
        }),
        Function::Bool => Ok(Operand::Truth(truth(first, Rules::Python))),
        Function::Abs => match first {
            Operand::Integer(number) => Ok(Operand::Integer(number.saturating_abs())),
            Operand::Number(number) => Ok(Operand::Number(number.abs())),
            _ => none(rules, "abs() takes a number"),
        },
        Function::Min | Function::Max => extreme(function, arguments, rules),
        Function::Sum | Function::Any | Function::All | Function::Sorted => fold(function, first, rules),
        Function::Get | Function::Keys | Function::Values => object(function, arguments, rules),
        _ => text(function, arguments, rules),
    }
}

fn owned<'a>(text: String) -> Operand<'a> {
    Operand::Text(Cow::Owned(text.into_bytes()))
}

fn length(value: &Operand<'_>) -> Option<usize> {
    match value {
        Operand::Text(text) => Some(String::from_utf8_lossy(text).chars().count()),
        Operand::Branch(branch) => Some(branch.len()),
        _ => value.length_of_list(),
    }
}

fn number<'a>(function: Function, value: &Operand<'a>, rules: Rules) -> Result<Operand<'a>, Fault> {
    let value = match value {
        Operand::Truth(truth) => Some(Operand::Integer((*truth).into())),
        Operand::Integer(_) | Operand::Number(_) => Some(value.clone()),
        Operand::Text(text) => std::str::from_utf8(text).ok().map(str::trim).and_then(|text| {
            let whole = text.parse().ok().map(Operand::Integer);
            whole.or_else(|| {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.filter(|_| function == Function::Float).map(Operand::Number)
            })
        }),
        _ => None,
    };
    match (function, value) {
        (Function::Int, Some(Operand::Number(number))) => Ok(Operand::Integer(number as i128)),
        (Function::Float, Some(Operand::Integer(number))) => Ok(Operand::Number(number as f64)),
        (_, Some(value)) => Ok(value),
        (_, None) => none(rules, "this is no number"),
    }
}

fn items<'a>(value: &Operand<'a>) -> Option<Vec<Operand<'a>>> {
    let length = value.length_of_list()?;
    Some((0..length).filter_map(|at| value.item_of_list(at)).collect())
}

fn extreme<'a>(function: Function, arguments: &[Operand<'a>], rules: Rules) -> Result<Operand<'a>, Fault> {
    const WHAT: &str = "min() and max() compare values of one kind";
    let listed;
    let values = match arguments {
        [one] => match items(one) {
            Some(items) => {
                listed = items;
                &listed[..]
            }
            None => return none(rules, WHAT),
        },
        several => several,
    };
    let Some(mut best) = values.first() else { return none(rules, "an empty list has no largest value") };
    let wanted = if function == Function::Max { Ordering::Greater } else { Ordering::Less };
    for value in &values[1..] {
        match order(value, best) {
            Some(order) if order == wanted => best = value,
            Some(_) => {}
            None => return none(rules, WHAT),
        }
    }
    Ok(best.clone())
}

fn fold<'a>(function: Function, list: &Operand<'a>, rules: Rules) -> Result<Operand<'a>, Fault> {
    let Some(mut items) = items(list) else { return none(rules, "this is no list") };
    Ok(match function {
        Function::Any => Operand::Truth(items.iter().any(|item| truth(item, Rules::Python))),
        Function::All => Operand::Truth(items.iter().all(|item| truth(item, Rules::Python))),
        Function::Sum => {
            let mut whole = Some(0_i128);
            let mut sum = 0.0;
            for item in &items {
                match item {
                    Operand::Integer(number) => {
                        whole = whole.and_then(|sum| sum.checked_add(*number));
                        sum += *number as f64;
                    }
                    Operand::Number(number) => {
                        whole = None;
                        sum += number;
                    }
                    _ => return none(rules, "sum() adds numbers"),
                }
            }
            whole.map_or_else(|| Operand::number(sum), Operand::Integer)
        }
        _ => {
            if items.iter().zip(items.iter().skip(1)).any(|(a, b)| order(a, b).is_none()) {
                return none(rules, "values of different kinds have no order");
            }
            items.sort_by(|a, b| order(a, b).unwrap_or(Ordering::Equal));
            Operand::List(items.into())
        }
    })
}

fn object<'a>(function: Function, arguments: &[Operand<'a>], rules: Rules) -> Result<Operand<'a>, Fault> {
    let Operand::Branch(branch) = &arguments[0] else { return none(rules, "this is no object") };
    if branch.is_list() {
        return none(rules, "a list has no names");
    }
    let all = || (0..branch.len()).filter_map(|at| branch.item(at));
    Ok(match function {
        Function::Keys => {
            Operand::List(all().filter_map(|(name, _)| name).map(|n| owned(n.into())).collect())
        }
        Function::Values => Operand::List(all().map(|(_, value)| value).collect()),
        _ => {
            let name = match &arguments[1] {
                Operand::Text(name) => std::str::from_utf8(name).ok(),
                _ => None,
            };
            let value = name.and_then(|name| branch.member(name));
            value.unwrap_or_else(|| arguments.get(2).cloned().unwrap_or(Operand::Null))
        }
    })
}

fn text<'a>(function: Function, arguments: &[Operand<'a>], rules: Rules) -> Result<Operand<'a>, Fault> {
    const WHAT: &str = "this is no text";
    let mut texts: [Option<Cow<'_, str>>; 3] = [const { None }; 3];
    for (slot, argument) in texts.iter_mut().zip(arguments) {
        let Operand::Text(text) = argument else { return none(rules, WHAT) };
        *slot = Some(String::from_utf8_lossy(text));
    }
    let [Some(whole), part, other] = &texts else { return none(rules, WHAT) };
    let part_or = part.as_deref().unwrap_or_default();
    let chosen = |c: char| match part {
        Some(set) => set.contains(c),
        None => c.is_whitespace(),
    };
    Ok(match function {
        Function::Lower => owned(whole.to_lowercase()),
        Function::Upper => owned(whole.to_uppercase()),
        Function::StartsWith => Operand::Truth(whole.starts_with(part_or)),
        Function::EndsWith => Operand::Truth(whole.ends_with(part_or)),
        Function::Strip => owned(whole.trim_matches(chosen).into()),
        Function::LStrip => owned(whole.trim_start_matches(chosen).into()),
        Function::RStrip => owned(whole.trim_end_matches(chosen).into()),
        Function::IsDigit => Operand::Truth(!whole.is_empty() && whole.chars().all(|c| c.is_ascii_digit())),
        Function::Split => match part.as_deref() {
            None => Operand::List(whole.split_whitespace().map(|part| owned(part.into())).collect()),
            Some("") => return none(rules, "an empty text separates nothing"),
            Some(part) => Operand::List(whole.split(part).map(|part| owned(part.into())).collect()),
        },
        Function::Find => {
            let at = whole.find(part_or).map(|at| whole[..at].chars().count());
            Operand::Integer(at.map_or(-1, |at| at as i128))
        }
        Function::Count if part_or.is_empty() => Operand::Integer(whole.chars().count() as i128 + 1),
        Function::Count => Operand::Integer(whole.matches(part_or).count() as i128),
        _ => {
            let with = other.as_deref().unwrap_or_default();
            // Every character may be one to replace, and there is a place before each and at the end.
            let most = (whole.len() + 1).saturating_mul(with.len()).saturating_add(whole.len());
            if most > MOST_TEXT {
                return none(rules, "the text is too long");
            }
            owned(whole.replace(part_or, with))
        }
    })
}

/// `value[key]`.
pub(super) fn item<'a>(value: &Operand<'a>, key: &Operand<'a>, rules: Rules) -> Result<Operand<'a>, Fault> {
    let found = match (value, key) {
        (Operand::Branch(branch), Operand::Text(name)) if !branch.is_list() => {
            std::str::from_utf8(name).ok().and_then(|name| branch.member(name))
        }
        (Operand::Text(text), Operand::Integer(at)) => {
            let text = String::from_utf8_lossy(text);
            let at = place(*at, text.chars().count());
            at.and_then(|at| text.chars().nth(at)).map(|c| owned(c.into()))
        }
        (list, Operand::Integer(at)) => {
            let at = list.length_of_list().and_then(|length| place(*at, length));
            at.and_then(|at| list.item_of_list(at))
        }
        _ => None,
    };
    match found {
        Some(found) => Ok(found),
        None if rules == Rules::Python => Err(ABSENT),
        None => Ok(Operand::Missing),
    }
}

/// A place counted from the beginning, or, below 0, from the end.
fn place(at: i128, length: usize) -> Option<usize> {
    let at = if at < 0 { at.checked_add(length as i128)? } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// `value[from:to:step]`.
pub(super) fn slice<'a>(
    value: &Operand<'a>,
    bounds: [Option<i64>; 3],
    rules: Rules,
) -> Result<Operand<'a>, Fault> {
    if let Operand::Text(text) = value {
        let text: Vec<char> = String::from_utf8_lossy(text).chars().collect();
        return Ok(owned(places(bounds, text.len()).map(|at| text[at]).collect()));
    }
    let Some(length) = value.length_of_list() else { return none(rules, "a slice is of a text or a list") };
    Ok(Operand::List(places(bounds, length).filter_map(|at| value.item_of_list(at)).collect()))
}

/// The places that `[from:to:step]` selects of so many, in its order. A step of 0 selects none.
pub fn places([from, to, step]: [Option<i64>; 3], length: usize) -> impl Iterator<Item = usize> {
    let step = step.unwrap_or(1);
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let normal = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let (from, to) = if step < 0 {
        let from = from.map_or(length - 1, normal).clamp(-1, length - 1);
        (from, to.map_or(-1, |to| normal(to).clamp(-1, length - 1)))
    } else {
        let from = from.map_or(0, normal).clamp(0, length);
        (from, to.map_or(length, |to| normal(to).clamp(0, length)))
    };
    let mut at = from;
    std::iter::from_fn(move || {
        let more = match step.cmp(&0) {
            Ordering::Greater => at < to,
            Ordering::Less => at > to,
            Ordering::Equal => false,
        };
        let here = usize::try_from(at).ok().filter(|_| more)?;
        at = at.saturating_add(step);
        Some(here)
    })
}

/// A number as Python writes it: `1.0`, `0.1`, `1e+16`, `1e-05`.
pub fn float_text(number: f64) -> String {
    if number != 0.0 && !(1e-4..1e16).contains(&number.abs()) && number.is_finite() {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    match number {
        _ if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => format!("{number:?}"),
    }
}
