//! A client with some requests to make over one connection: one after the other, pipelined, in pieces, or broken off.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::rc::Rc;

use pinion::http::response::{Answer, ResponseParser};

use super::random::Random;
use super::world::{Connect, Outbox, Peer};
use super::{BUDGET_NS, SLACK_NS};
use crate::strict;

/// What all clients of a run saw.
#[derive(Debug, Default)]
pub struct Record {
    /// Answers that show a trait which the rules gave.
    pub answered_by_rules: u64,
    /// Answers that a well-behaved client waited for in vain.
    pub lost: u64,
    /// Visitors, phones and persons whose opt-out was asked for.
    pub asked_out: BTreeSet<String>,
    /// Those whose opt-out was acknowledged, and when.
    pub opted_out: BTreeMap<String, u64>,
    /// By person, the calls that were made as theirs.
    pub sent: [u64; PERSONS],
    /// Those of which the answer said that they were counted.
    pub counted: [u64; PERSONS],
}

/// Who signs in on the visitors' devices.
pub const PERSONS: usize = 3;
/// Up to which number a person's calls are told by segments.
const TOLD_MAX: u64 = 8;

/// What a request was about.
#[derive(Default)]
struct Asked {
    /// The visitor that it named.
    uuid: Option<String>,
    /// Whose opt-outs concern it: that visitor, a phone, a person.
    named: Vec<String>,
    opts_out: bool,
    /// The opt-out was acknowledged before this was sent.
    was_out: bool,
    person: Option<SignedIn>,
    /// It says that whoever was named there last is signed in.
    by_state: bool,
}

/// A call by a person.
struct SignedIn {
    number: usize,
    /// As many of the person's calls had been counted when this one was sent.
    counted: u64,
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
        if let Some(uuid) = uuid.clone().filter(|_| self.random.one_in(30)) {
            let target = format!("/demoptout?d_rtbd=json&d_uuid={uuid}");
            return self.opt_out(&target, uuid.clone(), Some(uuid));
        }
        let person = self.random.one_in(2).then(|| self.random.below(PERSONS as u64) as usize);
        if let Some(name) = person.map(name).filter(|_| self.random.one_in(40)) {
            return self.opt_out(&format!("/demoptout?d_rtbd=json&d_cid=20%01{name}"), name, None);
        }
        if self.random.one_in(20) {
            let phone = format!("e4fe9bde-caa0-47b6-908d-{:012}", self.random.below(2));
            let target = format!("/event?d_rtbd=json&d_cts=2&c_page=home&d_cid=20914%01{phone}");
            if self.random.one_in(3) {
                return self.opt_out(&format!("{target}&device_consent=0&d_consent_ic=DSID_20914"), phone, None);
            }
            return (get(&target), self.asked(None, vec![phone]));
        }
        let mut query = String::from("d_rtbd=json&d_cts=2&c_page=home");
        if let Some(uuid) = &uuid {
            write!(query, "&d_uuid={uuid}").unwrap();
        }
        if self.random.one_in(4) {
            query += "&d_cid=10%01joe";
        }
        let mut asked = self.asked(uuid.clone(), uuid.into_iter().chain(person.map(name)).collect());
        if let Some(number) = person {
            // Whoever signs out is the last person on the device.
            let signs_in = !self.random.one_in(4);
            write!(query, "&d_cid=20%01{}%01{}", name(number), if signs_in { 1 } else { 2 }).unwrap();
            if signs_in {
                write!(query, "&c_who={number}").unwrap();
                let mut record = self.record.borrow_mut();
                record.sent[number] += 1;
                asked.person = Some(SignedIn { number, counted: record.counted[number] });
            }
        } else if self.random.one_in(4) {
            query += "&d_cid=20%011";
            asked.by_state = true;
        }
        (self.event(&query), asked)
    }

    /// A call of `/event` in one of its forms.
    fn event(&mut self, query: &str) -> Vec<u8> {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let request = match self.random.below(3) {
            0 => return get(&format!("/event?{query}")),
            1 => {
                format!("POST /event HTTP/1.1\r\n{HEAD}{form}Content-Length: {}\r\n\r\n{query}", query.len())
            }
            _ => {
                let (front, back) = query.split_at(7);
                let chunks = format!("7\r\n{front}\r\n{:x}\r\n{back}\r\n0\r\n\r\n", back.len());
                format!("POST /event HTTP/1.1\r\n{HEAD}{form}Transfer-Encoding: chunked\r\n\r\n{chunks}")
            }
        };
        request.into_bytes()
    }

    fn opt_out(&mut self, target: &str, who: String, uuid: Option<String>) -> (Vec<u8>, Asked) {
        self.record.borrow_mut().asked_out.insert(who.clone());
        (get(target), Asked { opts_out: true, ..self.asked(uuid, vec![who]) })
    }

    fn asked(&self, uuid: Option<String>, named: Vec<String>) -> Asked {
        let was_out = named.iter().any(|name| self.record.borrow().opted_out.contains_key(name));
        Asked { uuid, named, opts_out: false, was_out, ..Asked::default() }
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
        let Some((sent_ns, Asked { uuid, named, opts_out, was_out, person, by_state })) = self.waiting.pop_front()
        else {
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
                let mut record = self.record.borrow_mut();
                named.into_iter().for_each(|name| _ = record.opted_out.entry(name).or_insert(now_ns));
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
            let asked = named.iter().any(|name| self.record.borrow().asked_out.contains(name));
            assert!(asked && json["uuid"].is_null() && json["segments"] == serde_json::json!([]), "{text}");
            return;
        }
        if let Some(uuid) = uuid {
            assert_eq!(json["uuid"], uuid, "the visitor that was named");
        }
        if !overloaded {
            assert_eq!(json["uuid"].as_str().map(str::len), Some(38), "{text}");
            let has = |list: &str, id| json[list].as_array().is_some_and(|ids| ids.contains(&serde_json::json!(id)));
            assert!(has("traits", 1), "what the rules give does not hang on partners: {text}");
            match person {
                Some(person) => self.check_person(&person, &json, has_error(super::PERSON_UNREAD.number())),
                None if by_state => check_nobody_else(&json),
                None => assert!(has("segments", 100), "{text}"),
            }
            let was = segments(&json).filter(|id| (150..150 + PERSONS as u64).contains(id)).count();
            assert!(was <= 1, "only one person was the last to sign in: {text}");
            assert!(!has("traits", 2) || has("segments", 101), "{text}");
            let cookies: Vec<&str> =
                json["stuff"].as_array().unwrap().iter().filter_map(|one| one["cn"].as_str()).collect();
            let expected: &[&str] = if has("segments", 100) { &["here"] } else { &[] };
            assert_eq!(cookies, expected, "however long it took, the page is known: {text}");
            self.record.borrow_mut().answered_by_rules += 1;
        }
        // Behind others in a pipeline it waits for them first.
        if !self.pipelines {
            let took_ns = now_ns - sent_ns;
            assert!(took_ns <= BUDGET_NS + SLACK_NS, "answered after {} us", took_ns / 1000);
        }
    }

    /// What a person is told is the person's own, and every call was counted once, whichever device it came from.
    fn check_person(&self, person: &SignedIn, json: &serde_json::Value, unread: bool) {
        let &SignedIn { number, counted } = person;
        let mut record = self.record.borrow_mut();
        let own = number as u64;
        let has = |id| segments(json).any(|told| told == id);
        let is_others = |id: u64| match id {
            150..200 => id != 150 + own,
            200.. => (id - 200) / 10 != own,
            // Of these some may be the device's: traits that found no way to their person's profile.
            _ => false,
        };
        assert!(!segments(json).any(is_others), "person {number} is told of another: {json}");
        if unread {
            return;
        }
        assert!(has(140 + own) && has(150 + own), "person {number} is not known: {json}");
        let told = segments(json).filter(|id| *id >= 200).count() as u64;
        assert!(told > counted.min(TOLD_MAX - 1), "{told} calls of person {number}, after {counted}: {json}");
        assert!(told <= record.sent[number], "{told} calls of person {number}, not as many: {json}");
        record.counted[number] += 1;
    }
}

/// Who is signed in by a state alone was the last person there, if there was any.
fn check_nobody_else(json: &serde_json::Value) {
    let mut present = segments(json).filter(|id| *id >= 200).map(|id| (id - 200) / 10);
    assert!(present.all(|person| segments(json).any(|id| id == 150 + person)), "told of somebody else: {json}");
}

const HEAD: &str = "Host: shop.example.net\r\nOrigin: https://shop.example\r\n";

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\n{HEAD}\r\n").into_bytes()
}

fn name(person: usize) -> String {
    format!("person{person}")
}

fn segments(json: &serde_json::Value) -> impl Iterator<Item = u64> {
    json["segments"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64)
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
                    let head = String::from_utf8_lossy(&self.received[..response.body.start]).trim_end().to_owned();
                    let body = self.received[response.body.clone()].to_vec();
                    assert_eq!(strict::check(&head, &body, None), Ok(()), "{head}\n\n{}", body.escape_ascii());
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
