//! Requests that travel: to the visitor's home shard and back, and before that, if need be, to the shard that knows
//! whom a declared id names.
//!
//! A shard sends another no more requests than it has credit for. The ring back holds that many answers, so an answer
//! always fits and nobody ever blocks.

use std::collections::VecDeque;

use super::edge::Arrival;
use super::job::Job;
use super::plan::LARGE_BUFFERS_MAX;
use super::{Message, Shard};
use crate::http::Outline;
use crate::identity::{KeyedHash, Uuid};
use crate::ids::ShardId;
use crate::limits::BUFFER_SMALL_BYTES;
use crate::reactor::Io;

/// Requests that one shard may have at another at a time.
pub(super) const CREDITS: usize = 256;
/// Mappings of ids that wait for room on their way, from one shard.
const OUTBOX_MAX: usize = 4_096;
/// What the ring between two shards holds.
pub const RING_MESSAGES: usize = 1_024;
/// Opt-outs that control tells all shards of at a time: as many answers a shard may have to send it.
pub const OPT_OUTS_UNTOLD_MAX: usize = 128;
/// Room that only requests, answers and buffers going home may take: each has a bound of its own.
const RESERVED_MESSAGES: usize = CREDITS + CREDITS + LARGE_BUFFERS_MAX;

const _: () = assert!(RESERVED_MESSAGES < RING_MESSAGES, "what must not wait always finds room in a ring");

#[derive(Debug)]
pub(super) struct Credits {
    /// By shard: requests of ours that are there.
    away: Box<[usize]>,
    /// Mappings of ids that found the ring full, and where they go.
    outbox: VecDeque<(ShardId, Mapping)>,
}

/// What another shard is told of a declared id and a visitor.
#[derive(Clone, Copy, Debug)]
enum Mapping {
    Put { key: KeyedHash, uuid: Uuid },
    Drop { key: KeyedHash, uuid: Uuid },
}

impl Credits {
    pub(super) fn new(shards: u16) -> Credits {
        Credits { away: vec![0; shards.into()].into(), outbox: VecDeque::with_capacity(OUTBOX_MAX) }
    }

    pub(super) fn away_total(&self) -> usize {
        self.away.iter().sum()
    }

    /// A request of ours is back.
    pub(super) fn came_back(&mut self, from: ShardId) {
        self.away[from.0 as usize] -= 1;
    }

    /// Whether one more request may go to a shard.
    pub(super) fn has(&self, to: ShardId) -> bool {
        self.away[to.0 as usize] < CREDITS
    }
}

impl Shard {
    /// The shard that keeps a visitor's profile.
    pub(super) fn home_of(&self, uuid: Uuid) -> ShardId {
        self.table_hash.owner(uuid, self.plan.shards)
    }

    /// Makes a job of a request; `None` when the pools don't allow it.
    pub(super) fn make_job(&mut self, arrival: &Arrival<'_>) -> Option<Box<Job>> {
        let Arrival { request, head, body, context, close } = *arrival;
        let outline = Some(Outline::new(request, head));
        let mut job = self.spare_jobs.pop()?;
        let Some(mut bytes) = self.buffers.take(head.len() + body.len()) else {
            self.spare_jobs.push(job);
            return None;
        };
        let fits = bytes.extend(head) && bytes.extend(body);
        debug_assert!(fits, "a buffer of the asked size was taken");
        *job = Job { request: Some(bytes), outline, close, ..Job::new(context) };
        Some(job)
    }

    /// Whether a request of so many bytes could become a job now.
    pub(super) fn can_make_job(&self, request_bytes: usize) -> bool {
        !self.spare_jobs.is_empty() && self.buffers.has(request_bytes)
    }

    /// Takes a job's memory back. Only for jobs that this shard made.
    pub(super) fn recycle_job(&mut self, mut job: Box<Job>) {
        for buffer in [job.request.take(), job.room.take(), job.answer.take()].into_iter().flatten() {
            self.buffers.give_back(buffer);
        }
        self.spare_jobs.push(job);
    }

    /// Sends a request to another shard, with a buffer for its answer. The caller has checked that there is credit.
    pub(super) fn send_away<I: Io<Message = Message>>(&mut self, io: &mut I, to: ShardId, message: Message) {
        self.credits.away[to.0 as usize] += 1;
        self.metrics.totals.hops.increment();
        let sent = io.post(to, message);
        assert!(sent.is_ok(), "a request with credit finds room");
    }

    /// Sends a request back to its edge shard.
    pub(super) fn send_back<I: Io<Message = Message>>(&mut self, io: &mut I, message: Message, edge: ShardId) {
        // Whoever gets the answer may call again at once, and is to be found by the ids of this call.
        self.flush_outbox(io);
        let sent = io.post(edge, message);
        assert!(sent.is_ok(), "an answer finds room, since its request had credit");
    }

    /// Remembers whom a declared id names, wherever that is kept.
    pub(super) fn put_id(&mut self, key: KeyedHash, uuid: Uuid) {
        self.metrics.totals.ids_mapped.increment();
        let owner = key.shard(self.plan.shards);
        if owner == self.id {
            self.put_id_here(key, uuid);
        } else {
            self.send_mapping(owner, Mapping::Put { key, uuid });
        }
    }

    /// An id may have been opted out while its mapping was on the way.
    pub(super) fn put_id_here(&mut self, key: KeyedHash, uuid: Uuid) {
        if !self.is_id_out(key) {
            self.id_map.put(key, uuid);
        }
    }

    /// Forgets that a declared id names a visitor, wherever that is kept.
    pub(super) fn drop_id(&mut self, key: KeyedHash, uuid: Uuid) {
        let owner = key.shard(self.plan.shards);
        if owner == self.id {
            self.drop_id_here(key, uuid);
        } else {
            self.send_mapping(owner, Mapping::Drop { key, uuid });
        }
    }

    pub(super) fn drop_id_here(&mut self, key: KeyedHash, uuid: Uuid) {
        let was_there = self.id_map.remove_device(key, uuid);
        self.metrics.totals.ids_displaced.add(was_there.into());
    }

    fn send_mapping(&mut self, owner: ShardId, mapping: Mapping) {
        if self.credits.outbox.len() < OUTBOX_MAX {
            self.credits.outbox.push_back((owner, mapping));
        } else {
            self.metrics.totals.ids_unsent.increment();
        }
    }

    /// Sends the mappings that this turn made, as far as there is room.
    pub(super) fn flush_outbox<I: Io<Message = Message>>(&mut self, io: &mut I) {
        while let Some(&(owner, mapping)) = self.credits.outbox.front()
            && io.post_room(owner) > RESERVED_MESSAGES
        {
            let message = match mapping {
                Mapping::Put { key, uuid } => Message::IdPut { key: key.bits(), uuid },
                Mapping::Drop { key, uuid } => Message::IdDrop { key: key.bits(), uuid },
            };
            let sent = io.post(owner, message);
            assert!(sent.is_ok(), "there was room");
            self.credits.outbox.pop_front();
        }
    }

    pub(super) fn has_outbox(&self) -> bool {
        !self.credits.outbox.is_empty()
    }

    /// A request that was away comes home with its answer.
    pub(super) fn replied<I: Io<Message = Message>>(&mut self, io: &mut I, from: ShardId, mut job: Box<Job>) {
        self.credits.came_back(from);
        let answer = match job.answer.take() {
            // Only an answer that didn't fit the small buffer we sent along is in one of theirs.
            Some(theirs) if theirs.capacity() > BUFFER_SMALL_BYTES => {
                let ours = self.buffers.filled(theirs.bytes());
                self.send_back(io, Message::Return(theirs), from);
                ours
            }
            ours => ours,
        };
        self.client_answer(io, &job.context, answer, job.close);
        self.recycle_job(job);
    }

    /// Another shard asks whom an id names.
    pub(super) fn resolve<I: Io<Message = Message>>(&mut self, io: &mut I, job: Box<Job>) {
        let found = job.resolve.and_then(|key| self.id_map.resolve(key));
        let edge = job.context.edge;
        self.send_back(io, Message::Resolved(job, found), edge);
    }
}
