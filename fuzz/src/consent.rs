//! Consent strings: whatever they hold, a further one never allows more.

use pinion::event::call::Consent;
use pinion::privacy::gpp::GppString;
use pinion::privacy::tcf::TcfConsent;
use pinion::privacy::{Decision, Policy, Use, Wishes};

const USES: [Use; 6] = [Use::Store, Use::ReadCookies, Use::SetCookies, Use::Sync, Use::Destinations, Use::Partners];

/// A TCF string, a GPP string and the sections that apply, a line each.
pub fn consent(data: &[u8]) {
    let (tcf, rest) = super::split_line(data);
    let (gpp, gpp_sid) = super::split_line(rest);
    check_tcf(tcf);
    for (_, section) in GppString::parse(gpp).into_iter().flat_map(GppString::sections) {
        check_tcf(section);
    }
    let everything = Consent {
        gdpr: Some(b"1"),
        gdpr_consent: Some(tcf),
        gpp: Some(gpp),
        gpp_sid: Some(gpp_sid),
        ..Consent::default()
    };
    let policy = Policy { vendor_id: Some(2), ..Policy::default() };
    let decide = |consent| Decision::new(&Wishes { consent, ..Wishes::default() }, &policy);
    let all = decide(everything);
    for less in [
        Consent { gdpr: None, ..everything },
        Consent { gpp_sid: None, ..everything },
        Consent { gdpr: None, gpp_sid: None, ..everything },
    ] {
        let less = decide(less);
        assert!(USES.iter().all(|&one| less.allows(one) || !all.allows(one)));
        let vendors = [None, Some(0), Some(1), Some(2), Some(700), Some(u16::MAX)];
        assert!(vendors.iter().all(|&vendor| less.allows_vendor(vendor) || !all.allows_vendor(vendor)));
    }
    if all.error().is_some() {
        assert!(!USES.iter().any(|&one| all.allows(one)) && !all.allows_vendor(Some(2)));
    }
}

fn check_tcf(text: &[u8]) {
    let Some(consent) = TcfConsent::parse(text) else { return };
    let core = text.split(|&byte| byte == b'.').next().unwrap_or_default();
    let alone = TcfConsent::parse(core).expect("the core is what was read");
    for vendor in [0, 1, 2, 3, 100, 700, u16::MAX] {
        assert_eq!(consent.allows_vendor(vendor), alone.allows_vendor(vendor));
        assert!(!consent.grants(vendor, &[1, 10]) || consent.grants(vendor, &[1]) && consent.allows_vendor(vendor));
    }
    assert!(!consent.allows_purpose(0) && !consent.allows_purpose(25));
}
