//! What a call may be used for, decided once from everything it says about consent: opt-outs, TCF and GPP strings,
//! COPPA, browser signals. The rest of the server asks the [`Decision`] and never the call.
//!
//! GPP strings are not decoded: a call that names any applicable GPP section is taken as refusing partners and
//! destinations, the most that its opt-outs could say.
#![forbid(unsafe_code)]

pub mod tcf;

use crate::event::ErrorCode;
use crate::event::call::Consent;
use tcf::TcfConsent;

/// TCF: store and access information on a device.
const PURPOSE_STORE: u8 = 1;
/// TCF: develop and improve services.
const PURPOSE_IMPROVE: u8 = 10;

/// Something that a call may be used for: one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Use {
    /// Keep signals, traits and ids in the visitor's profile and in logs.
    Store = 1 << 0,
    /// Know the visitor by the cookies that she sent.
    ReadCookies = 1 << 1,
    SetCookies = 1 << 2,
    /// Exchange ids with partners through the browser.
    Sync = 1 << 3,
    Destinations = 1 << 4,
    /// Ask partners.
    Partners = 1 << 5,
}

/// A set of uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses(u8);

impl Uses {
    pub const NONE: Uses = Uses(0);
    pub const ALL: Uses = Uses(0x3f);
    /// What leaves for others.
    pub const THIRD_PARTIES: Uses = Uses::NONE.with(Use::Destinations).with(Use::Partners);
    const COOKIES: Uses = Uses::NONE.with(Use::ReadCookies).with(Use::SetCookies).with(Use::Sync);

    pub const fn with(self, one: Use) -> Uses {
        Uses(self.0 | one as u8)
    }

    pub const fn without(self, others: Uses) -> Uses {
        Uses(self.0 & !others.0)
    }

    pub const fn contains(self, one: Use) -> bool {
        self.0 & one as u8 != 0
    }
}

/// How the operator wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The operator's id in the IAB's Global Vendor List; without one, no TCF string grants anything.
    pub vendor_id: Option<u16>,
    /// What `Sec-GPC: 1` refuses.
    pub gpc_refuses: Uses,
    /// What `DNT: 1` refuses.
    pub dnt_refuses: Uses,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { vendor_id: None, gpc_refuses: Uses::THIRD_PARTIES, dnt_refuses: Uses::NONE }
    }
}

/// Everything a call says that bears on privacy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// By cookie, by `d_mid=NOTARGET`, or found in the set of opt-outs.
    pub opted_out: bool,
    pub consent: Consent<'a>,
    pub coppa: bool,
    /// `Sec-GPC: 1`.
    pub gpc: bool,
    /// `DNT: 1`.
    pub dnt: bool,
}

/// What a call may be used for.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    uses: Uses,
    error: Option<ErrorCode>,
    vendors: Vendors<'a>,
    /// The integration code of the device id that the visitor opts out with this call.
    pub opts_out_device: Option<&'a [u8]>,
}

/// Which vendors consent was given to.
#[derive(Clone, Copy, Debug)]
enum Vendors<'a> {
    /// The question doesn't arise.
    All,
    None,
    In(TcfConsent<'a>),
}

impl<'a> Decision<'a> {
    pub fn new(wishes: &Wishes<'a>, policy: &Policy) -> Self {
        let consent = &wishes.consent;
        let refused = |error, opts_out_device| Decision {
            uses: Uses::NONE,
            error: Some(error),
            vendors: Vendors::None,
            opts_out_device,
        };
        if consent.device_consent == Some(b"0") {
            let error = if wishes.opted_out { ErrorCode::OptedOut } else { ErrorCode::NoConsent };
            return refused(error, consent.device_source);
        }
        if wishes.opted_out {
            return refused(ErrorCode::OptedOut, None);
        }
        let Some(vendors) = vendors(consent, policy) else { return refused(ErrorCode::NoConsent, None) };

        let mut uses = Uses::ALL;
        if gpp_applies(consent) {
            uses = uses.without(Uses::THIRD_PARTIES);
        }
        if wishes.gpc {
            uses = uses.without(policy.gpc_refuses);
        }
        if wishes.dnt {
            uses = uses.without(policy.dnt_refuses);
        }
        if wishes.coppa {
            uses = uses.without(Uses::COOKIES);
        }
        Decision { uses, error: None, vendors, opts_out_device: None }
    }

    pub fn allows(&self, one: Use) -> bool {
        self.uses.contains(one)
    }

    /// Error 171 or 315: nothing is allowed then.
    pub fn error(&self) -> Option<ErrorCode> {
        self.error
    }

    /// Whether consent reaches this vendor, to be asked for each partner and destination beside [`Decision::allows`].
    /// Where TCF applies, one without a vendor id has none.
    pub fn allows_vendor(&self, id: Option<u16>) -> bool {
        match self.vendors {
            Vendors::All => true,
            Vendors::None => false,
            Vendors::In(consent) => id.is_some_and(|id| consent.allows_vendor(id)),
        }
    }
}

/// Whom TCF lets the call's data reach; `None` when it refuses the operator. TCF applies to whatever isn't a plain
/// no: a page that fills the parameter in wrongly has not obtained consent.
fn vendors<'a>(consent: &Consent<'a>, policy: &Policy) -> Option<Vendors<'a>> {
    if matches!(consent.gdpr, None | Some(b"" | b"0")) {
        return Some(Vendors::All);
    }
    let given = TcfConsent::parse(consent.gdpr_consent?)?;
    let vendor = policy.vendor_id?;
    let granted = [PURPOSE_STORE, PURPOSE_IMPROVE]
        .iter()
        .all(|&purpose| given.allows_purpose(purpose) && !given.publisher_restricts(vendor, purpose));
    (granted && given.allows_vendor(vendor)).then_some(Vendors::In(given))
}

/// Whether a GPP string is there and one of its sections applies. The list has ids of sections; 0 and -1 say that
/// none does.
fn gpp_applies(consent: &Consent<'_>) -> bool {
    let (Some([_, ..]), Some(sections)) = (consent.gpp, consent.gpp_sid) else { return false };
    let mut names = sections.split(|byte| b",_ ".contains(byte));
    names.any(|name| !matches!(name.trim_ascii(), b"" | b"0" | b"-1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_USE: [Use; 6] =
        [Use::Store, Use::ReadCookies, Use::SetCookies, Use::Sync, Use::Destinations, Use::Partners];

    #[track_caller]
    fn check(wishes: Wishes<'_>, policy: Policy, refused: &[Use], error: Option<ErrorCode>) {
        let decision = Decision::new(&wishes, &policy);
        for one in EVERY_USE {
            assert_eq!(decision.allows(one), !refused.contains(&one), "{one:?} of {wishes:?}");
        }
        assert_eq!(decision.error(), error, "{wishes:?}");
        assert_eq!(decision.allows_vendor(Some(1)), error.is_none());
    }

    fn with(consent: Consent<'_>) -> Wishes<'_> {
        Wishes { consent, ..Wishes::default() }
    }

    #[test]
    fn silence_allows_everything_and_each_refusal_its_own() {
        let policy = Policy::default();
        let cookies = [Use::ReadCookies, Use::SetCookies, Use::Sync];
        let third_parties = [Use::Destinations, Use::Partners];
        check(Wishes::default(), policy, &[], None);
        check(Wishes { opted_out: true, ..Wishes::default() }, policy, &EVERY_USE, Some(ErrorCode::OptedOut));
        check(Wishes { coppa: true, ..Wishes::default() }, policy, &cookies, None);
        check(Wishes { gpc: true, ..Wishes::default() }, policy, &third_parties, None);
        check(Wishes { dnt: true, ..Wishes::default() }, policy, &[], None);
        let strict = Policy { dnt_refuses: Uses::ALL, gpc_refuses: Uses::NONE, ..policy };
        check(Wishes { dnt: true, ..Wishes::default() }, strict, &EVERY_USE, None);
        check(Wishes { gpc: true, ..Wishes::default() }, strict, &[], None);
    }

    #[test]
    fn gpp_refuses_third_parties_where_a_section_applies() {
        let third_parties = [Use::Destinations, Use::Partners];
        for (gpp, sections, refused) in [
            (Some(&b"DBABMA~x"[..]), Some(&b"7"[..]), &third_parties[..]),
            (Some(b"DBABMA~x"), Some(b"2,6"), &third_parties),
            (Some(b"DBABMA~x"), Some(b"0"), &[]),
            (Some(b"DBABMA~x"), Some(b"-1"), &[]),
            (Some(b"DBABMA~x"), Some(b"-1,8"), &third_parties),
            (Some(b"DBABMA~x"), Some(b""), &[]),
            (Some(b"DBABMA~x"), None, &[]),
            (Some(b""), Some(b"7"), &[]),
            (None, Some(b"7"), &[]),
        ] {
            check(with(Consent { gpp, gpp_sid: sections, ..Consent::default() }), Policy::default(), refused, None);
        }
    }

    #[test]
    fn gdpr_without_a_valid_grant_refuses_everything() {
        let policy = Policy { vendor_id: Some(2), ..Policy::default() };
        for gdpr in [&b"1"[..], b"true", b"${GDPR}"] {
            for gdpr_consent in [None, Some(&b""[..]), Some(b"nonsense"), Some(b"${GDPR_CONSENT_1}")] {
                let consent = Consent { gdpr: Some(gdpr), gdpr_consent, ..Consent::default() };
                check(with(consent), policy, &EVERY_USE, Some(ErrorCode::NoConsent));
            }
        }
        for gdpr in [None, Some(&b""[..]), Some(b"0")] {
            check(with(Consent { gdpr, ..Consent::default() }), policy, &[], None);
        }
    }

    #[test]
    fn a_tcf_grant_must_name_the_operator_and_reaches_only_vendors_it_names() {
        let text = tcf::tests::text(&[1, 10], &[2, 6, 8], false);
        let consent = Consent { gdpr: Some(b"1"), gdpr_consent: Some(&text), ..Consent::default() };
        let decide = |vendor_id| Decision::new(&with(consent), &Policy { vendor_id, ..Policy::default() });
        let decision = decide(Some(2));
        assert!(EVERY_USE.iter().all(|&one| decision.allows(one)) && decision.error().is_none());
        assert!(decision.allows_vendor(Some(6)) && decision.allows_vendor(Some(8)));
        assert!(!decision.allows_vendor(Some(7)) && !decision.allows_vendor(None));
        assert_eq!(decide(Some(7)).error(), Some(ErrorCode::NoConsent));
        assert_eq!(decide(None).error(), Some(ErrorCode::NoConsent));
        for purposes in [&[1][..], &[10], &[]] {
            let text = tcf::tests::text(purposes, &[2], true);
            let consent = Consent { gdpr_consent: Some(&text), ..consent };
            let decision = Decision::new(&with(consent), &Policy { vendor_id: Some(2), ..Policy::default() });
            assert_eq!(decision.error(), Some(ErrorCode::NoConsent), "{purposes:?}");
        }
    }

    #[test]
    fn a_refusing_device_is_opted_out_by_its_id() {
        let consent = Consent { device_consent: Some(b"0"), device_source: Some(b"DSID_20914"), ..Consent::default() };
        check(with(consent), Policy::default(), &EVERY_USE, Some(ErrorCode::NoConsent));
        assert_eq!(Decision::new(&with(consent), &Policy::default()).opts_out_device, Some(&b"DSID_20914"[..]));
        let agreeing = Consent { device_consent: Some(b"1"), ..consent };
        check(with(agreeing), Policy::default(), &[], None);
        assert_eq!(Decision::new(&with(agreeing), &Policy::default()).opts_out_device, None);
    }
}
