//! What the config says of each trait, found by id: a table of open addressing, made when a config is loaded and never
//! changed. Ids come from the operator, not from visitors, so a multiplicative hash is enough.

use crate::clock::Day;
use crate::ids::{AccountIndex, TraitId};
use crate::limits::{MINUTES_PER_TRAIT_MAX, TRAIT_TTL_DAYS_DEFAULT};
use crate::memory::{FETCHED_TOGETHER, fetch};

/// How a trait's realisations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraitInfo {
    pub account: AccountIndex,
    /// Days after the last realisation that the trait is held; 0: for ever.
    pub ttl_days: u16,
    /// The longest day window that names it: older days fold into one.
    pub window_days: u16,
    /// Realisation minutes kept.
    pub minutes_kept: u8,
}

/// All traits of a config.
#[derive(Debug)]
pub struct TraitCatalog {
    /// Twice as many places as traits or more, a power of two.
    places: Box<[Option<(TraitId, TraitInfo)>]>,
    shift: u32,
    len: usize,
}

/// A trait that the config does not know keeps what it has, for the default time: it may come back with the next
/// config. No account owns it.
const UNKNOWN: TraitInfo = TraitInfo {
    account: AccountIndex(u16::MAX),
    ttl_days: TRAIT_TTL_DAYS_DEFAULT,
    window_days: u16::MAX,
    minutes_kept: MINUTES_PER_TRAIT_MAX as u8,
};

impl TraitInfo {
    /// The last day on which a trait is held that was last realised on `day`; `Day::MAX`: for ever.
    pub fn held_until(self, day: Day) -> Day {
        if self.ttl_days == 0 { Day::MAX } else { day.saturating_add(self.ttl_days) }
    }
}

impl TraitCatalog {
    /// Of a trait named twice the last one counts.
    pub fn new(traits: impl IntoIterator<Item = (TraitId, TraitInfo)>) -> TraitCatalog {
        let traits: Vec<(TraitId, TraitInfo)> = traits.into_iter().collect();
        let size = (traits.len() * 2).next_power_of_two().max(2);
        let mut catalog =
            TraitCatalog { places: vec![None; size].into(), shift: u64::BITS - size.trailing_zeros(), len: 0 };
        for (id, info) in traits {
            catalog.insert(id, info);
        }
        catalog
    }

    /// What the config says of the trait, if it knows it.
    pub fn find(&self, id: TraitId) -> Option<TraitInfo> {
        self.places[self.place(id)].map(|(_, info)| info)
    }

    /// How to keep the trait, also when the config does not know it.
    pub fn keeping(&self, id: TraitId) -> TraitInfo {
        self.find(id).unwrap_or(UNKNOWN)
    }

    /// Brings near what is known of `ids`: worth it before each of them is asked for.
    pub fn fetch(&self, ids: &[TraitId]) {
        for together in ids.chunks(FETCHED_TOGETHER) {
            fetch(together.iter().map(|&id| self.places[self.first_place(id)].map_or(0, |place| place.0.0)));
        }
    }

    /// All traits, in no order, and whose they are.
    pub fn owned(&self) -> impl Iterator<Item = (TraitId, AccountIndex)> {
        self.places.iter().flatten().map(|(id, info)| (*id, info.account))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn insert(&mut self, id: TraitId, info: TraitInfo) {
        let place = self.place(id);
        self.len += usize::from(self.places[place].is_none());
        self.places[place] = Some((id, info));
    }

    /// Where the trait is, or the empty place where it would be. At least half of the places are empty.
    fn place(&self, id: TraitId) -> usize {
        let mut place = self.first_place(id);
        while self.places[place].is_some_and(|(other, _)| other != id) {
            place = (place + 1) & (self.places.len() - 1);
        }
        place
    }

    #[inline]
    fn first_place(&self, id: TraitId) -> usize {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        (u64::from(id.0).wrapping_mul(GOLDEN) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn info(ttl_days: u16) -> TraitInfo {
        TraitInfo { account: AccountIndex(1), ttl_days, window_days: 2, minutes_kept: 3 }
    }

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        for step in [1u32, 3, 64, 4_096, 1 << 20, 0x9e37_79b9] {
            let expected: HashMap<u32, TraitInfo> =
                (0..3_000u32).map(|i| (i.wrapping_mul(step), info(i as u16))).collect();
            let catalog = TraitCatalog::new(expected.iter().map(|(&id, &info)| (TraitId(id), info)));
            assert_eq!(catalog.len(), expected.len());
            for id in (0..6_000u32).map(|i| i.wrapping_mul(step)) {
                assert_eq!(catalog.find(TraitId(id)), expected.get(&id).copied());
            }
        }
    }

    #[test]
    fn an_empty_catalog_knows_nothing_and_keeps_unknown_traits_a_while() {
        let catalog = TraitCatalog::new([]);
        assert!(catalog.is_empty());
        assert_eq!(catalog.find(TraitId(0)), None);
        assert_eq!(catalog.keeping(TraitId(0)).held_until(100), 220);
    }

    #[test]
    fn the_last_of_two_counts() {
        let catalog = TraitCatalog::new([(TraitId(5), info(1)), (TraitId(5), info(2))]);
        assert_eq!((catalog.len(), catalog.find(TraitId(5))), (1, Some(info(2))));
    }

    #[test]
    fn time_to_live_ends_with_its_last_day() {
        assert_eq!(info(1).held_until(10), 11);
        assert_eq!(info(0).held_until(10), Day::MAX);
        assert_eq!(info(100).held_until(Day::MAX - 1), Day::MAX);
    }
}
