//! What each wish refuses, alone and together.

use super::*;

const EVERY_USE: [Use; 6] =
    [Use::Store, Use::ReadCookies, Use::SetCookies, Use::Sync, Use::Destinations, Use::Partners];

#[track_caller]
fn check(wishes: Wishes<'_>, policy: &Policy, refused: &[Use], error: Option<ErrorCode>) {
    let decision = Decision::new(&wishes, policy);
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
    let policy = &Policy::default();
    let cookies = [Use::ReadCookies, Use::SetCookies, Use::Sync];
    let third_parties = [Use::Sync, Use::Destinations, Use::Partners];
    check(Wishes::default(), policy, &[], None);
    check(Wishes { opted_out: true, ..Wishes::default() }, policy, &EVERY_USE, Some(ErrorCode::OptedOut));
    check(Wishes { coppa: true, ..Wishes::default() }, policy, &cookies, None);
    check(Wishes { gpc: true, ..Wishes::default() }, policy, &third_parties, None);
    check(Wishes { dnt: true, ..Wishes::default() }, policy, &[], None);
    let strict = &Policy { dnt_refuses: Uses::ALL, gpc_refuses: Uses::NONE, ..Policy::default() };
    check(Wishes { dnt: true, ..Wishes::default() }, strict, &EVERY_USE, None);
    check(Wishes { gpc: true, ..Wishes::default() }, strict, &[], None);
}

/// Sections of a visitor who opts out of nothing, and of the sale of her data.
const STAYS: &str = "BVVqAAAAAAA";
const OPTS_OUT: &str = "BVVVAAAAAAA";

#[test]
fn gpp_refuses_third_parties_where_a_section_opts_out_or_is_unreadable() {
    let third_parties = &[Use::Sync, Use::Destinations, Use::Partners][..];
    let national = |section: &str| format!("DBABLA~{section}");
    let whole = [("7", &[][..]), ("7,6", third_parties), ("-1", &[]), ("0", &[]), ("", &[]), ("8", third_parties)];
    let opted_out = [("7", third_parties), ("6_7", third_parties), ("-1", &[]), ("0", &[]), ("", &[])];
    let cases = whole.map(|case| (STAYS, case)).into_iter().chain(opted_out.map(|case| (OPTS_OUT, case)));
    for (section, (sections, refused)) in cases.chain([("nonsense", ("7", third_parties)), ("", ("7", third_parties))])
    {
        let (gpp, gpp_sid) = (national(section), Some(sections.as_bytes()));
        let consent = Consent { gpp: Some(gpp.as_bytes()), gpp_sid, ..Consent::default() };
        check(with(consent), &Policy::default(), refused, None);
        check(with(Consent { gpp_sid: None, ..consent }), &Policy::default(), &[], None);
    }
    for gpp in [None, Some(&b""[..]), Some(b"${GPP_STRING_1}")] {
        let consent = Consent { gpp, gpp_sid: Some(b"7"), ..Consent::default() };
        check(with(consent), &Policy::default(), third_parties, None);
    }
}

#[test]
fn tcf_inside_gpp_acts_as_tcf_does() {
    let grants = |vendors: &[u16]| String::from_utf8(tcf::tests::text(&[1, 10], vendors, false)).unwrap();
    let policy = &Policy { vendor_id: Some(2), ..Policy::default() };
    let inside = |string: &str| format!("DBABMA~{string}");
    let (given, others, none) = (inside(&grants(&[2, 6])), inside(&grants(&[6])), inside(""));
    fn applying<'a>(gpp: &'a str, gpp_sid: &'static str) -> Consent<'a> {
        Consent { gpp: Some(gpp.as_bytes()), gpp_sid: Some(gpp_sid.as_bytes()), ..Consent::default() }
    }
    let decision = Decision::new(&with(applying(&given, "2")), policy);
    assert_eq!((decision.error(), decision.uses), (None, Uses::ALL));
    assert!(decision.allows_vendor(Some(6)) && !decision.allows_vendor(Some(7)) && !decision.allows_vendor(None));
    for refusing in [&*others, &none, "nonsense", ""] {
        check(with(applying(refusing, "2")), policy, &EVERY_USE, Some(ErrorCode::NoConsent));
        check(with(applying(refusing, "0")), policy, &[], None);
    }
    // Both apply: who is to get the data must stand in both.
    let own = grants(&[2, 7]);
    let both = Consent { gdpr: Some(b"1"), gdpr_consent: Some(own.as_bytes()), ..applying(&given, "2") };
    let decision = Decision::new(&with(both), policy);
    assert_eq!(decision.error(), None);
    assert_eq!([2, 6, 7].map(|vendor| decision.allows_vendor(Some(vendor))), [true, false, false]);
    let refused = Consent { gdpr_consent: None, ..both };
    check(with(refused), policy, &EVERY_USE, Some(ErrorCode::NoConsent));
}

#[test]
fn a_platform_that_does_not_count_grants_nothing() {
    let text = tcf::tests::text(&[1, 10], &[1, 2], false);
    let consent = Consent { gdpr: Some(b"1"), gdpr_consent: Some(&text), ..Consent::default() };
    let policy = |known: &[u16], deleted: &[u16]| {
        let platforms = Platforms::new(known.iter().copied(), deleted.iter().copied());
        Policy { vendor_id: Some(2), platforms, ..Policy::default() }
    };
    check(with(consent), &policy(&[31, 40], &[]), &[], None);
    check(with(consent), &policy(&[40], &[]), &EVERY_USE, Some(ErrorCode::CmpUnknown));
    check(with(consent), &policy(&[31], &[31]), &EVERY_USE, Some(ErrorCode::CmpDeleted));
}

#[test]
fn gdpr_without_a_valid_grant_refuses_everything() {
    let policy = &Policy { vendor_id: Some(2), ..Policy::default() };
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
    check(with(consent), &Policy::default(), &EVERY_USE, Some(ErrorCode::NoConsent));
    assert_eq!(Decision::new(&with(consent), &Policy::default()).opts_out_device, Some(&b"DSID_20914"[..]));
    let agreeing = Consent { device_consent: Some(b"1"), ..consent };
    check(with(agreeing), &Policy::default(), &[], None);
    assert_eq!(Decision::new(&with(agreeing), &Policy::default()).opts_out_device, None);
}
