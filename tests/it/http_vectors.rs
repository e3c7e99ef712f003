//! The HTTP parsers against other people's cases (llhttp), our own cases, and generated input. Whatever is fed, it is fed
//! whole, cut at every byte and cut at random, and the verdict must be the same each time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pinion::http::chunked;
use pinion::http::request::{self, Parsed};
use pinion::http::response::{Answer, Response, ResponseParser};
use pinion::http::{Body, HttpFault, Method, Progress, Request, Version};
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

/// One line that holds what a request means. On the way both decoders of chunked bodies are compared.
fn describe(request: &Request<'_>, raw: &[u8]) -> String {
    let mut scratch = vec![0; limits::BODY_BYTES_MAX];
    let body = request.body.contiguous(&mut scratch).to_vec();
    if let Body::Chunked(chunks) = request.body {
        let mut own = raw.to_vec();
        let len = chunked::compact(&mut own[request.head_bytes..]);
        assert_eq!((len, &own[request.head_bytes..][..len]), (chunks.body_bytes(), body.as_slice()));
        let (head, rest) = own.split_at(request.head_bytes);
        let again = request::assemble(head, &rest[..len]).expect("the head was good before");
        assert!(matches!(again.body, Body::Slice(again) if again == body) && again.path == request.path);
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
struct Random(u64);

impl Random {
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
    fn cuts(&mut self, len: usize) -> Vec<usize> {
        let count = 1 + self.below(4);
        let mut cuts: Vec<usize> = (0..count).map(|_| self.below(len + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}

fn cases_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/http")
}

// ---- llhttp ----

/// One case of llhttp's suite.
struct VectorCase {
    /// `file | heading`, with a number when a heading has several cases.
    name: String,
    kind: String,
    skips_body: bool,
    input: Vec<u8>,
    rejected: bool,
}

/// Reads the suite of one side, or says loudly that it isn't there.
fn vector_cases(side: &str) -> Option<Vec<VectorCase>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/llhttp").join(side);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: llhttp's {side} cases are not at {}", folder.display());
        return None;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let cases: Vec<VectorCase> = files.iter().flat_map(|file| read_vector_file(side, file)).collect();
    assert!(cases.len() > 50, "only {} {side} cases were understood", cases.len());
    Some(cases)
}

fn read_vector_file(side: &str, file: &Path) -> Vec<VectorCase> {
    let text = std::fs::read_to_string(file).unwrap();
    let file = file.file_name().unwrap().to_str().unwrap();
    let (mut cases, mut seen) = (Vec::new(), BTreeMap::<String, usize>::new());
    let (mut heading, mut meta, mut input) = ("", "", None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut block = || lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>();
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        } else if let Some(rest) = line.strip_prefix("<!-- meta=") {
            meta = rest;
        } else if line == "```http" {
            input = Some(unescape(&block().join("\n")));
        } else if line == "```log" {
            let log = block();
            let name = format!("{side}/{file} | {heading}");
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            let name = if *count == 1 { name } else { format!("{name} #{count}") };
            cases.push(VectorCase {
                name,
                kind: meta.split('"').nth(3).expect("a case has a type").to_owned(),
                skips_body: meta.contains("skipBody"),
                input: input.take().expect("a log follows its input"),
                rejected: log.iter().any(|line| is_error(line)),
            });
        }
    }
    cases
}

/// Codes 21 to 23 pause llhttp for its caller (on request, at an upgrade, at HTTP/2's preface); nothing was rejected.
fn is_error(log_line: &str) -> bool {
    log_line.split_once("error code=").is_some_and(|(_, rest)| {
        let code = rest.split(' ').next().unwrap();
        !matches!(code, "21" | "22" | "23")
    })
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

/// llhttp leaves Host to its caller, so most of its HTTP/1.1 cases have none. Each such head gets one: what is compared
/// is everything else.
fn with_hosts(input: &[u8]) -> Vec<u8> {
    const VERSION: &[u8] = b" HTTP/1.1\r\n";
    let (mut out, mut rest) = (Vec::new(), input);
    while let Some(at) = rest.windows(VERSION.len()).position(|window| window == VERSION) {
        let (line, after) = rest.split_at(at + VERSION.len());
        out.extend_from_slice(line);
        let head_end = after.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(after.len());
        let has_host = after[..head_end]
            .split(|&byte| byte == b'\n')
            .any(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"host:")));
        if !has_host {
            out.extend_from_slice(b"Host: h\r\n");
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// The cases of `side` on which we differ from llhttp on purpose: name to reason.
fn deviations(side: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(cases_folder().join("llhttp_deviations.txt")).unwrap();
    let mut deviations = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with(&format!("{side}/"))) {
        let (name, reason) = line.split_once(" => ").expect("a deviation is `file | heading => reason`");
        assert!(reason.len() > 10, "a deviation needs its reason: {line}");
        assert!(deviations.insert(name.to_owned(), reason.to_owned()).is_none(), "listed twice: {name}");
    }
    deviations
}

/// Holds our verdicts against llhttp's strict ones; leniency is expected of nobody, so lenient cases are rejections.
fn compare_with_llhttp(side: &str, judge: impl Fn(&VectorCase, &mut Random) -> Verdict) {
    let Some(cases) = vector_cases(side) else { return };
    let mut deviations = deviations(side);
    let mut random = Random(1);
    let mut complaints = String::new();
    for case in &cases {
        let verdict = judge(case, &mut random);
        let expected = case.rejected || case.kind.contains("lenient");
        let agrees = verdict.is_rejection() == expected;
        let listed = deviations.remove(&case.name).is_some();
        if agrees == listed {
            let what = if listed { "no longer a deviation" } else { "differs and is not listed" };
            let (name, input) = (&case.name, case.input.escape_ascii());
            writeln!(complaints, "{name}: {what}\n    {verdict:?}\n    {input}").unwrap();
        }
    }
    for name in deviations.keys() {
        writeln!(complaints, "{name}: listed, but there is no such case").unwrap();
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn requests_agree_with_llhttp() {
    compare_with_llhttp("request", |case, random| judge_all_cuts(&with_hosts(&case.input), random, judge_requests));
}

#[test]
fn responses_agree_with_llhttp() {
    compare_with_llhttp("response", |case, random| {
        judge_all_cuts(&case.input, random, |bytes, cuts| judge_responses(bytes, cuts, case.skips_body))
    });
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
    let mut random = Random(2);
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

// ---- Generated input ----

/// A valid request and what it must be read as.
fn generate(random: &mut Random) -> (Vec<u8>, String) {
    let method = *random.pick(&["GET", "POST", "HEAD", "OPTIONS"]);
    let path = *random.pick(&["/", "/event", "/ibs:dpid=1&dpuuid=2", "/a%20b"]);
    let query = *random.pick(&["", "d_rtbd=json&d_cb=x", "a=?&b=%"]);
    let host = *random.pick(&["example.com", "a.demdex.net:8080", "[::1]:80"]);
    let mut described = format!("{method} {path}{}{query} @{host}", if query.is_empty() { "" } else { "?" });
    let mut head = format!("{method} {path}{}{query} HTTP/1.1\r\n", if query.is_empty() { "" } else { "?" });
    let mut lines = vec![format!("Host: {host}")];
    let mut cookies = Vec::new();
    for number in 0..random.below(4) {
        cookies.push(format!("c{number}=v"));
    }
    for name in ["User-Agent", "X-Cookie", "Accept", "Content-Lengthy"].iter().take(random.below(5)) {
        lines.insert(random.below(lines.len() + 1), format!("{name}:{}v\u{e9}", random.pick(&["", " ", "\t "])));
    }
    lines.extend(cookies.iter().map(|cookie| format!("{}: {cookie} ", random.pick(&["Cookie", "cookie", "COOKIE"]))));
    described.extend(cookies.iter().map(|cookie| format!(" cookie={cookie}")));
    let body: Vec<u8> = (0..random.below(40)).map(|_| random.next() as u8).collect();
    let mut tail = Vec::new();
    match random.below(3) {
        0 => {}
        1 => {
            lines.insert(random.below(lines.len() + 1), format!("content-length: {:02}", body.len()));
            tail.clone_from(&body);
        }
        _ => {
            lines.insert(random.below(lines.len() + 1), "Transfer-Encoding: Chunked".to_owned());
            tail = in_chunks(&body, random);
        }
    }
    if lines.iter().any(|line| line.starts_with("content-length:") || line.starts_with("Transfer-")) {
        write!(described, " [{}]", body.escape_ascii()).unwrap();
    }
    head.push_str(&lines.join("\r\n"));
    head.push_str("\r\n\r\n");
    ([head.as_bytes(), &tail].concat(), described)
}

fn in_chunks(body: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + random.below(rest.len()));
        let extension = random.pick(&["", ";a", ";a=b", ";a=\"\\\";\""]);
        out.extend_from_slice(format!("{:x}{extension}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    let ends = ["0\r\n\r\n", "000;x\r\nA: b\r\n\r\n"];
    out.extend_from_slice(random.pick(&ends).as_bytes());
    out
}

#[test]
fn valid_requests_are_read_as_meant() {
    let mut random = Random(3);
    for _ in 0..3_000 {
        let count = 1 + random.below(3);
        let (pieces, described): (Vec<_>, Vec<_>) = (0..count).map(|_| generate(&mut random)).unzip();
        let bytes = pieces.concat();
        let expected = Verdict { messages: described, end: End::Clean };
        assert_eq!(judge_requests(&bytes, &[]), expected, "{}", bytes.escape_ascii());
        let cuts = random.cuts(bytes.len());
        assert_eq!(judge_requests(&bytes, &cuts), expected, "{cuts:?} {}", bytes.escape_ascii());
    }
}

/// Changes `bytes` in a few places, with a taste for what parsers trip over.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const PIECES: [&[u8]; 20] = [
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"\0",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"0",
        b"HTTP/1.1",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\n",
        b"Host: x\r\n",
        b"chunked",
        b"\"",
    ];
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(8)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let from = random.below(other.len());
                let piece = other[from..(from + random.below(30)).min(other.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => drop(bytes.splice(at..end.min(at + 1), random.pick(&PIECES).iter().copied())),
        }
    }
}

fn check_mutants(count: usize, corpus: &[Vec<u8>], judge: impl Fn(&[u8], &[usize]) -> Verdict) {
    let mut random = Random(4);
    let (mut accepted, mut rejected) = (0, 0);
    for _ in 0..count {
        let mut bytes = random.pick(corpus).clone();
        let other = random.pick(corpus);
        mutate(&mut bytes, other, &mut random);
        let whole = judge(&bytes, &[]);
        let cuts = random.cuts(bytes.len());
        assert_eq!(judge(&bytes, &cuts), whole, "{cuts:?} {}", bytes.escape_ascii());
        *if whole.is_rejection() { &mut rejected } else { &mut accepted } += 1;
    }
    // Mutants that all go one way would test nothing.
    assert!(accepted > count / 20 && rejected > count / 20, "{accepted} accepted, {rejected} rejected");
}

#[test]
fn mutated_requests_never_panic_and_cuts_never_matter() {
    let mut random = Random(5);
    let mut corpus: Vec<Vec<u8>> = (0..300).map(|_| generate(&mut random).0).collect();
    let own = own_cases("request_cases.txt").into_iter().map(|case| case.input);
    corpus.extend(own.filter(|input| !input.is_empty() && input.len() < 1_000));
    check_mutants(200_000, &corpus, judge_requests);
}

#[test]
fn mutated_responses_never_panic_and_cuts_never_matter() {
    let own = own_cases("response_cases.txt").into_iter().map(|case| case.input);
    let corpus: Vec<Vec<u8>> = own.filter(|input| !input.is_empty() && input.len() < 1_000).collect();
    check_mutants(50_000, &corpus, |bytes, cuts| judge_responses(bytes, cuts, false));
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
    let raw = b"GET /event HTTP/1.0\r\nOrigin: https://a\r\nReferer: r\r\nUser-Agent: u\r\nAccept-Language: l\r\nDate: d\r\n\
        Content-Type: t\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Dest: 1\r\nSec-Fetch-Mode: 2\r\n\
        Sec-Fetch-Site: 3\r\nSec-Fetch-User: 4\r\nSec-GPC: 5\r\nDNT: 6\r\nAuthorization: 7\r\n\
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
