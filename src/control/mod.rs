//! The one ordinary thread: admin HTTP, metrics, name resolution, the shards' start and end. Everything here may
//! allocate, lock and wait; the shards hear of it by message only.
#![forbid(unsafe_code)]

pub mod admin;
pub mod metrics;
pub mod names;
pub mod sample;
pub mod secret;
pub mod shards;
