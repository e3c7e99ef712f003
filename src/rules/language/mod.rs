//! The language of trait expressions: from text to a checked syntax tree.
//!
//! [`parse`] knows the grammar alone. A [`Checker`] adds what needs the whole expression or the options: regular
//! expressions that compile, an expression that can hold and that needs at least one signal.

mod check;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use check::{Checked, Checker};
pub use parser::parse;

use super::boolean::Node;

/// A trait expression's syntax tree.
pub type Expression = Node<Comparison>;

/// `key operator value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub key: String,
    pub operator: Operator,
    /// Without its quotes, escapes resolved.
    pub value: String,
    /// The comparison in the expression's text, in bytes.
    pub span: Range<usize>,
    /// The value in the expression's text, quotes included, in bytes.
    pub value_span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    MatchesWords,
    StartsWith,
    EndsWith,
    MatchesRegex,
}

impl Operator {
    /// The operator that `word` spells, in any case.
    fn of(word: &str) -> Option<Operator> {
        SPELLINGS.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(word)).map(|&(_, operator)| operator)
    }

    /// Whether it orders numbers.
    pub fn is_order(self) -> bool {
        use Operator::*;
        matches!(self, Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// Whether it is `==` or `!=`.
    pub fn is_equality(self) -> bool {
        matches!(self, Operator::Equal | Operator::NotEqual)
    }
}

const SPELLINGS: [(&str, Operator); 13] = [
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("contains", Operator::Contains),
    ("matcheswords", Operator::MatchesWords),
    ("startswith", Operator::StartsWith),
    ("endswith", Operator::EndsWith),
    ("matchesregex", Operator::MatchesRegex),
];
