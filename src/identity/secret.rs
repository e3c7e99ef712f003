//! The server's one secret and the keys made of it.
//!
//! Each purpose has a key of its own, HMAC-SHA256(secret, label, 0, context), so that no two purposes share one and
//! none tells of another. Changing the secret orphans every visitor: golden tests hold the derivation still.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::ecid::EcidKey;
use super::generator::Generator;
use super::hash::{IdHash, TableHash};
use crate::ids::ShardId;

/// 256 bits of which everything that must not be guessed is derived. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// From 32 bytes of the system's random source, or of a test's seed.
    pub fn from_bytes(bytes: [u8; 32]) -> Secret {
        Secret(bytes)
    }

    /// From 64 hexadecimal digits in either case.
    pub fn from_hex(text: &str) -> Option<Secret> {
        let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Secret(bytes))
    }

    /// 64 lower-case hexadecimal digits: how the secret is kept in its file.
    pub fn to_hex(&self) -> String {
        self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from_digit(digit.into(), 16)).fold(
            String::with_capacity(64),
            |mut text, digit| {
                text.push(digit.expect("four bits are a hexadecimal digit"));
                text
            },
        )
    }

    /// Places visitors: on a shard, in its table.
    pub fn table_hash(&self) -> TableHash {
        TableHash::new(&first_half(self.derive("table hash", b"")))
    }

    /// Names and places declared ids.
    pub fn id_hash(&self) -> IdHash {
        IdHash::new(&first_half(self.derive("id map", b"")))
    }

    /// Maps ECIDs of one organisation (as written in `d_orgid`).
    pub fn ecid_key(&self, organisation: &str) -> EcidKey {
        let key = self.derive("ecid", organisation.as_bytes());
        EcidKey::new(&first_half(key), &second_half(key))
    }

    /// The random numbers of one shard. `start` is fresh entropy at each start of the server, or a simulation's seed:
    /// without it a restart would hand out the same uuids again.
    pub fn generator(&self, shard: ShardId, start: &[u8; 32]) -> Generator {
        let mut context = [0; 34];
        context[..2].copy_from_slice(&shard.0.to_le_bytes());
        context[2..].copy_from_slice(start);
        Generator::from_seed(self.derive("generator", &context))
    }

    /// Tells this secret from others, and nothing else of it.
    pub fn fingerprint(&self) -> u128 {
        u128::from_le_bytes(first_half(self.derive("fingerprint", b"")))
    }

    fn derive(&self, label: &str, context: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac.update(context);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn first_half(key: [u8; 32]) -> [u8; 16] {
    std::array::from_fn(|i| key[i])
}

fn second_half(key: [u8; 32]) -> [u8; 16] {
    std::array::from_fn(|i| key[16 + i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_bad_hex_is_refused() {
        let text = "000102030405060708090a0b0c0d0e0ff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
        let secret = Secret::from_hex(text).unwrap();
        assert_eq!(secret.to_hex(), text);
        assert_eq!(Secret::from_hex(&text.to_uppercase()), Some(secret));
        assert_eq!(Secret::from_hex(&text[1..]), None);
        assert_eq!(Secret::from_hex(&text.replace('f', "g")), None);
        assert_eq!(Secret::from_hex(""), None);
        assert_eq!(Secret::from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn debug_does_not_tell() {
        let secret = Secret::from_bytes([0xab; 32]);
        assert!(!format!("{secret:?}").contains("ab"));
    }

    /// Logs of opt-outs hold it.
    #[test]
    fn a_fingerprint_is_the_secrets_for_ever() {
        assert_eq!(Secret::from_bytes([7; 32]).fingerprint(), 0xf7dbdf5b_2319e0b4_9713997c_48ad9b6d);
        assert_ne!(Secret::from_bytes([7; 32]).fingerprint(), Secret::from_bytes([8; 32]).fingerprint());
    }

    #[test]
    fn each_purpose_shard_and_start_has_its_own_key() {
        let secret = Secret::from_bytes([7; 32]);
        assert_ne!(secret.derive("table hash", b""), secret.derive("id map", b""));
        assert_ne!(secret.derive("ecid", b"A"), secret.derive("ecid", b"B"));
        assert_ne!(secret.derive("ecid", b"A"), Secret::from_bytes([8; 32]).derive("ecid", b"A"));
        let first = |shard, start| secret.generator(ShardId(shard), &[start; 32]).uuid();
        assert_eq!(first(0, 1), first(0, 1));
        assert_ne!(first(0, 1), first(1, 1));
        assert_ne!(first(0, 1), first(0, 2));
    }
}
