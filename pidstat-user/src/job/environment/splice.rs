//! Variables as values: in a query, in SQL and in a command their text stands for itself and is no part of the language.

use super::{Variables, identifier};

/// Where a text is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Query,
    Sql,
}

impl Variables {
    /// Puts the variables into a query. Numbers, with commas and blanks between them, stand as they are, so that `in [$LIST]`
    /// works; any other text becomes a string, or a part of the string in which it stands.
    pub fn in_query(&self, text: &str) -> String {
        self.values_in(text, Language::Query)
    }

    /// The same for SQL.
    pub fn in_sql(&self, text: &str) -> String {
        self.values_in(text, Language::Sql)
    }

    /// Puts the variables into a command for a shell. What a shell could take for more than a word stays `$NAME`; the
    /// shell finds it in its environment, where it is a value.
    pub fn in_command(&self, text: &str) -> String {
        self.replace(text, |name, value, out| {
            let safe = |c: char| c.is_ascii_alphanumeric() || "_-.,:/@%+=".contains(c);
            if value.chars().all(safe) {
                out.push_str(value);
            } else {
                out.push_str(&format!("${{{name}}}"));
            }
        })
    }

    /// Every variable and its value.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a variable, or gives it another value.
    pub fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.into(), value));
    }

    fn values_in(&self, text: &str, language: Language) -> String {
        let mut quote = None;
        self.replace_within(
            text,
            |before, escaped| {
                for c in before.chars() {
                    match (quote, c) {
                        _ if *escaped => *escaped = false,
                        (Some(_), '\\') if language == Language::Query => *escaped = true,
                        (Some(open), c) if c == open => quote = None,
                        (None, '\'' | '"') => quote = Some(c),
                        _ => {}
                    }
                }
                quote
            },
            |quote, value, out| {
                let number = |c: char| c.is_ascii_digit() || matches!(c, ',' | ' ' | '.' | '-');
                let bare = value.chars().all(number) && value.contains(|c: char| c.is_ascii_digit());
                if quote.is_none() && bare {
                    // Two minus signs begin a comment in SQL.
                    out.push_str(&value.replace("--", "- -"));
                    return;
                }
                let around = quote.unwrap_or('\'');
                if quote.is_none() {
                    out.push(around);
                }
                for c in value.chars() {
                    match (language, c) {
                        (Language::Sql, c) if c == around => out.extend([c, c]),
                        (Language::Sql, '\0') => {}
                        (Language::Query, c) if c == around || c == '\\' || c.is_control() => {
                            out.push_str(&format!("\\u{:04x}", u32::from(c)));
                        }
                        (_, c) => out.push(c),
                    }
                }
                if quote.is_none() {
                    out.push(around);
                }
            },
        )
    }

    fn replace(&self, text: &str, mut put: impl FnMut(&str, &str, &mut String)) -> String {
        self.walk(text, |_| (), |(), name, value, out| put(name, value, out))
    }

    fn replace_within(
        &self,
        text: &str,
        mut pass: impl FnMut(&str, &mut bool) -> Option<char>,
        mut put: impl FnMut(Option<char>, &str, &mut String),
    ) -> String {
        let mut escaped = false;
        self.walk(text, |before| pass(before, &mut escaped), |quote, _, value, out| put(quote, value, out))
    }

    /// Goes through a text: `pass` sees what stands between variables, `put` writes a variable; `$$` is a `$`, and unknown
    /// names stay. Without variables nothing is replaced.
    pub(super) fn walk<S>(
        &self,
        text: &str,
        mut pass: impl FnMut(&str) -> S,
        mut put: impl FnMut(S, &str, &str, &mut String),
    ) -> String {
        if self.is_empty() {
            return text.into();
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let state = pass(&rest[..at]);
            filled.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, length) = match after.strip_prefix('{') {
                Some(inner) => match inner.split_once('}') {
                    Some((name, _)) => (name, name.len() + 3),
                    None => ("", 1),
                },
                None => (identifier(after), identifier(after).len() + 1),
            };
            if after.starts_with('$') {
                pass("$");
                filled.push('$');
                rest = &rest[at + 2..];
                continue;
            }
            match self.get(name) {
                Some(value) => put(state, name, value, &mut filled),
                None => {
                    pass(&rest[at..at + length]);
                    filled.push_str(&rest[at..at + length]);
                }
            }
            rest = &rest[at + length..];
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        for (name, value) in [
            ("PID", "42"),
            ("LIST", "1, 2,"),
            ("NAME", "it's \\ \"x\" $PID"),
            ("EVIL", "1] or __import__('os')"),
            ("EMPTY", ""),
        ] {
            variables.set(name, value.into());
        }
        variables
    }

    #[test]
    fn in_a_query_they_are_values() {
        for (text, filled) in [
            ("$..children[?(@.stat.pid in [$PID, ${LIST}])]", "$..children[?(@.stat.pid in [42, 1, 2,])]"),
            ("?(@.stat.comm == $NAME)", r#"?(@.stat.comm == 'it\u0027s \u005c "x" $PID')"#),
            ("'a\\'$NAME'", r#"'a\'it\u0027s \u005c "x" $PID'"#),
            ("\"$NAME\"", r#""it's \u005c \u0022x\u0022 $PID""#),
            ("[$EVIL]", "['1] or __import__(\\u0027os\\u0027)']"),
            ("[$EMPTY] $$..x $unknown", "[''] $..x $unknown"),
        ] {
            assert_eq!(variables().in_query(text), filled);
        }
    }

    #[test]
    fn in_sql_they_are_values() {
        for (text, filled) in [
            ("stat_pid IN ($LIST)", "stat_pid IN (1, 2,)"),
            ("stat_comm = $NAME", "stat_comm = 'it''s \\ \"x\" $PID'"),
            ("stat_comm LIKE '%$NAME%'", "stat_comm LIKE '%it''s \\ \"x\" $PID%'"),
        ] {
            assert_eq!(variables().in_sql(text), filled);
        }
        let mut minus = Variables::default();
        minus.set("A", "1--2".into());
        assert_eq!(minus.in_sql("$A"), "1- -2");
    }

    #[test]
    fn in_a_command_only_words_are_put_in() {
        let filled = variables().in_command("top -p $PID '$NAME' $$PPID ${EVIL}");
        assert_eq!(filled, "top -p 42 '${NAME}' $PPID ${EVIL}");
    }
}
