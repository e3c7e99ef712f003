//! A call at its visitor's home: ask the partners, wait if need be, evaluate, remember, answer.

use super::edge::Arrival;
use super::evaluate::insert;
use super::identify;
use super::job::{Access, Context, Job, JobRef, Visitor};
use super::person::{Asked, AtHand, Parking, Reply};
use super::prepare::{self, Prepared};
use super::values::Values;
use super::{Message, Shard};
use crate::clock::Now;
use crate::event::errors::ErrorSet;
use crate::identity::{AuthState, Uuid};
use crate::ids::{AccountIndex, DataSourceId, PartnerIndex};
use crate::limits::PARTNER_SEGMENTS_MAX;
use crate::partner::answer::AnswerKind;
use crate::partner::calls::CallId;
use crate::partner::settings::{OnAbsence, Partner};
use crate::profile::{PartnerOutcome, Profile};
use crate::reactor::{Buffer, Io};
use crate::ruleset::Ruleset;

/// What a visit came to.
pub(super) enum Visited {
    Answer(Option<Buffer>),
    /// Partners were asked, or a person's shard; the job that is to be put at this place waits for them.
    Waits(Wait),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub at: JobRef,
    pub deadline_ns: u64,
    /// One bit for each partner.
    pub waiting: u64,
    pub asks_person: bool,
    /// What is known to be wrong already.
    pub errors: ErrorSet,
}

impl Wait {
    pub(super) fn until(deadline_ns: u64, at: JobRef) -> Wait {
        Wait { at, deadline_ns, waiting: 0, asks_person: false, errors: ErrorSet::EMPTY }
    }
}

impl Shard {
    /// A call of a visitor who is at home here.
    pub(super) fn visit<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        parking: Parking,
    ) -> Visited {
        if self.has_opted_out(prepared, context.visitor.uuid) {
            return Visited::Answer(self.turn_away(io, context, prepared, prepared.is_id()));
        }
        if prepared.is_id() {
            return Visited::Answer(self.identify(io, context, prepared));
        }
        let restrained = self.restrained(io.now(), prepared.rules, context);
        let context = restrained.as_ref().unwrap_or(context);
        let mut profile = self.take_profile();
        self.open_profile(io.now(), context, prepared, &mut profile);
        let wait = match context.visitor.access {
            Access::Full => self.look_up(io, context, prepared, &mut profile, parking),
            Access::Read | Access::No => None,
        };
        let visited = match wait {
            Some(wait) => Visited::Waits(wait),
            None => self.finish(io, context, prepared, &mut profile, 0, parking),
        };
        self.profile = Some(profile);
        visited
    }

    /// A job for a visitor who is at home here: answered now, or parked.
    pub(super) fn visit_job<I: Io<Message = Message>>(&mut self, io: &mut I, mut job: Box<Job>) {
        if job.is_sync {
            return self.sync_job(io, job);
        }
        let rules = self.current_rules();
        let context = job.context;
        self.room = job.room.take();
        let visited =
            self.with_job(io, &rules, &job, |shard, io, prepared| shard.visit(io, &context, prepared, Parking::Job));
        job.room = self.room.take();
        self.deliver_or_park(io, job, visited.unwrap_or_else(Visited::Answer), rules.epoch);
    }

    /// A parked job goes on: all answers are there, or its time is up.
    pub(super) fn resume<I: Io<Message = Message>>(&mut self, io: &mut I, at: JobRef) {
        let Some(job) = self.jobs.take(at) else { return };
        self.timers.cancel(self.plan.timer_of_job(at.slot));
        let answered = job.answered;
        self.go_on(io, job, |shard, io, context, prepared| {
            shard.conclude(io, context, prepared, answered, Parking::Job)
        });
    }

    /// A parked job's time to wait for a person is up.
    pub(super) fn end_wait_for_person<I: Io<Message = Message>>(&mut self, io: &mut I, at: JobRef) {
        let Some(job) = self.jobs.take(at) else { return };
        self.go_on_with_person(io, job, Reply::Late);
    }

    pub(super) fn go_on_with_person<I: Io<Message = Message>>(&mut self, io: &mut I, job: Box<Job>, reply: Reply) {
        let answered = job.answered;
        self.go_on(io, job, |shard, io, context, prepared| {
            Visited::Answer(shard.conclude_with_person(io, context, prepared, answered, reply))
        });
    }

    fn go_on<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        mut job: Box<Job>,
        act: impl FnOnce(&mut Shard, &mut I, &Context, &Prepared<'_>) -> Visited,
    ) {
        let rules = self.rules_of(job.epoch);
        self.epochs.of(job.epoch).users -= 1;
        let context = job.context;
        self.room = job.room.take();
        let visited = self.with_job(io, &rules, &job, |shard, io, prepared| act(shard, io, &context, prepared));
        job.room = self.room.take();
        self.deliver_or_park(io, job, visited.unwrap_or_else(Visited::Answer), rules.epoch);
    }

    /// The end of a visit after its partners were asked: loads the profile, which their answers may have changed.
    pub(super) fn conclude<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        answered: u64,
        parking: Parking,
    ) -> Visited {
        // She may have opted out while the call waited.
        if self.has_opted_out(prepared, context.visitor.uuid) {
            return Visited::Answer(self.turn_away(io, context, prepared, false));
        }
        let mut profile = self.take_profile();
        self.open_profile(io.now(), context, prepared, &mut profile);
        let visited = self.finish(io, context, prepared, &mut profile, answered, parking);
        self.profile = Some(profile);
        visited
    }

    /// The end of a visit after a person's shard was asked.
    fn conclude_with_person<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        answered: u64,
        reply: Reply,
    ) -> Option<Buffer> {
        if self.has_opted_out(prepared, context.visitor.uuid) {
            return self.turn_away(io, context, prepared, false);
        }
        let now = io.now();
        let mut profile = self.take_profile();
        self.open_profile(now, context, prepared, &mut profile);
        if reply == Reply::Late {
            // The list of what the call realised is still away.
            self.evaluate(now, prepared, &profile, answered);
        }
        let at_hand = self.at_hand(context, prepared, &profile, reply);
        let answer = self.complete(io, context, prepared, &mut profile, answered, at_hand);
        self.profile = Some(profile);
        answer
    }

    /// Decodes a job's request again. A new ruleset may have taken its account away, or refuse what the old one
    /// allowed: then the answer is an error.
    pub(super) fn with_job<I: Io<Message = Message>, R>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        job: &Job,
        act: impl FnOnce(&mut Shard, &mut I, &Prepared<'_>) -> R,
    ) -> Result<R, Option<Buffer>> {
        let (request, head, body) = job.read();
        let mut scratch = std::mem::take(&mut self.decode_scratch);
        let mut buffers = self.call_buffers.take().expect("one call is decoded at a time");
        self.answer_closes = job.close || self.draining();
        let (result, call) = match prepare::prepare(rules, &request, body, &mut buffers, &mut scratch) {
            // One that opts out was refused when it came, and its answer says whether that lasts.
            Ok(prepared) if prepared.decision.error().is_some() && job.opting_out.is_none() => {
                let mut context = job.context;
                context.visitor = Visitor::default();
                context.errors.extend(prepared.decision.error().map(ErrorSet::of).unwrap_or_default());
                let is_id = matches!(request.path, b"/id" | b"/id/rd");
                (Err(self.anonymous(io, &context, &prepared, is_id)), prepared.call)
            }
            Ok(prepared) => {
                let result = act(self, io, &prepared);
                (Ok(result), prepared.call)
            }
            Err((mut call, code)) => {
                call.errors.insert(code);
                let arrival = Arrival { request: &request, head, body, context: job.context, close: job.close };
                (Err(self.without_account(io, rules, &arrival, &call, false)), call)
            }
        };
        self.answer_closes = false;
        buffers.take_back(call);
        self.call_buffers = Some(buffers);
        self.decode_scratch = scratch;
        result
    }

    /// Puts a job into its place to wait.
    pub(super) fn park<I: Io>(&mut self, io: &mut I, mut job: Box<Job>, wait: Wait, epoch: u64) {
        job.epoch = epoch;
        job.waiting = wait.waiting;
        job.asks_person = wait.asks_person;
        job.context.errors.extend(wait.errors);
        job.parked_ns = io.now().mono_ns;
        self.epochs.of(epoch).users += 1;
        self.jobs.fill(wait.at, job);
        self.timers.set(self.plan.timer_of_job(wait.at.slot), wait.deadline_ns);
    }

    fn deliver_or_park<I: Io<Message = Message>>(&mut self, io: &mut I, job: Box<Job>, visited: Visited, epoch: u64) {
        match visited {
            Visited::Answer(answer) => self.deliver(io, job, answer),
            Visited::Waits(wait) => self.park(io, job, wait, epoch),
        }
    }

    /// Brings an answer to the job's client, here or at its edge shard.
    pub(super) fn deliver<I: Io<Message = Message>>(&mut self, io: &mut I, mut job: Box<Job>, answer: Option<Buffer>) {
        // Its answer says so, whether or not the edge shard has heard of the end already.
        job.close |= self.draining();
        if job.context.edge == self.id {
            self.client_answer(io, &job.context, answer, job.close);
            self.recycle_job(job);
        } else {
            job.answer = answer;
            let edge = job.context.edge;
            self.send_back(io, Message::Reply(job), edge);
        }
    }

    /// Loads a visitor's profile, as far as consent allows to keep one.
    pub(super) fn open_profile(&mut self, now: Now, context: &Context, prepared: &Prepared<'_>, profile: &mut Profile) {
        let Visitor { uuid, access, .. } = context.visitor;
        match access {
            Access::No => profile.clear(uuid),
            Access::Full | Access::Read => {
                let is_known = self.profiles.load(uuid, profile);
                self.metrics.totals.visitors_new.add((!is_known && access == Access::Full).into());
            }
        }
        self.tend(now, profile);
        profile.last_seen = now.minute();
        if access != Access::Full {
            return;
        }
        for id in prepared.ids_allowed(context) {
            self.put_profile_id(id.source, id.authentication, id.id, profile);
        }
        for state in identify::states(prepared) {
            if self.id_of_state(state.source, profile).is_some() {
                profile.set_auth(state.source, state.authentication);
            }
        }
        if !prepared.account.merged.is_empty() {
            self.note_person(context, prepared, profile);
        }
    }

    /// Notes an id with its visitor. One that it makes room for is no longer known to be hers.
    fn put_profile_id(&mut self, source: DataSourceId, state: AuthState, text: &[u8], profile: &mut Profile) -> bool {
        if let Some(old) = profile.id_displaced_by(source, text) {
            let key = self.id_hash.declared(old.source, old.text);
            self.drop_id(key, profile.uuid);
        }
        profile.put_id(source, state, text)
    }

    fn look_up<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        profile: &mut Profile,
        parking: Parking,
    ) -> Option<Wait> {
        if prepared.account.partners.is_empty() {
            return None;
        }
        let now = io.now();
        let at = if self.can_park(parking) { self.jobs.reserve() } else { None };
        if at.is_none() {
            self.metrics.totals.parked_refused.increment();
        }
        let deadline_ns = context.received_ns + prepared.account.budget_ns - prepared.account.reserve_ns;
        let values =
            Values { context, prepared, profile: Some(profile), now, random: self.generator.u64(), timeout_ms: 0 };
        let waiting = self.ask_partners(io, &values, at, deadline_ns);
        let at = at?;
        if waiting == 0 {
            self.jobs.release(at);
            return None;
        }
        // An answer finds its visitor in the table, whatever happens to the request meanwhile.
        self.store_profile(now, profile);
        Some(Wait { waiting, ..Wait::until(deadline_ns, at) })
    }

    /// Evaluates, remembers and answers, or asks another shard for the person's profile first. `answered`: the partners
    /// whose answers came while this call waited.
    fn finish<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        profile: &mut Profile,
        answered: u64,
        parking: Parking,
    ) -> Visited {
        let now = io.now();
        let errors = self.evaluate(now, prepared, profile, answered);
        let mut at_hand = AtHand::Nobody;
        // Of a profile that is not to be changed nobody else's is either.
        let is_full = context.visitor.access == Access::Full;
        let person = if is_full { self.person_of(context, prepared, profile) } else { None };
        if !person.is_some_and(|person| person.is_current) {
            self.leave_out_partners_traits(prepared, profile, answered);
            self.count_realised(now, prepared.rules, profile);
        }
        if let Some(person) = person {
            let is_current = person.is_current;
            at_hand = AtHand::Unread { is_current };
            match self.ask_person(io, context, prepared, person, parking) {
                Asked::Here => at_hand = AtHand::Person { is_current },
                Asked::Waits { at, deadline_ns } => {
                    // What is stored before segments were told would make them all be evaluated next time.
                    self.place(now, prepared.rules, prepared.account_index, profile);
                    self.store_profile(now, profile);
                    return Visited::Waits(Wait { asks_person: true, errors, ..Wait::until(deadline_ns, at) });
                }
                Asked::Refused if is_current => {
                    self.metrics.totals.person_traits_kept.add(self.realised.len() as u64);
                    self.count_realised(now, prepared.rules, profile);
                }
                Asked::Sent | Asked::Refused => {}
            }
        }
        let mut context = *context;
        context.errors.extend(errors);
        Visited::Answer(self.complete(io, &context, prepared, profile, answered, at_hand))
    }

    /// The rest of a visit whose traits were realised: `self.realised` lists them.
    fn complete<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        profile: &mut Profile,
        answered: u64,
        at_hand: AtHand,
    ) -> Option<Buffer> {
        let now = io.now();
        let mut errors = prepared.call.errors;
        errors.extend(context.errors);
        self.place(now, prepared.rules, prepared.account_index, profile);
        if !prepared.account.merged.is_empty() {
            errors.extend(self.place_merged(now, prepared, profile, at_hand));
        }
        if context.visitor.access == Access::Full {
            self.store_profile(now, profile);
            self.put_ids(context, prepared);
        }
        self.show_partners_traits(prepared, profile, answered);
        self.answer_visit(io, context, prepared, profile, errors)
    }

    pub(super) fn store_profile(&mut self, now: Now, profile: &mut Profile) {
        let stored = self.profiles.store(profile, now.minute());
        self.metrics.totals.profiles_evicted.add(stored.evicted.into());
        self.metrics.totals.profiles_expired.add(stored.expired.into());
    }

    /// Remembers whom the call's declared ids name.
    pub(super) fn put_ids(&mut self, context: &Context, prepared: &Prepared<'_>) {
        for id in prepared.ids_allowed(context) {
            let key = self.id_hash.declared(id.source, id.id);
            self.put_id(key, context.visitor.uuid);
        }
    }

    /// Notes an id with its visitor, if she is known.
    pub(super) fn remember_id(&mut self, now: Now, uuid: Uuid, source: DataSourceId, id: &[u8]) {
        let mut profile = self.take_profile();
        if self.profiles.load(uuid, &mut profile) && self.put_profile_id(source, AuthState::Unknown, id, &mut profile) {
            self.store_profile(now, &mut profile);
        }
        self.profile = Some(profile);
    }

    pub(super) fn take_profile(&mut self) -> Box<Profile> {
        self.profile.take().expect("one profile is worked on at a time")
    }

    /// Brings a partner's answer, which was just read, into its visitor's profile.
    pub(super) fn merge<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, late: bool) {
        let now = io.now();
        let (uuid, index) = self.calls.key(call).expect("a call has a key");
        let rules = self.rules_of(self.calls.value(call).expect("a call has a value").epoch);
        let partner = &rules.partners[index.0 as usize];
        self.count_answer(rules.epoch, index, late);
        if partner.shadow {
            return;
        }
        if self.is_device_out(uuid) {
            self.partner_totals(rules.epoch, index).late_dropped.increment();
            return;
        }
        let mut profile = self.take_profile();
        if self.profiles.load(uuid, &mut profile) {
            self.tend(now, &mut profile);
            self.merge_into(io, &rules, index, &mut profile);
            self.place(now, &rules, partner.account, &mut profile);
            self.store_profile(now, &mut profile);
        } else {
            self.partner_totals(rules.epoch, index).late_dropped.increment();
        }
        self.profile = Some(profile);
    }

    fn merge_into<I: Io>(&mut self, io: &mut I, rules: &Ruleset, index: PartnerIndex, profile: &mut Profile) {
        let now = io.now();
        let partner: &Partner = &rules.partners[index.0 as usize];
        let answer = std::mem::take(&mut self.partner_answer).expect("one answer is read at a time");
        self.realised.clear();
        for segment in answer.segments() {
            partner.traits_of(segment.text).iter().for_each(|id| insert(&mut self.realised, *id));
        }
        if partner.on_absence == OnAbsence::Drop {
            self.absent.clear();
            let before = profile.partner(partner.id);
            let traits = before.into_iter().flat_map(|view| view.texts()).flat_map(|text| partner.traits_of(text));
            self.absent.extend(traits.filter(|id| self.realised.binary_search(id).is_err()).take(PARTNER_SEGMENTS_MAX));
            self.absent.iter().for_each(|id| profile.drop_trait(*id));
        }
        self.count_realised(now, rules, profile);
        let unix_s = (now.wall_ms / 1000) as u32;
        let fresh_until_s = unix_s.saturating_add(answer.fresh_s(partner.ttl_s, partner.negative_ttl_s));
        let outcome = match answer.kind {
            AnswerKind::Known => PartnerOutcome::Segments,
            AnswerKind::NothingKnown => PartnerOutcome::Nothing,
        };
        let texts = answer.segments().map(|segment| segment.text).chain(answer.signal_texts());
        let dropped = profile.set_partner(partner.id, outcome, unix_s, fresh_until_s, texts);
        self.partner_totals(rules.epoch, index).segments_dropped.add(dropped as u64);
        if let Some(id) = answer.partner_id() {
            let key = self.id_hash.declared(partner.data_source, id);
            let may_keep = rules.may_use_ids(partner.data_source, partner.account) && !self.is_id_out(key);
            if may_keep && self.put_profile_id(partner.data_source, AuthState::Unknown, id, profile) {
                self.put_id(key, profile.uuid);
            }
        }
        self.partner_answer = Some(answer);
    }

    fn count_answer(&mut self, epoch: u64, index: PartnerIndex, late: bool) {
        let answer = self.partner_answer.as_ref().expect("it was just read");
        let totals = self.partner_totals(epoch, index);
        match answer.kind {
            AnswerKind::Known => totals.hits.increment(),
            AnswerKind::NothingKnown => totals.empties.increment(),
        }
        totals.late.add(late.into());
        let dropped = answer.dropped;
        totals.segments_dropped.add(u64::from(dropped.segments) + u64::from(dropped.signals) + u64::from(dropped.ids));
    }

    /// Looks after visitors whose segments can have changed without a call: the sweeper found them.
    pub(super) fn sweep(&mut self, now: Now) {
        let mut due = std::mem::take(&mut self.due);
        let removed = self.profiles.sweep(self.plan.sweep_buckets_per_upkeep, now.minute(), &mut due);
        self.metrics.totals.profiles_expired.add(removed.into());
        let rules = self.current_rules();
        let mut profile = self.take_profile();
        for uuid in due.drain(..) {
            if self.profiles.load(uuid, &mut profile) {
                self.tend(now, &mut profile);
                profile.forget_placed();
                for index in 0..rules.accounts.len() {
                    self.place_account(now, &rules, AccountIndex(index as u16), &mut profile);
                }
                self.store_profile(now, &mut profile);
            }
        }
        self.profile = Some(profile);
        self.due = due;
    }
}
