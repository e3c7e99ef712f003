//! Against a list that forgets nothing, and what crowds and single keys can do to each other.

use std::collections::HashMap;

use super::*;
use crate::identity::{TableHash, Uuid, cases};
use proptest::prelude::*;

const SECOND_NS: u64 = 1_000_000_000;
const DENY_NS: u64 = 300 * SECOND_NS;

fn key(i: u64) -> KeyedHash {
    TableHash::new(&[3; 16]).uuid(Uuid { high: 0, low: i })
}

fn rate(count: u32) -> Rate {
    Rate::per_minute(count).unwrap()
}

#[test]
fn a_minutes_worth_may_come_at_once_and_one_more_may_not() {
    for count in [1, 2, 7, 60, 6_000, 1_000_000] {
        let mut meters = Meters::new(4);
        let start_ns = 5 * SECOND_NS;
        for _ in 0..count {
            assert_eq!(meters.see(key(1), rate(count), DENY_NS, start_ns), Sighting::Within, "{count}");
        }
        assert_eq!(meters.see(key(1), rate(count), DENY_NS, start_ns), Sighting::TooMany, "{count}");
        assert_eq!(meters.see(key(1), rate(count), DENY_NS, start_ns + DENY_NS - 1), Sighting::Denied);
        assert_eq!(meters.see(key(2), rate(count), DENY_NS, start_ns), Sighting::Within);
        for _ in 0..count {
            assert_eq!(meters.see(key(1), rate(count), DENY_NS, start_ns + DENY_NS), Sighting::Within, "{count}");
        }
    }
    assert_eq!(Rate::per_minute(0), None);
}

#[test]
fn whoever_keeps_to_the_rate_is_never_denied() {
    let mut meters = Meters::new(4);
    for i in 0..10_000 {
        assert_eq!(meters.see(key(1), rate(60), DENY_NS, i * SECOND_NS), Sighting::Within);
    }
}

#[test]
fn whoever_spent_too_much_hears_when_there_is_more() {
    let mut meters = Meters::new(4);
    let now_ns = 9 * SECOND_NS;
    assert_eq!(meters.spend(key(1), 4, rate(6), now_ns), Ok(()));
    assert_eq!(meters.spend(key(1), 3, rate(6), now_ns), Err(10 * SECOND_NS));
    assert_eq!(meters.spend(key(1), 2, rate(6), now_ns), Ok(()));
    assert_eq!(meters.spend(key(1), 1, rate(6), now_ns + 4 * SECOND_NS), Err(6 * SECOND_NS));
    assert_eq!(meters.spend(key(1), 1, rate(6), now_ns + 10 * SECOND_NS), Ok(()));
    // Nobody would ever hear of success who asks for more than a minute's worth.
    assert_eq!(meters.spend(key(1), 100, rate(6), now_ns + 60 * SECOND_NS), Err(10 * SECOND_NS));
    assert_eq!(meters.spend(key(1), 100, rate(6), now_ns + 70 * SECOND_NS), Ok(()));
}

/// However many others come, who is denied stays denied for his time.
#[test]
fn a_crowd_frees_nobody() {
    let mut meters = Meters::new(16);
    let denied: Vec<u64> = (0..4).collect();
    for &id in &denied {
        while meters.see(key(id), rate(3), DENY_NS, 0) != Sighting::TooMany {}
    }
    for other in 0..100_000 {
        meters.see(key(1_000 + other), rate(3), DENY_NS, 1 + other * DENY_NS / 100_001);
    }
    for &id in &denied {
        assert_eq!(meters.see(key(id), rate(3), DENY_NS, DENY_NS - 1), Sighting::Denied);
        assert_eq!(meters.see(key(id), rate(3), DENY_NS, DENY_NS), Sighting::Within);
    }
}

/// A crowd a hundred times as large as the table hides nobody who comes often, and is itself let through.
#[test]
fn a_crowd_hides_nobody() {
    let mut meters = Meters::new(64);
    let mut others_denied = 0;
    let mut found_at = None;
    for i in 0..200_u64 {
        let now_ns = SECOND_NS + i * 1_000_000;
        for other in 0..32 {
            let seen = meters.see(key(1_000 + i * 32 + other), rate(100), DENY_NS, now_ns);
            others_denied += usize::from(seen != Sighting::Within);
        }
        if meters.see(key(7), rate(100), DENY_NS, now_ns) == Sighting::TooMany {
            found_at = found_at.or(Some(i));
        }
    }
    // Not at once is it heavier than those who come and go.
    assert!(matches!(found_at, Some(100..=102)), "{found_at:?}");
    assert_eq!(others_denied, 0);
}

#[test]
fn a_set_that_denied_keys_hold_counts_nobody_else() {
    let mut meters = Meters::new(1);
    for id in 0..4 {
        while meters.see(key(id), rate(1), DENY_NS, 0) != Sighting::TooMany {}
    }
    assert_eq!(meters.see(key(9), rate(1), DENY_NS, 0), Sighting::Uncounted);
    assert_eq!(meters.see(key(9), rate(1), DENY_NS, DENY_NS), Sighting::Within);
}

/// A key's sightings, none forgotten.
#[derive(Default)]
struct Model {
    seen_ns: HashMap<u64, Vec<u64>>,
    denied_until_ns: HashMap<u64, u64>,
}

impl Model {
    /// Pours every sighting into a bucket that leaks.
    fn see(&mut self, id: u64, count: u32, now_ns: u64) -> Sighting {
        if self.denied_until_ns.get(&id).is_some_and(|until_ns| *until_ns > now_ns) {
            return Sighting::Denied;
        }
        let seen_ns = self.seen_ns.entry(id).or_default();
        seen_ns.push(now_ns);
        let (mut level_ns, mut at_ns) = (0_u64, 0);
        for &seen_ns in seen_ns.iter() {
            level_ns = level_ns.saturating_sub(seen_ns - at_ns) + MINUTE_NS / u64::from(count);
            at_ns = seen_ns;
        }
        if level_ns <= MINUTE_NS {
            return Sighting::Within;
        }
        seen_ns.clear();
        self.denied_until_ns.insert(id, now_ns + DENY_NS);
        Sighting::TooMany
    }
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn agrees_with_a_list_that_forgets_nothing(
        count in 1..6_u32,
        sightings in proptest::collection::vec((0..4_u64, 0..40_u64), 0..300),
    ) {
        // Four keys always have room, whichever set they are in.
        let mut meters = Meters::new(256);
        let mut model = Model::default();
        let mut now_ns = 0;
        for (id, seconds) in sightings {
            now_ns += seconds * SECOND_NS;
            prop_assert_eq!(meters.see(key(id), rate(count), DENY_NS, now_ns), model.see(id, count, now_ns));
        }
    }
}
