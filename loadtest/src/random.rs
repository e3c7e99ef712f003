//! Chance from one committed seed: the same scenario offers the same requests at the same times, to whomever it is
//! offered. SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).

#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// 64 of them.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// From 0 to below 1.
    pub fn share(&mut self) -> f64 {
        unit(self.bits())
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// Exponentially distributed with mean 1.
    pub fn exponential(&mut self) -> f64 {
        // 1 - share is never 0.
        -(1.0 - self.share()).ln()
    }

    /// Normally distributed with mean 0 and deviation 1, by the Box-Muller transform.
    pub fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// Spreads a number over all 64 bits; different numbers stay different.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// A number's first 53 bits as a share from 0 to below 1.
pub fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence_with_the_right_means() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        assert_eq!(one.bits(), two.bits());
        let mean = |draw: &mut dyn FnMut() -> f64| (0..100_000).map(|_| draw()).sum::<f64>() / 100_000.0;
        assert!((mean(&mut || one.share()) - 0.5).abs() < 0.01);
        assert!((mean(&mut || one.exponential()) - 1.0).abs() < 0.02);
        assert!(mean(&mut || one.normal()).abs() < 0.02);
        assert!((mean(&mut || one.normal().powi(2)) - 1.0).abs() < 0.03);
        assert!((0..10_000).all(|_| one.below(3) < 3));
    }
}
