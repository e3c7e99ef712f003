//! Upper and lower case as Java 17 maps single characters: the simple mappings of Unicode 13.
//!
//! The standard library knows the full mappings of a newer Unicode; the two differ where a character maps to
//! several, and where a partner was assigned later. `tests/cases/regex/properties.tsv` holds what Java says.

use super::property;
use super::set::CharSet;

/// Every character that has another case, with its upper case and its folded form.
#[derive(Clone, Debug)]
pub(super) struct FoldTable {
    /// (character, upper case, lower case of the upper case), ascending.
    entries: Vec<(u32, u32, u32)>,
}

impl FoldTable {
    pub(super) fn new() -> FoldTable {
        let assigned = property::assigned();
        let mut entries = Vec::new();
        for &(first, last) in property::cased().intersect(&assigned).ranges() {
            for character in (first..=last).filter_map(char::from_u32) {
                let upper = kept(character, upper(character), &assigned);
                let folded = kept(upper, lower(upper), &assigned);
                if upper != character || folded != character {
                    entries.push((u32::from(character), u32::from(upper), u32::from(folded)));
                }
            }
        }
        FoldTable { entries }
    }

    /// The upper case of `character`, and the lower case of that.
    pub(super) fn of(&self, character: u32) -> (u32, u32) {
        match self.entries.binary_search_by_key(&character, |entry| entry.0) {
            Ok(index) => (self.entries[index].1, self.entries[index].2),
            Err(_) => (character, character),
        }
    }

    /// All characters that fold to `folded`, itself included.
    pub(super) fn folding_to(&self, folded: u32) -> CharSet {
        let others = self.entries.iter().filter(|entry| entry.2 == folded).map(|entry| (entry.0, entry.0));
        let ranges: Vec<_> = others.chain([(folded, folded)]).collect();
        CharSet::of(&ranges)
    }

    /// The range and every character that has its upper case or its folded form in it.
    pub(super) fn range(&self, first: u32, last: u32) -> CharSet {
        let inside = |character: u32| (first..=last).contains(&character);
        let others = self.entries.iter().filter(|entry| inside(entry.1) || inside(entry.2));
        let ranges: Vec<_> = others.map(|entry| (entry.0, entry.0)).chain([(first, last)]).collect();
        CharSet::of(&ranges)
    }
}

/// A mapping counts only when Unicode 13 had its result.
fn kept(from: char, to: char, assigned: &CharSet) -> char {
    if assigned.contains(u32::from(to)) { to } else { from }
}

fn upper(character: char) -> char {
    match character {
        // Greek letters with iota below: two letters in full, their title case in short.
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => shifted(character, 8),
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => shifted(character, 9),
        _ => only(character.to_uppercase()).unwrap_or(character),
    }
}

fn lower(character: char) -> char {
    // The dotted capital I is an i with a dot in full.
    if character == '\u{130}' { 'i' } else { only(character.to_lowercase()).unwrap_or(character) }
}

fn shifted(character: char, by: u32) -> char {
    char::from_u32(u32::from(character) + by).unwrap_or(character)
}

fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    if characters.next().is_some() { None } else { first }
}
