//! Load that does not wait for answers, and what it finds out.
//!
//! The generator is an open loop on the server's own reactor (`engine`); what it offers is a `scenario`, whose times
//! come from a `schedule` and whose bytes from `requests`; what must hold is a `verdict`; what is left is a `report`.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the bans of clippy.toml are for what serves, not for what measures it"
)]

pub mod answers;
pub mod bare;
pub mod benchmarks;
pub mod engine;
pub mod find_max;
pub mod host;
pub mod latency;
pub mod others;
pub mod peers;
pub mod played;
pub mod population;
pub mod progress;
pub mod random;
pub mod report;
pub mod requests;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod simulator;
pub mod standard;
pub mod target;
pub mod verdict;
pub mod versus;
