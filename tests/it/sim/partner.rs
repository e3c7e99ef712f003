//! A partner that answers well, late, wrongly or not at all, as the seed decides for each request.

use std::cell::RefCell;
use std::rc::Rc;

use super::UNDER_WAY_NS_MAX;
use super::client::Record;
use super::random::Random;
use super::world::{Connect, Outbox, Peer};

/// How likely things go wrong, in one of so many; decided once for a run, so that healthy and sick partners occur.
pub struct Partner {
    trouble: u64,
    links: Vec<(usize, Vec<u8>)>,
    record: Rc<RefCell<Record>>,
}

const MS: u64 = 1_000_000;

impl Partner {
    pub fn new(random: &mut Random, record: Rc<RefCell<Record>>) -> Partner {
        Partner { trouble: 1 + random.below(6), links: Vec::new(), record }
    }

    /// Nobody who opted out is named: neither a visitor, a phone nor a person.
    fn check(&self, request: &str, now_ns: u64) {
        for (name, acknowledged_ns) in &self.record.borrow().opted_out {
            let is_over = now_ns > acknowledged_ns + UNDER_WAY_NS_MAX;
            assert!(!is_over || !request.contains(name), "a partner is told of {name}: {request}");
        }
    }

    fn pending(&mut self, link: usize) -> &mut Vec<u8> {
        let at = self.links.iter().position(|(known, _)| *known == link).unwrap_or_else(|| {
            self.links.push((link, Vec::new()));
            self.links.len() - 1
        });
        &mut self.links[at].1
    }
}

fn body(random: &mut Random) -> &'static str {
    // Both formats in one: each partner reads its own field.
    let bodies: [&'static str; 4] = [
        r#"{"segment":[{"segment_id":"known","ttl":1}],"segments":["known"]}"#,
        r#"{"segment":[],"segments":[]}"#,
        r#"{"segment":[{"segment_id":"other"},{"segment_id":"known"}],"segments":["known","other",7]}"#,
        "{}",
    ];
    bodies[random.below(4) as usize]
}

fn answer(status: &str, body: &str, extra: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Peer for Partner {
    fn connected(&mut self, link: usize, _to: &mut Outbox<'_>) {
        self.pending(link);
    }

    fn received(&mut self, link: usize, bytes: &[u8], to: &mut Outbox<'_>) {
        let trouble = self.trouble;
        let pending = self.pending(link);
        pending.extend_from_slice(bytes);
        let Some(head) = pending.windows(4).position(|window| window == b"\r\n\r\n") else { return };
        let text = String::from_utf8_lossy(&pending[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        let total = head + 4 + length.unwrap_or(0);
        if pending.len() < total {
            return;
        }
        assert_eq!(pending.len(), total, "one request at a time on a connection");
        let request = String::from_utf8(std::mem::take(pending)).expect("what a partner is sent is text");
        self.check(&request, to.now_ns);
        let delay_ns = to.random.below(40 * MS);
        let body = body(to.random);
        if !to.random.one_in(trouble) {
            let whole = answer("200 OK", body, "");
            return to.send_cut(link, delay_ns, MS, &whole);
        }
        match to.random.below(14) {
            0 => {}
            1 => {
                let whole = answer("200 OK", body, "");
                for (i, byte) in whole.iter().enumerate() {
                    to.send(link, delay_ns + i as u64 * 3 * MS, &[*byte]);
                }
            }
            2 => {
                let whole = answer("200 OK", body, "");
                let cut = to.random.below(whole.len() as u64) as usize;
                to.send(link, delay_ns, &whole[..cut]);
                to.reset(link, delay_ns);
            }
            3 => to.reset(link, 0),
            4 => to.finish(link, delay_ns),
            5 => to.send(link, delay_ns, b"\x16\x03\x01\x02\x00garbage\r\n\r\n"),
            6 => {
                let mut long = answer("200 OK", body, "");
                long.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
                to.send_cut(link, delay_ns, MS, &long);
            }
            7 => {
                let short = format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{body}");
                to.send(link, delay_ns, short.as_bytes());
                if to.random.one_in(2) {
                    to.finish(link, delay_ns + MS);
                }
            }
            8 => to.send(link, delay_ns, &answer("500 Oops", "", "")),
            9 => to.send(link, delay_ns, &answer("429 Slow down", "", "Retry-After: 1\r\n")),
            10 => to.send(link, delay_ns, &answer("200 OK", &"x".repeat(70_000), "")),
            11 => to.send(link, delay_ns, &answer("200 OK", "{\"segment\":7,\"segments\":{\"a\":[]}}", "")),
            12 => {
                to.send_cut(link, delay_ns, MS, &answer("200 OK", body, "Connection: close\r\n"));
                to.finish(link, delay_ns + 2 * MS);
            }
            // Late: after every deadline, before or after the late limit.
            _ => {
                let late_ns = 60 * MS + to.random.below(900 * MS);
                to.send_cut(link, late_ns, MS, &answer("200 OK", body, ""));
            }
        }
        if to.random.one_in(10) {
            // Idle connections die as well.
            let more_ns = to.random.below(200 * MS);
            to.finish(link, delay_ns + more_ns);
        }
    }

    fn closed(&mut self, _link: usize, _to: &mut Outbox<'_>) {}

    fn woken(&mut self, _token: usize, _to: &mut Outbox<'_>) {}

    fn on_connect(&mut self, random: &mut Random) -> Connect {
        match random.below(20 * self.trouble) {
            0 => Connect::Refused,
            1 => Connect::Silence,
            _ => Connect::After(random.below(3 * MS)),
        }
    }
}
