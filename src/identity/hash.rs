//! Keyed hashes that place visitors and declared ids.
//!
//! SipHash-1-3 with 128 bits of output: keyed, so that nobody can aim at one shard or one bucket; and defined on bytes,
//! so that it is the same in every version and on every machine. Callers take disjoint bits of it: a shard's own keys
//! all share their shard bits, which therefore must not choose the bucket.
//!
//! | bits    | what                  |
//! |---------|-----------------------|
//! | 0-31    | shard                 |
//! | 32-63   | bucket, first choice  |
//! | 64-95   | bucket, second choice |
//! | 96-111  | tag                   |
//! | 112-127 | free                  |

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use std::net::IpAddr;

use super::uuid::Uuid;
use crate::ids::{DataSourceId, ShardId};
use crate::limits::DECLARED_ID_BYTES_MAX;

/// 128 bits that place a key. The same key has the same hash for as long as the secret lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyedHash(u128);

struct Bits {
    first: u32,
    count: u32,
}

const SHARD: Bits = Bits { first: 0, count: 32 };
const BUCKETS: [Bits; 2] = [Bits { first: 32, count: 32 }, Bits { first: 64, count: 32 }];
const TAG: Bits = Bits { first: 96, count: 16 };

const _: () = assert!(SHARD.mask() & BUCKETS[0].mask() == 0 && SHARD.mask() & BUCKETS[1].mask() == 0);
const _: () = assert!(BUCKETS[0].mask() & BUCKETS[1].mask() == 0);
const _: () = assert!(TAG.mask() & (SHARD.mask() | BUCKETS[0].mask() | BUCKETS[1].mask()) == 0);

impl Bits {
    const fn mask(&self) -> u128 {
        ((1 << self.count) - 1) << self.first
    }

    const fn of(&self, hash: u128) -> u64 {
        ((hash & self.mask()) >> self.first) as u64
    }

    /// The bits as a fraction of `count` places: multiply and shift, no division and no power of two needed.
    const fn scaled(&self, hash: u128, count: u32) -> u32 {
        ((self.of(hash) * count as u64) >> self.count) as u32
    }
}

impl KeyedHash {
    pub fn from_bits(bits: u128) -> KeyedHash {
        KeyedHash(bits)
    }

    pub fn bits(self) -> u128 {
        self.0
    }

    /// The shard, of `shards`, that owns the key.
    pub fn shard(self, shards: u16) -> ShardId {
        ShardId(SHARD.scaled(self.0, u32::from(shards)) as u16)
    }

    /// The bucket, of `buckets`, where the key may be: its first choice.
    pub fn bucket(self, buckets: u32) -> u32 {
        BUCKETS[0].scaled(self.0, buckets)
    }

    /// The other bucket where the key may be. At times the same one.
    pub fn second_bucket(self, buckets: u32) -> u32 {
        BUCKETS[1].scaled(self.0, buckets)
    }

    /// What tells most keys of one bucket apart.
    pub fn tag(self) -> u16 {
        TAG.of(self.0) as u16
    }
}

/// Hashes visitors.
#[derive(Clone, Debug)]
pub struct TableHash(SipHasher13);

impl TableHash {
    pub fn new(key: &[u8; 16]) -> TableHash {
        TableHash(SipHasher13::new_with_key(key))
    }

    pub fn uuid(&self, uuid: Uuid) -> KeyedHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&uuid.high.to_le_bytes());
        bytes[8..].copy_from_slice(&uuid.low.to_le_bytes());
        KeyedHash(self.0.hash(&bytes).as_u128())
    }

    /// A caller as far as an address tells one from another: who has an IPv6 address has 2^64 of them. `kind` keeps
    /// what one caller does apart.
    pub fn caller(&self, address: IpAddr, kind: u8) -> KeyedHash {
        let (version, network): (u64, u64) = match address {
            IpAddr::V4(address) => (4, u64::from(address.to_bits())),
            IpAddr::V6(address) => (6, (address.to_bits() >> 64) as u64),
        };
        self.uuid(Uuid { high: network, low: version << 8 | u64::from(kind) })
    }

    /// The visitor's home.
    pub fn owner(&self, uuid: Uuid, shards: u16) -> ShardId {
        self.uuid(uuid).shard(shards)
    }
}

/// Hashes declared ids. All 128 bits stand for the id in the map: at a billion ids two collide with a chance of 10^-21.
#[derive(Clone, Debug)]
pub struct IdHash(SipHasher13);

impl IdHash {
    pub fn new(key: &[u8; 16]) -> IdHash {
        IdHash(SipHasher13::new_with_key(key))
    }

    /// `text` as it was declared, byte for byte.
    pub fn declared(&self, source: DataSourceId, text: &[u8]) -> KeyedHash {
        debug_assert!(text.len() <= DECLARED_ID_BYTES_MAX);
        let mut hasher = self.0;
        hasher.write(&source.0.to_le_bytes());
        hasher.write(text);
        KeyedHash(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn uuid(i: u64) -> Uuid {
        Uuid { high: 0, low: i }
    }

    #[test]
    fn shards_get_equal_shares_of_sequential_uuids() {
        let hash = TableHash::new(&KEY);
        for shards in [1u16, 2, 3, 7, 16, 64] {
            let draws = 4_000 * u64::from(shards);
            let mut counts = vec![0u64; shards.into()];
            for i in 0..draws {
                counts[usize::from(hash.owner(uuid(i), shards).0)] += 1;
            }
            // Mean 4,000, standard deviation at most 63: five of them are far beyond any honest chance.
            for (shard, &count) in counts.iter().enumerate() {
                assert!(count.abs_diff(4_000) < 320, "shard {shard} of {shards} got {count}");
            }
        }
    }

    #[test]
    fn the_keys_of_one_shard_still_spread_over_buckets_and_tags() {
        let hash = TableHash::new(&KEY);
        let mine: Vec<KeyedHash> = (0..64_000).map(|i| hash.uuid(uuid(i))).filter(|h| h.shard(4).0 == 3).collect();
        let choices: [fn(KeyedHash) -> u32; 3] =
            [|h| h.bucket(16), |h| h.second_bucket(16), |h| u32::from(h.tag() >> 12)];
        for choice in choices {
            let mut counts = [0u32; 16];
            for &hash in &mine {
                counts[choice(hash) as usize] += 1;
            }
            for count in counts {
                assert!(count.abs_diff(1_000) < 160, "{counts:?}");
            }
        }
    }

    #[test]
    fn scaling_stays_within_bounds_at_both_ends() {
        for bits in [0, u128::MAX] {
            let hash = KeyedHash::from_bits(bits);
            assert_eq!(hash.shard(u16::MAX).0, if bits == 0 { 0 } else { u16::MAX - 1 });
            assert_eq!(hash.bucket(1), 0);
            assert_eq!(hash.second_bucket(u32::MAX), if bits == 0 { 0 } else { u32::MAX - 1 });
        }
    }

    #[test]
    fn callers_are_told_apart_by_ipv4_address_or_ipv6_network() {
        let hash = TableHash::new(&KEY);
        let of = |text: &str, kind| hash.caller(text.parse().unwrap(), kind);
        assert_eq!(of("2001:db8::1", 0), of("2001:db8::ffff:2", 0));
        let different = [of("2001:db8::1", 0), of("2001:db8::1", 1), of("2001:db8:0:1::1", 0), of("192.0.2.1", 0)];
        for (i, one) in different.iter().enumerate() {
            assert!(!different[..i].contains(one) && *one != of("192.0.2.2", 0));
        }
    }

    #[test]
    fn source_and_text_are_both_part_of_a_declared_id() {
        let hash = IdHash::new(&KEY);
        let joe = hash.declared(DataSourceId(1), b"joe");
        assert_eq!(joe, hash.declared(DataSourceId(1), b"joe"));
        assert_ne!(joe, hash.declared(DataSourceId(2), b"joe"));
        assert_ne!(joe, hash.declared(DataSourceId(1), b"joE"));
        assert_ne!(joe, hash.declared(DataSourceId(1), b"joe\0"));
    }
}
