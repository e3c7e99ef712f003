//! The header fields that some part of the server wants, picked out of a head in one pass.

use httparse::Header;

use crate::find::short_word;

/// Values of a request's headers, without the spaces around them. Of a field that should stand alone the first line
/// counts, except where noted.
pub type Fields<'a> = FieldsOf<&'a [u8]>;

/// The same of texts, or of where they lie.
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldsOf<T> {
    pub accept_language: Option<T>,
    pub access_control_request_headers: Option<T>,
    pub access_control_request_method: Option<T>,
    pub authorization: Option<T>,
    pub connection: Option<T>,
    pub content_type: Option<T>,
    pub cookie: LinesOf<T>,
    pub date: Option<T>,
    pub dnt: Option<T>,
    pub origin: Option<T>,
    pub referer: Option<T>,
    /// The right spelling, which is the rare one.
    pub referrer: Option<T>,
    pub sec_fetch_dest: Option<T>,
    pub sec_fetch_mode: Option<T>,
    pub sec_fetch_site: Option<T>,
    pub sec_fetch_user: Option<T>,
    pub sec_gpc: Option<T>,
    pub user_agent: Option<T>,
    pub x_forwarded_for: LinesOf<T>,
    /// The last line: a proxy appends, so what stands before it came from outside.
    pub x_forwarded_proto: Option<T>,
}

/// All lines of one field, which may be repeated.
pub type Lines<'a> = LinesOf<&'a [u8]>;

#[derive(Clone, Copy, Debug, Default)]
pub struct LinesOf<T> {
    name: &'static str,
    first: Option<T>,
    /// The header lines to search for the others, if there are any.
    block: Option<T>,
}

/// What frames a message and decides over its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framing<'a> {
    pub(super) host: Field<'a>,
    pub(super) content_length: Field<'a>,
    pub(super) transfer_encoding: Field<'a>,
    pub(super) expect: Field<'a>,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

/// A field of which it matters how often it occurs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field<'a> {
    pub(super) value: Option<&'a [u8]>,
    pub(super) repeated: bool,
}

impl<'a> Field<'a> {
    pub(super) fn add(&mut self, value: &'a [u8]) {
        self.repeated |= self.value.is_some();
        self.value = self.value.or(Some(value));
    }
}

impl<'a> Framing<'a> {
    /// Notes `header` if it is one that frames requests and answers alike.
    pub(super) fn note(&mut self, header: &Header<'a>) -> bool {
        let name = header.name;
        match name.len() {
            10 if is_named(name, b"connection") => {
                for token in header.value.split(|&byte| byte == b',') {
                    let token = token.trim_ascii();
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is_named(name, b"content-length") => self.content_length.add(header.value),
            17 if is_named(name, b"transfer-encoding") => self.transfer_encoding.add(header.value),
            _ => return false,
        }
        true
    }
}

/// Sorts a request's headers. Names are told apart by length first: most headers are compared with one name or none.
pub(super) fn pick<'a>(headers: &[Header<'a>], block: &'a [u8]) -> (Fields<'a>, Framing<'a>) {
    let mut fields = Fields::default();
    let mut framing = Framing::default();
    for header in headers {
        let value = header.value;
        if framing.note(header) {
            if header.name.len() == 10 {
                fields.connection = fields.connection.or(Some(value));
            }
            continue;
        }
        let name = header.name;
        let slot = match header.name.len() {
            3 if is_named(name, b"dnt") => &mut fields.dnt,
            4 if is_named(name, b"host") => {
                framing.host.add(value);
                continue;
            }
            4 if is_named(name, b"date") => &mut fields.date,
            6 if is_named(name, b"cookie") => {
                fields.cookie.add("cookie", value, block);
                continue;
            }
            6 if is_named(name, b"origin") => &mut fields.origin,
            6 if is_named(name, b"expect") => {
                framing.expect.add(value);
                continue;
            }
            7 if is_named(name, b"referer") => &mut fields.referer,
            7 if is_named(name, b"sec-gpc") => &mut fields.sec_gpc,
            8 if is_named(name, b"referrer") => &mut fields.referrer,
            10 if is_named(name, b"user-agent") => &mut fields.user_agent,
            12 if is_named(name, b"content-type") => &mut fields.content_type,
            13 if is_named(name, b"authorization") => &mut fields.authorization,
            14 if is_named(name, b"sec-fetch-dest") => &mut fields.sec_fetch_dest,
            14 if is_named(name, b"sec-fetch-mode") => &mut fields.sec_fetch_mode,
            14 if is_named(name, b"sec-fetch-site") => &mut fields.sec_fetch_site,
            14 if is_named(name, b"sec-fetch-user") => &mut fields.sec_fetch_user,
            15 if is_named(name, b"accept-language") => &mut fields.accept_language,
            15 if is_named(name, b"x-forwarded-for") => {
                fields.x_forwarded_for.add("x-forwarded-for", value, block);
                continue;
            }
            17 if is_named(name, b"x-forwarded-proto") => {
                fields.x_forwarded_proto = Some(value);
                continue;
            }
            29 if is_named(name, b"access-control-request-method") => &mut fields.access_control_request_method,
            30 if is_named(name, b"access-control-request-headers") => &mut fields.access_control_request_headers,
            _ => continue,
        };
        *slot = slot.or(Some(value));
    }
    (fields, framing)
}

/// Whether a header's name is `wanted`, which is in lower case. Compared by words: with the bit set that tells cases
/// apart, no two of a token's bytes are equal that are not the same letter, or the same byte.
#[inline(always)]
fn is_named<const N: usize>(name: &str, wanted: &[u8; N]) -> bool {
    const CASE: u64 = 0x2020_2020_2020_2020;
    let Ok(name) = <&[u8; N]>::try_from(name.as_bytes()) else { return false };
    let word = |text: &[u8; N], at: usize| short_word(&text[at..N.min(at + 8)]) | CASE;
    (0..N).step_by(8).all(|at| word(name, at) == word(wanted, at))
}

impl<T: Copy> FieldsOf<T> {
    pub(super) fn map<U>(self, text: impl Fn(T) -> U) -> FieldsOf<U> {
        FieldsOf {
            accept_language: self.accept_language.map(&text),
            access_control_request_headers: self.access_control_request_headers.map(&text),
            access_control_request_method: self.access_control_request_method.map(&text),
            authorization: self.authorization.map(&text),
            connection: self.connection.map(&text),
            content_type: self.content_type.map(&text),
            cookie: self.cookie.map(&text),
            date: self.date.map(&text),
            dnt: self.dnt.map(&text),
            origin: self.origin.map(&text),
            referer: self.referer.map(&text),
            referrer: self.referrer.map(&text),
            sec_fetch_dest: self.sec_fetch_dest.map(&text),
            sec_fetch_mode: self.sec_fetch_mode.map(&text),
            sec_fetch_site: self.sec_fetch_site.map(&text),
            sec_fetch_user: self.sec_fetch_user.map(&text),
            sec_gpc: self.sec_gpc.map(&text),
            user_agent: self.user_agent.map(&text),
            x_forwarded_for: self.x_forwarded_for.map(&text),
            x_forwarded_proto: self.x_forwarded_proto.map(&text),
        }
    }
}

impl<T: Copy> LinesOf<T> {
    fn map<U>(self, text: impl Fn(T) -> U) -> LinesOf<U> {
        LinesOf { name: self.name, first: self.first.map(&text), block: self.block.map(text) }
    }
}

impl<'a> Lines<'a> {
    fn add(&mut self, name: &'static str, value: &'a [u8], block: &'a [u8]) {
        self.name = name;
        if self.first.is_some() {
            self.block = Some(block);
        } else {
            self.first = Some(value);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The first line, which nearly always is the only one.
    pub fn first(&self) -> Option<&'a [u8]> {
        self.first
    }

    /// All lines in their order. Searches the head again, but only if the field was repeated.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Lines { name, first, block } = *self;
        let only = if block.is_none() { first } else { None };
        only.into_iter()
            .chain(block.unwrap_or_default().split(|&byte| byte == b'\n').filter_map(move |line| value_of(line, name)))
    }
}

/// The value of a header line that is known to be well-formed, if it is the field `name`.
fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request_line::is_token_byte;

    #[test]
    fn names_are_compared_as_a_plain_loop_would() {
        let (short, long) = (*b"dnt", *b"access-control-request-method");
        let tokens = (0..=127).filter(|&byte| is_token_byte(byte));
        for byte in tokens {
            for place in 0..long.len() {
                let mut name = long.to_ascii_uppercase();
                name[place] = byte;
                let name = std::str::from_utf8(&name).unwrap();
                assert_eq!(is_named(name, &long), name.as_bytes().eq_ignore_ascii_case(&long), "{name}");
                let name = &name[..place];
                assert_eq!(is_named(name, &short), name.as_bytes().eq_ignore_ascii_case(&short), "{name}");
            }
            for place in 0..short.len() {
                let mut name = short;
                name[place] = byte;
                let name = std::str::from_utf8(&name).unwrap();
                assert_eq!(is_named(name, &short), name.as_bytes().eq_ignore_ascii_case(&short), "{name}");
            }
        }
    }
}
