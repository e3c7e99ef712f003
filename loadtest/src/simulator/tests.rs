//! The simulator from outside: a client without any manners of its own says what it sees on the wire.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::profile::{Fault, FaultKind};
use super::*;
use crate::latency::Latency;

const PATIENCE: Duration = Duration::from_secs(10);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, visitor: &str) {
    let body = format!(r#"{{"segment_request_id":"1","user":{{"id":"{visitor}"}},"tmax":40}}"#);
    let head = format!("POST /lookup HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
}

/// How the partner's side of a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
}

/// All that comes until the partner ends it.
fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (seen, End::Fin),
            Ok(len) => seen.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (seen, End::Reset),
            Err(error) => panic!("after {seen:?}: {error}"),
        }
    }
}

/// One response, read by what its `Content-Length` says: status, body.
fn read_response(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

fn faulty(kind: FaultKind, share: f64) -> Simulator {
    start(&Profile { faults: vec![Fault { kind, share }], ..Profile::default() }, None).unwrap()
}

/// What a client sees who asks once of a partner that always has this fault.
fn see(kind: FaultKind) -> (Vec<u8>, End) {
    let simulator = faulty(kind, 1.0);
    let mut stream = connect(simulator.address);
    ask(&mut stream, "joe");
    let seen = read_to_end(&mut stream);
    assert_eq!((simulator.counts().requests, simulator.counts().hits), (1, 0), "{kind:?}");
    seen
}

#[test]
fn a_connection_is_kept_and_answers_are_the_visitors() {
    let profile = Profile { hit_share: 0.5, ..Profile::default() };
    let simulator = start(&profile, Some(0)).unwrap();
    let mut stream = connect(simulator.address);
    for visitor in 0..100 {
        let visitor = format!("visitor-{visitor}");
        ask(&mut stream, &visitor);
        let (status, body) = read_response(&mut stream);
        let expected = profile.segments_of(visitor.as_bytes());
        assert_eq!(status, if expected.is_empty() { 204 } else { 200 });
        let found: Vec<&str> = body.split("\"segment_id\":\"").skip(1).filter_map(|id| id.split('"').next()).collect();
        assert_eq!(found, expected);
    }
    let counts = simulator.counts();
    assert_eq!((counts.connections, counts.requests, counts.hits + counts.misses), (1, 100, 100));
    assert!(counts.hits > 25 && counts.misses > 25, "{counts}");
}

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let profile = Profile { visitor: "u".to_owned(), ..Profile::default() };
    let simulator = start(&profile, None).unwrap();
    let mut stream = connect(simulator.address);
    stream.write_all(b"GET /?u=a HTTP/1.1\r\n\r\nGET /?u=b HTTP/1.1\r\nConnection: close\r\n\r\nGET /").unwrap();
    for visitor in ["a", "b"] {
        let (_, body) = read_response(&mut stream);
        assert!(body.contains(&format!("\"{}\"", profile.segments_of(visitor.as_bytes())[0])), "{body}");
    }
    assert!(read_to_end(&mut stream).0.is_empty());

    let mut stream = connect(simulator.address);
    stream.write_all(b"HELLO\r\n\r\n").unwrap();
    assert!(read_to_end(&mut stream).0.is_empty());
    assert_eq!(simulator.counts().unreadable, 1);
}

#[test]
fn latency_is_kept_and_runs_side_by_side() {
    let simulator = start(&Profile { latency: Latency::Constant { ms: 60.0 }, ..Profile::default() }, None).unwrap();
    let mut streams: Vec<TcpStream> = (0..32).map(|_| connect(simulator.address)).collect();
    let begin = Instant::now();
    streams.iter_mut().for_each(|stream| ask(stream, "joe"));
    for stream in &mut streams {
        read_response(stream);
        assert!(begin.elapsed() >= Duration::from_millis(59), "{:?}", begin.elapsed());
    }
    assert!(begin.elapsed() < Duration::from_millis(32 * 60 / 2), "{:?}: one after the other", begin.elapsed());
}

#[test]
fn a_hang_ends_with_the_client() {
    let simulator = faulty(FaultKind::Hang, 1.0);
    let mut stream = connect(simulator.address);
    ask(&mut stream, "joe");
    stream.set_read_timeout(Some(Duration::from_millis(80))).unwrap();
    let error = stream.read(&mut [0; 16]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert_eq!(simulator.counts().fault("hang"), 1);
}

#[test]
fn a_drip_is_slow_and_whole() {
    let simulator = faulty(FaultKind::Drip { every_ms: 2 }, 1.0);
    let mut stream = connect(simulator.address);
    let begin = Instant::now();
    ask(&mut stream, "joe");
    let (status, body) = read_response(&mut stream);
    assert_eq!((status, body.ends_with('}')), (200, true));
    assert!(begin.elapsed() > Duration::from_millis(100), "{:?}", begin.elapsed());
    assert_eq!(simulator.counts().hits, 1);
}

#[test]
fn connections_break_as_they_are_told() {
    let (seen, end) = see(FaultKind::ResetAt { byte: 20 });
    assert_eq!((seen.len(), &seen[..9], end), (20, &b"HTTP/1.1 "[..], End::Reset));
    assert_eq!(see(FaultKind::ResetAt { byte: 0 }), (Vec::new(), End::Reset));

    let simulator = faulty(FaultKind::HalfClose, 1.0);
    let mut stream = connect(simulator.address);
    ask(&mut stream, "joe");
    let (seen, end) = read_to_end(&mut stream);
    assert!(seen.starts_with(b"HTTP/1.1 200") && !seen.ends_with(b"}") && end == End::Fin);
    // It still listens: what we send now is taken, not answered by a reset.
    ask(&mut stream, "joe");
    std::thread::sleep(Duration::from_millis(30));
    ask(&mut stream, "joe");
    assert_eq!(stream.take_error().unwrap().map(|error| error.to_string()), None);
}

#[test]
fn what_is_sent_is_wrong_as_it_is_told() {
    let answer = |kind| {
        let simulator = faulty(kind, 1.0);
        let mut stream = connect(simulator.address);
        ask(&mut stream, "joe");
        read_response(&mut stream)
    };
    assert_eq!(answer(FaultKind::Status500).0, 500);
    assert_eq!(answer(FaultKind::Status429).0, 429);
    assert_eq!(answer(FaultKind::BigBody { bytes: 1 << 20 }).1.len(), 1 << 20);
    let (status, body) = answer(FaultKind::BrokenJson);
    assert!(status == 200 && body.starts_with('{') && body.ends_with("{\""), "{body}");

    let raw = |kind, number| {
        let simulator = faulty(kind, 1.0);
        // Which way a length is wrong depends on the connection.
        let mut streams: Vec<TcpStream> = (0..=number).map(|_| connect(simulator.address)).collect();
        let stream = streams.last_mut().unwrap();
        ask(stream, "joe");
        stream.set_read_timeout(Some(Duration::from_millis(80))).unwrap();
        let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
        while let Ok(len) = stream.read(&mut chunk) {
            seen.extend_from_slice(&chunk[..len]);
        }
        seen
    };
    assert!(!raw(FaultKind::Garbage, 0).starts_with(b"HTTP"));
    let differences = (0..8).map(|number| {
        let seen = String::from_utf8(raw(FaultKind::WrongLength, number)).unwrap();
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        let claimed: i64 = head.rsplit(' ').next().unwrap().parse().unwrap();
        claimed - body.len() as i64
    });
    let differences: std::collections::BTreeSet<i64> = differences.collect();
    assert_eq!(differences.into_iter().collect::<Vec<_>>(), [-7, 7]);
}

#[test]
fn refusals() {
    let simulator = faulty(FaultKind::Refuse, 1.0);
    assert_eq!(TcpStream::connect(simulator.address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(simulator);

    let simulator = faulty(FaultKind::Refuse, 0.5);
    let mut ends = [0; 2];
    for _ in 0..40 {
        let mut stream = connect(simulator.address);
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let is_refused = match stream.read(&mut [0]) {
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
            Ok(_) => panic!("neither refused nor kept"),
        };
        ends[usize::from(is_refused)] += 1;
    }
    assert!(ends[0] > 8 && ends[1] > 8, "{ends:?}");
    assert_eq!(simulator.counts().fault("refuse"), ends[1]);
}

#[test]
fn a_kept_connection_is_closed_after_its_answers() {
    let simulator = faulty(FaultKind::CloseAfter { answers: 2 }, 1.0);
    let mut stream = connect(simulator.address);
    for _ in 0..2 {
        ask(&mut stream, "joe");
        assert_eq!(read_response(&mut stream).0, 200);
    }
    assert_eq!(read_to_end(&mut stream), (Vec::new(), End::Fin));
}

#[test]
fn a_simulator_that_can_not_be_says_so() {
    assert!(start(&Profile { hit_share: 2.0, ..Profile::default() }, None).is_err());
    assert!(start(&Profile::default(), Some(100_000)).is_err());
    let first = start(&Profile::default(), None).unwrap();
    let address = first.address;
    drop(first);
    start_at(&Profile::default(), address, None).expect("the address is free again");
}
