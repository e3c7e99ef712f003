//! How far the loop is behind: how long what it is handed has waited for it.
//!
//! Bytes that came in while the loop was busy wait in the kernel, which says nothing about since when. Under a flood
//! that wait can be longer than a visitor's whole budget, and who counts only from the moment of reading would keep
//! her waiting for both. So, while there is more to collect than one turn takes, a timeout that is due at once is put
//! into the ring: its completion goes through the same queue as the receptions', and what it took is their wait.
//!
//! A timer that goes off costs some twenty microseconds on a virtual machine, as much as to serve a request. So none is
//! set while the loop catches up again and again: what it is handed has waited since then at most.

use io_uring::opcode;
use io_uring::types::{TimeoutFlags, Timespec};

use super::Uring;
use super::token::{Op, Token};

/// The least time from one probe to the next, and to the first since the loop had caught up.
const REST_NS: u64 = 2_000_000;

pub(super) struct Probe {
    /// When the latest was asked for.
    asked_ns: u64,
    /// When the loop last had nothing more to collect.
    caught_up_ns: u64,
    is_under_way: bool,
    lag_ns: u64,
    /// Long past on the monotonic clock. The kernel reads it while the submission is handed over.
    due: Box<Timespec>,
}

impl Probe {
    pub(super) fn new() -> Probe {
        Probe { asked_ns: 0, caught_up_ns: 0, is_under_way: false, lag_ns: 0, due: Box::new(Timespec::new().nsec(1)) }
    }

    pub(super) fn lag_ns(&self) -> u64 {
        self.lag_ns
    }

    /// A rise counts at once, a fall little by little: who comes next may be less lucky than the probe was.
    pub(super) fn answered(&mut self, now_ns: u64) {
        self.is_under_way = false;
        let waited_ns = now_ns.saturating_sub(self.asked_ns);
        self.lag_ns = waited_ns.max(self.lag_ns - self.lag_ns / 8);
    }
}

impl<M> Uring<M> {
    /// Called in each turn before anything is collected.
    pub(super) fn mind_lag(&mut self) {
        let now_ns = self.now.mono_ns;
        let probe = &mut self.probe;
        if !self.ring.is_behind() {
            probe.caught_up_ns = now_ns;
            probe.lag_ns /= 2;
        } else if !probe.is_under_way && now_ns >= probe.asked_ns.max(probe.caught_up_ns) + REST_NS {
            probe.asked_ns = now_ns;
            probe.is_under_way = true;
            let due: *const Timespec = &raw const *self.probe.due;
            let entry = opcode::Timeout::new(due).flags(TimeoutFlags::ABS).build();
            // SAFETY: the time is in a box of its own that nobody writes, and lives as long as the ring.
            unsafe { self.ring.push(&entry, Token::new(Op::Probe, 0, 0)) };
        }
    }
}
