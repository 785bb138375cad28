//! Patterns for names as shells have them.

use regex::Regex;

/// A pattern of `*`, `?`, `[abc]` and `[!a-z]` for whole names. What is malformed stands for itself, and a range that runs
/// backwards matches nothing, as in a shell.
pub fn glob(pattern: &str) -> Regex {
    let mut regex = String::from("^(?s:");
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let set = (c == '[').then(|| set(after)).flatten();
        rest = after;
        match (c, set) {
            ('*', _) => regex.push_str(".*"),
            ('?', _) => regex.push('.'),
            (_, Some((inside, behind))) => {
                let (not, inside) = inside.strip_prefix('!').map_or(("", inside), |inside| ("^", inside));
                regex.push('[');
                regex.push_str(not);
                for c in inside.chars() {
                    if c.is_ascii_punctuation() && c != '-' {
                        regex.push('\\');
                    }
                    regex.push(c);
                }
                regex.push(']');
                rest = behind;
            }
            _ => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str(")$");
    Regex::new(&regex).unwrap_or_else(|_| Regex::new("[^\\s\\S]").expect("a set of nothing"))
}

/// What stands in brackets, and what behind them; a `]` that stands first is one of the set.
fn set(after: &str) -> Option<(&str, &str)> {
    let first = usize::from(after.starts_with('!'));
    let skip = first + usize::from(after[first..].starts_with(']'));
    let end = after[skip..].find(']')? + skip;
    Some((&after[..end], &after[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns_are_a_shells() {
        for (pattern, yes, no) in [
            ("[0-9]*", "17", "x7"),
            ("1?", "17", "117"),
            ("[!1]7", "27", "17"),
            ("[]1]", "]", "2"),
            ("[]x]", "x", "y"),
            ("[!]x]", "y", "]"),
            ("[1", "[1", "1"),
            ("1.2", "1.2", "112"),
            ("a\\d", "a\\d", "a1"),
            ("[\\d]", "d", "1"),
            ("*", "a:query", "never"),
            ("a:*", "a:query", "A:query"),
            ("a?q*", "a:query", "aquery"),
            ("[a-c]:query", "b:query", "d:query"),
            ("query", "query", "a:query"),
        ] {
            assert!(glob(pattern).is_match(yes), "{pattern}");
            assert!(pattern == "*" || !glob(pattern).is_match(no), "{pattern}");
        }
        assert!(!glob("[9-1]").is_match("5"));
    }
}
