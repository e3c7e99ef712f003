//! What shards and the control thread say to each other.

use std::net::SocketAddr;

use super::epoch::Epoch;
use super::job::{Job, JobRef};
use super::person::Errand;
use crate::identity::{OptOut, Uuid};
use crate::ids::PartnerId;
use crate::reactor::Buffer;

/// One message: at most 64 bytes; what is larger travels in a box that its maker gets back.
#[derive(Debug)]
pub enum Message {
    /// To the visitor's home shard: do all of this request from the profile on.
    Run(Box<Job>),
    /// To the edge shard: the request with its answer.
    Reply(Box<Job>),
    /// To a declared id's shard: which visitor is this? The job holds the question; the answer goes into it.
    Resolve(Box<Job>),
    /// Back to the edge shard: what `Resolve` found.
    Resolved(Box<Job>, Option<Uuid>),
    /// To the home shard: a buffer of its own that held a large answer.
    Return(Buffer),
    /// To a declared id's shard: this id is now that visitor. No answer.
    IdPut { key: u128, uuid: Uuid },
    /// To a person's shard: apply these traits, and send back what is known.
    PersonApply(Box<Errand>),
    /// Back to the visitor's home shard.
    PersonApplied(Box<Errand>),
    /// To control: make this opt-out last, and let all shards know.
    OptOut { one: OptOut, at: JobRef },
    /// From control, to all shards: this opt-out is durable and counts from now on.
    OptedOut { one: OptOut, ticket: u32 },
    /// To control: it counts here.
    OptOutHeld { ticket: u32, is_new: bool },
    /// From control, to the shard that asked: it counts everywhere, or (not `is_held`) it could not be made to last.
    OptOutDone { at: JobRef, is_held: bool },
    /// From control: a ruleset, with all that the shard needs to use it.
    Epoch(Box<Epoch>),
    /// To control: a ruleset that no request uses any more, to be freed there.
    Retired(Box<Epoch>),
    /// From control: the addresses of a partner, resolved anew.
    Addresses { partner: PartnerId, addresses: Box<[SocketAddr]> },
    /// To control: addresses that were replaced, to be freed there.
    Replaced(Box<[SocketAddr]>),
    /// From control: stop accepting, answer what is under way, then end.
    Drain { deadline_ns: u64 },
}

const _: () = assert!(size_of::<Message>() <= 64);
