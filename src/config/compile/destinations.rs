//! An account's destinations.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::file::{self, Destination};
use super::super::reader::Faults;
use super::super::values::Date;
use super::rules::Group;
use crate::clock::Day;
use crate::destination::{
    Conditions, CookieSettings, DestinationError, DestinationKind, DestinationSettings, Destinations, Pages, Platforms,
    UrlSettings, UrlTag,
};
use crate::event::call::Platform;
use crate::ids::SegmentId;

pub(in crate::config) const COOKIE_TTL_DAYS_DEFAULT: u16 = 30;
pub(in crate::config) const COOKIE_SEPARATOR_DEFAULT: &str = ",";

pub(super) fn compile(group: &Group<'_>, faults: &mut Faults<'_>) -> Option<Destinations> {
    let settings: Vec<Option<DestinationSettings>> = group.destinations.iter().map(|entry| settings(entry)).collect();
    for (entry, settings) in group.destinations.iter().zip(&settings) {
        if let Some(message) = first_fault(settings.as_ref()) {
            probe(entry, faults);
            // For what no text of its own is to blame.
            if faults.is_empty() {
                faults.add_unless_told(entry.id.span(), message);
            }
        }
    }
    Destinations::compile(&settings.into_iter().collect::<Option<Vec<_>>>()?).ok()
}

fn first_fault(settings: Option<&DestinationSettings>) -> Option<String> {
    let Some(settings) = settings else { return Some("this destination lacks what its kind needs".to_owned()) };
    let errors = Destinations::compile(std::slice::from_ref(settings)).err()?;
    errors.into_iter().next().map(|error| error.message)
}

/// `None`: something that the kind needs is missing, which was told.
fn settings(entry: &Destination) -> Option<DestinationSettings> {
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.get_ref().clone());
    let segments = entry.segments.iter().map(|id| SegmentId(*id.get_ref()));
    let kind = match entry.kind.get_ref() {
        file::DestinationKind::Cookie => DestinationKind::Cookie(CookieSettings {
            name: text(&entry.cookie_name)?,
            domain: text(&entry.cookie_domain).unwrap_or_default(),
            pages: pages(entry),
            ttl_days: entry.cookie_ttl_days.as_ref().map_or(COOKIE_TTL_DAYS_DEFAULT, |days| *days.get_ref()).into(),
            key: text(&entry.cookie_key),
            separator: text(&entry.cookie_separator).unwrap_or_else(|| COOKIE_SEPARATOR_DEFAULT.to_owned()),
            values: segments.map(|id| (id, value_of(&entry.cookie_values, id))).collect(),
        }),
        file::DestinationKind::Url => DestinationKind::Url(UrlSettings {
            tag: match entry.tag.as_ref().map(|tag| *tag.get_ref()).unwrap_or_default() {
                file::DestinationTag::Img => UrlTag::Img,
                file::DestinationTag::Iframe => UrlTag::Iframe,
            },
            url: text(&entry.url)?,
            secure_url: text(&entry.secure_url),
            segments: segments.map(|id| (id, value_of(&entry.url_values, id))).collect(),
            delimiter: text(&entry.url_delimiter),
        }),
    };
    Some(DestinationSettings { id: *entry.id.get_ref(), conditions: conditions(entry), kind })
}

fn conditions(entry: &Destination) -> Conditions {
    let day = |day: &Option<Spanned<Date>>| day.as_ref().map(|day| day.get_ref().0);
    let platforms = entry.platforms.iter().map(|platform| match platform.get_ref() {
        file::DestinationPlatform::Browser => Platform::Browser,
        file::DestinationPlatform::Ios => Platform::Ios,
        file::DestinationPlatform::Android => Platform::Android,
    });
    Conditions {
        vendor_id: entry.vendor_id.as_ref().map(|id| *id.get_ref()),
        days: day(&entry.first_day).unwrap_or(Day::MIN)..=day(&entry.last_day).unwrap_or(Day::MAX),
        platforms: if entry.platforms.is_empty() { Platforms::ALL } else { platforms.collect() },
    }
}

/// One of the two lists is empty, which was checked.
fn pages(entry: &Destination) -> Pages {
    let hosts = |list: &[Spanned<String>]| list.iter().map(|host| host.get_ref().as_str().into()).collect();
    match (&entry.cookie_pages[..], &entry.cookie_pages_except[..]) {
        ([], []) => Pages::All,
        ([], except) => Pages::Except(hosts(except)),
        (only, _) => Pages::Only(hosts(only)),
    }
}

/// What stands for a segment: its id unless the config says something else.
fn value_of(values: &BTreeMap<Spanned<String>, Spanned<String>>, segment: SegmentId) -> String {
    let id = segment.to_string();
    values.get(id.as_str()).map_or(id, |value| value.get_ref().clone())
}

/// The compiler tells a destination's first fault. Each of its texts is compiled alone, so that each is told.
fn probe(entry: &Destination, faults: &mut Faults<'_>) {
    for (text, kind) in probes(entry) {
        let alone = DestinationSettings { id: 0, conditions: Conditions::default(), kind };
        for DestinationError { message, span, .. } in Destinations::compile(&[alone]).err().unwrap_or_default() {
            match span {
                Some(span) => faults.add_within_unless_told(text, span, message),
                None => faults.add_unless_told(text.span(), message),
            }
        }
    }
}

/// Each text of the destination, in settings that have no other fault.
fn probes(entry: &Destination) -> Vec<(&Spanned<String>, DestinationKind)> {
    let cookie = CookieSettings {
        name: "c".to_owned(),
        domain: ".example".to_owned(),
        pages: Pages::All,
        ttl_days: 1,
        key: None,
        separator: COOKIE_SEPARATOR_DEFAULT.to_owned(),
        values: Vec::new(),
    };
    let in_cookie = |text: &Option<Spanned<String>>, set: &dyn Fn(&mut CookieSettings, String)| {
        let mut cookie = cookie.clone();
        set(&mut cookie, text.as_ref().map_or(String::new(), |text| text.get_ref().clone()));
        DestinationKind::Cookie(cookie)
    };
    let of_cookie = [
        (&entry.cookie_name, in_cookie(&entry.cookie_name, &|cookie, text| cookie.name = text)),
        (&entry.cookie_domain, in_cookie(&entry.cookie_domain, &|cookie, text| cookie.domain = text)),
        (&entry.cookie_key, in_cookie(&entry.cookie_key, &|cookie, text| cookie.key = Some(text))),
        (&entry.cookie_separator, in_cookie(&entry.cookie_separator, &|cookie, text| cookie.separator = text)),
    ];
    let of_cookie = of_cookie.into_iter().filter_map(|(text, kind)| Some((text.as_ref()?, kind)));
    let of_values = entry.cookie_values.values().map(|value| {
        let values = vec![(SegmentId(0), value.get_ref().clone())];
        (value, DestinationKind::Cookie(CookieSettings { values, ..cookie.clone() }))
    });
    let of_url = [&entry.url, &entry.secure_url].into_iter().flatten().map(|url| {
        let tag = UrlTag::default();
        let url_alone = url.get_ref().clone();
        let settings = UrlSettings { tag, url: url_alone, secure_url: None, segments: Vec::new(), delimiter: None };
        (url, DestinationKind::Url(settings))
    });
    let of_delimiter = entry.url_delimiter.iter().map(|delimiter| {
        let (tag, url) = (UrlTag::default(), "//a.example/%alias%".to_owned());
        let delimiter_alone = Some(delimiter.get_ref().clone());
        let settings = UrlSettings { tag, url, secure_url: None, segments: Vec::new(), delimiter: delimiter_alone };
        (delimiter, DestinationKind::Url(settings))
    });
    of_cookie.chain(of_values).chain(of_url).chain(of_delimiter).collect()
}
