//! Trait expressions: which traits a call's signals realise.
//!
//! [`language`] reads and checks expressions, `compile` turns an account's rules into a [`Matcher`], and `matcher`
//! evaluates them on the hot path. [`oracle`] does the same by walking every syntax tree: what tests and benches
//! compare the matcher with.
#![forbid(unsafe_code)]

pub mod boolean;
mod compile;
pub mod diagnostic;
pub mod language;
mod letters;
mod matcher;
pub mod oracle;
pub mod regex;
mod scalar;
#[cfg(test)]
mod tests;

use crate::ids::{DataSourceId, TraitId};
pub use diagnostic::Diagnostic;
pub use matcher::Matcher;
pub use matcher::scratch::MatcherScratch;

/// One rule-based trait, as configured.
#[derive(Clone, Debug)]
pub struct TraitRule {
    pub id: TraitId,
    pub data_source: DataSourceId,
    pub expression: String,
}

/// (source key, source value) adds (target key, target value) to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedSignal {
    pub source_key: String,
    pub source_value: String,
    pub target_key: String,
    pub target_value: String,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct MatcherOptions {
    pub case_insensitive_values: bool,
}

/// What became of one evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchOutcome {
    /// Values or comma parts over the bounds were left out: error 10.
    pub truncated: bool,
    /// Backtracking regexes that gave up at their step limit.
    pub regexes_given_up: u32,
}
