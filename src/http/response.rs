//! Answers from partners: one [`ResponseParser`] for each request sent, as strict as the parser for clients. A partner
//! is configured, not trusted: what it sends is bounded, and a connection is reused only when the answer's end was
//! certain.
//!
//! The caller keeps the bytes and calls [`ResponseParser::advance`] whenever more have come, always with all of them.
//! Positions are handed out as ranges, not slices, because the JSON parser that follows writes into the body.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header};

use super::chunked::{self, ChunkScan};
use super::fault::HttpFault;
use super::fields::Framing;
use super::framing::{BodyFrame, body_frame};
use super::head::{self, HeadLimits, HeadScan};
use super::request::keep_alive;
use super::request_line::Version;
use crate::limits;

/// What became of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// More bytes are needed.
    Incomplete,
    Complete(Response),
    /// Close the connection; the fault is the partner's.
    Fault(HttpFault),
}

/// One answer. Ranges count in the caller's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// The body, chunks already joined.
    pub body: Range<usize>,
    pub content_type: Option<Range<usize>>,
    /// Of several lines the first; [`Response::is_identity`] has looked at all of them.
    pub content_encoding: Option<Range<usize>>,
    /// As sent: seconds or a date.
    pub retry_after: Option<Range<usize>>,
    /// Whether the body came as it is, without a content coding.
    pub is_identity: bool,
    /// Whether the partner keeps the connection open.
    pub keep_alive: bool,
    /// Bytes that belong to this answer, interim answers included.
    pub consumed: usize,
    /// More bytes came than the answer has: nobody asked for them, so nobody can tell what they answer.
    pub stray: bool,
}

impl Response {
    /// Whether another request may be sent on this connection.
    pub fn is_reusable(&self) -> bool {
        self.keep_alive && !self.stray
    }
}

/// Where the parsing of one answer stands.
#[derive(Clone, Debug)]
pub struct ResponseParser {
    to_head: bool,
    body_bytes_max: usize,
    /// Where the head begins that is being read: behind the interim answers.
    base: usize,
    head: HeadScan,
    framed: Option<Framed>,
    chunks: ChunkScan,
}

/// A complete head's answer, its body still empty, and what frames the body.
#[derive(Clone, Debug)]
struct Framed {
    response: Response,
    body: ResponseBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseBody {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy)]
struct StatusLine {
    version: Version,
    status: u16,
}

impl ResponseParser {
    /// For the answer to a request; `to_head` if its method was HEAD.
    pub fn new(to_head: bool, body_bytes_max: usize) -> ResponseParser {
        let (head, chunks) = (HeadScan::default(), ChunkScan::default());
        ResponseParser { to_head, body_bytes_max, base: 0, head, framed: None, chunks }
    }

    /// Judges `bytes`, everything received since the request was sent. Joins a chunked body in place when it is
    /// complete; not to be called again after that.
    pub fn advance(&mut self, bytes: &mut [u8]) -> Answer {
        match self.find_end(bytes) {
            Ok(Some((body_len, raw_len))) => self.complete(bytes, body_len, raw_len),
            Ok(None) => Answer::Incomplete,
            Err(fault) => Answer::Fault(fault),
        }
    }

    /// The partner closed its side: the end of a body that nothing else ends, and a fault anywhere else.
    pub fn finish_on_close(&mut self, bytes: &mut [u8]) -> Answer {
        match (self.advance(bytes), &self.framed) {
            (Answer::Incomplete, Some(Framed { response, body: ResponseBody::UntilClose })) => {
                let len = bytes.len() - response.body.start;
                self.complete(bytes, len, len)
            }
            (Answer::Incomplete, _) => Answer::Fault(HttpFault::Truncated),
            (answer, _) => answer,
        }
    }

    /// Lengths of the body and of its raw form, once both are known.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<(usize, usize)>, HttpFault> {
        while self.framed.is_none() {
            if !self.read_head(bytes)? {
                return Ok(None);
            }
        }
        let Some(Framed { response, body }) = &self.framed else { return Ok(None) };
        let rest = &bytes[response.body.start..];
        match *body {
            ResponseBody::Length(len) => Ok((rest.len() >= len).then_some((len, len))),
            ResponseBody::Chunked => {
                let raw_len = self.chunks.advance(rest, self.body_bytes_max)?;
                Ok(raw_len.map(|raw_len| (self.chunks.body_bytes(), raw_len)))
            }
            ResponseBody::UntilClose if rest.len() > self.body_bytes_max => Err(HttpFault::BodySize),
            ResponseBody::UntilClose => Ok(None),
        }
    }

    fn complete(&mut self, bytes: &mut [u8], body_len: usize, raw_len: usize) -> Answer {
        let Some(Framed { response, body }) = &self.framed else { return Answer::Incomplete };
        let mut response = response.clone();
        let start = response.body.start;
        if *body == ResponseBody::Chunked {
            chunked::compact(&mut bytes[start..start + raw_len]);
        }
        response.body = start..start + body_len;
        response.consumed = start + raw_len;
        response.stray = bytes.len() > response.consumed;
        Answer::Complete(response)
    }

    /// Reads one head, interim or final; `false` when it is incomplete.
    fn read_head(&mut self, bytes: &[u8]) -> Result<bool, HttpFault> {
        let mut headers = [EMPTY_HEADER; limits::HEADERS_MAX];
        let limits = self.head_limits();
        let rest = &bytes[self.base..];
        let Some(head) = head::read(rest, &mut self.head, &limits, &mut headers, StatusLine::parse)? else {
            return Ok(false);
        };
        let StatusLine { version, status } = head.start;
        let mut response = Response {
            status,
            body: 0..0,
            content_type: None,
            content_encoding: None,
            retry_after: None,
            is_identity: true,
            keep_alive: false,
            consumed: 0,
            stray: false,
        };
        let framing = pick(&headers[..head.header_count], bytes, &mut response);
        self.base += head.len;
        if status < 200 {
            self.head = HeadScan::default();
            return judge_interim(status, &framing).map(|()| true);
        }
        response.body = self.base..self.base;
        let body = self.judge_body(version, &framing, &mut response)?;
        self.framed = Some(Framed { response, body });
        Ok(true)
    }

    /// RFC 9112, section 6.3, from the client's side.
    fn judge_body(
        &self,
        version: Version,
        framing: &Framing<'_>,
        response: &mut Response,
    ) -> Result<ResponseBody, HttpFault> {
        response.keep_alive = keep_alive(version, framing);
        let bodiless = self.to_head || matches!(response.status, 204 | 304);
        let frame = body_frame(framing, version, if bodiless { usize::MAX } else { self.body_bytes_max })?;
        if bodiless {
            // A 204 that announces a body may well send it.
            response.keep_alive &= response.status != 204 || matches!(frame, BodyFrame::Unsaid | BodyFrame::Length(0));
            return Ok(ResponseBody::Length(0));
        }
        Ok(match frame {
            BodyFrame::Length(len) => ResponseBody::Length(len),
            BodyFrame::Chunked => ResponseBody::Chunked,
            BodyFrame::Unsaid => {
                response.keep_alive = false;
                ResponseBody::UntilClose
            }
        })
    }

    /// Interim heads count against the one bound on head bytes.
    fn head_limits(&self) -> HeadLimits {
        let status_line = limits::PARTNER_STATUS_LINE_BYTES_MAX;
        HeadLimits {
            empty_lines_max: 0,
            start_line_bytes_max: status_line,
            start_line_over: HttpFault::HeadSize,
            headers_bytes_max: limits::PARTNER_HEAD_BYTES_MAX.saturating_sub(status_line + self.base),
        }
    }
}

fn judge_interim(status: u16, framing: &Framing<'_>) -> Result<(), HttpFault> {
    if status == 101 {
        return Err(HttpFault::ProtocolSwitch);
    }
    // An interim answer has no body to frame.
    let framed = framing.content_length.value.is_some() || framing.transfer_encoding.value.is_some();
    if framed { Err(HttpFault::Length) } else { Ok(()) }
}

fn pick<'a>(headers: &[Header<'a>], bytes: &[u8], response: &mut Response) -> Framing<'a> {
    let mut framing = Framing::default();
    for header in headers {
        if framing.note(header) {
            continue;
        }
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let slot = match header.name.len() {
            11 if is("retry-after") => &mut response.retry_after,
            12 if is("content-type") => &mut response.content_type,
            16 if is("content-encoding") => {
                response.is_identity &= header.value.eq_ignore_ascii_case(b"identity");
                &mut response.content_encoding
            }
            _ => continue,
        };
        if slot.is_none() {
            *slot = Some(range_within(bytes, header.value));
        }
    }
    framing
}

/// Where `part`, a slice of `bytes`, lies in it.
fn range_within(bytes: &[u8], part: &[u8]) -> Range<usize> {
    if part.is_empty() {
        return 0..0;
    }
    let start = part.as_ptr().addr() - bytes.as_ptr().addr();
    start..start + part.len()
}

impl StatusLine {
    /// A missing reason is common, with or without the space ahead of it.
    fn parse(line: &[u8]) -> Result<StatusLine, HttpFault> {
        let (head, reason) = line.split_at_checked(12).ok_or(HttpFault::StatusLine)?;
        let &[b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', a, b, c] = head else {
            return Err(HttpFault::StatusLine);
        };
        let text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
        if ![major, minor, a, b, c].iter().all(u8::is_ascii_digit) || !reason.iter().all(text) {
            return Err(HttpFault::StatusLine);
        }
        let status = [a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        if !(100..=599).contains(&status) || !matches!(reason.first(), None | Some(b' ')) {
            return Err(HttpFault::StatusLine);
        }
        let version = match (major, minor) {
            (b'1', b'1') => Version::Http11,
            (b'1', b'0') => Version::Http10,
            _ => return Err(HttpFault::VersionUnknown),
        };
        Ok(StatusLine { version, status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_BYTES_MAX: usize = 100;

    /// Feeds `raw` in steps, then a close; every step must lead to the same answer.
    fn answer(to_head: bool, raw: &[u8]) -> (Answer, Vec<u8>) {
        let run = |step: usize| {
            let mut parser = ResponseParser::new(to_head, BODY_BYTES_MAX);
            let mut bytes = Vec::new();
            for piece in raw.chunks(step) {
                bytes.extend_from_slice(piece);
                match parser.advance(&mut bytes) {
                    Answer::Incomplete => {}
                    answer => return (answer, bytes),
                }
            }
            (parser.finish_on_close(&mut bytes), bytes)
        };
        let stable = |answer: Answer| match answer {
            Answer::Complete(response) => Answer::Complete(Response { stray: false, ..response }),
            answer => answer,
        };
        let (whole, bytes) = run(raw.len().max(1));
        for step in 1..raw.len() {
            assert_eq!(stable(run(step).0), stable(whole.clone()), "{:?} by {step}", raw.escape_ascii().to_string());
        }
        (whole, bytes)
    }

    fn response(raw: &[u8]) -> (Response, Vec<u8>) {
        match answer(false, raw) {
            (Answer::Complete(response), bytes) => (response, bytes),
            (other, _) => panic!("{other:?} for {:?}", raw.escape_ascii().to_string()),
        }
    }

    fn fault(raw: &[u8]) -> HttpFault {
        match answer(false, raw).0 {
            Answer::Fault(fault) => fault,
            other => panic!("{other:?} for {:?}", raw.escape_ascii().to_string()),
        }
    }

    #[test]
    fn a_length_frames_the_body() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        let (response, bytes) = response(raw);
        assert_eq!((response.status, &bytes[response.body.clone()]), (200, b"{}".as_slice()));
        assert_eq!(&bytes[response.content_type.clone().unwrap()], b"application/json");
        assert!(response.is_reusable() && response.is_identity && response.consumed == raw.len());
    }

    #[test]
    fn chunks_are_joined_in_place_and_stray_bytes_reported() {
        let (response, bytes) = response(
            b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n2\r\n,2\r\n1\r\n]\r\n0\r\nX: y\r\n\r\n!",
        );
        assert_eq!(&bytes[response.body.clone()], b"[1,2]");
        assert!(response.keep_alive && response.stray && !response.is_reusable());
        assert_eq!(response.consumed, bytes.len() - 1);
    }

    #[test]
    fn a_body_may_end_with_the_connection() {
        let (response, bytes) = response(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nRetry-After: 7\r\n\r\n{} ");
        assert_eq!(&bytes[response.body.clone()], b"{} ");
        assert_eq!(&bytes[response.retry_after.clone().unwrap()], b"7");
        assert!(!response.is_reusable());
    }

    #[test]
    fn interim_answers_are_skipped() {
        let raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        let (response, _) = response(raw);
        assert_eq!((response.status, response.consumed, response.is_reusable()), (204, raw.len(), true));
        assert_eq!(fault(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), HttpFault::ProtocolSwitch);
        assert_eq!(fault(b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"), HttpFault::Length);
        assert_eq!(fault(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(700)), HttpFault::HeadSize);
    }

    #[test]
    fn some_answers_have_no_body() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
        let (Answer::Complete(to_head), _) = answer(true, raw) else { panic!() };
        assert_eq!((to_head.body.len(), to_head.is_reusable()), (0, true));
        assert!(response(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n").0.is_reusable());
        assert!(!response(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n").0.keep_alive);
        assert!(response(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").0.keep_alive);
    }

    #[test]
    fn encodings_are_reported() {
        let coded = |value: &str| {
            let raw = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: {value}\r\n\r\n");
            response(raw.as_bytes()).0.is_identity
        };
        assert!(coded("identity") && !coded("gzip") && !coded("identity, br"));
    }

    #[test]
    fn faults() {
        let cases: [(&[u8], HttpFault); 18] = [
            (b"", HttpFault::Truncated),
            (b"HTTP/1.1 200 OK\r\n", HttpFault::Truncated),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", HttpFault::Truncated),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", HttpFault::Truncated),
            (b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", HttpFault::LineEnding),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", HttpFault::LineEnding),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", HttpFault::Length),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", HttpFault::Length),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", HttpFault::Length),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", HttpFault::BodySize),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", HttpFault::CodingUnknown),
            (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HttpFault::Coding),
            (b"HTTP/1.1 200 OK\r\n fold: x\r\n\r\n", HttpFault::Header),
            (b"HTTP/1.1 2000 OK\r\n\r\n", HttpFault::StatusLine),
            (b"HTTP/1.1 099 OK\r\n\r\n", HttpFault::StatusLine),
            (b"HTTP/2.0 200 OK\r\n\r\n", HttpFault::VersionUnknown),
            (b"\r\nHTTP/1.1 200 OK\r\n\r\n", HttpFault::StatusLine),
            (b"\x16\x03\x01", HttpFault::StatusLine),
        ];
        for (raw, expected) in cases {
            assert_eq!(fault(raw), expected, "{:?}", raw.escape_ascii().to_string());
        }
        let long = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; BODY_BYTES_MAX + 1]].concat();
        assert_eq!(fault(&long), HttpFault::BodySize);
    }

    #[test]
    fn heads_are_bounded() {
        let mut head = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
        head.resize(limits::PARTNER_HEAD_BYTES_MAX + 1, b'a');
        let mut parser = ResponseParser::new(false, BODY_BYTES_MAX);
        assert_eq!(parser.advance(&mut head), Answer::Fault(HttpFault::HeadSize));
        let mut many = [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"A: b\r\n".repeat(65), b"\r\n"].concat();
        let mut parser = ResponseParser::new(false, BODY_BYTES_MAX);
        assert_eq!(parser.advance(&mut many), Answer::Fault(HttpFault::HeadSize));
    }
}
