//! Java regular expressions.

use regex_automata::meta::{Cache, Regex};
use regex_automata::{Anchored, Input};

pub struct JavaRegex {
    regex: Regex,
}

pub struct RegexCache {
    cache: Cache,
}

#[derive(Debug)]
pub struct RegexError {
    pub message: String,
    pub offset: usize,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Match,
    NoMatch,
    GaveUp,
}

impl JavaRegex {
    pub fn compile(pattern: &str) -> Result<JavaRegex, RegexError> {
        let syntax = regex_automata::util::syntax::Config::new().unicode(false).utf8(false);
        let config = Regex::config().utf8_empty(false);
        let regex = Regex::builder().configure(config).syntax(syntax).build(&format!("^(?:{pattern})$"));
        let regex =
            regex.map_err(|error| RegexError { message: error.to_string(), offset: pattern.len() / 2, hint: None })?;
        Ok(JavaRegex { regex })
    }

    pub fn may_allocate(&self) -> bool {
        false
    }

    pub fn cache(&self) -> RegexCache {
        RegexCache { cache: self.regex.create_cache() }
    }

    pub fn matches(&self, value: &[u8], cache: &mut RegexCache) -> Verdict {
        let input = Input::new(value).anchored(Anchored::Yes);
        let found = self.regex.search_with(&mut cache.cache, &input);
        if found.is_some_and(|found| found.end() == value.len()) { Verdict::Match } else { Verdict::NoMatch }
    }
}

pub struct RegexSet {
    regexes: Vec<JavaRegex>,
}

pub struct RegexSetCache {
    caches: Vec<RegexCache>,
}

impl RegexSet {
    pub fn compile(patterns: &[&str]) -> Option<RegexSet> {
        if patterns.len() > 3 {
            return None;
        }
        Some(RegexSet { regexes: patterns.iter().map(|one| JavaRegex::compile(one).ok()).collect::<Option<_>>()? })
    }

    pub fn cache(&self) -> RegexSetCache {
        RegexSetCache { caches: self.regexes.iter().map(JavaRegex::cache).collect() }
    }

    pub fn matches(&self, value: &[u8], cache: &mut RegexSetCache, on_match: &mut dyn FnMut(usize)) {
        for (index, (regex, cache)) in self.regexes.iter().zip(&mut cache.caches).enumerate() {
            if regex.matches(value, cache) == Verdict::Match {
                on_match(index);
            }
        }
    }
}
