//! llhttp's suite: the same verdicts but for a list of deviations, each with its reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Random, Verdict, judge_all_cuts, judge_requests, judge_responses, unescape};
use crate::vectors::{self, Deviations};

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
    let folder = vectors::folder("llhttp")?.join(side);
    let entries = std::fs::read_dir(folder).unwrap();
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

/// Holds our verdicts against llhttp's strict ones; leniency is expected of nobody, so lenient cases are rejections.
fn compare_with_llhttp(side: &str, judge: impl Fn(&VectorCase, &mut Random) -> Verdict) {
    let Some(cases) = vector_cases(side) else { return };
    let mut deviations = Deviations::read("http/llhttp_deviations.txt", &format!("{side}/"));
    let mut random = Random::new(1);
    for case in &cases {
        let verdict = judge(case, &mut random);
        let expected = case.rejected || case.kind.contains("lenient");
        let found = || format!("{verdict:?}\n    {}", case.input.escape_ascii());
        deviations.judge(&case.name, verdict.is_rejection() == expected, found);
    }
    deviations.finish();
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
