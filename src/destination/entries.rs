//! The entries of one answer, in memory that is allocated once.

use std::ops::Range;

use super::UrlTag;
use crate::limits::{DESTINATION_BYTES_MAX, DESTINATION_ENTRIES_MAX};
use crate::template::{Rendered, Writer};

/// Made once and used again, after [`Entries::clear`].
#[derive(Debug)]
pub struct Entries {
    text: Box<[u8]>,
    len: usize,
    cookies: Vec<Cookie>,
    urls: Vec<Url>,
    dropped: u32,
}

/// One entry of `stuff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieEntry<'a> {
    /// `cn`
    pub name: &'a [u8],
    /// `cv`
    pub value: &'a [u8],
    /// `ttl`, in days
    pub ttl_days: u32,
    /// `dmn`
    pub domain: &'a [u8],
}

/// One entry of `dests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlEntry<'a> {
    /// `id`, which is written as a string
    pub id: u32,
    /// `y`
    pub tag: UrlTag,
    /// `c`
    pub url: &'a [u8],
    /// `e`
    pub secure_url: Option<&'a [u8]>,
}

#[derive(Debug)]
struct Cookie {
    ttl_days: u32,
    name: Range<usize>,
    domain: Range<usize>,
    value: Range<usize>,
}

#[derive(Debug)]
struct Url {
    id: u32,
    tag: UrlTag,
    url: Range<usize>,
    /// Empty: none.
    secure_url: Range<usize>,
}

impl Entries {
    pub fn new() -> Entries {
        Entries {
            text: vec![0; DESTINATION_BYTES_MAX].into_boxed_slice(),
            len: 0,
            cookies: Vec::with_capacity(DESTINATION_ENTRIES_MAX),
            urls: Vec::with_capacity(DESTINATION_ENTRIES_MAX),
            dropped: 0,
        }
    }

    pub fn clear(&mut self) {
        self.len = 0;
        self.cookies.clear();
        self.urls.clear();
        self.dropped = 0;
    }

    /// In the order of the config.
    pub fn cookies(&self) -> impl ExactSizeIterator<Item = CookieEntry<'_>> {
        self.cookies.iter().map(|cookie| CookieEntry {
            name: &self.text[cookie.name.clone()],
            value: &self.text[cookie.value.clone()],
            ttl_days: cookie.ttl_days,
            domain: &self.text[cookie.domain.clone()],
        })
    }

    /// In the order of the config.
    pub fn urls(&self) -> impl ExactSizeIterator<Item = UrlEntry<'_>> {
        self.urls.iter().map(|url| UrlEntry {
            id: url.id,
            tag: url.tag,
            url: &self.text[url.url.clone()],
            secure_url: (!url.secure_url.is_empty()).then(|| &self.text[url.secure_url.clone()]),
        })
    }

    /// Entries that found no room.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// `write` writes name, domain and value and returns where the first two end.
    pub(super) fn push_cookie(
        &mut self,
        ttl_days: u32,
        write: impl FnOnce(&mut Writer<'_>) -> Result<[usize; 2], Rendered>,
    ) {
        let start = self.len;
        let mut out = Writer::new(&mut self.text[start..]);
        match write(&mut out) {
            Ok(_) if self.cookies.len() == DESTINATION_ENTRIES_MAX => self.dropped += 1,
            Ok([name_end, domain_end]) => {
                self.len = start + out.len();
                let (name_end, domain_end) = (start + name_end, start + domain_end);
                let (name, domain, value) = (start..name_end, name_end..domain_end, domain_end..self.len);
                self.cookies.push(Cookie { ttl_days, name, domain, value });
            }
            Err(Rendered::Overflow) => self.dropped += 1,
            Err(_) => {}
        }
    }

    /// An empty `secure_url` is none. Without a value for a required macro there is no entry.
    pub(super) fn push_url(
        &mut self,
        id: u32,
        tag: UrlTag,
        url: impl FnOnce(&mut Writer<'_>) -> Rendered,
        secure_url: impl FnOnce(&mut Writer<'_>) -> Rendered,
    ) {
        if self.urls.len() == DESTINATION_ENTRIES_MAX {
            self.dropped += 1;
            return;
        }
        let start = self.len;
        let mut out = Writer::new(&mut self.text[start..]);
        let url = url(&mut out);
        let middle = start + out.len();
        match (url, secure_url(&mut out)) {
            (Rendered::Ok(_), Rendered::Ok(_)) => {
                self.len = start + out.len();
                self.urls.push(Url { id, tag, url: start..middle, secure_url: middle..self.len });
            }
            (Rendered::Overflow, _) | (_, Rendered::Overflow) => self.dropped += 1,
            _ => {}
        }
    }
}

impl Default for Entries {
    fn default() -> Entries {
        Entries::new()
    }
}
