//! One partner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::super::values::FixedAddress;
use super::{number, spanned};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    pub id: Spanned<u32>,
    pub name: Spanned<String>,
    pub account: Spanned<String>,
    /// Whose traits its segments realise.
    pub data_source: Spanned<u32>,
    /// A template.
    pub url: Spanned<String>,
    #[serde(default)]
    pub method: Method,
    /// Names and templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<Spanned<String>, Spanned<String>>,
    /// A template; none: what the format asks for.
    pub body: Option<Spanned<String>>,
    /// What `body` or the default body is.
    #[serde(default = "default_content_type")]
    pub content_type: Spanned<String>,
    /// Which id names the visitor in the default body.
    #[serde(default = "default_user_id")]
    pub user_id: Spanned<UserId>,
    /// The data source of a declared `user_id`.
    pub id_source: Option<Spanned<u32>>,
    /// Declared ids that go along in the default body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eids: Vec<SentId>,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub format: AnswerFormat,
    /// Statuses that mean 'nothing known' besides 204.
    #[serde(default)]
    pub status_empty: Vec<Spanned<u16>>,
    pub min_score: Option<Spanned<f64>>,
    /// Where the segments stand; empty: where the format says.
    #[serde(default)]
    pub segments_paths: Vec<Spanned<String>>,
    pub id_path: Option<Spanned<String>>,
    pub ttl_path: Option<Spanned<String>>,
    /// The field of an element that is its segment id.
    pub element: Option<Spanned<String>>,
    /// The field of an element that is its ttl in seconds.
    pub element_ttl: Option<Spanned<String>>,
    /// Whether script around the JSON is taken off; none: what the format says.
    pub wrapped: Option<bool>,
    /// Whether `staleAt`, `expiresAt` and `status` are read, as format `stale` does.
    #[serde(default)]
    pub stale: bool,
    #[serde(default = "number::<86_400>")]
    pub ttl_s: u32,
    #[serde(default = "number::<3_600>")]
    pub negative_ttl_s: u32,
    #[serde(default = "spanned::<10>")]
    pub min_ms: Spanned<u32>,
    /// None: the account's budget.
    pub timeout_ms: Option<Spanned<u32>>,
    /// How long an answer usually takes: for the highest lookup rate that `check` tells. None: the timeout.
    pub expected_ms: Option<Spanned<u32>>,
    #[serde(default = "spanned::<2_000>")]
    pub late_ms: Spanned<u32>,
    #[serde(default = "spanned::<250>")]
    pub connect_ms: Spanned<u32>,
    #[serde(default = "spanned::<4_000>")]
    pub idle_ms: Spanned<u32>,
    /// On each shard.
    #[serde(default = "spanned::<256>")]
    pub max_connections: Spanned<u32>,
    /// On each shard.
    #[serde(default = "spanned::<0>")]
    pub min_idle: Spanned<u32>,
    /// Calls that may wait for a connection, on each shard.
    #[serde(default = "spanned::<256>")]
    pub queue_max: Spanned<u32>,
    #[serde(default = "spanned::<65_536>")]
    pub answer_bytes_max: Spanned<u32>,
    /// The share of visitors that is looked up.
    #[serde(default = "spanned::<100>")]
    pub share_percent: Spanned<u32>,
    /// Ask and measure, but store nothing.
    #[serde(default)]
    pub shadow: bool,
    #[serde(default)]
    pub on_absence: OnAbsence,
    pub vendor_id: Option<Spanned<u16>>,
    /// None: ask DNS.
    pub addresses: Option<Spanned<Vec<FixedAddress>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Get,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Wait,
    Background,
    WaitIfUnknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerFormat {
    #[default]
    Pinion,
    OpenRtb,
    Flat,
    Scored,
    Lotame,
    BlueKai,
    Targeting,
    Stale,
    Dcs,
}

/// What becomes of a trait whose segment a later answer leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAbsence {
    #[default]
    Keep,
    Drop,
}

/// Which id names the visitor in the default body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserId {
    #[default]
    Uuid,
    Ecid,
    /// The one that the visitor has at `id_source`.
    Declared,
    None,
}

/// A declared id that goes along in the default body.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentId {
    pub data_source: Spanned<u32>,
    /// By which name the partner knows the data source.
    pub source: Spanned<String>,
    /// Without it the partner is not asked.
    #[serde(default)]
    pub required: bool,
}

fn default_content_type() -> Spanned<String> {
    Spanned::new(0..0, "application/json".to_owned())
}

fn default_user_id() -> Spanned<UserId> {
    Spanned::new(0..0, UserId::default())
}
