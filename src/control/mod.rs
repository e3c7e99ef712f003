//! The one ordinary thread: admin HTTP, metrics, name resolution, rulesets, the shards' start and end; and beside it
//! the one that keeps opt-outs. Everything here may allocate, lock and wait; the shards hear of it by message only.
#![forbid(unsafe_code)]

pub mod admin;
pub mod check;
pub mod cores;
pub mod metrics;
pub mod names;
pub mod opt_outs;
pub mod say;
pub mod secret;
pub mod server;
pub mod shards;

mod owners;
mod post;
mod rules;
mod sizes;
