//! Whole answers against checked-in ones (`UPDATE_GOLDENS=1` rewrites those), and what must hold for all of them.

use super::*;
use crate::event::ibs::SyncText;
use crate::ids::{SegmentId, TraitId};
use crate::limits::{
    ANSWER_HEAD_BYTES_MAX, BUFFER_LARGE_BYTES, BUFFER_SMALL_BYTES, LOCATION_BYTES_MAX, ORIGINS_BYTES_MAX,
};

const UUID: &[u8; 38] = b"12345678901234567890123456789012345678";

fn envelope() -> Envelope<'static> {
    Envelope { wall_ms: 1_795_289_301_558, tid: *b"pinion!!", node: "node-1", elapsed_us: 321, ..Envelope::default() }
}

fn browser() -> Envelope<'static> {
    let cookies = Cookies {
        demdex: Some(CookieValue::Visitor(*UUID)),
        domain: Some("example.net"),
        partitioned: true,
        ..Cookies::default()
    };
    Envelope { secure: true, origin: Some(b"https://shop.example"), cookies, ..envelope() }
}

fn full_event() -> EventAnswer<'static> {
    EventAnswer {
        stuff: &[Stuff { name: b"seg", value: b"a=1&b=\"2\"\xff", ttl_days: 30, domain: b".example.com" }],
        uuid: Some(UUID),
        region: Some(6),
        destinations: Some(&[
            Destination { id: 12, kind: DestinationKind::Image, url: b"https://a.example/?x=1", secure_url: None },
            Destination { id: 13, kind: DestinationKind::Frame, url: b"//a.example/", secure_url: Some(b"https://b/") },
        ]),
        traits: Some(&[TraitId(1), TraitId(4_294_967_295)]),
        segments: Some(&[SegmentId(3)]),
        errors: ErrorSet::EMPTY,
    }
}

fn full_id() -> IdAnswer<'static> {
    IdAnswer {
        mid: Some(b"12345567"),
        id_sync_ttl_s: 604_800,
        blob: Some(b"blob_-"),
        region: Some(6),
        opt_out_ttl_s: 7_200,
        syncs: &[IdSync {
            id: 411,
            ttl_minutes: 10_080,
            fire_url_sync: true,
            sync_on_page: false,
            urls: &[b"//host.example/path?x=%did%"],
        }],
        subdomain: b"shop",
        ..IdAnswer::default()
    }
}

fn some_errors() -> ErrorSet {
    let mut errors = ErrorSet::of(ErrorCode::UuidInvalid);
    errors.insert(ErrorCode::EcidInvalid);
    errors.insert_too_many_ids(12);
    errors
}

#[track_caller]
fn check(name: &str, write: impl Fn(&mut [u8]) -> Written) {
    let mut bytes = vec![0xaa; BUFFER_LARGE_BYTES];
    let length = write(&mut bytes).unwrap();
    let answer = &bytes[..length];
    // The version changes with every release and says nothing about an answer.
    let version = format!(" {} ", env!("CARGO_PKG_VERSION"));
    let shown = String::from_utf8_lossy(answer).replacen(&version, " VERSION ", 1);
    let path = format!("{}/tests/cases/answer/{name}.http", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(shown, golden, "{path}; UPDATE_GOLDENS=1 rewrites it");
    check_frame(answer);
}

/// What every answer must be: a head, a blank line, and as much body as it says.
#[track_caller]
fn check_frame(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = std::str::from_utf8(&answer[..end]).unwrap().to_owned();
    let said = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    assert_eq!(
        said.map(|text| text.parse::<usize>().unwrap()),
        (!head.contains(" 204 ")).then_some(answer.len() - end)
    );
    assert!(!head.replace("\r\n", "").contains(['\r', '\n']));
    (head, answer[end..].to_vec())
}

#[test]
fn answers_are_as_recorded() {
    let event_answer = full_event();
    let with_errors = EventAnswer { errors: some_errors(), uuid: None, destinations: None, ..EventAnswer::default() };
    check("event", |out| event(out, &browser(), &event_answer, None));
    check("event-bare", |out| event(out, &envelope(), &EventAnswer::default(), None));
    check("event-errors", |out| event(out, &envelope(), &with_errors, None));
    check("event-jsonp", |out| event(out, &browser(), &event_answer, Some(b"s_c_il[1]._set")));
    check("event-refused-referer", |out| {
        errors_only(out, &envelope(), ErrorSet::of(ErrorCode::RefererNotAllowed), Some(b"cb"))
    });
    check("id", |out| id(out, &browser(), &full_id(), None));
    let opted_out = IdAnswer {
        opted_out: true,
        opt_out_ttl_s: 7_200,
        id_sync_ttl_s: 604_800,
        subdomain: b"shop",
        errors: ErrorSet::of(ErrorCode::OptedOut),
        ..IdAnswer::default()
    };
    check("id-opted-out", |out| id(out, &envelope(), &opted_out, None));
    check("opt-out-status", |out| opt_out_status(out, &envelope(), Reach::default(), ErrorSet::EMPTY));
    check("pixel", |out| pixel(out, &browser(), ErrorSet::EMPTY));
    let gone = Cookies { demdex: Some(CookieValue::OptedOut), dpm: Some(CookieValue::OptedOut), ..Cookies::default() };
    check("pixel-opted-out", |out| pixel(out, &Envelope { cookies: gone, ..envelope() }, ErrorSet::EMPTY));
    let both = Cookies { dpm: Some(CookieValue::Visitor(*UUID)), ..browser().cookies };
    let text = SyncText { head: b"dpid=1&dpuuid=%41", tail: Some(b"redir=x?y") };
    check("sync-test", |out| {
        redirect(out, &Envelope { cookies: both, ..browser() }, ErrorSet::EMPTY, &sync_test_location(&text))
    });
    check("preflight", |out| preflight(out, &browser(), "GET, HEAD, POST, OPTIONS"));
    check("preflight-unknown-origin", |out| preflight(out, &envelope(), "GET, HEAD, OPTIONS"));
    check("not-found", |out| fault(out, &browser(), Fault::NotFound));
    let closing = Envelope { connection: Connection::Close, ..envelope() };
    check("method-not-allowed", |out| fault(out, &closing, Fault::MethodNotAllowed { allow: "GET" }));
    check("overloaded", |out| fault(out, &envelope(), Fault::Unavailable { retry_after_s: Some(30) }));
    let old = Envelope { connection: Connection::KeepAlive, ..envelope() };
    check("robots", |out| small_file(out, &old, Endpoint::Robots));
    check("icon", |out| small_file(out, &envelope(), Endpoint::Icon));
    check("policy", |out| small_file(out, &envelope(), Endpoint::PrivacyPolicy));
}

#[test]
fn the_pixel_is_the_43_byte_one() {
    let mut bytes = [0; 4_096];
    let length = pixel(&mut bytes, &envelope(), ErrorSet::EMPTY).unwrap();
    let (head, body) = check_frame(&bytes[..length]);
    assert!(head.contains("\r\nContent-Type: image/gif\r\n"));
    assert_eq!((body.len(), &body[..10], body[42]), (43, &b"GIF89a\x01\x00\x01\x00"[..], b';'));
}

#[test]
fn pages_are_cached_and_say_who_may_hold_them() {
    let mut bytes = [0; BUFFER_LARGE_BYTES];
    let policy = "frame-ancestors https://shop.example";
    let length = frame(&mut bytes, &browser(), policy).unwrap();
    let (head, body) = check_frame(&bytes[..length]);
    assert_eq!(body, page::FRAME);
    assert!(head.contains(&format!("\r\nContent-Security-Policy: {policy}\r\n")), "{head}");
    assert!(head.contains("\r\nContent-Type: text/html;charset=utf-8\r\n"), "{head}");
    let length = tag(&mut bytes, &envelope()).unwrap();
    let (tag_head, body) = check_frame(&bytes[..length]);
    assert_eq!(body, page::TAG);
    assert!(tag_head.contains("\r\nContent-Type: application/javascript;charset=utf-8\r\n"), "{tag_head}");
    for head in [head, tag_head] {
        assert!(head.contains("\r\nCache-Control: public, max-age=21600\r\n"), "{head}");
        assert!(head.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{head}");
        assert!(!head.contains("\r\nExpires: Thu") && !head.contains("\r\nPragma: "), "{head}");
    }
}

#[test]
fn head_requests_get_the_same_head_and_no_body() {
    let (mut whole_bytes, mut head_bytes) = ([0; 4_096], [0; 4_096]);
    let whole = event(&mut whole_bytes, &browser(), &full_event(), None).unwrap();
    let head = event(&mut head_bytes, &Envelope { head_only: true, ..browser() }, &full_event(), None).unwrap();
    assert!(whole_bytes[..whole].starts_with(&head_bytes[..head]));
    assert!(head_bytes[..head].ends_with(b"\r\n\r\n"));
}

#[test]
fn a_list_that_passes_the_bound_ends_early_and_says_so() {
    let long = vec![b'x'; 1_000];
    let stuff = vec![Stuff { name: b"n", value: &long, ttl_days: 1, domain: b"d" }; 100];
    let traits: Vec<_> = (0..20_000).map(TraitId).collect();
    let answer = EventAnswer { stuff: &stuff, traits: Some(&traits), ..full_event() };
    let mut bytes = vec![0; BUFFER_LARGE_BYTES];
    let length = event(&mut bytes, &browser(), &answer, Some(b"cb")).unwrap();
    let (head, body) = check_frame(&bytes[..length]);
    assert!(head.contains("\r\nX-Error: 10\r\n"));
    assert!(body.len() <= ANSWER_BYTES_MAX);
    let json: serde_json::Value = serde_json::from_slice(&body[7..body.len() - 2]).unwrap();
    // Each element is 1,036 bytes and a comma.
    assert_eq!(json["stuff"].as_array().unwrap().len(), (ANSWER_BYTES_MAX - BODY_END_BYTES_MAX) / 1_037);
    assert_eq!(json["errors"][0]["code"], 10);
    assert_eq!(json["uuid"].as_str().unwrap().as_bytes(), UUID);

    // One element that no buffer holds goes alone; the buffer that is too small for the bound asks for a larger one.
    let huge = vec![1; 40_000];
    let stuff = [stuff[0], Stuff { value: &huge, ..stuff[0] }];
    let answer = EventAnswer { stuff: &stuff, ..full_event() };
    let length = event(&mut bytes, &browser(), &answer, None).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&check_frame(&bytes[..length]).1).unwrap();
    assert_eq!(json["stuff"].as_array().unwrap().len(), 1);
    assert_eq!(event(&mut [0; BUFFER_SMALL_BYTES], &browser(), &answer, None), Err(NoRoom));
}

#[test]
fn every_error_fits_the_end_of_a_body() {
    let mut errors = ErrorSet::EMPTY;
    ErrorCode::ALL.iter().for_each(|&code| errors.insert(code));
    errors.insert_too_many_ids(u32::MAX);
    let long = [b'\x01'; 512];
    let mid = [b'\x01'; 64];
    let answer = IdAnswer { errors, mid: Some(&mid), blob: Some(&long), subdomain: &mid, ..full_id() };
    let mut bytes = [0; BUFFER_LARGE_BYTES];
    let mut body = Writer::new(&mut bytes);
    json::id(&mut body, &IdAnswer { syncs: &[], blob: None, mid: None, ..answer }, &[0; 8]);
    assert!(body.finish().unwrap() < BODY_END_BYTES_MAX);
    let length = id(&mut bytes, &browser(), &answer, None).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&check_frame(&bytes[..length]).1).unwrap();
    // One of them is told as often as there can be ids over the limit.
    assert_eq!(json["errors"].as_array().unwrap().len(), ERRORS_MAX - 1);
}

#[test]
fn a_head_stays_within_its_bound() {
    let mut errors = ErrorSet::EMPTY;
    ErrorCode::ALL.iter().for_each(|&code| errors.insert(code));
    errors.insert_too_many_ids(u32::MAX);
    let cookies = Cookies {
        demdex: Some(CookieValue::Visitor(*UUID)),
        dpm: Some(CookieValue::Visitor(*UUID)),
        domain: Some("example.net"),
        partitioned: true,
    };
    let envelope = Envelope { connection: Connection::KeepAlive, elapsed_us: u64::MAX, cookies, ..browser() };
    let location = [b'a'; LOCATION_BYTES_MAX];
    let head = Head {
        status: "503 Service Unavailable",
        content_type: "application/javascript;charset=utf-8",
        errors,
        location: &[&location],
        allow: Some("GET"),
        preflight: Some("GET"),
        retry_after_s: Some(u32::MAX),
        ..Head::default()
    };
    // What redirects is not cached, and has no policy.
    let policy = "a".repeat(ORIGINS_BYTES_MAX + 512);
    let page = Head { location: &[], max_age_s: Some(u32::MAX), policy: &policy, ..head };
    for head in [head, page] {
        let mut bytes = vec![0; head.bytes_max(&envelope)];
        let mut writer = Writer::new(&mut bytes);
        head.write(&mut writer, &envelope, ANSWER_BYTES_MAX);
        assert!(writer.finish().unwrap() <= ANSWER_HEAD_BYTES_MAX);
    }
}
