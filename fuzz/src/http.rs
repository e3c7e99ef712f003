//! HTTP in both directions: bytes that arrive in pieces mean what they mean at once.

use pinion::http::response::{Answer, ResponseParser};
use pinion::http::{HttpFault, Outline, Parsed, Progress, request as requests};
use pinion::limits::{BODY_BYTES_MAX, PARTNER_BODY_BYTES_MAX};

/// The first byte says how large the pieces are.
fn pieces(data: &[u8]) -> Option<(usize, &[u8])> {
    data.split_first().map(|(size, bytes)| (1 + usize::from(*size), bytes))
}

/// What a request came to: its fields in words, its body and how many bytes it took.
type Outcome = Result<Option<(String, Vec<u8>, usize)>, HttpFault>;

pub fn request(data: &[u8]) {
    let Some((size, bytes)) = pieces(data) else { return };
    let whole = judge(bytes, &mut Progress::default());
    let mut progress = Progress::default();
    let mut ends = (0..bytes.len()).step_by(size).skip(1).chain([bytes.len()]);
    let in_pieces = ends
        .find_map(|end| match judge(&bytes[..end], &mut progress) {
            Ok(None) => None,
            decided => Some(decided),
        })
        .unwrap_or(Ok(None));
    assert_eq!(whole, in_pieces);
}

fn judge(bytes: &[u8], progress: &mut Progress) -> Outcome {
    match requests::parse(bytes, progress) {
        Parsed::Incomplete { .. } => Ok(None),
        Parsed::Fault(fault) => Err(fault),
        Parsed::Complete { request, consumed } => {
            let mut scratch = vec![0; BODY_BYTES_MAX];
            let body = request.body.contiguous(&mut scratch);
            let head = &bytes[..request.head_bytes];
            let copy = head.to_vec();
            let again = Outline::new(&request, head).request(&copy, body);
            let words = |request: &pinion::http::Request<'_>| {
                let pinion::http::Request { method, version, path, query, host, fields, keep_alive, .. } = request;
                format!("{:?}", (method, version, path, query, host, fields, keep_alive))
            };
            assert_eq!(words(&request), words(&again));
            Ok(Some((words(&request), body.to_vec(), consumed)))
        }
    }
}

pub fn response(data: &[u8]) {
    let Some((size, bytes)) = pieces(data) else { return };
    let to_head = size % 2 == 0;
    let mut whole = bytes.to_vec();
    let mut parser = ResponseParser::new(to_head, PARTNER_BODY_BYTES_MAX);
    let expected = parser.finish_on_close(&mut whole);

    let mut received = Vec::new();
    let mut parser = ResponseParser::new(to_head, PARTNER_BODY_BYTES_MAX);
    let mut found = Answer::Incomplete;
    for piece in bytes.chunks(size) {
        received.extend_from_slice(piece);
        found = parser.advance(&mut received);
        if found != Answer::Incomplete {
            break;
        }
    }
    if found == Answer::Incomplete {
        found = parser.finish_on_close(&mut received);
    }
    match (found, expected) {
        (Answer::Complete(found), Answer::Complete(expected)) => {
            assert_eq!(received[found.body.clone()], whole[expected.body.clone()]);
            // Bytes that follow may not have come yet.
            assert_eq!(pinion::http::response::Response { stray: expected.stray, ..found }, expected);
        }
        (found, expected) => assert_eq!(found, expected),
    }
}
