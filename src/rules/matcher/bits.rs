//! Bits that remember which of their words were touched, so that clearing costs what setting did.

use std::ops::Range;

#[derive(Debug)]
pub(crate) struct Bits {
    words: Box<[u64]>,
    /// Words that are not zero. Has room for all of them.
    touched: Vec<u32>,
}

impl Bits {
    pub(crate) fn new(len: usize) -> Bits {
        let words = len.div_ceil(64);
        Bits { words: vec![0; words].into_boxed_slice(), touched: Vec::with_capacity(words) }
    }

    pub(crate) fn has(&self, bit: u32) -> bool {
        self.words[bit as usize / 64] >> (bit % 64) & 1 == 1
    }

    /// Sets a bit. Returns whether it was clear.
    pub(crate) fn set(&mut self, bit: u32) -> bool {
        let mask = 1 << (bit % 64);
        let is_new = self.words[bit as usize / 64] & mask == 0;
        self.set_in_word(bit / 64, mask);
        is_new
    }

    pub(crate) fn set_range(&mut self, bits: Range<u32>) {
        let mut bit = bits.start;
        while bit < bits.end {
            let count = (64 - bit % 64).min(bits.end - bit);
            self.set_in_word(bit / 64, u64::MAX >> (64 - count) << (bit % 64));
            bit += count;
        }
    }

    pub(crate) fn clear(&mut self) {
        for word in self.touched.drain(..) {
            self.words[word as usize] = 0;
        }
    }

    /// How many bits there is room for, rounded up.
    pub(crate) fn len(&self) -> usize {
        self.words.len() * 64
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.touched.capacity()
    }

    fn set_in_word(&mut self, index: u32, mask: u64) {
        let word = &mut self.words[index as usize];
        if *word == 0 {
            self.touched.push(index);
        }
        *word |= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_set_exactly_their_bits() {
        let edges = [0, 1, 5, 63, 64, 65, 127, 128, 130, 199, 200];
        let mut bits = Bits::new(200);
        let capacity = bits.capacity();
        for start in edges {
            for end in edges {
                bits.clear();
                bits.set_range(start..end);
                assert!((0..200).all(|bit| bits.has(bit) == (start..end).contains(&bit)), "{start}..{end}");
            }
        }
        assert_eq!(bits.capacity(), capacity);
    }

    #[test]
    fn clearing_forgets_all() {
        let mut bits = Bits::new(100);
        assert!(bits.set(99) && bits.set(3) && !bits.set(99));
        bits.clear();
        assert!((0..100).all(|bit| !bits.has(bit)));
        assert!(bits.set(99));
    }
}
