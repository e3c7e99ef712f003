//! A slice that is filled from its front, without `std::fmt`: heads and bodies of answers, requests to partners. What
//! doesn't fit is not written, and that is remembered: it is asked for once, at the end.
#![forbid(unsafe_code)]

mod encode;

/// Fills a slice.
#[derive(Debug)]
pub struct Writer<'a> {
    room: &'a mut [u8],
    len: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    pub fn new(room: &'a mut [u8]) -> Writer<'a> {
        Writer { room, len: 0, overflowed: false }
    }

    /// Goes on where another writer ended, which wrote `len` bytes.
    pub fn resume(room: &'a mut [u8], len: usize) -> Writer<'a> {
        assert!(len <= room.len(), "so much can't have been written");
        Writer { room, len, overflowed: false }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How much the slice takes in all.
    pub fn capacity(&self) -> usize {
        self.room.len()
    }

    /// What was written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.room[..self.len]
    }

    /// Whether something did not fit. From then on nothing is written, so that no hole can arise.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// How much was written, if all of it fitted.
    pub fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.len)
    }

    /// All of `bytes` or, from the first that doesn't fit, nothing.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        match self.room[self.len..].get_mut(..bytes.len()) {
            Some(room) if !self.overflowed => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.overflowed = true,
        }
    }

    #[inline]
    pub fn push_byte(&mut self, byte: u8) {
        self.push(&[byte]);
    }

    pub fn push_decimal(&mut self, number: u64) {
        let mut digits = [0; DIGITS_MAX];
        self.push(decimal(number, &mut digits));
    }

    /// Forgets what was written after `len`, an overflow included.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.overflowed = false;
    }

    /// Puts a number's digits in place of `len` bytes that were written before, and closes up what they don't take.
    ///
    /// # Panics
    /// When the digits take more.
    pub fn replace_with_decimal(&mut self, at: usize, len: usize, number: u64) {
        let mut digits = [0; DIGITS_MAX];
        let digits = decimal(number, &mut digits);
        let gap = len - digits.len();
        self.room[at..at + digits.len()].copy_from_slice(digits);
        self.room.copy_within(at + len..self.len, at + digits.len());
        self.len -= gap;
    }
}

/// How many digits a number has.
pub fn digits_of(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// All numbers of two digits, one after the other.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The digits of `number`, written to the end of `room`, two at a time.
fn decimal(number: u64, room: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut start = DIGITS_MAX;
    let mut rest = number;
    while rest >= 10 {
        start -= 2;
        room[start..start + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest > 0 || start == DIGITS_MAX {
        start -= 1;
        room[start] = b'0' + rest as u8;
    }
    &room[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_at_their_edges() {
        let mut number = 1u64;
        let powers = std::iter::from_fn(|| {
            number = number.checked_mul(10)?;
            Some(number)
        });
        for number in powers.flat_map(|power| [power - 1, power, power + 7]).chain([0, 7, 65_535, u64::MAX]) {
            assert_eq!(decimal(number, &mut [0; DIGITS_MAX]), number.to_string().as_bytes());
            assert_eq!(digits_of(number), number.to_string().len());
        }
    }

    #[test]
    fn nothing_is_written_after_an_overflow() {
        let mut room = [0; 4];
        let mut out = Writer::new(&mut room);
        out.push(b"abc");
        out.push(b"de");
        out.push(b"f");
        assert!(out.overflowed());
        assert_eq!(out.bytes(), b"abc");
        out.truncate(2);
        out.push(b"xy");
        assert!(!out.overflowed());
        assert_eq!(out.bytes(), b"abxy");
        out.replace_with_decimal(1, 2, 7);
        assert_eq!(out.bytes(), b"a7y");
        assert_eq!(out.finish(), Some(3));
        let mut out = Writer::resume(&mut room, 2);
        out.push(b"z");
        assert_eq!(out.bytes(), b"a7z");
        let mut out = Writer::new(&mut room);
        out.push(b"abcde");
        assert_eq!(out.finish(), None);
    }
}
