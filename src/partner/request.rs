//! The request that goes out to a partner, written as a whole into a slice.

use super::settings::{Body, Method, Partner, SentId, UserId};
use super::time_left::TimeLeft;
use crate::template::{Encoding, MacroValues, Rendered, Sink, Writer};

/// Room for the body's length, which is known last; what it doesn't take is closed up.
const LENGTH_PLACEHOLDER: &[u8] = b"000000";

/// Writes head and body. A header whose value turns out empty is left out. The connection stays open, as it does by
/// default. `left` is to know the time that `values` tell; it learns where in the request that stands.
pub fn write_request(
    partner: &Partner,
    values: &impl MacroValues,
    left: &mut TimeLeft,
    out: &mut Writer<'_>,
) -> Rendered {
    let start = out.len();
    left.begin();
    match write_parts(partner, values, left, out) {
        Ok(()) if !out.overflowed() => Rendered::Ok(out.len() - start),
        Ok(()) => undo(out, start, Rendered::Overflow),
        Err(stopped) => undo(out, start, stopped),
    }
}

fn undo(out: &mut Writer<'_>, start: usize, rendered: Rendered) -> Rendered {
    out.truncate(start);
    rendered
}

fn write_parts(
    partner: &Partner,
    values: &impl MacroValues,
    left: &mut TimeLeft,
    out: &mut Writer<'_>,
) -> Result<(), Rendered> {
    out.push(match partner.method {
        Method::Get => b"GET ",
        Method::Post => b"POST ",
    });
    written(partner.target.render_timed(values, Encoding::Percent, |at| left.note_in_head(at), out))?;
    out.push(b" HTTP/1.1\r\nHost: ");
    out.push(partner.url.authority.as_bytes());
    out.push(b"\r\nAccept-Encoding: identity\r\n");
    for (name, value) in &partner.headers {
        let before = out.len();
        out.push(name.as_bytes());
        out.push(b": ");
        if written(value.render_timed(values, Encoding::Header, |at| left.note_in_head(at), out))? == 0 {
            out.truncate(before);
        } else {
            out.push(b"\r\n");
        }
    }
    if matches!(partner.body, Body::None) {
        out.push(b"\r\n");
        return Ok(());
    }
    out.push(b"Content-Type: ");
    out.push(partner.content_type.as_bytes());
    out.push(b"\r\nContent-Length: ");
    let length_at = out.len();
    out.push(LENGTH_PLACEHOLDER);
    out.push(b"\r\n\r\n");
    let body_at = out.len();
    match &partner.body {
        Body::None => {}
        Body::Template { template, encoding } => {
            written(template.render_timed(values, *encoding, |at| left.note_in_body(at), out))?;
        }
        Body::Default { user_id, sent_ids } => write_default_body(user_id, sent_ids, values, left, out)?,
    }
    if !out.overflowed() {
        let body_bytes = out.len() - body_at;
        out.replace_with_decimal(length_at, LENGTH_PLACEHOLDER.len(), body_bytes as u64);
        left.note_length(length_at, LENGTH_PLACEHOLDER.len(), body_bytes);
    }
    Ok(())
}

fn written(rendered: Rendered) -> Result<usize, Rendered> {
    match rendered {
        Rendered::Ok(len) => Ok(len),
        stopped => Err(stopped),
    }
}

/// `{"segment_request_id","user":{"id","eids":[..]},"site":{"page"},"device":{"ua","ip"},"regs":{..},"tmax"}`, without
/// what is not known.
fn write_default_body(
    user_id: &UserId,
    sent_ids: &[SentId],
    values: &impl MacroValues,
    left: &mut TimeLeft,
    out: &mut Writer<'_>,
) -> Result<(), Rendered> {
    out.push(b"{\"segment_request_id\":\"");
    values.random(&mut Sink::new(out, Encoding::Json));
    out.push(b"\",\"user\":{");
    text_member(out, "id", |sink| match user_id {
        UserId::VisitorId => values.visitor_id(sink),
        UserId::Ecid => values.ecid(sink),
        UserId::Declared(data_source) => values.declared_id(*data_source, sink),
        UserId::None => {}
    });
    write_eids(sent_ids, values, out)?;
    text_member(out, "consent", |sink| values.gdpr_consent(sink));
    out.push(b"},\"site\":{");
    text_member(out, "page", |sink| values.page(sink));
    out.push(b"},\"device\":{");
    text_member(out, "ua", |sink| values.user_agent(sink));
    text_member(out, "ip", |sink| values.ip(sink));
    out.push(b"},\"regs\":{");
    member(out, "gdpr", (b"", b""), |sink| values.gdpr(sink));
    text_member(out, "gpp", |sink| values.gpp(sink));
    text_member(out, "gpp_sid", |sink| values.gpp_sid(sink));
    out.push(b"}");
    out.push(b",\"tmax\":");
    left.note_in_body(out.len());
    values.timeout_ms(&mut Sink::new(out, Encoding::Json));
    out.push(b"}");
    Ok(())
}

fn write_eids(sent_ids: &[SentId], values: &impl MacroValues, out: &mut Writer<'_>) -> Result<(), Rendered> {
    let start = out.len();
    comma(out);
    out.push(b"\"eids\":[");
    let first = out.len();
    for sent in sent_ids {
        let before = out.len();
        comma(out);
        out.push(b"{\"source\":\"");
        Sink::new(out, Encoding::Json).push(sent.source.as_bytes());
        out.push(b"\",\"uids\":[{");
        if text_member(out, "id", |sink| values.declared_id(sent.data_source, sink)) {
            out.push(b"}]}");
        } else if out.overflowed() {
            return Err(Rendered::Overflow);
        } else if sent.required {
            return Err(Rendered::Skipped);
        } else {
            out.truncate(before);
        }
    }
    if out.len() == first && !out.overflowed() {
        out.truncate(start);
    } else {
        out.push(b"]");
    }
    Ok(())
}

fn text_member(out: &mut Writer<'_>, name: &str, value: impl FnOnce(&mut Sink<'_, '_>)) -> bool {
    member(out, name, (b"\"", b"\""), value)
}

/// Writes a member with a comma before it where one is due, or nothing (`false`) when the value is empty.
fn member(
    out: &mut Writer<'_>,
    name: &str,
    (opening, closing): (&[u8], &[u8]),
    value: impl FnOnce(&mut Sink<'_, '_>),
) -> bool {
    let start = out.len();
    comma(out);
    out.push(b"\"");
    out.push(name.as_bytes());
    out.push(b"\":");
    out.push(opening);
    let before = out.len();
    value(&mut Sink::new(out, Encoding::Json));
    if out.overflowed() {
        return false;
    }
    if out.len() == before {
        out.truncate(start);
        return false;
    }
    out.push(closing);
    true
}

/// Within an object or array, everything but the first needs one.
fn comma(out: &mut Writer<'_>) {
    if !matches!(out.bytes().last(), Some(b'{' | b'[')) {
        out.push(b",");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DataSourceId;
    use crate::partner::settings::PartnerSettings;
    use crate::template::sample::Sample;

    fn settings() -> PartnerSettings {
        PartnerSettings {
            name: "acme".to_owned(),
            url: "http://a.example:8443/s?u=%did%".to_owned(),
            ..PartnerSettings::default()
        }
    }

    fn sample() -> Sample {
        Sample {
            visitor_id: b"17".to_vec(),
            declared_ids: vec![(12, b"jo\"e".to_vec())],
            ip: b"192.0.2.1".to_vec(),
            user_agent: b"Mozilla/5.0".to_vec(),
            page: b"https://p.example/?a=b c".to_vec(),
            timeout_ms: 45,
            ..Sample::default()
        }
    }

    fn write(settings: PartnerSettings, values: &Sample) -> (Rendered, String) {
        let partner = Partner::compile(settings).unwrap();
        let mut room = [0; 2_048];
        let mut out = Writer::new(&mut room);
        let rendered = write_request(&partner, values, &mut TimeLeft::default(), &mut out);
        (rendered, String::from_utf8(out.bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_get() {
        let headers = [("X-Ip", "%ip%"), ("X-Seg", "%sig_none%"), ("X-Const", "a")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let (rendered, text) = write(PartnerSettings { method: Method::Get, headers, ..settings() }, &sample());
        let expected = "GET /s?u=17 HTTP/1.1\r\nHost: a.example:8443\r\nAccept-Encoding: identity\r\n\
            X-Ip: 192.0.2.1\r\nX-Const: a\r\n\r\n";
        assert_eq!((rendered, &text[..]), (Rendered::Ok(expected.len()), expected));
    }

    #[test]
    fn a_post_with_a_template() {
        let settings =
            PartnerSettings { body: Some("{\"p\":\"%page%\",\"i\":\"%dpid_12%\"}".to_owned()), ..settings() };
        let expected = "POST /s?u=17 HTTP/1.1\r\nHost: a.example:8443\r\nAccept-Encoding: identity\r\n\
            Content-Type: application/json\r\nContent-Length: 44\r\n\r\n\
            {\"p\":\"https://p.example/?a=b c\",\"i\":\"jo\\\"e\"}";
        assert_eq!(write(settings, &sample()).1, expected);
    }

    #[test]
    fn a_form() {
        let settings = PartnerSettings {
            body: Some("p=%page%".to_owned()),
            content_type: "application/x-www-form-urlencoded".to_owned(),
            ..settings()
        };
        let text = write(settings, &sample()).1;
        assert!(text.ends_with("Content-Length: 40\r\n\r\np=https%3A%2F%2Fp.example%2F%3Fa%3Db%20c"), "{text}");
    }

    fn body(settings: PartnerSettings, values: &Sample) -> serde_json::Value {
        let text = write(settings, values).1;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn the_default_body() {
        let sent_id = |number: u32, required: bool| SentId {
            data_source: DataSourceId(number),
            source: format!("{number}.example"),
            required,
        };
        let full = PartnerSettings { sent_ids: vec![sent_id(11, false), sent_id(12, true)], ..settings() };
        let expected = serde_json::json!({
            "segment_request_id": "4711",
            "user": {"id": "17", "eids": [{"source": "12.example", "uids": [{"id": "jo\"e"}]}]},
            "site": {"page": "https://p.example/?a=b c"},
            "device": {"ua": "Mozilla/5.0", "ip": "192.0.2.1"},
            "regs": {"gdpr": 0, "gpp": "DBAA", "gpp_sid": "2,6"},
            "tmax": 45,
        });
        assert_eq!(body(full, &sample()), expected);
        let bare = PartnerSettings { user_id: UserId::None, sent_ids: vec![sent_id(11, false)], ..settings() };
        let bare = body(bare, &Sample { gdpr_consent: b"CP".to_vec(), ..Sample::default() });
        assert_eq!(bare["user"], serde_json::json!({"consent": "CP"}));
        assert_eq!((&bare["device"], &bare["regs"]["gdpr"]), (&serde_json::json!({}), &serde_json::json!(1)));
        let missing = PartnerSettings { sent_ids: vec![sent_id(11, true)], ..settings() };
        assert_eq!(write(missing, &sample()), (Rendered::Skipped, String::new()));
    }

    #[test]
    fn a_required_macro_anywhere_skips_the_call() {
        let url = PartnerSettings { url: "http://a.example/%dpid_9!%".to_owned(), ..settings() };
        let header = PartnerSettings { headers: vec![("A".to_owned(), "%dpid_9!%".to_owned())], ..settings() };
        let body = PartnerSettings { body: Some("\"%dpid_9!%\"".to_owned()), ..settings() };
        for settings in [url, header, body] {
            assert_eq!(write(settings, &sample()), (Rendered::Skipped, String::new()));
        }
    }

    #[test]
    fn every_size_of_room() {
        let sent_ids = vec![SentId { data_source: DataSourceId(12), source: "x".to_owned(), required: true }];
        let partner = Partner::compile(PartnerSettings { sent_ids, ..settings() }).unwrap();
        let values = Sample { page: vec![b'x'; 200], ..sample() };
        let mut block = vec![0; 1_024];
        let mut out = Writer::new(&mut block);
        let mut left = TimeLeft::default();
        let Rendered::Ok(len) = write_request(&partner, &values, &mut left, &mut out) else { panic!("1 KB is enough") };
        let whole = out.bytes().to_vec();
        // While it is written, the length's place is wider than its three digits.
        for room in 0..len + 3 {
            let mut block = vec![0; room];
            let mut out = Writer::new(&mut block);
            assert_eq!(write_request(&partner, &values, &mut left, &mut out), Rendered::Overflow, "{room}");
            assert!(out.is_empty());
        }
        let mut block = vec![0; len + 3];
        let mut out = Writer::new(&mut block);
        assert_eq!(write_request(&partner, &values, &mut left, &mut out), Rendered::Ok(len));
        assert_eq!(out.bytes(), whole);
    }
}
