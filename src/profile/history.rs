//! What a visitor did, as segments read it.

use crate::clock::{Day, Minute};
use crate::ids::TraitId;

/// How often a trait was realised on one UTC day. Sorted by trait, then day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraitEntry {
    pub trait_id: TraitId,
    pub day: Day,
    /// Saturates at 65,535.
    pub count: u16,
}

/// One realisation of a trait that an hour or minute window names. Sorted by trait, then minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinuteEntry {
    pub trait_id: TraitId,
    pub minute: Minute,
}

/// A visitor's realisations.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    pub entries: &'a [TraitEntry],
    pub minutes: &'a [MinuteEntry],
}
