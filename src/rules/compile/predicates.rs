//! Distinct comparisons and the structures that find the true ones.

use ahash::HashMap;

use crate::rules::MatcherOptions;
use crate::rules::boolean::Node;
use crate::rules::language::{Checker, Comparison, Expression, Operator};
use crate::rules::letters;
use crate::rules::matcher::KeyPlan;
use crate::rules::matcher::regexes::Regexes;
use crate::rules::matcher::table::{Identity, KeyTable, Scalars};
use crate::rules::matcher::text::{PatternUse, TextPatterns};
use crate::rules::matcher::thresholds::{Thresholds, easiest_first};
use crate::rules::scalar::{Decimal, Scalar};

/// What a call's values make true or not. Keys are numbered; values are canonical and, if the option asks for it,
/// in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Predicate {
    Equal(u32, Vec<u8>),
    Present(u32),
    Order(u32, Operator, Vec<u8>),
    Text(u32, Operator, Vec<u8>),
    /// Distinct words, sorted.
    Words(u32, Vec<Vec<u8>>),
    Regex(u32, String),
    /// An order comparison with something that is no number.
    Never,
}

/// Collects predicates in the order in which rules name them.
pub(super) struct Predicates {
    options: MatcherOptions,
    keys: HashMap<String, u32>,
    deriving_keys: Vec<u32>,
    known: HashMap<Predicate, u32>,
    all: Vec<Predicate>,
}

/// The matcher's half that goes from values to predicates.
pub(super) struct Built {
    /// The final number of each predicate.
    pub(super) numbers: Vec<u32>,
    /// By final number: how much one use of the predicate as an access path weighs.
    pub(super) costs: Vec<u32>,
    pub(super) keys: KeyTable,
    pub(super) plans: Vec<KeyPlan>,
    /// Of the first predicates, which are equalities.
    pub(super) identities: Vec<Identity>,
    pub(super) scalars: Scalars,
    pub(super) thresholds: Vec<Thresholds>,
    pub(super) texts: Vec<TextPatterns>,
    pub(super) words: u32,
    pub(super) phrases: u32,
    pub(super) regexes: Vec<Regexes>,
}

impl Predicates {
    pub(super) fn new(options: MatcherOptions) -> Predicates {
        let (keys, known) = (HashMap::default(), HashMap::default());
        Predicates { options, keys, deriving_keys: Vec::new(), known, all: Vec::new() }
    }

    /// The expression over predicates.
    pub(super) fn number(&mut self, expression: &Expression) -> Node<u32> {
        expression.map(&mut |comparison| self.predicate_of(comparison))
    }

    /// The number of a key that derived signals ask for.
    pub(super) fn deriving_key(&mut self, key: &str) -> u32 {
        let key = self.key(key);
        self.deriving_keys.push(key);
        key
    }

    fn predicate_of(&mut self, comparison: &Comparison) -> Node<u32> {
        let key = self.key(&comparison.key);
        let value = self.folded(&comparison.value);
        let predicate = match comparison.operator {
            // Present with no value that is equal: a need and a denial that the index can file.
            Operator::NotEqual => {
                let present = self.intern(Predicate::Present(key));
                let equal = self.intern(Predicate::Equal(key, Scalar::of(&value).canonical()));
                return Node::And(vec![Node::Term(present), Node::Not(Box::new(Node::Term(equal)))]);
            }
            Operator::Equal => Predicate::Equal(key, Scalar::of(&value).canonical()),
            operator if operator.is_order() => match Scalar::of(&value) {
                number @ Scalar::Number(_) => Predicate::Order(key, operator, number.canonical()),
                Scalar::Text(_) => Predicate::Never,
            },
            Operator::MatchesWords => {
                let mut words: Vec<_> = comparison.value.split_whitespace().map(|word| self.folded(word)).collect();
                words.sort_unstable();
                words.dedup();
                Predicate::Words(key, words)
            }
            Operator::MatchesRegex => Predicate::Regex(key, comparison.value.clone()),
            operator => Predicate::Text(key, operator, value),
        };
        Node::Term(self.intern(predicate))
    }

    fn key(&mut self, key: &str) -> u32 {
        let next = self.keys.len() as u32;
        *self.keys.entry(key.to_owned()).or_insert(next)
    }

    fn folded(&self, value: &str) -> Vec<u8> {
        let mut folded = value.as_bytes().to_vec();
        if self.options.case_insensitive_values {
            letters::lower_into(value.as_bytes(), &mut folded);
        }
        folded
    }

    fn intern(&mut self, predicate: Predicate) -> u32 {
        let next = self.all.len() as u32;
        *self.known.entry(predicate).or_insert_with_key(|predicate| {
            self.all.push(predicate.clone());
            next
        })
    }

    /// Numbers predicates for good and builds what finds them. Equalities come first, as the index wants them;
    /// the thresholds of one key and direction stand together, sorted.
    pub(super) fn build(self, checker: &Checker) -> Built {
        let mut order: Vec<u32> = (0..self.all.len() as u32).collect();
        order.sort_by(|a, b| place(&self.all[*a as usize]).cmp(&place(&self.all[*b as usize])));
        let sorted: Vec<&Predicate> = order.iter().map(|&old| &self.all[old as usize]).collect();
        let mut numbers = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            numbers[*old as usize] = new as u32;
        }

        let mut keys = vec![Box::default(); self.keys.len()];
        for (key, number) in self.keys {
            keys[number as usize] = key.into_bytes().into_boxed_slice();
        }
        let mut plans = vec![KeyPlan::default(); keys.len()];
        for key in self.deriving_keys {
            plans[key as usize].derives = true;
        }
        let equalities = sorted.iter().map_while(|predicate| match predicate {
            Predicate::Equal(key, value) => Some((*key, Scalar::of(value))),
            _ => None,
        });
        let mut built = Built {
            numbers,
            costs: sorted.iter().map(|predicate| cost(predicate)).collect(),
            keys: KeyTable::new(Vec::new(), |_| false),
            plans,
            identities: equalities.clone().map(|(key, scalar)| Identity::scalar(key, scalar)).collect(),
            scalars: Scalars::new(equalities.map(|(_, scalar)| scalar)),
            thresholds: Vec::new(),
            texts: Vec::new(),
            words: 0,
            phrases: 0,
            regexes: Vec::new(),
        };
        let mut first = 0;
        for group in sorted.chunk_by(|a, b| place(a).group() == place(b).group()) {
            built.add_group(first, group, checker);
            first += group.len() as u32;
        }
        let folds_case = self.options.case_insensitive_values;
        built.keys = KeyTable::new(keys, |key| !folds_case && built.plans[key].is_plain());
        built
    }
}

impl Built {
    /// Adds predicates of one kind and key, numbered from `first` on.
    fn add_group(&mut self, first: u32, group: &[&Predicate], checker: &Checker) {
        match group[0] {
            Predicate::Equal(key, _) => self.plans[*key as usize].has_equalities = true,
            Predicate::Present(key) => self.plans[*key as usize].present = Some(first),
            Predicate::Order(key, operator, _) => {
                let place = self.thresholds.len() as u32;
                let bounds = group.iter().filter_map(|predicate| order_of(predicate));
                self.thresholds.push(Thresholds::new(first, place, bounds));
                let plan = &mut self.plans[*key as usize];
                *(if is_less(*operator) { &mut plan.less } else { &mut plan.greater }) = Some(place);
            }
            Predicate::Text(key, ..) | Predicate::Words(key, _) => {
                self.plans[*key as usize].texts = Some(self.texts.len() as u32);
                self.add_texts(first, group);
            }
            Predicate::Regex(key, _) => {
                self.plans[*key as usize].regexes = Some(self.regexes.len() as u32);
                let regexes = group.iter().zip(first..).filter_map(|(predicate, number)| match predicate {
                    Predicate::Regex(_, pattern) => Some((&pattern[..], checker.regex(pattern)?.clone(), number)),
                    _ => None,
                });
                self.regexes.push(Regexes::new(regexes.collect()));
            }
            Predicate::Never => {}
        }
    }

    fn add_texts(&mut self, first: u32, group: &[&Predicate]) {
        let mut uses: HashMap<&[u8], PatternUse> = HashMap::default();
        let mut phrases = Vec::new();
        for (predicate, number) in group.iter().zip(first..) {
            match predicate {
                Predicate::Words(_, words) => phrases.push((number, words.clone())),
                Predicate::Text(_, operator, pattern) => {
                    let uses = uses.entry(pattern).or_default();
                    *(match operator {
                        Operator::StartsWith => &mut uses.starts,
                        Operator::EndsWith => &mut uses.ends,
                        _ => &mut uses.contains,
                    }) = Some(number);
                }
                _ => {}
            }
        }
        let patterns = uses.into_iter().map(|(pattern, uses)| (pattern.to_vec(), uses)).collect();
        self.texts.push(TextPatterns::new(patterns, phrases, &mut self.words, &mut self.phrases));
    }
}

/// Where a predicate stands among all: by kind, key, direction, threshold. Others of one group keep their order.
#[derive(PartialEq, Eq)]
struct Place<'a> {
    kind: u8,
    key: u32,
    is_less: bool,
    threshold: Option<(Operator, Decimal<'a>)>,
}

impl Place<'_> {
    fn group(&self) -> (u8, u32, bool) {
        (self.kind, self.key, self.is_less)
    }
}

impl Ord for Place<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.group().cmp(&other.group()).then_with(|| match (self.threshold, other.threshold) {
            (Some(a), Some(b)) => easiest_first(a, b),
            _ => std::cmp::Ordering::Equal,
        })
    }
}

impl PartialOrd for Place<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn place(predicate: &Predicate) -> Place<'_> {
    let (kind, key, is_less) = match predicate {
        Predicate::Equal(key, _) => (0, *key, false),
        Predicate::Present(key) => (1, *key, false),
        Predicate::Order(key, operator, _) => (2, *key, is_less(*operator)),
        Predicate::Text(key, ..) | Predicate::Words(key, _) => (3, *key, false),
        Predicate::Regex(key, _) => (4, *key, false),
        Predicate::Never => (5, 0, false),
    };
    Place { kind, key, is_less, threshold: order_of(predicate) }
}

fn order_of(predicate: &Predicate) -> Option<(Operator, Decimal<'_>)> {
    match predicate {
        Predicate::Order(_, operator, number) => Some((*operator, Decimal::parse(number)?)),
        _ => None,
    }
}

fn is_less(operator: Operator) -> bool {
    matches!(operator, Operator::Less | Operator::LessOrEqual)
}

/// How often a predicate is likely to be true, against an equality: a guess, as the traffic is not known.
fn cost(predicate: &Predicate) -> u32 {
    match predicate {
        Predicate::Never => 0,
        Predicate::Equal(..) => 1,
        Predicate::Words(..) | Predicate::Regex(..) | Predicate::Text(..) => 2,
        Predicate::Order(..) => 8,
        Predicate::Present(_) => 16,
    }
}
