//! Each piece of the path of a request by itself, and in the end all of it.

use pinion::event::CallBuffers;
use pinion::event::answer::{self, CookieValue, Cookies, Envelope, EventAnswer};
use pinion::event::call::{Headers, Request as CallRequest};
use pinion::event::cookie::{CookiesSent, VisitorCookie};
use pinion::http::request::{self, Parsed, Progress};
use pinion::identity::{Mid, Uuid};
use pinion::ids::{SegmentId, ShardId, TraitId};
use pinion::limits::DECODE_BYTES_MAX;
use pinion::partner::answer::Answer;
use pinion::partner::format::{Format, FormatName, FormatSettings};
use pinion::partner::reader::{AnswerHead, AnswerReader};
use pinion::privacy::tcf::TcfConsent;
use pinion::profile::Profile;
use pinion::rules::oracle::Oracle;
use pinion::rules::{Matcher, MatcherOptions};
use pinion::segments::{Program, SegmentRule};

use super::Run;
use super::profiles::{self, WALL_MS};
use super::random::{Random, hash};
use super::server::Server;
use super::{calls, rules};

/// Inputs are taken in turns, so that branches are not learned by heart.
const INPUTS: usize = 256;

/// Steps through places 0, 1, 2 ... of the inputs for ever.
fn turns(inputs: usize) -> impl FnMut() -> usize {
    let mut next = 0;
    move || {
        next = (next + 1) % inputs;
        next
    }
}

pub fn request_head() -> Run {
    let requests = calls::events(INPUTS, 10_000);
    let mut turn = turns(INPUTS);
    Box::new(move || match request::parse(&requests[turn()].bytes, &mut Progress::default()) {
        Parsed::Complete { request, consumed } => (consumed + request.query.len()) as u64,
        _ => panic!("a whole request"),
    })
}

pub fn decode() -> Run {
    let queries: Vec<String> = rules::calls(INPUTS, 10_000).iter().map(calls::query).collect();
    let (mut buffers, mut scratch) = (CallBuffers::new(), vec![0; DECODE_BYTES_MAX]);
    let mut turn = turns(INPUTS);
    let headers = Headers { host: Some(b"shop.example.net"), user_agent: Some(b"Mozilla/5.0"), ..Headers::default() };
    Box::new(move || {
        let call = buffers.decode(&CallRequest { query: queries[turn()].as_bytes(), body: b"", headers }, &mut scratch);
        let result = call.signals.iter().map(|signal| signal.value.len() as u64).sum();
        buffers.take_back(call);
        result
    })
}

pub fn cookies() -> Run {
    let line = calls::cookies();
    Box::new(move || match CookiesSent::parse([std::hint::black_box(line.as_bytes())]).demdex {
        Some(VisitorCookie::Uuid(text)) => u64::from(text[37]),
        _ => panic!("the cookie is there"),
    })
}

pub fn uuid() -> Run {
    let texts: Vec<[u8; 38]> = (0..INPUTS as u64).map(|number| profiles::uuid(number).digits()).collect();
    let mut turn = turns(INPUTS);
    Box::new(move || {
        let uuid = Uuid::parse(&texts[turn()]).expect("38 digits");
        hash(&uuid.digits()[30..])
    })
}

pub fn draw_uuid() -> Run {
    let secret = profiles::secret();
    let (mut generator, table_hash) = (secret.generator(ShardId(1), &[3; 32]), secret.table_hash());
    Box::new(move || generator.uuid_owned_by(ShardId(1), &table_hash, 4).low)
}

pub fn ecid() -> Run {
    let key = profiles::secret().ecid_key("A1@AdobeOrg");
    let mut number = 0;
    Box::new(move || {
        number += 1;
        let uuid = Uuid { high: number, low: !number >> 1 };
        let text = key.ecid(uuid).digits();
        let found = key.resolve(Mid::classify(&text)).expect("an id of ours");
        assert_eq!(found, uuid);
        hash(&text[30..])
    })
}

pub fn consent() -> Run {
    // Ranges of vendors, and none restricted.
    let text =
        "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBA";
    Box::new(move || {
        let consent = TcfConsent::parse(std::hint::black_box(text.as_bytes())).expect("a whole string");
        let purposes = (1..=10).filter(|purpose| consent.allows_purpose(*purpose)).count() as u64;
        let vendors = [2, 6, 8, 755].iter().filter(|vendor| consent.allows_vendor(**vendor)).count() as u64;
        purposes << 8 | vendors
    })
}

pub fn matching(count: usize) -> Run {
    let matcher = Matcher::compile(&rules::trait_rules(count), &[], MatcherOptions::default()).expect("good rules");
    let (mut scratch, mut realised) = (matcher.scratch(), Vec::with_capacity(count));
    let calls = rules::calls(INPUTS, count);
    let mut turn = turns(INPUTS);
    Box::new(move || {
        matcher.evaluate(&rules::signals(&calls[turn()]), None, &mut scratch, &mut realised);
        hash_of_traits(&realised)
    })
}

/// The evaluator that walks every rule. Its results have the same hash.
pub fn naive_matching(count: usize) -> Run {
    let oracle = Oracle::compile(&rules::trait_rules(count), &[], MatcherOptions::default()).expect("good rules");
    let calls = rules::calls(INPUTS, count);
    let mut turn = turns(INPUTS);
    Box::new(move || hash_of_traits(&oracle.evaluate(&rules::signals(&calls[turn()]), None).0))
}

fn hash_of_traits(traits: &[TraitId]) -> u64 {
    traits.iter().fold(traits.len() as u64, |hash, id| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(id.0))
}

pub fn segments() -> Run {
    // So few traits that each visitor holds some which segments name.
    const TRAITS: usize = 200;
    let expressions = rules::segment_expressions(200, TRAITS).into_iter().enumerate();
    let rules: Vec<_> =
        expressions.map(|(id, expression)| SegmentRule { id: SegmentId(id as u32), expression }).collect();
    let program = Program::compile(&rules, &|_| true).expect("good segments");
    let catalog = profiles::catalog();
    let mut random = Random::new(5);
    let visitors: Vec<Profile> = (0..INPUTS)
        .map(|_| {
            let mut profile = Profile::new();
            for _ in 0..8 {
                let id = TraitId(1 + random.below(TRAITS as u64) as u32);
                let day = profiles::now().day() - random.below(30) as u16;
                profile.realise(&[id], |id| catalog.keeping(id), day, profiles::now().minute());
            }
            profile
        })
        .collect();
    let (mut scratch, mut segments) = (program.scratch(), Vec::with_capacity(200));
    let mut turn = turns(INPUTS);
    Box::new(move || {
        let change = program.evaluate(visitors[turn()].history(), profiles::now(), &mut scratch, &mut segments);
        segments.iter().fold(u64::from(change), |sum, id| sum.wrapping_mul(31) ^ u64::from(id.0))
    })
}

pub fn load(visitors: u64) -> Run {
    let (mut table, mut profile) = (profiles::table(visitors, &profiles::catalog()), Profile::new());
    let mut random = Random::new(6);
    Box::new(move || {
        assert!(table.load(profiles::uuid(random.below(visitors)), &mut profile));
        profile.segments().len() as u64 + u64::from(profile.last_seen)
    })
}

/// Load, tend, one trait realised, store: what a call does to a profile.
pub fn update(visitors: u64) -> Run {
    let catalog = profiles::catalog();
    let (mut table, mut profile) = (profiles::table(visitors, &catalog), Profile::new());
    let mut random = Random::new(7);
    let now = profiles::now();
    Box::new(move || {
        let number = random.below(visitors);
        assert!(table.load(profiles::uuid(number), &mut profile));
        profile.tend(now.day(), 1, &catalog);
        // One that the visitor may hold already, so that records don't grow for ever.
        let id = TraitId(1 + (number % u64::from(profiles::TRAITS)) as u32);
        profile.realise(&[id], |id| catalog.keeping(id), now.day(), now.minute());
        profile.last_seen = now.minute();
        u64::from(table.store(&profile, now.minute()).created)
    })
}

/// An answer of some ten segments in the named format.
pub fn partner_answer(name: &str) -> Run {
    let list = |element: fn(u32) -> String| (0..10).map(|i| element(1_000 + i * 37)).collect::<Vec<_>>().join(",");
    let ids = list(|id| format!("\"{id}\""));
    let body = match name {
        "pinion" => format!(r#"{{"segment":[{}]}}"#, list(|id| format!(r#"{{"segment_id":"{id}","ttl":86400}}"#))),
        "openrtb" => {
            let segments = list(|id| format!(r#"{{"id":"{id}","value":"0.9"}}"#));
            format!(r#"{{"user":{{"data":[{{"name":"p","ext":{{"segtax":4}},"segment":[{segments}]}}]}}}}"#)
        }
        "flat" => format!(r#"{{"segments":[{ids}],"ttl":3600}}"#),
        "scored" => format!(r#"{{"segments":{{{}}}}}"#, list(|id| format!(r#""{id}":0.{id}"#))),
        "lotame" => {
            let audiences = list(|id| format!(r#"{{"id":"{id}","abbr":"all"}}"#));
            format!(r#"callback({{"Profile":{{"pid":"p1","Audiences":{{"Audience":[{audiences}]}}}}}});"#)
        }
        "bluekai" => {
            let categories = list(|id| format!(r#"{{"categoryID":{id},"timestamp":1700000000}}"#));
            format!(r#"var results = {{"campaigns":[{{"campaignID":5,"categories":[{categories}]}}]}};"#)
        }
        "targeting" => format!(r#"{{"targeting":{{"sport":[{ids}],"age":33}}}}"#),
        "stale" => format!(r#"{{"segments":[{ids}],"staleAt":"2026-11-23T00:00:00Z","status":"active"}}"#),
        "dcs" => {
            format!(r#"{{"stuff":[],"uuid":"1","dcs_region":6,"segments":[{}],"tid":"x="}}"#, list(|id| id.to_string()))
        }
        _ => panic!("no format is called {name}"),
    };
    let settings =
        FormatSettings { name: FormatName::from_name(name).expect("a format's name"), ..FormatSettings::default() };
    let format = Format::compile(&settings).expect("a good format");
    let (mut reader, mut answer) = (AnswerReader::new(), Answer::new());
    let head = AnswerHead { status: 200, content_encoding: None };
    Box::new(move || {
        reader.read(&format, head, body.as_bytes(), WALL_MS, &mut answer).expect("a good answer");
        let count = answer.segments().len() + answer.signals().len();
        assert!(count >= 10);
        count as u64
    })
}

pub fn answer() -> Run {
    let traits: Vec<TraitId> = (0..8).map(|i| TraitId(1_000 + i * 37)).collect();
    let segments: Vec<SegmentId> = (0..8).map(|i| SegmentId(1_000_000 + i * 37)).collect();
    let digits = profiles::uuid(1).digits();
    let cookies =
        Cookies { demdex: Some(CookieValue::Visitor(digits)), domain: Some("example.net"), ..Cookies::default() };
    let mut out = vec![0; 4096];
    Box::new(move || {
        let envelope = Envelope {
            wall_ms: WALL_MS,
            tid: *b"pinion!!",
            node: "node-1",
            elapsed_us: 321,
            origin: Some(b"https://shop.example"),
            cookies,
            ..Envelope::default()
        };
        let answer = EventAnswer {
            uuid: Some(&digits),
            region: Some(6),
            traits: Some(&traits),
            segments: Some(&segments),
            ..EventAnswer::default()
        };
        let len = answer::event(&mut out, &envelope, &answer, None).unwrap_or_else(|_| panic!("there is room"));
        len as u64 + u64::from(out[len - 1])
    })
}

/// Whole `/event` calls of returning visitors through a shard, 200 segments, no partners.
pub fn event(rules: usize, visitors: u64) -> Run {
    let mut server = Server::new(rules, 200, visitors);
    Box::new(move || server.serve())
}

/// The same with two shards, the other of which is home to half of the visitors.
pub fn event_half_away() -> Run {
    let mut server = Server::of_shards(2, 10_000, 200, 1_000);
    Box::new(move || server.serve())
}

/// The same of visitors who hold hundreds of entries and realise some twenty traits a call.
pub fn hot_event() -> Run {
    let mut server = Server::hot(10_000, 200);
    Box::new(move || server.serve())
}
