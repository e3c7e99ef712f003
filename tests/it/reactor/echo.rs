//! The handler of most tests: it sends back what comes, and tells the test's thread what it sees.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use pinion::ids::ShardId;
use pinion::reactor::{ConnId, Event, Handler, Io};

use super::{Note, filled};

/// Sends back what comes, in order, and tells what it sees.
pub(super) struct Echo {
    /// Sent in one buffer at most.
    pub(super) answer_bytes_max: usize,
    /// Give up on a connection after its first answer, by this `abort`.
    pub(super) close_after_answer: Option<bool>,
    pub(super) conns: BTreeMap<u32, EchoConn>,
    pub(super) peers: Vec<SocketAddr>,
    pub(super) is_paused: bool,
    /// Since it was paused last.
    pub(super) paused_bytes: usize,
    /// The most in one pause.
    pub(super) paused_bytes_max: usize,
    pub(super) is_stopping: bool,
}

#[derive(Default)]
pub(super) struct EchoConn {
    generation: u32,
    waiting: VecDeque<u8>,
    is_sending: bool,
    is_ended: bool,
    is_closing: bool,
}

impl Default for Echo {
    fn default() -> Echo {
        Echo {
            answer_bytes_max: usize::MAX,
            close_after_answer: None,
            conns: BTreeMap::new(),
            peers: Vec::new(),
            is_paused: false,
            paused_bytes: 0,
            paused_bytes_max: 0,
            is_stopping: false,
        }
    }
}

impl Echo {
    fn answer(&mut self, io: &mut impl Io<Message = Note>, conn: ConnId) {
        let state = self.conns.get_mut(&conn.slot).unwrap();
        if state.is_sending || state.is_closing {
            return;
        }
        if !state.waiting.is_empty() {
            let count = state.waiting.len().min(self.answer_bytes_max);
            let bytes: Vec<u8> = state.waiting.drain(..count).collect();
            state.is_sending = true;
            io.send(conn, filled(&bytes));
        } else if state.is_ended {
            state.is_closing = true;
            io.close(conn, false);
        }
    }

    fn on_note(&mut self, io: &mut impl Io<Message = Note>, note: Note) {
        let ids = self.conns.iter().map(|(&slot, state)| ConnId { slot, generation: state.generation });
        match note {
            Note::Stop => self.is_stopping = true,
            Note::Pause => {
                (self.is_paused, self.paused_bytes) = (true, 0);
                ids.for_each(|conn| io.pause_receive(conn));
            }
            Note::Resume => {
                self.is_paused = false;
                ids.for_each(|conn| io.resume_receive(conn));
            }
            Note::StopListening => io.stop_listening(),
            Note::Ball(_) => io.post(ShardId::CONTROL, note).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

impl<I: Io<Message = Note>> Handler<I> for Echo {
    fn on_event(&mut self, io: &mut I, event: Event<'_, Note>) {
        match event {
            Event::Accepted { conn, peer } => {
                self.peers.push(peer);
                let state = EchoConn { generation: conn.generation, ..EchoConn::default() };
                assert!(self.conns.insert(conn.slot, state).is_none(), "a slot with two tenants");
                io.post(ShardId::CONTROL, Note::Accepted).unwrap();
            }
            Event::Received { conn, bytes } => {
                if self.is_paused {
                    self.paused_bytes += bytes.len();
                    self.paused_bytes_max = self.paused_bytes_max.max(self.paused_bytes);
                }
                let state = self.conns.get_mut(&conn.slot).unwrap();
                assert!(state.generation == conn.generation && !state.is_ended && !state.is_closing);
                state.waiting.extend(bytes);
                self.answer(io, conn);
            }
            Event::Ended { conn, reset } => {
                let state = self.conns.get_mut(&conn.slot).unwrap();
                assert!(!std::mem::replace(&mut state.is_ended, true), "ends once");
                io.post(ShardId::CONTROL, Note::Ended { reset }).unwrap();
                self.answer(io, conn);
            }
            Event::Sent { conn, ok, .. } => {
                let state = self.conns.get_mut(&conn.slot).unwrap();
                assert!(std::mem::replace(&mut state.is_sending, false), "comes back once");
                if !ok {
                    io.post(ShardId::CONTROL, Note::Sent { ok }).unwrap();
                }
                if let Some(abort) = self.close_after_answer
                    && !state.is_closing
                {
                    state.is_closing = true;
                    io.close(conn, abort);
                }
                self.answer(io, conn);
            }
            Event::Closed { conn } => {
                let state = self.conns.remove(&conn.slot).expect("closes once");
                assert!(state.is_closing && !state.is_sending && state.generation == conn.generation);
                io.post(ShardId::CONTROL, Note::Closed).unwrap();
            }
            Event::Message { from, message } => {
                assert_eq!(from, ShardId::CONTROL);
                self.on_note(io, message);
            }
            Event::Connected { .. } => panic!("nothing was connected"),
        }
    }

    fn on_turn(&mut self, _: &mut I) -> Option<u64> {
        (!self.is_stopping).then_some(u64::MAX)
    }
}
