//! From text to syntax tree: comparisons within the shared boolean grammar.

use std::ops::Range;

use super::lexer::Lexer;
use super::{Comparison, Expression, Operator};
use crate::limits::{COMPARISONS_MAX, EXPRESSION_BYTES_MAX};
use crate::rules::Diagnostic;
use crate::rules::boolean::{self, Source, Word};

/// Reads an expression. What needs more than grammar is left to [`super::Checker`].
pub fn parse(text: &str) -> Result<Expression, Diagnostic> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes");
        return Err(Diagnostic { message, span: 0..text.len(), hint: Some("split the rule".to_owned()) });
    }
    boolean::parse(&mut Parser { lexer: Lexer::new(text), comparisons: 0 })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    comparisons: usize,
}

impl Source for Parser<'_> {
    type Term = Comparison;

    fn peek(&mut self) -> Result<(Word, Range<usize>), Diagnostic> {
        self.lexer.peek()
    }

    fn skip(&mut self) {
        // What was peeked before can be peeked again.
        if let Ok((_, span)) = self.lexer.peek() {
            self.lexer.skip(span);
        }
    }

    fn term(&mut self) -> Result<Comparison, Diagnostic> {
        let key = self.lexer.key()?;
        let operator = self.lexer.operator()?;
        let value = self.lexer.value()?;
        let span = key.span.start..value.span.end;
        self.comparisons += 1;
        if self.comparisons > COMPARISONS_MAX {
            let message = format!("the expression has more than {COMPARISONS_MAX} comparisons");
            return Err(Diagnostic { message, span, hint: Some("split the rule".to_owned()) });
        }
        if let Some((message, hint)) = missing_pattern(operator, &value.text) {
            return Err(Diagnostic { message: message.to_owned(), span: value.span, hint: Some(hint.to_owned()) });
        }
        Ok(Comparison { key: key.text, operator, value: value.text, span, value_span: value.span })
    }

    fn term_name(&self) -> &'static str {
        "a comparison"
    }
}

/// Patterns that would be found in every value are mistakes.
fn missing_pattern(operator: Operator, value: &str) -> Option<(&'static str, &'static str)> {
    match operator {
        Operator::Contains | Operator::StartsWith | Operator::EndsWith if value.is_empty() => {
            Some(("this pattern is empty", "an empty value is asked for by == \"\""))
        }
        Operator::MatchesWords if value.trim().is_empty() => {
            Some(("this pattern has no word", "name at least one word"))
        }
        _ => None,
    }
}
