//! What a visitor did, as segments read it.

use std::cmp::Ordering;

use crate::clock::{Day, Minute};
use crate::ids::TraitId;
use crate::limits::{PROFILE_ENTRIES_MAX, PROFILE_MINUTES_MAX};

/// How often a trait was realised on one UTC day. Sorted by trait, then day. The fields' order in memory is that of
/// [`TraitEntry::key`]'s bytes, which is read at once then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TraitEntry {
    /// Saturates at 65,535.
    pub count: u16,
    pub day: Day,
    pub trait_id: TraitId,
}

impl TraitEntry {
    /// A number that sorts as entries do: trait in the upper half, then day and count.
    #[inline(always)]
    pub(super) fn key(self) -> u64 {
        u64::from(self.count) | u64::from(self.day) << 16 | u64::from(self.trait_id.0) << 32
    }
}

impl Ord for TraitEntry {
    fn cmp(&self, other: &TraitEntry) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for TraitEntry {
    fn partial_cmp(&self, other: &TraitEntry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
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

impl<'a> History<'a> {
    /// That of somebody of whom nothing is known.
    pub const NONE: History<'a> = History { entries: &[], minutes: &[] };

    /// From when on all of a trait's realisations are there by the minute: of those before, only days are known. 0: all
    /// are there, or none of them.
    fn complete_from(&self, trait_id: TraitId) -> Minute {
        let minutes = part_of(self.minutes, |entry| entry.trait_id, trait_id);
        let entries = part_of(self.entries, |entry| entry.trait_id, trait_id);
        let realised: usize = entries.iter().map(|entry| usize::from(entry.count)).sum();
        if realised > minutes.len() { minutes.first().map_or(0, |oldest| oldest.minute) } else { 0 }
    }
}

/// One trait's part of a list sorted by trait.
fn part_of<E>(list: &[E], trait_of: impl Fn(&E) -> TraitId, trait_id: TraitId) -> &[E] {
    let rest = &list[list.partition_point(|entry| trait_of(entry) < trait_id)..];
    &rest[..rest.partition_point(|entry| trait_of(entry) == trait_id)]
}

/// The joint realisations of two profiles, a device's and a person's: what a merge rule has segments evaluated over.
/// All memory is taken by [`JointHistory::new`].
#[derive(Debug)]
pub struct JointHistory {
    entries: Vec<TraitEntry>,
    minutes: Vec<MinuteEntry>,
}

impl JointHistory {
    pub fn new() -> JointHistory {
        JointHistory {
            entries: Vec::with_capacity(2 * PROFILE_ENTRIES_MAX),
            minutes: Vec::with_capacity(2 * PROFILE_MINUTES_MAX),
        }
    }

    /// Joins two histories: counts of the same trait and day are summed, minutes stand side by side. Of a trait's
    /// minutes those stay from which on both histories are complete: what is evaluated over minutes takes it that
    /// realisations without one came before the oldest that is there.
    pub fn join<'a>(&'a mut self, one: History<'_>, other: History<'_>) -> History<'a> {
        self.entries.clear();
        let day_of = |entry: &TraitEntry| (entry.trait_id, entry.day);
        merge(
            one.entries,
            other.entries,
            |a, b| day_of(a) <= day_of(b),
            |entry| match self.entries.last_mut() {
                Some(last) if day_of(last) == day_of(&entry) => last.count = last.count.saturating_add(entry.count),
                _ => self.entries.push(entry),
            },
        );
        self.minutes.clear();
        // Looked up once per trait.
        let mut complete_from = (TraitId::default(), 0);
        let mut is_first = true;
        merge(
            one.minutes,
            other.minutes,
            |a, b| a <= b,
            |entry| {
                if std::mem::take(&mut is_first) || complete_from.0 != entry.trait_id {
                    let from = |history: History<'_>| history.complete_from(entry.trait_id);
                    complete_from = (entry.trait_id, from(one).max(from(other)));
                }
                if entry.minute >= complete_from.1 {
                    self.minutes.push(entry);
                }
            },
        );
        History { entries: &self.entries, minutes: &self.minutes }
    }
}

impl Default for JointHistory {
    fn default() -> JointHistory {
        JointHistory::new()
    }
}

/// Hands on the entries of two sorted lists in order.
fn merge<'a, E: Copy>(
    mut one: &'a [E],
    mut other: &'a [E],
    in_order: impl Fn(&E, &E) -> bool,
    mut each: impl FnMut(E),
) {
    loop {
        let from = match (one.first(), other.first()) {
            (Some(a), Some(b)) if in_order(a, b) => &mut one,
            (Some(_), None) => &mut one,
            (_, Some(_)) => &mut other,
            (None, None) => return,
        };
        each(from[0]);
        *from = &from[1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entries(days: &BTreeMap<(u32, Day), u16>) -> Vec<TraitEntry> {
        days.iter().map(|(&(id, day), &count)| TraitEntry { trait_id: TraitId(id), day, count }).collect()
    }

    /// Counts that come near their maximum, and counts near those of the minutes.
    fn count() -> impl Strategy<Value = u16> {
        prop_oneof![1..3u16, any::<u16>()]
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn joining_is_summing(
            days in proptest::array::uniform2(proptest::collection::btree_map((0..5u32, 0..5u16), count(), 0..9)),
            minutes in proptest::array::uniform2(proptest::collection::vec((0..4u32, 0..9u32), 0..20)),
        ) {
            let lists = days.each_ref().map(entries);
            let minutes = minutes.map(|list| {
                let mut list: Vec<_> =
                    list.into_iter().map(|(id, minute)| MinuteEntry { trait_id: TraitId(id), minute }).collect();
                list.sort();
                list
            });
            let [one, other] = [0, 1].map(|i| History { entries: &lists[i], minutes: &minutes[i] });
            let mut joint = JointHistory::new();
            let joined = joint.join(one, other);
            let mut sums = days[0].clone();
            for (&key, &count) in &days[1] {
                let sum = sums.entry(key).or_default();
                *sum = sum.saturating_add(count);
            }
            prop_assert_eq!(joined.entries, entries(&sums));
            // Of each trait, what is not older than the oldest minute of a list that is short of some.
            let is_known = |entry: &&MinuteEntry| {
                [0, 1].into_iter().all(|i| {
                    let kept: Vec<_> = minutes[i].iter().filter(|kept| kept.trait_id == entry.trait_id).collect();
                    let realised = days[i].iter().filter(|((id, _), _)| *id == entry.trait_id.0);
                    let realised: u64 = realised.map(|(_, count)| u64::from(*count)).sum();
                    realised <= kept.len() as u64 || kept.first().is_none_or(|oldest| oldest.minute <= entry.minute)
                })
            };
            let mut all = minutes.concat();
            all.sort();
            prop_assert_eq!(joined.minutes, all.iter().filter(is_known).copied().collect::<Vec<_>>());
        }
    }
}
