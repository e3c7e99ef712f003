//! A client with some requests to make over one connection: one after the other, pipelined, in pieces, or broken off.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use pinion::http::response::{Answer, ResponseParser};

use super::random::Random;
use super::world::{Connect, Outbox, Peer};
use super::{BUDGET_NS, SLACK_NS};

/// What all clients of a run saw.
#[derive(Debug, Default)]
pub struct Record {
    /// Answers that show a trait which the rules gave.
    pub answered_by_rules: u64,
    /// Answers that a well-behaved client waited for in vain.
    pub lost: u64,
    /// Visitors and phones whose opt-out was asked for.
    pub asked_out: BTreeSet<String>,
    /// Those whose opt-out was acknowledged.
    pub opted_out: BTreeSet<String>,
}

/// What a request was about.
#[derive(Default)]
struct Asked {
    /// The visitor that it named.
    uuid: Option<String>,
    /// Whom an opt-out can concern: that visitor, or a phone.
    who: Option<String>,
    opts_out: bool,
    /// The opt-out was acknowledged before this was sent.
    was_out: bool,
}

/// What a client that calls too often heard so far.
#[derive(Default)]
struct Flood {
    /// Answers that let its device id count.
    allowed: u64,
    declared_id_denied: bool,
    device_id_denied: bool,
}

pub struct Client {
    random: Random,
    to_send: usize,
    pipelines: bool,
    /// When the last byte of each request that is not answered was sent.
    waiting: VecDeque<(u64, Asked)>,
    received: Vec<u8>,
    parser: ResponseParser,
    broke_off: bool,
    /// Takes no answer.
    stalls: bool,
    /// Calls about one visitor and with one declared id, both its own, as fast as it can.
    flood: Option<Flood>,
    record: Rc<RefCell<Record>>,
}

const MS: u64 = 1_000_000;

impl Client {
    pub fn new(seed: u64, requests: usize, record: Rc<RefCell<Record>>) -> Client {
        let mut random = Random::new(seed);
        Client {
            pipelines: random.one_in(3),
            stalls: random.one_in(40),
            random,
            to_send: requests,
            waiting: VecDeque::new(),
            received: Vec::new(),
            parser: parser(),
            broke_off: false,
            flood: None,
            record,
        }
    }

    pub fn flooding(seed: u64, requests: usize, record: Rc<RefCell<Record>>) -> Client {
        let flood = Some(Flood::default());
        Client { pipelines: false, stalls: false, flood, ..Client::new(seed, requests, record) }
    }

    fn request(&mut self) -> (Vec<u8>, Asked) {
        if self.flood.is_some() {
            let uuid = format!("{:019}{:019}", 5, 9);
            let request = format!(
                "GET /event?d_rtbd=json&d_cts=2&c_page=home&d_uuid={uuid}&d_cid=10%01flood HTTP/1.1\r\n\
                 Host: shop.example.net\r\nOrigin: https://shop.example\r\n\r\n"
            );
            return (request.into_bytes(), Asked { uuid: Some(uuid), ..Asked::default() });
        }
        // A few visitors, so that clients meet at the same one.
        let uuid = (!self.random.one_in(4)).then(|| format!("{:019}{:019}", 5, self.random.below(3)));
        let named = uuid.as_ref().map(|uuid| format!("&d_uuid={uuid}")).unwrap_or_default();
        let mut record = self.record.borrow_mut();
        if let Some(uuid) = uuid.as_ref().filter(|_| self.random.one_in(30)) {
            record.asked_out.insert(uuid.clone());
            let request = format!("GET /demoptout?d_rtbd=json{named} HTTP/1.1\r\nHost: dpm.example.net\r\n\r\n");
            let who = Some(uuid.clone());
            return (request.into_bytes(), Asked { uuid: who.clone(), who, opts_out: true, was_out: false });
        }
        if self.random.one_in(20) {
            let phone = format!("e4fe9bde-caa0-47b6-908d-{:012}", self.random.below(2));
            let opts_out = self.random.one_in(3);
            let refusal = if opts_out { "&device_consent=0&d_consent_ic=DSID_20914" } else { "" };
            let request = format!(
                "GET /event?d_rtbd=json&d_cts=2&c_page=home&d_cid=20914%01{phone}{refusal} HTTP/1.1\r\n\
                 Host: shop.example.net\r\nOrigin: https://shop.example\r\n\r\n"
            );
            let was_out = record.opted_out.contains(&phone);
            if opts_out {
                record.asked_out.insert(phone.clone());
            }
            return (request.into_bytes(), Asked { uuid: None, who: Some(phone), opts_out, was_out });
        }
        let was_out = uuid.as_ref().is_some_and(|uuid| record.opted_out.contains(uuid));
        drop(record);
        let declared = if self.random.one_in(4) { "&d_cid=10%01joe" } else { "" };
        let query = format!("d_rtbd=json&d_cts=2&c_page=home{named}{declared}");
        let head = "Host: shop.example.net\r\nOrigin: https://shop.example\r\n";
        let request = match self.random.below(3) {
            0 => format!("GET /event?{query} HTTP/1.1\r\n{head}\r\n"),
            1 => {
                let form = "Content-Type: application/x-www-form-urlencoded\r\n";
                format!("POST /event HTTP/1.1\r\n{head}{form}Content-Length: {}\r\n\r\n{query}", query.len())
            }
            _ => {
                let form = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n";
                let (front, back) = query.split_at(7);
                let chunks = format!("7\r\n{front}\r\n{:x}\r\n{back}\r\n0\r\n\r\n", back.len());
                format!("POST /event HTTP/1.1\r\n{head}{form}\r\n{chunks}")
            }
        };
        (request.into_bytes(), Asked { who: uuid.clone(), uuid, opts_out: false, was_out })
    }

    fn send(&mut self, link: usize, to: &mut Outbox<'_>) {
        let count = if self.pipelines { self.to_send } else { self.to_send.min(1) };
        let mut delay_ns = to.random.below(MS);
        for _ in 0..count {
            self.to_send -= 1;
            let (request, asked) = self.request();
            if self.flood.is_none() && to.random.one_in(25) {
                // Gone in the middle of a request, or right behind it.
                let cut = to.random.below(request.len() as u64 + 1) as usize;
                to.send(link, delay_ns, &request[..cut]);
                if to.random.one_in(2) {
                    to.reset(link, delay_ns)
                } else {
                    to.finish(link, delay_ns)
                }
                self.broke_off = true;
                return;
            }
            let pieces = if to.random.one_in(2) { 1 } else { 1 + to.random.below(4) as usize };
            for piece in request.chunks(request.len().div_ceil(pieces)) {
                delay_ns += to.random.below(MS);
                to.send(link, delay_ns, piece);
            }
            self.waiting.push_back((to.now_ns + delay_ns, asked));
        }
    }

    fn check(&mut self, status: u16, body: &[u8], now_ns: u64) {
        let Some((sent_ns, Asked { uuid, who, opts_out, was_out })) = self.waiting.pop_front() else {
            assert!(self.broke_off, "an answer to nothing");
            return;
        };
        // Not to be had now, or too many from here: all clients share an address.
        if opts_out && matches!(status, 503 | 429) {
            return;
        }
        assert_eq!(status, 200);
        let text = std::str::from_utf8(body).expect("text");
        let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let has_error =
            |code| json["errors"].as_array().is_some_and(|all| all.iter().any(|error| error["code"] == code));
        let overloaded = has_error(0);
        if opts_out {
            if !overloaded {
                self.record.borrow_mut().opted_out.extend(who);
            }
            return;
        }
        let blocked = [303, 306, 307].map(has_error);
        match &mut self.flood {
            Some(flood) if !overloaded => flood.check(blocked),
            Some(_) => {}
            None => assert_eq!(blocked, [false; 3], "who calls in measure is let in: {text}"),
        }
        assert!(has_error(171) || overloaded || !was_out, "an acknowledged opt-out counts: {text}");
        if has_error(171) {
            let asked = who.is_some_and(|uuid| self.record.borrow().asked_out.contains(&uuid));
            assert!(asked && json["uuid"].is_null() && json["segments"] == serde_json::json!([]), "{text}");
            return;
        }
        if let Some(uuid) = uuid {
            assert_eq!(json["uuid"], uuid, "the visitor that was named");
        }
        if !overloaded {
            assert_eq!(json["uuid"].as_str().map(str::len), Some(38), "{text}");
            let has = |list: &str, id| json[list].as_array().is_some_and(|ids| ids.contains(&serde_json::json!(id)));
            assert!(has("traits", 1) && has("segments", 100), "what the rules give does not hang on partners: {text}");
            assert!(!has("traits", 2) || has("segments", 101), "{text}");
            self.record.borrow_mut().answered_by_rules += 1;
        }
        // Behind others in a pipeline it waits for them first.
        if !self.pipelines {
            let took_ns = now_ns - sent_ns;
            assert!(took_ns <= BUDGET_NS + SLACK_NS, "answered after {} us", took_ns / 1000);
        }
    }
}

impl Flood {
    /// Whoever was denied stays so: all of it is over before its time is up.
    fn check(&mut self, [declared_id_denied, device_id_denied, profile_denied]: [bool; 3]) {
        assert!(declared_id_denied || !self.declared_id_denied, "a denied id came through");
        assert!(device_id_denied || !self.device_id_denied, "a denied device came through");
        assert!(!(profile_denied && device_id_denied), "of a denied device no profile is called");
        self.declared_id_denied = declared_id_denied;
        self.device_id_denied = device_id_denied;
        self.allowed += u64::from(!device_id_denied);
        // As many as in a minute, and as many again as in the third of one that all of it may take.
        assert!(self.allowed <= 60 + 20, "{} calls came through", self.allowed);
        assert!(
            profile_denied || device_id_denied || self.allowed <= 40 + 14,
            "{} calls changed a profile",
            self.allowed
        );
    }
}

fn parser() -> ResponseParser {
    ResponseParser::new(false, 65_536)
}

impl Peer for Client {
    fn connected(&mut self, link: usize, to: &mut Outbox<'_>) {
        self.send(link, to);
    }

    fn received(&mut self, link: usize, bytes: &[u8], to: &mut Outbox<'_>) {
        self.received.extend_from_slice(bytes);
        loop {
            match self.parser.advance(&mut self.received) {
                Answer::Incomplete => return,
                Answer::Fault(fault) => panic!("{fault:?} in {}", String::from_utf8_lossy(&self.received)),
                Answer::Complete(response) => {
                    let body = self.received[response.body.clone()].to_vec();
                    self.received.drain(..response.consumed);
                    self.parser = parser();
                    if self.broke_off && self.waiting.is_empty() {
                        // The request that was broken off was whole after all.
                        continue;
                    }
                    self.check(response.status, &body, to.now_ns);
                    if self.waiting.is_empty() && !self.broke_off {
                        if self.to_send > 0 {
                            self.send(link, to);
                        } else if to.random.one_in(2) {
                            let delay_ns = to.random.below(MS);
                            to.finish(link, delay_ns);
                        }
                    }
                }
            }
        }
    }

    fn closed(&mut self, _link: usize, _to: &mut Outbox<'_>) {
        if !self.broke_off {
            self.record.borrow_mut().lost += self.waiting.len() as u64;
        }
    }

    fn woken(&mut self, _token: usize, to: &mut Outbox<'_>) {
        to.open(0);
    }

    fn is_stalled(&mut self) -> bool {
        // It has no answer to miss.
        self.broke_off |= self.stalls;
        self.stalls
    }

    fn on_connect(&mut self, _random: &mut Random) -> Connect {
        unreachable!("the server opens no connection to clients")
    }
}
