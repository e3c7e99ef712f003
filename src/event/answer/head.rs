//! Status line and headers, the same on every answer: nothing is sniffed, nothing but the iframe and the tag is cached,
//! and who may read it is said on every status.

use super::cursor::Cursor;
use crate::event::errors::ErrorSet;
use crate::limits::DECLARED_IDS_OVER_MAX;

/// What all answers of a call share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    /// HEAD: everything but the body.
    pub head_only: bool,
    pub connection: Connection,
    /// The client speaks TLS, to us or to a trusted proxy.
    pub secure: bool,
    /// Unix time in milliseconds.
    pub wall_ms: u64,
    /// Names this call; random.
    pub tid: [u8; 8],
    /// This server's name, visible ASCII.
    pub node: &'a str,
    /// What the call took, in microseconds.
    pub elapsed_us: u64,
    /// The caller's `Origin`, if the account allows it to read answers.
    pub origin: Option<&'a [u8]>,
    pub cookies: Cookies<'a>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connection {
    /// HTTP/1.1 stays open without saying so.
    #[default]
    Open,
    /// HTTP/1.0 whose client asked to stay open.
    KeepAlive,
    Close,
}

/// The cookies to set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cookies<'a> {
    pub demdex: Option<CookieValue>,
    pub dpm: Option<CookieValue>,
    /// The base domain; `None` when the host can't share cookies over it.
    pub domain: Option<&'a str>,
    /// Adds a `Partitioned` twin to each, on secure connections.
    pub partitioned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieValue {
    /// A uuid's text.
    Visitor([u8; 38]),
    OptedOut,
}

/// What differs from answer to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) status: &'a str,
    /// Empty: none.
    pub(super) content_type: &'a str,
    pub(super) errors: ErrorSet,
    /// In parts; none: no location.
    pub(super) location: &'a [&'a [u8]],
    pub(super) allow: Option<&'a str>,
    pub(super) preflight: Option<&'a str>,
    pub(super) retry_after_s: Option<u32>,
    /// How long anybody may keep the answer; `None`: not at all.
    pub(super) max_age_s: Option<u32>,
    /// Content-Security-Policy, of our own making; empty: none.
    pub(super) policy: &'a str,
}

impl Default for Head<'_> {
    fn default() -> Self {
        Head {
            status: "200 OK",
            content_type: "",
            errors: ErrorSet::EMPTY,
            location: &[],
            allow: None,
            preflight: None,
            retry_after_s: None,
            max_age_s: None,
            policy: "",
        }
    }
}

impl Head<'_> {
    /// An upper bound of what [`Head::write`] writes.
    pub(super) fn bytes_max(&self, envelope: &Envelope<'_>) -> usize {
        // All fixed text is 1,350 bytes when every header is there; four cookies are 180 bytes each without domain.
        const FIXED: usize = 1_500 + 4 * DECLARED_IDS_OVER_MAX;
        const COOKIE: usize = 200;
        let cookies = if envelope.cookies.partitioned { 4 } else { 2 };
        let location: usize = self.location.iter().map(|part| 3 * part.len()).sum();
        let domain = envelope.cookies.domain.map_or(0, str::len);
        let texts = self.status.len() + self.content_type.len() + self.policy.len() + envelope.node.len();
        let methods = self.allow.map_or(0, str::len) + self.preflight.map_or(0, str::len);
        let origin = envelope.origin.map_or(0, |origin| 3 * origin.len());
        FIXED + texts + methods + origin + location + cookies * (COOKIE + domain)
    }

    pub(super) fn write(&self, out: &mut Cursor<'_>, envelope: &Envelope<'_>, body_length: usize) {
        out.put(b"HTTP/1.1 ");
        out.put(self.status.as_bytes());
        out.put(b"\r\nDate: ");
        put_date(out, envelope.wall_ms / 1_000);
        out.put(b"\r\n");
        put_cookies(out, envelope);
        self.put_caching(out);
        out.put(FIXED_HEADERS);
        if envelope.secure {
            out.put(b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");
        }
        out.put(b"X-TID: ");
        out.put(&tid_text(envelope.tid));
        out.put(b"\r\nDCS: ");
        out.put_visible(envelope.node.as_bytes());
        out.put(concat!(" ", env!("CARGO_PKG_VERSION"), " ").as_bytes());
        out.put_u64(envelope.elapsed_us);
        out.put(b" us\r\n");
        self.put_access(out, envelope);
        self.put_optional(out);
        match envelope.connection {
            Connection::Open => {}
            Connection::KeepAlive => out.put(b"Connection: keep-alive\r\n"),
            Connection::Close => out.put(b"Connection: close\r\n"),
        }
        // A 204 has no body and must not say how long it is.
        if !self.status.starts_with("204") {
            out.put(b"Content-Length: ");
            out.put_u64(body_length as u64);
            out.put(b"\r\n");
        }
        out.put(b"\r\n");
    }

    fn put_caching(&self, out: &mut Cursor<'_>) {
        let Some(seconds) = self.max_age_s else { return out.put(NOT_CACHED_HEADERS) };
        out.put(b"Cache-Control: public, max-age=");
        out.put_u64(seconds.into());
        out.put(b"\r\n");
    }

    /// CORS. Whether these are there depends on the origin, so every answer varies by it.
    fn put_access(&self, out: &mut Cursor<'_>, envelope: &Envelope<'_>) {
        out.put(b"Vary: Origin\r\n");
        let Some(origin) = envelope.origin else { return };
        out.put(b"Access-Control-Allow-Origin: ");
        out.put_visible(origin);
        out.put(b"\r\nAccess-Control-Allow-Credentials: true\r\n");
        out.put(b"Access-Control-Expose-Headers: DCS, X-TID, X-Error\r\n");
        if let Some(methods) = self.preflight {
            out.put(b"Access-Control-Allow-Methods: ");
            out.put(methods.as_bytes());
            out.put(b"\r\nAccess-Control-Allow-Headers: Content-Type\r\nAccess-Control-Max-Age: 86400\r\n");
        }
    }

    fn put_optional(&self, out: &mut Cursor<'_>) {
        if !self.errors.is_empty() {
            out.put(b"X-Error: ");
            for (index, code) in self.errors.iter().enumerate() {
                out.put(if index == 0 { b"" } else { b"," });
                out.put_u64(code.number().into());
            }
            out.put(b"\r\n");
        }
        if !self.location.is_empty() {
            out.put(b"Location: ");
            self.location.iter().for_each(|part| out.put_visible(part));
            out.put(b"\r\n");
        }
        if let Some(methods) = self.allow.or(self.preflight) {
            out.put(b"Allow: ");
            out.put(methods.as_bytes());
            out.put(b"\r\n");
        }
        if let Some(seconds) = self.retry_after_s {
            out.put(b"Retry-After: ");
            out.put_u64(seconds.into());
            out.put(b"\r\n");
        }
        if !self.policy.is_empty() {
            out.put(b"Content-Security-Policy: ");
            out.put(self.policy.as_bytes());
            out.put(b"\r\n");
        }
        if !self.content_type.is_empty() {
            out.put(b"Content-Type: ");
            out.put(self.content_type.as_bytes());
            out.put(b"\r\n");
        }
    }
}

const NOT_CACHED_HEADERS: &[u8] = b"Cache-Control: no-cache,no-store,must-revalidate,max-age=0,proxy-revalidate,\
no-transform,private\r\n\
Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
Pragma: no-cache\r\n";
const FIXED_HEADERS: &[u8] =
    b"P3P: policyref=\"/w3c/p3p.xml\", CP=\"NOI NID CURa ADMa DEVa PSAa PSDa OUR SAMa BUS PUR COM NAV INT\"\r\n\
X-Content-Type-Options: nosniff\r\n";

const VISITOR_AGE_S: u64 = 180 * DAY_S;
/// Ten years.
const OPT_OUT_AGE_S: u64 = 3_650 * DAY_S;
const DAY_S: u64 = 86_400;

/// `demdex` comes first: clients read the first cookie.
fn put_cookies(out: &mut Cursor<'_>, envelope: &Envelope<'_>) {
    let cookies = &envelope.cookies;
    for (name, domain, value) in [("demdex", ".", cookies.demdex), ("dpm", ".dpm.", cookies.dpm)] {
        let Some(value) = value else { continue };
        put_cookie(out, envelope, name, domain, value, false);
        if cookies.partitioned && envelope.secure {
            put_cookie(out, envelope, name, domain, value, true);
        }
    }
}

fn put_cookie(
    out: &mut Cursor<'_>,
    envelope: &Envelope<'_>,
    name: &str,
    domain_prefix: &str,
    value: CookieValue,
    partitioned: bool,
) {
    let (text, age_s): (&[u8], u64) = match &value {
        CookieValue::Visitor(uuid) => (uuid, VISITOR_AGE_S),
        CookieValue::OptedOut => (b"NOTARGET", OPT_OUT_AGE_S),
    };
    out.put(b"Set-Cookie: ");
    out.put(name.as_bytes());
    out.put(b"=");
    out.put(text);
    out.put(b"; Max-Age=");
    out.put_u64(age_s);
    out.put(b"; Expires=");
    put_date(out, envelope.wall_ms / 1_000 + age_s);
    out.put(b"; Path=/");
    if let Some(domain) = envelope.cookies.domain {
        out.put(b"; Domain=");
        out.put(domain_prefix.as_bytes());
        out.put(domain.as_bytes());
    }
    if envelope.secure {
        out.put(b"; Secure; SameSite=None");
    }
    if partitioned {
        out.put(b"; Partitioned");
    }
    out.put(b"\r\n");
}

/// Base64 of eight bytes: eleven characters and a `=`.
pub(super) fn tid_text(tid: [u8; 8]) -> [u8; 12] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u128::from(u64::from_be_bytes(tid)) << 2;
    let mut text = [b'='; 12];
    for (index, character) in text[..11].iter_mut().enumerate() {
        *character = ALPHABET[(bits >> (60 - 6 * index)) as usize & 63];
    }
    text
}

/// A date as HTTP writes it, from Unix seconds. Civil date after Howard Hinnant, "chrono-compatible low-level date
/// algorithms".
fn put_date(out: &mut Cursor<'_>, unix_s: u64) {
    const WEEKDAYS: [&[u8; 5]; 7] = [b"Thu, ", b"Fri, ", b"Sat, ", b"Sun, ", b"Mon, ", b"Tue, ", b"Wed, "];
    const MONTHS: [&[u8; 5]; 12] = [
        b" Jan ", b" Feb ", b" Mar ", b" Apr ", b" May ", b" Jun ", b" Jul ", b" Aug ", b" Sep ", b" Oct ", b" Nov ",
        b" Dec ",
    ];
    let (days, second) = (unix_s / DAY_S, unix_s % DAY_S);
    // Years begin in March, so that the leap day is the last; eras of 400 years begin in the year 0.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    out.put(WEEKDAYS[(days % 7) as usize]);
    out.put_two(day);
    out.put(MONTHS[month as usize]);
    out.put_two(year / 100);
    out.put_two(year);
    out.put(b" ");
    out.put_two(second / 3_600);
    out.put(b":");
    out.put_two(second / 60 % 60);
    out.put(b":");
    out.put_two(second % 60);
    out.put(b" GMT");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_s, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            let mut bytes = [0; 29];
            let mut cursor = Cursor::new(&mut bytes);
            put_date(&mut cursor, unix_s);
            assert_eq!(cursor.finish(), Some(29));
            assert_eq!(std::str::from_utf8(&bytes), Ok(expected));
        }
    }

    #[test]
    fn transaction_ids_are_base64() {
        assert_eq!(&tid_text(*b"pinion!!"), b"cGluaW9uISE=");
        assert_eq!(&tid_text([0xff; 8]), b"//////////8=");
    }
}
