//! A config that is as large where it matters as the bounds allow: more traits than a profile holds, more segments,
//! more destinations than an answer holds, and a partner for each way to answer and to fail.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::server::partner::{Act, Partner, json};

/// Traits that one signal realises together; more than a profile keeps.
const TRAITS_AT_ONCE: u32 = 4_500;
/// Segments over them; more than a profile keeps, and together more than an answer holds.
const SEGMENTS: u32 = 2_200;
/// Destinations of each kind; more than an answer holds.
const DESTINATIONS: u32 = 300;
/// The first trait and segment of those; ten digits long, so that answers are.
pub const MANY: u32 = 2_000_000_000;
/// The first of as many traits that partners give.
pub const GIVEN: u32 = 1_000_000_000;
const SEGMENTS_OF_ANSWER: usize = 1_000;

const START: &str = include_str!("config.toml");

/// Partners, by their place in the config.
pub struct Partners {
    pub addresses: Vec<SocketAddr>,
    /// Answers, then breaks the connection, by turns: for second tries.
    pub turncoat: Partner,
    /// Where the first one can be as well.
    pub moved: Partner,
    _others: Vec<Partner>,
}

/// How each partner of the config behaves, the account that asks it and further lines of its own.
fn behaviours() -> Vec<(&'static str, &'static str, Act)> {
    let now = |bytes: Vec<u8>| Act::Answer(Duration::ZERO, bytes);
    let after = |ms, bytes: Vec<u8>| Act::Answer(Duration::from_millis(ms), bytes);
    let plain = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let hit = || json(r#"{"segments":["s1","s2","unknown"]}"#);
    vec![
        ("calm", "format = 'flat'", now(hit())),
        ("calm", "", now(json(r#"{"segment":[]}"#))),
        ("calm", "format = 'flat'\non_absence = 'drop'\nttl_s = 1", now(largest_answer())),
        ("calm", "format = 'flat'\nmode = 'background'\nshare_percent = 50", now(plain("204 No Content", ""))),
        ("calm", "format = 'flat'\nmode = 'wait_if_unknown'\nttl_s = 1\nshadow = true", now(hit())),
        ("calm", "body = '{\"%did%\":\"%sig_c_page%%dpid_11%\"}'\nformat = 'flat'", now(hit())),
        ("calm", "eids = [{ data_source = 11, source = 'crm.example', required = true }]", now(hit())),
        ("calm", "format = 'targeting'", now(json(r#"{"targeting":{"c_team":["reds","blues"],"n":7,"d_sid":1}}"#))),
        ("wild", "format = 'flat'", after(30, hit())),
        ("wild", "", Act::Hang),
        ("wild", "", Act::Reset(Vec::new())),
        ("wild", "", Act::Reset(b"HTTP/1.1 200 OK\r\nContent-Len".to_vec())),
        ("wild", "", Act::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{".to_vec())),
        ("wild", "format = 'flat'", Act::Close(b"HTTP/1.0 200 OK\r\n\r\n{\"segments\":[\"s3\"]}".to_vec())),
        ("wild", "", now(b"\x16\x03\x01\x02\x00garbage\r\n\r\n".to_vec())),
        ("wild", "", now(plain("200 OK", &"x".repeat(70_000)))),
        ("wild", "", now(plain("500 Oops", ""))),
        ("wild", "", now(b"HTTP/1.1 429 Slow down\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_vec())),
        ("wild", "", now(json("[[[[{\"a\":"))),
        ("wild", "format = 'flat'", Act::Drip(Duration::from_millis(1), chunked())),
        (
            "wild",
            "format = 'flat'",
            now(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        ),
        ("wild", "max_connections = 1\nqueue_max = 1\nformat = 'flat'", after(25, hit())),
    ]
}

/// As many segments as count, in as many bytes as one answer may have.
fn largest_answer() -> Vec<u8> {
    let texts: Vec<_> = (0..SEGMENTS_OF_ANSWER).map(|i| format!("\"s{i}\",\"{}\"", "x".repeat(50 + i % 5))).collect();
    let mut body = format!("{{\"segments\":[{}]}}", texts.join(","));
    body.truncate(64 * 1024);
    assert!(body.len() > 60_000);
    json(&body)
}

fn chunked() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"seg\r\n10;x\r\nments\":[\"s4\"]}  \r\n0\r\n\r\n"
        .to_vec()
}

impl Partners {
    pub fn start() -> Partners {
        let others: Vec<Partner> = behaviours().into_iter().map(|(.., act)| Partner::start(act)).collect();
        let turncoat = Partner::start(Act::Answer(Duration::ZERO, json("{}")));
        // Nobody listens there any more.
        let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut addresses: Vec<_> = others.iter().map(|partner| partner.address).collect();
        addresses.extend([turncoat.address, refused]);
        let moved = Partner::start(Act::Answer(Duration::ZERO, json(r#"{"segments":["s5"]}"#)));
        Partners { addresses, turncoat, moved, _others: others }
    }
}

/// What a call's page and platform must be, which takes reading where it comes from.
fn condition(of: u32) -> &'static str {
    match of % 8 {
        0 => "cookie_pages = ['never.example', 'shop.example']",
        2 => "cookie_pages_except = ['never.example', 'notshop.example']",
        4 => "platforms = ['browser']",
        _ => "",
    }
}

pub fn text() -> String {
    let mut text = START.to_owned();
    for i in 0..TRAITS_AT_ONCE {
        let id = MANY + i;
        writeln!(text, "[[trait]]\nid = {id}\nname = 't{i}'\ndata_source = 10\nexpression = 'c_all == yes'").unwrap();
    }
    for i in 0..SEGMENTS_OF_ANSWER as u32 {
        let id = GIVEN + i;
        writeln!(text, "[[trait]]\nid = {id}\nname = 'g{i}'\ndata_source = 11\nintegration_code = 's{i}'").unwrap();
    }
    for i in 0..SEGMENTS {
        let (id, legacy, of) = (MANY + i, MANY + SEGMENTS + i, MANY + i);
        let segment = format!("id = {id}\nlegacy_id = {legacy}\nname = 's{i}'\naccount = 'calm'");
        writeln!(text, "[[segment]]\n{segment}\nexpression = '{of}T OR FREQUENCY([{of}T] <= 7D) > 3'").unwrap();
    }
    for i in 0..2 * DESTINATIONS {
        let long = "x".repeat(150);
        let what = match i % 2 {
            0 => format!("kind = 'cookie'\ncookie_name = 'c{i}'\ncookie_domain = '.shop.example'\n{}", condition(i)),
            _ => format!("kind = 'url'\nurl = 'http://pixel.example/{long}?u=%did%&\\u0022r=%rnd%'"),
        };
        let segments = format!("segments = [{}, {}]", MANY + i, MANY + i + 1);
        writeln!(text, "[[destination]]\nid = {i}\nname = 'd{i}'\naccount = 'calm'\n{what}\n{segments}").unwrap();
    }
    let turncoat = ("wild", "format = 'flat'");
    let refused = ("wild", "");
    let partners: Vec<_> = behaviours().into_iter().map(|(account, extra, _)| (account, extra)).collect();
    for (i, (account, extra)) in partners.into_iter().chain([turncoat, refused]).enumerate() {
        let source = if account == "calm" { 11 } else { 21 };
        let id = i + 1;
        let common = format!("id = {id}\nname = 'p{i}'\naccount = '{account}'\ndata_source = {source}\nlate_ms = 60");
        writeln!(text, "[[partner]]\n{common}\nurl = 'http://p{i}.example/lookup?u=%did%'\n{extra}").unwrap();
    }
    text
}
