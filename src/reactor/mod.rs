//! The seam between the shard, a plain state machine, and what moves its bytes.
//!
//! A runtime owns sockets, memory for reception and the clock. It drives a [`Handler`] with [`Event`]s and carries
//! out what the handler asks of its [`Io`]. Three runtimes stand behind the seam: `uring` (the main one), `glommio`
//! (older kernels, and the measured baseline) and the tests' simulation. Nothing here knows what a request is.
//!
//! A connection's life: `Accepted` (or `connect` then `Connected`), any number of `Received` and `Sent`, at most one
//! `Ended`, then, after the handler called `close`, exactly one `Closed`. Its slot is reused only after `Closed`.

pub mod buffer;
pub mod clocks;
pub mod eventfd;
pub mod glommio;
pub mod listener;
pub mod mailbox;
pub mod open_files;
pub mod uring;

use std::net::SocketAddr;

pub use buffer::Buffer;

use crate::clock::Now;
use crate::ids::ShardId;

/// A connection: a slot in the runtime's table, and the generation that tells its successive tenants apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    pub slot: u32,
    /// 24 bits.
    pub generation: u32,
}

/// What happened. Bytes are borrowed for the call only.
#[derive(Debug)]
pub enum Event<'a, M> {
    /// A client connected.
    Accepted { conn: ConnId, peer: SocketAddr },
    /// An outgoing connection is up (`true`), or could not be made: `close` it then, as any other.
    Connected { conn: ConnId, ok: bool },
    /// Bytes arrived.
    Received { conn: ConnId, bytes: &'a [u8] },
    /// Nothing more will arrive: the peer closed its side (`reset: false`) or the connection broke (`reset: true`).
    Ended { conn: ConnId, reset: bool },
    /// A buffer given to `send` comes back, wholly sent or (`ok: false`) not.
    Sent { conn: ConnId, buffer: Buffer, ok: bool },
    /// The connection is gone and its slot free. Comes once, only after `close`, after any buffer in `Sent`.
    Closed { conn: ConnId },
    /// A message from another shard or from the control thread.
    Message { from: ShardId, message: M },
}

/// What a handler may ask for. Every call returns at once; what comes of it arrives as an [`Event`].
pub trait Io {
    /// What shards say to each other.
    type Message;

    /// The clocks, as read at the start of this turn.
    fn now(&self) -> Now;
    /// How long what is handed over now has waited for its turn before, as lately measured. A runtime that doesn't
    /// measure says 0.
    fn lag_ns(&self) -> u64 {
        0
    }
    /// Sends `buffer.bytes()`. At most one send may be under way on a connection.
    fn send(&mut self, conn: ConnId, buffer: Buffer);
    /// Opens a connection; `None` when every slot for outgoing connections is taken.
    fn connect(&mut self, address: SocketAddr) -> Option<ConnId>;
    /// Ends a connection. With `abort` it is reset at once; otherwise what a send has under way is still sent, and the
    /// peer gets a little time to take it and close its side. From now on only `Sent` (for a send under way) and
    /// `Closed` come. Closing again with `abort` cuts a polite close short.
    fn close(&mut self, conn: ConnId, abort: bool);
    /// Stops reading (the handler's buffer for this connection is full). Bytes that are already on their way up may
    /// still arrive: at most [`RECEIVE_AFTER_PAUSE_BYTES_MAX`].
    fn pause_receive(&mut self, conn: ConnId);
    /// Reads again.
    fn resume_receive(&mut self, conn: ConnId);
    /// Takes the clients that wait to be accepted, and then no more: the listening sockets are closed, so that new
    /// clients are refused at once, or go to whoever listens there next.
    fn stop_listening(&mut self);
    /// Whether new clients can come: listening was not stopped, or some still wait to be taken.
    fn is_listening(&self) -> bool;
    /// Hands a message to another shard, or gives it back when the way there is full.
    fn post(&mut self, to: ShardId, message: Self::Message) -> Result<(), Self::Message>;
    /// How many more messages `post` takes for a shard now, at least.
    fn post_room(&self, to: ShardId) -> usize;
}

/// What a handler must be ready to take after `pause_receive`: receptions that were complete before it.
pub const RECEIVE_AFTER_PAUSE_BYTES_MAX: usize = 32 * 1024;

/// A state machine that a runtime drives.
pub trait Handler<I: Io> {
    /// One event.
    fn on_event(&mut self, io: &mut I, event: Event<'_, I::Message>);
    /// Called once per turn after its events. Returns the monotonic time at which it wants to be called again even
    /// if nothing happens (`u64::MAX`: never), or `None` to end the loop.
    fn on_turn(&mut self, io: &mut I) -> Option<u64>;
}
