//! How a visitor's traits come, age and go.

use super::catalog::{TraitCatalog, TraitInfo};
use super::entries::Arrival;
use super::history::{MinuteEntry, TraitEntry};
use super::record::{Profile, Tended};
use crate::clock::{Day, Minute};
use crate::ids::TraitId;
use crate::limits::{PROFILE_ENTRIES_MAX, PROFILE_MINUTES_MAX};

/// What realising traits cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Realised {
    /// Counts of the day that stand at their maximum.
    pub saturated: u32,
    /// The profile was full: so many of its oldest entries went, or of the new ones when those alone are too many.
    pub dropped_entries: u32,
    /// The profile's minutes were full: so many of the oldest went.
    pub dropped_minutes: u32,
}

impl Profile {
    /// Adds one to the count of `day` of each of `traits`, which ascend, no two alike, and `minute` to the minutes of
    /// those of which the config keeps any. What is new is brought in by one walk from behind, and what it displaces
    /// goes in one: a full profile of a visitor who realises many traits would be moved about for each of them.
    pub fn realise(
        &mut self,
        traits: &[TraitId],
        info_of: impl Fn(TraitId) -> TraitInfo,
        day: Day,
        minute: Minute,
    ) -> Realised {
        debug_assert!(traits.is_sorted_by(|a, b| a < b), "traits come ascending");
        let mut realised = self.count(traits, day);
        for &trait_id in traits {
            let info = info_of(trait_id);
            if info.minutes_kept > 0 {
                let dropped = self.note_minute(MinuteEntry { trait_id, minute }, info.minutes_kept.into());
                realised.dropped_minutes += u32::from(dropped);
            }
            self.note_held_until(info.held_until(day));
            self.note_change(trait_id);
        }
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
        let mut entries = std::mem::take(&mut self.entries);
        let list = entries.change();
        let (mut start, mut kept, mut expired) = (0, 0, 0);
        while start < list.len() {
            let trait_id = list[start].trait_id;
            let end = start + list[start..].iter().take_while(|entry| entry.trait_id == trait_id).count();
            let held_until = catalog.keeping(trait_id).held_until(list[end - 1].day);
            if held_until < today {
                expired += 1;
                self.note_change(trait_id);
            } else {
                list.copy_within(start..end, kept);
                kept += end - start;
                self.note_held_until(held_until);
            }
            start = end;
        }
        list.truncate(kept);
        self.entries = entries;
        if expired > 0 {
            self.drop_minutes_without_entries();
        }
        expired
    }

    /// Adds up each trait's days that lie before its longest window into the latest of them (every term that counts
    /// one of them counts them all), and drops minutes that no window needs any more.
    pub fn fold(&mut self, today: Day, catalog: &TraitCatalog) {
        let list = self.entries.change();
        let mut kept = 0;
        // A trait's first day that is not folded. Looked up once per trait.
        let mut first_day = (TraitId::default(), 0);
        for read in 0..list.len() {
            let entry = list[read];
            if read == 0 || first_day.0 != entry.trait_id {
                first_day = (entry.trait_id, today.saturating_sub(catalog.keeping(entry.trait_id).window_days));
            }
            let joins = kept > 0 && list[kept - 1].trait_id == entry.trait_id && entry.day < first_day.1;
            if joins {
                let count = list[kept - 1].count.saturating_add(entry.count);
                list[kept - 1] = TraitEntry { count, ..entry };
            } else {
                list[kept] = entry;
                kept += 1;
            }
        }
        list.truncate(kept);
        self.trim_minutes(catalog);
    }

    /// Forgets the trait.
    pub fn drop_trait(&mut self, trait_id: TraitId) {
        let (start, end) = range_of(&self.entries, |entry| entry.trait_id, trait_id);
        self.entries.change().drain(start..end);
        self.drop_minutes(trait_id);
        self.note_change(trait_id);
    }

    fn count(&mut self, traits: &[TraitId], day: Day) -> Realised {
        let mut realised = Realised::default();
        self.arrivals.clear();
        let (fours, rest) = traits.as_chunks();
        fours.iter().for_each(|four| self.count_together::<4>(*four, day, &mut realised));
        rest.iter().for_each(|&trait_id| self.count_together([trait_id], day, &mut realised));
        if !self.arrivals.is_empty() {
            let surplus = (self.entries.len() + self.arrivals.len()).saturating_sub(PROFILE_ENTRIES_MAX);
            self.drop_oldest(surplus, day);
            realised.dropped_entries += surplus as u32;
            self.entries.bring_in(&self.arrivals, day);
        }
        realised
    }

    fn count_together<const N: usize>(&mut self, traits: [TraitId; N], day: Day, realised: &mut Realised) {
        for (place, trait_id) in self.entries.places_of(traits, day).into_iter().zip(traits) {
            let is_known = self.entries.get(place).is_some_and(|entry| (entry.trait_id, entry.day) == (trait_id, day));
            if is_known {
                realised.saturated += u32::from(self.entries.count(place));
            } else if self.arrivals.len() < PROFILE_ENTRIES_MAX {
                self.arrivals.push(Arrival { trait_id, place });
            } else {
                realised.dropped_entries += 1;
            }
        }
    }

    /// Forgets so many of the oldest entries, before arrivals of `day` are brought in.
    fn drop_oldest(&mut self, mut surplus: usize, day: Day) {
        if surplus == 0 {
            return;
        }
        let mut entries = std::mem::take(&mut self.entries);
        while surplus > 0 {
            let oldest = entries.iter().map(|entry| entry.day).min().expect("there are more entries than surplus ones");
            entries.change().retain(|entry| {
                let goes = entry.day == oldest && surplus > 0;
                if goes {
                    surplus -= 1;
                    self.note_change(entry.trait_id);
                }
                !goes
            });
        }
        self.entries = entries;
        for arrival in &mut self.arrivals {
            [arrival.place] = self.entries.places_of([arrival.trait_id], day);
        }
        self.drop_minutes_without_entries();
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

    fn realise(profile: &mut Profile, trait_id: u32, info: TraitInfo, day: Day, minute: Minute) -> Realised {
        profile.realise(&[TraitId(trait_id)], |_| info, day, minute)
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
            assert_eq!(realise(&mut profile, 1, info(0, 0, 0), 5, 0), Realised::default());
        }
        assert!(realise(&mut profile, 1, info(0, 0, 0), 5, 0).saturated == 1);
        assert_eq!(entries(&profile), [(1, 5, u16::MAX)]);
    }

    #[test]
    fn a_full_profile_drops_its_oldest_entry() {
        let mut profile = Profile::new();
        realise(&mut profile, 7, info(0, 0, 4), 1, 100);
        for i in 1..PROFILE_ENTRIES_MAX as u32 {
            assert!(realise(&mut profile, i * 10, info(0, 0, 0), 9, 0).dropped_entries == 0);
        }
        assert_eq!(entries(&profile)[0], (7, 1, 1));
        assert!(realise(&mut profile, 5, info(0, 0, 0), 10, 0).dropped_entries > 0);
        assert_eq!(entries(&profile)[0], (5, 10, 1));
        assert_eq!(minutes(&profile), []);
        assert_eq!(profile.entries.len(), PROFILE_ENTRIES_MAX);
        assert_eq!(profile.entries.change().capacity(), PROFILE_ENTRIES_MAX);
    }

    #[test]
    fn a_full_profile_takes_many_for_as_many_of_its_oldest() {
        let mut profile = Profile::new();
        let day_of = |i: u32| 100 + (i * 7 % 13) as Day;
        for i in 0..PROFILE_ENTRIES_MAX as u32 {
            realise(&mut profile, i * 2, info(0, 0, 0), day_of(i), 0);
        }
        let mut expected: Vec<_> = entries(&profile);
        let arrivals: Vec<TraitId> = (0..700).map(|i| TraitId(i * 9 + i % 2)).collect();
        let realised = profile.realise(&arrivals, |_| info(0, 0, 0), 200, 0);
        expected.sort_by_key(|entry| entry.1);
        expected.drain(..arrivals.len());
        expected.extend(arrivals.iter().map(|id| (id.0, 200, 1)));
        expected.sort_unstable();
        assert_eq!(realised.dropped_entries as usize, arrivals.len());
        assert_eq!(entries(&profile), expected);
        assert_eq!(profile.entries.change().capacity(), PROFILE_ENTRIES_MAX);
        let too_many: Vec<TraitId> = (0..PROFILE_ENTRIES_MAX as u32 + 5).map(TraitId).collect();
        assert_eq!(profile.realise(&too_many, |_| info(0, 0, 0), 201, 0).dropped_entries as usize, too_many.len());
        assert!(profile.entries.iter().all(|entry| entry.day == 201) && profile.entries.len() == PROFILE_ENTRIES_MAX);
    }

    #[test]
    fn a_trait_keeps_its_latest_minutes() {
        let mut profile = Profile::new();
        for minute in [10, 30, 20, 30, 5] {
            realise(&mut profile, 2, info(0, 0, 3), 1, minute);
        }
        realise(&mut profile, 1, info(0, 0, 1), 1, 99);
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
                let realised = realise(&mut profile, id, info(0, 0, MINUTES_PER_TRAIT_MAX as u8), 1, minute);
                dropped += realised.dropped_minutes as usize;
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
        realise(&mut profile, 1, info(1, 0, 1), 10, 7);
        realise(&mut profile, 1, info(1, 0, 1), 12, 8);
        realise(&mut profile, 2, info(0, 0, 0), 10, 0);
        realise(&mut profile, 3, info(120, 0, 0), 10, 0);
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
            realise(&mut profile, 1, info(0, 5, 0), day, 0);
            realise(&mut profile, 2, info(0, 0, 0), day, 0);
            realise(&mut profile, 3, info(0, 0, 0), day, 0);
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
                        let is_meant = |other: &u32| *other == id || operation > 6 && minute >> other & 1 == 1;
                        let ids: Vec<u32> = (0..8).filter(is_meant).collect();
                        let traits: Vec<TraitId> = ids.iter().copied().map(TraitId).collect();
                        let realised = profile.realise(&traits, |id| catalog.keeping(id), today, minute);
                        prop_assert_eq!(realised, Realised::default());
                        for id in ids {
                            let keeping = catalog.keeping(TraitId(id));
                            *model.days.entry((id, today)).or_default() += 1;
                            if keeping.minutes_kept > 0 {
                                model.minutes.push((id, minute));
                                model.keep_latest_minutes(id, keeping.minutes_kept.into());
                            }
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
