//! Random programs x random histories x random times.

use super::super::{lexer, oracle, parser};
use super::*;

const SEED: u64 = 0x5e67_3a11;
pub(super) const TRAITS: u64 = 6;
pub(super) const TODAY: u64 = 20_000;

/// Xorshift: small, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(super) fn choice<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

pub(super) fn expression(random: &mut Random, depth: u32) -> String {
    if depth == 0 || random.below(4) == 0 {
        return term(random);
    }
    match random.below(6) {
        0 => format!("NOT ({})", expression(random, depth - 1)),
        1 => format!("({} OR {})", expression(random, depth - 1), expression(random, depth - 1)),
        2 => format!("({}) NOT {}", expression(random, depth - 1), term(random)),
        3 => format!("{} or {}", term(random), expression(random, depth - 1)),
        _ => format!("({}) AND ({})", expression(random, depth - 1), expression(random, depth - 1)),
    }
}

fn term(random: &mut Random) -> String {
    let list = list(random);
    let age = age(random);
    match random.below(4) {
        0 => format!("{}T", random.below(TRAITS)),
        1 => format!("{list} {age}"),
        2 => format!("FREQUENCY({list}){}{}", random.choice(&[">=", "<=", "==", ">", "<"]), random.below(5)),
        _ => format!("frequency( {list} {age} ) {} {}", random.choice(&[">=", "<=", "==", ">", "<"]), random.below(5)),
    }
}

fn list(random: &mut Random) -> String {
    let members: Vec<String> = (0..=random.below(3)).map(|_| format!("{}T", random.below(TRAITS))).collect();
    format!("[{}]", members.join(","))
}

fn age(random: &mut Random) -> String {
    let length = match random.below(3) {
        0 => format!("{}D", 1 + random.below(6)),
        1 => format!("{}h", 1 + random.below(60)),
        _ => format!("{}M", 1 + random.below(3_000)),
    };
    format!("{} {length}", random.choice(&["<=", ">="]))
}

/// Mostly histories as profiles keep them; some with minutes or days that do not fit each other, or in the future.
pub(super) fn visitor(random: &mut Random, minutes_kept: usize) -> Visitor {
    let mut visitor = Visitor::default();
    for id in 0..TRAITS as u32 {
        if random.below(3) == 0 {
            continue;
        }
        for _ in 0..random.below(5) {
            let day = TODAY + 1 - random.below(10);
            match random.below(3) {
                0 => visitor.realise(id, day as u16, 1 + random.below(3) as u16),
                _ => visitor.realise_at(id, (day * 1_440 + random.below(1_440)) as Minute),
            }
        }
        let of_trait = visitor.minutes.iter().filter(|kept| kept.trait_id.0 == id).count();
        let mut surplus = of_trait.saturating_sub(minutes_kept);
        visitor.minutes.retain(|kept| {
            let drop = kept.trait_id.0 == id && surplus > 0;
            surplus -= usize::from(drop);
            !drop
        });
        if random.below(8) == 0 {
            visitor.entries.retain(|entry| entry.trait_id.0 != id || entry.day % 2 == 0);
        }
    }
    visitor
}

#[test]
fn programs_agree_with_the_naive_evaluator_until_the_minute_they_return() {
    let mut random = Random(SEED);
    let (mut memberships, mut changes, mut accepted_count) = (0, 0, 0);
    for _ in 0..400 {
        let rules: Vec<SegmentRule> = (0..8)
            .map(|id| rule(id, &expression(&mut random, 3)))
            .filter(|rule| Program::compile(std::slice::from_ref(rule), &|_| true).is_ok())
            .collect();
        accepted_count += rules.len();
        let program = Program::compile(&rules, &|_| true).unwrap();
        let mut scratch = program.scratch();
        for _ in 0..4 {
            let minutes_kept = 1 + random.below(5) as usize;
            let visitor = visitor(&mut random, minutes_kept);
            let now = (TODAY * 1_440 + random.below(1_440)) as Minute;
            let (is_change, found) = check_call(&rules, &program, &mut scratch, &visitor, now);
            changes += usize::from(is_change);
            memberships += found;
        }
    }
    // The property means something only when each of these happens often.
    assert!(accepted_count > 1_000 && memberships > 1_000 && changes > 500, "{accepted_count} {memberships} {changes}");
}

fn expected(rules: &[SegmentRule], visitor: &Visitor, now: Minute) -> Vec<SegmentId> {
    let is_in = |rule: &&SegmentRule| oracle::is_in(&parser::parse(&rule.expression).unwrap(), visitor.history(), now);
    rules.iter().filter(is_in).map(|rule| rule.id).collect()
}

fn check_call(
    rules: &[SegmentRule],
    program: &Program,
    scratch: &mut ProgramScratch,
    visitor: &Visitor,
    now: Minute,
) -> (bool, usize) {
    let mut segments = Vec::new();
    let change = program.evaluate(visitor.history(), at_minute(now), scratch, &mut segments);
    assert_eq!(segments, expected(rules, visitor, now), "{rules:#?} {visitor:?} {now}");
    assert!(change > now);
    for later in times_of_interest(visitor, now).into_iter().filter(|&later| later < change) {
        let then = expected(rules, visitor, later);
        assert_eq!(segments, then, "{rules:#?} {visitor:?} {now} {later} {change}");
    }
    (change != Minute::MAX, segments.len())
}

/// Some minutes of the next two weeks: all midnights and their neighbours, and a grid that hits most windows' ends.
fn times_of_interest(visitor: &Visitor, now: Minute) -> Vec<Minute> {
    let midnights = (0..14).map(|day| (now / MINUTES_PER_DAY + 1 + day) * MINUTES_PER_DAY);
    let mut times: Vec<Minute> = midnights.flat_map(|midnight| [midnight - 1, midnight, midnight + 1]).collect();
    times.extend((1..40).map(|step| now + step * step));
    for kept in &visitor.minutes {
        times.extend((1..=60).flat_map(|hours| [kept.minute + hours * 60, kept.minute + hours * 60 + 1]));
    }
    times.retain(|&time| time > now);
    times
}

/// With one windowed test there is nothing else that could change: the minute must be the very one.
#[test]
fn the_returned_minute_is_the_first_one_for_single_terms() {
    let mut random = Random(SEED + 1);
    let mut changes = 0;
    for _ in 0..4_000 {
        let single = [rule(1, &term(&mut random))];
        let Ok(program) = Program::compile(&single, &|_| true) else { continue };
        let visitor = visitor(&mut random, 3);
        let now = (TODAY * 1_440 + random.below(1_440)) as Minute;
        let mut segments = Vec::new();
        let change = program.evaluate(visitor.history(), at_minute(now), &mut program.scratch(), &mut segments);
        if change != Minute::MAX {
            changes += 1;
            assert_eq!(segments, expected(&single, &visitor, change - 1), "{single:?} {visitor:?} {now} {change}");
            assert_ne!(segments, expected(&single, &visitor, change), "{single:?} {visitor:?} {now} {change}");
        }
    }
    assert!(changes > 200, "{changes}");
}

#[test]
fn what_is_rejected_as_never_or_always_true_is_so() {
    let mut random = Random(SEED + 2);
    let (mut never, mut always) = (0, 0);
    for _ in 0..3_000 {
        let text = expression(&mut random, 2);
        let Err(faults) = Program::compile(&[rule(1, &text)], &|_| true) else { continue };
        let tree = parser::parse(&text).unwrap();
        let now = (TODAY * 1_440 + 720) as Minute;
        if faults[0].1.message.contains("never") {
            never += 1;
            for _ in 0..20 {
                // Days alone, so that no minute contradicts the day it fell on.
                let mut visitor = visitor(&mut random, 5);
                visitor.minutes.clear();
                assert!(!oracle::is_in(&tree, visitor.history(), now), "{text} {visitor:?}");
            }
        } else {
            always += 1;
            assert!(oracle::is_in(&tree, Visitor::default().history(), now), "{text}");
        }
    }
    assert!(never > 20 && always > 500, "{never} {always}");
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = [
        "1T",
        "2",
        "T",
        "(",
        ")",
        "[",
        "]",
        ",",
        "AND",
        "or",
        "Not",
        "FREQUENCY",
        ">=",
        "<=",
        "==",
        "=",
        "!=",
        "5D",
        "0H",
        " ",
        "\t",
        "é",
        "\u{0}",
        "99999999999999999999999T",
        "9M",
        "\"",
        "\\",
    ];
    let mut random = Random(SEED + 3);
    for _ in 0..5_000 {
        let text: String = (0..random.below(12)).map(|_| random.choice(&pieces)).collect();
        match lexer::tokens(&text).and_then(|_| parser::parse(&text)) {
            Ok(_) => {}
            Err(fault) => assert!(text.get(fault.span.clone()).is_some(), "{text:?} {fault:?}"),
        }
    }
}
