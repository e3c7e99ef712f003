//! A profile as bytes: how the table's records and (with [`FORMAT`] written beside them) files hold it.
//!
//! A header of fixed places, which the table reads without decoding the rest:
//!
//! | bytes | what                                                  |
//! |-------|-------------------------------------------------------|
//! | 0-15  | uuid, two little-endian halves                        |
//! | 16-19 | last seen, minute                                     |
//! | 20-23 | next change, minute                                   |
//! | 24-27 | ruleset by which it was last tended, 0: none          |
//! | 28-29 | day on which it was last tended                       |
//! | 30-31 | account whose segments are up to date, `u16::MAX`: none |
//! | 32-33 | keep until, day                                       |
//! | 34-35 | some trait is held until, day                         |
//! | 36-37 | number of trait entries                               |
//! | 38    | flags                                                 |
//! | 39    | which lists below are there                           |
//!
//! Then the trait entries as words: see [`super::packing`]. Then the lists that are not empty, each after its length.
//! Their numbers are LEB128 varints, of which most take a byte: ids as the distance from the one before, times as the
//! distance back from the last visit. Only absolute facts, so storing a record twice is storing it once.
//!
//! Rulesets are counted within one process: a record that another one wrote is to be read as tended by none.

use super::day_of;
use super::history::MinuteEntry;
use super::ids::DeclaredId;
use super::packing::ENTRY_BYTES_MAX;
use super::partners::{PartnerOutcome, PartnerView};
use super::record::{Profile, Tended};
use crate::clock::{Day, Minute};
use crate::identity::{AuthState, Uuid};
use crate::ids::{AccountIndex, DataSourceId, PartnerId, SegmentId, TraitId};
use crate::limits::{
    DECLARED_ID_BYTES_MAX, PARTNER_SEGMENT_BYTES_MAX, PARTNER_SEGMENTS_MAX, PROFILE_ENTRIES_MAX, PROFILE_IDS_MAX,
    PROFILE_MINUTES_MAX, PROFILE_PARTNER_BYTES_MAX, PROFILE_PARTNERS_MAX, PROFILE_SEGMENTS_MAX,
};

/// Names this layout. Another layout gets another number.
pub const FORMAT: u8 = 4;
pub const HEADER_BYTES: usize = 40;
/// The longest record there can be.
pub const RECORD_BYTES_MAX: usize = HEADER_BYTES
    + PROFILE_ENTRIES_MAX * ENTRY_BYTES_MAX
    + 4 * VARINT_BYTES_MAX // the lists' lengths
    + PROFILE_MINUTES_MAX * 2 * VARINT_BYTES_MAX // trait, minute
    + PROFILE_SEGMENTS_MAX * VARINT_BYTES_MAX
    + PROFILE_IDS_MAX * (VARINT_BYTES_MAX + 1 + 2 + DECLARED_ID_BYTES_MAX) // source, state, length, text
    + PROFILE_PARTNERS_MAX * 4 * VARINT_BYTES_MAX // partner, two times, outcome and number of texts
    + PROFILE_PARTNER_BYTES_MAX;

/// The longest record of a profile that has nothing but traits, as persons have.
pub const TRAITS_RECORD_BYTES_MAX: usize = HEADER_BYTES
    + PROFILE_ENTRIES_MAX * ENTRY_BYTES_MAX
    + VARINT_BYTES_MAX
    + PROFILE_MINUTES_MAX * 2 * VARINT_BYTES_MAX;

const VARINT_BYTES_MAX: usize = 5;

/// Added to the state of the id under which the visitor was last signed in.
const LAST_AUTHENTICATED: u8 = 4;

const HAS_MINUTES: u8 = 1;
const HAS_SEGMENTS: u8 = 2;
const HAS_IDS: u8 = 4;
const HAS_PARTNERS: u8 = 8;

const _: () = assert!(PROFILE_ENTRIES_MAX <= u16::MAX as usize, "the header has two bytes for their number");

/// What can be read off a record's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub uuid: Uuid,
    pub last_seen: Minute,
    pub next_change: Minute,
    pub keep_until: Day,
    tended: Tended,
    traits_until: Day,
    entry_count: u16,
    flags: u8,
    lists: u8,
}

impl Header {
    /// `None` when there are too few bytes.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Some(Header {
            uuid: Uuid { high: long(0), low: long(8) },
            last_seen: word(16),
            next_change: word(20),
            tended: Tended { epoch: word(24), day: half(28), placed: AccountIndex(half(30)) },
            keep_until: half(32),
            traits_until: half(34),
            entry_count: half(36),
            flags: bytes[38],
            lists: bytes[39],
        })
    }

    fn write(self, bytes: &mut Vec<u8>) {
        let mut header = [0; HEADER_BYTES];
        header[0..8].copy_from_slice(&self.uuid.high.to_le_bytes());
        header[8..16].copy_from_slice(&self.uuid.low.to_le_bytes());
        header[16..20].copy_from_slice(&self.last_seen.to_le_bytes());
        header[20..24].copy_from_slice(&self.next_change.to_le_bytes());
        header[24..28].copy_from_slice(&self.tended.epoch.to_le_bytes());
        header[28..30].copy_from_slice(&self.tended.day.to_le_bytes());
        header[30..32].copy_from_slice(&self.tended.placed.0.to_le_bytes());
        header[32..34].copy_from_slice(&self.keep_until.to_le_bytes());
        header[34..36].copy_from_slice(&self.traits_until.to_le_bytes());
        header[36..38].copy_from_slice(&self.entry_count.to_le_bytes());
        header[38..].copy_from_slice(&[self.flags, self.lists]);
        bytes.extend_from_slice(&header);
    }
}

/// Appends the profile to `bytes`: at most [`RECORD_BYTES_MAX`].
pub fn encode(profile: &Profile, bytes: &mut Vec<u8>) {
    let present = |list: u8, empty: bool| if empty { 0 } else { list };
    let lists = present(HAS_MINUTES, profile.minutes.is_empty())
        | present(HAS_SEGMENTS, profile.segments.is_empty())
        | present(HAS_IDS, profile.ids.is_empty())
        | present(HAS_PARTNERS, profile.partners.is_empty());
    let Profile { uuid, flags, last_seen, next_change, traits_until, .. } = *profile;
    let entry_count = profile.entries.len() as u16;
    let (tended, keep_until) = (profile.tended_and_told(), profile.keep_until());
    Header { uuid, last_seen, next_change, keep_until, tended, traits_until, entry_count, flags, lists }.write(bytes);
    profile.entries.pack(day_of(last_seen), bytes);
    encode_minutes(&profile.minutes, last_seen, bytes);
    encode_segments(&profile.segments, bytes);
    encode_ids(profile, bytes);
    encode_partners(profile, bytes);
}

/// Fills `profile` from a record at the head of `bytes`; what follows it is not looked at. `None` when the bytes are
/// no record, which leaves the profile unfit for use.
pub fn decode(bytes: &[u8], profile: &mut Profile) -> Option<()> {
    let header = Header::read(bytes)?;
    // The last visitor's entries are written over rather than cleared: hundreds of them, perhaps.
    let mut entries = std::mem::take(&mut profile.entries);
    profile.clear(header.uuid);
    profile.flags = header.flags;
    profile.last_seen = header.last_seen;
    profile.next_change = header.next_change;
    profile.tended = header.tended;
    profile.traits_until = header.traits_until;
    profile.is_expiry_known = false;
    let entry_count = usize::from(header.entry_count).min(PROFILE_ENTRIES_MAX);
    let rest = entries.unpack(&bytes[HEADER_BYTES..], entry_count, day_of(header.last_seen));
    profile.entries = entries;
    let mut reader = Reader::new(rest.filter(|_| entry_count == usize::from(header.entry_count))?);
    if header.lists & HAS_MINUTES != 0 {
        decode_minutes(&mut reader, header.last_seen, &mut profile.minutes)?;
    }
    if header.lists & HAS_SEGMENTS != 0 {
        decode_segments(&mut reader, &mut profile.segments)?;
    }
    if header.lists & HAS_IDS != 0 {
        decode_ids(&mut reader, profile)?;
    }
    if header.lists & HAS_PARTNERS != 0 {
        decode_partners(&mut reader, profile)?;
    }
    Some(())
}

fn encode_minutes(minutes: &[MinuteEntry], now: Minute, bytes: &mut Vec<u8>) {
    put_length(bytes, minutes.len());
    let mut trait_before = 0;
    for entry in minutes {
        put_varint(bytes, entry.trait_id.0 - trait_before);
        trait_before = entry.trait_id.0;
        put_varint(bytes, now.wrapping_sub(entry.minute));
    }
}

fn decode_minutes(reader: &mut Reader<'_>, now: Minute, minutes: &mut Vec<MinuteEntry>) -> Option<()> {
    let mut before = MinuteEntry::default();
    for _ in 0..reader.length(PROFILE_MINUTES_MAX)? {
        let trait_id = TraitId(before.trait_id.0.checked_add(reader.varint()?)?);
        let entry = MinuteEntry { trait_id, minute: now.wrapping_sub(reader.varint()?) };
        if entry < before {
            return None;
        }
        minutes.push(entry);
        before = entry;
    }
    Some(())
}

fn encode_segments(segments: &[SegmentId], bytes: &mut Vec<u8>) {
    put_length(bytes, segments.len());
    let mut before = 0;
    for segment in segments {
        put_varint(bytes, segment.0 - before);
        before = segment.0;
    }
}

fn decode_segments(reader: &mut Reader<'_>, segments: &mut Vec<SegmentId>) -> Option<()> {
    for _ in 0..reader.length(PROFILE_SEGMENTS_MAX)? {
        let distance = reader.varint()?;
        let segment = match segments.last() {
            None => distance,
            Some(_) if distance == 0 => return None,
            Some(before) => before.0.checked_add(distance)?,
        };
        segments.push(SegmentId(segment));
    }
    Some(())
}

fn encode_ids(profile: &Profile, bytes: &mut Vec<u8>) {
    put_length(bytes, profile.ids.len());
    for id in profile.ids.oldest_first() {
        put_varint(bytes, id.source.0);
        bytes.push(id.auth as u8 | if id.last_authenticated { LAST_AUTHENTICATED } else { 0 });
        put_varint(bytes, id.text.len() as u32);
        bytes.extend_from_slice(id.text);
    }
}

fn decode_ids(reader: &mut Reader<'_>, profile: &mut Profile) -> Option<()> {
    for _ in 0..reader.length(PROFILE_IDS_MAX)? {
        let source = DataSourceId(reader.varint()?);
        let state = reader.byte()?;
        let auth = AuthState::from_number(state & !LAST_AUTHENTICATED)?;
        let last_authenticated = state & LAST_AUTHENTICATED != 0;
        let text = reader.text()?;
        profile.ids.append(DeclaredId { source, auth, last_authenticated, text }).then_some(())?;
    }
    Some(())
}

/// Outcome and number of texts share a number. An answer may come a little after the visit it was asked for, so that
/// distance has a sign.
fn encode_partners(profile: &Profile, bytes: &mut Vec<u8>) {
    put_length(bytes, profile.partners.len());
    let seen_s = profile.last_seen.wrapping_mul(60);
    let mut before = 0;
    for view in profile.partners.iter() {
        put_varint(bytes, view.partner.0 - before);
        before = view.partner.0;
        put_varint(bytes, zigzag(view.asked_s.wrapping_sub(seen_s)));
        put_varint(bytes, view.fresh_until_s.wrapping_sub(view.asked_s));
        put_varint(bytes, u32::from(view.segment_count) << 2 | view.outcome as u32);
        bytes.extend_from_slice(view.texts);
    }
}

fn decode_partners(reader: &mut Reader<'_>, profile: &mut Profile) -> Option<()> {
    let seen_s = profile.last_seen.wrapping_mul(60);
    let mut before = 0u32;
    for _ in 0..reader.length(PROFILE_PARTNERS_MAX)? {
        let partner = before.checked_add(reader.varint()?)?;
        before = partner;
        let asked_s = seen_s.wrapping_add(unzigzag(reader.varint()?));
        let fresh_until_s = asked_s.wrapping_add(reader.varint()?);
        let mark = reader.varint()?;
        let outcome = PartnerOutcome::from_number(mark & 3)?;
        let segment_count =
            u16::try_from(mark >> 2).ok().filter(|&count| usize::from(count) <= PARTNER_SEGMENTS_MAX)?;
        let texts = reader.texts(segment_count)?;
        let view = PartnerView { partner: PartnerId(partner), outcome, asked_s, fresh_until_s, segment_count, texts };
        profile.partners.append(view).then_some(())?;
    }
    Some(())
}

pub(super) fn put_varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// An empty list is left out altogether: the header says so.
fn put_length(bytes: &mut Vec<u8>, length: usize) {
    if length > 0 {
        put_varint(bytes, length as u32);
    }
}

/// Small distances on either side as small numbers.
fn zigzag(distance: u32) -> u32 {
    let signed = distance as i32;
    ((signed << 1) ^ (signed >> 31)) as u32
}

fn unzigzag(number: u32) -> u32 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Reads what the above wrote. `None` when the bytes end early or break a bound.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// A text after its length.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()? as usize;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }

    /// `count` texts with their lengths, as they stand.
    fn texts(&mut self, count: u16) -> Option<&'a [u8]> {
        let start = self.rest;
        for _ in 0..count {
            if self.text()?.len() > PARTNER_SEGMENT_BYTES_MAX {
                return None;
            }
        }
        Some(&start[..start.len() - self.rest.len()])
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u32> {
        let mut number = 0u32;
        for place in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u32::from(byte & 0x7f);
            if place == VARINT_BYTES_MAX - 1 && byte > 0x0f {
                return None;
            }
            number |= bits << (7 * place);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn length(&mut self, max: usize) -> Option<usize> {
        let length = self.varint()? as usize;
        (length <= max).then_some(length)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::identity::cases;
    use crate::limits::MINUTES_PER_TRAIT_MAX;
    use crate::profile::TraitInfo;
    use proptest::prelude::*;

    /// Everything that a record must bring back, in a form that compares.
    pub(in crate::profile) fn facts(profile: &Profile) -> String {
        let ids: Vec<_> = profile.ids.iter().collect();
        let partners: Vec<_> = profile.partners().map(|view| (view, view.texts().collect::<Vec<_>>())).collect();
        let Profile { uuid, flags, last_seen, next_change, .. } = profile;
        let (history, segments, keep) = (profile.history(), profile.segments(), profile.keep_until());
        let tended = profile.tended_and_told();
        format!(
            "{uuid} {flags} {last_seen} {next_change} {tended:?} {keep} {history:?} {segments:?} {ids:?} {partners:?}"
        )
    }

    /// Any profile, made by the operations that make them.
    pub(in crate::profile) fn any_profile() -> impl Strategy<Value = Profile> {
        let number = prop_oneof![0..100u32, any::<u32>()];
        let text = proptest::collection::vec(any::<u8>(), 1..20);
        let traits = proptest::collection::vec((number.clone(), any::<u16>(), number.clone(), 0..5u8), 0..30);
        let segments = proptest::collection::btree_set(number.clone(), 0..20);
        let ids = proptest::collection::vec((number.clone(), 0..3u8, text.clone()), 0..10);
        let texts = proptest::collection::vec(text, 0..4);
        let partners = proptest::collection::vec((number.clone(), 0..3u32, any::<u32>(), number.clone(), texts), 0..5);
        let head = (0..1u64 << 63, any::<u64>(), any::<u8>(), any::<u32>(), any::<u32>());
        (head, traits, segments, ids, partners).prop_map(|(head, traits, segments, ids, partners)| {
            let mut profile = Profile::new();
            profile.clear(Uuid::from_bits(head.0, head.1));
            (profile.flags, profile.last_seen, profile.next_change) = (head.2, head.3, head.4);
            for (id, day, minute, minutes_kept) in traits {
                let info = TraitInfo { account: AccountIndex(0), ttl_days: day % 3, window_days: 0, minutes_kept };
                for _ in 0..=day % 4 {
                    profile.realise(&[TraitId(id)], |_| info, day, minute);
                }
            }
            let segments: Vec<SegmentId> = segments.into_iter().map(SegmentId).collect();
            profile.set_segments_of_account(|_| true, &segments, &mut Vec::new(), &mut Vec::new());
            for (source, auth, text) in ids {
                profile.put_id(DataSourceId(source), AuthState::from_number(auth).unwrap(), &text);
                profile.mark_authenticated(DataSourceId(source), &text, |other| other.0 % 2 == source % 2);
            }
            for (partner, outcome, asked_s, fresh_s, texts) in partners {
                let outcome = PartnerOutcome::from_number(outcome).unwrap();
                let texts = texts.iter().map(|text| &text[..]);
                profile.set_partner(PartnerId(partner), outcome, asked_s, asked_s.wrapping_add(fresh_s), texts);
            }
            profile.tended = Tended { epoch: head.3, day: head.4 as Day, placed: AccountIndex(head.2.into()) };
            if head.2.is_multiple_of(2) {
                profile.set_placed(Some((AccountIndex(head.2.into()), head.3)));
            }
            profile
        })
    }

    fn encoded(profile: &Profile) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(profile, &mut bytes);
        bytes
    }

    #[test]
    fn a_profile_full_to_every_limit_fits_a_record() {
        let mut profile = Profile::new();
        profile.clear(Uuid::from_bits(u64::MAX, u64::MAX));
        let info = |minutes_kept| TraitInfo { account: AccountIndex(0), ttl_days: 0, window_days: 0, minutes_kept };
        for i in 0..PROFILE_ENTRIES_MAX as u32 {
            let with_minutes = i < (PROFILE_MINUTES_MAX / MINUTES_PER_TRAIT_MAX) as u32;
            let kept = if with_minutes { MINUTES_PER_TRAIT_MAX as u32 } else { 0 };
            for minute in 0..kept.max(2) {
                profile.realise(&[TraitId(u32::MAX - i * 1_000_000)], |_| info(kept as u8), 1, minute);
            }
        }
        let segments: Vec<SegmentId> = (0..PROFILE_SEGMENTS_MAX as u32).map(|i| SegmentId(i * 2_000_000)).collect();
        profile.set_segments_of_account(|_| true, &segments, &mut Vec::new(), &mut Vec::new());
        for i in 0..PROFILE_IDS_MAX as u32 {
            profile.put_id(DataSourceId(u32::MAX - i), AuthState::LoggedOut, &[b'x'; DECLARED_ID_BYTES_MAX]);
        }
        for i in 0..PROFILE_PARTNERS_MAX as u32 {
            let texts = [&[b'x'; 250][..]];
            profile.set_partner(PartnerId(u32::MAX - i * 60_000_000), PartnerOutcome::Segments, 1 << 31, 0, texts);
        }
        let bytes = encoded(&profile);
        assert!(bytes.len() <= RECORD_BYTES_MAX && bytes.len() > RECORD_BYTES_MAX / 2, "{}", bytes.len());
        let mut back = Profile::new();
        decode(&bytes, &mut back).unwrap();
        assert_eq!(facts(&back), facts(&profile));
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        let mut profile = Profile::new();
        assert!(decode(&[], &mut profile).is_none());
        let mut bytes = encoded(&Profile::new());
        assert_eq!(bytes.len(), HEADER_BYTES);
        bytes[HEADER_BYTES - 1] = HAS_SEGMENTS;
        for (body, good) in [
            (&[2, 5, 1][..], true),
            (&[2, 5, 0], false),
            (&[2, 5], false),
            (&[2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], false),
            (&[1, 0xff, 0xff, 0xff, 0xff, 0x1f], false),
            (&[0xff, 0xff, 3], false),
        ] {
            assert_eq!(decode(&[&bytes, body].concat(), &mut profile).is_some(), good, "{body:?}");
        }
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn a_record_brings_everything_back(
            profile in any_profile(),
            tail in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let bytes = encoded(&profile);
            let mut back = Profile::new();
            decode(&[&bytes[..], &tail].concat(), &mut back).unwrap();
            prop_assert_eq!(facts(&back), facts(&profile));
            prop_assert_eq!(encoded(&back), bytes.clone());
            prop_assert!(decode(&bytes[..bytes.len() - 1], &mut back).is_none());
        }

        #[test]
        fn damaged_records_never_panic(
            profile in any_profile(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = encoded(&profile);
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let mut back = Profile::new();
            if decode(&bytes, &mut back).is_some() {
                let again = encoded(&back);
                prop_assert!(again.len() <= RECORD_BYTES_MAX);
                let mut third = Profile::new();
                decode(&again, &mut third).unwrap();
                prop_assert_eq!(facts(&third), facts(&back));
            }
        }

        #[test]
        fn numbers_of_every_size_come_back(number in any::<u32>(), shift in 0..32u32) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            put_varint(&mut bytes, zigzag(number));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Some(number));
            prop_assert_eq!(reader.varint().map(unzigzag), Some(number));
        }
    }
}
