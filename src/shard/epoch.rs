//! A ruleset and all that one shard needs to use it. The control thread makes it, allocations and all; the shard swaps
//! it in between two requests and sends the old one back to be freed, once no request or partner call uses it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::ids::{AccountIndex, PartnerIndex};
use crate::partner::health::Health;
use crate::partner::pool::{Pool, PoolLimits};
use crate::reactor::ConnId;
use crate::rules::MatcherScratch;
use crate::ruleset::Ruleset;
use crate::segments::ProgramScratch;

/// A ruleset, counted twice: all shards share the inner count, which changes at reloads only; the outer count is this
/// shard's own, so that taking a reference for one request touches no memory of another core.
pub(crate) type Rules = Arc<Arc<Ruleset>>;

/// One ruleset in use at one shard.
#[derive(Debug)]
pub struct Epoch {
    pub(super) rules: Rules,
    /// By account.
    pub(super) scratch: Box<[AccountScratch]>,
    /// By partner.
    pub(super) partners: Box<[PartnerRuntime]>,
}

#[derive(Debug)]
pub(super) struct AccountScratch {
    pub matcher: MatcherScratch,
    pub program: ProgramScratch,
}

/// What a shard knows of a partner at run time.
#[derive(Debug)]
pub(super) struct PartnerRuntime {
    pub pool: Pool<ConnId>,
    pub health: Health,
    /// Where the partner is now; empty until its name is resolved.
    pub addresses: Box<[SocketAddr]>,
    /// Connections go to the addresses in turn.
    pub next_address: usize,
}

impl Epoch {
    /// Allocates all that using `ruleset` needs.
    pub fn new(ruleset: &Arc<Ruleset>, addresses: impl Fn(PartnerIndex) -> Box<[SocketAddr]>) -> Epoch {
        let scratch = ruleset.accounts.iter().map(|account| AccountScratch {
            matcher: account.matcher.scratch(),
            program: account.program.scratch(),
        });
        let partners = ruleset.partners.iter().enumerate().map(|(index, partner)| PartnerRuntime {
            pool: Pool::new(PoolLimits {
                connections_max: partner.connections_max,
                idle_min: partner.idle_min,
                idle_ns: partner.idle_ns,
                queue_max: partner.queue_max,
            }),
            health: Health::default(),
            addresses: addresses(PartnerIndex(index as u16)),
            next_address: 0,
        });
        Epoch { rules: Arc::new(Arc::clone(ruleset)), scratch: scratch.collect(), partners: partners.collect() }
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
}
