//! Where a caller may be sent on to. An open redirect is a hole in everybody's site, so a URL must be of `http` or
//! `https` with a plain host name that is on the allow-list, read more strictly than any browser would.

use super::call::Call;
use super::form::escaped_byte;
use super::host;
use crate::limits::{LOCATION_BYTES_MAX, TARGET_BYTES_MAX};

/// Whether `url` leads to one of `hosts`: names in any case, `*.name` for everything below a name. An empty list
/// allows nothing.
pub fn is_allowed<H: AsRef<str>>(url: &[u8], hosts: &[H]) -> bool {
    let Some(name) = host::of_url(url) else { return false };
    hosts.iter().any(|allowed| match allowed.as_ref().strip_prefix("*.") {
        Some(parent) => host::below(name, parent.as_bytes()).is_some(),
        None => host::same(name, allowed.as_ref().as_bytes()),
    })
}

/// The `Location` of a sync: the redirect with every `${DD_UUID}` replaced. `None` when it does not fit. Call it only
/// after [`is_allowed`].
pub fn sync_location<'a>(url: &[u8], uuid: &[u8], target: &'a mut [u8; LOCATION_BYTES_MAX]) -> Option<&'a [u8]> {
    const MACRO: &[u8] = b"${DD_UUID}";
    let mut location = Location { bytes: target, length: 0 };
    let mut rest = url;
    while let Some(&byte) = rest.first() {
        if let Some(after) = rest.strip_prefix(MACRO) {
            location.push_escaped(uuid)?;
            rest = after;
        } else {
            location.push(byte)?;
            rest = &rest[1..];
        }
    }
    Some(location.finish())
}

/// The URL that a click's `d_rd` leads to, decoded a second time unless it was encoded only once. Bad escapes stay as
/// they are: they are the percent signs of macros. `None` when there is no `d_rd` or it does not fit.
pub fn click_url<'a>(call: &Call<'_>, target: &'a mut [u8; TARGET_BYTES_MAX]) -> Option<&'a [u8]> {
    let url = call.media.redirect?;
    let encoded_once =
        [&b"http://"[..], b"https://"].iter().any(|&scheme| host::strip_prefix_any_case(url, scheme).is_some());
    let (mut read, mut length) = (0, 0);
    while read < url.len() {
        let escaped = if url[read] == b'%' && !encoded_once { escaped_byte(&url[read + 1..]) } else { None };
        *target.get_mut(length)? = escaped.unwrap_or(url[read]);
        length += 1;
        read += if escaped.is_some() { 3 } else { 1 };
    }
    Some(&target[..length])
}

/// The `Location` of a click: its URL with every `%d_key%` replaced by that attribute of the call, escaped; by
/// nothing when the call has none. `None` when it does not fit. Call it only after [`is_allowed`].
pub fn click_location<'a>(url: &[u8], call: &Call<'_>, target: &'a mut [u8; LOCATION_BYTES_MAX]) -> Option<&'a [u8]> {
    let mut location = Location { bytes: target, length: 0 };
    let mut rest = url;
    while let Some(&byte) = rest.first() {
        if let Some((key, after)) = media_macro(rest) {
            location.push_escaped(call.signal(key).unwrap_or_default())?;
            rest = after;
        } else {
            location.push(byte)?;
            rest = &rest[1..];
        }
    }
    Some(location.finish())
}

/// The media attribute named by a macro at the front of `text`, and what follows it.
fn media_macro(text: &[u8]) -> Option<(&'static [u8], &[u8])> {
    const KEYS: [&[u8]; 9] = [
        b"d_event",
        b"d_src",
        b"d_site",
        b"d_creative",
        b"d_adgroup",
        b"d_placement",
        b"d_campaign",
        b"d_bu",
        b"d_adsrc",
    ];
    let inner = text.strip_prefix(b"%")?;
    KEYS.iter().find_map(|&key| Some((key, inner.strip_prefix(key)?.strip_prefix(b"%")?)))
}

struct Location<'a> {
    bytes: &'a mut [u8; LOCATION_BYTES_MAX],
    length: usize,
}

impl<'a> Location<'a> {
    /// One byte of the URL itself; escaped if it may not stand in one.
    fn push(&mut self, byte: u8) -> Option<()> {
        let stands = byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if stands { self.put(&[byte]) } else { self.put_escape(byte) }
    }

    /// Text that takes a macro's place: it must not change the URL's structure.
    fn push_escaped(&mut self, text: &[u8]) -> Option<()> {
        for &byte in text {
            let stands = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            if stands { self.put(&[byte]) } else { self.put_escape(byte) }?;
        }
        Some(())
    }

    fn put_escape(&mut self, byte: u8) -> Option<()> {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        self.put(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.length..self.length + bytes.len())?.copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }

    fn finish(self) -> &'a [u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::Media;
    use super::*;
    use crate::ids::Signal;

    #[test]
    fn only_listed_hosts_are_allowed() {
        let hosts = ["a.example", "*.b.example"];
        for good in [
            "https://a.example",
            "http://A.Example/x?y#z",
            "HTTPS://a.example:8443/",
            "https://a.example./",
            "https://x.b.example?q=//evil.example",
            "https://x.y.b.example#@evil.example",
            "https://a.example/\\@evil.example",
        ] {
            assert!(is_allowed(good.as_bytes(), &hosts), "{good}");
            assert!(!is_allowed::<&str>(good.as_bytes(), &[]), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "//a.example/",
            "/a.example",
            "https:/a.example",
            "https:a.example",
            "https:///a.example",
            "ftp://a.example/",
            "javascript://a.example/%0aalert(1)",
            "https://evil.example/https://a.example",
            "https://a.example@evil.example/",
            "https://evil.example@a.example/",
            "https://a.example\\@evil.example/",
            "https://evil.example\\.a.example/",
            "https:\\\\a.example/",
            "https://a.example:x@evil.example/",
            "https://a.example:80:80/",
            "https://a.example.evil.example/",
            "https://xa.example/",
            "https://b.example/",
            "https://evilb.example/",
            "https://a%2eexample/",
            "https://a.example%00.evil.example/",
            "https://a.ex\u{e4}mple/",
            "https://a.example\t/",
            "https://a.example/\r\nX: y",
            "\u{1}https://a.example/",
            " https://a.example/",
            "https://[::1]/",
            "https://${DD_UUID}.b.example/",
        ] {
            assert!(!is_allowed(bad.as_bytes(), &hosts), "{bad}");
        }
    }

    #[test]
    fn sync_locations_carry_the_uuid_and_only_visible_bytes() {
        let mut target = [0; LOCATION_BYTES_MAX];
        let mut check = |url: &str, expected: &str| {
            let location = sync_location(url.as_bytes(), b"42", &mut target).unwrap();
            assert_eq!(String::from_utf8_lossy(location), expected);
        };
        check("https://a.example/?x=${DD_UUID}&y=${DD_UUID}", "https://a.example/?x=42&y=42");
        check("https://a.example/${DD_UUI}$", "https://a.example/$%7BDD_UUI%7D$");
        check("https://a.example/a b\u{e9}%20\"", "https://a.example/a%20b%C3%A9%20%22");
        let long = format!("https://a.example/{}", "\u{e9}".repeat(3_000));
        assert_eq!(sync_location(long.as_bytes(), b"42", &mut target), None);
    }

    #[test]
    fn clicks_are_decoded_twice_and_their_macros_replaced() {
        let signals = vec![
            Signal { key: b"d_creative", value: b"c 1&x=2\r\n", split: true },
            Signal { key: b"d_campaign", value: b"7", split: true },
        ];
        let mut call = Call { signals, ..Call::default() };
        let mut check = |redirect: &'static str, expected: &str| {
            call.media = Media { redirect: Some(redirect.as_bytes()), ..Media::default() };
            let (mut url, mut target) = ([0; TARGET_BYTES_MAX], [0; LOCATION_BYTES_MAX]);
            let url = click_url(&call, &mut url).unwrap();
            let location = click_location(url, &call, &mut target).unwrap();
            assert_eq!(String::from_utf8_lossy(location), expected);
        };
        let expected = "https://a.example/?c=c%201%26x%3D2%0D%0A&p=7&s=";
        check("https%3A%2F%2Fa.example%2F%3Fc%3D%25d_creative%25%26p%3D%25d_campaign%25%26s%3D%25d_site%25", expected);
        check("https%3A%2F%2Fa.example%2F?c=%d_creative%&p=%d_campaign%&s=%d_site%", expected);
        check("https://a.example/?c=%d_creative%&p=%d_campaign%&s=%d_site%", expected);
        check("http://a.example/?u=%20b%d_unknown%", "http://a.example/?u=%20b%d_unknown%");
    }
}
