//! Which rules a set of true predicates realises, found from the predicates' side.
//!
//! Each conjunction of each rule is a candidate, filed under one predicate that it needs: only the candidates of true
//! predicates are looked at. A rule without a usable normal form stays a tree and is filed under several predicates,
//! at least one of which is true whenever the tree is.

use super::bits::Bits;
use crate::ids::{DataSourceId, TraitId};
use crate::memory::{FETCHED_TOGETHER, fetch};

/// Candidates and what they realise. Everything is flat and in the order of filing.
#[derive(Debug)]
pub(crate) struct RuleIndex {
    /// The candidates of predicate p are the words `filed[p]..filed[p + 1]`.
    filed: Vec<u32>,
    /// One after the other: how many conditions, how many rules, the conditions, the rules. What is asked about a
    /// candidate stands together, for it has to come from memory first.
    candidates: Vec<u32>,
    rules: usize,
    trees: Vec<Tree>,
}

/// What a candidate asks for besides the predicate it is filed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Condition {
    Need(u32),
    Deny(u32),
    /// A place in the trees.
    Tree(u32),
}

impl Condition {
    const KIND_BITS: u32 = 2;

    fn word(self) -> u32 {
        let (kind, number) = match self {
            Condition::Need(predicate) => (0, predicate),
            Condition::Deny(predicate) => (1, predicate),
            Condition::Tree(tree) => (2, tree),
        };
        assert!(number < 1 << (u32::BITS - Condition::KIND_BITS), "a number fits beside its kind");
        number << Condition::KIND_BITS | kind
    }

    fn from_word(word: u32) -> Condition {
        let number = word >> Condition::KIND_BITS;
        match word & ((1 << Condition::KIND_BITS) - 1) {
            0 => Condition::Need(number),
            1 => Condition::Deny(number),
            _ => Condition::Tree(number),
        }
    }
}

/// Words of a rule that a candidate realises: its number, its trait, the trait's data source.
const RULE_WORDS: usize = 3;

/// An expression as a chain of decisions, begun at the first.
pub(crate) type Tree = Box<[Decision]>;

/// Asks for a predicate; the answer chooses the next decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) predicate: u32,
    pub(crate) when_true: u32,
    pub(crate) when_false: u32,
}

/// Where a decision leads when the tree is decided.
pub(crate) const ACCEPT: u32 = u32::MAX;
pub(crate) const REJECT: u32 = u32::MAX - 1;

/// One candidate before it is filed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) predicate: u32,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) rule: u32,
}

/// What is known of the call at hand.
#[derive(Debug)]
pub(crate) struct Truths {
    predicates: Bits,
    /// Ranges of candidates that are filed under true predicates. Has room for one range of each predicate that
    /// has candidates, and each is added once.
    active: Vec<(u32, u32)>,
    /// Trees that were looked at.
    tried: Bits,
    realised: Bits,
}

impl RuleIndex {
    /// Files `entries`, which name predicates below `predicates`. Equal conjunctions of several rules become one.
    pub(crate) fn new(
        predicates: u32,
        mut entries: Vec<Entry>,
        trees: Vec<Tree>,
        rules: &[(TraitId, DataSourceId)],
    ) -> RuleIndex {
        entries.sort_unstable();
        entries.dedup();
        let mut index = RuleIndex { filed: vec![0], candidates: Vec::new(), rules: rules.len(), trees };
        for group in entries.chunk_by(|a, b| (a.predicate, &a.conditions) == (b.predicate, &b.conditions)) {
            let conditions = &group[0].conditions;
            index.filed.resize(group[0].predicate as usize + 1, index.candidates.len() as u32);
            index.candidates.extend([conditions.len() as u32, group.len() as u32]);
            index.candidates.extend(conditions.iter().map(|condition| condition.word()));
            for entry in group {
                let (trait_id, data_source) = rules[entry.rule as usize];
                index.candidates.extend([entry.rule, trait_id.0, data_source.0]);
            }
        }
        let end = u32::try_from(index.candidates.len()).expect("all candidates together are below 4 Gi words");
        index.filed.resize(predicates as usize + 1, end);
        index
    }

    pub(crate) fn truths(&self) -> Truths {
        let predicates_with_candidates = self.filed.windows(2).filter(|pair| pair[0] < pair[1]).count();
        Truths {
            predicates: Bits::new(self.filed.len() - 1),
            active: Vec::with_capacity(predicates_with_candidates),
            tried: Bits::new(self.trees.len()),
            realised: Bits::new(self.rules),
        }
    }

    /// Appends the traits that the true predicates realise, each rule's once.
    pub(crate) fn realise(&self, truths: &mut Truths, only: Option<DataSourceId>, realised: &mut Vec<TraitId>) {
        let Truths { predicates, active, tried, realised: rules_realised } = truths;
        for together in active.chunks(FETCHED_TOGETHER) {
            fetch(together.iter().map(|&(start, _)| self.candidates[start as usize]));
            for &(start, end) in together {
                let mut words = &self.candidates[start as usize..end as usize];
                while let [conditions, rules, rest @ ..] = words {
                    let (conditions, rest) = rest.split_at(*conditions as usize);
                    let (rules, rest) = rest.split_at(*rules as usize * RULE_WORDS);
                    words = rest;
                    let mut conditions = conditions.iter().map(|&word| Condition::from_word(word));
                    if !conditions.all(|condition| self.holds(condition, predicates, tried)) {
                        continue;
                    }
                    for &[rule, trait_id, data_source] in rules.as_chunks::<RULE_WORDS>().0 {
                        if only.is_none_or(|only| only.0 == data_source) && rules_realised.set(rule) {
                            realised.push(TraitId(trait_id));
                        }
                    }
                }
            }
        }
    }

    fn holds(&self, condition: Condition, predicates: &Bits, tried: &mut Bits) -> bool {
        match condition {
            Condition::Need(predicate) => predicates.has(predicate),
            Condition::Deny(predicate) => !predicates.has(predicate),
            // A tree that was tried before was false, or its rule is realised already.
            Condition::Tree(tree) => tried.set(tree) && decide(&self.trees[tree as usize], predicates),
        }
    }
}

pub(crate) fn decide(tree: &[Decision], predicates: &Bits) -> bool {
    let mut next = 0;
    while let Some(decision) = tree.get(next as usize) {
        next = if predicates.has(decision.predicate) { decision.when_true } else { decision.when_false };
    }
    next == ACCEPT
}

impl Truths {
    pub(crate) fn clear(&mut self) {
        self.predicates.clear();
        self.active.clear();
        self.tried.clear();
        self.realised.clear();
    }

    /// Records that a predicate is true.
    pub(crate) fn set(&mut self, predicate: u32, index: &RuleIndex) {
        if self.predicates.set(predicate) {
            self.activate(predicate, predicate + 1, index);
        }
    }

    /// Records that several predicates are true.
    pub(super) fn set_all(&mut self, predicates: &[u32], index: &RuleIndex) {
        for together in predicates.chunks(FETCHED_TOGETHER) {
            fetch(together.iter().map(|&predicate| index.filed[predicate as usize]));
            together.iter().for_each(|&predicate| self.set(predicate, index));
        }
    }

    /// Records that predicates that were not known to be true are.
    pub(crate) fn set_new(&mut self, predicates: std::ops::Range<u32>, index: &RuleIndex) {
        self.predicates.set_range(predicates.clone());
        self.activate(predicates.start, predicates.end, index);
    }

    /// Whether these truths were made for an index of this size.
    pub(crate) fn fits(&self, index: &RuleIndex) -> bool {
        self.predicates.len() == (index.filed.len() - 1).next_multiple_of(64)
    }

    fn activate(&mut self, start: u32, end: u32, index: &RuleIndex) {
        let candidates = (index.filed[start as usize], index.filed[end as usize]);
        if candidates.0 < candidates.1 {
            self.active.push(candidates);
        }
    }

    #[cfg(test)]
    pub(crate) fn capacities(&self) -> [usize; 4] {
        [self.predicates.capacity(), self.active.capacity(), self.tried.capacity(), self.realised.capacity()]
    }
}
