//! From a config file to the [`Ruleset`] that shards use.
//!
//! Two steps: everything that can fail is compiled first, with all faults told at once; then the parts are put together
//! with what only a running server has, its secret and its epoch. References that lead nowhere were told by `validate`
//! and are passed over here, so that a file with both kinds of faults hears of both.

mod accounts;
mod destinations;
mod folders;
mod id_syncs;
mod identities;
mod partners;
mod rules;

use std::net::SocketAddr;

use ahash::AHashMap;
use toml::Spanned;

use super::file::{self, File};
use super::reader::{self, Faults};
use super::source::{ConfigError, Source};
use super::validate::validate;
use crate::destination::Destinations;
use crate::id_sync::IdSyncs;
use crate::identity::Secret;
use crate::ids::AccountIndex;
use crate::partner::settings::Partner;
use crate::profile::catalog::TraitCatalog;
use crate::ruleset::Ruleset;
pub(super) use destinations::{COOKIE_SEPARATOR_DEFAULT, COOKIE_TTL_DAYS_DEFAULT};
use rules::{AccountRules, catalog};
pub(super) use rules::{Grouped, expressions};

/// A file that can be run.
#[derive(Debug)]
pub struct Loaded {
    pub file: File,
    parts: Parts,
}

/// Reads, checks and compiles one file. On failure all faults at once, in the order of the file; only a file that is no
/// TOML hides what else is wrong with it, and a table that can't be read hides what refers to it.
pub fn load(text: &str, file_name: &str) -> Result<Loaded, Vec<ConfigError>> {
    let mut faults = Faults::new(Source::new(file_name, text));
    let Some(file) = reader::read(text, &mut faults) else { return Err(faults.into_errors()) };
    validate(&file, &mut faults);
    match Parts::compile(&file, &mut faults) {
        Some(parts) if faults.is_empty() => Ok(Loaded { file, parts }),
        _ => Err(told(faults)),
    }
}

impl Loaded {
    /// The ruleset, and the file that it was made of.
    pub fn into_ruleset(self, secret: &Secret, epoch: u64) -> (Ruleset, File) {
        (self.parts.into_ruleset(&self.file, secret, epoch), self.file)
    }
}

/// Compiles a file that [`file::parse`] took. `source` is the text it was read from.
pub fn compile(file: &File, source: &Source<'_>, secret: &Secret, epoch: u64) -> Result<Ruleset, Vec<ConfigError>> {
    let mut faults = Faults::new(source.clone());
    match Parts::compile(file, &mut faults) {
        Some(parts) if faults.is_empty() => Ok(parts.into_ruleset(file, secret, epoch)),
        _ => Err(told(faults)),
    }
}

fn told(faults: Faults<'_>) -> Vec<ConfigError> {
    assert!(!faults.is_empty(), "a file is refused and nobody said why");
    faults.into_errors()
}

/// What compilers made of a file, lists in its order.
#[derive(Debug)]
struct Parts {
    accounts: Vec<(AccountRules, Destinations, IdSyncs)>,
    traits: TraitCatalog,
    partners: Vec<Partner>,
    partner_addresses: Vec<Box<[SocketAddr]>>,
}

impl Parts {
    /// `None`: something could not be compiled. Every fault is noted either way.
    fn compile(file: &File, faults: &mut Faults<'_>) -> Option<Parts> {
        let places = Places::new(file);
        let grouped = Grouped::new(file, &places);
        let accounts = file.accounts.iter().zip(&grouped.accounts);
        let rules: Vec<Option<AccountRules>> =
            accounts.map(|(account, group)| rules::compile(account, group, &grouped.lost, faults)).collect();
        let destinations: Vec<Option<Destinations>> =
            grouped.accounts.iter().map(|group| destinations::compile(group, faults)).collect();
        let syncs: Vec<Option<IdSyncs>> =
            grouped.accounts.iter().map(|group| id_syncs::compile(group, faults)).collect();
        let codes = partners::segment_codes(file);
        let partners: Vec<Option<Partner>> =
            file.partners.iter().map(|entry| partners::compile(entry, file, &places, &codes, faults)).collect();
        let rules: Vec<AccountRules> = rules.into_iter().collect::<Option<_>>()?;
        let destinations: Vec<Destinations> = destinations.into_iter().collect::<Option<_>>()?;
        let syncs: Vec<IdSyncs> = syncs.into_iter().collect::<Option<_>>()?;
        let partners: Vec<Partner> = partners.into_iter().collect::<Option<_>>()?;
        let addresses = file.partners.iter().zip(&partners);
        Some(Parts {
            traits: catalog(&grouped, &rules),
            accounts: std::iter::zip(rules, std::iter::zip(destinations, syncs))
                .map(|(rules, (destinations, syncs))| (rules, destinations, syncs))
                .collect(),
            partner_addresses: addresses.map(|(entry, partner)| partners::addresses(entry, partner)).collect(),
            partners,
        })
    }

    fn into_ruleset(self, file: &File, secret: &Secret, epoch: u64) -> Ruleset {
        let places = Places::new(file);
        let identities = identities::compile(file, &places);
        let accounts = file.accounts.iter().zip(self.accounts).enumerate();
        let accounts = accounts.map(|(index, (account, (rules, destinations, syncs)))| {
            let partners = partners::of_account(&self.partners, AccountIndex(index as u16));
            accounts::assemble(&file.server, account, (rules, destinations, syncs), partners, secret)
        });
        Ruleset {
            epoch,
            server: accounts::server_policy(&file.server, &file.limits, &places),
            accounts: accounts.collect(),
            aliases: by_text(file, |account| &account.alias),
            organisations: by_text(file, |account| &account.organisation),
            blocks_data_sources: identities.data_sources.values().any(|source| source.is_blocked),
            data_sources: identities.data_sources,
            integration_codes: identities.integration_codes,
            name_spaces: identities.name_spaces,
            traits: self.traits,
            partners: self.partners.into(),
            partner_addresses: self.partner_addresses.into(),
        }
    }
}

fn by_text(file: &File, text: impl Fn(&file::Account) -> &Spanned<String>) -> AHashMap<Box<[u8]>, AccountIndex> {
    let accounts = file.accounts.iter().enumerate();
    accounts.map(|(index, account)| (text(account).get_ref().as_bytes().into(), AccountIndex(index as u16))).collect()
}

/// Where references lead.
pub(super) struct Places<'f> {
    accounts: AHashMap<&'f str, AccountIndex>,
    /// Data source -> its account.
    owners: AHashMap<u32, AccountIndex>,
}

impl<'f> Places<'f> {
    pub(super) fn new(file: &'f File) -> Places<'f> {
        let accounts: AHashMap<&str, AccountIndex> = file
            .accounts
            .iter()
            .enumerate()
            .map(|(index, account)| (account.alias.get_ref().as_str(), AccountIndex(index as u16)))
            .collect();
        let owner =
            |entry: &file::DataSource| Some((*entry.id.get_ref(), *accounts.get(entry.account.get_ref().as_str())?));
        let owners = file.data_sources.iter().filter_map(owner).collect();
        Places { accounts, owners }
    }

    fn account(&self, alias: &Spanned<String>) -> Option<AccountIndex> {
        self.accounts.get(alias.get_ref().as_str()).copied()
    }

    fn owner(&self, data_source: &Spanned<u32>) -> Option<AccountIndex> {
        self.owners.get(data_source.get_ref()).copied()
    }
}
