//! Takes a Rust file apart: code without comments, literals and tests, and the string literals by themselves.

/// A file's code, as far as the rules look at it.
pub struct Code {
    /// The text with comments, literals and `#[cfg(test)]` items blanked; lines stay where they are.
    pub product: String,
    /// The same, tests kept.
    pub all: String,
    /// String literals of the product's code: line from 1, and what stands between the quotes.
    pub strings: Vec<(usize, String)>,
}

impl Code {
    /// Reads a file; one that is not Rust gives something, never an endless loop or a panic.
    pub fn new(text: &str) -> Self {
        let mut reader = Reader { rest: text, all: String::with_capacity(text.len()), strings: Vec::new() };
        while reader.step() {}
        let Reader { all, strings, .. } = reader;
        let mut product = all.clone();
        while let Some(at) = product.find("#[cfg(test)]") {
            let end = item_end(&product, at);
            let blank = blanked(&product[at..end]);
            product.replace_range(at..end, &blank);
        }
        let in_product = |at: usize| !product[at..].starts_with(' ');
        let line = |at: usize| 1 + all[..at].matches('\n').count();
        // The opening quote is kept in `all`, so a blank in its place says that a test was taken out around it.
        let strings =
            strings.into_iter().filter(|(at, _)| in_product(*at)).map(|(at, s)| (line(at), s)).collect();
        Self { product, all, strings }
    }
}

/// Lines and their numbers from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

struct Reader<'a> {
    rest: &'a str,
    all: String,
    strings: Vec<(usize, String)>,
}

impl Reader<'_> {
    /// Moves one token on; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.blank(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.blank(block_comment(self.rest));
        } else if let Some(hashes) = raw_string(self.rest) {
            let open = self.rest.find('"').unwrap_or(0);
            let close = format!("\"{}", "#".repeat(hashes));
            let body = &self.rest[open + 1..];
            let len = body.find(&close).unwrap_or(body.len());
            self.keep(open);
            self.string(len, close.len());
        } else if first == '"' {
            let len = escaped(&self.rest[1..], '"');
            self.string(len, 1);
        } else if let Some(len) = char_literal(self.rest) {
            self.blank(len);
        } else if first.is_alphanumeric() || first == '_' {
            let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
            self.keep(end);
        } else {
            self.keep(first.len_utf8());
        }
        true
    }

    fn keep(&mut self, len: usize) {
        self.all.push_str(&self.rest[..len]);
        self.rest = &self.rest[len..];
    }

    fn blank(&mut self, len: usize) {
        self.all.push_str(&blanked(&self.rest[..len]));
        self.rest = &self.rest[len..];
    }

    /// A literal whose opening quote comes next: `len` bytes of text, then `close` bytes that end it.
    fn string(&mut self, len: usize, close: usize) {
        self.strings.push((self.all.len(), self.rest[1..=len].to_owned()));
        self.keep(1);
        self.blank(len);
        self.blank(close.min(self.rest.len()));
    }
}

fn blanked(text: &str) -> String {
    text.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect()
}

/// The length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The number of hashes of a raw string that starts here (`r"`, `br##"`, …).
fn raw_string(text: &str) -> Option<usize> {
    let after =
        text.strip_prefix("br").or_else(|| text.strip_prefix("cr")).or_else(|| text.strip_prefix('r'))?;
    let rest = after.trim_start_matches('#');
    rest.starts_with('"').then_some(after.len() - rest.len())
}

/// The length up to a quote that no backslash escapes.
fn escaped(text: &str, quote: char) -> usize {
    let mut escape = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escape => escape = false,
            '\\' => escape = true,
            _ if c == quote => return at,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal that starts here; a lifetime is none.
fn char_literal(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let first = body.chars().next()?;
    if first == '\\' {
        return Some((escaped(body, '\'') + 2).min(text.len()));
    }
    body[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// Where the item that an attribute belongs to ends: at its closing brace, or at its semicolon if that comes first.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[from..].char_indices().skip_while(|(_, c)| *c != ']') {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return from + at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return from + at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn comments_literals_and_tests_are_taken_out_and_lines_stay() {
        let text = "let a = \"x // y\"; // \"no\"\n/* /* in */ b */ let c = r#\"q\"z\"#;\nlet d: &'a str = '\"';\n\
                    #[cfg(test)]\nmod tests { fn t() { \"hidden\" } }\nlet e = b'\\'';";
        let code = Code::new(text);
        assert_eq!(code.strings, [(1, "x // y".to_owned()), (2, "q\"z".to_owned())]);
        assert_eq!(code.product.lines().count(), text.lines().count());
        for gone in ["// ", "in", "hidden", "tests", "q\"z"] {
            assert!(!code.product.contains(gone), "{gone}: {}", code.product);
        }
        assert!(code.product.contains("let e"));
        assert!(code.all.contains("mod tests"));
    }

    #[test]
    fn a_broken_file_ends() {
        for text in ["\"", "/* /*", "r##\"x", "'", "'\\", "#[cfg(test)] mod t {", "é'é'\"é"] {
            assert_eq!(Code::new(text).all.len(), text.len(), "{text}");
        }
    }
}
