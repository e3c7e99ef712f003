//! Segment expressions: which segments a visitor's traits put them in.
#![forbid(unsafe_code)]

use crate::clock::{Minute, Now};
use crate::ids::{SegmentId, TraitId};
use crate::profile::history::History;
use crate::rules::Diagnostic;

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
    /// The longest day window that names it (0: none does).
    pub days: u16,
    /// Realisation minutes to keep: the largest threshold of an hour or minute window (0: none).
    pub minutes_kept: u8,
}

/// All segments of one account, compiled. Immutable; shared by shards.
#[derive(Debug)]
pub struct Program {}

/// What one shard needs to evaluate a [`Program`]: grown to its worst case when made, never after.
#[derive(Debug)]
pub struct ProgramScratch {}

impl Program {
    /// Compiles all segments; `is_trait` knows the account's traits. On failure one diagnostic for each bad segment.
    pub fn compile(
        rules: &[SegmentRule],
        is_trait: &dyn Fn(TraitId) -> bool,
    ) -> Result<Program, Vec<(usize, Diagnostic)>> {
        let _ = (rules, is_trait);
        todo!()
    }

    /// Each trait that a windowed term names, ascending by trait.
    pub fn windows(&self) -> &[Window] {
        todo!()
    }

    pub fn scratch(&self) -> ProgramScratch {
        todo!()
    }

    /// Clears `segments` and fills it with those the visitor is in now, ascending. Returns the first minute at which
    /// the result can change without a further realisation (`Minute::MAX`: never). Allocates nothing.
    pub fn evaluate(
        &self,
        history: History<'_>,
        now: Now,
        scratch: &mut ProgramScratch,
        segments: &mut Vec<SegmentId>,
    ) -> Minute {
        let _ = (history, now, scratch, segments);
        todo!()
    }
}
