//! What is known of visitors: the sharded table and its records.
#![forbid(unsafe_code)]

pub mod history;
