//! Fixed hash tables, filled when rules are compiled and only probed afterwards.
//!
//! Keys come from the config, which is trusted, so the hash needs speed and spread, not secrecy: a peer chooses only
//! what is probed and can make a probe no longer than the longest run of taken slots.

use crate::find::short_word;
use crate::memory::{FETCHED_TOGETHER, fetch};
use crate::rules::scalar::{Decimal, Scalar};

/// Numbers entries by what they are; the entries themselves are the caller's.
#[derive(Debug)]
struct ProbeTable {
    /// A power of two, at most half of it taken.
    slots: Box<[Slot]>,
}

/// A quarter of a cache line: most probes read this and nothing else.
#[derive(Clone, Copy, Debug)]
struct Slot {
    identity: Identity,
    entry: u32,
}

const EMPTY: u32 = u32::MAX;

/// What an entry is known by: a short text is itself, anything else is known by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The text, or the hash.
    word: u64,
    /// The key's number and a short text's length, or what else it is.
    shape: u32,
}

impl Identity {
    const SHORT_BYTES_MAX: usize = 8;
    const LONG_TEXT: u32 = 14;
    const NUMBER: u32 = 15;
    const SHAPE_BITS: u32 = 4;

    #[inline(always)]
    fn text(key: u32, text: &[u8]) -> Identity {
        if text.len() <= Identity::SHORT_BYTES_MAX {
            Identity { word: short_word(text), shape: key << Identity::SHAPE_BITS | text.len() as u32 }
        } else {
            Identity { word: hash_bytes(0, text), shape: key << Identity::SHAPE_BITS | Identity::LONG_TEXT }
        }
    }

    #[inline(always)]
    pub(super) fn scalar(key: u32, value: Scalar<'_>) -> Identity {
        match value {
            Scalar::Text(text) => Identity::text(key, text),
            Scalar::Number(number) => {
                let (negative, integer, fraction) = number.fields();
                let word = hash_bytes(hash_bytes(negative.into(), integer), fraction);
                Identity { word, shape: key << Identity::SHAPE_BITS | Identity::NUMBER }
            }
        }
    }

    /// Whether nothing else has this identity.
    #[inline(always)]
    pub(super) fn is_exact(self) -> bool {
        self.shape & ((1 << Identity::SHAPE_BITS) - 1) < Identity::LONG_TEXT
    }

    #[inline(always)]
    fn hash(self) -> usize {
        fold(self.word ^ FIRST, u64::from(self.shape) ^ SECOND) as usize
    }
}

impl ProbeTable {
    /// The table in which entry i is `identities[i]`.
    fn new(identities: impl ExactSizeIterator<Item = Identity>) -> ProbeTable {
        let empty = Slot { identity: Identity { word: 0, shape: 0 }, entry: EMPTY };
        let mut slots = vec![empty; (2 * identities.len()).next_power_of_two().max(2)].into_boxed_slice();
        let mask = slots.len() - 1;
        for (entry, identity) in identities.enumerate() {
            let mut place = identity.hash() & mask;
            while slots[place].entry != EMPTY {
                place = (place + 1) & mask;
            }
            slots[place] = Slot { identity, entry: entry as u32 };
        }
        ProbeTable { slots }
    }

    /// The entry of the first slot in which such an entry can stand, right or wrong.
    #[inline(always)]
    fn first(&self, identity: Identity) -> u32 {
        self.slots[identity.hash() & (self.slots.len() - 1)].entry
    }

    /// `is_entry` is asked where a hash does not decide.
    #[inline(always)]
    fn find(&self, identity: Identity, mut is_entry: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut place = identity.hash() & mask;
        loop {
            let slot = self.slots[place];
            if slot.entry == EMPTY {
                return None;
            }
            if slot.identity == identity && (identity.is_exact() || is_entry(slot.entry)) {
                return Some(slot.entry);
            }
            place = (place + 1) & mask;
        }
    }
}

/// Keys, numbered in the order given.
#[derive(Debug)]
pub(crate) struct KeyTable {
    table: ProbeTable,
    keys: Vec<Box<[u8]>>,
}

impl KeyTable {
    pub(crate) fn new(keys: Vec<Box<[u8]>>) -> KeyTable {
        assert!(keys.len() < 1 << (u32::BITS - Identity::SHAPE_BITS), "a key's number fits beside a value's length");
        KeyTable { table: ProbeTable::new(keys.iter().map(|key| Identity::text(0, key))), keys }
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        let is_key = |entry: u32| *self.keys[entry as usize] == *key;
        self.table.find(Identity::text(0, key), is_key).map(|entry| entry as usize)
    }
}

/// Pairs of a key's number and a value, numbered in the order given.
#[derive(Debug)]
pub(crate) struct ScalarTable {
    table: ProbeTable,
    entries: Vec<StoredScalar>,
    bytes: Vec<u8>,
}

impl ScalarTable {
    pub(crate) fn new<'a>(pairs: impl Iterator<Item = (u32, Scalar<'a>)>) -> ScalarTable {
        let mut bytes = Vec::new();
        let (identities, entries): (Vec<_>, Vec<_>) =
            pairs.map(|(key, value)| (Identity::scalar(key, value), StoredScalar::new(value, &mut bytes))).unzip();
        ScalarTable { table: ProbeTable::new(identities.into_iter()), entries, bytes }
    }

    pub(crate) fn find(&self, key: u32, value: Scalar<'_>) -> Option<u32> {
        self.find_identity(Identity::scalar(key, value), value)
    }

    #[inline(always)]
    pub(super) fn find_identity(&self, identity: Identity, value: Scalar<'_>) -> Option<u32> {
        self.table.find(identity, |entry| self.entries[entry as usize].load(&self.bytes) == value)
    }

    /// Appends the entries of `identities`, which are exact, to `found`.
    pub(super) fn find_all(&self, identities: &[Identity], found: &mut Vec<u32>) {
        for together in identities.chunks(FETCHED_TOGETHER) {
            fetch(together.iter().map(|&identity| self.table.first(identity)));
            found.extend(together.iter().filter_map(|&identity| self.table.find(identity, |_| false)));
        }
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
        let table = ScalarTable::new(pairs.clone());
        for (entry, (key, value)) in pairs.enumerate() {
            assert_eq!(table.find(key, value), Some(entry as u32));
            assert_eq!(table.find(key + 7, value), None);
        }
        assert_eq!(table.find(0, Scalar::of(b"00000.0")), Some(0), "numbers are found by their value");
        assert_eq!(table.find(0, Scalar::Text(b"0")), None, "a text that looks like a number is another entry");
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert_eq!(KeyTable::new(Vec::new()).find(b"a"), None);
        assert_eq!(ScalarTable::new(std::iter::empty()).find(0, Scalar::Text(b"")), None);
    }

    #[test]
    fn probes_stay_short() {
        let keys: Vec<Box<[u8]>> = (0..50_000).map(|n: u32| format!("key-{n}").into_bytes().into()).collect();
        let table = KeyTable::new(keys);
        let slots = &table.table.slots;
        let longest = slots.split(|slot| slot.entry == EMPTY).map(<[_]>::len).max();
        assert!(longest.is_some_and(|run| run < 200), "{longest:?}");
    }
}
