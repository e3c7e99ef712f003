//! The tree that a segment expression is parsed into: still as written, with places, nothing simplified.

use std::ops::Range;

use super::lexer::Compare;
use crate::ids::TraitId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Term(Term),
}

/// `FREQUENCY([traits] age) compare threshold`, into which the two shorter forms are read as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) traits: Vec<(TraitId, Range<usize>)>,
    pub(super) age: Age,
    pub(super) compare: Compare,
    pub(super) threshold: u32,
    /// The whole term.
    pub(super) span: Range<usize>,
    /// The threshold, or the whole term where it is not written.
    pub(super) threshold_span: Range<usize>,
}

/// Which realisations count, by their age. Hours are turned into minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    Any,
    DaysAtMost(u32),
    DaysAtLeast(u32),
    MinutesAtMost(u32),
    MinutesAtLeast(u32),
}

impl Age {
    /// Whether the record has to keep minutes for it.
    pub(super) fn is_minutes(self) -> bool {
        matches!(self, Age::MinutesAtMost(_) | Age::MinutesAtLeast(_))
    }
}
