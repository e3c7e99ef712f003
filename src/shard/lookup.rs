//! Partner lookups of one visitor: which partners to ask now, the calls under way, and what becomes of their answers.
//!
//! A call belongs to a visitor and a partner, not to a request: requests join it and leave it. It has two times: until
//! its timeout an answer counts and requests may wait for it; until its late limit an answer still enriches the
//! profile; then its connection is closed. The timeout is the deadline of who waits longest, as far as the partner's
//! own reaches; each request goes on at its own deadline.

use super::job::JobRef;
use super::values::Values;
use super::{Message, Shard};
use crate::clock::Now;
use crate::identity::Uuid;
use crate::ids::PartnerIndex;
use crate::limits::BUFFER_SMALL_BYTES;
use crate::metrics::{Counter, PartnerTotals};
use crate::partner::calls::CallId;
use crate::partner::health::Admission;
use crate::partner::pool::Acquired;
use crate::partner::request::write_request;
use crate::partner::settings::{Mode, Partner};
use crate::partner::time_left::TimeLeft;
use crate::profile::{PartnerOutcome, PartnerState};
use crate::reactor::{Buffer, ConnId, Io};
use crate::ruleset::Ruleset;
use crate::template::{Rendered, Writer};

const MS_NS: u64 = 1_000_000;

/// A call under way.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The ruleset in which it began.
    pub epoch: u64,
    /// Its connection, once it has one.
    pub conn: Option<ConnId>,
    /// The request's bytes, while they are not with the runtime: kept for a second try.
    pub request: Option<Buffer>,
    /// What the request says about the time that is left.
    pub left: TimeLeft,
    pub started_ns: u64,
    /// When it got its connection.
    pub sent_ns: u64,
    /// Until when who made the call waits: an answer that comes later counts as a failure for health, even if somebody
    /// else still waited for it.
    pub promised_ns: u64,
    pub timeout_ns: u64,
    /// What the config allows the partner: nobody's deadline moves the timeout past it.
    pub timeout_max_ns: u64,
    pub late_limit_ns: u64,
    /// Nobody waits any more.
    pub overdue: bool,
    /// Health has counted it as a failure.
    pub failed: bool,
    pub retried: bool,
}

impl Lookup {
    /// Whether it may still be answered in time.
    pub(super) fn has_time(&self, now_ns: u64) -> bool {
        !self.overdue && now_ns < self.timeout_ns
    }

    /// Takes the request, for a connection that is there now: it says how much time is left at this moment.
    pub(super) fn take_request(&mut self, now_ns: u64) -> Buffer {
        let mut request = self.request.take().expect("a request that is not sent is here");
        let len = request.len();
        let mut out = Writer::resume(request.block_mut(), len);
        self.left.tell(self.timeout_ns.saturating_sub(now_ns) / MS_NS, &mut out);
        let len = out.len();
        request.set_len(len);
        request
    }

    /// Somebody waits until then. Whether that moves the timeout: it may have come already, for others.
    fn extend(&mut self, waits_until_ns: u64, now_ns: u64) -> bool {
        let timeout_ns = waits_until_ns.min(self.timeout_max_ns);
        if timeout_ns <= self.timeout_ns.max(now_ns) {
            return false;
        }
        self.late_limit_ns += timeout_ns - self.timeout_ns;
        self.timeout_ns = timeout_ns;
        self.overdue = false;
        true
    }
}

/// Why a call ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no place for one more connection: our doing, not the partner's.
    Room,
    Connect,
    Reset,
    Protocol,
    Status,
    Body,
    Size,
    Timeout,
}

impl Shard {
    /// Asks the account's partners about a visitor. `job` is who waits, if anybody can. Returns the partners whose
    /// answers are awaited, one bit for each place in the ruleset.
    pub(super) fn ask_partners<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        values: &Values<'_, '_>,
        job: Option<JobRef>,
        deadline_ns: u64,
    ) -> u64 {
        let rules = values.prepared.rules;
        let mut waiting = 0;
        for &index in &values.prepared.account.partners {
            let partner = &rules.partners[index.0 as usize];
            if let Some(waits) = self.wants(io.now(), values, index, partner, deadline_ns)
                && let Some(call) = self.call_for(io, values, index, partner, waits.then_some(deadline_ns))
                && waits
                && let Some(job) = job
                && self.calls.join(call, job)
            {
                waiting |= 1 << index.0;
            }
        }
        waiting
    }

    /// Whether a partner is to be asked now, and if so, whether this request waits for the answer.
    fn wants(
        &self,
        now: Now,
        values: &Values<'_, '_>,
        index: PartnerIndex,
        partner: &Partner,
        deadline_ns: u64,
    ) -> Option<bool> {
        let totals = self.partner_totals(values.prepared.rules.epoch, index);
        if !values.prepared.may_use(partner) {
            totals.skipped_consent.increment();
            return None;
        }
        let hash = self.table_hash.uuid(values.uuid()).bits();
        if !partner.is_in_share((hash ^ (hash >> 64)) as u64) {
            totals.skipped_share.increment();
            return None;
        }
        let known = values.profile.and_then(|profile| profile.partner(partner.id));
        let is_valid = |state| state != PartnerState::Stale;
        if known.is_some_and(|known| is_valid(known.state((now.wall_ms / 1000) as u32))) {
            totals.skipped_cache.increment();
            return None;
        }
        let waits = match partner.mode {
            // What it says changes nothing, so nobody need wait for it.
            _ if partner.shadow => false,
            Mode::Wait => true,
            Mode::Background => false,
            Mode::WaitIfUnknown => known.is_none_or(|known| known.outcome == PartnerOutcome::Failed),
        };
        if waits && now.mono_ns + u64::from(partner.min_ms) * MS_NS > deadline_ns {
            totals.skipped_budget.increment();
            return None;
        }
        Some(waits)
    }

    /// The call for a visitor and partner: the one under way, or a new one. A request that waits for it does so until
    /// its deadline; for the others that time may be over already.
    fn call_for<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        values: &Values<'_, '_>,
        index: PartnerIndex,
        partner: &Partner,
        waits_until_ns: Option<u64>,
    ) -> Option<CallId> {
        let now_ns = io.now().mono_ns;
        let epoch = values.prepared.rules.epoch;
        if let Some(call) = self.calls.find(values.uuid(), index) {
            self.partner_totals(epoch, index).shared.increment();
            let lookup = self.calls.value_mut(call).filter(|lookup| lookup.epoch == epoch)?;
            if waits_until_ns.is_some_and(|until_ns| lookup.extend(until_ns, now_ns)) {
                self.timers.set(self.plan.timer_of_call(call.slot), lookup.timeout_ns);
            }
            return (!lookup.overdue).then_some(call);
        }
        let random = self.generator.u32();
        let runtime = self.epochs.of(epoch).partner(index);
        let (has_address, admission) = (!runtime.addresses.is_empty(), runtime.health.admit(now_ns, random));
        let totals = self.partner_totals(epoch, index);
        if !has_address {
            totals.skipped_address.increment();
            return None;
        }
        if admission != Admission::Admitted {
            totals.skipped_health.increment();
            return None;
        }
        if self.calls.is_full() {
            totals.skipped_cap.increment();
            return None;
        }
        let timeout_max_ns = now_ns + u64::from(partner.timeout_ms) * MS_NS;
        let timeout_ns = timeout_max_ns.min(waits_until_ns.unwrap_or(u64::MAX));
        let mut left = TimeLeft::new((timeout_ns - now_ns) / MS_NS);
        let request = self.render(partner, values, &mut left, index)?;
        let lookup = Lookup {
            epoch,
            conn: None,
            request: Some(request),
            left,
            started_ns: now_ns,
            sent_ns: 0,
            promised_ns: timeout_ns,
            timeout_ns,
            timeout_max_ns,
            late_limit_ns: timeout_ns + u64::from(partner.late_ms) * MS_NS,
            overdue: false,
            failed: false,
            retried: false,
        };
        let call =
            self.calls.insert(values.uuid(), index, lookup).expect("the table is not full, and has no such call");
        self.epochs.of(epoch).users += 1;
        self.timers.set(self.plan.timer_of_call(call.slot), timeout_ns);
        self.dispatch(io, call, index).then_some(call)
    }

    /// Writes a partner's request into a buffer.
    fn render(
        &mut self,
        partner: &Partner,
        values: &Values<'_, '_>,
        left: &mut TimeLeft,
        index: PartnerIndex,
    ) -> Option<Buffer> {
        let epoch = values.prepared.rules.epoch;
        let values = values.with_timeout_ms(left.ms());
        let mut room = self.buffers.take(0);
        while let Some(mut buffer) = room {
            match write_request(partner, &self.told(&values), left, &mut Writer::new(buffer.block_mut())) {
                Rendered::Ok(len) => {
                    buffer.set_len(len);
                    return Some(buffer);
                }
                Rendered::Overflow if buffer.capacity() == BUFFER_SMALL_BYTES => {
                    self.buffers.give_back(buffer);
                    room = self.buffers.take_large();
                }
                Rendered::Overflow => {
                    self.buffers.give_back(buffer);
                    break;
                }
                Rendered::Skipped => {
                    self.buffers.give_back(buffer);
                    self.partner_totals(epoch, index).skipped_macro.increment();
                    return None;
                }
            }
        }
        self.partner_totals(epoch, index).skipped_cap.increment();
        None
    }

    /// Finds a connection for a call. `false`: there is none, and the call is gone.
    fn dispatch<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, index: PartnerIndex) -> bool {
        let epoch = self.calls.value(call).expect("it was just made").epoch;
        let acquired = self.epochs.of(epoch).partner(index).pool.acquire(call.slot);
        match acquired {
            Acquired::Use(conn) => self.upstream_send(io, call, conn),
            Acquired::Open => self.upstream_open(io, epoch, index),
            Acquired::Queue => {}
            Acquired::Full => {
                self.partner_totals(epoch, index).skipped_cap.increment();
                self.forget(call);
                return false;
            }
        }
        true
    }

    /// Takes a call out of the table, with its buffer and timer.
    pub(super) fn forget(&mut self, call: CallId) {
        self.timers.cancel(self.plan.timer_of_call(call.slot));
        let Some(lookup) = self.calls.remove(call) else { return };
        self.epochs.of(lookup.epoch).users -= 1;
        if let Some(request) = lookup.request {
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
        lookup.overdue = true;
        if std::mem::replace(&mut lookup.failed, true) {
            return;
        }
        let epoch = lookup.epoch;
        self.partner_totals(epoch, index).timeouts.increment();
        self.epochs.of(epoch).partner(index).health.record(true);
    }

    /// A call ended without an answer. Its connection is the caller's matter.
    pub(super) fn call_failed<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, failure: Failure) {
        let Some((uuid, index)) = self.calls.key(call) else { return };
        let lookup = self.calls.value(call).expect("a call has a value");
        let (epoch, failed) = (lookup.epoch, lookup.failed);
        if failure == Failure::Timeout {
            self.mark_overdue(index, call);
        } else {
            failure.counter(self.partner_totals(epoch, index)).increment();
            if !failed && failure != Failure::Room {
                self.epochs.of(epoch).partner(index).health.record(true);
            }
        }
        if failure != Failure::Room {
            let rules = self.rules_of(epoch);
            self.note_failure(io.now(), uuid, &rules, index);
        }
        self.tell_jobs(io, call, false);
        self.forget(call);
    }

    /// Remembers in the profile that the partner was asked in vain. What it said earlier stays: stale, not wrong.
    fn note_failure(&mut self, now: Now, uuid: Uuid, rules: &Ruleset, index: PartnerIndex) {
        let partner = &rules.partners[index.0 as usize];
        let mut profile = self.take_profile();
        let is_known = !partner.shadow && self.profiles.load(uuid, &mut profile);
        if is_known && profile.partner(partner.id).is_none() {
            let asked_s = (now.wall_ms / 1000) as u32;
            // At once stale: the next call asks again.
            profile.set_partner(partner.id, PartnerOutcome::Failed, asked_s, asked_s, std::iter::empty());
            self.store_profile(now, &mut profile);
        }
        self.profile = Some(profile);
    }

    /// Lets everybody who waits for a call go on.
    pub(super) fn tell_jobs<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, answered: bool) {
        let Some((_, index)) = self.calls.key(call) else { return };
        let epoch = self.calls.value(call).expect("a call has a value").epoch;
        while let Some(waiting) = self.calls.take_job(call) {
            let Some(job) = self.jobs.job_mut(waiting) else { continue };
            job.waiting &= !(1 << index.0);
            job.answered |= u64::from(answered) << index.0;
            let waited_ns = io.now().mono_ns - job.parked_ns;
            let is_last = job.waiting == 0;
            self.epochs.metrics(epoch, index).waited.record(waited_ns);
            if is_last {
                self.resume(io, waiting);
            }
        }
    }

    pub(super) fn partner_totals(&self, epoch: u64, index: PartnerIndex) -> &PartnerTotals {
        &self.epochs.metrics(epoch, index).totals
    }
}

impl Failure {
    fn counter(self, totals: &PartnerTotals) -> &Counter {
        match self {
            Failure::Room => &totals.skipped_cap,
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
