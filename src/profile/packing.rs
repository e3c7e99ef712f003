//! A visitor's trait entries in little-endian words of 32 bits.
//!
//! Goal: a visitor who comes all the time holds hundreds of entries, which are read and written at each of her calls,
//! so an entry should cost a few instructions, and four bytes. Method: nearly every entry is one word, told apart by
//! its low seven bits, so that reading it is a load and three shifts, without a loop over bytes. The others are longer:
//!
//! | low 7 bits | bytes | what, from low bits to high ones                                                     |
//! |------------|-------|--------------------------------------------------------------------------------------|
//! | 1-125      | 4     | these are the count; 7 bits days back from the last visit, 18 bits distance in trait |
//! | 0          | 5     | 7 bits days back, 24 bits distance, 2 bits count less one                            |
//! | 126        | 8     | 25 bits distance; count and day, 16 bits each                                        |
//! | 127        | 12    | nothing; distance; count and day                                                     |
//!
//! The distance in trait is that from the entry before, 0 for the same trait's next day.

use super::history::TraitEntry;
use crate::clock::Day;
use crate::ids::TraitId;

/// The most bytes that an entry takes.
pub(super) const ENTRY_BYTES_MAX: usize = 3 * WORD_BYTES;

const WORD_BYTES: usize = size_of::<u32>();
const COUNT_BITS: u32 = 7;
const DAYS_BITS: u32 = 7;
const DISTANCE_BITS: u32 = u32::BITS - COUNT_BITS - DAYS_BITS;
const MARKS: u32 = (1 << COUNT_BITS) - 1;
const NARROW_COUNT_MAX: u32 = 125;
const FIVE_BYTES: u32 = 0;
const TWO_WORDS: u32 = 126;
const THREE_WORDS: u32 = 127;
/// Of the fifth byte.
const HIGH_BITS: u32 = 6;

/// The entry in one word, if it is that small.
fn narrow(entry: TraitEntry, trait_before: u32, today: Day) -> Option<u32> {
    let distance = entry.trait_id.0 - trait_before;
    let days_back = u32::from(today.wrapping_sub(entry.day));
    let count = u32::from(entry.count);
    let beyond = distance >> DISTANCE_BITS | days_back >> DAYS_BITS;
    (beyond == 0 && count.wrapping_sub(1) < NARROW_COUNT_MAX)
        .then_some(distance << (DAYS_BITS + COUNT_BITS) | days_back << COUNT_BITS | count)
}

/// Appends the entries, which are sorted. `today` is the day of the last visit.
pub(super) fn pack(entries: &[TraitEntry], today: Day, bytes: &mut Vec<u8>) {
    /// Words are gathered before they are appended: fewer questions whether there is room.
    const GATHERED: usize = 32;
    let mut words = [[0; WORD_BYTES]; GATHERED];
    let (mut rest, mut trait_before) = (entries, 0);
    while !rest.is_empty() {
        let mut gathered = 0;
        for (entry, place) in rest.iter().zip(&mut words) {
            let Some(word) = narrow(*entry, trait_before, today) else { break };
            *place = word.to_le_bytes();
            trait_before = entry.trait_id.0;
            gathered += 1;
        }
        bytes.extend_from_slice(words[..gathered].as_flattened());
        rest = &rest[gathered..];
        if gathered < GATHERED
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
    let mut rest = &mut entries[..];
    // Sums of distances fit 64 bits, so that one look at the last of them tells whether all of them fitted 32.
    let (mut trait_id, mut day_before) = (0u64, None);
    while !rest.is_empty() {
        let mut read = 0;
        for (entry, word) in rest.iter_mut().zip(bytes.as_chunks().0) {
            let word = u32::from_le_bytes(*word);
            let mark = word & MARKS;
            if mark.wrapping_sub(1) >= NARROW_COUNT_MAX {
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
            (entry((1 << 18) - 1, 100, 125), 4),
            (entry(1 << 18, 100, 1), 5),
            (entry((1 << 24) - 1, 99, 4), 5),
            (entry((1 << 24) - 1, 99, 5), 8),
            (entry(1 << 24, 99, 1), 8),
            (entry(1, 100, 126), 8),
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
