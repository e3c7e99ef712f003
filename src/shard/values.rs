//! What macros stand for, for one visitor in one call.

use std::net::IpAddr;

use super::Shard;
use super::job::Context;
use super::prepare::Prepared;
use crate::clock::Now;
use crate::identity::{IdHash, OptOut, OptOuts, Uuid};
use crate::ids::DataSourceId;
use crate::profile::Profile;
use crate::template::{MacroValues, Sink};

/// Everything that a template may name.
pub(super) struct Values<'a, 'p> {
    pub context: &'a Context,
    pub prepared: &'a Prepared<'p>,
    /// `None`: of declared ids the call's own alone are known.
    pub profile: Option<&'a Profile>,
    pub now: Now,
    pub random: u64,
    /// What is left of a partner call's time.
    pub timeout_ms: u64,
}

impl<'p> Values<'_, 'p> {
    pub(super) fn uuid(&self) -> Uuid {
        self.context.visitor.uuid
    }

    pub(super) fn with_timeout_ms(&self, timeout_ms: u64) -> Values<'_, 'p> {
        Values { timeout_ms, ..*self }
    }
}

/// Values as others may be told them. A profile keeps the texts of ids that were opted out since, or whose data source
/// was blocked, and those of other accounts.
pub(super) struct Told<'a, 'p> {
    values: &'a Values<'a, 'p>,
    opt_outs: &'a OptOuts,
    id_hash: &'a IdHash,
}

impl Shard {
    pub(super) fn told<'a, 'p>(&'a self, values: &'a Values<'a, 'p>) -> Told<'a, 'p> {
        Told { values, opt_outs: &self.opt_outs, id_hash: &self.id_hash }
    }
}

impl<'a, 'p> Told<'a, 'p> {
    fn may_tell(&self, source: DataSourceId, id: &[u8]) -> bool {
        let is_out = || self.opt_outs.contains(OptOut::Declared(self.id_hash.declared(source, id)));
        !self.prepared().denies(self.values.context, source, id) && (self.opt_outs.is_empty() || !is_out())
    }

    fn prepared(&self) -> &'a Prepared<'p> {
        self.values.prepared
    }
}

impl MacroValues for Told<'_, '_> {
    fn visitor_id(&self, sink: &mut Sink<'_, '_>) {
        sink.push(&self.values.uuid().digits());
    }

    fn ecid(&self, sink: &mut Sink<'_, '_>) {
        // A phone's own id is known to its partners as the phone sent it.
        match self.prepared().mid() {
            Some(mid) => sink.push(mid),
            None => sink.push(&self.prepared().ecid_key.ecid(self.values.uuid()).digits()),
        }
    }

    fn declared_id(&self, data_source: DataSourceId, sink: &mut Sink<'_, '_>) {
        let prepared = self.prepared();
        if !prepared.rules.may_use_ids(data_source, prepared.account_index) {
            return;
        }
        let may_tell = |id: &&[u8]| self.may_tell(data_source, id);
        let id = match self.values.profile {
            Some(profile) => profile.ids_of(data_source).map(|id| id.text).find(may_tell),
            None => prepared.ids.iter().filter(|id| id.source == data_source).map(|id| id.id).find(may_tell),
        };
        id.into_iter().for_each(|id| sink.push(id));
    }

    fn ip(&self, sink: &mut Sink<'_, '_>) {
        let mut text = [0; 48];
        sink.push(write_address(self.values.context.address, &mut text));
    }

    fn user_agent(&self, sink: &mut Sink<'_, '_>) {
        self.signal(b"h_user-agent", sink);
    }

    fn referer(&self, sink: &mut Sink<'_, '_>) {
        self.signal(b"h_referer", sink);
    }

    fn page(&self, sink: &mut Sink<'_, '_>) {
        // The page that calls is the call's referrer; a script may name it itself.
        self.signal(b"h_referer", sink);
    }

    fn region(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.prepared().rules.server.region.into());
    }

    fn random(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.values.random);
    }

    fn timestamp(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.values.now.wall_ms / 1000);
    }

    fn timeout_ms(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.values.timeout_ms);
    }

    fn http_proto(&self, sink: &mut Sink<'_, '_>) {
        sink.push(if self.values.context.secure { b"https" } else { b"http" });
    }

    fn gdpr(&self, sink: &mut Sink<'_, '_>) {
        // Its place is a number's, so nothing that a visitor wrote may stand there.
        sink.push_decimal(self.prepared().call.consent.gdpr_applies().into());
    }

    fn gdpr_consent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(self.prepared().call.consent.gdpr_consent.unwrap_or_default());
    }

    fn gpp(&self, sink: &mut Sink<'_, '_>) {
        sink.push(self.prepared().call.consent.gpp.unwrap_or_default());
    }

    fn gpp_sid(&self, sink: &mut Sink<'_, '_>) {
        sink.push(self.prepared().call.consent.gpp_sid.unwrap_or_default());
    }

    fn signal(&self, key: &[u8], sink: &mut Sink<'_, '_>) {
        let prepared = self.prepared();
        let derived = || prepared.account.matcher.derived_value(key, &prepared.call.signals).map(str::as_bytes);
        if let Some(value) = prepared.call.signal(key).or_else(derived) {
            sink.push(value);
        }
    }
}

/// An address as text, without the machinery of `std::fmt`. IPv6 is written with all its groups, which every reader
/// takes (RFC 4291, section 2.2, form 1).
fn write_address(address: IpAddr, text: &mut [u8; 48]) -> &[u8] {
    let mut len = 0;
    let mut put = |byte: u8| {
        text[len] = byte;
        len += 1;
    };
    match address {
        IpAddr::V4(address) => {
            for (i, octet) in address.octets().into_iter().enumerate() {
                if i > 0 {
                    put(b'.');
                }
                for power in [100, 10, 1] {
                    if octet >= power || power == 1 {
                        put(b'0' + octet / power % 10);
                    }
                }
            }
        }
        IpAddr::V6(address) => {
            for (i, group) in address.segments().into_iter().enumerate() {
                if i > 0 {
                    put(b':');
                }
                for shift in [12, 8, 4, 0] {
                    if group >> shift > 0 || shift == 0 {
                        put(b"0123456789abcdef"[usize::from(group >> shift & 15)]);
                    }
                }
            }
        }
    }
    &text[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back() {
        for text in ["0.0.0.0", "127.0.0.1", "255.10.9.200", "::1", "2001:db8::ff00:42:8329", "fe80::1:0:0:1"] {
            let address: IpAddr = text.parse().unwrap();
            let mut room = [0; 48];
            let written = write_address(address, &mut room);
            assert_eq!(std::str::from_utf8(written).unwrap().parse(), Ok(address), "{text}");
        }
    }
}
