//! The main runtime: one ring, one thread, no system call but `io_uring_enter`.
//!
//! Sockets are direct descriptors: they live in the ring's own table of files and have no number in the process. Each
//! connection receives by one multishot request into blocks that all connections share, and sends from buffers that
//! its handler hands over. A turn drains what is complete, lets the handler act, shows the kernel the blocks that came
//! back, and enters the kernel once, to submit and to wait.
//!
//! Needs Linux 6.1. On an older kernel, or when io_uring is forbidden, [`Uring::new`] says so in one line.
//!
//! Source: io_uring(7), io_uring_enter(2), io_uring_setup_buf_ring(3), and the kernel's io_uring/net.c.

mod acceptor;
mod complete;
mod probe;
mod receptions;
mod refusal;
mod ring;
mod submit;
mod table;
mod token;
mod turn;
mod without;

use std::io;
use std::net::SocketAddr;

use socket2::SockAddr;

pub use refusal::Refusal;
pub use without::{FEATURES, Without};

use self::acceptor::Acceptor;
use self::probe::Probe;
use self::receptions::Receptions;
use self::ring::Ring;
use self::table::{Phase, Receive, Table};
use super::mailbox::{Endpoint, Receiver};
use super::{Buffer, ConnId, Io, clocks, open_files};
use crate::clock::Now;
use crate::ids::ShardId;

/// What a runtime is to be. Everything in it is fixed from then on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The core that the calling thread is pinned to.
    pub core: Option<usize>,
    /// Where to listen; port 0 leaves the choice to the kernel ([`Uring::addresses`]).
    pub listeners: Vec<SocketAddr>,
    /// Clients at one time.
    pub connections_max: u32,
    /// Connections of our own at one time.
    pub outgoing_max: u32,
    /// Blocks to receive into, shared by all connections: a power of two, at most 32,768.
    pub receive_buffers: u16,
    /// The size of each, at most 16 KiB: above that multishot receive loses to a plain one.
    pub receive_buffer_bytes: u32,
    /// How long to look for work without sleeping. 0 where other threads want the core.
    pub spin_ns: u64,
    /// How long a client whose connection we closed has to take our last bytes and close its side.
    pub linger_ns: u64,
    /// What to do without, for measuring.
    pub without: Without,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            core: None,
            listeners: Vec::new(),
            connections_max: 10_000,
            outgoing_max: 1_024,
            receive_buffers: 2_048,
            receive_buffer_bytes: 2_048,
            spin_ns: 0,
            linger_ns: 1_000_000_000,
            without: Without::default(),
        }
    }
}

/// What a runtime has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub turns: u64,
    /// System calls.
    pub enters: u64,
    pub accepts: u64,
    /// Accepts that failed for want of files or memory.
    pub accepts_failed: u64,
    pub receives: u64,
    pub receive_bytes: u64,
    /// Receptions that found no free block.
    pub receives_starved: u64,
    pub sends: u64,
    pub connects: u64,
    pub closes: u64,
    pub messages: u64,
    /// Other threads woken.
    pub wakes: u64,
}

/// The runtime. It belongs to the thread that made it.
pub struct Uring<M> {
    /// First, so that the kernel has let go before the memory that it uses is freed.
    ring: Ring,
    table: Table,
    receptions: Receptions,
    acceptor: Acceptor,
    /// Of the connections that we open, by place: where they lead to.
    targets: Box<[SockAddr]>,
    mailbox: Endpoint<M>,
    /// Where the kernel puts the eventfd's count.
    wake_count: Box<u64>,
    /// A read of the eventfd is under way.
    wake_armed: bool,
    now: Now,
    probe: Probe,
    spin_ns: u64,
    linger_ns: u64,
    without: Without,
    counters: Counters,
}

impl<M> Uring<M> {
    /// Makes the ring and listens, on the calling thread, which is pinned. Accepting begins with [`Uring::run`].
    ///
    /// # Errors
    /// A [`Refusal`] when io_uring can't be had, an address that can't be bound, sizes that can't work.
    pub fn new(config: &Config, mailbox: Endpoint<M>) -> io::Result<Uring<M>> {
        if let Some(core) = config.core {
            submit::pin_to_core(core)?;
        }
        let slots = config.connections_max + config.outgoing_max;
        // Each block can be one completion; each connection has at most its reception's end, a send, a cancel and a
        // close in the queue.
        let ring = Ring::new(u32::from(config.receive_buffers) + 4 * slots, config.without)?;
        open_files::allow(slots.into())?;
        if !config.without.fixed_files {
            submit::register_files(&ring, slots)?;
        }
        submit::tame_workers(&ring, config.core);
        let receptions = if config.without.buffer_ring {
            Receptions::without_ring(config.receive_buffers, config.receive_buffer_bytes, slots)?
        } else {
            Receptions::new(&ring, config.receive_buffers, config.receive_buffer_bytes)?
        };
        let acceptor = Acceptor::new(&config.listeners)?;
        mailbox.set_ring(Some(ring.fd()));
        let nowhere = SockAddr::from(SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(Uring {
            ring,
            table: Table::new(config.connections_max, config.outgoing_max),
            receptions,
            acceptor,
            targets: vec![nowhere; config.outgoing_max as usize].into(),
            mailbox,
            wake_count: Box::new(0),
            wake_armed: false,
            now: clocks::read(),
            probe: Probe::new(),
            spin_ns: config.spin_ns,
            linger_ns: config.linger_ns,
            without: config.without,
            counters: Counters::default(),
        })
    }

    /// Where the listeners are bound, in the order of the configuration.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.acceptor.listeners.addresses()
    }

    pub fn counters(&self) -> Counters {
        Counters { enters: self.ring.enters, ..self.counters }
    }

    /// Slots that have no tenant: for clients (those kept for accepts under way are not counted), and for our own
    /// connections.
    pub fn slots_free(&self) -> (usize, usize) {
        (self.table.client_slots_free(), self.table.outgoing_slots_free())
    }
}

impl<M> Io for Uring<M> {
    type Message = M;

    fn now(&self) -> Now {
        self.now
    }

    fn lag_ns(&self) -> u64 {
        self.probe.lag_ns()
    }

    /// # Panics
    /// When the connection is not open or sends already: bugs of the handler, that would lose its buffer.
    fn send(&mut self, conn: ConnId, buffer: Buffer) {
        let state = self.table.find(conn.slot, conn.generation).expect("send on a connection that is gone");
        assert_eq!(state.phase, Phase::Open, "send on a connection that is not open");
        assert!(state.sending.is_none(), "a send is under way");
        state.sending = Some(buffer);
        state.sent_bytes = 0;
        self.counters.sends += 1;
        self.submit_send(conn.slot);
    }

    fn connect(&mut self, address: SocketAddr) -> Option<ConnId> {
        let slot = self.table.take_outgoing_slot()?;
        let conn = self.table.open(slot, Phase::Connecting);
        self.table.at(slot).connecting = true;
        self.counters.connects += 1;
        self.submit_connect(slot, address);
        Some(conn)
    }

    fn close(&mut self, conn: ConnId, abort: bool) {
        let Some(state) = self.table.find(conn.slot, conn.generation) else { return };
        match (state.phase, abort) {
            (Phase::Connecting, _) => {
                state.phase = Phase::Breaking;
                self.submit_cancel(conn.slot);
            }
            (Phase::Open | Phase::Draining | Phase::Lingering, true) => self.break_off(conn.slot),
            (Phase::Open, false) => {
                self.drop_held(conn.slot);
                let state = self.table.at(conn.slot);
                state.phase = Phase::Draining;
                if state.sending.is_none() {
                    self.linger(conn.slot);
                }
            }
            _ => {}
        }
    }

    fn pause_receive(&mut self, conn: ConnId) {
        let Some(state) = self.table.find(conn.slot, conn.generation) else { return };
        state.paused = true;
        if state.phase == Phase::Open && state.receive == Receive::Armed && !state.cancelling {
            state.cancelling = true;
            self.submit_cancel_receive(conn.slot);
        }
    }

    fn resume_receive(&mut self, conn: ConnId) {
        let Some(state) = self.table.find(conn.slot, conn.generation) else { return };
        state.paused = false;
        if state.held.is_empty() && state.end.is_none() {
            self.want_receive(conn.slot);
        } else {
            self.table.resumed.push(conn.slot);
        }
    }

    fn stop_listening(&mut self) {
        self.acceptor.listeners.end(self.now.mono_ns);
    }

    fn is_listening(&self) -> bool {
        self.acceptor.listeners.are_open() || !self.acceptor.is_idle()
    }

    fn post(&mut self, to: ShardId, message: M) -> Result<(), M> {
        if self.mailbox.push(to, message)? == Receiver::Asleep {
            self.counters.wakes += 1;
            self.submit_bell(to);
        }
        Ok(())
    }

    fn post_room(&self, to: ShardId) -> usize {
        self.mailbox.room(to)
    }
}

impl<M> Drop for Uring<M> {
    /// Waits until the kernel has let go of all memory that it was told of.
    fn drop(&mut self) {
        self.mailbox.set_ring(None);
        if !self.cancel_everything() {
            // Better leaked than written to by the kernel when it is someone else's.
            std::mem::forget(self.receptions.blocks());
            std::mem::forget(std::mem::replace(&mut self.table, Table::new(0, 0)));
            std::mem::forget(std::mem::take(&mut self.acceptor.seats));
            std::mem::forget(std::mem::take(&mut self.wake_count));
            std::mem::forget(std::mem::replace(&mut self.probe, Probe::new()));
        } else if self.without.fixed_files {
            self.close_files();
        }
        self.mailbox.signal_everybody();
    }
}
