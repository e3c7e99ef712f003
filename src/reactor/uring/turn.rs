//! The loop: one turn after another until the handler wants no more.

use std::io;

use super::receptions::Blocks;
use super::ring::Stay;
use super::table::Phase;
use super::{Receive, Uring};
use crate::reactor::{Event, Handler, clocks};

/// Completions handled in one turn at most, so that timers and messages get their time under a flood: one reception can
/// bring sixteen requests. From 6.13 on the kernel hands over even fewer at a time.
pub(super) const COMPLETIONS_PER_TURN: usize = 64;
/// Messages likewise.
const MESSAGES_PER_TURN: usize = 256;
/// Looks at the rings between two readings of the clock while spinning.
const SPINS_PER_CLOCK: u32 = 32;

impl<M> Uring<M> {
    /// Runs until the handler's `on_turn` says `None`.
    ///
    /// # Errors
    /// Those of `io_uring_enter` that don't pass: a bug of ours or of the kernel.
    pub fn run<H: Handler<Uring<M>>>(&mut self, handler: &mut H) -> io::Result<()> {
        let blocks = self.receptions.blocks();
        loop {
            self.now = clocks::read();
            self.counters.turns += 1;
            self.mind_lag();
            // First: what a client's last answer caused elsewhere was posted before her next request was collected.
            self.deliver_messages(handler);
            self.deliver_completions(handler, &blocks);
            self.deliver_held(handler, &blocks);
            self.acceptor.listeners.close_when_empty(self.now.mono_ns);
            let Some(deadline_ns) = handler.on_turn(self) else { break };
            self.end_lingering();
            self.replenish();
            self.arm_accepts();
            self.arm_wake();
            self.enter(deadline_ns)?;
        }
        // What the last turn asked for, above all waking others, is not to be lost.
        self.ring.enter(Stay::Collect)
    }

    fn deliver_completions<H: Handler<Uring<M>>>(&mut self, handler: &mut H, blocks: &Blocks) {
        for _ in 0..COMPLETIONS_PER_TURN {
            let Some(completion) = self.ring.pop() else { break };
            self.complete(handler, blocks, completion);
        }
        self.ring.refresh();
    }

    fn deliver_messages<H: Handler<Uring<M>>>(&mut self, handler: &mut H) {
        for _ in 0..MESSAGES_PER_TURN {
            let Some((from, message)) = self.mailbox.pop() else { break };
            self.counters.messages += 1;
            handler.on_event(self, Event::Message { from, message });
        }
    }

    /// Hands over what came while its connection was paused, for the connections that read again.
    fn deliver_held<H: Handler<Uring<M>>>(&mut self, handler: &mut H, blocks: &Blocks) {
        for _ in 0..self.table.resumed.len() {
            let Some(slot) = self.table.resumed.pop() else { break };
            let conn = self.table.id(slot);
            while let Some(state) = self.table.find(conn.slot, conn.generation) {
                if state.phase != Phase::Open || state.paused {
                    break;
                }
                if let Some((block, len)) = self.receptions.unhold(&mut state.held) {
                    // SAFETY: the kernel handed the block out, and it is given back after the call only.
                    let bytes = unsafe { blocks.bytes(block, len) };
                    handler.on_event(self, Event::Received { conn, bytes });
                    self.receptions.give_back(block);
                } else if let Some(reset) = state.end.take() {
                    handler.on_event(self, Event::Ended { conn, reset });
                } else {
                    self.want_receive(slot);
                    break;
                }
            }
        }
    }

    /// Cuts off those who had time enough to take our last bytes.
    fn end_lingering(&mut self) {
        while let Some((slot, deadline_ns)) = self.table.first_lingering() {
            if deadline_ns > self.now.mono_ns {
                break;
            }
            self.break_off(slot);
        }
    }

    /// Shows the kernel the blocks that came back, and lets as many receive who found none as there are blocks: to
    /// ask with none left fails at once.
    fn replenish(&mut self) {
        self.receptions.publish();
        for _ in 0..self.table.starved.len().min(self.receptions.available()) {
            let Some(slot) = self.table.starved.pop() else { break };
            let state = self.table.at(slot);
            if state.receive == Receive::Starved {
                state.receive = Receive::Idle;
                self.want_receive(slot);
            }
        }
    }

    fn arm_accepts(&mut self) {
        if !self.acceptor.listeners.are_open() || self.acceptor.rests_until_ns > self.now.mono_ns {
            return;
        }
        while self.acceptor.has_free_seat() {
            let Some(slot) = self.table.take_client_slot() else { break };
            self.submit_accept(slot);
        }
    }

    fn enter(&mut self, deadline_ns: u64) -> io::Result<()> {
        if self.ring.is_crowded() {
            // Work enough: asking for more could overflow the queue.
            return self.ring.enter(Stay::Submit);
        }
        if self.has_work() {
            return self.ring.enter(Stay::Collect);
        }
        let deadline_ns = self.earliest(deadline_ns);
        if self.spin_ns > 0 && self.spin(deadline_ns)? {
            return Ok(());
        }
        if !self.mailbox.sleep() {
            return self.ring.enter(Stay::Collect);
        }
        let result = self.ring.enter(Stay::Until { now_ns: self.now.mono_ns, deadline_ns });
        self.mailbox.awake();
        result
    }

    fn has_work(&self) -> bool {
        let fed = self.table.starved.len() > 0 && self.receptions.available() > 0;
        self.ring.ready() > 0 || self.table.resumed.len() > 0 || fed
    }

    /// When the loop itself or the handler wants the next turn.
    fn earliest(&self, handler_ns: u64) -> u64 {
        let linger_ns = self.table.first_lingering().map_or(u64::MAX, |(_, deadline_ns)| deadline_ns);
        let rests = self.acceptor.listeners.are_open() && self.acceptor.rests_until_ns > self.now.mono_ns;
        let accept_ns = if rests { self.acceptor.rests_until_ns } else { u64::MAX };
        handler_ns.min(linger_ns).min(accept_ns).min(self.acceptor.listeners.due_ns())
    }

    /// Looks for work without sleeping. `true`: there is some, or the deadline has come.
    fn spin(&mut self, deadline_ns: u64) -> io::Result<bool> {
        self.ring.enter(Stay::Collect)?;
        let end_ns = clocks::read_mono_ns() + self.spin_ns;
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                self.ring.refresh();
                if self.ring.ready() > 0 || !self.mailbox.is_empty() {
                    return Ok(true);
                }
                if self.ring.has_deferred_work() {
                    self.ring.enter(Stay::Collect)?;
                }
                std::hint::spin_loop();
            }
            let now_ns = clocks::read_mono_ns();
            if now_ns >= deadline_ns {
                return Ok(true);
            }
            if now_ns >= end_ns {
                return Ok(false);
            }
        }
    }
}
