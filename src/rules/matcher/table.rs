//! Fixed hash tables, filled when rules are compiled and only probed afterwards.
//!
//! Keys come from the config, which is trusted, so the hash needs speed and spread, not secrecy: a peer chooses only
//! what is probed and can make a probe no longer than the longest run of taken slots.

use std::hint::select_unpredictable;

use crate::find::{as_word, short_word};
use crate::memory::prefetch;
use crate::rules::scalar::{Decimal, Scalar};

/// Numbers entries by what they are; the entries themselves are the caller's.
#[derive(Debug)]
struct ProbeTable {
    /// A probe begins in one of the first buckets. The others take what the last of these have no room for, and the
    /// very last is not full: no probe goes beyond it.
    buckets: Vec<Bucket>,
    first_buckets: u32,
}

/// A cache line: most probes read one and no other.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket([Slot; BUCKET_SLOTS]);

/// Half of them are taken, on average.
const BUCKET_SLOTS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Slot {
    word: u64,
    shape: u32,
    entry: u32,
}

const EMPTY: Slot = Slot { word: Identity::NONE.word, shape: Identity::NONE.shape, entry: u32::MAX };

const _: () = assert!(size_of::<Bucket>() == 64);

impl Slot {
    #[inline(always)]
    fn is_of(&self, identity: Identity, is_entry: &mut impl FnMut(u32) -> bool) -> bool {
        self.word == identity.word && self.shape == identity.shape && (identity.is_exact() || is_entry(self.entry))
    }

    fn is_empty(self) -> bool {
        self.shape == EMPTY.shape
    }
}

impl Bucket {
    const EMPTY: Bucket = Bucket([EMPTY; BUCKET_SLOTS]);

    /// Slots are taken from the first on.
    #[inline(always)]
    fn is_full(&self) -> bool {
        !self.0[BUCKET_SLOTS - 1].is_empty()
    }
}

/// What an entry is known by: a short text is itself, anything else is known by a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The text, or the hash.
    word: u64,
    /// The key's number and a short text's length, or what else it is.
    shape: u32,
}

impl Identity {
    const LONG_TEXT: u32 = 14;
    const NUMBER: u32 = 15;
    const SHAPE_BITS: u32 = 4;

    #[inline(always)]
    fn text(key: u32, text: &[u8]) -> Identity {
        match as_word(text) {
            Some(word) => Identity::short_text(key, word, text.len()),
            None => Identity { word: hash_bytes(0, text), shape: key << Identity::SHAPE_BITS | Identity::LONG_TEXT },
        }
    }

    /// Of a text of at most eight bytes, as a word.
    #[inline(always)]
    pub(super) fn short_text(key: u32, word: u64, bytes: usize) -> Identity {
        Identity { word, shape: key << Identity::SHAPE_BITS | bytes as u32 }
    }

    #[inline(always)]
    pub(crate) fn scalar(key: u32, value: Scalar<'_>) -> Identity {
        match value {
            Scalar::Text(text) => Identity::text(key, text),
            Scalar::Number(number) => {
                let (negative, integer, fraction) = number.fields();
                let word = hash_bytes(hash_bytes(negative.into(), integer), fraction);
                Identity { word, shape: key << Identity::SHAPE_BITS | Identity::NUMBER }
            }
        }
    }

    /// As three words, and back.
    pub(super) fn words(self) -> [u32; 3] {
        [self.word as u32, (self.word >> 32) as u32, self.shape]
    }

    #[inline(always)]
    pub(super) fn from_words([low, high, shape]: [u32; 3]) -> Identity {
        Identity { word: u64::from(low) | u64::from(high) << 32, shape }
    }

    /// Nothing has this one: keys are fewer.
    pub(super) const NONE: Identity = Identity { word: 0, shape: u32::MAX };

    /// Whether nothing else has this identity.
    #[inline(always)]
    pub(super) fn is_exact(self) -> bool {
        self.shape & ((1 << Identity::SHAPE_BITS) - 1) < Identity::LONG_TEXT
    }

    #[inline(always)]
    pub(super) fn hash(self) -> u64 {
        fold(self.word ^ FIRST, u64::from(self.shape) ^ SECOND)
    }
}

/// An [`Identity`] and the place at which its probe begins, which is on its way from memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sought {
    identity: Identity,
    place: u32,
}

impl ProbeTable {
    fn new(entries: impl ExactSizeIterator<Item = (Identity, u32)>) -> ProbeTable {
        let first_buckets = (2 * entries.len()).div_ceil(BUCKET_SLOTS).max(1);
        let first_buckets = u32::try_from(first_buckets).expect("entries are numbered in 32 bits");
        let buckets = vec![Bucket::EMPTY; first_buckets as usize + 1];
        let mut table = ProbeTable { buckets, first_buckets };
        entries.for_each(|(identity, entry)| table.add(identity, entry));
        table.buckets.shrink_to_fit();
        table
    }

    fn add(&mut self, identity: Identity, entry: u32) {
        let mut place = self.seek(identity).place as usize;
        while self.buckets[place].is_full() {
            place += 1;
        }
        let free = self.buckets[place].0.iter_mut().find(|slot| slot.is_empty()).expect("the bucket is not full");
        *free = Slot { word: identity.word, shape: identity.shape, entry };
        if self.buckets.last().is_some_and(Bucket::is_full) {
            self.buckets.push(Bucket::EMPTY);
        }
    }

    #[inline(always)]
    fn seek(&self, identity: Identity) -> Sought {
        // The hash's upper half, scaled to the buckets there are.
        let place = ((identity.hash() >> 32) * u64::from(self.first_buckets)) >> 32;
        Sought { identity, place: place as u32 }
    }

    /// Has the bucket read in which the probe begins.
    #[inline(always)]
    fn prefetch(&self, sought: Sought) {
        prefetch(&self.buckets[sought.place as usize]);
    }

    /// `is_entry` is asked where an identity does not decide.
    #[inline(always)]
    fn find(&self, sought: Sought, mut is_entry: impl FnMut(u32) -> bool) -> Option<u32> {
        let bucket = &self.buckets[sought.place as usize];
        // Which slot it is can't be foretold, so all are looked at without a branch.
        let at = (0..BUCKET_SLOTS)
            .fold(BUCKET_SLOTS, |at, slot| select_unpredictable(bucket.0[slot].word == sought.identity.word, slot, at));
        match bucket.0.get(at) {
            None if !bucket.is_full() => None,
            Some(slot) if slot.is_of(sought.identity, &mut is_entry) => Some(slot.entry),
            _ => self.find_among_all(sought, is_entry),
        }
    }

    /// As [`ProbeTable::find`], one slot after the other.
    #[cold]
    fn find_among_all(&self, sought: Sought, mut is_entry: impl FnMut(u32) -> bool) -> Option<u32> {
        let slots = self.buckets[sought.place as usize..].iter().flat_map(|bucket| &bucket.0);
        slots
            .take_while(|slot| !slot.is_empty())
            .find(|slot| slot.is_of(sought.identity, &mut is_entry))
            .map(|slot| slot.entry)
    }
}

/// Keys, numbered in the order given.
#[derive(Debug)]
pub(crate) struct KeyTable {
    table: ProbeTable,
    keys: Vec<Box<[u8]>>,
}

/// A key that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) number: u32,
    /// Whether only equalities are asked of it, as of most: there is no need to look up what else.
    pub(crate) is_plain: bool,
}

impl KeyTable {
    pub(crate) fn new(keys: Vec<Box<[u8]>>, is_plain: impl Fn(usize) -> bool) -> KeyTable {
        assert!(keys.len() < 1 << (u32::BITS - Identity::SHAPE_BITS), "a key's number fits beside a value's length");
        let plain = |number: usize| u32::from(is_plain(number));
        let entries = keys.iter().enumerate();
        let entries = entries.map(|(number, key)| (Identity::text(0, key), (number as u32) << 1 | plain(number)));
        KeyTable { table: ProbeTable::new(entries), keys }
    }

    #[inline(always)]
    pub(super) fn seek(&self, key: &[u8]) -> Sought {
        let sought = self.table.seek(Identity::text(0, key));
        self.table.prefetch(sought);
        sought
    }

    #[inline(always)]
    pub(super) fn find(&self, key: &[u8], sought: Sought) -> Option<Key> {
        let is_key = |entry: u32| *self.keys[entry as usize >> 1] == *key;
        let entry = self.table.find(sought, is_key)?;
        Some(Key { number: entry >> 1, is_plain: entry & 1 == 1 })
    }
}

/// Pairs of a key's number and a value, numbered in the order given.
#[derive(Debug)]
pub(crate) struct ScalarTable {
    table: ProbeTable,
    scalars: Scalars,
}

impl ScalarTable {
    pub(crate) fn new(pairs: &[(u32, Scalar<'_>)]) -> ScalarTable {
        let entries = pairs.iter().enumerate().map(|(entry, pair)| (Identity::scalar(pair.0, pair.1), entry as u32));
        ScalarTable { table: ProbeTable::new(entries), scalars: Scalars::new(pairs.iter().map(|pair| pair.1)) }
    }

    pub(crate) fn find(&self, key: u32, value: Scalar<'_>) -> Option<u32> {
        let sought = self.table.seek(Identity::scalar(key, value));
        self.table.find(sought, |entry| self.scalars.load(entry as usize) == value)
    }
}

/// Scalars, numbered in the order given.
#[derive(Debug)]
pub(crate) struct Scalars {
    entries: Vec<StoredScalar>,
    bytes: Vec<u8>,
}

impl Scalars {
    pub(crate) fn new<'a>(scalars: impl Iterator<Item = Scalar<'a>>) -> Scalars {
        let mut bytes = Vec::new();
        Scalars { entries: scalars.map(|scalar| StoredScalar::new(scalar, &mut bytes)).collect(), bytes }
    }

    pub(crate) fn load(&self, number: usize) -> Scalar<'_> {
        self.entries[number].load(&self.bytes)
    }
}

/// A [`Scalar`] whose bytes stand in a shared buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredScalar {
    kind: Kind,
    start: u32,
    /// A text's length, or that of a number's digits before the point.
    first_len: u32,
    /// The length of a number's digits behind the point.
    second_len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Positive,
    Negative,
}

impl StoredScalar {
    pub(crate) fn new(value: Scalar<'_>, bytes: &mut Vec<u8>) -> StoredScalar {
        let start = u32::try_from(bytes.len()).expect("all rule texts together are below 4 GiB");
        let (kind, first, second) = match value {
            Scalar::Text(text) => (Kind::Text, text, &[][..]),
            Scalar::Number(number) => match number.fields() {
                (false, integer, fraction) => (Kind::Positive, integer, fraction),
                (true, integer, fraction) => (Kind::Negative, integer, fraction),
            },
        };
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(second);
        StoredScalar { kind, start, first_len: first.len() as u32, second_len: second.len() as u32 }
    }

    pub(crate) fn load(self, bytes: &[u8]) -> Scalar<'_> {
        let middle = (self.start + self.first_len) as usize;
        let first = &bytes[self.start as usize..middle];
        let second = &bytes[middle..middle + self.second_len as usize];
        match self.kind {
            Kind::Text => Scalar::Text(first),
            Kind::Positive => Scalar::Number(Decimal::from_fields(false, first, second)),
            Kind::Negative => Scalar::Number(Decimal::from_fields(true, first, second)),
        }
    }
}

const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

/// Eight bytes at a time, each folded in by a 64 x 64 -> 128 bit multiplication, as wyhash does.
#[inline(always)]
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = fold(seed ^ FIRST, SECOND ^ bytes.len() as u64);
    let mut rest = bytes;
    while rest.len() > 8
        && let Some((word, after)) = rest.split_first_chunk::<8>()
    {
        state = fold(state ^ u64::from_le_bytes(*word), FIRST);
        rest = after;
    }
    fold(state ^ short_word(rest), SECOND)
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        let texts: Vec<String> = (0..2_000).map(|n| format!("{}{n}", "v".repeat(n % 20))).collect();
        let pairs = texts.iter().enumerate().map(|(n, text)| (n as u32 % 7, Scalar::of(text.as_bytes())));
        let pairs: Vec<_> = pairs.collect();
        let table = ScalarTable::new(&pairs);
        for (entry, (key, value)) in pairs.into_iter().enumerate() {
            assert_eq!(table.find(key, value), Some(entry as u32));
            assert_eq!(table.find(key + 7, value), None);
        }
        assert_eq!(table.find(0, Scalar::of(b"00000.0")), Some(0), "numbers are found by their value");
        assert_eq!(table.find(0, Scalar::Text(b"0")), None, "a text that looks like a number is another entry");
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let keys = KeyTable::new(Vec::new(), |_| true);
        assert_eq!(keys.find(b"a", keys.seek(b"a")), None);
        assert_eq!(ScalarTable::new(&[]).find(0, Scalar::Text(b"")), None);
    }

    #[test]
    fn probes_stay_short() {
        let keys: Vec<Box<[u8]>> = (0..50_000).map(|n: u32| format!("key-{n}").into_bytes().into()).collect();
        let table = KeyTable::new(keys, |_| true);
        let longest = table.table.buckets.split(|bucket| !bucket.is_full()).map(<[_]>::len).max();
        assert!(longest.is_some_and(|run| run < 20), "{longest:?}");
    }
}
