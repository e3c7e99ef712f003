//! The requests that a simulated partner gets, read as far as it must: where they end, and whom they ask about.

/// A complete request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) visitor_id: &'a [u8],
    /// How many bytes it takes.
    pub(super) bytes: usize,
    /// `Connection: close`.
    pub(super) is_last: bool,
}

/// What a simulated partner doesn't read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

const HEAD_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The request that `bytes` begin with; `None` when it is not complete yet. `visitor_key` is the query parameter or
/// JSON member that names the visitor; a request without it is its own target's visitor.
pub(super) fn parse<'a>(bytes: &'a [u8], visitor_key: &str) -> Result<Option<Request<'a>>, Unreadable> {
    let Some(head_bytes) = find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(Unreadable) } else { Ok(None) };
    };
    let mut lines = bytes[..head_bytes - 4].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(_), Some(target), Some(b"HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
        return Err(Unreadable);
    };
    let (mut body_bytes, mut is_last) = (0, false);
    for line in lines {
        let colon = find(line, b":").ok_or(Unreadable)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            body_bytes = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(Unreadable)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Unreadable);
        } else if name.eq_ignore_ascii_case(b"connection") {
            is_last = value.eq_ignore_ascii_case(b"close");
        }
    }
    if body_bytes > BODY_BYTES_MAX {
        return Err(Unreadable);
    }
    let Some(body) = bytes.get(head_bytes..head_bytes + body_bytes) else { return Ok(None) };
    let named = query_parameter(target, visitor_key).or_else(|| json_member(body, visitor_key));
    Ok(Some(Request { visitor_id: named.unwrap_or(target), bytes: head_bytes + body_bytes, is_last }))
}

fn query_parameter<'a>(target: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let query = &target[find(target, b"?")? + 1..];
    let mut pairs = query.split(|byte| *byte == b'&');
    pairs.find_map(|pair| pair.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

/// The first text of that name, at any depth: a partner that is asked knows what it is sent.
fn json_member<'a>(body: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut rest = body;
    while let Some(at) = find(rest, key.as_bytes()) {
        let before = &rest[..at];
        rest = &rest[at + key.len()..];
        let value = rest.strip_prefix(b"\"").map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(b":"));
        let value = value.map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(b"\""));
        if let (true, Some(value)) = (before.ends_with(b"\""), value) {
            return find(value, b"\"").map(|end| &value[..end]);
        }
    }
    None
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"segment_request_id":"77","user":{"id":"joe","eids":[]},"tmax":50}"#;

    #[test]
    fn a_request_is_taken_when_it_is_whole() {
        let request = format!("POST /s HTTP/1.1\r\nHost: a\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
        for end in 0..request.len() {
            assert_eq!(parse(&request.as_bytes()[..end], "id"), Ok(None), "{end}");
        }
        let found = Request { visitor_id: b"joe", bytes: request.len(), is_last: false };
        assert_eq!(parse(format!("{request}GET ").as_bytes(), "id"), Ok(Some(found)));
    }

    #[test]
    fn a_visitor_is_named_in_the_query_or_the_body() {
        let visitor_of = |text: &'static str| parse(text.as_bytes(), "u").unwrap().unwrap().visitor_id;
        assert_eq!(visitor_of("GET /s?a=1&u=joe HTTP/1.1\r\n\r\n"), b"joe");
        assert_eq!(visitor_of("GET /s?uu=joe HTTP/1.1\r\n\r\n"), b"/s?uu=joe");
        assert_eq!(visitor_of("POST / HTTP/1.1\r\nContent-Length: 19\r\n\r\n{\"uu\":1, \"u\" : \"j\"}"), b"j");
    }

    #[test]
    fn what_it_can_not_read_it_says() {
        for text in [
            "GET / HTTP/1.0\r\n\r\n",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\nno field\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes(), "id"), Err(Unreadable), "{text}");
        }
        assert_eq!(parse(&[b'a'; HEAD_BYTES_MAX + 1], "id"), Err(Unreadable));
        assert!(parse(b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", "id").unwrap().unwrap().is_last);
    }
}
