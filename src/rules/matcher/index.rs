//! Which rules a set of true predicates realises, found from the predicates' side.
//!
//! Each conjunction of each rule is a candidate, filed under one predicate that it needs: only the candidates of true
//! predicates are looked at. A rule without a usable normal form stays a tree and is filed under several predicates,
//! at least one of which is true whenever the tree is.

use super::bits::Bits;
use crate::ids::{DataSourceId, TraitId};

/// Candidates and what they realise. Everything is flat and in the order of filing.
#[derive(Debug)]
pub(crate) struct RuleIndex {
    /// The candidates of predicate p are `filed[p]..filed[p + 1]`.
    filed: Vec<u32>,
    /// One more than there are candidates: each ends where the next begins.
    candidates: Vec<Candidate>,
    conditions: Vec<Condition>,
    realises: Vec<Realised>,
    rules: usize,
    trees: Vec<Tree>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    first_condition: u32,
    first_realised: u32,
}

/// What a candidate that holds realises: all that is asked of a rule stands here, beside its neighbours'.
#[derive(Clone, Copy, Debug)]
struct Realised {
    rule: u32,
    trait_id: TraitId,
    data_source: DataSourceId,
}

/// What a candidate asks for besides the predicate it is filed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Condition {
    Need(u32),
    Deny(u32),
    /// A place in the trees.
    Tree(u32),
}

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
        let mut index = RuleIndex {
            filed: vec![0],
            candidates: Vec::new(),
            conditions: Vec::new(),
            realises: Vec::new(),
            rules: rules.len(),
            trees,
        };
        for group in entries.chunk_by(|a, b| (a.predicate, &a.conditions) == (b.predicate, &b.conditions)) {
            let candidate = index.candidates.len() as u32;
            index.filed.resize(group[0].predicate as usize + 1, candidate);
            index.candidates.push(index.end());
            index.conditions.extend(&group[0].conditions);
            index.realises.extend(group.iter().map(|entry| {
                let (trait_id, data_source) = rules[entry.rule as usize];
                Realised { rule: entry.rule, trait_id, data_source }
            }));
        }
        index.filed.resize(predicates as usize + 1, index.candidates.len() as u32);
        index.candidates.push(index.end());
        index
    }

    fn end(&self) -> Candidate {
        Candidate { first_condition: self.conditions.len() as u32, first_realised: self.realises.len() as u32 }
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
        for &(start, end) in active.iter() {
            for pair in self.candidates[start as usize..=end as usize].windows(2) {
                let (candidate, next) = (pair[0], pair[1]);
                let conditions = &self.conditions[candidate.first_condition as usize..next.first_condition as usize];
                if !conditions.iter().all(|&condition| self.holds(condition, predicates, tried)) {
                    continue;
                }
                for of in &self.realises[candidate.first_realised as usize..next.first_realised as usize] {
                    if only.is_none_or(|only| only == of.data_source) && rules_realised.set(of.rule) {
                        realised.push(of.trait_id);
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
