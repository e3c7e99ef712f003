//! What each completion means for its connection, and what the handler is told.

use super::receptions::Blocks;
use super::ring::Completion;
use super::table::{Manner, Phase};
use super::token::{Op, Token};
use super::{Receive, Uring};
use crate::ids::ShardId;
use crate::reactor::{Event, Handler};

impl<M> Uring<M> {
    pub(super) fn complete<H: Handler<Uring<M>>>(&mut self, handler: &mut H, blocks: &Blocks, done: Completion) {
        if done.buffer.is_some() {
            self.receptions.took_one();
        }
        match done.token.op {
            Op::Receive => self.on_receive(handler, blocks, done),
            Op::Send => self.on_send(handler, done),
            Op::Accept => self.on_accept(handler, done),
            Op::Connect => self.on_connect(handler, done),
            Op::Close => self.on_close(handler, done.token),
            Op::CancelReceive => self.on_cancel_receive(done),
            Op::Cancel => self.on_cancel(done.token),
            Op::Wake => self.wake_armed = false,
            Op::Probe => self.probe.answered(self.now.mono_ns),
            // The other ring is gone or refuses: its owner can still be waiting for its eventfd.
            Op::RingBell => self.submit_event_bell(ShardId(done.token.slot as u16)),
            // A connect tells the results of the first two, which it is linked with; a reception tells of a socket that
            // can't be shut down; what was cancelled tells so itself.
            Op::Socket | Op::Option | Op::Shutdown | Op::CancelAll | Op::Woken | Op::WriteBell => {}
        }
    }

    fn on_accept<H: Handler<Uring<M>>>(&mut self, handler: &mut H, done: Completion) {
        let accepted = done.result >= 0;
        let Token { slot: seat, generation, .. } = done.token;
        let Some((slot, peer)) = self.acceptor.disarm(seat, generation, accepted) else { return };
        if !accepted {
            self.table.give_back(slot);
            let passing = [libc::ECANCELED, libc::EINTR, libc::EAGAIN, libc::ECONNABORTED, libc::EPROTO, libc::EPERM];
            // One on a socket that listens no longer fails as well.
            if self.acceptor.listeners.are_open() && !passing.contains(&-done.result) {
                self.counters.accepts_failed += 1;
                self.acceptor.rest(self.now.mono_ns);
            }
            return;
        }
        self.counters.accepts += 1;
        let conn = self.table.open(slot, Phase::Open);
        if self.without.fixed_files {
            self.table.at(slot).fd = done.result;
        }
        handler.on_event(self, Event::Accepted { conn, peer });
        self.want_receive(slot);
    }

    fn on_connect<H: Handler<Uring<M>>>(&mut self, handler: &mut H, done: Completion) {
        let Token { slot, generation, .. } = done.token;
        let Some(state) = self.table.find(slot, generation) else { return };
        state.connecting = false;
        if state.phase == Phase::Breaking {
            return self.close_when_quiet(slot);
        }
        let ok = done.result >= 0;
        state.phase = Phase::Open;
        if !ok {
            state.receive = Receive::Ended;
        }
        let conn = self.table.id(slot);
        handler.on_event(self, Event::Connected { conn, ok });
        self.want_receive(slot);
    }

    fn on_receive<H: Handler<Uring<M>>>(&mut self, handler: &mut H, blocks: &Blocks, mut done: Completion) {
        let Token { slot, generation, .. } = done.token;
        let Some(state) = self.table.find(slot, generation) else {
            debug_assert!(false, "a slot is freed after its last reception only");
            return done.buffer.into_iter().for_each(|block| self.receptions.give_back(block));
        };
        if !done.more {
            state.receive = Receive::Idle;
        }
        done.buffer = done.buffer.or_else(|| state.block.take());
        match done.result {
            1.. => self.on_bytes(handler, blocks, done),
            result => {
                done.buffer.into_iter().for_each(|block| self.receptions.give_back(block));
                self.on_receive_end(handler, slot, -result);
            }
        }
        if done.more {
            return;
        }
        // The event may have freed nothing: a slot with something under way stays its tenant's until `on_close`.
        match self.table.at(slot).phase {
            Phase::Open | Phase::Draining | Phase::Lingering => self.want_receive(slot),
            Phase::Breaking => self.close_when_quiet(slot),
            Phase::Free | Phase::Connecting | Phase::Closing => {}
        }
    }

    fn on_bytes<H: Handler<Uring<M>>>(&mut self, handler: &mut H, blocks: &Blocks, done: Completion) {
        let Some(block) = done.buffer else { return debug_assert!(false, "bytes without a block") };
        let slot = done.token.slot;
        let len = done.result as usize;
        self.counters.receives += 1;
        self.counters.receive_bytes += len as u64;
        let state = self.table.at(slot);
        if state.phase != Phase::Open {
            return self.receptions.give_back(block);
        }
        if state.paused || !state.held.is_empty() {
            state.manner = Manner::Bursting;
            return self.receptions.hold(&mut state.held, block, len);
        }
        let conn = self.table.id(slot);
        // SAFETY: the kernel handed the block out with this completion, and it is given back after the call only.
        let bytes = unsafe { blocks.bytes(block, len) };
        handler.on_event(self, Event::Received { conn, bytes });
        self.receptions.give_back(block);
        let state = self.table.at(slot);
        if state.manner == Manner::Unknown && !state.paused {
            state.manner = Manner::Steady;
        }
    }

    /// A reception that brought no bytes: the end (0), or an errno.
    fn on_receive_end<H: Handler<Uring<M>>>(&mut self, handler: &mut H, slot: u32, errno: i32) {
        let state = self.table.at(slot);
        match errno {
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => return,
            libc::ENOBUFS => {
                self.counters.receives_starved += 1;
                state.receive = Receive::Starved;
                return self.table.starved.push(slot);
            }
            _ => state.receive = Receive::Ended,
        }
        let reset = errno != 0;
        match state.phase {
            Phase::Open if !state.held.is_empty() => state.end = Some(reset),
            Phase::Open => {
                let conn = self.table.id(slot);
                handler.on_event(self, Event::Ended { conn, reset });
            }
            Phase::Lingering => {
                self.table.unlinger(slot);
                self.table.at(slot).phase = Phase::Breaking;
            }
            _ => {}
        }
    }

    fn on_send<H: Handler<Uring<M>>>(&mut self, handler: &mut H, done: Completion) {
        let Token { slot, generation, .. } = done.token;
        let Some(state) = self.table.find(slot, generation) else { return };
        let Some(buffer) = &state.sending else { return debug_assert!(false, "a send without a buffer") };
        let len = buffer.len();
        let mut ok = state.phase != Phase::Breaking;
        match done.result {
            sent @ 1.. => state.sent_bytes += sent as u32,
            errno if [-libc::EINTR, -libc::EAGAIN].contains(&errno) => {}
            _ => ok = false,
        }
        let all = state.sent_bytes as usize >= len;
        if ok && !all {
            return self.submit_send(slot);
        }
        let Some(buffer) = state.sending.take() else { return };
        let conn = self.table.id(slot);
        handler.on_event(self, Event::Sent { conn, buffer, ok: all });
        match self.table.at(slot).phase {
            Phase::Draining if all => self.linger(slot),
            Phase::Draining => self.break_off(slot),
            Phase::Breaking => self.close_when_quiet(slot),
            _ => {}
        }
    }

    fn on_close<H: Handler<Uring<M>>>(&mut self, handler: &mut H, token: Token) {
        let Some(state) = self.table.find(token.slot, token.generation) else { return };
        debug_assert_eq!(state.phase, Phase::Closing);
        let conn = self.table.id(token.slot);
        self.table.free(token.slot);
        self.counters.closes += 1;
        handler.on_event(self, Event::Closed { conn });
    }

    fn on_cancel_receive(&mut self, done: Completion) {
        let Token { slot, generation, .. } = done.token;
        let Some(state) = self.table.find(slot, generation) else { return };
        state.cancelling = false;
        // While the kernel is just running a reception, a cancel doesn't find it. Then it must be asked again.
        let missed = [-libc::ENOENT, -libc::EALREADY].contains(&done.result);
        if missed && state.paused && state.phase == Phase::Open && state.receive == Receive::Armed {
            state.cancelling = true;
            self.submit_cancel_receive(slot);
        }
    }

    /// What was cancelled has completed by now, or will in the next turn. But a cancel doesn't find what the kernel is
    /// just running, nor a connect whose socket is still being made, so it is repeated until nothing is left.
    fn on_cancel(&mut self, token: Token) {
        let Some(state) = self.table.find(token.slot, token.generation) else { return };
        if state.phase == Phase::Breaking && state.is_busy() {
            self.submit_cancel(token.slot);
        }
    }

    /// Sends our FIN and waits for the peer's, if it hasn't come.
    pub(super) fn linger(&mut self, slot: u32) {
        let state = self.table.at(slot);
        debug_assert!(state.sending.is_none());
        if state.receive == Receive::Ended {
            state.phase = Phase::Breaking;
            return self.close_when_quiet(slot);
        }
        self.table.linger(slot, self.now.mono_ns + self.linger_ns);
        self.submit_shutdown(slot);
        self.want_receive(slot);
    }

    /// Ends a connection now, whatever is under way.
    pub(super) fn break_off(&mut self, slot: u32) {
        self.drop_held(slot);
        self.table.unlinger(slot);
        let state = self.table.at(slot);
        state.phase = Phase::Breaking;
        let busy = state.is_busy();
        self.submit_no_linger(slot);
        if busy {
            self.submit_cancel(slot);
        } else {
            self.close_when_quiet(slot);
        }
    }

    /// Closes a connection that was broken off, once nothing of it is under way.
    pub(super) fn close_when_quiet(&mut self, slot: u32) {
        let state = self.table.at(slot);
        if state.phase == Phase::Breaking && !state.is_busy() {
            state.phase = Phase::Closing;
            self.submit_close(slot);
        }
    }

    /// Receives on, if that is wanted and not under way.
    pub(super) fn want_receive(&mut self, slot: u32) {
        let state = self.table.at(slot);
        let wanted = match state.phase {
            Phase::Open => !state.paused,
            Phase::Draining | Phase::Lingering => true,
            _ => false,
        };
        if wanted && state.receive == Receive::Idle {
            state.receive = Receive::Armed;
            self.submit_receive(slot);
        }
    }

    /// Gives back the blocks of bytes that nobody wants any more.
    pub(super) fn drop_held(&mut self, slot: u32) {
        let state = self.table.at(slot);
        state.end = None;
        while let Some((block, _)) = self.receptions.unhold(&mut state.held) {
            self.receptions.give_back(block);
        }
    }
}
