//! Finding a byte in text that is usually short, as keys and values of calls are: eight bytes at a time as one word,
//! which is done before a vectorised search would have set itself up. Long text is searched vectorised all the same.
//!
//! A byte is found in a word by arithmetic on all eight at once (Warren, "Hacker's Delight", 2nd edition, 6-1): a
//! *mark* is a word in which the highest bit of each byte says whether that byte is wanted.
#![forbid(unsafe_code)]

/// Bytes looked at in words before the vectorised search takes over.
const NEAR: usize = 64;

const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte: set in those that are not ASCII.
pub(crate) const HIGH: u64 = 0x80 * ONES;

/// Marks the bytes from `first` to `last`, both below 128.
#[inline(always)]
pub(crate) const fn mark_range(word: u64, first: u8, last: u8) -> u64 {
    // With its highest bit taken off, no byte carries into the next.
    let low = word & !HIGH;
    let from_first = low + (0x80 - first as u64) * ONES;
    let after_last = low + (0x7f - last as u64) * ONES;
    from_first & !after_last & !word & HIGH
}

/// Marks the bytes that are `wanted`.
#[inline(always)]
pub(crate) const fn mark_byte(word: u64, wanted: u8) -> u64 {
    let different = word ^ (wanted as u64 * ONES);
    !(((different & !HIGH) + !HIGH) | different) & HIGH
}

/// The place of the first marked byte; 8 when none is.
#[inline(always)]
pub(crate) const fn first_marked(mark: u64) -> usize {
    mark.trailing_zeros() as usize / 8
}

/// Fewer than nine bytes as a word, zeros behind them.
#[inline(always)]
pub(crate) fn short_word(text: &[u8]) -> u64 {
    // The pieces overlap; equal bytes are laid over each other.
    match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (text.len() - 4))
        }
        _ => match text {
            [] => 0,
            [first, .., last] => {
                let middle = u64::from(text[text.len() / 2]) << (8 * (text.len() / 2));
                u64::from(*first) | middle | u64::from(*last) << (8 * (text.len() - 1))
            }
            [only] => u64::from(*only),
        },
    }
}

/// [`short_word`] of a text that is that short.
#[inline(always)]
pub(crate) fn as_word(text: &[u8]) -> Option<u64> {
    (text.len() <= 8).then(|| short_word(text))
}

/// Where the first byte stands that `marks` marks.
#[inline(always)]
pub(crate) fn first(text: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = text[at..].first_chunk::<8>() {
        let mark = marks(u64::from_le_bytes(*word));
        if mark != 0 {
            return Some(at + first_marked(mark));
        }
        at += 8;
    }
    // What is marked of the zeros behind the text is beyond its end.
    let found = at + first_marked(marks(short_word(&text[at..])));
    (found < text.len()).then_some(found)
}

/// Where `needle` first stands.
#[inline]
pub(crate) fn byte(needle: u8, text: &[u8]) -> Option<usize> {
    match first(&text[..text.len().min(NEAR)], |word| mark_byte(word, needle)) {
        None if text.len() > NEAR => Some(NEAR + memchr::memchr(needle, &text[NEAR..])?),
        found => found,
    }
}

/// As [`byte`], of whichever of the two comes first.
#[inline]
pub(crate) fn either(one: u8, other: u8, text: &[u8]) -> Option<usize> {
    let marks = |word| mark_byte(word, one) | mark_byte(word, other);
    match first(&text[..text.len().min(NEAR)], marks) {
        None if text.len() > NEAR => Some(NEAR + memchr::memchr2(one, other, &text[NEAR..])?),
        found => found,
    }
}

/// How often `needle` stands in `text`.
#[inline]
pub(crate) fn count(needle: u8, text: &[u8]) -> usize {
    match byte(needle, text) {
        Some(at) => memchr::memchr_iter(needle, &text[at..]).count(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_loop_would() {
        for len in 0..2 * NEAR + 2 {
            let text = vec![b'x'; len];
            assert_eq!((byte(b',', &text), either(b',', b'+', &text), count(b',', &text)), (None, None, 0));
            for at in 0..len {
                let mut text = text.clone();
                text[at..].fill(b'+');
                text[at] = b',';
                assert_eq!((byte(b',', &text), either(b'+', b',', &text)), (Some(at), Some(at)));
                assert_eq!(count(b'+', &text), len - at - 1);
                assert_eq!(byte(b'+', &text), (at + 1 < len).then_some(at + 1));
            }
        }
    }

    #[test]
    fn every_byte_is_marked_by_itself() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                for beside in [0x00, 0x24, 0x25, 0x2c, 0x2d, 0x7f, 0x80, 0xa5, 0xff] {
                    let mut bytes = [beside; 8];
                    bytes[place] = byte;
                    let word = u64::from_le_bytes(bytes);
                    let expected = |wanted: &dyn Fn(u8) -> bool| {
                        u64::from_le_bytes(bytes.map(|byte| if wanted(byte) { 0x80 } else { 0 }))
                    };
                    let in_range = |byte| (b'%'..=b',').contains(&byte);
                    assert_eq!(mark_range(word, b'%', b','), expected(&in_range));
                    assert_eq!(mark_byte(word, b','), expected(&|byte| byte == b','));
                }
            }
        }
    }

    #[test]
    fn short_texts_become_words() {
        for len in 0..=8 {
            let text: Vec<u8> = (1..=len).collect();
            let mut bytes = [0; 8];
            bytes[..text.len()].copy_from_slice(&text);
            assert_eq!(short_word(&text), u64::from_le_bytes(bytes));
        }
    }
}
