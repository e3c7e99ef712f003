//! The names by which things are known: one type each, so that a trait can't be passed where a segment is meant.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(/// A trait's id (`sid`), unique over the whole config.
    TraitId(u32));
id!(/// A segment's id, unique over the whole config.
    SegmentId(u32));
id!(/// A data source's id (`dpid`), unique over the whole config.
    DataSourceId(u32));
id!(/// A partner's id, unique over the whole config and stable over reloads: it is stored in profiles.
    PartnerId(u32));
id!(/// A place in [`crate::ruleset::Ruleset::accounts`], valid within one epoch.
    AccountIndex(u16));
id!(/// A place in [`crate::ruleset::Ruleset::partners`], valid within one epoch.
    PartnerIndex(u16));
id!(/// A shard, counted from 0: one pinned event loop.
    ShardId(u16));

impl ShardId {
    /// The control thread, as a sender and receiver of messages.
    pub const CONTROL: ShardId = ShardId(u16::MAX);
}

/// One key-value pair of a call, decoded. The same key may occur several times: each is one more value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Whether a comma list in the value also offers its parts to rules. Partner signals don't.
    pub split: bool,
}
