//! The ID spaces of devices, open to all accounts without being configured.

use crate::ruleset::IdFormat;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct GlobalDataSource {
    pub(super) id: u32,
    pub(super) format: IdFormat,
    pub(super) integration_code: Option<&'static str>,
}

const fn source(id: u32, format: IdFormat) -> GlobalDataSource {
    GlobalDataSource { id, format, integration_code: None }
}

pub(super) const GLOBAL_DATA_SOURCES: [GlobalDataSource; 8] = [
    // Google's advertising id of Android devices, and Apple's.
    GlobalDataSource { integration_code: Some("DSID_20914"), ..source(20_914, IdFormat::LowerUuid) },
    GlobalDataSource { integration_code: Some("DSID_20915"), ..source(20_915, IdFormat::UpperUuid) },
    // Roku, Microsoft, Fire TV, Tizen, LG, Vizio.
    source(121_963, IdFormat::LowerUuid),
    source(389_146, IdFormat::Alphanumeric),
    source(488_258, IdFormat::LowerUuid),
    source(963_906, IdFormat::Alphanumeric),
    source(1_171_485, IdFormat::LowerUuid),
    source(1_171_489, IdFormat::Alphanumeric),
];

pub(super) fn is_global(id: u32) -> bool {
    GLOBAL_DATA_SOURCES.iter().any(|source| source.id == id)
}

pub(super) fn is_global_code(code: &str) -> bool {
    GLOBAL_DATA_SOURCES.iter().any(|source| source.integration_code == Some(code))
}
