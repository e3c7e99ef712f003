//! The keys of a call that mean something to the server itself. Every other key is a signal for rules alone.

/// The keys that the server itself knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Attribute {
    AnswerForm,
    Callback,
    JsonVersion,
    Destinations,
    Segments,
    Uuid,
    Mid,
    Organisation,
    TraitSource,
    TraitSourceCode,
    Container,
    Platform,
    Caller,
    LoadData,
    Blob,
    Verify,
    Coppa,
    MediaEvent,
    Redirect,
    Gdpr,
    GdprConsent,
    Gpp,
    GppSections,
    DeviceConsent,
    DeviceSource,
    // From here on every value counts.
    Region,
    DeclaredBySource,
    DeclaredByCode,
    DeclaredByNamespace,
    OldSource,
    OldId,
    Traits,
    Ignored,
}

impl Attribute {
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"d_rtbd" => Self::AnswerForm,
            b"d_cb" => Self::Callback,
            b"d_jsonv" => Self::JsonVersion,
            b"d_dst" => Self::Destinations,
            b"d_cts" => Self::Segments,
            b"d_uuid" => Self::Uuid,
            b"d_mid" => Self::Mid,
            b"d_orgid" => Self::Organisation,
            b"d_cid" => Self::DeclaredBySource,
            b"d_cid_ic" => Self::DeclaredByCode,
            b"d_cid_ns" => Self::DeclaredByNamespace,
            b"d_dpid" | b"dpid" => Self::OldSource,
            b"d_dpuuid" | b"dpuuid" => Self::OldId,
            b"d_sid" | b"d_px" => Self::Traits,
            b"d_tdpid" => Self::TraitSource,
            b"d_tdpid_ic" => Self::TraitSourceCode,
            b"d_nsid" => Self::Container,
            b"d_ptfm" => Self::Platform,
            b"d_caller" => Self::Caller,
            b"d_ld" => Self::LoadData,
            b"d_blob" => Self::Blob,
            b"d_region" | b"dcs_region" => Self::Region,
            b"d_verify" => Self::Verify,
            b"d_coppa" => Self::Coppa,
            b"d_event" => Self::MediaEvent,
            b"d_rd" => Self::Redirect,
            b"gdpr" => Self::Gdpr,
            b"gdpr_consent" => Self::GdprConsent,
            b"gpp" => Self::Gpp,
            b"gpp_sid" => Self::GppSections,
            b"device_consent" => Self::DeviceConsent,
            b"d_consent_ic" => Self::DeviceSource,
            b"d_stuff" | b"callback" | b"_" | b"_ts" | b"ts" | b"d_visid_ver" | b"d_fieldgroup" | b"d_ver"
            | b"d_cf" | b"d_dil_ver" => Self::Ignored,
            _ => return None,
        })
    }

    /// Whether only the first of several counts.
    pub(super) fn is_single(self) -> bool {
        (self as u8) < Self::Region as u8
    }
}
