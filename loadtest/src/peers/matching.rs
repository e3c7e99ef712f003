//! The matcher alone, over calls of the standard job that were decoded beforehand: with the bare reactor below it, the
//! least that a server can do who has the job's rules.

use std::path::Path;

use pinion::config;
use pinion::event::CallBuffers;
use pinion::event::call::{Headers, Request as CallRequest};
use pinion::http::Progress;
use pinion::http::request::{self, Parsed};
use pinion::ids::{Signal, TraitId};
use pinion::limits::DECODE_BYTES_MAX;
use pinion::rules::{Matcher, MatcherScratch};
use pinion::ruleset::Ruleset;

use crate::requests::{REQUEST_BYTES_MAX, Source};
use crate::scenario::{Mix, Scenario};
use crate::standard;

/// So many that what one needs is not near when it comes again.
const CALLS: usize = 4_096;

pub struct Matching {
    matcher: &'static Matcher,
    scratch: MatcherScratch,
    calls: Vec<Vec<Signal<'static>>>,
    next: usize,
    realised: Vec<TraitId>,
}

impl Matching {
    /// # Errors
    /// When the standard job can't be had, in words.
    pub fn new() -> Result<Matching, String> {
        Matching::of(Scenario::load("standard")?)
    }

    /// With so many rules instead of the job's.
    ///
    /// # Errors
    /// As [`Matching::new`].
    pub fn with_rules(count: u32) -> Result<Matching, String> {
        let mut scenario = Scenario::load("standard")?;
        scenario.server.rules = count;
        Matching::of(scenario)
    }

    fn of(mut scenario: Scenario) -> Result<Matching, String> {
        scenario.without_lookups();
        scenario.mix = Mix { event: 1.0, ..Mix::default() };
        let text = standard::config(&scenario, &[], &[], Path::new("data"));
        let loaded = config::load(&text, "standard.toml").map_err(|faults| format!("{} faults", faults.len()))?;
        let secret = pinion::identity::Secret::from_bytes([1; 32]);
        // Both live as long as the process.
        let ruleset: &'static Ruleset = Box::leak(Box::new(loaded.into_ruleset(&secret, 1).0));
        let matcher = &ruleset.accounts[0].matcher;
        let mut source = Source::new(&scenario);
        let calls = (0..CALLS).map(|_| signals(&mut source)).collect::<Result<_, _>>()?;
        let realised = Vec::with_capacity(scenario.server.rules as usize);
        Ok(Matching { matcher, scratch: matcher.scratch(), calls, next: 0, realised })
    }

    /// Evaluates the rules over the next call.
    pub fn evaluate(&mut self) {
        self.next = (self.next + 1) % self.calls.len();
        self.matcher.evaluate(&self.calls[self.next], None, &mut self.scratch, &mut self.realised);
        std::hint::black_box(&self.realised);
    }
}

fn signals(source: &mut Source) -> Result<Vec<Signal<'static>>, String> {
    let mut bytes = Vec::with_capacity(REQUEST_BYTES_MAX);
    source.write(&mut bytes);
    let Parsed::Complete { request, .. } = request::parse(bytes.leak(), &mut Progress::default()) else {
        return Err("a request of the standard job is none".to_owned());
    };
    let fields = request.fields;
    let headers = Headers {
        host: request.host,
        user_agent: fields.user_agent,
        accept_language: fields.accept_language,
        referer: fields.referer,
        ..Headers::default()
    };
    let call = CallRequest { query: request.query, body: b"", headers };
    let decoded = CallBuffers::new().decode(&call, vec![0; DECODE_BYTES_MAX].leak());
    Ok(decoded.signals.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_realise_traits() {
        let mut matching = Matching::new().unwrap();
        let realised: usize = (0..100)
            .map(|_| {
                matching.evaluate();
                matching.realised.len()
            })
            .sum();
        assert!((200..2_000).contains(&realised), "about six for each call: {realised} of 100");
    }
}
