//! A request at the shard that owns its connection: which endpoint, which account, whom it is about, where it goes.

use super::client::Served;
use super::identify;
use super::job::{Access, Context, Job, Visitor};
use super::person::Parking;
use super::prepare::{self, Caller, Prepared};
use super::visit::Visited;
use super::{Message, Shard};
use crate::event::answer::{self, Fault};
use crate::event::endpoint::{Admission, Endpoint};
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::http::Request;
use crate::identity::{KeyedHash, Uuid};
use crate::ids::ShardId;
use crate::reactor::{Buffer, ConnId, Io};
use crate::ruleset::Ruleset;

/// One request on its connection.
pub(super) struct Arrival<'a> {
    pub request: &'a Request<'a>,
    /// The request's head as it came.
    pub head: &'a [u8],
    pub body: &'a [u8],
    pub context: Context,
    /// The connection closes after the answer.
    pub close: bool,
}

impl Shard {
    /// Serves a request, or finds out what it has to wait for.
    pub(super) fn serve_request<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        conn: ConnId,
        request: &Request<'_>,
        head: &[u8],
        received_ns: u64,
    ) -> Served {
        let rules = self.current_rules();
        let client = &self.clients[conn.slot as usize];
        let close = client.closes_after_answer();
        let (address, secure) = prepare::origin_of(&rules, client.address, request);
        let mut body_scratch = std::mem::take(&mut self.body_scratch);
        let body = request.body.contiguous(&mut body_scratch);
        let context = Context {
            edge: self.id,
            conn,
            received_ns,
            address,
            secure,
            tid: self.generator.bytes8(),
            visitor: Visitor::default(),
            errors: ErrorSet::default(),
            ids_blocked: 0,
        };
        let served = self.route(io, &rules, Arrival { request, head, body, context, close });
        self.body_scratch = body_scratch;
        served
    }

    fn route<I: Io<Message = Message>>(&mut self, io: &mut I, rules: &Ruleset, arrival: Arrival<'_>) -> Served {
        let request = arrival.request;
        let query = (!request.query.is_empty()).then_some(request.query);
        let Some(endpoint) = Endpoint::parse(request.path, query) else {
            self.metrics.totals.not_found.increment();
            return self.fault(io, rules, &arrival, Fault::NotFound);
        };
        match endpoint.admit(request.method) {
            Admission::Serve => {}
            Admission::Preflight { allow } => {
                return self.plain(io, rules, &arrival, |out, envelope| answer::preflight(out, envelope, allow));
            }
            Admission::NotAllowed { allow } => {
                return self.fault(io, rules, &arrival, Fault::MethodNotAllowed { allow });
            }
        }
        match endpoint {
            Endpoint::Event | Endpoint::FirstEvent => {
                self.metrics.totals.events.increment();
                self.serve_call(io, rules, arrival, false)
            }
            Endpoint::Id | Endpoint::IdRedirected => {
                self.metrics.totals.id_calls.increment();
                self.serve_call(io, rules, arrival, true)
            }
            Endpoint::Sync(text) => self.serve_sync(io, rules, &arrival, text, false),
            Endpoint::SyncConfirmed(text) => self.serve_sync(io, rules, &arrival, text, true),
            Endpoint::OptOut => self.serve_opt_out(io, rules, &arrival),
            Endpoint::OptOutStatus => self.serve_opt_out_status(io, rules, &arrival),
            Endpoint::Frame => self.serve_frame(io, rules, &arrival),
            Endpoint::Tag => self.plain(io, rules, &arrival, answer::tag),
            _ => self.plain(io, rules, &arrival, |out, envelope| answer::small_file(out, envelope, endpoint)),
        }
    }

    /// `/event` and `/id`.
    fn serve_call<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        mut arrival: Arrival<'_>,
        is_id: bool,
    ) -> Served {
        let mut scratch = std::mem::take(&mut self.decode_scratch);
        let mut buffers = self.call_buffers.take().expect("one call is decoded at a time");
        let (served, call) = match prepare::prepare(rules, arrival.request, arrival.body, &mut buffers, &mut scratch) {
            Ok(prepared) => {
                let served = self.serve_prepared(io, &mut arrival, &prepared, is_id);
                (served, prepared.call)
            }
            Err((mut call, code)) => {
                call.errors.insert(code);
                (Served::from(self.without_account(io, rules, &arrival, &call, is_id)), call)
            }
        };
        buffers.take_back(call);
        self.call_buffers = Some(buffers);
        self.decode_scratch = scratch;
        served
    }

    fn serve_prepared<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        arrival: &mut Arrival<'_>,
        prepared: &Prepared<'_>,
        is_id: bool,
    ) -> Served {
        let (now, limits) = (io.now(), &prepared.rules.server.limits);
        if let Some(wait_s) = self.refuses_caller(now, limits, arrival.context.address, prepared.caller()) {
            return self.put_off(io, &arrival.context, prepared, Fault::TooManyRequests { retry_after_s: wait_s });
        }
        let errors = &mut arrival.context.errors;
        if prepared.call.errors.contains(ErrorCode::ParameterBadlyEncoded) {
            return Served::from(self.anonymous(io, &arrival.context, prepared, is_id));
        }
        if let Some(code) = prepared.decision.error() {
            match code {
                ErrorCode::OptedOut => self.metrics.totals.opted_out.increment(),
                _ => self.metrics.totals.consent_refused.increment(),
            }
            errors.insert(code);
            if let Some(code) = prepared.decision.opts_out_device {
                return self.opt_out_device(io, arrival, prepared, code, is_id);
            }
            return Served::from(self.anonymous(io, &arrival.context, prepared, is_id));
        }
        errors.extend(prepared.id_errors);
        let cookie = identify::cookie_of(prepared);
        let claims = identify::claims(prepared, cookie, errors);
        let device = self.allowed_device(now, prepared.rules, claims, errors);
        self.leave_out_ids(now, prepared, &mut arrival.context);
        if let Err(Some(uuid)) = device {
            arrival.context.visitor = Visitor { uuid, access: Access::No, ..Visitor::default() };
        }
        let claim = match device {
            Ok(uuid) => Some((uuid, false)),
            Err(_) => match identify::resolvable(prepared, &arrival.context, &self.id_hash) {
                Ok(key) => {
                    let owner = key.shard(self.plan.shards);
                    if owner != self.id {
                        return self.ask_owner(io, arrival, prepared, key, owner);
                    }
                    self.id_map.resolve(key).map(|uuid| (uuid, true))
                }
                Err(code) => {
                    code.into_iter().for_each(|code| arrival.context.errors.insert(code));
                    None
                }
            },
        };
        self.serve_identified(io, arrival, prepared, claim, cookie, is_id)
    }

    /// The visitor is found or made: to her home.
    fn serve_identified<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        arrival: &mut Arrival<'_>,
        prepared: &Prepared<'_>,
        claim: Option<(Uuid, bool)>,
        cookie: Option<Uuid>,
        is_id: bool,
    ) -> Served {
        let (id, shards) = (self.id, self.plan.shards);
        let is_denied = claim.is_none() && arrival.context.visitor.access == Access::No;
        if !is_denied {
            let draw = || self.generator.uuid_owned_by(id, &self.table_hash, shards);
            arrival.context.visitor = identify::settle(prepared, claim, cookie, draw);
        }
        if is_id {
            return self.serve_id(io, arrival, prepared, claim.is_some() || is_denied, cookie.is_some());
        }
        // Of whom nothing may be read is at home everywhere.
        let home = if is_denied { self.id } else { self.home_of(arrival.context.visitor.uuid) };
        if home != self.id {
            return self.send_home(io, arrival, prepared, home);
        }
        let parking = Parking::Made { request_bytes: arrival.head.len() + arrival.body.len() };
        match self.visit(io, &arrival.context, prepared, parking) {
            Visited::Answer(answer) => Served::from(answer),
            Visited::Waits(wait) => match self.make_job(arrival) {
                Some(job) => {
                    self.park(io, job, wait, prepared.rules.epoch);
                    Served::Waiting
                }
                // What was asked of the partners took the last buffer: they are asked, but nobody waits.
                None => {
                    assert!(!wait.asks_person, "an errand is sent after there is known to be room for its job");
                    self.metrics.totals.parked_refused.increment();
                    self.jobs.release(wait.at);
                    match self.conclude(io, &arrival.context, prepared, 0, Parking::Never) {
                        Visited::Answer(answer) => Served::from(answer),
                        Visited::Waits(_) => unreachable!("what can't be parked does not wait"),
                    }
                }
            },
        }
    }

    pub(super) fn send_home<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        arrival: &Arrival<'_>,
        prepared: &Prepared<'_>,
        home: ShardId,
    ) -> Served {
        match self.travelling_job(arrival, home) {
            Some(job) => {
                self.send_away(io, home, Message::Run(job));
                Served::Waiting
            }
            None => {
                self.metrics.totals.hops_refused.increment();
                self.overloaded(io, &arrival.context, prepared)
            }
        }
    }

    /// A job with room for its answer, if there is credit for it.
    pub(super) fn travelling_job(&mut self, arrival: &Arrival<'_>, to: ShardId) -> Option<Box<Job>> {
        if !self.credits.has(to) {
            return None;
        }
        // A small one: a large one would pass for the other shard's own when it comes back.
        let room = self.buffers.take_small()?;
        match self.make_job(arrival) {
            Some(mut job) => {
                job.room = Some(room);
                Some(job)
            }
            None => {
                self.buffers.give_back(room);
                None
            }
        }
    }

    /// Whom a server's declared id names is known elsewhere: the request waits for that shard's word.
    fn ask_owner<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        arrival: &Arrival<'_>,
        prepared: &Prepared<'_>,
        key: KeyedHash,
        owner: ShardId,
    ) -> Served {
        match self.travelling_job(arrival, owner) {
            Some(mut job) => {
                job.resolve = Some(key);
                self.send_away(io, owner, Message::Resolve(job));
                Served::Waiting
            }
            None => {
                self.metrics.totals.hops_refused.increment();
                self.overloaded(io, &arrival.context, prepared)
            }
        }
    }

    /// The word of a declared id's shard has come.
    pub(super) fn resolved<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        from: ShardId,
        job: Box<Job>,
        found: Option<Uuid>,
    ) {
        self.credits.came_back(from);
        let rules = self.current_rules();
        let (request, head, body) = job.read();
        let is_id = matches!(request.path, b"/id" | b"/id/rd");
        let mut arrival = Arrival { request: &request, head, body, context: job.context, close: job.close };
        let served = self.with_job(io, &rules, &job, |shard, io, prepared| {
            let claim = found.map(|uuid| (uuid, true));
            shard.serve_identified(io, &mut arrival, prepared, claim, None, is_id)
        });
        match served.unwrap_or_else(Served::from) {
            Served::Waiting => {}
            Served::Answer(answer) => self.client_answer(io, &job.context, Some(answer), job.close),
            Served::Exhausted => self.client_answer(io, &job.context, None, job.close),
        }
        self.recycle_job(job);
    }

    /// An answer to a caller when some pool is used up: what each class of caller can bear.
    pub(super) fn overloaded<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
    ) -> Served {
        self.metrics.totals.overloaded.increment();
        self.put_off(io, context, prepared, Fault::Unavailable { retry_after_s: Some(1) })
    }

    /// An answer to a caller who can't be served now. Servers understand any status; phones would drop what they sent
    /// after most of them, and browsers' clients stop after all but 200.
    pub(super) fn put_off<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        to_servers: Fault<'_>,
    ) -> Served {
        match prepared.caller() {
            Caller::Browser => {
                let mut context = *context;
                context.errors.insert(ErrorCode::Unspecified);
                Served::from(self.anonymous(io, &context, prepared, prepared.is_id()))
            }
            caller => {
                let to_phones = Fault::Unavailable { retry_after_s: None };
                let fault = if caller == Caller::Server { to_servers } else { to_phones };
                let envelope = self.envelope(io, context, prepared);
                Served::from(self.write_answer(|out| answer::fault(out, &envelope, fault)))
            }
        }
    }
}

impl From<Option<Buffer>> for Served {
    fn from(answer: Option<Buffer>) -> Served {
        answer.map_or(Served::Exhausted, Served::Answer)
    }
}
