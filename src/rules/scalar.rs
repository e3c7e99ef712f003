//! Values as comparisons see them: decimal numbers compare as numbers, exactly at any length; all else as bytes.

use std::cmp::Ordering;

/// One value. Two are equal exactly when `==` holds between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scalar<'a> {
    Text(&'a [u8]),
    Number(Decimal<'a>),
}

impl<'a> Scalar<'a> {
    #[inline]
    pub(crate) fn of(value: &'a [u8]) -> Scalar<'a> {
        if value.first().is_none_or(|first| !begins_number(*first)) {
            return Scalar::Text(value);
        }
        Decimal::parse(value).map_or(Scalar::Text(value), Scalar::Number)
    }

    /// One text for all equal values, which reads as the same scalar.
    pub(crate) fn canonical(self) -> Vec<u8> {
        let number = match self {
            Scalar::Text(text) => return text.to_vec(),
            Scalar::Number(number) => number,
        };
        let sign: &[u8] = if number.negative { b"-" } else { b"" };
        let integer = if number.integer.is_empty() { b"0" } else { number.integer };
        let point: &[u8] = if number.fraction.is_empty() { b"" } else { b"." };
        [sign, integer, point, number.fraction].concat()
    }
}

/// Whether a number can begin with this byte. Most values are texts, and their first byte shows it.
#[inline(always)]
pub(crate) fn begins_number(first: u8) -> bool {
    matches!(first, b'0'..=b'9' | b'+' | b'-')
}

/// `[+-]?[0-9]+(\.[0-9]+)?` in canonical form: equal numbers have equal fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decimal<'a> {
    /// Never set for zero.
    negative: bool,
    /// Without leading zeros; empty below one.
    integer: &'a [u8],
    /// Without trailing zeros.
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    pub(crate) fn parse(value: &'a [u8]) -> Option<Decimal<'a>> {
        let (minus, digits) = match value {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, value),
        };
        let integer_len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (integer, rest) = digits.split_at(integer_len);
        let fraction = match rest {
            [] => rest,
            [b'.', fraction @ ..] if !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit) => fraction,
            _ => return None,
        };
        if integer.is_empty() {
            return None;
        }
        let leading = integer.iter().take_while(|&&digit| digit == b'0').count();
        let trailing = fraction.iter().rev().take_while(|&&digit| digit == b'0').count();
        let (integer, fraction) = (&integer[leading..], &fraction[..fraction.len() - trailing]);
        Some(Decimal { negative: minus && !(integer.is_empty() && fraction.is_empty()), integer, fraction })
    }

    /// The number from its canonical fields, as [`Decimal::fields`] gave them.
    pub(crate) fn from_fields(negative: bool, integer: &'a [u8], fraction: &'a [u8]) -> Decimal<'a> {
        Decimal { negative, integer, fraction }
    }

    /// Sign, digits before the point, digits behind it.
    pub(crate) fn fields(&self) -> (bool, &'a [u8], &'a [u8]) {
        (self.negative, self.integer, self.fraction)
    }

    /// The number in millionths, cut off towards zero, as far as that goes: of two numbers the smaller one has no
    /// larger one. Where two differ, so do the numbers, and in the same order.
    pub(crate) fn rough(&self) -> i64 {
        const FRACTION_DIGITS: usize = 6;
        const INTEGER_DIGITS_MAX: usize = 12;
        let magnitude = if self.integer.len() > INTEGER_DIGITS_MAX {
            i64::MAX
        } else {
            let integer = self.integer.iter().fold(0, |sum, digit| 10 * sum + i64::from(digit - b'0'));
            (0..FRACTION_DIGITS).fold(integer, |sum, place| {
                10 * sum + self.fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'))
            })
        };
        if self.negative { -magnitude } else { magnitude }
    }

    fn cmp_magnitude(&self, other: &Decimal<'_>) -> Ordering {
        // Digits of equal length, and fractions without trailing zeros, are ordered as text is.
        (self.integer.len().cmp(&other.integer.len()))
            .then_with(|| self.integer.cmp(other.integer))
            .then_with(|| self.fraction.cmp(other.fraction))
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.cmp_magnitude(other),
            (true, true) => other.cmp_magnitude(self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::tests::cases;

    fn number(text: &str) -> Decimal<'_> {
        Decimal::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn only_plain_decimals_are_numbers() {
        for text in ["", "+", "-", ".", "1.", ".5", "1e3", " 1", "1 ", "--1", "+-1", "1.2.3", "0x1", "1,0", "١", "1._"]
        {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn equal_numbers_have_one_form() {
        let long = format!("1{}", "0".repeat(400));
        let longer = format!("+000{long}.000");
        for group in [&["0", "-0", "+0", "00.00", "-0.0"][..], &["1.5", "+1.50", "01.5"], &["-0.5", "-00.500"]] {
            assert!(group.iter().all(|text| number(text) == number(group[0])), "{group:?}");
            let canonical = Scalar::of(group[1].as_bytes()).canonical();
            assert_eq!(Scalar::of(&canonical), Scalar::of(group[0].as_bytes()));
            assert_eq!(Scalar::of(&canonical).canonical(), canonical);
        }
        assert_eq!(number(&long), number(&longer));
    }

    #[test]
    fn order_is_exact_at_any_length() {
        let ascending = [
            "-100000000000000000000000000000001",
            "-100000000000000000000000000000000.5",
            "-10",
            "-9.99",
            "-0.1",
            "-0.01",
            "0",
            "0.000000000000000000000000000000000001",
            "0.1",
            "0.11",
            "0.2",
            "9",
            "9007199254740992",
            "9007199254740993",
            "100000000000000000000000000000000000",
        ];
        for pair in ascending.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
    }

    proptest! {
        #![proptest_config(cases(500, 3))]

        #[test]
        fn order_agrees_with_scaled_integers(a in -20_000i64..20_000, b in -20_000i64..20_000) {
            let text = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1_000, n.abs() % 1_000);
            prop_assert_eq!(number(&text(a)).cmp(&number(&text(b))), a.cmp(&b));
        }

        #[test]
        fn rough_numbers_never_contradict(a in "-?[0-9]{1,14}(\\.[0-9]{1,9})?", b in "-?[0-9]{1,2}(\\.[019]{1,9})?") {
            for (a, b) in [(&a, &b), (&b, &a), (&a, &format!("{a}0")), (&b, &format!("{}1", b.replace('.', "")))] {
                let (a, b) = (number(a), number(b));
                prop_assert!(a.rough().cmp(&b.rough()).then(a.cmp(&b)) == a.cmp(&b));
            }
        }
    }
}
