//! Evaluates all rules of an account for one call at a cost that follows what the call carries, not the number of
//! rules.
//!
//! Every distinct comparison is a predicate with a number. First each value of the call makes predicates true: one hash
//! probe finds the equal one, a binary search the thresholds, one pass per key the texts, one automaton the regular
//! expressions. Then the [`index`] yields the rules that have a chance and decides them by looking at bits.
//! The method is that of predicate indexes for publish/subscribe (Fabret et al., 2001; Sadoghi and Jacobsen's BE-Tree).

pub(crate) mod bits;
pub(crate) mod equality;
pub(crate) mod index;
pub(crate) mod regexes;
pub(crate) mod scratch;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod thresholds;

use self::equality::{Equalities, Found};
use self::index::{RuleIndex, Truths};
use self::regexes::Regexes;
use self::scratch::MatcherScratch;
use self::table::{Identity, KeyTable, ScalarTable, Sought};
use self::text::{PartedValue, TextPatterns};
use self::thresholds::Thresholds;
use super::letters::{self, WordCharacters};
use super::scalar::{Decimal, Scalar, begins_number};
use super::{DerivedSignal, Diagnostic, MatchOutcome, MatcherOptions};
use crate::find;
use crate::ids::{DataSourceId, Signal, TraitId};
use crate::limits::{COMMA_PARTS_MAX, SIGNAL_VALUE_BYTES_MAX, VALUES_MAX};
use crate::memory::FETCHED_TOGETHER;

/// All rules of one account, compiled. Immutable; shared by shards.
pub struct Matcher {
    pub(crate) options: MatcherOptions,
    pub(crate) warnings: Vec<(usize, Diagnostic)>,
    pub(crate) keys: KeyTable,
    /// What to do with a value of each key.
    pub(crate) plans: Vec<KeyPlan>,
    pub(crate) equalities: Equalities,
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

impl KeyPlan {
    /// Whether nothing is asked but equality.
    pub(crate) fn is_plain(&self) -> bool {
        let others = [self.present, self.greater, self.less, self.texts, self.regexes];
        self.has_equalities && !self.derives && others.iter().all(Option::is_none)
    }
}

/// Derived signals, found by their source.
#[derive(Debug)]
pub(crate) struct Derivations {
    /// Distinct sources.
    pub(crate) sources: ScalarTable,
    /// The derived signals of source s are `by_source[starts[s]..starts[s + 1]]`.
    pub(crate) starts: Vec<u32>,
    pub(crate) by_source: Vec<u32>,
    /// By the target's key, those with one key in the order of the config.
    pub(crate) by_target: Vec<u32>,
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

    /// The first value that a call's signals derive for a key.
    pub fn derived_value(&self, key: &[u8], signals: &[Signal<'_>]) -> Option<&str> {
        let Derivations { by_target, signals: derived, .. } = &self.derived;
        let target = |index: &u32| derived[*index as usize].target_key.as_bytes();
        let first = by_target.partition_point(|index| target(index) < key);
        let named = by_target[first..].iter().take_while(|index| target(index) == key);
        let is_source = |signal: &Signal<'_>, source: &DerivedSignal| {
            let parts = if signal.split { COMMA_PARTS_MAX } else { 0 };
            signal.key == source.source_key.as_bytes()
                && whole_and_parts(signal.value, parts).any(|value| value == source.source_value.as_bytes())
        };
        let mut named = named.map(|index| &derived[*index as usize]);
        let found = named.find(|source| signals.iter().any(|signal| is_source(signal, source)));
        found.map(|found| found.target_value.as_str())
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
        for together in signals.chunks(FETCHED_TOGETHER) {
            let mut sought = [Sought::default(); FETCHED_TOGETHER];
            for (sought, signal) in sought.iter_mut().zip(together) {
                *sought = self.keys.seek(signal.key);
            }
            for (sought, signal) in sought.iter().zip(together) {
                call.offer(signal, *sought, true);
            }
        }
        call.offer_derived();
        call.find_equal();
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
    /// Lets rules see a signal's value and its parts. `sought` is its key.
    #[inline(always)]
    fn offer(&mut self, signal: &Signal<'_>, sought: Sought, may_derive: bool) {
        if signal.key.is_empty() {
            return;
        }
        let word = find::as_word(signal.value);
        let Some(parts) = self.take_values(signal, word) else { return };
        let matcher = self.matcher;
        let Some(key) = matcher.keys.find(signal.key, sought) else { return };
        match word {
            // As most are.
            Some(word) if key.is_plain && parts == 0 && !begins_number(word as u8) => {
                self.put_aside(Identity::short_text(key.number, word, signal.value.len()));
            }
            _ => self.offer_to_plan(key.number, signal, parts, may_derive),
        }
    }

    /// Lets all that is asked of a key have a value and its parts.
    #[inline(never)]
    fn offer_to_plan(&mut self, key: u32, signal: &Signal<'_>, parts: usize, may_derive: bool) {
        let matcher = self.matcher;
        let plan = &matcher.plans[key as usize];
        if let Some(present) = plan.present {
            self.scratch.truths.set(present, &matcher.index);
        }
        if plan.derives && may_derive {
            self.note_derived(key, signal.value, parts);
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
        self.compare(key, plan, value, parts);
        self.scratch.lowered = lowered;
    }

    /// Counts the signal's values against the bounds. Returns how many comma parts are offered besides the whole
    /// value, or `None` when not even that is.
    #[inline(always)]
    fn take_values(&mut self, signal: &Signal<'_>, word: Option<u64>) -> Option<usize> {
        if self.values_left == 0 || signal.value.len() > SIGNAL_VALUE_BYTES_MAX {
            self.outcome.truncated = true;
            return None;
        }
        self.values_left -= 1;
        let has_none = !signal.split || word.is_some_and(|word| find::mark_byte(word, b',') == 0);
        let commas = if has_none { 0 } else { find::count(b',', signal.value) };
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
                self.offer(&signal, self.matcher.keys.seek(signal.key), false);
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

    /// Begins to look for an exact identity.
    #[inline(always)]
    fn put_aside(&mut self, identity: Identity) {
        self.scratch.values.push(self.matcher.equalities.seek(identity));
    }

    fn compare_equal(&mut self, key: u32, scalar: Scalar<'_>) {
        let identity = Identity::scalar(key, scalar);
        if identity.is_exact() {
            self.put_aside(identity);
            return;
        }
        let Matcher { equalities, index, .. } = self.matcher;
        equalities.find(equalities.seek(identity), |found| {
            let record = index.record(found.place);
            if record.identity == identity && equalities.is_with(record.predicate, scalar) {
                self.scratch.truths.set_equality(record);
            }
        });
    }

    /// Decides on the values that were put aside.
    fn find_equal(&mut self) {
        let Matcher { equalities, index, .. } = self.matcher;
        let MatcherScratch { truths, values, found, .. } = &mut *self.scratch;
        for sought in values.iter() {
            equalities.find(*sought, |one| {
                if found.len() == FETCHED_TOGETHER {
                    set_equal(found, index, truths);
                }
                index.prefetch_record(one.place);
                found.push(one);
            });
        }
        set_equal(found, index, truths);
    }

    fn raise(&mut self, thresholds: Option<u32>, number: Decimal<'_>) {
        if let Some(place) = thresholds {
            let thresholds = &self.matcher.thresholds[place as usize];
            self.scratch.raise(thresholds, thresholds.rank(number), &self.matcher.index);
        }
    }

    fn compare_scalar(&mut self, key: u32, plan: &KeyPlan, value: &[u8]) {
        let scalar = Scalar::of(value);
        if plan.has_equalities {
            self.compare_equal(key, scalar);
        }
        if let Scalar::Number(number) = scalar {
            self.raise(plan.greater, number);
            self.raise(plan.less, number);
        }
    }
}

/// Records those that were found, as far as they are what was sought.
fn set_equal(found: &mut Vec<Found>, index: &RuleIndex, truths: &mut Truths) {
    for one in found.drain(..) {
        let record = index.record(one.place);
        if record.identity == one.identity {
            truths.set_equality(record);
        }
    }
}

fn whole_and_parts(value: &[u8], parts: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::once(value).chain(value.split(is_comma).take(parts))
}

fn is_comma(byte: &u8) -> bool {
    *byte == b','
}
