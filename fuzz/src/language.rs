//! The two languages of rules: what is accepted is evaluated as its meaning says.

use pinion::clock::{Minute, Now};
use pinion::ids::{DataSourceId, SegmentId, Signal, TraitId};
use pinion::profile::history::{History, MinuteEntry, TraitEntry};
use pinion::rules::oracle::Oracle;
use pinion::rules::{Matcher, MatcherOptions, TraitRule};
use pinion::segments::{Folders, Program, SegmentRule};

/// `key=value&key=value` as it stands, then an expression: matcher and oracle agree.
pub fn rules(data: &[u8]) {
    let (call, expression) = super::split_line(data);
    let Ok(expression) = std::str::from_utf8(expression) else { return };
    let signals: Vec<_> = call
        .split(|&byte| byte == b'&')
        .take(8)
        .map(|pair| {
            let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            Signal { key: &pair[..at], value: pair.get(at + 1..).unwrap_or_default(), split: true }
        })
        .collect();
    let rule = TraitRule { id: TraitId(7), data_source: DataSourceId(1), expression: expression.to_owned() };
    for options in [false, true].map(|case_insensitive_values| MatcherOptions { case_insensitive_values }) {
        let rules = std::slice::from_ref(&rule);
        let oracle = Oracle::compile(rules, &[], options);
        let matcher = match Matcher::compile(rules, &[], options) {
            Ok(matcher) => matcher,
            Err(faults) => {
                assert!(oracle.is_err() && !faults.is_empty());
                continue;
            }
        };
        let oracle = oracle.unwrap_or_else(|_| panic!("refused by the oracle alone"));
        let mut realised = Vec::new();
        let outcome = matcher.evaluate(&signals, None, &mut matcher.scratch(), &mut realised);
        if outcome.regexes_given_up == 0 {
            assert_eq!(realised, oracle.evaluate(&signals, None).0);
        }
    }
}

/// Four bytes for each realisation, of traits 1 to 4; after a zero an expression over them and the folders 5 to 7. Until
/// the minute that evaluation tells, its result stays.
pub fn segments(data: &[u8]) {
    let end = data.chunks_exact(4).position(|chunk| chunk[0] == 0).map_or(data.len(), |at| 4 * at);
    let Some(Ok(expression)) = data.get(end + 1..).map(std::str::from_utf8) else { return };
    let rules = [SegmentRule { id: SegmentId(1), expression: expression.to_owned() }];
    let is_trait = |id: TraitId| (1..=4).contains(&id.0);
    let Ok(program) = Program::compile_with(&rules, &is_trait, &folders()) else { return };
    let noon: Minute = 20_000 * 1_440 + 720;
    let (mut entries, mut minutes) = (Vec::<TraitEntry>::new(), Vec::new());
    for chunk in data[..end].chunks_exact(4) {
        let trait_id = TraitId(1 + u32::from(chunk[0]) % 4);
        let minute = noon - (u32::from(chunk[1]) * 256 + u32::from(chunk[2])) * 3;
        entries.push(TraitEntry { trait_id, day: (minute / 1_440) as u16, count: 1 + u16::from(chunk[3]) });
        minutes.push(MinuteEntry { trait_id, minute });
    }
    entries.sort();
    entries.dedup_by_key(|entry| (entry.trait_id, entry.day));
    minutes.sort();
    let history = History { entries: &entries, minutes: &minutes };
    let mut scratch = program.scratch();
    let mut at = |minute: Minute| {
        let mut segments = Vec::new();
        let now = Now { mono_ns: 0, wall_ms: u64::from(minute) * 60_000 };
        let changes_at = program.evaluate(history, now, &mut scratch, &mut segments);
        assert!(changes_at > minute, "{changes_at} is not after {minute}");
        (changes_at, segments)
    };
    let (changes_at, segments) = at(noon);
    assert_eq!((changes_at, &segments), (at(noon).0, &at(noon).1), "what was evaluated before shows");
    let last = changes_at.min(noon + 4_000 * 1_440) - 1;
    for minute in [noon + (last - noon) / 2, last] {
        assert_eq!(at(minute).1, segments, "in minute {minute} already, not only in {changes_at}");
    }
}

/// One of traits, one with a folder, one that shares traits with it.
fn folders() -> Folders {
    let folder = |id, children: &[u32]| (TraitId(id), children.iter().copied().map(TraitId).collect());
    Folders::compile(&[folder(5, &[1, 2]), folder(6, &[5, 3]), folder(7, &[2, 4])]).expect("good folders")
}
