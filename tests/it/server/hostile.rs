//! Whatever a visitor sends, a partner gets one request of the form that the config gives it: no text of hers ends a
//! line, a value or a body. Else one visitor could have the partner refuse, which counts against it for all of them.

use std::time::Duration;

use pinion::config::file::Runtime;
use pinion::http::request::{Body, Parsed, Progress, parse};
use serde_json::Value;

use super::partner::{Act, Partner};
use super::{Options, Server};
use crate::sim::random::Random;

const CONFIG: &str = include_str!("hostile.toml");
const CALLS: u64 = 400;
/// Consent to purposes 1 and 10 and to vendors 2 and 6.
const GRANTED: &str = "CQdZmkAQdZmkAAfABBENB4FgAIBAAAAAAAYgADEQAAAAAAAA.YAAAAAAAAAAA";
const PARAMETERS: [&str; 8] = ["gdpr", "gpp_sid", "gpp", "c_x", "d_mid", "h_referer", "h_user-agent", "d_cid"];
const PIECES: [&[u8]; 22] = [
    b"1",
    b"0",
    b"true",
    b"a",
    b" ",
    b"\"",
    b"\\",
    b"\\u00",
    b",\"evil\":1",
    b"}",
    b"]",
    b"\r\nX-Evil: 1\r\n",
    b"\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\n",
    b"\0",
    b"\x7f",
    b"\xff",
    b"\xe2\x80",
    b"\xe2\x80\xa8",
    b"%did%",
    b"${GDPR}",
    b"&evil=1#",
];

on_each_runtime!(no_visitor_writes_more_of_a_request_than_her_values,);

fn no_visitor_writes_more_of_a_request_than_her_values(runtime: Runtime) {
    let nothing = Act::Answer(Duration::ZERO, b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let partners: [Partner; 4] = std::array::from_fn(|_| Partner::start(nothing.clone()));
    let addresses = partners.each_ref().map(|partner| partner.address).to_vec();
    let server = Server::start(CONFIG, Options { partners: addresses, ..Options::on(runtime) });
    let mut client = server.connect();
    let mut random = Random::new(31);
    let mut asked = 0;
    for _ in 0..CALLS {
        let (target, headers) = call(&mut random);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: shop.example.net\r\n").as_bytes());
        client.send(&headers);
        client.send(b"\r\n");
        assert_eq!(client.receive().status, 200, "{target}");
        let heard = partners.each_ref().map(Partner::take_heard);
        asked += heard[0].len();
        for (place, requests) in heard.iter().enumerate() {
            assert_eq!(requests.len(), heard[0].len(), "all are asked or none: {target}");
            for request in requests {
                let text = request.escape_ascii();
                check(place, request)
                    .unwrap_or_else(|fault| panic!("{fault}\n{target}\n{}\n{text}", headers.escape_ascii()));
            }
        }
    }
    assert!(asked > CALLS as usize / 3, "partners were asked in {asked} of {CALLS} calls alone");
    drop(client);
    server.assert_quiet();
}

/// A call of a new visitor: its target and its headers.
fn call(random: &mut Random) -> (String, Vec<u8>) {
    let mut target = "/event?d_rtbd=json".to_owned();
    let mut asks_for_consent = false;
    for name in PARAMETERS {
        // A string that can't be read keeps the call from partners.
        if !random.one_in(if name == "gpp" { 12 } else { 2 }) {
            continue;
        }
        let value = escaped(&hostile(random));
        let prefix = if name == "d_cid" { "11%01" } else { "" };
        target += &format!("&{name}={prefix}{value}");
        asks_for_consent |= name == "gdpr";
    }
    if asks_for_consent {
        target += &format!("&gdpr_consent={GRANTED}");
    }
    let mut headers = Vec::new();
    for name in ["User-Agent", "Referer"] {
        if random.one_in(2) {
            let value = hostile(random).into_iter().filter(|byte| !byte.is_ascii_control());
            headers.extend_from_slice(format!("{name}: ").as_bytes());
            headers.extend(value);
            headers.extend_from_slice(b"\r\n");
        }
    }
    (target, headers)
}

fn hostile(random: &mut Random) -> Vec<u8> {
    (0..random.below(5)).flat_map(|_| PIECES[random.below(PIECES.len() as u64) as usize]).copied().collect()
}

fn escaped(value: &[u8]) -> String {
    value.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// What is wrong with a partner's request.
fn check(place: usize, bytes: &[u8]) -> Result<(), String> {
    let mut progress = Progress::default();
    let Parsed::Complete { request, consumed } = parse(bytes, &mut progress) else {
        return Err("this is no request".to_owned());
    };
    if consumed != bytes.len() {
        return Err("this is more than one request".to_owned());
    }
    let head = String::from_utf8_lossy(&bytes[..request.head_bytes]).to_ascii_lowercase();
    if head.contains("\r\nx-evil") || head.lines().any(|line| line.starts_with("get /evil")) {
        return Err("a visitor wrote a header".to_owned());
    }
    let Body::Slice(body) = request.body else {
        return if place == 3 { Ok(()) } else { Err("this has no body".to_owned()) };
    };
    match place {
        0 => check_json(body, &["device", "regs", "segment_request_id", "site", "tmax", "user"]),
        1 => check_json(body, &["consent", "ids", "numbers", "texts"]),
        2 if body.is_ascii() && body.iter().filter(|byte| **byte == b'&').count() == 6 => Ok(()),
        _ => Err("a visitor wrote a field".to_owned()),
    }
}

fn check_json(body: &[u8], keys: &[&str]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let found: Vec<&String> = json.as_object().into_iter().flatten().map(|(key, _)| key).collect();
    if found != keys {
        return Err(format!("a visitor wrote a member: {found:?}"));
    }
    let gdpr = json.pointer("/regs/gdpr").or(json.pointer("/numbers/4"));
    if !matches!(gdpr.and_then(Value::as_u64), Some(0 | 1)) {
        return Err(format!("{gdpr:?} says neither that TCF applies nor that it does not"));
    }
    let is_known = |key: &str| ["gdpr", "gpp", "gpp_sid"].contains(&key);
    let regs = json["regs"].as_object();
    if regs.is_some_and(|regs| !regs.keys().all(|key| is_known(key)))
        || body.windows(7).any(|part| part == b",\"evil\"")
    {
        return Err(format!("a visitor wrote a member: {json}"));
    }
    Ok(())
}
