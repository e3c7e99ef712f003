//! Small values of the config that have a syntax of their own. A value that exists is a valid one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::clock::Day;
use crate::http::date::{civil_of, days_of};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An IP address or a network of them, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// IPv4 addresses that arrive mapped into IPv6 are their IPv4 selves.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                prefix(u128::from(network.to_bits()) << 96, self.prefix_bits)
                    == prefix(u128::from(address.to_bits()) << 96, self.prefix_bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                prefix(network.to_bits(), self.prefix_bits) == prefix(address.to_bits(), self.prefix_bits)
            }
            _ => false,
        }
    }
}

fn prefix(bits: u128, prefix_bits: u8) -> u128 {
    bits.checked_shr(128 - u32::from(prefix_bits)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let (address, prefix_text) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("`{text}` is no IP address or network"))?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix_text {
            None => bits_max,
            Some(text) => text
                .parse()
                .ok()
                .filter(|&bits| bits <= bits_max && text.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| format!("`/{text}` is no prefix length, 0 to {bits_max}"))?,
        };
        Ok(Network { address, prefix_bits })
    }
}

/// Where a partner is reached without asking DNS: an IP address, with a port where it is not the URL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedAddress {
    pub ip: IpAddr,
    pub port: Option<u16>,
}

impl FromStr for FixedAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<FixedAddress, String> {
        if let Ok(ip) = text.parse() {
            return Ok(FixedAddress { ip, port: None });
        }
        let address: std::net::SocketAddr =
            text.parse().map_err(|_| format!("`{text}` is no IP address, with or without a port"))?;
        Ok(FixedAddress { ip: address.ip(), port: Some(address.port()) })
    }
}

/// An amount of memory: `1GiB`, `512 MiB`, `65536`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let wrong = || format!("`{text}` is no size: write it like `512MiB` or `1GiB`");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let factor = match unit {
            "" => 1,
            _ => UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).ok_or_else(wrong)?.1,
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(ByteSize).ok_or_else(|| format!("`{text}` is more than can be counted"))
    }
}

/// A UTC day, written `2026-05-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub Day);

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Date, String> {
        let wrong = || format!("`{text}` is no day: write it like `2026-05-31`");
        let is_form = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_form {
            return Err(wrong());
        }
        let part = |range: std::ops::Range<usize>| text[range].parse::<u64>().map_err(|_| wrong());
        let day = (part(0..4)?, part(5..7)?, part(8..10)?);
        if day.0 < 1970 || !(1..=12).contains(&day.1) || !(1..=31).contains(&day.2) {
            return Err(wrong());
        }
        let days = days_of(day.0, day.1, day.2);
        // The 31st of a month that has none is another day.
        let exists = civil_of(days) == day;
        Day::try_from(days).ok().filter(|_| exists).map(Date).ok_or_else(wrong)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_of(self.0.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The 256-bit secret, written as 64 hex digits. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Secret, String> {
        // The text itself must not get into a message.
        let wrong = || "the secret is not 64 hex digits".to_owned();
        let nibbles: Vec<u32> =
            text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>().ok_or_else(wrong)?;
        if nibbles.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        Ok(Secret(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a server caller presents to be believed: visible ASCII without spaces. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

/// Shorter tokens could be guessed by trying.
const TOKEN_BYTES_MIN: usize = 16;

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Token, String> {
        if text.len() < TOKEN_BYTES_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("a token is at least {TOKEN_BYTES_MIN} visible ASCII characters without spaces"));
        }
        Ok(Token(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

macro_rules! read_from_text {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

read_from_text!(Network, FixedAddress, ByteSize, Date, Secret, Token);

/// For the effective config: as it would be written. Secrets are not.
macro_rules! write_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

write_as_text!(Network, FixedAddress, ByteSize, Date);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl fmt::Display for FixedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => std::net::SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl fmt::Display for ByteSize {
    /// In the largest binary unit that tells it exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) =
            UNITS[..4].iter().rev().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let contains =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(contains("10.1.2.3/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("10.0.0.1", "10.0.0.1"));
        assert!(!contains("10.0.0.1", "10.0.0.2"));
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(contains("0.0.0.0/0", "255.1.2.3"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001::1"));
        assert_eq!("10.1.2.3".parse::<Network>().unwrap().to_string(), "10.1.2.3/32");
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "localhost", "10.0.0.0/8/9"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("1GiB", 1 << 30), ("512 MiB", 512 << 20), ("7", 7), ("2kb", 2_000), ("16mib", 16 << 20)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["1GiB", "1536MiB", "0B", "1000B", "7TiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for wrong in ["", "GiB", "1.5GiB", "-1", "1  GiB", "1GiBs", "99999999999TiB", "99999999999999999999"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn days() {
        for (text, day) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-05-31", 20_604), ("2149-06-06", 65_535)] {
            assert_eq!(text.parse(), Ok(Date(day)), "{text}");
            assert_eq!(Date(day).to_string(), text);
        }
        for wrong in
            ["", "1969-12-31", "2149-06-07", "2026-02-29", "2026-04-31", "2026-00-01", "2026-1-01", "2026-01-0é"]
        {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses() {
        let ip = "10.0.0.1".parse().unwrap();
        assert_eq!("10.0.0.1".parse(), Ok(FixedAddress { ip, port: None }));
        assert_eq!("10.0.0.1:81".parse(), Ok(FixedAddress { ip, port: Some(81) }));
        assert_eq!("[::1]:81".parse::<FixedAddress>().unwrap().port, Some(81));
        for text in ["10.0.0.1", "10.0.0.1:81", "::1", "[::1]:81"] {
            assert_eq!(text.parse::<FixedAddress>().unwrap().to_string(), text);
        }
        assert!("partner.example".parse::<FixedAddress>().is_err());
    }

    #[test]
    fn secrets_are_never_shown() {
        let secret: Secret = "0f".repeat(32).parse().unwrap();
        assert_eq!(secret.0, [15; 32]);
        assert_eq!(format!("{secret:?} {:?}", Token("t".into())), "Secret(..) Token(..)");
        for wrong in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &"é".repeat(32)] {
            let fault = wrong.parse::<Secret>().unwrap_err();
            assert_eq!(fault, "the secret is not 64 hex digits");
        }
        assert!("short".parse::<Token>().is_err() && "sixteen characters".parse::<Token>().is_err());
        assert!("0123456789abcdef".parse::<Token>().is_ok());
    }
}
