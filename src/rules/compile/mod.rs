//! From configured rules to a [`Matcher`].
//!
//! Two passes: the first checks every rule and collects its comparisons as predicates, each distinct one once; when
//! all are known they are numbered so that those that become true together stand together, and rules are filed.

mod filing;
mod predicates;

use self::filing::Filing;
use self::predicates::Predicates;
use super::language::Checker;
use super::letters::WordCharacters;
use super::matcher::equality::Equalities;
use super::matcher::index::RuleIndex;
use super::matcher::table::ScalarTable;
use super::matcher::{Derivations, Matcher};
use super::scalar::Scalar;
use super::{DerivedSignal, Diagnostic, MatcherOptions, TraitRule};

impl Matcher {
    /// Compiles all rules. On failure one diagnostic for each bad rule, with the index of the rule it is about.
    pub fn compile(
        rules: &[TraitRule],
        derived: &[DerivedSignal],
        options: MatcherOptions,
    ) -> Result<Matcher, Vec<(usize, Diagnostic)>> {
        let mut checker = Checker::new(options);
        let mut predicates = Predicates::new(options);
        let mut filing = Filing::default();
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        for (rule, TraitRule { expression, .. }) in rules.iter().enumerate() {
            match checker.check(expression) {
                Ok(checked) => {
                    warnings.extend(checked.warnings.into_iter().map(|warning| (rule, warning)));
                    if !filing.add(rule as u32, predicates.number(&checked.expression)) {
                        warnings.push((rule, never_true(expression)));
                    }
                }
                Err(fault) => faults.push((rule, fault)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let derivations = derivations(derived, &mut predicates);
        let built = predicates.build(&checker);
        let (entries, trees) = filing.finish(&built.numbers, &built.costs);
        let traits: Vec<_> = rules.iter().map(|rule| (rule.id, rule.data_source)).collect();
        let index = RuleIndex::new(&built.identities, built.numbers.len() as u32, entries, trees, &traits);
        Ok(Matcher {
            options,
            warnings,
            keys: built.keys,
            plans: built.plans,
            equalities: Equalities::new(&index, built.scalars),
            thresholds: built.thresholds,
            texts: built.texts,
            words: built.words,
            phrases: built.phrases,
            letters: WordCharacters::new(),
            regexes: built.regexes,
            index,
            derived: derivations,
        })
    }
}

/// For what the checker lets pass, as it takes comparisons for independent: `a == 1 AND a != 1`.
fn never_true(expression: &str) -> Diagnostic {
    Diagnostic {
        message: "nothing can make the expression true".to_owned(),
        span: 0..expression.len(),
        hint: Some("it asks for a value that must be there and must not".to_owned()),
    }
}

/// Groups derived signals by their source, and sorts them by their target's key. A source counts as a text even if it
/// looks like a number: it is compared as bytes, and case matters.
fn derivations(derived: &[DerivedSignal], predicates: &mut Predicates) -> Derivations {
    let mut by_source: Vec<u32> = (0..derived.len() as u32).collect();
    let source = |index: &u32| {
        let DerivedSignal { source_key, source_value, .. } = &derived[*index as usize];
        (source_key, source_value)
    };
    by_source.sort_by_key(source);
    let mut starts = vec![0];
    let mut sources = Vec::new();
    for group in by_source.chunk_by(|a, b| source(a) == source(b)) {
        starts.push(starts[starts.len() - 1] + group.len() as u32);
        let (key, value) = source(&group[0]);
        sources.push((predicates.deriving_key(key), Scalar::Text(value.as_bytes())));
    }
    let mut by_target: Vec<u32> = (0..derived.len() as u32).collect();
    by_target.sort_by_key(|index| &derived[*index as usize].target_key);
    Derivations { sources: ScalarTable::new(&sources), starts, by_source, by_target, signals: derived.to_vec() }
}
