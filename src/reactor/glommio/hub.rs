//! Where the tasks of one executor and its driver meet: the queue of what happened, and who waits for whom.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Waker};
use std::time::Duration;

use super::table::Table;
use crate::reactor::{Buffer, ConnId};

/// An [`crate::reactor::Event`] on its way to the handler.
#[derive(Debug)]
pub(super) enum Happening {
    Accepted { conn: ConnId, peer: SocketAddr },
    Connected { conn: ConnId, ok: bool },
    Received { conn: ConnId, block: Box<[u8]>, len: usize },
    Ended { conn: ConnId, reset: bool },
    Sent { conn: ConnId, buffer: Buffer, ok: bool },
    Closed { conn: ConnId },
}

/// Shared by all tasks of one thread. A borrow never outlives the call that took it, and no task is entered within
/// one, for a wake-up only schedules.
pub(super) struct Hub {
    pub(super) table: RefCell<Table>,
    /// The sockets listen.
    pub(super) listens: Cell<bool>,
    /// Acceptors that have not ended.
    pub(super) acceptors_left: Cell<usize>,
    pub(super) accepts_failed: Cell<u64>,
    pub(super) linger: Duration,
    /// What happened, and since when it can have waited.
    queue: RefCell<VecDeque<(u64, Happening)>>,
    /// What the kernel hands over next can have waited since then; `u64::MAX`: not at all.
    pub(super) since_ns: Cell<u64>,
    driver: RefCell<Option<Waker>>,
    /// Acceptors that wait for a free slot.
    acceptors: RefCell<Vec<Waker>>,
    /// Another thread has woken us.
    rung: Cell<bool>,
    /// The eventfd by which others wake us can't be read any more.
    fault: RefCell<Option<io::Error>>,
    /// Blocks to receive into that are not in use.
    blocks: RefCell<Vec<Box<[u8]>>>,
    block_bytes: usize,
}

impl Hub {
    pub(super) fn new(table: Table, block_bytes: usize, linger: Duration) -> Hub {
        Hub {
            table: RefCell::new(table),
            listens: Cell::new(true),
            acceptors_left: Cell::new(0),
            accepts_failed: Cell::new(0),
            linger,
            queue: RefCell::default(),
            since_ns: Cell::new(u64::MAX),
            driver: RefCell::default(),
            acceptors: RefCell::default(),
            rung: Cell::new(false),
            fault: RefCell::default(),
            blocks: RefCell::default(),
            block_bytes,
        }
    }

    pub(super) fn push(&self, happening: Happening) {
        self.queue.borrow_mut().push_back((self.since_ns.get(), happening));
        self.wake_driver();
    }

    pub(super) fn pop(&self) -> Option<(u64, Happening)> {
        self.queue.borrow_mut().pop_front()
    }

    /// Tells the driver that messages of other threads are there.
    pub(super) fn ring(&self) {
        self.rung.set(true);
        self.wake_driver();
    }

    pub(super) fn fail(&self, error: io::Error) {
        *self.fault.borrow_mut() = Some(error);
        self.wake_driver();
    }

    pub(super) fn take_fault(&self) -> Option<io::Error> {
        self.fault.borrow_mut().take()
    }

    /// Whether something happened that the driver is to see.
    pub(super) fn has_work(&self) -> bool {
        self.rung.take() || !self.queue.borrow().is_empty() || self.fault.borrow().is_some()
    }

    /// Whether a client can have been taken of whom the driver has not heard.
    pub(super) fn is_accepting(&self) -> bool {
        self.acceptors_left.get() > 0 || !self.queue.borrow().is_empty()
    }

    /// Lets the calling task be woken when there is work for the driver.
    pub(super) fn watch(&self, context: &Context<'_>) {
        *self.driver.borrow_mut() = Some(context.waker().clone());
    }

    /// Lets the calling task be woken when there may be a free slot, or the sockets listen no longer.
    pub(super) fn wait_to_accept(&self, context: &Context<'_>) {
        self.acceptors.borrow_mut().push(context.waker().clone());
    }

    pub(super) fn wake_acceptors(&self) {
        self.acceptors.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// A block to receive into.
    pub(super) fn take_block(&self) -> Box<[u8]> {
        self.blocks.borrow_mut().pop().unwrap_or_else(|| vec![0; self.block_bytes].into())
    }

    pub(super) fn give_back(&self, block: Box<[u8]>) {
        self.blocks.borrow_mut().push(block);
    }

    fn wake_driver(&self) {
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }
}
