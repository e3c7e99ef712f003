//! The JSON bodies. Order and types of their fields are what clients are known to rely on: mobile ones drop a whole
//! answer over one field of a wrong type. A list that would pass the bound of an answer ends early, at a whole
//! element, and error 10 says so.

use super::BODY_END_BYTES_MAX;
use super::head::tid_text;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::ids::{SegmentId, TraitId};
use crate::limits::ANSWER_BYTES_MAX;
use crate::writer::Writer;

/// What `/event` answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventAnswer<'a> {
    /// First-party cookies for the page to set.
    pub stuff: &'a [Stuff<'a>],
    /// A uuid's text. Left out over 64 bytes.
    pub uuid: Option<&'a [u8]>,
    pub region: Option<u32>,
    /// `None`: not asked for.
    pub destinations: Option<&'a [Destination<'a>]>,
    /// Those realised by this call. `None`: not asked for.
    pub traits: Option<&'a [TraitId]>,
    /// All that the visitor is in. `None`: not asked for.
    pub segments: Option<&'a [SegmentId]>,
    pub errors: ErrorSet,
}

/// A cookie that the page sets for itself.
#[derive(Clone, Copy, Debug)]
pub struct Stuff<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    pub ttl_days: u32,
    pub domain: &'a [u8],
}

/// A URL for the page to fire.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    pub id: u32,
    pub kind: DestinationKind,
    pub url: &'a [u8],
    pub secure_url: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    Image,
    Frame,
}

/// What `/id` answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdAnswer<'a> {
    /// The ECID; one that was given is echoed.
    pub mid: Option<&'a [u8]>,
    pub id_sync_ttl_s: u32,
    /// Base64url, unpadded, at most 512 characters.
    pub blob: Option<&'a [u8]>,
    pub region: Option<u32>,
    pub opted_out: bool,
    pub opt_out_ttl_s: u32,
    pub syncs: &'a [IdSync<'a>],
    /// The account's alias: without it no client attaches the iframe.
    pub subdomain: &'a [u8],
    pub errors: ErrorSet,
}

/// A partner's ID sync for the iframe to fire.
#[derive(Clone, Copy, Debug)]
pub struct IdSync<'a> {
    pub id: u32,
    pub ttl_minutes: u32,
    pub fire_url_sync: bool,
    pub sync_on_page: bool,
    pub urls: &'a [&'a [u8]],
}

/// How far an opt-out reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// To all accounts: a device's.
    pub global: bool,
    /// To the account that owns the data source: a declared id's.
    pub account: bool,
}

/// Far more than a uuid, and little enough for the end of a body whatever its bytes are.
const UUID_BYTES_MAX: usize = 64;

/// Writes the answer; returns its errors, those of writing included.
pub(super) fn event(out: &mut Writer<'_>, answer: &EventAnswer<'_>, tid: &[u8; 8]) -> ErrorSet {
    let mut errors = answer.errors;
    out.push(b"{\"stuff\":");
    list(out, answer.stuff, &mut errors, put_stuff);
    if let Some(uuid) = answer.uuid.filter(|uuid| uuid.len() <= UUID_BYTES_MAX) {
        out.push(b",\"uuid\":");
        out.push_json_string(uuid);
    }
    put_region(out, answer.region);
    if let Some(destinations) = answer.destinations {
        out.push(b",\"dests\":");
        list(out, destinations, &mut errors, put_destination);
    }
    if let Some(traits) = answer.traits {
        out.push(b",\"traits\":");
        list(out, traits, &mut errors, |out, id| out.push_decimal(id.0.into()));
    }
    if let Some(segments) = answer.segments {
        out.push(b",\"segments\":");
        list(out, segments, &mut errors, |out, id| out.push_decimal(id.0.into()));
    }
    if !errors.is_empty() {
        out.push(b",\"errors\":");
        put_errors(out, errors);
    }
    put_tid(out, tid);
    errors
}

/// As [`event`].
pub(super) fn id(out: &mut Writer<'_>, answer: &IdAnswer<'_>, tid: &[u8; 8]) -> ErrorSet {
    let mut errors = answer.errors;
    out.push(b"{");
    if let Some(mid) = answer.mid {
        out.push(b"\"d_mid\":");
        out.push_json_string(mid);
        out.push(b",");
    }
    out.push(b"\"id_sync_ttl\":");
    out.push_decimal(answer.id_sync_ttl_s.into());
    if let Some(blob) = answer.blob {
        out.push(b",\"d_blob\":");
        out.push_json_string(blob);
    }
    put_region(out, answer.region);
    if answer.opted_out {
        out.push(b",\"d_optout\":[\"global\"]");
    }
    out.push(b",\"d_ottl\":");
    out.push_decimal(answer.opt_out_ttl_s.into());
    out.push(b",\"ibs\":");
    list(out, answer.syncs, &mut errors, put_sync);
    out.push(b",\"subdomain\":");
    out.push_json_string(answer.subdomain);
    if !errors.is_empty() {
        out.push(b",\"errors\":");
        put_errors(out, errors);
        out.push(b",\"error_msg\":\"");
        for (index, code) in errors.iter().enumerate() {
            out.push(if index == 0 { b"" } else { b"; " });
            put_message(out, errors, code);
        }
        out.push(b"\"");
    }
    put_tid(out, tid);
    errors
}

/// Clients compare the words of `d_optout` with `global`; others mean nothing to them.
pub(super) fn opt_out_status(out: &mut Writer<'_>, reach: Reach, errors: ErrorSet) -> ErrorSet {
    out.push(b"{\"d_optout\":[");
    out.push(match reach {
        Reach { global: false, account: false } => b"",
        Reach { global: true, account: false } => b"\"global\"",
        Reach { global: false, account: true } => b"\"account\"",
        Reach { global: true, account: true } => b"\"global\",\"account\"",
    });
    out.push(b"],\"d_ottl\":7200");
    if !errors.is_empty() {
        out.push(b",\"errors\":");
        put_errors(out, errors);
    }
    out.push(b"}");
    errors
}

pub(super) fn errors_only(out: &mut Writer<'_>, errors: ErrorSet) -> ErrorSet {
    out.push(b"{\"errors\":");
    put_errors(out, errors);
    out.push(b"}");
    errors
}

/// A list in brackets, as far as it leaves room for the end of the body.
fn list<T>(out: &mut Writer<'_>, items: &[T], errors: &mut ErrorSet, put_item: impl Fn(&mut Writer<'_>, &T)) {
    out.push(b"[");
    for (index, item) in items.iter().enumerate() {
        let start = out.len();
        out.push(if index == 0 { b"" } else { b"," });
        put_item(out, item);
        // In a smaller buffer what does not fit asks for a larger one instead.
        let passes_bound = out.overflowed() && out.capacity() == ANSWER_BYTES_MAX;
        if passes_bound || out.len() > ANSWER_BYTES_MAX - BODY_END_BYTES_MAX {
            out.truncate(start);
            errors.insert(ErrorCode::PartlyEvaluated);
            break;
        }
    }
    out.push(b"]");
}

fn put_stuff(out: &mut Writer<'_>, stuff: &Stuff<'_>) {
    out.push(b"{\"cn\":");
    out.push_json_string(stuff.name);
    out.push(b",\"cv\":");
    out.push_json_string(stuff.value);
    out.push(b",\"ttl\":");
    out.push_decimal(stuff.ttl_days.into());
    out.push(b",\"dmn\":");
    out.push_json_string(stuff.domain);
    out.push(b"}");
}

/// Every value is a string, the id too.
fn put_destination(out: &mut Writer<'_>, destination: &Destination<'_>) {
    out.push(b"{\"id\":\"");
    out.push_decimal(destination.id.into());
    out.push(match destination.kind {
        DestinationKind::Image => b"\",\"y\":\"img\",\"c\":",
        DestinationKind::Frame => b"\",\"y\":\"iframe\",\"c\":",
    });
    out.push_json_string(destination.url);
    if let Some(url) = destination.secure_url {
        out.push(b",\"e\":");
        out.push_json_string(url);
    }
    out.push(b"}");
}

fn put_sync(out: &mut Writer<'_>, sync: &IdSync<'_>) {
    out.push(b"{\"id\":\"");
    out.push_decimal(sync.id.into());
    out.push(b"\",\"ttl\":");
    out.push_decimal(sync.ttl_minutes.into());
    // Whatever they are told, clients fire images and nothing else.
    out.push(b",\"tag\":\"img\"");
    out.push(if sync.fire_url_sync { b",\"fireURLSync\":1" } else { b",\"fireURLSync\":0" });
    out.push(if sync.sync_on_page { b",\"syncOnPage\":1" } else { b",\"syncOnPage\":0" });
    out.push(b",\"url\":[");
    for (index, url) in sync.urls.iter().enumerate() {
        out.push(if index == 0 { b"" } else { b"," });
        out.push_json_string(url);
    }
    out.push(b"]}");
}

fn put_region(out: &mut Writer<'_>, region: Option<u32>) {
    if let Some(region) = region {
        out.push(b",\"dcs_region\":");
        out.push_decimal(region.into());
    }
}

fn put_errors(out: &mut Writer<'_>, errors: ErrorSet) {
    out.push(b"[");
    for (index, code) in errors.iter().enumerate() {
        out.push(if index == 0 { b"{\"code\":" } else { b",{\"code\":" });
        out.push_decimal(code.number().into());
        out.push(b",\"msg\":\"");
        put_message(out, errors, code);
        out.push(b"\"}");
    }
    out.push(b"]");
}

/// Messages are our own and need no escapes.
fn put_message(out: &mut Writer<'_>, errors: ErrorSet, code: ErrorCode) {
    out.push(code.message().as_bytes());
    if let (ErrorCode::DeclaredIdsTooMany, Some((max, found))) = (code, errors.too_many_ids()) {
        out.push(b" (max ");
        out.push_decimal(max.into());
        out.push(b", found ");
        out.push_decimal(found.into());
        out.push(b")");
    }
}

fn put_tid(out: &mut Writer<'_>, tid: &[u8; 8]) {
    out.push(b",\"tid\":\"");
    out.push(&tid_text(*tid));
    out.push(b"\"}");
}
