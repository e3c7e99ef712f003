//! The books of a run. All histograms have their bounds, and their memory, from the start; percentiles are only ever
//! taken of a histogram, never averaged.

use hdrhistogram::Histogram;

use super::connection::Flight;
use crate::answers::Answer;
use crate::schedule::{Piece, Schedule};

/// The longest time that is told apart; longer ones count as this.
const NS_MAX: u64 = 60_000_000_000;
const DIGITS: u8 = 3;
/// Intervals of a run: enough for a plot.
const INTERVALS_MAX: u64 = 120;
const INTERVAL_NS_MIN: u64 = 1_000_000_000;

#[derive(Debug)]
pub struct Recorder {
    outcome: Outcome,
    pieces: Vec<Piece>,
    pub sent_total: u64,
    pub answered_total: u64,
    pub faults: Faults,
    pub reconnects: u64,
    pub crowded: u64,
    pub lasted_ns: u64,
}

/// What went wrong, counted over the whole run.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Faults {
    /// Answers of another status than was due.
    pub statuses: u64,
    /// Answers with `X-Error` where none was due, or without where one was.
    pub calls: u64,
    /// Connections that could not be made.
    pub refused: u64,
    /// Connections that ended while an answer was due.
    pub cut: u64,
    pub timeouts: u64,
    /// Requests without an answer, for whatever reason.
    pub unanswered: u64,
    /// Requests that were never sent.
    pub given_up: u64,
    /// Bytes that are no answer.
    pub garbage: u64,
}

impl Faults {
    pub fn total(&self) -> u64 {
        self.statuses + self.calls + self.refused + self.unanswered + self.given_up + self.garbage
    }
}

/// What a run came to. Times in nanoseconds; of the measured phases only.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub response: Histogram<u64>,
    pub service: Histogram<u64>,
    pub send_lag: Histogram<u64>,
    /// The service time less the time that the slowest awaited partner held the request.
    pub added: Histogram<u64>,
    pub intervals: Vec<Interval>,
    pub interval_ns: u64,
    /// Requests that were due, and those of them that were answered within the measured time.
    pub due: u64,
    pub achieved: u64,
    pub measured_ns: u64,
    pub answered: u64,
    /// Over the whole run.
    pub answered_total: u64,
    pub faults: Faults,
    pub reconnects: u64,
    /// Requests that found all connections taken when they were due.
    pub crowded: u64,
    pub lookups: u64,
    pub lookup_hits: u64,
    pub lasted_ns: u64,
}

/// Response times of requests that were due in one stretch of time.
#[derive(Clone, Debug)]
pub struct Interval {
    pub start_ns: u64,
    pub is_measured: bool,
    pub response: Histogram<u64>,
}

/// A histogram of times.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, NS_MAX, DIGITS).expect("the bounds are constants")
}

impl Recorder {
    pub fn new(schedule: &Schedule) -> Recorder {
        let pieces = schedule.pieces().to_vec();
        let end_ns = schedule.end_ns();
        let interval_ns = (end_ns / INTERVALS_MAX).max(INTERVAL_NS_MIN);
        let interval = |index: u64| {
            let start_ns = index * interval_ns;
            let piece = piece_at(&pieces, start_ns + interval_ns / 2);
            Interval { start_ns, is_measured: piece.is_none_or(|piece| piece.is_measured), response: histogram() }
        };
        let outcome = Outcome {
            response: histogram(),
            service: histogram(),
            send_lag: histogram(),
            added: histogram(),
            intervals: (0..end_ns.div_ceil(interval_ns).max(1)).map(interval).collect(),
            interval_ns,
            due: 0,
            achieved: 0,
            measured_ns: pieces.iter().filter(|p| p.is_measured).map(|p| p.end_ns - p.start_ns).sum(),
            answered: 0,
            answered_total: 0,
            faults: Faults::default(),
            reconnects: 0,
            crowded: 0,
            lookups: 0,
            lookup_hits: 0,
            lasted_ns: 0,
        };
        let faults = Faults::default();
        Recorder { outcome, pieces, sent_total: 0, answered_total: 0, faults, reconnects: 0, crowded: 0, lasted_ns: 0 }
    }

    /// Times from the start of the schedule.
    pub fn due(&mut self, at_ns: u64) {
        self.outcome.due += u64::from(self.is_measured(at_ns));
    }

    pub fn sent(&mut self, at_ns: u64, lag_ns: u64) {
        self.sent_total += 1;
        if self.is_measured(at_ns) {
            self.outcome.send_lag.saturating_record(lag_ns);
        }
    }

    pub(super) fn answered(
        &mut self,
        start_ns: u64,
        flight: Flight,
        now_ns: u64,
        answer: Answer,
        held_ns: Option<u64>,
    ) {
        let Flight { expected, intended_ns, sent_ns, .. } = flight;
        self.answered_total += 1;
        let (is_status_right, is_error_right) = expected.judge(answer.status, answer.has_error);
        self.faults.statuses += u64::from(!is_status_right);
        self.faults.calls += u64::from(is_status_right && !is_error_right);
        let at_ns = intended_ns.saturating_sub(start_ns);
        if self.record(at_ns, now_ns - intended_ns, now_ns - sent_ns) {
            self.outcome.answered += 1;
            // What is answered when the phase is long over was not achieved at the rate that was asked.
            let end_ns = piece_at(&self.pieces, at_ns).map_or(u64::MAX, |piece| piece.end_ns);
            self.outcome.achieved += u64::from(now_ns - start_ns <= end_ns + GRACE_NS);
            if let Some(held_ns) = held_ns {
                self.outcome.added.saturating_record((now_ns - sent_ns).saturating_sub(held_ns));
            }
        }
    }

    /// Counted with the time that it had at least: what has no answer is not what one may leave out.
    pub fn unanswered(&mut self, start_ns: u64, intended_ns: u64, sent_ns: u64, now_ns: u64) {
        self.faults.unanswered += 1;
        self.record(intended_ns.saturating_sub(start_ns), now_ns - intended_ns, now_ns - sent_ns);
    }

    pub fn into_outcome(self, lookups: u64, lookup_hits: u64) -> Outcome {
        let Recorder { outcome, answered_total, faults, reconnects, crowded, lasted_ns, .. } = self;
        Outcome { answered_total, faults, reconnects, crowded, lookups, lookup_hits, lasted_ns, ..outcome }
    }

    fn record(&mut self, at_ns: u64, response_ns: u64, service_ns: u64) -> bool {
        let last = self.outcome.intervals.len() - 1;
        let index = ((at_ns / self.outcome.interval_ns) as usize).min(last);
        self.outcome.intervals[index].response.saturating_record(response_ns);
        let is_measured = self.is_measured(at_ns);
        if is_measured {
            self.outcome.response.saturating_record(response_ns);
            self.outcome.service.saturating_record(service_ns);
        }
        is_measured
    }

    fn is_measured(&self, at_ns: u64) -> bool {
        piece_at(&self.pieces, at_ns).is_none_or(|piece| piece.is_measured)
    }
}

/// After a phase's end, within which an answer still counts as achieved: 100 ms, two budgets of partner lookups.
const GRACE_NS: u64 = 100_000_000;

fn piece_at(pieces: &[Piece], at_ns: u64) -> Option<&Piece> {
    pieces.iter().find(|piece| at_ns <= piece.end_ns)
}
