//! Destinations: one kind's keys and none of the other's, segments of their own account, and texts that mean something.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use toml::Spanned;

use super::super::file::{Destination, DestinationKind};
use super::super::reader::Faults;
use super::{Known, check_filled, check_range, check_text, check_vendor, text};

const COOKIE_DAYS_MAX: u16 = 3_650;

pub(super) fn check(entry: &Destination, known: &Known<'_>, faults: &mut Faults<'_>) {
    let account = entry.account.get_ref().as_str();
    check_filled(&entry.name, faults);
    known.check_account(&entry.account, faults);
    check_vendor(&entry.vendor_id, faults);
    for id in &entry.segments {
        match known.segments.get(id.get_ref()) {
            Some(&owner) if owner == account => {}
            Some(owner) => {
                let message = format!("segment {} belongs to account `{owner}`", id.get_ref());
                faults.add(id.span(), message, format!("use segments of account `{account}`"));
            }
            None => {
                let message = format!("there is no segment {}", id.get_ref());
                faults.add(id.span(), message, "give the `id` of one of the `[[segment]]` tables");
            }
        }
    }
    check_kind(entry, faults);
    for text in [&entry.url, &entry.secure_url].into_iter().flatten().chain(entry.cookie_values.values()) {
        known.check_template(text, account, faults);
    }
    if let Some(url) = &entry.secure_url
        && !["https://", "//", "%http_proto%://"].iter().any(|start| url.get_ref().starts_with(start))
    {
        faults.add(url.span(), "the secure URL is not secure", "begin it with https://");
    }
    if let (Some(first), Some(last)) = (&entry.first_day, &entry.last_day)
        && first.get_ref() > last.get_ref()
    {
        faults.add(last.span(), "the last day is before the first", "exchange them");
    }
    if let Some(name) = &entry.cookie_name {
        check_text(name, text::is_token, "letters, digits and !#$%&'*+-.^_`|~", faults);
    }
    if let Some(domain) = &entry.cookie_domain {
        let is_domain = |domain: &str| text::is_domain(domain.strip_prefix('.').unwrap_or(domain));
        check_text(domain, is_domain, "a domain in lower case, like `.example.com`", faults);
    }
    check_pages(entry, faults);
    if let Some(days) = &entry.cookie_ttl_days {
        check_range(days, 1, COOKIE_DAYS_MAX, faults);
    }
    let segments: BTreeSet<String> = entry.segments.iter().map(|id| id.get_ref().to_string()).collect();
    let mut urls = [&entry.url, &entry.secure_url].into_iter().flatten();
    if entry.url.is_some() && !urls.any(|url| names_alias(url.get_ref())) {
        for text in entry.url_values.values().chain(&entry.url_delimiter) {
            faults.add(text.span(), "the URL has no `%alias%` for it", "write `%alias%` where it is to stand");
        }
    }
    for segment in entry.cookie_values.keys().chain(entry.url_values.keys()) {
        if !segments.contains(segment.get_ref()) {
            let message = format!("`{}` is none of the destination's segments", segment.get_ref());
            faults.add(segment.span(), message, "name one of `segments` by its id");
        }
    }
}

fn check_pages(entry: &Destination, faults: &mut Faults<'_>) {
    if let ([_, ..], [except, ..]) = (&entry.cookie_pages[..], &entry.cookie_pages_except[..]) {
        let hint = "leave out `cookie_pages_except`: all that `cookie_pages` doesn't list are excepted";
        faults.add(except.span(), "pages are both listed and excepted", hint);
    }
    let is_host = |host: &str| text::is_domain(host) || host.parse::<Ipv4Addr>().is_ok();
    let form =
        "a host in lower case, like `shop.example`, without scheme, port and path; it stands for all below it too";
    entry
        .cookie_pages
        .iter()
        .chain(&entry.cookie_pages_except)
        .for_each(|host| check_text(host, is_host, form, faults));
}

fn names_alias(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    url.contains("%alias%") || url.contains("%alias!%")
}

/// Keys of the one kind are needed or allowed, those of the other are not.
fn check_kind(entry: &Destination, faults: &mut Faults<'_>) {
    let cookie = [
        ("cookie_name", entry.cookie_name.as_ref().map(Spanned::span)),
        ("cookie_domain", entry.cookie_domain.as_ref().map(Spanned::span)),
        ("cookie_pages", entry.cookie_pages.first().map(Spanned::span)),
        ("cookie_pages_except", entry.cookie_pages_except.first().map(Spanned::span)),
        ("cookie_ttl_days", entry.cookie_ttl_days.as_ref().map(Spanned::span)),
        ("cookie_key", entry.cookie_key.as_ref().map(Spanned::span)),
        ("cookie_separator", entry.cookie_separator.as_ref().map(Spanned::span)),
        ("cookie_values", entry.cookie_values.keys().next().map(Spanned::span)),
    ];
    let url = [
        ("url", entry.url.as_ref().map(Spanned::span)),
        ("secure_url", entry.secure_url.as_ref().map(Spanned::span)),
        ("url_values", entry.url_values.keys().next().map(Spanned::span)),
        ("url_delimiter", entry.url_delimiter.as_ref().map(Spanned::span)),
        ("tag", entry.tag.as_ref().map(Spanned::span)),
    ];
    let (needed, foreign): (&[_], &[_]) = match entry.kind.get_ref() {
        DestinationKind::Cookie => (&cookie[..1], &url),
        DestinationKind::Url => (&url[..1], &cookie),
    };
    for (name, _) in needed.iter().filter(|(_, found)| found.is_none()) {
        faults.add(entry.kind.span(), format!("`{name}` is missing"), "this kind of destination needs it");
    }
    for (name, found) in foreign {
        if let Some(span) = found {
            faults.add(span.clone(), format!("`{name}` means nothing for this kind"), "take it away, or change `kind`");
        }
    }
}
