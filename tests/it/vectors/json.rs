//! JSONTestSuite as partners' answers: each text is the body of a response, told by its length, in chunks, or by the
//! end of the connection, arrives cut everywhere, and is read by the reader that the server reads answers with. What
//! must not parse is that partner's error and nothing else; what must parse is never one of syntax.

use pinion::http::HttpFault;
use pinion::http::response::{Answer as Parsed, ResponseParser};
use pinion::limits::PARTNER_BODY_BYTES_MAX;
use pinion::partner::answer::{Answer, AnswerError};
use pinion::partner::format::{Format, FormatName, FormatSettings};
use pinion::partner::reader::{AnswerHead, AnswerReader};

use super::Deviations;
use crate::http_vectors::Random;

/// What came of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The text is JSON, whether or not it is an answer of the format's shape.
    Parsed,
    NotJson(AnswerError),
    /// Refused before it was read.
    Refused(HttpFault),
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    Chunks(usize),
    UntilClose,
}

const FRAMINGS: [Framing; 4] = [Framing::Length, Framing::Chunks(1), Framing::Chunks(700), Framing::UntilClose];

/// Longer texts are not cut at every byte: that costs the square of their length.
const CUT_EVERYWHERE_BYTES_MAX: usize = 300;

#[test]
fn partners_answers_are_read_as_json_says() {
    let Some(folder) = super::folder("jsontestsuite") else { return };
    let mut deviations = Deviations::read("vectors/jsontestsuite_deviations.txt", "");
    let mut partner = Partner::new();
    let (mut random, mut judged) = (Random::new(4), 0);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in paths {
        let (name, text) = (path.file_name().unwrap().to_string_lossy(), std::fs::read(&path).unwrap());
        let verdict = partner.judge_all(&text, &mut random, &name);
        // Where the suite leaves it open, what we refuse is listed.
        let agrees = (verdict == Verdict::Parsed) != name.starts_with("n_");
        deviations.judge(&name, agrees, || format!("{verdict:?}"));
        judged += 1;
    }
    assert!(judged > 300, "only {judged} cases were found");
    deviations.finish();
}

#[test]
fn deep_nesting_is_refused_however_it_arrives() {
    let (mut partner, mut random) = (Partner::new(), Random::new(5));
    for open in ["[", "{\"a\":", "[{\"\":", "[[1],"] {
        let text = open.repeat(1_000).into_bytes();
        let verdict = partner.judge_all(&text, &mut random, open);
        assert_eq!(verdict, Verdict::NotJson(AnswerError::TooDeep), "{open}");
        let large = open.repeat(PARTNER_BODY_BYTES_MAX + 1).into_bytes();
        assert_eq!(partner.judge_all(&large, &mut random, open), Verdict::Refused(HttpFault::BodySize), "{open}");
    }
}

struct Partner {
    /// One as the server has it, for all cases: what is left of one would show in another.
    reader: AnswerReader,
    answer: Answer,
    formats: Vec<Format>,
}

impl Partner {
    fn new() -> Partner {
        let names = [FormatName::Flat, FormatName::Pinion, FormatName::OpenRtb, FormatName::Scored, FormatName::Dcs];
        let compile = |name| Format::compile(&FormatSettings { name, ..FormatSettings::default() }).unwrap();
        Partner { reader: AnswerReader::new(), answer: Answer::new(), formats: names.map(compile).into() }
    }

    /// In all framings and pieces, which must agree.
    fn judge_all(&mut self, text: &[u8], random: &mut Random, name: &str) -> Verdict {
        let verdict = self.judge(&response(text, Framing::Length), &[]);
        for framing in FRAMINGS {
            // The bytes around chunks are bounded as well, and chunks of a byte have the most of them.
            if matches!(framing, Framing::Chunks(1)) && text.len() > CUT_EVERYWHERE_BYTES_MAX {
                continue;
            }
            let bytes = response(text, framing);
            let head_bytes = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            let mut all: Vec<Vec<usize>> = vec![Vec::new()];
            if text.len() <= CUT_EVERYWHERE_BYTES_MAX {
                all.push((1..bytes.len()).collect());
                all.extend((head_bytes..bytes.len()).map(|cut| vec![cut]));
            }
            all.extend((0..5).map(|_| random.cuts(bytes.len())));
            for cuts in all {
                assert_eq!(self.judge(&bytes, &cuts), verdict, "{name}, {framing:?}, cut at {cuts:?}");
            }
        }
        verdict
    }

    fn judge(&mut self, bytes: &[u8], cuts: &[usize]) -> Verdict {
        let mut parser = ResponseParser::new(false, PARTNER_BODY_BYTES_MAX);
        let mut own = bytes.to_vec();
        let pieces = cuts.iter().copied().chain([bytes.len()]);
        let early = pieces.map(|received| parser.advance(&mut own[..received])).find(|one| *one != Parsed::Incomplete);
        match early.unwrap_or_else(|| parser.finish_on_close(&mut own)) {
            Parsed::Complete(response) => self.read(&own[response.body]),
            Parsed::Fault(fault) => Verdict::Refused(fault),
            Parsed::Incomplete => unreachable!("a close decides"),
        }
    }

    /// By each format: whether a text is JSON doesn't depend on what is looked for in it.
    fn read(&mut self, body: &[u8]) -> Verdict {
        let head = AnswerHead { status: 200, content_encoding: None };
        let mut verdicts = self.formats.iter().map(|format| {
            match self.reader.read(format, head, body, 1_795_289_301_558, &mut self.answer) {
                Ok(()) => Verdict::Parsed,
                Err(error) => {
                    assert!(
                        self.answer.segments().len() == 0
                            && self.answer.signals().len() == 0
                            && self.answer.partner_id().is_none()
                    );
                    if error == AnswerError::Shape { Verdict::Parsed } else { Verdict::NotJson(error) }
                }
            }
        });
        let first = verdicts.next().expect("there are formats");
        assert!(verdicts.all(|other| other == first), "{first:?}: {}", body.escape_ascii());
        first
    }
}

/// A response with this body.
fn response(body: &[u8], framing: Framing) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n".to_vec();
    match framing {
        Framing::Length => out.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes()),
        Framing::Chunks(_) => out.extend(b"Transfer-Encoding: chunked\r\n\r\n"),
        Framing::UntilClose => out.extend(b"\r\n"),
    }
    match framing {
        Framing::Chunks(chunk_bytes) => {
            for chunk in body.chunks(chunk_bytes) {
                out.extend(format!("{:x}\r\n", chunk.len()).bytes());
                out.extend(chunk);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
        }
        Framing::Length | Framing::UntilClose => out.extend(body),
    }
    out
}
