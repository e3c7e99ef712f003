//! Client connections: bytes become requests, one in process at a time, and answers leave in the order of requests.
//!
//! What arrives while a request is in process waits in one pooled buffer, and reading stops. So a client that floods
//! costs one buffer, never the shared reception memory.

use std::net::IpAddr;

use super::job::Context;
use super::{Message, Shard};
use crate::http::HttpFault;
use crate::http::request::{self, Parsed, Progress};
use crate::reactor::{Buffer, ConnId, Io};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody is connected.
    Free,
    /// Waiting for a request, or for the rest of one.
    Reading,
    /// Its request is parked, or with another core.
    Waiting,
    /// Its answer is on the way.
    Sending,
    /// `close` was asked for.
    Closing,
}

/// One slot's client.
#[derive(Debug)]
pub(super) struct Client {
    pub generation: u32,
    pub phase: Phase,
    pub address: IpAddr,
    /// Bytes of requests that are not processed yet.
    pending: Option<Buffer>,
    /// When they came: the latest of an incomplete request's, and the first of those that came during another request,
    /// after which reading stops.
    pending_since_ns: u64,
    /// How far an incomplete request was judged.
    progress: Progress,
    paused: bool,
    /// The client sent its FIN: what it sent before is still answered.
    ended: bool,
    close_after_answer: bool,
    idle_since_ns: u64,
}

impl Client {
    pub(super) fn closes_after_answer(&self) -> bool {
        self.close_after_answer
    }

    pub(super) fn new() -> Client {
        Client {
            generation: 0,
            phase: Phase::Free,
            address: IpAddr::from([0, 0, 0, 0]),
            pending: None,
            pending_since_ns: 0,
            progress: Progress::default(),
            paused: false,
            ended: false,
            close_after_answer: false,
            idle_since_ns: 0,
        }
    }
}

/// What became of a request, as its connection must know it.
pub(super) enum Served {
    /// The answer is ready.
    Answer(Buffer),
    /// The request became a job.
    Waiting,
    /// No buffer was left to answer with.
    Exhausted,
}

impl Shard {
    pub(super) fn client_accepted<I: Io>(&mut self, io: &mut I, conn: ConnId, address: IpAddr) {
        self.metrics.totals.connections_accepted.increment();
        self.connections += 1;
        let client = &mut self.clients[conn.slot as usize];
        assert!(client.phase == Phase::Free, "a slot is reused only after Closed");
        *client = Client {
            generation: conn.generation,
            phase: Phase::Reading,
            address,
            idle_since_ns: io.now().mono_ns,
            ..Client::new()
        };
        self.idle.touch(conn.slot);
        if self.connections >= self.plan.clients_max {
            self.close_oldest_idle(io);
        }
    }

    pub(super) fn client_received<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, bytes: &[u8]) {
        let client = &self.clients[conn.slot as usize];
        match client.phase {
            Phase::Free | Phase::Closing => {}
            Phase::Reading if client.pending.is_none() => {
                let consumed = self.serve(io, conn, bytes, arrived_ns(io));
                self.keep(io, conn, &bytes[consumed..]);
            }
            Phase::Reading => {
                if self.keep(io, conn, bytes) {
                    self.serve_pending(io, conn);
                    self.pause_if_behind(io, conn);
                }
            }
            Phase::Waiting | Phase::Sending => {
                self.keep(io, conn, bytes);
            }
        }
    }

    pub(super) fn client_ended<I: Io>(&mut self, io: &mut I, conn: ConnId, reset: bool) {
        let client = &mut self.clients[conn.slot as usize];
        match client.phase {
            Phase::Free | Phase::Closing => {}
            Phase::Reading => self.close_client(io, conn, reset),
            Phase::Waiting | Phase::Sending if reset => self.close_client(io, conn, true),
            // What the client sent before its FIN is still answered. Requests that wait behind the present one too.
            Phase::Waiting | Phase::Sending => client.ended = true,
        }
    }

    pub(super) fn client_sent<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, ok: bool) {
        let client = &mut self.clients[conn.slot as usize];
        // An answer to a connection that was aborted meanwhile finds it closing.
        if client.phase != Phase::Sending {
            return;
        }
        client.phase = Phase::Reading;
        self.sending.remove(conn.slot);
        if !ok || client.close_after_answer {
            self.close_client(io, conn, !ok);
            return;
        }
        self.idle.touch(conn.slot);
        self.serve_pending(io, conn);
        let client = &mut self.clients[conn.slot as usize];
        if client.phase == Phase::Reading {
            if client.ended {
                self.close_client(io, conn, false);
            } else if std::mem::take(&mut client.paused) {
                io.resume_receive(conn);
            }
        }
    }

    pub(super) fn client_closed(&mut self, conn: ConnId) {
        let client = &mut self.clients[conn.slot as usize];
        client.phase = Phase::Free;
        if let Some(buffer) = client.pending.take() {
            self.buffers.give_back(buffer);
        }
        self.idle.remove(conn.slot);
        self.connections -= 1;
        self.metrics.totals.connections_closed.increment();
    }

    /// Sends the answer of a job, if its client is still there.
    pub(super) fn client_answer<I: Io>(&mut self, io: &mut I, context: &Context, answer: Option<Buffer>, close: bool) {
        let (conn, is_draining) = (context.conn, self.draining());
        // Another core may have read its clock a moment later.
        self.metrics.latency.record(io.now().mono_ns.saturating_sub(context.received_ns));
        let client = &mut self.clients[conn.slot as usize];
        if client.generation != conn.generation || client.phase != Phase::Waiting {
            self.metrics.totals.client_gone.increment();
            if let Some(buffer) = answer {
                self.buffers.give_back(buffer);
            }
            return;
        }
        client.close_after_answer |= close || is_draining;
        self.send_answer(io, conn, answer);
    }

    /// Closes a client's connection. A job of its goes on: what was told must not be lost.
    pub(super) fn close_client<I: Io>(&mut self, io: &mut I, conn: ConnId, abort: bool) {
        let client = &mut self.clients[conn.slot as usize];
        if !matches!(client.phase, Phase::Free | Phase::Closing) {
            client.phase = Phase::Closing;
            self.idle.remove(conn.slot);
            self.sending.remove(conn.slot);
            io.close(conn, abort);
        }
    }

    /// Clients that are owed an answer, or the rest of one.
    pub(super) fn clients_waiting(&self) -> u64 {
        let is_waiting = |client: &&Client| matches!(client.phase, Phase::Waiting | Phase::Sending);
        self.clients.iter().filter(is_waiting).count() as u64
    }

    /// Closes the connection that was idle longest, to make room for another.
    pub(super) fn close_oldest_idle<I: Io>(&mut self, io: &mut I) {
        if let Some(slot) = self.idle.oldest() {
            self.metrics.totals.connections_idle_closed.increment();
            let conn = ConnId { slot, generation: self.clients[slot as usize].generation };
            self.close_client(io, conn, false);
        }
    }

    /// Closes connections that were idle since `before_ns` or longer.
    pub(super) fn close_idle_since<I: Io>(&mut self, io: &mut I, before_ns: u64) {
        while let Some(slot) = self.idle.oldest() {
            if self.clients[slot as usize].idle_since_ns > before_ns {
                return;
            }
            self.close_oldest_idle(io);
        }
    }

    /// Breaks connections off whose clients have not taken an answer since `before_ns`: each holds a slot and a buffer.
    pub(super) fn break_off_stalled_since<I: Io>(&mut self, io: &mut I, before_ns: u64) {
        while let Some(slot) = self.sending.oldest() {
            let Client { generation, idle_since_ns, .. } = self.clients[slot as usize];
            if idle_since_ns > before_ns {
                return;
            }
            self.metrics.totals.connections_stalled_closed.increment();
            self.close_client(io, ConnId { slot, generation }, true);
        }
    }

    /// Processes requests from `bytes`, which came at `received_ns`, until one has to wait, and says how many bytes it
    /// took.
    fn serve<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId, bytes: &[u8], received_ns: u64) -> usize {
        let mut consumed = 0;
        while self.clients[conn.slot as usize].phase == Phase::Reading && consumed < bytes.len() {
            match request::parse(&bytes[consumed..], &mut self.clients[conn.slot as usize].progress) {
                Parsed::Incomplete { send_continue } => {
                    if send_continue {
                        self.send_continue(io, conn);
                    }
                    break;
                }
                Parsed::Complete { request, consumed: request_bytes } => {
                    let head = &bytes[consumed..consumed + request.head_bytes];
                    consumed += request_bytes;
                    let close = !request.keep_alive || self.draining();
                    self.clients[conn.slot as usize].close_after_answer |= close;
                    match self.serve_request(io, conn, &request, head, received_ns) {
                        Served::Answer(buffer) => {
                            // Within the turn, whose clock stands still: what it waited before is all there is to tell.
                            self.metrics.latency.record(io.now().mono_ns.saturating_sub(received_ns));
                            self.send_answer(io, conn, Some(buffer));
                        }
                        Served::Exhausted => self.send_answer(io, conn, None),
                        Served::Waiting => {
                            self.clients[conn.slot as usize].phase = Phase::Waiting;
                            self.idle.remove(conn.slot);
                        }
                    }
                }
                Parsed::Fault(fault) => {
                    consumed = bytes.len();
                    self.refuse(io, conn, fault);
                }
            }
        }
        consumed
    }

    fn serve_pending<I: Io<Message = Message>>(&mut self, io: &mut I, conn: ConnId) {
        let client = &mut self.clients[conn.slot as usize];
        let Some(mut buffer) = client.pending.take() else { return };
        let received_ns = client.pending_since_ns;
        let consumed = self.serve(io, conn, buffer.bytes(), received_ns);
        buffer.consume(consumed);
        let client = &mut self.clients[conn.slot as usize];
        if buffer.is_empty() || client.phase == Phase::Closing {
            self.buffers.give_back(buffer);
        } else {
            client.pending = Some(buffer);
        }
    }

    /// Keeps bytes that can't be processed yet. `false`: the connection had to be closed.
    fn keep<I: Io>(&mut self, io: &mut I, conn: ConnId, bytes: &[u8]) -> bool {
        let client = &mut self.clients[conn.slot as usize];
        if bytes.is_empty() || client.phase == Phase::Closing {
            return true;
        }
        if client.pending.is_none() || client.phase == Phase::Reading {
            client.pending_since_ns = arrived_ns(io);
        }
        if !self.buffers.append(&mut client.pending, bytes) {
            self.metrics.totals.connections_flood_closed.increment();
            self.close_client(io, conn, true);
            return false;
        }
        self.pause_if_behind(io, conn);
        true
    }

    /// Reads no more from a client whose next request is here before its present one is answered.
    fn pause_if_behind<I: Io>(&mut self, io: &mut I, conn: ConnId) {
        let client = &mut self.clients[conn.slot as usize];
        let is_busy = matches!(client.phase, Phase::Waiting | Phase::Sending);
        if is_busy && client.pending.is_some() && !client.paused && !client.ended {
            client.paused = true;
            io.pause_receive(conn);
        }
    }

    fn send_answer<I: Io>(&mut self, io: &mut I, conn: ConnId, answer: Option<Buffer>) {
        let Some(buffer) = answer else {
            self.metrics.totals.overloaded.increment();
            self.close_client(io, conn, true);
            return;
        };
        self.metrics.totals.requests.increment();
        self.start_send(io, conn, buffer);
    }

    fn start_send<I: Io>(&mut self, io: &mut I, conn: ConnId, buffer: Buffer) {
        let client = &mut self.clients[conn.slot as usize];
        client.phase = Phase::Sending;
        client.idle_since_ns = io.now().mono_ns;
        self.idle.remove(conn.slot);
        self.sending.touch(conn.slot);
        io.send(conn, buffer);
    }

    /// Answers a malformed request; after it nobody can tell where the next one would begin.
    fn refuse<I: Io>(&mut self, io: &mut I, conn: ConnId, fault: HttpFault) {
        self.metrics.totals.http_faults.increment();
        self.clients[conn.slot as usize].close_after_answer = true;
        let answer = self.refusal(io, fault.status());
        self.send_answer(io, conn, answer);
    }

    /// The client waits for a word before it sends its body. Nothing else can be on its way to it now, and until this
    /// is sent nothing else will be: it counts as an answer.
    fn send_continue<I: Io>(&mut self, io: &mut I, conn: ConnId) {
        let Some(buffer) = self.buffers.filled(b"HTTP/1.1 100 Continue\r\n\r\n") else { return };
        self.start_send(io, conn, buffer);
    }
}

/// When the bytes at hand came, as far as the runtime can tell.
fn arrived_ns<I: Io>(io: &I) -> u64 {
    io.now().mono_ns.saturating_sub(io.lag_ns())
}
