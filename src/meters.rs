//! How often each of very many keys comes, in a table of fixed size.
//!
//! Goal: to tell what comes too often, whatever else comes, without memory for each key. Method: a key's meter is a
//! leaky bucket. Each sighting fills it a little, time empties it, and it overflows when a minute's worth stands in it;
//! so it takes one number, the time at which it is empty. One that is empty says no more than one that is not there, so
//! of four in a cache line a new key takes the place of the emptiest: those who come often push out those who come
//! rarely, and never the other way round. Who is denied stays until his time is over.
//!
//! A key is taken for another if they share a set and 64 more bits of a keyed hash: one in 2^62 for any two of them,
//! and nobody can look for such keys without the secret. A key is not counted while four denied ones hold its set; to
//! bring that about for a chosen key, about as many ids must be denied as the table has places.
//!
//! Source: the generic cell rate algorithm, ITU-T I.371, annex A.

use crate::identity::KeyedHash;
use crate::memory;

const MINUTE_NS: u64 = 60_000_000_000;
const WAYS: usize = 4;
/// In a meter's time: until then the key is denied.
const DENIED: u64 = 1 << 63;

/// What one key's place takes, in bytes.
pub const METER_BYTES: usize = size_of::<Meter>();

const _: () = assert!(size_of::<Set>() == 64 && WAYS * METER_BYTES == 64);

/// How often something may come: so often within a minute, at once or spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How much of a meter's minute one sighting fills.
    fill_ns: u64,
}

/// What becomes of one sighting of a key that is denied when it comes too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    Within,
    /// This one was one too many: from now on the key is denied.
    TooMany,
    Denied,
    /// There is no place for it: all that it could have are held by denied keys.
    Uncounted,
}

/// The meters of one kind of keys.
#[derive(Debug)]
pub struct Meters {
    sets: Box<[Set]>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set([Meter; WAYS]);

#[derive(Clone, Copy, Debug)]
struct Meter {
    tag: u64,
    /// When it is empty; with [`DENIED`], until when the key is denied.
    until_ns: u64,
}

impl Rate {
    /// `None`: as often as it likes.
    pub fn per_minute(count: u32) -> Option<Rate> {
        (count > 0).then(|| Rate { fill_ns: MINUTE_NS / u64::from(count) })
    }
}

impl Meter {
    const EMPTY: Meter = Meter { tag: 0, until_ns: 0 };

    fn is_denied(self, now_ns: u64) -> bool {
        self.until_ns & DENIED != 0 && self.until_ns & !DENIED > now_ns
    }

    /// How full it is.
    fn level_ns(self, now_ns: u64) -> u64 {
        if self.until_ns & DENIED == 0 { self.until_ns.saturating_sub(now_ns) } else { 0 }
    }
}

impl Meters {
    /// Places for so many keys, rounded up. All memory is taken and touched now.
    pub fn new(places: usize) -> Meters {
        Meters { sets: memory::table(Set([Meter::EMPTY; WAYS]), places.div_ceil(WAYS).max(1)) }
    }

    /// Counts one sighting. A key that comes more often than `rate` is denied for `deny_ns`, in which time it is not
    /// counted, and begins with nothing after it.
    pub fn see(&mut self, key: KeyedHash, rate: Rate, deny_ns: u64, now_ns: u64) -> Sighting {
        let Some(meter) = self.meter(key, now_ns) else { return Sighting::Uncounted };
        if meter.is_denied(now_ns) {
            return Sighting::Denied;
        }
        let level_ns = meter.level_ns(now_ns) + rate.fill_ns;
        if level_ns > MINUTE_NS {
            meter.until_ns = DENIED | (now_ns + deny_ns);
            return Sighting::TooMany;
        }
        meter.until_ns = now_ns + level_ns;
        Sighting::Within
    }

    /// Counts `count` sightings at once, if that is not too many; else says in how many nanoseconds it is not. More
    /// than come in a minute pass when none did for a minute.
    pub fn spend(&mut self, key: KeyedHash, count: u32, rate: Rate, now_ns: u64) -> Result<(), u64> {
        let Some(meter) = self.meter(key, now_ns) else { return Ok(()) };
        let level_ns = meter.level_ns(now_ns) + (rate.fill_ns * u64::from(count)).min(MINUTE_NS);
        if level_ns > MINUTE_NS {
            return Err(level_ns - MINUTE_NS);
        }
        meter.until_ns = now_ns + level_ns;
        Ok(())
    }

    /// The key's meter, or the one whose place it takes.
    fn meter(&mut self, key: KeyedHash, now_ns: u64) -> Option<&mut Meter> {
        let tag = (key.bits() >> 64) as u64;
        let set = key.bucket(self.sets.len() as u32);
        let Set(meters) = &mut self.sets[set as usize];
        if let Some(known) = meters.iter().position(|meter| meter.tag == tag) {
            return Some(&mut meters[known]);
        }
        let free = meters.iter_mut().filter(|meter| !meter.is_denied(now_ns));
        let emptiest = free.min_by_key(|meter| meter.level_ns(now_ns))?;
        *emptiest = Meter { tag, until_ns: 0 };
        Some(emptiest)
    }
}

#[cfg(test)]
mod tests;
