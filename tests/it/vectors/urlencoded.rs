//! The cases of the web platform tests for form text. Each goes the ways that such text takes: through both decoders
//! as it stands, and as the body of a POST, with a length and in chunks, through the request parser into a call, cut
//! everywhere. It must mean the same each time.

use pinion::event::call::{self, CallBuffers, Headers};
use pinion::event::errors::ErrorCode;
use pinion::event::form::{BadEscape, Scratch, pairs};
use pinion::http::request::{self, Parsed};
use pinion::http::{Body, Progress};
use pinion::limits;

use super::Deviations;
use crate::http_vectors::Random;

/// Keys and values, or a bad escape: error 311.
type Decoded = Result<Vec<(Vec<u8>, Vec<u8>)>, BadEscape>;

#[test]
fn form_text_means_what_browsers_mean_by_it() {
    let Some(folder) = super::folder("urlencoded") else { return };
    let text = std::fs::read_to_string(folder.join("urlencoded-parser-data.json")).unwrap();
    let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut deviations = Deviations::read("vectors/urlencoded_deviations.txt", "");
    let (mut random, mut judged) = (Random::new(3), 0);
    for case in cases.as_array().unwrap().iter().filter(|case| case.is_object()) {
        let input = case["input"].as_str().unwrap();
        let decoded = decode(input.as_bytes());
        for chunk_bytes in [None, Some(1), Some(3)] {
            check_as_body(input.as_bytes(), &decoded, chunk_bytes, &mut random);
        }
        // Bytes that are no UTF-8 stay as they are; they are compared as they would be shown.
        let shown = decoded.as_ref().map(|pairs| {
            let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            serde_json::json!(pairs.iter().map(|(key, value)| [show(key), show(value)]).collect::<Vec<_>>())
        });
        // A stray percent sign is refused, and never read as something else than browsers read it.
        assert!(shown.as_ref().map_or(true, |shown| *shown == case["output"]), "{input}: {shown:?}");
        deviations.judge(input, shown.is_ok(), || format!("{shown:?}"));
        judged += 1;
    }
    assert!(judged > 30, "only {judged} cases were understood");
    deviations.finish();
}

/// By both decoders, which must agree.
fn decode(text: &[u8]) -> Decoded {
    let mut room = vec![0; text.len()];
    let mut scratch = Scratch::new(&mut room);
    let in_two_steps: Decoded =
        pairs(text).map(|(key, value)| Ok((scratch.decode(key)?.to_vec(), scratch.decode(value)?.to_vec()))).collect();
    let mut room = vec![0; text.len()];
    let (mut scratch, mut rest) = (Scratch::new(&mut room), text);
    let in_one: Decoded = std::iter::from_fn(|| scratch.next_pair(&mut rest))
        .map(|pair| pair.map(|pair| (pair.key.to_vec(), pair.value.to_vec())))
        .collect();
    assert_eq!(in_one, in_two_steps, "{}", text.escape_ascii());
    in_one
}

/// The text as the body of a POST, received whole, in two pieces cut at every byte, byte by byte, and cut at random.
fn check_as_body(text: &[u8], decoded: &Decoded, chunk_bytes: Option<usize>, random: &mut Random) {
    let head = "POST /event HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let mut bytes = head.as_bytes().to_vec();
    match chunk_bytes {
        None => {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", text.len()).bytes());
            bytes.extend(text);
        }
        Some(chunk_bytes) => {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in text.chunks(chunk_bytes) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        }
    }
    let whole = call_of(&bytes, &[]);
    let expected = decoded.clone().map(|mut pairs| {
        // What has no name is no signal.
        pairs.retain(|(key, _)| !key.is_empty());
        pairs
    });
    assert_eq!(whole, expected, "{}", bytes.escape_ascii());
    let singles: Vec<usize> = (1..bytes.len()).collect();
    let pairs_of_pieces = (1..bytes.len()).map(|cut| vec![cut]);
    let at_random: Vec<_> = (0..20).map(|_| random.cuts(bytes.len())).collect();
    for cuts in pairs_of_pieces.chain([singles]).chain(at_random) {
        assert_eq!(call_of(&bytes, &cuts), whole, "cut at {cuts:?}: {}", bytes.escape_ascii());
    }
}

/// The signals of a call that arrives in pieces.
fn call_of(bytes: &[u8], cuts: &[usize]) -> Decoded {
    let mut progress = Progress::default();
    for &received in cuts.iter().filter(|&&received| received < bytes.len()) {
        if let Parsed::Complete { consumed, .. } = request::parse(&bytes[..received], &mut progress) {
            panic!("complete after {consumed} of {} bytes", bytes.len());
        }
    }
    let Parsed::Complete { request, consumed } = request::parse(bytes, &mut progress) else { panic!("not complete") };
    assert_eq!(consumed, bytes.len());
    let mut body = vec![0; limits::BODY_BYTES_MAX];
    let body = match request.body {
        Body::None => &[],
        _ => request.body.contiguous(&mut body),
    };
    let headers = Headers { content_type: request.fields.content_type, ..Headers::default() };
    let mut scratch = vec![0; body.len()];
    let call = CallBuffers::new().decode(&call::Request { query: request.query, body, headers }, &mut scratch);
    if call.errors.contains(ErrorCode::ParameterBadlyEncoded) {
        assert!(call.signals.is_empty(), "a badly encoded call is disregarded");
        return Err(BadEscape);
    }
    Ok(call.signals.iter().map(|signal| (signal.key.to_vec(), signal.value.to_vec())).collect())
}
