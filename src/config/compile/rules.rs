//! An account's traits, derived signals and segments.

use ahash::AHashMap;
use toml::Spanned;

use super::super::file::{self, File};
use super::super::reader::Faults;
use super::{Places, folders};
use crate::ids::{AccountIndex, DataSourceId, SegmentId, TraitId};
use crate::limits::TRAIT_TTL_DAYS_DEFAULT;
use crate::profile::catalog::{TraitCatalog, TraitInfo};
use crate::rules::{DerivedSignal, Matcher, MatcherOptions, TraitRule};
use crate::ruleset::{MergeRule, MergedPerson, MergedProgram};
use crate::segments::{Folders, Program, SegmentRule};

/// The file's tables by account.
pub(in crate::config) struct Grouped<'f> {
    pub(in crate::config) accounts: Vec<Group<'f>>,
    /// Traits whose data source leads nowhere, ascending: they were told, and what names them is not.
    pub(super) lost: Vec<TraitId>,
}

/// One account's, in the order of the file.
#[derive(Default)]
pub(in crate::config) struct Group<'f> {
    pub(in crate::config) traits: Vec<&'f file::Trait>,
    /// Traits that stand for others: nothing realises them, so they are none of `traits`.
    pub(super) folders: Vec<&'f file::Trait>,
    pub(super) segments: Vec<&'f file::Segment>,
    pub(super) derived_signals: Vec<&'f file::DerivedSignal>,
    pub(super) destinations: Vec<&'f file::Destination>,
    pub(super) id_syncs: Vec<&'f file::IdSync>,
}

impl<'f> Grouped<'f> {
    pub(in crate::config) fn new(file: &'f File, places: &Places<'_>) -> Grouped<'f> {
        let mut accounts: Vec<Group<'f>> = file.accounts.iter().map(|_| Group::default()).collect();
        let mut with = |account: Option<AccountIndex>, add: &dyn Fn(&mut Group<'f>)| {
            if let Some(account) = account {
                add(&mut accounts[usize::from(account.0)]);
            }
        };
        let mut lost = Vec::new();
        for entry in &file.traits {
            if places.owner(&entry.data_source).is_none() {
                lost.push(TraitId(*entry.id.get_ref()));
            }
            with(places.owner(&entry.data_source), &|group| match entry.children {
                None => group.traits.push(entry),
                Some(_) => group.folders.push(entry),
            });
        }
        for entry in &file.segments {
            with(places.account(&entry.account), &|group| group.segments.push(entry));
        }
        for entry in &file.derived_signals {
            with(places.account(&entry.account), &|group| group.derived_signals.push(entry));
        }
        for entry in &file.destinations {
            with(places.account(&entry.account), &|group| group.destinations.push(entry));
        }
        for entry in &file.id_syncs {
            with(places.owner(&entry.data_source), &|group| group.id_syncs.push(entry));
        }
        lost.sort_unstable();
        Grouped { accounts, lost }
    }
}

#[derive(Debug)]
pub(super) struct AccountRules {
    pub(super) matcher: Matcher,
    pub(super) program: Program,
    pub(super) merged: Box<[MergedProgram]>,
    pub(super) segments: Box<[(SegmentId, u32)]>,
}

pub(super) fn compile(
    account: &file::Account,
    group: &Group<'_>,
    lost: &[TraitId],
    faults: &mut Faults<'_>,
) -> Option<AccountRules> {
    let mut traits: Vec<TraitId> = group.traits.iter().map(|entry| TraitId(*entry.id.get_ref())).collect();
    traits.sort_unstable();
    let options = MatcherOptions { case_insensitive_values: account.case_insensitive_values };
    let (folders, foldered) = folders::compile(group, faults);
    let is_told = |id: TraitId| lost.binary_search(&id).is_ok() || foldered.contains(&id);
    let is_trait = |id: TraitId| traits.binary_search(&id).is_ok() || is_told(id);
    let matcher = compile_matcher(group, options, faults);
    let program = compile_program(group, file::MergeRule::Device, &is_trait, &folders, faults);
    let merged: Vec<Option<MergedProgram>> = MERGE_RULES
        .iter()
        .filter(|(written, _)| group.segments.iter().any(|segment| segment.merge_rule == *written))
        .map(|&(written, rule)| {
            Some(MergedProgram { rule, program: compile_program(group, written, &is_trait, &folders, faults)? })
        })
        .collect();
    let mut segments: Vec<(SegmentId, u32)> = group.segments.iter().map(|entry| segment_ids(entry)).collect();
    segments.sort_unstable();
    Some(AccountRules {
        matcher: matcher?,
        program: program?,
        merged: merged.into_iter().collect::<Option<_>>()?,
        segments: segments.into(),
    })
}

const MERGE_RULES: [(file::MergeRule, MergeRule); 4] = [
    (file::MergeRule::CurrentAuthenticated, MergeRule { person: MergedPerson::Current, with_device: false }),
    (file::MergeRule::CurrentAuthenticatedAndDevice, MergeRule { person: MergedPerson::Current, with_device: true }),
    (file::MergeRule::LastAuthenticated, MergeRule { person: MergedPerson::Last, with_device: false }),
    (file::MergeRule::LastAuthenticatedAndDevice, MergeRule { person: MergedPerson::Last, with_device: true }),
];

/// A segment that had no life before this server is called by its one id everywhere.
fn segment_ids(entry: &file::Segment) -> (SegmentId, u32) {
    let id = *entry.id.get_ref();
    (SegmentId(id), entry.legacy_id.as_ref().map_or(id, |legacy| *legacy.get_ref()))
}

/// The expressions of the rule-based traits, in the order in which the matcher is given them.
pub(in crate::config) fn expressions<'g, 'f>(
    group: &'g Group<'f>,
) -> impl Iterator<Item = (&'f file::Trait, &'f Spanned<String>)> + use<'g, 'f> {
    group.traits.iter().filter_map(|entry| Some((*entry, entry.expression.as_ref()?)))
}

fn compile_matcher(group: &Group<'_>, options: MatcherOptions, faults: &mut Faults<'_>) -> Option<Matcher> {
    let rules: Vec<TraitRule> = expressions(group)
        .map(|(entry, expression)| TraitRule {
            id: TraitId(*entry.id.get_ref()),
            data_source: DataSourceId(*entry.data_source.get_ref()),
            expression: expression.get_ref().clone(),
        })
        .collect();
    let derived: Vec<DerivedSignal> = group
        .derived_signals
        .iter()
        .map(|entry| DerivedSignal {
            source_key: entry.source_key.get_ref().clone(),
            source_value: entry.source_value.get_ref().clone(),
            target_key: entry.target_key.get_ref().clone(),
            target_value: entry.target_value.get_ref().clone(),
        })
        .collect();
    let found = match Matcher::compile(&rules, &derived, options) {
        Ok(matcher) => return Some(matcher),
        Err(found) => found,
    };
    let texts: Vec<&Spanned<String>> = expressions(group).map(|(_, expression)| expression).collect();
    found.iter().for_each(|(rule, diagnostic)| faults.add_diagnostic(texts[*rule], diagnostic));
    None
}

fn compile_program(
    group: &Group<'_>,
    merge_rule: file::MergeRule,
    is_trait: &dyn Fn(TraitId) -> bool,
    folders: &Folders,
    faults: &mut Faults<'_>,
) -> Option<Program> {
    let entries: Vec<&file::Segment> =
        group.segments.iter().copied().filter(|entry| entry.merge_rule == merge_rule).collect();
    let rules: Vec<SegmentRule> = entries
        .iter()
        .map(|entry| SegmentRule { id: SegmentId(*entry.id.get_ref()), expression: entry.expression.get_ref().clone() })
        .collect();
    let found = match Program::compile_with(&rules, is_trait, folders) {
        Ok(program) => return Some(program),
        Err(found) => found,
    };
    found.iter().for_each(|(rule, diagnostic)| faults.add_diagnostic(&entries[*rule].expression, diagnostic));
    None
}

/// How each trait is kept: as long as its own ttl says, in as much detail as the most demanding segment asks.
pub(super) fn catalog(grouped: &Grouped<'_>, rules: &[AccountRules]) -> TraitCatalog {
    let mut windows: AHashMap<TraitId, (u16, u8)> = AHashMap::new();
    for account in rules {
        let programs = std::iter::once(&account.program).chain(account.merged.iter().map(|merged| &merged.program));
        for window in programs.flat_map(Program::windows) {
            let (days, minutes) = windows.entry(window.trait_id).or_default();
            *days = (*days).max(window.days);
            *minutes = (*minutes).max(window.minutes_kept);
        }
    }
    let traits = grouped.accounts.iter().enumerate().flat_map(|(account, group)| {
        let account = AccountIndex(account as u16);
        group.traits.iter().map(move |entry| (account, *entry))
    });
    TraitCatalog::new(traits.map(|(account, entry)| {
        let id = TraitId(*entry.id.get_ref());
        let ttl_days = entry.ttl_days.as_ref().map_or(TRAIT_TTL_DAYS_DEFAULT, |days| *days.get_ref());
        let (window_days, minutes_kept) = windows.get(&id).copied().unwrap_or_default();
        (id, TraitInfo { account, ttl_days, window_days, minutes_kept })
    }))
}
