//! A made-up visitor, so that `check` can show the request that would go out to a partner.

use crate::ids::DataSourceId;
use crate::limits::PARTNER_REQUEST_BYTES_MAX;
use crate::partner::request::write_request;
use crate::partner::settings::Partner;
use crate::template::{MacroValues, Rendered, Sink, Writer};

/// The request as text, or why there would be none.
pub fn request(partner: &Partner, region: u32) -> String {
    let visitor = Visitor { region, timeout_ms: partner.timeout_ms };
    let mut room = vec![0; PARTNER_REQUEST_BYTES_MAX];
    let mut out = Writer::new(&mut room);
    match write_request(partner, &visitor, &mut out) {
        Rendered::Ok(_) => String::from_utf8_lossy(out.bytes()).replace("\r\n", "\n"),
        Rendered::Skipped => "none: a macro that is marked as required is empty for the sample visitor\n".to_owned(),
        Rendered::Overflow => format!("none: longer than {PARTNER_REQUEST_BYTES_MAX} bytes\n"),
    }
}

/// Addresses and names are those set aside for documentation.
struct Visitor {
    region: u32,
    timeout_ms: u32,
}

impl MacroValues for Visitor {
    fn visitor_id(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"09876543210987654321001234567890123456");
    }

    fn ecid(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"01234567890123456789009876543210987654");
    }

    fn declared_id(&self, data_source: DataSourceId, sink: &mut Sink<'_, '_>) {
        sink.push(b"id-at-");
        sink.push_decimal(data_source.0.into());
    }

    fn ip(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"203.0.113.7");
    }

    fn user_agent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"Mozilla/5.0 (X11; Linux x86_64)");
    }

    fn referer(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https://www.example.com/products/camera");
    }

    fn page(&self, sink: &mut Sink<'_, '_>) {
        self.referer(sink);
    }

    fn region(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.region.into());
    }

    fn random(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(4_294_967_291);
    }

    fn timestamp(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(1_795_289_301);
    }

    fn timeout_ms(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(self.timeout_ms.into());
    }

    fn http_proto(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https");
    }

    fn gdpr(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"0");
    }

    fn gdpr_consent(&self, _: &mut Sink<'_, '_>) {}

    fn gpp(&self, _: &mut Sink<'_, '_>) {}

    fn gpp_sid(&self, _: &mut Sink<'_, '_>) {}

    fn signal(&self, key: &[u8], sink: &mut Sink<'_, '_>) {
        sink.push(b"value-of-");
        sink.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner::settings::PartnerSettings;

    fn shown(settings: PartnerSettings) -> String {
        request(&Partner::compile(settings).unwrap(), 6)
    }

    #[test]
    fn a_request_is_shown_with_its_macros_replaced() {
        let text = shown(PartnerSettings {
            name: "graph".to_owned(),
            url: "http://partner.example/x?u=%did%&a=%dpid_7%&k=%sig_c_k%".to_owned(),
            body: Some("{\"ip\":\"%ip%\"}".to_owned()),
            ..PartnerSettings::default()
        });
        let target = "/x?u=09876543210987654321001234567890123456&a=id-at-7&k=value-of-c_k";
        assert!(text.starts_with(&format!("POST {target} HTTP/1.1\nHost: partner.example\n")), "{text}");
        assert!(text.ends_with("\n\n{\"ip\":\"203.0.113.7\"}"), "{text}");
    }

    #[test]
    fn a_request_that_would_not_be_sent_says_why() {
        let text = shown(PartnerSettings {
            name: "graph".to_owned(),
            url: "http://partner.example/?consent=${GDPR_CONSENT!}".to_owned(),
            ..PartnerSettings::default()
        });
        assert!(text.starts_with("none: "), "{text}");
    }
}
