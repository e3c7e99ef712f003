//! From pieces to bytes.

use super::{Encoding, Macro, Piece, Template, Writer};
use crate::ids::DataSourceId;

/// Who knows the values. A value that is not known is simply not written.
pub trait MacroValues {
    fn visitor_id(&self, sink: &mut Sink<'_, '_>);
    fn ecid(&self, sink: &mut Sink<'_, '_>);
    fn declared_id(&self, data_source: DataSourceId, sink: &mut Sink<'_, '_>);
    fn ip(&self, sink: &mut Sink<'_, '_>);
    fn user_agent(&self, sink: &mut Sink<'_, '_>);
    fn referer(&self, sink: &mut Sink<'_, '_>);
    fn page(&self, sink: &mut Sink<'_, '_>);
    fn region(&self, sink: &mut Sink<'_, '_>);
    fn random(&self, sink: &mut Sink<'_, '_>);
    fn timestamp(&self, sink: &mut Sink<'_, '_>);
    fn timeout_ms(&self, sink: &mut Sink<'_, '_>);
    fn http_proto(&self, sink: &mut Sink<'_, '_>);
    /// `0` or `1`, whatever the call says: it stands where numbers do.
    fn gdpr(&self, sink: &mut Sink<'_, '_>);
    fn gdpr_consent(&self, sink: &mut Sink<'_, '_>);
    fn gpp(&self, sink: &mut Sink<'_, '_>);
    fn gpp_sid(&self, sink: &mut Sink<'_, '_>);
    /// The first value of the signal. `key` never begins with `p_`.
    fn signal(&self, key: &[u8], sink: &mut Sink<'_, '_>);
}

/// What became of rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// So many bytes were written.
    Ok(usize),
    /// A required macro was empty; nothing was written.
    Skipped,
    /// There was not enough room; nothing was written.
    Overflow,
}

/// Takes a value and encodes it for its place.
#[derive(Debug)]
pub struct Sink<'a, 'b> {
    out: &'a mut Writer<'b>,
    encoding: Encoding,
}

impl Template {
    /// Writes the text with all macros replaced.
    pub fn render(&self, values: &impl MacroValues, encoding: Encoding, out: &mut Writer<'_>) -> Rendered {
        self.render_unless(values, encoding, |_, _| false, |_| {}, out)
    }

    /// Writes the text with all macros replaced, and tells where each `%timeout_ms%` begins in `out`.
    pub fn render_timed(
        &self,
        values: &impl MacroValues,
        encoding: Encoding,
        mut timeout_at: impl FnMut(usize),
        out: &mut Writer<'_>,
    ) -> Rendered {
        let leave = |which: &Macro, at: usize| {
            if *which == Macro::TimeoutMs {
                timeout_at(at);
            }
            false
        };
        self.render_unless(values, encoding, leave, |_| {}, out)
    }

    /// Writes the text for the iframe: the macros that it replaces itself stay as they were written.
    pub fn render_for_iframe(&self, values: &impl MacroValues, encoding: Encoding, out: &mut Writer<'_>) -> Rendered {
        self.render_unless(values, encoding, |which, _| which.known_to_iframe(), |_| {}, out)
    }

    /// Writes a destination's URL with `alias` for the segments, for the iframe or with all macros replaced.
    pub fn render_alias(
        &self,
        values: &impl MacroValues,
        alias: impl Fn(&mut Sink<'_, '_>),
        is_for_iframe: bool,
        out: &mut Writer<'_>,
    ) -> Rendered {
        let leave = |which: &Macro, _| is_for_iframe && which.known_to_iframe();
        self.render_unless(values, Encoding::Percent, leave, alias, out)
    }

    fn render_unless(
        &self,
        values: &impl MacroValues,
        encoding: Encoding,
        mut leave: impl FnMut(&Macro, usize) -> bool,
        alias: impl Fn(&mut Sink<'_, '_>),
        out: &mut Writer<'_>,
    ) -> Rendered {
        let start = out.len();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(range) => out.push(&self.text.as_bytes()[range.clone()]),
                Piece::Macro { which, written, .. } if leave(which, out.len()) => {
                    out.push(&self.text.as_bytes()[written.clone()]);
                }
                Piece::Macro { which, required, .. } => {
                    let before = out.len();
                    let sink = &mut Sink { out, encoding };
                    match which {
                        Macro::Alias => alias(sink),
                        which => which.write(values, sink),
                    }
                    if *required && out.len() == before && !out.overflowed() {
                        out.truncate(start);
                        return Rendered::Skipped;
                    }
                }
            }
        }
        if out.overflowed() {
            out.truncate(start);
            return Rendered::Overflow;
        }
        Rendered::Ok(out.len() - start)
    }
}

impl Macro {
    fn write(&self, values: &impl MacroValues, sink: &mut Sink<'_, '_>) {
        match self {
            Macro::VisitorId => values.visitor_id(sink),
            Macro::Ecid => values.ecid(sink),
            Macro::DeclaredId(data_source) => values.declared_id(*data_source, sink),
            Macro::Ip => values.ip(sink),
            Macro::UserAgent => values.user_agent(sink),
            Macro::Referer => values.referer(sink),
            Macro::Page => values.page(sink),
            Macro::Region => values.region(sink),
            Macro::Random => values.random(sink),
            Macro::Timestamp => values.timestamp(sink),
            Macro::TimeoutMs => values.timeout_ms(sink),
            Macro::HttpProto => values.http_proto(sink),
            Macro::Gdpr => values.gdpr(sink),
            Macro::GdprConsent => values.gdpr_consent(sink),
            Macro::Gpp => values.gpp(sink),
            Macro::GppSid => values.gpp_sid(sink),
            Macro::Signal(key) => values.signal(key, sink),
            Macro::Alias => {}
        }
    }
}

impl<'a, 'b> Sink<'a, 'b> {
    pub fn new(out: &'a mut Writer<'b>, encoding: Encoding) -> Sink<'a, 'b> {
        Sink { out, encoding }
    }

    /// Appends a value, or a part of one that doesn't end within a character.
    pub fn push(&mut self, value: &[u8]) {
        match self.encoding {
            Encoding::Percent => self.out.push_percent(value),
            Encoding::Json => self.out.push_json(value),
            Encoding::Header => self.out.push_without_controls(value),
        }
    }

    /// Appends what stands between values, as the config has it.
    pub fn push_literal(&mut self, text: &str) {
        self.out.push(text.as_bytes());
    }

    pub fn push_decimal(&mut self, number: u64) {
        self.out.push_decimal(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::sample::Sample;

    fn render(text: &str, values: &Sample, encoding: Encoding) -> (Rendered, String) {
        let mut room = [0; 256];
        let mut out = Writer::new(&mut room);
        let rendered = Template::compile(text).unwrap().render(values, encoding, &mut out);
        (rendered, String::from_utf8(out.bytes().to_vec()).unwrap())
    }

    fn page(page: &[u8]) -> Sample {
        Sample { page: page.to_vec(), ..Sample::default() }
    }

    #[test]
    fn each_place_has_its_encoding() {
        let values = page(b"a b&\"\\\r\nx\x01\xff\xc3\xa9");
        assert_eq!(render("%page%", &values, Encoding::Percent).1, "a%20b%26%22%5C%0D%0Ax%01%FF%C3%A9");
        assert_eq!(render("%page%", &values, Encoding::Json).1, "a b&\\\"\\\\\\r\\nx\\u0001\u{fffd}\u{e9}");
        assert_eq!(render("x-%page%", &page(b"a\r\nX-Evil: 1\0\x7f"), Encoding::Header).1, "x-aX-Evil: 1");
    }

    #[test]
    fn literals_are_left_alone() {
        let text = "/p%2F?a=b c&t=%timeout_ms%&r=%REGION%&g=${GPP_SID}";
        let (rendered, written) = render(text, &Sample { timeout_ms: 44, ..Sample::default() }, Encoding::Percent);
        assert_eq!(written, "/p%2F?a=b c&t=44&r=6&g=2%2C6");
        assert_eq!(rendered, Rendered::Ok(written.len()));
    }

    #[test]
    fn an_empty_required_macro_skips_the_whole() {
        let text = "/x?i=%dpid_12!%&p=%page%";
        assert_eq!(render(text, &Sample::default(), Encoding::Percent), (Rendered::Skipped, String::new()));
        let known = Sample { declared_ids: vec![(12, b"joe".to_vec())], ..Sample::default() };
        assert_eq!(render(text, &known, Encoding::Percent), (Rendered::Ok(11), "/x?i=joe&p=".to_owned()));
        // Bytes that a header drops don't count as a value.
        assert_eq!(render("%page!%", &page(b"\r\n"), Encoding::Header).0, Rendered::Skipped);
    }

    #[test]
    fn an_overflow_leaves_nothing_behind() {
        let template = Template::compile("abc%page!%").unwrap();
        for room in 0..9 {
            let mut block = vec![0; room];
            let mut out = Writer::new(&mut block);
            let rendered = template.render(&page(b"hello"), Encoding::Header, &mut out);
            let fits = room >= 8;
            assert_eq!(rendered, if fits { Rendered::Ok(8) } else { Rendered::Overflow });
            assert_eq!(out.bytes(), if fits { &b"abchello"[..] } else { b"" });
        }
    }

    #[test]
    fn the_iframe_keeps_what_it_replaces_itself() {
        let values =
            Sample { visitor_id: b"1".to_vec(), signals: vec![(b"c".to_vec(), b"x y".to_vec())], ..Sample::default() };
        let template = Template::compile("%HTTP_proto%://a/%did%/%rnd%/%timestamp%/%sig_c%/%region%").unwrap();
        let mut room = [0; 128];
        let mut out = Writer::new(&mut room);
        template.render_for_iframe(&values, Encoding::Percent, &mut out);
        assert_eq!(out.bytes(), b"%HTTP_proto%://a/%did%/%rnd%/%timestamp%/x%20y/6");
        out.truncate(0);
        template.render(&values, Encoding::Percent, &mut out);
        assert_eq!(out.bytes(), b"https://a/1/4711/1795289301/x%20y/6");
    }
}
