//! The ruleset in use, and where its partners are.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};

use super::names::{Name, REFRESH};
use super::say;
use crate::ids::{PartnerId, PartnerIndex};
use crate::ruleset::Ruleset;

pub(super) struct Rules {
    pub ruleset: Arc<Ruleset>,
    /// Of the partners that DNS is asked for.
    names: Vec<Name>,
    changes: UnboundedReceiver<Change>,
    refresher: JoinHandle<()>,
}

/// A partner has moved.
pub(super) struct Change {
    pub partner: PartnerId,
    pub addresses: Box<[SocketAddr]>,
}

impl Rules {
    /// Resolves all names before they are used. Those that can't be resolved now keep the addresses that are `known`
    /// already, and are tried again later.
    pub(super) async fn new(ruleset: Ruleset, known: Vec<Name>) -> Rules {
        let mut asking = JoinSet::new();
        for (partner, fixed) in ruleset.partners.iter().zip(&ruleset.partner_addresses) {
            if fixed.is_empty() {
                let name = Name::new(partner.id, &partner.url.host, partner.url.port);
                let mut name = name.with_addresses_of(&known);
                asking.spawn(async move {
                    refresh(&mut name).await;
                    name
                });
            }
        }
        let names = asking.join_all().await;
        let (change, changes) = unbounded_channel();
        let refresher = tokio::spawn(keep_fresh(names.clone(), change));
        Rules { ruleset: Arc::new(ruleset), names, changes, refresher }
    }

    /// What is known of the names that DNS was asked for.
    pub(super) fn names(&self) -> Vec<Name> {
        self.names.clone()
    }

    /// Where a partner is, as far as is known now.
    pub(super) fn addresses(&self, index: PartnerIndex) -> Box<[SocketAddr]> {
        let partner = self.ruleset.partners[usize::from(index.0)].id;
        let resolved = self.names.iter().find(|name| name.partner == partner).map(|name| &name.addresses);
        resolved.unwrap_or(&self.ruleset.partner_addresses[usize::from(index.0)]).clone()
    }

    /// The next change of a partner's addresses.
    pub(super) async fn change(&mut self) -> Change {
        let Some(change) = self.changes.recv().await else {
            // Without names there is nothing to wait for.
            return std::future::pending().await;
        };
        if let Some(name) = self.names.iter_mut().find(|name| name.partner == change.partner) {
            name.addresses.clone_from(&change.addresses);
        }
        change
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        self.refresher.abort();
    }
}

/// Asks for every name again and again, and tells what changed.
async fn keep_fresh(mut names: Vec<Name>, changes: UnboundedSender<Change>) {
    while !names.is_empty() {
        tokio::time::sleep(REFRESH).await;
        for name in &mut names {
            if refresh(name).await {
                let change = Change { partner: name.partner, addresses: name.addresses.clone() };
                if changes.send(change).is_err() {
                    return;
                }
            }
        }
    }
}

/// `true`: the addresses changed.
async fn refresh(name: &mut Name) -> bool {
    name.refresh().await.unwrap_or_else(|fault| {
        let known = name.addresses.len();
        say::warning(format_args!("partner {}: {}: {fault}; {known} addresses known", name.partner, name.host));
        false
    })
}
