//! Playbooks as text: Python's INI dialect with `:` alone between key and value and `#` alone before a comment.

use super::PlayError;
use std::collections::HashSet;

/// No command has so many.
const MOST_OPTIONS: usize = 1000;

/// A section with its options in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What stands in the brackets.
    pub name: String,
    /// Keys in small letters, and values with their lines.
    pub options: Vec<(String, String)>,
}

impl Section {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// Reads a playbook.
///
/// # Errors
/// The line that makes no sense.
pub fn parse(text: &str) -> Result<Vec<Section>, PlayError> {
    let mut sections: Vec<Section> = Vec::new();
    let mut names = HashSet::new();
    let mut option: Option<(String, Vec<String>)> = None;
    let mut indent = 0;
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: String| PlayError::Book(format!("line {}: {what}", number + 1));
        let value = line.trim();
        let comment = value.starts_with('#');
        if comment || value.is_empty() {
            // An empty line belongs to the value, a comment does not even separate.
            if let Some((_, lines)) = option.as_mut().filter(|_| !comment) {
                lines.push(String::new());
            }
            continue;
        }
        let depth = line.chars().take_while(|c| c.is_whitespace()).count();
        if let Some((_, lines)) = option.as_mut().filter(|_| depth > indent) {
            lines.push(value.into());
            continue;
        }
        indent = depth;
        finish(&mut sections, &mut option);
        let header = value.strip_prefix('[').and_then(|rest| rest.rfind(']').map(|end| &rest[..end]));
        if let Some(name) = header.filter(|name| !name.is_empty()) {
            if !names.insert(name) {
                return Err(wrong(format!("section {name:?} is there already")));
            }
            sections.push(Section { name: name.into(), options: Vec::new() });
            continue;
        }
        let Some(section) = sections.last() else {
            return Err(wrong(format!("there is no section header before {value:?}")));
        };
        let (key, first) = value.split_once(':').ok_or_else(|| wrong(format!("no `:` in {value:?}")))?;
        let key = key.trim().to_lowercase();
        if key.is_empty() {
            return Err(wrong(format!("no key in {value:?}")));
        }
        if section.options.len() == MOST_OPTIONS {
            return Err(wrong(format!("section {:?} has too many options", section.name)));
        }
        if section.get(&key).is_some() {
            return Err(wrong(format!("option {key:?} of section {:?} is there already", section.name)));
        }
        option = Some((key, vec![first.trim().into()]));
    }
    finish(&mut sections, &mut option);
    Ok(sections)
}

fn finish(sections: &mut [Section], option: &mut Option<(String, Vec<String>)>) {
    if let (Some((key, lines)), Some(section)) = (option.take(), sections.last_mut()) {
        section.options.push((key, lines.join("\n").trim_end().into()));
    }
}

/// The lines of a value of which there may be several: empty ones do not count, and one that ends in `\` goes on.
///
/// # Errors
/// Quotes do not balance, or the last line goes on.
pub fn lines(value: &str) -> Result<Vec<String>, PlayError> {
    let mut found = Vec::new();
    let mut open = String::new();
    let mut quote = None;
    for line in value.lines().filter(|line| !line.is_empty()) {
        let (quote_after, escaped) = ending(line, quote);
        open.push_str(line);
        if escaped {
            open.pop();
            quote = quote_after;
        } else if quote_after.is_some() {
            let quote = if open.contains('\'') && !open.contains('"') { '"' } else { '\'' };
            let whole = open.replace('\\', "\\\\");
            return Err(PlayError::Book(format!("No closing quotation error on line {quote}{whole}{quote}")));
        } else {
            found.push(std::mem::take(&mut open));
            quote = None;
        }
    }
    if open.is_empty() { Ok(found) } else { Err(PlayError::Book("Line continuation end expected".into())) }
}

/// In what a line for a shell ends that begins within a quote, or not: the quote that is open, and whether the line goes on.
fn ending(line: &str, mut quote: Option<char>) -> (Option<char>, bool) {
    let mut escaped = false;
    for c in line.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    (quote, escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_on_while_they_are_indented() {
        let book = "  # a book\n  [a:query]\n  Query: $..x[?(@.y == 'a:b')]\n  environment:\n    A=1\n\n  # note\n    B=2\n  \
                    last :\n[b]\n";
        let sections = parse(book).unwrap();
        assert_eq!(sections.len(), 2);
        assert_eq!(sections[0].get("query"), Some("$..x[?(@.y == 'a:b')]"));
        assert_eq!(sections[0].get("environment"), Some("\nA=1\n\nB=2"));
        assert_eq!(sections[0].get("last"), Some(""));
        assert_eq!(sections[1], Section { name: "b".into(), options: vec![] });
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_line() {
        for (book, words) in [
            ("x: 1", "line 1: there is no section header"),
            ("[a]\nx", "line 2: no `:`"),
            ("[a]\nx: 1\nX: 2", "line 3: option \"x\""),
            ("[a]\n[a]", "line 2: section \"a\""),
        ] {
            assert!(parse(book).unwrap_err().to_string().contains(words), "{book}");
        }
    }

    #[test]
    fn lines_may_go_on_and_quotes_must_balance() {
        assert_eq!(lines("\na \\\nb\n\nc '\\'").unwrap(), ["a b", "c '\\'"]);
        assert!(lines("a \\").is_err() && lines("a 'b").is_err() && lines("a \"b\\\"").is_err());
    }
}
