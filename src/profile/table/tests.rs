//! The table against a map, and at its limits.

use super::*;
use crate::identity::{AuthState, Generator, cases};
use crate::ids::{AccountIndex, DataSourceId, PartnerId, SegmentId, TraitId};
use crate::profile::codec::tests::{any_profile, facts};
use crate::profile::{PartnerOutcome, TraitCatalog, TraitInfo};
use proptest::prelude::*;
use std::collections::HashMap;

const DAY: Minute = 24 * 60;

impl ProfileTable {
    fn knows(&self, uuid: Uuid) -> bool {
        self.find(self.hash.uuid(uuid), uuid).is_some()
    }

    /// Asserts what must hold between any two calls.
    fn check(&self) {
        let slots = || self.buckets.iter().flat_map(|bucket| bucket.0).filter(|slot| !slot.is_empty());
        assert_eq!(slots().count() as u32, self.len);
        self.cells.check(slots().map(Slot::first_cell));
        for (bucket, slots) in self.buckets.iter().enumerate() {
            for slot in slots.0.iter().filter(|slot| !slot.is_empty()) {
                let header = Header::read(self.cells.head(slot.first_cell())).unwrap();
                let hash = self.hash.uuid(header.uuid);
                assert!(self.buckets_of(hash).contains(&(bucket as u32)) && slot.tag() == hash.tag());
            }
        }
    }
}

fn table(budget_bytes: usize) -> ProfileTable {
    ProfileTable::new(budget_bytes, TableHash::new(&[4; 16]))
}

fn uuid(i: u64) -> Uuid {
    Uuid { high: 1, low: i }
}

/// A visitor with one trait, seen at `seen`.
fn visitor(profile: &mut Profile, i: u64, seen: Minute, ttl_days: u16) {
    profile.clear(uuid(i));
    profile.last_seen = seen;
    let info = TraitInfo { account: AccountIndex(0), ttl_days, window_days: 0, minutes_kept: 0 };
    profile.realise(&[TraitId(i as u32)], |_| info, day_of(seen), seen);
}

#[test]
fn a_stranger_is_loaded_as_a_clear_profile() {
    let mut table = table(BUDGET_BYTES_MIN);
    let mut profile = Profile::new();
    visitor(&mut profile, 1, DAY, 0);
    assert!(table.store(&profile, DAY).created);
    assert!(!table.load(uuid(2), &mut profile));
    assert_eq!((profile.uuid, profile.history().entries), (uuid(2), &[][..]));
    assert!(table.load(uuid(1), &mut profile));
    assert_eq!(profile.history().entries.len(), 1);
    assert_eq!(profile.next_expiry(), Minute::MAX, "of traits that were looked at");
    assert!(!table.store(&profile, DAY).created);
    assert_eq!(table.len(), 1);
    assert!(table.remove(uuid(1)) && !table.remove(uuid(1)));
    assert!(table.is_empty() && !table.knows(uuid(1)));
    table.check();
}

#[test]
fn nearly_all_visitors_find_room_up_to_four_fifths() {
    let mut table = table(4 << 20);
    let mut profile = Profile::new();
    let visitors = table.memory().slots * 4 / 5;
    for i in 0..visitors {
        visitor(&mut profile, i, DAY, 0);
        table.store(&profile, DAY);
    }
    let evicted = table.counters().evicted;
    assert!(evicted * 1_000 < visitors, "{evicted} of {visitors} were evicted from full buckets");
    assert_eq!(u64::from(table.len()) + evicted, visitors);
    table.check();
}

#[test]
fn who_comes_back_stays_when_the_table_is_full() {
    let mut table = table(BUDGET_BYTES_MIN);
    let mut profile = Profile::new();
    let regulars = table.memory().slots / 8;
    let mut lost = 0;
    for hour in 0..200 {
        let now = DAY + hour * 60;
        for i in 0..regulars {
            lost += u32::from(hour > 0 && !table.load(uuid(i), &mut profile));
            visitor(&mut profile, i, now, 0);
            table.store(&profile, now);
        }
        for i in 0..100 {
            visitor(&mut profile, u64::from(1_000_000 + hour * 100 + i), now, 0);
            table.store(&profile, now);
        }
    }
    assert!(table.counters().evicted > 10_000);
    assert!(lost < 10, "{lost} regular visitors were lost");
    table.check();
}

#[test]
fn the_expired_go_before_the_good() {
    let mut table = table(BUDGET_BYTES_MIN);
    let mut profile = Profile::new();
    let slots = table.memory().slots;
    // Of the first half, seen last, everything expires; the second half was seen earlier but holds for ever.
    for i in 0..slots / 2 {
        visitor(&mut profile, i, 10 * DAY, 1);
        table.store(&profile, 10 * DAY);
        visitor(&mut profile, slots + i, 9 * DAY, 0);
        table.store(&profile, 10 * DAY);
    }
    let before = table.counters();
    let now = 12 * DAY;
    for i in 0..slots / 4 {
        visitor(&mut profile, 10 * slots + i, now, 0);
        table.store(&profile, now);
    }
    let (expired, evicted) = (table.counters().expired, table.counters().evicted - before.evicted);
    assert_eq!(before.expired, 0);
    assert!(expired > 0 && evicted * 20 < expired, "{expired} expired, {evicted} evicted");
    table.check();
}

#[test]
fn hours_are_counted_over_years_and_over_a_clock_set_back() {
    let hours = |seen: Minute, now: Minute| Slot::new(1, seen, 0).hours_unseen(now);
    assert_eq!(hours(20_000 * DAY, 20_000 * DAY + 59), 0);
    assert_eq!(hours(20_000 * DAY + 59, 20_000 * DAY + 60), 1);
    assert_eq!(hours(20_000 * DAY, 22_000 * DAY), 48_000);
    assert_eq!(hours(20_000 * DAY, 19_990 * DAY), 0);
}

#[test]
fn a_sweep_removes_the_expired_and_reports_the_due() {
    let mut table = table(BUDGET_BYTES_MIN);
    let mut profile = Profile::new();
    for i in 0..300 {
        visitor(&mut profile, i, DAY, [1, 5, 0][i as usize % 3]);
        profile.next_change = if i % 30 == 0 { 4 * DAY } else { Minute::MAX };
        table.store(&profile, DAY);
    }
    let mut due = Vec::with_capacity(300 + SLOTS);
    let buckets = table.bucket_count();
    assert_eq!((table.sweep(buckets, 2 * DAY + 5, &mut due), due.len()), (0, 0));
    assert_eq!((table.sweep(buckets, 3 * DAY, &mut due), due.len()), (100, 0));
    assert_eq!((table.sweep(buckets, 10 * DAY, &mut due), due.len()), (100, 0));
    table.check();
    for i in 1_000..1_050 {
        visitor(&mut profile, i, DAY, 1);
        profile.next_change = 4 * DAY;
        table.store(&profile, DAY);
    }
    assert_eq!((table.sweep(buckets, 10 * DAY, &mut due), due.len()), (0, 50));
    assert!(due.iter().all(|&uuid| table.knows(uuid)));
    let mut no_room = Vec::with_capacity(SLOTS - 1);
    assert_eq!((table.sweep(buckets, 10 * DAY, &mut no_room), no_room.len()), (0, 0));
    assert_eq!(table.counters(), Counters { expired: 200, evicted: 0 });
}

#[test]
fn the_largest_profile_evicts_as_many_as_it_needs() {
    let mut table = table(BUDGET_BYTES_MIN);
    let mut profile = Profile::new();
    let text = [b'x'; 255];
    for i in 0..2_000 {
        visitor(&mut profile, i, DAY, 0);
        profile.put_id(DataSourceId(1), AuthState::Unknown, &text);
        table.store(&profile, DAY);
    }
    assert!(table.memory().cells - table.memory().cells_used < 10, "no cell is left");
    visitor(&mut profile, 10_000, DAY, 0);
    for source in 0..64 {
        profile.put_id(DataSourceId(source), AuthState::Unknown, &text);
    }
    for step in 0..6 {
        for id in 0..700 {
            let info = TraitInfo { account: AccountIndex(0), ttl_days: 0, window_days: 0, minutes_kept: 0 };
            profile.realise(&[TraitId((step * 700 + id) * 1_000_000)], |_| info, 1, DAY);
        }
        let stored = table.store(&profile, DAY);
        assert!(stored.evicted > 0);
        let expected = facts(&profile);
        assert!(table.load(uuid(10_000), &mut profile));
        assert_eq!(facts(&profile), expected);
        table.check();
    }
    assert_eq!(table.record.capacity(), RECORD_BYTES_MAX + CELL_BYTES);
}

#[test]
fn a_typical_visitor_takes_160_bytes_at_most() {
    let today = 20_700;
    for text in [&b""[..], b"auto-intender"] {
        let mut table = table(8 << 20);
        let mut generator = Generator::from_seed([8; 32]);
        let mut profile = Profile::new();
        for _ in 0..20_000 {
            profile.clear(generator.uuid());
            profile.last_seen = Minute::from(today) * DAY + 700;
            for _ in 0..8 {
                let [id, day, count] = [25_000_000, 120, 4].map(|below| (generator.uuid().low % below) as u32);
                let info = TraitInfo { account: AccountIndex(0), ttl_days: 120, window_days: 30, minutes_kept: 0 };
                for _ in 0..=count {
                    profile.realise(&[TraitId(id)], |_| info, today - day as u16, 0);
                }
            }
            let mut segments: Vec<_> = (0..3).map(|_| SegmentId((generator.uuid().low % 25_000_000) as u32)).collect();
            segments.sort();
            profile.set_segments_of_account(|_| true, &segments, &mut Vec::new(), &mut Vec::new());
            let asked_s = profile.last_seen * 60 + 31;
            let outcome = if text.is_empty() { PartnerOutcome::Nothing } else { PartnerOutcome::Segments };
            let texts = Some(text).filter(|text| !text.is_empty());
            profile.set_partner(PartnerId(12), outcome, asked_s, asked_s + 86_400, texts);
            profile.next_change = profile.last_seen + 9_000;
            profile.expire(today, &TraitCatalog::new([]));
            table.store(&profile, profile.last_seen);
        }
        assert_eq!((table.len(), table.counters()), (20_000, Counters::default()));
        let bytes = table.memory().bytes_per_profile();
        println!("a visitor with 8 traits, 3 segments and a partner's {} bytes: {bytes:.1} bytes", text.len());
        assert!(bytes <= 160.0);
    }
}

proptest! {
    #![proptest_config(cases(100))]
    #[test]
    fn agrees_with_a_map(
        profiles in proptest::collection::vec(any_profile(), 1..12),
        steps in proptest::collection::vec((0..40u64, 0..20usize), 0..200),
    ) {
        let mut table = table(BUDGET_BYTES_MIN);
        let mut model: HashMap<Uuid, String> = HashMap::new();
        let mut profiles = profiles;
        let mut loaded = Profile::new();
        for (i, operation) in steps {
            if let Some(profile) = profiles.get_mut(operation) {
                profile.uuid = uuid(i);
                let stored = table.store(profile, profile.last_seen);
                let created = model.insert(uuid(i), facts(profile)).is_none();
                prop_assert_eq!(stored, Stored { created, expired: 0, evicted: 0 });
            } else if operation < 15 {
                prop_assert_eq!(table.remove(uuid(i)), model.remove(&uuid(i)).is_some());
            } else {
                prop_assert_eq!(table.load(uuid(i), &mut loaded), model.contains_key(&uuid(i)));
                prop_assert_eq!(model.get(&uuid(i)).is_none_or(|expected| *expected == facts(&loaded)), true);
            }
        }
        prop_assert_eq!(table.len() as usize, model.len());
        table.check();
    }

    #[test]
    fn a_full_table_forgets_visitors_whole_and_counts_them(
        profiles in proptest::collection::vec(any_profile(), 8..20),
        seed in any::<u64>(),
    ) {
        let mut table = table(BUDGET_BYTES_MIN);
        let mut model: HashMap<Uuid, String> = HashMap::new();
        let mut profiles = profiles;
        let mut loaded = Profile::new();
        let count = profiles.len() as u64;
        let mut random = Generator::from_seed([seed as u8; 32]);
        for _ in 0..2_000 {
            let draw = random.uuid();
            let i = draw.low % 3_000;
            let profile = &mut profiles[(draw.high % count) as usize];
            profile.uuid = uuid(i);
            table.store(profile, profile.last_seen);
            model.insert(uuid(i), facts(profile));
            prop_assert!(table.knows(uuid(i)));
        }
        let counters = table.counters();
        // Who was forgotten and came back was counted; so at least those who are missing now were.
        let missing = model.len() as u64 - u64::from(table.len());
        prop_assert!(counters.evicted + counters.expired >= missing);
        prop_assert!(counters.evicted + counters.expired > 0, "the table was never full");
        let mut found = 0;
        for (&uuid, expected) in &model {
            if table.load(uuid, &mut loaded) {
                prop_assert_eq!(&facts(&loaded), expected);
                found += 1;
            }
        }
        prop_assert_eq!(found, table.len());
        table.check();
    }
}
