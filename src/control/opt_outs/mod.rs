//! Opt-outs that last: a log of their own in the data folder, and who keeps it.
//!
//! A shard sends an opt-out here. It is written to the log together with whatever others came meanwhile, the log is
//! made durable, all shards are told, and when all hold it, the one that asked hears so and answers its client. What
//! can't be made durable is refused, never acknowledged.

pub mod keeper;
pub mod log;

pub use keeper::{Keep, Keeper};
pub use log::Log;
