//! Word boundaries as Java 17 sees them: not those of `\w`, but of every letter and digit of Unicode and `_`, with
//! the marks that combine with them. (Java 19 changed `\b` to ASCII; 17 is the one that rules are written for.)

use super::property;
use super::set::{CharSet, decode_first, decode_last};

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
