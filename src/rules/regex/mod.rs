//! Regular expressions with the syntax and meaning of Java 17's `String.matches`: the whole value, default flags.
//!
//! A pattern is parsed as Java parses it. What an automaton can say with the same meaning is translated to one and
//! runs in time proportional to the value, without allocating; the rest (look-around, back references, possessive
//! and atomic forms, `$` before the end) runs on a backtracking engine with a limit of steps. What neither can do is
//! rejected. `tests/cases/regex` holds what Java itself answered, and the list of deviations.
//!
//! Values are bytes. A byte that is not part of UTF-8 is one character that has no name: `.`, `[^a]` and `\W` match
//! it, `\w` and every range don't.
#![forbid(unsafe_code)]

mod assertion;
mod automaton;
mod backtrack;
mod cursor;
mod escape;
mod fold;
mod lower;
mod parse;
mod program;
mod property;
mod script_names;
mod set;
mod syntax;

use regex_syntax::hir::Hir;

use crate::limits;
use automaton::{Automaton, End};
use backtrack::{Backtracker, Outcome};

/// One pattern, compiled. Immutable; shared by shards.
#[derive(Debug)]
pub struct JavaRegex {
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Automaton(Automaton),
    /// Has `\b`: the automaton knows the boundaries of ASCII only.
    AutomatonForAscii(Automaton, Backtracker),
    Backtracker(Backtracker),
}

/// What one shard needs to run one regex: grown to its worst case when made.
#[derive(Debug)]
pub struct RegexCache {
    automaton: automaton::Scratch,
    backtracker: Option<backtrack::Scratch>,
}

/// Why a pattern is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexError {
    /// A sentence without its full stop.
    pub message: String,
    /// Where, in bytes of the pattern.
    pub offset: usize,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Match,
    NoMatch,
    /// The limit of steps was reached: counts as no match, and in a metric.
    GaveUp,
}

impl JavaRegex {
    pub fn compile(pattern: &str) -> Result<JavaRegex, RegexError> {
        let parsed = parse::parse(pattern)?;
        let backtracker = || {
            let engine = Backtracker::new(&parsed.root, parsed.groups);
            if engine.bytes() > limits::REGEX_PROGRAM_BYTES_MAX { Err(too_large()) } else { Ok(engine) }
        };
        let engine = match lower::lower(&parsed.root) {
            None => Engine::Backtracker(backtracker()?),
            Some(lowered) => match Automaton::new(&[&lowered.hir]) {
                Ok(automaton) if lowered.ascii_only => Engine::AutomatonForAscii(automaton, backtracker()?),
                Ok(automaton) => Engine::Automaton(automaton),
                Err(automaton::TooLarge) => return Err(too_large()),
            },
        };
        Ok(JavaRegex { engine })
    }

    /// Whether it may run on the backtracking engine, whose stack can grow while matching.
    pub fn may_allocate(&self) -> bool {
        !matches!(self.engine, Engine::Automaton(_))
    }

    pub fn cache(&self) -> RegexCache {
        let (automaton, backtracker) = match &self.engine {
            Engine::Automaton(automaton) => (automaton.scratch(), None),
            Engine::AutomatonForAscii(automaton, engine) => (automaton.scratch(), Some(engine.scratch())),
            Engine::Backtracker(engine) => (automaton::Scratch::default(), Some(engine.scratch())),
        };
        RegexCache { automaton, backtracker }
    }

    /// Whether the pattern matches all of `value`. `cache` must come from this regex.
    pub fn matches(&self, value: &[u8], cache: &mut RegexCache) -> Verdict {
        match (&self.engine, &mut cache.backtracker) {
            (Engine::Automaton(automaton), _) => run(automaton, value, &mut cache.automaton),
            (Engine::AutomatonForAscii(automaton, _), _) if value.is_ascii() => {
                run(automaton, value, &mut cache.automaton)
            }
            (Engine::AutomatonForAscii(_, engine) | Engine::Backtracker(engine), Some(scratch)) => {
                match engine.matches(value, scratch) {
                    Outcome::Match => Verdict::Match,
                    Outcome::NoMatch => Verdict::NoMatch,
                    Outcome::GaveUp => Verdict::GaveUp,
                }
            }
            (_, None) => unreachable!("a cache belongs to the regex that made it"),
        }
    }
}

fn run(automaton: &Automaton, value: &[u8], scratch: &mut automaton::Scratch) -> Verdict {
    let mut found = false;
    match automaton.run(value, scratch, &mut |_| found = true) {
        End::GaveUp => Verdict::GaveUp,
        End::Ran if found => Verdict::Match,
        End::Ran => Verdict::NoMatch,
    }
}

fn too_large() -> RegexError {
    RegexError {
        message: "this regular expression needs too much memory".to_owned(),
        offset: 0,
        hint: Some("make its repetition counts smaller, or split it into several comparisons".to_owned()),
    }
}

/// Several patterns in one automaton: one pass over a value answers for all.
#[derive(Debug)]
pub struct RegexSet {
    automaton: Automaton,
}

/// What one shard needs to run one [`RegexSet`].
#[derive(Debug)]
pub struct RegexSetCache {
    automaton: automaton::Scratch,
}

impl RegexSet {
    /// `None` when they are too large together, or one of them may need backtracking or is no regex at all: then use
    /// them one by one.
    pub fn compile(patterns: &[&str]) -> Option<RegexSet> {
        let hirs: Option<Vec<Hir>> = patterns.iter().map(|pattern| automaton_only(pattern)).collect();
        let hirs = hirs?;
        let automaton = Automaton::new(&hirs.iter().collect::<Vec<_>>()).ok()?;
        automaton.is_table().then_some(RegexSet { automaton })
    }

    pub fn cache(&self) -> RegexSetCache {
        RegexSetCache { automaton: self.automaton.scratch() }
    }

    /// Calls `on_match` with the index of each pattern that matches all of `value`.
    pub fn matches(&self, value: &[u8], cache: &mut RegexSetCache, on_match: &mut dyn FnMut(usize)) {
        // A table never gives up.
        self.automaton.run(value, &mut cache.automaton, on_match);
    }
}

fn automaton_only(pattern: &str) -> Option<Hir> {
    let lowered = lower::lower(&parse::parse(pattern).ok()?.root)?;
    (!lowered.ascii_only).then_some(lowered.hir)
}

#[cfg(test)]
mod tests;
