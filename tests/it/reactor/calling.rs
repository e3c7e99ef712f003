//! Connections of our own.

use std::net::{SocketAddr, TcpListener, TcpStream};

use pinion::reactor::{Event, Handler, Io};

use super::echo::Echo;
use super::{Config, Note, Report, Runtime, config, filled, start};

on_each_runtime!(
    connects_as_often_as_slots_allow,
    a_refused_connection_is_told_and_closed,
    a_connect_that_hangs_can_be_given_up,
);

/// Opens connections to `target`, says something and closes after the answer.
#[derive(Debug)]
struct Caller {
    target: SocketAddr,
    left: usize,
    open: usize,
    up: usize,
    refused: usize,
    answers: usize,
    cancel_at_once: bool,
}

impl Caller {
    fn new(target: SocketAddr, left: usize) -> Caller {
        Caller { target, left, open: 0, up: 0, refused: 0, answers: 0, cancel_at_once: false }
    }
}

impl<I: Io<Message = Note>> Handler<I> for Caller {
    fn on_event(&mut self, io: &mut I, event: Event<'_, Note>) {
        match event {
            Event::Connected { conn, ok: true } => {
                self.up += 1;
                io.send(conn, filled(b"anyone there?"));
            }
            Event::Connected { conn, ok: false } => {
                self.refused += 1;
                io.close(conn, false);
            }
            Event::Received { conn, bytes } => {
                assert_eq!(bytes, b"anyone there?");
                self.answers += 1;
                io.close(conn, self.answers.is_multiple_of(2));
            }
            Event::Closed { .. } => self.open -= 1,
            Event::Sent { ok, .. } => assert!(ok),
            other => panic!("{other:?}"),
        }
    }

    fn on_turn(&mut self, io: &mut I) -> Option<u64> {
        while self.left > 0 {
            let Some(conn) = io.connect(self.target) else { break };
            self.left -= 1;
            self.open += 1;
            if self.cancel_at_once {
                io.close(conn, false);
            }
        }
        (self.open > 0).then_some(u64::MAX)
    }
}

fn call(runtime: impl Runtime, caller: Caller) -> (Caller, Report) {
    let running = start(runtime, Config { listeners: Vec::new(), outgoing_max: 4, ..config() }, caller);
    running.thread.join().unwrap()
}

pub(super) fn connects_as_often_as_slots_allow(runtime: impl Runtime) {
    let server = start(runtime, config(), Echo::default());
    let (caller, Report { counters, slots_free }) = call(runtime, Caller::new(server.address, 50));
    assert_eq!((caller.up, caller.answers, caller.refused), (50, 50, 0));
    assert_eq!((counters.connects, counters.closes, slots_free.1), (50, 50, 4));
    server.stop();
}

pub(super) fn a_refused_connection_is_told_and_closed(runtime: impl Runtime) {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (caller, Report { slots_free, .. }) = call(runtime, Caller::new(nobody, 9));
    assert_eq!((caller.up, caller.refused, slots_free.1), (0, 9, 4));
}

pub(super) fn a_connect_that_hangs_can_be_given_up(runtime: impl Runtime) {
    // A listener whose backlog is full drops what comes, so connecting hangs.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let full = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = TcpStream::connect(full).unwrap();
    let (caller, Report { slots_free, .. }) = call(runtime, Caller { cancel_at_once: true, ..Caller::new(full, 8) });
    assert_eq!((caller.up, caller.refused, slots_free.1), (0, 0, 4), "no word of it after close");
}
