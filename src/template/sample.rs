//! Values for tests.

use super::{MacroValues, Sink};
use crate::ids::DataSourceId;

/// All fields are empty unless set; what has no field has a fixed value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) visitor_id: Vec<u8>,
    pub(crate) declared_ids: Vec<(u32, Vec<u8>)>,
    pub(crate) ip: Vec<u8>,
    pub(crate) user_agent: Vec<u8>,
    pub(crate) page: Vec<u8>,
    pub(crate) gdpr_consent: Vec<u8>,
    pub(crate) timeout_ms: u64,
    pub(crate) signals: Vec<(Vec<u8>, Vec<u8>)>,
}

impl MacroValues for Sample {
    fn visitor_id(&self, sink: &mut Sink<'_, '_>) {
        sink.push(&self.visitor_id);
    }
    fn ecid(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"ecid");
    }
    fn declared_id(&self, data_source: DataSourceId, sink: &mut Sink<'_, '_>) {
        if let Some((_, id)) = self.declared_ids.iter().find(|(source, _)| *source == data_source.0) {
            sink.push(id);
        }
    }
    fn ip(&self, sink: &mut Sink<'_, '_>) {
        sink.push(&self.ip);
    }
    fn user_agent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(&self.user_agent);
    }
    fn referer(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https://referer.example/");
    }
    fn page(&self, sink: &mut Sink<'_, '_>) {
        sink.push(&self.page);
    }
    fn region(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(6);
    }
    fn random(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(4_711);
    }
    fn timestamp(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(1_795_289_301);
    }
    fn timeout_ms(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.timeout_ms);
    }
    fn http_proto(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https");
    }
    fn gdpr(&self, sink: &mut Sink<'_, '_>) {
        sink.push(if self.gdpr_consent.is_empty() { b"0" } else { b"1" });
    }
    fn gdpr_consent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(&self.gdpr_consent);
    }
    fn gpp(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"DBAA");
    }
    fn gpp_sid(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"2,6");
    }
    fn signal(&self, key: &[u8], sink: &mut Sink<'_, '_>) {
        if let Some((_, value)) = self.signals.iter().find(|(known, _)| known == key) {
            sink.push(value);
        }
    }
}
