//! The language's cases (data files) and its properties (random programs, histories and times against the oracle).

use super::*;
use crate::profile::history::{MinuteEntry, TraitEntry};

mod cases;
mod folders;
mod joint;
mod properties;

const MINUTE_MS: u64 = 60_000;
const MINUTES_PER_DAY: Minute = 24 * 60;

fn at_minute(minute: Minute) -> Now {
    Now { mono_ns: 0, wall_ms: u64::from(minute) * MINUTE_MS + 59_999 }
}

fn rule(id: u32, expression: &str) -> SegmentRule {
    SegmentRule { id: SegmentId(id), expression: expression.to_owned() }
}

/// A history that owns its entries.
#[derive(Clone, Debug, Default)]
struct Visitor {
    entries: Vec<TraitEntry>,
    minutes: Vec<MinuteEntry>,
}

impl Visitor {
    fn history(&self) -> History<'_> {
        History { entries: &self.entries, minutes: &self.minutes }
    }

    fn realise(&mut self, id: u32, day: u16, count: u16) {
        match self.entries.iter_mut().find(|entry| entry.trait_id.0 == id && entry.day == day) {
            Some(entry) => entry.count += count,
            None => self.entries.push(TraitEntry { trait_id: TraitId(id), day, count }),
        }
        self.entries.sort_unstable();
    }

    fn realise_at(&mut self, id: u32, minute: Minute) {
        self.realise(id, (minute / MINUTES_PER_DAY) as u16, 1);
        self.minutes.push(MinuteEntry { trait_id: TraitId(id), minute });
        self.minutes.sort_unstable();
    }
}

#[test]
fn a_program_can_be_shared() {
    fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Program>();
}

#[test]
fn no_segments_are_a_program_too() {
    let program = Program::compile(&[], &|_| true).unwrap();
    let mut visitor = Visitor::default();
    visitor.realise(1, 100, 1);
    let mut segments = vec![SegmentId(9)];
    let change = program.evaluate(visitor.history(), at_minute(0), &mut program.scratch(), &mut segments);
    assert_eq!((segments, change), (vec![], Minute::MAX));
}

#[test]
fn every_bad_segment_is_reported_with_its_index() {
    let rules = [rule(1, "1T"), rule(2, "NOT 1T"), rule(3, "1T AND"), rule(4, "2T")];
    let faults = Program::compile(&rules, &|id| id.0 == 1).unwrap_err();
    let indexes: Vec<usize> = faults.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [1, 2, 3]);
}

#[test]
fn windows_say_what_the_history_must_keep() {
    let rules = [
        rule(1, "7T AND FREQUENCY([5T,3T,5T] <= 30D) >= 2"),
        rule(2, "[3T] >= 7D AND FREQUENCY([3T,4T] <= 90M) >= 4"),
        rule(3, "FREQUENCY([4T] >= 25H) == 4 OR FREQUENCY([4T] <= 2H) > 1"),
    ];
    let program = Program::compile(&rules, &|_| true).unwrap();
    let window = |id, days, minutes_kept| Window { trait_id: TraitId(id), days, minutes_kept };
    assert_eq!(program.windows(), [window(3, 30, 4), window(4, 2, 5), window(5, 30, 0)]);
}

#[test]
fn a_segment_is_looked_at_only_when_a_trait_that_it_needs_is_held() {
    // Trait 1 is in all segments and trait `100 + n` in one each: each is filed under its own.
    let rules: Vec<SegmentRule> = (0..500).map(|n| rule(n, &format!("1T AND {}T", 100 + n))).collect();
    let program = Program::compile(&rules, &|_| true).unwrap();
    let place = |id| program.places.place(id).unwrap();
    assert!(program.filed.of(place(1)).is_empty());
    assert_eq!(program.filed.of(place(350)), [250]);
    let mut visitor = Visitor::default();
    visitor.realise(1, 100, 1);
    visitor.realise(350, 100, 1);
    let mut segments = Vec::new();
    program.evaluate(visitor.history(), at_minute(144_000), &mut program.scratch(), &mut segments);
    assert_eq!(segments, [SegmentId(250)]);
}

#[test]
fn history_beyond_the_turns_that_fit_changes_early_but_not_late() {
    let program = Program::compile(&[rule(1, "FREQUENCY([1T,2T] <= 3650D) >= 3")], &|_| true).unwrap();
    let mut visitor = Visitor::default();
    for id in [1, 2] {
        visitor.entries.extend((10_000..13_600).map(|day| TraitEntry { trait_id: TraitId(id), day, count: 1 }));
    }
    let mut segments = Vec::new();
    let now = at_minute(13_600 * MINUTES_PER_DAY);
    let change = program.evaluate(visitor.history(), now, &mut program.scratch(), &mut segments);
    assert_eq!(segments, [SegmentId(1)]);
    assert_eq!(change, (10_000 + 3_651) * MINUTES_PER_DAY);
}

#[test]
fn the_scratch_never_grows() {
    let rules: Vec<SegmentRule> =
        (0..300).map(|n| rule(n, &format!("FREQUENCY([{n}T,{}T] <= 9D) >= 2", n + 1))).collect();
    let program = Program::compile(&rules, &|_| true).unwrap();
    let mut scratch = program.scratch();
    let mut segments = Vec::with_capacity(program.segment_count());
    let capacities = |scratch: &ProgramScratch| (scratch.held.capacity(), scratch.turns.capacity());
    let made_with = (capacities(&scratch), segments.capacity());
    let entry = |id, day| TraitEntry { trait_id: TraitId(id), day, count: 1 };
    let entries = (0..400).flat_map(|id| (0..300).map(move |day| entry(id, 1_000 + day))).collect();
    let visitor = Visitor { entries, minutes: Vec::new() };
    program.evaluate(visitor.history(), at_minute(1_295 * MINUTES_PER_DAY), &mut scratch, &mut segments);
    assert_eq!(segments.len(), 300);
    assert_eq!((capacities(&scratch), segments.capacity()), made_with);
}
