//! Who calls. Visitors are numbered by how often they come, after Zipf's law; a number makes a uuid, the same in each
//! run, so a returning visitor needs no memory here.
//!
//! Zipf variates by rejection-inversion, which needs no table (Hoermann, Derflinger: Rejection-inversion to generate
//! variates from monotone discrete distributions, 1996).

use crate::random::{Random, mix};

/// Two numbers below 2^63, written as 19 digits each.
pub const UUID_BYTES: usize = 38;

#[derive(Clone, Debug)]
pub struct Zipf {
    count: f64,
    exponent: f64,
    integral_first: f64,
    integral_last: f64,
    squeeze: f64,
}

impl Zipf {
    pub fn new(count: u64, exponent: f64) -> Zipf {
        let mut zipf = Zipf { count: count as f64, exponent, integral_first: 0.0, integral_last: 0.0, squeeze: 0.0 };
        zipf.integral_first = zipf.integral(1.5) - 1.0;
        zipf.integral_last = zipf.integral(zipf.count + 0.5);
        zipf.squeeze = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    /// A visitor's number, from 0.
    pub fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.integral_last + random.share() * (self.integral_first - self.integral_last);
            let place = self.inverse(area);
            let number = place.round().clamp(1.0, self.count);
            if number - place <= self.squeeze || area >= self.integral(number + 0.5) - self.density(number) {
                return number as u64 - 1;
            }
        }
    }

    fn density(&self, place: f64) -> f64 {
        (-self.exponent * place.ln()).exp()
    }

    /// The density's integral from 1.
    fn integral(&self, place: f64) -> f64 {
        let log = place.ln();
        expm1_over((1.0 - self.exponent) * log) * log
    }

    fn inverse(&self, area: f64) -> f64 {
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        (ln1p_over(scaled) * area).exp()
    }
}

/// `(e^x - 1) / x`
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// `ln(1 + x) / x`
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

/// The uuid of a visitor.
pub fn uuid(seed: u64, visitor: u64) -> [u8; UUID_BYTES] {
    let high = mix(mix(seed ^ 0x0F1E_2D3C).wrapping_add(visitor)) >> 1;
    let low = mix(mix(seed ^ 0x4B5A_6978).wrapping_add(visitor)) >> 1;
    let mut text = [0; UUID_BYTES];
    let (first, second) = text.split_at_mut(UUID_BYTES / 2);
    write_digits(first, high);
    write_digits(second, low);
    text
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_come_as_often_as_the_law_says() {
        for exponent in [0.0, 0.8, 1.0, 1.3] {
            let (zipf, mut random) = (Zipf::new(1_000, exponent), Random::new(3));
            let mut counts = [0_u32; 1_000];
            (0..200_000).for_each(|_| counts[zipf.draw(&mut random) as usize] += 1);
            let whole: f64 = (1..=1_000).map(|n| f64::from(n).powf(-exponent)).sum();
            for number in [1_u32, 2, 10, 500] {
                let share = f64::from(number).powf(-exponent) / whole;
                let seen = f64::from(counts[number as usize - 1]) / 200_000.0;
                assert!((seen - share).abs() < 0.004 + share * 0.05, "{exponent} {number}: {seen} for {share}");
            }
        }
    }

    #[test]
    fn uuids_are_valid_and_differ() {
        let text = uuid(1, 2);
        assert!(text.iter().all(u8::is_ascii_digit));
        assert!(pinion::identity::Uuid::parse(&text).is_some());
        assert_ne!(text, uuid(1, 3));
        assert_eq!(text, uuid(1, 2));
    }
}
