//! The naive evaluator that tests compare with: it walks the syntax tree and looks at every realisation by itself.

use super::lexer::Compare;
use super::syntax::{Age, Expression, Term};
use crate::clock::Minute;
use crate::ids::TraitId;
use crate::profile::history::{History, TraitEntry};

const MINUTES_PER_DAY: u64 = 24 * 60;

/// Folders and their children.
pub(super) type Tree = [(TraitId, Vec<TraitId>)];

pub(super) fn is_in(expression: &Expression, history: History<'_>, now: Minute) -> bool {
    is_in_with(expression, &[], history, now)
}

pub(super) fn is_in_with(expression: &Expression, folders: &Tree, history: History<'_>, now: Minute) -> bool {
    match expression {
        Expression::Any(parts) => parts.iter().any(|part| is_in_with(part, folders, history, now)),
        Expression::All(parts) => parts.iter().all(|part| is_in_with(part, folders, history, now)),
        Expression::Not(inner) => !is_in_with(inner, folders, history, now),
        Expression::Term(term) => is_term_true(term, folders, history, now),
    }
}

fn is_term_true(term: &Term, folders: &Tree, history: History<'_>, now: Minute) -> bool {
    let mut listed: Vec<TraitId> = Vec::new();
    term.traits.iter().for_each(|(id, _)| reach(*id, folders, &mut listed));
    let count: u64 = listed.iter().map(|id| realisations(*id, term.age, history, u64::from(now))).sum();
    let threshold = u64::from(term.threshold);
    match term.compare {
        Compare::AtLeast => count >= threshold,
        Compare::AtMost => count <= threshold,
        Compare::Equal => count == threshold,
        Compare::Above => count > threshold,
        Compare::Below => count < threshold,
    }
}

/// Adds what `id` comes to, each trait once.
fn reach(id: TraitId, folders: &Tree, listed: &mut Vec<TraitId>) {
    match folders.iter().find(|(folder, _)| *folder == id) {
        Some((_, children)) => children.iter().for_each(|child| reach(*child, folders, listed)),
        None if !listed.contains(&id) => listed.push(id),
        None => {}
    }
}

fn realisations(id: TraitId, age: Age, history: History<'_>, now: u64) -> u64 {
    let entries = || history.entries.iter().filter(|entry| entry.trait_id == id);
    let day_age = |entry: &TraitEntry| (now / MINUTES_PER_DAY).saturating_sub(u64::from(entry.day));
    let sum = |is_counted: &dyn Fn(&TraitEntry) -> bool| {
        entries().filter(|entry| is_counted(entry)).map(|entry| u64::from(entry.count)).sum()
    };
    let kept: Vec<u64> =
        history.minutes.iter().filter(|kept| kept.trait_id == id).map(|kept| u64::from(kept.minute)).collect();
    match age {
        Age::Any => sum(&|_| true),
        Age::DaysAtMost(days) => sum(&|entry| day_age(entry) <= u64::from(days)),
        Age::DaysAtLeast(days) => sum(&|entry| day_age(entry) >= u64::from(days)),
        Age::MinutesAtMost(_) if entries().next().is_none() => 0,
        Age::MinutesAtMost(minutes) => {
            kept.iter().filter(|&&minute| now.saturating_sub(minute) <= u64::from(minutes)).count() as u64
        }
        Age::MinutesAtLeast(minutes) => entries()
            .flat_map(|entry| latest_minutes(entry, &kept))
            .filter(|&latest| now.saturating_sub(latest) >= u64::from(minutes))
            .count() as u64,
    }
}

/// One number for each realisation of the entry: the latest minute at which it can have happened.
fn latest_minutes(entry: &TraitEntry, kept: &[u64]) -> Vec<u64> {
    let day = u64::from(entry.day);
    let mut latest: Vec<u64> = kept.iter().filter(|&&minute| minute / MINUTES_PER_DAY == day).copied().collect();
    latest.reverse();
    let unkept = match kept.first() {
        Some(&oldest) if oldest / MINUTES_PER_DAY == day => oldest,
        _ => day * MINUTES_PER_DAY + MINUTES_PER_DAY - 1,
    };
    latest.resize(usize::from(entry.count), unkept);
    latest
}
