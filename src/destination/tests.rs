//! The cases under `tests/cases/destination/`, and what can't be said in a file.
//!
//! A file holds cases that begin with `== NAME`; then lines `setting: value`, a line `--`, and the entries as [`dump`]
//! writes them. The account's destinations are those of [`destinations`].

use std::fmt::Write;

use super::*;
use crate::clock::Day;
use crate::event::host;
use crate::limits::{DESTINATION_BYTES_MAX, DESTINATION_ENTRIES_MAX};
use crate::template::sample::Sample;

fn url(id: u32, url: &str, secure_url: Option<&str>, segments: &[u32]) -> DestinationSettings {
    DestinationSettings {
        id,
        conditions: Conditions::default(),
        kind: DestinationKind::Url(UrlSettings {
            tag: UrlTag::Img,
            url: url.to_owned(),
            secure_url: secure_url.map(str::to_owned),
            segments: segments.iter().map(|&id| (SegmentId(id), id.to_string())).collect(),
            delimiter: None,
        }),
    }
}

fn aliases(id: u32, address: &str, aliases: &[(u32, &str)], delimiter: Option<&str>) -> DestinationSettings {
    DestinationSettings {
        kind: DestinationKind::Url(UrlSettings {
            tag: UrlTag::Img,
            url: address.to_owned(),
            secure_url: None,
            segments: aliases.iter().map(|(segment, alias)| (SegmentId(*segment), (*alias).to_owned())).collect(),
            delimiter: delimiter.map(str::to_owned),
        }),
        ..url(id, "", None, &[])
    }
}

fn cookie(id: u32, key: Option<&str>, values: &[(u32, &str)]) -> DestinationSettings {
    DestinationSettings {
        id,
        conditions: Conditions::default(),
        kind: DestinationKind::Cookie(CookieSettings {
            name: format!("c{id}"),
            domain: ".example.com".to_owned(),
            pages: Pages::All,
            ttl_days: 30,
            key: key.map(str::to_owned),
            separator: ",".to_owned(),
            values: values.iter().map(|(segment, value)| (SegmentId(*segment), (*value).to_owned())).collect(),
        }),
    }
}

fn destinations() -> Destinations {
    let when = |settings, conditions| DestinationSettings { conditions, ..settings };
    let vendor = |settings| when(settings, Conditions { vendor_id: Some(755), ..Conditions::default() });
    let within = |settings, days| when(settings, Conditions { days, ..Conditions::default() });
    let on = |settings, platforms: &[Platform]| {
        let platforms = platforms.iter().copied().collect();
        when(settings, Conditions { platforms, ..Conditions::default() })
    };
    let for_pages = |id, pages| {
        let settings = cookie(id, None, &[(21, "paged")]);
        let DestinationKind::Cookie(cookie) = settings.kind else { unreachable!("it is one") };
        DestinationSettings { kind: DestinationKind::Cookie(CookieSettings { pages, ..cookie }), ..settings }
    };
    let hosts = || ["shop.example".into(), "www.news.example".into(), "192.0.2.7".into()].into();
    let several_keys = DestinationSettings {
        kind: DestinationKind::Cookie(CookieSettings {
            name: "keys".to_owned(),
            domain: String::new(),
            pages: Pages::All,
            ttl_days: 1,
            key: None,
            separator: "&".to_owned(),
            values: vec![
                (SegmentId(15), "x=1".to_owned()),
                (SegmentId(16), "x=2".to_owned()),
                (SegmentId(17), "y=%did%".to_owned()),
            ],
        }),
        ..cookie(5, None, &[])
    };
    Destinations::compile(&[
        cookie(1, Some("seg"), &[(10, "ten"), (11, "eleven"), (12, "x-%sig_c_x!%")]),
        cookie(2, None, &[(12, "%did%")]),
        vendor(cookie(3, None, &[(13, "vendor")])),
        url(20, "//a.example/?u=%did%&s=%sig_c_x%", None, &[11, 10]),
        url(21, "http://b.example/", Some("https://b.example/?r=%RND%&m=%mcid%"), &[12]),
        url(22, "%http_proto%://c.example/?i=%dpid_5!%", None, &[10]),
        vendor(url(23, "https://d.example/", None, &[13])),
        within(cookie(4, None, &[(14, "limited")]), 20..=29),
        within(url(24, "https://e.example/", None, &[14]), 20..=29),
        within(url(25, "https://e.example/later", None, &[14]), 30..=Day::MAX),
        several_keys,
        aliases(26, "//f.example/?s=%alias%&u=%did%", &[(19, "b c"), (18, "a,b"), (20, "z")], None),
        aliases(27, "//g.example/?s=%Alias%&u=%did%", &[(19, "b c"), (18, "a,b"), (20, "z")], Some("|")),
        aliases(28, "//h.example/", &[(20, "unused")], None),
        for_pages(6, Pages::Only(hosts())),
        for_pages(7, Pages::Except(hosts())),
        on(cookie(8, None, &[(22, "browsers")]), &[Platform::Browser]),
        on(url(29, "//browsers.example/", None, &[22]), &[Platform::Browser]),
        on(url(30, "//apps.example/", None, &[22]), &[Platform::Ios, Platform::Android]),
        on(url(31, "//ios.example/", None, &[22]), &[Platform::Ios]),
    ])
    .unwrap()
}

#[test]
fn cases() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/destination");
    let (destinations, mut entries) = (destinations(), Entries::new());
    let (mut count, mut failures) = (0, String::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for case in text.split("\n== ").skip(1) {
            let (head, expected) = case.split_once("\n--\n").unwrap();
            let found = run(&destinations, head, &mut entries);
            count += 1;
            if found != expected.trim_ascii() {
                writeln!(failures, "{}: {head}\nexpected:\n{expected}\nfound:\n{found}\n", path.display()).unwrap();
            }
        }
    }
    assert!(count >= 10, "only {count} cases");
    assert!(failures.is_empty(), "\n{failures}");
}

/// What comes out for each of the case's pages, once if it is the same for all.
fn run(destinations: &Destinations, head: &str, entries: &mut Entries) -> String {
    let mut values = Sample { visitor_id: b"17".to_vec(), ..Sample::default() };
    let (mut segments, mut platform, mut refused) = (Vec::new(), Platform::Browser, None);
    let (mut today, mut pages) = (10, Vec::new());
    for line in head.lines().skip(1) {
        let (key, value) = line.split_once(": ").unwrap();
        match key {
            "segments" => segments = value.split(' ').map(|id| SegmentId(id.parse().unwrap())).collect(),
            "platform" => platform = platform_of(value),
            "day" => today = value.parse().unwrap(),
            "page" => pages.push(host::of_url(value.as_bytes())),
            "refused" => refused = Some(value.parse().unwrap()),
            "c_x" => values.signals.push((b"c_x".to_vec(), value.as_bytes().to_vec())),
            "dpid_5" => values.declared_ids.push((5, value.as_bytes().to_vec())),
            _ => panic!("unknown setting {key}"),
        }
    }
    if pages.is_empty() {
        pages.push(None);
    }
    let is_allowed = |vendor_id: Option<u16>| vendor_id.is_none() || vendor_id != refused;
    let mut on_page = |page_host| {
        let occasion = Occasion { today, platform, page_host };
        entries.clear();
        destinations.cookie_entries(&segments, &occasion, is_allowed, &values, entries);
        destinations.url_entries(&segments, &occasion, is_allowed, &values, entries);
        dump(entries)
    };
    let mut found: Vec<String> = pages.into_iter().map(&mut on_page).collect();
    found.dedup();
    found.join("\nbut on another page\n")
}

fn platform_of(name: &str) -> Platform {
    match name {
        "browser" => Platform::Browser,
        "ios" => Platform::Ios,
        "android" => Platform::Android,
        "all" => Platform::All,
        _ => panic!("unknown platform {name}"),
    }
}

fn dump(entries: &Entries) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut out = String::new();
    for cookie in entries.cookies() {
        let (name, value, domain) = (text(cookie.name), text(cookie.value), text(cookie.domain));
        writeln!(out, "cookie {name} {value} {} {domain}", cookie.ttl_days).unwrap();
    }
    for url in entries.urls() {
        let secure_url = url.secure_url.map_or("-".to_owned(), text);
        writeln!(out, "url {} {} {} {secure_url}", url.id, url.tag.as_str(), text(url.url)).unwrap();
    }
    assert_eq!(entries.dropped(), 0);
    out.trim_ascii().to_owned()
}

#[test]
fn what_finds_no_room_is_counted() {
    let long = "x".repeat(DESTINATION_BYTES_MAX / 2);
    let long_url = format!("//a.example/{long}");
    let settings: Vec<_> = (0..3).map(|id| url(id, &long_url, None, &[1])).collect();
    let fill = |settings: &[DestinationSettings]| {
        let mut entries = Entries::new();
        let (destinations, values) = (Destinations::compile(settings).unwrap(), Sample::default());
        let occasion = Occasion { today: 1, platform: Platform::Browser, page_host: None };
        destinations.cookie_entries(&[SegmentId(1)], &occasion, |_| true, &values, &mut entries);
        destinations.url_entries(&[SegmentId(1)], &occasion, |_| true, &values, &mut entries);
        (entries.cookies().len(), entries.urls().len(), entries.dropped())
    };
    assert_eq!(fill(&settings), (0, 1, 2));
    let settings: Vec<_> = (0..3).map(|id| cookie(id, None, &[(1, &long)])).collect();
    assert_eq!(fill(&settings), (1, 0, 2));
    let many = DESTINATION_ENTRIES_MAX + 2;
    let settings: Vec<_> = (0..many as u32).map(|id| url(id, "//a.example/", None, &[1])).collect();
    assert_eq!(fill(&settings), (0, DESTINATION_ENTRIES_MAX, 2));
    let settings: Vec<_> = (0..many as u32).map(|id| cookie(id, None, &[(1, "v")])).collect();
    assert_eq!(fill(&settings), (DESTINATION_ENTRIES_MAX, 0, 2));
}

#[test]
fn faults_are_named() {
    let fault = |settings: DestinationSettings| {
        let errors = Destinations::compile(&[settings]).unwrap_err();
        (errors[0].id, errors[0].field, errors[0].span.clone())
    };
    assert_eq!(fault(url(1, "javascript:alert(1)", None, &[])), (1, "url", Some(0..8)));
    assert_eq!(fault(url(2, "//a.example/ x", None, &[])), (2, "url", Some(12..13)));
    assert_eq!(fault(url(3, "//a.example/", Some("//a/%sig_p_x%"), &[])), (3, "secure_url", Some(4..13)));
    assert_eq!(fault(cookie(4, None, &[(1, "a;b")])), (4, "values", Some(1..2)));
    assert_eq!(fault(cookie(5, Some("a b"), &[])), (5, "key", None));
}
