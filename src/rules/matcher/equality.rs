//! Which equalities a value makes true.
//!
//! Goal: of the many values of a call most are equal to nothing, and each asks at a place of its own of a table that
//! has left the caches since the last call. Method: the table holds four bytes an equality and is so dense that it
//! stays near. A slot is the place of the equality's record in the [`RuleIndex`] and, as far as there is room beside
//! it, a tag: some bits of the hash, by which nearly all other values are told apart. Only behind a tag that fits comes
//! the record, which holds what the value must be and next to it all that is asked for when it is equal.

use super::index::RuleIndex;
use super::table::{Identity, Scalars};
use crate::memory::prefetch;
use crate::rules::scalar::Scalar;

#[derive(Debug)]
pub(crate) struct Equalities {
    /// A look begins in one of the first groups. The others take what the last of these have no room for, and the very
    /// last is not full: no look goes beyond it.
    groups: Box<[[u32; GROUP_SLOTS]]>,
    first_groups: u32,
    /// The lower bits of a slot: the record's place. Those above are the tag.
    place_bits: u32,
    /// By predicate.
    scalars: Scalars,
}

/// Half of them are taken, on average, from the first on; a group lies in one cache line.
const GROUP_SLOTS: usize = 4;

/// No record is there.
const EMPTY: u32 = 0;

/// A value and where its equality may be, which is on its way from memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub(super) identity: Identity,
    hash: u64,
}

/// A value and the record of its equality, if that is the one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) place: u32,
}

impl Equalities {
    /// `scalars` are those of the index's first predicates.
    pub(crate) fn new(index: &RuleIndex, scalars: Scalars) -> Equalities {
        let records: Vec<(Identity, u32)> = index.records().collect();
        let first_groups = u32::try_from((2 * records.len()).div_ceil(GROUP_SLOTS).max(1)).expect("records are words");
        let place_bits = u32::BITS - records.last().map_or(0, |(_, place)| *place).leading_zeros();
        assert!(place_bits < u32::BITS, "there is room for a tag beside a record's place");
        let groups = vec![[EMPTY; GROUP_SLOTS]; first_groups as usize];
        let mut built = Equalities { groups: Box::default(), first_groups, place_bits, scalars };
        built.groups = records.iter().fold(groups, |groups, record| built.add(groups, *record)).into_boxed_slice();
        built
    }

    fn add(&self, mut groups: Vec<[u32; GROUP_SLOTS]>, (identity, place): (Identity, u32)) -> Vec<[u32; GROUP_SLOTS]> {
        let hash = identity.hash();
        let group = (self.first_group(hash)..).find(|&group| {
            groups.resize(groups.len().max(group + 2), [EMPTY; GROUP_SLOTS]);
            !is_full(&groups[group])
        });
        let group = &mut groups[group.expect("there is always one more")];
        let free = group.iter_mut().find(|slot| **slot == EMPTY).expect("the group is not full");
        *free = self.tag(hash) | place;
        groups
    }

    /// The hash's upper half, scaled to the groups there are.
    #[inline(always)]
    fn first_group(&self, hash: u64) -> usize {
        ((hash >> 32) * u64::from(self.first_groups) >> 32) as usize
    }

    /// Of the hash's lower half, as it stands in a slot.
    #[inline(always)]
    fn tag(&self, hash: u64) -> u32 {
        (hash as u32) << self.place_bits
    }

    #[inline(always)]
    pub(super) fn seek(&self, identity: Identity) -> Sought {
        let hash = identity.hash();
        prefetch(&self.groups[self.first_group(hash)]);
        Sought { identity, hash }
    }

    /// Calls `on_found` with what may be the record: nearly always with one that is, or not at all.
    #[inline(always)]
    pub(super) fn find(&self, sought: Sought, mut on_found: impl FnMut(Found)) {
        let tag = self.tag(sought.hash);
        for group in &self.groups[self.first_group(sought.hash)..] {
            let is_place = |place: u32| place >> self.place_bits == 0;
            if group.iter().fold(false, |any, slot| any | is_place(slot ^ tag)) {
                let places = group.iter().map(|slot| slot ^ tag).filter(|place| is_place(*place));
                places.for_each(|place| on_found(Found { identity: sought.identity, place }));
            }
            if !is_full(group) {
                break;
            }
        }
    }

    /// Whether an equality is with this value, where identities are the same and don't decide.
    pub(super) fn is_with(&self, predicate: u32, value: Scalar<'_>) -> bool {
        self.scalars.load(predicate as usize) == value
    }
}

#[inline(always)]
fn is_full(group: &[u32; GROUP_SLOTS]) -> bool {
    group[GROUP_SLOTS - 1] != EMPTY
}
