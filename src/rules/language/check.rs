//! What can be wrong with an expression that is well formed.

use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use ahash::HashMap;

use super::{Comparison, Expression, Operator, parse};
use crate::limits::{SATISFIABILITY_COMPARISONS_MAX, SIGNAL_KEY_BYTES_MAX};
use crate::rules::boolean::Node;
use crate::rules::regex::{JavaRegex, RegexError};
use crate::rules::scalar::{Decimal, Scalar};
use crate::rules::{Diagnostic, MatcherOptions, letters};

/// Checks expressions one after another and keeps their compiled regular expressions, each pattern once.
#[derive(Default)]
pub struct Checker {
    options: MatcherOptions,
    regexes: HashMap<String, Arc<JavaRegex>>,
}

/// An expression that may be loaded.
#[derive(Clone, Debug)]
pub struct Checked {
    pub expression: Expression,
    /// What its author should hear all the same.
    pub warnings: Vec<Diagnostic>,
}

impl Checker {
    pub fn new(options: MatcherOptions) -> Checker {
        Checker { options, regexes: HashMap::default() }
    }

    /// Parses and checks `text`. The first fault found is returned.
    pub fn check(&mut self, text: &str) -> Result<Checked, Diagnostic> {
        let expression = parse(text)?;
        let mut comparisons = Vec::new();
        expression.for_each_term(&mut |comparison| comparisons.push(comparison));
        let mut warnings = Vec::new();
        for comparison in comparisons {
            warnings.extend(key_warning(comparison));
            warnings.extend(number_warning(comparison, text));
            if comparison.operator == Operator::MatchesRegex {
                warnings.extend(self.check_regex(comparison, text)?);
            }
        }
        self.check_truth(&expression, text)?;
        Ok(Checked { expression, warnings })
    }

    /// The compiled form of a pattern that a checked expression has.
    pub fn regex(&self, pattern: &str) -> Option<&Arc<JavaRegex>> {
        self.regexes.get(pattern)
    }

    fn check_regex(&mut self, comparison: &Comparison, text: &str) -> Result<Option<Diagnostic>, Diagnostic> {
        let span = comparison.value_span.clone();
        let regex = match self.regexes.entry(comparison.value.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => match JavaRegex::compile(&comparison.value) {
                Ok(regex) => vacant.insert(Arc::new(regex)),
                Err(RegexError { message, offset, hint }) => {
                    let span = place_in_value(text, &span, offset);
                    return Err(Diagnostic { message: format!("bad regular expression: {message}"), span, hint });
                }
            },
        };
        Ok(regex.may_allocate().then(|| Diagnostic {
            message: "this regular expression runs on the backtracking engine".to_owned(),
            span,
            hint: Some(
                "it has a step limit and may allocate; the automaton needs a pattern without look-around, \
                        back references, possessive and atomic parts"
                    .to_owned(),
            ),
        }))
    }

    /// Rejects expressions whose truth does not depend on signals.
    fn check_truth(&self, expression: &Expression, text: &str) -> Result<(), Diagnostic> {
        let whole = text.len() - text.trim_start().len()..text.trim_end().len();
        if expression.evaluate(&mut |_| false) {
            return Err(Diagnostic {
                message: "the expression is true for a call without any signal".to_owned(),
                span: whole,
                hint: Some(
                    "a comparison on an absent key is false, its NOT is true: ask for a signal as well".to_owned(),
                ),
            });
        }
        let mut numbers = HashMap::default();
        let numbered = expression.map(&mut |comparison| {
            let next = numbers.len() as u32;
            Node::Term(*numbers.entry(self.distinct(comparison)).or_insert(next))
        });
        if numbers.len() <= SATISFIABILITY_COMPARISONS_MAX && !numbered.is_satisfiable(numbers.len() as u32) {
            return Err(Diagnostic {
                message: "nothing can make the expression true".to_owned(),
                span: whole,
                hint: Some("it asks for a comparison and its opposite".to_owned()),
            });
        }
        Ok(())
    }

    /// The same for two comparisons that mean the same.
    fn distinct(&self, comparison: &Comparison) -> (String, Operator, Vec<u8>) {
        let operator = comparison.operator;
        let mut value = comparison.value.clone().into_bytes();
        if self.options.case_insensitive_values && operator != Operator::MatchesRegex {
            letters::lower_into(comparison.value.as_bytes(), &mut value);
        }
        if operator.is_equality() || operator.is_order() {
            value = Scalar::of(&value).canonical();
        }
        (comparison.key.clone(), operator, value)
    }
}

fn key_warning(comparison: &Comparison) -> Option<Diagnostic> {
    let Comparison { key, span, .. } = comparison;
    (key.len() > SIGNAL_KEY_BYTES_MAX).then(|| Diagnostic {
        message: format!("this never holds: keys of calls have at most {SIGNAL_KEY_BYTES_MAX} bytes"),
        span: span.clone(),
        hint: None,
    })
}

fn number_warning(comparison: &Comparison, text: &str) -> Option<Diagnostic> {
    let Comparison { operator, value, value_span: span, .. } = comparison;
    let is_number = Decimal::parse(value.as_bytes()).is_some();
    if operator.is_order() && !is_number {
        return Some(Diagnostic {
            message: "this never holds: the operator compares numbers and the value is none".to_owned(),
            span: span.clone(),
            hint: Some("a number is digits, with a sign and a fraction if need be".to_owned()),
        });
    }
    let digits = value.trim_start_matches(['+', '-']).as_bytes();
    let leading_zero = matches!(digits, [b'0', b'0'..=b'9', ..]);
    let is_quoted = text[span.clone()].starts_with('"');
    let compares_numbers = operator.is_equality() || operator.is_order();
    (compares_numbers && is_number && leading_zero && is_quoted).then(|| Diagnostic {
        message: "quotes and leading zeros mean nothing here: numbers are compared as numbers".to_owned(),
        span: span.clone(),
        hint: Some("to compare the digits themselves use matchesregex".to_owned()),
    })
}

/// The character of the text that stands for the byte `offset` of a value.
fn place_in_value(text: &str, value_span: &Range<usize>, offset: usize) -> Range<usize> {
    let value = &text[value_span.clone()];
    let Some(quoted) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        let start = (value_span.start + offset).min(value_span.end);
        return start..(start + 1).min(value_span.end);
    };
    let mut decoded_bytes = 0;
    let mut characters = quoted.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        let start = value_span.start + 1 + index;
        let is_escape = character == '\\' && matches!(characters.peek(), Some((_, '"' | '\\')));
        let end = start + character.len_utf8() + usize::from(is_escape);
        if is_escape {
            characters.next();
        }
        decoded_bytes += character.len_utf8();
        if offset < decoded_bytes {
            return start..end;
        }
    }
    value_span.end - 1..value_span.end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_value_is_found_in_the_text() {
        let place = |text: &str, offset: usize| {
            let value_span = text.find('=').map_or(0, |equals| equals + 1)..text.len();
            text[place_in_value(text, &value_span, offset)].to_owned()
        };
        let quoted = r#"k="a\\\"\dö(""#;
        let characters = ["a", r"\\", r#"\""#, r"\", "d", "ö", "ö", "(", r#"""#, r#"""#];
        for (offset, character) in characters.into_iter().enumerate() {
            assert_eq!(place(quoted, offset), character, "{offset}");
        }
        assert_eq!((place("k=a+b", 1), place("k=a+b", 9)), ("+".to_owned(), String::new()));
    }

    #[test]
    fn a_bad_regular_expression_is_refused_within_its_value() {
        let text = r#"a == 1 AND b matchesregex "(x""#;
        let fault = Checker::default().check(text).expect_err("a group is open");
        assert!(fault.message.starts_with("bad regular expression"));
        assert!(fault.span.start >= text.find("(x").expect("it stands there") && fault.span.end <= text.len());
    }
}
