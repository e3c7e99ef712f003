//! The calls in flight of one shard: at most one for each visitor and partner, shared by all jobs that want its answer.
//!
//! A fixed table of slots, chained by a keyed hash of visitor and partner (visitors name themselves, so the key keeps
//! them from choosing one chain), and a fixed number of joins between jobs and calls. A [`CallId`] carries its slot's
//! generation: what arrives for an earlier tenant is recognised.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::identity::Uuid;
use crate::ids::PartnerIndex;

const NONE: u32 = u32::MAX;

/// A call in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    pub slot: u32,
    pub generation: u32,
}

/// `T` is what the caller keeps with a call, `J` names a job that waits for it.
#[derive(Debug)]
pub struct Calls<T, J> {
    slots: Vec<Slot<T>>,
    /// First slot of each chain; a power of two of them.
    chains: Vec<u32>,
    free_slot: u32,
    joins: Vec<Join<J>>,
    free_join: u32,
    hash_key: [u8; 16],
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// In the chain, or in the list of free slots.
    next: u32,
    first_join: u32,
    call: Option<Call<T>>,
}

#[derive(Debug)]
struct Call<T> {
    uuid: Uuid,
    partner: PartnerIndex,
    value: T,
}

#[derive(Debug)]
struct Join<J> {
    next: u32,
    job: Option<J>,
}

impl<T, J: Copy + Eq> Calls<T, J> {
    pub fn new(calls_max: usize, joins_max: usize, hash_key: [u8; 16]) -> Calls<T, J> {
        assert!(calls_max < NONE as usize && joins_max < NONE as usize);
        let next_or_none = |index: usize, count: usize| if index + 1 < count { index as u32 + 1 } else { NONE };
        let first_or_none = |count: usize| if count == 0 { NONE } else { 0 };
        let slot = |index| Slot { generation: 0, next: next_or_none(index, calls_max), first_join: NONE, call: None };
        Calls {
            slots: (0..calls_max).map(slot).collect(),
            chains: vec![NONE; calls_max.next_power_of_two()],
            free_slot: first_or_none(calls_max),
            joins: (0..joins_max).map(|index| Join { next: next_or_none(index, joins_max), job: None }).collect(),
            free_join: first_or_none(joins_max),
            hash_key,
            len: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn is_full(&self) -> bool {
        self.free_slot == NONE
    }

    pub fn find(&self, uuid: Uuid, partner: PartnerIndex) -> Option<CallId> {
        let mut slot = self.chains[self.chain(uuid, partner)];
        while slot != NONE {
            let entry = &self.slots[slot as usize];
            if entry.call.as_ref().is_some_and(|call| call.uuid == uuid && call.partner == partner) {
                return Some(CallId { slot, generation: entry.generation });
            }
            slot = entry.next;
        }
        None
    }

    /// Adds a call that nobody has joined yet; gives `value` back when the table is full.
    ///
    /// # Panics
    /// When there is one for this visitor and partner.
    pub fn insert(&mut self, uuid: Uuid, partner: PartnerIndex, value: T) -> Result<CallId, T> {
        assert!(self.find(uuid, partner).is_none(), "two calls for one visitor and partner");
        if self.is_full() {
            return Err(value);
        }
        let slot = self.free_slot;
        let chain = self.chain(uuid, partner);
        let entry = &mut self.slots[slot as usize];
        self.free_slot = entry.next;
        entry.next = self.chains[chain];
        entry.call = Some(Call { uuid, partner, value });
        self.chains[chain] = slot;
        self.len += 1;
        Ok(CallId { slot, generation: entry.generation })
    }

    pub fn value(&self, id: CallId) -> Option<&T> {
        self.call(id).map(|call| &call.value)
    }

    pub fn value_mut(&mut self, id: CallId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        slot.call.as_mut().map(|call| &mut call.value)
    }

    /// Whom the call is about.
    pub fn key(&self, id: CallId) -> Option<(Uuid, PartnerIndex)> {
        self.call(id).map(|call| (call.uuid, call.partner))
    }

    /// The live call in a slot, for owners of an index without generation.
    pub fn id_at(&self, slot: u32) -> Option<CallId> {
        let entry = self.slots.get(slot as usize)?;
        entry.call.as_ref().map(|_| CallId { slot, generation: entry.generation })
    }

    /// A job wants to hear of the call's end. `false`: the call is gone, or there is no join left.
    #[must_use]
    pub fn join(&mut self, id: CallId, job: J) -> bool {
        if self.call(id).is_none() || self.free_join == NONE {
            return false;
        }
        let join = self.free_join;
        let slot = &mut self.slots[id.slot as usize];
        let entry = &mut self.joins[join as usize];
        self.free_join = entry.next;
        *entry = Join { next: slot.first_join, job: Some(job) };
        slot.first_join = join;
        true
    }

    /// A job doesn't wait any longer. The call goes on: its answer still enriches the profile.
    pub fn leave(&mut self, id: CallId, job: J) -> bool {
        if self.call(id).is_none() {
            return false;
        }
        let (mut before, mut join) = (NONE, self.slots[id.slot as usize].first_join);
        while join != NONE && self.joins[join as usize].job != Some(job) {
            (before, join) = (join, self.joins[join as usize].next);
        }
        if join == NONE {
            return false;
        }
        let next = self.joins[join as usize].next;
        match before {
            NONE => self.slots[id.slot as usize].first_join = next,
            _ => self.joins[before as usize].next = next,
        }
        self.free_one_join(join);
        true
    }

    /// The jobs that wait for a call, the latest first.
    pub fn jobs(&self, id: CallId) -> impl Iterator<Item = J> {
        let mut join = if self.call(id).is_some() { self.slots[id.slot as usize].first_join } else { NONE };
        std::iter::from_fn(move || {
            let entry = self.joins.get(join as usize)?;
            join = entry.next;
            entry.job
        })
    }

    /// Takes one of the jobs that wait for a call, the latest first: so that the caller may change things meanwhile.
    pub fn take_job(&mut self, id: CallId) -> Option<J> {
        self.call(id)?;
        let join = self.slots[id.slot as usize].first_join;
        let entry = self.joins.get(join as usize)?;
        let job = entry.job;
        self.slots[id.slot as usize].first_join = entry.next;
        self.free_one_join(join);
        job
    }

    /// Ends a call and its joins.
    pub fn remove(&mut self, id: CallId) -> Option<T> {
        let (uuid, partner) = self.key(id)?;
        while self.take_job(id).is_some() {}
        self.unchain(self.chain(uuid, partner), id.slot);
        let entry = &mut self.slots[id.slot as usize];
        let call = entry.call.take();
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free_slot;
        self.free_slot = id.slot;
        self.len -= 1;
        call.map(|call| call.value)
    }

    fn call(&self, id: CallId) -> Option<&Call<T>> {
        self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?.call.as_ref()
    }

    fn free_one_join(&mut self, join: u32) {
        self.joins[join as usize] = Join { next: self.free_join, job: None };
        self.free_join = join;
    }

    fn unchain(&mut self, chain: usize, slot: u32) {
        let next = self.slots[slot as usize].next;
        if self.chains[chain] == slot {
            self.chains[chain] = next;
            return;
        }
        let mut before = self.chains[chain];
        while self.slots[before as usize].next != slot {
            before = self.slots[before as usize].next;
        }
        self.slots[before as usize].next = next;
    }

    fn chain(&self, uuid: Uuid, partner: PartnerIndex) -> usize {
        let mut hasher = SipHasher13::new_with_key(&self.hash_key);
        hasher.write_u64(uuid.high);
        hasher.write_u64(uuid.low);
        hasher.write_u16(partner.0);
        hasher.finish() as usize & (self.chains.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn visitor(number: u8) -> Uuid {
        Uuid { high: 0, low: u64::from(number) }
    }

    #[test]
    fn what_is_gone_is_recognised() {
        let mut calls: Calls<&str, u32> = Calls::new(2, 4, [0; 16]);
        let first = calls.insert(visitor(1), PartnerIndex(0), "a").unwrap();
        assert!(calls.join(first, 7));
        assert_eq!(calls.remove(first), Some("a"));
        let second = calls.insert(visitor(1), PartnerIndex(0), "b").unwrap();
        assert_eq!(second.slot, first.slot);
        assert_eq!((calls.value(first), calls.key(first)), (None, None));
        assert_eq!(calls.remove(first), None);
        assert!(!calls.join(first, 7) && !calls.leave(first, 7));
        assert_eq!(calls.jobs(first).count() + calls.jobs(second).count(), 0);
        assert_eq!(calls.id_at(second.slot), Some(second));
        assert_eq!(calls.value(second), Some(&"b"));
    }

    #[test]
    fn a_table_without_places() {
        let mut calls: Calls<(), u32> = Calls::new(0, 0, [0; 16]);
        assert_eq!(calls.find(visitor(1), PartnerIndex(0)), None);
        assert_eq!(calls.insert(visitor(1), PartnerIndex(0), ()), Err(()));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(u8, u16),
        Remove(u8),
        Join(u8, u32),
        Leave(u8, u32),
        TakeJob(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..6_u8, 0..2_u16).prop_map(|(visitor, partner)| Step::Insert(visitor, partner)),
            2 => any::<u8>().prop_map(Step::Remove),
            4 => (any::<u8>(), 0..5_u32).prop_map(|(at, job)| Step::Join(at, job)),
            1 => (any::<u8>(), 0..5_u32).prop_map(|(at, job)| Step::Leave(at, job)),
            1 => any::<u8>().prop_map(Step::TakeJob),
        ];
        proptest::collection::vec(step, 0..150)
    }

    /// One call of the model: its key, id, value, and jobs with the latest first.
    type ModelCall = ((Uuid, PartnerIndex), CallId, usize, Vec<u32>);

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_agrees_with_a_plain_list(steps in steps(), calls_max in 1_usize..6, joins_max in 0_usize..8) {
            let mut calls: Calls<usize, u32> = Calls::new(calls_max, joins_max, [3; 16]);
            let mut model: Vec<ModelCall> = Vec::new();
            let mut gone: Vec<CallId> = Vec::new();
            for (value, step) in steps.into_iter().enumerate() {
                let pick = |at: u8| usize::from(at) % model.len();
                let joins: usize = model.iter().map(|(.., jobs)| jobs.len()).sum();
                match step {
                    Step::Insert(number, partner) => {
                        let key = (visitor(number), PartnerIndex(partner));
                        let known = model.iter().find(|call| call.0 == key).map(|call| call.1);
                        prop_assert_eq!(calls.find(key.0, key.1), known);
                        if known.is_some() {
                            continue;
                        }
                        let inserted = calls.insert(key.0, key.1, value);
                        prop_assert_eq!(inserted.is_ok(), model.len() < calls_max);
                        if let Ok(id) = inserted {
                            model.push((key, id, value, Vec::new()));
                        }
                    }
                    Step::Remove(at) if !model.is_empty() => {
                        let (_, id, value, _) = model.remove(pick(at));
                        prop_assert_eq!(calls.remove(id), Some(value));
                        gone.push(id);
                    }
                    Step::Join(at, job) if !model.is_empty() => {
                        let call = pick(at);
                        prop_assert_eq!(calls.join(model[call].1, job), joins < joins_max);
                        if joins < joins_max {
                            model[call].3.insert(0, job);
                        }
                    }
                    Step::Leave(at, job) if !model.is_empty() => {
                        let call = pick(at);
                        let place = model[call].3.iter().position(|known| *known == job);
                        prop_assert_eq!(calls.leave(model[call].1, job), place.is_some());
                        if let Some(place) = place {
                            model[call].3.remove(place);
                        }
                    }
                    Step::TakeJob(at) if !model.is_empty() => {
                        let call = pick(at);
                        let expected = (!model[call].3.is_empty()).then(|| model[call].3.remove(0));
                        prop_assert_eq!(calls.take_job(model[call].1), expected);
                    }
                    _ => {}
                }
                prop_assert_eq!((calls.len(), calls.is_full()), (model.len(), model.len() == calls_max));
                for (key, id, value, jobs) in &model {
                    prop_assert_eq!(calls.find(key.0, key.1), Some(*id));
                    prop_assert_eq!((calls.key(*id), calls.value(*id)), (Some(*key), Some(value)));
                    prop_assert_eq!(&calls.jobs(*id).collect::<Vec<_>>(), jobs);
                }
                prop_assert!(gone.iter().all(|id| calls.value(*id).is_none()));
            }
        }
    }
}
