//! Bytes come and go whole and in order, however they are cut, and only while they are wanted.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use pinion::reactor::RECEIVE_AFTER_PAUSE_BYTES_MAX;

use super::echo::Echo;
use super::{Config, Note, client, config, echo_through, pattern, start};

#[test]
fn echoes_and_tells_the_peer() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    for round in 0..50 {
        assert_eq!(echo_through(&mut stream, &pattern(round * 13 + 1, round)), pattern(round * 13 + 1, round));
    }
    let peer = stream.local_addr().unwrap();
    drop(stream);
    running.expect(Note::Accepted);
    running.expect(Note::Ended { reset: false });
    running.expect(Note::Closed);
    let (echo, counters, slots) = running.stop();
    assert_eq!(echo.peers, [peer]);
    assert!(counters.accepts == 1 && counters.receives >= 50 && counters.sends >= 50 && counters.closes == 1);
    assert_eq!(slots, (256, 16));
}

#[test]
fn listens_on_ipv6_as_well() {
    let listeners = vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    let running = start(Config { listeners, ..config() }, Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"six"), b"six");
    let (echo, ..) = running.stop();
    assert!(echo.peers[0].is_ipv6());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let running = start(config(), Echo { answer_bytes_max: 7, ..Echo::default() });
    let mut stream = client(running.address);
    let bytes = pattern(20_000, 2);
    assert!(echo_through(&mut stream, &bytes) == bytes, "bytes lost or out of order");
    let (_, counters, _) = running.stop();
    assert!(counters.sends >= 20_000 / 7);
}

#[test]
fn sends_more_than_the_sockets_hold() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    let bytes = pattern(24 << 20, 3);
    assert!(echo_through(&mut stream, &bytes) == bytes, "bytes lost or out of order");
    drop(stream);
    running.expect(Note::Accepted);
    running.expect(Note::Ended { reset: false });
    running.expect(Note::Closed);
    running.stop();
}

#[test]
fn a_paused_connection_gets_little_and_loses_nothing() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"open"), b"open");
    running.tell(Note::Pause);
    running.settle();
    // Fills what the kernel holds; a server that read on would have taken far more than it may.
    stream.set_nonblocking(true).unwrap();
    let chunk = pattern(1 << 16, 5);
    let mut written = 0;
    loop {
        match stream.write(&chunk[written % chunk.len()..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    running.settle();
    assert!(written > 2 * RECEIVE_AFTER_PAUSE_BYTES_MAX, "{written}");
    running.tell(Note::Resume);
    stream.set_nonblocking(false).unwrap();
    let mut back = vec![0; written];
    stream.read_exact(&mut back).unwrap();
    assert!(back.iter().zip(chunk.iter().cycle()).all(|(byte, expected)| byte == expected));
    let (echo, ..) = running.stop();
    assert!(echo.received_paused_bytes <= RECEIVE_AFTER_PAUSE_BYTES_MAX, "{}", echo.received_paused_bytes);
}

#[test]
fn pausing_at_any_time_loses_nothing() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"open"), b"open");
    let bytes = pattern(300_000, 5);
    let outgoing = bytes.clone();
    let reading = thread::spawn(move || echo_through(&mut stream, &outgoing));
    for round in 0..60 {
        running.tell(Note::Pause);
        if round % 3 != 0 {
            running.settle();
        }
        running.tell(Note::Resume);
        if round % 2 != 0 {
            running.settle();
        }
    }
    assert!(reading.join().unwrap() == bytes, "bytes lost or out of order");
    running.stop();
}

#[test]
fn the_end_comes_after_the_bytes_before_it_even_when_paused() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"open"), b"open");
    running.tell(Note::Pause);
    running.settle();
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    running.settle();
    running.tell(Note::Resume);
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"last words");
    running.stop();
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    let bytes = pattern(200_000, 9);
    let mut writer = stream.try_clone().unwrap();
    let outgoing = bytes.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&outgoing).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == bytes);
    running.expect(Note::Accepted);
    running.expect(Note::Ended { reset: false });
    running.expect(Note::Closed);
    running.stop();
}

#[test]
fn a_reset_is_told_as_one() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"hello"), b"hello");
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    running.expect(Note::Accepted);
    running.expect(Note::Ended { reset: true });
    running.expect(Note::Closed);
    let (.., slots) = running.stop();
    assert_eq!(slots, (256, 16));
}
