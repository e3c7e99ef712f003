//! The config file as types. Every table refuses keys that it does not know; a field stands in [`Spanned`] where a
//! fault may have to point at it, now or when rules and templates are compiled.

mod destination;
mod fixed;
mod id_sync;
mod limits;
mod partner;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::reader;
use super::source::{ConfigError, Source};
use super::validate::validate;
use super::values::{ByteSize, Network, Secret, Token};
pub use destination::{Destination, DestinationKind, DestinationPlatform, DestinationTag};
pub use id_sync::IdSync;
pub use limits::Limits;
pub use partner::{AnswerFormat, Method, Mode, OnAbsence, Partner, SentId, UserId};

/// A whole config file, checked: references lead somewhere, ids are unique, numbers are in range. Written out again it
/// lacks its secrets.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    pub server: Server,
    pub limits: Limits,
    #[serde(rename = "account", skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    #[serde(rename = "data_source", skip_serializing_if = "Vec::is_empty")]
    pub data_sources: Vec<DataSource>,
    #[serde(rename = "trait", skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<Trait>,
    #[serde(rename = "segment", skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    #[serde(rename = "derived_signal", skip_serializing_if = "Vec::is_empty")]
    pub derived_signals: Vec<DerivedSignal>,
    #[serde(rename = "partner", skip_serializing_if = "Vec::is_empty")]
    pub partners: Vec<Partner>,
    #[serde(rename = "destination", skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Destination>,
    #[serde(rename = "id_sync", skip_serializing_if = "Vec::is_empty")]
    pub id_syncs: Vec<IdSync>,
}

/// Reads and checks one file. On failure all faults at once, in the order of the file; only a file that is no TOML
/// hides what else is wrong with it, and a table that can't be read hides whether references lead to it.
pub fn parse(text: &str, file_name: &str) -> Result<File, Vec<ConfigError>> {
    let source = Source::new(file_name, text);
    let mut faults = reader::Faults::new(source);
    let file = reader::read(text, &mut faults);
    if let Some(file) = &file {
        validate(file, &mut faults);
    }
    match (file, faults.into_errors()) {
        (Some(file), errors) if errors.is_empty() => Ok(file),
        (_, errors) => Err(errors),
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    #[serde(default = "default_listen")]
    pub listen: Spanned<Vec<SocketAddr>>,
    #[serde(default = "default_admin")]
    pub admin: SocketAddr,
    /// The cookie domain; `ALIAS.base_domain` selects an account.
    pub base_domain: Spanned<String>,
    /// The account of calls to hosts outside of `base_domain`.
    pub default_account: Option<Spanned<String>>,
    pub shards: Option<Spanned<u16>>,
    pub cores: Option<Spanned<Vec<u16>>>,
    #[serde(default)]
    pub runtime: Runtime,
    #[serde(default = "default_memory_max")]
    pub memory_max: Spanned<ByteSize>,
    #[serde(default = "spanned::<16_384>")]
    pub connections_max: Spanned<u32>,
    /// Opt-outs that are kept: each takes room on every shard.
    #[serde(default = "spanned::<1_000_000>")]
    pub opt_outs_max: Spanned<u32>,
    pub data_dir: PathBuf,
    #[serde(skip_serializing)]
    pub secret: Option<Secret>,
    #[serde(default = "default_node")]
    pub node: Spanned<String>,
    #[serde(default = "number::<6>")]
    pub region: u32,
    #[serde(default)]
    pub trusted_proxies: Vec<Network>,
    #[serde(default)]
    pub partitioned: bool,
    #[serde(default = "number::<10>")]
    pub drain_s: u32,
    #[serde(default)]
    pub spin_us: u32,
    #[serde(default = "yes")]
    pub honour_gpc: bool,
    #[serde(default)]
    pub honour_dnt: bool,
    /// The consent management platforms whose strings count; empty: all.
    #[serde(default)]
    pub cmp_ids: Vec<Spanned<u16>>,
    #[serde(default)]
    pub cmp_ids_deleted: Vec<Spanned<u16>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// io_uring where the kernel has what our own runtime needs, else glommio.
    #[default]
    Auto,
    Uring,
    Glommio,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub alias: Spanned<String>,
    /// `HEX@AdobeOrg`.
    pub organisation: Spanned<String>,
    /// Origins that may read answers; `"*"` for all stands alone.
    #[serde(default)]
    pub allowed_origins: Vec<Spanned<String>>,
    #[serde(default = "spanned::<50>")]
    pub budget_ms: Spanned<u32>,
    #[serde(default = "spanned::<5>")]
    pub reserve_ms: Spanned<u32>,
    #[serde(default)]
    pub jsonp_without_referer: bool,
    #[serde(default)]
    pub browser_ids: BrowserIds,
    #[serde(default)]
    pub case_insensitive_values: bool,
    #[serde(skip_serializing)]
    pub token: Option<Token>,
    #[serde(default)]
    pub server_addresses: Vec<Network>,
    #[serde(default)]
    pub redirect_hosts: Vec<Spanned<String>>,
    /// The operator's number on the TCF vendor list.
    pub vendor_id: Option<Spanned<u16>>,
}

/// Who a browser call with both an id and a valid cookie is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrowserIds {
    #[default]
    CallWins,
    CookieWins,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    pub id: Spanned<u32>,
    pub account: Spanned<String>,
    pub name: Spanned<String>,
    pub integration_code: Option<Spanned<String>>,
    pub namespace: Option<Spanned<u32>>,
    #[serde(default)]
    pub resolve: Resolve,
    #[serde(default)]
    pub redirect_hosts: Vec<Spanned<String>>,
    /// Whether its ids name devices rather than persons.
    #[serde(default)]
    pub device_ids: bool,
    /// Whether its ids are used for nothing.
    #[serde(default)]
    pub blocked: bool,
}

/// For whom a declared id of the data source finds a visitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolve {
    #[default]
    Never,
    Server,
    Any,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trait {
    pub id: Spanned<u32>,
    pub name: Spanned<String>,
    pub data_source: Spanned<u32>,
    /// None: set by `d_sid`, partners or imports only.
    pub expression: Option<Spanned<String>>,
    /// 0: never expires.
    pub ttl_days: Option<Spanned<u16>>,
    pub integration_code: Option<Spanned<String>>,
    /// Makes it a folder, which stands for these traits and folders.
    pub children: Option<Spanned<Vec<Spanned<u32>>>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    pub id: Spanned<u32>,
    pub legacy_id: Option<Spanned<u32>>,
    pub name: Spanned<String>,
    pub account: Spanned<String>,
    pub expression: Spanned<String>,
    #[serde(default)]
    pub merge_rule: MergeRule,
}

/// Whose traits are joined before a segment is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeRule {
    #[default]
    Device,
    CurrentAuthenticated,
    CurrentAuthenticatedAndDevice,
    LastAuthenticated,
    LastAuthenticatedAndDevice,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedSignal {
    pub account: Spanned<String>,
    pub source_key: Spanned<String>,
    pub source_value: Spanned<String>,
    pub target_key: Spanned<String>,
    pub target_value: Spanned<String>,
}

fn default_listen() -> Spanned<Vec<SocketAddr>> {
    let any = [(std::net::Ipv4Addr::UNSPECIFIED, 8080).into(), (std::net::Ipv6Addr::UNSPECIFIED, 8080).into()];
    Spanned::new(0..0, any.to_vec())
}

fn default_admin() -> SocketAddr {
    (std::net::Ipv4Addr::LOCALHOST, 9090).into()
}

fn default_memory_max() -> Spanned<ByteSize> {
    Spanned::new(0..0, ByteSize(1 << 30))
}

fn default_node() -> Spanned<String> {
    Spanned::new(0..0, "pinion-1".to_owned())
}

fn number<const N: u32>() -> u32 {
    N
}

fn spanned<const N: u32>() -> Spanned<u32> {
    Spanned::new(0..0, N)
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
