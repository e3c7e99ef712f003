//! Partners that the generator plays inside its own loop. It knows when the server's lookup came and when the answer
//! left, by the same clock that times the server's own answer: the difference is what the server added.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pinion::reactor::{Buffer, ConnId, Io};

use crate::random::{Random, mix, unit};
use crate::requests::put_number;
use crate::scenario::{Partner, PartnerMode};
use crate::standard::PARTNER_SEGMENTS;

/// The longest answer of a played partner.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// The longest lookup.
const LOOKUP_BYTES_MAX: usize = 8 * 1024;
/// Requests whose lookups are kept in mind, by their number: far more than can wait for an answer.
const HELD_MAX: usize = 1 << 17;

/// Where the server's lookups arrive.
#[derive(Debug)]
pub struct Desk {
    partners: Vec<Partner>,
    random: Random,
    /// By the connection's slot.
    visits: Vec<Visit>,
    due: BinaryHeap<Reverse<(u64, u32, u32)>>,
    held: Box<[Held]>,
    /// The partner that says nothing now.
    silent: Option<usize>,
    started_ns: u64,
    pub lookups: u64,
    pub hits: u64,
}

/// A connection from the server.
#[derive(Debug, Default)]
struct Visit {
    conn: Option<ConnId>,
    text: Vec<u8>,
    lookup: Option<Lookup>,
    buffer: Option<Buffer>,
}

#[derive(Clone, Copy, Debug)]
struct Lookup {
    partner: usize,
    /// Of the request that it is for.
    number: Option<u64>,
    visitor: u64,
    received_ns: u64,
}

/// What awaited lookups did to one request.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    number: u64,
    lookups: u32,
    outstanding: u32,
    /// When the first of the outstanding ones came.
    since_ns: u64,
    slowest_ns: u64,
}

impl Desk {
    pub fn new(partners: &[Partner], seed: u64, slots: usize) -> Desk {
        Desk {
            partners: partners.to_vec(),
            random: Random::new(seed ^ 0xDE5C),
            visits: (0..slots).map(|_| Visit::default()).collect(),
            due: BinaryHeap::with_capacity(slots),
            held: vec![Held { number: u64::MAX, ..Held::default() }; HELD_MAX].into(),
            silent: None,
            started_ns: 0,
            lookups: 0,
            hits: 0,
        }
    }

    /// Spikes are counted from here.
    pub fn start(&mut self, now_ns: u64) {
        self.started_ns = now_ns;
    }

    pub fn set_silent(&mut self, partner: Option<&str>) {
        self.silent = partner.and_then(|name| self.partners.iter().position(|partner| partner.name == name));
    }

    /// A request leaves for the server.
    pub fn request_sent(&mut self, number: u64) {
        self.held[number as usize % HELD_MAX] = Held { number, ..Held::default() };
    }

    /// Its answer is here: how long the slowest awaited partner held it; `None` if nobody was asked for it.
    pub fn request_answered(&mut self, number: u64, now_ns: u64) -> Option<u64> {
        let held = &mut self.held[number as usize % HELD_MAX];
        if held.number != number || held.lookups == 0 {
            return None;
        }
        let waiting_ns = if held.outstanding > 0 { now_ns.saturating_sub(held.since_ns) } else { 0 };
        let slowest_ns = held.slowest_ns.max(waiting_ns);
        // Whatever is still outstanding has nothing to say any more.
        held.number = u64::MAX;
        Some(slowest_ns)
    }

    pub fn accepted(&mut self, conn: ConnId) {
        let visit = &mut self.visits[conn.slot as usize];
        visit.conn = Some(conn);
        visit.text.clear();
        visit.lookup = None;
        visit.buffer.get_or_insert_with(|| Buffer::with_capacity(ANSWER_BYTES_MAX));
    }

    pub fn received<I: Io>(&mut self, io: &mut I, conn: ConnId, bytes: &[u8], now_ns: u64) {
        let Some(visit) = self.visits.get_mut(conn.slot as usize).filter(|visit| visit.conn == Some(conn)) else {
            return;
        };
        if visit.lookup.is_some() || visit.text.len() + bytes.len() > LOOKUP_BYTES_MAX {
            return io.close(conn, true);
        }
        visit.text.extend_from_slice(bytes);
        if !visit.text.ends_with(b"\r\n\r\n") {
            return;
        }
        let Some(mut lookup) = parse(&visit.text).filter(|lookup| lookup.partner < self.partners.len()) else {
            return io.close(conn, true);
        };
        visit.text.clear();
        lookup.received_ns = now_ns;
        visit.lookup = Some(lookup);
        self.lookups += 1;
        let partner = &self.partners[lookup.partner];
        if partner.mode == PartnerMode::Background {
            visit.lookup = Some(Lookup { number: None, ..lookup });
        } else if let Some(number) = lookup.number {
            let held = &mut self.held[number as usize % HELD_MAX];
            if held.number == number {
                held.lookups += 1;
                held.outstanding += 1;
                held.since_ns = if held.outstanding == 1 { now_ns } else { held.since_ns };
            }
        }
        if self.silent != Some(lookup.partner) {
            let running_ms = now_ns.saturating_sub(self.started_ns) as f64 / 1e6;
            let thinks_ms = partner.latency.draw_ms(&mut self.random, running_ms);
            self.due.push(Reverse((now_ns + (thinks_ms * 1e6) as u64, conn.slot, conn.generation)));
        }
    }

    /// Sends what is due, and says when the next answer is.
    pub fn answer_due<I: Io>(&mut self, io: &mut I, clock: impl Fn() -> u64) -> u64 {
        loop {
            let Some(&Reverse((due_ns, slot, generation))) = self.due.peek() else { return u64::MAX };
            let now_ns = clock();
            if due_ns > now_ns {
                return due_ns;
            }
            self.due.pop();
            let conn = ConnId { slot, generation };
            let visit = &mut self.visits[slot as usize];
            if visit.conn != Some(conn) {
                continue;
            }
            let (Some(lookup), Some(mut buffer)) = (visit.lookup.take(), visit.buffer.take()) else { continue };
            let partner = &self.partners[lookup.partner];
            self.hits += u64::from(write_answer(&mut buffer, partner, lookup));
            io.send(conn, buffer);
            if let Some(number) = lookup.number {
                let held = &mut self.held[number as usize % HELD_MAX];
                if held.number == number && held.outstanding > 0 {
                    held.outstanding -= 1;
                    held.slowest_ns = held.slowest_ns.max(now_ns - lookup.received_ns);
                }
            }
        }
    }

    pub fn sent(&mut self, conn: ConnId, buffer: Buffer) {
        self.visits[conn.slot as usize].buffer = Some(buffer);
    }

    pub fn gone(&mut self, conn: ConnId) {
        let visit = &mut self.visits[conn.slot as usize];
        if visit.conn == Some(conn) {
            visit.conn = None;
            visit.lookup = None;
        }
    }
}

/// Reads `GET /lookup/2?id=123&n=45 HTTP/1.1`.
fn parse(text: &[u8]) -> Option<Lookup> {
    let target = text.strip_prefix(b"GET ")?.split(|byte| *byte == b' ').next()?;
    let target = std::str::from_utf8(target).ok()?.strip_prefix("/lookup/")?;
    let (partner, query) = target.split_once('?')?;
    let mut lookup = Lookup { partner: partner.parse().ok()?, number: None, visitor: 0, received_ns: 0 };
    for pair in query.split('&') {
        match pair.split_once('=')? {
            ("id", uuid) => lookup.visitor = uuid.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte))),
            ("n", number) => lookup.number = number.parse().ok(),
            _ => {}
        }
    }
    Some(lookup)
}

/// Whom a partner knows, and as what, follows from the visitor alone. `true`: it knows her.
fn write_answer(buffer: &mut Buffer, partner: &Partner, lookup: Lookup) -> bool {
    buffer.clear();
    let taste = mix(lookup.visitor ^ lookup.partner as u64);
    if partner.segments == 0 || unit(taste) >= partner.hit_share {
        assert!(buffer.extend(b"HTTP/1.1 204 No Content\r\n\r\n"));
        return false;
    }
    let mut body = Vec::with_capacity(1_024);
    let (open, before, after, close): (&str, &str, &str, &str) = match partner.format.as_str() {
        "openrtb" => (r#"{"user":{"data":[{"segment":["#, r#"{"id":"s"#, r#""}"#, "]}]}}"),
        "flat" => (r#"{"segments":["#, r#""s"#, r#"""#, "]}"),
        "scored" => (r#"{"segments":{"#, r#""s"#, r#"":0.9"#, "}}"),
        _ => (r#"{"segment":["#, r#"{"segment_id":"s"#, r#""}"#, "]}"),
    };
    body.extend_from_slice(open.as_bytes());
    for index in 0..u64::from(partner.segments) {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(before.as_bytes());
        put_number(&mut body, 1 + (taste % PARTNER_SEGMENTS + index) % PARTNER_SEGMENTS);
        body.extend_from_slice(after.as_bytes());
    }
    body.extend_from_slice(close.as_bytes());
    let mut head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ".to_vec();
    put_number(&mut head, body.len() as u64);
    head.extend_from_slice(b"\r\n\r\n");
    assert!(buffer.extend(&head) && buffer.extend(&body), "an answer is longer than its bound");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_are_read() {
        let lookup = parse(b"GET /lookup/2?id=0123&n=45 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!((lookup.partner, lookup.number), (2, Some(45)));
        assert_eq!(parse(b"GET /lookup/1?id=0123&n= HTTP/1.1\r\n\r\n").unwrap().number, None);
        assert!(parse(b"POST / HTTP/1.1\r\n\r\n").is_none());
    }

    #[test]
    fn answers_suit_their_format_and_their_visitor() {
        for format in ["pinion", "openrtb", "flat", "scored"] {
            let partner = Partner {
                name: "p".into(),
                by: Default::default(),
                format: format.into(),
                mode: PartnerMode::Wait,
                latency: Default::default(),
                hit_share: 0.5,
                segments: 3,
                ttl_s: 0,
                profile: None,
            };
            let mut hits = 0;
            for visitor in 0..1_000 {
                let mut buffer = Buffer::with_capacity(ANSWER_BYTES_MAX);
                let lookup = Lookup { partner: 0, number: None, visitor: mix(visitor), received_ns: 0 };
                if write_answer(&mut buffer, &partner, lookup) {
                    hits += 1;
                    let text = std::str::from_utf8(buffer.bytes()).unwrap();
                    let body: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
                    let segments = body.pointer("/segment").or(body.pointer("/user/data/0/segment"));
                    let segments = segments.or(body.pointer("/segments")).unwrap();
                    let count = segments.as_array().map(Vec::len).or(segments.as_object().map(|map| map.len()));
                    assert_eq!(count, Some(3), "{body}");
                }
            }
            assert!((450..550).contains(&hits), "{hits}");
        }
    }
}
