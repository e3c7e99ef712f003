//! What a visitor costs: a table that has 160 bytes for each of a million visitors, index and all, keeps them all.
//!
//! `MEMORY_PROFILES=10000000` takes ten millions (1.6 GB).

use pinion::clock::Now;
use pinion::identity::{Secret, Uuid};
use pinion::ids::{AccountIndex, PartnerId, SegmentId, TraitId};
use pinion::profile::{PartnerOutcome, Profile, ProfileTable, TraitCatalog, TraitInfo};

const BYTES_PER_PROFILE_MAX: usize = 160;
const PROFILES_DEFAULT: u64 = 1_000_000;
const NOW: Now = Now { mono_ns: 0, wall_ms: 1_795_289_301_558 };
/// Visitors differ, but making each by itself would take most of the test's time.
const KINDS: u64 = 256;
const TRAITS: u32 = 8;
const SEGMENTS: u32 = 3;

#[test]
fn a_visitor_takes_at_most_160_bytes() {
    let profiles = std::env::var("MEMORY_PROFILES").map_or(PROFILES_DEFAULT, |text| text.parse().expect("a number"));
    let secret = Secret::from_bytes([9; 32]);
    let mut table = ProfileTable::new(profiles as usize * BYTES_PER_PROFILE_MAX, secret.table_hash());
    let mut kinds: Vec<Profile> = (0..KINDS).map(visitor).collect();
    for number in 0..profiles {
        let profile = &mut kinds[(number % KINDS) as usize];
        profile.uuid = uuid(number);
        table.store(profile, NOW.minute());
    }
    let (memory, counters) = (table.memory(), table.counters());
    let bytes = memory.bytes_per_profile();
    println!("{profiles} profiles: {bytes:.1} bytes each, {memory:?}");
    assert_eq!((u64::from(table.len()), counters.evicted, counters.expired), (profiles, 0, 0), "nobody had to go");
    assert!(bytes <= BYTES_PER_PROFILE_MAX as f64, "{bytes}");

    // What is counted is all there: a few of them, read again.
    let mut profile = Profile::new();
    for number in (0..profiles).step_by(profiles as usize / 100) {
        assert!(table.load(uuid(number), &mut profile));
        assert_eq!((profile.history().entries.len(), profile.segments().len()), (TRAITS as usize, SEGMENTS as usize));
        assert_eq!(profile.partners().flat_map(|partner| partner.texts()).count(), 2);
    }
}

/// Eight traits of the last month, three segments, and what one partner said.
fn visitor(kind: u64) -> Profile {
    let info = TraitInfo { account: AccountIndex(0), ttl_days: 120, window_days: 30, minutes_kept: 0 };
    let catalog = TraitCatalog::new((1..=10_000).map(|id| (TraitId(id), info)));
    let mut profile = Profile::new();
    for n in 0..TRAITS {
        // Far apart and on different days, as it is for real visitors: neither ids nor days repeat.
        let id = TraitId(1 + (kind as u32 * 7_919 + n * 1_237) % 10_000);
        profile.realise(&[id], |id| catalog.keeping(id), NOW.day() - (kind as u16 + n as u16 * 3) % 30, NOW.minute());
    }
    let segments: Vec<_> = (0..SEGMENTS).map(|n| SegmentId(1_000 + kind as u32 % 150 + n * 17)).collect();
    profile.set_segments_of_account(|_| true, &segments, &mut Vec::new(), &mut Vec::new());
    let asked_s = (NOW.wall_ms / 1000) as u32;
    profile.set_partner(
        PartnerId(1),
        PartnerOutcome::Segments,
        asked_s,
        asked_s + 3_600,
        [&b"sport-17"[..], b"cars-5"],
    );
    profile.last_seen = NOW.minute();
    profile
}

fn uuid(number: u64) -> Uuid {
    Uuid::from_bits(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ 1)
}
