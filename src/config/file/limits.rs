//! `[limits]`: who asks too often.

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// How often something may come in a minute, each event loop counting for itself; 0: as often as it likes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Beyond these, an id or a profile is denied for `deny_s`.
    pub declared_id_calls_per_minute: u32,
    pub device_id_calls_per_minute: u32,
    pub profile_calls_per_minute: u32,
    pub deny_s: Spanned<u32>,
    /// Beyond these, an address is refused until it is slower.
    pub server_calls_per_minute: u32,
    pub browser_calls_per_minute: u32,
    pub opt_outs_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            declared_id_calls_per_minute: 0,
            device_id_calls_per_minute: 0,
            profile_calls_per_minute: 0,
            deny_s: Spanned::new(0..0, 600),
            server_calls_per_minute: 0,
            browser_calls_per_minute: 0,
            opt_outs_per_minute: 60,
        }
    }
}
