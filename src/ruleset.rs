//! Configuration as the shards use it: compiled, immutable, shared. Shards never see TOML or rule text.

use std::net::SocketAddr;

use ahash::AHashMap;

use crate::config::values::Network;
use crate::destination::Destinations;
use crate::id_sync::IdSyncs;
use crate::identity::EcidKey;
use crate::ids::{AccountIndex, DataSourceId, PartnerIndex, SegmentId, TraitId};
use crate::meters::Rate;
use crate::partner::settings::Partner;
use crate::privacy::Policy;
use crate::profile::catalog::TraitCatalog;
use crate::rules::Matcher;
use crate::segments::Program;

/// One epoch's configuration.
#[derive(Debug)]
pub struct Ruleset {
    /// Counts the rulesets of this process, from 1.
    pub epoch: u64,
    pub server: ServerPolicy,
    pub accounts: Box<[Account]>,
    /// Account by alias, in lower case.
    pub aliases: AHashMap<Box<[u8]>, AccountIndex>,
    /// Account by organisation (`HEX@AdobeOrg`).
    pub organisations: AHashMap<Box<[u8]>, AccountIndex>,
    pub data_sources: AHashMap<DataSourceId, DataSource>,
    /// Any of them is blocked.
    pub blocks_data_sources: bool,
    /// By account, data sources by integration code; those open to all accounts stand under every account.
    pub integration_codes: Box<[AHashMap<Box<[u8]>, DataSourceId>]>,
    /// Data source by account and name space.
    pub name_spaces: AHashMap<(AccountIndex, u32), DataSourceId>,
    pub traits: TraitCatalog,
    pub partners: Box<[Partner]>,
    /// By partner, where it is reached without asking DNS; empty: ask.
    pub partner_addresses: Box<[Box<[SocketAddr]>]>,
}

impl Ruleset {
    /// The data source that an account knows by an integration code.
    pub fn integration_code(&self, account: AccountIndex, code: &[u8]) -> Option<DataSourceId> {
        self.integration_codes[account.0 as usize].get(code).copied()
    }

    /// Whether the trait is one of the account's.
    pub fn owns_trait(&self, account: AccountIndex, id: TraitId) -> bool {
        self.traits.find(id).is_some_and(|info| info.account == account)
    }

    /// Whether the account may use ids of the data source, and tell them to others.
    pub fn may_use_ids(&self, source: DataSourceId, account: AccountIndex) -> bool {
        let is_usable = |source: &DataSource| !source.is_blocked && source.account.is_none_or(|owner| owner == account);
        self.data_sources.get(&source).is_some_and(is_usable)
    }

    /// Whether ids of the data source name persons, and the account may know them as such.
    pub fn names_persons(&self, source: DataSourceId, account: AccountIndex) -> bool {
        self.data_sources.get(&source).is_some_and(|source| source.account == Some(account) && !source.device_ids)
    }
}

/// What holds for every account.
#[derive(Debug)]
pub struct ServerPolicy {
    /// The cookie domain, in lower case, without dots at its ends; empty: none.
    pub base_domain: Box<str>,
    pub default_account: Option<AccountIndex>,
    pub node: Box<str>,
    pub region: u32,
    pub trusted_proxies: Box<[Network]>,
    pub partitioned: bool,
    pub limits: Limits,
}

/// How often something may come to one shard. `None`: as often as it likes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub declared_ids: Option<Rate>,
    pub device_ids: Option<Rate>,
    pub profiles: Option<Rate>,
    /// How long an id or a profile that comes too often is denied.
    pub deny_ns: u64,
    /// Calls from one address.
    pub servers: Option<Rate>,
    pub browsers: Option<Rate>,
    pub opt_outs: Option<Rate>,
}

/// A publisher.
#[derive(Debug)]
pub struct Account {
    pub alias: Box<str>,
    pub organisation: Box<[u8]>,
    pub ecid_key: EcidKey,
    pub origins: Origins,
    /// The iframe's Content-Security-Policy: who may hold it.
    pub frame_policy: Box<str>,
    pub budget_ns: u64,
    pub reserve_ns: u64,
    pub jsonp_without_referer: bool,
    /// A browser's valid cookie outranks ids in its call.
    pub cookie_wins: bool,
    pub token: Option<Box<[u8]>>,
    pub server_addresses: Box<[Network]>,
    pub redirect_hosts: Box<[Box<str>]>,
    /// What consent means here.
    pub privacy: Policy,
    pub matcher: Matcher,
    /// The segments that look at the device's own traits.
    pub program: Program,
    /// Those that look at a person's, one program for each merge rule that occurs. None of them is in `program`.
    pub merged: Box<[MergedProgram]>,
    /// Every segment of the account, ascending, and its legacy id.
    pub segments: Box<[(SegmentId, u32)]>,
    pub partners: Box<[PartnerIndex]>,
    pub destinations: Destinations,
    pub id_syncs: IdSyncs,
}

/// Segments with one merge rule.
#[derive(Debug)]
pub struct MergedProgram {
    pub rule: MergeRule,
    pub program: Program,
}

/// Whose traits are joined before segments are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeRule {
    pub person: MergedPerson,
    /// The device's traits count as well.
    pub with_device: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergedPerson {
    /// Who is authenticated in this call.
    Current,
    /// Who was last authenticated on the device.
    Last,
}

/// Where ids come from.
#[derive(Debug)]
pub struct DataSource {
    pub id: DataSourceId,
    /// `None`: open to all accounts.
    pub account: Option<AccountIndex>,
    pub resolve: Resolve,
    pub redirect_hosts: Box<[Box<str>]>,
    /// The form that its ids must have.
    pub format: IdFormat,
    /// Its ids name devices rather than persons.
    pub device_ids: bool,
    /// Its ids are used for nothing.
    pub is_blocked: bool,
}

/// Whether a declared id may find a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    Never,
    /// For server callers with the account's token or from its addresses.
    Server,
    /// For every server caller.
    Any,
}

/// What ids of a data source look like: the protocol, section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdFormat {
    Any,
    /// 8-4-4-4-12 hexadecimal digits in lower case.
    LowerUuid,
    /// The same in upper case.
    UpperUuid,
    Alphanumeric,
}

impl IdFormat {
    pub fn accepts(self, id: &[u8]) -> bool {
        let dashed = |is_digit: fn(u8) -> bool| {
            id.len() == 36
                && id.iter().enumerate().all(|(i, byte)| match i {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    _ => byte.is_ascii_digit() || is_digit(*byte),
                })
        };
        match self {
            IdFormat::Any => true,
            IdFormat::LowerUuid => dashed(|byte| matches!(byte, b'a'..=b'f')),
            IdFormat::UpperUuid => dashed(|byte| matches!(byte, b'A'..=b'F')),
            IdFormat::Alphanumeric => !id.is_empty() && id.iter().all(u8::is_ascii_alphanumeric),
        }
    }
}

/// The origins whose pages may read answers.
#[derive(Debug, Default)]
pub struct Origins {
    pub any: bool,
    /// `scheme://host[:port]`, in lower case. A port of `*` stands for every port.
    pub list: Box<[Box<str>]>,
}

impl Origins {
    /// Whether an `Origin` header's value is listed. Origins are sent in lower case by browsers; anything else is not
    /// one.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.any && !origin.is_empty() || self.list.iter().any(|allowed| origin_matches(allowed.as_bytes(), origin))
    }

    /// Whether a URL's origin is listed: for `Referer`.
    pub fn allows_url(&self, url: &[u8]) -> bool {
        let Some(scheme_end) = url.windows(3).position(|window| window == b"://") else { return false };
        let host = &url[scheme_end + 3..];
        let host_len = host.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(host.len());
        let origin = &url[..scheme_end + 3 + host_len];
        !origin.contains(&b'@') && self.allows(origin)
    }
}

fn origin_matches(allowed: &[u8], origin: &[u8]) -> bool {
    let Some(any_port) = allowed.strip_suffix(b":*") else { return allowed == origin };
    let Some(rest) = origin.strip_prefix(any_port) else { return false };
    match rest.strip_prefix(b":") {
        Some(port) => !port.is_empty() && port.iter().all(u8::is_ascii_digit),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_compare_whole() {
        let origins = Origins { any: false, list: ["https://a.example".into(), "http://localhost:*".into()].into() };
        let cases: [(&[u8], bool); 8] = [
            (b"https://a.example", true),
            (b"https://a.example.evil.test", false),
            (b"https://a.example:8443", false),
            (b"http://a.example", false),
            (b"http://localhost", true),
            (b"http://localhost:8080", true),
            (b"http://localhost:8080.evil.test", false),
            (b"", false),
        ];
        for (origin, allowed) in cases {
            assert_eq!(origins.allows(origin), allowed, "{}", String::from_utf8_lossy(origin));
        }
        assert!(origins.allows_url(b"https://a.example/page?x=https://b.example"));
        assert!(!origins.allows_url(b"https://b.example/https://a.example/"));
        assert!(!origins.allows_url(b"https://a.example@b.example/"));
    }
}
