//! Which segments a visitor is in now.
//!
//! Goal: a visitor who comes all the time should not cost what all her traits cost, only what this call changed.
//! Method: the profile knows the account and the ruleset by which its segments were last found, and the traits that
//! changed since. As long as those are the same and no segment's time has come, only segments that name a changed trait
//! are evaluated. In every other case all are: at a new visitor, on a new day, with a new ruleset, after another
//! account's call, when `next_change` has come, when more changed than was noted, and while the visitor is in too many
//! segments.

use crate::clock::{Minute, Now};
use crate::ids::{AccountIndex, SegmentId};
use crate::profile::{Profile, TraitCatalog};
use crate::segments::{Program, ProgramScratch};

/// What placing needs of a ruleset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placing<'a> {
    /// The ruleset's number.
    pub epoch: u32,
    pub account: AccountIndex,
    /// There are other accounts, whose segments may wait for something as well.
    pub has_others: bool,
    pub program: &'a Program,
    pub traits: &'a TraitCatalog,
}

/// What comes of it: the account's segments, and what changed of them. Each ascends.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub segments: &'a mut Vec<SegmentId>,
    pub entered: &'a mut Vec<SegmentId>,
    pub left: &'a mut Vec<SegmentId>,
}

impl Placing<'_> {
    /// Brings the account's segments in the profile up to date. `is_own`: those of the account.
    pub(super) fn place(
        &self,
        now: Now,
        is_own: impl Fn(SegmentId) -> bool,
        profile: &mut Profile,
        scratch: &mut ProgramScratch,
        placed: &mut Placed<'_>,
    ) {
        placed.entered.clear();
        placed.left.clear();
        let (changes_at, is_moved) = match profile.changes_for(self.account, self.epoch, now.minute()) {
            Some(changed) => {
                placed.segments.clear();
                placed.segments.extend(profile.segments().iter().filter(|id| self.program.has_segment(**id)));
                let found = self.program.evaluate_changed(profile.history(), changed, now, scratch, placed.segments);
                (found.at.min(profile.next_change), found.is_moved)
            }
            None => {
                profile.find_expiry(now.day(), self.traits);
                let at = self.program.evaluate(profile.history(), now, scratch, placed.segments);
                // What other accounts' segments wait for is not known here; the earliest time stands.
                let others_at = if self.has_others { profile.next_change } else { Minute::MAX };
                (at.min(others_at), true)
            }
        };
        let mut dropped = 0;
        if is_moved {
            dropped = profile.set_segments_of_account(is_own, placed.segments, placed.entered, placed.left);
        }
        profile.next_change = changes_at.min(profile.next_expiry());
        profile.set_placed((dropped == 0).then_some((self.account, self.epoch)));
    }
}

#[cfg(test)]
mod tests;
