//! Complete HTTP answers, head and body, written into a borrowed buffer.
//!
//! A body is written first, past the room that its head may need at most: only then are its length and its errors
//! known. The head is written to the front, and the body moved up to it.

mod head;
mod json;

pub use head::{Connection, CookieValue, Cookies, Envelope};
pub use json::{Destination, DestinationKind, EventAnswer, IdAnswer, IdSync, Reach, Stuff};

use self::head::Head;
use super::endpoint::Endpoint;
use super::errors::{ErrorCode, ErrorSet};
use crate::limits::{ANSWER_BYTES_MAX, DECLARED_IDS_OVER_MAX};
use crate::page;
use crate::writer::Writer;

/// The answer does not fit the buffer that was given; one of `BUFFER_LARGE_BYTES` takes every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// How long the answer in the front of the buffer is.
pub type Written = Result<usize, NoRoom>;

/// The answer of `/event` as JSON, or as JSONP with a `callback` that was found callable.
pub fn event(out: &mut [u8], envelope: &Envelope<'_>, answer: &EventAnswer<'_>, callback: Option<&[u8]>) -> Written {
    scripted(out, envelope, callback, |body| json::event(body, answer, &envelope.tid))
}

/// The answer of `/id`.
pub fn id(out: &mut [u8], envelope: &Envelope<'_>, answer: &IdAnswer<'_>, callback: Option<&[u8]>) -> Written {
    scripted(out, envelope, callback, |body| json::id(body, answer, &envelope.tid))
}

/// The answer of `/optOutStatus` and `/demoptout`.
pub fn opt_out_status(out: &mut [u8], envelope: &Envelope<'_>, reach: Reach, errors: ErrorSet) -> Written {
    scripted(out, envelope, None, |body| json::opt_out_status(body, reach, errors))
}

/// Errors and nothing else: JSONP for a referer that may not read.
pub fn errors_only(out: &mut [u8], envelope: &Envelope<'_>, errors: ErrorSet, callback: Option<&[u8]>) -> Written {
    scripted(out, envelope, callback, |body| json::errors_only(body, errors))
}

/// The transparent pixel.
pub fn pixel(out: &mut [u8], envelope: &Envelope<'_>, errors: ErrorSet) -> Written {
    let head = Head { content_type: "image/gif", errors, ..Head::default() };
    whole(out, envelope, head, PIXEL)
}

/// 302. The location is given in parts; bytes that may not stand in a header are escaped.
pub fn redirect(out: &mut [u8], envelope: &Envelope<'_>, errors: ErrorSet, location: &[&[u8]]) -> Written {
    whole(out, envelope, Head { status: "302 Found", location, errors, ..Head::default() }, b"")
}

/// The parts of a redirect to the cookie test of a sync, whose text goes along unchanged.
pub fn sync_test_location<'a>(text: &super::ibs::SyncText<'a>) -> [&'a [u8]; 4] {
    let mark: &[u8] = if text.tail.is_some() { b"?" } else { b"" };
    [b"/demconf.jpg?et:ibs%7cdata:", text.head, mark, text.tail.unwrap_or_default()]
}

/// The answer to OPTIONS.
pub fn preflight(out: &mut [u8], envelope: &Envelope<'_>, allow: &str) -> Written {
    whole(out, envelope, Head { status: "204 No Content", preflight: Some(allow), ..Head::default() }, b"")
}

/// A status that is no answer to the call itself, without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    NotFound,
    MethodNotAllowed {
        allow: &'a str,
    },
    NotImplemented,
    TooManyRequests {
        retry_after_s: u32,
    },
    Unavailable {
        retry_after_s: Option<u32>,
    },
    /// Any other, such as `431 Request Header Fields Too Large`.
    Other(&'a str),
}

pub fn fault(out: &mut [u8], envelope: &Envelope<'_>, fault: Fault<'_>) -> Written {
    let head = match fault {
        Fault::NotFound => Head { status: "404 Not Found", ..Head::default() },
        Fault::MethodNotAllowed { allow } => {
            Head { status: "405 Method Not Allowed", allow: Some(allow), ..Head::default() }
        }
        Fault::NotImplemented => Head { status: "501 Not Implemented", ..Head::default() },
        Fault::TooManyRequests { retry_after_s } => {
            Head { status: "429 Too Many Requests", retry_after_s: Some(retry_after_s), ..Head::default() }
        }
        Fault::Unavailable { retry_after_s } => {
            Head { status: "503 Service Unavailable", retry_after_s, ..Head::default() }
        }
        Fault::Other(status) => Head { status, ..Head::default() },
    };
    whole(out, envelope, head, b"")
}

/// A document whose text is known.
pub fn document(out: &mut [u8], envelope: &Envelope<'_>, content_type: &str, text: &[u8]) -> Written {
    whole(out, envelope, Head { content_type, ..Head::default() }, text)
}

/// The iframe, with the Content-Security-Policy of the account that it is for.
pub fn frame(out: &mut [u8], envelope: &Envelope<'_>, policy: &str) -> Written {
    let content_type = "text/html;charset=utf-8";
    let head = Head { content_type, policy, max_age_s: Some(page::MAX_AGE_S), ..Head::default() };
    whole(out, envelope, head, page::FRAME)
}

/// The project's own tag.
pub fn tag(out: &mut [u8], envelope: &Envelope<'_>) -> Written {
    let content_type = "application/javascript;charset=utf-8";
    let head = Head { content_type, max_age_s: Some(page::MAX_AGE_S), ..Head::default() };
    whole(out, envelope, head, page::TAG)
}

/// The few small files that crawlers and browsers ask for; everything else is 404.
pub fn small_file(out: &mut [u8], envelope: &Envelope<'_>, endpoint: Endpoint<'_>) -> Written {
    match endpoint {
        Endpoint::Robots => document(out, envelope, "text/plain;charset=utf-8", b"User-agent: *\nDisallow: /\n"),
        Endpoint::PrivacyPolicy => document(out, envelope, "text/xml;charset=utf-8", POLICY_REFERENCE),
        Endpoint::Icon => whole(out, envelope, Head { status: "204 No Content", ..Head::default() }, b""),
        _ => fault(out, envelope, Fault::NotFound),
    }
}

/// A body whose bytes are known.
fn whole(out: &mut [u8], envelope: &Envelope<'_>, head: Head<'_>, body: &[u8]) -> Written {
    compose(out, envelope, head, |writer| {
        writer.push(body);
        head.errors
    })
}

/// JSON, bare or as the argument of a callback.
fn scripted(
    out: &mut [u8],
    envelope: &Envelope<'_>,
    callback: Option<&[u8]>,
    json: impl FnOnce(&mut Writer<'_>) -> ErrorSet,
) -> Written {
    let Some(callback) = callback else {
        let head = Head { content_type: "application/json;charset=utf-8", ..Head::default() };
        return compose(out, envelope, head, json);
    };
    let head = Head { content_type: "application/javascript;charset=utf-8", ..Head::default() };
    compose(out, envelope, head, |body| {
        body.push(b"/**/");
        body.push(callback);
        body.push(b"(");
        let errors = json(body);
        body.push(b");");
        errors
    })
}

/// Writes body, then head, then joins them. The body's writer returns the errors that it told, for `X-Error`.
fn compose(
    out: &mut [u8],
    envelope: &Envelope<'_>,
    mut head: Head<'_>,
    write_body: impl FnOnce(&mut Writer<'_>) -> ErrorSet,
) -> Written {
    let head_room = head.bytes_max(envelope);
    let (front, back) = out.split_at_mut_checked(head_room).ok_or(NoRoom)?;
    let body_room = back.len().min(ANSWER_BYTES_MAX);
    let mut body = Writer::new(&mut back[..body_room]);
    head.errors = write_body(&mut body);
    let body_length = body.finish().ok_or(NoRoom)?;

    let mut writer = Writer::new(front);
    head.write(&mut writer, envelope, body_length);
    let head_length = writer.finish().expect("Head::bytes_max is an upper bound");
    if envelope.head_only {
        return Ok(head_length);
    }
    out.copy_within(head_room..head_room + body_length, head_length);
    Ok(head_length + body_length)
}

/// One transparent pixel.
const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const POLICY_REFERENCE: &[u8] = b"<?xml version=\"1.0\"?>\n<META xmlns=\"http://www.w3.org/2002/01/P3Pv1\">\
<POLICY-REFERENCES/></META>\n";

/// Room that a list leaves free for what comes after it in a body: errors with their messages, ids, closing brackets.
const BODY_END_BYTES_MAX: usize = 12 * 1024;
/// Errors that one answer can tell.
const ERRORS_MAX: usize = ErrorCode::ALL.len() + DECLARED_IDS_OVER_MAX;

const _: () = assert!(BODY_END_BYTES_MAX < ANSWER_BYTES_MAX);
const _: () = assert!(ERRORS_MAX * 96 < BODY_END_BYTES_MAX - 2_048);

#[cfg(test)]
mod tests;
