//! Base64url text read bit by bit, as the consent strings of the IAB are written.
//!
//! Nothing is unpacked: six bits stand in each character, so any field can be read where it lies.

/// Base64url text as a string of bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    /// Checked to be of the alphabet.
    text: &'a [u8],
}

impl<'a> Bits<'a> {
    /// `None` when a character is not of the alphabet.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        text.iter().all(|&byte| sextet(byte).is_some()).then_some(Bits { text })
    }

    pub(super) fn length(&self) -> usize {
        6 * self.text.len()
    }

    /// Up to 16 bits from `at`, as a number.
    pub(super) fn read(&self, at: usize, count: usize) -> Option<u64> {
        let characters = self.text.get(at / 6..(at + count).div_ceil(6))?;
        let all = characters.iter().try_fold(0u64, |bits, &byte| Some(bits << 6 | u64::from(sextet(byte)?)))?;
        let unread = 6 * characters.len() - at % 6 - count;
        Some(all >> unread & ((1 << count) - 1))
    }

    pub(super) fn is_set(&self, at: usize) -> bool {
        self.read(at, 1) == Some(1)
    }
}

/// The six bits that a base64url character stands for.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    /// Writes fields as bits, most significant first.
    #[derive(Default)]
    pub(in crate::privacy) struct Writer(pub(in crate::privacy) Vec<bool>);

    impl Writer {
        pub(in crate::privacy) fn put(&mut self, value: u64, count: usize) -> &mut Self {
            self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        pub(in crate::privacy) fn text(&self) -> Vec<u8> {
            const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let value = |bits: &[bool]| (0..6).fold(0, |sum, bit| sum << 1 | usize::from(bits.get(bit) == Some(&true)));
            self.0.chunks(6).map(|bits| ALPHABET[value(bits)]).collect()
        }
    }
}
