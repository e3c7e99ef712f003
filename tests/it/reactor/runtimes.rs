//! The two runtimes behind one trait, and where they may differ.

use std::io;
use std::net::SocketAddr;

use pinion::reactor::mailbox::Endpoint;
use pinion::reactor::uring::{Config, Counters, Without};
use pinion::reactor::{Handler, Io, RECEIVE_AFTER_PAUSE_BYTES_MAX, glommio, uring};

use super::{Note, Report};

pub(super) trait Runtime: Copy + Send + 'static {
    type Loop: Io<Message = Note>;

    /// What a paused connection may still bring.
    const AFTER_PAUSE_BYTES_MAX: usize;
    /// Connections receive into blocks that they share, so that they can run out of them.
    const SHARES_BLOCKS: bool;

    /// Serves on the calling thread until the handler wants no more. What a runtime does not know of `config`, it
    /// ignores.
    ///
    /// # Errors
    /// Those of the runtime: it can't be had, or fails.
    fn run(
        self,
        config: &Config,
        mailbox: Endpoint<Note>,
        handler: &mut impl Handler<Self::Loop>,
        listens: impl FnOnce(Vec<SocketAddr>),
    ) -> io::Result<Report>;
}

#[derive(Clone, Copy)]
pub(super) struct Uring {
    pub(super) without: Without,
}

#[derive(Clone, Copy)]
pub(super) struct Glommio;

impl Runtime for Uring {
    type Loop = uring::Uring<Note>;
    const AFTER_PAUSE_BYTES_MAX: usize = 0;
    const SHARES_BLOCKS: bool = true;

    fn run(
        self,
        config: &Config,
        mailbox: Endpoint<Note>,
        handler: &mut impl Handler<Self::Loop>,
        listens: impl FnOnce(Vec<SocketAddr>),
    ) -> io::Result<Report> {
        let config = Config { without: self.without, ..config.clone() };
        let mut uring = uring::Uring::new(&config, mailbox)?;
        listens(uring.addresses()?);
        uring.run(handler)?;
        // Sixteen accepts for each listener are always under way, and each has a slot, if there are as many.
        let (clients, outgoing) = uring.slots_free();
        let accepts = (16 * config.listeners.len()).min(config.connections_max as usize);
        Ok(Report { counters: uring.counters(), slots_free: (clients + accepts, outgoing) })
    }
}

impl Runtime for Glommio {
    type Loop = glommio::Glommio<Note>;
    const AFTER_PAUSE_BYTES_MAX: usize = RECEIVE_AFTER_PAUSE_BYTES_MAX;
    const SHARES_BLOCKS: bool = false;

    fn run(
        self,
        config: &Config,
        mailbox: Endpoint<Note>,
        handler: &mut impl Handler<Self::Loop>,
        listens: impl FnOnce(Vec<SocketAddr>),
    ) -> io::Result<Report> {
        let config = glommio::Config {
            core: config.core,
            listeners: config.listeners.clone(),
            connections_max: config.connections_max,
            outgoing_max: config.outgoing_max,
            receive_buffer_bytes: config.receive_buffer_bytes,
            spin_ns: config.spin_ns,
            linger_ns: config.linger_ns,
        };
        let mut glommio = glommio::Glommio::new(&config, mailbox)?;
        listens(glommio.addresses()?);
        glommio.run(handler)?;
        let glommio::Counters {
            turns,
            accepts,
            accepts_failed,
            receives,
            receive_bytes,
            sends,
            connects,
            closes,
            messages,
        } = glommio.counters();
        let counters = Counters {
            turns,
            accepts,
            accepts_failed,
            receives,
            receive_bytes,
            sends,
            connects,
            closes,
            messages,
            ..Counters::default()
        };
        Ok(Report { counters, slots_free: glommio.slots_free() })
    }
}
