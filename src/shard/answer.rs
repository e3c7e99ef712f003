//! Filling in answers: what the shard knows, in the shapes that `event::answer` writes.

use smallvec::SmallVec;

use super::Shard;
use super::client::Served;
use super::edge::Arrival;
use super::identify;
use super::job::Context;
use super::prepare::Prepared;
use super::values::Values;
use crate::destination::{Entries, Occasion, UrlTag};
use crate::event::answer::{
    self, Connection, CookieValue, Cookies, Destination, DestinationKind, Envelope, EventAnswer, Fault, IdAnswer,
    Stuff, Written,
};
use crate::event::call::{Call, MediaEvent, Platform, SegmentList};
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::event::{host, redirect};
use crate::http::{Method, Request, Version, status};
use crate::identity::Uuid;
use crate::ids::SegmentId;
use crate::limits::{DESTINATION_ENTRIES_MAX, LOCATION_BYTES_MAX, TARGET_BYTES_MAX};
use crate::privacy::Use;
use crate::profile::Profile;
use crate::reactor::{Buffer, Io};
use crate::ruleset::Ruleset;

/// How long clients keep a blob and may leave syncs alone, as they are told in seconds.
pub(super) const ID_SYNC_TTL_S: u32 = 604_800;
/// How long clients may believe the opt-out state, in seconds.
pub(super) const OPT_OUT_TTL_S: u32 = 7_200;

/// The form that an answer takes.
enum Form<'a> {
    Json,
    Jsonp(&'a [u8]),
    Pixel,
}

impl Shard {
    /// The answer of `/event` after all is evaluated.
    pub(super) fn answer_visit<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        profile: &Profile,
        mut errors: ErrorSet,
    ) -> Option<Buffer> {
        let call = &prepared.call;
        if let Some(buffer) = self.click(io, context, prepared, errors) {
            return Some(buffer);
        }
        if matches!(form_of(prepared, false), Form::Pixel) {
            let envelope = self.envelope(io, context, prepared);
            return self.write_answer(|out| answer::pixel(out, &envelope, errors));
        }
        let mut entries = self.destinations.take().expect("one answer is written at a time");
        entries.clear();
        if prepared.decision.allows(Use::Destinations) {
            self.fill_destinations(io, context, prepared, profile, &mut entries);
            if entries.dropped() > 0 {
                self.metrics.totals.destinations_dropped.add(entries.dropped().into());
                errors.insert(ErrorCode::PartlyEvaluated);
            }
        }
        self.list_segments(prepared);
        // Filled where they stand: a list that is collected is copied whole, room that nothing fills included.
        let mut stuff = SmallVec::<[Stuff<'_>; DESTINATION_ENTRIES_MAX]>::new();
        for cookie in entries.cookies() {
            let (name, value, domain) = (cookie.name, cookie.value, cookie.domain);
            stuff.push(Stuff { name, value, ttl_days: cookie.ttl_days, domain });
        }
        let mut urls = SmallVec::<[Destination<'_>; DESTINATION_ENTRIES_MAX]>::new();
        for url in entries.urls() {
            let kind = match url.tag {
                UrlTag::Img => DestinationKind::Image,
                UrlTag::Iframe => DestinationKind::Frame,
            };
            urls.push(Destination { id: url.id, kind, url: url.url, secure_url: url.secure_url });
        }
        let uuid = context.visitor.uuid.digits();
        let answer_listed = call.segments != SegmentList::No;
        let (realised, segments) = (std::mem::take(&mut self.realised), std::mem::take(&mut self.segments));
        let event = EventAnswer {
            stuff: &stuff,
            uuid: Some(&uuid),
            region: Some(prepared.rules.server.region),
            destinations: call.destinations.then_some(&urls[..]),
            traits: answer_listed.then_some(&realised[..]),
            segments: answer_listed.then_some(&segments[..]),
            errors,
        };
        let buffer = self.event_answer(io, context, prepared, &event);
        drop((stuff, urls));
        self.destinations = Some(entries);
        self.realised = realised;
        self.segments = segments;
        buffer
    }

    /// The answer of a call about nobody: opted out, refused, or not readable.
    pub(super) fn anonymous<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        is_id: bool,
    ) -> Option<Buffer> {
        let mut errors = prepared.call.errors;
        errors.extend(context.errors);
        let region = Some(prepared.rules.server.region);
        // A caller that can't be served now keeps the identity that it has. (The call itself brings the same error for
        // a bad callback, whoever it is about.)
        let is_kept = context.errors.contains(ErrorCode::Unspecified) && prepared.decision.error().is_none();
        if is_id {
            let opted_out = errors.contains(ErrorCode::OptedOut);
            let answer = IdAnswer {
                mid: prepared.mid().filter(|_| is_kept),
                id_sync_ttl_s: ID_SYNC_TTL_S,
                region,
                opted_out,
                opt_out_ttl_s: OPT_OUT_TTL_S,
                subdomain: prepared.account.alias.as_bytes(),
                errors,
                ..IdAnswer::default()
            };
            self.id_answer(io, context, prepared, &answer)
        } else if let Some(buffer) = self.click(io, context, prepared, errors) {
            // Whoever it is, she follows a link of hers; nothing is told of her on the way.
            Some(buffer)
        } else if matches!(form_of(prepared, false), Form::Pixel) {
            let envelope = self.envelope(io, context, prepared);
            self.write_answer(|out| answer::pixel(out, &envelope, errors))
        } else {
            let cookie = identify::cookie_of(prepared);
            let named = || identify::claims(prepared, cookie, &mut ErrorSet::default()).next();
            let uuid = is_kept.then(named).flatten().map(Uuid::digits);
            let nothing = prepared.call.segments != SegmentList::No;
            let event = EventAnswer {
                uuid: uuid.as_ref().map(|uuid| &uuid[..]),
                region,
                destinations: prepared.call.destinations.then_some(&[]),
                traits: nothing.then_some(&[]),
                segments: nothing.then_some(&[]),
                errors,
                ..EventAnswer::default()
            };
            self.event_answer(io, context, prepared, &event)
        }
    }

    fn event_answer<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        event: &EventAnswer<'_>,
    ) -> Option<Buffer> {
        self.metrics.totals.errors_call.add(u64::from(!event.errors.is_empty()));
        let envelope = self.envelope(io, context, prepared);
        match form_of(prepared, false) {
            Form::Pixel => self.write_answer(|out| answer::pixel(out, &envelope, event.errors)),
            Form::Json => self.write_answer(|out| answer::event(out, &envelope, event, None)),
            Form::Jsonp(callback) if self.may_run_scripts(prepared) => {
                self.write_answer(|out| answer::event(out, &envelope, event, Some(callback)))
            }
            Form::Jsonp(callback) => {
                let errors = ErrorSet::of(ErrorCode::RefererNotAllowed);
                self.write_answer(|out| answer::errors_only(out, &envelope, errors, Some(callback)))
            }
        }
    }

    pub(super) fn id_answer<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        answer: &IdAnswer<'_>,
    ) -> Option<Buffer> {
        self.metrics.totals.errors_call.add(u64::from(!answer.errors.is_empty()));
        let envelope = self.envelope(io, context, prepared);
        match form_of(prepared, true) {
            Form::Jsonp(callback) if self.may_run_scripts(prepared) => {
                self.write_answer(|out| answer::id(out, &envelope, answer, Some(callback)))
            }
            Form::Jsonp(callback) => {
                let errors = ErrorSet::of(ErrorCode::RefererNotAllowed);
                self.write_answer(|out| answer::errors_only(out, &envelope, errors, Some(callback)))
            }
            Form::Json | Form::Pixel => self.write_answer(|out| answer::id(out, &envelope, answer, None)),
        }
    }

    /// Scripts run with the rights of the page that includes them, so a page that may not read gets none.
    fn may_run_scripts(&self, prepared: &Prepared<'_>) -> bool {
        let account = prepared.account;
        match prepared.request.fields.referer {
            Some(referer) => account.origins.allows_url(referer),
            None => account.jsonp_without_referer,
        }
    }

    /// Where a clicked advertisement leads, if that host is allowed.
    fn click<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        errors: ErrorSet,
    ) -> Option<Buffer> {
        if prepared.call.media.event != Some(MediaEvent::Click) {
            return None;
        }
        let (mut url, mut location) = ([0; TARGET_BYTES_MAX], [0; LOCATION_BYTES_MAX]);
        let url = redirect::click_url(&prepared.call, &mut url)?;
        if !redirect::is_allowed(url, &prepared.account.redirect_hosts) {
            return None;
        }
        let location = redirect::click_location(url, &prepared.call, &mut location)?;
        let envelope = self.envelope(io, context, prepared);
        self.write_answer(|out| answer::redirect(out, &envelope, errors, &[location]))
    }

    fn fill_destinations<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        profile: &Profile,
        entries: &mut Entries,
    ) {
        let call = &prepared.call;
        if prepared.account.destinations.is_empty() {
            return;
        }
        let values = Values {
            context,
            prepared,
            profile: Some(profile),
            now: io.now(),
            random: self.generator.u64(),
            timeout_ms: 0,
        };
        let allows = |vendor| prepared.decision.allows_vendor(vendor);
        let destinations = &prepared.account.destinations;
        let occasion = Occasion {
            today: values.now.day(),
            platform: call.platform.unwrap_or(Platform::Browser),
            page_host: if destinations.ask_for_pages() { prepared.page_host() } else { None },
        };
        let values = self.told(&values);
        destinations.cookie_entries(&self.segments, &occasion, allows, &values, entries);
        if call.destinations {
            destinations.url_entries(&self.segments, &occasion, allows, &values, entries);
        }
    }

    /// Old clients know segments by other numbers.
    fn list_segments(&mut self, prepared: &Prepared<'_>) {
        if prepared.call.segments != SegmentList::Legacy {
            return;
        }
        for id in &mut self.segments {
            if let Ok(at) = prepared.account.segments.binary_search_by_key(id, |(segment, _)| *segment) {
                *id = SegmentId(prepared.account.segments[at].1);
            }
        }
    }

    /// A call for a host that no account has.
    pub(super) fn without_account<I: Io>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        call: &Call<'_>,
        is_id: bool,
    ) -> Option<Buffer> {
        let envelope = self.bare_envelope(io, rules, arrival);
        let errors = call.errors;
        let is_image = arrival.request.fields.sec_fetch_dest == Some(b"image");
        if !is_id && (!call.json || is_image) {
            self.write_answer(|out| answer::pixel(out, &envelope, errors))
        } else if call.callback.is_some() {
            // The client waits for its callback; there is nothing in the answer that a page must not read.
            self.write_answer(|out| answer::errors_only(out, &envelope, errors, call.callback))
        } else if is_id {
            let answer =
                IdAnswer { id_sync_ttl_s: ID_SYNC_TTL_S, opt_out_ttl_s: OPT_OUT_TTL_S, errors, ..IdAnswer::default() };
            self.write_answer(|out| answer::id(out, &envelope, &answer, None))
        } else {
            let event = EventAnswer { errors, ..EventAnswer::default() };
            self.write_answer(|out| answer::event(out, &envelope, &event, None))
        }
    }

    pub(super) fn fault<I: Io>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        fault: Fault<'_>,
    ) -> Served {
        self.plain(io, rules, arrival, |out, envelope| answer::fault(out, envelope, fault))
    }

    /// The iframe, for pages that the account of the request's host lets read.
    pub(super) fn serve_frame<I: Io>(&mut self, io: &mut I, rules: &Ruleset, arrival: &Arrival<'_>) -> Served {
        match super::prepare::account_of_target(rules, arrival.request) {
            Some(account) => {
                let policy = &rules.accounts[account.0 as usize].frame_policy;
                self.plain(io, rules, arrival, |out, envelope| answer::frame(out, envelope, policy))
            }
            None => self.fault(io, rules, arrival, Fault::NotFound),
        }
    }

    /// An answer that concerns no visitor.
    pub(super) fn plain<I: Io>(
        &mut self,
        io: &mut I,
        rules: &Ruleset,
        arrival: &Arrival<'_>,
        write: impl Fn(&mut [u8], &Envelope<'_>) -> Written,
    ) -> Served {
        let envelope = self.bare_envelope(io, rules, arrival);
        Served::from(self.write_answer(|out| write(out, &envelope)))
    }

    /// The answer to a malformed request, of which nothing can be believed.
    pub(super) fn refusal<I: Io>(&mut self, io: &mut I, code: u16) -> Option<Buffer> {
        let rules = self.current_rules();
        let envelope = Envelope {
            connection: Connection::Close,
            wall_ms: io.now().wall_ms,
            tid: self.generator.bytes8(),
            node: &rules.server.node,
            ..Envelope::default()
        };
        let line = status::line(code);
        let text = std::str::from_utf8(&line[b"HTTP/1.1 ".len()..]).unwrap_or_default().trim_end();
        self.write_answer(|out| answer::fault(out, &envelope, Fault::Other(text)))
    }

    pub(super) fn envelope<'a, I: Io>(&self, io: &I, context: &Context, prepared: &Prepared<'a>) -> Envelope<'a> {
        let request = prepared.request;
        let server = &prepared.rules.server;
        let shares = host::shares_cookies(request.host.unwrap_or_default(), server.base_domain.as_bytes());
        let origin = request.fields.origin.filter(|_| prepared.origin_is_listed());
        let cookies = Cookies {
            demdex: context.visitor.cookie.map(|uuid| CookieValue::Visitor(uuid.digits())),
            dpm: None,
            domain: shares.then_some(&server.base_domain),
            partitioned: server.partitioned,
        };
        let opens = Opening { origin, cookies, ..self.opening(io, context) };
        envelope(opens, request, &server.node, self.closes(context))
    }

    /// For answers that set no cookie, to calls of which only the target was read.
    pub(super) fn bare_envelope<'a, I: Io>(&self, io: &I, rules: &'a Ruleset, arrival: &Arrival<'a>) -> Envelope<'a> {
        let request = arrival.request;
        let allows = |origin: &&[u8]| {
            let account = super::prepare::account_of_target(rules, request);
            account.is_some_and(|index| rules.accounts[index.0 as usize].origins.allows(origin))
        };
        let origin = request.fields.origin.filter(allows);
        let opens = Opening { origin, ..self.opening(io, &arrival.context) };
        envelope(opens, request, &rules.server.node, arrival.close)
    }

    fn opening<'a, I: Io>(&self, io: &I, context: &Context) -> Opening<'a> {
        let now = io.now();
        Opening {
            wall_ms: now.wall_ms,
            // A home shard may have read its clock before the edge shard did.
            elapsed_us: now.mono_ns.saturating_sub(context.received_ns) / 1000,
            tid: context.tid,
            secure: context.secure,
            origin: None,
            cookies: Cookies::default(),
        }
    }

    /// Whether the answer tells its client that the connection closes.
    fn closes(&self, context: &Context) -> bool {
        self.answer_closes
            || (context.edge == self.id && self.clients[context.conn.slot as usize].closes_after_answer())
    }

    /// Writes an answer into the buffer that the edge shard lent, or into one of our own; into a large one if need be.
    pub(super) fn write_answer(&mut self, write: impl Fn(&mut [u8]) -> Written) -> Option<Buffer> {
        let lent = self.room.take();
        let is_lent = lent.is_some();
        let mut buffer = match lent {
            Some(buffer) => buffer,
            None => self.buffers.take(0)?,
        };
        if let Ok(len) = write(buffer.block_mut()) {
            buffer.set_len(len);
            return Some(buffer);
        }
        if is_lent {
            self.room = Some(buffer);
        } else {
            self.buffers.give_back(buffer);
        }
        let mut large = self.buffers.take_large()?;
        let len = write(large.block_mut()).expect("a large buffer takes every answer");
        large.set_len(len);
        Some(large)
    }
}

/// What an envelope takes from the call's circumstances.
struct Opening<'a> {
    wall_ms: u64,
    elapsed_us: u64,
    tid: [u8; 8],
    secure: bool,
    origin: Option<&'a [u8]>,
    cookies: Cookies<'a>,
}

fn envelope<'a>(opening: Opening<'a>, request: &Request<'a>, node: &'a str, closes: bool) -> Envelope<'a> {
    let connection = match request.version {
        _ if closes => Connection::Close,
        Version::Http11 => Connection::Open,
        Version::Http10 => Connection::KeepAlive,
    };
    Envelope {
        head_only: request.method == Method::Head,
        connection,
        secure: opening.secure,
        wall_ms: opening.wall_ms,
        tid: opening.tid,
        node,
        elapsed_us: opening.elapsed_us,
        origin: opening.origin,
        cookies: opening.cookies,
    }
}

/// An image's JSON answer would count as a failed image there and stop the client.
fn form_of<'a>(prepared: &Prepared<'a>, is_id: bool) -> Form<'a> {
    let call = &prepared.call;
    let is_image = prepared.request.fields.sec_fetch_dest == Some(b"image");
    match call.callback {
        _ if !is_id && (!call.json || is_image) => Form::Pixel,
        Some(callback) => Form::Jsonp(callback),
        None => Form::Json,
    }
}
