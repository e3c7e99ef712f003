//! When requests are due. The schedule knows nothing of answers: that is what makes the load an open loop, and the
//! latencies, counted from these times, free of coordinated omission.
//!
//! A phase offers a rate that is constant or changes evenly, so the number of requests expected by a time is a
//! quadratic of it. The times are that function's inverse at 1, 2, 3, ... (constant arrivals) or at the sums of
//! exponential variates (Poisson arrivals).

use crate::random::Random;
use crate::scenario::{Arrivals, Phase, Scenario};

#[derive(Clone, Debug)]
pub struct Schedule {
    pieces: Vec<Piece>,
    at: usize,
    arrivals: Arrivals,
    random: Random,
    /// Requests expected by the next time, from the start.
    expected: f64,
    next_ns: Option<u64>,
}

/// One phase.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub start_ns: u64,
    pub end_ns: u64,
    pub is_measured: bool,
    /// Requests expected before it.
    expected: f64,
    /// Requests a second at its start, and the change of that each second.
    rate: f64,
    slope: f64,
}

impl Schedule {
    pub fn new(scenario: &Scenario) -> Schedule {
        let mut schedule = Schedule {
            pieces: pieces(&scenario.phases, scenario.rate),
            at: 0,
            arrivals: scenario.arrivals,
            random: Random::new(scenario.seed ^ 0x5C4E_D01E),
            expected: 0.0,
            next_ns: None,
        };
        schedule.advance();
        schedule
    }

    /// The next intended time, in nanoseconds from the start; `None` when all are over.
    pub fn peek(&self) -> Option<u64> {
        self.next_ns
    }

    /// The phases in time.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub fn end_ns(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.end_ns)
    }

    fn advance(&mut self) {
        self.expected += match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => self.random.exponential(),
        };
        self.next_ns = loop {
            let Some(piece) = self.pieces.get(self.at) else { break None };
            match piece.time_of(self.expected) {
                Some(ns) => break Some(ns),
                None => self.at += 1,
            }
        };
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let taken = self.next_ns;
        self.advance();
        taken
    }
}

impl Piece {
    fn seconds(&self) -> f64 {
        (self.end_ns - self.start_ns) as f64 / 1e9
    }

    /// How many requests are expected in it.
    fn count(&self) -> f64 {
        let seconds = self.seconds();
        self.rate * seconds + self.slope * seconds * seconds / 2.0
    }

    /// When `expected` requests are due; `None`: later than this phase.
    fn time_of(&self, expected: f64) -> Option<u64> {
        let count = expected - self.expected;
        if count > self.count() {
            return None;
        }
        // The root of slope/2 t^2 + rate t - count, in the form that divides by no small slope.
        let root = (self.rate * self.rate + 2.0 * self.slope * count).max(0.0).sqrt();
        let seconds = 2.0 * count / (self.rate + root);
        Some((self.start_ns + (seconds * 1e9) as u64).min(self.end_ns))
    }
}

fn pieces(phases: &[Phase], rate: f64) -> Vec<Piece> {
    let (mut start_ns, mut expected) = (0, 0.0);
    let piece = |phase: &Phase| {
        let from = if phase.kind == crate::scenario::PhaseKind::Ramp { phase.from } else { phase.share };
        let piece = Piece {
            start_ns,
            end_ns: start_ns + (phase.seconds * 1e9) as u64,
            is_measured: phase.kind.is_measured(),
            expected,
            rate: rate * from,
            slope: rate * (phase.share - from) / phase.seconds,
        };
        start_ns = piece.end_ns;
        expected += piece.count();
        piece
    };
    phases.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::PhaseKind;

    fn phase(kind: PhaseKind, seconds: f64, from: f64, share: f64) -> Phase {
        Phase { kind, seconds, share, from, partner: None }
    }

    fn schedule(phases: Vec<Phase>, arrivals: Arrivals) -> Schedule {
        let scenario = Scenario { rate: 1_000.0, phases, arrivals, ..Scenario::load("smoke").unwrap() };
        Schedule::new(&scenario)
    }

    #[test]
    fn constant_arrivals_keep_their_distance() {
        let times: Vec<u64> = schedule(vec![phase(PhaseKind::Steady, 2.0, 0.0, 1.0)], Arrivals::Constant).collect();
        assert!((1_999..=2_000).contains(&times.len()), "{}", times.len());
        assert!(times.windows(2).all(|pair| (pair[1] - pair[0]).abs_diff(1_000_000) <= 2));
    }

    #[test]
    fn a_ramp_offers_half_and_most_of_it_late() {
        let phases = vec![phase(PhaseKind::Ramp, 2.0, 0.0, 1.0), phase(PhaseKind::Steady, 1.0, 0.0, 1.0)];
        let times: Vec<u64> = schedule(phases, Arrivals::Constant).collect();
        let before = |ns| times.iter().filter(|time| **time <= ns).count();
        assert!(before(1_000_000_000).abs_diff(250) <= 1, "a quarter in its first half");
        assert!(before(2_000_000_000).abs_diff(1_000) <= 1);
        assert!(times.len().abs_diff(2_000) <= 1);
        assert!(times.is_sorted());
    }

    #[test]
    fn poisson_arrivals_are_spread_as_independent_visitors_are() {
        let times: Vec<u64> = schedule(vec![phase(PhaseKind::Steady, 20.0, 0.0, 1.0)], Arrivals::Poisson).collect();
        assert!(times.len().abs_diff(20_000) < 600, "{}", times.len());
        // Of exponential distances, 1/e are longer than the mean.
        let longer = times.windows(2).filter(|pair| pair[1] - pair[0] > 1_000_000).count() as f64;
        assert!((longer / times.len() as f64 - 0.3679).abs() < 0.02);
    }

    #[test]
    fn a_phase_of_silence_ends() {
        let phases = vec![phase(PhaseKind::Warm, 1.0, 0.0, 0.0), phase(PhaseKind::Steady, 1.0, 0.0, 1.0)];
        let times: Vec<u64> = schedule(phases, Arrivals::Constant).collect();
        assert!(times.len() >= 999 && times[0] > 1_000_000_000);
    }
}
