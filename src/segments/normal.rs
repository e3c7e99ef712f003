//! Negation normal form: every term becomes a *test*, "this counter lies in this range", and NOT disappears into the
//! ranges. What is left is monotone (only Any and All over tests), which makes the questions of the checker and of the
//! compiler easy ones:
//!
//! - a visitor who holds nothing has 0 in all counters, so a test is true for them exactly when its range starts at 0;
//! - an expression that is false for them needs one test whose range starts above 0, so one of *its* traits.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::lexer::Compare;
use super::syntax::{Age, Expression, Term};
use crate::ids::TraitId;

/// Which realisations are counted: those of any of some traits, of some age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counter {
    /// Ascending, each once.
    pub(super) traits: Vec<TraitId>,
    pub(super) age: Age,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Formula {
    /// An empty one is false.
    Any(Vec<Formula>),
    /// An empty one is true.
    All(Vec<Formula>),
    Test(Test),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    /// Index into [`Counters`].
    pub(super) counter: u32,
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Test {
    /// Whether it fails for a visitor who holds nothing.
    pub(super) fn is_positive(&self) -> bool {
        self.least > 0
    }
}

/// The distinct counters of all segments: each is counted once a call, however many segments use it.
#[derive(Debug, Default)]
pub(super) struct Counters {
    indexes: BTreeMap<Counter, u32>,
    pub(super) all: Vec<Counter>,
}

impl Counters {
    fn intern(&mut self, term: &Term) -> u32 {
        let mut traits: Vec<TraitId> = term.traits.iter().map(|(id, _)| *id).collect();
        traits.sort_unstable();
        traits.dedup();
        let counter = Counter { traits, age: term.age };
        *self.indexes.entry(counter).or_insert_with_key(|counter| {
            self.all.push(counter.clone());
            self.all.len() as u32 - 1
        })
    }
}

pub(super) fn normalise(expression: &Expression, counters: &mut Counters) -> Formula {
    convert(expression, false, counters)
}

fn convert(expression: &Expression, negated: bool, counters: &mut Counters) -> Formula {
    match expression {
        Expression::Not(inner) => convert(inner, !negated, counters),
        Expression::Any(parts) | Expression::All(parts) => {
            let is_any = matches!(expression, Expression::Any(_));
            let parts = parts.iter().map(|part| convert(part, negated, counters)).collect();
            // De Morgan: a negated Any is an All of negations.
            if is_any != negated { Formula::Any(parts) } else { Formula::All(parts) }
        }
        Expression::Term(term) => tests(term, negated, counters.intern(term)),
    }
}

fn tests(term: &Term, negated: bool, counter: u32) -> Formula {
    let accepted = accepted(term.compare, term.threshold);
    let ranges = match (accepted, negated) {
        (None, false) => vec![],
        (None, true) => vec![0..=u32::MAX],
        (Some(range), false) => vec![range],
        (Some(range), true) => outside(&range),
    };
    let mut tests: Vec<Formula> = ranges
        .into_iter()
        .map(|range| Formula::Test(Test { counter, least: *range.start(), most: *range.end() }))
        .collect();
    if tests.len() == 1 { tests.remove(0) } else { Formula::Any(tests) }
}

/// The counts that a comparison accepts; nothing for `< 0` and its like.
fn accepted(compare: Compare, threshold: u32) -> Option<RangeInclusive<u32>> {
    Some(match compare {
        Compare::AtLeast => threshold..=u32::MAX,
        Compare::AtMost => 0..=threshold,
        Compare::Equal => threshold..=threshold,
        Compare::Above => threshold.checked_add(1)?..=u32::MAX,
        Compare::Below => 0..=threshold.checked_sub(1)?,
    })
}

fn outside(range: &RangeInclusive<u32>) -> Vec<RangeInclusive<u32>> {
    let below = range.start().checked_sub(1).map(|most| 0..=most);
    let above = range.end().checked_add(1).map(|least| least..=u32::MAX);
    below.into_iter().chain(above).collect()
}

/// How many realisations decide a comparison: seeing more can't change it. 0 when nothing does.
pub(super) fn realisations_needed(compare: Compare, threshold: u32) -> u32 {
    match accepted(compare, threshold) {
        None => 0,
        Some(range) if *range.end() == u32::MAX => *range.start(),
        Some(range) => range.end() + 1,
    }
}

impl Formula {
    pub(super) fn is_true(&self, is_test_true: &dyn Fn(&Test) -> bool) -> bool {
        match self {
            Formula::Any(parts) => parts.iter().any(|part| part.is_true(is_test_true)),
            Formula::All(parts) => parts.iter().all(|part| part.is_true(is_test_true)),
            Formula::Test(test) => is_test_true(test),
        }
    }

    pub(super) fn for_each_test(&self, visit: &mut dyn FnMut(&Test)) {
        match self {
            Formula::Any(parts) | Formula::All(parts) => parts.iter().for_each(|part| part.for_each_test(visit)),
            Formula::Test(test) => visit(test),
        }
    }
}
