//! What stands between two characters: ends, line ends and word boundaries.
//!
//! Word boundaries are those of Java 17: not of `\w`, but of every letter and digit of Unicode and `_`, with the marks
//! that combine with them. Java 19 made `\b` ASCII; 17 is the one that rules are written for.

use super::property;
use super::set::{CharSet, decode_first, decode_last};
use super::syntax::Assertion;

/// Whether `assertion` holds between `before` and `after`. Word boundaries need `boundaries`.
pub(super) fn holds(assertion: Assertion, before: &[u8], after: &[u8], boundaries: Option<&Boundaries>) -> bool {
    match assertion {
        Assertion::Start => before.is_empty(),
        Assertion::End => after.is_empty(),
        Assertion::LastLineEnd { unix: true } => matches!(after, b"" | b"\n"),
        Assertion::LastLineEnd { unix: false } => {
            let is_last = || starts_line_end(before, after) && decode_first(after).1 == after.len();
            after.is_empty() || after == b"\r\n" || is_last()
        }
        Assertion::LineEnd { unix: true } => after.is_empty() || after[0] == b'\n',
        Assertion::LineEnd { unix: false } => after.is_empty() || starts_line_end(before, after),
        Assertion::LineStart { unix } => !after.is_empty() && starts_line(before, after, unix),
        Assertion::WordBoundary { negative, unicode } => {
            boundaries.is_some_and(|boundaries| boundaries.is_boundary(before, after, unicode)) != negative
        }
    }
}

fn starts_line(before: &[u8], after: &[u8], unix: bool) -> bool {
    match before.last() {
        None | Some(b'\n') => true,
        Some(_) if unix => false,
        Some(b'\r') => after[0] != b'\n',
        Some(_) => is_terminator(decode_last(before).0),
    }
}

/// Whether a line terminator begins here; not between CR and LF.
fn starts_line_end(before: &[u8], after: &[u8]) -> bool {
    is_terminator(decode_first(after).0) && !(after[0] == b'\n' && before.last() == Some(&b'\r'))
}

fn is_terminator(character: u32) -> bool {
    matches!(character, 0x0A | 0x0D | 0x85 | 0x2028 | 0x2029)
}

#[derive(Debug)]
pub(super) struct Boundaries {
    letter_or_digit: CharSet,
    word: CharSet,
    unicode_word: CharSet,
    mark: CharSet,
}

impl Boundaries {
    pub(super) fn new() -> Boundaries {
        let letter_or_digit = property::letter_or_digit();
        Boundaries {
            word: letter_or_digit.clone().union(&CharSet::single(u32::from(b'_'))),
            letter_or_digit,
            unicode_word: property::word(),
            mark: property::non_spacing_mark(),
        }
    }

    /// Whether `before` and `after` meet at a boundary; `unicode` is `(?U)`.
    pub(super) fn is_boundary(&self, before: &[u8], after: &[u8], unicode: bool) -> bool {
        let word = if unicode { &self.unicode_word } else { &self.word };
        let left = !before.is_empty() && {
            let (character, length) = decode_last(before);
            // Java looks for the base from the second half of a supplementary mark, and finds none.
            word.contains(character)
                || (character <= 0xFFFF
                    && self.mark.contains(character)
                    && self.has_base(&before[..before.len() - length]))
        };
        let right = !after.is_empty() && {
            let character = decode_first(after).0;
            word.contains(character) || (self.mark.contains(character) && self.has_base(before))
        };
        left != right
    }

    /// Whether a letter or digit carries the marks that `before` ends with. Supplementary ones don't count.
    fn has_base(&self, mut before: &[u8]) -> bool {
        while !before.is_empty() {
            let (character, length) = decode_last(before);
            if character > 0xFFFF {
                return false;
            }
            if self.letter_or_digit.contains(character) {
                return true;
            }
            if !self.mark.contains(character) {
                return false;
            }
            before = &before[..before.len() - length];
        }
        false
    }
}
