//! What a letter is, and what its lower case is: Unicode's simple mappings, over bytes that need not be UTF-8.

use regex_syntax::hir::{Class, HirKind};

/// A value grows at most this much when lowered: U+023A (two bytes) becomes U+2C65 (three).
pub(crate) const fn lowered_bytes_max(bytes: usize) -> usize {
    bytes + bytes.div_ceil(2)
}

/// Clears `lowered` and fills it with `value` in lower case, one character for one. Invalid bytes stay as they are.
/// Allocates nothing as long as `lowered` has room for [`lowered_bytes_max`].
pub(crate) fn lower_into(value: &[u8], lowered: &mut Vec<u8>) {
    lowered.clear();
    lowered.extend_from_slice(value);
    if value.is_ascii() {
        lowered.make_ascii_lowercase();
        return;
    }
    lowered.clear();
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut bytes = [0; 4];
            lowered.extend_from_slice(lower(character).encode_utf8(&mut bytes).as_bytes());
        }
        lowered.extend_from_slice(chunk.invalid());
    }
}

/// The one character of the simple mapping. The full one has two for U+0130 alone: its first is the simple one.
fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// The word characters of `matcheswords`: letters, decimal digits and `_`.
#[derive(Debug)]
pub(crate) struct WordCharacters {
    /// Ascending, disjoint.
    ranges: Vec<(char, char)>,
}

impl WordCharacters {
    pub(crate) fn new() -> WordCharacters {
        let hir = regex_syntax::parse(r"[\p{L}\p{Nd}_]").expect("the class is fixed and valid");
        let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
            unreachable!("a Unicode class is parsed as one")
        };
        WordCharacters { ranges: class.iter().map(|range| (range.start(), range.end())).collect() }
    }

    /// Whether the word at `start..end` of `value` stands there by itself: where it begins or ends with a word
    /// character, none is directly beside it.
    pub(crate) fn stands_alone(&self, value: &[u8], start: usize, end: usize) -> bool {
        let word = &value[start..end];
        let joined_before = self.contains(first(word)) && self.contains(last(&value[..start]));
        let joined_after = self.contains(last(word)) && self.contains(first(&value[end..]));
        !joined_before && !joined_after
    }

    fn contains(&self, character: Option<char>) -> bool {
        let Some(character) = character else { return false };
        if character.is_ascii() {
            return character.is_ascii_alphanumeric() || character == '_';
        }
        let after = self.ranges.partition_point(|&(start, _)| start <= character);
        after > 0 && character <= self.ranges[after - 1].1
    }
}

/// The first character, if the bytes begin with a valid one.
fn first(bytes: &[u8]) -> Option<char> {
    (1..=bytes.len().min(4)).find_map(|len| std::str::from_utf8(&bytes[..len]).ok()?.chars().next())
}

/// The last character, if the bytes end with a valid one.
fn last(bytes: &[u8]) -> Option<char> {
    (1..=bytes.len().min(4)).find_map(|len| std::str::from_utf8(&bytes[bytes.len() - len..]).ok()?.chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(value: &[u8]) -> Vec<u8> {
        let mut lowered = Vec::new();
        lower_into(value, &mut lowered);
        lowered
    }

    #[test]
    fn lowering_is_one_character_for_one() {
        assert_eq!(lowered(b"AbC-9"), b"abc-9");
        assert_eq!(lowered("ÄÖÜ ΑΣ İ K ẞ".as_bytes()), "äöü ας i k ß".replace('ς', "σ").as_bytes());
        assert_eq!(lowered(b"\xffA\xc3"), b"\xffa\xc3");
    }

    #[test]
    fn no_character_grows_by_more_than_half() {
        for character in '\0'..=char::MAX {
            let (before, after) = (character.len_utf8(), lower(character).len_utf8());
            assert!(after <= lowered_bytes_max(before), "{character:?}");
            assert!(2 * after <= 3 * before, "{character:?}: two of them must fit as well");
        }
    }

    #[test]
    fn only_one_character_has_a_longer_full_mapping() {
        let longer: Vec<char> = ('\0'..=char::MAX).filter(|character| character.to_lowercase().count() > 1).collect();
        assert_eq!(longer, ['\u{130}']);
    }

    #[test]
    fn words_stand_alone_between_other_characters() {
        let words = WordCharacters::new();
        let alone = |value: &str, word: &str| {
            let start = value.find(word).expect("the case names a part of the value");
            words.stands_alone(value.as_bytes(), start, start + word.len())
        };
        assert!(alone("a cat.", "cat") && alone("cat", "cat") && alone("²cat²", "cat"));
        assert!(!alone("écat", "cat") && !alone("cat_", "cat") && !alone("cat９", "cat") && !alone("1cat", "cat"));
        assert!(alone("x++y", "++"), "a word of other characters may have letters beside it");
        assert!(!alone("xc++y", "c++") && alone("x c++y", "c++"));
        assert!(words.stands_alone(b"\xffcat\xe9", 1, 4), "invalid bytes are no letters");
    }
}
