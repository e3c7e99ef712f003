//! Whole requests, read as the server would, against checked-in descriptions: `tests/cases/event/*.txt`. A case is a
//! request line, headers, a blank line and a body; then `---` and what was read; cases are parted by `=====`.
//! `UPDATE_GOLDENS=1` rewrites what was read. Lines of a body are joined, so that a long one can be broken.

use std::fmt::{Debug, Write};

use super::call::{Call, CallBuffers, Headers, Request, SegmentList};
use super::cookie::CookiesSent;
use super::endpoint::{Admission, Endpoint};
use super::{ibs, redirect};
use crate::http::Method;
use crate::limits::{DECODE_BYTES_MAX, LOCATION_BYTES_MAX, SYNC_DECODE_BYTES_MAX, TARGET_BYTES_MAX};

#[test]
fn requests_are_read_as_recorded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/event");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().for_each(|path| check(path));
}

#[track_caller]
fn check(path: &std::path::Path) {
    let recorded = std::fs::read_to_string(path).unwrap();
    let cases: Vec<String> = recorded
        .split("=====\n")
        .map(|case| {
            let request = case.split("---\n").next().unwrap();
            format!("{request}---\n{}", read(request))
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        return std::fs::write(path, cases.join("=====\n")).unwrap();
    }
    for (found, recorded) in cases.iter().zip(recorded.split("=====\n")) {
        assert_eq!(found, recorded, "{}; UPDATE_GOLDENS=1 rewrites it", path.display());
    }
}

/// Reads one request and describes it.
fn read(request: &str) -> String {
    let (head, body) = request.split_once("\n\n").unwrap_or((request.trim_end(), ""));
    let body = body.replace('\n', "");
    let mut lines = head.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).expect("METHOD TARGET");
    let headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ").expect("NAME: VALUE")).collect();
    let header =
        |name| headers.iter().find(|header| header.0.eq_ignore_ascii_case(name)).map(|header| header.1.as_bytes());
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));

    let mut out = String::new();
    let Some(endpoint) = Endpoint::parse(path.as_bytes(), query.map(str::as_bytes)) else { return "404\n".into() };
    line(&mut out, "admission", endpoint.admit(method_of(method)), Admission::Serve);
    let lines = headers.iter().filter(|header| header.0.eq_ignore_ascii_case("cookie"));
    let cookies = CookiesSent::parse(lines.map(|header| header.1.as_bytes()));
    line(&mut out, "opted_out", cookies.opted_out(), false);
    if let Endpoint::Sync(text) | Endpoint::SyncConfirmed(text) = endpoint {
        describe_sync(&mut out, text);
        return out;
    }
    let request = Request {
        query: query.unwrap_or_default().as_bytes(),
        body: body.as_bytes(),
        headers: Headers {
            content_type: header("content-type"),
            host: header("host"),
            user_agent: header("user-agent"),
            accept_language: header("accept-language"),
            referer: header("referer"),
            referrer: header("referrer"),
            date: header("date"),
        },
    };
    let mut scratch = vec![0; request.query.len() + request.body.len()];
    describe_call(&mut out, &CallBuffers::new().decode(&request, &mut scratch));
    out
}

fn describe_sync(out: &mut String, text: ibs::SyncText<'_>) {
    let mut scratch = [0; SYNC_DECODE_BYTES_MAX];
    let Ok(sync) = ibs::parse(text, &mut scratch) else {
        out.push_str("badly encoded\n");
        return;
    };
    texts(out, [("source", sync.source), ("id", sync.id), ("uuid", sync.uuid), ("redirect", sync.redirect)]);
    let mut target = [0; LOCATION_BYTES_MAX];
    let allowed = sync.redirect.filter(|url| redirect::is_allowed(url, &["a.example"]));
    let location = allowed.and_then(|url| redirect::sync_location(url, b"UUID", &mut target));
    texts(out, [("location", location)]);
    texts(out, [("gdpr", sync.consent.gdpr), ("gdpr_consent", sync.consent.gdpr_consent)]);
    line(out, "coppa", sync.coppa, false);
}

fn describe_call(out: &mut String, call: &Call<'_>) {
    line(out, "json", call.json, false);
    texts(out, [("callback", call.callback)]);
    line(out, "syncs_off", call.syncs_off, false);
    line(out, "destinations", call.destinations, false);
    line(out, "segments", call.segments, SegmentList::No);
    texts(out, [("uuid", call.uuid), ("mid", call.mid), ("organisation", call.organisation)]);
    for id in &call.declared_ids {
        let (source, text) = (shown(id.source), id.id.map(shown));
        writeln!(out, "declared: {:?} {source} {text:?} {:?}", id.scope, id.authentication).unwrap();
    }
    line(out, "traits", call.traits.iter().map(|id| id.0).collect::<Vec<_>>(), vec![]);
    line(out, "trait_source", call.trait_source, None);
    line(out, "container", call.container, 0);
    line(out, "platform", call.platform, None);
    texts(out, [("caller", call.caller), ("load_data", call.load_data), ("blob", call.blob)]);
    line(out, "region", call.region, None);
    line(out, "verify_cookies", call.verify_cookies, false);
    line(out, "coppa", call.coppa, false);
    line(out, "media", call.media.event, None);
    let (mut url, mut target) = ([0; TARGET_BYTES_MAX], [0; LOCATION_BYTES_MAX]);
    let click = redirect::click_url(call, &mut url).and_then(|url| redirect::click_location(url, call, &mut target));
    texts(out, [("click", click)]);
    let consent = &call.consent;
    texts(out, [("gdpr", consent.gdpr), ("gdpr_consent", consent.gdpr_consent)]);
    texts(out, [("gpp", consent.gpp), ("gpp_sid", consent.gpp_sid)]);
    texts(out, [("device_consent", consent.device_consent), ("device_source", consent.device_source)]);
    for signal in &call.signals {
        let whole = if signal.split { "" } else { " (not split)" };
        writeln!(out, "signal: {} = {}{whole}", shown(signal.key), shown(signal.value)).unwrap();
    }
    line(out, "errors", call.errors.iter().map(|code| code.number()).collect::<Vec<_>>(), vec![]);
}

/// A line for what isn't as usual.
fn line<T: Debug + PartialEq>(out: &mut String, name: &str, value: T, usual: T) {
    if value != usual {
        writeln!(out, "{name}: {value:?}").unwrap();
    }
}

fn texts<const N: usize>(out: &mut String, named: [(&str, Option<&[u8]>); N]) {
    for (name, text) in named {
        if let Some(text) = text {
            writeln!(out, "{name}: {}", shown(text)).unwrap();
        }
    }
}

fn shown(text: &[u8]) -> String {
    format!("\"{}\"", text.escape_ascii())
}

/// Requests of clients, mutated at random: nothing panics, and every bound holds.
#[test]
fn mutated_requests_never_panic() {
    let seeds: [&[u8]; 6] = [
        b"d_visid_ver=5.5.0&d_rtbd=json&d_orgid=ORG%40AdobeOrg&d_cid_ic=crm%01joe%40x%20y%011&ts=1795289301558",
        b"d_mid=M&d_sid=123,9&d_ld=f%3Dx%26_ts%3D1&d_rtbd=json&d_cb=a%5B1%5D&c_page=a%20b%26c&c_arr=1,2,,3&p_x=y",
        b"dpid=139200&dpuuid=y3G1&redir=https%3A%2F%2Fa.example%2Fs%3Fid%3D%24%7BDD_UUID%7D&gdpr=1&gdpr_consent=C",
        b"d_event=click&d_creative=%25&d_rd=http%253A%252F%252Fa.example%252F%3F%25d_creative%25&d_cid=1%25012%25011",
        b"redir=https://a.example/s?dpid=1&x=2?dpuuid=3&demdex=12345678901234567890123456789012345678; demdex=NOTARGET",
        b"{\"a\":[1,2]}&gpp=DBABMA~x&gpp_sid=7&h_host=x&dpid=1&d_dpid=2&dpuuid=3&d_dpuuid=4&device_consent=0",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut buffers = CallBuffers::new();
    let mut scratch = vec![0; DECODE_BYTES_MAX];
    let mut refused = 0;
    for _ in 0..100_000 {
        let mut text = seeds[random.below(seeds.len())].to_vec();
        for _ in 0..1 + random.below(4) {
            mutate(&mut text, seeds[random.below(seeds.len())], &mut random);
        }
        let (query, body) = text.split_at(random.below(text.len() + 1));
        let call = buffers.decode(&Request { query, body, ..Request::default() }, &mut scratch);
        refused += usize::from(call.errors.contains(super::ErrorCode::ParameterBadlyEncoded));
        let (mut url, mut target) = ([0; TARGET_BYTES_MAX], [0; LOCATION_BYTES_MAX]);
        if let Some(url) = redirect::click_url(&call, &mut url) {
            redirect::click_location(url, &call, &mut target);
        }
        buffers.take_back(call);

        let sync = ibs::SyncText { head: query, tail: Some(body) };
        if let Ok(sync) = ibs::parse(sync, &mut scratch)
            && let Some(url) = sync.redirect
        {
            redirect::is_allowed(url, &["a.example"]);
            let location = redirect::sync_location(url, b"1", &mut target).unwrap();
            assert!(location.iter().all(u8::is_ascii_graphic));
        }
        CookiesSent::parse([query, body]);
    }
    assert!((10_000..90_000).contains(&refused), "mutation must neither spare nor spoil everything: {refused}");
}

fn mutate(text: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const ODD: [&[u8]; 12] =
        [b"%", b"&", b"=", b"?", b"%01", b"\x01", b"+", b",", b"\xff", b"\0", b"d_cid=", b"&redir=http://a.example?"];
    let at = random.below(text.len() + 1);
    match random.below(5) {
        0 => text.truncate(at),
        1 if at < text.len() => text[at] = random.below(256) as u8,
        2 => drop(text.splice(at..at, ODD[random.below(ODD.len())].iter().copied())),
        3 => drop(text.splice(at..at, other[random.below(other.len())..].iter().copied())),
        _ if at < text.len() => drop(text.remove(at)),
        _ => {}
    }
}

/// SplitMix64, by Steele, Lea and Flood.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) % bound as u64) as usize
    }
}

fn method_of(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "OPTIONS" => Method::Options,
        other => panic!("no case uses {other}"),
    }
}
