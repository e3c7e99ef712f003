//! A shard under requests that are nearly right: the protocol's cases, changed at random under fixed seeds, cut
//! anywhere, several on a connection. It must not panic, and must give what the HTTP parser takes for a request
//! exactly one answer of a status that such a request can have, in order; what the parser refuses gets a refusal, and
//! the connection ends. `MUTATIONS` says how many answers to ask for.

mod loopback;
mod mutate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pinion::clock::Now;
use pinion::http::request::{self, Parsed, Progress};
use pinion::http::response::{Answer, Response, ResponseParser};
use pinion::http::{Method, Request};
use pinion::ids::ShardId;
use pinion::metrics::ShardMetrics;
use pinion::reactor::Handler;
use pinion::ruleset::Ruleset;
use pinion::shard::{Epoch, Message, Plan, Setup, Shard};

use super::protocol;
use crate::sim::random::Random;
use crate::strict;
use loopback::Loopback;

const MUTATIONS_DEFAULT: u64 = 1_000_000;
/// Each begins with a new shard and a seed of its own, so a fault is found again whatever the number of threads.
const CHUNKS: u64 = 32;

#[test]
fn no_request_brings_a_shard_to_a_wrong_answer() {
    let count = std::env::var("MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(MUTATIONS_DEFAULT);
    let seeds = protocol::requests();
    let ruleset = super::ruleset(protocol::CONFIG);
    let chunks = AtomicU64::new(0);
    let totals = Totals::default();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |threads| threads.get()) {
            scope.spawn(|| {
                loop {
                    let chunk = chunks.fetch_add(1, Ordering::Relaxed);
                    if chunk >= CHUNKS {
                        return;
                    }
                    Run::new(chunk, &ruleset).run(count.div_ceil(CHUNKS), &seeds, &totals);
                }
            });
        }
    });
    let [requests, calls, refused, incomplete] =
        [&totals.requests, &totals.calls, &totals.refused, &totals.incomplete].map(|n| n.load(Ordering::Relaxed));
    println!("{requests} answers in {:?}: {calls} calls, {refused} refusals, {incomplete} cut short", start.elapsed());
    assert!(requests >= count && incomplete > 0);
    assert!(calls > requests / 2 && refused > requests / 50, "the mixture is lopsided");
}

/// What came of all requests.
#[derive(Default)]
struct Totals {
    requests: AtomicU64,
    /// Answers to `/event`.
    calls: AtomicU64,
    refused: AtomicU64,
    incomplete: AtomicU64,
}

/// What an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Of a call: collected, or sent on.
    Call { to_head: bool },
    /// Of a call that opts out: done, or refused for want of room.
    OptOut { to_head: bool },
    /// Of another path or method.
    Other { to_head: bool },
    /// The parser's refusal.
    Refusal(u16),
}

struct Run {
    random: Random,
    shard: Shard,
    io: Loopback,
    plan: Plan,
    metrics: Arc<ShardMetrics>,
    /// Everything the present client sends: told when the run panics.
    stream: Vec<u8>,
    chunk: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("chunk {}: sent {}", self.chunk, self.stream.escape_ascii());
            eprintln!("got {}", self.io.sent.escape_ascii());
        }
    }
}

impl Run {
    fn new(chunk: u64, ruleset: &Arc<Ruleset>) -> Run {
        let plan = Plan {
            shards: 1,
            clients_max: 2,
            upstreams_max: 1,
            jobs_max: 4,
            calls_max: 4,
            errands_max: 0,
            small_buffers: 16,
            large_buffers: 4,
            profile_bytes: 1 << 20,
            id_map_bytes: 1 << 16,
            opt_outs_max: 64,
            meters: 64,
            sweep_buckets_per_upkeep: 64,
            idle_ns: 60_000_000_000,
        };
        let mut random = Random::new(chunk);
        let metrics = Arc::new(ShardMetrics::default());
        let shard = Shard::new(Setup {
            id: ShardId(0),
            plan,
            epoch: Box::new(Epoch::new(ruleset, |_| Box::default(), |_| Arc::default())),
            metrics: Arc::clone(&metrics),
            secret: super::secret(),
            entropy: random.bytes32(),
            opt_outs: Arc::new([]),
        });
        let now = Now { mono_ns: 1_000_000_000, wall_ms: 1_795_289_301_558 };
        let mut io = Loopback::default();
        io.now = now;
        Run { random, shard, io, plan, metrics, stream: Vec::new(), chunk }
    }

    fn run(mut self, count: u64, seeds: &[Vec<u8>], totals: &Totals) {
        let mut answered = 0;
        while answered < count {
            self.stream.clear();
            for _ in 0..1 + self.random.below(3) {
                mutate::request(&mut self.random, seeds, &mut self.stream);
            }
            let closed = self.talk();
            answered += self.check(closed, totals);
            self.io.now.mono_ns += self.random.below(2_000_000);
            self.io.now.wall_ms += self.random.below(100);
            assert!(self.shard.on_turn(&mut self.io).is_some(), "nobody told it to end");
        }
        self.end();
    }

    /// Sends the stream in pieces over one connection; returns whether the server closed it.
    fn talk(&mut self) -> bool {
        let address = [127, 0, 0, 1 + self.random.below(3) as u8];
        self.io.open(&mut self.shard, address);
        let mut rest = &self.stream[..];
        while !rest.is_empty() {
            let len =
                if self.random.one_in(2) { rest.len() } else { 1 + self.random.below(rest.len() as u64) as usize };
            // A reception of the runtime's is at most 16 KiB.
            let (piece, after) = rest.split_at(len.min(16 * 1024));
            self.io.receive(&mut self.shard, piece);
            rest = after;
            // Sometimes more arrives while an answer is still on its way; not when the shard asked to wait.
            while (self.io.paused || self.random.one_in(2)) && self.io.deliver(&mut self.shard) {}
        }
        self.io.finish(&mut self.shard)
    }

    /// Returns how many answers there were.
    fn check(&mut self, closed: bool, totals: &Totals) -> u64 {
        let (expected, closes, incomplete) = expected(&self.stream);
        let count = expected.len() as u64;
        totals.incomplete.fetch_add(incomplete.into(), Ordering::Relaxed);
        assert_eq!(closed, closes, "whether the server closes: {expected:?}");
        let mut rest = &mut self.io.sent[..];
        for one in expected {
            let to_head = matches!(
                one,
                Expected::Call { to_head: true }
                    | Expected::OptOut { to_head: true }
                    | Expected::Other { to_head: true }
            );
            let Answer::Complete(answer) = ResponseParser::new(to_head, 128 * 1024).advance(rest) else {
                panic!("no answer where one must be: {one:?}");
            };
            check_answer(one, &answer, rest);
            rest = &mut rest[answer.consumed..];
            totals.requests.fetch_add(1, Ordering::Relaxed);
            let counted = match one {
                Expected::Call { .. } => &totals.calls,
                Expected::Refusal(_) => &totals.refused,
                Expected::OptOut { .. } | Expected::Other { .. } => continue,
            };
            counted.fetch_add(1, Ordering::Relaxed);
        }
        // The word to go on, for a request that did not.
        let rest = rest.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(rest);
        assert!(rest.is_empty(), "an answer that nobody asked for: {}", rest.escape_ascii());
        count
    }

    /// Nothing of all that is left over.
    fn end(mut self) {
        self.io.now.mono_ns += 1_000_000_000;
        let gauges = &self.metrics.gauges;
        self.shard.on_turn(&mut self.io);
        assert_eq!(gauges.connections.value(), 0);
        assert_eq!(gauges.jobs_free.value(), self.plan.jobs_max as u64);
        assert_eq!(gauges.buffers_small_free.value(), self.plan.small_buffers as u64);
        assert_eq!(gauges.buffers_large_free.value(), self.plan.large_buffers as u64);
        self.drain(u64::MAX);
        assert!(self.shard.on_turn(&mut self.io).is_none(), "a drained shard ends");
        assert_eq!(self.metrics.connections_cut.value(), 0);
    }

    fn drain(&mut self, deadline_ns: u64) {
        let message = Message::Drain { deadline_ns };
        self.shard.on_event(&mut self.io, pinion::reactor::Event::Message { from: ShardId(u16::MAX), message });
    }
}

#[test]
fn who_takes_no_answer_before_the_drain_is_over_is_cut_and_counted() {
    let mut run = Run::new(0, &super::ruleset(protocol::CONFIG));
    run.io.open(&mut run.shard, [127, 0, 0, 1]);
    run.io.receive(&mut run.shard, b"GET /robots.txt HTTP/1.1\r\nHost: example.net\r\n\r\n");
    assert!(run.io.sent.starts_with(b"HTTP/1.1 "));
    let deadline_ns = run.io.now.mono_ns + 1_000_000_000;
    run.drain(deadline_ns);
    for (now_ns, ends) in [(deadline_ns - 1, false), (deadline_ns, false), (deadline_ns + 1_000_000_000, true)] {
        run.io.now.mono_ns = now_ns;
        assert_eq!(run.shard.on_turn(&mut run.io).is_none(), ends, "at {now_ns}");
    }
    assert_eq!(run.metrics.connections_cut.value(), 1);
}

/// What must be answered to these bytes; whether the server closes after it; whether the last request is incomplete.
fn expected(stream: &[u8]) -> (Vec<Expected>, bool, bool) {
    let (mut answers, mut at) = (Vec::new(), 0);
    while at < stream.len() {
        match request::parse(&stream[at..], &mut Progress::default()) {
            Parsed::Incomplete { .. } => return (answers, false, true),
            Parsed::Fault(fault) => {
                answers.push(Expected::Refusal(fault.status()));
                return (answers, true, false);
            }
            Parsed::Complete { request, consumed } => {
                answers.push(expected_of(&request));
                at += consumed;
                if !request.keep_alive {
                    return (answers, true, false);
                }
            }
        }
    }
    (answers, false, false)
}

fn expected_of(request: &Request<'_>) -> Expected {
    let to_head = request.method == Method::Head;
    // There is no control here that could make an opt-out last: one that is new is refused.
    let refuses = request.query.windows(14).any(|text| text == b"device_consent");
    let opts_out = match request.path {
        b"/demoptout" | b"/demoptout.jpg" => true,
        path => refuses && [&b"/event"[..], b"/firstevent", b"/id", b"/id/rd"].contains(&path),
    };
    if opts_out {
        return Expected::OptOut { to_head };
    }
    let is_call = request.path == b"/event" && matches!(request.method, Method::Get | Method::Head | Method::Post);
    if is_call { Expected::Call { to_head } } else { Expected::Other { to_head } }
}

fn check_answer(expected: Expected, answer: &Response, bytes: &[u8]) {
    let status = answer.status;
    let fits = match expected {
        Expected::Call { .. } => matches!(status, 200 | 302),
        Expected::Other { .. } => matches!(status, 200 | 204 | 302 | 404 | 405),
        Expected::OptOut { .. } => matches!(status, 200 | 204 | 302 | 405 | 503),
        Expected::Refusal(code) => status == code && (400..=505).contains(&code),
    };
    assert!(fits, "{status} to {expected:?}");
    assert!(!answer.keep_alive || !matches!(expected, Expected::Refusal(_)), "a refusal says that it closes");
    let (head, body) = (&bytes[..answer.body.start], &bytes[answer.body.clone()]);
    let head = std::str::from_utf8(head).expect("visible ASCII").trim_end();
    let path = matches!(expected, Expected::Call { .. }).then_some("/event");
    if let Err(fault) = strict::check(head, body, path) {
        panic!("{fault}\n{head}\n\n{}", String::from_utf8_lossy(body));
    }
}
