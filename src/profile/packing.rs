//! A visitor's trait entries in little-endian words of 32 bits.
//!
//! Goal: a visitor who comes all the time holds hundreds of entries, which are read and written at each of her calls,
//! so an entry should cost a few instructions, and four bytes. Method: nearly every entry is one word, told apart by
//! its low seven bits, so that reading it is a load and three shifts, without a loop over bytes. The others are longer:
//!
//! | low 7 bits | bytes | what, from low bits to high ones                                                     |
//! |------------|-------|--------------------------------------------------------------------------------------|
//! | 0-124      | 4     | these are the count; 7 bits days back from the last visit, 18 bits distance in trait |
//! | 125        | 5     | 7 bits days back, 24 bits distance, 2 bits count less one                            |
//! | 126        | 8     | 25 bits distance; count and day, 16 bits each                                        |
//! | 127        | 12    | nothing; distance; count and day                                                     |
//!
//! The distance in trait is that from the entry before, 0 for the same trait's next day.
//!
//! Words are made and read many at a time by loops without branches, which compilers turn into instructions that treat
//! four of them at once. Whether all of them could be treated so, one look at the end tells; what was done is done
//! anew, one by one, when they could not.

use super::history::TraitEntry;
use crate::clock::Day;
use crate::ids::TraitId;

/// The most bytes that an entry takes.
pub(super) const ENTRY_BYTES_MAX: usize = 3 * WORD_BYTES;

/// An entry that is one word.
pub(super) type Word = [u8; WORD_BYTES];

const WORD_BYTES: usize = size_of::<u32>();
const COUNT_BITS: u32 = 7;
const DAYS_BITS: u32 = 7;
const DISTANCE_BITS: u32 = u32::BITS - COUNT_BITS - DAYS_BITS;
const MARKS: u32 = (1 << COUNT_BITS) - 1;
const FIVE_BYTES: u32 = 125;
const TWO_WORDS: u32 = 126;
const THREE_WORDS: u32 = 127;
/// Brings a mark, and a count that stands in its place, beyond the bits of marks when it isn't that of one word.
const TO_BEYOND: u32 = (1 << COUNT_BITS) - FIVE_BYTES;
/// Of the fifth byte.
const HIGH_BITS: u32 = 6;

/// Entries that are written at once.
const CHUNK: usize = 16;
/// Entries that are read at once: the first by itself, as what comes before it lies elsewhere, and four times sixteen.
const RUN: usize = 1 + 64;
/// Fewer are read sooner one by one.
const RUN_MIN: usize = 16;

/// An entry in one word: its trait, its day in the upper half of a word and its count in the lower one. The second
/// number is beyond [`MARKS`] if the entry isn't that small.
#[inline(always)]
fn narrow(trait_id: u32, day_and_count: u32, trait_before: u32, today: Day) -> (u32, u32) {
    let distance = trait_id.wrapping_sub(trait_before);
    let days_back = u32::from(today).wrapping_sub(day_and_count >> 16) & u32::from(Day::MAX);
    let count = day_and_count & u32::from(u16::MAX);
    let beyond = distance >> (DISTANCE_BITS - COUNT_BITS) | days_back | (count + TO_BEYOND);
    (distance << (DAYS_BITS + COUNT_BITS) | days_back << COUNT_BITS | count, beyond)
}

/// Appends the entries, which are sorted. `today` is the day of the last visit.
pub(super) fn pack(entries: &[TraitEntry], today: Day, bytes: &mut Vec<u8>) {
    let (chunks, rest) = entries.as_chunks();
    let mut trait_before = 0;
    for chunk in chunks {
        match pack_chunk(chunk, trait_before, today) {
            Some(words) => bytes.extend_from_slice(words.as_flattened()),
            None => pack_singly(chunk, trait_before, today, bytes),
        }
        trait_before = chunk[CHUNK - 1].trait_id.0;
    }
    pack_singly(rest, trait_before, today, bytes);
}

/// `None`: not each of them is one word.
#[inline(always)]
fn pack_chunk(chunk: &[TraitEntry; CHUNK], trait_before: u32, today: Day) -> Option<[Word; CHUNK]> {
    // Apart from one another, so that several fit one register.
    let (mut traits, mut days) = ([trait_before; 1 + CHUNK], [0; CHUNK]);
    for (place, entry) in chunk.iter().enumerate() {
        let key = entry.key();
        (traits[1 + place], days[place]) = ((key >> 32) as u32, key as u32);
    }
    let (mut words, mut beyond) = ([[0; WORD_BYTES]; CHUNK], 0);
    for place in 0..CHUNK {
        let (word, over) = narrow(traits[1 + place], days[place], traits[place], today);
        words[place] = word.to_le_bytes();
        beyond |= over;
    }
    (beyond <= MARKS).then_some(words)
}

fn pack_singly(entries: &[TraitEntry], mut trait_before: u32, today: Day, bytes: &mut Vec<u8>) {
    // Words are gathered before they are appended: fewer questions whether there is room.
    let mut words = [[0; WORD_BYTES]; CHUNK];
    let mut rest = entries;
    while !rest.is_empty() {
        let mut gathered = 0;
        for (entry, place) in rest.iter().zip(&mut words) {
            let key = entry.key();
            let (word, beyond) = narrow((key >> 32) as u32, key as u32, trait_before, today);
            if beyond > MARKS {
                break;
            }
            *place = word.to_le_bytes();
            trait_before = entry.trait_id.0;
            gathered += 1;
        }
        bytes.extend_from_slice(words[..gathered].as_flattened());
        rest = &rest[gathered..];
        if gathered < CHUNK
            && let Some((entry, after)) = rest.split_first()
        {
            pack_wide(*entry, trait_before, today, bytes);
            trait_before = entry.trait_id.0;
            rest = after;
        }
    }
}

/// An entry of more than a word.
fn pack_wide(entry: TraitEntry, trait_before: u32, today: Day, bytes: &mut Vec<u8>) {
    let mut put = |word: u32| bytes.extend_from_slice(&word.to_le_bytes());
    let distance = entry.trait_id.0 - trait_before;
    let days_back = u32::from(today.wrapping_sub(entry.day));
    let (count, count_less_one) = (u32::from(entry.count), u32::from(entry.count).wrapping_sub(1));
    if distance < 1 << (DISTANCE_BITS + HIGH_BITS)
        && days_back < 1 << DAYS_BITS
        && count_less_one < 1 << (u8::BITS - HIGH_BITS)
    {
        put(distance << (DAYS_BITS + COUNT_BITS) | days_back << COUNT_BITS | FIVE_BYTES);
        bytes.push((distance >> DISTANCE_BITS | count_less_one << HIGH_BITS) as u8);
    } else {
        if distance < 1 << (u32::BITS - COUNT_BITS) {
            put(distance << COUNT_BITS | TWO_WORDS);
        } else {
            put(THREE_WORDS);
            put(distance);
        }
        put(u32::from(entry.day) << 16 | count);
    }
}

/// The entry as one word, if it is that small.
pub(super) fn word(entry: TraitEntry, trait_before: u32, today: Day) -> Option<Word> {
    let key = entry.key();
    let (word, beyond) = narrow((key >> 32) as u32, key as u32, trait_before, today);
    (beyond <= MARKS).then_some(word.to_le_bytes())
}

/// Adds one to the count of an entry that is one word, unless it is then no longer one.
pub(super) fn count(word: &mut Word) -> bool {
    let counted = u32::from_le_bytes(*word) + 1;
    let is_narrow = counted & MARKS < FIVE_BYTES;
    if is_narrow {
        *word = counted.to_le_bytes();
    }
    is_narrow
}

/// Reads `count` entries into `entries` and returns the bytes after them. `None` when the bytes end early or what they
/// say is not sorted.
pub(super) fn unpack<'a>(
    mut bytes: &'a [u8],
    count: usize,
    today: Day,
    entries: &mut Vec<TraitEntry>,
) -> Option<&'a [u8]> {
    // What is there already is written over.
    entries.resize(count, TraitEntry::default());
    if count < RUN_MIN {
        return unpack_singly(bytes, None, today, entries);
    }
    let mut before = None;
    for run in entries.chunks_mut(RUN) {
        let words = bytes.as_chunks().0.get(..run.len()).filter(|words| words.len() >= RUN_MIN);
        bytes = match words.map(|words| unpack_run(words, before, today, run)) {
            Some(Run::Read) => &bytes[run.len() * WORD_BYTES..],
            Some(Run::Unsorted) => return None,
            Some(Run::Wide) | None => unpack_singly(bytes, before, today, run)?,
        };
        before = run.last().copied();
    }
    Some(bytes)
}

enum Run {
    Read,
    Unsorted,
    /// Not each of them is one word.
    Wide,
}

/// Reads one entry from each of the words, which are at least one and at most [`RUN`].
#[inline(always)]
fn unpack_run(words: &[Word], before: Option<TraitEntry>, today: Day, run: &mut [TraitEntry]) -> Run {
    let today = u32::from(today);
    let day_of = |word: u32| today.wrapping_sub(word >> COUNT_BITS & ((1 << DAYS_BITS) - 1)) & u32::from(Day::MAX);
    let distance_of = |word: u32| word >> (DAYS_BITS + COUNT_BITS);
    // The highest bit is set when a trait's day isn't later than its day before.
    let falls =
        |day_before: u32, word: u32| day_of(word).wrapping_sub(day_before + 1) & distance_of(word).wrapping_sub(1);
    let mut days = [0; RUN];
    let first = u32::from_le_bytes(words[0]);
    let mut beyond = (first & MARKS) + TO_BEYOND;
    let mut fall = before.map_or(0, |before| falls(before.day.into(), first));
    days[0] = day_of(first) << 16 | first & MARKS;
    for ((day, word), word_before) in days[1..].iter_mut().zip(&words[1..]).zip(words) {
        let (word, word_before) = (u32::from_le_bytes(*word), u32::from_le_bytes(*word_before));
        *day = day_of(word) << 16 | word & MARKS;
        beyond |= (word & MARKS) + TO_BEYOND;
        fall |= falls(day_of(word_before), word);
    }
    if beyond > MARKS {
        return Run::Wide;
    }
    let start = before.map_or(0, |before| before.trait_id.0);
    let mut trait_id = start;
    for ((entry, word), day) in run.iter_mut().zip(words).zip(&days) {
        trait_id = trait_id.wrapping_add(distance_of(u32::from_le_bytes(*word)));
        *entry = TraitEntry { trait_id: TraitId(trait_id), day: (*day >> 16) as Day, count: *day as u16 };
    }
    // So few distances of one word don't come round to where they began.
    const _: () = assert!((RUN as u64) << DISTANCE_BITS < 1 << u32::BITS);
    if fall >> (u32::BITS - 1) == 0 && trait_id >= start { Run::Read } else { Run::Unsorted }
}

fn unpack_singly<'a>(
    mut bytes: &'a [u8],
    before: Option<TraitEntry>,
    today: Day,
    mut rest: &mut [TraitEntry],
) -> Option<&'a [u8]> {
    // Sums of distances fit 64 bits, so that one look at the last of them tells whether all of them fitted 32.
    let mut trait_id = before.map_or(0, |before| u64::from(before.trait_id.0));
    let mut day_before = before.map(|before| before.day);
    while !rest.is_empty() {
        let mut read = 0;
        for (entry, word) in rest.iter_mut().zip(bytes.as_chunks().0) {
            let word = u32::from_le_bytes(*word);
            let mark = word & MARKS;
            if mark >= FIVE_BYTES {
                break;
            }
            let distance = word >> (DAYS_BITS + COUNT_BITS);
            let day = today.wrapping_sub(days_back(word));
            if distance == 0 && day_before.is_some_and(|before| before >= day) {
                return None;
            }
            trait_id += u64::from(distance);
            day_before = Some(day);
            *entry = TraitEntry { trait_id: TraitId(trait_id as u32), day, count: mark as u16 };
            read += 1;
        }
        (rest, bytes) = (&mut rest[read..], &bytes[read * WORD_BYTES..]);
        let Some((entry, after)) = rest.split_first_mut() else { break };
        let (distance, day, count) = unpack_wide(&mut bytes, today)?;
        if distance == 0 && day_before.is_some_and(|before| before >= day) {
            return None;
        }
        trait_id += u64::from(distance);
        day_before = Some(day);
        *entry = TraitEntry { trait_id: TraitId(trait_id as u32), day, count };
        rest = after;
    }
    (trait_id <= u32::MAX.into()).then_some(bytes)
}

fn days_back(word: u32) -> Day {
    (word >> COUNT_BITS) as Day & ((1 << DAYS_BITS) - 1)
}

/// An entry of more than a word: distance in trait, day, count.
fn unpack_wide(bytes: &mut &[u8], today: Day) -> Option<(u32, Day, u16)> {
    let mut word = || {
        let (word, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(u32::from_le_bytes(*word))
    };
    let first = word()?;
    let distance = match first & MARKS {
        FIVE_BYTES => {
            let (&fifth, rest) = bytes.split_first()?;
            *bytes = rest;
            let high = u32::from(fifth) & ((1 << HIGH_BITS) - 1);
            let distance = first >> (DAYS_BITS + COUNT_BITS) | high << DISTANCE_BITS;
            return Some((distance, today.wrapping_sub(days_back(first)), u16::from(fifth >> HIGH_BITS) + 1));
        }
        TWO_WORDS => first >> COUNT_BITS,
        _ => word()?,
    };
    let last = word()?;
    Some((distance, (last >> 16) as Day, last as u16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;

    fn packed(entries: &[TraitEntry], today: Day) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(entries, today, &mut bytes);
        bytes
    }

    #[test]
    fn most_entries_take_a_word_and_none_more_than_three() {
        let entry = |trait_id, day, count| TraitEntry { trait_id: TraitId(trait_id), day, count };
        for (entry, expected_bytes) in [
            (entry(1, 100, 1), 4),
            (entry((1 << 18) - 1, 100, 124), 4),
            (entry(1, 100, 0), 4),
            (entry(1 << 18, 100, 1), 5),
            (entry((1 << 24) - 1, 99, 4), 5),
            (entry((1 << 24) - 1, 99, 5), 8),
            (entry(1 << 24, 99, 1), 8),
            (entry(1, 100, 125), 8),
            (entry(1, 102, 1), 8),
            (entry(1, 101, 1), 4),
            (entry((1 << 25) - 1, 0, u16::MAX), 8),
            (entry(1 << 25, 0, 1), 12),
            (entry(u32::MAX, u16::MAX, u16::MAX), 12),
        ] {
            let bytes = packed(&[entry], 101);
            assert_eq!(bytes.len(), expected_bytes, "{entry:?}");
            let mut back = Vec::new();
            assert_eq!(unpack(&bytes, 1, 101, &mut back), Some(&[][..]));
            assert_eq!(back, [entry]);
        }
    }

    #[test]
    fn what_is_not_sorted_or_not_whole_is_refused() {
        let mut entries = Vec::new();
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut refused = |list: &[u32], count| unpack(&words(list), count, 10, &mut entries).is_none();
        let (one, same_day, next_day) = (1 << 14 | 2 << 7 | 1, 2 << 7 | 1, 1 << 7 | 1);
        assert!(!refused(&[one, next_day], 2));
        assert!(refused(&[one, same_day], 2));
        assert!(refused(&[one], 2));
        assert!(refused(&[TWO_WORDS], 1));
        assert!(refused(&[FIVE_BYTES], 1));
        assert!(refused(&[THREE_WORDS, u32::MAX], 1));
        assert!(!refused(&[THREE_WORDS, u32::MAX, 1], 1));
        assert!(refused(&[THREE_WORDS, u32::MAX, 1, one], 2));
        assert!(refused(&[TWO_WORDS, 9 << 16 | 1, 2 << 7 | 1], 2), "two days of one trait that fall");
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn entries_treated_together_are_as_treated_singly(
            days in proptest::collection::btree_map(
                (prop_oneof![0..150u32, 0..1_200_000u32], 300..330u16),
                0..125u16,
                0..200,
            ),
            large in proptest::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 0..3),
            today in prop_oneof![6 => 329..428u16, 1 => 300..340u16, 1 => any::<u16>()],
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let entry = |((id, day), count)| TraitEntry { trait_id: TraitId(id), day, count };
            let mut entries: Vec<TraitEntry> = days.into_iter().map(entry).collect();
            let is_empty = entries.is_empty();
            for (place, count) in large.into_iter().filter(|_| !is_empty) {
                let place = place.index(entries.len());
                entries[place].count = count;
            }
            let (mut bytes, mut singly) = (packed(&entries, today), Vec::new());
            pack_singly(&entries, 0, today, &mut singly);
            prop_assert_eq!(&bytes, &singly);
            for (place, byte) in damage.into_iter().filter(|_| !is_empty) {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let mut together = Vec::new();
            let rest = unpack(&bytes, entries.len(), today, &mut together);
            let mut singly = vec![TraitEntry::default(); entries.len()];
            prop_assert_eq!(rest, unpack_singly(&bytes, None, today, &mut singly));
            prop_assert!(rest.is_none() || together == singly);
        }

        #[test]
        fn entries_come_back(
            days in proptest::collection::btree_map(
                (prop_oneof![0..50u32, 0..3_000_000u32, any::<u32>()], prop_oneof![300..420u16, any::<u16>()]),
                prop_oneof![1..6u16, 1..140u16, any::<u16>()],
                0..120,
            ),
            today in prop_oneof![380..420u16, any::<u16>()],
            tail in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let entries: Vec<TraitEntry> = days
                .into_iter()
                .map(|((id, day), count)| TraitEntry { trait_id: TraitId(id), day, count })
                .collect();
            let bytes = packed(&entries, today);
            prop_assert!(bytes.len() <= entries.len() * ENTRY_BYTES_MAX);
            let whole = [&bytes[..], &tail].concat();
            let mut back = vec![TraitEntry { trait_id: TraitId(9), day: 9, count: 9 }];
            prop_assert_eq!(unpack(&whole, entries.len(), today, &mut back), Some(&tail[..]));
            prop_assert_eq!(&back, &entries);
            if !bytes.is_empty() {
                prop_assert_eq!(unpack(&bytes[..bytes.len() - 1], entries.len(), today, &mut back), None);
            }
        }
    }
}
