//! The forms of names, hosts, origins and URLs.

use std::net::{Ipv4Addr, Ipv6Addr};

const LABEL_BYTES_MAX: usize = 63;
const DOMAIN_BYTES_MAX: usize = 253;
const NAME_BYTES_MAX: usize = 64;
/// `dpm.BASE` serves ID calls for all accounts, `fast.ALIAS.BASE` is `ALIAS.BASE`.
const RESERVED_ALIASES: [&str; 2] = ["dpm", "fast"];

pub(super) fn is_alias(text: &str) -> bool {
    is_label(text) && !RESERVED_ALIASES.contains(&text)
}

/// One part of a host name, in the lower case in which hosts are compared.
fn is_label(text: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

pub(super) fn is_domain(text: &str) -> bool {
    text.len() <= DOMAIN_BYTES_MAX && text.split('.').all(is_label) && text.parse::<Ipv4Addr>().is_err()
}

/// A domain or an address, as it stands in a URL.
pub(super) fn is_host(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    bracketed.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
        || is_domain(text)
        || text.parse::<Ipv4Addr>().is_ok()
}

fn is_host_and_port(text: &str) -> bool {
    match text.rsplit_once(':') {
        // A colon before the closing bracket belongs to the address.
        Some((host, port)) if !port.ends_with(']') => is_host(host) && is_port(port),
        _ => is_host(text),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `*` stands for every port.
pub(super) fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    host.is_some_and(|host| match host.strip_suffix(":*") {
        Some(host) => is_host(host),
        None => is_host_and_port(host),
    })
}

/// Scheme and host are fixed, so that the pool of connections is; what follows may be a template.
pub(super) fn is_web_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    is_host_and_port(&host.to_ascii_lowercase()) && is_visible(text) && !text.contains('#')
}

pub(super) fn is_organisation(text: &str) -> bool {
    text.strip_suffix("@AdobeOrg").is_some_and(|hex| {
        (1..=NAME_BYTES_MAX).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// RFC 9110's token: the name of a header or cookie.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What may be part of a signal's key that rules can name.
pub(super) fn is_key(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

pub(super) fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Signals used for rules only: never logged, stored or sent.
pub(super) fn is_private(key: &str) -> bool {
    key.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("p_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is_right: impl Fn(&str) -> bool, right: &[&str], wrong: &[&str]) {
        right.iter().for_each(|text| assert!(is_right(text), "{text} is right"));
        wrong.iter().for_each(|text| assert!(!is_right(text), "{text} is wrong"));
    }

    #[test]
    fn forms() {
        let long = "a".repeat(64);
        check(is_alias, &["a", "acme-1", "1"], &["", "dpm", "fast", "Acme", "-a", "a-", "a.b", "a_b", "é", &long]);
        check(is_domain, &["localhost", "a.example"], &["", ".a", "a.", "a..b", "A.example", "10.0.0.1", "a b"]);
        check(is_host, &["a.example", "10.0.0.1", "[::1]"], &["", "::1", "a:80", "http://a", "[a]", "[10.0.0.1]"]);
        check(
            is_origin,
            &["https://a.example", "http://localhost:3000", "http://[::1]:80", "http://[::1]", "http://localhost:*"],
            &[
                "",
                "a.example",
                "https://a.example/",
                "https://a:0",
                "https://a:x",
                "https://a:",
                "https://a:1:*",
                "ftp://a",
                "https://A",
                "null",
            ],
        );
        check(
            is_web_url,
            &["http://a.example/x?y=%did%", "http://A.example:81?z", "http://10.0.0.1/"],
            &[
                "",
                "//a/b",
                "https://a.example/",
                "http:///x",
                "http://%sig_a%.example/",
                "http://a/b c",
                "http://a/é",
                "http://a/#b",
                "http://u@a/",
            ],
        );
        check(is_organisation, &["0A1b@AdobeOrg"], &["", "@AdobeOrg", "0A1B", "xyz@AdobeOrg", "0A@adobeorg"]);
        check(is_token, &["X-Key", "a"], &["", "a b", "a:b", "a\n"]);
        check(is_key, &["acme_1.x-y"], &["", "a b", "ä"]);
    }
}
