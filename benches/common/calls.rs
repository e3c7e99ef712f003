//! Requests as browsers send them.

use std::fmt::Write;

use super::random::Random;
use super::rules::{self, Pairs};

/// A visitor's uuid, to be written over by the one that is meant.
const UUID: &str = "00000000000000000010000000000000000001";

/// One request, and where the visitor's uuid stands in it.
pub struct Request {
    pub bytes: Vec<u8>,
    pub uuid_at: usize,
}

pub fn query(pairs: &Pairs) -> String {
    let mut query = "d_nsid=0&d_jsonv=1&d_rtbd=json&d_dst=1&d_cts=2".to_owned();
    for (key, value) in pairs {
        let value = value.replace('/', "%2F").replace(' ', "+");
        write!(query, "&{key}={value}").expect("a string takes everything");
    }
    query
}

/// `GET /event` of a returning visitor, with a browser's headers.
pub fn event(pairs: &Pairs) -> Request {
    let request = format!(
        "GET /event?{} HTTP/1.1\r\nHost: shop.example.net\r\nConnection: keep-alive\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
        Safari/537.36\r\nAccept: */*\r\nOrigin: https://shop.example\r\nSec-Fetch-Site: cross-site\r\n\
        Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: https://shop.example/camera/17\r\n\
        Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: {}\r\n\r\n",
        query(pairs),
        cookies()
    );
    let uuid_at = request.find(UUID).expect("the cookie names the visitor");
    Request { bytes: request.into_bytes(), uuid_at }
}

pub fn cookies() -> String {
    format!("_ga=GA1.2.1234567890.1700000000; session=8a7b6c5d4e3f; demdex={UUID}; dextp=60-1-1700000000000")
}

pub fn events(count: usize, rules: usize) -> Vec<Request> {
    rules::calls(count, rules).iter().map(event).collect()
}

/// Calls that realise twenty traits each, most of them named outright: of `traits` different ones.
pub fn hot_events(count: usize, rules: usize, traits: u64) -> Vec<Request> {
    const NAMED: usize = 16;
    let mut random = Random::new(8);
    let step = rules as u64 / traits;
    let mut named = || (0..NAMED).map(|_| (1 + random.below(traits) * step).to_string()).collect::<Vec<_>>().join(",");
    let with_traits = |mut pairs: Pairs| {
        pairs.push(("d_sid".into(), named()));
        event(&pairs)
    };
    rules::calls(count, rules).into_iter().map(with_traits).collect()
}
