//! What a visitor did, as segments read it.

use crate::clock::{Day, Minute};
use crate::ids::TraitId;
use crate::limits::{PROFILE_ENTRIES_MAX, PROFILE_MINUTES_MAX};

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

    /// Joins two histories: counts of the same trait and day are summed, minutes stand side by side.
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
        merge(one.minutes, other.minutes, |a, b| a <= b, |entry| self.minutes.push(entry));
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

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn joining_is_summing(
            days in proptest::array::uniform2(proptest::collection::btree_map((0..5u32, 0..5u16), any::<u16>(), 0..20)),
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
            let mut all = minutes.concat();
            all.sort();
            prop_assert_eq!(joined.minutes, all);
        }
    }
}
