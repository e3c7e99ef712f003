//! One destination.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::config::values::Date;

/// What the segments of a visitor lead to. Which of the optional fields are there follows from `kind`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    pub id: Spanned<u32>,
    pub name: Spanned<String>,
    pub account: Spanned<String>,
    pub kind: Spanned<DestinationKind>,
    pub segments: Vec<Spanned<u32>>,
    pub vendor_id: Option<Spanned<u16>>,
    /// Before and after these UTC days it does nothing.
    pub first_day: Option<Spanned<Date>>,
    pub last_day: Option<Spanned<Date>>,
    /// Where calls come from that it is for; empty: from everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Spanned<DestinationPlatform>>,
    // A cookie's.
    pub cookie_name: Option<Spanned<String>>,
    pub cookie_domain: Option<Spanned<String>>,
    /// The hosts on whose pages it is set, and those on whose it is not: one of these lists, or none for all pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookie_pages: Vec<Spanned<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookie_pages_except: Vec<Spanned<String>>,
    pub cookie_ttl_days: Option<Spanned<u16>>,
    /// Stands before the value, with `=`.
    pub cookie_key: Option<Spanned<String>>,
    pub cookie_separator: Option<Spanned<String>>,
    /// What stands for a segment, macros replaced; none: its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cookie_values: BTreeMap<Spanned<String>, Spanned<String>>,
    // A URL's.
    pub url: Option<Spanned<String>>,
    pub secure_url: Option<Spanned<String>>,
    /// What stands for a segment in `%alias%`; none: its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub url_values: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Stands between aliases: one URL for all segments. None: one for each.
    pub url_delimiter: Option<Spanned<String>>,
    pub tag: Option<Spanned<DestinationTag>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    Cookie,
    Url,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationTag {
    #[default]
    Img,
    Iframe,
}

/// What `d_ptfm` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationPlatform {
    Browser,
    Ios,
    Android,
}
