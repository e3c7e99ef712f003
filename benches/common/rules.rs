//! Rules and calls that fit each other: however many rules there are, a call realises about as many of them, so that
//! what grows is the cost of not matching.

use std::fmt::Write;

use pinion::ids::{DataSourceId, Signal, TraitId};
use pinion::rules::TraitRule;

use super::random::Random;

/// Keys with values of a list, with numbers, and with texts.
const LISTED_KEYS: u64 = 40;
const NUMBER_KEYS: u64 = 4;
const TEXT_KEYS: u64 = 4;
/// How many rules name a value of a list, on average.
const RULES_PER_VALUE: f64 = 0.25;

pub const DATA_SOURCE: u32 = 10;
pub const SIGNALS_PER_CALL: u64 = 20;

fn values_per_key(rules: usize) -> u64 {
    ((rules as f64 / LISTED_KEYS as f64 / RULES_PER_VALUE) as u64).max(4)
}

/// Trait rules: nearly all equalities and conjunctions, some thresholds, some texts, a few regular expressions.
pub fn expressions(count: usize) -> Vec<String> {
    let mut random = Random::new(1);
    let values = values_per_key(count);
    let listed = |random: &mut Random| format!("c_k{} == \"v{}\"", random.below(LISTED_KEYS), random.below(values));
    let mut expression = |index: usize| {
        let random = &mut random;
        match index % 20 {
            0..=8 => listed(random),
            9..=13 => format!("{} AND {}", listed(random), listed(random)),
            14 | 15 => {
                format!("{} AND c_n{} > {}", listed(random), random.below(NUMBER_KEYS), random.below(100_000))
            }
            16 => format!("({} OR {}) AND {}", listed(random), listed(random), listed(random)),
            17 => format!("{} AND NOT {}", listed(random), listed(random)),
            18 => format!("c_t{} contains \"word{}x\"", random.below(TEXT_KEYS), random.below(values * 8)),
            _ if index % 400 == 19 => {
                format!("c_t{} matchesregex \"^/shop/[a-z]+/{}$\"", random.below(TEXT_KEYS), random.below(values * 8))
            }
            _ => format!("c_t{} startswith \"/shop/s{}/\"", random.below(TEXT_KEYS), random.below(values * 8)),
        }
    };
    (0..count).map(&mut expression).collect()
}

pub fn trait_rules(count: usize) -> Vec<TraitRule> {
    let rule = |(index, expression)| TraitRule {
        id: TraitId(index as u32 + 1),
        data_source: DataSourceId(DATA_SOURCE),
        expression,
    };
    expressions(count).into_iter().enumerate().map(rule).collect()
}

/// The signals of one call: distinct keys, two numbers and two texts among them.
pub type Pairs = Vec<(String, String)>;

pub fn call(random: &mut Random, rules: usize) -> Pairs {
    let values = values_per_key(rules);
    let first = random.below(LISTED_KEYS);
    let mut pairs: Pairs = (0..SIGNALS_PER_CALL - 4)
        .map(|place| {
            let key = (first + place * 7) % LISTED_KEYS;
            (format!("c_k{key}"), format!("v{}", random.below(values)))
        })
        .collect();
    pairs.push(("c_n0".into(), random.below(100_000).to_string()));
    pairs.push(("c_n2".into(), format!("{}.{:02}", random.below(1_000), random.below(100))));
    pairs.push(("c_t1".into(), format!("/shop/s{}/word{}x", random.below(values), random.below(values))));
    pairs.push(("c_t3".into(), format!("/news/{}/a word or two", random.below(1_000))));
    pairs
}

pub fn calls(count: usize, rules: usize) -> Vec<Pairs> {
    let mut random = Random::new(2);
    (0..count).map(|_| call(&mut random, rules)).collect()
}

pub fn signals(pairs: &Pairs) -> Vec<Signal<'_>> {
    pairs.iter().map(|(key, value)| Signal { key: key.as_bytes(), value: value.as_bytes(), split: true }).collect()
}

/// Segments over the first `traits` traits: single ones, combinations, and windows in days.
pub fn segment_expressions(count: usize, traits: usize) -> Vec<String> {
    let mut random = Random::new(3);
    let held = |random: &mut Random| 1 + random.below(traits as u64);
    (0..count)
        .map(|index| {
            let random = &mut random;
            let a = held(random);
            // Others than `a`: a segment must not ask for what it excludes.
            let (b, c) = (a % traits as u64 + 1, (a + held(random) / 2) % traits as u64 + 1);
            match index % 5 {
                0 => format!("{a}T"),
                1 => format!("{a}T OR {b}T OR {c}T"),
                2 => format!("{a}T AND NOT {b}T"),
                3 => format!("FREQUENCY([{a}T,{b}T,{c}T] <= 30D) >= 2"),
                _ => format!("({a}T OR {b}T) AND [{a}T,{c}T] <= 7D"),
            }
        })
        .collect()
}

/// A whole config of one account without partners.
pub fn config(rules: usize, segments: usize) -> String {
    let mut text = format!(
        "[server]\nbase_domain = 'example.net'\ndata_dir = 'unused'\ndefault_account = 'shop'\n\n\
        [[account]]\nalias = 'shop'\norganisation = 'A1@AdobeOrg'\nallowed_origins = ['https://shop.example']\n\n\
        [[data_source]]\nid = {DATA_SOURCE}\naccount = 'shop'\nname = 'site'\n\n"
    );
    for (index, expression) in expressions(rules).iter().enumerate() {
        let id = index + 1;
        let put = write!(
            text,
            "[[trait]]\nid = {id}\nname = 't{id}'\ndata_source = {DATA_SOURCE}\nexpression = '{expression}'\n\n"
        );
        put.expect("a string takes everything");
    }
    for (index, expression) in segment_expressions(segments, rules).iter().enumerate() {
        let id = index + 1_000_001;
        let put =
            write!(text, "[[segment]]\nid = {id}\nname = 's{id}'\naccount = 'shop'\nexpression = '{expression}'\n\n");
        put.expect("a string takes everything");
    }
    text
}
