//! The second runtime: the same seam on the `glommio` crate, one executor pinned to one core. It is what serves on
//! kernels that the main runtime can't use, and the baseline that the main one is measured against.
//!
//! Each connection is a task, as a program written for glommio would have it. Tasks never call the handler: they put
//! what happened into one queue, and a single driver drains it, hands over the messages of other shards, and then
//! gives the handler its turn. So the handler is never entered twice at a time, as with the other runtimes.
//!
//! It allocates while it runs and makes a system call per receive and send; the promises about both are the main
//! runtime's alone. Source: glommio 0.9, whose executor and sockets are used as they come.

mod acceptor;
mod connection;
mod hub;
mod refusal;
mod table;
mod turn;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ::glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use self::hub::Hub;
use self::table::{Phase, Table};
use super::listener::Listeners;
use super::mailbox::Endpoint;
use super::{Buffer, ConnId, Io, RECEIVE_AFTER_PAUSE_BYTES_MAX, clocks};
use crate::clock::Now;
use crate::ids::ShardId;

/// Open files of one runtime beside its connections: rings, timers, the bell, listening sockets.
pub const OWN_FILES: u64 = 32;
/// Registered for files, which we have none of: the least that glommio takes. Locked memory is scarce (8 MiB for all
/// shards together on many machines).
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// When this timer fires just before the executor turns to its tasks, glommio 0.9 takes the interruption for a lack of
/// work and goes to sleep with tasks that could run; a thread that the kernel sets aside for that long hangs. So it is
/// put off for ever. It is there to let tasks yield to input and output, for which the driver cares itself.
const PREEMPT_INTERVAL: Duration = Duration::from_secs(24 * 3_600);

/// What a runtime is to be. Everything in it is fixed from then on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The core that the calling thread is pinned to.
    pub core: Option<usize>,
    /// Where to listen; port 0 leaves the choice to the kernel ([`Glommio::addresses`]).
    pub listeners: Vec<SocketAddr>,
    /// Clients at one time.
    pub connections_max: u32,
    /// Connections of our own at one time.
    pub outgoing_max: u32,
    /// The most that one `Received` brings, at most [`RECEIVE_AFTER_PAUSE_BYTES_MAX`].
    pub receive_buffer_bytes: u32,
    /// How long to look for work without sleeping; only with a core of our own. 0 where other threads want the core.
    pub spin_ns: u64,
    /// How long a client whose connection we closed has to take our last bytes and close its side.
    pub linger_ns: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            core: None,
            listeners: Vec::new(),
            connections_max: 10_000,
            outgoing_max: 1_024,
            receive_buffer_bytes: 2_048,
            spin_ns: 0,
            linger_ns: 1_000_000_000,
        }
    }
}

/// What a runtime has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub turns: u64,
    pub accepts: u64,
    /// Accepts that failed for want of files or memory.
    pub accepts_failed: u64,
    pub receives: u64,
    pub receive_bytes: u64,
    pub sends: u64,
    pub connects: u64,
    pub closes: u64,
    pub messages: u64,
}

/// The runtime. It belongs to the thread that made it.
pub struct Glommio<M> {
    /// Away while it runs.
    executor: Option<LocalExecutor>,
    listeners: Listeners,
    hub: Rc<Hub>,
    mailbox: Endpoint<M>,
    now: Now,
    /// How long the event at hand can have waited.
    lag_ns: u64,
    counters: Counters,
}

impl<M> Glommio<M> {
    /// Makes the executor and listens, on the calling thread, which is pinned. Accepting begins with
    /// [`Glommio::run`].
    ///
    /// # Errors
    /// One line that says what to do when io_uring can't be had, an address that can't be bound, a core that isn't
    /// there.
    ///
    /// # Panics
    /// When one receive buffer holds more than a paused connection may still bring.
    pub fn new(config: &Config, mailbox: Endpoint<M>) -> io::Result<Glommio<M>> {
        assert!(config.receive_buffer_bytes as usize <= RECEIVE_AFTER_PAUSE_BYTES_MAX);
        refusal::probe()?;
        let placement = config.core.map_or(Placement::Unbound, Placement::Fixed);
        let executor = LocalExecutorBuilder::new(placement)
            .io_memory(IO_MEMORY_BYTES)
            .preempt_timer(PREEMPT_INTERVAL)
            .spin_before_park(Duration::from_nanos(config.spin_ns))
            .make()
            .map_err(|error| refusal::explain(error, config.core))?;
        let listeners = Listeners::new(&config.listeners)?;
        let table = Table::new(config.connections_max, config.outgoing_max);
        let linger = Duration::from_nanos(config.linger_ns);
        Ok(Glommio {
            executor: Some(executor),
            listeners,
            hub: Rc::new(Hub::new(table, config.receive_buffer_bytes as usize, linger)),
            mailbox,
            now: clocks::read(),
            lag_ns: 0,
            counters: Counters::default(),
        })
    }

    /// Where the listeners are bound, in the order of the configuration.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.addresses()
    }

    pub fn counters(&self) -> Counters {
        Counters { accepts_failed: self.hub.accepts_failed.get(), ..self.counters }
    }

    /// Slots that have no tenant: for clients, and for our own connections.
    pub fn slots_free(&self) -> (usize, usize) {
        self.hub.table.borrow().slots_free()
    }
}

impl<M> Io for Glommio<M> {
    type Message = M;

    fn now(&self) -> Now {
        self.now
    }

    fn lag_ns(&self) -> u64 {
        self.lag_ns
    }

    /// # Panics
    /// When the connection is not open or sends already: bugs of the handler, that would lose its buffer.
    fn send(&mut self, conn: ConnId, buffer: Buffer) {
        let mut table = self.hub.table.borrow_mut();
        let slot = table.find(conn).expect("send on a connection that is gone");
        assert_eq!(slot.phase, Phase::Open, "send on a connection that is not open");
        assert!(!slot.is_sending, "a send is under way");
        slot.is_sending = true;
        slot.to_send = Some(buffer);
        slot.wake();
        self.counters.sends += 1;
    }

    fn connect(&mut self, address: SocketAddr) -> Option<ConnId> {
        let conn = self.hub.table.borrow_mut().take_outgoing()?;
        connection::spawn_connect(&self.hub, conn, address);
        self.counters.connects += 1;
        Some(conn)
    }

    fn close(&mut self, conn: ConnId, abort: bool) {
        let mut table = self.hub.table.borrow_mut();
        let Some(slot) = table.find(conn) else { return };
        slot.phase = match (slot.phase, abort) {
            (Phase::Open, false) => Phase::Draining,
            (Phase::Draining, false) => return,
            _ => Phase::Breaking,
        };
        slot.wake();
    }

    fn pause_receive(&mut self, conn: ConnId) {
        if let Some(slot) = self.hub.table.borrow_mut().find(conn) {
            slot.is_paused = true;
        }
    }

    fn resume_receive(&mut self, conn: ConnId) {
        if let Some(slot) = self.hub.table.borrow_mut().find(conn) {
            slot.is_paused = false;
            slot.wake();
        }
    }

    fn stop_listening(&mut self) {
        self.listeners.end(self.now.mono_ns);
    }

    fn is_listening(&self) -> bool {
        self.listeners.are_open() || self.hub.is_accepting()
    }

    fn post(&mut self, to: ShardId, message: M) -> Result<(), M> {
        self.mailbox.post(to, message)
    }

    fn post_room(&self, to: ShardId) -> usize {
        self.mailbox.room(to)
    }
}
