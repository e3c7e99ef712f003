//! Evaluating: from the traits that a visitor holds to the segments filed under them, and nowhere else.

use std::ops::Range;

use super::ages::{TraitHistory, count, counts_before_turn, for_each_turn};
use super::compile::{CounterCode, Outcome, TestCode};
use super::syntax::Age;
use super::table::Stamped;
use super::{Changed, Program, ProgramScratch};
use crate::clock::{Minute, Now};
use crate::ids::{SegmentId, TraitId};
use crate::limits::{PROFILE_ENTRIES_MAX, PROFILE_MINUTES_MAX};
use crate::profile::history::History;

/// Turns that are looked at to find when a test changes. A history joined from several profiles may have more: then
/// the first turn of all is taken for the change, which is early but never late.
const TURNS_MAX: usize = PROFILE_ENTRIES_MAX + PROFILE_MINUTES_MAX;

/// Where in the history a held trait's entries and minutes stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldTrait {
    place: u32,
    entries_start: u32,
    entries_end: u32,
    minutes_start: u32,
    minutes_end: u32,
}

impl ProgramScratch {
    pub(super) fn new(program: &Program) -> ProgramScratch {
        ProgramScratch {
            held: Vec::with_capacity(program.trait_count()),
            held_index: Stamped::new(program.trait_count()),
            counts: Stamped::new(program.counters.len()),
            seen: Stamped::new(program.segments.len()),
            turns: Vec::with_capacity(TURNS_MAX),
        }
    }

    fn forget(&mut self) {
        self.held.clear();
        self.held_index.forget();
        self.counts.forget();
        self.seen.forget();
    }
}

pub(super) fn evaluate(
    program: &Program,
    history: History<'_>,
    now: Now,
    scratch: &mut ProgramScratch,
    segments: &mut Vec<SegmentId>,
) -> Minute {
    segments.clear();
    find_held(program, history, scratch);
    let mut call = Call { program, history, now: now.minute(), scratch, finds_all: true, change: Minute::MAX };
    for held in 0..call.scratch.held.len() {
        let place = call.scratch.held[held].place;
        for &segment in program.filed.of(place) {
            if call.scratch.seen.value(segment).is_some() {
                continue;
            }
            call.scratch.seen.put(segment, 1);
            if call.is_in(segment) {
                segments.push(program.segments[segment as usize].id);
            }
        }
    }
    segments.sort_unstable();
    call.change
}

pub(super) fn evaluate_changed(
    program: &Program,
    history: History<'_>,
    changed: &[TraitId],
    now: Now,
    scratch: &mut ProgramScratch,
    segments: &mut Vec<SegmentId>,
) -> Changed {
    scratch.forget();
    let mut call = Call { program, history, now: now.minute(), scratch, finds_all: false, change: Minute::MAX };
    let mut is_moved = false;
    for place in changed.iter().filter_map(|id| program.places.place(id.0)) {
        for &segment in program.naming.of(place) {
            if call.scratch.seen.value(segment).is_some() {
                continue;
            }
            call.scratch.seen.put(segment, 1);
            let id = program.segments[segment as usize].id;
            match (call.is_in(segment), segments.binary_search(&id)) {
                (true, Err(at)) => segments.insert(at, id),
                (false, Ok(at)) => _ = segments.remove(at),
                _ => continue,
            }
            is_moved = true;
        }
    }
    Changed { at: call.change, is_moved }
}

/// Notes the traits of the history that the program names.
fn find_held(program: &Program, history: History<'_>, scratch: &mut ProgramScratch) {
    debug_assert!(history.entries.is_sorted_by_key(|entry| (entry.trait_id, entry.day)));
    debug_assert!(history.minutes.is_sorted());
    scratch.forget();
    let (entries, minutes) = (history.entries, history.minutes);
    let (mut entry, mut minute) = (0, 0);
    while entry < entries.len() {
        let trait_id = entries[entry].trait_id;
        let entries_start = entry;
        entry += entries[entry..].iter().take_while(|entry| entry.trait_id == trait_id).count();
        let Some(place) = program.places.place(trait_id.0) else { continue };
        minute += minutes[minute..].iter().take_while(|minute| minute.trait_id < trait_id).count();
        let minutes_start = minute;
        minute += minutes[minute..].iter().take_while(|minute| minute.trait_id == trait_id).count();
        if scratch.held_index.value(place).is_some() {
            continue;
        }
        scratch.held_index.put(place, scratch.held.len() as u32);
        scratch.held.push(HeldTrait {
            place,
            entries_start: entries_start as u32,
            entries_end: entry as u32,
            minutes_start: minutes_start as u32,
            minutes_end: minute as u32,
        });
    }
}

/// Notes those traits that the counter counts, held or not.
fn find_members(program: &Program, counter: CounterCode, history: History<'_>, scratch: &mut ProgramScratch) {
    for &place in program.members_of(counter) {
        if scratch.held_index.value(place).is_some() {
            continue;
        }
        let trait_id = program.traits[place as usize];
        let entries = range_of(history.entries, |entry| entry.trait_id, trait_id);
        // Minutes of a trait without an entry count for nothing.
        let minutes =
            if entries.is_empty() { 0..0 } else { range_of(history.minutes, |minute| minute.trait_id, trait_id) };
        scratch.held_index.put(place, scratch.held.len() as u32);
        scratch.held.push(HeldTrait {
            place,
            entries_start: entries.start,
            entries_end: entries.end,
            minutes_start: minutes.start,
            minutes_end: minutes.end,
        });
    }
}

/// Where one trait's entries stand in a list sorted by trait.
fn range_of<E>(entries: &[E], trait_of: impl Fn(&E) -> TraitId, trait_id: TraitId) -> Range<u32> {
    let start = entries.partition_point(|entry| trait_of(entry) < trait_id);
    let count = entries[start..].iter().take_while(|entry| trait_of(entry) == trait_id).count();
    start as u32..(start + count) as u32
}

struct Call<'a> {
    program: &'a Program,
    history: History<'a>,
    now: Minute,
    scratch: &'a mut ProgramScratch,
    /// Every held trait was noted; else they are looked for one by one as they are needed.
    finds_all: bool,
    /// The first minute, as far as known, at which a test that was looked at changes.
    change: Minute,
}

impl Call<'_> {
    fn is_in(&mut self, segment: u32) -> bool {
        let mut at = self.program.segments[segment as usize].first;
        loop {
            match at {
                Outcome::IN => return true,
                Outcome::OUT => return false,
                Outcome(test) => {
                    let test = self.program.tests[test as usize];
                    at = if self.is_true(test) { test.if_true } else { test.if_false };
                }
            }
        }
    }

    fn is_true(&mut self, test: TestCode) -> bool {
        let counter = self.program.counters[test.counter as usize];
        let count = self.scratch.counts.value(test.counter).unwrap_or_else(|| self.count(test.counter, counter));
        if counter.age != Age::Any {
            self.note_change(test, counter, count);
        }
        test.accepts(count)
    }

    fn count(&mut self, index: u32, counter: CounterCode) -> u32 {
        if !self.finds_all {
            find_members(self.program, counter, self.history, self.scratch);
        }
        let (history, scratch) = (self.history, &mut *self.scratch);
        let mut sum = 0u32;
        for_each_held(self.program, counter, scratch, |held| {
            sum = sum.saturating_add(count(part(history, held), counter.age, self.now));
        });
        scratch.counts.put(index, sum);
        sum
    }

    /// Moves `change` forward when the test turns over before it, given that its counter stands at `count` now.
    fn note_change(&mut self, test: TestCode, counter: CounterCode, count: u32) {
        let mut turns = std::mem::take(&mut self.scratch.turns);
        turns.clear();
        let (history, now, change) = (self.history, self.now, self.change);
        let mut overflow = Minute::MAX;
        for_each_held(self.program, counter, self.scratch, |held| {
            for_each_turn(part(history, held), counter.age, |turn, realisations| {
                if turn <= now || turn >= change {
                    return;
                }
                if turns.len() < TURNS_MAX {
                    turns.push((turn, realisations));
                } else {
                    overflow = overflow.min(turn);
                }
            });
        });
        turns.sort_unstable();
        self.change = if overflow == Minute::MAX {
            change.min(first_change(&turns, counts_before_turn(counter.age), test, count))
        } else {
            overflow.min(turns[0].0)
        };
        self.scratch.turns = turns;
    }
}

/// The first minute at which the test comes out differently, walking the turns ahead in order.
fn first_change(turns: &[(Minute, u32)], counts_before_turn: bool, test: TestCode, mut count: u32) -> Minute {
    let outcome = test.accepts(count);
    for (index, &(turn, realisations)) in turns.iter().enumerate() {
        count =
            if counts_before_turn { count.saturating_sub(realisations) } else { count.saturating_add(realisations) };
        let is_last_of_minute = turns.get(index + 1).is_none_or(|next| next.0 != turn);
        if is_last_of_minute && test.accepts(count) != outcome {
            return turn;
        }
    }
    Minute::MAX
}

/// Calls `visit` for each held trait that the counter counts, by way of the shorter of the two lists.
fn for_each_held(program: &Program, counter: CounterCode, scratch: &ProgramScratch, mut visit: impl FnMut(HeldTrait)) {
    let members = program.members_of(counter);
    if members.len() <= scratch.held.len() {
        for &place in members {
            if let Some(held) = scratch.held_index.value(place) {
                visit(scratch.held[held as usize]);
            }
        }
    } else {
        scratch.held.iter().filter(|held| members.binary_search(&held.place).is_ok()).for_each(|held| visit(*held));
    }
}

fn part(history: History<'_>, held: HeldTrait) -> TraitHistory<'_> {
    TraitHistory {
        entries: &history.entries[held.entries_start as usize..held.entries_end as usize],
        minutes: &history.minutes[held.minutes_start as usize..held.minutes_end as usize],
    }
}
