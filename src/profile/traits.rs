//! How a visitor's traits come, age and go.

use super::catalog::{TraitCatalog, TraitInfo};
use super::history::{MinuteEntry, TraitEntry};
use super::record::{Profile, Tended};
use crate::clock::{Day, Minute};
use crate::ids::TraitId;
use crate::limits::{PROFILE_ENTRIES_MAX, PROFILE_MINUTES_MAX};

/// What realising a trait cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Realised {
    /// The day's count stands at its maximum.
    pub saturated: bool,
    /// The profile was full: its oldest entry went.
    pub dropped_entry: bool,
    /// The profile's minutes were full: the oldest went.
    pub dropped_minute: bool,
}

impl Profile {
    /// Adds one to the trait's count of `day`, and `minute` to its minutes when the config keeps those.
    pub fn realise(&mut self, trait_id: TraitId, info: TraitInfo, day: Day, minute: Minute) -> Realised {
        let mut realised = self.count(trait_id, day);
        if info.minutes_kept > 0 {
            realised.dropped_minute = self.note_minute(MinuteEntry { trait_id, minute }, info.minutes_kept.into());
        }
        self.note_held_until(info.held_until(day));
        self.note_change(trait_id);
        realised
    }

    /// Forgets what has expired and folds what is old, unless this very ruleset (`epoch` is its number) has done so
    /// today: what happens within a day gives neither any work. To be called after loading. Returns how many traits
    /// went.
    pub fn tend(&mut self, today: Day, epoch: u32, catalog: &TraitCatalog) -> usize {
        if (self.tended.epoch, self.tended.day) == (epoch, today) {
            return 0;
        }
        let expired = self.expire(today, catalog);
        self.fold(today, catalog);
        self.tended = Tended { epoch, day: today, ..Tended::NEVER };
        expired
    }

    /// Makes sure that `next_expiry` speaks of all traits.
    pub fn find_expiry(&mut self, today: Day, catalog: &TraitCatalog) {
        if !self.is_expiry_known {
            self.expire(today, catalog);
        }
    }

    /// Forgets each trait whose time to live has passed, and finds out how long the rest is held. Returns how many
    /// traits went.
    pub fn expire(&mut self, today: Day, catalog: &TraitCatalog) -> usize {
        self.traits_until = 0;
        self.next_expiry = Day::MAX;
        self.is_expiry_known = true;
        let (mut start, mut kept, mut expired) = (0, 0, 0);
        while start < self.entries.len() {
            let trait_id = self.entries[start].trait_id;
            let end = start + self.entries[start..].iter().take_while(|entry| entry.trait_id == trait_id).count();
            let held_until = catalog.keeping(trait_id).held_until(self.entries[end - 1].day);
            if held_until < today {
                expired += 1;
                self.note_change(trait_id);
            } else {
                self.entries.copy_within(start..end, kept);
                kept += end - start;
                self.note_held_until(held_until);
            }
            start = end;
        }
        self.entries.truncate(kept);
        if expired > 0 {
            self.drop_minutes_without_entries();
        }
        expired
    }

    /// Adds up each trait's days that lie before its longest window into the latest of them (every term that counts
    /// one of them counts them all), and drops minutes that no window needs any more.
    pub fn fold(&mut self, today: Day, catalog: &TraitCatalog) {
        let mut kept = 0;
        // A trait's first day that is not folded. Looked up once per trait.
        let mut first_day = (TraitId::default(), 0);
        for read in 0..self.entries.len() {
            let entry = self.entries[read];
            if read == 0 || first_day.0 != entry.trait_id {
                first_day = (entry.trait_id, today.saturating_sub(catalog.keeping(entry.trait_id).window_days));
            }
            let joins = kept > 0 && self.entries[kept - 1].trait_id == entry.trait_id && entry.day < first_day.1;
            if joins {
                let count = self.entries[kept - 1].count.saturating_add(entry.count);
                self.entries[kept - 1] = TraitEntry { count, ..entry };
            } else {
                self.entries[kept] = entry;
                kept += 1;
            }
        }
        self.entries.truncate(kept);
        self.trim_minutes(catalog);
    }

    /// Forgets the trait.
    pub fn drop_trait(&mut self, trait_id: TraitId) {
        let (start, end) = range_of(&self.entries, |entry| entry.trait_id, trait_id);
        self.entries.drain(start..end);
        self.drop_minutes(trait_id);
        self.note_change(trait_id);
    }

    /// Whether the visitor holds the trait.
    pub fn holds(&self, trait_id: TraitId) -> bool {
        self.entries.binary_search_by_key(&trait_id, |entry| entry.trait_id).is_ok()
    }

    fn count(&mut self, trait_id: TraitId, day: Day) -> Realised {
        let mut realised = Realised::default();
        match self.position(trait_id, day) {
            Ok(known) => {
                let count = &mut self.entries[known].count;
                realised.saturated = *count == u16::MAX;
                *count = count.saturating_add(1);
            }
            Err(place) => {
                let entry = TraitEntry { trait_id, day, count: 1 };
                if self.entries.len() >= PROFILE_ENTRIES_MAX {
                    self.replace_oldest_entry(entry, place);
                    realised.dropped_entry = true;
                } else {
                    self.entries.insert(place, entry);
                }
            }
        }
        realised
    }

    /// Returns whether another minute was dropped because the profile holds too many.
    fn note_minute(&mut self, new: MinuteEntry, kept: usize) -> bool {
        let (start, end) = range_of(&self.minutes, |entry| entry.trait_id, new.trait_id);
        if end - start >= kept {
            // The trait's own oldest minutes go; when the new one is older than all that may stay, it is what goes.
            self.minutes.drain(start..end - kept);
            if new <= self.minutes[start] {
                return false;
            }
            self.minutes.remove(start);
        }
        let full = self.minutes.len() >= PROFILE_MINUTES_MAX;
        if full {
            let oldest = (0..self.minutes.len()).min_by_key(|&i| self.minutes[i].minute);
            let gone = self.minutes.remove(oldest.expect("a full list has an oldest entry"));
            self.note_change(gone.trait_id);
        }
        let place = self.minutes.partition_point(|&entry| entry <= new);
        self.minutes.insert(place, new);
        full
    }

    fn note_held_until(&mut self, day: Day) {
        self.traits_until = self.traits_until.max(day);
        self.next_expiry = self.next_expiry.min(day.saturating_add(1));
    }

    fn position(&self, trait_id: TraitId, day: Day) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&(trait_id, day), |entry| (entry.trait_id, entry.day))
    }

    /// Puts an entry at its place among the others, from which the oldest goes: what lies between the two moves by one.
    fn replace_oldest_entry(&mut self, entry: TraitEntry, place: usize) {
        let oldest = (0..self.entries.len()).min_by_key(|&i| self.entries[i].day);
        let oldest = oldest.expect("a full profile has an oldest entry");
        let gone = self.entries[oldest];
        if oldest < place {
            self.entries.copy_within(oldest + 1..place, oldest);
            self.entries[place - 1] = entry;
        } else {
            self.entries.copy_within(place..oldest, place + 1);
            self.entries[place] = entry;
        }
        if !self.holds(gone.trait_id) {
            self.drop_minutes(gone.trait_id);
        }
        self.note_change(gone.trait_id);
    }

    fn drop_minutes(&mut self, trait_id: TraitId) {
        let (start, end) = range_of(&self.minutes, |entry| entry.trait_id, trait_id);
        self.minutes.drain(start..end);
    }

    fn drop_minutes_without_entries(&mut self) {
        let entries = &self.entries;
        self.minutes.retain(|minute| entries.binary_search_by_key(&minute.trait_id, |entry| entry.trait_id).is_ok());
    }

    fn trim_minutes(&mut self, catalog: &TraitCatalog) {
        let (mut start, mut kept) = (0, 0);
        while start < self.minutes.len() {
            let trait_id = self.minutes[start].trait_id;
            let count = self.minutes[start..].iter().take_while(|entry| entry.trait_id == trait_id).count();
            let stay = count.min(catalog.keeping(trait_id).minutes_kept.into());
            self.minutes.copy_within(start + count - stay..start + count, kept);
            kept += stay;
            start += count;
        }
        self.minutes.truncate(kept);
    }
}

/// Start and end of one trait's entries in a list sorted by trait.
fn range_of<E>(entries: &[E], trait_of: impl Fn(&E) -> TraitId, trait_id: TraitId) -> (usize, usize) {
    let start = entries.partition_point(|entry| trait_of(entry) < trait_id);
    let count = entries[start..].iter().take_while(|entry| trait_of(entry) == trait_id).count();
    (start, start + count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use crate::ids::AccountIndex;
    use crate::limits::MINUTES_PER_TRAIT_MAX;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn info(ttl_days: u16, window_days: u16, minutes_kept: u8) -> TraitInfo {
        TraitInfo { account: AccountIndex(0), ttl_days, window_days, minutes_kept }
    }

    fn entries(profile: &Profile) -> Vec<(u32, Day, u16)> {
        profile.history().entries.iter().map(|entry| (entry.trait_id.0, entry.day, entry.count)).collect()
    }

    fn minutes(profile: &Profile) -> Vec<(u32, Minute)> {
        profile.history().minutes.iter().map(|entry| (entry.trait_id.0, entry.minute)).collect()
    }

    #[test]
    fn a_days_count_saturates_and_says_so() {
        let mut profile = Profile::new();
        for _ in 0..u16::MAX {
            assert_eq!(profile.realise(TraitId(1), info(0, 0, 0), 5, 0), Realised::default());
        }
        assert!(profile.realise(TraitId(1), info(0, 0, 0), 5, 0).saturated);
        assert_eq!(entries(&profile), [(1, 5, u16::MAX)]);
    }

    #[test]
    fn a_full_profile_drops_its_oldest_entry() {
        let mut profile = Profile::new();
        profile.realise(TraitId(7), info(0, 0, 4), 1, 100);
        for i in 1..PROFILE_ENTRIES_MAX as u32 {
            assert!(!profile.realise(TraitId(i * 10), info(0, 0, 0), 9, 0).dropped_entry);
        }
        assert!(profile.holds(TraitId(7)));
        assert!(profile.realise(TraitId(5), info(0, 0, 0), 10, 0).dropped_entry);
        assert!(!profile.holds(TraitId(7)));
        assert_eq!(minutes(&profile), []);
        assert_eq!(profile.entries.len(), PROFILE_ENTRIES_MAX);
        assert_eq!(profile.entries.capacity(), PROFILE_ENTRIES_MAX);
    }

    #[test]
    fn a_trait_keeps_its_latest_minutes() {
        let mut profile = Profile::new();
        for minute in [10, 30, 20, 30, 5] {
            profile.realise(TraitId(2), info(0, 0, 3), 1, minute);
        }
        profile.realise(TraitId(1), info(0, 0, 1), 1, 99);
        assert_eq!(minutes(&profile), [(1, 99), (2, 20), (2, 30), (2, 30)]);
        profile.fold(1, &TraitCatalog::new([(TraitId(2), info(0, 0, 2)), (TraitId(1), info(0, 0, 0))]));
        assert_eq!(minutes(&profile), [(2, 30), (2, 30)]);
    }

    #[test]
    fn minutes_of_all_traits_are_bounded() {
        let mut profile = Profile::new();
        let traits = (PROFILE_MINUTES_MAX / MINUTES_PER_TRAIT_MAX) as u32 + 1;
        let mut dropped = 0;
        for minute in 0..MINUTES_PER_TRAIT_MAX as u32 {
            for id in 0..traits {
                let realised = profile.realise(TraitId(id), info(0, 0, MINUTES_PER_TRAIT_MAX as u8), 1, minute);
                dropped += usize::from(realised.dropped_minute);
            }
        }
        assert_eq!(dropped, MINUTES_PER_TRAIT_MAX);
        assert_eq!((profile.minutes.len(), profile.minutes.capacity()), (PROFILE_MINUTES_MAX, PROFILE_MINUTES_MAX));
        assert!(profile.minutes.iter().all(|entry| entry.minute >= 3));
    }

    #[test]
    fn a_trait_lives_to_the_end_of_its_last_day() {
        let catalog = TraitCatalog::new([(TraitId(1), info(1, 0, 1)), (TraitId(2), info(0, 0, 0))]);
        let mut profile = Profile::new();
        profile.realise(TraitId(1), info(1, 0, 1), 10, 7);
        profile.realise(TraitId(1), info(1, 0, 1), 12, 8);
        profile.realise(TraitId(2), info(0, 0, 0), 10, 0);
        profile.realise(TraitId(3), info(120, 0, 0), 10, 0);
        assert_eq!(profile.expire(13, &catalog), 0);
        assert_eq!((profile.next_expiry(), profile.keep_until()), (14 * 1_440, Day::MAX));
        assert_eq!(profile.expire(14, &catalog), 1);
        assert_eq!(entries(&profile), [(2, 10, 1), (3, 10, 1)]);
        assert_eq!(minutes(&profile), []);
        assert_eq!(profile.next_expiry(), 131 * 1_440);
        assert_eq!(profile.expire(131, &catalog), 1);
        assert_eq!(entries(&profile), [(2, 10, 1)]);
        assert_eq!(profile.next_expiry(), Minute::MAX);
        profile.drop_trait(TraitId(2));
        profile.expire(131, &catalog);
        assert_eq!(profile.keep_until(), 0);
    }

    #[test]
    fn only_days_before_the_window_fold() {
        let catalog = TraitCatalog::new([(TraitId(1), info(0, 5, 0)), (TraitId(2), info(0, 0, 0))]);
        let mut profile = Profile::new();
        for day in [80, 90, 94, 95, 100] {
            profile.realise(TraitId(1), info(0, 5, 0), day, 0);
            profile.realise(TraitId(2), info(0, 0, 0), day, 0);
            profile.realise(TraitId(3), info(0, 0, 0), day, 0);
        }
        profile.fold(100, &catalog);
        let unknown_stays = [(3, 80, 1), (3, 90, 1), (3, 94, 1), (3, 95, 1), (3, 100, 1)];
        let folded = [(1, 94, 3), (1, 95, 1), (1, 100, 1), (2, 95, 4), (2, 100, 1)];
        assert_eq!(entries(&profile), [&folded[..], &unknown_stays].concat());
    }

    /// Each trait's days and minutes, without bounds or order.
    #[derive(Default)]
    struct Model {
        days: BTreeMap<(u32, Day), u16>,
        minutes: Vec<(u32, Minute)>,
    }

    impl Model {
        fn forget(&mut self, trait_id: u32) {
            self.days.retain(|&(id, _), _| id != trait_id);
            self.minutes.retain(|&(id, _)| id != trait_id);
        }

        fn keep_latest_minutes(&mut self, trait_id: u32, kept: usize) {
            self.minutes.sort_unstable();
            let count = self.minutes.iter().filter(|minute| minute.0 == trait_id).count();
            let mut surplus = count.saturating_sub(kept);
            self.minutes.retain(|minute| {
                let goes = minute.0 == trait_id && surplus > 0;
                surplus -= usize::from(goes);
                !goes
            });
        }
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn agrees_with_a_map(
            infos in proptest::collection::vec((0..6u16, 0..4u16, 0..4u8), 6),
            steps in proptest::collection::vec((0..10u8, 0..8u32, 0..2u16, 0..2_000u32), 0..120),
        ) {
            let infos: Vec<TraitInfo> = infos.into_iter().map(|(ttl, window, kept)| info(ttl, window, kept)).collect();
            let catalog = TraitCatalog::new((0..).zip(infos).map(|(id, info)| (TraitId(id), info)));
            let mut profile = Profile::new();
            let mut model = Model::default();
            let mut today = 20_000;
            for (operation, id, days, minute) in steps {
                today += days;
                let keeping = catalog.keeping(TraitId(id));
                match operation {
                    0 => {
                        profile.drop_trait(TraitId(id));
                        model.forget(id);
                    }
                    1 => {
                        let held: Vec<(u32, Day)> = model.days.keys().copied().collect();
                        let gone: Vec<u32> = held
                            .chunk_by(|a, b| a.0 == b.0)
                            .map(|days| *days.last().unwrap())
                            .filter(|&(id, last)| catalog.keeping(TraitId(id)).held_until(last) < today)
                            .map(|(id, _)| id)
                            .collect();
                        prop_assert_eq!(profile.expire(today, &catalog), gone.len());
                        gone.into_iter().for_each(|id| model.forget(id));
                    }
                    2 => {
                        profile.fold(today, &catalog);
                        for id in 0..8 {
                            let keeping = catalog.keeping(TraitId(id));
                            let old: Vec<(u32, Day)> = model
                                .days
                                .keys()
                                .copied()
                                .filter(|key| key.0 == id && key.1 < today.saturating_sub(keeping.window_days))
                                .collect();
                            if let Some(&latest) = old.last() {
                                let sum = old.iter().map(|key| model.days.remove(key).unwrap()).sum();
                                model.days.insert(latest, sum);
                            }
                            model.keep_latest_minutes(id, keeping.minutes_kept.into());
                        }
                    }
                    _ => {
                        prop_assert_eq!(profile.realise(TraitId(id), keeping, today, minute), Realised::default());
                        *model.days.entry((id, today)).or_default() += 1;
                        if keeping.minutes_kept > 0 {
                            model.minutes.push((id, minute));
                            model.keep_latest_minutes(id, keeping.minutes_kept.into());
                        }
                    }
                }
                let days: Vec<_> = model.days.iter().map(|(&(id, day), &count)| (id, day, count)).collect();
                prop_assert_eq!(entries(&profile), days);
                prop_assert_eq!(minutes(&profile), model.minutes.clone());
            }
        }
    }
}
