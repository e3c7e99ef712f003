//! From the text of a pattern to its syntax tree, as Java 17 reads it.
//!
//! Where Java's own reading is an accident of its parser (`[a&&&b]`, white space inside an escape under `(?x)`), the
//! pattern is rejected; `tests/cases/regex/deviations.txt` lists these forms.

use ahash::{HashMap, HashMapExt};

use super::RegexError;
use super::cursor::{Cursor, Flags};
use super::fold::FoldTable;
use super::property;
use super::set::CharSet;
use super::syntax::{Assertion, Fold, Kind, Look, Node, Repeat, UNLIMITED};
use crate::limits;

#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Node,
    /// Capturing groups, the whole match (group 0) included.
    pub(super) groups: u32,
}

pub(super) fn parse(pattern: &str) -> Result<Parsed, RegexError> {
    let mut parser = Parser {
        cursor: Cursor::new(pattern),
        groups: 1,
        names: HashMap::new(),
        depth: 0,
        fold_table: None,
        sets: HashMap::new(),
    };
    let root = parser.alternation()?;
    if parser.cursor.peek().is_some() {
        return parser.cursor.error(parser.cursor.place(), "a ) closes no group");
    }
    Ok(Parsed { root, groups: parser.groups })
}

#[derive(Debug)]
pub(super) struct Parser {
    pub(super) cursor: Cursor,
    pub(super) groups: u32,
    pub(super) names: HashMap<String, u32>,
    depth: usize,
    fold_table: Option<FoldTable>,
    pub(super) sets: HashMap<String, CharSet>,
}

impl Parser {
    fn alternation(&mut self) -> Result<Node, RegexError> {
        let mut branches = vec![self.sequence()?];
        while self.cursor.eat('|') {
            branches.push(self.sequence()?);
        }
        Ok(Node::alternation(branches))
    }

    fn sequence(&mut self) -> Result<Node, RegexError> {
        let mut nodes = Vec::new();
        while let Some(next) = self.cursor.peek() {
            let atom = match next {
                '|' | ')' => break,
                '(' => match self.group()? {
                    Some(node) => node,
                    // Only flags: nothing that a quantifier could repeat.
                    None => continue,
                },
                '[' => Node::Set(self.nested_class()?),
                '^' => self.simple(|flags| match flags.multiline {
                    true => Node::Assertion(Assertion::LineStart { unix: flags.unix_lines }),
                    false => Node::Assertion(Assertion::Start),
                }),
                '$' => self.simple(|flags| match flags.multiline {
                    true => Node::Assertion(Assertion::LineEnd { unix: flags.unix_lines }),
                    false => Node::Assertion(Assertion::LastLineEnd { unix: flags.unix_lines }),
                }),
                '.' => self.simple(|flags| Node::Set(dot(flags))),
                '*' | '+' | '?' => {
                    let message = format!("{next} has nothing before it to repeat");
                    return self.cursor.error_with_hint(
                        self.cursor.place(),
                        &message,
                        &format!("write \\{next} for the character"),
                    );
                }
                _ => self.atom()?,
            };
            let quantified = self.quantifiers(atom)?;
            nodes.extend(quantified);
        }
        Ok(Node::sequence(nodes))
    }

    fn simple(&mut self, node: impl FnOnce(Flags) -> Node) -> Node {
        self.cursor.bump();
        node(self.cursor.flags)
    }

    /// A run of characters up to the next construct, without the last one when a quantifier follows; or one escape
    /// that is no character.
    fn atom(&mut self) -> Result<Node, RegexError> {
        let mut characters = Vec::new();
        let mut last = self.cursor.place();
        while let Some(next) = self.cursor.peek() {
            let place = self.cursor.place();
            match next {
                '*' | '+' | '?' | '{' => {
                    if characters.len() > 1 {
                        characters.pop();
                        self.cursor.return_to(last);
                    }
                    break;
                }
                '$' | '.' | '^' | '(' | '[' | '|' | ')' => break,
                '\\' => match self.escape(false, false)? {
                    Escape::Character(character) => characters.push(character),
                    other if characters.is_empty() => return Ok(other.into_node()),
                    _ => {
                        self.cursor.return_to(place);
                        break;
                    }
                },
                _ => {
                    characters.push(u32::from(self.cursor.literal().unwrap_or(next)));
                    self.cursor.bump();
                }
            }
            last = place;
        }
        Ok(self.literal(&characters))
    }

    fn literal(&mut self, characters: &[u32]) -> Node {
        if let [character] = characters {
            return Node::Set(self.single(*character));
        }
        Node::sequence(characters.iter().map(|&character| Node::Set(self.in_run(character))).collect())
    }

    /// One character by itself or in a class. Java looks for its other cases only if it has some itself.
    pub(super) fn single(&mut self, character: u32) -> CharSet {
        match self.cursor.flags.fold() {
            Fold::Unicode => {
                let table = self.fold_table();
                let (upper, folded) = table.of(character);
                if upper == folded { CharSet::single(character) } else { table.folding_to(folded) }
            }
            Fold::Ascii => ascii_cases(character, character),
            Fold::Exact => CharSet::single(character),
        }
    }

    /// One of several characters in a row: every character with the same folded form.
    fn in_run(&mut self, character: u32) -> CharSet {
        if self.cursor.flags.fold() != Fold::Unicode {
            return self.single(character);
        }
        let table = self.fold_table();
        table.folding_to(table.of(character).1)
    }

    pub(super) fn range(&mut self, first: u32, last: u32) -> CharSet {
        match self.cursor.flags.fold() {
            Fold::Unicode => self.fold_table().range(first, last),
            Fold::Ascii => ascii_cases(first, last),
            Fold::Exact => CharSet::of(&[(first, last)]),
        }
    }

    fn fold_table(&mut self) -> &FoldTable {
        self.fold_table.get_or_insert_with(FoldTable::new)
    }

    /// Everything from a `(`; `None` for flags that hold from here on.
    fn group(&mut self) -> Result<Option<Node>, RegexError> {
        let open = self.cursor.place();
        let saved = self.cursor.flags;
        self.cursor.bump();
        self.enter(open)?;
        let node = if self.cursor.eat('?') {
            match self.special_group(open)? {
                Some(node) => node,
                None => {
                    self.leave();
                    return Ok(None);
                }
            }
        } else {
            self.capturing()?
        };
        self.leave();
        if !self.cursor.eat(')') {
            return self.cursor.error(open, "this group is not closed");
        }
        self.cursor.flags = saved;
        Ok(Some(node))
    }

    fn capturing(&mut self) -> Result<Node, RegexError> {
        let capture = Some(self.groups);
        self.groups += 1;
        Ok(Node::Group { capture, body: Box::new(self.alternation()?) })
    }

    fn special_group(&mut self, open: usize) -> Result<Option<Node>, RegexError> {
        let kind = self.cursor.peek_raw();
        if let Some(':' | '=' | '!' | '>' | '<') = kind {
            self.cursor.bump();
        }
        let node = match kind {
            Some(':') => Node::Group { capture: None, body: Box::new(self.alternation()?) },
            Some('=' | '!') => {
                Node::Look(Look { behind: None, negative: kind == Some('!'), body: Box::new(self.alternation()?) })
            }
            Some('>') => Node::Atomic(Box::new(self.alternation()?)),
            Some('<') => match self.cursor.peek() {
                Some(sign @ ('=' | '!')) => {
                    self.cursor.bump();
                    self.look_behind(open, sign == '!')?
                }
                _ => {
                    let name = self.group_name()?;
                    if self.names.insert(name, self.groups).is_some() {
                        return self.cursor.error(open, "this group name is taken");
                    }
                    self.capturing()?
                }
            },
            _ => {
                self.flags()?;
                if self.cursor.eat(')') {
                    return Ok(None);
                }
                if !self.cursor.eat(':') {
                    let hint = "known are (?: (?= (?! (?> (?<= (?<! (?<name> and the flags i d m s u x U";
                    return self.cursor.error_with_hint(self.cursor.place(), "unknown kind of group or flag", hint);
                }
                Node::Group { capture: None, body: Box::new(self.alternation()?) }
            }
        };
        Ok(Some(node))
    }

    fn look_behind(&mut self, open: usize, negative: bool) -> Result<Node, RegexError> {
        let body = self.alternation()?;
        let (min, max) = body.lengths();
        // A longest match past what Java can count is one that Java gets wrong, or rejects.
        let Some(max) = max.filter(|&max| max <= u64::from(UNLIMITED)) else {
            return self.cursor.error(open, "what a look-behind matches must have an obvious greatest length");
        };
        let behind = Some((min as u32, max as u32));
        Ok(Node::Look(Look { behind, negative, body: Box::new(body) }))
    }

    /// A name and its `>`.
    pub(super) fn group_name(&mut self) -> Result<String, RegexError> {
        let start = self.cursor.place();
        let mut name = String::new();
        while let Some(next) = self.cursor.peek_raw().filter(char::is_ascii_alphanumeric) {
            name.push(next);
            self.cursor.bump();
        }
        if name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() {
            return self.cursor.error(start, "a group name begins with a Latin letter");
        }
        if !self.cursor.eat_raw('>') {
            return self.cursor.error(self.cursor.place(), "a group name is Latin letters and digits up to a >");
        }
        Ok(name)
    }

    fn flags(&mut self) -> Result<(), RegexError> {
        let mut on = true;
        while let Some(next) = self.cursor.peek() {
            let flags = &mut self.cursor.flags;
            match next {
                'i' => flags.case_insensitive = on,
                'd' => flags.unix_lines = on,
                'm' => flags.multiline = on,
                's' => flags.dot_all = on,
                'u' => flags.unicode_case = on,
                'x' => flags.comments = on,
                'U' => (flags.unicode_classes, flags.unicode_case) = (on, on),
                '-' if on => on = false,
                'c' => {
                    let place = self.cursor.place();
                    return self.cursor.error(place, "canonical equivalence, flag c, is not supported");
                }
                _ => break,
            }
            self.cursor.bump();
        }
        Ok(())
    }

    /// `atom` with the quantifier that follows it, if any.
    fn quantifiers(&mut self, atom: Node) -> Result<Option<Node>, RegexError> {
        let (min, max) = match self.cursor.peek() {
            Some('?') => (0, 1),
            Some('*') => (0, UNLIMITED),
            Some('+') => (1, UNLIMITED),
            Some('{') => self.bounds()?,
            _ => return Ok((atom != Node::Empty).then_some(atom)),
        };
        self.cursor.bump();
        let kind = if self.cursor.eat('?') {
            Kind::Lazy
        } else if self.cursor.eat('+') {
            Kind::Possessive
        } else {
            Kind::Greedy
        };
        Ok(Some(Node::Repeat(Repeat { body: Box::new(atom), min, max, kind })))
    }

    /// `{n}`, `{n,}` or `{n,m}` up to, not including, its `}`.
    fn bounds(&mut self) -> Result<(u32, u32), RegexError> {
        let open = self.cursor.place();
        self.cursor.bump();
        if !self.cursor.peek_raw().is_some_and(|next| next.is_ascii_digit()) {
            let hint = "write {n}, {n,} or {n,m}; \\{ is the character";
            return self.cursor.error_with_hint(open, "a { must be followed by a number", hint);
        }
        let min = self.number(open)?.unwrap_or(0);
        let max = match self.cursor.eat(',') {
            true if self.cursor.peek() == Some('}') => UNLIMITED,
            true => self.number(open)?.unwrap_or(0),
            false => min,
        };
        if self.cursor.peek() != Some('}') {
            return self.cursor.error(open, "this { is not closed by a }");
        }
        if max < min {
            return self.cursor.error(open, "the second number must not be below the first");
        }
        Ok((min, max))
    }

    fn number(&mut self, open: usize) -> Result<Option<u32>, RegexError> {
        let mut number: Option<u32> = None;
        while let Some(digit) = self.cursor.peek().and_then(|next| next.to_digit(10)) {
            let next = number.unwrap_or(0).checked_mul(10).and_then(|tens| tens.checked_add(digit));
            let Some(next) = next.filter(|&next| next <= UNLIMITED) else {
                return self.cursor.error(open, "a repetition count is at most 2147483647");
            };
            number = Some(next);
            self.cursor.bump();
        }
        Ok(number)
    }

    /// Counts one more level of groups or classes, up to `leave`.
    pub(super) fn enter(&mut self, place: usize) -> Result<(), RegexError> {
        self.depth += 1;
        if self.depth > limits::REGEX_NESTING_MAX {
            return self.cursor.error(place, "groups and classes are nested too deeply");
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn nested_class(&mut self) -> Result<CharSet, RegexError> {
        self.enter(self.cursor.place())?;
        let set = self.class()?;
        self.leave();
        Ok(set)
    }

    /// A set that is dear to build, built once for a pattern.
    pub(super) fn remembered(&mut self, key: &str, build: impl FnOnce() -> CharSet) -> CharSet {
        if let Some(set) = self.sets.get(key) {
            return set.clone();
        }
        let set = build();
        self.sets.insert(key.to_owned(), set.clone());
        set
    }
}

/// What an escape stands for.
#[derive(Debug)]
pub(super) enum Escape {
    Character(u32),
    Set(CharSet),
    Node(Node),
}

impl Escape {
    fn into_node(self) -> Node {
        match self {
            Escape::Character(character) => Node::Set(CharSet::single(character)),
            Escape::Set(set) => Node::Set(set),
            Escape::Node(node) => node,
        }
    }
}

fn dot(flags: Flags) -> CharSet {
    match flags {
        Flags { dot_all: true, .. } => CharSet::all(),
        Flags { unix_lines: true, .. } => CharSet::single(0x0A).negate(),
        _ => CharSet::of(property::LINE_TERMINATOR).negate(),
    }
}

/// The range with the other case of each Latin letter in it.
fn ascii_cases(first: u32, last: u32) -> CharSet {
    let letters = |low: u32, high: u32| (first.max(low), last.min(high));
    let (upper, lower) = (letters(0x41, 0x5A), letters(0x61, 0x7A));
    let mut ranges = vec![(first, last)];
    if upper.0 <= upper.1 {
        ranges.push((upper.0 + 0x20, upper.1 + 0x20));
    }
    if lower.0 <= lower.1 {
        ranges.push((lower.0 - 0x20, lower.1 - 0x20));
    }
    CharSet::of(&ranges)
}
