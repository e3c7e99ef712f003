//! What one shard needs to evaluate a matcher.

use super::Matcher;
use super::bits::Bits;
use super::equality::{Found, Sought};
use super::index::{RuleIndex, Truths};
use super::regexes::{Regexes, RegexesCache};

use super::text::WordScratch;
use super::thresholds::Thresholds;
use crate::limits::{SIGNAL_VALUE_BYTES_MAX, VALUES_MAX};
use crate::memory::FETCHED_TOGETHER;
use crate::rules::letters::lowered_bytes_max;

/// What one shard needs to evaluate a [`Matcher`]: grown to its worst case when made, never after.
pub struct MatcherScratch {
    pub(super) truths: Truths,
    /// How many thresholds of each list are true; those that are not 0 stand in `ranked`.
    ranks: Box<[u32]>,
    ranked: Vec<u32>,
    /// Values to be compared for equality, all together at the end.
    pub(super) values: Vec<Sought>,
    /// Those that seem to be equal to something, until their records are here. Decided on when there are as many as
    /// can be under way.
    pub(super) found: Vec<Found>,
    pub(super) words: WordScratch,
    pub(super) regexes: Vec<RegexesCache>,
    /// The value at hand in lower case. Empty unless the option asks for it.
    pub(super) lowered: Vec<u8>,
    /// Sources of derived signals that occurred, as a set and in order.
    pub(super) sources_met: Bits,
    pub(super) sources: Vec<u32>,
}

impl MatcherScratch {
    pub(super) fn new(matcher: &Matcher) -> MatcherScratch {
        let thresholds = matcher.thresholds.len();
        let sources = matcher.derived.starts.len() - 1;
        let lowered_bytes =
            if matcher.options.case_insensitive_values { lowered_bytes_max(SIGNAL_VALUE_BYTES_MAX) } else { 0 };
        MatcherScratch {
            truths: matcher.index.truths(),
            ranks: vec![0; thresholds].into_boxed_slice(),
            ranked: Vec::with_capacity(thresholds),
            values: Vec::with_capacity(VALUES_MAX),
            found: Vec::with_capacity(FETCHED_TOGETHER),
            words: WordScratch::new(matcher.words, matcher.phrases),
            regexes: matcher.regexes.iter().map(Regexes::cache).collect(),
            lowered: Vec::with_capacity(lowered_bytes),
            sources_met: Bits::new(sources),
            sources: Vec::with_capacity(sources),
        }
    }

    /// Forgets the last call, at a cost that follows what it touched.
    pub(super) fn clear(&mut self) {
        self.truths.clear();
        for list in self.ranked.drain(..) {
            self.ranks[list as usize] = 0;
        }
        self.values.clear();
        self.found.clear();
        self.sources_met.clear();
        self.sources.clear();
    }

    /// Makes the first `rank` thresholds true, if they are not already.
    pub(super) fn raise(&mut self, thresholds: &Thresholds, rank: u32, index: &RuleIndex) {
        let known = &mut self.ranks[thresholds.rank_index as usize];
        if rank <= *known {
            return;
        }
        if *known == 0 {
            self.ranked.push(thresholds.rank_index);
        }
        let first = thresholds.first_predicate;
        self.truths.set_new(first + *known..first + rank, index);
        *known = rank;
    }

    #[cfg(test)]
    pub(crate) fn capacities(&self) -> Vec<usize> {
        let mut all =
            vec![self.ranked.capacity(), self.lowered.capacity(), self.sources.capacity(), self.sources_met.capacity()];
        all.extend([self.values.capacity(), self.found.capacity()]);
        all.extend(self.truths.capacities());
        all
    }
}

impl std::fmt::Debug for MatcherScratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MatcherScratch").field("truths", &self.truths).finish_non_exhaustive()
    }
}
