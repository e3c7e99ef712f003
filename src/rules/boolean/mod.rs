//! Boolean expressions over terms of any kind: the tree, its grammar, its normal form and what can be proved of it.
//!
//! Trait and segment expressions share the words AND, OR, NOT and parentheses and differ in their terms. [`parse`]
//! reads the shared part. A tree whose terms are numbered becomes conjunctions of literals ([`Node::conjunctions`]),
//! which an index can file, unless there would be too many of them.

mod normal;
mod parse;
mod truth;

#[cfg(test)]
pub(crate) use truth::tests::expression;

pub use normal::{Conjunction, Literal};
pub use parse::{Source, Word, parse};

/// An expression over terms `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node<T> {
    Term(T),
    Not(Box<Node<T>>),
    And(Vec<Node<T>>),
    Or(Vec<Node<T>>),
}

impl<T> Node<T> {
    /// Whether the expression holds when `holds` tells which terms do.
    pub fn evaluate(&self, holds: &mut impl FnMut(&T) -> bool) -> bool {
        match self {
            Node::Term(term) => holds(term),
            Node::Not(child) => !child.evaluate(holds),
            Node::And(children) => children.iter().all(|child| child.evaluate(holds)),
            Node::Or(children) => children.iter().any(|child| child.evaluate(holds)),
        }
    }

    /// The same expression with each term replaced.
    pub fn map<U>(&self, replace: &mut impl FnMut(&T) -> Node<U>) -> Node<U> {
        match self {
            Node::Term(term) => replace(term),
            Node::Not(child) => Node::Not(Box::new(child.map(replace))),
            Node::And(children) => Node::And(children.iter().map(|child| child.map(replace)).collect()),
            Node::Or(children) => Node::Or(children.iter().map(|child| child.map(replace)).collect()),
        }
    }

    /// Calls `visit` with each term, from left to right.
    pub fn for_each_term<'a>(&'a self, visit: &mut impl FnMut(&'a T)) {
        match self {
            Node::Term(term) => visit(term),
            Node::Not(child) => child.for_each_term(visit),
            Node::And(children) | Node::Or(children) => children.iter().for_each(|child| child.for_each_term(visit)),
        }
    }
}
