//! What is wrong with a rule, in a form that points at it.

use std::ops::Range;

/// A fault within one expression's text. `config` knows where in which file the text stands and draws the caret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, a sentence without its full stop.
    pub message: String,
    /// Where, in bytes of the expression's text.
    pub span: Range<usize>,
    /// How to mend it.
    pub hint: Option<String>,
}
