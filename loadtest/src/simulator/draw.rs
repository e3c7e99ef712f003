//! Numbers that look random and are the same in every run: each follows from the seed, the visitor and what it is
//! drawn for, so the order in which requests arrive changes nothing.
//!
//! Source: FNV-1a (Fowler, Noll and Vo).

use crate::random::Random;

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

/// A visitor's id as a number.
pub(super) fn hash(id: &[u8]) -> u64 {
    id.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `subject` is a visitor or a connection; `turn` tells its requests apart where they are to differ.
pub(super) fn draw(seed: u64, purpose: Purpose, subject: u64, turn: u64) -> Random {
    let parts = [purpose as u64, subject, turn];
    parts.into_iter().fold(Random::new(seed), |mut random, part| Random::new(random.bits() ^ part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_answer() {
        let numbers = |turn| {
            let mut random = draw(7, Purpose::Latency, hash(b"joe"), turn);
            [random.bits(), random.bits()]
        };
        assert_eq!(numbers(0), numbers(0));
        assert_ne!(numbers(0), numbers(1));
        assert_ne!(draw(7, Purpose::Latency, 1, 0).bits(), draw(7, Purpose::Hit, 1, 0).bits(), "purposes are apart");
        assert_ne!(draw(7, Purpose::Hit, 1, 0).bits(), draw(8, Purpose::Hit, 1, 0).bits());
    }

    #[test]
    fn neighbours_draw_evenly() {
        const COUNT: u64 = 20_000;
        let mut tenths = [0; 10];
        let (mut sum, mut squares) = (0.0, 0.0);
        for subject in 0..COUNT {
            let mut random = draw(1, Purpose::Hit, subject, 0);
            tenths[(random.share() * 10.0) as usize] += 1;
            let normal = random.normal();
            sum += normal;
            squares += normal * normal;
        }
        assert!(tenths.iter().all(|count| (1_800..2_200).contains(count)), "{tenths:?}");
        assert!((sum / COUNT as f64).abs() < 0.03 && (squares / COUNT as f64 - 1.0).abs() < 0.05);
    }
}
