//! Escapes (`\d`, `\x41`, `\p{L}`, `\1`) and character classes.

use super::RegexError;
use super::parse::{Escape, Parser};
use super::property::{self, Context};
use super::set::CharSet;
use super::syntax::{Assertion, Node};

impl Parser {
    /// Everything from a backslash. `range_end` tells that a single character is wanted where `\v` could be either.
    pub(super) fn escape(&mut self, in_class: bool, range_end: bool) -> Result<Escape, RegexError> {
        let start = self.cursor.place();
        self.cursor.bump();
        let Some(kind) = self.cursor.literal() else {
            return self.cursor.error(start, "a backslash ends the pattern");
        };
        self.cursor.bump();
        let unicode = self.cursor.flags.unicode_classes;
        let set = match kind {
            'd' | 'D' if unicode => self.remembered("\\d", property::digit),
            's' | 'S' if unicode => self.remembered("\\s", property::white_space),
            'w' | 'W' if unicode => self.remembered("\\w", property::word),
            'd' | 'D' => CharSet::of(property::ASCII_DIGIT),
            's' | 'S' => CharSet::of(property::ASCII_SPACE),
            'w' | 'W' => CharSet::of(property::ASCII_WORD),
            'h' | 'H' => CharSet::of(property::HORIZONTAL_SPACE),
            'v' if range_end => return Ok(Escape::Character(0x0B)),
            'v' | 'V' => CharSet::of(property::VERTICAL_SPACE),
            'p' | 'P' if !range_end || !in_class => self.property(start)?,
            _ if in_class => return self.character_escape(kind, start).map(Escape::Character),
            _ => return self.outside_class(kind, start),
        };
        Ok(Escape::Set(if kind.is_ascii_uppercase() { set.negate() } else { set }))
    }

    fn outside_class(&mut self, kind: char, start: usize) -> Result<Escape, RegexError> {
        let flags = self.cursor.flags;
        let boundary = |negative| Assertion::WordBoundary { negative, unicode: flags.unicode_classes };
        let assertion = match kind {
            // Java's end of the previous match is the start of the value, as long as there was none.
            'A' | 'G' => Assertion::Start,
            'z' => Assertion::End,
            'Z' => Assertion::LastLineEnd { unix: flags.unix_lines },
            'b' if self.cursor.peek_raw() == Some('{') && self.cursor.peek_ahead(1) == Some('g') => {
                return self.cursor.error(start, "grapheme boundaries, \\b{g}, are not supported");
            }
            'b' => boundary(false),
            'B' => boundary(true),
            'R' => return Ok(Escape::Node(Node::LineBreak)),
            'X' => return self.cursor.error(start, "grapheme clusters, \\X, are not supported"),
            'k' => return self.named_reference(start),
            '1'..='9' => return Ok(Escape::Node(self.numbered_reference(kind))),
            _ => return self.character_escape(kind, start).map(Escape::Character),
        };
        Ok(Escape::Node(Node::Assertion(assertion)))
    }

    fn named_reference(&mut self, start: usize) -> Result<Escape, RegexError> {
        if !self.cursor.eat_raw('<') {
            return self.cursor.error(start, "\\k must be followed by <name>");
        }
        let name = self.group_name()?;
        let Some(&group) = self.names.get(&name) else {
            return self.cursor.error(start, "no group before this place has that name");
        };
        Ok(Escape::Node(Node::BackReference { group, fold: self.cursor.flags.fold() }))
    }

    /// Takes further digits only as long as a group of that number was opened before.
    fn numbered_reference(&mut self, first: char) -> Node {
        let mut group = u32::from(first) - u32::from('0');
        while let Some(digit) = self.cursor.peek().and_then(|next| next.to_digit(10)) {
            let longer = group.saturating_mul(10).saturating_add(digit);
            if longer >= self.groups {
                break;
            }
            group = longer;
            self.cursor.bump();
        }
        Node::BackReference { group, fold: self.cursor.flags.fold() }
    }

    fn character_escape(&mut self, kind: char, start: usize) -> Result<u32, RegexError> {
        Ok(match kind {
            'a' => 0x07,
            'e' => 0x1B,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            '0' => self.octal(start)?,
            'x' => self.hexadecimal(start)?,
            'u' => self.utf16(start)?,
            'c' => match self.cursor.peek_raw() {
                Some(character) if !self.cursor.at_comment() && self.cursor.quoted().is_none() => {
                    self.cursor.bump();
                    u32::from(character) ^ 64
                }
                _ => return self.cursor.error(start, "\\c must be followed by a character"),
            },
            'N' => {
                let hint = "write the character itself or \\x{...}";
                return self.cursor.error_with_hint(start, "character names, \\N{...}, are not supported", hint);
            }
            _ if kind.is_ascii_alphanumeric() => {
                let message = format!("\\{kind} is no escape here");
                return self.cursor.error_with_hint(start, &message, "to match a backslash write \\\\");
            }
            _ => u32::from(kind),
        })
    }

    /// Up to three octal digits, the first of three at most 3.
    fn octal(&mut self, start: usize) -> Result<u32, RegexError> {
        let mut value = 0;
        let mut digits = 0;
        while let Some(digit) = self.cursor.peek().and_then(|next| next.to_digit(8)) {
            if digits == 3 || (digits == 2 && value > 0o37) {
                break;
            }
            value = value * 8 + digit;
            digits += 1;
            self.cursor.bump();
        }
        if digits == 0 {
            return self.cursor.error(start, "\\0 must be followed by octal digits");
        }
        Ok(value)
    }

    fn hexadecimal(&mut self, start: usize) -> Result<u32, RegexError> {
        if !self.cursor.eat_raw('{') {
            return self.hex_digits(2, start);
        }
        let mut value = self.hex_digits(1, start)?;
        while let Some(digit) = self.cursor.peek_raw().and_then(|next| next.to_digit(16)) {
            value = value * 16 + digit;
            if value > 0x10_FFFF {
                return self.cursor.error(start, "the last code point is \\x{10FFFF}");
            }
            self.cursor.bump();
        }
        if !self.cursor.eat_raw('}') {
            return self.cursor.error(start, "this \\x{ is not closed by a }");
        }
        Ok(value)
    }

    /// Four digits; two such escapes that are the halves of one character are that character.
    fn utf16(&mut self, start: usize) -> Result<u32, RegexError> {
        let high = self.hex_digits(4, start)?;
        if (0xD800..=0xDBFF).contains(&high) {
            let place = self.cursor.place();
            if self.cursor.eat_raw('\\') && self.cursor.eat_raw('u') {
                let low = self.hex_digits(4, place)?;
                if (0xDC00..=0xDFFF).contains(&low) {
                    return Ok(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
                }
            }
            self.cursor.return_to(place);
        }
        Ok(high)
    }

    fn hex_digits(&mut self, count: usize, start: usize) -> Result<u32, RegexError> {
        let mut value = 0;
        for _ in 0..count {
            let Some(digit) = self.cursor.peek_raw().and_then(|next| next.to_digit(16)) else {
                return self.cursor.error(start, "hexadecimal digits are missing: write \\xhh, \\x{h...} or \\uhhhh");
            };
            value = value * 16 + digit;
            self.cursor.bump();
        }
        Ok(value)
    }

    /// What follows `\p`.
    fn property(&mut self, start: usize) -> Result<CharSet, RegexError> {
        let mut name = String::new();
        if self.cursor.eat_raw('{') {
            while !self.cursor.eat_raw('}') {
                let Some(character) = self.cursor.peek_raw() else {
                    return self.cursor.error(start, "this property name is not closed by a }");
                };
                name.push(character);
                self.cursor.bump();
            }
        } else {
            name.extend(self.cursor.peek_raw());
            self.cursor.bump();
        }
        let flags = self.cursor.flags;
        let context = Context { case_insensitive: flags.case_insensitive, unicode: flags.unicode_classes };
        let key = format!("{name}}}{context:?}");
        if let Some(set) = self.sets.get(&key) {
            return Ok(set.clone());
        }
        if let Some(set) = property::named(&name, context) {
            return Ok(self.remembered(&key, || set));
        }
        let message = format!("unknown character property \"{name}\"");
        let hint = property::unsupported(&name);
        self.cursor.error_with_hint(start, &message, hint.unwrap_or("names are as in \\p{L}, \\p{Alpha}, \\p{IsLatin}"))
    }

    /// A class from its `[` to its `]`.
    pub(super) fn class(&mut self) -> Result<CharSet, RegexError> {
        let open = self.cursor.place();
        self.cursor.bump();
        let negative = self.cursor.eat_raw('^');
        let set = self.class_items(open)?;
        self.cursor.bump();
        Ok(if negative { set.negate() } else { set })
    }

    /// Items up to, not including, the `]`. What follows a `&&` is read as one class up to that bracket, so that
    /// `&&` binds weaker than standing side by side.
    fn class_items(&mut self, open: usize) -> Result<CharSet, RegexError> {
        // Joined when all are there: a class may have thousands.
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut is_empty = true;
        loop {
            let item = match self.cursor.peek() {
                None => return self.cursor.error(open, "this character class is not closed by a ]"),
                Some(']') if !is_empty => return Ok(CharSet::of(&ranges)),
                Some('[') => self.nested_class()?,
                Some('&') if self.cursor.peek_ahead(1) == Some('&') => {
                    let right = self.right_of_intersection(open)?;
                    let both = if is_empty { right } else { CharSet::of(&ranges).intersect(&right) };
                    ranges.clear();
                    both
                }
                Some(_) => self.class_item()?,
            };
            ranges.extend_from_slice(item.ranges());
            is_empty = false;
        }
    }

    fn right_of_intersection(&mut self, open: usize) -> Result<CharSet, RegexError> {
        let place = self.cursor.place();
        self.cursor.bump();
        self.cursor.bump();
        self.enter(place)?;
        let mut right: Option<CharSet> = None;
        loop {
            let item = match self.cursor.peek() {
                Some('[') => self.nested_class()?,
                Some(']') => break,
                Some('&') if right.is_some() && self.cursor.peek_ahead(1) == Some('&') => break,
                Some('&') => {
                    let hint = "write \\& for the character";
                    return self.cursor.error_with_hint(place, "a single & beside an intersection is ambiguous", hint);
                }
                _ => self.class_items(open)?,
            };
            right = Some(right.unwrap_or_default().union(&item));
        }
        self.leave();
        match right {
            Some(right) => Ok(right),
            None => {
                self.cursor.error_with_hint(place, "&& has nothing on its right", "write \\&\\& for the characters")
            }
        }
    }

    /// A character, a range, or an escape that stands for several.
    fn class_item(&mut self) -> Result<CharSet, RegexError> {
        let start = self.cursor.place();
        let first = match self.cursor.peek_raw() {
            Some('\\') => {
                let in_range = self.cursor.peek_ahead(2) == Some('-');
                let property = matches!(self.cursor.peek_ahead(1), Some('p' | 'P'));
                match self.escape(true, in_range && !property)? {
                    Escape::Character(character) => character,
                    other => return Ok(set_of(other)),
                }
            }
            _ => self.class_character(start)?,
        };
        if self.cursor.peek() != Some('-') || matches!(self.cursor.peek_ahead(1), Some('[' | ']')) {
            return Ok(self.single(first));
        }
        self.cursor.bump();
        if self.cursor.at_comment() {
            return self.cursor.error(start, "white space within a range is ambiguous");
        }
        let last = match self.cursor.peek_raw() {
            Some('\\') => match self.escape(true, true)? {
                Escape::Character(character) => character,
                _ => return self.cursor.error(start, "a range ends with a character"),
            },
            _ => self.class_character(start)?,
        };
        if last < first {
            return self.cursor.error(start, "this range ends before it begins");
        }
        Ok(self.range(first, last))
    }

    fn class_character(&mut self, start: usize) -> Result<u32, RegexError> {
        let Some(character) = self.cursor.literal() else {
            return self.cursor.error(start, "this character class is not closed by a ]");
        };
        self.cursor.bump();
        if character == '&' && self.cursor.at_comment() {
            return self.cursor.error(start, "white space after a & is ambiguous");
        }
        Ok(u32::from(character))
    }
}

fn set_of(escape: Escape) -> CharSet {
    match escape {
        Escape::Set(set) => set,
        _ => CharSet::default(),
    }
}
