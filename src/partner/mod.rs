//! The lookup at third parties while a visitor waits: what is sent, how answers are read, which connections and how
//! many calls there are. Nothing here moves bytes or reads a clock; `shard` does both.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod answer;
pub mod calls;
pub mod format;
pub mod health;
pub mod json;
pub mod pool;
pub mod reader;
pub mod request;
pub mod segment_traits;
pub mod settings;
pub mod time;
pub mod time_left;
pub mod url;
pub mod wrapper;
