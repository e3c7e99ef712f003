//! What a call says and what is said back: endpoints, host names, cookies, query and form decoding, ID syncs, and the
//! bytes of every answer. Pure functions over borrowed slices: nothing here knows sockets, clocks or configuration,
//! and nothing allocates once the buffers are made.
#![forbid(unsafe_code)]

pub mod answer;
mod attribute;
mod body;
pub mod call;
pub mod cookie;
pub mod declared;
pub mod endpoint;
pub mod errors;
pub mod form;
pub mod host;
pub mod ibs;
pub mod redirect;

#[cfg(test)]
mod cases;

pub use call::{Call, CallBuffers, Request};
pub use errors::{ErrorCode, ErrorSet};
