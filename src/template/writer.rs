//! A slice that is filled from its front. What doesn't fit is not written, and that is remembered.

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

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.room[..self.len]
    }

    /// Whether something did not fit. From then on nothing is written, so that no hole can arise.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub fn push(&mut self, bytes: &[u8]) {
        match self.room.get_mut(self.len..self.len + bytes.len()) {
            Some(room) if !self.overflowed => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.overflowed = true,
        }
    }

    pub fn push_byte(&mut self, byte: u8) {
        self.push(&[byte]);
    }

    pub fn push_decimal(&mut self, number: u64) {
        let mut digits = [0; 20];
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
        let mut digits = [0; 20];
        let digits = decimal(number, &mut digits);
        let gap = len - digits.len();
        self.room[at..at + digits.len()].copy_from_slice(digits);
        self.room.copy_within(at + len..self.len, at + digits.len());
        self.len -= gap;
    }
}

/// The digits of `number`, written to the end of `room`.
pub(crate) fn decimal(number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut start = room.len();
    let mut rest = number;
    loop {
        start -= 1;
        room[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &room[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_at_their_edges() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
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
    }
}
