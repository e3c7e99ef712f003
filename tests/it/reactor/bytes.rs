//! Bytes come and go whole and in order, however they are cut, and only while they are wanted.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use pinion::reactor::RECEIVE_AFTER_PAUSE_BYTES_MAX;

use super::echo::Echo;
use super::{Config, Note, Report, Runtime, client, config, echo_through, pattern, start};

on_each_runtime!(
    echoes_and_tells_the_peer,
    listens_on_ipv6_as_well,
    pipelined_requests_are_answered_in_order,
    sends_more_than_the_sockets_hold,
    starving_connections_all_get_their_turn,
    a_paused_connection_gets_little_and_loses_nothing,
    pausing_at_any_time_loses_nothing,
    the_end_comes_after_the_bytes_before_it_even_when_paused,
    a_half_closed_client_still_gets_its_answer,
    a_reset_is_told_as_one,
);

pub(super) fn echoes_and_tells_the_peer(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo::default());
    let mut stream = client(running.address);
    for round in 0..50 {
        assert_eq!(echo_through(&mut stream, &pattern(round * 13 + 1, round)), pattern(round * 13 + 1, round));
    }
    let peer = stream.local_addr().unwrap();
    drop(stream);
    running.expect(Note::Accepted);
    running.expect(Note::Ended { reset: false });
    running.expect(Note::Closed);
    let (echo, Report { counters, slots_free }) = running.stop();
    assert_eq!(echo.peers, [peer]);
    assert!(counters.accepts == 1 && counters.receives >= 50 && counters.sends >= 50 && counters.closes == 1);
    assert_eq!(slots_free, (256, 16));
}

pub(super) fn listens_on_ipv6_as_well(runtime: impl Runtime) {
    let listeners = vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    let running = start(runtime, Config { listeners, ..config() }, Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"six"), b"six");
    let (echo, _) = running.stop();
    assert!(echo.peers[0].is_ipv6());
}

pub(super) fn pipelined_requests_are_answered_in_order(runtime: impl Runtime) {
    let running = start(runtime, config(), Echo { answer_bytes_max: 7, ..Echo::default() });
    let mut stream = client(running.address);
    let bytes = pattern(20_000, 2);
    assert!(echo_through(&mut stream, &bytes) == bytes, "bytes lost or out of order");
    let (_, report) = running.stop();
    assert!(report.counters.sends >= 20_000 / 7);
}

pub(super) fn sends_more_than_the_sockets_hold(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo::default());
    let mut stream = client(running.address);
    let bytes = pattern(24 << 20, 3);
    assert!(echo_through(&mut stream, &bytes) == bytes, "bytes lost or out of order");
    drop(stream);
    running.expect(Note::Accepted);
    running.expect(Note::Ended { reset: false });
    running.expect(Note::Closed);
    running.stop();
}

pub(super) fn starving_connections_all_get_their_turn<R: Runtime>(runtime: R) {
    let tiny = Config { receive_buffers: 4, receive_buffer_bytes: 128, ..config() };
    let running = start(runtime, tiny, Echo::default());
    let address = running.address;
    let threads: Vec<_> = (0..12)
        .map(|seed| {
            thread::spawn(move || {
                let bytes = pattern(100_000, seed);
                assert!(echo_through(&mut client(address), &bytes) == bytes);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let (_, report) = running.stop();
    assert_eq!(report.counters.receives_starved > 0, R::SHARES_BLOCKS, "the test is to make them starve");
}

pub(super) fn a_paused_connection_gets_little_and_loses_nothing<R: Runtime>(runtime: R) {
    let mut running = start(runtime, config(), Echo::default());
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
    let (echo, _) = running.stop();
    assert!(echo.paused_bytes_max <= R::AFTER_PAUSE_BYTES_MAX, "{}", echo.paused_bytes_max);
}

pub(super) fn pausing_at_any_time_loses_nothing<R: Runtime>(runtime: R) {
    let mut running = start(runtime, config(), Echo::default());
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
    let (echo, _) = running.stop();
    assert!(echo.paused_bytes_max <= R::AFTER_PAUSE_BYTES_MAX, "{}", echo.paused_bytes_max);
}

pub(super) fn the_end_comes_after_the_bytes_before_it_even_when_paused(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo::default());
    // Bytes and end find the connection paused, or come while it is being paused.
    for is_settled in [true, false] {
        let mut stream = client(running.address);
        assert_eq!(echo_through(&mut stream, b"open"), b"open");
        running.tell(Note::Pause);
        if is_settled {
            running.settle();
        }
        stream.write_all(b"last words").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        running.settle();
        running.tell(Note::Resume);
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!(back, b"last words");
    }
    running.stop();
}

pub(super) fn a_half_closed_client_still_gets_its_answer(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo::default());
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

pub(super) fn a_reset_is_told_as_one(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"hello"), b"hello");
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    running.expect(Note::Accepted);
    running.expect(Note::Ended { reset: true });
    running.expect(Note::Closed);
    let (_, report) = running.stop();
    assert_eq!(report.slots_free, (256, 16));
}
