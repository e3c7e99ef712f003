//! Whether a partner is worth asking now: a smoothed share of failed calls, and a hold that the partner itself asked
//! for. Calls are dropped in proportion to the failures, and some always go through: there is no closed state to get
//! stuck in, and a recovery shows at once.

use crate::limits::PARTNER_RETRY_AFTER_S_MAX;

/// One call moves the share by this part of the way: 64 calls in a row are felt, and a fifth of failures by chance
/// among healthy calls is rare.
const SMOOTHING: f32 = 1.0 / 64.0;
/// Up to this share of failures nothing is dropped.
const TOLERATED_SHARE: f32 = 0.2;
/// With every call failing, this share is dropped.
const DROPPED_SHARE_MAX: f32 = 0.9;
/// How long a 429 without `Retry-After` is honoured.
const HOLD_DEFAULT_S: u64 = 1;

/// One partner's health, as one shard sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Health {
    failed_share: f32,
    held_until_ns: u64,
}

/// Whether a call may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// Too many calls failed of late, and the lot fell on this one.
    Dropped,
    /// The partner asked to be left alone.
    Held,
}

impl Health {
    /// `random` must be uniform over all of `u32`.
    pub fn admit(&self, mono_ns: u64, random: u32) -> Admission {
        if mono_ns < self.held_until_ns {
            return Admission::Held;
        }
        let lot = f64::from(random) / (f64::from(u32::MAX) + 1.0);
        if lot < f64::from(self.dropped_share()) { Admission::Dropped } else { Admission::Admitted }
    }

    /// One call ended. Failures are errors, timeouts (whatever arrives later), 5xx, and long waits for a connection
    /// (see [`waited_too_long`]).
    pub fn record(&mut self, failed: bool) {
        let target = if failed { 1.0 } else { 0.0 };
        self.failed_share += (target - self.failed_share) * SMOOTHING;
    }

    /// The partner answered 429, or 503 with `Retry-After`: nothing goes out for so long.
    pub fn hold(&mut self, mono_ns: u64, retry_after_s: Option<u64>) {
        let seconds = retry_after_s.unwrap_or(HOLD_DEFAULT_S).min(PARTNER_RETRY_AFTER_S_MAX);
        self.held_until_ns = self.held_until_ns.max(mono_ns.saturating_add(seconds * 1_000_000_000));
    }

    /// The smoothed share of failures, 0 to 1.
    pub fn failed_share(&self) -> f32 {
        self.failed_share
    }

    /// The probability at which calls are dropped now, at most 0.9.
    pub fn dropped_share(&self) -> f32 {
        let excess = (self.failed_share - TOLERATED_SHARE) / (1.0 - TOLERATED_SHARE);
        excess.clamp(0.0, 1.0) * DROPPED_SHARE_MAX
    }
}

/// Whether a call's wait for a connection counts against the partner: over a fifth of the call's time.
pub fn waited_too_long(wait_ns: u64, call_ns: u64) -> bool {
    wait_ns.saturating_mul(5) > call_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// How many of 10,000 evenly spread lots are admitted.
    fn admitted(health: &Health) -> usize {
        (0..10_000_u32).filter(|i| health.admit(0, i * (u32::MAX / 10_000)) == Admission::Admitted).count()
    }

    #[test]
    fn the_formula_at_its_corners() {
        for (share, expected) in [(0.0, 10_000), (0.2, 10_000), (0.6, 5_500), (1.0, 1_000)] {
            let health = Health { failed_share: share, held_until_ns: 0 };
            assert!(admitted(&health).abs_diff(expected) <= 2, "{share}: {}", admitted(&health));
        }
    }

    #[test]
    fn a_dead_partner_is_still_tried_and_recovers() {
        let mut health = Health::default();
        for _ in 0..100_000 {
            health.record(true);
        }
        assert!(admitted(&health) >= 999);
        for _ in 0..104 {
            health.record(false);
        }
        assert_eq!(admitted(&health), 10_000);
    }

    #[test]
    fn a_hold_is_kept_and_ends() {
        let mut health = Health::default();
        health.hold(SECOND_NS, Some(5));
        health.hold(SECOND_NS, None);
        assert_eq!(health.admit(6 * SECOND_NS - 1, u32::MAX), Admission::Held);
        assert_eq!(health.admit(6 * SECOND_NS, 0), Admission::Admitted);
        health.hold(0, Some(u64::MAX));
        assert_eq!(health.admit(60 * SECOND_NS - 1, 0), Admission::Held);
        assert_eq!(health.admit(60 * SECOND_NS, 0), Admission::Admitted);
    }

    #[test]
    fn waits_over_a_fifth() {
        assert!(!waited_too_long(20, 100));
        assert!(waited_too_long(21, 100));
    }
}
