//! Segment expressions: which segments a visitor's traits put them in.
//!
//! Goal: cost follows what the visitor holds, not how many segments there are. Method: text ([`lexer`], [`parser`])
//! becomes a tree ([`syntax`]), then tests of counters without any NOT ([`normal`]), which [`check`] judges and
//! [`compile`] files under traits that a visitor needs at least one of; [`evaluate`] starts at the held traits and
//! counts lazily, each counter at most once a call; when only some traits changed it starts at those. [`ages`] says
//! how realisations count as they grow old, [`folder`] what traits stand for others.
#![forbid(unsafe_code)]

mod ages;
mod check;
mod compile;
mod evaluate;
mod folder;
mod lexer;
mod normal;
#[cfg(test)]
mod oracle;
mod parser;
mod syntax;
mod table;
#[cfg(test)]
mod tests;

use crate::clock::{Minute, Now};
use crate::ids::{SegmentId, TraitId};
use crate::profile::history::History;
use crate::rules::Diagnostic;
use compile::{CounterCode, SegmentCode, TestCode};
use evaluate::HeldTrait;
pub use folder::{FolderFault, FolderFaultKind, Folders};
use table::{PlaceTable, Stamped};

/// One segment, as configured.
#[derive(Clone, Debug)]
pub struct SegmentRule {
    pub id: SegmentId,
    pub expression: String,
}

/// What a trait's history must keep for the segments that name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub trait_id: TraitId,
    /// The longest window that counts by days (0: none does): days that are older may be folded into one.
    pub days: u16,
    /// Realisation minutes to keep: what decides the largest threshold of an hour or minute window, which is one more
    /// than the threshold where `>`, `<=` or `==` look at it (0: none does).
    pub minutes_kept: u8,
}

/// All segments of one account, compiled. Immutable; shared by shards.
#[derive(Debug)]
pub struct Program {
    windows: Vec<Window>,
    /// The traits that the segments name, by *places* 0, 1, 2 ... in which everything below speaks of them.
    traits: Vec<TraitId>,
    places: PlaceTable,
    /// By trait, the segments that are filed under it.
    filed: Lists,
    /// By trait, all segments that name it.
    naming: Lists,
    counters: Vec<CounterCode>,
    /// The traits of all counters' lists, each list ascending.
    members: Vec<u32>,
    tests: Vec<TestCode>,
    segments: Vec<SegmentCode>,
    /// Segment id -> index in `segments`.
    own: PlaceTable,
}

/// Lists of numbers, end to end: list `p` is `items[starts[p]..starts[p + 1]]`.
#[derive(Debug)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

/// What [`Program::evaluate_changed`] found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The first minute at which one of the segments looked at can change without a further realisation.
    pub at: Minute,
    /// Whether the visitor entered or left a segment.
    pub is_moved: bool,
}

/// What one shard needs to evaluate a [`Program`]: grown to its worst case when made, never after.
#[derive(Debug)]
pub struct ProgramScratch {
    held: Vec<HeldTrait>,
    /// Trait place -> index in `held`.
    held_index: Stamped,
    /// Counter -> its count, once it was needed.
    counts: Stamped,
    /// Segments that were decided already.
    seen: Stamped,
    turns: Vec<(Minute, u32)>,
}

impl Program {
    /// Compiles all segments; `is_trait` knows the account's traits. On failure one diagnostic for each bad segment,
    /// with the index of the rule it is about.
    pub fn compile(
        rules: &[SegmentRule],
        is_trait: &dyn Fn(TraitId) -> bool,
    ) -> Result<Program, Vec<(usize, Diagnostic)>> {
        compile::compile(rules, is_trait, &Folders::default())
    }

    /// As [`Program::compile`], where expressions may name folders too; `is_trait` need not know them.
    pub fn compile_with(
        rules: &[SegmentRule],
        is_trait: &dyn Fn(TraitId) -> bool,
        folders: &Folders,
    ) -> Result<Program, Vec<(usize, Diagnostic)>> {
        compile::compile(rules, is_trait, folders)
    }

    /// Each trait that a windowed term names, ascending by trait.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// How many segments there are: the room that [`Program::evaluate`] wants in `segments`.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Made for this program; evaluating another one with it is a bug.
    pub fn scratch(&self) -> ProgramScratch {
        ProgramScratch::new(self)
    }

    /// Clears `segments` and fills it with those the visitor is in now, ascending. Returns the first minute at which
    /// the result can change without a further realisation (`Minute::MAX`: never). Allocates nothing as long as
    /// `segments` has room for every segment.
    ///
    /// The history's entries are sorted by trait and day, its minutes by trait and minute. Minutes of a trait without
    /// an entry count for nothing.
    pub fn evaluate(
        &self,
        history: History<'_>,
        now: Now,
        scratch: &mut ProgramScratch,
        segments: &mut Vec<SegmentId>,
    ) -> Minute {
        evaluate::evaluate(self, history, now, scratch, segments)
    }

    /// Brings `segments`, the program's that the visitor was in (ascending), up to date after nothing but the traits of
    /// `changed` came, were counted or went. To be used before the minute that evaluating last returned, and not at a
    /// time before that; the new one is the earlier of that and what this returns. Looks only at segments that name
    /// such a trait: the result is that of [`Program::evaluate`], which for the others has no reason to differ.
    pub fn evaluate_changed(
        &self,
        history: History<'_>,
        changed: &[TraitId],
        now: Now,
        scratch: &mut ProgramScratch,
        segments: &mut Vec<SegmentId>,
    ) -> Changed {
        evaluate::evaluate_changed(self, history, changed, now, scratch, segments)
    }

    /// Whether the segment is one of the program's.
    pub fn has_segment(&self, id: SegmentId) -> bool {
        self.own.place(id.0).is_some()
    }

    fn trait_count(&self) -> usize {
        self.traits.len()
    }

    fn members_of(&self, counter: CounterCode) -> &[u32] {
        &self.members[counter.members_start as usize..counter.members_end as usize]
    }
}

impl Lists {
    fn new(lists: &[Vec<u32>]) -> Lists {
        let ends = lists.iter().scan(0, |end, list| {
            *end += list.len() as u32;
            Some(*end)
        });
        Lists { starts: std::iter::once(0).chain(ends).collect(), items: lists.concat() }
    }

    fn of(&self, place: u32) -> &[u32] {
        let place = place as usize;
        &self.items[self.starts[place] as usize..self.starts[place + 1] as usize]
    }
}
