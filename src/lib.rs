//! pinion, a real-time data collection server. `docs/ARCHITECTURE.md` tells the life of one request through these
//! modules. Arrows point one way: `reactor` and `http` know nothing of events; the modules from `event` to
//! `destination` know nothing of the reactor; only `shard` knows them all; only `control` and `main` know tokio.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "the bans of clippy.toml are for what serves, not for what tests it"
    )
)]

pub mod clock;
mod find;
pub mod ids;
pub mod limits;
mod memory;
pub mod meters;
pub mod metrics;
pub mod template;
pub mod writer;

pub mod http;
pub mod reactor;

pub mod destination;
pub mod event;
pub mod id_sync;
pub mod identity;
pub mod page;
pub mod partner;
pub mod privacy;
pub mod profile;
pub mod rules;
pub mod segments;

pub mod ruleset;
pub mod shard;

pub mod config;
pub mod control;
pub mod demo;
