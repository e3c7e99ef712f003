//! Requests made by a generator, which must be read as they were meant, and mutants, which must come to one verdict.

use std::fmt::Write as _;

use super::{End, Random, Verdict, judge_requests, judge_responses, own_cases};

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
    let mut random = Random::new(3);
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
    let mut random = Random::new(4);
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
    let mut random = Random::new(5);
    let mut corpus: Vec<Vec<u8>> = (0..200).map(|_| generate(&mut random).0).collect();
    corpus.extend((0..100).map(|_| [generate(&mut random).0, generate(&mut random).0].concat()));
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
