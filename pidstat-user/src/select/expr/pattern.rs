//! Regular expressions in conditions: compiled once, or once for each text that a document gives.

use super::{Environment, Fault, Grammar, Operand, Term};
use regex::bytes::{Regex, RegexBuilder};
use std::{borrow::Cow, cell::RefCell, collections::HashMap};

/// Bytes that a compiled regular expression may take; a hostile one asks for more.
const MOST_BYTES: usize = 1 << 20;

/// Regular expressions of documents that are kept.
const MOST_KEPT: usize = 64;

/// A regular expression that stands in a condition.
#[derive(Clone, Debug)]
pub struct Pattern<N> {
    source: Source<N>,
    anchor: Anchor,
    grammar: Grammar,
}

#[derive(Clone, Debug)]
enum Source<N> {
    /// Written as a string; none if RFC 9535 would let a bad one match nothing.
    Written(Option<Regex>),
    /// Whatever the document has there.
    Found(Box<Term<N>>, RefCell<HashMap<Box<[u8]>, Option<Regex>>>),
}

/// Where a match must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// It is the whole text.
    Whole,
    /// It begins where the text begins.
    Start,
    /// Anywhere.
    Anywhere,
}

impl<N> Pattern<N> {
    /// Compiles what was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn written(pattern: &str, anchor: Anchor, grammar: Grammar) -> Result<Pattern<N>, String> {
        let regex = match build(pattern, anchor, grammar) {
            Ok(regex) => Some(regex),
            Err(_) if grammar == Grammar::Strict => None,
            Err(error) => return Err(reason(&error)),
        };
        Ok(Pattern { source: Source::Written(regex), anchor, grammar })
    }

    /// Takes it from the document when it is needed.
    pub(super) fn found(term: Term<N>, anchor: Anchor, grammar: Grammar) -> Pattern<N> {
        Pattern { source: Source::Found(Box::new(term), RefCell::default()), anchor, grammar }
    }

    /// Calls `each` with every name in it.
    pub(super) fn names(&self, each: &mut impl FnMut(&N)) {
        if let Source::Found(term, _) = &self.source {
            term.names(each);
        }
    }

    /// Whether a text matches.
    pub(super) fn matches(&self, text: &[u8], env: &impl Environment<N>) -> Result<bool, Fault> {
        match &self.source {
            Source::Written(regex) => Ok(regex.as_ref().is_some_and(|regex| regex.is_match(text))),
            Source::Found(term, kept) => {
                let Operand::Text(pattern) = term.value(env)? else { return Ok(false) };
                let mut kept = kept.borrow_mut();
                if !kept.contains_key(&*pattern) {
                    if kept.len() >= MOST_KEPT {
                        kept.clear();
                    }
                    let regex = std::str::from_utf8(&pattern)
                        .ok()
                        .and_then(|pattern| build(pattern, self.anchor, self.grammar).ok());
                    kept.insert(pattern.to_vec().into(), regex);
                }
                Ok(kept.get(&*pattern).and_then(Option::as_ref).is_some_and(|regex| regex.is_match(text)))
            }
        }
    }
}

fn build(pattern: &str, anchor: Anchor, grammar: Grammar) -> Result<Regex, regex::Error> {
    let build = |pattern: &str| {
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(MOST_BYTES).dfa_size_limit(MOST_BYTES).nest_limit(64);
        match grammar {
            // Names of processes are bytes.
            Grammar::Columns => builder.unicode(false).dot_matches_new_line(true),
            // RFC 9485: a dot is anything but the two ends of lines.
            Grammar::Strict | Grammar::Document => builder.crlf(true),
            Grammar::Python => &mut builder,
        };
        builder.build()
    };
    // By itself first: `a)|(b` must not slip out of the parentheses that are put around it.
    let regex = build(pattern)?;
    let anchored: Cow<'_, str> = match anchor {
        Anchor::Whole => format!(r"\A(?:{pattern})\z").into(),
        Anchor::Start => format!(r"\A(?:{pattern})").into(),
        Anchor::Anywhere => return Ok(regex),
    };
    build(&anchored)
}

/// The last line of what the regex library draws; it has the words.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    format!("a bad regular expression: {}", line.strip_prefix("error: ").unwrap_or(line))
}
