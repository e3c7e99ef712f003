//! The bytes of requests, one after another from a seed, so that each target is offered the same ones.

use crate::others::{About, Expected, OTHERS};
use crate::population::{self, Zipf};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::standard;

/// The longest request that is made.
pub const REQUEST_BYTES_MAX: usize = 2_560;

const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Event,
    Pixel,
    Post,
    Sync,
    Id,
    Server,
    /// Everything else, by its place among `OTHERS`.
    Other(usize),
}

const KINDS: [Kind; 7] = [Kind::Event, Kind::Pixel, Kind::Post, Kind::Sync, Kind::Id, Kind::Server, Kind::Other(0)];

impl Kind {
    /// What its answer must be.
    pub fn expected(self) -> Expected {
        match self {
            Kind::Other(place) => OTHERS[place].1,
            _ => Expected::Success,
        }
    }
}

/// Where requests come from.
#[derive(Clone, Debug)]
pub struct Source {
    random: Random,
    seed: u64,
    zipf: Zipf,
    new_share: f64,
    /// Of the population: how many come one after the other, if they do.
    in_turn: Option<u64>,
    signals: u32,
    /// Of each kind, the share of requests that are of it or of one before it.
    up_to: [f64; 7],
    number: u64,
    body: Vec<u8>,
}

impl Source {
    pub fn new(scenario: &Scenario) -> Source {
        let mix = scenario.mix;
        let weights = [mix.event, mix.pixel, mix.post, mix.sync, mix.id, mix.server, mix.other];
        let whole: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let up_to = weights.map(|weight| {
            sum += weight / whole;
            sum
        });
        Source {
            random: Random::new(scenario.seed),
            seed: scenario.seed,
            zipf: Zipf::new(scenario.population.visitors, scenario.population.zipf),
            new_share: scenario.population.new_share,
            in_turn: scenario.population.in_turn.then_some(scenario.population.visitors),
            signals: scenario.signals,
            up_to,
            number: 0,
            body: Vec::with_capacity(REQUEST_BYTES_MAX),
        }
    }

    /// Writes the next request and returns its number, which calls of `/event` carry as the signal `c_n`.
    pub fn write(&mut self, out: &mut Vec<u8>) -> (u64, Kind) {
        let number = self.number;
        self.number += 1;
        let at = self.random.share();
        let mut kind = KINDS[self.up_to.iter().position(|share| at < *share).unwrap_or(0)];
        if let Kind::Other(place) = &mut kind {
            *place = self.random.below(OTHERS.len() as u64) as usize;
        }
        let visitor = match self.in_turn {
            Some(visitors) => number % visitors,
            None => self.zipf.draw(&mut self.random),
        };
        let is_new = self.random.share() < self.new_share;
        let uuid = (kind == Kind::Server || !is_new).then(|| population::uuid(self.seed, visitor));
        out.clear();
        match kind {
            Kind::Event => {
                put(out, b"GET /event?d_rtbd=json&d_jsonv=1&d_dst=1&d_cts=2");
                self.signals(out, number);
                self.browser(out, standard::HOST, uuid.as_ref());
            }
            Kind::Pixel => {
                put(out, b"GET /event?d_src=1");
                self.signals(out, number);
                self.browser(out, standard::HOST, uuid.as_ref());
            }
            Kind::Post => self.post(out, number, uuid.as_ref()),
            Kind::Sync => {
                put(out, b"GET /ibs:dpid=");
                put_number(out, u64::from(standard::ID_SOURCE));
                put(out, b"&dpuuid=crm-");
                put_number(out, visitor);
                self.browser(out, standard::SYNC_HOST, uuid.as_ref());
            }
            Kind::Id => {
                put(out, b"GET /id?d_visid_ver=5.5.0&d_fieldgroup=MC&d_rtbd=json&d_ver=2&d_nsid=0&d_orgid=");
                put(out, standard::ORGANISATION.as_bytes());
                self.browser(out, standard::SYNC_HOST, uuid.as_ref());
            }
            Kind::Other(place) => {
                let uuid = population::uuid(self.seed, visitor);
                let uuid = std::str::from_utf8(&uuid).expect("digits");
                OTHERS[place].2(out, About { number, uuid });
            }
            Kind::Server => {
                put(out, b"GET /event?d_rtbd=json&d_jsonv=1&d_cts=2&d_uuid=");
                put(out, uuid.as_ref().map_or(&[], |uuid| &uuid[..]));
                self.signals(out, number);
                put(out, b" HTTP/1.1\r\nHost: ");
                put(out, standard::HOST.as_bytes());
                put(out, b"\r\n\r\n");
            }
        }
        assert!(out.len() <= REQUEST_BYTES_MAX, "a request is longer than its bound");
        (number, kind)
    }

    fn post(&mut self, out: &mut Vec<u8>, number: u64, uuid: Option<&[u8; population::UUID_BYTES]>) {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        put(&mut body, b"d_rtbd=json&d_jsonv=1&d_dst=1&d_cts=2");
        self.signals(&mut body, number);
        put(out, b"POST /event?d_dil_ver=9.5");
        self.browser(out, standard::HOST, uuid);
        // The head's last, empty line comes after two lines more.
        out.truncate(out.len() - 2);
        put(out, b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ");
        put_number(out, body.len() as u64);
        put(out, b"\r\n\r\n");
        put(out, &body);
        self.body = body;
    }

    fn signals(&mut self, out: &mut Vec<u8>, number: u64) {
        if self.signals == 0 {
            return;
        }
        put(out, b"&c_n=");
        put_number(out, number);
        if self.signals > 1 {
            put(out, b"&c_price=");
            put_number(out, self.random.below(1_200));
        }
        // Different keys: each next one is a few further.
        let mut key = self.random.below(standard::KEYS);
        for _ in 2..self.signals {
            put(out, b"&c_k");
            put_number(out, key % standard::KEYS);
            put(out, b"=v");
            put_number(out, self.random.below(standard::VALUES));
            key += 1 + self.random.below(2);
        }
    }

    /// The rest of a browser's request line, and its headers.
    fn browser(&mut self, out: &mut Vec<u8>, host: &str, uuid: Option<&[u8; population::UUID_BYTES]>) {
        put(out, b" HTTP/1.1\r\nHost: ");
        put(out, host.as_bytes());
        put(out, b"\r\nUser-Agent: ");
        put(out, AGENT.as_bytes());
        put(out, b"\r\nAccept: */*\r\nAccept-Language: en-GB,en;q=0.9\r\nOrigin: ");
        put(out, standard::ORIGIN.as_bytes());
        put(out, b"\r\nReferer: ");
        put(out, standard::ORIGIN.as_bytes());
        put(out, b"/section-");
        put_number(out, self.random.below(standard::SECTIONS));
        put(out, b"/page\r\n");
        if let Some(uuid) = uuid {
            put(out, b"Cookie: demdex=");
            put(out, uuid);
            put(out, b"\r\n");
        }
        put(out, b"\r\n");
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

pub fn put_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut start, mut rest) = (digits.len(), number);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    put(out, &digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole_and_mixed_as_asked() {
        let mut scenario = Scenario::load("mixed").unwrap();
        scenario.signals = 64;
        let mut source = Source::new(&scenario);
        let (mut out, mut counts, mut with_cookie) = (Vec::new(), [0_u32; 2], 0);
        let mut others = vec![0_u32; OTHERS.len()];
        for expected in 0..4_000 {
            let (number, kind) = source.write(&mut out);
            assert_eq!(number, expected);
            counts[0] += u32::from(kind == Kind::Event);
            let text = std::str::from_utf8(&out).unwrap();
            with_cookie += u32::from(text.contains("demdex="));
            if let Kind::Other(place) = kind {
                counts[1] += 1;
                others[place] += 1;
                continue;
            }
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("\r\nHost: "));
            match kind {
                Kind::Post => assert!(head.contains(&format!("Content-Length: {}", body.len()))),
                _ => assert!(body.is_empty()),
            }
            if matches!(kind, Kind::Event | Kind::Post | Kind::Server) {
                assert!(text.contains(&format!("&c_n={number}&")));
                assert_eq!(text.matches("c_").count(), 64, "{text}");
            }
        }
        let mix = scenario.mix;
        let whole = mix.event + mix.pixel + mix.post + mix.sync + mix.id + mix.server + mix.other;
        for (count, weight) in counts.into_iter().zip([mix.event, mix.other]) {
            assert!((f64::from(count) / 4_000.0 - weight / whole).abs() < 0.05, "{count}");
        }
        assert!(others.iter().all(|count| *count > 0), "every kind of answer is asked for: {others:?}");
        assert!(with_cookie > 1_500, "most visitors return");
    }

    #[test]
    fn one_seed_one_sequence() {
        let scenario = Scenario::load("smoke").unwrap();
        let (mut one, mut two) = (Source::new(&scenario), Source::new(&scenario));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            one.write(&mut first);
            two.write(&mut second);
            assert_eq!(first, second);
        }
    }
}
