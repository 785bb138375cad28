//! From text to a query, by recursive descent; filters are read by the parser of expressions.

use super::{
    super::expr::{self, ExprError, Grammar, Kind, MOST_DEPTH, Names, cursor::Cursor},
    Dialect, Path, Query, Step, Target,
};

/// Numbers that every JSON reader knows exactly; RFC 9535 allows no others as places.
const MOST_INDEX: i64 = (1 << 53) - 1;

/// Reads a query.
///
/// # Errors
/// The first mistake, with its place in the text.
pub fn parse(text: &str, dialect: Dialect) -> Result<Query, ExprError> {
    let strict = dialect == Dialect::Strict;
    let grammar = if strict { Grammar::Strict } else { Grammar::Document };
    let mut parser =
        Parser { text, cursor: Cursor::new(text, 0, grammar), grammar, embedded: false, depth: 0 };
    let mut steps = Vec::new();
    if strict {
        if !text.starts_with('$') {
            return Err(ExprError::new(0, "a query of RFC 9535 begins with $"));
        }
        parser.cursor.skip(1);
    } else if !parser.cursor.rest().starts_with(['.', '[']) {
        // `$` is a target like others in Procpath's language, and may be left out.
        steps.push(Step { deep: false, targets: parser.targets()? });
    }
    while let Some(step) = parser.step()? {
        steps.push(step);
    }
    let end = if strict { parser.cursor.left() } else { parser.cursor.rest() };
    if !end.is_empty() {
        let what = match end.chars().next() {
            Some(c) if c.is_whitespace() => "a query of RFC 9535 ends without blanks".into(),
            Some(c) => format!("unexpected {c}; a step begins with . or .. or ["),
            None => String::new(),
        };
        return Err(ExprError::new(parser.cursor.at(), what));
    }
    Ok(Query { path: Path { from_root: true, single: false, steps }, dialect })
}

struct Parser<'t> {
    text: &'t str,
    cursor: Cursor<'t>,
    grammar: Grammar,
    /// Whether it stands in an expression, to which commas and method calls belong.
    embedded: bool,
    depth: usize,
}

impl Parser<'_> {
    fn strict(&self) -> bool {
        self.grammar == Grammar::Strict
    }

    fn error<T>(&self, what: impl Into<String>) -> Result<T, ExprError> {
        Err(ExprError::new(self.cursor.at(), what))
    }

    /// The step that is next, if one is; otherwise nothing is taken, not even blanks.
    fn step(&mut self) -> Result<Option<Step>, ExprError> {
        let before = self.cursor;
        let rest = self.cursor.rest();
        let deep = rest.starts_with("..");
        if rest.starts_with('[') {
            return Ok(Some(Step { deep, targets: self.brackets()? }));
        }
        if !rest.starts_with('.') || self.embedded && !deep && is_method(&rest[1..]) {
            self.cursor = before;
            return Ok(None);
        }
        self.cursor.skip(if deep { 2 } else { 1 });
        if deep && self.cursor.left().starts_with('[') {
            return Ok(Some(Step { deep, targets: self.brackets()? }));
        }
        let targets = if self.strict() || self.embedded { vec![self.shorthand()?] } else { self.targets()? };
        Ok(Some(Step { deep, targets }))
    }

    fn brackets(&mut self) -> Result<Vec<Target>, ExprError> {
        let at = self.cursor.at();
        self.cursor.take("[");
        let targets = self.targets()?;
        if self.cursor.take("]") {
            return Ok(targets);
        }
        if self.cursor.rest().is_empty() {
            return Err(ExprError::new(at, "this [ is never closed"));
        }
        self.error("a comma or ] must stand here")
    }

    fn targets(&mut self) -> Result<Vec<Target>, ExprError> {
        let mut targets = vec![self.target()?];
        while self.cursor.take(",") {
            targets.push(self.target()?);
        }
        Ok(targets)
    }

    /// What stands behind a dot in RFC 9535: a name or `*`, without a blank.
    fn shorthand(&mut self) -> Result<Target, ExprError> {
        if self.cursor.left().starts_with('*') {
            self.cursor.skip(1);
            return Ok(Target::All);
        }
        match name(self.cursor.left()) {
            Some(name) => {
                self.cursor.skip(name.len());
                Ok(Target::Name(name.into()))
            }
            None => self.error("a name or * must follow the dot"),
        }
    }

    fn target(&mut self) -> Result<Target, ExprError> {
        let rest = self.cursor.rest();
        if let Some(text) = self.cursor.string() {
            let text = String::from_utf8(text?);
            return text.map(|name| Target::Name(name.into())).or_else(|_| self.error("a name is UTF-8"));
        }
        let at = self.cursor.at();
        let dialect = !self.strict();
        match rest.as_bytes().first() {
            Some(b'*') => self.one(Target::All),
            Some(b'$') if dialect => self.one(Target::Root),
            Some(b'@') if dialect => self.one(Target::Current),
            Some(b'?') => {
                self.cursor.skip(1);
                self.filter()
            }
            Some(b'(') if dialect => {
                self.cursor.skip(1);
                let names = PathNames { grammar: Grammar::Python, depth: self.depth };
                let (term, end) = expr::prefix_term(self.text, self.cursor.at(), &names)?;
                self.go_to(end);
                if !self.cursor.take(")") {
                    return Err(ExprError::new(at, "this ( is never closed"));
                }
                Ok(Target::Key(Box::new(term)))
            }
            Some(b'0'..=b'9' | b'-' | b':') => self.numbers(),
            _ => match name(rest) {
                Some(name) if dialect => {
                    self.cursor.skip(name.len());
                    Ok(Target::Name(name.into()))
                }
                _ if rest.is_empty() => self.error("a name, a number, * or ?(...) must follow"),
                _ => {
                    let c: String = rest.chars().take(1).collect();
                    self.error(format!("a name, a number, * or ?(...) must stand here, not {c}"))
                }
            },
        }
    }

    fn one(&mut self, target: Target) -> Result<Target, ExprError> {
        self.cursor.skip(1);
        Ok(target)
    }

    /// A place, or a slice.
    fn numbers(&mut self) -> Result<Target, ExprError> {
        let mut bounds = [None; 3];
        let mut colons = 0;
        for bound in &mut bounds {
            *bound = self.integer()?;
            if colons == 2 || !self.cursor.take(":") {
                break;
            }
            colons += 1;
        }
        match (colons, bounds[0]) {
            (0, Some(index)) => Ok(Target::Index(index)),
            (0, None) => self.error("a number must stand here"),
            _ => Ok(Target::Slice(bounds)),
        }
    }

    fn integer(&mut self) -> Result<Option<i64>, ExprError> {
        let before = self.cursor;
        let rest = self.cursor.rest();
        let negative = rest.starts_with('-');
        let digits = &rest[usize::from(negative)..];
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if length == 0 && !negative {
            self.cursor = before;
            return Ok(None);
        }
        if self.strict() && (digits.starts_with('0') && (length > 1 || negative)) {
            return self.error("a number does not begin with 0");
        }
        let number = digits[..length].parse::<i64>().ok().filter(|number| *number <= MOST_INDEX);
        let Some(number) = number else {
            return self.error(if length == 0 {
                "a digit must follow the -"
            } else {
                "this number is too large"
            });
        };
        self.cursor.skip(length + usize::from(negative));
        Ok(Some(if negative { -number } else { number }))
    }

    /// What follows `?`: an expression in parentheses alone is Procpath's, any other RFC 9535's.
    fn filter(&mut self) -> Result<Target, ExprError> {
        let start = self.cursor;
        let depth = self.depth;
        let mut first = None;
        if !self.strict() && self.cursor.take("(") {
            let names = PathNames { grammar: Grammar::Python, depth };
            match expr::prefix(self.text, self.cursor.at(), &names) {
                Ok((condition, end)) => {
                    self.go_to(end);
                    if self.cursor.take(")") {
                        let rest = self.cursor.rest();
                        if rest.is_empty() || rest.starts_with([',', ']', '.', '[']) {
                            return Ok(Target::Filter(Box::new(condition), expr::Rules::Python));
                        }
                    } else {
                        let closed = !self.cursor.rest().is_empty();
                        let what = if closed {
                            "an operator or ) must stand here"
                        } else {
                            "this ( is never closed"
                        };
                        let at = if closed { self.cursor.at() } else { start.at() };
                        first = Some(ExprError::new(at, what));
                    }
                }
                Err(error) => first = Some(error),
            }
        }
        self.cursor = start;
        let names = PathNames { grammar: self.grammar, depth };
        match (expr::prefix(self.text, self.cursor.at(), &names), first) {
            (Ok((condition, end)), _) => {
                self.go_to(end);
                Ok(Target::Filter(Box::new(condition), expr::Rules::Rfc))
            }
            (Err(error), Some(first)) if first.at >= error.at => Err(first),
            (Err(error), _) => Err(error),
        }
    }

    fn go_to(&mut self, at: usize) {
        self.cursor = Cursor::new(self.text, at, self.grammar);
    }
}

/// The name with which a text begins, as RFC 9535's shorthand has it.
fn name(text: &str) -> Option<&str> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let end = text.find(|c: char| !letter(c) && !c.is_ascii_digit()).unwrap_or(text.len());
    text.starts_with(letter).then(|| &text[..end])
}

/// Whether a name is called, so that it is a method and no member.
fn is_method(text: &str) -> bool {
    let text = text.trim_start();
    name(text).is_some_and(|name| text[name.len()..].trim_start().starts_with('('))
}

/// The names of filters: `@` and `$`, and paths from there.
struct PathNames {
    grammar: Grammar,
    depth: usize,
}

impl Names for PathNames {
    type Name = Path;

    fn read(&self, text: &str, depth: usize) -> Option<Result<expr::Found<Path>, ExprError>> {
        let from_root = text.starts_with('$');
        if !from_root && !text.starts_with('@') {
            return None;
        }
        if depth > MOST_DEPTH {
            return Some(Err(ExprError::new(0, format!("nested more than {MOST_DEPTH} levels deep"))));
        }
        if let Some(name) = name(&text[1..]).filter(|_| from_root) {
            let what = format!("there is no variable ${name}; -e {name}=COMMAND would give one");
            return Some(Err(ExprError::new(0, what)));
        }
        let cursor = Cursor::new(text, 1, self.grammar);
        let mut parser = Parser { text, cursor, grammar: self.grammar, embedded: true, depth };
        let steps = if self.grammar == Grammar::Python { parser.members() } else { parser.steps() };
        Some(steps.map(|steps| {
            let single = steps
                .iter()
                .all(|step| !step.deep && matches!(step.targets[..], [Target::Name(_) | Target::Index(_)]));
            let kind = if single { Kind::Any } else { Kind::Nodes };
            expr::Found { name: Path { from_root, single, steps }, kind, length: parser.cursor.at() }
        }))
    }

    fn grammar(&self) -> Grammar {
        self.grammar
    }

    fn depth(&self) -> usize {
        self.depth
    }
}

impl Parser<'_> {
    fn steps(&mut self) -> Result<Vec<Step>, ExprError> {
        let mut steps = Vec::new();
        while let Some(step) = self.step()? {
            steps.push(step);
        }
        Ok(steps)
    }

    /// Members by name, as Python's `@.stat['pid']`; what else may follow the parser of expressions reads: a number may
    /// count the letters of a text.
    fn members(&mut self) -> Result<Vec<Step>, ExprError> {
        let mut steps = Vec::new();
        loop {
            let before = self.cursor;
            let rest = self.cursor.rest();
            let target = if rest.starts_with('.') && !rest.starts_with("..") && !is_method(&rest[1..]) {
                self.cursor.take(".");
                let found = name(self.cursor.rest()).map(|name| Target::Name(name.into()));
                if let Some(Target::Name(name)) = &found {
                    self.cursor.skip(name.len());
                }
                found
            } else if self.cursor.take("[") {
                let target = match self.cursor.string() {
                    Some(text) => String::from_utf8(text?).ok().map(|name| Target::Name(name.into())),
                    None => None,
                };
                target.filter(|_| self.cursor.take("]"))
            } else {
                None
            };
            let Some(target) = target else {
                self.cursor = before;
                return Ok(steps);
            };
            steps.push(Step { deep: false, targets: vec![target] });
        }
    }
}
