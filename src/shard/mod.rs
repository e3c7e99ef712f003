//! The state machine that joins everything: one for each core, driven by a runtime through `reactor`'s seam.
//!
//! A request is read by its *edge* shard (`client`, `edge`), goes to the visitor's *home* shard if that is another
//! (`hop`), is looked up at partners (`lookup`, `upstream`), evaluated (`visit`) and answered (`answer`).
#![forbid(unsafe_code)]

mod answer;
mod buffers;
mod client;
mod edge;
mod epoch;
mod hop;
mod identify;
mod idle_list;
mod job;
mod lookup;
mod message;
mod plan;
mod prepare;
mod sync;
mod timer;
mod upstream;
mod values;
mod visit;

use std::sync::Arc;

use buffers::Buffers;
use client::Client;
pub use epoch::Epoch;
use epoch::Epochs;
use hop::Credits;
use idle_list::IdleList;
use job::{Job, JobRef, JobTable};
use lookup::Lookup;
pub use message::Message;
pub use plan::{MemoryPlan, Plan};
use timer::TimerWheel;
use upstream::Upstream;

use crate::event::CallBuffers;
use crate::identity::{Generator, IdHash, IdMap, TableHash};
use crate::ids::{SegmentId, ShardId, TraitId};
use crate::metrics::ShardMetrics;
use crate::partner::answer::Reader as AnswerReader;
use crate::partner::calls::Calls;
use crate::profile::{Profile, ProfileTable};
use crate::reactor::{Event, Handler, Io};

/// How often pools, idle connections and old profiles are looked after.
const UPKEEP_NS: u64 = 10_000_000;

/// One core's server.
#[derive(Debug)]
pub struct Shard {
    epochs: Epochs,
    state: State,
}
