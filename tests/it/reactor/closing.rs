//! Closing: politely, by force, and by the end of the runtime.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use pinion::ids::ShardId;
use pinion::reactor::{ConnId, Event, Handler, Io};

use super::echo::Echo;
use super::{LINGER, Note, Runtime, client, config, echo_through, filled, start};

on_each_runtime!(
    closing_sends_the_answer_first_even_if_bytes_are_unread,
    a_client_that_never_closes_is_cut_off,
    an_abort_resets,
    an_abort_gives_a_stuck_buffer_back_before_it_closes,
    a_polite_close_still_sends_it_all,
    a_runtime_may_end_with_everything_under_way,
);

pub(super) fn closing_sends_the_answer_first_even_if_bytes_are_unread(runtime: impl Runtime) {
    let running = start(runtime, config(), Echo { close_after_answer: Some(false), ..Echo::default() });
    for round in 0..20 {
        let mut stream = client(running.address);
        stream.write_all(b"question").unwrap();
        if round % 2 == 0 {
            // The server has closed its side, or is about to.
            assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
        }
        // What comes after the answer must not turn it into a reset.
        let _ = stream.write_all(&[b'x'; 30_000]);
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back.starts_with(b"question"));
    }
    running.stop();
}

pub(super) fn a_client_that_never_closes_is_cut_off(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo { close_after_answer: Some(false), ..Echo::default() });
    let mut stream = client(running.address);
    let begin = Instant::now();
    assert_eq!(echo_through(&mut stream, b"x"), b"x");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the server's side is closed at once");
    running.expect(Note::Accepted);
    running.expect(Note::Closed);
    // The turn in which it was closed may have begun before the bytes came.
    assert!(begin.elapsed() > LINGER / 2, "it has time to take the answer: {:?}", begin.elapsed());
    let error = loop {
        if let Err(error) = stream.write_all(b"more") {
            break error.kind();
        }
    };
    assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error), "{error}");
    running.stop();
}

pub(super) fn an_abort_resets(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo { close_after_answer: Some(true), ..Echo::default() });
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

impl<I: Io<Message = Note>> Handler<I> for Stuck {
    fn on_event(&mut self, io: &mut I, event: Event<'_, Note>) {
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

    fn on_turn(&mut self, _: &mut I) -> Option<u64> {
        (!self.is_stopping).then_some(u64::MAX)
    }
}

pub(super) fn an_abort_gives_a_stuck_buffer_back_before_it_closes(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Stuck::default());
    let stream = client(running.address);
    running.expect(Note::Accepted);
    // The first byte tells that the send is under way.
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    // Closing politely waits for the send; aborting after all doesn't.
    running.tell(Note::Close { abort: false });
    assert_eq!(running.settle(), []);
    running.tell(Note::Close { abort: true });
    running.expect(Note::Sent { ok: false });
    running.expect(Note::Closed);
    let (_, report) = running.stop();
    assert_eq!(report.slots_free, (256, 16));
    drop(stream);
}

pub(super) fn a_polite_close_still_sends_it_all(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Stuck::default());
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

pub(super) fn a_runtime_may_end_with_everything_under_way(runtime: impl Runtime) {
    let running = start(runtime, config(), Stuck::default());
    let streams: Vec<_> = (0..10).map(|_| client(running.address)).collect();
    streams.iter().for_each(|stream| assert_eq!(stream.peek(&mut [0]).unwrap(), 1));
    let begin = Instant::now();
    running.stop();
    assert!(begin.elapsed() < Duration::from_secs(5), "the kernel lets go at once");
    for mut stream in streams {
        // The end of it comes, one way or the other.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
}
