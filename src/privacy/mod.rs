//! What a call may be used for, decided once from everything it says about consent: opt-outs, TCF and GPP strings,
//! COPPA, browser signals. The rest of the server asks the [`Decision`] and never the call.
//!
//! What can't be read refuses: a broken consent string grants nothing, a GPP section that nobody knows keeps the data
//! from others.
#![forbid(unsafe_code)]

mod bits;
pub mod gpp;
mod policy;
pub mod tcf;
pub mod us;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use crate::event::ErrorCode;
use crate::event::call::Consent;
use gpp::Applicable;
pub use policy::{Platforms, Policy};
use tcf::TcfConsent;

/// What TCF must grant: to store and access information on a device, to develop and improve services.
const PURPOSES: [u8; 2] = [1, 10];

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
    pub const THIRD_PARTIES: Uses = Uses::NONE.with(Use::Sync).with(Use::Destinations).with(Use::Partners);
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
    /// The consent strings that apply, the call's own and its GPP string's. Data reaches whom all of them name.
    strings: [Option<TcfConsent<'a>>; 2],
    /// The integration code of the device id that the visitor opts out with this call.
    pub opts_out_device: Option<&'a [u8]>,
}

impl<'a> Decision<'a> {
    pub fn new(wishes: &Wishes<'a>, policy: &Policy) -> Self {
        let consent = &wishes.consent;
        let refused = |error, opts_out_device| Decision {
            uses: Uses::NONE,
            error: Some(error),
            strings: [None; 2],
            opts_out_device,
        };
        if consent.device_consent == Some(b"0") {
            let error = if wishes.opted_out { ErrorCode::OptedOut } else { ErrorCode::NoConsent };
            return refused(error, consent.device_source);
        }
        if wishes.opted_out {
            return refused(ErrorCode::OptedOut, None);
        }
        let gpp = Applicable::new(consent.gpp, consent.gpp_sid);
        let texts = [consent.gdpr_applies().then_some(consent.gdpr_consent), gpp.tcf];
        let mut strings = [None; 2];
        for (string, text) in strings.iter_mut().zip(texts) {
            match text.map(|text| grant(text, policy)).transpose() {
                Ok(given) => *string = given,
                Err(error) => return refused(error, None),
            }
        }

        let mut uses = Uses::ALL;
        if gpp.opted_out {
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
        Decision { uses, error: None, strings, opts_out_device: None }
    }

    pub fn allows(&self, one: Use) -> bool {
        self.uses.contains(one)
    }

    /// Error 171, 313, 314 or 315: nothing is allowed then.
    pub fn error(&self) -> Option<ErrorCode> {
        self.error
    }

    /// Whether consent reaches this vendor, to be asked for each partner and destination beside [`Decision::allows`].
    /// Where TCF applies, one without a vendor id has none.
    pub fn allows_vendor(&self, id: Option<u16>) -> bool {
        let reaches = |given: &TcfConsent<'_>| id.is_some_and(|id| given.grants(id, &PURPOSES));
        self.error.is_none() && self.strings.iter().flatten().all(reaches)
    }
}

/// A consent string that applies and grants the operator what it needs, or the error that says why none does.
fn grant<'a>(text: Option<&'a [u8]>, policy: &Policy) -> Result<TcfConsent<'a>, ErrorCode> {
    let given = text.and_then(TcfConsent::parse).ok_or(ErrorCode::NoConsent)?;
    policy.platforms.check(given.cmp_id())?;
    let is_granted = policy.vendor_id.is_some_and(|vendor| given.grants(vendor, &PURPOSES));
    is_granted.then_some(given).ok_or(ErrorCode::NoConsent)
}
