//! What a simulated partner has done. Written by its thread, read by any.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::profile::FaultKind;

/// The counts, as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub connections: u64,
    pub requests: u64,
    /// Answers with segments.
    pub hits: u64,
    /// Answers that nothing is known.
    pub misses: u64,
    /// Requests that were none; their connections are closed.
    pub unreadable: u64,
    /// In the order of [`FAULT_NAMES`].
    pub faults: [u64; FAULT_NAMES.len()],
}

pub const FAULT_NAMES: [&str; 12] = [
    "hang",
    "drip",
    "reset_at",
    "half_close",
    "garbage",
    "broken_json",
    "wrong_length",
    "status_500",
    "status_429",
    "big_body",
    "refuse",
    "close_after",
];

#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) unreadable: AtomicU64,
    faults: [AtomicU64; FAULT_NAMES.len()],
}

impl Statistics {
    pub(super) fn count_fault(&self, kind: FaultKind) {
        count(&self.faults[place(kind)]);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            connections: self.connections.load(Relaxed),
            requests: self.requests.load(Relaxed),
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            unreadable: self.unreadable.load(Relaxed),
            faults: std::array::from_fn(|place| self.faults[place].load(Relaxed)),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counts {
    /// How often a fault, by its name in the profile, was carried out.
    pub fn fault(&self, name: &str) -> u64 {
        let place = FAULT_NAMES.iter().position(|known| *known == name);
        place.map_or(0, |place| self.faults[place])
    }
}

/// One line for a person; faults that never came are left out.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { connections, requests, hits, misses, unreadable, .. } = self;
        write!(f, "{connections} connections, {requests} requests: {hits} hits, {misses} misses")?;
        if *unreadable > 0 {
            write!(f, ", {unreadable} unreadable")?;
        }
        let faults = FAULT_NAMES.iter().zip(self.faults).filter(|(_, count)| *count > 0);
        for (place, (name, count)) in faults.enumerate() {
            write!(f, "{} {name} {count}", if place == 0 { "; faults:" } else { "," })?;
        }
        Ok(())
    }
}

fn place(kind: FaultKind) -> usize {
    match kind {
        FaultKind::Hang => 0,
        FaultKind::Drip { .. } => 1,
        FaultKind::ResetAt { .. } => 2,
        FaultKind::HalfClose => 3,
        FaultKind::Garbage => 4,
        FaultKind::BrokenJson => 5,
        FaultKind::WrongLength => 6,
        FaultKind::Status500 => 7,
        FaultKind::Status429 => 8,
        FaultKind::BigBody { .. } => 9,
        FaultKind::Refuse => 10,
        FaultKind::CloseAfter { .. } => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_well() {
        let statistics = Statistics::default();
        count(&statistics.requests);
        count(&statistics.misses);
        statistics.count_fault(FaultKind::CloseAfter { answers: 2 });
        statistics.count_fault(FaultKind::Hang);
        statistics.count_fault(FaultKind::Hang);
        let counts = statistics.counts();
        assert_eq!((counts.fault("hang"), counts.fault("close_after"), counts.fault("drip")), (2, 1, 0));
        let expected = "0 connections, 1 requests: 0 hits, 1 misses; faults: hang 2, close_after 1";
        assert_eq!(counts.to_string(), expected);
    }
}
