//! The one integration binary.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "the bans of clippy.toml are for what serves, not for what tests it"
)]

#[macro_use]
mod runtimes;

mod allocations;
mod allocator;
mod browser;
mod config;
mod http_vectors;
mod licences;
mod lifetime;
mod memory;
mod opt_outs;
mod program;
mod protocol_page;
mod reactor;
mod server;
mod sim;
mod strict;
mod tidy;
mod vectors;
