//! A visitor's trait entries as a list, and beside it as the words of her record.
//!
//! Goal: a call of a visitor with hundreds of entries counts some and adds a few, so storing her shouldn't cost what
//! all entries cost. Method: the words stay as they were read, and what calls do all day is done to both. The list
//! can't be had for any other change without the words being forgotten ([`Entries::change`]).

use std::hint::select_unpredictable;
use std::ops::Deref;

use super::history::TraitEntry;
use super::packing::{self, Word};
use crate::clock::Day;
use crate::ids::TraitId;
use crate::limits::PROFILE_ENTRIES_MAX;

/// Fewer entries are packed sooner than their words are kept.
const WORTHWHILE: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Sorted by trait, then day; no two alike.
    list: Vec<TraitEntry>,
    words: Vec<Word>,
    /// The day of the last visit with which the list is packed to `words`, one for each entry. `None`: it isn't.
    packed_for: Option<Day>,
}

/// A trait of which there is no entry of the day yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub trait_id: TraitId,
    /// Where its entry would be among those that are there.
    pub place: usize,
}

impl Entries {
    pub(super) fn new() -> Entries {
        let list = Vec::with_capacity(PROFILE_ENTRIES_MAX);
        Entries { list, words: Vec::with_capacity(PROFILE_ENTRIES_MAX), packed_for: None }
    }

    pub(super) fn clear(&mut self) {
        self.change().clear();
    }

    /// The list, to be changed in whatever way.
    pub(super) fn change(&mut self) -> &mut Vec<TraitEntry> {
        self.packed_for = None;
        &mut self.list
    }

    /// Adds one to an entry's count. Returns whether it stands at its maximum instead.
    pub(super) fn count(&mut self, place: usize) -> bool {
        let Some(count) = self.list[place].count.checked_add(1) else { return true };
        self.list[place].count = count;
        if self.packed_for.is_some() && !packing::count(&mut self.words[place]) {
            self.packed_for = None;
        }
        false
    }

    /// Puts new entries of `day` among the others, of traits that ascend, each at the place where it would be. From
    /// behind, so that what lies between moves once.
    pub(super) fn bring_in(&mut self, arrivals: &[Arrival], day: Day) {
        let mut rest = self.list.len();
        self.list.resize(rest + arrivals.len(), TraitEntry::default());
        if self.packed_for.is_some() {
            self.words.resize(rest + arrivals.len(), Word::default());
        }
        for (left, &Arrival { trait_id, place }) in arrivals.iter().enumerate().rev() {
            self.list.copy_within(place..rest, place + left + 1);
            self.list[place + left] = TraitEntry { trait_id, day, count: 1 };
            if self.packed_for.is_some() {
                self.words.copy_within(place..rest, place + left + 1);
            }
            rest = place;
        }
        for (left, arrival) in arrivals.iter().enumerate() {
            self.pack_again(arrival.place + left);
            self.pack_again(arrival.place + left + 1);
        }
    }

    /// Brings an entry's word up to date after another entry came before it.
    fn pack_again(&mut self, place: usize) {
        let (Some(today), Some(entry)) = (self.packed_for, self.list.get(place)) else { return };
        let trait_before = place.checked_sub(1).map_or(0, |before| self.list[before].trait_id.0);
        match packing::word(*entry, trait_before, today) {
            Some(word) => self.words[place] = word,
            None => self.packed_for = None,
        }
    }

    /// Where the traits' entries of `day` are, or where they would be. Each step of a search waits for the one before
    /// it; several searches side by side wait together.
    pub(super) fn places_of<const N: usize>(&self, traits: [TraitId; N], day: Day) -> [usize; N] {
        let sought = traits.map(|trait_id| TraitEntry { trait_id, day, count: 0 }.key());
        let mut places = [0; N];
        let mut size = self.list.len();
        while size > 0 {
            let half = size.div_ceil(2);
            for (place, sought) in places.iter_mut().zip(sought) {
                let is_before = self.list[*place + half - 1].key() < sought;
                *place = select_unpredictable(is_before, *place + half, *place);
            }
            size -= half;
        }
        places
    }

    /// Appends the entries to a record. `today` is the day of the last visit.
    pub(super) fn pack(&self, today: Day, bytes: &mut Vec<u8>) {
        if self.packed_for == Some(today) {
            bytes.extend_from_slice(self.words.as_flattened());
        } else {
            packing::pack(&self.list, today, bytes);
        }
    }

    /// Reads `count` entries in the place of those that were here, and returns the bytes after them. `None` when the
    /// bytes end early or what they say is not sorted.
    pub(super) fn unpack<'a>(&mut self, bytes: &'a [u8], count: usize, today: Day) -> Option<&'a [u8]> {
        let rest = packing::unpack(bytes, count, today, self.change())?;
        if count < WORTHWHILE {
            return Some(rest);
        }
        let (words, odd_bytes) = bytes[..bytes.len() - rest.len()].as_chunks();
        if words.len() == count && odd_bytes.is_empty() {
            self.words.clear();
            self.words.extend_from_slice(words);
            self.packed_for = Some(today);
        }
        Some(rest)
    }
}

impl Deref for Entries {
    type Target = [TraitEntry];

    fn deref(&self) -> &[TraitEntry] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn packed(entries: &Entries, today: Day) -> Vec<u8> {
        let mut bytes = Vec::new();
        entries.pack(today, &mut bytes);
        bytes
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn what_was_changed_is_packed_as_if_anew(
            days in proptest::collection::btree_map(
                (prop_oneof![0..50u32, 0..900_000u32], 380..400u16),
                1..125u16,
                0..120,
            ),
            large in proptest::option::of((any::<prop::sample::Index>(), prop_oneof![125..130u16, 65_530..=u16::MAX])),
            steps in proptest::collection::vec((any::<prop::sample::Index>(), 0..40u8), 0..60),
            new in proptest::collection::vec(
                proptest::collection::btree_set(prop_oneof![0..60u32, 0..900_000u32, 0..2_000_000u32], 1..6),
                12,
            ),
            tail in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            const TODAY: Day = 400;
            let list = days.iter().map(|(&(id, day), &count)| TraitEntry { trait_id: TraitId(id), day, count });
            let mut list: Vec<TraitEntry> = list.collect();
            if let Some((place, count)) = large.filter(|_| !list.is_empty()) {
                let place = place.index(list.len());
                list[place].count = count;
            }
            let mut bytes = Vec::new();
            packing::pack(&list, TODAY, &mut bytes);
            let mut entries = Entries::new();
            let whole = [&bytes[..], &tail].concat();
            prop_assert_eq!(entries.unpack(&whole, list.len(), TODAY), Some(&tail[..]));
            for (index, act) in steps {
                match act {
                    0..12 => {
                        let sought: Vec<TraitId> = new[usize::from(act)].iter().copied().map(TraitId).collect();
                        let day = 385 + Day::from(act) * 2;
                        let arrivals: Vec<Arrival> = (sought.iter())
                            .map(|&trait_id| Arrival { trait_id, place: entries.places_of([trait_id], day)[0] })
                            .filter(|new| list.iter().all(|entry| (entry.trait_id, entry.day) != (new.trait_id, day)))
                            .collect();
                        entries.bring_in(&arrivals, day);
                        list.extend(arrivals.iter().map(|new| TraitEntry { trait_id: new.trait_id, day, count: 1 }));
                        list.sort();
                    }
                    _ if list.is_empty() => continue,
                    12 => {
                        let place = index.index(list.len());
                        list.remove(place);
                        entries.change().remove(place);
                    }
                    _ => {
                        let place = index.index(list.len());
                        prop_assert_eq!(entries.count(place), list[place].count == u16::MAX);
                        list[place].count = list[place].count.saturating_add(1);
                    }
                }
                prop_assert_eq!(&entries[..], &list[..]);
                for today in [TODAY, TODAY + 1] {
                    let mut anew = Vec::new();
                    packing::pack(&list, today, &mut anew);
                    prop_assert_eq!(packed(&entries, today), anew);
                }
            }
        }

        #[test]
        fn searches_side_by_side_agree_with_one(
            days in proptest::collection::btree_map((0..60u32, 0..6u16), any::<u16>(), 0..90),
            traits in proptest::array::uniform4(0..65u32),
            day in 0..7u16,
        ) {
            let mut entries = Entries::new();
            let of = |(&(id, day), &count): (&(u32, Day), &u16)| TraitEntry { trait_id: TraitId(id), day, count };
            entries.change().extend(BTreeMap::iter(&days).map(of));
            let expected = traits.map(|id| days.range(..(id, day)).count());
            prop_assert_eq!(entries.places_of(traits.map(TraitId), day), expected);
            prop_assert_eq!(entries.places_of([TraitId(traits[0])], day), [expected[0]]);
        }
    }
}
