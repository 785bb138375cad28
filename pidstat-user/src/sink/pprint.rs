//! Python's `pprint`: the same text as `pprint.pprint(value)` of Python 3, 80 columns wide.

use crate::sample::Tree;
use std::borrow::Cow;

/// Columns of a line.
const WIDTH: usize = 80;

/// Appends a value and a line end.
pub fn pprint(value: &Tree, out: &mut Vec<u8>) {
    let mut text = String::new();
    put(value, 0, 0, 1, &mut text);
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// Writes a value that begins at column `indent` and is followed by `allowance` more characters on its last line.
/// `level` counts from 1 how deep it is.
fn put(value: &Tree, indent: usize, allowance: usize, level: u32, out: &mut String) {
    let start = out.len();
    let fits = WIDTH.saturating_sub(indent + allowance);
    if repr(value, fits, start, out) {
        return;
    }
    out.truncate(start);
    match value {
        Tree::Record(fields) => {
            out.push('{');
            let fields = sorted(fields);
            for (number, (name, value)) in fields.iter().enumerate() {
                let last = number + 1 == fields.len();
                separate(number, indent + 1, out);
                let before = out.len();
                quote(name, out);
                let inner = indent + 1 + width(&out[before..]) + 2;
                out.push_str(": ");
                put(value, inner, if last { allowance + 1 } else { 1 }, level + 1, out);
            }
            out.push('}');
        }
        Tree::List(values) => {
            out.push('[');
            for (number, value) in values.iter().enumerate() {
                let last = number + 1 == values.len();
                separate(number, indent + 1, out);
                put(value, indent + 1, if last { allowance + 1 } else { 1 }, level + 1, out);
            }
            out.push(']');
        }
        Tree::Text(text) if !text.is_empty() => fold(text, indent, allowance, level == 1, out),
        _ => {
            repr(value, usize::MAX, start, out);
        }
    }
}

fn separate(number: usize, indent: usize, out: &mut String) {
    if number > 0 {
        out.push_str(",\n");
        out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// A text that is too long for its line becomes several, split behind line ends and blanks; at the top level in brackets.
fn fold(text: &str, mut indent: usize, mut allowance: usize, top: bool, out: &mut String) {
    if top {
        indent += 1;
        allowance += 1;
    }
    let room = WIDTH.saturating_sub(indent);
    let lines: Vec<&str> = lines(text).collect();
    let mut pieces: Vec<Cow<'_, str>> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let last_line = number + 1 == lines.len();
        let most = if last_line { room.saturating_sub(allowance) } else { room };
        if quoted_width(line) <= most {
            pieces.push((*line).into());
            continue;
        }
        let words: Vec<&str> = words(line).collect();
        let mut current = 0..0;
        for (number, word) in words.iter().enumerate() {
            let last = last_line && number + 1 == words.len();
            let most = if last { room.saturating_sub(allowance) } else { room };
            let end = current.end + word.len();
            if quoted_width(&line[current.start..end]) > most && !current.is_empty() {
                pieces.push(line[current.clone()].into());
                current = current.end..end;
            } else {
                current = current.start..end;
            }
        }
        if !current.is_empty() {
            pieces.push(line[current].into());
        }
    }
    let brackets = top && pieces.len() != 1;
    if brackets {
        out.push('(');
    }
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
        }
        quote(piece, out);
    }
    if brackets {
        out.push(')');
    }
}

/// Writes a value in one line; stops and says false once it is wider than `most`.
fn repr(value: &Tree, most: usize, start: usize, out: &mut String) -> bool {
    match value {
        Tree::Nothing => out.push_str("None"),
        Tree::Truth(truth) => out.push_str(if *truth { "True" } else { "False" }),
        Tree::Signed(number) => out.push_str(&number.to_string()),
        Tree::Count(number) => out.push_str(&number.to_string()),
        Tree::Text(text) => quote(text, out),
        Tree::List(values) => {
            out.push('[');
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    out.push_str(", ");
                }
                if !repr(value, most, start, out) {
                    return false;
                }
            }
            out.push(']');
        }
        Tree::Record(fields) => {
            out.push('{');
            // Sorting what is then given up would make deep trees slow; a longer one never fits.
            if most < usize::MAX && fields.len() > most {
                return false;
            }
            for (number, (name, value)) in sorted(fields).into_iter().enumerate() {
                if number > 0 {
                    out.push_str(", ");
                }
                quote(name, out);
                out.push_str(": ");
                if !repr(value, most, start, out) {
                    return false;
                }
            }
            out.push('}');
        }
    }
    // Four bytes a character at most, so a short text need not be counted.
    out.len() - start <= most || width(&out[start..]) <= most
}

fn sorted<N: AsRef<str>>(fields: &[(N, Tree)]) -> Vec<(&str, &Tree)> {
    let mut fields: Vec<(&str, &Tree)> = fields.iter().map(|(name, value)| (name.as_ref(), value)).collect();
    fields.sort_by_key(|(name, _)| *name);
    fields
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn quoted_width(text: &str) -> usize {
    let mut quoted = String::new();
    quote(text, &mut quoted);
    width(&quoted)
}

/// Python's `repr` of a text: double quotes only where it has single ones and no double ones.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == mark => out.extend(['\\', c]),
            c if printable(c) => out.push(c),
            c => out.push_str(&match u32::from(c) {
                code @ 0..=0xff => format!("\\x{code:02x}"),
                code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(mark);
}

/// What neither Python nor Rust escapes: both go by the same categories of Unicode. Rust also escapes marks that combine
/// with the character before, but only at the start of a text.
fn printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let mut pair = [b' '; 5];
    let length = c.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..=length]).unwrap_or_default();
    pair.escape_debug().count() == 2
}

/// Lines with their ends, as `str.splitlines(True)` makes them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    const ENDS: [char; 10] =
        ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = match rest.find(ENDS) {
            Some(at) if rest[at..].starts_with("\r\n") => at + 2,
            Some(at) => at + rest[at..].chars().next().map_or(1, char::len_utf8),
            None => rest.len(),
        };
        let (line, after) = rest.split_at(end);
        rest = after;
        Some(line)
    })
}

/// Words, each with the blanks behind it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let blank = |c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}');
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word = rest.find(blank).unwrap_or(rest.len());
        let end = rest[word..].find(|c| !blank(c)).map_or(rest.len(), |blanks| word + blanks);
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &Tree) -> String {
        let mut out = Vec::new();
        pprint(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn short_values_stay_on_their_line_and_keys_are_sorted() {
        let sizes = [("size", 8074), ("resident", 1696), ("shared", 562), ("text", 1), ("data", 1086u32)];
        let statm = Tree::record(sizes.map(|(name, pages)| (name, pages.into())));
        assert_eq!(
            shown(&statm),
            "{'data': 1086, 'resident': 1696, 'shared': 562, 'size': 8074, 'text': 1}\n"
        );
    }

    #[test]
    fn long_ones_break_where_python_breaks_them() {
        let about =
            Tree::record([("fstype", "fuse.gvfsd-fuse".into()), ("path", "/var/run/user/1001/gvfs".into())]);
        let mounts = Tree::List(vec![Tree::record([("gvfsd-fuse", about)])]);
        let expected = "[{'gvfsd-fuse': {'fstype': 'fuse.gvfsd-fuse',\n                 'path': '/var/run/user/1001/gvfs'}}]\n";
        assert_eq!(shown(&mounts), expected);
    }

    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        for (text, quoted) in [
            ("it's", "\"it's\""),
            ("\"it's\"", "'\"it\\'s\"'"),
            ("\u{7f}\u{a0}\u{fffd}\u{200b}é", "'\\x7f\\xa0\u{fffd}\\u200bé'"),
            ("a\u{301}\u{1f600}\u{e0001}", "'a\u{301}\u{1f600}\\U000e0001'"),
        ] {
            assert_eq!(shown(&text.into()), format!("{quoted}\n"));
        }
    }
}
