//! A ruleset and all that one shard needs to use it. The control thread makes it, allocations and all; the shard swaps
//! it in between two requests and sends the old one back to be freed, once no request or partner call uses it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Message, Shard};
use crate::ids::{AccountIndex, PartnerId, PartnerIndex, ShardId};
use crate::metrics::PartnerMetrics;
use crate::partner::addresses::Addresses;
use crate::partner::health::Health;
use crate::partner::pool::Pool;
use crate::reactor::{ConnId, Io};
use crate::rules::MatcherScratch;
use crate::ruleset::Ruleset;
use crate::segments::ProgramScratch;

/// A ruleset, counted twice: all shards share the inner count, which changes at reloads only; the outer count is this
/// shard's own, so that taking a reference for one request touches no memory of another core.
pub(super) type Rules = Arc<Arc<Ruleset>>;

/// One ruleset in use at one shard.
#[derive(Debug)]
pub struct Epoch {
    pub(super) rules: Rules,
    /// By account.
    pub(super) scratch: Box<[AccountScratch]>,
    /// By partner.
    pub(super) partners: Box<[PartnerRuntime]>,
    /// Parked requests and partner calls that began under it.
    pub(super) users: usize,
    /// Regular expressions whose evaluation may allocate.
    pub(super) backtracking_regexes: usize,
}

#[derive(Debug)]
pub(super) struct AccountScratch {
    pub matcher: MatcherScratch,
    pub program: ProgramScratch,
    /// By merge rule.
    pub merged: Box<[ProgramScratch]>,
}

/// What a shard knows of a partner at run time.
#[derive(Debug)]
pub(super) struct PartnerRuntime {
    pub pool: Pool<ConnId>,
    pub health: Health,
    pub addresses: Addresses,
    /// The partner's over all rulesets, wherever in them it stands.
    pub metrics: Arc<PartnerMetrics>,
}

impl Epoch {
    /// Allocates all that using `ruleset` needs.
    pub fn new(
        ruleset: &Arc<Ruleset>,
        addresses: impl Fn(PartnerIndex) -> Box<[SocketAddr]>,
        metrics: impl Fn(PartnerIndex) -> Arc<PartnerMetrics>,
    ) -> Epoch {
        let scratch = ruleset.accounts.iter().map(|account| AccountScratch {
            matcher: account.matcher.scratch(),
            program: account.program.scratch(),
            merged: account.merged.iter().map(|merged| merged.program.scratch()).collect(),
        });
        let partners = ruleset.partners.iter().enumerate().map(|(index, partner)| PartnerRuntime {
            pool: Pool::new(partner.pool),
            health: Health::default(),
            addresses: Addresses::new(addresses(PartnerIndex(index as u16))),
            metrics: metrics(PartnerIndex(index as u16)),
        });
        Epoch {
            rules: Arc::new(Arc::clone(ruleset)),
            scratch: scratch.collect(),
            partners: partners.collect(),
            users: 0,
            backtracking_regexes: ruleset.accounts.iter().map(|account| account.matcher.backtracking_regexes()).sum(),
        }
    }

    pub fn number(&self) -> u64 {
        self.rules.epoch
    }

    pub(super) fn scratch(&mut self, account: AccountIndex) -> &mut AccountScratch {
        &mut self.scratch[account.0 as usize]
    }

    pub(super) fn partner(&mut self, partner: PartnerIndex) -> &mut PartnerRuntime {
        &mut self.partners[partner.0 as usize]
    }
}

/// The ruleset for new requests, and the one before while something still uses it.
#[derive(Debug)]
pub(super) struct Epochs {
    pub current: Box<Epoch>,
    pub previous: Option<Box<Epoch>>,
    /// The next one, which waits until `previous` is gone: two at a time are enough, since calls are bounded in time.
    pub next: Option<Box<Epoch>>,
}

impl Epochs {
    /// The epoch that a request or call began with.
    ///
    /// # Panics
    /// When it is gone: nothing outlives its epoch.
    pub(super) fn of(&mut self, number: u64) -> &mut Epoch {
        if self.current.number() == number {
            return &mut self.current;
        }
        self.previous.as_deref_mut().filter(|epoch| epoch.number() == number).expect("an epoch in use is kept")
    }

    /// What a partner of such an epoch has come to.
    pub(super) fn metrics(&self, number: u64, index: PartnerIndex) -> &PartnerMetrics {
        let is_current = self.current.number() == number;
        let epoch = if is_current { Some(&self.current) } else { self.previous.as_ref() };
        let epoch = epoch.filter(|epoch| epoch.number() == number).expect("an epoch in use is kept");
        &epoch.partners[usize::from(index.0)].metrics
    }
}

impl Shard {
    /// A new ruleset is there: from the next request on it counts.
    pub(super) fn take_epoch<I: Io<Message = Message>>(&mut self, io: &mut I, epoch: Box<Epoch>) {
        // Of several that wait, the latest counts.
        if let Some(unused) = self.epochs.next.replace(epoch) {
            self.tell_control(io, Message::Retired(unused));
        }
        self.advance_epoch();
    }

    fn advance_epoch(&mut self) {
        if self.epochs.previous.is_none()
            && let Some(mut next) = self.epochs.next.take()
        {
            // How a partner did is known of the partner, not of the ruleset.
            for (index, partner) in next.rules.partners.iter().enumerate() {
                let old = self.epochs.current.rules.partners.iter().position(|old| old.id == partner.id);
                if let Some(old) = old {
                    next.partners[index].health = self.epochs.current.partners[old].health;
                }
            }
            self.epochs.previous = Some(std::mem::replace(&mut self.epochs.current, next));
            self.metrics.totals.rulesets_loaded.increment();
        }
    }

    /// Sends the ruleset before this one back, once nothing uses it.
    pub(super) fn retire<I: Io<Message = Message>>(&mut self, io: &mut I) {
        let Some(previous) = &self.epochs.previous else { return };
        let connections: usize = previous.partners.iter().map(|partner| partner.pool.open_count()).sum();
        if previous.users == 0 && connections == 0 {
            let previous = self.epochs.previous.take().expect("it was just there");
            self.tell_control(io, Message::Retired(previous));
            self.advance_epoch();
        }
    }

    /// Closes idle connections whose time is up, and opens those that are wanted.
    pub(super) fn tend_pools<I: Io<Message = Message>>(&mut self, io: &mut I) {
        let now_ns = io.now().mono_ns;
        let current = self.epochs.current.number();
        let previous = self.epochs.previous.as_ref().map(|epoch| epoch.number());
        for epoch in [Some(current), previous].into_iter().flatten() {
            // A ruleset on its way out, like a server, needs no idle connections.
            let is_leaving = epoch != current || self.draining();
            let until_ns = if is_leaving { u64::MAX } else { now_ns };
            for index in 0..self.epochs.of(epoch).partners.len() {
                let index = PartnerIndex(index as u16);
                while let Some(conn) = self.epochs.of(epoch).partner(index).pool.expire(until_ns) {
                    self.upstream_close(io, conn);
                }
                let has_address = !self.epochs.of(epoch).partner(index).addresses.is_empty();
                while !is_leaving && has_address && self.epochs.of(epoch).partner(index).pool.wants_open(now_ns) {
                    self.upstream_open(io, epoch, index);
                }
            }
        }
    }

    /// A partner's name was resolved anew. Connections to old addresses serve on until they are idle.
    pub(super) fn take_addresses<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        partner: PartnerId,
        mut addresses: Box<[SocketAddr]>,
    ) {
        let place = self.epochs.current.rules.partners.iter().position(|known| known.id == partner);
        if let Some(place) = place {
            addresses = self.epochs.current.partners[place].addresses.replace(addresses);
        }
        self.tell_control(io, Message::Replaced(addresses));
    }

    /// The control thread frees what shards may not.
    fn tell_control<I: Io<Message = Message>>(&mut self, io: &mut I, message: Message) {
        // Control reads all the time and sends little: a full ring would be a bug, and freeing here would only be slow.
        let told = io.post(ShardId::CONTROL, message);
        debug_assert!(told.is_ok(), "control takes what is returned to it");
    }
}
