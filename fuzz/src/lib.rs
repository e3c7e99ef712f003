//! What must hold whatever a peer sends: one function for each fuzz target, which panics where it doesn't.
//!
//! Nothing here looks for a particular mistake. Each property relates two ways to the same result: all bytes at once
//! and in pieces, decoded and encoded again, with a further refusal and without.

mod call;
mod consent;
mod http;
mod language;
mod log;
mod partner;

pub use call::{cookies, query};
pub use consent::consent;
pub use http::{request, response};
pub use language::{rules, segments};
pub use log::records;
pub use partner::answer;

/// The first line and what stands behind it.
fn split_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}
