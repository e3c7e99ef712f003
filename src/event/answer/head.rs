//! Status line and headers, the same on every answer: nothing is sniffed, nothing but the iframe and the tag is cached,
//! and who may read it is said on every status.

use crate::event::errors::ErrorSet;
use crate::http::date;
use crate::limits::DECLARED_IDS_OVER_MAX;
use crate::writer::Writer;

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

    pub(super) fn write(&self, out: &mut Writer<'_>, envelope: &Envelope<'_>, body_length: usize) {
        out.push(b"HTTP/1.1 ");
        out.push(self.status.as_bytes());
        out.push(b"\r\nDate: ");
        out.push(&date::format(envelope.wall_ms / 1_000));
        out.push(b"\r\n");
        put_cookies(out, envelope);
        self.put_caching(out);
        out.push(FIXED_HEADERS);
        if envelope.secure {
            out.push(b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");
        }
        out.push(b"X-TID: ");
        out.push(&tid_text(envelope.tid));
        out.push(b"\r\nDCS: ");
        out.push_visible(envelope.node.as_bytes());
        out.push(concat!(" ", env!("CARGO_PKG_VERSION"), " ").as_bytes());
        out.push_decimal(envelope.elapsed_us);
        out.push(b" us\r\n");
        self.put_access(out, envelope);
        self.put_optional(out);
        match envelope.connection {
            Connection::Open => {}
            Connection::KeepAlive => out.push(b"Connection: keep-alive\r\n"),
            Connection::Close => out.push(b"Connection: close\r\n"),
        }
        // A 204 has no body and must not say how long it is.
        if !self.status.starts_with("204") {
            out.push(b"Content-Length: ");
            out.push_decimal(body_length as u64);
            out.push(b"\r\n");
        }
        out.push(b"\r\n");
    }

    fn put_caching(&self, out: &mut Writer<'_>) {
        let Some(seconds) = self.max_age_s else { return out.push(NOT_CACHED_HEADERS) };
        out.push(b"Cache-Control: public, max-age=");
        out.push_decimal(seconds.into());
        out.push(b"\r\n");
    }

    /// CORS. Whether these are there depends on the origin, so every answer varies by it.
    fn put_access(&self, out: &mut Writer<'_>, envelope: &Envelope<'_>) {
        out.push(b"Vary: Origin\r\n");
        let Some(origin) = envelope.origin else { return };
        out.push(b"Access-Control-Allow-Origin: ");
        out.push_visible(origin);
        out.push(b"\r\nAccess-Control-Allow-Credentials: true\r\n");
        out.push(b"Access-Control-Expose-Headers: DCS, X-TID, X-Error\r\n");
        if let Some(methods) = self.preflight {
            out.push(b"Access-Control-Allow-Methods: ");
            out.push(methods.as_bytes());
            out.push(b"\r\nAccess-Control-Allow-Headers: Content-Type\r\nAccess-Control-Max-Age: 86400\r\n");
        }
    }

    fn put_optional(&self, out: &mut Writer<'_>) {
        if !self.errors.is_empty() {
            out.push(b"X-Error: ");
            for (index, code) in self.errors.iter().enumerate() {
                out.push(if index == 0 { b"" } else { b"," });
                out.push_decimal(code.number().into());
            }
            out.push(b"\r\n");
        }
        if !self.location.is_empty() {
            out.push(b"Location: ");
            self.location.iter().for_each(|part| out.push_visible(part));
            out.push(b"\r\n");
        }
        if let Some(methods) = self.allow.or(self.preflight) {
            out.push(b"Allow: ");
            out.push(methods.as_bytes());
            out.push(b"\r\n");
        }
        if let Some(seconds) = self.retry_after_s {
            out.push(b"Retry-After: ");
            out.push_decimal(seconds.into());
            out.push(b"\r\n");
        }
        if !self.policy.is_empty() {
            out.push(b"Content-Security-Policy: ");
            out.push(self.policy.as_bytes());
            out.push(b"\r\n");
        }
        if !self.content_type.is_empty() {
            out.push(b"Content-Type: ");
            out.push(self.content_type.as_bytes());
            out.push(b"\r\n");
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
fn put_cookies(out: &mut Writer<'_>, envelope: &Envelope<'_>) {
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
    out: &mut Writer<'_>,
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
    out.push(b"Set-Cookie: ");
    out.push(name.as_bytes());
    out.push(b"=");
    out.push(text);
    out.push(b"; Max-Age=");
    out.push_decimal(age_s);
    out.push(b"; Expires=");
    out.push(&date::format(envelope.wall_ms / 1_000 + age_s));
    out.push(b"; Path=/");
    if let Some(domain) = envelope.cookies.domain {
        out.push(b"; Domain=");
        out.push(domain_prefix.as_bytes());
        out.push(domain.as_bytes());
    }
    if envelope.secure {
        out.push(b"; Secure; SameSite=None");
    }
    if partitioned {
        out.push(b"; Partitioned");
    }
    out.push(b"\r\n");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_ids_are_base64() {
        assert_eq!(&tid_text(*b"pinion!!"), b"cGluaW9uISE=");
        assert_eq!(&tid_text([0xff; 8]), b"//////////8=");
    }
}
