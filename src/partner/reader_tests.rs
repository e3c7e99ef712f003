//! The cases under `tests/cases/partner/`: settings, a response, and what is read from it.
//!
//! A file holds cases that begin with `== NAME`; then lines `setting: value`, a line `--`, the body, a line `--`, and
//! the reading as [`dump`] writes it.

use std::fmt::Write;

use super::*;
use crate::partner::format::{FormatName, FormatSettings};

const CONFIGURED_TTL_S: u32 = 3_600;
const NEGATIVE_TTL_S: u32 = 60;

#[test]
fn cases() {
    let (mut reader, mut answer) = (AnswerReader::new(), Answer::new());
    let mut failures = String::new();
    let count = for_each_case(|case| {
        let found = case.run(case.body.as_bytes(), &mut reader, &mut answer);
        if found != case.expected {
            writeln!(failures, "{}\nexpected:\n{}\nfound:\n{found}\n", case.name, case.expected).unwrap();
        }
    });
    assert!(count > 80, "only {count} cases");
    assert!(failures.is_empty(), "\n{failures}");
}

/// Cut off at every byte, and with every byte replaced by some that mean something: whatever comes out, nothing panics
/// and what is cut off within the JSON is never taken for an answer.
#[test]
fn damaged_bodies_do_no_harm() {
    let (mut reader, mut answer) = (AnswerReader::new(), Answer::new());
    for_each_case(|case| {
        let body = case.body.trim_ascii().as_bytes();
        for end in 0..body.len() {
            let found = case.run(&body[..end], &mut reader, &mut answer);
            let is_cut = body.ends_with(b"}") && case.status == 200 && !case.expected.starts_with("error ");
            assert!(!is_cut || found.starts_with("error "), "{} at {end}: {found}", case.name);
        }
        let mut damaged = body.to_vec();
        for at in 0..body.len() {
            for byte in b"{}[]\":,\\0n(;\x00\xff" {
                damaged[at] = *byte;
                case.run(&damaged, &mut reader, &mut answer);
            }
            damaged[at] = body[at];
        }
    });
}

fn for_each_case(mut visit: impl FnMut(Case<'_>)) -> usize {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/partner");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in text.split("\n== ").skip(1) {
            visit(Case::parse(case));
            count += 1;
        }
    }
    count
}

struct Case<'a> {
    name: &'a str,
    settings: FormatSettings,
    status: u16,
    encoding: Option<&'a str>,
    now_ms: u64,
    body: &'a str,
    expected: &'a str,
}

impl<'a> Case<'a> {
    fn parse(text: &'a str) -> Case<'a> {
        let (head, rest) = text.split_once("\n--\n").unwrap_or_else(|| panic!("no body: {text}"));
        let (body, expected) = rest.split_once("\n--\n").unwrap_or_else(|| panic!("no expectation: {text}"));
        let mut lines = head.lines();
        let name = lines.next().unwrap();
        let mut case = Case {
            name,
            settings: FormatSettings::default(),
            status: 200,
            encoding: None,
            now_ms: time::rfc3339_ms(b"2026-11-21T21:00:00Z").unwrap(),
            body,
            expected: expected.trim_ascii(),
        };
        for line in lines {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: {line}"));
            case.set(key, value);
        }
        case
    }

    fn set(&mut self, key: &str, value: &'a str) {
        let text = || Some(value.to_owned());
        match key {
            "format" => self.settings.name = FormatName::from_name(value).unwrap(),
            "path" => self.settings.paths.push(value.to_owned()),
            "element_id" => self.settings.element_id = text(),
            "element_ttl" => self.settings.element_ttl = text(),
            "id_path" => self.settings.id_path = text(),
            "ttl_path" => self.settings.ttl_path = text(),
            "min_score" => self.settings.min_score = value.parse().unwrap(),
            "wrapped" => self.settings.wrapped = Some(value == "true"),
            "stale" => self.settings.stale = value == "true",
            "empty_status" => self.settings.empty_statuses.push(value.parse().unwrap()),
            "status" => self.status = value.parse().unwrap(),
            "encoding" => self.encoding = Some(value),
            _ => panic!("{}: unknown setting {key}", self.name),
        }
    }

    fn run(&self, body: &[u8], reader: &mut AnswerReader, answer: &mut Answer) -> String {
        let format = Format::compile(&self.settings).unwrap();
        let head = AnswerHead { status: self.status, content_encoding: self.encoding.map(str::as_bytes) };
        match reader.read(&format, head, body, self.now_ms, answer) {
            Ok(()) => dump(answer),
            Err(error) => {
                assert!(answer.is_without_segments() && answer.partner_id().is_none());
                format!("error {}", error.name())
            }
        }
    }
}

fn dump(answer: &Answer) -> String {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).expect("JSON is UTF-8").to_owned();
    let mut out = match answer.kind {
        AnswerKind::Known => format!("known for {} s\n", answer.fresh_s(CONFIGURED_TTL_S, NEGATIVE_TTL_S)),
        AnswerKind::NothingKnown => "nothing known\n".to_owned(),
    };
    for segment in answer.segments() {
        writeln!(out, "segment {}", text(segment.text)).unwrap();
    }
    for (key, value) in answer.signals() {
        writeln!(out, "signal {}={}", text(key), text(value)).unwrap();
    }
    if let Some(id) = answer.partner_id() {
        writeln!(out, "id {}", text(id)).unwrap();
    }
    let dropped =
        [("segments", answer.dropped.segments), ("signals", answer.dropped.signals), ("ids", answer.dropped.ids)];
    for (what, count) in dropped.into_iter().filter(|(_, count)| *count > 0) {
        writeln!(out, "dropped {what} {count}").unwrap();
    }
    out.trim_ascii_end().to_owned()
}

fn read_flat(body: &str) -> (Result<(), AnswerError>, Answer) {
    let format = Format::compile(&FormatSettings { name: FormatName::Flat, ..FormatSettings::default() }).unwrap();
    let mut answer = Answer::new();
    let head = AnswerHead { status: 200, content_encoding: None };
    (AnswerReader::new().read(&format, head, body.as_bytes(), 0, &mut answer), answer)
}

#[test]
fn at_most_a_thousand_segments() {
    let ids = |count: usize| (0..count).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let (result, answer) = read_flat(&format!("{{\"segments\":[{}]}}", ids(1_003)));
    assert_eq!(result, Ok(()));
    assert_eq!((answer.segments().len(), answer.dropped.segments), (1_000, 3));
    assert_eq!(answer.segments().last().unwrap().text, b"999");
    // What comes after the last that counts must still be right.
    let (result, answer) = read_flat(&format!("{{\"segments\":[{},true]}}", ids(1_003)));
    assert_eq!((result, answer.segments().len()), (Err(AnswerError::Shape), 0));
}

#[test]
fn at_most_512_bytes_a_segment() {
    let body = format!("{{\"segments\":[\"{}\",\"{}\",{}]}}", "x".repeat(512), "y".repeat(513), "1".repeat(300));
    let (result, answer) = read_flat(&body);
    assert_eq!(result, Ok(()));
    assert_eq!((answer.segments().len(), answer.dropped.segments), (2, 1));
}

#[test]
fn depth_and_size() {
    let nested = |depth: usize| format!("{{\"segments\":[],\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(read_flat(&nested(31)).0, Ok(()));
    assert_eq!(read_flat(&nested(32)).0, Err(AnswerError::TooDeep));
    assert_eq!(read_flat(&nested(30_000)).0, Err(AnswerError::TooDeep));
    let padded = |bytes: usize| format!("{{\"segments\":[1]{}}}", " ".repeat(bytes - 16));
    assert_eq!(read_flat(&padded(PARTNER_BODY_BYTES_MAX)).0, Ok(()));
    assert_eq!(read_flat(&padded(PARTNER_BODY_BYTES_MAX + 1)).0, Err(AnswerError::TooLarge));
}

#[test]
fn nothing_of_one_answer_is_left_in_the_next() {
    let format = Format::compile(&FormatSettings::default()).unwrap();
    let (mut reader, mut answer) = (AnswerReader::new(), Answer::new());
    let head = AnswerHead { status: 200, content_encoding: None };
    let body = br#"{"segment":[{"segment_id":"a","ttl":1}],"ttl":2}"#;
    assert_eq!(reader.read(&format, head, body, 0, &mut answer), Ok(()));
    assert_eq!((answer.segments().len(), answer.ttl_s), (1, Some(2)));
    assert_eq!(reader.read(&format, head, b"{}", 0, &mut answer), Ok(()));
    assert_eq!((answer.kind, answer.segments().len(), answer.ttl_s), (AnswerKind::NothingKnown, 0, None));
}
