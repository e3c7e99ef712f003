//! Requests that are nearly right.

use crate::sim::random::Random;

/// What a call may say.
const IN_TARGET: &[&str] = &[
    "%",
    "%00",
    "%01",
    "%2501",
    "%ff",
    "%C3%A9",
    "&",
    "=",
    ",",
    "?",
    "+",
    "&d_rtbd=json",
    "&d_cts=1",
    "&d_cts=2",
    "&d_dst=1",
    "&d_cb=f",
    "&d_cb=%28",
    "&d_uuid=00000000000000000010000000000000000002",
    "&d_uuid=",
    "&d_mid=12ab-",
    "&d_mid=NOTARGET",
    "&d_mid=00000000000000000030000000000000000004",
    "&d_orgid=A1A1%40AdobeOrg",
    "&d_cid=11%01joe%011",
    "&d_cid_ic=guest%01ann",
    "&d_cid_ns=4%01x",
    "&d_cid=20914%01e4fe9bde-caa0-47b6-908d-ffba3fa184f2",
    "&dpid=11&dpuuid=a",
    "&d_sid=123,1234,5678",
    "&d_tdpid=11",
    "&d_ptfm=ios",
    "&d_coppa=true",
    "&gdpr=1",
    "&gdpr=1&gdpr_consent=CQdWToAQdWToAAfACAENAwEgAIBAAAAAAAAAAEEUAAAAAAAA.IAAA.YAAAAAAAAAAA",
    "&gpp=DBABMA&gpp_sid=7",
    "&device_consent=0",
    "&d_event=click&d_rd=https%253A%252F%252Fads.example%252F%2525d_src%2525",
    "&c_product=camera",
    "&c_arr=1,2,,3",
    "&p_income=9999",
    "redir=https://a.example/?${DD_UUID}",
];

/// Header lines that leave a request whole.
const IN_HEAD: &[&str] = &[
    "Cookie: demdex=NOTARGET\r\n",
    "Cookie: demdex=00000000000000000010000000000000000002; dpm=00000000000000000010000000000000000003\r\n",
    "Origin: https://shop.example\r\n",
    "Referer: https://shop.example/list\r\n",
    "Sec-Fetch-Dest: image\r\n",
    "Sec-GPC: 1\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X-Forwarded-For: 192.0.2.1, nonsense, 10.1.1.1\r\n",
    "Authorization: Bearer 0123456789abcdef0123\r\n",
    "Connection: keep-alive\r\n",
    "Content-Type: application/json\r\n",
    "Content-Type: multipart/form-data\r\n",
];

/// What breaks requests.
const ANYWHERE: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    " ",
    "Connection: close\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 7\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "0\r\n\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "POST ",
    "HEAD ",
    "OPTIONS ",
    "http://open.example.net",
    "/ibs:",
    "/demconf.jpg?et:ibs%7cdata:",
    "/event?",
    "/id?",
];

/// A request like one of the seeds; now and then exactly one of them. Most stay HTTP: what is no HTTP ends its
/// connection, and says nothing about calls.
pub fn request(random: &mut Random, seeds: &[Vec<u8>], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(pick(random, seeds));
    let changes = [0, 1, 1, 2, 2, 3, 4, 6][random.below(8) as usize];
    let breaks = random.one_in(8);
    for _ in 0..changes {
        if breaks && random.one_in(2) {
            change_anywhere(random, seeds, start, out);
        } else {
            change_call(random, start, out);
        }
    }
}

/// A long seed costs as much as a hundred short ones: it is taken rarely.
fn pick<'a>(random: &mut Random, seeds: &'a [Vec<u8>]) -> &'a [u8] {
    loop {
        let seed = &seeds[random.below(seeds.len() as u64) as usize];
        if seed.len() < 2_048 || random.one_in(32) {
            return seed;
        }
    }
}

/// Changes what a call says, within its target or by a header more.
fn change_call(random: &mut Random, start: usize, out: &mut Vec<u8>) {
    let line_end = start + out[start..].iter().position(|byte| *byte == b'\r').unwrap_or(out.len() - start);
    let target = &out[start..line_end];
    let query = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let query_end = target.iter().rposition(|byte| *byte == b' ').unwrap_or(target.len());
    if random.one_in(4) || query >= query_end {
        let to = (line_end + 2).min(out.len());
        out.splice(to..to, token(random, IN_HEAD));
        return;
    }
    let (from, to) = (start + query + 1, start + query_end);
    let at = from + random.below((to - from) as u64 + 1) as usize;
    let end = (at + random.below(24) as usize).min(to);
    match random.below(8) {
        0 if at < to => out[at] = b'!' + random.below(94) as u8,
        1 => drop(out.drain(at..end)),
        2 => {
            let copy = out[at..end].to_vec();
            out.splice(at..at, copy);
        }
        3 => drop(out.splice(at..at, format!("%{:02x}", random.below(256)).bytes())),
        _ => drop(out.splice(at..at, token(random, IN_TARGET))),
    }
}

/// Changes any byte, or several.
fn change_anywhere(random: &mut Random, seeds: &[Vec<u8>], start: usize, out: &mut Vec<u8>) {
    let len = out.len() - start;
    let at = start + random.below(len as u64 + 1) as usize;
    let end = (at + 1 + random.below(64) as usize).min(out.len());
    match random.below(8) {
        0 if at < end => out[at] = random.next() as u8,
        1 if at < end => out[at] ^= 1 << random.below(8),
        2 => drop(out.drain(at.min(end)..end)),
        3 => {
            let copy = out[at.min(end)..end].to_vec();
            out.splice(at..at, copy);
        }
        4 => {
            let other = pick(random, seeds);
            let from = random.below(other.len() as u64) as usize;
            let end = (from + random.below(80) as usize).min(other.len());
            out.splice(at..at, other[from..end].iter().copied());
        }
        5 => out.truncate(at),
        6 => {
            let lines: Vec<usize> =
                (start..out.len()).filter(|&i| out[i..].starts_with(b"\r\n")).map(|i| i + 2).collect();
            if let Some(&to) = lines.get(random.below(lines.len() as u64) as usize) {
                out.splice(to..to, token(random, ANYWHERE));
            }
        }
        _ => drop(out.splice(at..at, token(random, ANYWHERE))),
    }
}

fn token(random: &mut Random, tokens: &[&'static str]) -> std::str::Bytes<'static> {
    tokens[random.below(tokens.len() as u64) as usize].bytes()
}
