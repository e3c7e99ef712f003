//! The simulated runtime of one shard: it takes note of what the handler asks for, and the world carries it out.

use std::net::SocketAddr;

use pinion::clock::Now;
use pinion::ids::ShardId;
use pinion::reactor::{Buffer, ConnId, Io};

/// What a handler asked for.
#[derive(Debug)]
pub enum Effect<M> {
    Send { conn: ConnId, buffer: Buffer },
    Connect { conn: ConnId, address: SocketAddr },
    Close { conn: ConnId, abort: bool },
    Resume { conn: ConnId },
    Post { to: ShardId, message: M },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    pub generation: u32,
    pub open: bool,
    pub closing: bool,
    pub paused: bool,
    pub sending: bool,
}

#[derive(Debug)]
pub struct SimIo<M> {
    pub now: Now,
    pub slots: Vec<Slot>,
    /// How long everything that arrives waits before the shard is told.
    pub lag_ns: u64,
    /// Slots from here on are for outgoing connections.
    pub outgoing_start: usize,
    pub accepting: bool,
    pub effects: Vec<Effect<M>>,
    /// How many messages may be on the way from here to each shard.
    pub post_room: Vec<usize>,
}

impl<M> SimIo<M> {
    pub fn new(clients: usize, outgoing: usize, shards: usize, post_room: usize) -> SimIo<M> {
        SimIo {
            now: Now::default(),
            lag_ns: 0,
            slots: vec![Slot::default(); clients + outgoing],
            outgoing_start: clients,
            accepting: true,
            effects: Vec::new(),
            post_room: vec![post_room; shards],
        }
    }

    pub fn open_slot(&mut self, from: usize, to: usize) -> Option<ConnId> {
        let slot = (from..to).find(|slot| !self.slots[*slot].open)?;
        let generation = (self.slots[slot].generation + 1) & 0xff_ffff;
        self.slots[slot] = Slot { generation, open: true, ..Slot::default() };
        Some(ConnId { slot: slot as u32, generation })
    }

    /// The slot of a connection that is still open, whether or not it is closing.
    pub fn slot_mut(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = &mut self.slots[conn.slot as usize];
        (slot.open && slot.generation == conn.generation).then_some(slot)
    }
}

impl<M> Io for SimIo<M> {
    type Message = M;

    fn now(&self) -> Now {
        self.now
    }

    fn lag_ns(&self) -> u64 {
        self.lag_ns
    }

    fn send(&mut self, conn: ConnId, buffer: Buffer) {
        let slot = self.slot_mut(conn).expect("a send on a connection that is gone");
        assert!(!slot.sending, "two sends at once on {conn:?}");
        assert!(!slot.closing, "a send after close on {conn:?}");
        slot.sending = true;
        self.effects.push(Effect::Send { conn, buffer });
    }

    fn connect(&mut self, address: SocketAddr) -> Option<ConnId> {
        let conn = self.open_slot(self.outgoing_start, self.slots.len())?;
        self.effects.push(Effect::Connect { conn, address });
        Some(conn)
    }

    fn close(&mut self, conn: ConnId, abort: bool) {
        let slot = self.slot_mut(conn).expect("a close of a connection that is gone");
        assert!(!slot.closing, "two closes of {conn:?}");
        slot.closing = true;
        self.effects.push(Effect::Close { conn, abort });
    }

    fn pause_receive(&mut self, conn: ConnId) {
        self.slot_mut(conn).expect("a pause of a connection that is gone").paused = true;
    }

    fn resume_receive(&mut self, conn: ConnId) {
        self.slot_mut(conn).expect("a resume of a connection that is gone").paused = false;
        self.effects.push(Effect::Resume { conn });
    }

    fn stop_listening(&mut self) {
        self.accepting = false;
    }

    fn is_listening(&self) -> bool {
        self.accepting
    }

    fn post(&mut self, to: ShardId, message: M) -> Result<(), M> {
        // The control thread always has room.
        if let Some(room) = self.post_room.get_mut(to.0 as usize) {
            if *room == 0 {
                return Err(message);
            }
            *room -= 1;
        }
        self.effects.push(Effect::Post { to, message });
        Ok(())
    }

    fn post_room(&self, to: ShardId) -> usize {
        self.post_room.get(to.0 as usize).copied().unwrap_or(usize::MAX)
    }
}
