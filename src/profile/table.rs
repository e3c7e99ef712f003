//! One shard's profiles: a hash table of fixed size whose records are made of cells.
//!
//! Buckets are one cache line of eight slots; a visitor's slot is in one of two buckets that the keyed hash names. With
//! two choices, a table whose slots are 80 % taken finds room for all but 0.02 % of new visitors (with one choice, for
//! 93 %). There is no rehash, so there is no pause: where room is lacking, what has expired goes first, then what was
//! not seen for longest among the few records at hand.
//!
//! A lookup reads two lines of the index and the record's own; one in 5,000 reads another record, alike by chance.

use super::cells::{CELL_BYTES, CELLS_MAX, CellPool, NONE, PAYLOAD_BYTES};
use super::codec::{self, HEADER_BYTES, Header, RECORD_BYTES_MAX};
use super::day_of;
use super::record::Profile;
use crate::clock::Minute;
use crate::identity::{KeyedHash, TableHash, Uuid};
use crate::memory;

/// The least that a table can be made with: it must hold the largest record there can be.
pub const BUDGET_BYTES_MIN: usize = 256 * 1024;

/// The most that a table can use.
pub const BUDGET_BYTES_MAX: usize = CELLS_MAX as usize * CELL_BYTES;

const SLOTS: usize = 8;
/// With records of two cells, cells run out as eight in ten slots are taken.
const CELLS_PER_BUCKET: usize = 13;

const _: () = assert!(HEADER_BYTES <= PAYLOAD_BYTES, "a header is read off a record's first cell");
const _: () = assert!(
    BUDGET_BYTES_MIN / CELL_BYTES / (1 + CELLS_PER_BUCKET) * CELLS_PER_BUCKET
        > CellPool::cells_for(RECORD_BYTES_MAX) as usize
);

/// The most that [`ProfileTable::record`] returns of a profile that has nothing but traits.
pub const TRAITS_RECORD_BYTES_MAX: usize = codec::TRAITS_RECORD_BYTES_MAX + PAYLOAD_BYTES;

/// A shard's profiles.
#[derive(Debug)]
pub struct ProfileTable {
    hash: TableHash,
    buckets: Box<[Bucket]>,
    cells: CellPool,
    /// One record, flat.
    record: Vec<u8>,
    counters: Counters,
    len: u32,
    /// Where the next search for something to evict begins.
    evict_bucket: u32,
    /// Where the next sweep begins.
    sweep_bucket: u32,
}

/// What happened to other visitors when one was stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// There was no record of this visitor.
    pub created: bool,
    /// Records that went because they had expired.
    pub expired: u32,
    /// Records that went though they were still good.
    pub evicted: u32,
}

/// Since the table was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub expired: u64,
    pub evicted: u64,
}

/// Where the memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub profiles: u32,
    pub slots: u64,
    pub cells: u32,
    pub cells_used: u32,
}

/// Bits 0-31 the record's first cell, 32-47 the hour it was last seen (from 1970, modulo 2^16), 48-63 the hash's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot(u64);

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket([Slot; SLOTS]);

const _: () = assert!(size_of::<Bucket>() == 64 && SLOTS == u8::BITS as usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    bucket: u32,
    slot: usize,
}

impl Slot {
    const EMPTY: Slot = Slot(0);

    fn new(first_cell: u32, seen: Minute, tag: u16) -> Slot {
        Slot(u64::from(first_cell) | u64::from(hour_of(seen)) << 32 | u64::from(tag) << 48)
    }

    fn first_cell(self) -> u32 {
        self.0 as u32
    }

    fn tag(self) -> u16 {
        (self.0 >> 48) as u16
    }

    fn is_empty(self) -> bool {
        self.first_cell() == NONE
    }

    /// Hours since the visitor was seen. Counted modulo seven years; a clock may have been set back by some weeks.
    fn hours_unseen(self, now: Minute) -> u16 {
        const SET_BACK_HOURS_MAX: u16 = 24 * 30;
        let hours = hour_of(now).wrapping_sub((self.0 >> 32) as u16);
        if hours > u16::MAX - SET_BACK_HOURS_MAX { 0 } else { hours }
    }
}

impl Bucket {
    /// A bit for each slot with this tag, empty ones perhaps among them.
    fn matches(&self, tag: u16) -> u8 {
        self.0.iter().enumerate().fold(0, |bits, (i, slot)| bits | u8::from(slot.tag() == tag) << i)
    }
}

impl ProfileTable {
    /// A table that takes `budget_bytes`, at least [`BUDGET_BYTES_MIN`]. All memory is taken and touched now.
    pub fn new(budget_bytes: usize, hash: TableHash) -> ProfileTable {
        assert!(budget_bytes >= BUDGET_BYTES_MIN, "a table of {budget_bytes} bytes can't hold the largest record");
        let lines = (budget_bytes / CELL_BYTES).min(u32::MAX as usize - 1);
        let bucket_count = lines / (1 + CELLS_PER_BUCKET);
        let cell_count = lines - bucket_count - 1;
        ProfileTable {
            hash,
            buckets: memory::table(Bucket([Slot::EMPTY; SLOTS]), bucket_count),
            cells: CellPool::new(cell_count as u32),
            record: Vec::with_capacity(RECORD_BYTES_MAX + CELL_BYTES),
            counters: Counters::default(),
            len: 0,
            evict_bucket: 0,
            sweep_bucket: 0,
        }
    }

    /// Reads the visitor's record into `profile`. If there is none, `profile` is cleared to be this visitor's first.
    pub fn load(&mut self, uuid: Uuid, profile: &mut Profile) -> bool {
        if !self.read(uuid) {
            profile.clear(uuid);
            return false;
        }
        codec::decode(&self.record, profile).expect("a record is as it was written");
        true
    }

    /// Reads the visitor's record for [`ProfileTable::record`]. Returns whether there is one.
    pub fn read(&mut self, uuid: Uuid) -> bool {
        let Some(place) = self.find(self.hash.uuid(uuid), uuid) else { return false };
        self.record.clear();
        self.cells.read(self.slot(place).first_cell(), &mut self.record);
        true
    }

    /// The record that was last read or stored, for another table's shard. Bytes may follow it that mean nothing.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Writes the visitor's record. There is always room: others make it.
    pub fn store(&mut self, profile: &Profile, now: Minute) -> Stored {
        self.record.clear();
        codec::encode(profile, &mut self.record);
        let hash = self.hash.uuid(profile.uuid);
        let known = self.find(hash, profile.uuid);
        let counters_before = self.counters;
        let first_cell = known.map_or(NONE, |place| self.slot(place).first_cell());
        self.make_cells_free(first_cell, now);
        let place = known.unwrap_or_else(|| self.vacant_place(hash, now));
        let first_cell = self.cells.write(first_cell, &self.record);
        *self.slot_mut(place) = Slot::new(first_cell, profile.last_seen, hash.tag());
        self.len += u32::from(known.is_none());
        Stored {
            created: known.is_none(),
            expired: (self.counters.expired - counters_before.expired) as u32,
            evicted: (self.counters.evicted - counters_before.evicted) as u32,
        }
    }

    /// Forgets the visitor. Returns whether there was anything to forget.
    pub fn remove(&mut self, uuid: Uuid) -> bool {
        let place = self.find(self.hash.uuid(uuid), uuid);
        place.map(|place| self.clear_place(place)).is_some()
    }

    /// Looks at the next `bucket_count` buckets: removes records that have expired, and appends to `due` the visitors
    /// whose segments can have changed, whose records stay until the caller has seen to that. Ends early when `due`
    /// has no room for a bucket's. Returns how many records were removed.
    pub fn sweep(&mut self, bucket_count: u32, now: Minute, due: &mut Vec<Uuid>) -> u32 {
        let mut removed = 0;
        for _ in 0..bucket_count {
            if due.capacity() - due.len() < SLOTS {
                break;
            }
            for slot in 0..SLOTS {
                let place = Place { bucket: self.sweep_bucket, slot };
                let Some(header) = self.header(place) else { continue };
                if header.next_change <= now {
                    due.push(header.uuid);
                } else if header.keep_until < day_of(now) {
                    self.clear_place(place);
                    removed += 1;
                }
            }
            self.sweep_bucket = self.bucket_after(self.sweep_bucket);
        }
        self.counters.expired += u64::from(removed);
        removed
    }

    /// Profiles held.
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Buckets in all: what a sweep has to look at.
    pub fn bucket_count(&self) -> u32 {
        self.buckets.len() as u32
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn memory(&self) -> Memory {
        Memory {
            profiles: self.len,
            slots: self.buckets.len() as u64 * SLOTS as u64,
            cells: self.cells.count(),
            cells_used: self.cells.count() - self.cells.free(),
        }
    }

    /// Evicts others, but not the record that begins at `spared_cell`, until the record at hand fits. The record's own
    /// cells count as free. The table holds more cells than the largest record, so an end comes.
    fn make_cells_free(&mut self, spared_cell: u32, now: Minute) {
        let needed = CellPool::cells_for(self.record.len());
        if needed <= self.cells.free() {
            return;
        }
        let held = self.cells.length(spared_cell);
        while needed > self.cells.free() + held {
            let neighbour = self.bucket_after(self.evict_bucket);
            self.evict_from([self.evict_bucket, neighbour], spared_cell, now);
            self.evict_bucket = self.bucket_after(neighbour);
        }
    }

    /// An empty slot in the emptier of the visitor's two buckets. When both are full, room is made in them.
    fn vacant_place(&mut self, hash: KeyedHash, now: Minute) -> Place {
        if let Some(place) = self.empty_place(hash) {
            return place;
        }
        self.evict_from(self.buckets_of(hash), NONE, now);
        self.empty_place(hash).expect("room was made in these buckets")
    }

    fn empty_place(&self, hash: KeyedHash) -> Option<Place> {
        let empty_slots = |bucket: u32| self.buckets[bucket as usize].0.iter().filter(|slot| slot.is_empty()).count();
        let [first, second] = self.buckets_of(hash);
        let bucket = if empty_slots(second) > empty_slots(first) { second } else { first };
        let slot = self.buckets[bucket as usize].0.iter().position(|slot| slot.is_empty())?;
        Some(Place { bucket, slot })
    }

    /// Removes all expired records of two buckets, or else the one not seen for longest.
    fn evict_from(&mut self, buckets: [u32; 2], spared_cell: u32, now: Minute) {
        let today = day_of(now);
        let hours_of_today = (now / 60 % 24) as u16;
        let mut expired = 0;
        let mut oldest: Option<(u16, Place)> = None;
        for place in buckets.into_iter().flat_map(|bucket| (0..SLOTS).map(move |slot| Place { bucket, slot })) {
            let slot = self.slot(place);
            if slot.is_empty() || slot.first_cell() == spared_cell {
                continue;
            }
            // A record is kept at least for the day it was seen on: only older ones need to be read.
            let hours = slot.hours_unseen(now);
            if hours > hours_of_today && self.header(place).is_some_and(|header| header.keep_until < today) {
                self.clear_place(place);
                expired += 1;
            } else if oldest.is_none_or(|(most, _)| hours > most) {
                oldest = Some((hours, place));
            }
        }
        self.counters.expired += expired;
        if expired == 0
            && let Some((_, place)) = oldest
        {
            self.clear_place(place);
            self.counters.evicted += 1;
        }
    }

    /// Both buckets' tags are compared before anything is decided, so that their lines are fetched at the same time.
    fn find(&self, hash: KeyedHash, uuid: Uuid) -> Option<Place> {
        let buckets = self.buckets_of(hash);
        let [first, second] = buckets.map(|bucket| self.buckets[bucket as usize].matches(hash.tag()));
        let mut matches = u32::from(first) | u32::from(second) << SLOTS;
        while matches != 0 {
            let next = matches.trailing_zeros() as usize;
            let place = Place { bucket: buckets[next / SLOTS], slot: next % SLOTS };
            if self.header(place).is_some_and(|header| header.uuid == uuid) {
                return Some(place);
            }
            matches &= matches - 1;
        }
        None
    }

    fn buckets_of(&self, hash: KeyedHash) -> [u32; 2] {
        let count = self.bucket_count();
        [hash.bucket(count), hash.second_bucket(count)]
    }

    fn header(&self, place: Place) -> Option<Header> {
        let slot = self.slot(place);
        if slot.is_empty() { None } else { Header::read(self.cells.head(slot.first_cell())) }
    }

    fn clear_place(&mut self, place: Place) {
        let slot = std::mem::replace(self.slot_mut(place), Slot::EMPTY);
        self.cells.release(slot.first_cell());
        self.len -= 1;
    }

    fn slot(&self, place: Place) -> Slot {
        self.buckets[place.bucket as usize].0[place.slot]
    }

    fn slot_mut(&mut self, place: Place) -> &mut Slot {
        &mut self.buckets[place.bucket as usize].0[place.slot]
    }

    fn bucket_after(&self, bucket: u32) -> u32 {
        if bucket + 1 == self.bucket_count() { 0 } else { bucket + 1 }
    }
}

impl Memory {
    /// Bytes that a profile takes on average: its cells, and its share of an index that is 80 % full.
    pub fn bytes_per_profile(self) -> f64 {
        const SLOT_LOAD: f64 = 0.8;
        let cell_bytes = f64::from(self.cells_used) * CELL_BYTES as f64;
        cell_bytes / f64::from(self.profiles.max(1)) + size_of::<Slot>() as f64 / SLOT_LOAD
    }
}

fn hour_of(minute: Minute) -> u16 {
    (minute / 60) as u16
}

#[cfg(test)]
mod tests;
