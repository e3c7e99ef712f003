//! Random calls of one visitor against the evaluator in full: whatever happened, her segments are those that her
//! history makes, and nothing changes before the minute that the record names.

use super::*;
use crate::clock::Day;
use crate::identity::{Secret, Uuid};
use crate::ids::TraitId;
use crate::limits::{CHANGED_TRAITS_MAX, PROFILE_ENTRIES_MAX, PROFILE_SEGMENTS_MAX};
use crate::profile::table::BUDGET_BYTES_MIN;
use crate::profile::{ProfileTable, TraitInfo};
use crate::segments::SegmentRule;

const SEED: u64 = 0x91_ace5;
/// Of each of two accounts.
const TRAITS: u64 = 8;
const TODAY: u64 = 20_000;
const MINUTES_PER_DAY: u64 = 24 * 60;

/// Xorshift: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn choice(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// One account's part of a ruleset, as a shard holds it.
struct Account {
    program: Program,
    scratch: ProgramScratch,
    ids: Vec<SegmentId>,
}

/// A ruleset of two accounts: account `n` has the traits `n * 100 ..` and the segments `n * 1000 ..`.
struct Rules {
    epoch: u32,
    accounts: Vec<Account>,
    traits: TraitCatalog,
}

fn trait_id(random: &mut Random, account: u64) -> u64 {
    account * 100 + random.below(TRAITS)
}

fn term(random: &mut Random, account: u64) -> String {
    let list: Vec<String> = (0..=random.below(3)).map(|_| format!("{}T", trait_id(random, account))).collect();
    let list = list.join(",");
    let unit = random.choice(&["D", "D", "D", "H", "M"]);
    let length = 1 + random.below(if unit == "M" { 200 } else { 5 });
    let age = format!("{} {length}{unit}", random.choice(&["<=", ">="]));
    match random.below(4) {
        0 => format!("{}T", trait_id(random, account)),
        1 => format!("[{list}] {age}"),
        2 => format!("FREQUENCY([{list}]) {} {}", random.choice(&[">=", "<=", "==", ">", "<"]), random.below(6)),
        _ => format!("FREQUENCY([{list}] {age}) {} {}", random.choice(&[">=", "<", "=="]), 1 + random.below(4)),
    }
}

fn expression(random: &mut Random, account: u64, depth: u32) -> String {
    if depth == 0 || random.below(3) == 0 {
        return term(random, account);
    }
    let part = expression(random, account, depth - 1);
    match random.below(4) {
        0 => format!("({part}) OR {}", expression(random, account, depth - 1)),
        1 => format!("({part}) AND NOT ({})", expression(random, account, depth - 1)),
        _ => format!("({part}) AND ({})", expression(random, account, depth - 1)),
    }
}

fn rules(random: &mut Random, epoch: u32) -> Rules {
    let accounts: Vec<Account> = (0..2)
        .map(|account| {
            let rule =
                |number: u64, expression| SegmentRule { id: SegmentId((account * 1000 + number) as u32), expression };
            let rules: Vec<SegmentRule> = (0..12)
                .map(|number| rule(number, expression(random, account, 2)))
                .filter(|rule| Program::compile(std::slice::from_ref(rule), &|_| true).is_ok())
                .collect();
            let program = Program::compile(&rules, &|_| true).unwrap();
            Account { scratch: program.scratch(), ids: rules.iter().map(|rule| rule.id).collect(), program }
        })
        .collect();
    let info = |account: usize, id: u32, ttl_days: u64| {
        let window = accounts[account].program.windows().iter().find(|window| window.trait_id.0 == id).copied();
        let window = window.unwrap_or_default();
        let (window_days, minutes_kept) = (window.days, window.minutes_kept);
        (
            TraitId(id),
            TraitInfo { account: AccountIndex(account as u16), ttl_days: ttl_days as u16, window_days, minutes_kept },
        )
    };
    let mut traits = Vec::new();
    for account in 0..2 {
        // The last one is unknown to this ruleset.
        (0..TRAITS as u32 - 1).for_each(|id| traits.push(info(account, account as u32 * 100 + id, random.below(9))));
    }
    Rules { epoch, traits: TraitCatalog::new(traits), accounts }
}

fn at(minute: u64) -> Now {
    Now { mono_ns: 0, wall_ms: minute * 60_000 + 1 }
}

/// What evaluating in full says.
fn in_full(account: &Account, profile: &Profile, now: Now) -> Vec<SegmentId> {
    let mut segments = Vec::new();
    account.program.evaluate(profile.history(), now, &mut account.program.scratch(), &mut segments);
    segments
}

struct Visitor {
    table: ProfileTable,
    profile: Profile,
    lists: [Vec<SegmentId>; 3],
    /// Evaluated in part.
    partly: usize,
}

impl Visitor {
    fn new() -> Visitor {
        let table = ProfileTable::new(BUDGET_BYTES_MIN, Secret::from_bytes([3; 32]).table_hash());
        Visitor { table, profile: Profile::new(), lists: Default::default(), partly: 0 }
    }

    fn load(&mut self) {
        self.table.load(Uuid::from_bits(1, 2), &mut self.profile);
    }

    fn store(&mut self, now: Now) {
        self.table.store(&self.profile, now.minute());
    }

    /// As a shard does it, the other account first when some segment's time has come, and then compared with
    /// evaluating in full.
    fn place(&mut self, rules: &mut Rules, index: usize, now: Now) {
        if self.profile.next_change <= now.minute() {
            self.profile.forget_placed();
            self.place_account(rules, 1 - index, now);
        }
        self.place_account(rules, index, now);
    }

    fn place_account(&mut self, rules: &mut Rules, index: usize, now: Now) {
        let before = self.profile.segments().to_vec();
        let Rules { epoch, accounts, traits } = rules;
        let account = &mut accounts[index];
        let placing = Placing {
            epoch: *epoch,
            account: AccountIndex(index as u16),
            has_others: true,
            program: &account.program,
            traits,
        };
        self.partly += usize::from(self.profile.changes_for(placing.account, placing.epoch, now.minute()).is_some());
        let [segments, entered, left] = &mut self.lists;
        let mut placed = Placed { segments, entered, left };
        let is_own = |id: SegmentId| id.0 / 1000 == index as u32;
        placing.place(now, is_own, &mut self.profile, &mut account.scratch, &mut placed);

        let expected = in_full(account, &self.profile, now);
        let (entered, left) = (entered.clone(), left.clone());
        assert_eq!(*segments, expected);
        let of_account: Vec<_> = self.profile.segments().iter().copied().filter(|id| is_own(*id)).collect();
        assert_eq!(of_account, expected);
        assert!(account.ids.len() >= expected.len());
        let after = self.profile.segments();
        assert_eq!(entered, after.iter().copied().filter(|id| !before.contains(id)).collect::<Vec<_>>());
        assert_eq!(left, before.iter().copied().filter(|id| !after.contains(id)).collect::<Vec<_>>());
        // Until the next change nothing changes by itself.
        for step in 1..30u64 {
            let later = u64::from(now.minute()) + step * step * 7;
            if later < self.profile.next_change.into() {
                assert_eq!(in_full(account, &self.profile, at(later)), expected, "{now:?} {later}");
            }
        }
        if let Some(until) = self.profile.next_change.checked_sub(1)
            && self.profile.next_change != Minute::MAX
            && until > now.minute()
        {
            assert_eq!(in_full(account, &self.profile, at(until.into())), expected, "{now:?} {until}");
        }
    }

    fn realise(&mut self, random: &mut Random, rules: &Rules, account: u64, now: Now) {
        for _ in 0..random.below(4) {
            let id = TraitId(trait_id(random, account) as u32);
            self.profile.realise(&[id], |id| rules.traits.keeping(id), now.day(), now.minute());
        }
    }
}

#[test]
fn whatever_happens_segments_are_those_of_the_history() {
    let mut random = Random(SEED);
    let (mut partly, mut placed, mut moved) = (0, 0, 0);
    for _ in 0..150 {
        let mut visitor = Visitor::new();
        let mut ruleset = rules(&mut random, 1);
        let mut minute = TODAY * MINUTES_PER_DAY + random.below(MINUTES_PER_DAY);
        for _ in 0..80 {
            minute += match random.below(12) {
                0 => random.below(5 * MINUTES_PER_DAY),
                1 => MINUTES_PER_DAY - minute % MINUTES_PER_DAY,
                2..4 => random.below(200),
                _ => random.below(3),
            };
            let now = at(minute);
            let account = u64::from(random.below(12) == 0);
            if random.below(60) == 0 {
                ruleset = rules(&mut random, ruleset.epoch + 1);
            }
            visitor.load();
            visitor.profile.tend(now.day(), ruleset.epoch, &ruleset.traits);
            match random.below(20) {
                // The sweeper, or a call of nobody's: it changes no trait.
                0 => {
                    visitor.profile.forget_placed();
                    (0..2).for_each(|account| visitor.place(&mut ruleset, account, now));
                }
                // A late answer of a partner that takes back what it said.
                1..3 => {
                    visitor.profile.drop_trait(TraitId(trait_id(&mut random, account) as u32));
                    visitor.realise(&mut random, &ruleset, account, now);
                    visitor.place(&mut ruleset, account as usize, now);
                }
                // A visit is stored while it waits for partners, having realised nothing yet or (a trait that two
                // accounts share) something that nobody evaluated.
                3 => {
                    visitor.realise(&mut random, &ruleset, account, now);
                    visitor.store(now);
                    visitor.load();
                    visitor.place(&mut ruleset, account as usize, now);
                }
                _ => {
                    visitor.profile.last_seen = now.minute();
                    visitor.realise(&mut random, &ruleset, account, now);
                    visitor.place(&mut ruleset, account as usize, now);
                }
            }
            placed += 1;
            moved += visitor.lists[1].len() + visitor.lists[2].len();
            visitor.store(now);
        }
        partly += visitor.partly;
    }
    // The property means something only when each of these happens often.
    assert!(partly > 2_000 && placed - partly > 2_000 && moved > 3_000, "{partly} {placed} {moved}");
}

/// A profile that is full drops other traits than the one realised; many changes at once are not noted one by one.
#[test]
fn full_profiles_and_many_changes_are_placed_rightly() {
    let ids = 0..PROFILE_ENTRIES_MAX as u32 + 40;
    let expressions: Vec<SegmentRule> = ids
        .clone()
        .step_by(7)
        .map(|id| SegmentRule { id: SegmentId(id), expression: format!("{id}T AND NOT {}T", id + 1) })
        .collect();
    let program = Program::compile(&expressions, &|_| true).unwrap();
    let traits = TraitCatalog::new([]);
    let mut ruleset = Rules {
        epoch: 1,
        accounts: vec![Account { scratch: program.scratch(), ids: ids.clone().map(SegmentId).collect(), program }],
        traits,
    };
    let mut visitor = Visitor::new();
    let now = at(TODAY * MINUTES_PER_DAY);
    let mut random = Random(SEED + 1);
    for (call, count) in [4_000, 3, 90, 40, CHANGED_TRAITS_MAX as u64 + 9, 20, 30, 5].into_iter().enumerate() {
        visitor.load();
        visitor.profile.tend(now.day(), 1, &ruleset.traits);
        for _ in 0..count {
            let id = TraitId(random.below(ids.end.into()) as u32);
            visitor.profile.realise(
                &[id],
                |id| ruleset.traits.keeping(id),
                now.day() - (call == 0) as Day,
                now.minute(),
            );
        }
        let changed = visitor.profile.changes_for(AccountIndex(0), 1, now.minute());
        assert_eq!(changed.is_some(), call > 0 && count < CHANGED_TRAITS_MAX as u64, "{call}");
        let is_first = |id: SegmentId| id.0 < 1_000_000;
        place_one(&mut visitor, &mut ruleset, now, is_first);
        visitor.store(now);
    }
}

fn place_one(visitor: &mut Visitor, rules: &mut Rules, now: Now, is_own: impl Fn(SegmentId) -> bool) {
    let account = &mut rules.accounts[0];
    let placing = Placing {
        epoch: rules.epoch,
        account: AccountIndex(0),
        has_others: false,
        program: &account.program,
        traits: &rules.traits,
    };
    let [segments, entered, left] = &mut visitor.lists;
    let mut placed = Placed { segments, entered, left };
    placing.place(now, is_own, &mut visitor.profile, &mut account.scratch, &mut placed);
    let mut expected = in_full(account, &visitor.profile, now);
    assert_eq!(visitor.lists[0], expected);
    expected.truncate(PROFILE_SEGMENTS_MAX);
    assert_eq!(visitor.profile.segments(), expected);
}

/// Who is in more segments than a profile holds is evaluated in full until it is otherwise.
#[test]
fn segments_beyond_the_limit_are_found_when_there_is_room() {
    let rule = |id: u32| SegmentRule { id: SegmentId(id), expression: format!("{}T", id / 100) };
    let expressions: Vec<SegmentRule> = (0..PROFILE_SEGMENTS_MAX as u32 + 300).map(rule).collect();
    let program = Program::compile(&expressions, &|_| true).unwrap();
    let mut ruleset = Rules {
        epoch: 1,
        accounts: vec![Account { scratch: program.scratch(), ids: Vec::new(), program }],
        traits: TraitCatalog::new([]),
    };
    let mut visitor = Visitor::new();
    let now = at(TODAY * MINUTES_PER_DAY);
    visitor.load();
    visitor.profile.tend(now.day(), 1, &ruleset.traits);
    for id in 0..=(PROFILE_SEGMENTS_MAX as u32 + 300) / 100 {
        let id = TraitId(id);
        visitor.profile.realise(&[id], |id| ruleset.traits.keeping(id), now.day(), now.minute());
    }
    place_one(&mut visitor, &mut ruleset, now, |_| true);
    for dropped in [0, 1, 2, 3, 4, 5] {
        visitor.profile.drop_trait(TraitId(dropped));
        place_one(&mut visitor, &mut ruleset, now, |_| true);
    }
    assert!(visitor.profile.segments().len() < PROFILE_SEGMENTS_MAX);
}
