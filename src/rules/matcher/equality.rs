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
    groups: Vec<[u32; GROUP_SLOTS]>,
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
        let groups = vec![[EMPTY; GROUP_SLOTS]; first_groups as usize + 1];
        let mut built = Equalities { groups, first_groups, place_bits, scalars };
        records.into_iter().for_each(|(identity, place)| built.add(identity.hash(), place));
        built.groups.shrink_to_fit();
        built
    }

    fn add(&mut self, hash: u64, place: u32) {
        let mut group = self.first_group(hash);
        while is_full(&self.groups[group]) {
            group += 1;
        }
        let tag = self.tag(hash);
        let free = self.groups[group].iter_mut().find(|slot| **slot == EMPTY).expect("the group is not full");
        *free = tag | place;
        if self.groups.last().is_some_and(is_full) {
            self.groups.push([EMPTY; GROUP_SLOTS]);
        }
    }

    /// The hash's upper half, scaled to the groups there are.
    #[inline(always)]
    fn first_group(&self, hash: u64) -> usize {
        (((hash >> 32) * u64::from(self.first_groups)) >> 32) as usize
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The predicates that `value` of key 0 makes true, and how many records were looked at for that.
    fn equal(index: &RuleIndex, equalities: &Equalities, value: Scalar<'_>) -> (Vec<u32>, usize) {
        let identity = Identity::scalar(0, value);
        let (mut equal, mut looked_at) = (Vec::new(), 0);
        equalities.find(equalities.seek(identity), |found| {
            looked_at += 1;
            let record = index.record(found.place);
            if record.identity == identity && equalities.is_with(record.predicate, value) {
                equal.push(record.predicate);
            }
        });
        (equal, looked_at)
    }

    fn built(values: &[String]) -> (RuleIndex, Equalities) {
        let scalars = || values.iter().map(|value| Scalar::of(value.as_bytes()));
        let identities: Vec<_> = scalars().map(|scalar| Identity::scalar(0, scalar)).collect();
        let index = RuleIndex::new(&identities, values.len() as u32, Vec::new(), Vec::new(), &[]);
        let equalities = Equalities::new(&index, Scalars::new(scalars()));
        (index, equalities)
    }

    #[test]
    fn every_value_is_found_and_tags_keep_others_away() {
        // Short and long texts and numbers, up to a thousand digits.
        let value =
            |n: usize| format!("{}{n}", ["", "v", "a value of some length "][n % 3]).repeat(1 + n % 40 / 39 * 300);
        let values: Vec<String> = (0..20_000).map(value).collect();
        let (index, equalities) = built(&values);
        for (predicate, value) in values.iter().enumerate() {
            let (equal, _) = equal(&index, &equalities, Scalar::of(value.as_bytes()));
            assert_eq!(equal, [predicate as u32], "{value}");
        }
        let mut looked_at = 0;
        for n in 0..20_000 {
            let (equal, looked) = equal(&index, &equalities, Scalar::of(format!("other {n}").as_bytes()));
            assert!(equal.is_empty(), "other {n}");
            looked_at += looked;
        }
        assert!(looked_at < 200, "of 20,000 values that are equal to nothing {looked_at} were looked at");
    }

    #[test]
    fn nothing_is_equal_to_nothing() {
        let (index, equalities) = built(&[]);
        assert!(equal(&index, &equalities, Scalar::of(b"")).0.is_empty());
    }
}
