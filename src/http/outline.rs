//! Where the parts of a request lie: who keeps the bytes of a request that was read once can have it again without its
//! head being judged again, which is half of what reading a request costs.

use super::fields::FieldsOf;
use super::request::{Body, Request};
use super::request_line::{Method, Version};
use crate::limits;

const _: () = assert!(
    limits::EMPTY_LINES_MAX as usize * 2 + limits::REQUEST_LINE_BYTES_MAX + limits::HEADERS_BYTES_MAX
        <= u16::MAX as usize,
    "a place in a head has two bytes"
);

/// A piece of a head.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    len: u16,
}

/// A request without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    method: Method,
    version: Version,
    path: Span,
    query: Span,
    host: Option<Span>,
    fields: FieldsOf<Span>,
    keep_alive: bool,
    has_body: bool,
    head_bytes: u16,
}

impl Span {
    /// `text` lies within `head`, or is empty and may lie anywhere.
    fn of(text: &[u8], head: &[u8]) -> Span {
        if text.is_empty() {
            return Span::default();
        }
        let start = text.as_ptr().addr() - head.as_ptr().addr();
        debug_assert_eq!(&head[start..start + text.len()], text);
        Span { start: start as u16, len: text.len() as u16 }
    }

    fn in_head(self, head: &[u8]) -> &[u8] {
        &head[self.start.into()..][..self.len.into()]
    }
}

impl Outline {
    /// `head` holds the request's first `head_bytes`, from which all of it but the body borrows.
    pub fn new(request: &Request<'_>, head: &[u8]) -> Outline {
        let span = |text: &[u8]| Span::of(text, head);
        Outline {
            method: request.method,
            version: request.version,
            path: span(request.path),
            query: span(request.query),
            host: request.host.map(span),
            fields: request.fields.map(span),
            keep_alive: request.keep_alive,
            has_body: !matches!(request.body, Body::None),
            head_bytes: request.head_bytes as u16,
        }
    }

    pub fn head_bytes(&self) -> usize {
        self.head_bytes.into()
    }

    /// The request again: `head` has the same bytes, `body` is its decoded body.
    pub fn request<'a>(&self, head: &'a [u8], body: &'a [u8]) -> Request<'a> {
        let text = |span: Span| span.in_head(head);
        Request {
            method: self.method,
            version: self.version,
            path: text(self.path),
            query: text(self.query),
            host: self.host.map(text),
            fields: self.fields.map(text),
            keep_alive: self.keep_alive,
            head_bytes: self.head_bytes(),
            body: if self.has_body { Body::Slice(body) } else { Body::None },
        }
    }
}
