//! The request line: method, target and version (RFC 9112, sections 2.3 and 3).

use memchr::memchr;

use super::fault::HttpFault;
use crate::limits;

/// The methods that endpoints are offered for, and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Connect,
    /// Registered with IANA, and served nowhere here.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// The request line, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: Method,
    pub(super) version: Version,
    /// The authority of an absolute-form target, which outranks `Host`.
    pub(super) authority: Option<&'a [u8]>,
    pub(super) path: &'a [u8],
    pub(super) query: &'a [u8],
}

/// IANA's registry of methods, without the ones that have a variant of their own. `PRI` is left out: it can't occur in
/// HTTP/1.
const METHODS_OTHER: [&[u8]; 34] = [
    b"ACL",
    b"BASELINE-CONTROL",
    b"BIND",
    b"CHECKIN",
    b"CHECKOUT",
    b"COPY",
    b"DELETE",
    b"LABEL",
    b"LINK",
    b"LOCK",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKCOL",
    b"MKREDIRECTREF",
    b"MKWORKSPACE",
    b"MOVE",
    b"ORDERPATCH",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"PUT",
    b"QUERY",
    b"REBIND",
    b"REPORT",
    b"SEARCH",
    b"TRACE",
    b"UNBIND",
    b"UNCHECKOUT",
    b"UNLINK",
    b"UNLOCK",
    b"UPDATE",
    b"UPDATEREDIRECTREF",
    b"VERSION-CONTROL",
];

impl<'a> RequestLine<'a> {
    /// Judges a request line without its CRLF. Form is checked before meaning: what is malformed is 400 whatever it
    /// asks.
    pub(super) fn parse(line: &'a [u8]) -> Result<RequestLine<'a>, HttpFault> {
        let method_end = memchr(b' ', line).ok_or(HttpFault::RequestLine)?;
        let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
        let target_end = memchr(b' ', rest).ok_or(HttpFault::RequestLine)?;
        let (target, version) = (&rest[..target_end], &rest[target_end + 1..]);
        if !is_token(method) || target.is_empty() || !is_graphic(target) {
            return Err(HttpFault::RequestLine);
        }
        let &[b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] = version else {
            return Err(HttpFault::RequestLine);
        };
        if target.len() > limits::TARGET_BYTES_MAX {
            return Err(HttpFault::TargetSize);
        }
        let version = match (major, minor) {
            (b'1', b'1') => Version::Http11,
            (b'1', b'0') => Version::Http10,
            _ => return Err(HttpFault::VersionUnknown),
        };
        let method = method_of(method)?;
        let (authority, path, query) = split_target(method, target)?;
        Ok(RequestLine { method, version, authority, path, query })
    }
}

/// Looks at every byte whatever it finds: without an early exit the compiler checks 16 or more at once.
fn is_graphic(text: &[u8]) -> bool {
    text.iter().fold(true, |graphic, byte| graphic & byte.is_ascii_graphic())
}

fn method_of(name: &[u8]) -> Result<Method, HttpFault> {
    Ok(match name {
        b"GET" => Method::Get,
        b"POST" => Method::Post,
        b"HEAD" => Method::Head,
        b"OPTIONS" => Method::Options,
        b"CONNECT" => Method::Connect,
        _ if METHODS_OTHER.contains(&name) => Method::Other,
        _ => return Err(HttpFault::MethodUnknown),
    })
}

type Target<'a> = (Option<&'a [u8]>, &'a [u8], &'a [u8]);

/// Splits a target into authority, path and query. A raw `#` is no URI syntax in a request, but it does occur; it stays
/// where it is, as a byte like any other.
fn split_target(method: Method, target: &[u8]) -> Result<Target<'_>, HttpFault> {
    if method == Method::Connect {
        return if is_authority(target) { Ok((Some(target), b"", b"")) } else { Err(HttpFault::Target) };
    }
    if target[0] == b'/' {
        let (path, query) = split_query(target);
        return Ok((None, path, query));
    }
    if target == b"*" {
        return if method == Method::Options { Ok((None, target, b"")) } else { Err(HttpFault::Target) };
    }
    let rest = after_scheme(target).ok_or(HttpFault::Target)?;
    let authority_end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    if authority.is_empty() || !is_authority(authority) {
        return Err(HttpFault::Target);
    }
    let (path, query) = split_query(rest);
    // What is missing is lent by the scheme's end, so that all parts of a request lie in its head.
    let scheme_end = &target[..target.len() - authority.len() - rest.len()];
    let path = if path.is_empty() { &scheme_end[scheme_end.len() - 1..] } else { path };
    Ok((Some(authority), path, query))
}

fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, b""),
    }
}

fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    for scheme in [b"http://".as_slice(), b"https://"] {
        if let Some((head, rest)) = target.split_at_checked(scheme.len())
            && head.eq_ignore_ascii_case(scheme)
        {
            return Some(rest);
        }
    }
    None
}

/// Whether `text` is made of the bytes of a host and port (RFC 3986, section 3.2). User information is not: it is
/// obsolete in requests and hides the host from a careless reader.
pub(super) fn is_authority(text: &[u8]) -> bool {
    text.iter().all(|&byte| AUTHORITY_BYTES[byte as usize])
}

const AUTHORITY_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%:[]!$&'()*+,;=";
    let mut place = 0;
    while place < others.len() {
        table[others[place] as usize] = true;
        place += 1;
    }
    table
};

/// Whether `text` is a token of RFC 9110, section 5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    type Split<'a> = Result<(Option<&'a str>, &'a str, &'a str), HttpFault>;

    fn target(line: &str) -> Split<'_> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        RequestLine::parse(line.as_bytes()).map(|line| (line.authority.map(text), text(line.path), text(line.query)))
    }

    #[test]
    fn targets_split_by_form() {
        assert_eq!(target("GET /event?a=b?c HTTP/1.1"), Ok((None, "/event", "a=b?c")));
        assert_eq!(target("GET / HTTP/1.0"), Ok((None, "/", "")));
        assert_eq!(target("GET HTTP://h:80?q HTTP/1.1"), Ok((Some("h:80"), "/", "q")));
        assert_eq!(target("GET https://h/p?q HTTP/1.1"), Ok((Some("h"), "/p", "q")));
        assert_eq!(target("OPTIONS * HTTP/1.1"), Ok((None, "*", "")));
        assert_eq!(target("CONNECT h:443 HTTP/1.1"), Ok((Some("h:443"), "", "")));
        for bad in ["GET *", "GET h:443", "CONNECT /x", "GET http://", "GET http://u@h/", "GET ftp://h/", "GET x"] {
            assert_eq!(target(&format!("{bad} HTTP/1.1")), Err(HttpFault::Target), "{bad}");
        }
    }

    #[test]
    fn form_is_judged_before_meaning() {
        let cases = [
            ("GET /", HttpFault::RequestLine),
            ("GET", HttpFault::RequestLine),
            ("GET  / HTTP/1.1", HttpFault::RequestLine),
            ("GET / HTTP/1.1 ", HttpFault::RequestLine),
            ("GET /a b HTTP/1.1", HttpFault::RequestLine),
            ("G(T / HTTP/1.1", HttpFault::RequestLine),
            ("GET /\u{e9} HTTP/1.1", HttpFault::RequestLine),
            ("GET /\u{1} HTTP/1.1", HttpFault::RequestLine),
            ("GET /\u{7f} HTTP/1.1", HttpFault::RequestLine),
            ("GET / http/1.1", HttpFault::RequestLine),
            ("GET / HTTP/1.10", HttpFault::RequestLine),
            ("BREW / HTTP/2.0", HttpFault::VersionUnknown),
            ("GET / HTTP/1.2", HttpFault::VersionUnknown),
            ("BREW / HTTP/1.1", HttpFault::MethodUnknown),
            ("get / HTTP/1.1", HttpFault::MethodUnknown),
        ];
        for (line, fault) in cases {
            assert_eq!(RequestLine::parse(line.as_bytes()), Err(fault), "{line}");
        }
    }
}
