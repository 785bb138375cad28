//! What was found as text: JSON as Python's `json.dumps` writes it, and values as Python's `str` does.
//!
//! A tree of processes can be deeper than the stack, so both go down by a list of what is open.

use super::super::forest::{Forest, Place, Told};
use crate::{
    sample::node::{Member, Value},
    select::{
        expr::{Operand, float_text},
        jsonpath::Document as _,
    },
    source::procfs::node::NodeId,
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

    /// The name of a field or member; none has anything in it that is written otherwise.
    fn key(self, out: &mut String, name: &str) {
        let quote = if self == Form::Python { '\'' } else { '"' };
        out.push(quote);
        out.push_str(name);
        out.push(quote);
        out.push_str(": ");
    }

    fn null(self, out: &mut String) {
        out.push_str(if self == Form::Python { "None" } else { "null" });
    }

    fn scalar(self, out: &mut String, scalar: &Scalar) {
        match scalar {
            Scalar::Null => self.null(out),
            Scalar::Integer(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Scalar::Real(number) => out.push_str(&float_text(*number)),
            Scalar::Text(text) => self.text(out, text),
        }
    }

    /// A value of a field, whose own lines are so deep.
    fn value(self, out: &mut String, value: &Value, depth: usize) {
        match value {
            Value::Missing(_) => self.null(out),
            Value::Integer(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Value::Large(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Value::Text(text) => self.text(out, text),
            Value::List(numbers) => {
                // Procpath's lists of numbers are tuples; one of a single number ends in a comma.
                let (open, close) = match self {
                    Form::Python => ("(", if numbers.len() == 1 { ",)" } else { ")" }),
                    Form::Json(_) => ("[", "]"),
                };
                out.push_str(open);
                for (at, number) in numbers.iter().enumerate() {
                    self.before(out, at == 0, depth + 1);
                    out.push_str(itoa::Buffer::new().format(*number));
                }
                if !numbers.is_empty() {
                    self.after(out, depth);
                }
                out.push_str(close);
            }
        }
    }

    /// A member with its fields, whose own lines are so deep.
    fn member(self, out: &mut String, forest: &Forest<'_>, (node, member): (NodeId, Member), depth: usize) {
        out.push('{');
        for (at, (name, value)) in forest.fields(node, member, self.told()).enumerate() {
            self.before(out, at == 0, depth + 1);
            self.key(out, name);
            self.value(out, value, depth + 1);
        }
        self.after(out, depth);
        out.push('}');
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
        None => flat(forest, &mut out, place, form, 0),
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

/// What holds nodes; none if nothing does that lies within.
fn open(forest: &Forest<'_>, place: Place, form: Form) -> Option<(&'static str, Open)> {
    let held = |close| Open { held: forest.held(place, form.told()), at: 0, close };
    match place {
        Place::Top | Place::Node(_) => Some(("{", held("}"))),
        Place::Roots | Place::Children(_) => Some(("[", held("]"))),
        Place::Member(..) | Place::Value(..) | Place::Item(..) => None,
    }
}

/// Writes what holds no nodes, on lines so deep.
fn flat(forest: &Forest<'_>, out: &mut String, place: Place, form: Form, depth: usize) {
    match (place, forest.value(place)) {
        (Place::Member(node, member), _) => form.member(out, forest, (node, member), depth),
        (_, Some(value)) => form.value(out, value, depth),
        _ => match forest.scalar(place) {
            Operand::Integer(number) => form.scalar(out, &Scalar::Integer(number)),
            _ => form.null(out),
        },
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
        let depth = stack.len();
        form.before(out, first, depth);
        if let Some(key) = key {
            form.key(out, key);
        }
        match open(forest, place, form) {
            Some((bracket, inner)) => {
                out.push_str(bracket);
                stack.push(inner);
            }
            None => flat(forest, out, place, form, depth),
        }
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
    let mut rest = text;
    // Every character that is written otherwise is one byte.
    while let Some(at) = rest.bytes().position(|b| b < b' ' || b == b'"' || b == b'\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x8 => out.push_str("\\b"),
            0xc => out.push_str("\\f"),
            other => {
                let _ = write!(out, "\\u{other:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
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
