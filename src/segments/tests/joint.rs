//! A device's and a person's histories, joined, against one profile that did all of it: merge rules must not show that
//! there were two.

use super::super::{oracle, parser};
use super::properties::{Random, TODAY, TRAITS, expression};
use super::*;
use crate::ids::AccountIndex;
use crate::limits::MINUTES_PER_TRAIT_MAX;
use crate::profile::history::JointHistory;
use crate::profile::{Profile, TraitInfo};

const SEED: u64 = 0x3041_97ed;

/// One realisation: of which trait, when, and whether the person was signed in.
type Realisation = (TraitId, Minute, bool);

/// Some of so many traits in the last so many days.
fn realisations(random: &mut Random, traits: u64, days: u64) -> Vec<Realisation> {
    let mut all: Vec<Realisation> = (0..random.below(20))
        .map(|_| {
            let minute = (TODAY - random.below(days)) * u64::from(MINUTES_PER_DAY) + random.below(1_440);
            (TraitId(random.below(traits) as u32), minute as Minute, random.below(2) == 0)
        })
        .collect();
    all.sort_by_key(|realisation| realisation.1);
    all
}

/// The profile of a visitor who did these things, with so many minutes kept of each trait.
fn profile<'r>(realisations: impl Iterator<Item = &'r Realisation>, minutes_kept: usize) -> Profile {
    let minutes_kept = minutes_kept as u8;
    let info = TraitInfo { account: AccountIndex(0), ttl_days: 0, window_days: u16::MAX, minutes_kept };
    let mut profile = Profile::new();
    for &(id, minute, _) in realisations {
        profile.realise(&[id], |_| info, (minute / MINUTES_PER_DAY) as u16, minute);
    }
    profile
}

/// Device, person, and one profile for both.
fn profiles(realisations: &[Realisation], minutes_kept: usize) -> [Profile; 3] {
    let of = |signed_in: bool| profile(realisations.iter().filter(|one| one.2 == signed_in), minutes_kept);
    [of(false), of(true), profile(realisations.iter(), minutes_kept)]
}

fn evaluate(program: &Program, history: History<'_>, now: Minute) -> Vec<SegmentId> {
    let mut segments = Vec::new();
    program.evaluate(history, at_minute(now), &mut program.scratch(), &mut segments);
    segments
}

#[test]
fn joined_histories_are_those_of_one_profile_that_did_it_all() {
    let mut random = Random(SEED);
    let (mut memberships, mut only_joint) = (0, 0);
    let mut joint = JointHistory::new();
    for _ in 0..400 {
        let rules: Vec<SegmentRule> = (0..8)
            .map(|id| rule(id, &expression(&mut random, 3)))
            .filter(|rule| Program::compile(std::slice::from_ref(rule), &|_| true).is_ok())
            .collect();
        let program = Program::compile(&rules, &|_| true).unwrap();
        for _ in 0..4 {
            let realisations = realisations(&mut random, TRAITS, 8);
            let now = (TODAY * 1_440 + 1_440 + random.below(1_440)) as Minute;
            let [device, person, both] = profiles(&realisations, MINUTES_PER_TRAIT_MAX);
            let joined = joint.join(device.history(), person.history());
            let found = evaluate(&program, joined, now);
            let expected =
                |rule: &&SegmentRule| oracle::is_in(&parser::parse(&rule.expression).unwrap(), both.history(), now);
            let expected: Vec<SegmentId> = rules.iter().filter(expected).map(|rule| rule.id).collect();
            assert_eq!(found, expected, "{rules:#?} {realisations:?} {now}");
            memberships += found.len();
            let apart = [evaluate(&program, device.history(), now), evaluate(&program, person.history(), now)].concat();
            only_joint += found.iter().filter(|id| !apart.contains(id)).count();
        }
    }
    assert!(memberships > 1_000 && only_joint > 100, "{memberships} {only_joint}");
}

/// With no more minutes kept than windows need, windows that end now are exact, and those that ended some time ago
/// never count what came later.
#[test]
fn minutes_that_are_not_kept_do_no_harm() {
    let mut random = Random(SEED + 1);
    let (mut exact, mut late) = (0, 0);
    let mut joint = JointHistory::new();
    for _ in 0..4_000 {
        let needed = 1 + random.below(4);
        let age = format!("{}M", 1 + random.below(3_000));
        let rules = [
            rule(1, &format!("FREQUENCY([0T,1T] <= {age}) >= {needed}")),
            rule(2, &format!("FREQUENCY([0T,1T] >= {age}) >= {needed}")),
        ];
        let program = Program::compile(&rules, &|_| true).unwrap();
        let realisations = realisations(&mut random, 2, 2);
        let now = (TODAY * 1_440 + 1_440 + random.below(1_440)) as Minute;
        let [device, person, _] = profiles(&realisations, needed as usize);
        let found = evaluate(&program, joint.join(device.history(), person.history()), now);
        let [.., all] = profiles(&realisations, MINUTES_PER_TRAIT_MAX);
        let truth = evaluate(&program, all.history(), now);
        let has = |list: &[SegmentId], id| list.contains(&SegmentId(id));
        assert_eq!(has(&found, 1), has(&truth, 1), "{rules:?} {realisations:?} {now}");
        assert!(!has(&found, 2) || has(&truth, 2), "{rules:?} {realisations:?} {now}");
        exact += usize::from(has(&truth, 1));
        late += usize::from(has(&found, 2));
    }
    assert!(exact > 500 && late > 500, "{exact} {late}");
}
