//! Partners that misbehave in every way we know of: the visitor's answer comes within the budget and is right without
//! them, the fault is counted as what it is, and nothing is left behind.
//!
//! Times are those of a noisy machine: in each round the best call must be within 5 ms of the budget and all within
//! 50 ms, and of three rounds one must pass. What answers hold and what is counted must be right in every round.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use pinion::config::file::Runtime;
use pinion::metrics::PartnerTotals;
use socket2::{Domain, Socket, Type};

use super::partner::{Act, Partner, json};
use super::{Options, Server, alone};

const CONFIG: &str = include_str!("faults.toml");
const BUDGET_MS: f64 = 30.0;
const RESERVE_MS: f64 = 5.0;
/// Few enough that health, which moves by a 64th, lets every call through.
const CALLS: u64 = 6;
const PHOTO: &str = r#"{"segment":[{"segment_id":"photo","ttl":86400}]}"#;
const MUSIC: &str = r#"{"segment":[{"segment_id":"music","ttl":86400}]}"#;

/// What becomes of the calls to a partner.
struct Expected {
    /// What counts them, one each.
    counts: fn(&PartnerTotals) -> u64,
    /// The visitor's answer goes out at the deadline, not before.
    waits: bool,
    /// Its segment is in the answers all the same.
    answers: bool,
}

const fn fails(counts: fn(&PartnerTotals) -> u64) -> Expected {
    Expected { counts, waits: false, answers: false }
}

const TIMES_OUT: Expected = Expected { counts: |totals| totals.timeouts.value(), waits: true, answers: false };
const ANSWERS: Expected = Expected { counts: |totals| totals.hits.value(), waits: false, answers: true };
const RESETS: Expected = fails(|totals| totals.errors_reset.value());
const BREAKS_PROTOCOL: Expected = fails(|totals| totals.errors_protocol.value());
const HAS_BAD_STATUS: Expected = fails(|totals| totals.errors_status.value());
const HAS_BAD_BODY: Expected = fails(|totals| totals.errors_body.value());
const IS_TOO_LARGE: Expected = fails(|totals| totals.errors_size.value());
const DOES_NOT_CONNECT: Expected = fails(|totals| totals.errors_connect.value());

fn check(runtime: Runtime, name: &str, act: &Act, expected: &Expected) {
    let partner = Partner::start(act.clone());
    check_at(runtime, name, partner.address, expected);
}

fn check_at(runtime: Runtime, name: &str, faulty: SocketAddr, expected: &Expected) {
    let _alone = alone();
    let mut rounds = Vec::new();
    while rounds.len() < 3 {
        let Some(mut took_ms) = round(runtime, name, faulty, expected) else {
            rounds.push(Vec::new());
            continue;
        };
        took_ms.sort_by(f64::total_cmp);
        let [best, median, worst] = [0, took_ms.len() / 2, took_ms.len() - 1].map(|at| took_ms[at]);
        println!("{name}: best {best:.2} ms, median {median:.2}, worst {worst:.2}, budget {BUDGET_MS}");
        if best <= BUDGET_MS + 5.0 && worst <= BUDGET_MS + 50.0 {
            return;
        }
        rounds.push(took_ms);
    }
    panic!("{name}: never within the budget of {BUDGET_MS} ms, or never answered in time: {rounds:.2?}");
}

/// Some calls to a fresh server. Returns how long each took, in milliseconds, or `None` when a partner that answers at
/// once did not get to it in time: then the machine was busy with something else.
fn round(runtime: Runtime, name: &str, faulty: SocketAddr, expected: &Expected) -> Option<Vec<f64>> {
    let healthy = Partner::start(Act::Answer(Duration::ZERO, json(MUSIC)));
    let options = Options {
        partners: vec![faulty, healthy.address],
        connections_max: 32,
        memory_bytes: 4 << 20,
        ..Options::on(runtime)
    };
    let server = Server::start(CONFIG, options);
    let mut client = server.connect();
    let segments: &[u64] = if expected.answers { &[101, 102] } else { &[102] };
    let mut took_ms = Vec::new();
    for _ in 0..CALLS {
        let start = Instant::now();
        let reply = client.get("shop.example.net", "/event?d_rtbd=json&d_cts=2", "");
        let took = start.elapsed().as_secs_f64() * 1e3;
        let timeouts = |partner: usize| server.partner(partner).totals.timeouts.value();
        if timeouts(1) > 0 || !expected.waits && timeouts(0) > 0 {
            return None;
        }
        assert_eq!(reply.status, 200, "{name}: {}", reply.head);
        assert_eq!(reply.ids("segments"), segments, "{name}");
        assert_eq!(reply.json().get("errors"), None, "{name}");
        assert!(!expected.waits || took > BUDGET_MS - RESERVE_MS - 1.0, "{name}: did not wait: {took} ms");
        took_ms.push(took);
    }
    assert_eq!(healthy.requests(), CALLS, "{name}");
    server.wait_until(name, |server| (expected.counts)(&server.partner(0).totals) == CALLS);
    let totals = &server.partner(0).totals;
    let failures = [
        &totals.errors_connect,
        &totals.errors_reset,
        &totals.errors_protocol,
        &totals.errors_status,
        &totals.errors_body,
        &totals.errors_size,
        &totals.timeouts,
        &totals.hits,
    ];
    let counted: u64 = failures.iter().map(|counter| counter.value()).sum();
    assert_eq!(counted, CALLS, "{name}: counted as one thing each: {totals:?}");
    assert_eq!(server.partner(1).totals.hits.value(), CALLS, "{name}");
    drop(client);
    server.assert_quiet();
    // Idle ones go after 60 ms; what else was open would stay.
    server.wait_until("partner connections closed", |server| {
        server.gauge(|gauges| gauges.partner_connections.value()) == 0
    });
    Some(took_ms)
}

/// An answer that says how long its body is, truly or not.
fn sized(length: usize, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn chunked(chunks: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
}

fn at_once(bytes: impl Into<Vec<u8>>) -> Act {
    Act::Answer(Duration::ZERO, bytes.into())
}

on_each_runtime!(
    partners_that_are_too_slow,
    partners_that_break_the_connection,
    partners_that_speak_no_http,
    partners_whose_answer_is_none,
    partners_that_send_too_much,
    partners_that_are_not_there,
    connections_that_end_in_good_order_cost_nothing,
    a_call_on_a_dead_idle_connection_is_repeated_once,
    a_dead_address_among_several_costs_no_call,
);

fn partners_that_are_too_slow(runtime: Runtime) {
    check(runtime, "hang", &Act::Hang, &TIMES_OUT);
    check(runtime, "slow drip", &Act::Drip(Duration::from_millis(2), json(PHOTO)), &TIMES_OUT);
    check(runtime, "body shorter than announced", &at_once(sized(PHOTO.len() + 1, PHOTO)), &TIMES_OUT);
    check(runtime, "chunks without an end", &at_once(chunked("5\r\n{\"seg")), &TIMES_OUT);
    check(runtime, "head without an end", &at_once("HTTP/1.1 200 OK\r\nX-Wait: for it\r\n"), &TIMES_OUT);
    check(runtime, "interim answers only", &at_once("HTTP/1.1 100 Continue\r\n\r\n"), &TIMES_OUT);
}

fn partners_that_break_the_connection(runtime: Runtime) {
    check(runtime, "reset before a byte", &Act::Reset(Vec::new()), &RESETS);
    check(runtime, "reset within the head", &Act::Reset(json(PHOTO)[..20].to_vec()), &RESETS);
    check(runtime, "reset within the body", &Act::Reset(sized(PHOTO.len(), &PHOTO[..9])), &RESETS);
    check(runtime, "closed before a byte", &Act::Close(Vec::new()), &RESETS);
    check(runtime, "closed within the head", &Act::Close(json(PHOTO)[..20].to_vec()), &RESETS);
    check(runtime, "closed within the body", &Act::Close(sized(PHOTO.len(), &PHOTO[..9])), &RESETS);
    check(runtime, "closed within a chunk", &Act::Close(chunked("30\r\n{\"segm")), &RESETS);
    check(runtime, "half closed within the body", &Act::HalfClose(sized(PHOTO.len(), &PHOTO[..9])), &RESETS);
}

fn partners_that_speak_no_http(runtime: Runtime) {
    check(runtime, "garbage", &at_once(b"\x16\x03\x01\x00\xff garbage \xff\r\n\r\n".to_vec()), &BREAKS_PROTOCOL);
    check(runtime, "chunk size that is none", &at_once(chunked("zz\r\n{}\r\n0\r\n\r\n")), &BREAKS_PROTOCOL);
    check(runtime, "chunk that is longer than its size", &at_once(chunked("1\r\n{}\r\n0\r\n\r\n")), &BREAKS_PROTOCOL);
    let two_lengths = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(runtime, "length and chunks", &at_once(two_lengths), &BREAKS_PROTOCOL);
    check(runtime, "switch of protocols", &at_once("HTTP/1.1 101 Switching Protocols\r\n\r\n"), &BREAKS_PROTOCOL);
}

fn partners_whose_answer_is_none(runtime: Runtime) {
    check(runtime, "500", &at_once("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"), &HAS_BAD_STATUS);
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://healthy.example/lookup\r\nContent-Length: 0\r\n\r\n";
    check(runtime, "redirect", &at_once(moved), &HAS_BAD_STATUS);
    check(runtime, "body longer than announced", &at_once(sized(PHOTO.len() - 1, PHOTO)), &HAS_BAD_BODY);
    check(runtime, "no JSON", &at_once(json("<html>")), &HAS_BAD_BODY);
    check(runtime, "wrong types", &at_once(json(r#"{"segment":"photo"}"#)), &HAS_BAD_BODY);
    check(runtime, "empty 200", &at_once(json("")), &HAS_BAD_BODY);
    let zipped = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n{PHOTO}", PHOTO.len());
    check(runtime, "compressed", &at_once(zipped), &HAS_BAD_BODY);
}

fn partners_that_send_too_much(runtime: Runtime) {
    let large = format!(r#"{{"segment":[],"rest":"{}"}}"#, "x".repeat(64 * 1024));
    check(runtime, "large body", &at_once(json(&large)), &IS_TOO_LARGE);
    check(
        runtime,
        "large body in one chunk",
        &at_once(chunked(&format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()))),
        &IS_TOO_LARGE,
    );
    let chunks = "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n";
    check(runtime, "large body in many chunks", &at_once(chunked(&chunks.repeat(80))), &IS_TOO_LARGE);
    let head = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(20 * 1024));
    check(runtime, "large head", &at_once(head), &IS_TOO_LARGE);
}

fn partners_that_are_not_there(runtime: Runtime) {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    check_at(runtime, "refused", closed, &DOES_NOT_CONNECT);

    // A listener whose backlog is full drops further SYNs.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    listener.listen(0).expect("it is bound");
    let address = listener.local_addr().expect("it is bound");
    let fill = |_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let _ = socket.connect(&address);
        socket
    };
    let _backlog: Vec<Socket> = (0..4).map(fill).collect();
    check_at(runtime, "no answer to SYN", address.as_socket().expect("an IPv4 address"), &DOES_NOT_CONNECT);
}

fn connections_that_end_in_good_order_cost_nothing(runtime: Runtime) {
    check(runtime, "closed after each answer", &Act::Close(json(PHOTO)), &ANSWERS);
    check(runtime, "ended by closing", &Act::Close(format!("HTTP/1.1 200 OK\r\n\r\n{PHOTO}").into_bytes()), &ANSWERS);
    check(runtime, "half closed after the answer", &Act::HalfClose(json(PHOTO)), &ANSWERS);
    // Each second request finds its connection closed under it, and goes out again on a fresh one.
    check(runtime, "closed when used again", &Act::Once(json(PHOTO)), &ANSWERS);
    let stray = [json(PHOTO), b"HTTP/1.1 200 OK\r\n".to_vec()].concat();
    check(runtime, "stray bytes after the answer", &at_once(stray), &ANSWERS);
    check(
        runtime,
        "interim answers before",
        &at_once([b"HTTP/1.1 103 Hints\r\n\r\n".to_vec(), json(PHOTO)].concat()),
        &ANSWERS,
    );
}

fn a_call_on_a_dead_idle_connection_is_repeated_once(runtime: Runtime) {
    let partner = Partner::start(Act::Once(json(PHOTO)));
    let config = CONFIG.replace("idle_ms = 60", "idle_ms = 60000").replace("budget_ms = 30", "budget_ms = 3000");
    let healthy = Partner::start(at_once(json(MUSIC)));
    let server =
        Server::start(&config, Options { partners: vec![partner.address, healthy.address], ..Options::on(runtime) });
    let mut client = server.connect();
    for _ in 0..3 {
        let reply = client.get("shop.example.net", "/event?d_rtbd=json&d_cts=2", "");
        assert_eq!(reply.ids("segments"), [101, 102]);
    }
    let totals = &server.partner(0).totals;
    assert_eq!((totals.retries.value(), totals.errors_reset.value(), totals.hits.value()), (2, 0, 3));
    assert_eq!((totals.connections_opened.value(), totals.connections_reused.value()), (3, 2));

    // A fresh connection that breaks is the partner's fault: no third try.
    partner.set(Act::Close(Vec::new()));
    let reply = client.get("shop.example.net", "/event?d_rtbd=json&d_cts=2", "");
    assert_eq!(reply.ids("segments"), [102]);
    assert_eq!((totals.retries.value(), totals.errors_reset.value()), (3, 1));
    let healthy_totals = &server.partner(1).totals;
    assert_eq!((healthy_totals.connections_opened.value(), healthy_totals.connections_reused.value()), (1, 3));
    drop(client);
    server.assert_quiet();
}

/// An address that refuses every connection for as long as the socket is there.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("it is bound").as_socket().expect("an IPv4 address");
    (socket, address)
}

fn a_dead_address_among_several_costs_no_call(runtime: Runtime) {
    const VISITS: u64 = 8;
    // A connection for each call, so that all addresses have their turn.
    let live = Partner::start(Act::Close(json(PHOTO)));
    let healthy = Partner::start(at_once(json(MUSIC)));
    let (_first, first) = refusing();
    let (_second, second) = refusing();
    for (addresses, segments, errors) in [
        (vec![first, live.address], &[101, 102][..], 0),
        (vec![live.address, first, second], &[101, 102], 0),
        (vec![first, second], &[102], VISITS),
    ] {
        let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let config = CONFIG.replace("budget_ms = 30", "budget_ms = 3000");
        let config = config.replacen("connect_ms = 15", &format!("connect_ms = 3000\naddresses = {list:?}"), 1);
        let server =
            Server::start(&config, Options { partners: vec![live.address, healthy.address], ..Options::on(runtime) });
        let mut client = server.connect();
        let start = Instant::now();
        for _ in 0..VISITS {
            let reply = client.get("shop.example.net", "/event?d_rtbd=json&d_cts=2", "");
            assert_eq!(reply.ids("segments"), segments, "{list:?}");
        }
        let totals = &server.partner(0).totals;
        assert_eq!((totals.errors_connect.value(), totals.hits.value()), (errors, VISITS - errors), "{list:?}");
        // One that failed is left alone for a second, as long as there is another.
        let seconds = start.elapsed().as_secs() + 1;
        let dead = addresses.iter().filter(|address| **address != live.address).count() as u64;
        let opened = totals.connections_opened.value();
        assert!((VISITS + 1..=VISITS + dead * seconds).contains(&opened), "{list:?}: {opened} within {seconds} s");
        drop(client);
        server.assert_quiet();
    }
}
