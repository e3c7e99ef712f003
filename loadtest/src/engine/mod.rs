//! The generator's loop: a handler on the server's own reactor that sends when the schedule says so, whatever the
//! answers, and keeps the books.
//!
//! Three times of each request: when it was due, when it was sent, when its answer was there. Answer less due is the
//! response time, answer less sent the service time, sent less due the lag of this program. A request that finds all
//! connections taken waits for one; its response time counts that, as a visitor would.

mod connection;
mod recorder;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pinion::reactor::uring::Uring;
use pinion::reactor::{Buffer, ConnId, Event, Handler, Io, clocks};

use self::connection::{Connection, Flight, State};
pub use self::recorder::{Faults, Interval, Outcome, Recorder, histogram};
use crate::answers::Answer;
use crate::played::Desk;
use crate::requests::{Kind, REQUEST_BYTES_MAX, Source};
use crate::scenario::{PhaseKind, Scenario};
use crate::schedule::Schedule;

/// Connections being made at one time: the target's backlog is not what is measured.
const CONNECTING_MAX: usize = 64;
/// How often deadlines of requests are looked at.
const LOOK_NS: u64 = 20_000_000;
/// How long all connections together may take to be made.
const CONNECT_NS: u64 = 15_000_000_000;
/// Refusals before the first request after which nobody is home.
const REFUSED_MAX: u64 = 1_000;
/// Requests that may wait for a connection; more are given up.
const BACKLOG_MAX: usize = 1 << 20;
/// From the last connection to the first request.
const REST_NS: u64 = 50_000_000;

/// How far a run is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Nanoseconds of the schedule that are over; 0 while connections are made.
    pub elapsed_ns: AtomicU64,
    pub sent: AtomicU64,
    pub answered: AtomicU64,
    pub failed: AtomicU64,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When they are due.
    Schedule,
    /// When a connection is free, for so long: a closed loop. It finds out what the generator can do, and what
    /// measurements of that kind can't see.
    Closed { ns: u64 },
    /// Likewise, until so many requests were sent.
    Count { requests: u64 },
}

#[derive(Debug)]
pub struct Engine {
    target: SocketAddr,
    pace: Pace,
    pipeline: usize,
    requests_per_connection: u32,
    timeout_ns: u64,
    schedule: Schedule,
    /// Outages: from, to, whose.
    outages: Vec<(u64, u64, String)>,
    source: Source,
    /// The next request, written ahead of its time.
    prepared: Vec<u8>,
    prepared_kind: Option<(u64, Kind)>,
    backlog: VecDeque<u64>,
    connections: Vec<Connection>,
    /// Of each slot of the runtime, the connection that it carries.
    places: Vec<Option<u32>>,
    clients: usize,
    /// Connections that can take a request, the one that rested longest first.
    free: VecDeque<u32>,
    to_connect: VecDeque<u32>,
    connecting: usize,
    desk: Desk,
    recorder: Recorder,
    began_ns: Option<u64>,
    /// When the schedule's time 0 is.
    start_ns: Option<u64>,
    next_look_ns: u64,
    in_flight: usize,
    progress: Arc<Progress>,
    trouble: Option<String>,
}

impl Engine {
    /// `clients` connections of the runtime are for lookups, `outgoing` for requests.
    pub fn new(scenario: &Scenario, target: SocketAddr, pace: Pace, slots: Slots, progress: Arc<Progress>) -> Engine {
        let schedule = Schedule::new(scenario);
        let count = scenario.connections;
        let mut at_ns = 0;
        let mut outages = Vec::new();
        for phase in &scenario.phases {
            let end_ns = at_ns + (phase.seconds * 1e9) as u64;
            if let (PhaseKind::Outage, Some(partner)) = (phase.kind, &phase.partner) {
                outages.push((at_ns, end_ns, partner.clone()));
            }
            at_ns = end_ns;
        }
        Engine {
            target,
            pace,
            pipeline: scenario.pipeline as usize,
            requests_per_connection: scenario.requests_per_connection,
            timeout_ns: scenario.timeout_ms * 1_000_000,
            recorder: Recorder::new(&schedule),
            schedule,
            outages,
            source: Source::new(scenario),
            prepared: Vec::with_capacity(REQUEST_BYTES_MAX),
            prepared_kind: None,
            backlog: VecDeque::with_capacity(4_096),
            connections: (0..count).map(|_| Connection::new(scenario.pipeline as usize)).collect(),
            places: vec![None; (slots.clients + slots.outgoing) as usize],
            clients: slots.clients as usize,
            free: VecDeque::with_capacity(count as usize),
            to_connect: (0..count).collect(),
            connecting: 0,
            desk: Desk::new(&scenario.partners, scenario.seed, slots.clients as usize),
            began_ns: None,
            start_ns: None,
            next_look_ns: 0,
            in_flight: 0,
            progress,
            trouble: None,
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// What kept the run from ending as it should.
    pub fn into_outcome(self) -> Result<Outcome, String> {
        match self.trouble {
            Some(trouble) => Err(trouble),
            None => Ok(self.recorder.into_outcome(self.desk.lookups, self.desk.hits)),
        }
    }

    fn connect_more<I: Io>(&mut self, io: &mut I) {
        while self.connecting < CONNECTING_MAX {
            let Some(place) = self.to_connect.pop_front() else { return };
            let Some(conn) = io.connect(self.target) else { return self.to_connect.push_front(place) };
            self.places[conn.slot as usize] = Some(place);
            let connection = &mut self.connections[place as usize];
            connection.conn = Some(conn);
            connection.state = State::Connecting;
            self.connecting += 1;
        }
    }

    fn send_due<I: Io>(&mut self, io: &mut I, start_ns: u64) {
        match self.pace {
            Pace::Schedule => {
                let now_ns = clocks::read_mono_ns();
                while self.schedule.peek().is_some_and(|at_ns| start_ns + at_ns <= now_ns) {
                    let Some(at_ns) = self.schedule.next() else { break };
                    self.recorder.due(at_ns);
                    if self.free.len() <= self.backlog.len() {
                        self.recorder.crowded += 1;
                    }
                    if self.backlog.len() < BACKLOG_MAX {
                        self.backlog.push_back(start_ns + at_ns);
                    } else {
                        self.recorder.faults.given_up += 1;
                    }
                }
                while !self.backlog.is_empty() && !self.free.is_empty() {
                    let Some(intended_ns) = self.backlog.pop_front() else { break };
                    self.send_one(io, intended_ns);
                }
            }
            Pace::Closed { ns } => {
                let now_ns = clocks::read_mono_ns();
                if !(start_ns..start_ns + ns).contains(&now_ns) {
                    return;
                }
                for _ in 0..self.free.len() {
                    self.recorder.due(now_ns - start_ns);
                    self.send_one(io, now_ns);
                }
            }
            Pace::Count { requests } => {
                let now_ns = clocks::read_mono_ns();
                if now_ns < start_ns {
                    return;
                }
                while self.recorder.sent_total < requests && !self.free.is_empty() {
                    self.recorder.due(now_ns - start_ns);
                    self.send_one(io, now_ns);
                }
            }
        }
    }

    fn send_one<I: Io>(&mut self, io: &mut I, intended_ns: u64) {
        let Some(place) = self.free.pop_front() else { return };
        self.prepare();
        let Some((number, kind)) = self.prepared_kind.take() else { return };
        let connection = &mut self.connections[place as usize];
        let (Some(conn), Some(mut buffer)) = (connection.conn, connection.buffer.take()) else { return };
        buffer.clear();
        assert!(buffer.extend(&self.prepared), "requests have a bound");
        self.desk.request_sent(number);
        let sent_ns = clocks::read_mono_ns();
        io.send(conn, buffer);
        connection.is_queued = false;
        connection.requests += 1;
        connection.flights.push_back(Flight { number, expected: kind.expected(), intended_ns, sent_ns });
        self.in_flight += 1;
        let start_ns = self.start_ns.unwrap_or(intended_ns);
        self.recorder.sent(intended_ns.saturating_sub(start_ns), sent_ns - intended_ns);
    }

    /// Writes the next request ahead of its time.
    fn prepare(&mut self) {
        if self.prepared_kind.is_none() {
            self.prepared_kind = Some(self.source.write(&mut self.prepared));
        }
    }

    /// Puts a connection in line if it can take another request.
    fn offer(&mut self, place: u32) {
        let connection = &mut self.connections[place as usize];
        let is_spent = self.requests_per_connection > 0 && connection.requests >= self.requests_per_connection;
        let has_room = connection.flights.len() < self.pipeline && connection.buffer.is_some();
        if connection.state == State::Open && !connection.is_queued && !is_spent && has_room {
            connection.is_queued = true;
            self.free.push_back(place);
        }
    }

    fn received<I: Io>(&mut self, io: &mut I, place: u32, conn: ConnId, bytes: &[u8]) {
        let now_ns = clocks::read_mono_ns();
        let connection = &mut self.connections[place as usize];
        if connection.state != State::Open {
            return;
        }
        let (mut closes, mut answers_left) = (false, true);
        let (flights, recorder, desk) = (&mut connection.flights, &mut self.recorder, &mut self.desk);
        let start_ns = self.start_ns.unwrap_or(now_ns);
        let in_flight = &mut self.in_flight;
        let result = connection.reader.feed(bytes, |answer: Answer| {
            closes |= answer.closes;
            let Some(flight) = flights.pop_front() else { return answers_left = false };
            *in_flight -= 1;
            let held_ns = desk.request_answered(flight.number, now_ns);
            recorder.answered(start_ns, flight, now_ns, answer, held_ns);
        });
        if result.is_err() || !answers_left {
            self.recorder.faults.garbage += 1;
            return self.break_off(io, place, conn, now_ns);
        }
        let is_spent = self.requests_per_connection > 0 && connection.requests >= self.requests_per_connection;
        if (closes || is_spent) && connection.flights.is_empty() && connection.buffer.is_some() {
            self.close(io, place, conn, false);
        } else {
            self.offer(place);
        }
    }

    /// Ends a connection whose requests have no answer any more.
    fn break_off<I: Io>(&mut self, io: &mut I, place: u32, conn: ConnId, now_ns: u64) {
        let start_ns = self.start_ns.unwrap_or(now_ns);
        while let Some(flight) = self.connections[place as usize].flights.pop_front() {
            self.in_flight -= 1;
            self.recorder.unanswered(start_ns, flight.intended_ns, flight.sent_ns, now_ns);
        }
        self.close(io, place, conn, true);
    }

    fn close<I: Io>(&mut self, io: &mut I, place: u32, conn: ConnId, abort: bool) {
        let connection = &mut self.connections[place as usize];
        if connection.state == State::Closing {
            return;
        }
        connection.state = State::Closing;
        if std::mem::take(&mut connection.is_queued) {
            self.free.retain(|free| *free != place);
        }
        io.close(conn, abort);
        // Its successor need not wait until the kernel has put it away.
        self.recorder.reconnects += 1;
    }

    fn look<I: Io>(&mut self, io: &mut I, now_ns: u64) {
        for place in 0..self.connections.len() as u32 {
            let connection = &self.connections[place as usize];
            let is_late = connection.flights.front().is_some_and(|f| f.sent_ns + self.timeout_ns <= now_ns);
            if let (State::Open, true, Some(conn)) = (connection.state, is_late, connection.conn) {
                self.recorder.faults.timeouts += 1;
                self.break_off(io, place, conn, now_ns);
            }
        }
        let at_ns = now_ns.saturating_sub(self.start_ns.unwrap_or(now_ns));
        let outage = self.outages.iter().find(|(from, to, _)| (*from..*to).contains(&at_ns));
        self.desk.set_silent(outage.map(|(_, _, partner)| partner.as_str()));
        self.progress.elapsed_ns.store(at_ns, Ordering::Relaxed);
        self.progress.sent.store(self.recorder.sent_total, Ordering::Relaxed);
        self.progress.answered.store(self.recorder.answered_total, Ordering::Relaxed);
        self.progress.failed.store(self.recorder.faults.total(), Ordering::Relaxed);
    }

    /// When the run is over: all offered, and all answered or given up.
    fn is_over(&self, now_ns: u64, start_ns: u64) -> bool {
        let end_ns = match self.pace {
            Pace::Schedule if self.schedule.peek().is_some() => return false,
            Pace::Schedule => self.schedule.end_ns(),
            Pace::Closed { ns } => ns,
            // Those without an answer end by their own timeout.
            Pace::Count { requests } => return self.recorder.sent_total >= requests && self.in_flight == 0,
        };
        let is_quiet = self.in_flight == 0 && self.backlog.is_empty();
        now_ns >= start_ns + end_ns && (is_quiet || now_ns >= start_ns + end_ns + self.timeout_ns)
    }

    fn end(&mut self, now_ns: u64, start_ns: u64) {
        for connection in &mut self.connections {
            while let Some(flight) = connection.flights.pop_front() {
                self.recorder.unanswered(start_ns, flight.intended_ns, flight.sent_ns, now_ns);
            }
        }
        while let Some(intended_ns) = self.backlog.pop_front() {
            self.recorder.unanswered(start_ns, intended_ns, now_ns, now_ns);
        }
        self.look_done(now_ns, start_ns);
    }

    fn look_done(&mut self, now_ns: u64, start_ns: u64) {
        self.recorder.lasted_ns = now_ns - start_ns;
        self.progress.elapsed_ns.store(now_ns - start_ns, Ordering::Relaxed);
    }
}

/// How the runtime's connections are shared out.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    pub clients: u32,
    pub outgoing: u32,
}

impl Slots {
    pub fn of(scenario: &Scenario) -> Slots {
        // A connection that is being put away keeps its slot for a while after its successor needs one.
        let outgoing = scenario.connections + scenario.connections / 2 + 256;
        let partners = scenario.partners.len() as u32;
        Slots { clients: 64 + partners * 256 * u32::from(scenario.server.shards), outgoing }
    }
}

impl Handler<Uring<()>> for Engine {
    fn on_event(&mut self, io: &mut Uring<()>, event: Event<'_, ()>) {
        let place_of = |places: &[Option<u32>], conn: ConnId| places[conn.slot as usize];
        match event {
            Event::Accepted { conn, .. } => self.desk.accepted(conn),
            Event::Connected { conn, ok } => {
                let Some(place) = place_of(&self.places, conn) else { return };
                self.connecting -= 1;
                let connection = &mut self.connections[place as usize];
                connection.opened();
                if ok {
                    self.offer(place);
                } else {
                    self.recorder.faults.refused += 1;
                    self.close(io, place, conn, true);
                }
            }
            Event::Received { conn, bytes } => match place_of(&self.places, conn) {
                Some(place) => self.received(io, place, conn, bytes),
                None => self.desk.received(io, conn, bytes, clocks::read_mono_ns()),
            },
            Event::Ended { conn, .. } => match place_of(&self.places, conn) {
                Some(place) => {
                    if !self.connections[place as usize].flights.is_empty() {
                        self.recorder.faults.cut += 1;
                    }
                    self.break_off(io, place, conn, clocks::read_mono_ns());
                }
                None => {
                    self.desk.gone(conn);
                    io.close(conn, false);
                }
            },
            Event::Sent { conn, buffer, ok } => match place_of(&self.places, conn) {
                Some(place) => self.sent(io, place, conn, buffer, ok),
                None => self.desk.sent(conn, buffer),
            },
            Event::Closed { conn } => match self.places[conn.slot as usize].take() {
                Some(place) => {
                    self.connections[place as usize].conn = None;
                    self.to_connect.push_back(place);
                }
                None => self.desk.gone(conn),
            },
            Event::Message { .. } => {}
        }
    }

    fn on_turn(&mut self, io: &mut Uring<()>) -> Option<u64> {
        let now_ns = clocks::read_mono_ns();
        let began_ns = *self.began_ns.get_or_insert(now_ns);
        self.connect_more(io);
        let Some(start_ns) = self.start_ns else {
            if self.free.len() == self.connections.len() {
                self.start_ns = Some(now_ns + REST_NS);
                self.desk.start(now_ns + REST_NS);
                self.recorder.faults = Faults::default();
                self.recorder.reconnects = 0;
            } else if now_ns > began_ns + CONNECT_NS || self.recorder.faults.refused > REFUSED_MAX {
                let (up, all) = (self.free.len(), self.connections.len());
                self.trouble = Some(format!("only {up} of {all} connections to {} could be made", self.target));
                return None;
            }
            return Some(self.desk.answer_due(io, clocks::read_mono_ns).min(now_ns + LOOK_NS));
        };
        if self.is_over(now_ns, start_ns) {
            self.end(now_ns, start_ns);
            return None;
        }
        if now_ns >= self.next_look_ns {
            self.next_look_ns = now_ns + LOOK_NS;
            self.look(io, now_ns);
        }
        self.send_due(io, start_ns);
        let partner_ns = self.desk.answer_due(io, clocks::read_mono_ns);
        self.prepare();
        let next_ns = self.schedule.peek().map_or(u64::MAX, |at_ns| start_ns + at_ns);
        let next_ns = if self.pace == Pace::Schedule { next_ns } else { u64::MAX };
        Some(next_ns.min(partner_ns).min(self.next_look_ns))
    }
}

impl Engine {
    fn sent(&mut self, io: &mut Uring<()>, place: u32, conn: ConnId, buffer: Buffer, ok: bool) {
        debug_assert!(conn.slot as usize >= self.clients);
        let connection = &mut self.connections[place as usize];
        connection.buffer = Some(buffer);
        if !ok && connection.state == State::Open {
            self.recorder.faults.cut += 1;
            return self.break_off(io, place, conn, clocks::read_mono_ns());
        }
        let is_spent = self.requests_per_connection > 0 && connection.requests >= self.requests_per_connection;
        if is_spent && connection.flights.is_empty() && connection.state == State::Open {
            self.close(io, place, conn, false);
        } else {
            self.offer(place);
        }
    }
}
