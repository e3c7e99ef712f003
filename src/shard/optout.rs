//! Opting out, and asking whether one has.
//!
//! The request waits, as a job with a deadline, until control says that the opt-out is durable and that every shard
//! holds it: only then is it acknowledged. All shards hold all opt-outs, so each can tell by itself whom to turn away.

use smallvec::SmallVec;

use super::client::Served;
use super::edge::Arrival;
use super::identify::{self, ValidId};
use super::job::{Context, JobRef, OptingOut};
use super::prepare::{self, Caller, Prepared};
use super::visit::Wait;
use super::{Message, OPT_OUTS_UNTOLD_MAX, Shard};
use crate::event::answer::{self, CookieValue, Cookies, Envelope, Fault, Reach};
use crate::event::call::Call;
use crate::event::cookie::{CookiesSent, VisitorCookie};
use crate::event::endpoint::Endpoint;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::event::host;
use crate::http::Request;
use crate::identity::{KeyedHash, Mid, OptOut, Uuid};
use crate::ids::ShardId;
use crate::limits::DECLARED_IDS_MAX;
use crate::reactor::{Buffer, Io};
use crate::ruleset::Ruleset;

/// How long an opt-out may take to last before its client is told to try again.
const PATIENCE_NS: u64 = 5_000_000_000;
/// One call's opt-outs: `d_uuid`, `d_mid`, two cookies, declared ids.
const OPT_OUTS_PER_CALL_MAX: usize = 4 + DECLARED_IDS_MAX;
/// Room in the ring to control that opt-outs leave for what must not be lost: that they are held here, and rulesets and
/// addresses on their way home.
const CONTROL_RESERVED_MESSAGES: usize = OPT_OUTS_UNTOLD_MAX + 256;

const _: () = assert!(CONTROL_RESERVED_MESSAGES + OPT_OUTS_PER_CALL_MAX < super::RING_MESSAGES);

/// The answer to an opt-out that could not be made to last.
const NOT_HELD: Fault<'static> = Fault::Unavailable { retry_after_s: Some(1) };

/// Whom and what a call names.
#[derive(Default)]
struct Named {
    opt_outs: SmallVec<[OptOut; OPT_OUTS_PER_CALL_MAX]>,
    /// Whether the browser that asks is opted out and is to remember it. Declared ids alone concern no browser, and ids
    /// that are none name nobody.
    is_device: bool,
    /// How far the opt-outs reach.
    reach: Reach,
    errors: ErrorSet,
}

/// How far a request to opt out got.
enum Progress {
    /// All of it was so already.
    Held,
    Waits,
    /// There is no room for it.
    Refused,
    /// Too many came from this caller, who may try again in so many seconds.
    Limited(u32),
}

impl Shard {
    /// `/demoptout` and `/demoptout.jpg`.
    pub(super) fn serve_opt_out<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
    ) -> Served {
        self.metrics.totals.opt_out_calls.increment();
        self.with_call(arrival, |shard, call| {
            let named = named(rules, arrival.request, call, |id| shard.id_hash.declared(id.source, id.id));
            let is_server = Caller::of(arrival.request, call.platform) == Caller::Server;
            let refusal = match shard.opt_out(io, rules, arrival, &named.opt_outs) {
                Progress::Held => None,
                Progress::Waits => return Served::Waiting,
                Progress::Refused => Some(NOT_HELD),
                Progress::Limited(wait_s) if is_server => Some(Fault::TooManyRequests { retry_after_s: wait_s }),
                Progress::Limited(wait_s) => Some(Fault::Unavailable { retry_after_s: Some(wait_s) }),
            };
            Served::from(shard.answer_opt_out(io, rules, arrival, call, &named, refusal))
        })
    }

    /// `/optOutStatus`: of the device that cookie, `d_mid` or `d_uuid` name.
    pub(super) fn serve_opt_out_status<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
    ) -> Served {
        self.with_call(arrival, |shard, call| {
            let named = named(rules, arrival.request, call, |id| shard.id_hash.declared(id.source, id.id));
            let cookies = CookiesSent::parse(arrival.request.fields.cookie.iter());
            let says_so = cookies.opted_out() || call.mid == Some(b"NOTARGET");
            let devices = named.opt_outs.iter().filter(|one| matches!(one, OptOut::Device(_))).copied();
            let is_out = || says_so || devices.chain(of_cookies(&cookies)).any(|one| shard.opt_outs.contains(one));
            // Of a call that can't be read no name and no cookie is used.
            let is_read = !named.errors.contains(ErrorCode::ParameterBadlyEncoded);
            let reach = Reach { global: is_read && is_out(), account: false };
            shard.plain(io, rules, arrival, |out, envelope| answer::opt_out_status(out, envelope, reach, named.errors))
        })
    }

    /// A call by which a phone's user refuses: the id of her device is opted out. If there is none, the answer says so.
    pub(super) fn opt_out_device<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        arrival: &mut Arrival<'_>,
        prepared: &Prepared<'_>,
        code: &[u8],
        is_id: bool,
    ) -> Served {
        let source = prepared.rules.integration_code(prepared.account_index, code);
        let opt_outs: SmallVec<[OptOut; DECLARED_IDS_MAX]> = prepared
            .ids
            .iter()
            .filter(|id| Some(id.source) == source)
            .map(|id| OptOut::Declared(self.id_hash.declared(id.source, id.id)))
            .collect();
        let errors = &mut arrival.context.errors;
        errors.extend(prepared.id_errors);
        if opt_outs.is_empty() {
            errors.insert(ErrorCode::DeclaredIdInvalid);
        }
        match self.opt_out(io, prepared.rules, arrival, &opt_outs) {
            Progress::Held => Served::from(self.anonymous(io, &arrival.context, prepared, is_id)),
            Progress::Waits => Served::Waiting,
            Progress::Refused => self.overloaded(io, &arrival.context, prepared),
            Progress::Limited(wait_s) => {
                self.put_off(io, &arrival.context, prepared, Fault::TooManyRequests { retry_after_s: wait_s })
            }
        }
    }

    /// Whether the visitor, or anybody or anything that the call names, has opted out.
    pub(super) fn has_opted_out(&self, prepared: &Prepared<'_>, visitor: Uuid) -> bool {
        if self.opt_outs.is_empty() {
            return false;
        }
        let call = &prepared.call;
        let named = [
            Some(visitor),
            identify::cookie_of(prepared),
            call.uuid.and_then(Uuid::parse),
            call.mid.and_then(|mid| prepared.ecid_key.resolve(Mid::classify(mid))),
        ];
        named.into_iter().flatten().any(|uuid| self.opt_outs.contains(OptOut::Device(uuid)))
            || prepared.ids.iter().any(|id| self.is_id_out(self.id_hash.declared(id.source, id.id)))
    }

    pub(super) fn is_device_out(&self, uuid: Uuid) -> bool {
        self.opt_outs.contains(OptOut::Device(uuid))
    }

    pub(super) fn is_id_out(&self, id: KeyedHash) -> bool {
        self.opt_outs.contains(OptOut::Declared(id))
    }

    /// The answer to somebody who has opted out.
    pub(super) fn turn_away<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        is_id: bool,
    ) -> Option<Buffer> {
        self.metrics.totals.opted_out.increment();
        let mut context = *context;
        context.visitor.cookie = None;
        context.errors.insert(ErrorCode::OptedOut);
        self.anonymous(io, &context, prepared, is_id)
    }

    /// Control says that an opt-out is durable: from now on it counts here, and what was known is forgotten: of a
    /// declared id its mapping and the profile of the person. Opting out a device leaves its person's.
    pub(super) fn opted_out<I: Io<Message = Message>>(&mut self, io: &mut I, one: OptOut, ticket: u32) {
        let is_new = self.opt_outs.insert(one);
        match one {
            OptOut::Device(uuid) => self.profiles.remove(uuid),
            OptOut::Declared(id) => {
                let is_mapped = self.id_map.remove(id) > 0;
                self.profiles.remove(Uuid::of_person(id)) || is_mapped
            }
        };
        let told = io.post(ShardId::CONTROL, Message::OptOutHeld { ticket, is_new });
        assert!(told.is_ok(), "the ring to control keeps room for this");
    }

    /// Control says what became of one opt-out of a job.
    pub(super) fn opt_out_done<I: Io<Message = Message>>(&mut self, io: &mut I, at: JobRef, is_held: bool) {
        // One that took too long was answered without it.
        let Some(opting_out) = self.jobs.job_mut(at).and_then(|job| job.opting_out.as_mut()) else { return };
        opting_out.refused |= !is_held;
        opting_out.left -= 1;
        if opting_out.left == 0 {
            self.end_opt_out(io, at);
        }
    }

    /// All is known of a job's opt-outs, or its time is up.
    pub(super) fn end_opt_out<I: Io<Message = Message>>(&mut self, io: &mut I, at: JobRef) {
        let mut job = self.jobs.take(at).expect("it waits there");
        job.close |= self.draining();
        self.timers.cancel(self.plan.timer_of_job(at.slot));
        let rules = self.rules_of(job.epoch);
        self.epochs.of(job.epoch).users -= 1;
        let is_held = job.opting_out.is_some_and(|opting_out| opting_out.left == 0 && !opting_out.refused);
        let (request, head, body) = job.read();
        let arrival = Arrival { request: &request, head, body, context: job.context, close: job.close };
        let answer = match Endpoint::parse(request.path, None) {
            Some(Endpoint::OptOut) => self.with_call(&arrival, |shard, call| {
                let named = named(&rules, &request, call, |id| shard.id_hash.declared(id.source, id.id));
                shard.answer_opt_out(io, &rules, &arrival, call, &named, (!is_held).then_some(NOT_HELD))
            }),
            endpoint => {
                let is_id = matches!(endpoint, Some(Endpoint::Id | Endpoint::IdRedirected));
                let answered = self.with_job(io, &rules, &job, |shard, io, prepared| {
                    if is_held {
                        return shard.anonymous(io, &arrival.context, prepared, is_id);
                    }
                    shard.metrics.totals.opt_outs_refused.increment();
                    match shard.overloaded(io, &arrival.context, prepared) {
                        Served::Answer(answer) => Some(answer),
                        Served::Waiting | Served::Exhausted => None,
                    }
                });
                answered.unwrap_or_else(|answer| answer)
            }
        };
        self.client_answer(io, &job.context, answer, job.close);
        self.recycle_job(job);
    }

    /// Asks control to make opt-outs last, and parks the request until then.
    fn opt_out<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        opt_outs: &[OptOut],
    ) -> Progress {
        let mut fresh: SmallVec<[OptOut; OPT_OUTS_PER_CALL_MAX]> = SmallVec::new();
        // Cookies and parameters often name one device: it is kept, and counts, once.
        for &one in opt_outs {
            if !self.opt_outs.contains(one) && !fresh.contains(&one) {
                fresh.push(one);
            }
        }
        if fresh.is_empty() {
            return Progress::Held;
        }
        // Each is kept for years, whoever asked for it.
        let (limits, address) = (&rules.server.limits, arrival.context.address);
        if let Some(wait_s) = self.refuses_opt_outs(io.now(), limits, address, fresh.len()) {
            return Progress::Limited(wait_s);
        }
        let has_room = self.opt_outs.room() >= fresh.len()
            && io.post_room(ShardId::CONTROL) >= CONTROL_RESERVED_MESSAGES + fresh.len();
        let at = if has_room { self.jobs.reserve() } else { None };
        let Some(at) = at else { return Progress::Refused };
        let Some(mut job) = self.make_job(arrival) else {
            self.jobs.release(at);
            return Progress::Refused;
        };
        job.opting_out = Some(OptingOut { left: fresh.len(), refused: false });
        self.park(io, job, Wait::until(io.now().mono_ns + PATIENCE_NS, at), rules.epoch);
        for one in fresh {
            let sent = io.post(ShardId::CONTROL, Message::OptOut { one, at });
            assert!(sent.is_ok(), "there was room");
        }
        Progress::Waits
    }

    fn answer_opt_out<I: Io>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        call: &Call<'_>,
        named: &Named,
        refusal: Option<Fault<'_>>,
    ) -> Option<Buffer> {
        let request = arrival.request;
        let base = &rules.server.base_domain;
        // Even where the server can't keep it, the browser can.
        let cookies = Cookies {
            demdex: named.is_device.then_some(CookieValue::OptedOut),
            dpm: None,
            domain: host::shares_cookies(request.host.unwrap_or_default(), base.as_bytes()).then_some(base),
            partitioned: rules.server.partitioned,
        };
        let envelope = Envelope { cookies, ..self.bare_envelope(io, rules, arrival) };
        if let Some(fault) = refusal {
            self.metrics.totals.opt_outs_refused.increment();
            return self.write_answer(|out| answer::fault(out, &envelope, fault));
        }
        if call.json && request.fields.sec_fetch_dest != Some(b"image") {
            return self.write_answer(|out| answer::opt_out_status(out, &envelope, named.reach, named.errors));
        }
        self.write_answer(|out| answer::pixel(out, &envelope, named.errors))
    }

    /// Decodes a call that needs no account.
    fn with_call<R>(&mut self, arrival: &Arrival<'_>, act: impl FnOnce(&mut Shard, &Call<'_>) -> R) -> R {
        let mut scratch = std::mem::take(&mut self.decode_scratch);
        let mut buffers = self.call_buffers.take().expect("one call is decoded at a time");
        let call = prepare::decode(arrival.request, arrival.body, &mut buffers, &mut scratch);
        let result = act(self, &call);
        buffers.take_back(call);
        self.call_buffers = Some(buffers);
        self.decode_scratch = scratch;
        result
    }
}

/// Reads whom a call names. What names nobody is told as an error, and the rest of the call counts.
fn named(rules: &Ruleset, request: &Request<'_>, call: &Call<'_>, key: impl Fn(&ValidId<'_>) -> KeyedHash) -> Named {
    let mut named = Named { errors: call.errors, ..Named::default() };
    let errors = &mut named.errors;
    if errors.contains(ErrorCode::ParameterBadlyEncoded) {
        return named;
    }
    let organisation = prepare::organisation(rules, call.organisation);
    if let Err(code) = organisation {
        errors.insert(code);
    }
    let account = prepare::account_of_host(rules, request.host, organisation);
    let declares = call.declared_ids.iter().any(|declared| declared.id.is_some());
    let names_none = call.uuid.is_none() && call.mid.is_none() && !declares;
    let mut says_so = false;
    if let Some(text) = call.uuid {
        match Uuid::parse(text) {
            Some(uuid) => named.opt_outs.push(OptOut::Device(uuid)),
            None => errors.insert(ErrorCode::UuidInvalid),
        }
    }
    if let Some(text) = call.mid {
        let key = organisation.ok().flatten().map_or(account, Ok);
        match (key, Mid::classify(text)) {
            (_, Mid::OptedOut) => says_so = true,
            (_, Mid::Invalid) => errors.insert(ErrorCode::EcidInvalid),
            (Err(code), _) => errors.insert(code),
            (Ok(index), mid) => {
                let uuid = rules.accounts[index.0 as usize].ecid_key.resolve(mid);
                named.opt_outs.extend(uuid.map(OptOut::Device));
            }
        }
    }
    if call.uuid.is_some() || call.mid.is_some() || !declares {
        // Whatever else she names, a visitor who wants out is the cookie's.
        let cookies = CookiesSent::parse(request.fields.cookie.iter());
        named.opt_outs.extend(of_cookies(&cookies));
        named.is_device = names_none || says_so || cookies.opted_out() || !named.opt_outs.is_empty();
    }
    named.reach.global = named.is_device;
    let mut ids = SmallVec::<[ValidId<'_>; DECLARED_IDS_MAX]>::new();
    identify::valid_ids(rules, account.ok(), &call.declared_ids, &mut ids, errors);
    for id in &ids {
        named.opt_outs.push(OptOut::Declared(key(id)));
        match rules.data_sources[&id.source].account {
            Some(_) => named.reach.account = true,
            None => named.reach.global = true,
        }
    }
    named
}

/// The devices that cookies name.
fn of_cookies(cookies: &CookiesSent<'_>) -> impl Iterator<Item = OptOut> {
    [cookies.demdex, cookies.dpm].into_iter().flatten().filter_map(|cookie| match cookie {
        VisitorCookie::Uuid(text) => Uuid::parse(text).map(OptOut::Device),
        VisitorCookie::OptedOut => None,
    })
}
