//! Translates a syntax tree to what an automaton can do, where that has the very same meaning.
//!
//! An automaton finds whether *some* way through the pattern fits. Java finds the same as long as it looks for every
//! way. It doesn't in atomic forms, in rounds of `\R`, and where a loop ends because an assertion matched nothing.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

use super::set::{CharSet, INVALID};
use super::syntax::{Assertion, Kind, Method, Node, Repeat, UNLIMITED};

/// What [`super::automaton`] feeds for a byte that is not part of UTF-8: the encoding of a surrogate, which no text
/// contains.
pub(super) const INVALID_BYTES: [u8; 3] = [0xED, 0xA0, 0x80];

/// A pattern for the automaton.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) hir: Hir,
    /// It has `\b`: right for values of ASCII only.
    pub(super) ascii_only: bool,
}

/// `None` when only backtracking has the same meaning.
pub(super) fn lower(root: &Node) -> Option<Lowered> {
    let boundary = |node: &Node| matches!(node, Node::Assertion(Assertion::WordBoundary { .. }));
    Some(Lowered { hir: node(root, true)?, ascii_only: root.any(&boundary) })
}

/// `last` tells that the value ends where `this` does, so that every kind of end holds by itself.
fn node(this: &Node, last: bool) -> Option<Hir> {
    match this {
        Node::Empty => Some(Hir::empty()),
        Node::Set(set) => Some(class(set)),
        Node::Sequence(nodes) => sequence(nodes, last),
        Node::Alternation(branches) => {
            let branches: Option<Vec<_>> = branches.iter().map(|branch| node(branch, last)).collect();
            Some(Hir::alternation(branches?))
        }
        Node::Group { body, .. } => node(body, last),
        Node::Repeat(repeat) => repetition(repeat, last),
        Node::Assertion(assertion) => look(*assertion, last),
        Node::LineBreak => {
            let single = CharSet::of(super::property::VERTICAL_SPACE);
            Some(Hir::alternation(vec![Hir::literal(*b"\r\n"), class(&single)]))
        }
        Node::Atomic(_) | Node::Look(_) | Node::BackReference { .. } => None,
    }
}

fn sequence(nodes: &[Node], last: bool) -> Option<Hir> {
    let consumes_nothing = |node: &Node| node.lengths() == (0, Some(0));
    let tail = nodes.iter().rev().take_while(|node| consumes_nothing(node)).count();
    // The node before the tail ends where the value does, too.
    let first_last = nodes.len().saturating_sub(tail + 1);
    let parts: Option<Vec<_>> =
        nodes.iter().enumerate().map(|(index, part)| node(part, last && index >= first_last)).collect();
    Some(Hir::concat(parts?))
}

fn repetition(repeat: &Repeat, last: bool) -> Option<Hir> {
    let Repeat { body, min, max, kind } = repeat;
    let has = |wanted: fn(&Node) -> bool| body.any(&wanted);
    let exact = match repeat.method() {
        Method::Choice => true,
        Method::Rounds => *kind != Kind::Possessive && !has(|node| matches!(node, Node::LineBreak)),
        Method::Loop => body.lengths().0 > 0 || !has(|node| matches!(node, Node::Assertion(_))),
    };
    if !exact {
        return None;
    }
    let sub = Box::new(node(body, last && *max <= 1)?);
    let max = (*max != UNLIMITED).then_some(*max);
    Some(Hir::repetition(Repetition { min: *min, max, greedy: true, sub }))
}

fn look(assertion: Assertion, last: bool) -> Option<Hir> {
    match assertion {
        Assertion::Start => Some(Hir::look(Look::Start)),
        Assertion::End | Assertion::LastLineEnd { .. } | Assertion::LineEnd { .. } if last => Some(Hir::empty()),
        Assertion::End => Some(Hir::look(Look::End)),
        Assertion::WordBoundary { negative: false, .. } => Some(Hir::look(Look::WordAscii)),
        Assertion::WordBoundary { negative: true, .. } => Some(Hir::look(Look::WordAsciiNegate)),
        Assertion::LastLineEnd { .. } | Assertion::LineStart { .. } | Assertion::LineEnd { .. } => None,
    }
}

fn class(set: &CharSet) -> Hir {
    let ranges = set
        .ranges()
        .iter()
        .flat_map(|&(first, last)| [(first, last.min(0xD7FF)), (first.max(0xE000), last.min(0x10_FFFF))]);
    let ranges = ranges.filter_map(|(first, last)| {
        let (first, last) = (char::from_u32(first)?, char::from_u32(last)?);
        (first <= last).then(|| ClassUnicodeRange::new(first, last))
    });
    let text = Hir::class(Class::Unicode(ClassUnicode::new(ranges)));
    if set.contains(INVALID) { Hir::alternation(vec![text, Hir::literal(INVALID_BYTES)]) } else { text }
}
