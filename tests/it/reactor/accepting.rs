//! Clients are taken while there is room and leave, and every slot comes back.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::echo::Echo;
use super::{Config, Note, Runtime, client, config, echo_through, pattern, start};

on_each_runtime!(
    two_thousand_connections_leave_every_slot_free,
    a_full_table_lets_clients_wait,
    who_waits_is_taken_before_listening_ends,
);

pub(super) fn two_thousand_connections_leave_every_slot_free(runtime: impl Runtime) {
    let mut running = start(runtime, Config { connections_max: 300, ..config() }, Echo::default());
    let address = running.address;
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            thread::spawn(move || {
                for round in 0..25 {
                    let mut streams: Vec<_> = (0..20).map(|_| client(address)).collect();
                    for (i, stream) in streams.iter_mut().enumerate() {
                        stream.write_all(&pattern(40, seed + round + i)).unwrap();
                    }
                    for (i, stream) in streams.iter_mut().enumerate() {
                        let mut back = [0; 40];
                        stream.read_exact(&mut back).unwrap();
                        assert_eq!(back[..], pattern(40, seed + round + i));
                    }
                }
            })
        })
        .collect();
    let mut closed = 0;
    while closed < 2_000 {
        closed += usize::from(running.hear() == Note::Closed);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let (echo, report) = running.stop();
    assert!(echo.conns.is_empty());
    assert_eq!((report.counters.accepts, report.counters.closes), (2_000, 2_000));
    assert_eq!(report.slots_free, (300, 16));
}

pub(super) fn a_full_table_lets_clients_wait(runtime: impl Runtime) {
    let mut running = start(runtime, Config { connections_max: 3, ..config() }, Echo::default());
    let mut streams: Vec<_> = (0..5).map(|_| client(running.address)).collect();
    for stream in &mut streams[..3] {
        assert_eq!(echo_through(stream, b"in"), b"in");
    }
    streams[3].write_all(b"me").unwrap();
    assert_eq!(running.settle(), [Note::Accepted; 3], "there is no place for the fourth");
    streams.remove(0);
    let mut back = [0; 2];
    streams[2].read_exact(&mut back).unwrap();
    assert_eq!(&back, b"me");
    let (echo, _) = running.stop();
    assert_eq!(echo.peers.len(), 4);
}

/// Clients in the backlog of a full table, too: they get the first slots that are free.
pub(super) fn who_waits_is_taken_before_listening_ends(runtime: impl Runtime) {
    let mut running = start(runtime, Config { connections_max: 3, ..config() }, Echo::default());
    let mut streams: Vec<_> = (0..4).map(|_| client(running.address)).collect();
    for stream in &mut streams[..3] {
        assert_eq!(echo_through(stream, b"in"), b"in");
    }
    streams[3].write_all(b"me").unwrap();
    assert_eq!(running.settle(), [Note::Accepted; 3]);
    running.tell(Note::StopListening);
    drop(streams.remove(0));
    let mut back = [0; 2];
    streams[2].read_exact(&mut back).unwrap();
    assert_eq!(&back, b"me");
    assert_eq!(echo_through(&mut streams[0], b"still"), b"still");
    let start = Instant::now();
    while std::net::TcpStream::connect(running.address).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10), "it listens on");
    }
    assert_eq!(echo_through(&mut streams[1], b"as before"), b"as before");
    running.stop();
}
