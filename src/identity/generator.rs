//! Random numbers of one shard: new uuids and transaction ids. ChaCha20, so that nobody can tell a visitor's uuid from
//! those of others; one generator a shard, so that nobody waits for it.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use super::hash::TableHash;
use super::uuid::Uuid;
use crate::ids::ShardId;

/// A shard's source of random numbers. Not `Clone`: a copy would hand out the same uuids.
#[derive(Debug)]
pub struct Generator(ChaCha20Rng);

impl Generator {
    /// Made by [`super::Secret::generator`], which sees to a fresh seed at each start.
    pub fn from_seed(seed: [u8; 32]) -> Generator {
        Generator(ChaCha20Rng::from_seed(seed))
    }

    /// A new visitor.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_bits(self.0.next_u64(), self.0.next_u64())
    }

    /// A new visitor whose home is `shard`, so that they never leave the core that met them. Draws until one fits:
    /// `shards` times on average, at about 30 ns each.
    pub fn uuid_owned_by(&mut self, shard: ShardId, hash: &TableHash, shards: u16) -> Uuid {
        assert!(shard.0 < shards, "a shard that does not exist owns no uuid");
        loop {
            let uuid = self.uuid();
            if hash.owner(uuid, shards) == shard {
                return uuid;
            }
        }
    }

    /// Eight random bytes: a transaction id.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn bytes8(&mut self) -> [u8; 8] {
        self.0.next_u64().to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::uuid::HALF_LIMIT;
    use std::collections::HashSet;

    #[test]
    fn a_seed_gives_one_sequence() {
        let mut one = Generator::from_seed([1; 32]);
        let mut same = Generator::from_seed([1; 32]);
        let mut other = Generator::from_seed([2; 32]);
        for _ in 0..100 {
            let uuid = one.uuid();
            assert_eq!(uuid, same.uuid());
            assert_ne!(uuid, other.uuid());
            assert_eq!(one.bytes8(), same.bytes8());
        }
    }

    #[test]
    fn uuids_are_distinct_in_range_and_use_every_bit() {
        let mut generator = Generator::from_seed([5; 32]);
        let uuids: HashSet<Uuid> = (0..10_000).map(|_| generator.uuid()).collect();
        assert_eq!(uuids.len(), 10_000);
        assert!(uuids.iter().all(|uuid| uuid.high < HALF_LIMIT && uuid.low < HALF_LIMIT));
        for bit in 0..63 {
            for half in [|uuid: &Uuid| uuid.high, |uuid: &Uuid| uuid.low] {
                let ones = uuids.iter().filter(|uuid| half(uuid) >> bit & 1 == 1).count();
                assert!(ones.abs_diff(5_000) < 300, "bit {bit} is set in {ones} of 10,000");
            }
        }
    }

    #[test]
    fn a_new_visitor_belongs_to_the_shard_that_met_them() {
        let hash = TableHash::new(&[9; 16]);
        let mut generator = Generator::from_seed([6; 32]);
        for shards in [1, 2, 5, 64] {
            for shard in (0..shards).map(ShardId) {
                assert_eq!(hash.owner(generator.uuid_owned_by(shard, &hash, shards), shards), shard);
            }
        }
    }
}
