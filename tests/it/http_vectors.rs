//! The HTTP parsers against other people's cases (llhttp), our own cases, and generated input. Whatever is fed, it is
//! fed whole, cut at every byte and cut at random, and the verdict must be the same each time.

mod generated;
mod llhttp;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pinion::http::chunked;
use pinion::http::request::{self, Parsed};
use pinion::http::response::{Answer, Response, ResponseParser};
use pinion::http::{Body, HttpFault, Method, Outline, Progress, Request, Version};
use pinion::limits;

/// What a stream of requests comes to: the requests, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    messages: Vec<String>,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Clean,
    Incomplete,
    /// Bytes behind a message that ends the connection: they are never looked at.
    AfterClose,
    Fault(HttpFault),
}

impl Verdict {
    fn is_rejection(&self) -> bool {
        matches!(self.end, End::Fault(_) | End::AfterClose)
    }
}

/// Feeds `bytes` to the request parser as a connection would, received up to each of `cuts` and then whole.
fn judge_requests(bytes: &[u8], cuts: &[usize]) -> Verdict {
    let mut progress = Progress::default();
    let (mut messages, mut start) = (Vec::new(), 0);
    for &received in cuts.iter().chain([&bytes.len()]) {
        while start < received {
            match request::parse(&bytes[start..received], &mut progress) {
                Parsed::Incomplete { .. } => break,
                Parsed::Fault(fault) => return Verdict { messages, end: End::Fault(fault) },
                Parsed::Complete { request, consumed } => {
                    messages.push(describe(&request, &bytes[start..start + consumed]));
                    start += consumed;
                    if !request.keep_alive {
                        return Verdict { messages, end: end_after_close(&bytes[start..]) };
                    }
                }
            }
        }
    }
    Verdict { messages, end: if start == bytes.len() { End::Clean } else { End::Incomplete } }
}

fn end_after_close(rest: &[u8]) -> End {
    if rest.trim_ascii().is_empty() { End::Clean } else { End::AfterClose }
}

/// All of a request but its body.
fn words(request: &Request<'_>) -> String {
    let Request { method, version, path, query, host, fields, keep_alive, head_bytes, body: _ } = request;
    format!("{:?}", (method, version, path, query, host, fields, keep_alive, head_bytes))
}

/// One line that holds what a request means. On the way both decoders of chunked bodies are compared, and the request
/// is had again from a copy of its bytes.
fn describe(request: &Request<'_>, raw: &[u8]) -> String {
    let mut scratch = vec![0; limits::BODY_BYTES_MAX];
    let body = request.body.contiguous(&mut scratch).to_vec();
    if let Body::Chunked(chunks) = request.body {
        let mut own = raw.to_vec();
        let len = chunked::compact(&mut own[request.head_bytes..]);
        assert_eq!((len, &own[request.head_bytes..][..len]), (chunks.body_bytes(), body.as_slice()));
        let (head, rest) = own.split_at(request.head_bytes);
        let again = Outline::new(request, &raw[..head.len()]).request(head, &rest[..len]);
        assert!(matches!(again.body, Body::Slice(again) if again == body) && words(&again) == words(request));
    } else {
        let head = raw[..request.head_bytes].to_vec();
        let again = Outline::new(request, &raw[..head.len()]).request(&head, &body);
        assert_eq!(format!("{:?}", again.body), format!("{:?}", request.body));
        assert_eq!(words(&again), words(request));
    }
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Options => "OPTIONS",
        Method::Connect => "CONNECT",
        Method::Other => "OTHER",
    };
    let mut line = format!("{method} {}", request.path.escape_ascii());
    if !request.query.is_empty() {
        write!(line, "?{}", request.query.escape_ascii()).unwrap();
    }
    if let Some(host) = request.host {
        write!(line, " @{}", host.escape_ascii()).unwrap();
    }
    for cookie in request.fields.cookie.iter() {
        write!(line, " cookie={}", cookie.escape_ascii()).unwrap();
    }
    for address in request.fields.x_forwarded_for.iter() {
        write!(line, " for={}", address.escape_ascii()).unwrap();
    }
    if !matches!(request.body, Body::None) {
        write!(line, " [{}]", body.escape_ascii()).unwrap();
    }
    if !request.keep_alive {
        line.push_str(" close");
    }
    line
}

/// Feeds `bytes` to a parser for one answer after the other, then closes.
fn judge_responses(bytes: &[u8], cuts: &[usize], to_head: bool) -> Verdict {
    let (mut messages, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        let (answer, own) = judge_response(&bytes[start..], start, cuts, to_head);
        match answer {
            Answer::Complete(response) => {
                messages.push(describe_response(&response, &own));
                start += response.consumed;
                if !response.keep_alive {
                    return Verdict { messages, end: end_after_close(&bytes[start..]) };
                }
            }
            Answer::Fault(HttpFault::Truncated) => return Verdict { messages, end: End::Incomplete },
            Answer::Fault(fault) => return Verdict { messages, end: End::Fault(fault) },
            Answer::Incomplete => unreachable!("a close decides"),
        }
    }
    Verdict { messages, end: End::Clean }
}

fn judge_response(bytes: &[u8], offset: usize, cuts: &[usize], to_head: bool) -> (Answer, Vec<u8>) {
    let mut parser = ResponseParser::new(to_head, limits::PARTNER_BODY_BYTES_MAX);
    let mut own = bytes.to_vec();
    let pieces = cuts.iter().filter_map(|cut| cut.checked_sub(offset));
    for received in pieces.chain([bytes.len()]) {
        match parser.advance(&mut own[..received]) {
            Answer::Incomplete => {}
            answer => return (answer, own),
        }
    }
    (parser.finish_on_close(&mut own), own)
}

fn describe_response(response: &Response, bytes: &[u8]) -> String {
    let field = |range: &Option<std::ops::Range<usize>>| {
        range.clone().map(|range| bytes[range].escape_ascii().to_string()).unwrap_or_default()
    };
    format!(
        "{} [{}] type={} retry={} identity={} keep={}",
        response.status,
        bytes[response.body.clone()].escape_ascii(),
        field(&response.content_type),
        field(&response.retry_after),
        response.is_identity,
        response.keep_alive
    )
}

/// Runs `judge` on the whole, on every cut in two, on single bytes and on random cuts; all must agree.
fn judge_all_cuts(bytes: &[u8], random: &mut Random, judge: impl Fn(&[u8], &[usize]) -> Verdict) -> Verdict {
    let whole = judge(bytes, &[]);
    let singles: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(judge(bytes, &singles), whole, "byte by byte: {}", bytes.escape_ascii());
    for cut in 1..bytes.len() {
        assert_eq!(judge(bytes, &[cut]), whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    for _ in 0..20 {
        let cuts = random.cuts(bytes.len());
        assert_eq!(judge(bytes, &cuts), whole, "cut at {cuts:?}: {}", bytes.escape_ascii());
    }
    whole
}

/// splitmix64: the same input on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Up to four places to cut `len` bytes at, in order.
    pub fn cuts(&mut self, len: usize) -> Vec<usize> {
        let count = 1 + self.below(4);
        let mut cuts: Vec<usize> = (0..count).map(|_| self.below(len + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}

fn cases_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/http")
}

// ---- Our own cases ----

/// `tests/cases/http/*_cases.txt`: a case is `== name`, one line for each message expected, one for the end (`clean`,
/// `more`, `unread`, or a fault with its status), an empty line, and the raw input. Real line ends of the input don't
/// count; `\r\n` and the like are escapes, `\*N` repeats the byte before it until there are N.
struct OwnCase {
    name: String,
    expected: Vec<String>,
    input: Vec<u8>,
}

fn own_cases(file: &str) -> Vec<OwnCase> {
    let text = std::fs::read_to_string(cases_folder().join(file)).unwrap();
    let cases = text.split("\n== ").skip(1).map(|case| {
        let (name, rest) = case.split_once('\n').unwrap();
        let (expected, input) = rest.split_once("\n\n").expect("an empty line ahead of the input");
        let input = expand_repeats(&input.replace('\n', ""));
        OwnCase {
            name: name.to_owned(),
            expected: expected.lines().map(str::to_owned).collect(),
            input: unescape(&input),
        }
    });
    cases.collect()
}

fn expand_repeats(text: &str) -> String {
    let mut parts = text.split("\\*");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let count: usize = part[..digits].parse().unwrap();
        let last = out.chars().last().unwrap();
        out.extend(std::iter::repeat_n(last, count - 1));
        out.push_str(&part[digits..]);
    }
    out
}

fn check_own_cases(file: &str, judge: impl Fn(&[u8], &[usize]) -> Verdict) {
    let mut random = Random::new(2);
    let mut complaints = String::new();
    for case in own_cases(file) {
        // Cutting a long input at every byte costs the square of its length and shows nothing that a short one doesn't.
        let verdict = if case.input.len() < 1_000 {
            judge_all_cuts(&case.input, &mut random, &judge)
        } else {
            let singles: Vec<usize> = (1..case.input.len()).collect();
            let whole = judge(&case.input, &[]);
            assert_eq!(judge(&case.input, &singles), whole, "{}", case.name);
            whole
        };
        let mut found = verdict.messages;
        found.push(match verdict.end {
            End::Clean => "clean".to_owned(),
            End::Incomplete => "more".to_owned(),
            End::AfterClose => "unread".to_owned(),
            End::Fault(fault) => format!("{} {fault:?}", fault.status()),
        });
        if found != case.expected {
            writeln!(complaints, "{}:\n    expected {:?}\n    found    {found:?}", case.name, case.expected).unwrap();
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn own_request_cases() {
    check_own_cases("request_cases.txt", judge_requests);
}

#[test]
fn own_response_cases() {
    check_own_cases("response_cases.txt", |bytes, cuts| judge_responses(bytes, cuts, false));
}

/// A line's end is CRLF unless a backslash joins it to the next; then the escapes.
fn unescape(text: &str) -> Vec<u8> {
    let text = text.replace("\\\n", "").replace('\n', "\r\n");
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let (byte, len) = match rest {
            [b'\\', b'r', ..] => (b'\r', 2),
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', b't', ..] => (b'\t', 2),
            [b'\\', b'f', ..] => (b'\x0c', 2),
            [b'\\', b'x', a, b, ..] => {
                let digits = [*a, *b];
                (u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(), 4)
            }
            _ => (first, 1),
        };
        out.push(byte);
        rest = if len == 1 { after } else { &rest[len..] };
    }
    out
}

// ---- Bounds, waiting, versions ----

/// The largest request there can be, byte by byte: every call must look at the new byte only. At a quadratic cost this
/// takes minutes.
#[test]
fn a_dripping_client_costs_linear_time() {
    let target = format!("/{}", "t".repeat(limits::TARGET_BYTES_MAX - 1));
    let framing = "Host: h\r\nTransfer-Encoding: chunked\r\n";
    let filler = "x".repeat(limits::HEADERS_BYTES_MAX - framing.len() - "F: \r\n\r\n".len());
    let body = "b".repeat(limits::BODY_BYTES_MAX);
    let raw = format!("POST {target} HTTP/1.1\r\n{framing}F: {filler}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let mut progress = Progress::default();
    for len in 1..raw.len() {
        let parsed = request::parse(&raw.as_bytes()[..len], &mut progress);
        assert!(matches!(parsed, Parsed::Incomplete { send_continue: false }), "{len}: {parsed:?}");
    }
    let Parsed::Complete { request, consumed } = request::parse(raw.as_bytes(), &mut progress) else { panic!() };
    assert_eq!((request.path.len(), consumed), (limits::TARGET_BYTES_MAX, raw.len()));
    let mut scratch = vec![0; limits::BODY_BYTES_MAX];
    assert_eq!(request.body.contiguous(&mut scratch), body.as_bytes());
}

#[test]
fn a_client_that_waits_is_noticed_once() {
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
    let mut bytes = head.to_vec();
    let mut progress = Progress::default();
    let asks = |bytes: &[u8], progress: &mut Progress| match request::parse(bytes, progress) {
        Parsed::Incomplete { send_continue } => Some(send_continue),
        _ => None,
    };
    assert_eq!(asks(&bytes[..20], &mut progress), Some(false));
    assert_eq!(asks(&bytes, &mut progress), Some(true));
    assert_eq!(asks(&bytes, &mut progress), Some(false));
    bytes.extend_from_slice(b"ab");
    assert_eq!(asks(&bytes, &mut progress), None);
    // A client that sends its body at once doesn't wait, and HTTP/1.0 has no interim answers.
    let mut early = head.to_vec();
    early.push(b'a');
    assert_eq!(asks(&early, &mut Progress::default()), Some(false));
    let old = b"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(asks(old, &mut Progress::default()), Some(false));
}

#[test]
fn a_request_hands_out_its_fields() {
    let raw = b"GET /event HTTP/1.0\r\nOrigin: https://a\r\nReferer: r\r\nUser-Agent: u\r\nAccept-Language: l\r\n\
        Date: d\r\nContent-Type: t\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Dest: 1\r\n\
        Sec-Fetch-Mode: 2\r\nSec-Fetch-Site: 3\r\nSec-Fetch-User: 4\r\nSec-GPC: 5\r\nDNT: 6\r\nAuthorization: 7\r\n\
        Access-Control-Request-Method: 8\r\nAccess-Control-Request-Headers: 9\r\nConnection: keep-alive\r\n\
        Origin: https://b\r\n\r\n";
    let Parsed::Complete { request, .. } = request::parse(raw, &mut Progress::default()) else { panic!() };
    let fields = request.fields;
    let picked = [
        fields.origin,
        fields.referer,
        fields.user_agent,
        fields.accept_language,
        fields.date,
        fields.content_type,
        fields.x_forwarded_proto,
        fields.sec_fetch_dest,
        fields.sec_fetch_mode,
        fields.sec_fetch_site,
        fields.sec_fetch_user,
        fields.sec_gpc,
        fields.dnt,
        fields.authorization,
        fields.access_control_request_method,
        fields.access_control_request_headers,
        fields.connection,
    ];
    let text = picked.map(|value| std::str::from_utf8(value.unwrap()).unwrap());
    let expected = "https://a r u l d t https 1 2 3 4 5 6 7 8 9 keep-alive";
    assert_eq!(text.join(" "), expected);
    assert!(request.keep_alive && request.version == Version::Http10 && request.host.is_none());
    assert!(fields.cookie.is_empty() && fields.cookie.iter().next().is_none());
}
