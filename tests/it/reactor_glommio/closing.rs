//! Closing: politely, by force, and by the end of the runtime.

use std::io::{ErrorKind, Read, Write};

use pinion::ids::ShardId;
use pinion::reactor::{ConnId, Event, Handler, Io};

use super::echo::Echo;
use super::{Loop, Note, client, config, echo_through, filled, start};

#[test]
fn closing_sends_the_answer_first_even_if_bytes_are_unread() {
    let running = start(config(), Echo { close_after_answer: Some(false), ..Echo::default() });
    for _ in 0..20 {
        let mut stream = client(running.address);
        stream.write_all(b"question").unwrap();
        // What comes after the answer must not turn it into a reset.
        let _ = stream.write_all(&[b'x'; 30_000]);
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back.starts_with(b"question"));
    }
    running.stop();
}

#[test]
fn a_client_that_never_closes_is_cut_off() {
    let mut running = start(config(), Echo { close_after_answer: Some(false), ..Echo::default() });
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"x"), b"x");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the server's side is closed at once");
    running.expect(Note::Accepted);
    running.expect(Note::Closed);
    let error = loop {
        if let Err(error) = stream.write_all(b"more") {
            break error.kind();
        }
    };
    assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error), "{error}");
    running.stop();
}

#[test]
fn an_abort_resets() {
    let mut running = start(config(), Echo { close_after_answer: Some(true), ..Echo::default() });
    let mut stream = client(running.address);
    stream.write_all(b"x").unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    running.expect(Note::Accepted);
    running.expect(Note::Closed);
    running.stop();
}

/// Sends more than the peer takes, and closes as it is told.
#[derive(Default)]
struct Stuck {
    conn: Option<ConnId>,
    is_stopping: bool,
}

impl Handler<Loop> for Stuck {
    fn on_event(&mut self, io: &mut Loop, event: Event<'_, Note>) {
        let note = match event {
            Event::Accepted { conn, .. } => {
                self.conn = Some(conn);
                io.send(conn, filled(&vec![0; 32 << 20]));
                Note::Accepted
            }
            Event::Sent { buffer, ok, .. } => {
                assert_eq!(buffer.len(), 32 << 20, "the buffer itself");
                Note::Sent { ok }
            }
            Event::Closed { .. } => Note::Closed,
            Event::Message { message: Note::Close { abort }, .. } => return io.close(self.conn.unwrap(), abort),
            Event::Message { message: Note::Stop, .. } => {
                self.is_stopping = true;
                return;
            }
            Event::Message { message, .. } => message,
            other => panic!("{other:?}"),
        };
        io.post(ShardId::CONTROL, note).unwrap();
    }

    fn on_turn(&mut self, _: &mut Loop) -> Option<u64> {
        (!self.is_stopping).then_some(u64::MAX)
    }
}

#[test]
fn an_abort_gives_a_stuck_buffer_back_before_it_closes() {
    let mut running = start(config(), Stuck::default());
    let stream = client(running.address);
    running.expect(Note::Accepted);
    // Closing politely waits for the send; aborting after all doesn't.
    running.tell(Note::Close { abort: false });
    assert_eq!(running.settle(), []);
    running.tell(Note::Close { abort: true });
    running.expect(Note::Sent { ok: false });
    running.expect(Note::Closed);
    let (.., slots) = running.stop();
    assert_eq!(slots, (256, 16));
    drop(stream);
}

#[test]
fn a_polite_close_still_sends_it_all() {
    let mut running = start(config(), Stuck::default());
    let mut stream = client(running.address);
    running.expect(Note::Accepted);
    running.tell(Note::Close { abort: false });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), 32 << 20);
    drop(stream);
    running.expect(Note::Sent { ok: true });
    running.expect(Note::Closed);
    running.stop();
}

#[test]
fn a_runtime_may_end_with_everything_under_way() {
    let mut running = start(config(), Stuck::default());
    let streams: Vec<_> = (0..10).map(|_| client(running.address)).collect();
    for _ in &streams {
        running.expect(Note::Accepted);
    }
    running.stop();
    for mut stream in streams {
        // The end of it comes, one way or the other.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
}
