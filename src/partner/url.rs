//! The part of a partner's URL that names the server. What follows is a template.

use std::ops::Range;

/// Where a partner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub is_tls: bool,
    /// Name or address, without brackets: for DNS and TLS.
    pub host: String,
    pub port: u16,
    /// As the `Host` header says it: with the port unless it is the scheme's own.
    pub authority: String,
}

impl Url {
    /// Reads the scheme and host of `text`; returns where the rest begins, or what is wrong and where.
    pub fn parse(text: &str) -> Result<(Url, usize), (String, Range<usize>)> {
        let (is_tls, start) = match text {
            _ if starts_with_any_case(text, "https://") => (true, 8),
            _ if starts_with_any_case(text, "http://") => (false, 7),
            _ => return Err(("a URL begins with `https://` or `http://`".to_owned(), 0..text.len().min(8))),
        };
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
        let default_port = if is_tls { 443 } else { 80 };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => default_port,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
                Ok(port) if port != 0 => port,
                _ => return fault("a port lies between 1 and 65535"),
            },
            _ => return fault("a port is a number"),
        };
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authority = if port == default_port { bracketed } else { format!("{bracketed}:{port}") };
        Ok((Url { is_tls, host: host.to_owned(), port, authority }, end))
    }
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
            ("https://a.example/x", (true, "a.example", 443, "a.example", 17)),
            ("HTTP://a.example", (false, "a.example", 80, "a.example", 16)),
            ("http://127.0.0.1:8080?x", (false, "127.0.0.1", 8080, "127.0.0.1:8080", 21)),
            ("https://[::1]:443/", (true, "::1", 443, "[::1]", 17)),
            ("https://[::1]:444/", (true, "::1", 444, "[::1]:444", 17)),
        ];
        for (text, (is_tls, host, port, authority, rest)) in cases {
            let url = Url { is_tls, host: host.to_owned(), port, authority: authority.to_owned() };
            assert_eq!(Url::parse(text), Ok((url, rest)), "{text}");
        }
        for text in [
            "",
            "a.example",
            "ftp://a",
            "https://",
            "https:///x",
            "https://a:0",
            "https://a:x",
            "https://a:99999",
            "https://u@a/",
            "https://a b/",
            "https://%did%/",
            "https://[::1",
            "https://[x]/",
            "https://[::1]x/",
            "https://é/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
