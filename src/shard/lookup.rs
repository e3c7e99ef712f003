//! Partner lookups of one visitor: which partners to ask now, the calls under way, and what becomes of their answers.
//!
//! A call belongs to a visitor and a partner, not to a request: requests join it and leave it. It has two times: until
//! its timeout an answer counts and requests may wait for it; until its late limit an answer still enriches the
//! profile; then its connection is closed.

use super::job::JobRef;
use super::prepare::Prepared;
use super::upstream::Sendable;
use super::values::Values;
use super::{Message, Shard};
use crate::clock::Now;
use crate::identity::Uuid;
use crate::ids::{AccountIndex, PartnerIndex, ShardId};
use crate::metrics::{Counter, PartnerTotals};
use crate::partner::calls::CallId;
use crate::partner::health::Admission;
use crate::partner::pool::Acquired;
use crate::partner::{Mode, Partner, Requested};
use crate::profile::PartnerState;
use crate::reactor::{Buffer, ConnId, Io};

/// A call under way.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The ruleset in which it began.
    pub epoch: u64,
    /// Its connection, once it has one.
    pub conn: Option<ConnId>,
    /// The request's bytes, while they are not with the runtime: kept for a second try.
    pub request: Option<Buffer>,
    pub started_ns: u64,
    /// When it got its connection.
    pub sent_ns: u64,
    pub timeout_ns: u64,
    pub late_limit_ns: u64,
    /// Nobody waits any more, and health has counted it as a failure.
    pub overdue: bool,
    pub retried: bool,
}

/// Why a call ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Connect,
    Reset,
    Protocol,
    Status,
    Body,
    Size,
    Timeout,
}

/// What asking the partners of one request came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// Partners whose answers are awaited, one bit for each place in the ruleset.
    pub waiting: u64,
}

impl Shard {
    /// Asks the account's partners about a visitor, whose profile is loaded. `job` is who waits, if anybody can.
    pub(super) fn ask_partners<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        prepared: &Prepared<'_>,
        values: &Values<'_>,
        job: Option<JobRef>,
        deadline_ns: u64,
    ) -> Asked {
        let mut asked = Asked::default();
        let rules = prepared.rules;
        for &index in &prepared.account.partners {
            let partner = &rules.partners[index.0 as usize];
            if let Some(waits) = self.wants(io.now(), prepared, index, partner, deadline_ns)
                && let Some(call) = self.call_for(io, prepared, values, index, partner, deadline_ns)
                && waits
                && let Some(job) = job
                && self.calls.join(call, job)
            {
                asked.waiting |= 1 << index.0;
            }
        }
        asked
    }

    /// Whether a partner is to be asked now, and whether this request waits for the answer.
    fn wants(
        &mut self,
        now: Now,
        prepared: &Prepared<'_>,
        index: PartnerIndex,
        partner: &Partner,
        deadline_ns: u64,
    ) -> Option<bool> {
        let totals = &self.metrics.partners[index.0 as usize].totals;
        if !prepared.decision.partners() || !partner.vendor_id.is_none_or(|id| prepared.decision.allows_vendor(id)) {
            totals.skipped_consent.increment();
            return None;
        }
        if !partner.shares(self.table_hash.uuid(self.profile.uuid()).bits() as u64) {
            totals.skipped_share.increment();
            return None;
        }
        let cached = self.profile.partner(partner.id);
        let fresh = cached.is_some_and(|cached| cached.is_fresh(now.wall_ms / 1000));
        if fresh {
            totals.skipped_cache.increment();
            return None;
        }
        let waits = match partner.mode {
            Mode::Wait => true,
            Mode::Background => false,
            Mode::WaitIfUnknown => cached.is_none_or(|cached| cached.state == PartnerState::Failed),
        };
        if waits && now.mono_ns + partner.min_ns > deadline_ns {
            totals.skipped_budget.increment();
            return None;
        }
        Some(waits)
    }

    /// The call for a visitor and partner: the one under way, or a new one.
    fn call_for<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        prepared: &Prepared<'_>,
        values: &Values<'_>,
        index: PartnerIndex,
        partner: &Partner,
        deadline_ns: u64,
    ) -> Option<CallId> {
        let uuid = self.profile.uuid();
        let now = io.now();
        if let Some(call) = self.calls.find(uuid, index) {
            let usable = self.calls.value(call).is_some_and(|lookup| lookup.epoch == prepared.rules.epoch);
            let overdue = self.calls.value(call).is_some_and(|lookup| lookup.overdue);
            self.metrics.partners[index.0 as usize].totals.shared.increment();
            return (usable && !overdue).then_some(call);
        }
        let totals = &self.metrics.partners[index.0 as usize].totals;
        let runtime = self.epochs.of(prepared.rules.epoch).partner(index);
        if runtime.addresses.is_empty() {
            totals.skipped_address.increment();
            return None;
        }
        if runtime.health.admit(now.mono_ns, self.generator.u32()) != Admission::Admit {
            totals.skipped_health.increment();
            return None;
        }
        if self.calls.is_full() {
            totals.skipped_cap.increment();
            return None;
        }
        let timeout_ns = match partner.mode {
            Mode::Background => now.mono_ns + partner.timeout_ns,
            _ => deadline_ns.min(now.mono_ns + partner.timeout_ns),
        };
        let request = self.render(partner, values, timeout_ns.saturating_sub(now.mono_ns), index)?;
        let lookup = Lookup {
            epoch: prepared.rules.epoch,
            conn: None,
            request: Some(request),
            started_ns: now.mono_ns,
            sent_ns: 0,
            timeout_ns,
            late_limit_ns: timeout_ns + partner.late_ns,
            overdue: false,
            retried: false,
        };
        let call = self.calls.insert(uuid, index, lookup).expect("the table was not full, and there was no such call");
        self.timers.set(self.plan.timer_of_call(call.slot), timeout_ns);
        self.dispatch(io, call, index).then_some(call)
    }

    /// Writes a partner's request into a buffer.
    fn render(
        &mut self,
        partner: &Partner,
        values: &Values<'_>,
        left_ns: u64,
        index: PartnerIndex,
    ) -> Option<Buffer> {
        let totals = &self.metrics.partners[index.0 as usize].totals;
        let values = values.with_timeout_ms(left_ns / 1_000_000);
        let mut buffer = self.buffers.take(0);
        loop {
            let Some(mut room) = buffer else {
                totals.skipped_cap.increment();
                return None;
            };
            let is_large = room.capacity() > crate::limits::BUFFER_SMALL_BYTES;
            match partner.write_request(&values, room.block_mut()) {
                Requested::Written(len) => {
                    room.set_len(len);
                    return Some(room);
                }
                Requested::MacroEmpty => {
                    totals.skipped_macro.increment();
                    self.buffers.give_back(room);
                    return None;
                }
                Requested::Overflow => {
                    self.buffers.give_back(room);
                    if is_large {
                        totals.skipped_cap.increment();
                        return None;
                    }
                    buffer = self.buffers.take_large();
                }
            }
        }
    }

    /// Finds a connection for a call. `false`: there is none, and the call is gone.
    fn dispatch<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, index: PartnerIndex) -> bool {
        let epoch = self.calls.value(call).expect("it was just made").epoch;
        let acquired = self.epochs.of(epoch).partner(index).pool.acquire(call.slot);
        match acquired {
            Acquired::Use(conn) => self.upstream_send(io, Sendable { call, conn }),
            Acquired::Open => self.upstream_open(io, epoch, index),
            Acquired::Queue => {}
            Acquired::Full => {
                self.partner_totals(index).skipped_cap.increment();
                self.forget(call);
                return false;
            }
        }
        // Opening may have failed at once.
        self.calls.value(call).is_some()
    }

    /// Takes a call out of the table, with its buffer and timer.
    pub(super) fn forget(&mut self, call: CallId) {
        self.timers.cancel(self.plan.timer_of_call(call.slot));
        if let Some(lookup) = self.calls.remove(call)
            && let Some(request) = lookup.request
        {
            self.buffers.give_back(request);
        }
    }

    /// A call's timer: first its timeout, then its late limit.
    pub(super) fn call_timer<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId) {
        let Some(lookup) = self.calls.value_mut(call) else { return };
        let (epoch, conn, timeout_ns, late_limit_ns) =
            (lookup.epoch, lookup.conn, lookup.timeout_ns, lookup.late_limit_ns);
        let (_, index) = self.calls.key(call).expect("a call has a key");
        if io.now().mono_ns >= late_limit_ns || conn.is_none() {
            if conn.is_none() {
                self.epochs.of(epoch).partner(index).pool.give_up(call.slot);
            }
            self.call_failed(io, call, Failure::Timeout);
            if let Some(conn) = conn {
                self.upstream_discard(io, conn);
            }
            return;
        }
        debug_assert!(io.now().mono_ns >= timeout_ns, "a timer came early");
        self.timers.set(self.plan.timer_of_call(call.slot), late_limit_ns);
        self.mark_overdue(index, call);
        self.tell_jobs(io, call, false);
    }

    fn mark_overdue(&mut self, index: PartnerIndex, call: CallId) {
        let Some(lookup) = self.calls.value_mut(call) else { return };
        if std::mem::replace(&mut lookup.overdue, true) {
            return;
        }
        let epoch = lookup.epoch;
        self.partner_totals(index).timeouts.increment();
        self.epochs.of(epoch).partner(index).health.record(true);
    }

    /// A call ended without an answer. Its connection is the caller's matter.
    pub(super) fn call_failed<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, failure: Failure) {
        let Some((uuid, index)) = self.calls.key(call) else { return };
        let lookup = self.calls.value(call).expect("a call has a value");
        let (epoch, overdue) = (lookup.epoch, lookup.overdue);
        if failure == Failure::Timeout {
            self.mark_overdue(index, call);
        } else {
            failure.counter(self.partner_totals(index)).increment();
            if !overdue {
                self.epochs.of(epoch).partner(index).health.record(true);
            }
        }
        self.note_failure(io.now(), uuid, epoch, index);
        self.tell_jobs(io, call, false);
        self.forget(call);
    }

    /// Remembers in the profile that the partner was asked in vain, so that `wait_if_unknown` knows.
    fn note_failure(&mut self, now: Now, uuid: Uuid, epoch: u64, index: PartnerIndex) {
        let rules = self.rules_of(epoch);
        let partner = &rules.partners[index.0 as usize];
        if partner.shadow || !self.profiles.load(self.table_hash.uuid(uuid), uuid, &mut self.profile) {
            return;
        }
        // What is cached from an earlier answer stays: it is stale, not wrong.
        if self.profile.partner(partner.id).is_none() {
            self.profile.set_partner(partner.id, PartnerState::Failed, now.minute(), 0, std::iter::empty());
            self.store_profile(now);
        }
    }

    /// Lets everybody who waits for a call go on.
    pub(super) fn tell_jobs<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, answered: bool) {
        let Some((_, index)) = self.calls.key(call) else { return };
        while let Some(waiting) = self.calls.take_job(call) {
            let Some(job) = self.jobs.job_mut(waiting) else { continue };
            job.waiting &= !(1 << index.0);
            job.answered |= u64::from(answered) << index.0;
            let waited_ns = io.now().mono_ns - job.parked_ns;
            let is_last = job.waiting == 0;
            self.metrics.partners[index.0 as usize].waited.record(waited_ns);
            if is_last {
                self.resume(io, waiting);
            }
        }
    }

    pub(super) fn partner_totals(&self, index: PartnerIndex) -> &PartnerTotals {
        &self.metrics.partners[index.0 as usize].totals
    }
}

impl Failure {
    fn counter(self, totals: &PartnerTotals) -> &Counter {
        match self {
            Failure::Connect => &totals.errors_connect,
            Failure::Reset => &totals.errors_reset,
            Failure::Protocol => &totals.errors_protocol,
            Failure::Status => &totals.errors_status,
            Failure::Body => &totals.errors_body,
            Failure::Size => &totals.errors_size,
            Failure::Timeout => &totals.timeouts,
        }
    }
}
