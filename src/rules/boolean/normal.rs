//! The disjunctive normal form: an expression as a list of conjunctions, any of which makes it true.

use super::Node;

/// How many literals the conjunctions within a bound may have on average.
const LITERALS_PER_CONJUNCTION: usize = 8;

/// A numbered term, or its negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literal {
    pub term: u32,
    pub negated: bool,
}

/// Literals that must all hold: ascending by term, each term once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conjunction {
    pub literals: Vec<Literal>,
}

impl Node<u32> {
    /// The conjunctions of which at least one holds exactly when the expression does: without contradictions, without
    /// any that another one implies. `None` when a step on the way there has more than `conjunctions_max`, or more
    /// literals in all than eight times that.
    pub fn conjunctions(&self, conjunctions_max: usize) -> Option<Vec<Conjunction>> {
        expand(self, false, conjunctions_max)
    }
}

fn expand(node: &Node<u32>, negated: bool, bound: usize) -> Option<Vec<Conjunction>> {
    match node {
        Node::Term(term) => Some(vec![Conjunction { literals: vec![Literal { term: *term, negated }] }]),
        Node::Not(child) => expand(child, !negated, bound),
        // By De Morgan a negated AND is an OR of negations.
        Node::And(children) if negated => sum(children, negated, bound),
        Node::Or(children) if negated => product(children, negated, bound),
        Node::And(children) => product(children, negated, bound),
        Node::Or(children) => sum(children, negated, bound),
    }
}

fn sum(children: &[Node<u32>], negated: bool, bound: usize) -> Option<Vec<Conjunction>> {
    let mut all = Vec::new();
    for child in children {
        all.extend(expand(child, negated, bound)?);
        if all.len() > bound {
            return None;
        }
    }
    within_literals(without_implied(all), bound)
}

fn product(children: &[Node<u32>], negated: bool, bound: usize) -> Option<Vec<Conjunction>> {
    let mut all = vec![Conjunction { literals: Vec::new() }];
    for child in children {
        let factors = expand(child, negated, bound)?;
        if all.len() * factors.len() > bound {
            return None;
        }
        let pairs = all.iter().flat_map(|left| factors.iter().filter_map(|right| both(left, right)));
        all = within_literals(without_implied(pairs.collect()), bound)?;
    }
    Some(all)
}

/// Few conjunctions can be long: `(a OR b) AND c AND d AND ..` repeats everything behind the parentheses.
fn within_literals(all: Vec<Conjunction>, bound: usize) -> Option<Vec<Conjunction>> {
    let literals: usize = all.iter().map(|conjunction| conjunction.literals.len()).sum();
    (literals <= LITERALS_PER_CONJUNCTION * bound).then_some(all)
}

/// The literals of both, or `None` when they contradict each other.
fn both(left: &Conjunction, right: &Conjunction) -> Option<Conjunction> {
    let mut literals = Vec::with_capacity(left.literals.len() + right.literals.len());
    literals.extend_from_slice(&left.literals);
    literals.extend_from_slice(&right.literals);
    literals.sort_unstable();
    literals.dedup();
    let contradiction = literals.windows(2).any(|pair| pair[0].term == pair[1].term);
    (!contradiction).then_some(Conjunction { literals })
}

/// `a OR (a AND b)` is `a`.
fn without_implied(mut all: Vec<Conjunction>) -> Vec<Conjunction> {
    all.sort_unstable_by(|a, b| a.literals.len().cmp(&b.literals.len()).then_with(|| a.cmp(b)));
    let mut kept: Vec<Conjunction> = Vec::with_capacity(all.len());
    for conjunction in all {
        if !kept.iter().any(|shorter| contains_all(&conjunction.literals, &shorter.literals)) {
            kept.push(conjunction);
        }
    }
    kept
}

fn contains_all(longer: &[Literal], shorter: &[Literal]) -> bool {
    shorter.iter().all(|literal| longer.binary_search(literal).is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::expression;
    use super::*;
    use crate::rules::tests::cases;

    fn holds(conjunctions: &[Conjunction], assignment: u32) -> bool {
        conjunctions
            .iter()
            .any(|one| one.literals.iter().all(|literal| (assignment >> literal.term & 1 == 1) != literal.negated))
    }

    #[test]
    fn what_another_implies_is_left_out() {
        let term = |n| Node::Term(n);
        let node = Node::And(vec![Node::Or(vec![term(0), term(1)]), Node::Or(vec![term(0), term(2)])]);
        let lengths: Vec<usize> = node.conjunctions(64).unwrap().iter().map(|one| one.literals.len()).collect();
        assert_eq!(lengths, [1, 2]);
    }

    #[test]
    fn an_explosion_is_noticed() {
        let pair = |n: u32| Node::Or(vec![Node::Term(2 * n), Node::Term(2 * n + 1)]);
        let node = Node::And((0..7).map(pair).collect());
        assert_eq!(node.conjunctions(64), None);
        assert_eq!(node.conjunctions(128).unwrap().len(), 128);
    }

    #[test]
    fn few_but_long_conjunctions_explode_too() {
        let long = |count: u32| Node::And((64..64 + count).map(Node::Term).collect());
        let node = |count| Node::And(vec![Node::Or((0..64).map(Node::Term).collect()), long(count)]);
        assert_eq!(node(7).conjunctions(64).unwrap().len(), 64);
        assert_eq!(node(8).conjunctions(64), None);
        assert_eq!(long(512).conjunctions(64).unwrap().len(), 1);
    }

    proptest! {
        #![proptest_config(cases(300, 1))]

        #[test]
        fn the_normal_form_means_the_same(node in expression(5)) {
            if let Some(conjunctions) = node.conjunctions(64) {
                for assignment in 0..32u32 {
                    let expected = node.evaluate(&mut |term| assignment >> term & 1 == 1);
                    prop_assert_eq!(holds(&conjunctions, assignment), expected);
                }
            }
        }
    }
}
