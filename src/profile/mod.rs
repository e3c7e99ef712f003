//! What is known of visitors: the sharded table and its records.
//!
//! A shard loads a visitor's record from its [`ProfileTable`] into a flat working copy, [`Profile`], changes that, and
//! stores it again. One event does, in this order: `load` (or `clear` for a new visitor), `tend`, set `last_seen`,
//! `realise`, evaluate segments over `history`, `set_segments_of_account`, set `next_change`, `store`.
//!
//! What has to look at all of a visitor's entries is done once a day or when the ruleset changes: `tend` forgets what
//! has expired and folds what is old; and segments are evaluated in full then, else only those that name a trait of
//! `changed`.
#![forbid(unsafe_code)]

pub mod catalog;
mod cells;
pub mod codec;
mod entries;
pub mod history;
pub mod ids;
mod packing;
pub mod partners;
pub mod record;
pub mod table;
mod traits;

pub use catalog::{TraitCatalog, TraitInfo};
pub use partners::{PartnerOutcome, PartnerState, PartnerView};
pub use record::Profile;
pub use table::ProfileTable;
pub use traits::Realised;

use crate::clock::{Day, Minute};

/// The UTC day that a minute belongs to.
pub(crate) fn day_of(minute: Minute) -> Day {
    (minute / (24 * 60)) as Day
}
