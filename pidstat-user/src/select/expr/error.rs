//! What is wrong with an expression, and where.

/// A mistake in an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ExprError {
    /// The byte at which the mistake begins; the length of the text if something is missing at its end.
    pub at: usize,
    /// What is wrong, in words.
    pub what: String,
}

impl ExprError {
    /// A mistake at a byte.
    pub fn new(at: usize, what: impl Into<String>) -> ExprError {
        ExprError { at, what: what.into() }
    }

    /// The message, the text, and a caret below the place.
    pub fn shown(&self, text: &str) -> String {
        let column = text.char_indices().take_while(|(at, _)| *at < self.at).count();
        // One line, so that the caret stands below what it points at.
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{}\n  {line}\n  {:>width$}", self.what, '^', width = column + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_character() {
        let error = ExprError::new("comm == 'ü' x ".len() - 2, "what is `x`?");
        assert_eq!(error.shown("comm == 'ü' x "), "what is `x`?\n  comm == 'ü' x \n              ^");
        assert_eq!(ExprError::new(2, "more?").shown("a\n"), "more?\n  a \n    ^");
    }
}
