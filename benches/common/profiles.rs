//! Visitors as they are after some weeks: eight traits, three segments, one partner's answer.

use pinion::clock::{Minute, Now};
use pinion::identity::{Secret, Uuid};
use pinion::ids::{AccountIndex, PartnerId, SegmentId, TraitId};
use pinion::profile::{PartnerOutcome, Profile, ProfileTable, TraitCatalog, TraitInfo};

use super::random::Random;

pub const WALL_MS: u64 = 1_795_289_301_558;
pub const TRAITS: u32 = 10_000;
const TRAITS_HELD: u64 = 8;

pub fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

pub fn now() -> Now {
    Now { mono_ns: 1_000_000_000, wall_ms: WALL_MS }
}

/// The n-th visitor.
pub fn uuid(number: u64) -> Uuid {
    let mut random = Random::new(number);
    Uuid::from_bits(random.next(), random.next())
}

pub fn catalog() -> TraitCatalog {
    let info = TraitInfo { account: AccountIndex(0), ttl_days: 120, window_days: 30, minutes_kept: 0 };
    TraitCatalog::new((1..=TRAITS).map(|id| (TraitId(id), info)))
}

/// Fills `profile` with what the n-th visitor is known for.
pub fn fill(profile: &mut Profile, number: u64, catalog: &TraitCatalog) {
    let minute: Minute = now().minute();
    let mut random = Random::new(!number);
    profile.clear(uuid(number));
    for _ in 0..TRAITS_HELD {
        let id = TraitId(1 + random.below(TRAITS.into()) as u32);
        let days_ago = random.below(30) as u16;
        profile.realise(
            &[id],
            |id| catalog.keeping(id),
            now().day() - days_ago,
            minute - u32::from(days_ago) * 24 * 60,
        );
    }
    let first = 1_000_001 + random.below(190) as u32;
    let segments = [SegmentId(first), SegmentId(first + 3), SegmentId(first + 9)];
    profile.set_segments_of_account(|_| true, &segments, &mut Vec::new(), &mut Vec::new());
    let asked_s = (WALL_MS / 1000) as u32;
    let texts: [&[u8]; 2] = [b"sport-17", b"cars-5"];
    profile.set_partner(PartnerId(1), PartnerOutcome::Segments, asked_s, asked_s + 3_600, texts);
    profile.last_seen = minute;
}

/// A table of so many visitors.
pub fn table(visitors: u64, catalog: &TraitCatalog) -> ProfileTable {
    const BYTES_PER_VISITOR: usize = 180;
    let mut table = ProfileTable::new((visitors as usize * BYTES_PER_VISITOR).max(1 << 20), secret().table_hash());
    let mut profile = Profile::new();
    for number in 0..visitors {
        fill(&mut profile, number, catalog);
        table.store(&profile, now().minute());
    }
    assert_eq!(u64::from(table.len()), visitors, "nobody had to go");
    table
}
