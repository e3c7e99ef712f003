//! Trait expressions: which traits a call's signals realise.
#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod regex;

use crate::ids::{DataSourceId, Signal, TraitId};
pub use diagnostic::Diagnostic;

/// One rule-based trait, as configured.
#[derive(Clone, Debug)]
pub struct TraitRule {
    pub id: TraitId,
    pub data_source: DataSourceId,
    pub expression: String,
}

/// (source key, source value) adds (target key, target value) to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedSignal {
    pub source_key: String,
    pub source_value: String,
    pub target_key: String,
    pub target_value: String,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct MatcherOptions {
    pub case_insensitive_values: bool,
}

/// All rules of one account, compiled. Immutable; shared by shards.
#[derive(Debug)]
pub struct Matcher {}

/// What one shard needs to evaluate a [`Matcher`]: grown to its worst case when made, never after.
#[derive(Debug)]
pub struct MatcherScratch {}

/// What became of one evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchOutcome {
    /// Values or comma parts over the bounds were left out: error 10.
    pub truncated: bool,
    /// Backtracking regexes that gave up at their step limit.
    pub regexes_given_up: u32,
}

impl Matcher {
    /// Compiles all rules. On failure one diagnostic for each bad rule, with the index of the rule it is about.
    pub fn compile(
        rules: &[TraitRule],
        derived: &[DerivedSignal],
        options: MatcherOptions,
    ) -> Result<Matcher, Vec<(usize, Diagnostic)>> {
        let _ = (rules, derived, options);
        todo!()
    }

    /// What `check` should tell although the rules load: quoted numbers with leading zeros, comparisons that never hold.
    pub fn warnings(&self) -> &[(usize, Diagnostic)] {
        todo!()
    }

    pub fn scratch(&self) -> MatcherScratch {
        todo!()
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
        let _ = (signals, only, scratch, realised);
        todo!()
    }
}
