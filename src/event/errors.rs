//! The codes by which an answer tells its caller what went wrong. They travel in `errors` and in `X-Error`, under
//! status 200: browsers' clients stop on anything else.

use crate::limits::{DECLARED_IDS_MAX, DECLARED_IDS_OVER_MAX};

macro_rules! codes {
    ($($name:ident $code:literal $message:literal)*) => {
        /// A logical error of a call. The order is that of the codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum ErrorCode {
            $(#[doc = $message] $name),*
        }

        impl ErrorCode {
            /// Every code, ascending.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),*];
        }

        const TABLE: &[(u16, &str)] = &[$(($code, $message)),*];
    };
}

codes! {
    Unspecified 0 "unspecified error, try again"
    HostUnknown 1 "no configuration for this host"
    OrganisationInvalid 2 "invalid d_orgid"
    PartlyEvaluated 10 "traits partly or not evaluated"
    HostMissing 100 "no Host header"
    EcidInvalid 101 "invalid d_mid"
    UuidInvalid 102 "invalid d_uuid"
    DeclaredIdsAllInvalid 104 "all declared ids are invalid"
    RefererNotAllowed 109 "referer is not allowed"
    TokenInvalid 111 "invalid token"
    OptedOut 171 "visitor has opted out"
    CookiesBlocked 172 "cookies are blocked"
    IndustryOptOut 173 "visitor has opted out by an industry choice"
    CountryBlocked 198 "country is blocked by the account"
    CountryNotAllowed 199 "country is not allowed"
    ProfileIdUnread 200 "profile unread: id"
    ProfileDevicesUnread 201 "profile unread: devices of a customer"
    ProfileCustomerUnread 202 "profile unread: customer of a device"
    ProfileClusterUnread 203 "profile unread: cluster"
    ProfileMigrationSourceUnread 204 "profile unread: migration source"
    ProfileMigrationTargetUnread 205 "profile unread: migration target"
    DeclaredIdInvalid 300 "invalid customer id"
    DeclaredIdsTooMany 301 "too many customer ids"
    DeclaredIdUnauthorised 302 "customer id of another account"
    DeclaredIdBlocked 303 "customer id is blocked"
    DataSourceBlocked 304 "data source is blocked"
    DeviceIdBlocked 306 "device id is blocked"
    ProfileOperationBlocked 307 "profile operation is blocked"
    DeclaredIdOverLimit 309 "customer id is over the limit"
    NamespaceOverLimit 310 "customer id is over the limit of its name space"
    ParameterBadlyEncoded 311 "badly encoded parameter"
    GlobalDeviceIdInvalid 312 "invalid global device id"
    CmpUnknown 313 "consent management platform is unknown"
    CmpDeleted 314 "consent management platform is deleted"
    NoConsent 315 "no consent"
}

const _: () = assert!(TABLE.len() <= 64, "an ErrorSet keeps one bit a code");

impl ErrorCode {
    /// The number that callers see.
    pub fn number(self) -> u16 {
        TABLE[self as usize].0
    }

    /// A few words for people.
    pub fn message(self) -> &'static str {
        TABLE[self as usize].1
    }
}

/// The errors of one call: each once, but for the ids over the limit, which are told one by one; in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorSet {
    bits: u64,
    /// How often [`ErrorCode::DeclaredIdOverLimit`] is told, if it is in the set.
    ids_over_limit: u8,
    /// What [`ErrorCode::DeclaredIdsTooMany`] tells.
    declared_ids_found: u32,
}

impl ErrorSet {
    pub const EMPTY: ErrorSet = ErrorSet { bits: 0, ids_over_limit: 0, declared_ids_found: 0 };

    pub fn of(code: ErrorCode) -> Self {
        ErrorSet { bits: 1 << code as u8, ..ErrorSet::EMPTY }
    }

    pub fn insert(&mut self, code: ErrorCode) {
        self.bits |= 1 << code as u8;
    }

    /// Of `found` valid ids those over the limit: error 309 for each, and 301, whose message says how many there were.
    pub fn insert_too_many_ids(&mut self, found: u32) {
        self.insert(ErrorCode::DeclaredIdsTooMany);
        self.insert(ErrorCode::DeclaredIdOverLimit);
        self.declared_ids_found = self.declared_ids_found.max(found);
        let over = found.saturating_sub(DECLARED_IDS_MAX as u32).min(DECLARED_IDS_OVER_MAX as u32);
        self.ids_over_limit = self.ids_over_limit.max(over as u8);
    }

    pub fn extend(&mut self, other: ErrorSet) {
        self.bits |= other.bits;
        self.ids_over_limit = self.ids_over_limit.max(other.ids_over_limit);
        self.declared_ids_found = self.declared_ids_found.max(other.declared_ids_found);
    }

    pub fn contains(self, code: ErrorCode) -> bool {
        self.bits & (1 << code as u8) != 0
    }

    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The limit and what was found, when error 301 is in the set.
    pub fn too_many_ids(self) -> Option<(u32, u32)> {
        self.contains(ErrorCode::DeclaredIdsTooMany).then_some((DECLARED_IDS_MAX as u32, self.declared_ids_found))
    }

    /// The codes, ascending.
    pub fn iter(self) -> impl Iterator<Item = ErrorCode> {
        let mut bits = self.bits;
        let mut repeats = self.ids_over_limit.max(1);
        std::iter::from_fn(move || {
            let code = ErrorCode::ALL.get(bits.trailing_zeros() as usize).copied()?;
            if code == ErrorCode::DeclaredIdOverLimit && repeats > 1 {
                repeats -= 1;
            } else {
                bits &= bits - 1;
            }
            Some(code)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_so_that_a_set_iterates_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(ErrorCode::ALL.iter().enumerate().all(|(index, &code)| code as usize == index));
    }

    #[test]
    fn a_set_iterates_ascending_whatever_the_order_of_insertion() {
        let mut set = ErrorSet::of(ErrorCode::NoConsent);
        set.insert(ErrorCode::Unspecified);
        set.insert(ErrorCode::UuidInvalid);
        set.insert(ErrorCode::UuidInvalid);
        assert_eq!(set.iter().map(ErrorCode::number).collect::<Vec<_>>(), [0, 102, 315]);
        assert!(ErrorSet::EMPTY.iter().next().is_none());
        let mut all = ErrorSet::EMPTY;
        ErrorCode::ALL.iter().for_each(|&code| all.insert(code));
        assert_eq!(all.iter().count(), ErrorCode::ALL.len());
    }

    #[test]
    fn too_many_ids_tells_the_limit_and_the_number_found() {
        let mut set = ErrorSet::EMPTY;
        assert_eq!(set.too_many_ids(), None);
        set.insert_too_many_ids(12);
        let mut joined = ErrorSet::of(ErrorCode::UuidInvalid);
        joined.extend(set);
        assert_eq!(joined.too_many_ids(), Some((10, 12)));
        // Each id over the limit is told.
        assert_eq!(joined.iter().map(ErrorCode::number).collect::<Vec<_>>(), [102, 301, 309, 309]);
    }
}
