//! HTTP/1 without sockets: requests in, and the answers of partners.
//!
//! Goal: whatever a peer sends is either one request (or answer) with exact limits in the byte stream, or a fault. Two
//! parties that disagree about where a message ends can be made to talk past each other (request smuggling), so every
//! ambiguity is refused rather than repaired. Method: `httparse` splits a complete head in one pass; our own rules are
//! checked on its result; a head that arrives in pieces, or is wrong, goes through a line scanner that never reads a
//! byte twice and whose verdict does not depend on how the bytes were cut. Source: RFC 9110 and RFC 9112.
//!
//! Nothing here allocates, reads a clock or knows what a call means.
#![forbid(unsafe_code)]

pub mod chunked;
pub mod date;
pub mod fault;
pub mod request;
pub mod response;
pub mod status;

mod fields;
mod framing;
mod head;
mod lines;
mod outline;
mod request_line;

pub use fault::HttpFault;
pub use fields::{Fields, Lines};
pub use outline::Outline;
pub use request::{Body, Parsed, Progress, Request};
pub use request_line::{Method, Version};
