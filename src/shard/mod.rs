//! The state machine that joins everything: one for each core, driven by a runtime through `reactor`'s seam.
//!
//! A request is read by its *edge* shard (`client`, `edge`, `identify`), goes to the visitor's *home* shard if that is
//! another (`hop`), is evaluated there (`visit`) after partners were asked (`lookup`, `upstream`), and answered
//! (`answer`). What outlives a turn is a `job`.
#![forbid(unsafe_code)]

mod answer;
mod buffers;
mod client;
mod edge;
mod epoch;
mod evaluate;
mod hop;
mod id;
mod id_sync;
mod identify;
mod idle_list;
mod job;
mod lookup;
mod message;
mod optout;
mod person;
mod place;
mod plan;
mod prepare;
mod rates;
mod sync;
mod timer;
mod upstream;
mod values;
mod visit;

use std::collections::VecDeque;
use std::sync::Arc;

use buffers::Buffers;
use client::Client;
pub use epoch::Epoch;
use epoch::{Epochs, Rules};
use hop::Credits;
pub use hop::{OPT_OUTS_UNTOLD_MAX, RING_MESSAGES};
use idle_list::IdleList;
pub use job::JobRef;
use job::{Job, JobTable};
use lookup::{Failure, Lookup};
pub use message::Message;
use person::Errand;
pub use plan::Plan;
pub use rates::METER_TABLES;
use rates::Rates;
use timer::TimerWheel;
use upstream::Upstream;

use crate::clock::Minute;
use crate::destination::Entries;
use crate::event::CallBuffers;
use crate::id_sync::IdSyncEntries;
use crate::identity::{Generator, IdHash, IdMap, KeyedHash, OptOut, OptOuts, Secret, TableHash, Uuid};
use crate::ids::{SegmentId, ShardId, Signal, TraitId};
use crate::limits::{
    BODY_BYTES_MAX, CALL_SIGNALS_MAX, DECODE_BYTES_MAX, DIRECT_TRAITS_MAX, PARTNER_SEGMENTS_MAX, PARTNER_SIGNALS_MAX,
    PROFILE_SEGMENTS_MAX, SEGMENTS_MAX, SYNC_DECODE_BYTES_MAX, TRAITS_MAX,
};
use crate::metrics::ShardMetrics;
use crate::partner::answer::Answer as PartnerAnswer;
use crate::partner::calls::Calls;
use crate::partner::reader::AnswerReader;
use crate::profile::history::JointHistory;
use crate::profile::{Profile, ProfileTable};
use crate::reactor::{Buffer, ConnId, Event, Handler, Io};

/// How often pools, idle connections and old profiles are looked after.
const UPKEEP_NS: u64 = 10_000_000;
/// A connection that was made or served so lately may have a request on its way to us: it is not closed at once when
/// the server drains.
const FRESH_NS: u64 = 100_000_000;
/// How long answers have to leave after the drain's time is up.
const LAST_ANSWERS_NS: u64 = 250_000_000;
/// Visitors that one round of the sweeper may hand over.
const DUE_MAX: usize = 1_024;

/// One core's server.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    plan: Plan,
    epochs: Epochs,
    metrics: Arc<ShardMetrics>,

    // Connections.
    clients: Box<[Client]>,
    connections: usize,
    idle: IdleList,
    /// Those that are sent an answer, the one that takes longest first.
    sending: IdleList,
    upstreams: Box<[Upstream]>,
    upstream_count: usize,
    buffers: Buffers,

    // Requests and calls that outlive a turn.
    #[expect(clippy::vec_box, reason = "a job is moved between cores as a box; this is where the boxes wait")]
    spare_jobs: Vec<Box<Job>>,
    #[expect(clippy::vec_box, reason = "the same")]
    spare_errands: Vec<Box<Errand>>,
    jobs: JobTable,
    calls: Calls<Lookup, JobRef>,
    timers: TimerWheel,
    credits: Credits,
    /// Calls that failed while another request was being worked on: told about it after that.
    failed: VecDeque<u32>,

    // Visitors.
    profiles: ProfileTable,
    id_map: IdMap,
    opt_outs: OptOuts,
    rates: Rates,
    table_hash: TableHash,
    id_hash: IdHash,
    generator: Generator,

    // What one request or answer needs while it is worked on, taken out meanwhile.
    call_buffers: Option<CallBuffers>,
    decode_scratch: Box<[u8]>,
    sync_scratch: Box<[u8]>,
    body_scratch: Box<[u8]>,
    signals: Vec<Signal<'static>>,
    realised: Vec<TraitId>,
    absent: Vec<TraitId>,
    segments: Vec<SegmentId>,
    entered: Vec<SegmentId>,
    left: Vec<SegmentId>,
    /// The latest time at which segments were found: what was found then says nothing of a time before.
    placed_at: Minute,
    due: Vec<Uuid>,
    profile: Option<Box<Profile>>,
    /// A person's.
    person: Option<Box<Profile>>,
    /// A device's history and its person's.
    joint: JointHistory,
    /// Segments of one merge rule.
    merged: Vec<SegmentId>,
    destinations: Option<Entries>,
    id_syncs: Option<IdSyncEntries>,
    answer_reader: AnswerReader,
    partner_answer: Option<Box<PartnerAnswer>>,
    /// The buffer that an edge shard lent for the answer at hand.
    room: Option<Buffer>,
    /// The connection of the answer at hand closes after it.
    answer_closes: bool,

    upkeep_at_ns: u64,
    drain_deadline_ns: Option<u64>,
}

/// What a shard is made from.
#[derive(Debug)]
pub struct Setup {
    pub id: ShardId,
    pub plan: Plan,
    pub epoch: Box<Epoch>,
    pub metrics: Arc<ShardMetrics>,
    pub secret: Secret,
    /// Fresh entropy, or the simulation's seed.
    pub entropy: [u8; 32],
    /// Those in force as it starts.
    pub opt_outs: Arc<[OptOut]>,
}

impl Shard {
    /// Allocates everything that the shard will ever use.
    pub fn new(setup: Setup) -> Shard {
        let Setup { id, plan, epoch, metrics, secret, entropy, opt_outs: held } = setup;
        let table_hash = secret.table_hash();
        let mut opt_outs = OptOuts::new(plan.opt_outs_max, table_hash.clone());
        for one in held.iter() {
            opt_outs.insert(*one);
        }
        let mut generator = secret.generator(id, &entropy);
        let mut calls_key = [0; 16];
        calls_key[..8].copy_from_slice(&generator.bytes8());
        calls_key[8..].copy_from_slice(&generator.bytes8());
        Shard {
            clients: (0..plan.clients_max).map(|_| Client::new()).collect(),
            connections: 0,
            idle: IdleList::new(plan.clients_max),
            sending: IdleList::new(plan.clients_max),
            upstreams: (0..plan.upstreams_max).map(|_| Upstream::new()).collect(),
            upstream_count: 0,
            buffers: Buffers::new(plan.small_buffers, plan.large_buffers),
            spare_jobs: (0..plan.jobs_max).map(|_| Job::spare()).collect(),
            spare_errands: (0..plan.errands_max).map(|_| Errand::spare()).collect(),
            jobs: JobTable::new(plan.jobs_max),
            calls: Calls::new(plan.calls_max, plan.calls_max + plan.jobs_max, calls_key),
            timers: TimerWheel::new(plan.timers()),
            credits: Credits::new(plan.shards),
            failed: VecDeque::with_capacity(plan.calls_max),
            profiles: ProfileTable::new(plan.profile_bytes, table_hash.clone()),
            id_map: IdMap::new(plan.id_map_bytes),
            opt_outs,
            rates: Rates::new(plan.meters),
            id_hash: secret.id_hash(),
            table_hash,
            generator,
            call_buffers: Some(CallBuffers::new()),
            decode_scratch: vec![0; DECODE_BYTES_MAX].into(),
            sync_scratch: vec![0; SYNC_DECODE_BYTES_MAX].into(),
            body_scratch: vec![0; BODY_BYTES_MAX].into(),
            signals: Vec::with_capacity(CALL_SIGNALS_MAX + PARTNER_SIGNALS_MAX),
            realised: Vec::with_capacity(TRAITS_MAX + DIRECT_TRAITS_MAX + PARTNER_SEGMENTS_MAX),
            absent: Vec::with_capacity(PARTNER_SEGMENTS_MAX),
            segments: Vec::with_capacity(SEGMENTS_MAX),
            entered: Vec::with_capacity(PROFILE_SEGMENTS_MAX),
            left: Vec::with_capacity(PROFILE_SEGMENTS_MAX),
            placed_at: 0,
            due: Vec::with_capacity(DUE_MAX),
            profile: Some(Box::new(Profile::new())),
            person: Some(Box::new(Profile::new())),
            joint: JointHistory::new(),
            merged: Vec::with_capacity(SEGMENTS_MAX),
            destinations: Some(Entries::new()),
            id_syncs: Some(IdSyncEntries::new()),
            answer_reader: AnswerReader::new(),
            partner_answer: Some(Box::new(PartnerAnswer::new())),
            room: None,
            answer_closes: false,
            upkeep_at_ns: 0,
            drain_deadline_ns: None,
            epochs: Epochs { current: epoch, previous: None, next: None },
            id,
            plan,
            metrics,
        }
    }

    fn current_rules(&self) -> Rules {
        Rules::clone(&self.epochs.current.rules)
    }

    fn rules_of(&mut self, epoch: u64) -> Rules {
        Rules::clone(&self.epochs.of(epoch).rules)
    }

    fn draining(&self) -> bool {
        self.drain_deadline_ns.is_some()
    }

    fn is_client(&self, conn: ConnId) -> bool {
        (conn.slot as usize) < self.plan.clients_max
    }

    fn message<I: Io<Message = Message>>(&mut self, io: &mut I, from: ShardId, message: Message) {
        match message {
            Message::Run(job) => self.visit_job(io, job),
            Message::Reply(job) => self.replied(io, from, job),
            Message::Resolve(job) => self.resolve(io, job),
            Message::Resolved(job, found) => self.resolved(io, from, job, found),
            Message::Return(buffer) => self.buffers.give_back(buffer),
            Message::IdPut { key, uuid } => self.put_id_here(KeyedHash::from_bits(key), uuid),
            Message::IdDrop { key, uuid } => self.drop_id_here(KeyedHash::from_bits(key), uuid),
            Message::PersonApply(errand) => self.person_asked(io, errand),
            Message::PersonApplied(errand) => self.person_came(io, from, errand),
            Message::OptedOut { one, ticket } => self.opted_out(io, one, ticket),
            Message::OptOutDone { at, is_held } => self.opt_out_done(io, at, is_held),
            Message::Epoch(epoch) => self.take_epoch(io, epoch),
            Message::Addresses { partner, addresses } => self.take_addresses(io, partner, addresses),
            Message::Drain { deadline_ns } => self.drain(io, deadline_ns),
            Message::Retired(_) | Message::Replaced(_) | Message::OptOut { .. } | Message::OptOutHeld { .. } => {
                unreachable!("only control is told these")
            }
        }
    }

    fn fire<I: Io<Message = Message>>(&mut self, io: &mut I, timer: u32) {
        let timer = timer as usize;
        let (jobs, calls) = (self.plan.jobs_max, self.plan.calls_max);
        if timer < jobs {
            let Some(at) = self.jobs.at_slot(timer as u32) else { return };
            match self.jobs.job_mut(at) {
                Some(job) if job.opting_out.is_some() => self.end_opt_out(io, at),
                Some(job) if job.asks_person => self.end_wait_for_person(io, at),
                _ => self.resume(io, at),
            }
        } else if timer < jobs + calls {
            if let Some(call) = self.calls.id_at((timer - jobs) as u32) {
                self.call_timer(io, call);
            }
        } else {
            self.upstream_timer(io, (timer - jobs - calls) as u32);
        }
    }

    /// Calls that found no place for a connection in the middle of something else.
    fn settle_failures<I: Io<Message = Message>>(&mut self, io: &mut I) {
        while let Some(slot) = self.failed.pop_front() {
            if let Some(call) = self.calls.id_at(slot) {
                self.call_failed(io, call, Failure::Room);
            }
        }
    }

    /// Notes that a call failed, when its jobs can't be told at once.
    fn fail_later(&mut self, call_slot: u32) {
        self.failed.push_back(call_slot);
    }

    fn upkeep<I: Io<Message = Message>>(&mut self, io: &mut I) {
        let now = io.now();
        self.upkeep_at_ns = now.mono_ns + UPKEEP_NS;
        if self.draining() {
            self.close_idle_since(io, now.mono_ns.saturating_sub(FRESH_NS));
        } else {
            self.close_idle_since(io, now.mono_ns.saturating_sub(self.plan.idle_ns));
            self.sweep(now);
        }
        self.break_off_stalled_since(io, now.mono_ns.saturating_sub(self.plan.idle_ns));
        self.tend_pools(io);
        self.retire(io);
        self.metrics.gauges.lag_microseconds.set(io.lag_ns() / 1_000);
        self.publish();
    }

    fn drain<I: Io>(&mut self, io: &mut I, deadline_ns: u64) {
        self.drain_deadline_ns = Some(deadline_ns);
        io.stop_listening();
        self.upkeep_at_ns = 0;
    }

    /// Answers all that still waits with what is known.
    fn answer_waiting<I: Io<Message = Message>>(&mut self, io: &mut I) {
        for slot in 0..self.plan.jobs_max as u32 {
            self.timers.cancel(self.plan.timer_of_job(slot));
            self.fire(io, slot);
            self.settle_failures(io);
        }
    }

    /// Nobody can come and nothing is under way any more, or there was time enough.
    fn is_drained<I: Io>(&self, io: &I, deadline_ns: u64) -> bool {
        let is_quiet = self.connections == 0 && self.jobs.len() == 0 && self.credits.away_total() == 0;
        let is_alone = is_quiet && !io.is_listening() && !self.has_outbox();
        is_alone || io.now().mono_ns >= deadline_ns.saturating_add(LAST_ANSWERS_NS)
    }

    fn publish(&self) {
        let gauges = &self.metrics.gauges;
        gauges.connections.set(self.connections as u64);
        gauges.partner_connections.set(self.upstream_count as u64);
        gauges.parked.set(self.jobs.len() as u64);
        gauges.calls_in_flight.set(self.calls.len() as u64);
        gauges.away.set(self.credits.away_total() as u64);
        gauges.buffers_small_free.set(self.buffers.small_free() as u64);
        gauges.buffers_large_free.set(self.buffers.large_free() as u64);
        gauges.jobs_free.set(self.spare_jobs.len() as u64);
        gauges.errands_free.set(self.spare_errands.len() as u64);
        gauges.profiles.set(self.profiles.len().into());
        let memory = self.profiles.memory();
        gauges.profile_cells_free.set(u64::from(memory.cells - memory.cells_used));
        gauges.ids.set(self.id_map.len() as u64);
        self.metrics.totals.ids_evicted.set(self.id_map.evictions());
        gauges.opt_outs.set(self.opt_outs.len() as u64);
        gauges.epoch.set(self.epochs.current.number());
        gauges.backtracking_regexes.set(self.epochs.current.backtracking_regexes as u64);
    }
}

impl<I: Io<Message = Message>> Handler<I> for Shard {
    fn on_event(&mut self, io: &mut I, event: Event<'_, Message>) {
        match event {
            Event::Accepted { conn, peer } => self.client_accepted(io, conn, peer.ip()),
            Event::Received { conn, bytes } if self.is_client(conn) => self.client_received(io, conn, bytes),
            Event::Received { conn, bytes } => self.upstream_received(io, conn, bytes),
            Event::Ended { conn, reset } if self.is_client(conn) => self.client_ended(io, conn, reset),
            Event::Ended { conn, reset } => self.upstream_ended(io, conn, reset),
            Event::Sent { conn, buffer, ok } if self.is_client(conn) => {
                self.buffers.give_back(buffer);
                self.client_sent(io, conn, ok);
            }
            Event::Sent { conn, buffer, ok: _ } => self.upstream_sent(io, conn, buffer),
            Event::Connected { conn, ok } => self.upstream_connected(io, conn, ok),
            Event::Closed { conn } if self.is_client(conn) => self.client_closed(conn),
            Event::Closed { conn } => self.upstream_closed(conn),
            Event::Message { from, message } => self.message(io, from, message),
        }
        self.settle_failures(io);
    }

    fn on_turn(&mut self, io: &mut I) -> Option<u64> {
        let now_ns = io.now().mono_ns;
        self.metrics.totals.turns.increment();
        while let Some(timer) = self.timers.next_due(now_ns) {
            self.fire(io, timer);
            self.settle_failures(io);
        }
        self.flush_outbox(io);
        if now_ns >= self.upkeep_at_ns {
            self.upkeep(io);
            self.settle_failures(io);
        }
        if let Some(deadline_ns) = self.drain_deadline_ns {
            if now_ns >= deadline_ns {
                self.answer_waiting(io);
            }
            if self.is_drained(io, deadline_ns) {
                self.metrics.connections_cut.set(self.clients_waiting());
                self.publish();
                return None;
            }
        }
        // A ring that is full empties soon, but nobody tells us.
        let retry_at_ns = if self.has_outbox() { now_ns + 100_000 } else { u64::MAX };
        Some(self.timers.next_deadline_ns().min(self.upkeep_at_ns).min(retry_at_ns))
    }
}
