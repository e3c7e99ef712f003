//! One ID sync.

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// A partner's URLs that `/id` asks a page to have fired.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdSync {
    /// Whose ids it brings; its account is the sync's.
    pub data_source: Spanned<u32>,
    pub urls: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "super::spanned::<10_080>")]
    pub ttl_minutes: Spanned<u32>,
    /// Whether it is fired where cookies of other sites are blocked.
    #[serde(default)]
    pub fire_url_sync: bool,
    /// Whether the page fires it, and not the iframe.
    #[serde(default)]
    pub sync_on_page: bool,
    pub vendor_id: Option<Spanned<u16>>,
}
