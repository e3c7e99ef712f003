//! From text to pieces.

use std::ops::Range;

use super::{Macro, Piece, Template, TemplateError};
use crate::ids::DataSourceId;
use crate::limits::SIGNAL_KEY_BYTES_MAX;

const NAMES: &[(&str, Macro)] = &[
    ("did", Macro::VisitorId),
    ("mcid", Macro::Ecid),
    ("ip", Macro::Ip),
    ("ua", Macro::UserAgent),
    ("referer", Macro::Referer),
    ("page", Macro::Page),
    ("region", Macro::Region),
    ("rnd", Macro::Random),
    ("timestamp", Macro::Timestamp),
    ("timeout_ms", Macro::TimeoutMs),
    ("http_proto", Macro::HttpProto),
];

const CONSENT_NAMES: &[(&str, Macro)] =
    &[("GDPR", Macro::Gdpr), ("GDPR_CONSENT", Macro::GdprConsent), ("GPP", Macro::Gpp), ("GPP_SID", Macro::GppSid)];

impl Template {
    /// Compiles `text`. Refused: unknown macros, data sources that are no number, and signals that must not leave the
    /// server (those whose key begins with `p_`).
    pub fn compile(text: &str) -> Result<Template, TemplateError> {
        let template = Template::compile_any(text)?;
        let alias = template.pieces.iter().find_map(|piece| match piece {
            Piece::Macro { which: Macro::Alias, written, .. } => Some(written.clone()),
            _ => None,
        });
        match alias {
            None => Ok(template),
            Some(span) => Err(TemplateError { message: "only a destination's URL has an alias".to_owned(), span }),
        }
    }

    /// Each macro of a text with the place where it stands, or why it is none: for checks of what a text would tell.
    /// All ways to compile a text find its macros like this, so what is not among them is not told.
    pub fn scan(text: &str) -> impl Iterator<Item = Result<(Macro, Range<usize>), TemplateError>> {
        macros_in(text).map(|found| found.resolve(text).map(|which| (which, found.written)))
    }

    fn compile_any(text: &str) -> Result<Template, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal_start = 0;
        for found in macros_in(text) {
            let which = found.resolve(text)?;
            if literal_start < found.written.start {
                pieces.push(Piece::Literal(literal_start..found.written.start));
            }
            literal_start = found.written.end;
            pieces.push(Piece::Macro { which, required: found.required, written: found.written });
        }
        if literal_start < text.len() {
            pieces.push(Piece::Literal(literal_start..text.len()));
        }
        Ok(Template { text: text.to_owned(), pieces })
    }

    /// As [`Template::compile`], where every byte outside of macros must be one that `may_stand` there.
    pub fn compile_of(text: &str, may_stand: impl Fn(u8) -> bool) -> Result<Template, TemplateError> {
        Template::compile(text)?.only_with(may_stand)
    }

    fn only_with(self, may_stand: impl Fn(u8) -> bool) -> Result<Template, TemplateError> {
        let bad = self.literals().find_map(|(text, span)| {
            let at = span.start + text.bytes().position(|byte| !may_stand(byte))?;
            Some(at..at + 1)
        });
        match bad {
            None => Ok(self),
            Some(span) => Err(TemplateError { message: "this byte must be escaped as `%XX`".to_owned(), span }),
        }
    }

    /// As [`Template::compile`], for a URL that a browser is to fire.
    pub fn compile_url(text: &str) -> Result<Template, TemplateError> {
        Template::compile(text)?;
        Template::compile_url_with_alias(text)
    }

    /// As [`Template::compile_url`], where `%alias%` may stand.
    pub fn compile_url_with_alias(text: &str) -> Result<Template, TemplateError> {
        let lower = text.to_ascii_lowercase();
        if !["https://", "http://", "//", "%http_proto%://"].iter().any(|start| lower.starts_with(start)) {
            let message = "a URL begins with `https://`, `http://`, `//` or `%http_proto%://`".to_owned();
            let end = text.char_indices().nth(8).map_or(text.len(), |(at, _)| at);
            return Err(TemplateError { message, span: 0..end });
        }
        Template::compile_any(text)?.only_with(|byte| byte > b' ' && byte < 0x7f)
    }
}

/// Something with the outer form of a macro.
struct Found {
    written: Range<usize>,
    name: Range<usize>,
    required: bool,
    consent: bool,
}

fn macros_in(text: &str) -> impl Iterator<Item = Found> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = (at..text.len()).find_map(|at| macro_at(text, at))?;
        at = found.written.end;
        Some(found)
    })
}

fn macro_at(text: &str, at: usize) -> Option<Found> {
    let rest = &text.as_bytes()[at..];
    let (opening, closing, consent) = match rest {
        [b'$', b'{', ..] => (2, b'}', true),
        // `%2F` is an escaped byte.
        [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => return None,
        [b'%', ..] => (1, b'%', false),
        _ => return None,
    };
    let len = rest[opening..].iter().position(|&byte| byte == closing || !is_name_byte(byte))?;
    if rest[opening + len] != closing || !rest[opening].is_ascii_alphabetic() {
        return None;
    }
    let required = rest[opening + len - 1] == b'!';
    let name_start = at + opening;
    Some(Found {
        written: at..name_start + len + 1,
        name: name_start..name_start + len - usize::from(required),
        required,
        consent,
    })
}

/// Macro names are words, but a signal's key may hold nearly anything; a space or a quote ends the attempt, so that
/// percent signs in prose stay what they are.
fn is_name_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !matches!(byte, b'"' | b'%' | b'{' | b'}' | b'&' | b'=' | b'?' | b'/')
}

impl Found {
    fn resolve(&self, text: &str) -> Result<Macro, TemplateError> {
        let name = &text[self.name.clone()];
        let which = if self.consent { consent_macro(name) } else { self.plain_macro(name)? };
        which.ok_or_else(|| {
            let known = if self.consent { CONSENT_NAMES } else { NAMES };
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            let more = if self.consent { "" } else { ", dpid_N, sig_KEY" };
            self.error(format!("unknown macro `{}`: known are {}{more}", &text[self.written.clone()], names.join(", ")))
        })
    }

    fn plain_macro(&self, name: &str) -> Result<Option<Macro>, TemplateError> {
        if let Some(number) = strip_prefix_any_case(name, "dpid_") {
            return match number.parse() {
                Ok(number) if number != 0 => Ok(Some(Macro::DeclaredId(DataSourceId(number)))),
                _ => Err(self.error(format!("`{number}` is no data source: a number is meant, as in `%dpid_12%`"))),
            };
        }
        if let Some(key) = strip_prefix_any_case(name, "sig_") {
            return self.signal_macro(key).map(Some);
        }
        if name.eq_ignore_ascii_case("alias") {
            return Ok(Some(Macro::Alias));
        }
        Ok(NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, which)| which.clone()))
    }

    fn signal_macro(&self, key: &str) -> Result<Macro, TemplateError> {
        if key.is_empty() || key.len() > SIGNAL_KEY_BYTES_MAX {
            return Err(self.error(format!("a signal's key has 1 to {SIGNAL_KEY_BYTES_MAX} bytes")));
        }
        if strip_prefix_any_case(key, "p_").is_some() {
            return Err(self.error(format!("`{key}` is a private signal: it never leaves the server")));
        }
        Ok(Macro::Signal(key.as_bytes().into()))
    }

    fn error(&self, message: String) -> TemplateError {
        TemplateError { message, span: self.written.clone() }
    }
}

fn consent_macro(name: &str) -> Option<Macro> {
    if let Some(vendor) = strip_prefix_any_case(name, "GDPR_CONSENT_") {
        let is_number = !vendor.is_empty() && vendor.bytes().all(|byte| byte.is_ascii_digit());
        return is_number.then_some(Macro::GdprConsent);
    }
    CONSENT_NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, which)| which.clone())
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn macros(text: &str) -> Vec<Macro> {
        Template::compile(text).unwrap().macros().cloned().collect()
    }

    #[test]
    fn both_spellings_in_any_case() {
        assert_eq!(
            macros("https://a.example/%20x?u=%DID%&i=%dpid_12!%&c=${gdpr_consent_755}&s=${GPP_SID}&k=%Sig_c_Page%"),
            [
                Macro::VisitorId,
                Macro::DeclaredId(DataSourceId(12)),
                Macro::GdprConsent,
                Macro::GppSid,
                Macro::Signal(b"c_Page"[..].into()),
            ]
        );
        assert_eq!(macros("%did%%mcid%"), [Macro::VisitorId, Macro::Ecid]);
    }

    #[test]
    fn every_name_is_known() {
        for (name, which) in NAMES {
            assert_eq!(macros(&format!("%{name}%")), std::slice::from_ref(which));
            let escape = name.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
            assert!(!escape, "{name} begins like an escaped byte");
        }
        for (name, which) in CONSENT_NAMES {
            assert_eq!(macros(&format!("${{{name}}}")), std::slice::from_ref(which));
        }
    }

    #[test]
    fn percent_signs_in_prose_are_literal() {
        for text in ["50% off", "100%", "%", "%%", "a%2Fb%2Fc", "{\"a\":\"5% of 10%\"}", "5%,6%", "$", "${", "$5"] {
            let template = Template::compile(text).unwrap();
            assert_eq!(template.macros().count(), 0, "{text}");
            assert_eq!(template.literals().map(|(text, _)| text).collect::<String>(), text);
        }
    }

    #[test]
    fn what_is_refused_and_where() {
        let cases = [
            ("a=%nope%", 2..8, "unknown macro"),
            ("${AUCTION_PRICE}", 0..16, "unknown macro"),
            ("${GDPR_CONSENT_x}", 0..17, "unknown macro"),
            ("x%dpid_%", 1..8, "no data source"),
            ("x%dpid_12a%", 1..11, "no data source"),
            ("x%dpid_99999999999%", 1..19, "no data source"),
            ("%sig_p_mail%", 0..12, "private"),
            ("%SIG_P_mail!%", 0..13, "private"),
            ("%sig_%", 0..6, "bytes"),
        ];
        for (text, span, message) in cases {
            let error = Template::compile(text).unwrap_err();
            assert_eq!(error.span, span, "{text}");
            assert!(error.message.contains(message), "{text}: {}", error.message);
        }
    }

    #[test]
    fn values_in_json_stand_within_quotes_or_are_numbers() {
        let unquoted = |text: &str| Template::compile(text).unwrap().unquoted_value();
        for text in [
            r#"{"a":"%did%","%ua%":"x-%sig_a%%sig_b%","t":%timeout_ms%,"g":${GDPR},"r":%region%,"n":%rnd%}"#,
            r#"{"a":"\\%did%","b":"\"%did%","c":"\\","d":"%did%"}"#,
            "%timestamp%",
            r#"{"a":1}"#,
        ] {
            assert_eq!(unquoted(text), None, "{text}");
        }
        for (text, place) in [
            (r#"{"a":%sig_a%}"#, 5..12),
            (r#"{"a":"b",%did%}"#, 9..14),
            (r#"{"a":"\\",%did%}"#, 10..15),
            (r#"{"a":"\%did%"}"#, 7..12),
            (r#"{"a":"x"%did%"x"}"#, 8..13),
            ("%mcid%", 0..6),
            ("${GDPR_CONSENT}", 0..15),
        ] {
            assert_eq!(unquoted(text), Some(place), "{text}");
        }
    }
}
