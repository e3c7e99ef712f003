//! Where a message's body ends (RFC 9112, section 6), by the same strict rules for requests and partners' answers.

use super::fault::HttpFault;
use super::fields::Framing;
use super::request_line::{Version, is_token};

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFrame {
    /// Nothing was said.
    Unsaid,
    Length(usize),
    Chunked,
}

/// Decides the frame. RFC 9112 lets a Transfer-Encoding override a Content-Length and equal lengths be merged; both are
/// how smuggling starts, so both are refused.
pub(super) fn body_frame(
    framing: &Framing<'_>,
    version: Version,
    body_bytes_max: usize,
) -> Result<BodyFrame, HttpFault> {
    match (framing.content_length.value, framing.transfer_encoding.value) {
        (None, None) => Ok(BodyFrame::Unsaid),
        (Some(_), Some(_)) => Err(HttpFault::Length),
        (None, Some(_)) if framing.transfer_encoding.repeated || version == Version::Http10 => Err(HttpFault::Coding),
        (None, Some(coding)) => chunked_only(coding).map(|()| BodyFrame::Chunked),
        (Some(_), None) if framing.content_length.repeated => Err(HttpFault::Length),
        (Some(length), None) => match usize::try_from(decimal(length).ok_or(HttpFault::Length)?) {
            Ok(length) if length <= body_bytes_max => Ok(BodyFrame::Length(length)),
            _ => Err(HttpFault::BodySize),
        },
    }
}

/// Digits alone: no sign, no space, no list, nothing beyond 64 bits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// `chunked` is the one coding implemented. Others are told apart from nonsense, as the answer differs (501 or 400).
fn chunked_only(value: &[u8]) -> Result<(), HttpFault> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut chunked_seen = false;
    for coding in value.split(|&byte| byte == b',') {
        let coding = coding.trim_ascii();
        // A coding after `chunked` leaves the message without an end.
        if chunked_seen || !is_token(coding) {
            return Err(HttpFault::Coding);
        }
        chunked_seen = coding.eq_ignore_ascii_case(b"chunked");
    }
    Err(HttpFault::CodingUnknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"0042"), Some(42));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+1", "-1", "1 ", "1,1", "0x1", "18446744073709551616", "\u{661}"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn chunked_stands_alone() {
        assert_eq!(chunked_only(b"Chunked"), Ok(()));
        for unknown in ["gzip", "gzip, chunked", "identity", "xchunked", "chunkedchunked"] {
            assert_eq!(chunked_only(unknown.as_bytes()), Err(HttpFault::CodingUnknown), "{unknown}");
        }
        for bad in
            ["", ",", "chunked,", "chunked, chunked", "chunked, gzip", "chunked;q=1", "\"chunked\"", "\x0bchunked"]
        {
            assert_eq!(chunked_only(bad.as_bytes()), Err(HttpFault::Coding), "{bad}");
        }
    }
}
