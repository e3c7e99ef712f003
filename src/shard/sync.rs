//! ID syncs: a partner's page or pixel tells by which id it knows the visitor.

use smallvec::SmallVec;

use super::client::Served;
use super::edge::Arrival;
use super::identify::{self, ValidId};
use super::job::{Job, Visitor};
use super::prepare::{self, Caller};
use super::{Message, Shard};
use crate::clock::Now;
use crate::event::answer::{self, CookieValue, Cookies, Envelope, Fault};
use crate::event::cookie::{CookiesSent, VisitorCookie};
use crate::event::declared::{Authentication, DeclaredId, Scope};
use crate::event::endpoint::Endpoint;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::event::host;
use crate::event::ibs::{self, SyncText};
use crate::event::redirect;
use crate::http::Request;
use crate::identity::{KeyedHash, Uuid};
use crate::ids::{AccountIndex, DataSourceId};
use crate::limits::LOCATION_BYTES_MAX;
use crate::privacy::{Decision, Policy, Use, Wishes};
use crate::reactor::Io;
use crate::ruleset::{DataSource, Ruleset};

/// What is known of a sync besides its text.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// Whose sync it is; `None`: everybody's, on the host for ids.
    account: Option<AccountIndex>,
    /// The data source, if that account may name it.
    source: Option<&'a DataSource>,
    /// The partner's id, if it is one of the data source.
    id: Option<ValidId<'a>>,
    visitor: Option<Uuid>,
    cookie: Option<Uuid>,
    errors: ErrorSet,
}

impl Shard {
    /// `/ibs:` and, as `confirmed`, its second hop after the cookie test.
    pub(super) fn serve_sync<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        text: SyncText<'_>,
        confirmed: bool,
    ) -> Served {
        self.metrics.totals.sync_calls.increment();
        let caller = Caller::of(arrival.request, None);
        let limits = &rules.server.limits;
        if let Some(wait_s) = self.refuses_caller(io.now(), limits, arrival.context.address, caller) {
            let errors = ErrorSet::of(ErrorCode::Unspecified);
            return self.plain(io, rules, arrival, |out, envelope| match caller {
                Caller::Server => answer::fault(out, envelope, Fault::TooManyRequests { retry_after_s: wait_s }),
                Caller::Browser | Caller::Mobile => answer::pixel(out, envelope, errors),
            });
        }
        let mut scratch = std::mem::take(&mut self.sync_scratch);
        let served = match ibs::parse(text, &mut scratch) {
            Ok(sync) => self.sync(io, rules, arrival, text, &sync, confirmed),
            Err(_) => self.plain(io, rules, arrival, |out, envelope| {
                let errors = ErrorSet::of(ErrorCode::ParameterBadlyEncoded);
                answer::pixel(out, envelope, errors)
            }),
        };
        self.sync_scratch = scratch;
        served
    }

    fn sync<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        text: SyncText<'_>,
        sync: &ibs::Sync<'_>,
        confirmed: bool,
    ) -> Served {
        let fields = &arrival.request.fields;
        let mut found = match find(rules, arrival.request, sync) {
            Ok(found) => found,
            Err(code) => {
                return self
                    .plain(io, rules, arrival, |out, envelope| answer::pixel(out, envelope, ErrorSet::of(code)));
            }
        };
        let everybody = Policy::default();
        let policy = found.account.map_or(&everybody, |account| &rules.accounts[account.0 as usize].privacy);
        let cookies = CookiesSent::parse(fields.cookie.iter());
        let wishes = Wishes {
            opted_out: cookies.opted_out(),
            consent: sync.consent,
            coppa: sync.coppa,
            gpc: fields.sec_gpc == Some(b"1"),
            dnt: fields.dnt == Some(b"1"),
        };
        let decision = Decision::new(&wishes, policy);
        if !decision.allows(Use::Sync) {
            let errors = decision.error().map(ErrorSet::of).unwrap_or_default();
            return self.refuse_sync(io, rules, arrival, found.account, errors);
        }
        found.cookie = [cookies.demdex, cookies.dpm].into_iter().flatten().find_map(|cookie| match cookie {
            VisitorCookie::Uuid(text) => Uuid::parse(text),
            VisitorCookie::OptedOut => None,
        });
        found.visitor = found.cookie.or_else(|| sync.uuid.and_then(Uuid::parse));
        let key = found.id.map(|id| self.id_hash.declared(id.source, id.id));
        if found.visitor.is_some_and(|uuid| self.is_device_out(uuid)) || key.is_some_and(|key| self.is_id_out(key)) {
            return self.refuse_sync(io, rules, arrival, found.account, ErrorSet::of(ErrorCode::OptedOut));
        }
        if found.cookie.is_none() && !confirmed {
            // First a test whether the browser keeps cookies at all.
            let (id, shards) = (self.id, self.plan.shards);
            let uuid = identify::draw(&mut self.generator, id, &self.table_hash, shards);
            let envelope = self.sync_envelope(io, rules, arrival, found.account, Some(uuid));
            let location = answer::sync_test_location(&text);
            return Served::from(self.write_answer(|out| answer::redirect(out, &envelope, found.errors, &location)));
        }
        if let (Some(uuid), Some(source), Some(key)) = (found.visitor, found.source, key)
            && self.may_map(io.now(), rules, uuid, source, key, &mut found.errors)
        {
            let home = self.home_of(uuid);
            let job = if home == self.id { None } else { self.travelling_job(arrival, home) };
            if let Some(mut job) = job {
                job.is_sync = true;
                job.context.visitor = Visitor { uuid, cookie: found.cookie, ..Visitor::default() };
                job.context.errors = found.errors;
                self.send_away(io, home, Message::Run(job));
                return Served::Waiting;
            }
            self.map_id(io.now(), rules, &mut found);
        }
        if found.errors.contains(ErrorCode::DeviceIdBlocked) {
            found.cookie = None;
        }
        self.answer_sync(io, rules, arrival, sync.redirect, found)
    }

    /// Whether an id may be mapped to a visitor: neither of them comes too often.
    fn may_map(
        &mut self,
        now: Now,
        rules: &Ruleset,
        uuid: Uuid,
        source: &DataSource,
        key: KeyedHash,
        errors: &mut ErrorSet,
    ) -> bool {
        let refused = self.refuses_id(now, rules, source.is_blocked, key);
        refused.into_iter().for_each(|code| errors.insert(code));
        self.allowed_device(now, rules, [uuid], errors).is_ok() && refused.is_none()
    }

    /// Maps a sync's id to its visitor. Where she is at home her profile remembers it as well, for the macros of
    /// partners; elsewhere, when there was no way to her home, it is mapped alone.
    fn map_id(&mut self, now: Now, rules: &Ruleset, found: &mut Found<'_>) {
        let (Some(uuid), Some(ValidId { source, id, .. })) = (found.visitor, found.id) else { return };
        if self.home_of(uuid) == self.id {
            if self.refuses_profile_call(now, &rules.server.limits, uuid) {
                found.errors.insert(ErrorCode::ProfileOperationBlocked);
                return;
            }
            self.remember_id(now, uuid, source, id);
        }
        self.put_id(self.id_hash.declared(source, id), uuid);
    }

    /// A sync of a visitor who is at home here, from another core.
    pub(super) fn sync_job<I: Io<Message = Message>>(&mut self, io: &mut I, mut job: Box<Job>) {
        let rules = self.current_rules();
        let context = job.context;
        self.room = job.room.take();
        let (request, head, body) = job.read();
        let query = (!request.query.is_empty()).then_some(request.query);
        let (Some(Endpoint::Sync(text)) | Some(Endpoint::SyncConfirmed(text))) = Endpoint::parse(request.path, query)
        else {
            unreachable!("a sync that was read once reads again")
        };
        let arrival = Arrival { request: &request, head, body, context, close: job.close };
        let mut scratch = std::mem::take(&mut self.sync_scratch);
        let sync = ibs::parse(text, &mut scratch).expect("a sync that was read once reads again");
        let Visitor { uuid, cookie, .. } = context.visitor;
        // A new ruleset may have taken its account away.
        let served = match find(&rules, &request, &sync) {
            Ok(found) => {
                let mut errors = context.errors;
                errors.extend(found.errors);
                let mut found = Found { visitor: Some(uuid), cookie, errors, ..found };
                let is_id_out = found.id.is_some_and(|id| self.is_id_out(self.id_hash.declared(id.source, id.id)));
                // She may have opted out while the call was on its way.
                if self.is_device_out(uuid) || is_id_out {
                    self.refuse_sync(io, &rules, &arrival, found.account, ErrorSet::of(ErrorCode::OptedOut))
                } else {
                    self.map_id(io.now(), &rules, &mut found);
                    self.answer_sync(io, &rules, &arrival, sync.redirect, found)
                }
            }
            Err(code) => {
                self.plain(io, &rules, &arrival, |out, envelope| answer::pixel(out, envelope, ErrorSet::of(code)))
            }
        };
        let answer = match served {
            Served::Answer(answer) => Some(answer),
            Served::Waiting | Served::Exhausted => None,
        };
        self.sync_scratch = scratch;
        job.room = self.room.take();
        self.deliver(io, job, answer);
    }

    /// The answer to a sync of which nothing may be kept, and nobody told.
    fn refuse_sync<I: Io>(
        &mut self,
        io: &I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        account: Option<AccountIndex>,
        errors: ErrorSet,
    ) -> Served {
        let envelope = self.sync_envelope(io, rules, arrival, account, None);
        Served::from(self.write_answer(|out| answer::pixel(out, &envelope, errors)))
    }

    fn answer_sync<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        redirect: Option<&[u8]>,
        found: Found<'_>,
    ) -> Served {
        let Found { account, source, visitor, cookie, errors, .. } = found;
        let mut room = [0; LOCATION_BYTES_MAX];
        let digits = visitor.map(Uuid::digits);
        let location = match (redirect, source) {
            (Some(url), Some(source)) if redirect::is_allowed(url, &source.redirect_hosts) => {
                let uuid = digits.as_ref().map_or(&[][..], |digits| &digits[..]);
                redirect::sync_location(url, uuid, &mut room)
            }
            _ => None,
        };
        let envelope = self.sync_envelope(io, rules, arrival, account, cookie);
        Served::from(match location {
            Some(location) => self.write_answer(|out| answer::redirect(out, &envelope, errors, &[location])),
            None => self.write_answer(|out| answer::pixel(out, &envelope, errors)),
        })
    }

    fn sync_envelope<'a, I: Io>(
        &self,
        io: &I,
        rules: &'a Ruleset,
        arrival: &Arrival<'a>,
        account: Option<AccountIndex>,
        cookie: Option<Uuid>,
    ) -> Envelope<'a> {
        let request = arrival.request;
        let base = &rules.server.base_domain;
        let host = request.host.unwrap_or_default();
        let shares = host::shares_cookies(host, base.as_bytes());
        let value = cookie.map(|uuid| CookieValue::Visitor(uuid.digits()));
        let cookies = Cookies {
            demdex: value,
            dpm: value.filter(|_| shares),
            domain: shares.then_some(base),
            partitioned: rules.server.partitioned,
        };
        let origins = account.map(|account| &rules.accounts[account.0 as usize].origins);
        let allows = |origin: &&[u8]| origins.is_some_and(|origins| origins.allows(origin));
        let origin = request.fields.origin.filter(allows);
        Envelope { origin, cookies, ..self.bare_envelope(io, rules, arrival) }
    }
}

/// Reads whose a sync is and what it declares. A data source that its account may not name is told, and not used.
fn find<'a>(rules: &'a Ruleset, request: &Request<'_>, sync: &ibs::Sync<'a>) -> Result<Found<'a>, ErrorCode> {
    let number = sync.source.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).map(DataSourceId);
    let source = number.and_then(|number| rules.data_sources.get(&number));
    let account = prepare::account_of_sync(rules, request.host, source)?;
    let (mut ids, mut errors) = (SmallVec::new(), ErrorSet::EMPTY);
    let declared = DeclaredId {
        scope: Scope::DataSource,
        source: sync.source.unwrap_or_default(),
        // A partner who knows none only wants to be told who it is.
        id: sync.id,
        authentication: Authentication::Unknown,
    };
    identify::valid_ids(rules, account, &[declared], &mut ids, &mut errors);
    if sync.uuid.is_some_and(|text| Uuid::parse(text).is_none()) {
        errors.insert(ErrorCode::UuidInvalid);
    }
    let is_named = |source: &&DataSource| source.account.is_none() || source.account == account;
    Ok(Found {
        account,
        source: source.filter(is_named),
        id: ids.first().copied(),
        visitor: None,
        cookie: None,
        errors,
    })
}
