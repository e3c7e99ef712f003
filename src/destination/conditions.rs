//! What a destination asks of a call beside the visitor's segments: its day, its platform, its page.

use std::ops::RangeInclusive;

use crate::clock::Day;
use crate::event::call::Platform;
use crate::event::host;

/// What destinations ask of a call.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    pub today: Day,
    pub platform: Platform,
    /// The host of the page that calls, without port and trailing dot, where one is known.
    pub page_host: Option<&'a [u8]>,
}

/// When a destination of either kind does anything.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The vendor whose consent is asked for, beside the operator's own.
    pub vendor_id: Option<u16>,
    pub days: RangeInclusive<Day>,
    pub platforms: Platforms,
}

/// A set of platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platforms(u8);

/// The pages that are told to set a cookie, by hosts in lower case, each of which stands for those below it as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    #[default]
    All,
    /// These, where the page is known to be one of them.
    Only(Box<[Box<str>]>),
    /// All but these, and those that can't be told.
    Except(Box<[Box<str>]>),
}

impl Conditions {
    /// `is_allowed` judges the vendor.
    pub(super) fn are_met(&self, occasion: &Occasion<'_>, is_allowed: impl Fn(Option<u16>) -> bool) -> bool {
        self.days.contains(&occasion.today) && self.platforms.contains(occasion.platform) && is_allowed(self.vendor_id)
    }
}

impl Default for Conditions {
    /// Always.
    fn default() -> Conditions {
        Conditions { vendor_id: None, days: Day::MIN..=Day::MAX, platforms: Platforms::ALL }
    }
}

impl Platforms {
    pub const ALL: Platforms = Platforms(0b111);

    fn of(platform: Platform) -> Platforms {
        match platform {
            Platform::Browser => Platforms(0b001),
            Platform::Ios => Platforms(0b010),
            Platform::Android => Platforms(0b100),
            Platform::All => Platforms::ALL,
        }
    }

    /// A call for all platforms is for each of them.
    pub fn contains(self, platform: Platform) -> bool {
        self.0 & Platforms::of(platform).0 != 0
    }
}

impl FromIterator<Platform> for Platforms {
    fn from_iter<I: IntoIterator<Item = Platform>>(platforms: I) -> Platforms {
        Platforms(platforms.into_iter().fold(0, |bits, platform| bits | Platforms::of(platform).0))
    }
}

impl Pages {
    pub(super) fn contain(&self, page_host: Option<&[u8]>) -> bool {
        let are_listed = |hosts: &[Box<str>]| {
            let is_listed = |page| hosts.iter().any(|listed| host::is_within(page, listed.as_bytes()));
            page_host.is_some_and(is_listed)
        };
        match self {
            Pages::All => true,
            Pages::Only(hosts) => are_listed(hosts),
            Pages::Except(hosts) => !are_listed(hosts),
        }
    }
}
