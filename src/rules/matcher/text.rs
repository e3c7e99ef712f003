//! `contains`, `startswith`, `endswith` and `matcheswords` of one key: one Aho-Corasick pass over a value.
//!
//! The pass goes over the whole value only, never again over its comma parts: what a part contains the whole
//! contains, commas are no word characters, and a part's start and end show in the whole.

use aho_corasick::AhoCorasick;

use crate::rules::letters::WordCharacters;

/// The patterns of one key.
#[derive(Debug)]
pub(crate) struct TextPatterns {
    automaton: AhoCorasick,
    uses: Vec<PatternUse>,
    /// The phrases that have the word, by [`Word::phrases`].
    phrases_by_word: Vec<u32>,
    phrases: Vec<Phrase>,
    /// Where the scratch of this key's words and phrases begins.
    first_word: u32,
    first_phrase: u32,
}

/// What one distinct pattern text is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatternUse {
    pub(crate) contains: Option<u32>,
    pub(crate) starts: Option<u32>,
    pub(crate) ends: Option<u32>,
    has_comma: bool,
    word: Option<Word>,
}

#[derive(Clone, Debug)]
struct Word {
    index: u32,
    phrases: std::ops::Range<u32>,
}

/// A pattern of `matcheswords`.
#[derive(Debug)]
struct Phrase {
    predicate: u32,
    /// Distinct words.
    words: u32,
}

/// The words and phrases seen in the value at hand, for all keys.
#[derive(Debug)]
pub(crate) struct WordScratch {
    /// Numbers values, so that nothing needs to be cleared between them.
    value_number: u64,
    /// The value in which each word was last seen.
    seen_in: Box<[u64]>,
    /// The value in which each phrase was last met, and how many of its words that has.
    met: Box<[(u64, u32)]>,
}

/// A value and which parts of it are offered as values of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartedValue<'a> {
    pub(crate) whole: &'a [u8],
    /// Where the last part that is offered ends; `None` when none is.
    pub(crate) parts_end: Option<usize>,
}

impl TextPatterns {
    /// `patterns` are distinct texts with their plain uses; `phrases` are predicates with their distinct words.
    pub(crate) fn new(
        mut patterns: Vec<(Vec<u8>, PatternUse)>,
        phrases: Vec<(u32, Vec<Vec<u8>>)>,
        words_before: &mut u32,
        phrases_before: &mut u32,
    ) -> TextPatterns {
        let mut pairs: Vec<(&[u8], u32)> = Vec::new();
        for (phrase, (_, words)) in phrases.iter().enumerate() {
            pairs.extend(words.iter().map(|word| (&word[..], phrase as u32)));
        }
        pairs.sort_unstable();
        patterns.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let known = patterns.len();
        let mut words = 0;
        let mut start = 0;
        for group in pairs.chunk_by(|a, b| a.0 == b.0) {
            let word = Word { index: words, phrases: start..start + group.len() as u32 };
            words += 1;
            start += group.len() as u32;
            match patterns[..known].binary_search_by(|(text, _)| text[..].cmp(group[0].0)) {
                Ok(place) => patterns[place].1.word = Some(word),
                Err(_) => {
                    patterns.push((group[0].0.to_vec(), PatternUse { word: Some(word), ..PatternUse::default() }))
                }
            }
        }
        // Without a prefilter: values are short, and over before one has set itself up.
        let automaton = AhoCorasick::builder()
            .prefilter(false)
            .build(patterns.iter().map(|(text, _)| text))
            .expect("the bounds on rules keep the patterns far below what the automaton can number");
        for (text, uses) in &mut patterns {
            uses.has_comma = text.contains(&b',');
        }
        let built = TextPatterns {
            automaton,
            uses: patterns.into_iter().map(|(_, uses)| uses).collect(),
            phrases_by_word: pairs.iter().map(|&(_, phrase)| phrase).collect(),
            phrases: phrases
                .iter()
                .map(|(predicate, words)| Phrase { predicate: *predicate, words: words.len() as u32 })
                .collect(),
            first_word: *words_before,
            first_phrase: *phrases_before,
        };
        *words_before += words;
        *phrases_before += built.phrases.len() as u32;
        built
    }

    /// Calls `on_true` with each predicate that the value or one of its parts makes true, some more than once.
    pub(crate) fn search(
        &self,
        value: PartedValue<'_>,
        letters: &WordCharacters,
        scratch: &mut WordScratch,
        mut on_true: impl FnMut(u32),
    ) {
        scratch.value_number += 1;
        for found in self.automaton.find_overlapping_iter(value.whole) {
            let uses = &self.uses[found.pattern().as_usize()];
            if let Some(predicate) = uses.contains {
                on_true(predicate);
            }
            if let Some(predicate) = uses.starts.filter(|_| value.is_start(found.start(), uses.has_comma)) {
                on_true(predicate);
            }
            if let Some(predicate) = uses.ends.filter(|_| value.is_end(found.end(), uses.has_comma)) {
                on_true(predicate);
            }
            if let Some(word) = &uses.word {
                self.count_word(
                    word,
                    scratch,
                    || letters.stands_alone(value.whole, found.start(), found.end()),
                    &mut on_true,
                );
            }
        }
    }

    fn count_word(
        &self,
        word: &Word,
        scratch: &mut WordScratch,
        stands_alone: impl FnOnce() -> bool,
        on_true: &mut impl FnMut(u32),
    ) {
        let number = scratch.value_number;
        let seen_in = &mut scratch.seen_in[(self.first_word + word.index) as usize];
        if *seen_in == number || !stands_alone() {
            return;
        }
        *seen_in = number;
        for &index in &self.phrases_by_word[word.phrases.start as usize..word.phrases.end as usize] {
            let phrase = &self.phrases[index as usize];
            let (met_in, words) = &mut scratch.met[(self.first_phrase + index) as usize];
            *words = if *met_in == number { *words + 1 } else { 1 };
            *met_in = number;
            if *words == phrase.words {
                on_true(phrase.predicate);
            }
        }
    }
}

impl WordScratch {
    pub(crate) fn new(words: u32, phrases: u32) -> WordScratch {
        WordScratch {
            value_number: 0,
            seen_in: vec![0; words as usize].into_boxed_slice(),
            met: vec![(0, 0); phrases as usize].into_boxed_slice(),
        }
    }
}

impl PartedValue<'_> {
    /// Whether the whole or an offered part starts at `start`; a text with a comma is in no part.
    fn is_start(self, start: usize, has_comma: bool) -> bool {
        start == 0
            || !has_comma && self.whole[start - 1] == b',' && self.parts_end.is_some_and(|parts_end| start <= parts_end)
    }

    /// Whether the whole or an offered part ends at `end`; a text with a comma is in no part.
    fn is_end(self, end: usize, has_comma: bool) -> bool {
        end == self.whole.len()
            || !has_comma && self.whole[end] == b',' && self.parts_end.is_some_and(|parts_end| end <= parts_end)
    }
}
