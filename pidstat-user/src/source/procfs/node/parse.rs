//! Bytes of a procfile to the values of a member, as Procpath reads them.
//!
//! Every parser takes any bytes: a number that is not there is missing, never a zero, and never an error.

use crate::sample::{
    Missing,
    node::{Kind, Member, Value},
};
use std::rc::Rc;

/// A field that should be there and is not: the file was cut off, or an older kernel wrote it.
const ABSENT: Value = Value::Missing(Missing::NotInKernel);

/// Bytes as text; a byte that is not UTF-8 becomes U+FFFD.
pub(super) fn text(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).into())
}

/// A whole number with an optional sign and nothing else.
fn integer(bytes: &[u8]) -> Option<Value> {
    if let Some(number) = digits(bytes) {
        return Some(Value::Integer(number));
    }
    let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    text.parse().map(Value::Integer).or_else(|_| text.parse().map(Value::Large)).ok()
}

/// What nearly all numbers are: some digits, so few that they fit.
fn digits(bytes: &[u8]) -> Option<i64> {
    const FIT: usize = 18;
    if bytes.is_empty() || bytes.len() > FIT {
        return None;
    }
    bytes.iter().try_fold(0, |number: i64, b| b.is_ascii_digit().then(|| number * 10 + i64::from(b - b'0')))
}

fn radix(bytes: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(bytes.trim_ascii()).ok()?, radix).ok()
}

/// One line; the name may hold any bytes, so it ends at the last bracket. All values are missing if the line is not whole
/// up to field 24.
pub(super) fn stat(bytes: &[u8]) -> Rc<[Value]> {
    const FIELDS: usize = 27;
    /// Fields 25 to 41 lie between the two runs that are read.
    const SKIPPED: std::ops::Range<usize> = 21..38;
    let mut values = [const { ABSENT }; FIELDS];
    let mut parse = || -> Option<()> {
        let open = bytes.windows(2).position(|pair| pair == b" (")?;
        let ends = memchr::memrchr_iter(b')', bytes).find(|end| bytes.get(end + 1) == Some(&b' '));
        let close = ends.filter(|close| *close > open + 1)?;
        let mut rest = &bytes[close + 2..];
        let first = [integer(&bytes[..open])?, text(&bytes[open + 2..close]), text(word(&mut rest)?)];
        let mut numbers = [const { ABSENT }; FIELDS - 3];
        let mut found = 0;
        for number in &mut numbers {
            if found == SKIPPED.start {
                SKIPPED.for_each(|_| _ = word(&mut rest));
            }
            let Some(word) = word(&mut rest) else { break };
            *number = integer(word)?;
            found += 1;
        }
        if found >= SKIPPED.start {
            for (value, read) in values.iter_mut().zip(first.into_iter().chain(numbers)) {
                *value = read;
            }
        }
        Some(())
    };
    let _ = parse();
    Rc::new(values)
}

/// Takes the next word off what is left.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = rest.iter().position(|b| !b.is_ascii_whitespace())?;
    let tail = &rest[start..];
    let end = tail.iter().position(u8::is_ascii_whitespace).unwrap_or(tail.len());
    *rest = &tail[end..];
    Some(&tail[..end])
}

/// Arguments joined by blanks, blanks at both ends dropped.
pub(super) fn cmdline(bytes: &[u8]) -> Rc<[Value]> {
    let blank = |b: &u8| matches!(b, 0 | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    let mut joined = bytes[start..end].to_vec();
    joined.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
    Rc::new([text(&joined)])
}

/// Lines `name: number`.
pub(super) fn io(bytes: &[u8]) -> Rc<[Value]> {
    let mut values = vec![ABSENT; Member::Io.width()];
    for (key, value) in lines(bytes) {
        if let Some(at) = place(Member::Io, key) {
            values[at] = integer(value).unwrap_or(ABSENT);
        }
    }
    values.into()
}

/// Lines `Name:\tvalue`. Everything but the name is in small letters, as Procpath has it.
pub(super) fn status(bytes: &[u8]) -> Rc<[Value]> {
    let mut values = vec![ABSENT; Member::Status.width()];
    let mut kernel_thread = true;
    for (number, (key, value)) in lines(bytes).enumerate() {
        let Some(at) = place(Member::Status, key) else { continue };
        let name = Member::Status.fields()[at].name;
        if name == "name" && number > 0 {
            continue;
        }
        kernel_thread &= name != "vmsize";
        values[at] =
            status_value(name, Member::Status.fields()[at].kind, value.trim_ascii()).unwrap_or(ABSENT);
    }
    if kernel_thread {
        // It has no memory of its own, so these lines are not there to be missed.
        for (value, field) in values.iter_mut().zip(Member::Status.fields()) {
            if field.name.starts_with("vm") || field.name.starts_with("rss") {
                *value = Value::Missing(Missing::DoesNotApply);
            }
        }
    }
    values.into()
}

fn status_value(name: &str, kind: Kind, value: &[u8]) -> Option<Value> {
    let numbers = |separator: fn(&u8) -> bool, base| -> Option<Value> {
        let parts = value.split(separator).filter(|part| !part.is_empty());
        parts.map(|part| radix(part, base)).collect::<Option<Box<[u64]>>>().map(Value::List)
    };
    match (name, kind) {
        ("name", _) => Some(text(value)),
        ("state", _) => {
            Some(text(&value.split(u8::is_ascii_whitespace).next().unwrap_or_default().to_ascii_uppercase()))
        }
        ("umask", _) => radix(value, 8).map(Value::unsigned),
        ("cpus_allowed" | "mems_allowed", _) => numbers(|b| *b == b',', 16),
        ("sigq", _) => numbers(|b| *b == b'/', 10),
        (_, Kind::List) => numbers(u8::is_ascii_whitespace, 10),
        (_, Kind::Text) => Some(text(&value.to_ascii_lowercase())),
        ("sigpnd" | "shdpnd" | "sigblk" | "sigign" | "sigcgt", _) => radix(value, 16).map(Value::unsigned),
        (name, _) if name.starts_with("cap") => radix(value, 16).map(Value::unsigned),
        _ => integer(value.split(u8::is_ascii_whitespace).next()?),
    }
}

/// A line of addresses, then lines `Name:  number kB`. Kernel threads have an empty file.
pub(super) fn smaps_rollup(bytes: &[u8]) -> Rc<[Value]> {
    let absent = if bytes.is_empty() { Value::Missing(Missing::DoesNotApply) } else { ABSENT };
    let mut values = vec![absent; Member::SmapsRollup.width()];
    for (key, value) in lines(bytes).skip(1) {
        if let Some(at) = place(Member::SmapsRollup, key) {
            let number = value.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
            values[at] = integer(number).unwrap_or(ABSENT);
        }
    }
    values.into()
}

/// Lines as what stands before the first colon and after it.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|line| {
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        (&line[..colon], line.get(colon + 1..).unwrap_or_default())
    })
}

/// The field that a line is about, whatever the size of its letters.
fn place(member: Member, key: &[u8]) -> Option<usize> {
    member.fields().iter().position(|field| field.name.as_bytes().eq_ignore_ascii_case(key))
}
