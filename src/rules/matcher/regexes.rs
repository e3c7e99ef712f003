//! The regular expressions of one key: as few automata as they fit into, the rest one by one.

use std::sync::Arc;

use crate::rules::regex::{JavaRegex, RegexCache, RegexSet, RegexSetCache, Verdict};

pub(crate) struct Regexes {
    sets: Vec<(RegexSet, Vec<u32>)>,
    singles: Vec<(Arc<JavaRegex>, u32)>,
}

pub(crate) struct RegexesCache {
    sets: Vec<RegexSetCache>,
    singles: Vec<RegexCache>,
}

impl Regexes {
    /// From patterns, their compiled forms and the predicates that they decide.
    pub(crate) fn new(regexes: Vec<(&str, Arc<JavaRegex>, u32)>) -> Regexes {
        let mut built = Regexes { sets: Vec::new(), singles: Vec::new() };
        let (alone, together): (Vec<_>, Vec<_>) = regexes.into_iter().partition(|(_, regex, _)| regex.may_allocate());
        built.join(&together);
        built.singles.extend(alone.into_iter().map(|(_, regex, predicate)| (regex, predicate)));
        built
    }

    /// Halves what is too large for one automaton.
    fn join(&mut self, regexes: &[(&str, Arc<JavaRegex>, u32)]) {
        match regexes {
            [] => {}
            [(_, regex, predicate)] => self.singles.push((regex.clone(), *predicate)),
            _ => {
                let patterns: Vec<&str> = regexes.iter().map(|(pattern, ..)| *pattern).collect();
                if let Some(set) = RegexSet::compile(&patterns) {
                    self.sets.push((set, regexes.iter().map(|(_, _, predicate)| *predicate).collect()));
                    return;
                }
                let (left, right) = regexes.split_at(regexes.len() / 2);
                self.join(left);
                self.join(right);
            }
        }
    }

    pub(crate) fn cache(&self) -> RegexesCache {
        RegexesCache {
            sets: self.sets.iter().map(|(set, _)| set.cache()).collect(),
            singles: self.singles.iter().map(|(regex, _)| regex.cache()).collect(),
        }
    }

    /// How many may run on the backtracking engine.
    pub(crate) fn backtracking_count(&self) -> usize {
        self.singles.iter().filter(|(regex, _)| regex.may_allocate()).count()
    }

    /// Calls `on_true` with each predicate whose pattern matches. Returns how many gave up.
    pub(crate) fn search(&self, value: &[u8], cache: &mut RegexesCache, mut on_true: impl FnMut(u32)) -> u32 {
        for ((set, predicates), cache) in self.sets.iter().zip(&mut cache.sets) {
            set.matches(value, cache, &mut |index| on_true(predicates[index]));
        }
        let mut given_up = 0;
        for ((regex, predicate), cache) in self.singles.iter().zip(&mut cache.singles) {
            match regex.matches(value, cache) {
                Verdict::Match => on_true(*predicate),
                Verdict::NoMatch => {}
                Verdict::GaveUp => given_up += 1,
            }
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_backtrack_are_counted() {
        let patterns = ["a+", "(?=a).", "(?s).*a.{30}", "a\\b", "[ab]*"];
        let compiled = |pattern: &'static str| (pattern, Arc::new(JavaRegex::compile(pattern).unwrap()), 0);
        assert_eq!(Regexes::new(patterns.map(compiled).into()).backtracking_count(), 2);
        assert_eq!(Regexes::new(vec![compiled("a+")]).backtracking_count(), 0);
    }
}
