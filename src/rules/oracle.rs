//! The obvious evaluator: walks every rule's syntax tree and compares every value. Slow and allocating; tests compare
//! the matcher with it, and benches measure what the matcher saves.

use std::borrow::Cow;
use std::sync::Arc;

use super::language::{Checker, Comparison, Expression, Operator};
use super::regex::{JavaRegex, Verdict};
use super::scalar::Decimal;
use super::{DerivedSignal, Diagnostic, MatcherOptions, TraitRule, letters};
use crate::ids::{DataSourceId, Signal, TraitId};
use crate::limits::{COMMA_PARTS_MAX, SIGNAL_VALUE_BYTES_MAX, VALUES_MAX};

/// All rules of one account as syntax trees.
pub struct Oracle {
    rules: Vec<(TraitId, DataSourceId, Expression)>,
    derived: Vec<DerivedSignal>,
    options: MatcherOptions,
    checker: Checker,
    letters: letters::WordCharacters,
}

/// A call's values: key and value, parts included.
type Values = Vec<(Vec<u8>, Vec<u8>)>;

impl Oracle {
    /// Accepts and rejects what [`super::Matcher::compile`] does.
    pub fn compile(
        rules: &[TraitRule],
        derived: &[DerivedSignal],
        options: MatcherOptions,
    ) -> Result<Oracle, Vec<(usize, Diagnostic)>> {
        let mut checker = Checker::new(options);
        let (mut trees, mut faults) = (Vec::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            match checker.check(&rule.expression) {
                Ok(checked) => trees.push((rule.id, rule.data_source, checked.expression)),
                Err(fault) => faults.push((index, fault)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Oracle {
            rules: trees,
            derived: derived.to_vec(),
            options,
            checker,
            letters: letters::WordCharacters::new(),
        })
    }

    /// The traits that `signals` realise, ascending, each once; and whether values were left out.
    pub fn evaluate(&self, signals: &[Signal<'_>], only: Option<DataSourceId>) -> (Vec<TraitId>, bool) {
        let (values, truncated) = self.values(signals);
        let mut realised: Vec<TraitId> = self
            .rules
            .iter()
            .filter(|(_, data_source, _)| only.is_none_or(|only| only == *data_source))
            .filter(|(_, _, tree)| tree.evaluate(&mut |comparison| self.holds(comparison, &values)))
            .map(|(id, _, _)| *id)
            .collect();
        realised.sort();
        realised.dedup();
        (realised, truncated)
    }

    fn values(&self, signals: &[Signal<'_>]) -> (Values, bool) {
        let (mut values, mut truncated) = (Vec::new(), false);
        let mut met = Vec::new();
        for signal in signals {
            let known = values.len();
            truncated |= !offer(signal, &mut values);
            for (key, value) in &values[known..] {
                let is_source = |derived: &&DerivedSignal| {
                    derived.source_key.as_bytes() == key && derived.source_value.as_bytes() == value
                };
                let sources = self.derived.iter().filter(is_source);
                met.extend(sources.map(|derived| (&derived.source_key, &derived.source_value)));
            }
        }
        let mut done = Vec::new();
        for source in met {
            if done.contains(&source) {
                continue;
            }
            done.push(source);
            for derived in self.derived.iter().filter(|derived| (&derived.source_key, &derived.source_value) == source)
            {
                let (key, value) = (derived.target_key.as_bytes(), derived.target_value.as_bytes());
                truncated |= !offer(&Signal { key, value, split: true }, &mut values);
            }
        }
        (values, truncated)
    }

    fn holds(&self, comparison: &Comparison, values: &Values) -> bool {
        let mut of_key = values.iter().filter(|(key, _)| key == comparison.key.as_bytes()).map(|(_, value)| value);
        match comparison.operator {
            Operator::NotEqual => {
                let equal = Comparison { operator: Operator::Equal, ..comparison.clone() };
                of_key.next().is_some() && !self.holds(&equal, values)
            }
            Operator::MatchesRegex => {
                let regex: &Arc<JavaRegex> = self.checker.regex(&comparison.value).expect("compile kept every regex");
                let mut cache = regex.cache();
                of_key.any(|value| regex.matches(value, &mut cache) == Verdict::Match)
            }
            operator => {
                let pattern = self.folded(comparison.value.as_bytes());
                of_key.any(|value| self.compares(operator, &self.folded(value), &pattern))
            }
        }
    }

    fn compares(&self, operator: Operator, value: &[u8], pattern: &[u8]) -> bool {
        let order = || Some(Decimal::parse(value)?.cmp(&Decimal::parse(pattern)?));
        match operator {
            Operator::Equal => order().map_or(value == pattern, |order| order.is_eq()),
            Operator::Less => order().is_some_and(|order| order.is_lt()),
            Operator::LessOrEqual => order().is_some_and(|order| order.is_le()),
            Operator::Greater => order().is_some_and(|order| order.is_gt()),
            Operator::GreaterOrEqual => order().is_some_and(|order| order.is_ge()),
            Operator::Contains => value.windows(pattern.len()).any(|window| window == pattern),
            Operator::StartsWith => value.starts_with(pattern),
            Operator::EndsWith => value.ends_with(pattern),
            Operator::MatchesWords => {
                let pattern = String::from_utf8_lossy(pattern);
                pattern.split_whitespace().all(|word| self.has_word(value, word.as_bytes()))
            }
            Operator::NotEqual | Operator::MatchesRegex => unreachable!("both are decided before"),
        }
    }

    fn has_word(&self, value: &[u8], word: &[u8]) -> bool {
        (0..(value.len() + 1).saturating_sub(word.len())).any(|start| {
            let end = start + word.len();
            &value[start..end] == word && self.letters.stands_alone(value, start, end)
        })
    }

    fn folded<'a>(&self, value: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.options.case_insensitive_values {
            return Cow::Borrowed(value);
        }
        let mut folded = Vec::new();
        letters::lower_into(value, &mut folded);
        Cow::Owned(folded)
    }
}

/// Adds a signal's values as far as the bounds allow. Returns whether all were added.
fn offer(signal: &Signal<'_>, values: &mut Values) -> bool {
    if signal.key.is_empty() {
        return true;
    }
    if signal.value.len() > SIGNAL_VALUE_BYTES_MAX {
        return false;
    }
    let mut offered = vec![signal.value];
    if signal.split && signal.value.contains(&b',') {
        offered.extend(signal.value.split(|&byte| byte == b','));
    }
    let kept = offered.len().min(1 + COMMA_PARTS_MAX).min(VALUES_MAX - values.len());
    values.extend(offered[..kept].iter().map(|value| (signal.key.to_vec(), value.to_vec())));
    kept == offered.len()
}
