//! An account's destinations.

use toml::Spanned;

use super::super::file::{self, Destination};
use super::super::reader::Faults;
use super::rules::Group;
use crate::destination::{
    CookieSettings, DestinationError, DestinationKind, DestinationSettings, Destinations, UrlSettings, UrlTag,
};
use crate::ids::SegmentId;

pub(in super::super) const COOKIE_TTL_DAYS_DEFAULT: u16 = 30;
pub(in super::super) const COOKIE_SEPARATOR_DEFAULT: &str = ",";

pub(super) fn compile(group: &Group<'_>, faults: &mut Faults<'_>) -> Option<Destinations> {
    let settings: Vec<Option<DestinationSettings>> = group.destinations.iter().map(|entry| settings(entry)).collect();
    let settings: Vec<DestinationSettings> = settings.into_iter().flatten().collect();
    match Destinations::compile(&settings) {
        Ok(destinations) => Some(destinations),
        Err(errors) => {
            for error in errors {
                let is_meant = |entry: &&&Destination| *entry.id.get_ref() == error.id;
                let entry = group.destinations.iter().find(is_meant).expect("its settings came from there");
                add(entry, error, faults);
            }
            None
        }
    }
}

/// `None`: something that the kind needs is missing, which was told.
fn settings(entry: &Destination) -> Option<DestinationSettings> {
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.get_ref().clone());
    let segments = entry.segments.iter().map(|id| SegmentId(*id.get_ref()));
    let kind = match entry.kind.get_ref() {
        file::DestinationKind::Cookie => DestinationKind::Cookie(CookieSettings {
            name: text(&entry.cookie_name)?,
            domain: text(&entry.cookie_domain)?,
            ttl_days: entry.cookie_ttl_days.as_ref().map_or(COOKIE_TTL_DAYS_DEFAULT, |days| *days.get_ref()).into(),
            key: text(&entry.cookie_key),
            separator: text(&entry.cookie_separator).unwrap_or_else(|| COOKIE_SEPARATOR_DEFAULT.to_owned()),
            values: segments.map(|id| (id, cookie_value(entry, id))).collect(),
        }),
        file::DestinationKind::Url => DestinationKind::Url(UrlSettings {
            tag: match entry.tag.as_ref().map(|tag| *tag.get_ref()).unwrap_or_default() {
                file::DestinationTag::Img => UrlTag::Img,
                file::DestinationTag::Iframe => UrlTag::Iframe,
            },
            url: text(&entry.url)?,
            secure_url: text(&entry.secure_url),
            segments: segments.collect(),
        }),
    };
    let vendor_id = entry.vendor_id.as_ref().map(|id| *id.get_ref());
    Some(DestinationSettings { id: *entry.id.get_ref(), vendor_id, kind })
}

/// What stands for a segment in the cookie: its id unless the config says something else.
fn cookie_value(entry: &Destination, segment: SegmentId) -> String {
    let id = segment.to_string();
    entry.cookie_values.get(id.as_str()).map_or(id, |value| value.get_ref().clone())
}

fn add(entry: &Destination, error: DestinationError, faults: &mut Faults<'_>) {
    if error.field == "values" {
        return add_values(entry, faults);
    }
    let DestinationError { field, message, span, .. } = error;
    let text = match field {
        "name" => &entry.cookie_name,
        "domain" => &entry.cookie_domain,
        "key" => &entry.cookie_key,
        "separator" => &entry.cookie_separator,
        "url" => &entry.url,
        "secure_url" => &entry.secure_url,
        _ => &None,
    };
    match (text, span) {
        (Some(text), Some(span)) => faults.add_within_unless_told(text, span, message),
        (Some(text), None) => faults.add_unless_told(text.span(), message),
        (None, _) => {
            let ttl = entry.cookie_ttl_days.as_ref().filter(|_| field == "ttl");
            faults.add_unless_told(ttl.map_or(entry.id.span(), Spanned::span), message);
        }
    }
}

/// The compiler does not say which of a cookie's values it means, and stops at the first: each is compiled alone.
fn add_values(entry: &Destination, faults: &mut Faults<'_>) {
    let Some(DestinationSettings { id, vendor_id, kind: DestinationKind::Cookie(cookie) }) = settings(entry) else {
        return;
    };
    for (segment, value) in &cookie.values {
        let alone = CookieSettings { values: vec![(*segment, value.clone())], ..cookie.clone() };
        let alone = DestinationSettings { id, vendor_id, kind: DestinationKind::Cookie(alone) };
        let errors = Destinations::compile(&[alone]).err().unwrap_or_default();
        for DestinationError { message, span, .. } in errors {
            let written = &entry.cookie_values[segment.to_string().as_str()];
            faults.add_within_unless_told(written, span.unwrap_or(0..value.len()), message);
        }
    }
}
