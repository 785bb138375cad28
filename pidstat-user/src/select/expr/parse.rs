//! From text to a checked expression, by recursive descent with a limit on depth.

use super::{
    Condition, ExprError, Kind, Names, Relation, Scale, Sign, Term,
    cursor::Cursor,
    piece::{Piece, a, comparable},
};
use regex::bytes::RegexBuilder;

/// Nested parentheses, lists, `not` and minus signs; far more than anybody writes, far less than the stack holds.
const MOST_DEPTH: usize = 64;

/// Words that are no names.
const KEYWORDS: [&str; 10] = ["and", "or", "not", "in", "true", "false", "null", "True", "False", "None"];

/// Reads a whole text as one condition.
///
/// # Errors
/// The first mistake.
pub fn parse<L: Names>(text: &str, names: &L) -> Result<Condition<L::Name>, ExprError> {
    let (condition, end) = prefix(text, 0, names)?;
    let left = &text[end..];
    if left.is_empty() {
        return Ok(condition);
    }
    let what = match left.chars().next() {
        Some(')') => "this parenthesis closes nothing".into(),
        _ => {
            let word = Cursor::new(text, end).word().unwrap_or("");
            let what = if word.is_empty() { left.chars().take(1).collect() } else { word.to_owned() };
            format!("unexpected {what}; conditions are joined by and, or")
        }
    };
    Err(ExprError::new(end, what))
}

/// Reads the condition that begins at the byte `start` and says where it ends, blanks skipped: for languages in which
/// expressions are embedded.
///
/// # Errors
/// The first mistake.
pub fn prefix<L: Names>(
    text: &str,
    start: usize,
    names: &L,
) -> Result<(Condition<L::Name>, usize), ExprError> {
    let mut parser = Parser { cursor: Cursor::new(text, start), names, depth: 0 };
    let piece = parser.any()?;
    let condition = piece.into_condition()?;
    parser.cursor.rest();
    Ok((condition, parser.cursor.at()))
}

struct Parser<'t, L> {
    cursor: Cursor<'t>,
    names: &'t L,
    depth: usize,
}

type Parsed<N> = Result<Piece<N>, ExprError>;

impl<L: Names> Parser<'_, L> {
    /// Goes a level deeper, if there is one.
    fn deeper<T>(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Self) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        if self.depth == MOST_DEPTH {
            return Err(ExprError::new(at, format!("nested more than {MOST_DEPTH} levels deep")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn here(&mut self) -> usize {
        self.cursor.rest();
        self.cursor.at()
    }

    fn any(&mut self) -> Parsed<L::Name> {
        let first = self.all()?;
        let at = first.at;
        if !self.or() {
            return Ok(first);
        }
        let mut parts = vec![first.into_condition()?, self.all()?.into_condition()?];
        while self.or() {
            parts.push(self.all()?.into_condition()?);
        }
        Ok(Piece::condition(Condition::Any(parts), at))
    }

    fn or(&mut self) -> bool {
        self.cursor.take_word("or") || self.cursor.take("||")
    }

    fn all(&mut self) -> Parsed<L::Name> {
        let first = self.not()?;
        let at = first.at;
        if !self.and() {
            return Ok(first);
        }
        let mut parts = vec![first.into_condition()?, self.not()?.into_condition()?];
        while self.and() {
            parts.push(self.not()?.into_condition()?);
        }
        Ok(Piece::condition(Condition::All(parts), at))
    }

    fn and(&mut self) -> bool {
        self.cursor.take_word("and") || self.cursor.take("&&")
    }

    fn not(&mut self) -> Parsed<L::Name> {
        let at = self.here();
        if self.cursor.take_word("not") || self.cursor.take("!") {
            let inner = self.deeper(at, |parser| parser.not()?.into_condition())?;
            return Ok(Piece::condition(Condition::Not(Box::new(inner)), at));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<L::Name> {
        let first = self.sum()?;
        let at = first.at;
        let Some(mut relation) = self.relation()? else { return Ok(first) };
        let (first, mut left, _) = first.into_term()?;
        let mut rest = Vec::new();
        loop {
            let (term, kind, right_at) = self.sum()?.into_term()?;
            comparable(left, relation, kind).map_err(|what| ExprError::new(right_at, what))?;
            rest.push((relation, term));
            left = kind;
            match self.relation()? {
                Some(next) => relation = next,
                None => return Ok(Piece::condition(Condition::Compare(first, rest), at)),
            }
        }
    }

    fn relation(&mut self) -> Result<Option<Relation>, ExprError> {
        let signs = [
            ("==", Relation::Equal),
            ("!=", Relation::Unequal),
            ("<=", Relation::LessOrEqual),
            (">=", Relation::GreaterOrEqual),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        if let Some((_, relation)) = signs.into_iter().find(|(sign, _)| self.cursor.take(sign)) {
            return Ok(Some(relation));
        }
        if self.cursor.take_word("in") {
            return Ok(Some(Relation::In));
        }
        let at = self.here();
        if ["=~", "~"].iter().any(|sign| self.cursor.take(sign)) {
            return Err(ExprError::new(at, "to match a regular expression, write search(name, 'regex')"));
        }
        if self.cursor.take("=") {
            return Err(ExprError::new(at, "= is no operator; to compare, write =="));
        }
        if !self.cursor.take_word("not") {
            return Ok(None);
        }
        let at = self.here();
        if self.cursor.take_word("in") {
            return Ok(Some(Relation::NotIn));
        }
        Err(ExprError::new(at, "in must follow not here, as in pid not in [1, 2]"))
    }

    fn sum(&mut self) -> Parsed<L::Name> {
        let first = self.product()?;
        let Some(mut sign) = self.sign() else { return Ok(first) };
        let (first, at) = first.into_number()?;
        let mut rest = Vec::new();
        loop {
            rest.push((sign, self.product()?.into_number()?.0));
            match self.sign() {
                Some(next) => sign = next,
                None => return Ok(Piece::term(Term::Sum(Box::new(first), rest), Kind::Number, at)),
            }
        }
    }

    fn sign(&mut self) -> Option<Sign> {
        if self.cursor.take("+") {
            return Some(Sign::Plus);
        }
        self.cursor.take("-").then_some(Sign::Minus)
    }

    fn product(&mut self) -> Parsed<L::Name> {
        let first = self.signed()?;
        let Some(mut scale) = self.scale() else { return Ok(first) };
        let (first, at) = first.into_number()?;
        let mut rest = Vec::new();
        loop {
            rest.push((scale, self.signed()?.into_number()?.0));
            match self.scale() {
                Some(next) => scale = next,
                None => return Ok(Piece::term(Term::Product(Box::new(first), rest), Kind::Number, at)),
            }
        }
    }

    fn scale(&mut self) -> Option<Scale> {
        let signs = [("*", Scale::Times), ("/", Scale::Over), ("%", Scale::Remainder)];
        signs.into_iter().find(|(sign, _)| self.cursor.take(sign)).map(|(_, scale)| scale)
    }

    fn signed(&mut self) -> Parsed<L::Name> {
        let at = self.here();
        if !self.cursor.take("-") {
            return self.operand();
        }
        let (term, _) = self.deeper(at, |parser| parser.signed()?.into_number())?;
        Ok(Piece::term(Term::Negative(Box::new(term)), Kind::Number, at))
    }

    fn operand(&mut self) -> Parsed<L::Name> {
        let at = self.here();
        if self.cursor.take("(") {
            let inner = self.deeper(at, Parser::any)?;
            if !self.cursor.take(")") {
                return Err(self.unclosed(at, "(", ")"));
            }
            return Ok(Piece { node: inner.node, at });
        }
        if self.cursor.take("[") {
            let items = self.deeper(at, |parser| parser.list(at))?;
            return Ok(Piece::term(Term::List(items), Kind::List, at));
        }
        if let Some(text) = self.cursor.string() {
            return Ok(Piece::term(Term::Text(text?), Kind::Text, at));
        }
        if let Some(number) = self.cursor.number() {
            return Ok(Piece::term(Term::Number(number?), Kind::Number, at));
        }
        if let Some(word) = self.cursor.word() {
            if let Some((term, kind)) = constant(word) {
                self.cursor.skip(word.len());
                return Ok(Piece::term(term, kind, at));
            }
            if KEYWORDS.contains(&word) {
                return Err(ExprError::new(at, format!("a name or a value must stand before {word}")));
            }
            if let Some(anchored) = function(word) {
                return self.function(word, anchored, at);
            }
        }
        self.name(at)
    }

    fn name(&mut self, at: usize) -> Parsed<L::Name> {
        let rest = self.cursor.rest();
        match self.names.read(rest) {
            Some(Ok(found)) => {
                self.cursor.skip(found.length.max(1));
                Ok(Piece::term(Term::Name(found.name), found.kind, at))
            }
            Some(Err(error)) => Err(ExprError::new(at + error.at, error.what)),
            None if rest.is_empty() => Err(ExprError::new(at, "a name or a value must follow")),
            None => {
                let c: String = rest.chars().take(1).collect();
                Err(ExprError::new(at, format!("a name or a value must stand here, not {c}")))
            }
        }
    }

    fn list(&mut self, at: usize) -> Result<Vec<Term<L::Name>>, ExprError> {
        let mut items = Vec::new();
        while !self.cursor.take("]") {
            let (item, kind, item_at) = self.sum()?.into_term()?;
            if kind == Kind::List {
                return Err(ExprError::new(item_at, "a list holds values, not lists"));
            }
            items.push(item);
            if !self.cursor.take(",") && !self.cursor.rest().starts_with(']') {
                return Err(self.unclosed(at, "[", ", or ]"));
            }
        }
        Ok(items)
    }

    fn function(&mut self, word: &str, anchored: bool, at: usize) -> Parsed<L::Name> {
        self.cursor.skip(word.len());
        let usage = format!("write {word}(text, 'regex')");
        if !self.cursor.take("(") {
            return Err(ExprError::new(at, format!("{word} is a function; {usage}")));
        }
        let (text, kind, text_at) = self.deeper(at, Parser::sum)?.into_term()?;
        if !matches!(kind, Kind::Text | Kind::Any) {
            return Err(ExprError::new(text_at, format!("{word} looks into text; this is {}", a(kind))));
        }
        if !self.cursor.take(",") {
            return Err(ExprError::new(self.cursor.at(), format!("a comma must follow: {usage}")));
        }
        let pattern_at = self.here();
        let Some(pattern) = self.cursor.string() else {
            return Err(ExprError::new(pattern_at, format!("the regular expression is a string: {usage}")));
        };
        let pattern = String::from_utf8(pattern?).map_err(|_| {
            ExprError::new(pattern_at, "the regular expression is no UTF-8; write \\\\xNN in it")
        })?;
        if !self.cursor.take(")") {
            return Err(self.unclosed(at, word, ")"));
        }
        let build = |pattern: &str| {
            let built = RegexBuilder::new(pattern).unicode(false).dot_matches_new_line(true).build();
            built.map_err(|error| ExprError::new(pattern_at, reason(&error)))
        };
        // By itself first: `a)|(b` must not slip out of the parentheses that are put around it.
        let mut regex = build(&pattern)?;
        if anchored {
            regex = build(&format!(r"\A(?:{pattern})\z"))?;
        }
        Ok(Piece::condition(Condition::Matches(text, regex), at))
    }

    fn unclosed(&mut self, at: usize, opening: &str, closing: &str) -> ExprError {
        let here = self.here();
        if self.cursor.rest().is_empty() {
            return ExprError::new(at, format!("this {opening} is never closed"));
        }
        ExprError::new(here, format!("{closing} must stand here"))
    }
}

/// The last line of what the regex library draws; it has the words.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    format!("a bad regular expression: {}", line.strip_prefix("error: ").unwrap_or(line))
}

/// Whether a word is a function, and whether its regular expression must match the whole text.
fn function(word: &str) -> Option<bool> {
    match word {
        "match" => Some(true),
        "search" => Some(false),
        _ => None,
    }
}

/// Words with a fixed value, in RFC 9535's spelling or Python's.
fn constant<N>(word: &str) -> Option<(Term<N>, Kind)> {
    match word {
        "true" | "True" => Some((Term::Truth(true), Kind::Truth)),
        "false" | "False" => Some((Term::Truth(false), Kind::Truth)),
        "null" | "None" => Some((Term::Null, Kind::Null)),
        _ => None,
    }
}
