//! What a segment expression may not say, beyond its grammar.

use super::lexer::fault;
use super::normal::{Counter, Counters, Formula, Test, normalise, realisations_needed};
use super::syntax::{Age, Expression, Term};
use crate::ids::TraitId;
use crate::limits::{MINUTES_PER_TRAIT_MAX, SATISFIABILITY_COMPARISONS_MAX};
use crate::rules::Diagnostic;

const MINUTES_PER_DAY: u32 = 24 * 60;

/// Checks one expression and hands back its normal form.
pub(super) fn check(
    text: &str,
    expression: &Expression,
    is_trait: &dyn Fn(TraitId) -> bool,
    counters: &mut Counters,
) -> Result<Formula, Diagnostic> {
    check_terms(expression, is_trait)?;
    let formula = normalise(expression, counters);
    let whole = text.len() - text.trim_start().len()..text.trim_end().len();
    if formula.is_true(&|test| !test.is_positive()) {
        return Err(fault(
            "this is true for a visitor who holds nothing",
            whole,
            "name a trait that the visitor must hold, as in `123T AND ...`",
        ));
    }
    if !is_satisfiable(&formula, &counters.all) {
        return Err(fault(
            "this can never be true",
            whole,
            "some of its conditions exclude each other; look for a trait that is both required and excluded",
        ));
    }
    Ok(formula)
}

fn check_terms(expression: &Expression, is_trait: &dyn Fn(TraitId) -> bool) -> Result<(), Diagnostic> {
    match expression {
        Expression::Any(parts) | Expression::All(parts) => {
            parts.iter().try_for_each(|part| check_terms(part, is_trait))
        }
        Expression::Not(inner) => check_terms(inner, is_trait),
        Expression::Term(term) => check_term(term, is_trait),
    }
}

fn check_term(term: &Term, is_trait: &dyn Fn(TraitId) -> bool) -> Result<(), Diagnostic> {
    if let Some((id, span)) = term.traits.iter().find(|(id, _)| !is_trait(*id)) {
        return Err(fault(
            format!("trait {id} is not configured"),
            span.clone(),
            "a segment can use the traits of its own account only",
        ));
    }
    let needed = realisations_needed(term.compare, term.threshold);
    if term.age.is_minutes() && needed as usize > MINUTES_PER_TRAIT_MAX {
        return Err(fault(
            format!("an hour or minute window can't count up to {needed}"),
            term.threshold_span.clone(),
            format!(
                "only a trait's last {MINUTES_PER_TRAIT_MAX} realisations are kept to the minute; use a window in days"
            ),
        ));
    }
    Ok(())
}

/// Whether some history can make the formula true. Tests exclude each other when one wants more realisations than
/// another, which counts at least the same ones, allows. Only pairs are looked at, so `true` may be wrong, `false` not.
fn is_satisfiable(formula: &Formula, counters: &[Counter]) -> bool {
    let mut tests = Vec::new();
    formula.for_each_test(&mut |test| tests.push(*test));
    tests.sort_unstable();
    tests.dedup();
    let is_conflict = |a: &Test, b: &Test| excludes(a, b, counters) || excludes(b, a, counters);
    // The formula is monotone, so a test that conflicts with none may be taken as true; only the others are a choice.
    let contested: Vec<Test> = tests.iter().filter(|a| tests.iter().any(|b| is_conflict(a, b))).copied().collect();
    if contested.len() > SATISFIABILITY_COMPARISONS_MAX {
        return true;
    }
    let conflicts: Vec<u32> = contested
        .iter()
        .map(|a| contested.iter().enumerate().map(|(bit, b)| u32::from(is_conflict(a, b)) << bit).sum())
        .collect();
    Search { formula, contested, conflicts }.finds_from(0, 0)
}

/// Whether `more` needs realisations that `less` forbids.
fn excludes(more: &Test, less: &Test, counters: &[Counter]) -> bool {
    more.least > less.most && counts_within(&counters[more.counter as usize], &counters[less.counter as usize])
}

/// Whether every realisation that `inner` counts is counted by `outer` as well.
fn counts_within(inner: &Counter, outer: &Counter) -> bool {
    ages_within(inner.age, outer.age) && inner.traits.iter().all(|id| outer.traits.binary_search(id).is_ok())
}

fn ages_within(inner: Age, outer: Age) -> bool {
    match (inner, outer) {
        (_, Age::Any) => true,
        (Age::DaysAtMost(inner), Age::DaysAtMost(outer)) => inner <= outer,
        (Age::DaysAtLeast(inner), Age::DaysAtLeast(outer)) => inner >= outer,
        (Age::MinutesAtMost(inner), Age::MinutesAtMost(outer)) => inner <= outer,
        (Age::MinutesAtLeast(inner), Age::MinutesAtLeast(outer)) => inner >= outer,
        // Some minutes ago may be on the day before, a day's worth of minutes ago certainly is.
        (Age::MinutesAtMost(inner), Age::DaysAtMost(outer)) => inner.div_ceil(MINUTES_PER_DAY) <= outer,
        (Age::MinutesAtLeast(inner), Age::DaysAtLeast(outer)) => inner / MINUTES_PER_DAY >= outer,
        // The last minute of the day `inner` days ago, seen from the first minute of today.
        (Age::DaysAtLeast(inner), Age::MinutesAtLeast(outer)) => (inner - 1) * MINUTES_PER_DAY + 1 >= outer,
        _ => false,
    }
}

struct Search<'a> {
    formula: &'a Formula,
    contested: Vec<Test>,
    /// For each contested test the tests that it excludes, as bits.
    conflicts: Vec<u32>,
}

impl Search<'_> {
    /// Tries to find a consistent choice among the tests from `next` on, given those `taken` before it.
    fn finds_from(&self, next: usize, taken: u32) -> bool {
        let is_open = |bit: usize| taken & (1 << bit) != 0 || (bit >= next && self.conflicts[bit] & taken == 0);
        let is_possible = self.formula.is_true(&|test| match self.contested.binary_search(test) {
            Ok(bit) => is_open(bit),
            Err(_) => true,
        });
        if !is_possible || next == self.contested.len() {
            return is_possible;
        }
        let may_take = self.conflicts[next] & (taken | 1 << next) == 0;
        may_take && self.finds_from(next + 1, taken | 1 << next) || self.finds_from(next + 1, taken)
    }
}
