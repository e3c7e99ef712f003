//! A parsed pattern.

use super::set::CharSet;

/// One node. Sequences and alternations of fewer than two nodes don't occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    Set(CharSet),
    Sequence(Vec<Node>),
    Alternation(Vec<Node>),
    /// `( )`, or `(?: )` when it captures nothing. Kept, as Java repeats groups otherwise than single atoms.
    Group {
        capture: Option<u32>,
        body: Box<Node>,
    },
    /// `(?> )`
    Atomic(Box<Node>),
    Look(Look),
    Repeat(Repeat),
    Assertion(Assertion),
    BackReference {
        group: u32,
        fold: Fold,
    },
    /// `\R`
    LineBreak,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// For look-behind the shortest and longest match of the body, in characters.
    pub(super) behind: Option<(u32, u32)>,
    pub(super) negative: bool,
    pub(super) body: Box<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) body: Box<Node>,
    pub(super) min: u32,
    /// `UNLIMITED` when there is no bound.
    pub(super) max: u32,
    pub(super) kind: Kind,
}

/// Java's own representation of `*` and `+`, so `{0,2147483647}` is the same thing.
pub(super) const UNLIMITED: u32 = i32::MAX as u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Greedy,
    Lazy,
    Possessive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Assertion {
    /// `^`, `\A`, and `\G`, which is the same when the whole value is matched.
    Start,
    /// `\z`
    End,
    /// `$` and `\Z`: at the end, or before a last line terminator.
    LastLineEnd { unix: bool },
    /// `^` after `(?m)`
    LineStart { unix: bool },
    /// `$` after `(?m)`
    LineEnd { unix: bool },
    /// `\b` and `\B`
    WordBoundary { negative: bool, unicode: bool },
}

/// How a back reference compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fold {
    Exact,
    Ascii,
    Unicode,
}

/// How Java carries a repetition out. It shows: only a loop looks for another way through an earlier round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A group or nothing, as a choice of two.
    Choice,
    /// Round after round, each matched once and for all; backtracking takes back whole rounds.
    Rounds,
    /// Every round may be reconsidered; a round that matches nothing ends it, whatever the least count.
    Loop,
}

impl Repeat {
    pub(super) fn method(&self) -> Method {
        let is_group = matches!(*self.body, Node::Group { .. });
        if !is_group || self.kind == Kind::Possessive {
            Method::Rounds
        } else if (self.min, self.max) == (0, 1) {
            Method::Choice
        } else if self.body.is_deterministic() {
            Method::Rounds
        } else {
            Method::Loop
        }
    }
}

impl Node {
    pub(super) fn sequence(mut nodes: Vec<Node>) -> Node {
        match nodes.len() {
            0 => Node::Empty,
            1 => nodes.swap_remove(0),
            _ => Node::Sequence(nodes),
        }
    }

    pub(super) fn alternation(mut nodes: Vec<Node>) -> Node {
        if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::Alternation(nodes) }
    }

    /// Whether Java sees exactly one way in which this can match, and so repeats it without looking back into it.
    pub(super) fn is_deterministic(&self) -> bool {
        match self {
            Node::Empty | Node::Set(_) | Node::Assertion(_) | Node::BackReference { .. } => true,
            Node::LineBreak | Node::Look(_) => true,
            Node::Alternation(_) => false,
            Node::Sequence(nodes) => nodes.iter().all(Node::is_deterministic),
            Node::Group { body, .. } | Node::Atomic(body) => body.is_deterministic(),
            Node::Repeat(repeat) => repeat.min == repeat.max && repeat.body.is_deterministic(),
        }
    }

    /// Whether `wanted` holds for this node or any inside it.
    pub(super) fn any(&self, wanted: &dyn Fn(&Node) -> bool) -> bool {
        wanted(self)
            || match self {
                Node::Sequence(nodes) | Node::Alternation(nodes) => nodes.iter().any(|node| node.any(wanted)),
                Node::Group { body, .. } | Node::Atomic(body) => body.any(wanted),
                Node::Look(look) => look.body.any(wanted),
                Node::Repeat(repeat) => repeat.body.any(wanted),
                _ => false,
            }
    }

    /// Shortest and longest match in characters; the longest is `None` when it has no bound, or none that Java sees.
    pub(super) fn lengths(&self) -> (u64, Option<u64>) {
        match self {
            Node::Empty | Node::Look(_) | Node::Assertion(_) => (0, Some(0)),
            Node::Set(_) => (1, Some(1)),
            Node::LineBreak => (1, Some(2)),
            Node::BackReference { .. } => (0, None),
            Node::Group { body, .. } | Node::Atomic(body) => body.lengths(),
            Node::Sequence(nodes) => nodes.iter().map(Node::lengths).fold((0, Some(0)), |sum, next| {
                (sum.0.saturating_add(next.0), sum.1.zip(next.1).map(|(a, b)| a.saturating_add(b)))
            }),
            Node::Alternation(nodes) => nodes
                .iter()
                .map(Node::lengths)
                .fold((u64::MAX, Some(0)), |sum, next| (sum.0.min(next.0), sum.1.zip(next.1).map(|(a, b)| a.max(b)))),
            Node::Repeat(repeat) => {
                let (min, max) = repeat.body.lengths();
                let max = max.filter(|_| repeat.method() != Method::Loop);
                (min.saturating_mul(repeat.min.into()), max.map(|max| max.saturating_mul(repeat.max.into())))
            }
        }
    }
}
