//! Persons: whoever signs in on a device. What they do while signed in is kept in a profile of their own, which all
//! their devices share, and segments with a merge rule are evaluated over it.
//!
//! A person's profile lies in the same table as visitors' profiles, under a uuid that no visitor can have, at the shard
//! which that uuid's hash names. Where that is not the visitor's home, an [`Errand`] goes there with the call's traits
//! and comes back with the person's record, while the call is parked as it is for partners. Without a way there, or
//! back in time, the call goes on with the device alone (error 202); traits that could not be sent stay on the device.

use super::identify;
use super::job::{Context, JobRef};
use super::prepare::Prepared;
use super::{Message, Shard};
use crate::clock::Now;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::identity::{AuthState, KeyedHash, Uuid};
use crate::ids::{DataSourceId, SegmentId, ShardId, TraitId};
use crate::limits::{BUFFER_LARGE_BYTES, DECLARED_ID_BYTES_MAX};
use crate::metrics::Totals;
use crate::profile::Profile;
use crate::profile::codec;
use crate::profile::history::History;
use crate::profile::ids::DeclaredId;
use crate::profile::table::TRAITS_RECORD_BYTES_MAX;
use crate::reactor::{Buffer, Io};
use crate::ruleset::MergedPerson;
use crate::segments::Program;

const _: () = assert!(TRAITS_RECORD_BYTES_MAX <= BUFFER_LARGE_BYTES, "every person's record can travel");

const TRAIT_BYTES: usize = size_of::<u32>();

/// What goes to a person's shard and comes back.
#[derive(Debug)]
pub struct Errand {
    /// The person's declared id.
    id: KeyedHash,
    home: ShardId,
    /// The parked call that waits for it; `None`: the traits are to be applied, and that is all.
    at: Option<JobRef>,
    /// The traits that the call realised; behind them, on the way back, the person's record, if it fits and there is
    /// one.
    buffer: Option<Buffer>,
    trait_bytes: usize,
    /// Whether they are the person's.
    applies: bool,
    /// A record that did not fit, in a large buffer of the person's shard.
    record: Option<Buffer>,
    /// Whether the record could be sent along.
    is_read: bool,
}

/// The person whose profile a call concerns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Person {
    id: KeyedHash,
    /// Signed in by this call, so that its traits are the person's.
    pub is_current: bool,
}

/// What segments can be evaluated over besides the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtHand {
    Nobody,
    /// The profile in `Shard::person`.
    Person {
        is_current: bool,
    },
    /// There is a person, but no way to the profile, or no time.
    Unread {
        is_current: bool,
    },
}

/// How a person's profile was asked for.
pub(super) enum Asked {
    /// It is at home here, and loaded.
    Here,
    /// A job that is to be put at this place until then waits for it.
    Waits {
        at: JobRef,
        deadline_ns: u64,
    },
    /// The traits are on their way, but nobody can wait.
    Sent,
    Refused,
}

/// What a parked call is told of its person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The profile is loaded, and the call's traits are listed.
    Read,
    /// They are listed, and that is all.
    Unread,
    Late,
}

/// Whether a call can wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parking {
    /// It is a job.
    Job,
    /// It can become one, of so many bytes.
    Made {
        request_bytes: usize,
    },
    Never,
}

impl Errand {
    pub(super) fn spare() -> Box<Errand> {
        Box::new(Errand {
            id: KeyedHash::from_bits(0),
            home: ShardId(0),
            at: None,
            buffer: None,
            trait_bytes: 0,
            applies: false,
            record: None,
            is_read: false,
        })
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map(Buffer::bytes).unwrap_or_default()
    }

    fn traits(&self) -> impl Iterator<Item = TraitId> {
        let (numbers, _) = self.bytes()[..self.trait_bytes].as_chunks();
        numbers.iter().map(|bytes| TraitId(u32::from_le_bytes(*bytes)))
    }

    /// The person's record; empty: there is none.
    fn record(&self) -> &[u8] {
        self.record.as_ref().map_or(&self.bytes()[self.trait_bytes..], Buffer::bytes)
    }
}

impl Shard {
    /// Whose profile the call is to be evaluated over: who is signed in by it, else who was last.
    pub(super) fn person_of(&self, context: &Context, prepared: &Prepared<'_>, profile: &Profile) -> Option<Person> {
        let account = prepared.account;
        if account.merged.is_empty() {
            return None;
        }
        if let Some((source, text)) = self.signed_in(context, prepared, profile) {
            return Some(Person { id: self.id_hash.declared(source, text), is_current: true });
        }
        if !account.merged.iter().any(|merged| merged.rule.person == MergedPerson::Last) {
            return None;
        }
        let last = profile.last_authenticated(|source| prepared.rules.names_persons(source, prepared.account_index))?;
        let id = self.id_hash.declared(last.source, last.text);
        // Both may have become so since.
        let is_refused = self.is_id_out(id) || !prepared.rules.may_use_ids(last.source, prepared.account_index);
        (!is_refused).then_some(Person { id, is_current: false })
    }

    /// Who is signed in by this call, of several the first: under an id that it declares, or under the one of which it
    /// declares a state.
    fn signed_in<'p>(
        &self,
        context: &Context,
        prepared: &'p Prepared<'_>,
        profile: &'p Profile,
    ) -> Option<(DataSourceId, &'p [u8])> {
        let named = identify::signed_in(prepared, context).map(|id| (id.place, id.source, id.id));
        let is_person = |source| prepared.rules.names_persons(source, prepared.account_index);
        let stated = identify::states(prepared).filter(|state| is_person(state.source)).find_map(|state| {
            let id = self.id_of_state(state.source, profile)?;
            (id.auth == AuthState::Authenticated).then_some((state.place, id.source, id.text))
        });
        let first = named.into_iter().chain(stated).min_by_key(|(place, ..)| *place);
        first.map(|(_, source, text)| (source, text))
    }

    /// The id that a state without one is said of: the latest of its data source, unless that opted out.
    pub(super) fn id_of_state<'p>(&self, source: DataSourceId, profile: &'p Profile) -> Option<DeclaredId<'p>> {
        profile.ids_of(source).next().filter(|id| !self.is_id_out(self.id_hash.declared(id.source, id.text)))
    }

    /// Notes in the device's profile who is signed in by this call. Segments that stem from another person are gone at
    /// once, so that they are not seen by this one, whatever becomes of the call.
    pub(super) fn note_person(&mut self, context: &Context, prepared: &Prepared<'_>, profile: &mut Profile) {
        let Some((source, text)) = self.signed_in(context, prepared, profile) else { return };
        // It may stand in the profile that is about to change.
        let (mut room, len) = ([0; DECLARED_ID_BYTES_MAX], text.len());
        room[..len].copy_from_slice(text);
        let is_alike = |source| prepared.rules.names_persons(source, prepared.account_index);
        if profile.mark_authenticated(source, &room[..len], is_alike) {
            for merged in &prepared.account.merged {
                replace(&merged.program, &[], profile, &mut self.entered, &mut self.left, &self.metrics.totals);
            }
        }
    }

    /// Gets hold of a person's profile, after the traits of `self.realised` came to it if they are the person's.
    pub(super) fn ask_person<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        person: Person,
        parking: Parking,
    ) -> Asked {
        let owner = self.home_of(Uuid::of_person(person.id));
        if owner == self.id {
            self.load_person(io.now(), person.id, person.is_current);
            return Asked::Here;
        }
        let Some(mut errand) = self.make_errand(owner, person) else { return Asked::Refused };
        // Partners are waited for until the reserve begins; the way to a person may take half of it.
        let deadline_ns = context.received_ns + prepared.account.budget_ns - prepared.account.reserve_ns / 2;
        let can_wait = io.now().mono_ns < deadline_ns && self.can_park(parking);
        errand.at = if can_wait { self.jobs.reserve() } else { None };
        if errand.at.is_none() && !(errand.applies && errand.trait_bytes > 0) {
            self.recycle_errand(errand);
            return Asked::Refused;
        }
        let asked = errand.at.map_or(Asked::Sent, |at| Asked::Waits { at, deadline_ns });
        self.send_away(io, owner, Message::PersonApply(errand));
        asked
    }

    pub(super) fn can_park(&self, parking: Parking) -> bool {
        match parking {
            Parking::Job => true,
            Parking::Made { request_bytes } => self.can_make_job(request_bytes),
            Parking::Never => false,
        }
    }

    /// An errand with the call's traits; `None` when the pools or the credit don't allow it.
    fn make_errand(&mut self, owner: ShardId, person: Person) -> Option<Box<Errand>> {
        let trait_bytes = self.realised.len() * TRAIT_BYTES;
        if !self.credits.has(owner) || self.spare_errands.is_empty() {
            return None;
        }
        let mut buffer = self.buffers.take(trait_bytes)?;
        for (bytes, id) in buffer.block_mut().chunks_exact_mut(TRAIT_BYTES).zip(&self.realised) {
            bytes.copy_from_slice(&id.0.to_le_bytes());
        }
        buffer.set_len(trait_bytes);
        let mut errand = self.spare_errands.pop()?;
        let (Person { id, is_current: applies }, home, buffer) = (person, self.id, Some(buffer));
        *errand = Errand { id, home, at: None, buffer, trait_bytes, applies, record: None, is_read: false };
        Some(errand)
    }

    fn recycle_errand(&mut self, mut errand: Box<Errand>) {
        if let Some(buffer) = errand.buffer.take() {
            self.buffers.give_back(buffer);
        }
        self.spare_errands.push(errand);
    }

    /// Another shard's visitor is a person whose profile is here.
    pub(super) fn person_asked<I: Io<Message = Message>>(&mut self, io: &mut I, mut errand: Box<Errand>) {
        let is_known = if self.is_id_out(errand.id) {
            false
        } else if errand.applies && errand.trait_bytes > 0 {
            self.realised.clear();
            self.realised.extend(errand.traits());
            self.load_person(io.now(), errand.id, true);
            true
        } else {
            self.profiles.read(Uuid::of_person(errand.id))
        };
        let record = if is_known { self.profiles.record() } else { &[] };
        errand.is_read = errand.buffer.as_mut().is_some_and(|buffer| buffer.extend(record));
        if !errand.is_read
            && let Some(mut large) = self.buffers.take_large()
        {
            errand.is_read = large.extend(record);
            errand.record = Some(large);
        }
        let home = errand.home;
        self.send_back(io, Message::PersonApplied(errand), home);
    }

    /// What was asked of a person's shard is here. A call that could not wait so long was answered without it.
    pub(super) fn person_came<I: Io<Message = Message>>(&mut self, io: &mut I, from: ShardId, mut errand: Box<Errand>) {
        self.credits.came_back(from);
        let job = errand.at.and_then(|at| self.jobs.take(at));
        self.metrics.totals.persons_late.add((errand.at.is_some() && job.is_none()).into());
        let reply = if job.is_some() { self.read_reply(io.now(), &errand) } else { Reply::Late };
        if let Some(theirs) = errand.record.take() {
            self.send_back(io, Message::Return(theirs), from);
        }
        let at = errand.at;
        self.recycle_errand(errand);
        if let (Some(job), Some(at)) = (job, at) {
            self.timers.cancel(self.plan.timer_of_job(at.slot));
            self.go_on_with_person(io, job, reply);
        }
    }

    fn read_reply(&mut self, now: Now, errand: &Errand) -> Reply {
        self.realised.clear();
        self.realised.extend(errand.traits());
        if !errand.is_read {
            return Reply::Unread;
        }
        let mut person = self.take_person();
        match errand.record() {
            [] => person.clear(Uuid::of_person(errand.id)),
            record => codec::decode(record, &mut person).expect("a record is as it was written"),
        }
        self.tend(now, &mut person);
        self.person = Some(person);
        Reply::Read
    }

    /// Loads the profile of a person who is at home here, after the traits of `self.realised` came to it if they are
    /// the person's.
    fn load_person(&mut self, now: Now, id: KeyedHash, realises: bool) {
        let rules = self.current_rules();
        let mut person = self.take_person();
        let is_known = self.profiles.load(Uuid::of_person(id), &mut person);
        self.tend(now, &mut person);
        if realises && !self.realised.is_empty() {
            self.metrics.totals.persons_new.add((!is_known).into());
            person.last_seen = now.minute();
            self.count_realised(now, &rules, &mut person);
            self.store_profile(now, &mut person);
        }
        self.person = Some(person);
    }

    fn take_person(&mut self) -> Box<Profile> {
        self.person.take().expect("one person's profile is worked on at a time")
    }

    /// What a call that waited can be evaluated over. Meanwhile somebody else may have signed in on the device.
    pub(super) fn at_hand(
        &self,
        context: &Context,
        prepared: &Prepared<'_>,
        profile: &Profile,
        reply: Reply,
    ) -> AtHand {
        let Some(Person { id, is_current }) = self.person_of(context, prepared, profile) else { return AtHand::Nobody };
        let is_meant = || self.person.as_ref().is_some_and(|person| person.uuid == Uuid::of_person(id));
        match reply {
            Reply::Read if is_meant() => AtHand::Person { is_current },
            _ => AtHand::Unread { is_current },
        }
    }

    /// Finds the account's segments with a merge rule that the device is in now, in full, and adds them to those in
    /// `self.segments`. Where the person is not at hand for a reason of ours, they stay as they are.
    pub(super) fn place_merged(
        &mut self,
        now: Now,
        prepared: &Prepared<'_>,
        profile: &mut Profile,
        at_hand: AtHand,
    ) -> ErrorSet {
        let Shard { merged: found, joint, person, epochs, segments, entered, left, .. } = self;
        let scratch = epochs.of(prepared.rules.epoch).scratch(prepared.account_index);
        for (merged, scratch) in prepared.account.merged.iter().zip(&mut scratch.merged) {
            let concerns = |is_current: bool| is_current || merged.rule.person == MergedPerson::Last;
            let person = match at_hand {
                AtHand::Person { is_current } if concerns(is_current) => person.as_ref(),
                AtHand::Unread { is_current } if concerns(is_current) => {
                    segments.extend(profile.segments().iter().filter(|id| merged.program.has_segment(**id)));
                    continue;
                }
                _ => None,
            };
            let history = match (person, merged.rule.with_device) {
                (Some(person), true) => joint.join(profile.history(), person.history()),
                (Some(person), false) => person.history(),
                (None, true) => profile.history(),
                (None, false) => History::NONE,
            };
            // Without the person's next visit nobody could tell what changes when: this is looked at by calls alone.
            merged.program.evaluate(history, now, scratch, found);
            segments.extend_from_slice(found);
            replace(&merged.program, found, profile, entered, left, &self.metrics.totals);
        }
        segments.sort_unstable();
        match at_hand {
            AtHand::Unread { .. } => {
                self.metrics.totals.persons_unread.increment();
                ErrorSet::of(ErrorCode::ProfileCustomerUnread)
            }
            _ => ErrorSet::EMPTY,
        }
    }
}

/// Puts `segments` in the place of the program's in the profile.
fn replace(
    program: &Program,
    segments: &[SegmentId],
    profile: &mut Profile,
    entered: &mut Vec<SegmentId>,
    left: &mut Vec<SegmentId>,
    totals: &Totals,
) {
    entered.clear();
    left.clear();
    profile.set_segments_of_account(|id| program.has_segment(id), segments, entered, left);
    totals.segments_entered.add(entered.len() as u64);
    totals.segments_left.add(left.len() as u64);
}
