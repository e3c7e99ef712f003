//! An account's destinations: as configured, and compiled.

use std::ops::Range;

use super::conditions::{Conditions, Pages};
use crate::ids::SegmentId;
use crate::template::{Macro, Template};

/// A destination as configured.
#[derive(Clone, Debug)]
pub struct DestinationSettings {
    pub id: u32,
    pub conditions: Conditions,
    pub kind: DestinationKind,
}

#[derive(Clone, Debug)]
pub enum DestinationKind {
    Cookie(CookieSettings),
    Url(UrlSettings),
}

/// A first-party cookie whose value lists what stands for the visitor's segments: `KEY=a,b`.
#[derive(Clone, Debug)]
pub struct CookieSettings {
    pub name: String,
    /// `.example.com`; empty: that of the page, whichever it is.
    pub domain: String,
    pub pages: Pages,
    pub ttl_days: u32,
    pub key: Option<String>,
    pub separator: String,
    /// Segments and what stands for them, macros replaced.
    pub values: Vec<(SegmentId, String)>,
}

/// A URL to fire for visitors who are in any of the segments: where it names `%alias%`, one for each segment, or, with
/// a delimiter, one for all of them.
#[derive(Clone, Debug)]
pub struct UrlSettings {
    pub tag: UrlTag,
    pub url: String,
    pub secure_url: Option<String>,
    /// Segments and their aliases.
    pub segments: Vec<(SegmentId, String)>,
    pub delimiter: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UrlTag {
    #[default]
    Img,
    Iframe,
}

/// All destinations of one account.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    pub(super) cookies: Vec<CookieDestination>,
    pub(super) urls: Vec<UrlDestination>,
    ask_for_pages: bool,
}

#[derive(Clone, Debug)]
pub(super) struct CookieDestination {
    pub(super) conditions: Conditions,
    pub(super) pages: Pages,
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) ttl_days: u32,
    pub(super) key: Option<String>,
    pub(super) separator: String,
    pub(super) values: Vec<(SegmentId, Template)>,
}

#[derive(Clone, Debug)]
pub(super) struct UrlDestination {
    pub(super) id: u32,
    pub(super) conditions: Conditions,
    pub(super) tag: UrlTag,
    pub(super) url: Template,
    pub(super) secure_url: Option<Template>,
    /// Ascending, with their aliases.
    pub(super) segments: Vec<(SegmentId, String)>,
    pub(super) names_alias: bool,
    pub(super) delimiter: Option<String>,
}

/// What is wrong with a destination's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationError {
    /// Which destination.
    pub id: u32,
    /// Which setting, as the config calls it.
    pub field: &'static str,
    /// What is wrong, a sentence without its full stop.
    pub message: String,
    /// Where in the setting's text, if it is one.
    pub span: Option<Range<usize>>,
}

/// A fault before it is known whose it is.
type Fault = (&'static str, String, Option<Range<usize>>);

impl UrlTag {
    /// As `y` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            UrlTag::Img => "img",
            UrlTag::Iframe => "iframe",
        }
    }
}

impl Destinations {
    /// Compiles an account's destinations, or says the first fault of each bad one.
    pub fn compile(settings: &[DestinationSettings]) -> Result<Destinations, Vec<DestinationError>> {
        let (mut destinations, mut errors) = (Destinations::default(), Vec::new());
        for destination in settings {
            let added = match &destination.kind {
                DestinationKind::Cookie(cookie) => {
                    compile_cookie(destination, cookie).map(|cookie| destinations.cookies.push(cookie))
                }
                DestinationKind::Url(url) => compile_url(destination, url).map(|url| destinations.urls.push(url)),
            };
            if let Err((field, message, span)) = added {
                errors.push(DestinationError { id: destination.id, field, message, span });
            }
        }
        destinations.ask_for_pages = destinations.cookies.iter().any(|cookie| cookie.pages != Pages::All);
        if errors.is_empty() { Ok(destinations) } else { Err(errors) }
    }

    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty() && self.urls.is_empty()
    }

    /// Whether any of them is not for all pages.
    pub fn ask_for_pages(&self) -> bool {
        self.ask_for_pages
    }
}

fn compile_cookie(destination: &DestinationSettings, cookie: &CookieSettings) -> Result<CookieDestination, Fault> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let fault = |field, message: &str| Err((field, message.to_owned(), None));
    if cookie.name.is_empty() || !cookie.name.bytes().all(is_token) {
        return fault("name", "a cookie's name is made of letters, digits and `_-.!#$%&'*+^`|~`");
    }
    if !cookie.domain.is_empty() && cookie.domain.trim_matches('.').is_empty()
        || !cookie.domain.bytes().all(is_domain_byte)
    {
        return fault("domain", "this is no domain");
    }
    if cookie.ttl_days == 0 {
        return fault("ttl", "a cookie of 0 days would not be set");
    }
    for (field, text) in [("key", cookie.key.as_deref().unwrap_or("")), ("separator", &cookie.separator)] {
        if !text.bytes().all(is_cookie_byte) {
            return fault(field, "blanks, quotes, `;`, `\\` and control bytes can't stand in a cookie");
        }
    }
    let mut values = Vec::with_capacity(cookie.values.len());
    for (segment, value) in &cookie.values {
        values.push((*segment, compile_text("values", value, is_cookie_byte)?));
    }
    Ok(CookieDestination {
        conditions: destination.conditions.clone(),
        pages: cookie.pages.clone(),
        name: cookie.name.clone(),
        domain: cookie.domain.clone(),
        ttl_days: cookie.ttl_days,
        key: cookie.key.clone(),
        separator: cookie.separator.clone(),
        values,
    })
}

fn compile_url(destination: &DestinationSettings, url: &UrlSettings) -> Result<UrlDestination, Fault> {
    let mut segments = url.segments.clone();
    segments.sort_unstable();
    segments.dedup_by_key(|(segment, _)| *segment);
    let address = compile_url_text("url", &url.url)?;
    let secure_url = url.secure_url.as_ref().map(|text| compile_url_text("secure_url", text)).transpose()?;
    let names_alias = |template: &Template| template.macros().any(|which| *which == Macro::Alias);
    let names_alias = names_alias(&address) || secure_url.as_ref().is_some_and(names_alias);
    if let Some(delimiter) = &url.delimiter {
        if !names_alias {
            return Err(("delimiter", "the URL has no `%alias%` to stand between".to_owned(), None));
        }
        if !delimiter.bytes().all(|byte| byte > b' ' && byte < 0x7f) {
            return Err(("delimiter", "blanks, control bytes and other than ASCII must be escaped".to_owned(), None));
        }
    }
    Ok(UrlDestination {
        id: destination.id,
        conditions: destination.conditions.clone(),
        tag: url.tag,
        url: address,
        secure_url,
        segments,
        names_alias,
        delimiter: url.delimiter.clone(),
    })
}

fn compile_url_text(field: &'static str, text: &str) -> Result<Template, Fault> {
    Template::compile_url_with_alias(text).map_err(|error| (field, error.message, Some(error.span)))
}

fn compile_text(field: &'static str, text: &str, may_stand: impl Fn(u8) -> bool) -> Result<Template, Fault> {
    Template::compile_of(text, may_stand).map_err(|error| (field, error.message, Some(error.span)))
}

/// RFC 6265's `cookie-octet`, with the comma that all browsers take and lists are made with.
fn is_cookie_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}
