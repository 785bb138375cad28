//! What was found as text: JSON as Python's `json.dumps` writes it, and values as Python's `str` does.
//!
//! A tree of processes can be deeper than the stack, so both go down by a list of what is open.

use super::super::forest::{Forest, Place, Told};
use crate::{
    sample::node::Value,
    select::{
        expr::{Operand, float_text},
        jsonpath::{Document as _, Shape},
    },
};
use std::fmt::Write as _;

/// A value that is neither list nor object.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// None.
    Null,
    /// A whole number.
    Integer(i128),
    /// Any number.
    Real(f64),
    /// Text.
    Text(String),
}

/// The row of a table: names and values in order.
pub type Row = Vec<(String, Scalar)>;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON, on one line or indented.
    Json(Option<u8>),
    /// As Python writes values.
    Python,
}

impl Form {
    fn told(self) -> Told {
        if self == Form::Python { Told::Made } else { Told::Sorted }
    }

    /// What stands before a value: the separator, the line, the blanks.
    fn before(self, out: &mut String, first: bool, depth: usize) {
        match self {
            Form::Json(Some(indent)) => {
                out.push_str(if first { "\n" } else { ",\n" });
                out.extend(std::iter::repeat_n(' ', depth * usize::from(indent)));
            }
            _ if !first => out.push_str(", "),
            _ => {}
        }
    }

    /// What stands before the closing bracket.
    fn after(self, out: &mut String, depth: usize) {
        if let Form::Json(Some(indent)) = self {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', depth * usize::from(indent)));
        }
    }

    fn text(self, out: &mut String, text: &str) {
        if self == Form::Python { python(out, text) } else { json(out, text) }
    }

    fn scalar(self, out: &mut String, scalar: &Scalar) {
        match scalar {
            Scalar::Null => out.push_str(if self == Form::Python { "None" } else { "null" }),
            Scalar::Integer(number) => {
                let _ = write!(out, "{number}");
            }
            Scalar::Real(number) => out.push_str(&float_text(*number)),
            Scalar::Text(text) => self.text(out, text),
        }
    }
}

/// Writes a list of values of the process tree.
pub fn places(forest: &Forest<'_>, places: &[Place], form: Form) -> String {
    let mut out = String::new();
    let held = places.iter().map(|place| (None, *place)).collect();
    write(forest, &mut out, Open { held, at: 0, close: "]" }, "[", form);
    out
}

/// Writes one value of the process tree.
pub fn place(forest: &Forest<'_>, place: Place, form: Form) -> String {
    let mut out = String::new();
    match open(forest, place, form) {
        Some((bracket, inner)) => write(forest, &mut out, inner, bracket, form),
        None => form.scalar(&mut out, &scalar(forest, place)),
    }
    out
}

/// A value as Python's `str` writes it: a text as it is.
pub fn plain(forest: &Forest<'_>, at: Place) -> String {
    match forest.value(at) {
        Some(Value::Text(text)) => text.to_string(),
        _ => place(forest, at, Form::Python),
    }
}

/// A list or object that was begun and is not yet at its end.
struct Open {
    held: Vec<(Option<&'static str>, Place)>,
    at: usize,
    close: &'static str,
}

fn open(forest: &Forest<'_>, place: Place, form: Form) -> Option<(&'static str, Open)> {
    let held = |close| Open { held: forest.held(place, form.told()), at: 0, close };
    match (forest.shape(place), place) {
        (Shape::Scalar, _) => None,
        (Shape::Object, _) => Some(("{", held("}"))),
        // Procpath's lists of numbers are tuples; one of a single number ends in a comma.
        (Shape::List, Place::Value(..)) if form == Form::Python => {
            Some(("(", held(if forest.len(place) == 1 { ",)" } else { ")" })))
        }
        (Shape::List, _) => Some(("[", held("]"))),
    }
}

fn write(forest: &Forest<'_>, out: &mut String, first: Open, bracket: &str, form: Form) {
    out.push_str(bracket);
    let mut stack = vec![first];
    while let Some(top) = stack.last_mut() {
        let Some((key, place)) = top.held.get(top.at).copied() else {
            let (close, empty) = (top.close, top.held.is_empty());
            stack.pop();
            if !empty {
                form.after(out, stack.len());
            }
            out.push_str(close);
            continue;
        };
        let first = top.at == 0;
        top.at += 1;
        form.before(out, first, stack.len());
        if let Some(key) = key {
            form.text(out, key);
            out.push_str(": ");
        }
        match (open(forest, place, form), forest.value(place)) {
            (Some((bracket, inner)), _) => {
                out.push_str(bracket);
                stack.push(inner);
            }
            (None, Some(Value::Text(text))) => form.text(out, text),
            (None, _) => form.scalar(out, &scalar(forest, place)),
        }
    }
}

fn scalar(forest: &Forest<'_>, place: Place) -> Scalar {
    match forest.scalar(place) {
        Operand::Integer(number) => Scalar::Integer(number),
        Operand::Text(text) => Scalar::Text(String::from_utf8_lossy(&text).into_owned()),
        _ => Scalar::Null,
    }
}

/// Writes the rows of a table as a list of objects.
pub fn rows(rows: &[Row], form: Form) -> String {
    let mut out = String::from("[");
    for (number, row) in rows.iter().enumerate() {
        form.before(&mut out, number == 0, 1);
        out.push_str(&self::row(row, form, 1));
    }
    if !rows.is_empty() {
        form.after(&mut out, 0);
    }
    out + "]"
}

/// Writes a row as an object; of columns with one name the last counts.
pub fn row(row: &Row, form: Form, depth: usize) -> String {
    let mut columns: Vec<&(String, Scalar)> = Vec::new();
    for column in row {
        match columns.iter_mut().find(|(name, _)| *name == column.0) {
            Some(other) => *other = column,
            None => columns.push(column),
        }
    }
    if form != Form::Python {
        columns.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    let mut out = String::from("{");
    for (number, (name, value)) in columns.iter().enumerate() {
        form.before(&mut out, number == 0, depth + 1);
        form.text(&mut out, name);
        out.push_str(": ");
        form.scalar(&mut out, value);
    }
    if !columns.is_empty() {
        form.after(&mut out, depth);
    }
    out + "}"
}

/// A string of JSON; what is not ASCII stays.
fn json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A string of Python: in single quotes unless there are some in it and no double ones.
fn python(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        let code = u32::from(c);
        let _ = match c {
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if c == quote => write!(out, "\\{c}"),
            c if code < 0x100 && (c.is_control() || code == 0xa0 || code == 0xad) => {
                write!(out, "\\x{code:02x}")
            }
            c => out.write_char(c),
        };
    }
    out.push(quote);
}
