//! One partner: as configured ([`PartnerSettings`]) and as it runs ([`Partner`]).

use std::ops::Range;

use super::answer;
use super::format::{Format, FormatSettings};
use super::pool::PoolLimits;
use super::segment_traits::SegmentTraits;
use super::url::Url;
use crate::ids::{AccountIndex, DataSourceId, PartnerId, Signal, TraitId};
use crate::limits::{PARTNER_BODY_BYTES_MAX, PARTNER_TIMES_MAX, SIGNAL_KEY_BYTES_MAX};
use crate::template::{Encoding, Macro, Template};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    Get,
    #[default]
    Post,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The answer is worth waiting for, up to the budget.
    #[default]
    Wait,
    /// Never delays; enriches the next call.
    Background,
    /// Waits for a visitor who was never looked up; a stale answer is used, and refreshed in the background.
    WaitIfUnknown,
}

/// What becomes of a partner's trait when a later answer leaves its segment out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnAbsence {
    /// It lives to its ttl.
    #[default]
    Keep,
    Drop,
}

/// Which id names the visitor in the default body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserId {
    #[default]
    VisitorId,
    Ecid,
    Declared(DataSourceId),
    None,
}

/// A declared id that goes along in the default body's `eids`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentId {
    pub data_source: DataSourceId,
    /// By which name the partner knows the data source.
    pub source: String,
    /// Without it, nothing is sent.
    pub required: bool,
}

/// A partner as configured. The defaults are those of the config.
#[derive(Clone, Debug)]
pub struct PartnerSettings {
    pub id: PartnerId,
    /// Ends up in `d_partner_NAME`.
    pub name: String,
    pub account: AccountIndex,
    pub data_source: DataSourceId,
    pub method: Method,
    /// Macros may stand behind the host.
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// `None`: the default body, if the method has one.
    pub body: Option<String>,
    pub content_type: String,
    pub user_id: UserId,
    pub sent_ids: Vec<SentId>,
    pub mode: Mode,
    pub format: FormatSettings,
    pub ttl_s: u32,
    pub negative_ttl_s: u32,
    pub min_ms: u32,
    pub timeout_ms: u32,
    pub late_ms: u32,
    pub connect_ms: u32,
    pub idle_ms: u32,
    pub connections_max: usize,
    pub idle_min: usize,
    pub queue_max: usize,
    pub answer_bytes_max: usize,
    /// Of a thousand visitors, so many are looked up.
    pub share_permille: u16,
    pub shadow: bool,
    pub on_absence: OnAbsence,
    pub vendor_id: Option<u16>,
    /// Segment texts and the traits of the partner's data source that stand for them.
    pub segment_traits: Vec<(String, TraitId)>,
}

/// A partner as it runs: immutable, shared by shards.
#[derive(Clone, Debug)]
pub struct Partner {
    pub id: PartnerId,
    pub name: String,
    pub account: AccountIndex,
    pub data_source: DataSourceId,
    pub method: Method,
    pub url: Url,
    /// What follows the host: path and query.
    pub target: Template,
    pub headers: Vec<(String, Template)>,
    pub body: Body,
    pub content_type: String,
    pub mode: Mode,
    pub format: Format,
    pub ttl_s: u32,
    pub negative_ttl_s: u32,
    pub min_ms: u32,
    pub timeout_ms: u32,
    pub late_ms: u32,
    pub connect_ms: u32,
    pub pool: PoolLimits,
    pub answer_bytes_max: usize,
    pub shadow: bool,
    pub on_absence: OnAbsence,
    pub vendor_id: Option<u16>,
    pub segment_traits: SegmentTraits,
    /// `d_partner_NAME`: the signal whose values are the partner's segments.
    pub signal_key: Box<[u8]>,
    share_permille: u16,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Body {
    None,
    Template {
        template: Template,
        encoding: Encoding,
    },
    /// The project's own JSON, which leaves out what is not known.
    Default {
        user_id: UserId,
        sent_ids: Vec<SentId>,
    },
}

/// What is wrong with a partner's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// Which setting, as the config calls it.
    pub field: &'static str,
    /// What is wrong, a sentence without its full stop.
    pub message: String,
    /// Where in the setting's text, if it is one.
    pub span: Option<Range<usize>>,
}

impl Default for PartnerSettings {
    fn default() -> PartnerSettings {
        PartnerSettings {
            id: PartnerId(0),
            name: String::new(),
            account: AccountIndex(0),
            data_source: DataSourceId(0),
            method: Method::Post,
            url: String::new(),
            headers: Vec::new(),
            body: None,
            content_type: "application/json".to_owned(),
            user_id: UserId::default(),
            sent_ids: Vec::new(),
            mode: Mode::default(),
            format: FormatSettings::default(),
            ttl_s: 86_400,
            negative_ttl_s: 3_600,
            min_ms: 10,
            timeout_ms: 1_000,
            late_ms: 5_000,
            connect_ms: 250,
            idle_ms: 4_000,
            connections_max: 256,
            idle_min: 1,
            queue_max: 256,
            answer_bytes_max: PARTNER_BODY_BYTES_MAX,
            share_permille: 1_000,
            shadow: false,
            on_absence: OnAbsence::default(),
            vendor_id: None,
            segment_traits: Vec::new(),
        }
    }
}

impl Partner {
    /// Compiles settings, or says all that is wrong with them.
    pub fn compile(settings: PartnerSettings) -> Result<Partner, Vec<SettingsError>> {
        let mut errors = check_numbers(&settings);
        let (url, target) = or_note(parse_url(&settings.url), &mut errors).unzip();
        let headers: Vec<_> =
            settings.headers.iter().filter_map(|header| or_note(compile_header(header), &mut errors)).collect();
        let body = or_note(compile_body(&settings), &mut errors);
        let format = Format::compile(&settings.format);
        let format = or_note(format.map_err(|message| error("format", message)), &mut errors);
        let (Some(url), Some(target), Some(body), Some(format), true) = (url, target, body, format, errors.is_empty())
        else {
            return Err(errors);
        };
        let partner = Partner {
            signal_key: format!("d_partner_{}", settings.name).into_bytes().into_boxed_slice(),
            pool: PoolLimits {
                connections_max: settings.connections_max,
                idle_min: settings.idle_min,
                idle_ns: u64::from(settings.idle_ms) * 1_000_000,
                queue_max: settings.queue_max,
            },
            segment_traits: SegmentTraits::new(settings.segment_traits),
            id: settings.id,
            name: settings.name,
            account: settings.account,
            data_source: settings.data_source,
            method: settings.method,
            url,
            target,
            headers,
            body,
            content_type: settings.content_type,
            mode: settings.mode,
            format,
            ttl_s: settings.ttl_s,
            negative_ttl_s: settings.negative_ttl_s,
            min_ms: settings.min_ms,
            timeout_ms: settings.timeout_ms,
            late_ms: settings.late_ms,
            connect_ms: settings.connect_ms,
            answer_bytes_max: settings.answer_bytes_max,
            shadow: settings.shadow,
            on_absence: settings.on_absence,
            vendor_id: settings.vendor_id,
            share_permille: settings.share_permille,
        };
        match partner.times() {
            0..=PARTNER_TIMES_MAX => Ok(partner),
            _ => Err(vec![error("url", format!("`%timeout_ms%` is sent more than {PARTNER_TIMES_MAX} times"))]),
        }
    }

    /// How often a request says how much time is left.
    fn times(&self) -> usize {
        let count = |text: &Template| text.macros().filter(|which| **which == Macro::TimeoutMs).count();
        let in_body = match &self.body {
            Body::None => 0,
            Body::Template { template, .. } => count(template),
            Body::Default { .. } => 1,
        };
        count(&self.target) + self.headers.iter().map(|(_, value)| count(value)).sum::<usize>() + in_body
    }

    /// Whether a visitor is among those looked up: always the same visitors, others for each partner.
    /// `visitor_hash` must be uniform over all visitors.
    pub fn is_in_share(&self, visitor_hash: u64) -> bool {
        let own = (visitor_hash ^ u64::from(self.id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (own ^ (own >> 32)) as u32;
        (u64::from(mixed) * 1_000) >> 32 < u64::from(self.share_permille)
    }

    /// What rules see of a text that a profile has from the partner: a segment, or a signal with a key of its own. What
    /// is left from before the partner's format was changed may be neither.
    pub fn signal_of<'a>(&'a self, text: &'a [u8]) -> Option<Signal<'a>> {
        let own = (&self.signal_key[..], text);
        let (key, value) = if self.format.has_signals { answer::signal_of(text)? } else { own };
        Some(Signal { key, value, split: false })
    }

    /// The traits that stand for a segment.
    pub fn traits_of(&self, segment: &[u8]) -> &[TraitId] {
        self.segment_traits.of(segment)
    }
}

fn check_numbers(settings: &PartnerSettings) -> Vec<SettingsError> {
    let name = &settings.name;
    let is_name_good = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && name.len() + "d_partner_".len() <= SIGNAL_KEY_BYTES_MAX;
    let checks = [
        ("name", is_name_good, "a name is made of letters, digits, `_`, `-` and `.`"),
        ("share", settings.share_permille <= 1_000, "a share lies between 0 and 100 %"),
        ("max_connections", settings.connections_max > 0, "without a connection nothing can be asked"),
        ("min_idle", settings.idle_min <= settings.connections_max, "more than `max_connections`"),
        ("timeout_ms", settings.timeout_ms >= settings.min_ms.max(1), "less than `min_ms`"),
        ("connect_ms", settings.connect_ms > 0, "a connection takes time"),
        ("idle_ms", settings.idle_ms > 0, "an idle time of 0 would close every connection at once"),
        (
            "answer_bytes_max",
            (1..=PARTNER_BODY_BYTES_MAX).contains(&settings.answer_bytes_max),
            "an answer has at most 65,536 bytes",
        ),
    ];
    checks.iter().filter(|(_, is_good, _)| !is_good).map(|(field, _, message)| error(field, *message)).collect()
}

fn parse_url(text: &str) -> Result<(Url, Template), SettingsError> {
    let (url, target_start) =
        Url::parse(text).map_err(|(message, span)| SettingsError { field: "url", message, span: Some(span) })?;
    let rest = &text[target_start..];
    let (target, moved) = match rest.starts_with('/') {
        true => (rest.to_owned(), target_start),
        // The span of an error must still point into the setting.
        false => (format!("/{rest}"), target_start - 1),
    };
    let shift = |span: Range<usize>| Some(span.start + moved..span.end + moved);
    let template = Template::compile(&target).map_err(|error| SettingsError {
        field: "url",
        message: error.message,
        span: shift(error.span),
    })?;
    let is_bad = |byte: u8| byte <= b' ' || byte >= 0x7f || byte == b'#';
    let bad = template.literals().find_map(|(text, span)| Some(span.start + text.bytes().position(is_bad)?));
    match bad {
        None => Ok((url, template)),
        Some(at) => Err(SettingsError {
            field: "url",
            message: "blanks, control bytes, `#` and bytes above 0x7F must be escaped as `%XX`".to_owned(),
            span: shift(at..at + 1),
        }),
    }
}

/// Headers that the request writer owns.
const OWN_HEADERS: &[&str] =
    &["host", "content-length", "transfer-encoding", "connection", "accept-encoding", "content-type", "expect"];

fn compile_header((name, value): &(String, String)) -> Result<(String, Template), SettingsError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(error("headers", format!("`{name}` is no header name")));
    }
    if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(error("headers", format!("`{name}` is written by the server itself")));
    }
    let template = Template::compile(value).map_err(|error| SettingsError {
        field: "headers",
        message: error.message,
        span: Some(error.span),
    })?;
    if template.literals().any(|(text, _)| !is_header_text(text)) {
        return Err(error("headers", format!("the value of `{name}` holds control bytes")));
    }
    Ok((name.clone(), template))
}

fn compile_body(settings: &PartnerSettings) -> Result<Body, SettingsError> {
    if !is_header_text(&settings.content_type) {
        return Err(error("content_type", "it holds control bytes"));
    }
    let Some(text) = &settings.body else {
        return Ok(match settings.method {
            Method::Get => Body::None,
            Method::Post => Body::Default { user_id: settings.user_id.clone(), sent_ids: settings.sent_ids.clone() },
        });
    };
    if settings.method == Method::Get {
        return Err(error("body", "a GET carries no body; is `method = \"POST\"` meant?"));
    }
    let template = Template::compile(text).map_err(|error| SettingsError {
        field: "body",
        message: error.message,
        span: Some(error.span),
    })?;
    if is_json(&settings.content_type)
        && let Some(span) = template.unquoted_value()
    {
        let message = "in JSON this stands within quotes, or a visitor decides what else the body says".to_owned();
        return Err(SettingsError { field: "body", message, span: Some(span) });
    }
    let is_form = settings.content_type.starts_with("application/x-www-form-urlencoded");
    Ok(Body::Template { template, encoding: if is_form { Encoding::Percent } else { Encoding::Json } })
}

/// `application/json`, `application/ld+json; charset=utf-8`: what ends in the word before its parameters.
fn is_json(content_type: &str) -> bool {
    let name = content_type.split(';').next().unwrap_or_default().trim_ascii();
    name.to_ascii_lowercase().ends_with("json")
}

fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' && byte != 0x7f)
}

fn error(field: &'static str, message: impl Into<String>) -> SettingsError {
    SettingsError { field, message: message.into(), span: None }
}

fn or_note<T>(result: Result<T, SettingsError>, errors: &mut Vec<SettingsError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> PartnerSettings {
        PartnerSettings { name: "acme".to_owned(), url: "http://a.example/x".to_owned(), ..PartnerSettings::default() }
    }

    #[test]
    fn defaults_compile() {
        let partner = Partner::compile(settings()).unwrap();
        assert_eq!(&partner.signal_key[..], b"d_partner_acme");
        assert_eq!(partner.pool.connections_max, 256);
        assert!(matches!(partner.body, Body::Default { .. }));
    }

    #[test]
    fn faults_are_named_and_placed() {
        let fault = |change: &dyn Fn(&mut PartnerSettings)| {
            let mut settings = settings();
            change(&mut settings);
            let errors = Partner::compile(settings).unwrap_err();
            assert_eq!(errors.len(), 1, "{errors:?}");
            (errors[0].field, errors[0].span.clone())
        };
        assert_eq!(fault(&|s| s.url = "http://a.example/x?u=%nope%".to_owned()), ("url", Some(21..27)));
        assert_eq!(fault(&|s| s.url = "http://a.example?u=%nope%".to_owned()), ("url", Some(19..25)));
        assert_eq!(fault(&|s| s.url = "http://a.example/a b".to_owned()), ("url", Some(18..19)));
        assert_eq!(fault(&|s| s.url = "http://%did%.example/".to_owned()).0, "url");
        assert_eq!(fault(&|s| s.headers = vec![("X-A".to_owned(), "a\r\nX-B: b".to_owned())]), ("headers", None));
        assert_eq!(fault(&|s| s.headers = vec![("host".to_owned(), "a".to_owned())]), ("headers", None));
        assert_eq!(fault(&|s| s.headers = vec![("X A".to_owned(), "a".to_owned())]), ("headers", None));
        assert_eq!(fault(&|s| s.headers = vec![("A".to_owned(), "%sig_p_x%".to_owned())]), ("headers", Some(0..9)));
        assert_eq!(fault(&|s| s.body = Some("{%sig_p_x%}".to_owned())), ("body", Some(1..10)));
        assert_eq!(fault(&|s| s.body = Some("{\"a\":%sig_a%}".to_owned())), ("body", Some(5..12)));
        assert_eq!(fault(&|s| (s.method, s.body) = (Method::Get, Some("x".to_owned()))), ("body", None));
        assert_eq!(fault(&|s| s.name = "a b".to_owned()), ("name", None));
        assert_eq!(fault(&|s| s.share_permille = 1_001), ("share", None));
        assert_eq!(fault(&|s| s.url += &"%timeout_ms%".repeat(PARTNER_TIMES_MAX)), ("url", None));
        assert_eq!(fault(&|s| s.timeout_ms = 9), ("timeout_ms", None));
        assert_eq!(fault(&|s| s.format.paths = vec!["a..b".to_owned()]), ("format", None));
        assert_eq!(fault(&|s| s.answer_bytes_max += 1), ("answer_bytes_max", None));
    }

    #[test]
    fn several_faults_are_told_at_once() {
        let bad = PartnerSettings { name: String::new(), url: "x".to_owned(), connections_max: 0, ..settings() };
        let fields: Vec<_> = Partner::compile(bad).unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "max_connections", "min_idle", "url"]);
    }

    #[test]
    fn a_share_is_stable_and_its_partners_independent() {
        let partner = |id: u32, share_permille: u16| {
            Partner::compile(PartnerSettings { id: PartnerId(id), share_permille, ..settings() }).unwrap()
        };
        let hash = |visitor: u64| {
            visitor.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(31).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let count = |takes: &dyn Fn(u64) -> bool| (1..=10_000).filter(|visitor| takes(hash(*visitor))).count();
        let (first, second) = (partner(1, 300), partner(2, 300));
        assert!(count(&|hash| first.is_in_share(hash)).abs_diff(3_000) < 200);
        assert!(count(&|hash| first.is_in_share(hash) && second.is_in_share(hash)).abs_diff(900) < 150);
        assert_eq!(count(&|hash| partner(1, 0).is_in_share(hash)), 0);
        assert_eq!(count(&|hash| partner(1, 1_000).is_in_share(hash)), 10_000);
        // Growing a share only adds visitors.
        assert_eq!(count(&|hash| first.is_in_share(hash) && !partner(1, 400).is_in_share(hash)), 0);
    }
}
