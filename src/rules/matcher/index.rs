//! Which rules a set of true predicates realises, found from the predicates' side.
//!
//! Each conjunction of each rule is a candidate, filed under one predicate that it needs: only the candidates of true
//! predicates are looked at. A rule without a usable normal form stays a tree and is filed under several predicates,
//! at least one of which is true whenever the tree is.

use std::ops::Range;

use super::bits::Bits;
use super::table::Identity;
use crate::ids::{DataSourceId, TraitId};
use crate::memory::prefetch;

/// Candidates and what they realise. Everything is flat and in the order of filing.
#[derive(Debug)]
pub(crate) struct RuleIndex {
    /// The first predicates are equalities: their candidates are found by their records.
    equalities: u32,
    /// The candidates of any other predicate p are the words `filed[p - equalities]..filed[p - equalities + 1]`.
    filed: Vec<u32>,
    /// Candidates, one after the other: how many conditions, how many rules, the conditions, the rules. Before those of
    /// an equality stands its record: the identity of its value, its predicate, and where its candidates end. What is
    /// asked about a value and its candidates stands together, for it has to come from memory first.
    words: Vec<u32>,
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

/// Words of an equality's record.
const RECORD_WORDS: usize = 5;
/// Words from a record's first on that are brought together: it and a candidate of the usual length.
const RECORD_AHEAD_WORDS: usize = 10;

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

/// What stands before an equality's candidates.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) identity: Identity,
    pub(super) predicate: u32,
    pub(super) candidates: Range<u32>,
}

/// What is known of the call at hand.
#[derive(Debug)]
pub(crate) struct Truths {
    predicates: Bits,
    /// Ranges of candidates that are filed under true predicates. Has room for one range of each predicate that
    /// has candidates, and each is added once.
    active: Vec<Range<u32>>,
    /// Trees that were looked at.
    tried: Bits,
    realised: Bits,
}

impl RuleIndex {
    /// Files `entries`, which name predicates below `predicates`, of which the first are equalities with `identities`.
    /// Equal conjunctions of several rules become one.
    pub(crate) fn new(
        identities: &[Identity],
        predicates: u32,
        mut entries: Vec<Entry>,
        trees: Vec<Tree>,
        rules: &[(TraitId, DataSourceId)],
    ) -> RuleIndex {
        entries.sort_unstable();
        entries.dedup();
        // The record at place 0 is nobody's.
        let mut index = RuleIndex {
            equalities: identities.len() as u32,
            filed: Vec::new(),
            words: record(Identity::NONE, 0, RECORD_WORDS).into(),
            rules: rules.len(),
            trees,
        };
        let mut entries = &entries[..];
        for predicate in 0..predicates {
            let own = entries.partition_point(|entry| entry.predicate == predicate);
            let (own, others) = entries.split_at(own);
            entries = others;
            let place = index.words.len();
            match identities.get(predicate as usize) {
                Some(_) => index.words.extend([0; RECORD_WORDS]),
                None => index.filed.push(word(place)),
            }
            for group in own.chunk_by(|a, b| a.conditions == b.conditions) {
                index.add_candidate(&group[0].conditions, group, rules);
            }
            if let Some(identity) = identities.get(predicate as usize) {
                let record = record(*identity, predicate, index.words.len());
                index.words[place..place + RECORD_WORDS].copy_from_slice(&record);
            }
        }
        index.filed.push(word(index.words.len()));
        // A look ahead of the last record ends here.
        index.words.extend([0; RECORD_AHEAD_WORDS]);
        index
    }

    fn add_candidate(&mut self, conditions: &[Condition], entries: &[Entry], rules: &[(TraitId, DataSourceId)]) {
        self.words.extend([conditions.len() as u32, entries.len() as u32]);
        self.words.extend(conditions.iter().map(|condition| condition.word()));
        for entry in entries {
            let (trait_id, data_source) = rules[entry.rule as usize];
            self.words.extend([entry.rule, trait_id.0, data_source.0]);
        }
    }

    /// The equalities' identities and the places of their records.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Identity, u32)> {
        let mut place = RECORD_WORDS as u32;
        (0..self.equalities).map(move |_| {
            let record = self.record(place);
            let begin = std::mem::replace(&mut place, record.candidates.end);
            (record.identity, begin)
        })
    }

    #[inline(always)]
    pub(super) fn record(&self, place: u32) -> Record {
        let [low, high, shape, predicate, end] =
            *self.words[place as usize..].first_chunk::<RECORD_WORDS>().expect("places are of whole records");
        let identity = Identity::from_words([low, high, shape]);
        Record { identity, predicate, candidates: place + RECORD_WORDS as u32..end }
    }

    /// Has a record read, and the beginning of its candidates.
    #[inline(always)]
    pub(super) fn prefetch_record(&self, place: u32) {
        let words = &self.words[place as usize..][..RECORD_AHEAD_WORDS];
        prefetch(&words[0]);
        prefetch(&words[RECORD_AHEAD_WORDS - 1]);
    }

    pub(crate) fn truths(&self) -> Truths {
        let filed_under_equalities =
            self.records().filter(|(_, place)| !self.record(*place).candidates.is_empty()).count();
        let filed_under_others = self.filed.windows(2).filter(|pair| pair[0] < pair[1]).count();
        Truths {
            predicates: Bits::new(self.predicates()),
            active: Vec::with_capacity(filed_under_equalities + filed_under_others),
            tried: Bits::new(self.trees.len()),
            realised: Bits::new(self.rules),
        }
    }

    fn predicates(&self) -> usize {
        self.equalities as usize + self.filed.len() - 1
    }

    /// Appends the traits that the true predicates realise, each rule's once.
    pub(crate) fn realise(&self, truths: &mut Truths, only: Option<DataSourceId>, realised: &mut Vec<TraitId>) {
        let Truths { predicates, active, tried, realised: rules_realised } = truths;
        for candidates in active {
            let mut words = &self.words[candidates.start as usize..candidates.end as usize];
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

    fn holds(&self, condition: Condition, predicates: &Bits, tried: &mut Bits) -> bool {
        match condition {
            Condition::Need(predicate) => predicates.has(predicate),
            Condition::Deny(predicate) => !predicates.has(predicate),
            // A tree that was tried before was false, or its rule is realised already.
            Condition::Tree(tree) => tried.set(tree) && decide(&self.trees[tree as usize], predicates),
        }
    }
}

fn record(identity: Identity, predicate: u32, end: usize) -> [u32; RECORD_WORDS] {
    let [low, high, shape] = identity.words();
    [low, high, shape, predicate, word(end)]
}

fn word(place: usize) -> u32 {
    u32::try_from(place).expect("all candidates together are below 4 Gi words")
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

    /// Records that a predicate is true that is no equality.
    pub(crate) fn set(&mut self, predicate: u32, index: &RuleIndex) {
        if self.predicates.set(predicate) {
            self.activate_others(predicate..predicate + 1, index);
        }
    }

    /// Records that an equality is true.
    #[inline(always)]
    pub(super) fn set_equality(&mut self, record: Record) {
        if self.predicates.set(record.predicate) {
            self.activate(record.candidates);
        }
    }

    /// Records that predicates that were not known to be true are. None is an equality.
    pub(crate) fn set_new(&mut self, predicates: Range<u32>, index: &RuleIndex) {
        self.predicates.set_range(predicates.clone());
        self.activate_others(predicates, index);
    }

    /// Whether these truths were made for an index of this size.
    pub(crate) fn fits(&self, index: &RuleIndex) -> bool {
        self.predicates.len() == index.predicates().next_multiple_of(64)
    }

    fn activate_others(&mut self, predicates: Range<u32>, index: &RuleIndex) {
        let filed = |predicate: u32| index.filed[(predicate - index.equalities) as usize];
        let candidates = filed(predicates.start)..filed(predicates.end);
        prefetch(&index.words[candidates.start as usize]);
        self.activate(candidates);
    }

    #[inline(always)]
    fn activate(&mut self, candidates: Range<u32>) {
        if !candidates.is_empty() {
            self.active.push(candidates);
        }
    }

    #[cfg(test)]
    pub(crate) fn capacities(&self) -> [usize; 4] {
        [self.predicates.capacity(), self.active.capacity(), self.tried.capacity(), self.realised.capacity()]
    }
}
