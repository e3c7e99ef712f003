//! Who opted out: devices by uuid, and declared ids.
//!
//! Every shard holds all of them, so that whoever reads a call knows at once, without asking another core. They are
//! few, and they are never evicted: a set of fixed size that refuses what it has no room for. Keys are 128 bits in
//! open addressing with linear probing; the keyed hash keeps callers, who may opt out any uuid, from making long runs.

use super::hash::{KeyedHash, TableHash};
use super::uuid::Uuid;

/// What one opt-out is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptOut {
    /// A device, for all accounts.
    Device(Uuid),
    /// An id of one data source: for the account that owns it, or for all where the data source is everybody's.
    Declared(KeyedHash),
}

/// The opt-outs that are in force.
#[derive(Debug)]
pub struct OptOuts {
    hash: TableHash,
    slots: Box<[u128]>,
    len: usize,
    max: usize,
}

/// No opt-out's key: neither a uuid's nor a declared id's has bit 63.
const VACANT: u128 = u128::MAX;

impl OptOut {
    /// Bit 127 tells the kinds apart. Halves of a uuid are below 2^63; a hash gives two of its bits up.
    fn key(self) -> u128 {
        match self {
            OptOut::Device(uuid) => u128::from(uuid.high) << 64 | u128::from(uuid.low),
            OptOut::Declared(hash) => (hash.bits() | 1 << 127) & !(1 << 63),
        }
    }
}

impl OptOuts {
    /// Room for `max`. All memory is taken and touched now.
    pub fn new(max: usize, hash: TableHash) -> OptOuts {
        OptOuts { hash, slots: vec![VACANT; slots(max)].into(), len: 0, max }
    }

    /// The memory that room for `max` takes.
    pub fn bytes(max: usize) -> usize {
        slots(max) * size_of::<u128>()
    }

    pub fn contains(&self, one: OptOut) -> bool {
        self.len > 0 && self.slots[self.place(one.key())] != VACANT
    }

    /// Returns whether it was new.
    ///
    /// # Panics
    /// When there is no room: whoever adds counts.
    pub fn insert(&mut self, one: OptOut) -> bool {
        let key = one.key();
        let place = self.place(key);
        if self.slots[place] == key {
            return false;
        }
        assert!(self.len < self.max, "opt-outs are counted before they are added");
        self.slots[place] = key;
        self.len += 1;
        true
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// How many more there is room for.
    pub fn room(&self) -> usize {
        self.max - self.len
    }

    /// Where the key is, or where it would go.
    fn place(&self, key: u128) -> usize {
        let hash = self.hash.uuid(Uuid { high: (key >> 64) as u64, low: key as u64 });
        let mut place = hash.bucket(self.slots.len() as u32) as usize;
        while self.slots[place] != VACANT && self.slots[place] != key {
            place = if place + 1 == self.slots.len() { 0 } else { place + 1 };
        }
        place
    }
}

/// One in five stays vacant, so that a search for what isn't there ends soon.
fn slots(max: usize) -> usize {
    max + max / 4 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Secret;

    fn set(max: usize) -> OptOuts {
        OptOuts::new(max, Secret::from_bytes([1; 32]).table_hash())
    }

    fn device(low: u64) -> OptOut {
        OptOut::Device(Uuid { high: 5, low })
    }

    fn declared(bits: u128) -> OptOut {
        OptOut::Declared(KeyedHash::from_bits(bits))
    }

    #[test]
    fn what_was_added_is_there_and_nothing_else() {
        let mut set = set(2_000);
        assert!(set.is_empty() && !set.contains(device(0)));
        for i in 0..1_000 {
            assert!(set.insert(device(i)));
            assert!(set.insert(declared(u128::from(i) << 70 | 9)));
        }
        assert_eq!((set.len(), set.room()), (2_000, 0));
        for i in 0..1_000 {
            assert!(set.contains(device(i)) && set.contains(declared(u128::from(i) << 70 | 9)));
            assert!(!set.contains(device(1_000 + i)) && !set.contains(declared(u128::from(i) << 70 | 8)));
            assert!(!set.insert(device(i)), "a second time it isn't new, and needs no room");
        }
    }

    #[test]
    fn a_device_and_an_id_of_the_same_bits_are_two() {
        let mut set = set(4);
        let uuid = Uuid { high: 1, low: 2 };
        set.insert(OptOut::Device(uuid));
        assert!(!set.contains(declared(1 << 64 | 2)));
        for edge in [OptOut::Device(Uuid::default()), declared(0), declared(u128::MAX)] {
            assert!(!set.contains(edge) && set.insert(edge) && set.contains(edge));
        }
    }

    #[test]
    #[should_panic(expected = "counted before")]
    fn what_has_no_room_is_a_mistake() {
        let mut set = set(1);
        set.insert(device(1));
        set.insert(device(2));
    }
}
