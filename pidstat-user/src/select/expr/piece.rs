//! Parts of an expression while it is read: whether each is a condition or a value, and of what kind.

use super::{Condition, ExprError, Kind, Relation, Term};

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

    pub(super) fn into_condition(self) -> Result<Condition<N>, ExprError> {
        match self.node {
            Node::Condition(condition) => Ok(condition),
            Node::Term(Term::Name(name), Kind::Any) => Ok(Condition::Exists(name)),
            Node::Term(term, Kind::Truth | Kind::Any) => Ok(Condition::True(term)),
            Node::Term(_, kind) => Err(ExprError::new(
                self.at,
                format!("{} is no condition; compare it with something, as in cpu_pct > 50", a(kind)),
            )),
        }
    }

    pub(super) fn into_term(self) -> Result<(Term<N>, Kind, usize), ExprError> {
        match self.node {
            Node::Term(term, kind) => Ok((term, kind, self.at)),
            Node::Condition(_) => Err(ExprError::new(
                self.at,
                "a condition has no value that could be compared or calculated with",
            )),
        }
    }

    pub(super) fn into_number(self) -> Result<(Term<N>, usize), ExprError> {
        match self.into_term()? {
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
