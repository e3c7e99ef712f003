//! Partner connections: requests out, answers in. A connection serves one call at a time; one that erred, timed out in
//! the middle of an answer or sent what nobody asked for is closed and never used again.

use std::net::{Ipv4Addr, SocketAddr};

use super::lookup::Failure;
use super::{Message, Shard};
use crate::http::HttpFault;
use crate::http::response::{Answer as HttpAnswer, Response, ResponseParser};
use crate::ids::PartnerIndex;
use crate::partner::answer::AnswerError;
use crate::partner::calls::CallId;
use crate::partner::pool::Acquired;
use crate::partner::reader::AnswerHead;
use crate::partner::{health, time};
use crate::reactor::{Buffer, ConnId, Io};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    Connecting,
    Idle,
    Busy,
    /// `close` was asked for.
    Closing,
}

/// One outgoing slot's connection.
#[derive(Debug)]
pub(super) struct Upstream {
    generation: u32,
    phase: Phase,
    epoch: u64,
    partner: PartnerIndex,
    address: SocketAddr,
    /// Whom it serves while busy. While closing: who is to be sent again, once its request is back.
    call: Option<CallId>,
    /// What has come of the present answer.
    received: Option<Buffer>,
    parser: ResponseParser,
    /// The request is with the runtime.
    sending: bool,
    /// An answer was complete before the request was wholly sent: the call is over, the connection is not free yet.
    answered: bool,
    served: u32,
}

impl Upstream {
    pub(super) fn new() -> Upstream {
        Upstream {
            generation: 0,
            phase: Phase::Free,
            epoch: 0,
            partner: PartnerIndex(0),
            address: (Ipv4Addr::UNSPECIFIED, 0).into(),
            call: None,
            received: None,
            parser: ResponseParser::new(false, 0),
            sending: false,
            answered: false,
            served: 0,
        }
    }
}

impl Shard {
    fn upstream(&mut self, conn: ConnId) -> &mut Upstream {
        let upstream = &mut self.upstreams[conn.slot as usize - self.plan.clients_max];
        assert!(upstream.generation == conn.generation, "a runtime reports each connection once as closed");
        upstream
    }

    /// Opens a connection for whoever waits in the partner's pool, which has counted it already.
    pub(super) fn upstream_open<I: Io>(&mut self, io: &mut I, epoch: u64, index: PartnerIndex) {
        let now_ns = io.now().mono_ns;
        let runtime = self.epochs.of(epoch).partner(index);
        let address = runtime.addresses.take_next(now_ns);
        let Some((address, conn)) = address.and_then(|address| Some((address, io.connect(address)?))) else {
            // No place of ours is free.
            if let Some(call) = runtime.pool.connect_failed(now_ns) {
                self.fail_later(call);
            }
            return;
        };
        self.partner_totals(epoch, index).connections_opened.increment();
        self.upstream_count += 1;
        let connect_ms = self.rules_of(epoch).partners[index.0 as usize].connect_ms;
        let slot = conn.slot as usize - self.plan.clients_max;
        self.timers.set(self.plan.timer_of_upstream(slot as u32), now_ns + u64::from(connect_ms) * 1_000_000);
        assert!(self.upstreams[slot].phase == Phase::Free, "a slot is reused only after Closed");
        self.upstreams[slot] = Upstream {
            generation: conn.generation,
            phase: Phase::Connecting,
            epoch,
            partner: index,
            address,
            ..Upstream::new()
        };
    }

    pub(super) fn upstream_connected<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, ok: bool) {
        let upstream = self.upstream(conn);
        // A connect timeout may have come first.
        if upstream.phase != Phase::Connecting {
            return;
        }
        if !ok {
            self.connect_failed(io, conn);
            return;
        }
        upstream.phase = Phase::Idle;
        let (epoch, index, address) = (upstream.epoch, upstream.partner, upstream.address);
        self.timers.cancel(self.plan.timer_of_upstream(conn.slot - self.plan.clients_max as u32));
        let runtime = self.epochs.of(epoch).partner(index);
        runtime.addresses.connected(address);
        let next = runtime.pool.connected(conn, io.now().mono_ns);
        self.serve_next(io, conn, next);
    }

    /// The timer of a connection that is being made.
    pub(super) fn upstream_timer<I: Io<Message = Message>>(&mut self, io: &mut I, slot: u32) {
        let upstream = &self.upstreams[slot as usize];
        if upstream.phase == Phase::Connecting {
            let conn = ConnId { slot: slot + self.plan.clients_max as u32, generation: upstream.generation };
            self.connect_failed(io, conn);
        }
    }

    /// The address rests. The call that was to have the connection gets one to another address, as long as there is
    /// one that doesn't rest: so each is tried at most once a second, and a call fails when all of them do.
    fn connect_failed<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId) {
        let now_ns = io.now().mono_ns;
        let upstream = self.upstream(conn);
        let (epoch, index, address) = (upstream.epoch, upstream.partner, upstream.address);
        self.upstream_close(io, conn);
        let runtime = self.epochs.of(epoch).partner(index);
        runtime.addresses.failed(address, now_ns);
        let is_other_ready = runtime.addresses.is_any_ready(now_ns);
        let failed = runtime.pool.connect_failed(now_ns);
        if let Some(call) = failed.and_then(|slot| self.calls.id_at(slot)) {
            let has_time = self.calls.value(call).is_some_and(|lookup| lookup.has_time(now_ns));
            if is_other_ready && has_time {
                self.send_again(io, call, Failure::Connect);
            } else {
                self.call_failed(io, call, Failure::Connect);
            }
        }
    }

    /// Gives a free connection to the next call, which the pool has named.
    fn serve_next<I: Io>(&mut self, io: &mut I, conn: ConnId, next: Option<u32>) {
        match next.map(|slot| self.calls.id_at(slot).expect("a waiting call is in the table")) {
            Some(call) => self.upstream_send(io, call, conn),
            None => self.upstream(conn).phase = Phase::Idle,
        }
    }

    pub(super) fn upstream_send<I: Io>(&mut self, io: &mut I, call: CallId, conn: ConnId) {
        let now_ns = io.now().mono_ns;
        let (_, index) = self.calls.key(call).expect("a call has a key");
        let lookup = self.calls.value_mut(call).expect("a call has a value");
        let request = lookup.take_request(now_ns);
        lookup.conn = Some(conn);
        lookup.sent_ns = now_ns;
        let epoch = lookup.epoch;
        let body_bytes_max = self.rules_of(epoch).partners[index.0 as usize].answer_bytes_max;
        let upstream = self.upstream(conn);
        upstream.phase = Phase::Busy;
        upstream.call = Some(call);
        upstream.parser = ResponseParser::new(false, body_bytes_max);
        upstream.sending = true;
        upstream.answered = false;
        upstream.served += 1;
        let reused = upstream.served > 1;
        let totals = self.partner_totals(epoch, index);
        totals.calls.increment();
        totals.bytes_sent.add(request.len() as u64);
        totals.connections_reused.add(u64::from(reused));
        io.send(conn, request);
    }

    /// A request is with the kernel; its bytes are kept for a second try.
    pub(super) fn upstream_sent<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, request: Buffer) {
        let upstream = self.upstream(conn);
        upstream.sending = false;
        let (call, answered, closing) = (upstream.call, upstream.answered, upstream.phase == Phase::Closing);
        match call.and_then(|call| self.calls.value_mut(call)) {
            Some(lookup) if lookup.conn == Some(conn) => lookup.request = Some(request),
            _ => self.buffers.give_back(request),
        }
        if closing {
            if let Some(call) = self.upstream(conn).call.take() {
                self.upstream_retry(io, call);
            }
        } else if answered {
            self.upstream_release(io, conn);
        }
    }

    pub(super) fn upstream_received<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, bytes: &[u8]) {
        let slot = conn.slot as usize - self.plan.clients_max;
        let upstream = self.upstream(conn);
        match upstream.phase {
            Phase::Busy if !upstream.answered => {}
            Phase::Free | Phase::Closing => return,
            // Nobody asked for these.
            Phase::Connecting | Phase::Idle | Phase::Busy => {
                self.upstream_discard(io, conn);
                return;
            }
        }
        let (epoch, index) = (upstream.epoch, upstream.partner);
        self.partner_totals(epoch, index).bytes_received.add(bytes.len() as u64);
        if !self.buffers.append(&mut self.upstreams[slot].received, bytes) {
            self.upstream_failed(io, conn, Failure::Size);
            return;
        }
        self.upstream_parse(io, conn, false);
    }

    pub(super) fn upstream_ended<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, reset: bool) {
        let upstream = self.upstream(conn);
        match upstream.phase {
            Phase::Free | Phase::Closing => {}
            Phase::Connecting => self.connect_failed(io, conn),
            Phase::Idle => self.upstream_discard(io, conn),
            Phase::Busy if upstream.answered => self.upstream_discard(io, conn),
            Phase::Busy if upstream.received.is_some() && !reset => self.upstream_parse(io, conn, true),
            Phase::Busy => self.upstream_broke(io, conn),
        }
    }

    pub(super) fn upstream_closed(&mut self, conn: ConnId) {
        let upstream = self.upstream(conn);
        assert!(upstream.phase == Phase::Closing, "connections close when they are told to");
        upstream.phase = Phase::Free;
        let received = upstream.received.take();
        if let Some(buffer) = received {
            self.buffers.give_back(buffer);
        }
        self.upstream_count -= 1;
    }

    /// A connection broke before its answer was complete. One that had served others may have been closed by the
    /// partner just as the request went out: then the call gets one more try, on a connection of its own.
    fn upstream_broke<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId) {
        let now_ns = io.now().mono_ns;
        let upstream = self.upstream(conn);
        let untouched = upstream.received.is_none() && upstream.served > 1;
        let (sending, epoch, index) = (upstream.sending, upstream.epoch, upstream.partner);
        let call = upstream.call.expect("a busy connection serves a call");
        let retries = untouched
            && self
                .calls
                .value_mut(call)
                .is_some_and(|lookup| lookup.has_time(now_ns) && !std::mem::replace(&mut lookup.retried, true));
        if !retries {
            self.upstream_failed(io, conn, Failure::Reset);
            return;
        }
        if sending {
            // The request is still with the runtime, which gives it back before the connection is reported closed.
            self.upstream_discard(io, conn);
            self.upstream(conn).call = Some(call);
        } else {
            // Ahead of who waits: the place that is free now is for the call's new connection.
            self.upstream_remove(io, conn);
            self.upstream_retry(io, call);
            self.open_wanted(io, epoch, index);
        }
    }

    /// Sends a call, whose request is here again, over another connection: a fresh one, if there is room for it.
    fn upstream_retry<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId) {
        let Some((_, index)) = self.calls.key(call) else { return };
        let lookup = self.calls.value_mut(call).expect("a call has a value");
        lookup.conn = None;
        let epoch = lookup.epoch;
        if lookup.has_time(io.now().mono_ns) {
            self.partner_totals(epoch, index).retries.increment();
            self.send_again(io, call, Failure::Reset);
        } else {
            self.call_failed(io, call, Failure::Reset);
        }
    }

    /// Finds another connection for a call. It fails if it can't even wait for one.
    fn send_again<I: Io<Message = Message>>(&mut self, io: &mut I, call: CallId, failure: Failure) {
        let Some((_, index)) = self.calls.key(call) else { return };
        let epoch = self.calls.value(call).expect("a call has a value").epoch;
        match self.epochs.of(epoch).partner(index).pool.retry(call.slot) {
            Acquired::Use(conn) => self.upstream_send(io, call, conn),
            Acquired::Open => self.upstream_open(io, epoch, index),
            Acquired::Queue => {}
            Acquired::Full => self.call_failed(io, call, failure),
        }
    }

    /// The call fails, and its connection goes with it.
    fn upstream_failed<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, failure: Failure) {
        let call = self.upstream(conn).call.take();
        self.upstream_discard(io, conn);
        if let Some(call) = call {
            self.call_failed(io, call, failure);
        }
    }

    /// Reads as much of an answer as has come. `ended`: no more will.
    fn upstream_parse<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, ended: bool) {
        let upstream = self.upstream(conn);
        let Some(mut received) = upstream.received.take() else { return };
        let outcome = if ended {
            upstream.parser.finish_on_close(received.bytes_mut())
        } else {
            upstream.parser.advance(received.bytes_mut())
        };
        match outcome {
            HttpAnswer::Incomplete => upstream.received = Some(received),
            HttpAnswer::Fault(fault) => {
                self.buffers.give_back(received);
                let failure = match fault {
                    HttpFault::BodySize | HttpFault::HeadSize => Failure::Size,
                    HttpFault::Truncated => Failure::Reset,
                    _ => Failure::Protocol,
                };
                self.upstream_failed(io, conn, failure);
            }
            HttpAnswer::Complete(response) => {
                self.upstream_answered(io, conn, &response, received.bytes());
                self.buffers.give_back(received);
            }
        }
    }

    fn upstream_answered<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        conn: ConnId,
        response: &Response,
        bytes: &[u8],
    ) {
        let now = io.now();
        let upstream = self.upstream(conn);
        upstream.answered = true;
        let call = upstream.call.take().expect("a busy connection serves a call");
        let (sending, index) = (upstream.sending, upstream.partner);
        // First the connection: the next call may go out before this answer is read.
        if !response.is_reusable() {
            self.upstream_discard(io, conn);
        } else if !sending {
            self.upstream_release(io, conn);
        }

        let lookup = self.calls.value(call).expect("an answer's call is in the table");
        let (epoch, overdue, failed) = (lookup.epoch, lookup.overdue, lookup.failed);
        let (started_ns, sent_ns, promised_ns) = (lookup.started_ns, lookup.sent_ns, lookup.promised_ns);
        self.epochs.metrics(epoch, index).latency.record(now.mono_ns - started_ns);
        let field = |range: &Option<std::ops::Range<usize>>| range.clone().map(|range| &bytes[range]);
        let rules = self.rules_of(epoch);
        let partner = &rules.partners[index.0 as usize];
        let head = AnswerHead { status: response.status, content_encoding: field(&response.content_encoding) };
        let body = &bytes[response.body.clone()];
        let mut answer = self.partner_answer.take().expect("one answer is read at a time");
        let read = self.answer_reader.read(&partner.format, head, body, now.wall_ms, &mut answer);
        self.partner_answer = Some(answer);

        let runtime = self.epochs.of(epoch).partner(index);
        if matches!(response.status, 429 | 503) {
            let after_s = field(&response.retry_after).and_then(|text| time::retry_after_s(text, now.wall_ms));
            if response.status == 429 || after_s.is_some() {
                runtime.health.hold(now.mono_ns, after_s);
            }
        }
        match read {
            Ok(()) => {
                if !failed {
                    let slow = health::waited_too_long(sent_ns - started_ns, promised_ns - started_ns);
                    runtime.health.record(slow || now.mono_ns > promised_ns);
                }
                self.merge(io, call, overdue);
                self.tell_jobs(io, call, true);
                self.forget(call);
            }
            Err(error) => self.call_failed(io, call, Failure::of(error)),
        }
    }

    /// A connection is free for the next call.
    fn upstream_release<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId) {
        let now_ns = io.now().mono_ns;
        let upstream = self.upstream(conn);
        upstream.answered = false;
        let (epoch, index) = (upstream.epoch, upstream.partner);
        let next = self.epochs.of(epoch).partner(index).pool.release(conn, now_ns);
        self.serve_next(io, conn, next);
    }

    /// Closes a connection and takes it out of its pool.
    pub(super) fn upstream_discard<I: Io>(&mut self, io: &mut I, conn: ConnId) {
        let upstream = self.upstream(conn);
        let (epoch, index, phase) = (upstream.epoch, upstream.partner, upstream.phase);
        if !matches!(phase, Phase::Free | Phase::Closing) {
            self.upstream_remove(io, conn);
            self.open_wanted(io, epoch, index);
        }
    }

    /// Leaves its place in the pool free.
    fn upstream_remove<I: Io>(&mut self, io: &mut I, conn: ConnId) {
        let upstream = self.upstream(conn);
        upstream.call = None;
        let (epoch, index) = (upstream.epoch, upstream.partner);
        self.upstream_close(io, conn);
        self.epochs.of(epoch).partner(index).pool.discard(conn);
    }

    fn open_wanted<I: Io>(&mut self, io: &mut I, epoch: u64, index: PartnerIndex) {
        let now_ns = io.now().mono_ns;
        while self.epochs.of(epoch).partner(index).pool.wants_open(now_ns) {
            self.upstream_open(io, epoch, index);
        }
    }

    /// Closes a connection that its pool doesn't count any more.
    pub(super) fn upstream_close<I: Io>(&mut self, io: &mut I, conn: ConnId) {
        self.timers.cancel(self.plan.timer_of_upstream(conn.slot - self.plan.clients_max as u32));
        self.upstream(conn).phase = Phase::Closing;
        io.close(conn, true);
    }
}

impl Failure {
    fn of(error: AnswerError) -> Failure {
        match error {
            AnswerError::Status => Failure::Status,
            AnswerError::TooLarge => Failure::Size,
            _ => Failure::Body,
        }
    }
}
