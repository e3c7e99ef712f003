//! Folders: what they come to, what they may not be, and random ones against the naive evaluator.

use super::super::{oracle, parser};
use super::properties::{Random, TODAY, TRAITS, expression, visitor};
use super::*;
use crate::limits::{FOLDER_LEVELS_MAX, FOLDER_TRAITS_MAX};

const SEED: u64 = 0x0f01_de25;
/// The first of eight folders, above all traits.
const FIRST: u32 = 100;

type Tree = Vec<(TraitId, Vec<TraitId>)>;

fn tree(folders: &[(u32, &[u32])]) -> Tree {
    folders.iter().map(|(id, children)| (TraitId(*id), children.iter().copied().map(TraitId).collect())).collect()
}

/// Folders of traits and of folders with higher numbers; not all trees are taken.
fn random_tree(random: &mut Random) -> Tree {
    let folder = |id: u32, random: &mut Random| {
        let children = (0..=random.below(3)).map(|_| match random.below(2) {
            0 if id < FIRST + 7 => id + 1 + random.below(u64::from(FIRST + 7 - id)) as u32,
            _ => random.below(TRAITS) as u32,
        });
        (TraitId(id), children.map(TraitId).collect())
    };
    (FIRST..FIRST + 8).map(|id| folder(id, random)).collect()
}

/// An expression in which some traits are folders instead.
fn with_folders(text: &str, random: &mut Random) -> String {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_trait = character.is_ascii_digit() && characters.peek() == Some(&'T');
        match is_trait && random.below(2) == 0 {
            true => out.push_str(&(u64::from(FIRST) + random.below(8)).to_string()),
            false => out.push(character),
        }
    }
    out
}

#[test]
fn programs_with_folders_agree_with_the_naive_evaluator() {
    let mut random = Random(SEED);
    let (mut found, mut named) = (0, 0);
    for _ in 0..600 {
        let tree = random_tree(&mut random);
        let Ok(folders) = Folders::compile(&tree) else { continue };
        let compile = |rules: &[SegmentRule]| Program::compile_with(rules, &|id| u64::from(id.0) < TRAITS, &folders);
        let texts: Vec<String> = (0..8).map(|_| expression(&mut random, 3)).collect();
        let rules: Vec<SegmentRule> = texts
            .iter()
            .enumerate()
            .map(|(id, text)| rule(id as u32, &with_folders(text, &mut random)))
            .filter(|rule| compile(std::slice::from_ref(rule)).is_ok())
            .collect();
        let program = compile(&rules).unwrap();
        let mut scratch = program.scratch();
        for _ in 0..4 {
            let visitor = visitor(&mut random, 5);
            let now = (TODAY * 1_440 + random.below(1_440)) as Minute;
            let mut segments = Vec::new();
            program.evaluate(visitor.history(), at_minute(now), &mut scratch, &mut segments);
            let is_in = |rule: &&SegmentRule| {
                let expression = parser::parse(&rule.expression).unwrap();
                oracle::is_in_with(&expression, &tree, visitor.history(), now)
            };
            let expected: Vec<SegmentId> = rules.iter().filter(is_in).map(|rule| rule.id).collect();
            assert_eq!(segments, expected, "{tree:?} {rules:#?} {visitor:?} {now}");
            found += segments.len();
            let has_folder =
                |id: &&SegmentId| rules.iter().any(|rule| rule.id == **id && rule.expression.contains("10"));
            named += segments.iter().filter(has_folder).count();
        }
    }
    assert!(found > 1_000 && named > 500, "{found} {named}");
}

#[test]
fn a_trait_counts_once_however_often_a_list_reaches_it() {
    let folders = Folders::compile(&tree(&[(9, &[1, 2]), (8, &[9, 2, 3]), (7, &[8])])).unwrap();
    assert!(folders.contains(TraitId(7)) && !folders.contains(TraitId(1)));
    let is_in = |expression: &str, realised: &[(u32, u16, u16)]| {
        let rules = [rule(1, expression)];
        let program = Program::compile_with(&rules, &|id| id.0 <= 3, &folders).unwrap();
        let mut visitor = Visitor::default();
        realised.iter().for_each(|&(id, days_ago, count)| visitor.realise(id, 1_000 - days_ago, count));
        let mut segments = Vec::new();
        program.evaluate(visitor.history(), at_minute(1_000 * MINUTES_PER_DAY), &mut program.scratch(), &mut segments);
        !segments.is_empty()
    };
    assert!(is_in("7T", &[(2, 300, 1)]) && !is_in("9T", &[(3, 0, 1)]));
    assert!(is_in("FREQUENCY([7T,9T,2T]) == 6", &[(1, 9, 1), (2, 5, 2), (3, 0, 3)]));
    assert!(is_in("[8T] <= 5D", &[(1, 9, 1), (2, 5, 1)]) && !is_in("[9T] <= 5D", &[(1, 9, 1), (3, 0, 1)]));
    assert!(is_in("3T NOT 9T", &[(3, 0, 1)]) && !is_in("3T NOT 9T", &[(3, 0, 1), (1, 90, 1)]));
    let rejected = Program::compile_with(&[rule(1, "1T AND NOT 8T")], &|id| id.0 <= 3, &folders).unwrap_err();
    assert_eq!(rejected[0].1.message, "this can never be true");
}

#[test]
fn what_no_folder_may_be() {
    use FolderFaultKind::{Circular, TooDeep, TooLarge};
    let faults = |folders: &[(u32, &[u32])]| match Folders::compile(&tree(folders)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| (fault.folder, fault.child, fault.kind)).collect(),
    };
    assert_eq!(faults(&[(9, &[1, 9])]), [(0, 1, Circular)]);
    assert_eq!(faults(&[(9, &[1, 8]), (8, &[7]), (7, &[2, 3, 9]), (6, &[8])]), [(2, 2, Circular)]);
    let levels: [(u32, &[u32]); 6] = [(9, &[8]), (8, &[7]), (7, &[6]), (6, &[5]), (5, &[1]), (10, &[2, 9])];
    assert_eq!(FOLDER_LEVELS_MAX, 5);
    assert_eq!(faults(&levels[..5]), []);
    assert_eq!(faults(&levels), [(5, 1, TooDeep)]);
    let mut downwards = levels;
    downwards.rotate_right(1);
    assert_eq!(faults(&downwards), [(4, 0, TooDeep)]);
    let half: Vec<u32> = (1_000..1_000 + FOLDER_TRAITS_MAX as u32 / 2).collect();
    let other: Vec<u32> = half.iter().map(|id| id + 100_000).collect();
    assert_eq!(faults(&[(1, &half), (2, &other), (3, &[1, 2])]), []);
    assert_eq!(faults(&[(1, &half), (2, &other), (3, &[1, 4, 2]), (5, &[3])]), [(2, 2, TooLarge)]);
}
