//! What a call comes to: rules over its signals and over what partners said, traits into a profile, segments from that.

use super::Shard;
use super::place::{Placed, Placing};
use super::prepare::Prepared;
use crate::clock::Now;
use crate::event::call::TraitSource;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::ids::{AccountIndex, DataSourceId, Signal, TraitId};
use crate::partner::settings::Mode;
use crate::profile::{PartnerState, Profile};
use crate::ruleset::Ruleset;

impl Shard {
    /// Evaluates the account's rules over this call; leaves the traits that the call realises in `self.realised`.
    pub(super) fn evaluate(&mut self, now: Now, prepared: &Prepared<'_>, profile: &Profile, answered: u64) -> ErrorSet {
        let (rules, account, call) = (prepared.rules, prepared.account, &prepared.call);
        let mut errors = ErrorSet::default();
        let mut signals = emptied(std::mem::take(&mut self.signals));
        signals.extend_from_slice(&call.signals);
        let unix_s = (now.wall_ms / 1000) as u32;
        for &index in &account.partners {
            let partner = &rules.partners[index.0 as usize];
            // Who waits for the unknown only lives with what is stale until the partner has said something new.
            let counts = |state| match state {
                PartnerState::Fresh => true,
                PartnerState::Stale if partner.mode == Mode::WaitIfUnknown => true,
                _ => answered & (1 << index.0) != 0,
            };
            let Some(view) = profile.partner(partner.id).filter(|view| counts(view.state(unix_s))) else { continue };
            // What a partner said before it was made a shadow counts no more.
            if partner.shadow || !prepared.may_use(partner) {
                continue;
            }
            for signal in view.texts().filter_map(|text| partner.signal_of(text)) {
                if signals.len() == signals.capacity() {
                    errors.insert(ErrorCode::PartlyEvaluated);
                    break;
                }
                signals.push(signal);
            }
        }
        let scratch = &mut self.epochs.of(rules.epoch).scratch(prepared.account_index).matcher;
        let only = only_source(prepared);
        let outcome = account.matcher.evaluate(&signals, only, scratch, &mut self.realised);
        self.signals = emptied(signals);
        if outcome.truncated {
            errors.insert(ErrorCode::PartlyEvaluated);
        }
        self.metrics.totals.regexes_given_up.add(outcome.regexes_given_up.into());

        if !call.traits.is_empty() {
            rules.traits.fetch(&call.traits);
            let of_rules = self.realised.len();
            self.realised.extend(call.traits.iter().filter(|id| rules.owns_trait(prepared.account_index, **id)));
            let foreign = call.traits.len() - (self.realised.len() - of_rules);
            self.metrics.totals.traits_foreign.add(foreign as u64);
            self.realised.sort_unstable();
            self.realised.dedup();
        }
        errors
    }

    /// What partners caused was counted when their answers came; this call shows it as well.
    pub(super) fn show_partners_traits(&mut self, prepared: &Prepared<'_>, profile: &Profile, answered: u64) {
        traits_of_partners(prepared, profile, answered).for_each(|id| insert(&mut self.realised, id));
    }

    /// A call realises a trait once, however often it is named: one that an answer caused was counted with it.
    pub(super) fn leave_out_partners_traits(&mut self, prepared: &Prepared<'_>, profile: &Profile, answered: u64) {
        for id in traits_of_partners(prepared, profile, answered) {
            if let Ok(at) = self.realised.binary_search(&id) {
                self.realised.remove(at);
            }
        }
    }

    /// Counts in a profile what a call or an answer realised.
    pub(super) fn count_realised(&mut self, now: Now, rules: &Ruleset, profile: &mut Profile) {
        let totals = &self.metrics.totals;
        rules.traits.fetch(&self.realised);
        let info_of = |id| rules.traits.keeping(id);
        let realised = profile.realise(&self.realised, info_of, now.day(), now.minute());
        totals.traits_realised.add(self.realised.len() as u64);
        totals.counts_saturated.add(realised.saturated.into());
        totals.entries_dropped.add(realised.dropped_entries.into());
    }

    /// Forgets and folds what is due. How long things are kept is for the latest ruleset to say, also while a request
    /// that began with the one before is still under way.
    pub(super) fn tend(&self, now: Now, profile: &mut Profile) {
        let rules = &self.epochs.current.rules;
        profile.tend(now.day(), rules.epoch as u32, &rules.traits);
    }

    /// Finds the account's segments that the visitor is in now.
    pub(super) fn place(&mut self, now: Now, rules: &Ruleset, index: AccountIndex, profile: &mut Profile) {
        // Whose segment's time has come is not known. Until that is settled, which is the sweeper's work otherwise,
        // every call would evaluate in full.
        let has_come = profile.next_change <= now.minute() && rules.epoch == self.epochs.current.number();
        if has_come && rules.accounts.len() > 1 {
            profile.forget_placed();
            for other in (0..rules.accounts.len()).filter(|&other| other != usize::from(index.0)) {
                self.place_account(now, rules, AccountIndex(other as u16), profile);
            }
        }
        self.place_account(now, rules, index, profile);
    }

    pub(super) fn place_account(&mut self, now: Now, rules: &Ruleset, index: AccountIndex, profile: &mut Profile) {
        if now.minute() < self.placed_at {
            profile.set_placed(None);
        }
        self.placed_at = self.placed_at.max(now.minute());
        let account = &rules.accounts[index.0 as usize];
        let placing = Placing {
            epoch: rules.epoch as u32,
            account: index,
            has_others: rules.accounts.len() > 1,
            program: &account.program,
            traits: &rules.traits,
        };
        let scratch = &mut self.epochs.of(rules.epoch).scratch(index).program;
        let placed = &mut Placed { segments: &mut self.segments, entered: &mut self.entered, left: &mut self.left };
        placing.place(now, |segment| account.program.has_segment(segment), profile, scratch, placed);
        self.metrics.totals.segments_entered.add(self.entered.len() as u64);
        self.metrics.totals.segments_left.add(self.left.len() as u64);
    }
}

/// What those partners caused whose answers came while this call waited.
fn traits_of_partners(prepared: &Prepared<'_>, profile: &Profile, answered: u64) -> impl Iterator<Item = TraitId> {
    let asked = prepared.account.partners.iter().filter(move |index| answered & (1 << index.0) != 0);
    let partners = asked.map(|index| &prepared.rules.partners[index.0 as usize]).filter(|partner| !partner.shadow);
    partners.flat_map(|partner| {
        let texts = profile.partner(partner.id).into_iter().flat_map(|view| view.texts());
        texts.flat_map(|text| partner.traits_of(text).iter().copied())
    })
}

/// The data source to which the call restricts its traits. One that can't be read, or that nobody owns, matches none.
fn only_source(prepared: &Prepared<'_>) -> Option<DataSourceId> {
    const NONE: DataSourceId = DataSourceId(u32::MAX);
    prepared.call.trait_source.map(|source| match source {
        TraitSource::Id(id) => id,
        TraitSource::IntegrationCode(code) => {
            prepared.rules.integration_code(prepared.account_index, code).unwrap_or(NONE)
        }
        TraitSource::Unreadable => NONE,
    })
}

/// Keeps a list ascending, each once.
pub(super) fn insert(list: &mut Vec<TraitId>, id: TraitId) {
    if let Err(at) = list.binary_search(&id) {
        list.insert(at, id);
    }
}

/// The same memory for signals of another lifetime: collecting a `Vec`'s own iterator reuses its allocation.
fn emptied<'a>(mut signals: Vec<Signal<'_>>) -> Vec<Signal<'a>> {
    signals.clear();
    signals.into_iter().map(|_| unreachable!("the list was cleared")).collect()
}
