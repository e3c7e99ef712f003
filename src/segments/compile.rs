//! From normal forms to the tables that the evaluator walks.
//!
//! A segment becomes a chain of tests, each naming where to go when it is true and when it is false, so that deciding
//! it is a loop without a stack. The segment is filed under traits of which the visitor must hold at least one: for an
//! Any those of all its parts, for an All those of its cheapest part, cheap meaning rarely named.

use std::collections::BTreeMap;

use super::check::check;
use super::normal::{Counters, Formula, Test, realisations_needed};
use super::parser::parse;
use super::syntax::{Age, Expression};
use super::table::PlaceTable;
use super::{Folders, Lists, Program, SegmentRule, Window};
use crate::clock::Minute;
use crate::ids::{SegmentId, TraitId};
use crate::rules::Diagnostic;

const MINUTES_PER_DAY: Minute = 24 * 60;

/// Where a test leads: to another test, or to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome(pub(super) u32);

impl Outcome {
    pub(super) const IN: Outcome = Outcome(u32::MAX);
    pub(super) const OUT: Outcome = Outcome(u32::MAX - 1);
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TestCode {
    pub(super) counter: u32,
    least: u32,
    most: u32,
    pub(super) if_true: Outcome,
    pub(super) if_false: Outcome,
}

impl TestCode {
    pub(super) fn accepts(&self, count: u32) -> bool {
        self.least <= count && count <= self.most
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CounterCode {
    pub(super) age: Age,
    pub(super) members_start: u32,
    pub(super) members_end: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentCode {
    pub(super) id: SegmentId,
    pub(super) first: Outcome,
}

pub(super) fn compile(
    rules: &[SegmentRule],
    is_trait: &dyn Fn(TraitId) -> bool,
    folders: &Folders,
) -> Result<Program, Vec<(usize, Diagnostic)>> {
    let mut counters = Counters::default();
    let mut windows = BTreeMap::new();
    let mut formulas = Vec::with_capacity(rules.len());
    let mut faults = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let checked = parse(&rule.expression).and_then(|mut expression| {
            folders.expand(&mut expression);
            let formula = check(&rule.expression, &expression, is_trait, &mut counters)?;
            note_windows(&expression, &mut windows);
            Ok(formula)
        });
        match checked {
            Ok(formula) => formulas.push(formula),
            Err(fault) => faults.push((index, fault)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let ids = rules.iter().map(|rule| rule.id);
    Ok(assemble(ids, &formulas, &counters, windows.into_values().collect()))
}

/// Widens what the history must keep by what this expression's terms look at.
fn note_windows(expression: &Expression, windows: &mut BTreeMap<TraitId, Window>) {
    let term = match expression {
        Expression::Any(parts) | Expression::All(parts) => {
            return parts.iter().for_each(|part| note_windows(part, windows));
        }
        Expression::Not(inner) => return note_windows(inner, windows),
        Expression::Term(term) => term,
    };
    let days = match term.age {
        Age::Any => return,
        Age::DaysAtMost(days) | Age::DaysAtLeast(days) => days,
        Age::MinutesAtMost(_) => 0,
        // These count by days what is too old to be kept by minutes.
        Age::MinutesAtLeast(minutes) => minutes.div_ceil(MINUTES_PER_DAY),
    };
    let minutes = if term.age.is_minutes() { realisations_needed(term.compare, term.threshold) } else { 0 };
    for &(trait_id, _) in &term.traits {
        let window = windows.entry(trait_id).or_insert(Window { trait_id, ..Window::default() });
        window.days = window.days.max(days as u16);
        window.minutes_kept = window.minutes_kept.max(minutes as u8);
    }
}

fn assemble(
    ids: impl Iterator<Item = SegmentId>,
    formulas: &[Formula],
    counters: &Counters,
    windows: Vec<Window>,
) -> Program {
    let mut traits: Vec<TraitId> = counters.all.iter().flat_map(|counter| counter.traits.iter().copied()).collect();
    traits.sort_unstable();
    traits.dedup();
    let mut builder = Builder::new(counters, &traits);
    formulas.iter().for_each(|formula| builder.count_uses(formula));
    let (mut filed, mut naming) = (vec![Vec::new(); traits.len()], vec![Vec::new(); traits.len()]);
    let mut segments = Vec::with_capacity(formulas.len());
    for (segment, (id, formula)) in ids.zip(formulas).enumerate() {
        segments.push(SegmentCode { id, first: builder.emit(formula, Outcome::IN, Outcome::OUT) });
        let (_, places) = builder.access(formula).expect("checked: false for a visitor who holds nothing");
        file(segment, places, &mut filed);
        let mut named = Vec::new();
        formula.for_each_test(&mut |test| named.extend_from_slice(builder.members_of(test)));
        file(segment, named, &mut naming);
    }
    Program {
        windows,
        places: PlaceTable::new(traits.iter().map(|id| id.0)),
        traits,
        filed: Lists::new(&filed),
        naming: Lists::new(&naming),
        own: PlaceTable::new(segments.iter().map(|segment: &SegmentCode| segment.id.0)),
        counters: builder.counters,
        members: builder.members,
        tests: builder.tests,
        segments,
    }
}

/// Puts the segment into the lists of these traits, once into each.
fn file(segment: usize, mut places: Vec<u32>, lists: &mut [Vec<u32>]) {
    places.sort_unstable();
    places.dedup();
    places.into_iter().for_each(|place| lists[place as usize].push(segment as u32));
}

struct Builder {
    counters: Vec<CounterCode>,
    members: Vec<u32>,
    tests: Vec<TestCode>,
    /// How many tests name each trait.
    uses: Vec<u64>,
}

impl Builder {
    fn new(counters: &Counters, traits: &[TraitId]) -> Builder {
        let mut members = Vec::new();
        let place = |id: &TraitId| traits.binary_search(id).expect("`traits` are those of all counters") as u32;
        let counters = counters
            .all
            .iter()
            .map(|counter| {
                let members_start = members.len() as u32;
                members.extend(counter.traits.iter().map(place));
                CounterCode { age: counter.age, members_start, members_end: members.len() as u32 }
            })
            .collect();
        Builder { counters, members, tests: Vec::new(), uses: vec![0; traits.len()] }
    }

    fn members_of(&self, test: &Test) -> &[u32] {
        let counter = self.counters[test.counter as usize];
        &self.members[counter.members_start as usize..counter.members_end as usize]
    }

    fn count_uses(&mut self, formula: &Formula) {
        formula.for_each_test(&mut |test| {
            let counter = self.counters[test.counter as usize];
            for &place in &self.members[counter.members_start as usize..counter.members_end as usize] {
                self.uses[place as usize] += 1;
            }
        });
    }

    /// The traits one of which a visitor must hold, with their cost; none when the formula can be true without any.
    fn access(&self, formula: &Formula) -> Option<(u64, Vec<u32>)> {
        match formula {
            Formula::Test(test) if !test.is_positive() => None,
            Formula::Test(test) => {
                let places = self.members_of(test);
                Some((places.iter().map(|&place| self.uses[place as usize]).sum(), places.to_vec()))
            }
            Formula::All(parts) => parts.iter().filter_map(|part| self.access(part)).min(),
            Formula::Any(parts) => parts.iter().try_fold((0, Vec::new()), |(cost, mut places), part| {
                let (part_cost, part_places) = self.access(part)?;
                places.extend(part_places);
                Some((cost + part_cost, places))
            }),
        }
    }

    /// Lays the formula's tests down back to front, so that each knows where it leads, and says where to begin.
    fn emit(&mut self, formula: &Formula, if_true: Outcome, if_false: Outcome) -> Outcome {
        match formula {
            Formula::Test(test) => {
                let &Test { counter, least, most } = test;
                self.tests.push(TestCode { counter, least, most, if_true, if_false });
                Outcome(self.tests.len() as u32 - 1)
            }
            Formula::All(parts) => {
                self.cheapest_last(parts).into_iter().fold(if_true, |next, part| self.emit(part, next, if_false))
            }
            Formula::Any(parts) => {
                self.cheapest_last(parts).into_iter().fold(if_false, |next, part| self.emit(part, if_true, next))
            }
        }
    }

    /// Cheap tests are to be asked first, windowed ones last: they cost more, and each one asked is a reason for the
    /// result to change with time.
    fn cheapest_last<'f>(&self, parts: &'f [Formula]) -> Vec<&'f Formula> {
        let mut parts: Vec<&Formula> = parts.iter().rev().collect();
        parts.sort_by_cached_key(|part| std::cmp::Reverse(self.effort(part)));
        parts
    }

    fn effort(&self, formula: &Formula) -> u64 {
        let mut effort = 0;
        formula.for_each_test(&mut |test| {
            let is_windowed = self.counters[test.counter as usize].age != Age::Any;
            effort += self.members_of(test).len() as u64 + if is_windowed { WINDOW_EFFORT } else { 0 };
        });
        effort
    }
}

/// What a window adds to a test's effort, measured in list members.
const WINDOW_EFFORT: u64 = 16;
