//! Under which predicates the index finds a rule.

use crate::limits::CONJUNCTIONS_MAX;
use crate::rules::boolean::{Conjunction, Node};
use crate::rules::matcher::index::{ACCEPT, Condition, Decision, Entry, REJECT, Tree};

/// Rules over predicates, until all are known.
#[derive(Default)]
pub(super) struct Filing {
    rules: Vec<(u32, Form)>,
}

enum Form {
    Conjunctions(Vec<Conjunction>),
    /// The normal form would explode.
    Tree(Node<u32>),
}

impl Filing {
    /// Adds a rule that is false when no predicate is true. Returns whether it can be true, as far as is known.
    pub(super) fn add(&mut self, rule: u32, expression: Node<u32>) -> bool {
        let mut terms = 0;
        expression.for_each_term(&mut |_| terms += 1);
        let form = match expression.conjunctions(CONJUNCTIONS_MAX.max(terms)) {
            Some(conjunctions) => Form::Conjunctions(conjunctions),
            None => Form::Tree(expression),
        };
        let can_be_true = !matches!(&form, Form::Conjunctions(conjunctions) if conjunctions.is_empty());
        self.rules.push((rule, form));
        can_be_true
    }

    /// Files all rules. `numbers` are the predicates' final numbers; `costs` goes by these.
    pub(super) fn finish(self, numbers: &[u32], costs: &[u32]) -> (Vec<Entry>, Vec<Tree>) {
        let weights = self.weights(numbers, costs);
        let (mut entries, mut trees) = (Vec::new(), Vec::new());
        for (rule, form) in &self.rules {
            match form {
                Form::Conjunctions(conjunctions) => {
                    entries.extend(conjunctions.iter().map(|conjunction| entry(conjunction, *rule, numbers, &weights)));
                }
                Form::Tree(node) => {
                    let node = node.map(&mut |term| Node::Term(numbers[*term as usize]));
                    let conditions = vec![Condition::Tree(trees.len() as u32)];
                    let cover = cover(&node, false, &weights).expect(FALSE_FOR_NONE);
                    let filed = cover.predicates.into_iter();
                    entries.extend(filed.map(|predicate| Entry {
                        predicate,
                        conditions: conditions.clone(),
                        rule: *rule,
                    }));
                    trees.push(decisions(&node));
                }
            }
        }
        (entries, trees)
    }

    /// What filing one rule under each predicate costs: how likely it is true, times the rules that name it.
    fn weights(&self, numbers: &[u32], costs: &[u32]) -> Vec<u64> {
        let mut uses = vec![0u64; numbers.len()];
        let mut count = |term: u32| uses[numbers[term as usize] as usize] += 1;
        for (_, form) in &self.rules {
            match form {
                Form::Conjunctions(conjunctions) => {
                    let literals = conjunctions.iter().flat_map(|conjunction| &conjunction.literals);
                    literals.filter(|literal| !literal.negated).for_each(|literal| count(literal.term));
                }
                Form::Tree(node) => node.for_each_term(&mut |term| count(*term)),
            }
        }
        uses.iter().zip(costs).map(|(uses, cost)| uses * u64::from(*cost)).collect()
    }
}

const FALSE_FOR_NONE: &str = "rules that are true for a call without signals are rejected before";

/// Files a conjunction under its rarest need; the other needs follow, the rarest first, then the denials.
fn entry(conjunction: &Conjunction, rule: u32, numbers: &[u32], weights: &[u64]) -> Entry {
    let mut literals: Vec<(bool, u64, u32)> = conjunction
        .literals
        .iter()
        .map(|literal| {
            let predicate = numbers[literal.term as usize];
            (literal.negated, weights[predicate as usize], predicate)
        })
        .collect();
    literals.sort_unstable();
    let (negated, _, predicate) = literals[0];
    assert!(!negated, "{FALSE_FOR_NONE}");
    let condition = |&(negated, _, predicate): &(bool, u64, u32)| {
        if negated { Condition::Deny(predicate) } else { Condition::Need(predicate) }
    };
    Entry { predicate, conditions: literals[1..].iter().map(condition).collect(), rule }
}

/// Predicates of which at least one is true whenever an expression is.
struct Cover {
    predicates: Vec<u32>,
    weight: u64,
}

/// The lightest cover that the tree's shape offers; `None` when the expression holds without any predicate.
fn cover(node: &Node<u32>, negated: bool, weights: &[u64]) -> Option<Cover> {
    let (children, needs_all) = match node {
        Node::Term(_) if negated => return None,
        Node::Term(predicate) => {
            return Some(Cover { predicates: vec![*predicate], weight: weights[*predicate as usize] });
        }
        Node::Not(child) => return cover(child, !negated, weights),
        Node::And(children) => (children, !negated),
        Node::Or(children) => (children, negated),
    };
    let mut covers = children.iter().map(|child| cover(child, negated, weights));
    if needs_all {
        return covers.flatten().min_by_key(|cover| cover.weight);
    }
    covers.try_fold(Cover { predicates: Vec::new(), weight: 0 }, |mut all, next| {
        let next = next?;
        all.predicates.extend(next.predicates);
        all.weight += next.weight;
        Some(all)
    })
}

/// The expression as a chain of decisions, its leftmost term first.
fn decisions(node: &Node<u32>) -> Tree {
    let mut backwards = Vec::new();
    decide(node, ACCEPT, REJECT, &mut backwards);
    // Each decision leads to one that was made before it: turned around, all lead forward.
    let last = backwards.len() as u32 - 1;
    let turn = |target: u32| if target <= last { last - target } else { target };
    let turned = backwards.iter().rev().map(|decision| Decision {
        predicate: decision.predicate,
        when_true: turn(decision.when_true),
        when_false: turn(decision.when_false),
    });
    turned.collect()
}

/// Appends the decisions of `node`, which lead to the two targets, and returns where they begin.
fn decide(node: &Node<u32>, when_true: u32, when_false: u32, backwards: &mut Vec<Decision>) -> u32 {
    match node {
        Node::Term(predicate) => {
            backwards.push(Decision { predicate: *predicate, when_true, when_false });
            backwards.len() as u32 - 1
        }
        Node::Not(child) => decide(child, when_false, when_true, backwards),
        Node::And(children) => {
            children.iter().rev().fold(when_true, |next, child| decide(child, next, when_false, backwards))
        }
        Node::Or(children) => {
            children.iter().rev().fold(when_false, |next, child| decide(child, when_true, next, backwards))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::boolean::expression;
    use crate::rules::matcher::bits::Bits;
    use crate::rules::matcher::index::decide as decide_tree;
    use crate::rules::tests::cases;

    fn and(terms: &[u32]) -> Node<u32> {
        Node::And(terms.iter().map(|term| Node::Term(*term)).collect())
    }

    /// Where `rules` are filed when all predicates are equally likely.
    fn filed(rules: Vec<Node<u32>>, predicates: u32) -> (Vec<Entry>, Vec<Tree>) {
        let mut filing = Filing::default();
        for (rule, node) in rules.into_iter().enumerate() {
            filing.add(rule as u32, node);
        }
        let numbers: Vec<u32> = (0..predicates).collect();
        filing.finish(&numbers, &vec![1; predicates as usize])
    }

    #[test]
    fn a_conjunction_is_filed_under_its_rarest_need() {
        let rules = vec![and(&[0, 1]), and(&[0, 2]), and(&[0, 1, 3])];
        let (entries, trees) = filed(rules, 4);
        let predicates: Vec<u32> = entries.iter().map(|entry| entry.predicate).collect();
        assert_eq!((predicates, trees.len()), (vec![1, 2, 3], 0));
        assert_eq!(entries[2].conditions, [Condition::Need(1), Condition::Need(0)]);
    }

    #[test]
    fn an_exploding_rule_becomes_a_tree_under_its_lightest_cover() {
        let pair = |n: u32| Node::Or(vec![Node::Term(2 * n), Node::Term(2 * n + 1)]);
        let mut clauses: Vec<_> = (0..8).map(pair).collect();
        let (entries, trees) = filed(vec![Node::And(clauses.clone()), and(&[0, 2])], 17);
        assert_eq!(trees.len(), 1);
        let covering: Vec<u32> = entries.iter().filter(|entry| entry.rule == 0).map(|entry| entry.predicate).collect();
        assert_eq!(covering, [4, 5], "the first clause without a predicate that another rule names");
        clauses.push(Node::Term(16));
        let (entries, _) = filed(vec![Node::And(clauses)], 17);
        assert_eq!(entries.iter().map(|entry| entry.predicate).collect::<Vec<_>>(), [16]);
    }

    #[test]
    fn a_long_list_of_alternatives_is_no_explosion() {
        let (entries, trees) = filed(vec![Node::Or((0..1_000).map(Node::Term).collect())], 1_000);
        assert_eq!((entries.len(), trees.len()), (1_000, 0));
    }

    proptest! {
        #![proptest_config(cases(300, 4))]

        #[test]
        fn decisions_and_covers_are_sound(node in expression(6)) {
            let decisions = decisions(&node);
            let cover = cover(&node, false, &[1; 6]);
            prop_assert_eq!(cover.is_none(), node.evaluate(&mut |_| false));
            for assignment in 0..64u32 {
                let mut bits = Bits::new(6);
                (0..6).filter(|term| assignment >> term & 1 == 1).for_each(|term| { bits.set(term); });
                let expected = node.evaluate(&mut |term| bits.has(*term));
                prop_assert_eq!(decide_tree(&decisions, &bits), expected);
                if let (true, Some(cover)) = (expected, &cover) {
                    prop_assert!(cover.predicates.iter().any(|predicate| bits.has(*predicate)));
                }
            }
        }
    }
}
