//! From text to a checked expression, by recursive descent with a limit on depth.

mod argument;

use super::{
    Condition, ExprError, Grammar, Kind, Names, Operator, Relation, Term,
    cursor::{Cursor, Number},
    piece::{Piece, comparable},
};

/// Nested parentheses, lists, `not` and minus signs; far more than anybody writes, far less than the stack holds.
pub(in crate::select) const MOST_DEPTH: usize = 64;

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
            let word = Cursor::new(text, end, names.grammar()).word().unwrap_or("");
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
    embedded(text, start, names, Piece::into_condition)
}

/// Reads the value that begins at the byte `start` and says where it ends, blanks skipped.
///
/// # Errors
/// The first mistake.
pub fn prefix_term<L: Names>(
    text: &str,
    start: usize,
    names: &L,
) -> Result<(Term<L::Name>, usize), ExprError> {
    embedded(text, start, names, |piece, grammar| piece.into_term(grammar).map(|(term, _, _)| term))
}

fn embedded<L: Names, T>(
    text: &str,
    start: usize,
    names: &L,
    finish: impl FnOnce(Piece<L::Name>, Grammar) -> Result<T, ExprError>,
) -> Result<(T, usize), ExprError> {
    let grammar = names.grammar();
    let cursor = Cursor::new(text, start, grammar);
    let mut parser = Parser { cursor, names, grammar, depth: names.depth() };
    let piece = parser.deeper(start, Parser::any)?;
    let finished = finish(piece, grammar)?;
    parser.cursor.rest();
    Ok((finished, parser.cursor.at()))
}

struct Parser<'t, L> {
    cursor: Cursor<'t>,
    names: &'t L,
    grammar: Grammar,
    depth: usize,
}

type Parsed<N> = Result<Piece<N>, ExprError>;

/// Operators of arithmetic, those that bind least first; columns have the last two levels.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("|", Operator::Or)],
    &[("^", Operator::Xor)],
    &[("&", Operator::And)],
    &[("<<", Operator::Left), (">>", Operator::Right)],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("//", Operator::Floor), ("*", Operator::Times), ("/", Operator::Over), ("%", Operator::Remainder)],
];

/// Where the levels of columns begin.
const COLUMNS_LEVEL: usize = 4;

impl<L: Names> Parser<'_, L> {
    /// Goes a level deeper, if there is one.
    fn deeper<T>(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Self) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        // The whole text is the first level and needs none.
        if self.depth > MOST_DEPTH {
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

    /// Takes a word of the language, which RFC 9535 does not have.
    fn keyword(&mut self, word: &str) -> bool {
        self.grammar != Grammar::Strict && self.cursor.take_word(word)
    }

    fn any(&mut self) -> Parsed<L::Name> {
        let first = self.all()?;
        let at = first.at;
        let mut piece = first;
        if self.or() {
            let mut parts =
                vec![piece.into_condition(self.grammar)?, self.all()?.into_condition(self.grammar)?];
            while self.or() {
                parts.push(self.all()?.into_condition(self.grammar)?);
            }
            piece = Piece::condition(Condition::Any(parts), at);
        }
        if self.grammar.is_rich() && self.cursor.take_word("if") {
            let condition = self.deeper(at, Parser::any)?.into_condition(self.grammar)?;
            if !self.cursor.take_word("else") {
                return Err(ExprError::new(self.here(), "else must follow, as in a if b else c"));
            }
            let otherwise = self.deeper(at, Parser::any)?.into_term(self.grammar)?.0;
            let then = piece.into_term(self.grammar)?.0;
            return Ok(Piece::term(Term::Choice(Box::new((condition, then, otherwise))), Kind::Any, at));
        }
        Ok(piece)
    }

    fn or(&mut self) -> bool {
        self.keyword("or") || self.cursor.take("||")
    }

    fn all(&mut self) -> Parsed<L::Name> {
        let first = self.not()?;
        let at = first.at;
        if !self.and() {
            return Ok(first);
        }
        let mut parts = vec![first.into_condition(self.grammar)?, self.not()?.into_condition(self.grammar)?];
        while self.and() {
            parts.push(self.not()?.into_condition(self.grammar)?);
        }
        Ok(Piece::condition(Condition::All(parts), at))
    }

    fn and(&mut self) -> bool {
        self.keyword("and") || self.cursor.take("&&")
    }

    fn not(&mut self) -> Parsed<L::Name> {
        let at = self.here();
        if self.keyword("not") || self.cursor.take("!") {
            // In RFC 9535 a comparison is denied in parentheses only.
            let read = if self.grammar == Grammar::Strict { Parser::operand } else { Parser::not };
            let grammar = self.grammar;
            let inner = self.deeper(at, |parser| read(parser)?.into_condition(grammar))?;
            return Ok(Piece::condition(Condition::Not(Box::new(inner)), at));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<L::Name> {
        let first = self.arithmetic()?;
        let at = first.at;
        let Some(mut relation) = self.relation()? else { return Ok(first) };
        let (first, mut left, _) = first.into_term(self.grammar)?;
        let mut rest = Vec::new();
        loop {
            let (term, kind, right_at) = self.arithmetic()?.into_term(self.grammar)?;
            if self.grammar == Grammar::Columns {
                comparable(left, relation, kind).map_err(|what| ExprError::new(right_at, what))?;
            }
            rest.push((relation, term));
            left = kind;
            let next_at = self.here();
            match self.relation()? {
                Some(_) if self.grammar == Grammar::Strict => {
                    return Err(ExprError::new(
                        next_at,
                        "RFC 9535 compares two values; join comparisons by &&",
                    ));
                }
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
        if self.keyword("in") {
            return Ok(Some(Relation::In));
        }
        if self.grammar.is_rich() && self.cursor.take_word("is") {
            let not = self.cursor.take_word("not");
            return Ok(Some(if not { Relation::Unequal } else { Relation::Equal }));
        }
        let at = self.here();
        if ["=~", "~"].iter().any(|sign| self.cursor.take(sign)) {
            return Err(ExprError::new(at, "to match a regular expression, write search(name, 'regex')"));
        }
        if self.cursor.take("=") {
            return Err(ExprError::new(at, "= is no operator; to compare, write =="));
        }
        if !self.keyword("not") {
            return Ok(None);
        }
        let at = self.here();
        if self.keyword("in") {
            return Ok(Some(Relation::NotIn));
        }
        Err(ExprError::new(at, "in must follow not here, as in pid not in [1, 2]"))
    }

    fn arithmetic(&mut self) -> Parsed<L::Name> {
        match self.grammar {
            Grammar::Strict => self.operand(),
            Grammar::Columns => self.chain(COLUMNS_LEVEL),
            Grammar::Document | Grammar::Python => self.chain(0),
        }
    }

    /// Parts that are joined by operators of this level or ones that bind more. It climbs the levels in a loop: only an
    /// operator that is there costs stack.
    fn chain(&mut self, least: usize) -> Parsed<L::Name> {
        let mut piece = self.signed()?;
        while let Some((level, mut operator)) = self.operator(least..LEVELS.len()) {
            let (first, at) = piece.into_number(self.grammar)?;
            let mut rest = Vec::new();
            loop {
                rest.push((operator, self.part(level + 1)?));
                match self.operator(level..level + 1) {
                    Some((_, next)) => operator = next,
                    None => break,
                }
            }
            piece = Piece::term(Term::Chain(Box::new(first), rest), self.calculated(), at);
        }
        Ok(piece)
    }

    fn part(&mut self, level: usize) -> Result<Term<L::Name>, ExprError> {
        let piece = if level == LEVELS.len() { self.signed()? } else { self.chain(level)? };
        Ok(piece.into_number(self.grammar)?.0)
    }

    /// What a calculation gives.
    fn calculated(&self) -> Kind {
        if self.grammar == Grammar::Columns { Kind::Number } else { Kind::Any }
    }

    fn operator(&mut self, levels: std::ops::Range<usize>) -> Option<(usize, Operator)> {
        let rest = self.cursor.rest();
        // `||` and `&&` join conditions.
        if rest.starts_with("||")
            || rest.starts_with("&&")
            || rest.starts_with("//") && !self.grammar.is_rich()
        {
            return None;
        }
        for level in levels {
            if let Some((sign, operator)) = LEVELS[level].iter().find(|(sign, _)| rest.starts_with(sign)) {
                self.cursor.skip(sign.len());
                return Some((level, *operator));
            }
        }
        None
    }

    fn signed(&mut self) -> Parsed<L::Name> {
        let at = self.here();
        if self.cursor.take("-") {
            let grammar = self.grammar;
            let (term, _) = self.deeper(at, |parser| parser.signed()?.into_number(grammar))?;
            return Ok(Piece::term(Term::Negative(Box::new(term)), self.calculated(), at));
        }
        let base = self.operand()?;
        if !(self.grammar.is_rich() && self.cursor.take("**")) {
            return Ok(base);
        }
        let grammar = self.grammar;
        let (exponent, _) = self.deeper(at, |parser| parser.signed()?.into_number(grammar))?;
        let (base, _) = base.into_number(grammar)?;
        Ok(Piece::term(Term::Chain(Box::new(base), vec![(Operator::Power, exponent)]), Kind::Any, at))
    }

    fn operand(&mut self) -> Parsed<L::Name> {
        let at = self.here();
        let piece = self.bare(at)?;
        if self.grammar.is_rich() { self.suffixes(piece) } else { Ok(piece) }
    }

    fn bare(&mut self, at: usize) -> Parsed<L::Name> {
        if self.cursor.take("(") {
            return self.parentheses(at);
        }
        if self.grammar != Grammar::Strict && self.cursor.take("[") {
            let items = self.deeper(at, |parser| parser.list(at, "[", "]"))?;
            return Ok(Piece::term(Term::List(items), Kind::List, at));
        }
        let raw = if self.grammar.is_rich() { self.cursor.raw_string() } else { None };
        if let Some(text) = raw.or_else(|| self.cursor.string()) {
            return Ok(Piece::term(Term::Text(text?), Kind::Text, at));
        }
        if let Some(number) = self.cursor.number() {
            let term = match number? {
                Number::Whole(number) => Term::Integer(number),
                Number::Real(number) => Term::Number(number),
            };
            return Ok(Piece::term(term, Kind::Number, at));
        }
        if let Some(word) = self.cursor.word() {
            if let Some((term, kind)) = constant(word, self.grammar) {
                self.cursor.skip(word.len());
                return Ok(Piece::term(term, kind, at));
            }
            if KEYWORDS.contains(&word) {
                return Err(ExprError::new(at, format!("a name or a value must stand before {word}")));
            }
            if let Some(piece) = self.function(word, at)? {
                return Ok(piece);
            }
        }
        self.name(at)
    }

    fn parentheses(&mut self, at: usize) -> Parsed<L::Name> {
        if self.grammar.is_rich() && self.cursor.take(")") {
            return Ok(Piece::term(Term::List(Vec::new()), Kind::List, at));
        }
        let inner = self.deeper(at, Parser::any)?;
        if self.grammar.is_rich() && self.cursor.take(",") {
            let mut items = vec![inner.into_term(self.grammar)?.0];
            items.extend(self.deeper(at, |parser| parser.list(at, "(", ")"))?);
            return Ok(Piece::term(Term::List(items), Kind::List, at));
        }
        if !self.cursor.take(")") {
            return Err(self.unclosed(at, "(", ")"));
        }
        if self.grammar == Grammar::Strict {
            return Ok(Piece::condition(inner.into_condition(self.grammar)?, at));
        }
        Ok(Piece { node: inner.node, at })
    }

    fn name(&mut self, at: usize) -> Parsed<L::Name> {
        let rest = self.cursor.rest();
        match self.names.read(rest, self.depth) {
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

    fn list(&mut self, at: usize, opening: &str, closing: &str) -> Result<Vec<Term<L::Name>>, ExprError> {
        let mut items = Vec::new();
        while !self.cursor.take(closing) {
            let piece = if self.grammar.is_rich() { self.any()? } else { self.arithmetic()? };
            let (item, kind, item_at) = piece.into_term(self.grammar)?;
            if kind == Kind::List && self.grammar == Grammar::Columns {
                return Err(ExprError::new(item_at, "a list holds values, not lists"));
            }
            items.push(item);
            if !self.cursor.take(",") && !self.cursor.rest().starts_with(closing) {
                return Err(self.unclosed(at, opening, &format!(", or {closing}")));
            }
        }
        Ok(items)
    }

    fn unclosed(&mut self, at: usize, opening: &str, closing: &str) -> ExprError {
        let here = self.here();
        if self.cursor.rest().is_empty() {
            return ExprError::new(at, format!("this {opening} is never closed"));
        }
        ExprError::new(here, format!("{closing} must stand here"))
    }
}

/// Words with a fixed value, in RFC 9535's spelling or Python's.
fn constant<N>(word: &str, grammar: Grammar) -> Option<(Term<N>, Kind)> {
    match word {
        "true" => Some((Term::Truth(true), Kind::Truth)),
        "false" => Some((Term::Truth(false), Kind::Truth)),
        "null" => Some((Term::Null, Kind::Null)),
        _ if grammar == Grammar::Strict => None,
        "True" => Some((Term::Truth(true), Kind::Truth)),
        "False" => Some((Term::Truth(false), Kind::Truth)),
        "None" => Some((Term::Null, Kind::Null)),
        _ => None,
    }
}
