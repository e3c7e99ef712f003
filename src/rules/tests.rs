//! The matcher against the oracle: random rules, random calls. Everything follows from the seeds.

use proptest::test_runner::{Config as ProptestConfig, RngSeed};

use super::language::Checker;
use super::oracle::Oracle;
use super::*;
use crate::ids::Signal;
use crate::limits::{COMMA_PARTS_MAX, SIGNAL_VALUE_BYTES_MAX, SIGNALS_MAX, VALUES_MAX};

/// Property tests of this module: the same cases each time, nothing written to disk.
pub(super) fn cases(count: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

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
    let matcher = Matcher::compile(&[rule(1, "last == 1")], &[], MatcherOptions::default()).expect("the rule is fine");
    let (mut scratch, mut realised) = (matcher.scratch(), Vec::new());
    for (fillers, is_seen) in [(VALUES_MAX - 1, true), (VALUES_MAX, false)] {
        let mut call = vec![Signal { key: b"x", value: b"", split: true }; fillers];
        call.push(Signal { key: b"last", value: b"1", split: true });
        let outcome = matcher.evaluate(&call, None, &mut scratch, &mut realised);
        assert_eq!((outcome.truncated, realised.len()), (!is_seen, usize::from(is_seen)));
    }
}

fn rule(id: u32, expression: &str) -> TraitRule {
    TraitRule { id: TraitId(id), data_source: DataSourceId(id / 10), expression: expression.to_owned() }
}

/// Cases are an expression and calls for which it is true (`yes`) or not (`no`). A call is `key=value&key=value` as it
/// stands, without decoding; the matcher and the oracle must both agree.
fn check_file(name: &str, options: MatcherOptions) {
    let path = format!("{}/tests/cases/rules/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut calls = 0;
    for case in text.split("\n\n") {
        let mut lines = case.lines().filter(|line| !line.starts_with("# "));
        let Some(expression) = lines.next() else { continue };
        let rules = [rule(1, expression)];
        let matcher =
            Matcher::compile(&rules, &[], options).unwrap_or_else(|faults| panic!("{expression}: {faults:?}"));
        let oracle = Oracle::compile(&rules, &[], options).expect("the matcher took it");
        let (mut scratch, mut realised) = (matcher.scratch(), Vec::new());
        for line in lines {
            let (verdict, call) = line.split_once(':').unwrap_or_else(|| panic!("{line}: yes: or no: is missing"));
            let signals: Vec<Signal<'_>> = call
                .strip_prefix(' ')
                .unwrap_or(call)
                .split_terminator('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(key, value)| Signal { key: key.as_bytes(), value: value.as_bytes(), split: true })
                .collect();
            matcher.evaluate(&signals, None, &mut scratch, &mut realised);
            let found = if realised.is_empty() { "no" } else { "yes" };
            assert_eq!(found, verdict, "{expression} for {call}");
            assert_eq!(realised, oracle.evaluate(&signals, None).0, "{expression} for {call}: the oracle");
            calls += 1;
        }
    }
    assert!(calls > 0, "{path} has no cases");
}

#[test]
fn comparisons_mean_what_the_cases_say() {
    check_file("matches.txt", MatcherOptions::default());
}

#[test]
fn case_is_ignored_when_asked_for() {
    check_file("matches_case_insensitive.txt", MatcherOptions { case_insensitive_values: true });
}

#[test]
fn each_bad_rule_is_reported_with_its_place() {
    let rules = [rule(1, "a == 1"), rule(2, "a"), rule(3, "b == 1"), rule(4, "NOT c == 1")];
    let faults = Matcher::compile(&rules, &[], MatcherOptions::default()).expect_err("two are bad");
    assert_eq!(faults.iter().map(|(rule, _)| *rule).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn warnings_know_their_rule() {
    let rules = [rule(1, "a == 1"), rule(2, "zip == \"012\""), rule(3, "a > x"), rule(4, "a == 1 AND a != 1")];
    let matcher = Matcher::compile(&rules, &[], MatcherOptions::default()).expect("all load");
    assert_eq!(matcher.warnings().iter().map(|(rule, _)| *rule).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn derived_signals_join_the_call_in_one_pass() {
    let derive = |source_key: &str, source_value: &str, target_key: &str, target_value: &str| DerivedSignal {
        source_key: source_key.to_owned(),
        source_value: source_value.to_owned(),
        target_key: target_key.to_owned(),
        target_value: target_value.to_owned(),
    };
    let derived = [
        derive("a", "x", "b", "1"),
        derive("b", "1", "c", "1"),
        derive("a", "y,z", "d", "1"),
        derive("a", "1", "e", "p,q"),
        derive("a", "x", "f", "1"),
    ];
    let rules: Vec<_> = ["b == 1", "c == 1", "d == 1", "e == q", "f == 1", "NOT b == 1 AND g == 1"]
        .iter()
        .zip(1..)
        .map(|(expression, id)| rule(id, expression))
        .collect();
    let matcher =
        Matcher::compile(&rules, &derived, MatcherOptions { case_insensitive_values: true }).expect("all load");
    let (mut scratch, mut realised) = (matcher.scratch(), Vec::new());
    let mut check = |key: &str, value: &str, split: bool, expected: &[u32]| {
        let signals =
            [Signal { key: key.as_bytes(), value: value.as_bytes(), split }, Signal { key: b"g", value: b"1", split }];
        matcher.evaluate(&signals, None, &mut scratch, &mut realised);
        assert_eq!(realised.iter().map(|id| id.0).collect::<Vec<_>>(), expected, "{key}={value}");
    };
    check("a", "x", true, &[1, 5]);
    check("a", "w,x,x", true, &[1, 5]);
    check("a", "w,x", false, &[6]);
    check("a", "X", true, &[6]);
    check("b", "1", true, &[1, 2]);
    check("a", "y,z", true, &[3, 6]);
    check("a", "1", true, &[4, 6]);
    check("a", "1.0", true, &[6]);
}

#[test]
fn only_one_data_source_is_realised_when_asked_for() {
    let rules = [rule(25, "a == 1"), rule(11, "a == 1"), rule(12, "a == 1"), rule(11, "b == 1 OR a == 1")];
    let matcher = Matcher::compile(&rules, &[], MatcherOptions::default()).expect("all load");
    let (mut scratch, mut realised) = (matcher.scratch(), Vec::new());
    let signals = [Signal { key: b"a", value: b"1", split: true }];
    for (only, expected) in [(None, &[11, 12, 25][..]), (Some(1), &[11, 12]), (Some(2), &[25]), (Some(3), &[])] {
        matcher.evaluate(&signals, only.map(DataSourceId), &mut scratch, &mut realised);
        assert_eq!(realised.iter().map(|id| id.0).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn regexes_that_are_too_many_for_one_automaton_all_work() {
    let rules: Vec<_> = (0..50).map(|n| rule(n, &format!("a matchesregex \"x{{{n}}}\""))).collect();
    let matcher = Matcher::compile(&rules, &[], MatcherOptions::default()).expect("all load");
    let (mut scratch, mut realised) = (matcher.scratch(), Vec::new());
    for n in 0..50 {
        let value = vec![b'x'; n];
        matcher.evaluate(&[Signal { key: b"a", value: &value, split: true }], None, &mut scratch, &mut realised);
        assert_eq!(realised, [TraitId(n as u32)]);
    }
}

#[test]
fn no_rules_at_all_are_fine() {
    let matcher = Matcher::compile(&[], &[], MatcherOptions::default()).expect("nothing is wrong");
    let mut realised = vec![TraitId(1)];
    let signals = [Signal { key: b"a", value: b"1,2", split: true }];
    assert_eq!(matcher.evaluate(&signals, None, &mut matcher.scratch(), &mut realised), MatchOutcome::default());
    assert_eq!(realised, []);
}

#[test]
fn shards_share_the_matcher() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Matcher>();
    sent::<MatcherScratch>();
}

/// Of a longer list the parts behind the bound are in the whole value only.
#[test]
fn parts_behind_the_bound_are_no_values_of_their_own() {
    let rules = [rule(1, "a startswith zz"), rule(2, "a endswith zz"), rule(3, "a == zz"), rule(4, "a contains zz")];
    let matcher = Matcher::compile(&rules, &[], MatcherOptions::default()).expect("all load");
    let (mut scratch, mut realised) = (matcher.scratch(), Vec::new());
    for (parts_before, expected) in [(COMMA_PARTS_MAX - 1, &[1, 2, 3, 4][..]), (COMMA_PARTS_MAX, &[4])] {
        let value = [&b"x,".repeat(parts_before)[..], b"zz,x"].concat();
        let signals = [Signal { key: b"a", value: &value, split: true }];
        assert!(matcher.evaluate(&signals, None, &mut scratch, &mut realised).truncated);
        assert_eq!(realised.iter().map(|id| id.0).collect::<Vec<_>>(), expected);
    }
}
