//! The smallest runtime: one client at a time, and no kernel. What is sent stays under way until the test says so.

use pinion::clock::Now;
use pinion::ids::ShardId;
use pinion::reactor::{Buffer, ConnId, Event, Handler, Io};
use pinion::shard::{Message, Shard};
use std::net::SocketAddr;

/// What the shard asked for, and what the client got.
#[derive(Default)]
pub struct Loopback {
    pub now: Now,
    /// Everything sent to the present client.
    pub sent: Vec<u8>,
    under_way: Option<(ConnId, Buffer)>,
    conn: Option<ConnId>,
    generation: u32,
    pub paused: bool,
    closing: bool,
}

impl Io for Loopback {
    type Message = Message;

    fn now(&self) -> Now {
        self.now
    }

    fn send(&mut self, conn: ConnId, buffer: Buffer) {
        assert!(self.conn == Some(conn) && !self.closing, "a send on a connection that is gone");
        assert!(self.under_way.is_none(), "two sends at once");
        self.sent.extend_from_slice(buffer.bytes());
        self.under_way = Some((conn, buffer));
    }

    fn connect(&mut self, _address: SocketAddr) -> Option<ConnId> {
        unreachable!("no partner is configured")
    }

    fn close(&mut self, conn: ConnId, _abort: bool) {
        assert!(self.conn == Some(conn) && !self.closing, "a close of a connection that is gone");
        self.closing = true;
    }

    fn pause_receive(&mut self, _conn: ConnId) {
        self.paused = true;
    }

    fn resume_receive(&mut self, _conn: ConnId) {
        self.paused = false;
    }

    fn stop_listening(&mut self) {}

    fn is_listening(&self) -> bool {
        false
    }

    fn post(&mut self, to: ShardId, _message: Message) -> Result<(), Message> {
        unreachable!("there is no other shard to tell: {to:?}")
    }

    fn post_room(&self, _to: ShardId) -> usize {
        0
    }
}

impl Loopback {
    /// A client connects.
    pub fn open(&mut self, shard: &mut Shard, address: [u8; 4]) {
        assert!(self.conn.is_none(), "one client at a time");
        self.generation = (self.generation + 1) & 0xff_ffff;
        let conn = ConnId { slot: 0, generation: self.generation };
        *self = Loopback { now: self.now, conn: Some(conn), generation: self.generation, ..Loopback::default() };
        shard.on_event(self, Event::Accepted { conn, peer: (address, 40_000).into() });
    }

    /// Bytes arrive, unless the server closed before.
    pub fn receive(&mut self, shard: &mut Shard, bytes: &[u8]) {
        if let (Some(conn), false) = (self.conn, self.closing) {
            shard.on_event(self, Event::Received { conn, bytes });
        }
    }

    /// What is under way arrives at the client; `false` when nothing was.
    pub fn deliver(&mut self, shard: &mut Shard) -> bool {
        let Some((conn, buffer)) = self.under_way.take() else { return false };
        shard.on_event(self, Event::Sent { conn, buffer, ok: true });
        true
    }

    /// The client has nothing more to say. Returns whether the server had closed by itself.
    pub fn finish(&mut self, shard: &mut Shard) -> bool {
        while self.deliver(shard) {}
        let conn = self.conn.expect("it is open");
        let closed = self.closing;
        if !closed {
            shard.on_event(self, Event::Ended { conn, reset: false });
            while self.deliver(shard) {}
            assert!(self.closing, "a client that is gone is let go");
        }
        shard.on_event(self, Event::Closed { conn });
        self.conn = None;
        closed
    }
}
