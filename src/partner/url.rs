//! The part of a partner's URL that names the server. What follows is a template.

use std::ops::Range;

/// Where a partner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Name or address, without brackets: for DNS.
    pub host: String,
    pub port: u16,
    /// As the `Host` header says it: with the port unless it is 80.
    pub authority: String,
}

const SCHEME: &str = "http://";
const TLS_SCHEME: &str = "https://";
const PORT: u16 = 80;
/// Why a URL that asks for TLS is none of a partner's.
pub const TLS_FAULT: &str = "partners are not called over TLS yet, and this one is not to be called without";

impl Url {
    /// Reads the scheme and host of `text`; returns where the rest begins, or what is wrong and where.
    ///
    /// Connections to partners are plain, so a URL that asks for TLS is refused: what would be sent there is secret.
    pub fn parse(text: &str) -> Result<(Url, usize), (String, Range<usize>)> {
        if let Some(place) = tls_scheme(text) {
            return Err((TLS_FAULT.to_owned(), place));
        }
        if !starts_with_any_case(text, SCHEME) {
            return Err((format!("a URL begins with `{SCHEME}`"), 0..text.len().min(SCHEME.len())));
        }
        let start = SCHEME.len();
        let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |len| start + len);
        let authority = &text[start..end];
        let fault = |message: &str| Err((message.to_owned(), start..end));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
                _ => return fault("this is no IPv6 address in brackets"),
            },
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(is_host_byte) {
            return fault("this is no host name: letters, digits, `-` and `.` are meant, and no macro");
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => PORT,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
                Ok(port) if port != 0 => port,
                _ => return fault("a port lies between 1 and 65535"),
            },
            _ => return fault("a port is a number"),
        };
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authority = if port == PORT { bracketed } else { format!("{bracketed}:{port}") };
        Ok((Url { host: host.to_owned(), port, authority }, end))
    }
}

/// Where a URL asks for TLS, if it does.
pub fn tls_scheme(text: &str) -> Option<Range<usize>> {
    starts_with_any_case(text, TLS_SCHEME).then_some(0..TLS_SCHEME.len())
}

fn starts_with_any_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let cases = [
            ("http://a.example/x", ("a.example", 80, "a.example", 16)),
            ("HTTP://a.example", ("a.example", 80, "a.example", 16)),
            ("http://127.0.0.1:8080?x", ("127.0.0.1", 8080, "127.0.0.1:8080", 21)),
            ("http://[::1]:80/", ("::1", 80, "[::1]", 15)),
            ("http://[::1]:443/", ("::1", 443, "[::1]:443", 16)),
        ];
        for (text, (host, port, authority, rest)) in cases {
            let url = Url { host: host.to_owned(), port, authority: authority.to_owned() };
            assert_eq!(Url::parse(text), Ok((url, rest)), "{text}");
        }
        for text in [
            "",
            "a.example",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a:0",
            "http://a:x",
            "http://a:99999",
            "http://u@a/",
            "http://a b/",
            "http://%did%/",
            "http://[::1",
            "http://[x]/",
            "http://[::1]x/",
            "http://é/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tls_is_refused_rather_than_left_out() {
        for text in ["https://a.example/x", "HTTPS://a.example", "https://"] {
            assert_eq!(Url::parse(text), Err((TLS_FAULT.to_owned(), 0..8)), "{text}");
        }
    }
}
