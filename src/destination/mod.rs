//! What an answer tells the browser to do with a visitor's segments: set first-party cookies (`stuff`) and fire URLs
//! (`dests`).
//!
//! Destinations are compiled for one account, so that an answer can't show another's. Entries are written into memory
//! that is used again ([`Entries`]); what doesn't fit is left out and counted.
#![forbid(unsafe_code)]

mod conditions;
mod entries;
mod settings;

pub use conditions::{Conditions, Occasion, Pages, Platforms};
pub use entries::{CookieEntry, Entries, UrlEntry};
pub use settings::{
    CookieSettings, DestinationError, DestinationKind, DestinationSettings, Destinations, UrlSettings, UrlTag,
};

use crate::event::call::Platform;
use crate::ids::SegmentId;
use crate::template::{Encoding, MacroValues, Rendered, Sink, Template, Writer};
use settings::{CookieDestination, UrlDestination};

impl Destinations {
    /// Adds the cookies for a visitor who is in `segments` (ascending). `is_allowed` judges a destination's vendor. A
    /// cookie without one stays between the page's own site and the operator, whose consent whoever asks has seen to.
    pub fn cookie_entries(
        &self,
        segments: &[SegmentId],
        occasion: &Occasion<'_>,
        is_allowed: impl Fn(Option<u16>) -> bool,
        values: &impl MacroValues,
        entries: &mut Entries,
    ) {
        let is_allowed = |vendor: Option<u16>| vendor.is_none() || is_allowed(vendor);
        let is_meant = |cookie: &&CookieDestination| {
            cookie.conditions.are_met(occasion, is_allowed) && cookie.pages.contain(occasion.page_host)
        };
        for cookie in self.cookies.iter().filter(is_meant) {
            entries.push_cookie(cookie.ttl_days, |out| cookie.write(segments, values, out));
        }
    }

    /// Adds the URLs to fire for a visitor who is in `segments` (ascending). The iframe replaces the macros that it
    /// knows itself; an app replaces nothing, and needs whole URLs.
    pub fn url_entries(
        &self,
        segments: &[SegmentId],
        occasion: &Occasion<'_>,
        is_allowed: impl Fn(Option<u16>) -> bool,
        values: &impl MacroValues,
        entries: &mut Entries,
    ) {
        let platform = occasion.platform;
        let is_meant =
            |url: &&UrlDestination| url.conditions.are_met(occasion, &is_allowed) && is_in_any(segments, &url.segments);
        for url in self.urls.iter().filter(is_meant) {
            let aliases = url.aliases_of(segments);
            if url.names_alias && url.delimiter.is_none() {
                aliases.for_each(|alias| url.push(std::iter::once(alias), values, platform, entries));
            } else {
                url.push(aliases, values, platform, entries);
            }
        }
    }
}

impl CookieDestination {
    /// Name, domain and value, and where the first two end; `Skipped` when nothing stands for the segments.
    fn write(
        &self,
        segments: &[SegmentId],
        values: &impl MacroValues,
        out: &mut Writer<'_>,
    ) -> Result<[usize; 2], Rendered> {
        out.push(self.name.as_bytes());
        let name_end = out.len();
        out.push(self.domain.as_bytes());
        let domain_end = out.len();
        if let Some(key) = &self.key {
            out.push(key.as_bytes());
            out.push(b"=");
        }
        let first = out.len();
        for (_, value) in self.values.iter().filter(|(segment, _)| segments.binary_search(segment).is_ok()) {
            let before = out.len();
            if before > first {
                out.push(self.separator.as_bytes());
            }
            match value.render(values, Encoding::Percent, out) {
                Rendered::Overflow => return Err(Rendered::Overflow),
                Rendered::Skipped | Rendered::Ok(0) => out.truncate(before),
                Rendered::Ok(_) => {}
            }
        }
        match out.len() > first {
            true => Ok([name_end, domain_end]),
            false => Err(Rendered::Skipped),
        }
    }
}

impl UrlDestination {
    /// The aliases of those of its segments that the visitor is in.
    fn aliases_of<'a>(&'a self, segments: &'a [SegmentId]) -> impl Iterator<Item = &'a str> + Clone {
        let is_present = |(segment, _): &&(SegmentId, String)| segments.binary_search(segment).is_ok();
        self.segments.iter().filter(is_present).map(|(_, alias)| alias.as_str())
    }

    fn push<'a>(
        &self,
        aliases: impl Iterator<Item = &'a str> + Clone,
        values: &impl MacroValues,
        platform: Platform,
        entries: &mut Entries,
    ) {
        let alias = |sink: &mut Sink<'_, '_>| {
            for (place, alias) in aliases.clone().enumerate() {
                if place > 0 {
                    sink.push_literal(self.delimiter.as_deref().unwrap_or_default());
                }
                sink.push(alias.as_bytes());
            }
        };
        let render = |template: &Template, out: &mut Writer<'_>| render_url(template, values, alias, platform, out);
        let secure = |out: &mut Writer<'_>| match &self.secure_url {
            Some(secure_url) => render(secure_url, out),
            None => Rendered::Ok(0),
        };
        entries.push_url(self.id, self.tag, |out| render(&self.url, out), secure);
    }
}

fn render_url(
    template: &Template,
    values: &impl MacroValues,
    alias: impl Fn(&mut Sink<'_, '_>),
    platform: Platform,
    out: &mut Writer<'_>,
) -> Rendered {
    if !platform.is_mobile() {
        return template.render_alias(values, alias, true, out);
    }
    let scheme: &[u8] = if template.text().starts_with("//") { b"https:" } else { b"" };
    out.push(scheme);
    match template.render_alias(values, alias, false, out) {
        Rendered::Ok(len) => Rendered::Ok(scheme.len() + len),
        stopped => stopped,
    }
}

/// Whether two ascending lists share a segment: the shorter is looked up in the longer.
fn is_in_any(segments: &[SegmentId], wanted: &[(SegmentId, String)]) -> bool {
    if segments.len() < wanted.len() {
        segments.iter().any(|segment| wanted.binary_search_by_key(segment, |(id, _)| *id).is_ok())
    } else {
        wanted.iter().any(|(id, _)| segments.binary_search(id).is_ok())
    }
}

#[cfg(test)]
mod tests;
