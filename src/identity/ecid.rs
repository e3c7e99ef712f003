//! ECIDs (`d_mid`): the name by which one organisation's pages know a visitor.
//!
//! A 38-digit ECID and the uuid are two writings of one number: a Feistel network over the two 63-bit halves, keyed by
//! secret and organisation, turns one into the other, so no table is needed and nobody without the secret can tell that
//! two organisations' ECIDs are one visitor. Six rounds of a pseudo-random function (SipHash-2-4) stand up to chosen
//! ids on either side, far beyond the 2^32 pairs at which four rounds give way (Patarin, 'Security of random Feistel
//! schemes with 5 or more rounds', 2004). Any other id that a phone brings along is hashed, one way.

use siphasher::sip::SipHasher24;
use siphasher::sip128;

use super::uuid::{self, DIGITS, HALF_LIMIT, Uuid};

/// Bytes of an ECID in any form.
pub const MID_BYTES_MAX: usize = 64;

const ROUNDS: u8 = 6;

/// A 38-digit ECID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecid {
    /// Below 2^63.
    high: u64,
    /// Below 2^63.
    low: u64,
}

/// What a `d_mid` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mid<'a> {
    /// The form that this server hands out.
    ThirtyEightDigits(Ecid),
    /// Made by the client: up to 64 hexadecimal digits and dashes.
    Other(&'a [u8]),
    /// `NOTARGET`.
    OptedOut,
    /// Error 101.
    Invalid,
}

/// One organisation's mapping between ECIDs and uuids.
#[derive(Clone, Debug)]
pub struct EcidKey {
    rounds: SipHasher24,
    other: sip128::SipHasher24,
}

impl<'a> Mid<'a> {
    pub fn classify(text: &'a [u8]) -> Mid<'a> {
        if let Some((high, low)) = uuid::parse_halves(text) {
            return Mid::ThirtyEightDigits(Ecid { high, low });
        }
        if text == b"NOTARGET" {
            return Mid::OptedOut;
        }
        let form = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
        if (1..=MID_BYTES_MAX).contains(&text.len()) && text.iter().all(form) { Mid::Other(text) } else { Mid::Invalid }
    }
}

impl Ecid {
    /// Writes the 38 digits.
    pub fn write(self, text: &mut [u8; DIGITS]) {
        uuid::write_halves(self.high, self.low, text);
    }

    /// The 38 digits.
    pub fn digits(self) -> [u8; DIGITS] {
        let mut text = [0; DIGITS];
        self.write(&mut text);
        text
    }
}

impl EcidKey {
    /// Made by [`super::Secret::ecid_key`]: one key for the bijection, one for ids of other forms.
    pub fn new(bijection_key: &[u8; 16], other_key: &[u8; 16]) -> EcidKey {
        EcidKey {
            rounds: SipHasher24::new_with_key(bijection_key),
            other: sip128::SipHasher24::new_with_key(other_key),
        }
    }

    /// How the organisation knows this visitor.
    pub fn ecid(&self, uuid: Uuid) -> Ecid {
        let (mut left, mut right) = (uuid.high, uuid.low);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        Ecid { high: left, low: right }
    }

    /// The visitor whom the organisation knows as this.
    pub fn uuid(&self, ecid: Ecid) -> Uuid {
        let (mut left, mut right) = (ecid.high, ecid.low);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        Uuid { high: left, low: right }
    }

    /// The visitor whom the organisation's client named by an id of its own making.
    pub fn uuid_of_other(&self, text: &[u8]) -> Uuid {
        let hash = self.other.hash(text);
        Uuid::from_bits(hash.h1, hash.h2)
    }

    /// The visitor that a `d_mid` names, if it names one.
    pub fn resolve(&self, mid: Mid<'_>) -> Option<Uuid> {
        match mid {
            Mid::ThirtyEightDigits(ecid) => Some(self.uuid(ecid)),
            Mid::Other(text) => Some(self.uuid_of_other(text)),
            Mid::OptedOut | Mid::Invalid => None,
        }
    }

    fn round(&self, round: u8, half: u64) -> u64 {
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&half.to_le_bytes());
        bytes[8] = round;
        self.rounds.hash(&bytes) % HALF_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Secret;
    use crate::identity::cases;
    use crate::ids::{DataSourceId, ShardId};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn key(organisation: &str) -> EcidKey {
        Secret::from_bytes([3; 32]).ecid_key(organisation)
    }

    #[test]
    fn forms_are_told_apart() {
        let digits = b"12345678901234567890123456789012345678";
        assert!(matches!(Mid::classify(digits), Mid::ThirtyEightDigits(ecid) if &ecid.digits() == digits));
        assert_eq!(Mid::classify(b"NOTARGET"), Mid::OptedOut);
        for other in [&b"12345567"[..], b"0", b"-", b"e4fe9bde-CAA0", &[b'9'; 38], &[b'f'; 64], &digits[1..]] {
            assert_eq!(Mid::classify(other), Mid::Other(other));
        }
        for invalid in [&b""[..], &[b'f'; 65], b"xyz", b"1 2", b"NOTARGE", b"notarget", b"12\xff", b"1%202"] {
            assert_eq!(Mid::classify(invalid), Mid::Invalid);
        }
    }

    #[test]
    fn organisations_know_a_visitor_by_different_ids() {
        let uuid = Uuid { high: 1, low: 2 };
        assert_ne!(key("A@AdobeOrg").ecid(uuid), key("B@AdobeOrg").ecid(uuid));
        assert_ne!(key("A@AdobeOrg").uuid_of_other(b"12345567"), key("B@AdobeOrg").uuid_of_other(b"12345567"));
    }

    #[test]
    fn neighbours_scatter() {
        let key = key("A@AdobeOrg");
        let ecids: Vec<Ecid> = (0..2_000).map(|low| key.ecid(Uuid { high: 0, low })).collect();
        assert_eq!(ecids.iter().map(|ecid| ecid.digits()).collect::<HashSet<_>>().len(), 2_000);
        for half in [|e: &Ecid| e.high, |e: &Ecid| e.low] {
            let flips: u32 = ecids.windows(2).map(|pair| (half(&pair[0]) ^ half(&pair[1])).count_ones()).sum();
            let mean = f64::from(flips) / 1_999.0;
            assert!((30.5..32.5).contains(&mean), "of 63 bits {mean} change");
        }
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn the_mapping_is_a_bijection_within_63_bit_halves(high in 0..HALF_LIMIT, low in 0..HALF_LIMIT) {
            let key = key("A@AdobeOrg");
            let uuid = Uuid { high, low };
            let ecid = key.ecid(uuid);
            prop_assert!(ecid.high < HALF_LIMIT && ecid.low < HALF_LIMIT);
            prop_assert_eq!(key.uuid(ecid), uuid);
            let digits = ecid.digits();
            prop_assert_eq!(Mid::classify(&digits), Mid::ThirtyEightDigits(ecid));
            let back = key.uuid(Ecid { high, low });
            prop_assert!(back.high < HALF_LIMIT && back.low < HALF_LIMIT);
            prop_assert_eq!(key.ecid(back), Ecid { high, low });
        }

        #[test]
        fn any_bytes_can_be_classified_and_resolved(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let resolved = key("A@AdobeOrg").resolve(Mid::classify(&text));
            prop_assert!(resolved.is_none_or(|uuid| uuid.high < HALF_LIMIT && uuid.low < HALF_LIMIT));
        }
    }

    /// Computed by an independent implementation: any change here orphans every visitor of every installation.
    #[test]
    fn golden_values_hold() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/identity/golden.txt");
        let text = std::fs::read_to_string(path).unwrap();
        let mut checked = 0;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let fields: Vec<&str> = line.split(' ').collect();
            let secret = Secret::from_hex(fields[1]).unwrap();
            let uuid_of = |text: &str| Uuid::parse(text.as_bytes()).unwrap();
            let actual = match fields[0] {
                "ecid" => {
                    String::from_utf8(secret.ecid_key(fields[2]).ecid(uuid_of(fields[3])).digits().into()).unwrap()
                }
                "other" => secret.ecid_key(fields[2]).uuid_of_other(fields[3].as_bytes()).to_string(),
                "table" => format!("{:032x}", secret.table_hash().uuid(uuid_of(fields[3])).bits()),
                "declared" => {
                    let source = DataSourceId(fields[2].parse().unwrap());
                    format!("{:032x}", secret.id_hash().declared(source, fields[3].as_bytes()).bits())
                }
                "generator" => {
                    let start = [fields[3].parse().unwrap(); 32];
                    secret.generator(ShardId(fields[2].parse().unwrap()), &start).uuid().to_string()
                }
                kind => panic!("no such kind of case: {kind}"),
            };
            assert_eq!(actual, fields[4], "{line}");
            checked += 1;
        }
        assert!(checked >= 10, "only {checked} golden values");
    }
}
