//! What one `/event` or `/id` call says: its `d_` attributes, typed, and its signals in order.
//!
//! Query and body are read as one list, query first. Of an attribute that can have one value the first counts. The
//! lists of a call are kept in buffers that are handed from call to call, so a decode neither allocates nor clears
//! memory.

use super::attribute::Attribute;
use super::body::body_is_form_text;
use super::declared::{DeclaredId, Scope};
use super::errors::{ErrorCode, ErrorSet};
use super::form::{BadEscape, Pair, Scratch};
use crate::find;
use crate::ids::{DataSourceId, Signal, TraitId};
use crate::limits::{
    CALL_SIGNALS_MAX, CALLBACK_BYTES_MAX, COMMA_PARTS_MAX, DECLARED_IDS_READ_MAX, DIRECT_TRAITS_MAX,
    SIGNAL_KEY_BYTES_MAX, SIGNALS_MAX, VALUES_MAX,
};

/// The parts of an HTTP request that a call is read from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Without its `?`.
    pub query: &'a [u8],
    /// Decoded from chunks; empty when there is none.
    pub body: &'a [u8],
    pub headers: Headers<'a>,
}

/// The headers that bear on what a call says: the first line of each name, trimmed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    pub content_type: Option<&'a [u8]>,
    pub host: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    pub accept_language: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
    pub referrer: Option<&'a [u8]>,
    pub date: Option<&'a [u8]>,
}

/// Everything one call says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Call<'a> {
    /// `d_rtbd=json`: the answer is JSON, not a pixel.
    pub json: bool,
    /// `d_cb`, when it is a name that may be called.
    pub callback: Option<&'a [u8]>,
    /// `d_jsonv=0`: no ID syncs.
    pub syncs_off: bool,
    /// `d_dst=1`: the answer lists URL destinations.
    pub destinations: bool,
    /// `d_cts`: the answer lists traits and segments.
    pub segments: SegmentList,
    /// `d_uuid`, unchecked.
    pub uuid: Option<&'a [u8]>,
    /// `d_mid`, unchecked.
    pub mid: Option<&'a [u8]>,
    /// `d_orgid`, unchecked.
    pub organisation: Option<&'a [u8]>,
    /// `d_cid`, `d_cid_ic`, `d_cid_ns` and their older forms, in order.
    pub declared_ids: Vec<DeclaredId<'a>>,
    /// `d_sid` and `d_px`, in order.
    pub traits: Vec<TraitId>,
    /// Customer, platform and private signals in the order of the call, then those of its headers.
    pub signals: Vec<Signal<'a>>,
    /// `d_tdpid`, `d_tdpid_ic`: evaluate traits of this data source only.
    pub trait_source: Option<TraitSource<'a>>,
    /// `d_nsid`.
    pub container: u32,
    /// `d_ptfm`.
    pub platform: Option<Platform>,
    pub caller: Option<&'a [u8]>,
    /// `d_ld`, with the encoding of what it nests.
    pub load_data: Option<&'a [u8]>,
    pub blob: Option<&'a [u8]>,
    /// `dcs_region` or `d_region`.
    pub region: Option<u32>,
    /// `d_verify=1`: test whether cookies are kept.
    pub verify_cookies: bool,
    pub coppa: bool,
    pub media: Media<'a>,
    pub consent: Consent<'a>,
    /// Errors 0 (callback), 10 and 311 as far as decoding finds them.
    pub errors: ErrorSet,
}

/// `d_cts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SegmentList {
    #[default]
    No,
    /// Segments by their legacy ids.
    Legacy,
    Ids,
}

/// Which data source's traits a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraitSource<'a> {
    Id(DataSourceId),
    IntegrationCode(&'a [u8]),
    /// No number: no data source is meant by it, so no trait is evaluated.
    Unreadable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Ios,
    Android,
    Browser,
    All,
}

impl Platform {
    /// Whether an app calls, of a phone or what passes for one, rather than a page.
    pub fn is_mobile(self) -> bool {
        matches!(self, Platform::Ios | Platform::Android)
    }
}

/// The attributes of a media pixel. Those that describe the medium are signals as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media<'a> {
    pub event: Option<MediaEvent>,
    /// `d_rd`, decoded once: where a click leads, usually still encoded.
    pub redirect: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaEvent {
    Impression,
    Click,
}

/// What a call says about consent, as it says it. `privacy` decides what it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consent<'a> {
    pub gdpr: Option<&'a [u8]>,
    pub gdpr_consent: Option<&'a [u8]>,
    pub gpp: Option<&'a [u8]>,
    pub gpp_sid: Option<&'a [u8]>,
    pub device_consent: Option<&'a [u8]>,
    /// `d_consent_ic`: the integration code of the device id that `device_consent` is about.
    pub device_source: Option<&'a [u8]>,
}

impl Consent<'_> {
    /// TCF applies to whatever isn't a plain no: a page that fills the parameter in wrongly has not obtained consent.
    pub fn gdpr_applies(&self) -> bool {
        !matches!(self.gdpr, None | Some(b"" | b"0"))
    }
}

impl<'a> Call<'a> {
    /// The first value of a key among the signals.
    pub fn signal(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.signals.iter().find(|signal| signal.key == key).map(|signal| signal.value)
    }
}

/// The lists that calls are decoded into, one call after the other.
#[derive(Debug)]
pub struct CallBuffers {
    signals: Vec<Signal<'static>>,
    declared_ids: Vec<DeclaredId<'static>>,
    traits: Vec<TraitId>,
}

impl Default for CallBuffers {
    fn default() -> Self {
        Self::new()
    }
}

impl CallBuffers {
    /// Buffers at their largest: they never grow.
    pub fn new() -> Self {
        CallBuffers {
            signals: Vec::with_capacity(CALL_SIGNALS_MAX),
            declared_ids: Vec::with_capacity(DECLARED_IDS_READ_MAX),
            traits: Vec::with_capacity(DIRECT_TRAITS_MAX),
        }
    }

    /// Reads a call. `scratch` takes what had to be decoded, and must be at least as long as query and body together.
    /// The lists leave with the call; give it back with [`CallBuffers::take_back`] before the next decode, which
    /// would otherwise have to allocate new ones.
    pub fn decode<'a>(&mut self, request: &Request<'a>, scratch: &'a mut [u8]) -> Call<'a> {
        assert!(scratch.len() >= request.query.len() + request.body.len(), "scratch is sized for the largest call");
        let call = Call {
            signals: emptied(std::mem::take(&mut self.signals)),
            declared_ids: emptied(std::mem::take(&mut self.declared_ids)),
            traits: std::mem::take(&mut self.traits),
            ..Call::default()
        };
        let mut reader =
            Reader { call, carried: 0, values: 0, old_form: OldForm::default(), old_form_d: OldForm::default() };
        let readable = reader.read(request, &mut Scratch::new(scratch));
        if readable {
            reader.add_headers(&request.headers);
            reader.call
        } else {
            disregarded(reader.call)
        }
    }

    /// Takes a call's lists for the next one.
    pub fn take_back(&mut self, call: Call<'_>) {
        self.signals = emptied(call.signals);
        self.declared_ids = emptied(call.declared_ids);
        self.traits = call.traits;
        self.traits.clear();
    }
}

/// The same memory for values of another lifetime. Collecting a `Vec`'s own iterator into a `Vec` of the same layout
/// reuses its memory; a test holds the standard library to it.
trait Emptied {
    type For<'b>;
}

impl Emptied for Signal<'_> {
    type For<'b> = Signal<'b>;
}

impl Emptied for DeclaredId<'_> {
    type For<'b> = DeclaredId<'b>;
}

fn emptied<'b, T: Emptied>(mut list: Vec<T>) -> Vec<T::For<'b>> {
    list.clear();
    list.into_iter().map(|_| unreachable!("the list was cleared")).collect()
}

/// What is left of a call with error 311: the form that its answer takes.
fn disregarded(call: Call<'_>) -> Call<'_> {
    let Call { json, callback, mut signals, mut declared_ids, mut traits, errors, .. } = call;
    signals.clear();
    declared_ids.clear();
    traits.clear();
    let mut kept = ErrorSet::of(ErrorCode::ParameterBadlyEncoded);
    if errors.contains(ErrorCode::Unspecified) {
        kept.insert(ErrorCode::Unspecified);
    }
    Call { json, callback, signals, declared_ids, traits, errors: kept, ..Call::default() }
}

struct Reader<'a> {
    call: Call<'a>,
    /// Bits of [`ONCE`] and [`HEADER_KEYS`] that the call carried.
    carried: u64,
    /// Values that the signals so far offer to rules.
    values: usize,
    old_form: OldForm<'a>,
    old_form_d: OldForm<'a>,
}

/// `dpid` and `dpuuid` until both are there.
#[derive(Default)]
struct OldForm<'a> {
    source: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
}

impl<'a> Reader<'a> {
    /// Reads query and body to their ends, so that the form of the answer is known whatever else is wrong. Returns
    /// whether all of it was well encoded.
    fn read(&mut self, request: &Request<'a>, scratch: &mut Scratch<'a>) -> bool {
        let body_readable = body_is_form_text(request.headers.content_type, request.body);
        let body = if body_readable { request.body } else { &[] };
        let mut readable = body_readable;
        for mut rest in [request.query, body] {
            while let Some(pair) = scratch.next_pair(&mut rest) {
                match pair {
                    Ok(Pair { key: [], .. }) => {}
                    Ok(pair) => self.pair(pair),
                    Err(BadEscape) => readable = false,
                }
            }
        }
        readable
    }

    fn pair(&mut self, pair: Pair<'a>) {
        let key = pair.key;
        match key {
            [b'c' | b'p', b'_', ..] => self.signal(pair),
            [b'h', b'_', ..] => {
                if let Some(index) = HEADER_KEYS.iter().position(|&header| header == key) {
                    self.carried |= 1 << index;
                }
                self.signal(pair);
            }
            _ => match Attribute::of(key) {
                Some(attribute) => self.attribute(attribute, pair),
                // Partners alone say what partners know: rules must be able to trust it.
                None if key.starts_with(b"d_partner_") => {}
                None => self.signal(pair),
            },
        }
    }

    fn attribute(&mut self, attribute: Attribute, pair: Pair<'a>) {
        let Pair { key, value, .. } = pair;
        if attribute.is_single() {
            let bit = 1 << (HEADER_KEYS.len() + attribute as usize);
            if self.carried & bit != 0 {
                return;
            }
            self.carried |= bit;
        }
        let call = &mut self.call;
        match attribute {
            Attribute::AnswerForm => call.json = value == b"json",
            Attribute::Callback if callback_is_callable(value) => call.callback = Some(value),
            Attribute::Callback => call.errors.insert(ErrorCode::Unspecified),
            Attribute::JsonVersion => call.syncs_off = value == b"0",
            Attribute::Destinations => call.destinations = value == b"1",
            Attribute::Segments => {
                call.segments = match value {
                    b"1" => SegmentList::Legacy,
                    b"2" => SegmentList::Ids,
                    _ => SegmentList::No,
                }
            }
            Attribute::Uuid => call.uuid = Some(value),
            Attribute::Mid => call.mid = Some(value),
            Attribute::Organisation => call.organisation = Some(value),
            Attribute::DeclaredBySource => self.declared(DeclaredId::parse(Scope::DataSource, value)),
            Attribute::DeclaredByCode => self.declared(DeclaredId::parse(Scope::IntegrationCode, value)),
            Attribute::DeclaredByNamespace => self.declared(DeclaredId::parse(Scope::Namespace, value)),
            Attribute::OldSource => self.old_declared(key, Some(value), None),
            Attribute::OldId => self.old_declared(key, None, Some(value)),
            Attribute::Traits => self.direct_traits(value),
            Attribute::TraitSource => {
                let source = number(value).map_or(TraitSource::Unreadable, |id| TraitSource::Id(DataSourceId(id)));
                call.trait_source.get_or_insert(source);
            }
            Attribute::TraitSourceCode => {
                call.trait_source.get_or_insert(TraitSource::IntegrationCode(value));
            }
            Attribute::Container => call.container = number(value).unwrap_or(0),
            Attribute::Platform => call.platform = platform(value),
            Attribute::Caller => call.caller = Some(value),
            Attribute::LoadData => call.load_data = Some(value),
            Attribute::Blob => call.blob = Some(value),
            Attribute::Region => call.region = call.region.or(number(value)),
            Attribute::Verify => call.verify_cookies = value == b"1",
            Attribute::Coppa => call.coppa = value == b"true",
            Attribute::MediaEvent => {
                call.media.event = match value {
                    b"imp" => Some(MediaEvent::Impression),
                    b"click" => Some(MediaEvent::Click),
                    _ => None,
                };
                self.signal(pair);
            }
            Attribute::Redirect => call.media.redirect = Some(value),
            Attribute::Gdpr => call.consent.gdpr = Some(value),
            Attribute::GdprConsent => call.consent.gdpr_consent = Some(value),
            Attribute::Gpp => call.consent.gpp = Some(value),
            Attribute::GppSections => call.consent.gpp_sid = Some(value),
            Attribute::DeviceConsent => call.consent.device_consent = Some(value),
            Attribute::DeviceSource => call.consent.device_source = Some(value),
            Attribute::Ignored => {}
        }
    }

    fn signal(&mut self, pair: Pair<'a>) {
        if pair.key.len() > SIGNAL_KEY_BYTES_MAX || self.call.signals.len() >= SIGNALS_MAX || self.values >= VALUES_MAX
        {
            self.call.errors.insert(ErrorCode::PartlyEvaluated);
            return;
        }
        self.push_signal(pair);
    }

    /// Adds a signal and counts the values that it offers: itself, and the parts of a comma list as far as they fit.
    fn push_signal(&mut self, Pair { key, value, has_comma }: Pair<'a>) {
        self.values += 1;
        if !has_comma {
            self.call.signals.push(Signal { key, value, split: true });
            return;
        }
        let parts = find::count(b',', value).min(COMMA_PARTS_MAX) + 1;
        let split = self.values + parts.min(COMMA_PARTS_MAX) <= VALUES_MAX;
        if parts > COMMA_PARTS_MAX || !split {
            self.call.errors.insert(ErrorCode::PartlyEvaluated);
        }
        if split {
            self.values += parts.min(COMMA_PARTS_MAX);
        }
        self.call.signals.push(Signal { key, value, split });
    }

    fn declared(&mut self, id: DeclaredId<'a>) {
        if self.call.declared_ids.len() < DECLARED_IDS_READ_MAX {
            self.call.declared_ids.push(id);
        } else {
            self.call.errors.insert(ErrorCode::PartlyEvaluated);
        }
    }

    /// The n-th source goes with the n-th id of the same spelling.
    fn old_declared(&mut self, key: &[u8], source: Option<&'a [u8]>, id: Option<&'a [u8]>) {
        let form = if key.starts_with(b"d_") { &mut self.old_form_d } else { &mut self.old_form };
        form.source = form.source.or(source);
        form.id = form.id.or(id);
        if let (Some(source), Some(id)) = (form.source, form.id) {
            *form = OldForm::default();
            self.declared(DeclaredId {
                scope: Scope::DataSource,
                source,
                id: Some(id),
                authentication: Default::default(),
            });
        }
    }

    /// What is no number names no trait, and is passed over.
    fn direct_traits(&mut self, list: &[u8]) {
        for id in list.split(|&byte| byte == b',').filter_map(|text| number(text.trim_ascii())) {
            if self.call.traits.len() == DIRECT_TRAITS_MAX {
                self.call.errors.insert(ErrorCode::PartlyEvaluated);
                return;
            }
            self.call.traits.push(TraitId(id));
        }
    }

    fn add_headers(&mut self, headers: &Headers<'a>) {
        let values = [
            headers.host,
            headers.user_agent,
            headers.accept_language,
            headers.referer,
            headers.referrer,
            headers.date,
        ];
        for (index, (key, value)) in HEADER_KEYS.iter().copied().zip(values).enumerate() {
            if let Some(value) = value
                && self.carried & (1 << index) == 0
            {
                self.push_signal(Pair { key, value, has_comma: find::byte(b',', value).is_some() });
            }
        }
    }
}

/// The signals that headers give, in the order in which they are added.
const HEADER_KEYS: [&[u8]; crate::limits::HEADER_SIGNALS_MAX] =
    [b"h_host", b"h_user-agent", b"h_accept-language", b"h_referer", b"h_referrer", b"h_date"];

const _: () = assert!(HEADER_KEYS.len() + (Attribute::Region as usize) < 64, "Reader::carried has one bit for each");

fn callback_is_callable(name: &[u8]) -> bool {
    (1..=CALLBACK_BYTES_MAX).contains(&name.len())
        && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"_$.[]".contains(&byte))
}

fn platform(value: &[u8]) -> Option<Platform> {
    match value {
        b"ios" => Some(Platform::Ios),
        b"android" => Some(Platform::Android),
        b"browser" => Some(Platform::Browser),
        b"all" => Some(Platform::All),
        _ => None,
    }
}

/// Decimal digits alone, below 2^32.
fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_call<T>(request: &Request<'_>, look: impl FnOnce(&Call<'_>) -> T) -> T {
        let mut scratch = vec![0; request.query.len() + request.body.len()];
        look(&CallBuffers::new().decode(request, &mut scratch))
    }

    fn with_query<T>(query: &str, look: impl FnOnce(&Call<'_>) -> T) -> T {
        with_call(&Request { query: query.as_bytes(), ..Request::default() }, look)
    }

    #[test]
    fn buffers_are_reused_from_call_to_call() {
        let mut buffers = CallBuffers::new();
        let places = (buffers.signals.as_ptr() as usize, buffers.declared_ids.as_ptr() as usize);
        for _ in 0..3 {
            let query = b"a=1&b=%20&d_cid=1%01x&d_sid=1,2,3".to_vec();
            let mut scratch = vec![0; query.len()];
            let call = buffers.decode(&Request { query: &query, ..Request::default() }, &mut scratch);
            assert_eq!((call.signals.as_ptr() as usize, call.declared_ids.as_ptr() as usize), places);
            assert_eq!((call.signals.len(), call.declared_ids.len(), call.traits.len()), (2, 1, 3));
            buffers.take_back(call);
            assert_eq!(buffers.signals.capacity(), CALL_SIGNALS_MAX);
            assert_eq!(buffers.declared_ids.capacity(), DECLARED_IDS_READ_MAX);
        }
    }

    #[test]
    fn what_passes_a_bound_is_left_out_with_error_10() {
        let partly = |query: &str| with_query(query, |call| call.errors.contains(ErrorCode::PartlyEvaluated));
        let signals = |count: usize| (0..count).map(|i| format!("k{i}=v&")).collect::<String>();
        assert!(!partly(&signals(SIGNALS_MAX)));
        assert!(partly(&signals(SIGNALS_MAX + 1)));
        assert!(with_query(&signals(SIGNALS_MAX + 9), |call| call.signals.len() == SIGNALS_MAX));
        assert!(!partly(&"k".repeat(SIGNAL_KEY_BYTES_MAX)));
        assert!(partly(&"k".repeat(SIGNAL_KEY_BYTES_MAX + 1)));
        let parts = |count: usize| format!("k={}", vec!["v"; count].join(","));
        assert!(!partly(&parts(COMMA_PARTS_MAX)));
        assert!(partly(&parts(COMMA_PARTS_MAX + 1)));
        // 31 lists of 65 values each fill 2,015 of 2,048 values: the 32nd keeps its whole, the 33rd fits in pieces.
        let lists = |count: usize| vec![parts(COMMA_PARTS_MAX); count].join("&");
        assert!(!partly(&lists(31)));
        assert!(partly(&lists(32)));
        assert!(with_query(&lists(32), |call| call.signals.len() == 32 && !call.signals[31].split));
        let traits = |count: usize| format!("d_sid={}", vec!["7"; count].join(","));
        assert!(!partly(&traits(DIRECT_TRAITS_MAX)));
        assert!(partly(&traits(DIRECT_TRAITS_MAX + 1)));
        let ids = |count: usize| vec!["d_cid=1%01x"; count].join("&");
        assert!(!partly(&ids(DECLARED_IDS_READ_MAX)));
        assert!(partly(&ids(DECLARED_IDS_READ_MAX + 1)));
    }

    #[test]
    fn headers_become_signals_even_when_the_call_is_full() {
        let query = (0..SIGNALS_MAX).map(|i| format!("k{i}=v&")).collect::<String>();
        let host = Some(&b"a.example"[..]);
        let headers = Headers {
            host,
            user_agent: host,
            accept_language: host,
            referer: host,
            referrer: host,
            date: host,
            ..Headers::default()
        };
        with_call(&Request { query: query.as_bytes(), headers, ..Request::default() }, |call| {
            assert_eq!(call.signals.len(), CALL_SIGNALS_MAX);
            assert_eq!(call.signal(b"h_date"), host);
            assert!(call.errors.is_empty());
        });
    }

    #[test]
    fn callbacks_are_names_that_may_be_called() {
        for good in ["a", "s_c_il[1]._setMarketingCloudFields", "$.x", &"x".repeat(128)] {
            assert!(callback_is_callable(good.as_bytes()), "{good}");
        }
        for bad in ["", "a(", "a b", "a;b", "é", "a\0", &"x".repeat(129)] {
            assert!(!callback_is_callable(bad.as_bytes()), "{bad}");
        }
    }
}
