//! The visitor's id: 38 decimal digits, two zero-padded halves of 19, each below 2^63.

/// A visitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid {
    /// Below 2^63.
    pub high: u64,
    /// Below 2^63.
    pub low: u64,
}
