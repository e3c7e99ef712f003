//! A visitor's profile, flat: the working copy into which a shard loads a record.

use super::day_of;
use super::entries::{Arrival, Entries};
use super::history::{History, MinuteEntry};
use super::ids::{DeclaredId, Ids};
use super::partners::{PartnerOutcome, PartnerView, Partners};
use crate::clock::{Day, Minute};
use crate::identity::{AuthState, Uuid};
use crate::ids::{AccountIndex, DataSourceId, PartnerId, SegmentId, TraitId};
use crate::limits::{
    CHANGED_TRAITS_MAX, PROFILE_ENTRIES_MAX, PROFILE_IDS_KEPT_DAYS, PROFILE_MINUTES_MAX, PROFILE_SEGMENTS_MAX,
};

/// What is known of one visitor. All memory is taken by [`Profile::new`], for the largest profile there can be.
#[derive(Debug)]
pub struct Profile {
    pub uuid: Uuid,
    /// Free for the shard's use.
    pub flags: u8,
    pub last_seen: Minute,
    /// When segments can next change without a further call; `Minute::MAX`: never. The table's sweeper looks at it.
    pub next_change: Minute,
    pub(super) entries: Entries,
    /// Sorted by trait, then minute; alike when a trait was realised by two calls within a minute.
    pub(super) minutes: Vec<MinuteEntry>,
    /// Ascending; no two alike.
    pub(super) segments: Vec<SegmentId>,
    pub(super) ids: Ids,
    pub(super) partners: Partners,
    /// By which ruleset and when the entries were last looked at.
    pub(super) tended: Tended,
    /// The last day on which some trait is held. Too late at times, until `expire` has looked at every trait.
    pub(super) traits_until: Day,
    /// The first day on which one of the traits that were looked at is gone. Too early at times, likewise.
    pub(super) next_expiry: Day,
    /// Whether every trait was looked at for that; else only those that were realised since the record was loaded.
    pub(super) is_expiry_known: bool,
    /// Traits that came, were counted or went since segments were last evaluated.
    pub(super) changed: Vec<TraitId>,
    /// Whether there were more than fit.
    pub(super) is_changed_beyond: bool,
    /// Traits that are not among the entries yet.
    pub(super) arrivals: Vec<Arrival>,
    /// Where segments are merged.
    merged: Vec<SegmentId>,
}

/// By which ruleset and when all of a profile's entries were last looked at: what has expired is gone, what is old is
/// folded, so that the same ruleset need not look again on the same day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tended {
    /// The ruleset's number; 0: none.
    pub epoch: u32,
    pub day: Day,
    /// The account whose segments stand in the profile as that ruleset has them, until `next_change` or until traits
    /// change.
    pub placed: AccountIndex,
}

impl Tended {
    pub const NEVER: Tended = Tended { epoch: 0, day: 0, placed: NO_ACCOUNT };
}

pub(super) const NO_ACCOUNT: AccountIndex = AccountIndex(u16::MAX);

impl Profile {
    pub fn new() -> Profile {
        Profile {
            uuid: Uuid::default(),
            flags: 0,
            last_seen: 0,
            next_change: Minute::MAX,
            entries: Entries::new(),
            minutes: Vec::with_capacity(PROFILE_MINUTES_MAX),
            segments: Vec::with_capacity(PROFILE_SEGMENTS_MAX),
            ids: Ids::new(),
            partners: Partners::new(),
            tended: Tended::NEVER,
            traits_until: 0,
            next_expiry: Day::MAX,
            is_expiry_known: true,
            changed: Vec::with_capacity(CHANGED_TRAITS_MAX),
            is_changed_beyond: false,
            arrivals: Vec::with_capacity(PROFILE_ENTRIES_MAX),
            merged: Vec::with_capacity(PROFILE_SEGMENTS_MAX),
        }
    }

    /// Starts over as a visitor of whom nothing is known.
    pub fn clear(&mut self, uuid: Uuid) {
        self.uuid = uuid;
        self.flags = 0;
        self.last_seen = 0;
        self.next_change = Minute::MAX;
        self.entries.clear();
        self.minutes.clear();
        self.segments.clear();
        self.ids.clear();
        self.partners.clear();
        self.tended = Tended::NEVER;
        self.traits_until = 0;
        self.next_expiry = Day::MAX;
        self.is_expiry_known = true;
        self.forget_changes();
    }

    /// What segments are evaluated over.
    pub fn history(&self) -> History<'_> {
        History { entries: &self.entries, minutes: &self.minutes }
    }

    /// The traits that came, were counted or went since segments were last evaluated, a trait perhaps twice: those of
    /// which the account's segments are to be told. `None`: all segments are to be evaluated.
    pub fn changes_for(&self, account: AccountIndex, epoch: u32, now: Minute) -> Option<&[TraitId]> {
        let is_known = self.tended.epoch == epoch && self.tended.placed == account && !self.is_changed_beyond;
        (is_known && epoch != 0 && now < self.next_change).then_some(&self.changed)
    }

    /// Notes that the account's segments are as the ruleset has them, or that no account's are.
    pub fn set_placed(&mut self, placed: Option<(AccountIndex, u32)>) {
        let account = placed.filter(|placed| placed.1 == self.tended.epoch).map(|placed| placed.0);
        self.tended.placed = account.unwrap_or(NO_ACCOUNT);
        self.forget_changes();
    }

    /// Starts finding segments anew, each account's in full: what each waits for is then known.
    pub fn forget_placed(&mut self) {
        self.set_placed(None);
        self.next_change = Minute::MAX;
    }

    /// What a record says: traits that changed without segments being told of it leave no account up to date.
    pub(super) fn tended_and_told(&self) -> Tended {
        let is_told = self.changed.is_empty() && !self.is_changed_beyond;
        Tended { placed: if is_told { self.tended.placed } else { NO_ACCOUNT }, ..self.tended }
    }

    pub(super) fn note_change(&mut self, trait_id: TraitId) {
        if self.changed.len() < CHANGED_TRAITS_MAX {
            self.changed.push(trait_id);
        } else {
            self.is_changed_beyond = true;
        }
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
        self.is_changed_beyond = false;
    }

    /// The segments that the visitor is in, of all accounts, ascending.
    pub fn segments(&self) -> &[SegmentId] {
        &self.segments
    }

    /// Puts `current` (ascending, no two alike) in the place of those segments of which `is_of_account` holds, and
    /// appends to `entered` and `left` what that changed: to each at most [`PROFILE_SEGMENTS_MAX`]. Returns how many of
    /// `current` had to be dropped: those that are last, when the visitor is in too many.
    pub fn set_segments_of_account(
        &mut self,
        is_of_account: impl Fn(SegmentId) -> bool,
        current: &[SegmentId],
        entered: &mut Vec<SegmentId>,
        left: &mut Vec<SegmentId>,
    ) -> usize {
        debug_assert!(current.is_sorted_by(|a, b| a < b), "segments come ascending");
        let others = self.segments.iter().filter(|&&segment| !is_of_account(segment)).count();
        let (current, dropped) = current.split_at(current.len().min(PROFILE_SEGMENTS_MAX - others));
        self.merged.clear();
        let mut current = current.iter().copied().peekable();
        for &segment in &self.segments {
            while let Some(new) = current.next_if(|&new| new < segment) {
                self.merged.push(new);
                entered.push(new);
            }
            let stays = current.next_if_eq(&segment).is_some();
            if stays || !is_of_account(segment) {
                self.merged.push(segment);
            } else {
                left.push(segment);
            }
        }
        for new in current {
            self.merged.push(new);
            entered.push(new);
        }
        std::mem::swap(&mut self.segments, &mut self.merged);
        dropped.len()
    }

    /// Remembers an id that was declared for this visitor, as the latest. Returns false when it is empty or too long.
    pub fn put_id(&mut self, source: DataSourceId, auth: AuthState, text: &[u8]) -> bool {
        self.ids.put(source, auth, text)
    }

    /// Notes that the visitor is signed in under this id, which was put before; of the other ids at data sources of
    /// which `is_alike` holds none is the last one any more. Returns whether one was.
    pub fn mark_authenticated(
        &mut self,
        source: DataSourceId,
        text: &[u8],
        is_alike: impl Fn(DataSourceId) -> bool,
    ) -> bool {
        self.ids.mark(source, text, is_alike)
    }

    /// The id at one of these data sources under which the visitor was last signed in.
    pub fn last_authenticated(&self, is_meant: impl Fn(DataSourceId) -> bool) -> Option<DeclaredId<'_>> {
        self.ids.iter().find(|id| id.last_authenticated && is_meant(id.source))
    }

    /// The id that there is no more room for when this one is put.
    pub fn id_displaced_by(&self, source: DataSourceId, text: &[u8]) -> Option<DeclaredId<'_>> {
        self.ids.displaced_by(source, text)
    }

    /// Sets the state of the data source's latest id, if there is one.
    pub fn set_auth(&mut self, source: DataSourceId, auth: AuthState) {
        self.ids.set_auth(source, auth);
    }

    /// The data source's ids, latest first.
    pub fn ids_of(&self, source: DataSourceId) -> impl Iterator<Item = DeclaredId<'_>> {
        self.ids.of(source)
    }

    /// Remembers what a partner said. Returns how many of its segments had to be dropped.
    pub fn set_partner<'a>(
        &mut self,
        partner: PartnerId,
        outcome: PartnerOutcome,
        asked_s: u32,
        fresh_until_s: u32,
        segments: impl IntoIterator<Item = &'a [u8]>,
    ) -> usize {
        self.partners.set(partner, outcome, asked_s, fresh_until_s, segments)
    }

    /// What the partner last said; `None`: it was never asked.
    pub fn partner(&self, partner: PartnerId) -> Option<PartnerView<'_>> {
        self.partners.view(partner)
    }

    /// What each partner last said, ascending by partner.
    pub fn partners(&self) -> impl Iterator<Item = PartnerView<'_>> {
        self.partners.iter()
    }

    /// The last day on which this profile is worth its memory; `Day::MAX`: for ever. Never before the day it was seen.
    pub fn keep_until(&self) -> Day {
        let seen = day_of(self.last_seen);
        let ids_until = if self.ids.is_empty() { 0 } else { seen.saturating_add(PROFILE_IDS_KEPT_DAYS) };
        seen.max(self.traits_until).max(ids_until).max(self.partners.fresh_until_day())
    }

    /// The first minute of the day on which the next trait is gone, of those that were looked at since the record was
    /// loaded: by `tend` or `expire` all, else those that were realised. `Minute::MAX`: none will be.
    pub fn next_expiry(&self) -> Minute {
        if self.next_expiry == Day::MAX { Minute::MAX } else { Minute::from(self.next_expiry) * 24 * 60 }
    }
}

impl Default for Profile {
    fn default() -> Profile {
        Profile::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn segments(ids: impl IntoIterator<Item = u32>) -> Vec<SegmentId> {
        ids.into_iter().map(SegmentId).collect()
    }

    #[test]
    fn segments_of_another_account_stay() {
        let mut profile = Profile::new();
        let even = |segment: SegmentId| segment.0.is_multiple_of(2);
        let odd = |segment: SegmentId| !even(segment);
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        profile.set_segments_of_account(even, &segments([2, 4, 6]), &mut entered, &mut left);
        profile.set_segments_of_account(odd, &segments([1, 5]), &mut entered, &mut left);
        assert_eq!((entered, left), (segments([2, 4, 6, 1, 5]), vec![]));
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        profile.set_segments_of_account(even, &segments([4, 8]), &mut entered, &mut left);
        assert_eq!(profile.segments(), segments([1, 4, 5, 8]));
        assert_eq!((entered, left), (segments([8]), segments([2, 6])));
    }

    #[test]
    fn segments_over_the_limit_are_dropped_and_counted() {
        let mut profile = Profile::new();
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        let theirs = segments(0..10);
        profile.set_segments_of_account(|segment| segment.0 < 10, &theirs, &mut entered, &mut left);
        let ours = segments(10..10 + PROFILE_SEGMENTS_MAX as u32);
        let dropped = profile.set_segments_of_account(|segment| segment.0 >= 10, &ours, &mut entered, &mut left);
        assert_eq!(dropped, 10);
        assert_eq!(profile.segments().len(), PROFILE_SEGMENTS_MAX);
        assert_eq!(profile.segments.capacity(), PROFILE_SEGMENTS_MAX);
        assert_eq!((entered.len(), left.len()), (PROFILE_SEGMENTS_MAX, 0));
    }

    #[test]
    fn a_profile_is_kept_for_whatever_lasts_longest() {
        let mut profile = Profile::new();
        profile.last_seen = 1_000 * 24 * 60 + 5;
        assert_eq!(profile.keep_until(), 1_000);
        profile.set_partner(PartnerId(1), PartnerOutcome::Nothing, 0, 1_003 * 86_400, []);
        assert_eq!(profile.keep_until(), 1_003);
        profile.put_id(DataSourceId(1), AuthState::Unknown, b"x");
        assert_eq!(profile.keep_until(), 1_180);
        profile.clear(Uuid::default());
        assert_eq!(profile.keep_until(), 0);
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn replacing_segments_agrees_with_sets(
            steps in proptest::collection::vec((0..3u32, proptest::collection::btree_set(0..40u32, 0..20)), 1..10),
        ) {
            let mut profile = Profile::new();
            let mut model = BTreeSet::new();
            for (account, chosen) in steps {
                let of_account = |segment: u32| segment % 3 == account;
                let current: BTreeSet<u32> = chosen.into_iter().filter(|&segment| of_account(segment)).collect();
                let before: BTreeSet<u32> = model.iter().copied().filter(|&segment| of_account(segment)).collect();
                let (mut entered, mut left) = (Vec::new(), Vec::new());
                let list = segments(current.iter().copied());
                profile.set_segments_of_account(|segment| of_account(segment.0), &list, &mut entered, &mut left);
                prop_assert_eq!(entered, segments(current.difference(&before).copied()));
                prop_assert_eq!(left, segments(before.difference(&current).copied()));
                model.retain(|&segment| !of_account(segment));
                model.extend(current);
                prop_assert_eq!(profile.segments(), segments(model.iter().copied()));
            }
        }
    }
}
