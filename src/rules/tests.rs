//! The matcher against the oracle: random rules, random calls. Everything follows from the seeds.

use super::language::Checker;
use super::oracle::Oracle;
use super::*;
use crate::ids::Signal;
use crate::limits::{COMMA_PARTS_MAX, SIGNAL_VALUE_BYTES_MAX, SIGNALS_MAX, VALUES_MAX};

const RULE_SETS: u64 = 400;
const CALLS_PER_SET: usize = 40;

/// Few keys and values, so that random rules and calls meet; many that are nearly equal.
const KEYS: [&str; 5] = ["a", "b", "c", "h_user-agent", "d.1x"];
const VALUES: [&str; 40] = [
    "",
    "0",
    "-0",
    "00",
    "1",
    "01",
    "1.0",
    "+1",
    "1.01",
    "-1",
    "2",
    "10",
    "9.99",
    "1e3",
    "1.",
    "a",
    "b",
    "ab",
    "abc",
    "ABC",
    "a,b",
    "1,2",
    ",",
    "a b",
    "b a",
    "hello world",
    "Hello, World!",
    "x_y",
    "y",
    "ÄB c",
    "äb",
    "b,",
    ",a",
    "caf\u{e9}",
    "\\d",
    "say \"a\"",
    "9007199254740993",
    "9007199254740992.0",
    "  ",
    "a1",
];
const REGEXES: [&str; 9] = ["a.*", "[ab]+", "[0-9]+", ".*,.*", "(?i)abc", "", "a|b|ab", "(a b)?.*", "1\\.?0*"];
const OPERATORS: [&str; 11] =
    ["==", "!=", "<", "<=", ">", ">=", "contains", "matcheswords", "startswith", "endswith", "matchesregex"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    fn comparison(&mut self) -> String {
        let operator = self.of(&OPERATORS);
        let value = if operator == "matchesregex" { self.of(&REGEXES) } else { self.of(&VALUES) };
        format!("{} {operator} {}", self.of(&KEYS), quoted(value))
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 || self.one_in(4) {
            return self.comparison();
        }
        let children: Vec<String> = (0..1 + self.below(4)).map(|_| self.expression(depth - 1)).collect();
        match self.below(5) {
            0 => format!("NOT ({})", children.join(" OR ")),
            1 | 2 => format!("({})", children.join(" OR ")),
            3 => format!("({})", children.join(" NOT ")),
            _ => format!("({})", children.join(" AND ")),
        }
    }

    /// An AND of ORs, whose normal form has too many conjunctions.
    fn exploding(&mut self) -> String {
        let pair = |random: &mut Random| format!("({} OR NOT {})", random.comparison(), random.comparison());
        let clauses: Vec<String> = (0..8).map(|_| pair(self)).collect();
        format!("{} AND ({} OR {})", clauses.join(" AND "), self.comparison(), self.comparison())
    }

    /// Rules that load; what random makes of others is the checker's business.
    fn rules(&mut self, options: MatcherOptions) -> Vec<TraitRule> {
        let mut checker = Checker::new(options);
        let mut rules = Vec::new();
        let count = 1 + self.below(30);
        while rules.len() < count {
            let expression = if self.one_in(8) { self.exploding() } else { self.expression(3) };
            if checker.check(&expression).is_ok() {
                let (id, data_source) = (TraitId(1_000 - rules.len() as u32), DataSourceId(self.below(3) as u32));
                rules.push(TraitRule { id, data_source, expression });
            }
        }
        rules
    }

    fn derived(&mut self) -> Vec<DerivedSignal> {
        let count = self.below(6);
        (0..count)
            .map(|_| DerivedSignal {
                source_key: self.of(&KEYS).to_owned(),
                source_value: self.of(&VALUES).to_owned(),
                target_key: self.of(&KEYS).to_owned(),
                target_value: self.of(&VALUES).to_owned(),
            })
            .collect()
    }

    fn call(&mut self) -> Vec<(&'static str, Vec<u8>, bool)> {
        let count = self.below(8);
        (0..count)
            .map(|_| {
                let key = if self.one_in(10) { self.of(&["", "unknown"]) } else { self.of(&KEYS) };
                let parts: Vec<&str> = (0..1 + self.below(3)).map(|_| self.of(&VALUES)).collect();
                let mut value = parts[..if self.one_in(2) { 1 } else { parts.len() }].join(",").into_bytes();
                if self.one_in(10) {
                    value.insert(0, 0xff);
                }
                (key, value, !self.one_in(6))
            })
            .collect()
    }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn signals<'a>(call: &'a [(&'static str, Vec<u8>, bool)]) -> Vec<Signal<'a>> {
    call.iter().map(|(key, value, split)| Signal { key: key.as_bytes(), value, split: *split }).collect()
}

#[test]
fn random_rules_and_calls_agree_with_the_oracle() {
    let (mut realised_in_all, mut realised) = (0, Vec::with_capacity(100));
    for seed in 0..RULE_SETS {
        let mut random = Random(seed << 32);
        let options = MatcherOptions { case_insensitive_values: random.one_in(3) };
        let (rules, derived) = (random.rules(options), random.derived());
        let matcher = Matcher::compile(&rules, &derived, options).expect("only rules that load were kept");
        let oracle = Oracle::compile(&rules, &derived, options).expect("only rules that load were kept");
        let mut scratch = matcher.scratch();
        let capacities = scratch.capacities();
        for number in 0..CALLS_PER_SET {
            let call = random.call();
            let only = random.one_in(4).then(|| DataSourceId(random.below(3) as u32));
            let outcome = matcher.evaluate(&signals(&call), only, &mut scratch, &mut realised);
            let (expected, truncated) = oracle.evaluate(&signals(&call), only);
            let case = || format!("seed {seed}, call {number}: {call:?}\n{rules:#?}\n{derived:?} {options:?}");
            assert_eq!(realised, expected, "{}", case());
            assert_eq!(outcome.truncated, truncated, "{}", case());
            realised_in_all += realised.len();
        }
        assert_eq!(scratch.capacities(), capacities, "seed {seed}");
    }
    assert!(realised_in_all > 10_000, "random calls must realise something: {realised_in_all}");
}

/// Calls at every bound: what is over is left out, by both in the same order, and the scratch does not grow.
#[test]
fn calls_at_the_bounds_are_cut_alike() {
    for seed in 0..40 {
        let mut random = Random(seed << 32 | 1);
        let options = MatcherOptions { case_insensitive_values: random.one_in(2) };
        let (rules, derived) = (random.rules(options), random.derived());
        let matcher = Matcher::compile(&rules, &derived, options).expect("only rules that load were kept");
        let oracle = Oracle::compile(&rules, &derived, options).expect("only rules that load were kept");
        let mut scratch = matcher.scratch();
        let capacities = scratch.capacities();
        let list = |random: &mut Random, parts: usize| {
            (0..parts).map(|_| random.of(&VALUES).replace(',', "")).collect::<Vec<_>>().join(",").into_bytes()
        };
        let mut call = Vec::new();
        for _ in 0..random.below(SIGNALS_MAX) {
            let parts = *[1, 2, COMMA_PARTS_MAX - 1, COMMA_PARTS_MAX, COMMA_PARTS_MAX + 1]
                .get(random.below(5))
                .expect("five choices");
            call.push((random.of(&KEYS), list(&mut random, parts), true));
        }
        for bytes in [SIGNAL_VALUE_BYTES_MAX, SIGNAL_VALUE_BYTES_MAX + 1] {
            let mut longest = "\u{23a}".repeat(bytes / 2).into_bytes();
            longest.resize(bytes, b'a');
            call.insert(0, (random.of(&KEYS), longest, true));
        }
        let mut realised = Vec::with_capacity(rules.len());
        let outcome = matcher.evaluate(&signals(&call), None, &mut scratch, &mut realised);
        assert_eq!((realised, outcome.truncated), oracle.evaluate(&signals(&call), None), "seed {seed}");
        assert!(outcome.truncated);
        assert_eq!(scratch.capacities(), capacities, "seed {seed}");
    }
}

/// A scratch is as good as new for the next call, whatever the last one was.
#[test]
fn a_call_leaves_nothing_behind() {
    let mut random = Random(7);
    let options = MatcherOptions::default();
    let (rules, derived) = (random.rules(options), random.derived());
    let matcher = Matcher::compile(&rules, &derived, options).expect("only rules that load were kept");
    let (mut used, mut realised, mut expected) = (matcher.scratch(), Vec::new(), Vec::new());
    for _ in 0..200 {
        let call = random.call();
        matcher.evaluate(&signals(&call), None, &mut used, &mut realised);
        matcher.evaluate(&signals(&call), None, &mut matcher.scratch(), &mut expected);
        assert_eq!(realised, expected);
        matcher.evaluate(&[], None, &mut used, &mut realised);
        assert_eq!(realised, [], "an empty call realises nothing");
    }
}

#[test]
fn values_count_up_to_their_bound() {
    let rule = |expression: &str| TraitRule {
        id: TraitId(1),
        data_source: DataSourceId(1),
        expression: expression.to_owned(),
    };
    let matcher = Matcher::compile(&[rule("last == 1")], &[], MatcherOptions::default()).expect("the rule is fine");
    let (mut scratch, mut realised) = (matcher.scratch(), Vec::new());
    for (fillers, is_seen) in [(VALUES_MAX - 1, true), (VALUES_MAX, false)] {
        let mut call = vec![Signal { key: b"x", value: b"", split: true }; fillers];
        call.push(Signal { key: b"last", value: b"1", split: true });
        let outcome = matcher.evaluate(&call, None, &mut scratch, &mut realised);
        assert_eq!((outcome.truncated, realised.len()), (!is_seen, usize::from(is_seen)));
    }
}
