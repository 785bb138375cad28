//! Parts of an expression while it is read: whether each is a condition or a value, and of what kind.

use super::{Condition, ExprError, Grammar, Kind, Relation, Term};

/// A part of an expression, and where it begins.
pub(super) struct Piece<N> {
    pub(super) node: Node<N>,
    pub(super) at: usize,
}

/// Whether it is a condition or a value shows only after it was read: both may stand in parentheses.
pub(super) enum Node<N> {
    Condition(Condition<N>),
    Term(Term<N>, Kind),
}

impl<N> Piece<N> {
    pub(super) fn condition(node: Condition<N>, at: usize) -> Piece<N> {
        Piece { node: Node::Condition(node), at }
    }

    pub(super) fn term(node: Term<N>, kind: Kind, at: usize) -> Piece<N> {
        Piece { node: Node::Term(node, kind), at }
    }

    pub(super) fn into_condition(self, grammar: Grammar) -> Result<Condition<N>, ExprError> {
        match self.node {
            Node::Condition(condition) => Ok(condition),
            Node::Term(term, _) if grammar == Grammar::Python => Ok(Condition::True(term)),
            Node::Term(Term::Name(name), Kind::Any | Kind::Nodes) => Ok(Condition::Exists(name)),
            Node::Term(term, _) if grammar == Grammar::Document => Ok(Condition::True(term)),
            Node::Term(term, Kind::Truth | Kind::Any) if grammar == Grammar::Columns => {
                Ok(Condition::True(term))
            }
            Node::Term(_, kind) => {
                let example = if grammar == Grammar::Columns { "cpu_pct > 50" } else { "@.stat.pid > 50" };
                let what = format!("{} is no condition; compare it with something, as in {example}", a(kind));
                Err(ExprError::new(self.at, what))
            }
        }
    }

    pub(super) fn into_term(self, grammar: Grammar) -> Result<(Term<N>, Kind, usize), ExprError> {
        match self.node {
            Node::Term(_, Kind::Nodes) if grammar == Grammar::Strict => Err(ExprError::new(
                self.at,
                "this may find several values, and only single ones are compared; write count() or value()",
            )),
            Node::Term(term, kind) => Ok((term, kind, self.at)),
            Node::Condition(condition) if grammar.is_rich() => {
                Ok((Term::Condition(Box::new(condition)), Kind::Any, self.at))
            }
            Node::Condition(_) => Err(ExprError::new(
                self.at,
                "a condition has no value that could be compared or calculated with",
            )),
        }
    }

    pub(super) fn into_number(self, grammar: Grammar) -> Result<(Term<N>, usize), ExprError> {
        match self.into_term(grammar)? {
            (term, _, at) if grammar.is_rich() => Ok((term, at)),
            (term, Kind::Number | Kind::Any, at) => Ok((term, at)),
            (_, kind, at) => {
                Err(ExprError::new(at, format!("one calculates with numbers; this is {}", a(kind))))
            }
        }
    }
}

/// The kind in words.
pub(super) fn a(kind: Kind) -> &'static str {
    match kind {
        Kind::Any => "a value",
        Kind::Number => "a number",
        Kind::Text => "text",
        Kind::Truth => "true or false",
        Kind::Null => "null",
        Kind::List => "a list",
        Kind::Nodes => "a query",
    }
}

/// Refuses comparisons that could never hold.
pub(super) fn comparable(left: Kind, relation: Relation, right: Kind) -> Result<(), String> {
    let membership = matches!(relation, Relation::In | Relation::NotIn);
    let order = !membership && !matches!(relation, Relation::Equal | Relation::Unequal);
    match (left, right) {
        (Kind::List, _) => Err("a list stands only after in".into()),
        (_, Kind::List) if membership => Ok(()),
        (_, Kind::List) => Err("a list stands only after in, as in pid in [1, 2]".into()),
        (Kind::Text | Kind::Any, Kind::Text | Kind::Any) => Ok(()),
        _ if membership => Err(format!("in looks into a list or a text; this is {}", a(right))),
        (Kind::Null, _) | (_, Kind::Null) if order => Err("null is compared with == and != only".into()),
        (Kind::Truth, _) | (_, Kind::Truth) if order => {
            Err("true and false are compared with == and != only".into())
        }
        (Kind::Null | Kind::Any, _) | (_, Kind::Null | Kind::Any) => Ok(()),
        (left, right) if left == right => Ok(()),
        (left, right) => Err(format!("{} is never equal to {}", a(left), a(right))),
    }
}
