//! A visitor about whom everything is known, to show requests with.

use crate::ids::DataSourceId;
use crate::template::{MacroValues, Sink};

pub(super) struct SampleVisitor {
    pub(super) region: u32,
    pub(super) timeout_ms: u32,
}

impl MacroValues for SampleVisitor {
    fn visitor_id(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"01234567890123456789012345678901234567");
    }

    fn ecid(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"09876543210987654321098765432109876543");
    }

    fn declared_id(&self, data_source: DataSourceId, sink: &mut Sink<'_, '_>) {
        sink.push(b"id-at-");
        sink.push_decimal(data_source.0.into());
    }

    fn ip(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"192.0.2.1");
    }

    fn user_agent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    }

    fn referer(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https://www.example.com/page?a=1");
    }

    fn page(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https://www.example.com/page?a=1");
    }

    fn region(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.region.into());
    }

    fn random(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(1_234_567_890);
    }

    fn timestamp(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(1_767_225_600);
    }

    fn timeout_ms(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.timeout_ms.into());
    }

    fn http_proto(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https");
    }

    fn gdpr(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"1");
    }

    fn gdpr_consent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"TCF-consent-string");
    }

    fn gpp(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"GPP-string");
    }

    fn gpp_sid(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"-1");
    }

    fn signal(&self, key: &[u8], sink: &mut Sink<'_, '_>) {
        sink.push(b"value-of-");
        sink.push(key);
    }
}
