//! A pattern as a row of tokens, with `\Q..\E` resolved and, under `(?x)`, white space and comments skipped.

use super::RegexError;
use super::syntax::Fold;

/// The flags in force at one place of a pattern.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) case_insensitive: bool,
    pub(super) unicode_case: bool,
    pub(super) unicode_classes: bool,
    pub(super) multiline: bool,
    pub(super) dot_all: bool,
    pub(super) unix_lines: bool,
    pub(super) comments: bool,
}

impl Flags {
    pub(super) fn fold(self) -> Fold {
        match (self.case_insensitive, self.unicode_case) {
            (false, _) => Fold::Exact,
            (true, false) => Fold::Ascii,
            (true, true) => Fold::Unicode,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Token {
    character: char,
    /// In bytes of the pattern.
    offset: usize,
    /// Stood between `\Q` and `\E`: means itself.
    quoted: bool,
}

#[derive(Debug)]
pub(super) struct Cursor {
    tokens: Vec<Token>,
    at: usize,
    pattern_bytes: usize,
    pub(super) flags: Flags,
}

impl Cursor {
    pub(super) fn new(pattern: &str) -> Cursor {
        let mut tokens = Vec::new();
        let mut quoted = false;
        let mut rest = pattern.char_indices().peekable();
        while let Some((offset, character)) = rest.next() {
            let ahead = rest.peek().map(|&(_, character)| character);
            if character == '\\' && quoted && ahead == Some('E') {
                quoted = false;
                rest.next();
            } else if character == '\\' && !quoted && ahead == Some('Q') {
                quoted = true;
                rest.next();
            } else {
                tokens.push(Token { character, offset, quoted });
                if character == '\\' && !quoted {
                    // The second half of an escape can't begin another one.
                    tokens.extend(rest.next().map(|(offset, character)| Token { character, offset, quoted }));
                }
            }
        }
        Cursor { tokens, at: 0, pattern_bytes: pattern.len(), flags: Flags::default() }
    }

    /// The next character with a meaning: `None` at the end. A quoted one is found by [`Cursor::quoted`] only.
    pub(super) fn peek(&mut self) -> Option<char> {
        self.skip_comments();
        self.peek_raw()
    }

    /// The same without skipping white space.
    pub(super) fn peek_raw(&self) -> Option<char> {
        self.peek_ahead(0)
    }

    pub(super) fn peek_ahead(&self, by: usize) -> Option<char> {
        let token = self.tokens.get(self.at + by)?;
        // A quoted character is shown as one that no construct begins with.
        Some(if token.quoted { QUOTED } else { token.character })
    }

    /// The next character if it is quoted.
    pub(super) fn quoted(&self) -> Option<char> {
        self.tokens.get(self.at).filter(|token| token.quoted).map(|token| token.character)
    }

    /// The next character as it stands, quoted or not.
    pub(super) fn literal(&self) -> Option<char> {
        self.tokens.get(self.at).map(|token| token.character)
    }

    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    pub(super) fn eat(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_raw(&mut self, character: char) -> bool {
        let found = self.peek_raw() == Some(character);
        self.at += usize::from(found);
        found
    }

    /// Whether the next token is white space or a comment that `(?x)` takes out.
    pub(super) fn at_comment(&self) -> bool {
        self.flags.comments && self.peek_raw().is_some_and(|next| is_space(next) || next == '#')
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn return_to(&mut self, place: usize) {
        self.at = place;
    }

    /// The byte offset of the token `place`.
    fn offset_at(&self, place: usize) -> usize {
        self.tokens.get(place).map_or(self.pattern_bytes, |token| token.offset)
    }

    /// An error at the token `place`.
    pub(super) fn error<T>(&self, place: usize, message: &str) -> Result<T, RegexError> {
        Err(RegexError { message: message.to_owned(), offset: self.offset_at(place), hint: None })
    }

    pub(super) fn error_with_hint<T>(&self, place: usize, message: &str, hint: &str) -> Result<T, RegexError> {
        Err(RegexError { message: message.to_owned(), offset: self.offset_at(place), hint: Some(hint.to_owned()) })
    }

    fn skip_comments(&mut self) {
        while self.at_comment() {
            if self.peek_raw() == Some('#') {
                while self.literal().is_some_and(|character| !self.ends_comment(character)) {
                    self.at += 1;
                }
            } else {
                self.at += 1;
            }
        }
    }

    fn ends_comment(&self, character: char) -> bool {
        character == '\n' || (!self.flags.unix_lines && matches!(character, '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'))
    }
}

/// A non-character, which no pattern gives a meaning.
const QUOTED: char = '\u{10FFFF}';

fn is_space(character: char) -> bool {
    matches!(character, '\t'..='\r' | ' ')
}
