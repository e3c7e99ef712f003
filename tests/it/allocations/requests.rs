//! Requests of every kind, good and bad, up to the largest that is taken, each with the status that answers it.

use std::fmt::Write;

pub const JSON: &str = "d_rtbd=json&d_cts=2&d_dst=1";
const HOST: &str = "calm.example.net";
const PAGE: &str = "Origin: https://shop.example\r\nReferer: https://shop.example/page\r\nUser-Agent: curl/8\r\n";

/// One request; `number` makes it differ from the others of its kind.
pub type Kind = fn(number: u64) -> Vec<u8>;

/// Requests that leave the connection open, and their status.
pub const ANSWERED: &[(Kind, u16)] = &[
    (new_visitor, 200),
    (known_visitor, 200),
    (known_visitor, 200),
    (pixel, 200),
    (jsonp, 200),
    (form, 200),
    (chunked_form, 200),
    // Side by side, so that clients come to them at the same time.
    (wild, 200),
    (wild, 200),
    (wild, 200),
    (id, 200),
    (id_of_phone, 200),
    (id_with_long_syncs, 200),
    (sync_without_cookie, 302),
    (sync_with_cookie, 302),
    (sync_refused, 200),
    (sync_unauthorised, 200),
    (sync_confirmed, 200),
    (maps_id, 200),
    (named_by_id, 200),
    (wrong_token, 200),
    (signs_in, 200),
    (signs_out, 200),
    (states, 200),
    (everything_of_a_person, 200),
    (person_beyond_the_bounds, 200),
    (rules, 200),
    (everything_at_once, 200),
    (profile_beyond_its_bounds, 200),
    (ids_beyond_their_bounds, 200),
    (most_signals, 200),
    (most_values, 200),
    (longest_target, 200),
    (longest_body, 200),
    (most_headers, 200),
    (longest_cookie, 200),
    (hard_regexes, 200),
    (opted_out, 200),
    (opts_out, 200),
    (opt_out_status, 200),
    (no_consent, 200),
    (consent, 200),
    (do_not_track, 200),
    (click, 302),
    (forwarded, 200),
    (other_host, 200),
    (bad_parameters, 200),
    (one_source, 200),
    (phone, 200),
    (not_found, 404),
    (not_allowed, 405),
    (preflight, 204),
    (robots, 200),
    (policy, 200),
    (icon, 204),
    (frame, 200),
    (frame_of_nobody, 404),
    (tag, 200),
    (unserved, 404),
    (first_event, 200),
    (mislabelled, 200),
    (impression, 200),
    (id_by_post, 200),
    (id_to_be_verified, 302),
    (id_not_verified, 200),
    (id_refused, 200),
    (id_of_child, 200),
    (sync_refused_consent, 200),
    (sync_badly_encoded, 200),
    (opts_out_by_cookie, 200),
    (phone_refuses, 200),
    (no_syncs, 200),
    (recorded, 200),
    (preflight_of_id, 204),
];

/// Requests after which the server closes.
pub const CLOSING: &[(Kind, u16)] = &[
    (|_| b"GET /event HTTP/1.1\nHost: a\n\n".to_vec(), 400),
    (|_| b"GET /event HTTP/1.1\r\n\r\n".to_vec(), 400),
    (|_| b"\x16\x03\x01\x02\x00\x01\r\n\r\n".to_vec(), 400),
    (|_| b"POST /event HTTP/1.1\r\nHost: a\r\nContent-Length: 32769\r\n\r\n".to_vec(), 413),
    (|_| chunks(&[b'x'; 40_000], 1_000), 413),
    (|_| get(HOST, &format!("/event?{}", "x".repeat(9_000)), ""), 414),
    (|_| get(HOST, "/event", "Expect: 200-ok\r\n"), 417),
    (|_| get(HOST, "/event", &headers(65)), 431),
    (|_| get(HOST, "/event", &format!("X: {}\r\n", "x".repeat(25 * 1024))), 431),
    (|_| b"BREW /event HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 501),
    (|_| b"POST /event HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_vec(), 501),
    (|_| b"GET /event HTTP/2.0\r\nHost: a\r\n\r\n".to_vec(), 505),
    (|_| format!("GET /event?{JSON} HTTP/1.0\r\n\r\n").into_bytes(), 200),
    (|_| format!("HEAD /event?{JSON} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").into_bytes(), 200),
];

pub fn get(host: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").into_bytes()
}

/// A handful of visitors who come again and again, at home at either shard.
fn visitor(number: u64) -> String {
    format!("{:019}{:019}", 77, number % 40)
}

fn post(head: &str, body: &str) -> Vec<u8> {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let length = body.len();
    format!("POST /event HTTP/1.1\r\nHost: {HOST}\r\n{head}{form}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn chunks(body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut request = format!(
        "POST /event HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Transfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(chunk_bytes) {
        request.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
    request
}

fn headers(count: usize) -> String {
    // One of them is Host.
    (1..count).map(|i| format!("X-{i}: {i}\r\n")).collect()
}

fn new_visitor(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&c_page=home&c_n={number}"), PAGE)
}

fn known_visitor(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&c_page=home&d_uuid={}", visitor(number)), PAGE)
}

fn pixel(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?d_sid=1,2,3,100,{number}&d_px=4"), "")
}

fn jsonp(number: u64) -> Vec<u8> {
    // Every other page may not read the answer.
    let page = if number.is_multiple_of(2) { PAGE } else { "Referer: https://elsewhere.example/\r\n" };
    get(HOST, &format!("/event?{JSON}&d_cb=s_c_il%5B1%5D.cb&c_text=a%20needle"), page)
}

fn form(number: u64) -> Vec<u8> {
    post(PAGE, &format!("{JSON}&c_text=the+two+words%2Cend&d_uuid={}", visitor(number)))
}

fn chunked_form(number: u64) -> Vec<u8> {
    chunks(format!("{JSON}&c_page=home&d_uuid={}", visitor(number)).as_bytes(), 1 + number as usize % 9)
}

fn wild(number: u64) -> Vec<u8> {
    get("wild.example.net", &format!("/event?{JSON}&c_page=home&c_n={number}"), PAGE)
}

fn id(number: u64) -> Vec<u8> {
    let target = format!("/id?d_visid_ver=5.5.0&d_rtbd=json&d_orgid=A1%40AdobeOrg&d_cid=11%01id{}", number % 1_000);
    get("dpm.example.net", &target, PAGE)
}

fn id_of_phone(number: u64) -> Vec<u8> {
    get("dpm.example.net", &format!("/id?d_orgid=B2%40AdobeOrg&d_mid=abc-{number:x}&d_cb=callback"), PAGE)
}

fn id_with_long_syncs(number: u64) -> Vec<u8> {
    let body = format!("d_uuid={}&c_k={}", visitor(number), "\"".repeat(10_000 + number as usize % 10 * 1_000));
    let length = body.len();
    format!("POST /id HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn sync_without_cookie(number: u64) -> Vec<u8> {
    get("dpm.example.net", &format!("/ibs:dpid=11&dpuuid=s{number}&redir=https%3A%2F%2Fsync.example%2F"), "")
}

fn sync_with_cookie(number: u64) -> Vec<u8> {
    let redirect = "https%3A%2F%2Fsync.example%2Fs%3Fid%3D%24%7BDD_UUID%7D";
    let cookie = format!("Cookie: demdex={}\r\n", visitor(number));
    get("dpm.example.net", &format!("/ibs:dpid=11&dpuuid=s{number}&redir={redirect}"), &cookie)
}

fn sync_refused(number: u64) -> Vec<u8> {
    let cookie = format!("Cookie: a=b; dpm={}\r\n", visitor(number));
    get("dpm.example.net", "/ibs:dpid=11&dpuuid=x&redir=https%3A%2F%2Felsewhere.example%2F", &cookie)
}

/// Of another account's data source, of none, of none's host, and with an id that is none.
fn sync_unauthorised(number: u64) -> Vec<u8> {
    let sync = format!("dpid=20&dpuuid=x{number}&redir=https%3A%2F%2Fsync.example%2F");
    let (host, sync) = match number % 4 {
        0 => (HOST, sync.as_str()),
        1 => ("dpm.example.net", "dpid=999&dpuuid=x"),
        2 => ("unknown.example.net", "dpid=11&dpuuid=x"),
        _ => (HOST, "dpid=11&dpuuid=a:b&d_uuid=bad"),
    };
    get(host, &format!("/ibs:{sync}"), &format!("Cookie: demdex={}\r\n", visitor(number)))
}

fn sync_confirmed(number: u64) -> Vec<u8> {
    get("dpm.example.net", &format!("/demconf.jpg?et:ibs%7cdata:dpid=11&dpuuid=s{number}"), "")
}

fn maps_id(number: u64) -> Vec<u8> {
    let (visitor, person) = (visitor(number), number % 500);
    get(HOST, &format!("/event?{JSON}&d_uuid={visitor}&d_cid_ic=crm%01joe{person}%011&d_cid_ns=4%01n{person}"), "")
}

/// A server's call about whom it knows by an id only.
fn named_by_id(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&c_page=home&d_cid=11%01joe{}", number % 700), "")
}

/// A few persons on all devices, who is at home here or there.
fn person(number: u64) -> u64 {
    number / 3 % 5
}

fn signs_in(number: u64) -> Vec<u8> {
    let (visitor, person) = (visitor(number), person(number));
    get(HOST, &format!("/event?{JSON}&c_page=home&d_uuid={visitor}&d_cid=11%01p{person}%011"), PAGE)
}

fn signs_out(number: u64) -> Vec<u8> {
    let (visitor, person) = (visitor(number), person(number));
    get(HOST, &format!("/event?{JSON}&c_page=home&d_uuid={visitor}&d_cid=11%01p{person}%012"), PAGE)
}

/// States without ids, by `/id` as well, and of nobody's data source.
fn states(number: u64) -> Vec<u8> {
    let state = ["d_cid_ic=crm%011", "d_cid=11%010", "d_cid=11%011&d_cid_ic=none%011&d_cid_ns=4%012"];
    let path = if number.is_multiple_of(2) { "event" } else { "id" };
    let (state, visitor) = (state[number as usize % 3], visitor(number));
    get(HOST, &format!("/{path}?{JSON}&c_page=home&d_uuid={visitor}&{state}"), PAGE)
}

fn everything_of_a_person(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&c_all=yes&d_uuid={}&d_cid=11%01p{}%011", visitor(number), person(number)), PAGE)
}

fn person_beyond_the_bounds(number: u64) -> Vec<u8> {
    let first = super::config::MANY + (number % 17) as u32 * 256;
    let ids: Vec<_> = (first..first + 300).map(|id| id.to_string()).collect();
    let (visitor, person) = (visitor(number), person(number));
    post(PAGE, &format!("{JSON}&d_sid={}&d_uuid={visitor}&d_cid=11%01p{person}%011", ids.join(",")))
}

fn wrong_token(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&d_cid=11%01joe{number}"), "Authorization: Bearer wrong\r\n")
}

fn rules(number: u64) -> Vec<u8> {
    let price = number % 200;
    let call = format!("c_page=%C3%9Cn%C3%AFcode&c_price={price}&c_price=-4&c_text=start&c_team=reds&c_re=abc2024foo");
    get(HOST, &format!("/event?{JSON}&{call}&d_uuid={}", visitor(number)), PAGE)
}

/// More traits than a profile holds, and more of everything than an answer holds.
fn everything_at_once(number: u64) -> Vec<u8> {
    let legacy = number % 2 + 1;
    get(HOST, &format!("/event?{JSON}&d_cts={legacy}&c_all=yes&d_uuid={}", visitor(number % 4)), PAGE)
}

fn profile_beyond_its_bounds(number: u64) -> Vec<u8> {
    let first = super::config::MANY + (number % 17) as u32 * 256;
    let ids: Vec<_> = (first..first + 300).map(|id| id.to_string()).collect();
    post(PAGE, &format!("{JSON}&d_sid={}&d_uuid={}", ids.join(","), visitor(number % 4)))
}

fn ids_beyond_their_bounds(number: u64) -> Vec<u8> {
    let mut call = format!("/event?{JSON}&d_uuid={}", visitor(number % 4));
    for i in 0..70 {
        write!(call, "&d_cid=11%01{}{}", "i".repeat(40), number + i).unwrap();
    }
    write!(call, "&d_cid=11%01{}&d_dpid=11&d_dpuuid=old", "i".repeat(300)).unwrap();
    get(HOST, &call, PAGE)
}

fn most_signals(number: u64) -> Vec<u8> {
    let mut body = format!("{JSON}&c_all=n{number}");
    for i in 0..520 {
        let key = ["c_page", "c_text", "c_price", "c_re"][i % 4];
        let parts = "1,".repeat(20);
        write!(body, "&{key}={parts}{i}").unwrap();
    }
    post(PAGE, &body)
}

fn most_values(number: u64) -> Vec<u8> {
    let mut body = JSON.to_owned();
    for i in 0..60 {
        let parts = ",".repeat(70);
        write!(body, "&c_text={parts}needle{i}&c_page={parts}{number}&c_team={parts}reds&c_re=a1{parts}").unwrap();
    }
    assert!(body.len() < 32 * 1024, "{}", body.len());
    post(PAGE, &body)
}

fn longest_target(number: u64) -> Vec<u8> {
    let start = format!("/event?{JSON}&c_text={number}");
    let rest = "%C3".repeat((8_192 - start.len()) / 3);
    get(HOST, &format!("{start}{rest}"), PAGE)
}

fn longest_body(number: u64) -> Vec<u8> {
    let start = format!("{JSON}&c_n={number}&c_re=");
    let body = format!("{start}{}", "ab".repeat((32_768 - start.len()) / 2));
    if number.is_multiple_of(2) { post(PAGE, &body) } else { chunks(body.as_bytes(), 128) }
}

fn most_headers(_: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}"), &headers(64))
}

fn longest_cookie(number: u64) -> Vec<u8> {
    let filler: String = (0..400).map(|i| format!("c{i}=0123456789abc; ")).collect();
    get(HOST, &format!("/event?{JSON}"), &format!("{PAGE}Cookie: {filler}demdex={}\r\n", visitor(number)))
}

fn hard_regexes(number: u64) -> Vec<u8> {
    let value = match number / 45 % 4 {
        0 => "%C3%A9%FF".repeat(100),
        1 => "a".repeat(32_000),
        _ => "ab".repeat(3_000),
    };
    post(PAGE, &format!("{JSON}&c_re={value}&c_re=xxxx&c_re={}", "a".repeat(41)))
}

fn opted_out(_: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&c_page=home"), "Cookie: demdex=NOTARGET\r\n")
}

fn opts_out(number: u64) -> Vec<u8> {
    get(HOST, &format!("/demoptout?d_rtbd=json&d_uuid=5{number:037}"), "")
}

fn opt_out_status(number: u64) -> Vec<u8> {
    get(HOST, &format!("/optOutStatus?d_uuid=5{number:037}"), "")
}

fn no_consent(number: u64) -> Vec<u8> {
    let consent = ["", "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", "garbage!"][number as usize % 3];
    get(HOST, &format!("/event?{JSON}&gdpr=1&gdpr_consent={consent}"), PAGE)
}

fn consent(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&gdpr=0&gpp=DBABM~x&gpp_sid=2,7&c_n={number}"), PAGE)
}

fn do_not_track(_: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&d_coppa=true"), &format!("{PAGE}DNT: 1\r\nSec-GPC: 1\r\n"))
}

fn click(number: u64) -> Vec<u8> {
    let to = "https%253A%252F%252Fshop.example%252F%253Fc%253D%2525d_creative%2525";
    get(HOST, &format!("/event?d_event=click&d_creative={number}&d_rd={to}"), "")
}

fn forwarded(number: u64) -> Vec<u8> {
    let by = format!("X-Forwarded-For: 2001:db8::{number:x}, 192.0.2.1, 127.0.0.9\r\nX-Forwarded-Proto: https\r\n");
    get(HOST, &format!("/event?{JSON}&c_n={number}"), &format!("{PAGE}{by}"))
}

fn other_host(number: u64) -> Vec<u8> {
    let hosts = ["Calm.Example.Net:80", "unknown.example.net", "elsewhere.example", "[::1]:80"];
    get(hosts[number as usize % hosts.len()], &format!("/event?{JSON}"), PAGE)
}

fn bad_parameters(number: u64) -> Vec<u8> {
    let bad = ["d_uuid=testUuid", "d_mid=%21", "d_orgid=none", "d_cid=999%01x&d_cid=20%01y", "d_cb=a%28b", "c_x=%zz"];
    get(HOST, &format!("/event?{JSON}&{}", bad[number as usize % bad.len()]), PAGE)
}

fn one_source(number: u64) -> Vec<u8> {
    let source = ["d_tdpid=10", "d_tdpid_ic=site", "d_tdpid=x", "d_tdpid_ic=none"][number as usize % 4];
    get(HOST, &format!("/event?{JSON}&c_page=home&{source}"), PAGE)
}

fn phone(number: u64) -> Vec<u8> {
    let id = "d_cid_ic=DSID_20915%01E4FE9BDE-CAA0-47B6-908D-FFBA3FA184F2%011";
    get(HOST, &format!("/event?{JSON}&d_ptfm=ios&c_all=yes&d_mid={number}&{id}&d_blob=b&dcs_region=9"), "")
}

fn not_found(_: u64) -> Vec<u8> {
    get(HOST, "/nothing/here?x", PAGE)
}

fn not_allowed(_: u64) -> Vec<u8> {
    format!("DELETE /event HTTP/1.1\r\nHost: {HOST}\r\n\r\n").into_bytes()
}

fn preflight(_: u64) -> Vec<u8> {
    let asks = "Access-Control-Request-Method: POST\r\n";
    format!("OPTIONS /event HTTP/1.1\r\nHost: {HOST}\r\n{PAGE}{asks}\r\n").into_bytes()
}

fn robots(_: u64) -> Vec<u8> {
    get(HOST, "/robots.txt", "")
}

fn policy(_: u64) -> Vec<u8> {
    get(HOST, "/w3c/p3p.xml", "")
}

fn icon(_: u64) -> Vec<u8> {
    get(HOST, "/favicon.ico", "")
}

/// Larger than a small buffer.
fn frame(number: u64) -> Vec<u8> {
    get(HOST, &format!("/dest{}.html?d_nsid=0", 3 + number % 3), PAGE)
}

fn frame_of_nobody(_: u64) -> Vec<u8> {
    get("unknown.example.net", "/dest5.html?d_nsid=0", PAGE)
}

fn tag(_: u64) -> Vec<u8> {
    get(HOST, "/pinion.js", PAGE)
}

fn unserved(_: u64) -> Vec<u8> {
    get(HOST, "/nonsense.html", "")
}

fn first_event(number: u64) -> Vec<u8> {
    get(HOST, &format!("/firstevent?{JSON}&c_n={number}"), PAGE)
}

/// Form text under other labels, and a document of JSON, which is an error.
fn mislabelled(number: u64) -> Vec<u8> {
    let (label, body) = match number % 4 {
        0 => ("text/plain;charset=UTF-8", format!("{JSON}&c_page=home")),
        1 => ("application/json", format!("{JSON}&c_n={number}")),
        2 => ("application/json", format!("{{\"c_n\":{number}}}")),
        _ => ("multipart/form-data; boundary=x", "--x".to_owned()),
    };
    let length = format!("Content-Type: {label}\r\nContent-Length: {}\r\n", body.len());
    format!("POST /event?d_rtbd=json HTTP/1.1\r\nHost: {HOST}\r\n{PAGE}{length}\r\n{body}").into_bytes()
}

fn impression(number: u64) -> Vec<u8> {
    let id = "d_cid=20914%01e4fe9bde-caa0-47b6-908d-ffba3fa184f2";
    get(HOST, &format!("/event?d_event=imp&d_src=1&d_site=2&d_creative={number}&d_campaign=4&{id}&d_bust=9"), PAGE)
}

fn id_by_post(number: u64) -> Vec<u8> {
    let body = format!("d_visid_ver=5.5.0&d_rtbd=json&d_orgid=A1%40AdobeOrg&d_uuid={}", visitor(number));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let head = format!("POST /id HTTP/1.1\r\nHost: dpm.example.net\r\n{PAGE}{form}");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn id_to_be_verified(number: u64) -> Vec<u8> {
    get("dpm.example.net", &format!("/id?d_orgid=A1%40AdobeOrg&d_verify=1&ts={number}"), PAGE)
}

/// Without a cookie, with one, and for nobody.
fn id_not_verified(number: u64) -> Vec<u8> {
    let organisation = if number % 3 == 2 { "none" } else { "A1%40AdobeOrg" };
    let cookie = if number % 3 == 1 { format!("Cookie: demdex={}\r\n", visitor(number)) } else { String::new() };
    get("dpm.example.net", &format!("/id/rd?d_orgid={organisation}&d_verify=1"), &format!("{PAGE}{cookie}"))
}

/// Opted out, without consent, not to be read.
fn id_refused(number: u64) -> Vec<u8> {
    let target = "/id?d_rtbd=json&d_orgid=A1%40AdobeOrg";
    match number % 3 {
        0 => get("dpm.example.net", target, "Cookie: demdex=NOTARGET\r\n"),
        1 => get("dpm.example.net", &format!("{target}&gdpr=1&gdpr_consent=x"), PAGE),
        _ => get("dpm.example.net", &format!("{target}&c_x=%"), PAGE),
    }
}

fn id_of_child(_: u64) -> Vec<u8> {
    get("dpm.example.net", "/id?d_rtbd=json&d_orgid=A1%40AdobeOrg&d_coppa=true", PAGE)
}

fn sync_refused_consent(number: u64) -> Vec<u8> {
    let refusal = ["gdpr=1", "gpp=x&gpp_sid=7", "d_coppa=true"][number as usize % 3];
    let cookie = if number % 3 < 2 { format!("Cookie: demdex={}\r\n", visitor(number)) } else { String::new() };
    get("dpm.example.net", &format!("/ibs:dpid=11&dpuuid=c{number}&{refusal}"), &cookie)
}

fn sync_badly_encoded(number: u64) -> Vec<u8> {
    get("dpm.example.net", "/ibs:dpid=11&dpuuid=%zz", &format!("Cookie: demdex={}\r\n", visitor(number)))
}

/// Always the same few, who are held already from the second time on.
fn opts_out_by_cookie(number: u64) -> Vec<u8> {
    get(HOST, "/demoptout.jpg", &format!("Cookie: demdex=6{:037}\r\n", number % 20))
}

fn phone_refuses(number: u64) -> Vec<u8> {
    // Some without a good id.
    let id = if number.is_multiple_of(3) { "E4FE9BDE".to_owned() } else { format!("{:012}", number % 20) };
    let id = format!("d_cid=20914%01e4fe9bde-caa0-47b6-908d-{id}");
    get(HOST, &format!("/event?{JSON}&{id}&device_consent=0&d_consent_ic=DSID_20914"), "")
}

fn no_syncs(number: u64) -> Vec<u8> {
    get(HOST, &format!("/event?{JSON}&d_jsonv=0&d_nsid=4&d_ptfm=android&d_uuid={}", visitor(number)), PAGE)
}

/// What clients send along.
fn recorded(number: u64) -> Vec<u8> {
    let along = "d_caller=tag&d_region=7&d_ld=a%3Db&d_stuff=1&_=1&callback=f&d_cf=1&_ts=1&ts=1&d_fieldgroup=A&d_ver=2";
    get(HOST, &format!("/event?{JSON}&{along}&d_dil_ver=9.5&c_n={number}"), PAGE)
}

fn preflight_of_id(_: u64) -> Vec<u8> {
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n";
    format!("OPTIONS /id HTTP/1.1\r\nHost: dpm.example.net\r\n{PAGE}{asks}\r\n").into_bytes()
}
