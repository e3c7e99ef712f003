//! Who a call is about: uuids, ECIDs and the bijection between them, declared ids and the map from those to devices.
//!
//! One [`Secret`] keys all of it. Nothing here is looked up in a shared table: `d_mid` to uuid is arithmetic, a new
//! uuid is drawn by the shard that will own it, and the one map there is ([`IdMap`]) is cut up by shard.
#![forbid(unsafe_code)]

pub mod declared;
pub mod ecid;
pub mod generator;
pub mod hash;
pub mod map;
pub mod opt_outs;
pub mod secret;
pub mod uuid;

pub use declared::AuthState;
pub use ecid::{Ecid, EcidKey, Mid};
pub use generator::Generator;
pub use hash::{IdHash, KeyedHash, TableHash};
pub use map::IdMap;
pub use opt_outs::{OptOut, OptOuts};
pub use secret::Secret;
pub use uuid::Uuid;

/// Property tests that try the same `count` cases at every run.
#[cfg(test)]
pub(crate) fn cases(count: u32) -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    Config {
        cases: count,
        rng_seed: RngSeed::Fixed(0x70_69_6e_69_6f_6e),
        failure_persistence: None,
        ..Config::default()
    }
}
