//! What stands in parentheses behind a name, and what stands behind a value: functions, methods, subscripts.

use super::{
    super::{
        Condition, ExprError, Function, Grammar, Kind, Names, Pattern, Term,
        call::{FUNCTIONS, METHODS},
        pattern::Anchor,
        piece::{Node, Piece, a},
    },
    Parsed, Parser,
};

impl<L: Names> Parser<'_, L> {
    /// Reads a function if the word is one.
    pub(super) fn function(&mut self, word: &str, at: usize) -> Result<Option<Piece<L::Name>>, ExprError> {
        let after = &self.cursor.rest()[word.len()..];
        // RFC 9535 has no blank before the parenthesis.
        let called = after.starts_with('(') || self.grammar.is_rich() && after.trim_start().starts_with('(');
        if self.grammar.is_rich() && word == "re" && after.trim_start().starts_with('.') {
            return self.of_module(at).map(Some);
        }
        match word {
            "match" => return self.matches(word, Anchor::Whole, at).map(Some),
            "search" => return self.matches(word, Anchor::Anywhere, at).map(Some),
            _ if self.grammar == Grammar::Columns => return Ok(None),
            _ => {}
        }
        if !called {
            return Ok(None);
        }
        let python = FUNCTIONS.iter().find(|(name, _, _)| *name == word && self.grammar.is_rich());
        match word {
            "length" | "count" | "value" => {}
            _ if python.is_some() => {}
            _ => return Err(ExprError::new(at, format!("there is no function {word}()"))),
        }
        self.cursor.skip(word.len());
        self.cursor.take("(");
        if let Some((name, function, number)) = python {
            let arguments = self.deeper(at, |parser| parser.list(at, "(", ")"))?;
            check(at, name, arguments.len(), number)?;
            return Ok(Some(Piece::term(Term::Call(*function, arguments), Kind::Any, at)));
        }
        let argument = self.deeper(at, Parser::any)?;
        let term = match (word, argument.node) {
            ("length", node) => {
                let argument = Piece { node, at: argument.at }.into_term(self.grammar)?;
                Term::Call(Function::Length, vec![argument.0])
            }
            ("count", Node::Term(Term::Name(name), _)) => Term::Count(name),
            ("value", Node::Term(Term::Name(name), _)) => Term::Only(name),
            _ => {
                return Err(ExprError::new(
                    argument.at,
                    format!("{word}() takes a query, as in {word}(@..pid)"),
                ));
            }
        };
        if !self.cursor.take(")") {
            return Err(self.unclosed(at, word, ")"));
        }
        // The value of a function is no test by itself; a number or a text is neither.
        let kind = if self.grammar == Grammar::Strict { Kind::Number } else { Kind::Any };
        Ok(Some(Piece::term(term, kind, at)))
    }

    /// `match(text, regex)`, `search(text, regex)`.
    fn matches(&mut self, word: &str, anchor: Anchor, at: usize) -> Parsed<L::Name> {
        self.cursor.skip(word.len());
        let usage = format!("write {word}(text, 'regex')");
        let adjacent = self.grammar != Grammar::Strict || self.cursor.left().starts_with('(');
        if !adjacent || !self.cursor.take("(") {
            return Err(ExprError::new(at, format!("{word} is a function; {usage}")));
        }
        let (text, kind, text_at) = self.deeper(at, Parser::arithmetic)?.into_term(self.grammar)?;
        if self.grammar == Grammar::Columns && !matches!(kind, Kind::Text | Kind::Any) {
            return Err(ExprError::new(text_at, format!("{word} looks into text; this is {}", a(kind))));
        }
        if !self.cursor.take(",") {
            return Err(ExprError::new(self.cursor.at(), format!("a comma must follow: {usage}")));
        }
        let pattern = self.pattern(anchor, &usage)?;
        if !self.cursor.take(")") {
            return Err(self.unclosed(at, word, ")"));
        }
        Ok(Piece::condition(Condition::Matches(Box::new((text, pattern))), at))
    }

    /// `re.search(regex, text)`, `re.match(regex, text)`, as in Python.
    fn of_module(&mut self, at: usize) -> Parsed<L::Name> {
        self.cursor.skip("re".len());
        self.cursor.take(".");
        let anchor = match self.cursor.word() {
            Some("search") => Anchor::Anywhere,
            Some("match") => Anchor::Start,
            Some("fullmatch") => Anchor::Whole,
            _ => return Err(ExprError::new(self.here(), "of re there are search, match and fullmatch")),
        };
        let word = self.cursor.word().unwrap_or_default();
        self.cursor.skip(word.len());
        let usage = format!("write re.{word}('regex', text)");
        if !self.cursor.take("(") {
            return Err(ExprError::new(self.here(), usage));
        }
        let pattern = self.pattern(anchor, &usage)?;
        if !self.cursor.take(",") {
            return Err(ExprError::new(self.here(), format!("a comma must follow: {usage}")));
        }
        let (text, _, _) = self.deeper(at, Parser::arithmetic)?.into_term(self.grammar)?;
        if !self.cursor.take(")") {
            return Err(self.unclosed(at, word, ")"));
        }
        Ok(Piece::condition(Condition::Matches(Box::new((text, pattern))), at))
    }

    /// A regular expression: a string that is compiled now, or in documents a value that is compiled when it is known.
    fn pattern(&mut self, anchor: Anchor, usage: &str) -> Result<Pattern<L::Name>, ExprError> {
        let at = self.here();
        let raw = if self.grammar.is_rich() { self.cursor.raw_string() } else { None };
        let Some(written) = raw.or_else(|| self.cursor.string()) else {
            if self.grammar == Grammar::Columns {
                return Err(ExprError::new(at, format!("the regular expression is a string: {usage}")));
            }
            let term = self.deeper(at, Parser::arithmetic)?.into_term(self.grammar)?.0;
            return Ok(Pattern::found(term, anchor, self.grammar));
        };
        let written = String::from_utf8(written?)
            .map_err(|_| ExprError::new(at, "the regular expression is no UTF-8; write \\\\xNN in it"))?;
        Pattern::written(&written, anchor, self.grammar).map_err(|what| ExprError::new(at, what))
    }

    /// Methods and subscripts behind a value.
    pub(super) fn suffixes(&mut self, mut piece: Piece<L::Name>) -> Parsed<L::Name> {
        // Each makes the expression a level deeper, and so the stack on which it is evaluated.
        let before = self.depth;
        loop {
            let at = self.here();
            self.depth += 1;
            if self.depth > super::MOST_DEPTH {
                return Err(ExprError::new(
                    at,
                    format!("nested more than {} levels deep", super::MOST_DEPTH),
                ));
            }
            if self.cursor.take("[") {
                let (of, _, start) = piece.into_term(self.grammar)?;
                piece = Piece::term(self.subscript(of, at)?, Kind::Any, start);
                continue;
            }
            let number = matches!(&piece.node, Node::Term(Term::Integer(_) | Term::Number(_), _));
            if number || !self.cursor.rest().starts_with('.') || self.cursor.rest().starts_with("..") {
                self.depth = before;
                return Ok(piece);
            }
            self.cursor.take(".");
            let name_at = self.here();
            let Some(word) = self.cursor.word().map(str::to_owned) else {
                return Err(ExprError::new(name_at, "a name must follow the dot"));
            };
            self.cursor.skip(word.len());
            let (of, _, start) = piece.into_term(self.grammar)?;
            if !self.cursor.take("(") {
                let key = Term::Text(word.into_bytes());
                piece = Piece::term(Term::Item(Box::new(of), Box::new(key)), Kind::Any, start);
                continue;
            }
            let Some((name, method, number)) = METHODS.iter().find(|(name, _, _)| *name == word) else {
                return Err(ExprError::new(name_at, format!("there is no method {word}()")));
            };
            let mut arguments = vec![of];
            arguments.extend(self.deeper(at, |parser| parser.list(at, "(", ")"))?);
            check(name_at, name, arguments.len(), number)?;
            piece = Piece::term(Term::Call(*method, arguments), Kind::Any, start);
        }
    }

    /// What stands in brackets behind a value: a key or a slice.
    fn subscript(&mut self, of: Term<L::Name>, at: usize) -> Result<Term<L::Name>, ExprError> {
        let mut bounds = [None; 3];
        let mut colons = 0;
        let start = self.cursor;
        while let Some(bound) = bounds.get_mut(colons) {
            let negative = self.cursor.take("-");
            let digits = self.cursor.rest();
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            if end > 0 {
                *bound =
                    digits[..end].parse().ok().map(|number: i64| if negative { -number } else { number });
                self.cursor.skip(end);
            }
            if !self.cursor.take(":") {
                break;
            }
            colons += 1;
        }
        if colons > 0 && self.cursor.take("]") {
            return Ok(Term::Slice(Box::new(of), bounds));
        }
        self.cursor = start;
        let key = self.deeper(at, Parser::any)?.into_term(self.grammar)?.0;
        if !self.cursor.take("]") {
            return Err(self.unclosed(at, "[", "]"));
        }
        Ok(Term::Item(Box::new(of), Box::new(key)))
    }
}

fn check(
    at: usize,
    name: &str,
    number: usize,
    allowed: &std::ops::RangeInclusive<usize>,
) -> Result<(), ExprError> {
    if allowed.contains(&number) {
        return Ok(());
    }
    Err(ExprError::new(at, format!("{name}() takes another number of arguments")))
}
