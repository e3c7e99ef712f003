//! Words of a trait expression. What may come next depends on the place, so the parser asks for a key, an operator or
//! a value: after an operator even `OR` is a value.

use std::ops::Range;

use super::Operator;
use crate::rules::Diagnostic;
use crate::rules::boolean::Word;

pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Everything before it is read.
    offset: usize,
}

/// A key or a value.
pub(super) struct Text {
    /// Without quotes, escapes resolved.
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

const STRAIGHT_QUOTES: &str = "texts stand in straight double quotes";
const OPERATORS: &str = "operators are == != > < >= <= contains matcheswords startswith endswith matchesregex";

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, offset: 0 }
    }

    /// The next word where a comparison may begin or has ended, without taking it.
    pub(super) fn peek(&mut self) -> Result<(Word, Range<usize>), Diagnostic> {
        self.skip_space();
        let Some(character) = self.rest().chars().next() else {
            return Ok((Word::End, self.offset..self.offset));
        };
        let span = self.run(is_key_character);
        let word = match character {
            '(' => return Ok((Word::Open, self.character_span(character))),
            ')' => return Ok((Word::Close, self.character_span(character))),
            _ if is_key_character(character) => &self.text[span.clone()],
            '"' | '=' | '<' | '>' | '!' => return Ok((Word::Term, self.character_span(character))),
            _ => return Err(self.unexpected(character)),
        };
        let keyword = [("and", Word::And), ("or", Word::Or), ("not", Word::Not)]
            .into_iter()
            .find(|(keyword, _)| keyword.eq_ignore_ascii_case(word));
        Ok((keyword.map_or(Word::Term, |(_, word)| word), span))
    }

    /// Takes what `peek` showed.
    pub(super) fn skip(&mut self, span: Range<usize>) {
        self.offset = span.end;
    }

    pub(super) fn key(&mut self) -> Result<Text, Diagnostic> {
        self.skip_space();
        let key = if self.rest().starts_with('"') { self.quoted()? } else { self.bare(is_key_character) };
        if key.text.is_empty() {
            let hint = if self.rest().starts_with('!') {
                "'not' is written NOT"
            } else {
                "a comparison is: key operator value"
            };
            let span = if key.span.is_empty() { self.next_character() } else { key.span };
            return Err(fault("a key is expected here", span, hint));
        }
        if !key.text.chars().all(is_key_character) {
            return Err(fault("this is no key", key.span, "keys are made of letters, digits, '_', '.' and '-'"));
        }
        if !key.text.contains(|character: char| character.is_ascii_alphabetic()) {
            return Err(fault("this key has no letter", key.span, "a key has at least one letter"));
        }
        Ok(key)
    }

    pub(super) fn operator(&mut self) -> Result<Operator, Diagnostic> {
        self.skip_space();
        let symbols = self.run(|character| "=<>!".contains(character));
        let mut span = if symbols.is_empty() { self.run(is_key_character) } else { symbols };
        let word = &self.text[span.clone()];
        if let Some(operator) = Operator::of(word) {
            self.offset = span.end;
            return Ok(operator);
        }
        let is_missing = ["", "and", "or", "not"].iter().any(|keyword| keyword.eq_ignore_ascii_case(word));
        if is_missing {
            if word.is_empty() {
                span = self.next_character();
            }
            return Err(fault("an operator is expected here", span, OPERATORS));
        }
        let hint = match word {
            "=<" => "'at most' is written <=",
            "<>" | "=!" | "!==" => "'not equal' is written !=",
            "===" => "'equal' is written ==",
            _ => OPERATORS,
        };
        Err(fault(format!("unknown operator '{word}'"), span, hint))
    }

    pub(super) fn value(&mut self) -> Result<Text, Diagnostic> {
        self.skip_space();
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let value = self.bare(is_value_character);
        if !value.text.is_empty() {
            return Ok(value);
        }
        let hint = match self.rest().chars().next() {
            Some('“' | '”' | '„' | '\'') => STRAIGHT_QUOTES,
            _ => "a value is a word of letters, digits, '_', '.', '+' and '-', or any text in double quotes",
        };
        Err(fault("a value is expected here", self.next_character(), hint))
    }

    /// Text in double quotes, at which the lexer stands. A backslash escapes `"` and `\` and is else itself.
    fn quoted(&mut self) -> Result<Text, Diagnostic> {
        let start = self.offset;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((index, character)) = characters.next() {
            match (character, characters.peek()) {
                ('"', _) => {
                    self.offset = start + index + 1;
                    return Ok(Text { text, span: start..self.offset });
                }
                ('\\', Some(&(_, escaped @ ('"' | '\\')))) => {
                    text.push(escaped);
                    characters.next();
                }
                _ => text.push(character),
            }
        }
        Err(fault(
            "this quote is never closed",
            start..start + 1,
            "add the closing '\"'; inside quotes, \\\" is a quote and \\\\ a backslash",
        ))
    }

    fn bare(&mut self, belongs: fn(char) -> bool) -> Text {
        let span = self.run(belongs);
        self.offset = span.end;
        Text { text: self.text[span.clone()].to_owned(), span }
    }

    fn run(&self, belongs: impl Fn(char) -> bool) -> Range<usize> {
        let rest = self.rest();
        let len = rest.find(|character| !belongs(character)).unwrap_or(rest.len());
        self.offset..self.offset + len
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.offset = self.text.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn character_span(&self, character: char) -> Range<usize> {
        self.offset..self.offset + character.len_utf8()
    }

    /// The place of the next character, or of the end.
    fn next_character(&self) -> Range<usize> {
        let len = self.rest().chars().next().map_or(0, char::len_utf8);
        self.offset..self.offset + len
    }

    fn unexpected(&self, character: char) -> Diagnostic {
        let hint = match character {
            '&' => "'and' is written AND",
            '|' => "'or' is written OR",
            '“' | '”' | '„' | '\'' => STRAIGHT_QUOTES,
            _ => "values with other characters than letters, digits, '_', '.', '+' and '-' stand in double quotes",
        };
        fault(format!("unexpected '{}'", character.escape_debug()), self.character_span(character), hint)
    }
}

fn fault(message: impl Into<String>, span: Range<usize>, hint: &str) -> Diagnostic {
    Diagnostic { message: message.into(), span, hint: Some(hint.to_owned()) }
}

fn is_key_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

fn is_value_character(character: char) -> bool {
    is_key_character(character) || character == '+'
}
