//! What the operator wrote: the TOML file as types, and faults that point at the line.
//!
//! [`file::parse`] reads and checks one file and reports all faults at once. What needs the compilers of rules,
//! segments and templates is not looked at here: their diagnostics come back through [`source::Source::diagnostic`].
#![forbid(unsafe_code)]

pub mod file;
pub mod source;
pub mod values;

mod reader;
mod validate;
