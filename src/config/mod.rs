//! What the operator wrote: the TOML file as types, faults that point at the line, and what shards are given in the
//! end.
//!
//! [`load`] reads, checks and compiles one file and reports all its faults at once: references by `validate`, rules,
//! segments and templates by their own compilers, whose diagnostics are drawn where the file has their texts.
//! [`check`] tells what a file that loads comes to.
#![forbid(unsafe_code)]

pub mod check;
mod compile;
pub mod file;
mod global;
pub mod plan;
mod reader;
pub mod source;
mod validate;
pub mod values;

pub use compile::{Loaded, compile, load};
pub use file::File;
pub use source::{ConfigError, Source};

/// What `serve` runs with when it is given no file.
pub const DEFAULT_CONFIG: &str = include_str!("default.toml");
/// What faults and reports call it.
pub const DEFAULT_CONFIG_NAME: &str = "(default config)";
