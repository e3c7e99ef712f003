//! Sets of characters, as sorted ranges.
//!
//! A character is a Unicode code point or [`INVALID`], which stands for one byte of a value that is not part of
//! UTF-8. No name and no range of a pattern contains it; whatever is built by exclusion (`.`, `[^a]`, `\W`) does.

/// The character that a stray byte is. One past Unicode, so that complements contain it by themselves.
pub(super) const INVALID: u32 = 0x11_0000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CharSet {
    /// Ascending, neither touching nor overlapping; both ends inclusive.
    ranges: Vec<(u32, u32)>,
}

impl CharSet {
    pub(super) fn all() -> CharSet {
        CharSet { ranges: vec![(0, INVALID)] }
    }

    pub(super) fn single(character: u32) -> CharSet {
        CharSet { ranges: vec![(character, character)] }
    }

    pub(super) fn of(ranges: &[(u32, u32)]) -> CharSet {
        let mut set = CharSet { ranges: ranges.to_vec() };
        set.normalize();
        set
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    pub(super) fn contains(&self, character: u32) -> bool {
        let after = self.ranges.partition_point(|&(first, _)| first <= character);
        after > 0 && character <= self.ranges[after - 1].1
    }

    pub(super) fn union(mut self, other: &CharSet) -> CharSet {
        self.ranges.extend_from_slice(&other.ranges);
        self.normalize();
        self
    }

    pub(super) fn negate(&self) -> CharSet {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = 0;
        for &(first, last) in &self.ranges {
            if first > next {
                ranges.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= INVALID {
            ranges.push((next, INVALID));
        }
        CharSet { ranges }
    }

    pub(super) fn intersect(&self, other: &CharSet) -> CharSet {
        self.negate().union(&other.negate()).negate()
    }

    pub(super) fn subtract(&self, other: &CharSet) -> CharSet {
        self.intersect(&other.negate())
    }

    fn normalize(&mut self) {
        self.ranges.sort_unstable();
        let mut kept = 0;
        for index in 1..self.ranges.len() {
            let (first, last) = self.ranges[index];
            let previous = &mut self.ranges[kept];
            if first <= previous.1.saturating_add(1) {
                previous.1 = previous.1.max(last);
            } else {
                kept += 1;
                self.ranges[kept] = (first, last);
            }
        }
        self.ranges.truncate(kept + 1);
    }
}

/// The first character of `bytes`, which must not be empty, and its length in bytes.
pub(super) fn decode_first(bytes: &[u8]) -> (u32, usize) {
    let lead = bytes[0];
    if lead < 0x80 {
        return (u32::from(lead), 1);
    }
    let length = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return (INVALID, 1),
    };
    let Some(character) = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next()) else {
        return (INVALID, 1);
    };
    (u32::from(character), length)
}

/// The last character of `bytes`, which must not be empty, and its length in bytes.
pub(super) fn decode_last(bytes: &[u8]) -> (u32, usize) {
    let end = bytes.len();
    if bytes[end - 1] < 0x80 {
        return (u32::from(bytes[end - 1]), 1);
    }
    for length in 2..=end.min(4) {
        let (character, decoded) = decode_first(&bytes[end - length..]);
        if decoded == length {
            return (character, length);
        }
    }
    (INVALID, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_obey_the_laws_of_sets() {
        let a = CharSet::of(&[(5, 9), (1, 3), (4, 4), (20, 30)]);
        assert_eq!(a.ranges(), &[(1, 9), (20, 30)]);
        assert_eq!(a.negate().negate(), a);
        assert_eq!(a.clone().union(&a.negate()), CharSet::all());
        assert_eq!(a.intersect(&CharSet::of(&[(8, 22)])).ranges(), &[(8, 9), (20, 22)]);
        assert_eq!(a.subtract(&CharSet::single(5)).ranges(), &[(1, 4), (6, 9), (20, 30)]);
        assert!(a.contains(20) && !a.contains(10) && !a.contains(0) && !a.contains(INVALID));
        assert!(a.negate().contains(INVALID));
        assert_eq!(CharSet::all().negate().ranges(), &[]);
    }

    #[test]
    fn decoding_agrees_in_both_directions_on_any_bytes() {
        let samples: &[&[u8]] = &[
            b"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
            b"\xC3",
            b"\xE2\x82",
            b"\xED\xA0\x80x",
            b"\xF4\x90\x80\x80",
            b"\xA9\xC3\xA9\xA9",
        ];
        for bytes in samples {
            let mut forward = Vec::new();
            let mut at = 0;
            while at < bytes.len() {
                let (character, length) = decode_first(&bytes[at..]);
                forward.push(character);
                at += length;
            }
            let mut backward = Vec::new();
            while at > 0 {
                let (character, length) = decode_last(&bytes[..at]);
                backward.push(character);
                at -= length;
            }
            backward.reverse();
            assert_eq!(forward, backward, "{bytes:x?}");
        }
        assert_eq!(decode_first(b"\xED\xA0\x80"), (INVALID, 1));
    }
}
