//! ID syncs: `/ibs:dpid=1&dpuuid=x&redir=...`. Partners write these by hand, so the reading is forgiving: the text
//! before and after the first `?` is one list, `&` and `?` both separate its pairs, order doesn't matter, and a
//! redirect that was not, or only partly, encoded keeps the query that belongs to it.

use memchr::{memchr, memchr2};

use super::call::Consent;
use super::form::{BadEscape, Scratch, decode_into};

/// A sync's text as it came: what follows `/ibs:`, and what follows the first `?` after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncText<'a> {
    pub head: &'a [u8],
    pub tail: Option<&'a [u8]>,
}

/// What a sync says. Of each key the first counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sync<'a> {
    /// `dpid`: the partner's data source.
    pub source: Option<&'a [u8]>,
    /// `dpuuid`: the partner's id of the visitor. Blank when the partner knows none: nothing is mapped then.
    pub id: Option<&'a [u8]>,
    /// `redir`, decoded: where to send the visitor on to, if that host is allowed.
    pub redirect: Option<&'a [u8]>,
    /// `d_uuid`, unchecked.
    pub uuid: Option<&'a [u8]>,
    pub coppa: bool,
    pub consent: Consent<'a>,
}

/// Reads a sync. `scratch` takes what had to be decoded, and must be twice as long as the text: the redirect is put
/// together in one half. After a bad escape nothing of the sync is used.
pub fn parse<'a>(text: SyncText<'a>, scratch: &'a mut [u8]) -> Result<Sync<'a>, BadEscape> {
    let half = scratch.len() / 2;
    // The `?` between the two parts may become part of the redirect.
    let text_length = text.head.len() + text.tail.map_or(0, |tail| tail.len() + 1);
    assert!(half >= text_length, "scratch is sized for the longest sync");
    let (redirect, rest) = scratch.split_at_mut(half);
    let mut scratch = Scratch::new(rest);
    let mut redirect = Redirect { bytes: redirect, length: 0, state: RedirectState::Awaited };
    let mut sync = Sync::default();
    for (separator, piece) in pieces(text) {
        let equals = memchr(b'=', piece);
        let key = scratch.decode(&piece[..equals.unwrap_or(piece.len())])?;
        let known = Key::of(key);
        if known.is_none() && redirect.continues_with(separator) {
            redirect.push_raw(separator, piece)?;
            continue;
        }
        let raw_value = equals.map_or(&[][..], |at| &piece[at + 1..]);
        if known == Some(Key::Redirect) && redirect.begin() {
            redirect.push(raw_value)?;
            continue;
        }
        redirect.end();
        let value = Some(scratch.decode(raw_value)?);
        match known {
            Some(Key::Source) => sync.source = sync.source.or(value),
            Some(Key::Id) => sync.id = sync.id.or(value),
            Some(Key::Uuid) => sync.uuid = sync.uuid.or(value),
            Some(Key::Coppa) => sync.coppa |= value == Some(b"true"),
            Some(Key::Gdpr) => sync.consent.gdpr = sync.consent.gdpr.or(value),
            Some(Key::GdprConsent) => sync.consent.gdpr_consent = sync.consent.gdpr_consent.or(value),
            Some(Key::Gpp) => sync.consent.gpp = sync.consent.gpp.or(value),
            Some(Key::GppSections) => sync.consent.gpp_sid = sync.consent.gpp_sid.or(value),
            Some(Key::Redirect) | None => {}
        }
    }
    sync.redirect = redirect.finish();
    Ok(sync)
}

/// The list's pieces, each with the `&` or `?` before it.
fn pieces(text: SyncText<'_>) -> impl Iterator<Item = (u8, &[u8])> {
    [(b'&', Some(text.head)), (b'?', text.tail)].into_iter().flat_map(|(first, part)| {
        let mut next = part.map(|rest| (first, rest));
        std::iter::from_fn(move || {
            let (separator, rest) = next?;
            let end = memchr2(b'&', b'?', rest).unwrap_or(rest.len());
            next = rest.get(end).map(|&separator| (separator, &rest[end + 1..]));
            Some((separator, &rest[..end]))
        })
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Source,
    Id,
    Redirect,
    Uuid,
    Coppa,
    Gdpr,
    GdprConsent,
    Gpp,
    GppSections,
}

impl Key {
    fn of(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"dpid" => Key::Source,
            b"dpuuid" => Key::Id,
            b"redir" => Key::Redirect,
            b"d_uuid" => Key::Uuid,
            b"d_coppa" => Key::Coppa,
            b"gdpr" => Key::Gdpr,
            b"gdpr_consent" => Key::GdprConsent,
            b"gpp" => Key::Gpp,
            b"gpp_sid" => Key::GppSections,
            _ => return None,
        })
    }
}

/// The redirect, put together from its pieces. It goes on past a raw `?`, and past a raw `&` after that, until a key
/// that the sync itself knows.
struct Redirect<'a> {
    bytes: &'a mut [u8],
    length: usize,
    state: RedirectState,
}

#[derive(PartialEq, Eq)]
enum RedirectState {
    Awaited,
    /// Its own pieces are being read.
    Open,
    /// As `Open`, past a raw `?`.
    OpenInQuery,
    Ended,
}

impl<'a> Redirect<'a> {
    /// Whether this is the first redirect.
    fn begin(&mut self) -> bool {
        let first = self.state == RedirectState::Awaited;
        if first {
            self.state = RedirectState::Open;
        }
        first
    }

    fn continues_with(&self, separator: u8) -> bool {
        match self.state {
            RedirectState::Open => separator == b'?',
            RedirectState::OpenInQuery => true,
            RedirectState::Awaited | RedirectState::Ended => false,
        }
    }

    fn push_raw(&mut self, separator: u8, piece: &[u8]) -> Result<(), BadEscape> {
        self.state = RedirectState::OpenInQuery;
        self.bytes[self.length] = separator;
        self.length += 1;
        self.push(piece)
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), BadEscape> {
        self.length += decode_into(piece, 0, &mut self.bytes[self.length..])?;
        Ok(())
    }

    fn end(&mut self) {
        if self.state != RedirectState::Awaited {
            self.state = RedirectState::Ended;
        }
    }

    fn finish(self) -> Option<&'a [u8]> {
        (self.length > 0).then_some(&self.bytes[..self.length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, source: Option<&str>, id: Option<&str>, redirect: Option<&str>) {
        let (head, tail) = target.split_once('?').map_or((target, None), |(head, tail)| (head, Some(tail)));
        // The second hop of the cookie test has the whole text in one piece: it must read the same.
        let texts = [
            SyncText { head: head.as_bytes(), tail: tail.map(str::as_bytes) },
            SyncText { head: target.as_bytes(), tail: None },
        ];
        for text in texts {
            let mut scratch = vec![0; 2 * target.len()];
            let sync = parse(text, &mut scratch).unwrap();
            let shown = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            assert_eq!(shown(sync.source).as_deref(), source, "{target}");
            assert_eq!(shown(sync.id).as_deref(), id, "{target}");
            assert_eq!(shown(sync.redirect).as_deref(), redirect, "{target}");
        }
    }

    #[test]
    fn syncs_are_read_as_partners_write_them() {
        let (one, y) = (Some("1"), Some("y"));
        check("dpid=1&dpuuid=y", one, y, None);
        check("dpid=1&dpuuid=y&redir=", one, y, None);
        check("", None, None, None);
        let url = "https://a.example/s?id=${DD_UUID}";
        check("dpid=1&dpuuid=y&redir=https%3A%2F%2Fa.example%2Fs%3Fid%3D%24%7BDD_UUID%7D", one, y, Some(url));
        check("redir=https%3A%2F%2Fa.example%2Fs%3Fid%3D%24%7BDD_UUID%7D&dpid=1&dpuuid=", one, Some(""), Some(url));
        // The list split by `?` at odd places.
        check("?dpid=1&dpuuid=y", one, y, None);
        check("&dpid=1&&dpuuid=y&", one, y, None);
        check("dpid=1?dpuuid=y", one, y, None);
        check("dpid=1&dpuuid=y?redir=https%3A%2F%2Fa.example%2F", one, y, Some("https://a.example/"));
        check("redir=https%3A%2F%2Fa.example%2F?dpid=1?dpuuid=y", one, y, Some("https://a.example/"));
        // Half-encoded redirects keep the query that is theirs.
        check("dpid=1&redir=https://a.example/s?id=${DD_UUID}", one, None, Some(url));
        check("redir=https%3A//a.example/s?u=%20a&v=2&dpid=1&dpuuid=y", one, y, Some("https://a.example/s?u= a&v=2"));
        check("dpid=1&redir=https://a.example/s?u=a?b&gdpr=0&w=3", one, None, Some("https://a.example/s?u=a?b"));
        check("dpid=1&redir=https%3A%2F%2Fa.example%2F%3Fu%3D1&v=2", one, None, Some("https://a.example/?u=1"));
        // The first of each counts.
        check("dpid=1&dpid=2&dpuuid=y&dpuuid=z&redir=http%3A%2F%2Fa&redir=http%3A%2F%2Fb?c", one, y, Some("http://a"));
    }

    #[test]
    fn a_bad_escape_anywhere_refuses_the_sync() {
        for bad in ["dpid=1&dpuuid=%", "x=%zz", "%=1", "redir=%4", "redir=http://a/?%4x"] {
            let mut scratch = vec![0; 2 * bad.len()];
            assert_eq!(parse(SyncText { head: bad.as_bytes(), tail: None }, &mut scratch), Err(BadEscape), "{bad}");
        }
    }
}
