//! Evaluates all rules of an account for one call at a cost that follows what the call carries, not the number of
//! rules.
//!
//! Every distinct comparison is a predicate with a number. First each value of the call makes predicates true: one hash
//! probe finds the equal one, a binary search the thresholds, one pass per key the texts, one automaton the regular
//! expressions. Then the [`index`] yields the rules that have a chance and decides them by looking at bits.
//! The method is that of predicate indexes for publish/subscribe (Fabret et al., 2001; Sadoghi and Jacobsen's BE-Tree).

pub(crate) mod bits;
pub(crate) mod index;
pub(crate) mod regexes;
pub(crate) mod scratch;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod thresholds;

use self::index::RuleIndex;
use self::regexes::Regexes;
use self::scratch::MatcherScratch;
use self::table::{Identity, KeyTable, ScalarTable};
use self::text::{PartedValue, TextPatterns};
use self::thresholds::Thresholds;
use super::letters::{self, WordCharacters};
use super::scalar::{Decimal, Scalar};
use super::{DerivedSignal, Diagnostic, MatchOutcome, MatcherOptions};
use crate::find;
use crate::ids::{DataSourceId, Signal, TraitId};
use crate::limits::{COMMA_PARTS_MAX, SIGNAL_VALUE_BYTES_MAX, VALUES_MAX};

/// All rules of one account, compiled. Immutable; shared by shards.
pub struct Matcher {
    pub(crate) options: MatcherOptions,
    pub(crate) warnings: Vec<(usize, Diagnostic)>,
    pub(crate) keys: KeyTable,
    /// What to do with a value of each key.
    pub(crate) plans: Vec<KeyPlan>,
    /// The entry of an equality comparison has the number of its predicate.
    pub(crate) equalities: ScalarTable,
    pub(crate) thresholds: Vec<Thresholds>,
    pub(crate) texts: Vec<TextPatterns>,
    pub(crate) words: u32,
    pub(crate) phrases: u32,
    pub(crate) letters: WordCharacters,
    pub(crate) regexes: Vec<Regexes>,
    pub(crate) index: RuleIndex,
    pub(crate) derived: Derivations,
}

/// What the rules ask of one key. Places are in the matcher's lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyPlan {
    /// The predicate that the key is present.
    pub(crate) present: Option<u32>,
    pub(crate) has_equalities: bool,
    pub(crate) greater: Option<u32>,
    pub(crate) less: Option<u32>,
    pub(crate) texts: Option<u32>,
    pub(crate) regexes: Option<u32>,
    pub(crate) derives: bool,
}

/// Derived signals, found by their source.
#[derive(Debug)]
pub(crate) struct Derivations {
    /// Distinct sources.
    pub(crate) sources: ScalarTable,
    /// The derived signals of source s are `by_source[starts[s]..starts[s + 1]]`.
    pub(crate) starts: Vec<u32>,
    pub(crate) by_source: Vec<u32>,
    pub(crate) signals: Vec<DerivedSignal>,
}

impl Matcher {
    /// What `check` should tell although the rules load: quoted numbers with leading zeros, comparisons that never
    /// hold, regular expressions that may allocate. Each with the index of its rule.
    pub fn warnings(&self) -> &[(usize, Diagnostic)] {
        &self.warnings
    }

    /// Regular expressions that may run on the backtracking engine: only these may allocate while they are evaluated.
    pub fn backtracking_regexes(&self) -> usize {
        self.regexes.iter().map(Regexes::backtracking_count).sum()
    }

    pub fn scratch(&self) -> MatcherScratch {
        MatcherScratch::new(self)
    }

    /// Clears `realised` and fills it with the traits that `signals` realise, ascending, each once. `only` restricts
    /// them to one data source. Allocates nothing as long as `realised` has room for every rule.
    pub fn evaluate(
        &self,
        signals: &[Signal<'_>],
        only: Option<DataSourceId>,
        scratch: &mut MatcherScratch,
        realised: &mut Vec<TraitId>,
    ) -> MatchOutcome {
        assert!(scratch.truths.fits(&self.index), "the scratch was made by another matcher");
        scratch.clear();
        realised.clear();
        let mut call = Call { matcher: self, scratch, values_left: VALUES_MAX, outcome: MatchOutcome::default() };
        for signal in signals {
            call.offer(signal, true);
        }
        call.offer_derived();
        call.compare_equal();
        let outcome = call.outcome;
        self.index.realise(&mut scratch.truths, only, realised);
        realised.sort_unstable();
        realised.dedup();
        outcome
    }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher").field("options", &self.options).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// One evaluation under way.
struct Call<'m, 's> {
    matcher: &'m Matcher,
    scratch: &'s mut MatcherScratch,
    values_left: usize,
    outcome: MatchOutcome,
}

impl Call<'_, '_> {
    /// Lets rules see a signal's value and its parts.
    fn offer(&mut self, signal: &Signal<'_>, may_derive: bool) {
        if signal.key.is_empty() {
            return;
        }
        let Some(parts) = self.take_values(signal) else { return };
        let matcher = self.matcher;
        let Some(key) = matcher.keys.find(signal.key) else { return };
        let plan = &matcher.plans[key];
        if let Some(present) = plan.present {
            self.scratch.truths.set(present, &matcher.index);
        }
        if plan.derives && may_derive {
            self.note_derived(key as u32, signal.value, parts);
        }
        if let Some(regexes) = plan.regexes {
            self.search_regexes(regexes as usize, signal.value, parts);
        }
        let mut lowered = std::mem::take(&mut self.scratch.lowered);
        let value = if matcher.options.case_insensitive_values {
            letters::lower_into(signal.value, &mut lowered);
            &lowered
        } else {
            signal.value
        };
        self.compare(key as u32, plan, value, parts);
        self.scratch.lowered = lowered;
    }

    /// Counts the signal's values against the bounds. Returns how many comma parts are offered besides the whole
    /// value, or `None` when not even that is.
    fn take_values(&mut self, signal: &Signal<'_>) -> Option<usize> {
        if self.values_left == 0 || signal.value.len() > SIGNAL_VALUE_BYTES_MAX {
            self.outcome.truncated = true;
            return None;
        }
        self.values_left -= 1;
        let commas = if signal.split { find::count(b',', signal.value) } else { 0 };
        if commas == 0 {
            return Some(0);
        }
        let parts = (commas + 1).min(COMMA_PARTS_MAX).min(self.values_left);
        self.outcome.truncated |= parts <= commas;
        self.values_left -= parts;
        Some(parts)
    }

    fn note_derived(&mut self, key: u32, value: &[u8], parts: usize) {
        let derived = &self.matcher.derived;
        for value in whole_and_parts(value, parts) {
            if let Some(source) = derived.sources.find(key, Scalar::Text(value)) {
                // The list has room for each source once.
                if self.scratch.sources_met.set(source) {
                    self.scratch.sources.push(source);
                }
            }
        }
    }

    fn offer_derived(&mut self) {
        let derived = &self.matcher.derived;
        for place in 0..self.scratch.sources.len() {
            let source = self.scratch.sources[place] as usize;
            for &index in &derived.by_source[derived.starts[source] as usize..derived.starts[source + 1] as usize] {
                let DerivedSignal { target_key, target_value, .. } = &derived.signals[index as usize];
                let signal = Signal { key: target_key.as_bytes(), value: target_value.as_bytes(), split: true };
                self.offer(&signal, false);
            }
        }
    }

    fn search_regexes(&mut self, place: usize, value: &[u8], parts: usize) {
        let MatcherScratch { truths, regexes, .. } = &mut *self.scratch;
        for value in whole_and_parts(value, parts) {
            let search = self.matcher.regexes[place]
                .search(value, &mut regexes[place], |predicate| truths.set(predicate, &self.matcher.index));
            self.outcome.regexes_given_up += search;
        }
    }

    /// Everything that case may not matter to.
    #[inline(always)]
    fn compare(&mut self, key: u32, plan: &KeyPlan, value: &[u8], parts: usize) {
        let matcher = self.matcher;
        if plan.has_equalities || plan.greater.is_some() || plan.less.is_some() {
            self.compare_scalar(key, plan, value);
            if parts > 0 {
                value.split(is_comma).take(parts).for_each(|part| self.compare_scalar(key, plan, part));
            }
        }
        if let Some(texts) = plan.texts {
            let parts_end =
                (parts > 0).then(|| value.split(is_comma).take(parts).map(|part| part.len() + 1).sum::<usize>() - 1);
            let MatcherScratch { truths, words, .. } = &mut *self.scratch;
            let value = PartedValue { whole: value, parts_end };
            matcher.texts[texts as usize]
                .search(value, &matcher.letters, words, |predicate| truths.set(predicate, &matcher.index));
        }
    }

    /// Compares the values that were put aside. The table is large, and each probe of it a wait for memory: together
    /// they take little more than one.
    fn compare_equal(&mut self) {
        let MatcherScratch { truths, values, equal, .. } = &mut *self.scratch;
        self.matcher.equalities.find_all(values, equal);
        truths.set_all(equal, &self.matcher.index);
    }

    fn raise(&mut self, thresholds: Option<u32>, number: Decimal<'_>) {
        if let Some(place) = thresholds {
            let thresholds = &self.matcher.thresholds[place as usize];
            self.scratch.raise(thresholds, thresholds.rank(number), &self.matcher.index);
        }
    }

    fn compare_scalar(&mut self, key: u32, plan: &KeyPlan, value: &[u8]) {
        let matcher = self.matcher;
        let scalar = Scalar::of(value);
        if plan.has_equalities {
            let identity = Identity::scalar(key, scalar);
            if identity.is_exact() {
                self.scratch.values.push(identity);
            } else if let Some(predicate) = matcher.equalities.find_identity(identity, scalar) {
                self.scratch.truths.set(predicate, &matcher.index);
            }
        }
        if let Scalar::Number(number) = scalar {
            self.raise(plan.greater, number);
            self.raise(plan.less, number);
        }
    }
}

fn whole_and_parts(value: &[u8], parts: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::once(value).chain(value.split(is_comma).take(parts))
}

fn is_comma(byte: &u8) -> bool {
    *byte == b','
}
