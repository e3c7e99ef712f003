//! From a declared id to the visitors it was seen with, latest first: one shard's share.
//!
//! A ring of mappings in the order they were made. Each also hangs in the chain of its bucket, newest first, so a
//! chain's mappings of one key are the key's devices in order, the ring's oldest mapping is the last of its chain, and
//! making room is taking that one out. 44 bytes a mapping, nothing moves, nothing grows.

use super::hash::KeyedHash;
use super::uuid::Uuid;
use crate::limits::DEVICES_PER_DECLARED_ID_MAX;
use crate::memory;

/// One mapping with its bucket's head: what the budget is divided by.
pub const MAPPING_BYTES: usize = size_of::<Mapping>() + size_of::<u32>();

const _: () = assert!(MAPPING_BYTES == 44);

/// Ends a chain.
const NONE: u32 = u32::MAX;

/// Declared ids and their devices.
#[derive(Debug)]
pub struct IdMap {
    /// The newest mapping of each bucket.
    heads: Box<[u32]>,
    ring: Box<[Mapping]>,
    /// Where the next mapping goes: over the oldest one.
    next_place: u32,
    len: u32,
    evictions: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    /// The id's hash, cut in two so that the alignment of a u128 costs no padding.
    key: [u64; 2],
    uuid: Uuid,
    /// The next older mapping of this bucket.
    older: u32,
    /// False when never used or taken out: then it hangs in no chain.
    live: bool,
}

/// What a walk along one key's mappings finds.
#[derive(Default)]
struct Survey {
    devices: usize,
    latest: Option<u32>,
    oldest: Option<u32>,
    /// The mapping to the visitor in question.
    known: Option<u32>,
}

impl IdMap {
    /// As many mappings as fit `budget_bytes`, at least one. All memory is taken and touched now.
    pub fn new(budget_bytes: usize) -> IdMap {
        let capacity = (budget_bytes / MAPPING_BYTES).clamp(1, NONE as usize - 1);
        let empty = Mapping { key: [0; 2], uuid: Uuid::default(), older: NONE, live: false };
        IdMap {
            heads: memory::table(NONE, capacity),
            ring: memory::table(empty, capacity),
            next_place: 0,
            len: 0,
            evictions: 0,
        }
    }

    /// The visitor that the id was seen with last.
    pub fn resolve(&self, key: KeyedHash) -> Option<Uuid> {
        self.devices(key).next()
    }

    /// All visitors that the id is remembered for, latest first.
    pub fn devices(&self, key: KeyedHash) -> impl Iterator<Item = Uuid> {
        self.places(key).map(|place| self.ring[place as usize].uuid)
    }

    /// Makes `uuid` the id's latest visitor. Out go, oldest first, what is over the limit of one id and what the ring
    /// has no room for. A mapping that is in use is made anew once half of the ring is younger, so that it stays.
    pub fn put(&mut self, key: KeyedHash, uuid: Uuid) {
        let survey = self.survey(key, uuid);
        match survey.known {
            Some(place) if survey.latest == Some(place) && self.age(place) <= self.capacity() / 2 => return,
            Some(place) => self.unlink(place),
            None if survey.devices >= DEVICES_PER_DECLARED_ID_MAX => self.unlink(survey.oldest.expect("one of many")),
            None => {}
        }
        self.append(key, uuid);
    }

    /// Forgets the id. Returns how many visitors it was mapped to.
    pub fn remove(&mut self, key: KeyedHash) -> usize {
        let mut removed = 0;
        while let Some(place) = { self.places(key).next() } {
            self.unlink(place);
            removed += 1;
        }
        removed
    }

    /// Forgets that the id names this visitor. Returns whether it did.
    pub fn remove_device(&mut self, key: KeyedHash, uuid: Uuid) -> bool {
        let place = self.survey(key, uuid).known;
        place.into_iter().for_each(|place| self.unlink(place));
        place.is_some()
    }

    /// Mappings held.
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Mappings that fit.
    pub fn capacity(&self) -> u32 {
        self.ring.len() as u32
    }

    /// Mappings that went because the ring was full.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    fn survey(&self, key: KeyedHash, uuid: Uuid) -> Survey {
        let mut survey = Survey::default();
        for place in self.places(key) {
            survey.devices += 1;
            survey.latest = survey.latest.or(Some(place));
            survey.oldest = Some(place);
            if self.ring[place as usize].uuid == uuid {
                survey.known = Some(place);
            }
        }
        survey
    }

    /// The places of one key's mappings, latest first.
    fn places(&self, key: KeyedHash) -> impl Iterator<Item = u32> {
        let key = halves(key);
        self.chain(self.bucket(key)).filter(move |&place| self.ring[place as usize].key == key)
    }

    fn chain(&self, bucket: usize) -> impl Iterator<Item = u32> {
        let head = Some(self.heads[bucket]).filter(|&place| place != NONE);
        std::iter::successors(head, |&place| Some(self.ring[place as usize].older).filter(|&older| older != NONE))
    }

    fn bucket(&self, key: [u64; 2]) -> usize {
        KeyedHash::from_bits(u128::from(key[0]) | u128::from(key[1]) << 64).bucket(self.heads.len() as u32) as usize
    }

    /// How many mappings ago `place` was written, itself included.
    fn age(&self, place: u32) -> u32 {
        if place < self.next_place { self.next_place - place } else { self.next_place + self.capacity() - place }
    }

    fn append(&mut self, key: KeyedHash, uuid: Uuid) {
        let place = self.next_place;
        if self.ring[place as usize].live {
            self.unlink(place);
            self.evictions += 1;
        }
        let key = halves(key);
        let bucket = self.bucket(key);
        self.ring[place as usize] = Mapping { key, uuid, older: self.heads[bucket], live: true };
        self.heads[bucket] = place;
        self.len += 1;
        self.next_place = if place + 1 == self.capacity() { 0 } else { place + 1 };
    }

    fn unlink(&mut self, place: u32) {
        let Mapping { key, older, live, .. } = self.ring[place as usize];
        assert!(live, "only what hangs in a chain can be taken out");
        let bucket = self.bucket(key);
        let newer = self.chain(bucket).take_while(|&newer| newer != place).last();
        match newer {
            Some(newer) => self.ring[newer as usize].older = older,
            None => self.heads[bucket] = older,
        }
        self.ring[place as usize].live = false;
        self.len -= 1;
    }
}

fn halves(key: KeyedHash) -> [u64; 2] {
    [key.bits() as u64, (key.bits() >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use crate::identity::hash::IdHash;
    use crate::ids::DataSourceId;
    use proptest::prelude::*;

    /// All mappings in the order they were made: the ring, without its holes and chains.
    struct Model {
        ring: Vec<Option<(u128, Uuid)>>,
        next_place: usize,
        evictions: u64,
    }

    impl Model {
        fn new(capacity: usize) -> Model {
            Model { ring: vec![None; capacity], next_place: 0, evictions: 0 }
        }

        fn places(&self, key: u128) -> Vec<usize> {
            let capacity = self.ring.len();
            (1..=capacity)
                .map(|age| (self.next_place + capacity - age) % capacity)
                .filter(|&place| self.ring[place].is_some_and(|mapping| mapping.0 == key))
                .collect()
        }

        fn devices(&self, key: u128) -> Vec<Uuid> {
            self.places(key).iter().map(|&place| self.ring[place].unwrap().1).collect()
        }

        fn put(&mut self, key: u128, uuid: Uuid) {
            let capacity = self.ring.len();
            let places = self.places(key);
            let known = places.iter().position(|&place| self.ring[place].unwrap().1 == uuid);
            if known == Some(0) {
                let age = (self.next_place + capacity - places[0] - 1) % capacity + 1;
                if age <= capacity / 2 {
                    return;
                }
            }
            if let Some(known) = known {
                self.ring[places[known]] = None;
            } else if places.len() == DEVICES_PER_DECLARED_ID_MAX {
                self.ring[*places.last().unwrap()] = None;
            }
            self.evictions += u64::from(self.ring[self.next_place].is_some());
            self.ring[self.next_place] = Some((key, uuid));
            self.next_place = (self.next_place + 1) % capacity;
        }
    }

    fn uuid(i: u64) -> Uuid {
        Uuid { high: i, low: 1 }
    }

    fn key(i: u32) -> KeyedHash {
        IdHash::new(&[1; 16]).declared(DataSourceId(i), b"id")
    }

    #[test]
    fn the_latest_visitor_comes_first() {
        let mut map = IdMap::new(100 * MAPPING_BYTES);
        assert_eq!(map.resolve(key(1)), None);
        for i in [1, 2, 3, 2, 2] {
            map.put(key(1), uuid(i));
        }
        map.put(key(2), uuid(9));
        assert_eq!(map.devices(key(1)).collect::<Vec<_>>(), [uuid(2), uuid(3), uuid(1)]);
        assert_eq!(map.resolve(key(2)), Some(uuid(9)));
        assert_eq!(map.len(), 4);
        assert_eq!(map.remove(key(1)), 3);
        assert_eq!((map.resolve(key(1)), map.resolve(key(2)), map.len()), (None, Some(uuid(9)), 1));
    }

    #[test]
    fn an_id_keeps_its_hundred_latest_visitors() {
        let mut map = IdMap::new(1_000 * MAPPING_BYTES);
        for i in 0..150 {
            map.put(key(1), uuid(i));
        }
        let devices: Vec<Uuid> = map.devices(key(1)).collect();
        assert_eq!(devices, (50..150).rev().map(uuid).collect::<Vec<_>>());
        assert_eq!(map.evictions(), 0);
    }

    #[test]
    fn an_id_in_use_outlives_any_number_of_others() {
        let mut map = IdMap::new(64 * MAPPING_BYTES);
        for i in 0..1_000 {
            map.put(key(0), uuid(7));
            map.put(key(1 + i), uuid(1));
            assert_eq!(map.resolve(key(0)), Some(uuid(7)));
        }
        // Two places at most are holes that the mapping in use left when it was made anew.
        assert!(map.len() >= 62);
        assert!(map.evictions() > 900);
    }

    #[test]
    fn the_smallest_map_holds_one() {
        let mut map = IdMap::new(0);
        map.put(key(1), uuid(1));
        map.put(key(2), uuid(2));
        assert_eq!((map.resolve(key(1)), map.resolve(key(2))), (None, Some(uuid(2))));
        assert_eq!((map.capacity(), map.evictions()), (1, 1));
    }

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn agrees_with_a_plain_list(
            capacity in 1..40usize,
            operations in proptest::collection::vec((0..12u32, 0..8u64, 0..20u8), 0..300),
        ) {
            let mut map = IdMap::new(capacity * MAPPING_BYTES);
            let mut model = Model::new(capacity);
            for (id, device, operation) in operations {
                if operation == 0 {
                    let places = model.places(key(id).bits());
                    prop_assert_eq!(map.remove(key(id)), places.len());
                    places.iter().for_each(|&place| model.ring[place] = None);
                } else if operation == 1 {
                    let places = model.places(key(id).bits());
                    let known = places.iter().find(|&&place| model.ring[place].unwrap().1 == uuid(device)).copied();
                    prop_assert_eq!(map.remove_device(key(id), uuid(device)), known.is_some());
                    known.into_iter().for_each(|place| model.ring[place] = None);
                } else {
                    map.put(key(id), uuid(device));
                    model.put(key(id).bits(), uuid(device));
                }
                for id in 0..12 {
                    prop_assert_eq!(map.devices(key(id)).collect::<Vec<_>>(), model.devices(key(id).bits()));
                }
                prop_assert_eq!(map.len() as usize, model.ring.iter().flatten().count());
                prop_assert_eq!(map.evictions(), model.evictions);
            }
        }
    }
}
