//! How long a partner thinks, whoever plays it.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Milliseconds, by kind of distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Latency {
    Constant {
        ms: f64,
    },
    /// The usual shape of a healthy service: a long tail to the right.
    LogNormal {
        median_ms: f64,
        sigma: f64,
    },
    /// A cache before something slow.
    Bimodal {
        fast_ms: f64,
        slow_ms: f64,
        slow_share: f64,
    },
    /// Everybody is slow at once now and then: the last `for_ms` of every `every_s`.
    Spikes {
        ms: f64,
        spike_ms: f64,
        every_s: f64,
        for_ms: f64,
    },
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::Constant { ms: 0.0 }
    }
}

impl Latency {
    /// For one request, at a time since the partner began.
    pub fn draw_ms(&self, random: &mut Random, running_ms: f64) -> f64 {
        match *self {
            Latency::Constant { ms } => ms,
            Latency::LogNormal { median_ms, sigma } => median_ms * (sigma * random.normal()).exp(),
            Latency::Bimodal { slow_ms, slow_share, .. } if random.share() < slow_share => slow_ms,
            Latency::Bimodal { fast_ms, .. } => fast_ms,
            Latency::Spikes { ms, spike_ms, every_s, for_ms } => {
                let is_spike = running_ms % (every_s * 1e3) >= every_s * 1e3 - for_ms;
                if is_spike { spike_ms } else { ms }
            }
        }
    }

    /// Whether its numbers are not negative and its shares between 0 and 1.
    pub fn is_possible(&self) -> bool {
        let all_positive = |numbers: &[f64]| numbers.iter().all(|number| number.is_finite() && *number >= 0.0);
        match *self {
            Latency::Constant { ms } => all_positive(&[ms]),
            Latency::LogNormal { median_ms, sigma } => all_positive(&[median_ms, sigma]),
            Latency::Bimodal { fast_ms, slow_ms, slow_share } => {
                all_positive(&[fast_ms, slow_ms, slow_share]) && slow_share <= 1.0
            }
            Latency::Spikes { ms, spike_ms, every_s, for_ms } => {
                all_positive(&[ms, spike_ms, every_s, for_ms]) && every_s > 0.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_distributed_as_they_say() {
        let mut random = Random::new(3);
        let mut draw = |latency: Latency| {
            let mut drawn: Vec<f64> = (0..10_000).map(|_| latency.draw_ms(&mut random, 0.0)).collect();
            drawn.sort_by(f64::total_cmp);
            drawn
        };
        let near = |found: f64, due: f64| (found / due - 1.0).abs() < 0.1;
        assert_eq!(draw(Latency::Constant { ms: 3.0 })[9_999], 3.0);

        let lognormal = draw(Latency::LogNormal { median_ms: 4.0, sigma: 0.5 });
        assert!(near(lognormal[5_000], 4.0), "{}", lognormal[5_000]);
        assert!(near(lognormal[9_900], 4.0 * (0.5_f64 * 2.326).exp()), "{}", lognormal[9_900]);

        let bimodal = draw(Latency::Bimodal { fast_ms: 1.0, slow_ms: 30.0, slow_share: 0.2 });
        let slow = bimodal.iter().filter(|ms| **ms == 30.0).count();
        assert!((1_900..2_100).contains(&slow) && bimodal[0] == 1.0, "{slow}");

        let spikes = Latency::Spikes { ms: 2.0, spike_ms: 80.0, every_s: 1.0, for_ms: 100.0 };
        let mut at = |running_ms| spikes.draw_ms(&mut random, running_ms);
        assert_eq!(
            [at(0.0), at(899.0), at(900.0), at(999.0), at(1_000.0), at(5_950.0)],
            [2.0, 2.0, 80.0, 80.0, 2.0, 80.0]
        );
    }
}
