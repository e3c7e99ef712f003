//! Where partners are: names become addresses here, on the control thread, since a shard may not wait for DNS.
//!
//! The system's resolver (`getaddrinfo`) is asked, so that `/etc/hosts` and the host's DNS settings count. It doesn't
//! tell how long an answer is valid, so names are asked for again every [`REFRESH`].

use std::net::SocketAddr;
use std::time::Duration;

use crate::ids::PartnerId;
use crate::limits::PARTNER_ADDRESSES_MAX;

/// How often names are resolved anew.
pub const REFRESH: Duration = Duration::from_secs(30);
/// A name that takes longer counts as not resolved this time.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One partner's name, and what it last stood for.
#[derive(Clone, Debug)]
pub struct Name {
    pub partner: PartnerId,
    pub host: String,
    pub port: u16,
    /// Sorted, so that an answer in another order is no change.
    pub addresses: Box<[SocketAddr]>,
}

impl Name {
    pub fn new(partner: PartnerId, host: &str, port: u16) -> Name {
        Name { partner, host: host.to_owned(), port, addresses: Box::default() }
    }

    /// The same, with what is known of it already.
    pub fn with_addresses_of(mut self, known: &[Name]) -> Name {
        if let Some(other) = known.iter().find(|other| (&other.host, other.port) == (&self.host, self.port)) {
            self.addresses.clone_from(&other.addresses);
        }
        self
    }

    /// Asks anew. `true`: the addresses changed. A failure leaves those that were known.
    ///
    /// # Errors
    /// Why the name could not be resolved.
    pub async fn refresh(&mut self) -> Result<bool, String> {
        let asked = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let found = match asked {
            Ok(Ok(found)) => sorted(found),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        if found.is_empty() {
            return Err("the name has no address".to_owned());
        }
        let is_new = found != self.addresses;
        self.addresses = found;
        Ok(is_new)
    }
}

fn sorted(found: impl Iterator<Item = SocketAddr>) -> Box<[SocketAddr]> {
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(PARTNER_ADDRESSES_MAX);
    addresses.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unchanged_name_is_no_change() {
        let mut name = Name::new(PartnerId(1), "127.0.0.1", 81);
        assert_eq!(name.refresh().await, Ok(true));
        assert_eq!(*name.addresses, ["127.0.0.1:81".parse().unwrap()]);
        assert_eq!(name.refresh().await, Ok(false));
    }

    #[tokio::test]
    async fn who_is_asked_for_again_keeps_what_was_known() {
        let mut name = Name::new(PartnerId(1), "no such host", 81);
        name.addresses = ["10.0.0.1:81".parse().unwrap()].into();
        let before = [Name::new(PartnerId(1), "other host", 81), name];
        let mut again = Name::new(PartnerId(2), "no such host", 81).with_addresses_of(&before);
        assert!(again.refresh().await.is_err());
        assert_eq!(again.addresses, before[1].addresses);
        assert!(Name::new(PartnerId(1), "no such host", 82).with_addresses_of(&before).addresses.is_empty());
    }

    #[tokio::test]
    async fn a_failure_keeps_what_was_known() {
        let mut name = Name::new(PartnerId(1), "no such host", 81);
        name.addresses = ["10.0.0.1:81".parse().unwrap()].into();
        assert!(name.refresh().await.is_err());
        assert_eq!(name.addresses.len(), 1);
        let again = Name::new(PartnerId(2), "no such host", 81).with_addresses_of(std::slice::from_ref(&name));
        assert_eq!(again.addresses, name.addresses);
        assert!(Name::new(PartnerId(1), "no such host", 82).with_addresses_of(&[name]).addresses.is_empty());
    }

    #[test]
    fn order_and_repetition_do_not_count() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, b) = (address("10.0.0.1:1"), address("10.0.0.2:1"));
        assert_eq!(sorted([b, a, b].into_iter()), sorted([a, b].into_iter()));
    }
}
