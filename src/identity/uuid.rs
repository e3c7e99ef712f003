//! The visitor's id: 38 decimal digits, two zero-padded halves of 19, each below 2^63.

use std::fmt;

use super::hash::KeyedHash;

/// Digits of a uuid's or an ECID's text.
pub const DIGITS: usize = 38;
/// What each half is below.
pub const HALF_LIMIT: u64 = 1 << 63;

const HALF_DIGITS: usize = DIGITS / 2;

/// A visitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid {
    /// Below 2^63.
    pub high: u64,
    /// Below 2^63.
    pub low: u64,
}

impl Uuid {
    /// Exactly 38 digits whose halves are below 2^63, or `None`.
    pub fn parse(text: &[u8]) -> Option<Uuid> {
        let (high, low) = parse_halves(text)?;
        Some(Uuid { high, low })
    }

    /// Any 128 bits as a uuid: the top bit of each half is dropped.
    pub fn from_bits(high: u64, low: u64) -> Uuid {
        Uuid { high: high % HALF_LIMIT, low: low % HALF_LIMIT }
    }

    /// Under which the profile of a person is kept whose declared id has this hash: one that no text names, that no
    /// generator draws and no ECID leads to, since its first half is not below 2^63. It is nobody's to be told.
    pub fn of_person(id: KeyedHash) -> Uuid {
        Uuid { high: (id.bits() >> 64) as u64 | HALF_LIMIT, low: id.bits() as u64 }
    }

    /// Writes the 38 digits.
    pub fn write(self, text: &mut [u8; DIGITS]) {
        write_halves(self.high, self.low, text);
    }

    /// The 38 digits.
    pub fn digits(self) -> [u8; DIGITS] {
        let mut text = [0; DIGITS];
        self.write(&mut text);
        text
    }
}

/// For logs and tests; requests use [`Uuid::write`].
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:019}{:019}", self.high, self.low)
    }
}

pub(super) fn parse_halves(text: &[u8]) -> Option<(u64, u64)> {
    let text: &[u8; DIGITS] = text.try_into().ok()?;
    let (high, low) = text.split_at(HALF_DIGITS);
    Some((parse_half(high)?, parse_half(low)?))
}

pub(super) fn write_halves(high: u64, low: u64, text: &mut [u8; DIGITS]) {
    let (high_text, low_text) = text.split_at_mut(HALF_DIGITS);
    write_half(high, high_text);
    write_half(low, low_text);
}

/// Nineteen digits can't overflow a u64, so range and form are checked once, after the loop.
fn parse_half(text: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    let mut all_digits = true;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        all_digits &= digit <= 9;
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (all_digits && value < HALF_LIMIT).then_some(value)
}

/// Two digits a step: a division by a constant is the whole cost.
fn write_half(mut value: u64, text: &mut [u8]) {
    let (first, pairs) = text.split_at_mut(1);
    for pair in pairs.chunks_exact_mut(2).rev() {
        pair.copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    first[0] = b'0' + (value % 10) as u8;
}

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

const _: () = assert!(HALF_DIGITS == 19 && HALF_LIMIT < 10u64.pow(HALF_DIGITS as u32));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;

    #[test]
    fn accepts_both_ends_of_a_half_and_nothing_beyond() {
        let largest = "9223372036854775807";
        let zero = "0".repeat(19);
        assert_eq!(Uuid::parse(format!("{zero}{zero}").as_bytes()), Some(Uuid { high: 0, low: 0 }));
        assert_eq!(
            Uuid::parse(format!("{largest}{largest}").as_bytes()),
            Some(Uuid { high: HALF_LIMIT - 1, low: HALF_LIMIT - 1 })
        );
        for beyond in ["9223372036854775808", "9999999999999999999"] {
            assert_eq!(Uuid::parse(format!("{beyond}{zero}").as_bytes()), None);
            assert_eq!(Uuid::parse(format!("{zero}{beyond}").as_bytes()), None);
        }
    }

    #[test]
    fn refuses_other_lengths_and_other_bytes() {
        let good = b"12345678901234567890123456789012345678";
        assert!(Uuid::parse(good).is_some());
        assert!(Uuid::parse(b"").is_none());
        assert!(Uuid::parse(&good[1..]).is_none());
        assert!(Uuid::parse(&[&good[..], b"0"].concat()).is_none());
        for place in 0..DIGITS {
            for byte in [b'/', b':', b' ', b'+', b'-', b'a', 0, 0xff] {
                let mut bad = *good;
                bad[place] = byte;
                assert!(Uuid::parse(&bad).is_none(), "byte {byte} at {place}");
            }
        }
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn text_and_uuid_are_one_to_one(high in 0..HALF_LIMIT, low in 0..HALF_LIMIT, shift in 0..63u32) {
            let uuid = Uuid { high: high >> shift, low };
            let text = uuid.digits();
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), uuid.to_string());
            prop_assert_eq!(Uuid::parse(&text), Some(uuid));
        }

        #[test]
        fn a_person_is_no_visitor(bits in any::<u128>(), high in any::<u64>(), low in any::<u64>()) {
            let person = Uuid::of_person(KeyedHash::from_bits(bits));
            prop_assert!(person.high >= HALF_LIMIT && Uuid::parse(person.to_string().as_bytes()).is_none());
            prop_assert_ne!(person, Uuid::from_bits(high, low));
            prop_assert_ne!(person, Uuid::of_person(KeyedHash::from_bits(bits ^ 1 << (low % 127))));
        }
    }
}
