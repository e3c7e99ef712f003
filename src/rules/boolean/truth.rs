//! What can be proved of an expression by its truth table, 64 assignments at a time.

use super::Node;

/// Which of 64 assignments make the first six terms true: bit i of pattern t is bit t of i.
const PATTERNS: [u64; 6] = [
    0xaaaa_aaaa_aaaa_aaaa,
    0xcccc_cccc_cccc_cccc,
    0xf0f0_f0f0_f0f0_f0f0,
    0xff00_ff00_ff00_ff00,
    0xffff_0000_ffff_0000,
    0xffff_ffff_0000_0000,
];

/// Beyond this many terms a truth table is no longer a bounded amount of work.
const TERMS_MAX: u32 = 30;

impl Node<u32> {
    /// Whether some assignment of the terms `0..terms` makes the expression true. The cost doubles with each term
    /// from the seventh on: callers bound them.
    pub fn is_satisfiable(&self, terms: u32) -> bool {
        any_row(terms, |row| self.row(row) != 0)
    }

    /// Whether every assignment of the terms `0..terms` makes the expression true.
    pub fn is_tautology(&self, terms: u32) -> bool {
        !any_row(terms, |row| self.row(row) != u64::MAX)
    }

    /// The expression under 64 assignments at once: bit i belongs to assignment `row * 64 + i`.
    fn row(&self, row: u32) -> u64 {
        match self {
            Node::Term(term) => match PATTERNS.get(*term as usize) {
                Some(pattern) => *pattern,
                None if row >> (term - 6) & 1 == 1 => u64::MAX,
                None => 0,
            },
            Node::Not(child) => !child.row(row),
            Node::And(children) => children.iter().fold(u64::MAX, |bits, child| bits & child.row(row)),
            Node::Or(children) => children.iter().fold(0, |bits, child| bits | child.row(row)),
        }
    }
}

fn any_row(terms: u32, found: impl Fn(u32) -> bool) -> bool {
    assert!(terms <= TERMS_MAX, "the caller bounds the number of terms");
    let rows = 1u32 << terms.saturating_sub(PATTERNS.len() as u32);
    (0..rows).any(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::tests::cases;

    /// Random expressions over the terms `0..terms`.
    pub(crate) fn expression(terms: u32) -> impl Strategy<Value = Node<u32>> {
        (0..terms).prop_map(Node::Term).prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(|node| Node::Not(Box::new(node))),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Node::And),
                prop::collection::vec(inner, 2..4).prop_map(Node::Or),
            ]
        })
    }

    proptest! {
        #![proptest_config(cases(300, 2))]

        #[test]
        fn the_table_agrees_with_trying_each_assignment(node in expression(8)) {
            let value = |assignment: u32| node.evaluate(&mut |term| assignment >> term & 1 == 1);
            prop_assert_eq!(node.is_satisfiable(8), (0..256).any(value));
            prop_assert_eq!(node.is_tautology(8), (0..256).all(value));
        }
    }

    #[test]
    fn few_and_many_terms_are_exact() {
        let contradiction = |n| Node::And(vec![Node::Term(n), Node::Not(Box::new(Node::Term(n)))]);
        for term in [0, 5, 6, 19] {
            assert!(!contradiction(term).is_satisfiable(term + 1));
            assert!(Node::Not(Box::new(contradiction(term))).is_tautology(term + 1));
            assert!(Node::Term(term).is_satisfiable(term + 1));
            assert!(!Node::Term(term).is_tautology(term + 1));
        }
    }
}
