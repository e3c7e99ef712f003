//! The JSON bodies. Order and types of their fields are what clients are known to rely on: mobile ones drop a whole
//! answer over one field of a wrong type. A list that would pass the bound of an answer ends early, at a whole
//! element, and error 10 says so.

use super::BODY_END_BYTES_MAX;
use super::cursor::Cursor;
use super::head::tid_text;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::ids::{SegmentId, TraitId};
use crate::limits::ANSWER_BYTES_MAX;

/// What `/event` answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventAnswer<'a> {
    /// First-party cookies for the page to set.
    pub stuff: &'a [Stuff<'a>],
    /// A uuid's text; or, from a server that could not look, what was sent. Left out over 64 bytes.
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
    pub tag: SyncTag,
    pub fire_url_sync: bool,
    pub sync_on_page: bool,
    pub urls: &'a [&'a [u8]],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncTag {
    Image,
    Frame,
}

/// Far more than a uuid, and little enough for the end of a body whatever its bytes are.
const UUID_BYTES_MAX: usize = 64;

/// Writes the answer; returns its errors, those of writing included.
pub(super) fn event(out: &mut Cursor<'_>, answer: &EventAnswer<'_>, tid: &[u8; 8]) -> ErrorSet {
    let mut errors = answer.errors;
    out.put(b"{\"stuff\":");
    list(out, answer.stuff, &mut errors, put_stuff);
    if let Some(uuid) = answer.uuid.filter(|uuid| uuid.len() <= UUID_BYTES_MAX) {
        out.put(b",\"uuid\":");
        out.put_json(uuid);
    }
    put_region(out, answer.region);
    if let Some(destinations) = answer.destinations {
        out.put(b",\"dests\":");
        list(out, destinations, &mut errors, put_destination);
    }
    if let Some(traits) = answer.traits {
        out.put(b",\"traits\":");
        list(out, traits, &mut errors, |out, id| out.put_u64(id.0.into()));
    }
    if let Some(segments) = answer.segments {
        out.put(b",\"segments\":");
        list(out, segments, &mut errors, |out, id| out.put_u64(id.0.into()));
    }
    if !errors.is_empty() {
        out.put(b",\"errors\":");
        put_errors(out, errors);
    }
    put_tid(out, tid);
    errors
}

/// As [`event`].
pub(super) fn id(out: &mut Cursor<'_>, answer: &IdAnswer<'_>, tid: &[u8; 8]) -> ErrorSet {
    let mut errors = answer.errors;
    out.put(b"{");
    if let Some(mid) = answer.mid {
        out.put(b"\"d_mid\":");
        out.put_json(mid);
        out.put(b",");
    }
    out.put(b"\"id_sync_ttl\":");
    out.put_u64(answer.id_sync_ttl_s.into());
    if let Some(blob) = answer.blob {
        out.put(b",\"d_blob\":");
        out.put_json(blob);
    }
    put_region(out, answer.region);
    if answer.opted_out {
        out.put(b",\"d_optout\":[\"global\"]");
    }
    out.put(b",\"d_ottl\":");
    out.put_u64(answer.opt_out_ttl_s.into());
    out.put(b",\"ibs\":");
    list(out, answer.syncs, &mut errors, put_sync);
    out.put(b",\"subdomain\":");
    out.put_json(answer.subdomain);
    if !errors.is_empty() {
        out.put(b",\"errors\":");
        put_errors(out, errors);
        out.put(b",\"error_msg\":\"");
        for (index, code) in errors.iter().enumerate() {
            out.put(if index == 0 { b"" } else { b"; " });
            put_message(out, errors, code);
        }
        out.put(b"\"");
    }
    put_tid(out, tid);
    errors
}

pub(super) fn opt_out_status(out: &mut Cursor<'_>, opted_out: bool, errors: ErrorSet) -> ErrorSet {
    out.put(if opted_out { b"{\"d_optout\":[\"global\"]" } else { b"{\"d_optout\":[]" });
    out.put(b",\"d_ottl\":7200");
    if !errors.is_empty() {
        out.put(b",\"errors\":");
        put_errors(out, errors);
    }
    out.put(b"}");
    errors
}

pub(super) fn errors_only(out: &mut Cursor<'_>, errors: ErrorSet) -> ErrorSet {
    out.put(b"{\"errors\":");
    put_errors(out, errors);
    out.put(b"}");
    errors
}

/// A list in brackets, as far as it leaves room for the end of the body.
fn list<T>(out: &mut Cursor<'_>, items: &[T], errors: &mut ErrorSet, put_item: impl Fn(&mut Cursor<'_>, &T)) {
    out.put(b"[");
    for (index, item) in items.iter().enumerate() {
        let start = out.length();
        out.put(if index == 0 { b"" } else { b"," });
        put_item(out, item);
        // In a smaller buffer what does not fit asks for a larger one instead.
        let passes_bound = out.overflowed() && out.capacity() == ANSWER_BYTES_MAX;
        if passes_bound || out.length() > ANSWER_BYTES_MAX - BODY_END_BYTES_MAX {
            out.rewind(start);
            errors.insert(ErrorCode::PartlyEvaluated);
            break;
        }
    }
    out.put(b"]");
}

fn put_stuff(out: &mut Cursor<'_>, stuff: &Stuff<'_>) {
    out.put(b"{\"cn\":");
    out.put_json(stuff.name);
    out.put(b",\"cv\":");
    out.put_json(stuff.value);
    out.put(b",\"ttl\":");
    out.put_u64(stuff.ttl_days.into());
    out.put(b",\"dmn\":");
    out.put_json(stuff.domain);
    out.put(b"}");
}

/// Every value is a string, the id too.
fn put_destination(out: &mut Cursor<'_>, destination: &Destination<'_>) {
    out.put(b"{\"id\":\"");
    out.put_u64(destination.id.into());
    out.put(match destination.kind {
        DestinationKind::Image => b"\",\"y\":\"img\",\"c\":",
        DestinationKind::Frame => b"\",\"y\":\"iframe\",\"c\":",
    });
    out.put_json(destination.url);
    if let Some(url) = destination.secure_url {
        out.put(b",\"e\":");
        out.put_json(url);
    }
    out.put(b"}");
}

fn put_sync(out: &mut Cursor<'_>, sync: &IdSync<'_>) {
    out.put(b"{\"id\":\"");
    out.put_u64(sync.id.into());
    out.put(b"\",\"ttl\":");
    out.put_u64(sync.ttl_minutes.into());
    out.put(match sync.tag {
        SyncTag::Image => b",\"tag\":\"img\"",
        SyncTag::Frame => b",\"tag\":\"iframe\"",
    });
    out.put(if sync.fire_url_sync { b",\"fireURLSync\":1" } else { b",\"fireURLSync\":0" });
    out.put(if sync.sync_on_page { b",\"syncOnPage\":1" } else { b",\"syncOnPage\":0" });
    out.put(b",\"url\":[");
    for (index, url) in sync.urls.iter().enumerate() {
        out.put(if index == 0 { b"" } else { b"," });
        out.put_json(url);
    }
    out.put(b"]}");
}

fn put_region(out: &mut Cursor<'_>, region: Option<u32>) {
    if let Some(region) = region {
        out.put(b",\"dcs_region\":");
        out.put_u64(region.into());
    }
}

fn put_errors(out: &mut Cursor<'_>, errors: ErrorSet) {
    out.put(b"[");
    for (index, code) in errors.iter().enumerate() {
        out.put(if index == 0 { b"{\"code\":" } else { b",{\"code\":" });
        out.put_u64(code.number().into());
        out.put(b",\"msg\":\"");
        put_message(out, errors, code);
        out.put(b"\"}");
    }
    out.put(b"]");
}

/// Messages are our own and need no escapes.
fn put_message(out: &mut Cursor<'_>, errors: ErrorSet, code: ErrorCode) {
    out.put(code.message().as_bytes());
    if let (ErrorCode::DeclaredIdsTooMany, Some((max, found))) = (code, errors.too_many_ids()) {
        out.put(b" (max ");
        out.put_u64(max.into());
        out.put(b", found ");
        out.put_u64(found.into());
        out.put(b")");
    }
}

fn put_tid(out: &mut Cursor<'_>, tid: &[u8; 8]) {
    out.put(b",\"tid\":\"");
    out.put(&tid_text(*tid));
    out.put(b"\"}");
}
