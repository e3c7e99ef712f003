//! The cookies that a call brings: `demdex` (the visitor, or that she opted out), `dpm` (the same, for syncs) and
//! `dextp` (the iframe's throttle, opaque here).

use memchr::memchr;

/// What a cookie says about the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitorCookie<'a> {
    /// A uuid's text.
    Uuid(&'a [u8; 38]),
    /// `NOTARGET`.
    OptedOut,
}

/// Of several cookies of one name the first valid one counts, but an opt-out outranks every id, wherever it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookiesSent<'a> {
    pub demdex: Option<VisitorCookie<'a>>,
    pub dpm: Option<VisitorCookie<'a>>,
    pub dextp: Option<&'a [u8]>,
}

impl<'a> CookiesSent<'a> {
    /// Reads the `Cookie` lines of one request, in order.
    pub fn parse(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut cookies = CookiesSent::default();
        lines.into_iter().for_each(|line| cookies.add_line(line));
        cookies
    }

    /// Whether any cookie says that the visitor opted out.
    pub fn opted_out(&self) -> bool {
        [self.demdex, self.dpm].contains(&Some(VisitorCookie::OptedOut))
    }

    fn add_line(&mut self, line: &'a [u8]) {
        let mut rest = line;
        loop {
            let end = memchr(b';', rest).unwrap_or(rest.len());
            let pair = rest[..end].trim_ascii();
            if let Some(value) = pair.strip_prefix(b"demdex=") {
                add_visitor(&mut self.demdex, value);
            } else if let Some(value) = pair.strip_prefix(b"dpm=") {
                add_visitor(&mut self.dpm, value);
            } else if let Some(value) = pair.strip_prefix(b"dextp=") {
                self.dextp.get_or_insert(unquoted(value));
            }
            match rest.get(end + 1..) {
                Some(next) => rest = next,
                None => return,
            }
        }
    }
}

fn add_visitor<'a>(visitor: &mut Option<VisitorCookie<'a>>, value: &'a [u8]) {
    let value = unquoted(value);
    if value == b"NOTARGET" {
        *visitor = Some(VisitorCookie::OptedOut);
    } else if visitor.is_none() {
        *visitor = uuid_text(value).map(VisitorCookie::Uuid);
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// A uuid's text: two halves of 19 digits, each below 2^63.
fn uuid_text(text: &[u8]) -> Option<&[u8; 38]> {
    const HALF_MAX: &[u8] = b"9223372036854775807";
    let uuid: &[u8; 38] = text.try_into().ok()?;
    let (high, low) = uuid.split_at(19);
    (uuid.iter().all(u8::is_ascii_digit) && high <= HALF_MAX && low <= HALF_MAX).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8; 38] = b"00000000000000000010000000000000000002";
    const LAST: &[u8; 38] = b"92233720368547758079223372036854775807";

    fn demdex(lines: &[&str]) -> Option<Vec<u8>> {
        match CookiesSent::parse(lines.iter().map(|line| line.as_bytes())).demdex? {
            VisitorCookie::Uuid(uuid) => Some(uuid.to_vec()),
            VisitorCookie::OptedOut => Some(b"NOTARGET".to_vec()),
        }
    }

    #[test]
    fn the_first_valid_cookie_counts_over_all_lines() {
        let (one, last) = (std::str::from_utf8(ONE).unwrap(), std::str::from_utf8(LAST).unwrap());
        assert_eq!(demdex(&[&format!("a=b; demdex={one}; demdex={last}")]).as_deref(), Some(&ONE[..]));
        assert_eq!(demdex(&[&format!("demdex=bad;demdex={last}")]).as_deref(), Some(&LAST[..]));
        assert_eq!(demdex(&["x=y", &format!(";; demdex=\"{one}\" ;")]).as_deref(), Some(&ONE[..]));
        for bad in [
            "",
            "demdex",
            "demdex=",
            "Demdex=00000000000000000010000000000000000002",
            "xdemdex=00000000000000000010000000000000000002",
            "demdex=0000000000000000001000000000000000000",
            "demdex=0000000000000000001000000000000000000a",
            "demdex=92233720368547758080000000000000000002",
            "demdex=00000000000000000019223372036854775808",
        ] {
            assert_eq!(demdex(&[bad]), None, "{bad}");
        }
    }

    #[test]
    fn an_opt_out_outranks_ids_wherever_it_stands() {
        let one = std::str::from_utf8(ONE).unwrap();
        let line = format!("demdex={one}; demdex=NOTARGET; demdex={one}");
        assert_eq!(demdex(&[&line]).as_deref(), Some(&b"NOTARGET"[..]));
        assert!(CookiesSent::parse([&b"dpm=NOTARGET"[..]]).opted_out());
        assert!(!CookiesSent::parse([&b"dextp=NOTARGET"[..]]).opted_out());
    }

    #[test]
    fn long_cookies_are_read_to_their_end() {
        let throttle = "411-1-1795289301558|".repeat(500);
        let line = format!("dextp={throttle}; dpm={}", std::str::from_utf8(ONE).unwrap());
        let cookies = CookiesSent::parse([line.as_bytes()]);
        assert_eq!(cookies.dextp, Some(throttle.as_bytes()));
        assert_eq!(cookies.dpm, Some(VisitorCookie::Uuid(ONE)));
    }
}
