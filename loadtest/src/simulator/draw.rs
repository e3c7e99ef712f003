//! Numbers that look random and are the same in every run: each follows from the seed, the visitor and what it is
//! drawn for, so the order in which requests arrive changes nothing.
//!
//! Source: SplitMix64 (Steele, Lea and Flood, 2014), FNV-1a, and the polar form's elder, Box and Muller's.

use std::f64::consts::TAU;

/// What numbers are drawn for: one purpose's draws tell nothing about another's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Hit = 1,
    Segments,
    Latency,
    RequestFault,
    ConnectionFault,
    Layout,
    Noise,
}

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    state: u64,
}

/// A visitor's id as a number.
pub(super) fn hash(id: &[u8]) -> u64 {
    id.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Draw {
    /// `subject` is a visitor or a connection; `turn` tells its requests apart where they are to differ.
    pub(super) fn new(seed: u64, purpose: Purpose, subject: u64, turn: u64) -> Draw {
        let mut draw = Draw { state: seed };
        for part in [purpose as u64, subject, turn] {
            draw.state = draw.number() ^ part;
        }
        draw
    }

    pub(super) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to just below 1, evenly.
    pub(super) fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to just below `end`, evenly enough.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(end)) >> 64) as u64
    }

    /// Of the standard normal distribution.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (TAU * self.share()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_answer() {
        let numbers = |turn| {
            let mut draw = Draw::new(7, Purpose::Latency, hash(b"joe"), turn);
            [draw.number(), draw.number()]
        };
        assert_eq!(numbers(0), numbers(0));
        assert_ne!(numbers(0), numbers(1));
        assert_ne!(
            Draw::new(7, Purpose::Latency, 1, 0).number(),
            Draw::new(7, Purpose::Hit, 1, 0).number(),
            "purposes are apart"
        );
        assert_ne!(Draw::new(7, Purpose::Hit, 1, 0).number(), Draw::new(8, Purpose::Hit, 1, 0).number());
    }

    #[test]
    fn shares_are_even_and_normals_normal() {
        const COUNT: u64 = 20_000;
        let mut tenths = [0; 10];
        let (mut sum, mut squares) = (0.0, 0.0);
        for subject in 0..COUNT {
            let mut draw = Draw::new(1, Purpose::Hit, subject, 0);
            tenths[(draw.share() * 10.0) as usize] += 1;
            let normal = draw.normal();
            sum += normal;
            squares += normal * normal;
            assert!(draw.below(3) < 3);
        }
        assert!(tenths.iter().all(|count| (1_800..2_200).contains(count)), "{tenths:?}");
        assert!((sum / COUNT as f64).abs() < 0.03 && (squares / COUNT as f64 - 1.0).abs() < 0.05);
    }
}
