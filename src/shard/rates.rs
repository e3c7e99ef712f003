//! Who comes too often: ids and profiles, which are denied for a time then, and callers, who are refused until they are
//! slower.
//!
//! Each shard counts what it sees itself: ids in the calls of its connections, the addresses of those connections, and
//! the calls of the profiles that it keeps. So nobody is asked and nothing is shared; an id or a caller who spreads
//! over connections of several cores may come as often at each, while a profile's calls are all counted.

use std::net::IpAddr;

use super::Shard;
use super::job::{Access, Context};
use super::prepare::{Caller, Prepared};
use crate::clock::Now;
use crate::event::errors::{ErrorCode, ErrorSet};
use crate::identity::{KeyedHash, Uuid};
use crate::meters::{Meters, Rate, Sighting};
use crate::ruleset::{Limits, Ruleset};

/// Tables of meters that one shard has.
pub const METER_TABLES: usize = 4;

#[derive(Debug)]
pub(super) struct Rates {
    declared_ids: Meters,
    device_ids: Meters,
    profiles: Meters,
    callers: Meters,
}

/// What callers do that is counted apart.
#[derive(Clone, Copy)]
enum Kind {
    Server,
    Browser,
    OptsOut,
}

impl Rates {
    /// Tables of so many places each.
    pub(super) fn new(places: usize) -> Rates {
        let [declared_ids, device_ids, profiles, callers]: [Meters; METER_TABLES] =
            std::array::from_fn(|_| Meters::new(places));
        Rates { declared_ids, device_ids, profiles, callers }
    }
}

impl Shard {
    /// Takes those of a call's declared ids out that are denied or of a blocked data source. They are left out of
    /// everything but the question whether somebody opted out.
    pub(super) fn leave_out_ids(&mut self, now: Now, prepared: &Prepared<'_>, context: &mut Context) {
        let rules = prepared.rules;
        if rules.server.limits.declared_ids.is_none() && !rules.blocks_data_sources {
            return;
        }
        for id in &prepared.ids {
            let key = self.id_hash.declared(id.source, id.id);
            let refused = self.refuses_id(now, rules, rules.data_sources[&id.source].is_blocked, key);
            if let Some(code) = refused {
                context.errors.insert(code);
                context.ids_blocked |= 1 << id.place;
            }
        }
    }

    /// Counts a declared id, and says why it is not to be used.
    pub(super) fn refuses_id(
        &mut self,
        now: Now,
        rules: &Ruleset,
        is_source_blocked: bool,
        key: KeyedHash,
    ) -> Option<ErrorCode> {
        let code = if is_source_blocked {
            Some(ErrorCode::DataSourceBlocked)
        } else {
            let limits = &rules.server.limits;
            let seen = see(&mut self.rates.declared_ids, key, limits.declared_ids, limits, now);
            let totals = &self.metrics.totals;
            totals.declared_ids_denied.add((seen == Sighting::TooMany).into());
            totals.ids_uncounted.add((seen == Sighting::Uncounted).into());
            is_refused(seen).then_some(ErrorCode::DeclaredIdBlocked)
        };
        self.metrics.totals.declared_ids_blocked.add(code.is_some().into());
        code
    }

    /// Of the devices that a call may mean the first whose id is not denied. Otherwise the first that is, if any.
    pub(super) fn allowed_device(
        &mut self,
        now: Now,
        rules: &Ruleset,
        devices: impl IntoIterator<Item = Uuid>,
        errors: &mut ErrorSet,
    ) -> Result<Uuid, Option<Uuid>> {
        let limits = &rules.server.limits;
        let mut blocked = None;
        for uuid in devices {
            if limits.device_ids.is_none() {
                return Ok(uuid);
            }
            let key = self.table_hash.uuid(uuid);
            let seen = see(&mut self.rates.device_ids, key, limits.device_ids, limits, now);
            let totals = &self.metrics.totals;
            totals.device_ids_denied.add((seen == Sighting::TooMany).into());
            totals.ids_uncounted.add((seen == Sighting::Uncounted).into());
            if !is_refused(seen) {
                return Ok(uuid);
            }
            totals.device_ids_blocked.increment();
            errors.insert(ErrorCode::DeviceIdBlocked);
            blocked = blocked.or(Some(uuid));
        }
        Err(blocked)
    }

    /// Counts a call of a profile that is kept here. If there were too many: with what context it goes on.
    pub(super) fn restrained(&mut self, now: Now, rules: &Ruleset, context: &Context) -> Option<Context> {
        let uuid = context.visitor.uuid;
        if context.visitor.access != Access::Full || !self.refuses_profile_call(now, &rules.server.limits, uuid) {
            return None;
        }
        let mut context = *context;
        context.visitor.access = Access::Read;
        context.errors.insert(ErrorCode::ProfileOperationBlocked);
        Some(context)
    }

    pub(super) fn refuses_profile_call(&mut self, now: Now, limits: &Limits, uuid: Uuid) -> bool {
        if limits.profiles.is_none() {
            return false;
        }
        let key = self.table_hash.uuid(uuid);
        let seen = see(&mut self.rates.profiles, key, limits.profiles, limits, now);
        let totals = &self.metrics.totals;
        totals.profiles_denied.add((seen == Sighting::TooMany).into());
        totals.ids_uncounted.add((seen == Sighting::Uncounted).into());
        totals.profile_calls_blocked.add(is_refused(seen).into());
        is_refused(seen)
    }

    /// Counts a call of a caller. If there were too many: in how many seconds there may be another.
    pub(super) fn refuses_caller(&mut self, now: Now, limits: &Limits, address: IpAddr, caller: Caller) -> Option<u32> {
        let (rate, kind) = match caller {
            Caller::Server => (limits.servers, Kind::Server),
            Caller::Browser | Caller::Mobile => (limits.browsers, Kind::Browser),
        };
        let wait_s = self.spend(now, address, kind, rate, 1)?;
        self.metrics.totals.calls_limited.increment();
        Some(wait_s)
    }

    /// Counts what a caller wants to opt out. If that is too much: in how many seconds it is not.
    pub(super) fn refuses_opt_outs(&mut self, now: Now, limits: &Limits, address: IpAddr, count: usize) -> Option<u32> {
        let wait_s = self.spend(now, address, Kind::OptsOut, limits.opt_outs, count as u32)?;
        self.metrics.totals.opt_outs_limited.increment();
        Some(wait_s)
    }

    fn spend(&mut self, now: Now, address: IpAddr, kind: Kind, rate: Option<Rate>, count: u32) -> Option<u32> {
        let rate = rate?;
        let key = self.table_hash.caller(address, kind as u8);
        let wait_ns = self.rates.callers.spend(key, count, rate, now.mono_ns).err()?;
        Some(wait_ns.div_ceil(1_000_000_000) as u32)
    }
}

fn see(meters: &mut Meters, key: KeyedHash, rate: Option<Rate>, limits: &Limits, now: Now) -> Sighting {
    rate.map_or(Sighting::Within, |rate| meters.see(key, rate, limits.deny_ns, now.mono_ns))
}

fn is_refused(seen: Sighting) -> bool {
    matches!(seen, Sighting::TooMany | Sighting::Denied)
}
