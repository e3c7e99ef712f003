//! Requests from clients: one call judges what has arrived and hands out the request once it is complete.
//!
//! The caller keeps the bytes and a [`Progress`]. As long as the answer is [`Parsed::Incomplete`] it calls again with
//! the same bytes and more; no byte is searched twice for its line's end, so a client that drips costs linear time.

use httparse::EMPTY_HEADER;

use super::chunked::{ChunkScan, Chunks};
use super::fault::HttpFault;
use super::fields::{self, Fields, Framing};
use super::framing::{BodyFrame, body_frame};
use super::head::{self, HeadLimits, HeadScan};
use super::request_line::{Method, RequestLine, Version, is_authority};
use crate::limits;

/// What became of the bytes so far.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one call; boxing would allocate")]
pub enum Parsed<'a> {
    /// More bytes are needed. `send_continue` is true once per request: the client waits for `100 Continue` before it
    /// sends the body.
    Incomplete { send_continue: bool },
    /// A request, and how many bytes it took. Bytes after these belong to the next one.
    Complete { request: Request<'a>, consumed: usize },
    /// Answer with the fault's status and close.
    Fault(HttpFault),
}

/// One request. Everything borrows from the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: Method,
    pub version: Version,
    /// From the target, percent signs untouched; `*` for `OPTIONS *`, empty for CONNECT.
    pub path: &'a [u8],
    /// What stands behind the first `?`, or nothing.
    pub query: &'a [u8],
    /// The target's own authority, else the Host header; may carry a port. `None` in HTTP/1.0 only.
    pub host: Option<&'a [u8]>,
    pub fields: Fields<'a>,
    /// Whether the connection stays open after the answer.
    pub keep_alive: bool,
    /// Bytes of request line and headers, ahead of the body.
    pub head_bytes: usize,
    pub body: Body<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    None,
    Slice(&'a [u8]),
    /// To be joined first: [`Body::contiguous`], or in place with [`super::chunked::compact`].
    Chunked(Chunks<'a>),
}

/// How far a request was judged. A new one for each connection; it starts over by itself after each request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    head: HeadScan,
    framed: Option<Framed>,
    chunks: ChunkScan,
    continue_asked: bool,
}

/// What a complete head says about the rest.
#[derive(Clone, Copy, Debug)]
struct Framed {
    head_bytes: usize,
    body: BodyFrame,
    expects_continue: bool,
}

const LIMITS: HeadLimits = HeadLimits {
    empty_lines_max: limits::EMPTY_LINES_MAX,
    start_line_bytes_max: limits::REQUEST_LINE_BYTES_MAX,
    start_line_over: HttpFault::TargetSize,
    headers_bytes_max: limits::HEADERS_BYTES_MAX,
};

/// Judges `bytes`, which begin where the last request ended.
pub fn parse<'a>(bytes: &'a [u8], progress: &mut Progress) -> Parsed<'a> {
    match advance(bytes, progress) {
        Ok(Some((request, consumed))) => {
            *progress = Progress::default();
            Parsed::Complete { request, consumed }
        }
        Ok(None) => Parsed::Incomplete { send_continue: progress.ask_continue(bytes.len()) },
        Err(fault) => Parsed::Fault(fault),
    }
}

impl<'a> Body<'a> {
    /// The body in one piece, joined in `scratch` if need be.
    ///
    /// # Panics
    /// When `scratch` is shorter than [`limits::BODY_BYTES_MAX`] and the body needs the room.
    pub fn contiguous(&self, scratch: &'a mut [u8]) -> &'a [u8] {
        match self {
            Body::None => b"",
            Body::Slice(bytes) => bytes,
            Body::Chunked(chunks) => chunks.copy_to(scratch),
        }
    }
}

impl Progress {
    /// Whether the head is complete and only the body is outstanding.
    pub fn head_is_complete(&self) -> bool {
        self.framed.is_some()
    }

    /// True the first time that a client is found to wait. One that began to send its body does not wait.
    fn ask_continue(&mut self, received: usize) -> bool {
        let waits = self.framed.is_some_and(|framed| framed.expects_continue && received == framed.head_bytes);
        waits && !std::mem::replace(&mut self.continue_asked, true)
    }
}

fn advance<'a>(bytes: &'a [u8], progress: &mut Progress) -> Result<Option<(Request<'a>, usize)>, HttpFault> {
    let (framed, known) = match progress.framed {
        Some(framed) => (framed, None),
        None => {
            let Some((request, framed)) = read_head(bytes, &mut progress.head)? else { return Ok(None) };
            progress.framed = Some(framed);
            (framed, Some(request))
        }
    };
    let rest = &bytes[framed.head_bytes..];
    let (body, body_bytes) = match framed.body {
        BodyFrame::Unsaid => (Body::None, 0),
        BodyFrame::Length(len) => {
            let Some(body) = rest.get(..len) else { return Ok(None) };
            (Body::Slice(body), len)
        }
        BodyFrame::Chunked => {
            let Some(len) = progress.chunks.advance(rest, limits::BODY_BYTES_MAX)? else { return Ok(None) };
            (Body::Chunked(Chunks::new(&rest[..len], progress.chunks.body_bytes())), len)
        }
    };
    let request = match known {
        Some(request) => request,
        // The head came earlier than the body's end; it borrows from these bytes, so it is read again.
        None => read_head(bytes, &mut HeadScan::default())?.ok_or(HttpFault::Header)?.0,
    };
    Ok(Some((Request { body, ..request }, framed.head_bytes + body_bytes)))
}

fn read_head<'a>(bytes: &'a [u8], scan: &mut HeadScan) -> Result<Option<(Request<'a>, Framed)>, HttpFault> {
    let mut headers = [EMPTY_HEADER; limits::HEADERS_MAX];
    let Some(head) = head::read(bytes, scan, &LIMITS, &mut headers, RequestLine::parse)? else { return Ok(None) };
    let line = head.start;
    let (fields, framing) = fields::pick(&headers[..head.header_count], head.block);
    let host = judge_host(&line, &framing)?;
    let body = body_frame(&framing, line.version, limits::BODY_BYTES_MAX)?;
    let expects_continue = judge_expect(&line, &framing)?;
    let request = Request {
        method: line.method,
        version: line.version,
        path: line.path,
        query: line.query,
        host,
        fields,
        keep_alive: keep_alive(line.version, &framing) && line.method != Method::Connect,
        head_bytes: head.len,
        body: Body::None,
    };
    Ok(Some((request, Framed { head_bytes: head.len, body, expects_continue })))
}

/// RFC 9112, section 3.2: one Host in HTTP/1.1, even beside an absolute-form target, whose authority then counts.
fn judge_host<'a>(line: &RequestLine<'a>, framing: &Framing<'a>) -> Result<Option<&'a [u8]>, HttpFault> {
    let host = framing.host.value;
    let missing = host.is_none() && line.version == Version::Http11;
    if missing || framing.host.repeated || host.is_some_and(|host| !is_authority(host)) {
        return Err(HttpFault::Host);
    }
    Ok(line.authority.or(host))
}

/// RFC 9110, section 10.1.1; HTTP/1.0 has no interim answers.
fn judge_expect(line: &RequestLine<'_>, framing: &Framing<'_>) -> Result<bool, HttpFault> {
    let Some(value) = framing.expect.value else { return Ok(false) };
    if framing.expect.repeated || !value.eq_ignore_ascii_case(b"100-continue") {
        return Err(HttpFault::Expectation);
    }
    Ok(line.version == Version::Http11)
}

/// RFC 9112, section 9.3.
pub(super) fn keep_alive(version: Version, framing: &Framing<'_>) -> bool {
    !framing.close && (version == Version::Http11 || framing.keep_alive)
}
