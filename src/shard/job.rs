//! A job is a request that outlives the turn in which it arrived: it waits for partners, or is with another core.
//!
//! It owns copies of the request's bytes and knows where in them the parts of the head lie. What a call says is decoded
//! again by whoever goes on with a job, for that is a pure function that costs about a microsecond; so nothing borrowed
//! is ever parked. A job is moved between cores, box and buffers together, and comes back to the core that made it; so
//! no memory is shared.

use std::net::IpAddr;

use crate::event::errors::ErrorSet;
use crate::http::{Outline, Request};
use crate::identity::{KeyedHash, Uuid};
use crate::ids::ShardId;
use crate::reactor::{Buffer, ConnId};

/// What the edge shard decided about a request, once: the rest can be derived from its bytes again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub edge: ShardId,
    /// The edge shard's client connection.
    pub conn: ConnId,
    /// When the request was complete, as far as the runtime can tell: budgets start here.
    pub received_ns: u64,
    /// The visitor's address, after trusted proxies.
    pub address: IpAddr,
    /// The visitor came by https.
    pub secure: bool,
    /// Random bytes of `X-TID`.
    pub tid: [u8; 8],
    pub visitor: Visitor,
    /// What was wrong with the ids in the call.
    pub errors: ErrorSet,
    /// Declared ids that are left out, one bit for each place in the call.
    pub ids_blocked: u64,
}

impl Default for Context {
    fn default() -> Context {
        Context {
            edge: ShardId(0),
            conn: ConnId { slot: 0, generation: 0 },
            received_ns: 0,
            address: IpAddr::from([0, 0, 0, 0]),
            secure: false,
            tid: [0; 8],
            visitor: Visitor::default(),
            errors: ErrorSet::EMPTY,
            ids_blocked: 0,
        }
    }
}

/// Who the call is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Visitor {
    pub uuid: Uuid,
    /// Made in this call.
    pub is_new: bool,
    /// The uuid to set as cookie: the valid cookie's own again, or, where there is none, one that may be set.
    pub cookie: Option<Uuid>,
    pub access: Access,
}

/// What a call may do with its visitor's profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Access {
    #[default]
    Full,
    /// Nothing is changed, nobody is asked: the profile is called too often.
    Read,
    /// Her id comes too often: it is told back, and she is treated as somebody of whom nothing is known.
    No,
}

/// A parked or travelling request.
#[derive(Debug)]
pub struct Job {
    pub(super) context: Context,
    /// The head as it came, then the body, decoded from chunks if it came so.
    pub(super) request: Option<Buffer>,
    /// Where the parts of the head lie.
    pub(super) outline: Option<Outline>,
    /// Room for the answer, lent by the edge shard.
    pub(super) room: Option<Buffer>,
    /// On the way back.
    pub(super) answer: Option<Buffer>,
    /// Whether the connection closes after the answer.
    pub(super) close: bool,
    /// The declared id whose visitor must be found before the request can go home.
    pub(super) resolve: Option<KeyedHash>,
    /// The ruleset under which it was parked.
    pub(super) epoch: u64,
    /// Partners that this request waits for, one bit for each place in the ruleset.
    pub(super) waiting: u64,
    /// Partners whose answer came while it waited.
    pub(super) answered: u64,
    pub(super) parked_ns: u64,
    /// It waits for the profile of a person.
    pub(super) asks_person: bool,
    /// It is an ID sync, of which the visitor's home has to know.
    pub(super) is_sync: bool,
    /// It waits for opt-outs to last.
    pub(super) opting_out: Option<OptingOut>,
}

/// How far a request's opt-outs are.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptingOut {
    /// Those that control has not answered.
    pub left: usize,
    /// One at least could not be made to last.
    pub refused: bool,
}

impl Job {
    pub(super) fn new(context: Context) -> Job {
        Job {
            context,
            request: None,
            outline: None,
            room: None,
            answer: None,
            close: false,
            resolve: None,
            epoch: 0,
            waiting: 0,
            answered: 0,
            parked_ns: 0,
            asks_person: false,
            is_sync: false,
            opting_out: None,
        }
    }

    /// The request as it was read when it came, its head and its body.
    pub(super) fn read(&self) -> (Request<'_>, &[u8], &[u8]) {
        let (Some(bytes), Some(outline)) = (&self.request, &self.outline) else { unreachable!("a job has a request") };
        let (head, body) = bytes.bytes().split_at(outline.head_bytes());
        (outline.request(head, body), head, body)
    }

    /// A job without a request, to be filled later.
    pub(super) fn spare() -> Box<Job> {
        Box::new(Job::new(Context::default()))
    }
}

/// A parked job: a slot in its shard's table, and the generation that tells successive tenants apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRef {
    pub slot: u32,
    pub generation: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    job: Option<Box<Job>>,
}

/// The jobs that wait at this shard. A slot's number is also its timer's.
#[derive(Debug)]
pub(super) struct JobTable {
    slots: Box<[Slot]>,
    free: Vec<u32>,
}

impl JobTable {
    pub(super) fn new(jobs: usize) -> JobTable {
        JobTable {
            slots: (0..jobs).map(|_| Slot { generation: 0, job: None }).collect(),
            free: (0..jobs as u32).rev().collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a slot before there is a job to put in it, so that calls can name who waits for them.
    pub(super) fn reserve(&mut self) -> Option<JobRef> {
        let slot = self.free.pop()?;
        Some(JobRef { slot, generation: self.slots[slot as usize].generation })
    }

    pub(super) fn fill(&mut self, at: JobRef, job: Box<Job>) {
        let slot = &mut self.slots[at.slot as usize];
        assert!(slot.generation == at.generation && slot.job.is_none());
        slot.job = Some(job);
    }

    /// Gives back a reserved slot that was not filled.
    pub(super) fn release(&mut self, at: JobRef) {
        let slot = &mut self.slots[at.slot as usize];
        assert!(slot.generation == at.generation && slot.job.is_none());
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(at.slot);
    }

    pub(super) fn job_mut(&mut self, at: JobRef) -> Option<&mut Job> {
        let slot = &mut self.slots[at.slot as usize];
        if slot.generation != at.generation { None } else { slot.job.as_deref_mut() }
    }

    /// The job in a slot, whoever it is: for its own timer.
    pub(super) fn at_slot(&self, slot: u32) -> Option<JobRef> {
        let held = &self.slots[slot as usize];
        held.job.as_ref().map(|_| JobRef { slot, generation: held.generation })
    }

    pub(super) fn take(&mut self, at: JobRef) -> Option<Box<Job>> {
        let slot = &mut self.slots[at.slot as usize];
        if slot.generation != at.generation {
            return None;
        }
        let job = slot.job.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(at.slot);
        Some(job)
    }
}
