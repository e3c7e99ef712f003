//! Host names: compared without case, port and trailing dot, label by label. The name under the server's base domain
//! selects the account.

/// What a host name selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site<'a> {
    /// `ALIAS.BASE` or `fast.ALIAS.BASE`: an account, by an alias in whatever case it came.
    Account(&'a [u8]),
    /// `dpm.BASE`: ID calls of all accounts.
    Ids,
    /// A deeper name under the base than there are: nobody's.
    Unknown,
    /// The base itself, or a name that is not under it: the default account, if there is one.
    Outside,
}

/// A host without port and trailing dot. Its case stays: compare with [`same`].
pub fn normalised(host: &[u8]) -> &[u8] {
    let name = match host.iter().rposition(|&byte| byte == b':') {
        // The colons of an IPv6 address stand in brackets.
        Some(colon) if host[colon + 1..].iter().all(u8::is_ascii_digit) => &host[..colon],
        _ => host,
    };
    name.strip_suffix(b".").unwrap_or(name)
}

pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// What stands before `.base`, if `name` is below it. Both without port and trailing dot.
pub fn below<'a>(name: &'a [u8], base: &[u8]) -> Option<&'a [u8]> {
    let split = name.len().checked_sub(base.len())?.checked_sub(1)?;
    let (front, dotted_base) = name.split_at(split);
    (!front.is_empty() && dotted_base[0] == b'.' && same(&dotted_base[1..], base)).then_some(front)
}

/// Whether `name` is `domain` or below it. Both without port and trailing dot.
pub fn is_within(name: &[u8], domain: &[u8]) -> bool {
    same(name, domain) || below(name, domain).is_some()
}

/// What a `Host` selects, given the base domain. Deeper names than the known ones select nothing.
pub fn site<'a>(host: &'a [u8], base: &[u8]) -> Site<'a> {
    let Some(front) = below(normalised(host), base) else { return Site::Outside };
    let mut labels = front.splitn(3, |&byte| byte == b'.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some(alias), None, _) if same(alias, b"dpm") => Site::Ids,
        (Some(alias), None, _) if !alias.is_empty() => Site::Account(alias),
        (Some(fast), Some(alias), None) if same(fast, b"fast") && !alias.is_empty() => Site::Account(alias),
        _ => Site::Unknown,
    }
}

/// Whether a cookie may be set for the whole base domain by this host. Otherwise, as for addresses and `localhost`,
/// the cookie is the host's own.
pub fn shares_cookies(host: &[u8], base: &[u8]) -> bool {
    let is_domain = base.contains(&b'.') && !base.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.');
    is_domain && is_within(normalised(host), base)
}

/// The host of an absolute `http` or `https` URL, or of an origin, without port and trailing dot; `None` for whatever a
/// browser might read otherwise: user names, backslashes, control bytes, escapes, addresses in brackets.
pub fn of_url(url: &[u8]) -> Option<&[u8]> {
    if url.iter().any(u8::is_ascii_control) {
        return None;
    }
    let after_scheme = strip_prefix_any_case(url, b"https://").or_else(|| strip_prefix_any_case(url, b"http://"))?;
    let end = after_scheme.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(after_scheme.len());
    let authority = &after_scheme[..end];
    let (name, port) = match authority.iter().position(|&byte| byte == b':') {
        Some(colon) => (&authority[..colon], &authority[colon + 1..]),
        None => (authority, &[][..]),
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    let name_is_plain = name.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let port_is_plain = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    (!name.is_empty() && name_is_plain && port_is_plain).then_some(name)
}

pub(super) fn strip_prefix_any_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = text.split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_and_trailing_dot() {
        for (host, name) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("a.example.:8080", "a.example"),
            ("a.example:", "a.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("a:b", "a:b"),
            ("", ""),
        ] {
            assert_eq!(normalised(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }

    #[test]
    fn the_name_below_the_base_selects_the_account() {
        for (host, expected) in [
            ("Shop.Demdex.NET:443", Site::Account(&b"Shop"[..])),
            ("fast.shop.demdex.net.", Site::Account(b"shop")),
            ("fast.demdex.net", Site::Account(b"fast")),
            ("DPM.demdex.net", Site::Ids),
            ("demdex.net", Site::Outside),
            (".demdex.net", Site::Outside),
            ("a.b.demdex.net", Site::Unknown),
            ("fast.a.b.demdex.net", Site::Unknown),
            ("fast..demdex.net", Site::Unknown),
            ("shopdemdex.net", Site::Outside),
            ("shop.demdex.net.evil.example", Site::Outside),
            ("", Site::Outside),
        ] {
            assert_eq!(site(host.as_bytes(), b"demdex.net"), expected, "{host}");
        }
    }

    #[test]
    fn cookies_are_shared_below_a_base_that_is_a_domain() {
        assert!(shares_cookies(b"shop.demdex.net:80", b"demdex.net"));
        assert!(shares_cookies(b"demdex.net", b"demdex.net"));
        for (host, base) in [
            ("localhost", "demdex.net"),
            ("127.0.0.1:8080", "demdex.net"),
            ("other.example", "demdex.net"),
            ("a.localhost", "localhost"),
            ("1.127.0.0.1", "127.0.0.1"),
        ] {
            assert!(!shares_cookies(host.as_bytes(), base.as_bytes()), "{host} {base}");
        }
    }
}
