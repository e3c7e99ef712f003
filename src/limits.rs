//! Every bound of the server in one place, related to each other by const asserts.
//!
//! Units come last in the names. A bound that belongs to one pool says as a sum who holds its entries.

// ---- Requests (protocol.md section 2) ----

/// Request target, in bytes: longer is 414.
pub const TARGET_BYTES_MAX: usize = 8_192;
/// All header lines together with the request line's own bound, in bytes: longer is 431.
pub const HEADERS_BYTES_MAX: usize = 24 * 1024;
/// Header lines: more is 431.
pub const HEADERS_MAX: usize = 64;
/// Body of a POST, decoded from chunks, in bytes: longer is 413.
pub const BODY_BYTES_MAX: usize = 32_768;
/// Request line, in bytes: a target and at most this much around it.
pub const REQUEST_LINE_BYTES_MAX: usize = TARGET_BYTES_MAX + 64;
/// Request line and headers in all.
pub const HEAD_BYTES_MAX: usize = REQUEST_LINE_BYTES_MAX + HEADERS_BYTES_MAX;
/// Empty lines skipped ahead of a request line; old clients send one or two after a form body.
pub const EMPTY_LINES_MAX: u8 = 4;
/// A chunk's size line with its extensions, in bytes.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Everything of a chunked body that is not the body: size lines, line ends, trailers, in bytes. It keeps the raw form
/// of the largest body within one large buffer.
pub const CHUNK_FRAMING_BYTES_MAX: usize = 16 * 1024;

/// Signals a call may carry; the rest is left out with error 10.
pub const SIGNALS_MAX: usize = 512;
/// Values a call may offer to rules, comma parts included; the rest is left out with error 10.
pub const VALUES_MAX: usize = 2_048;
/// Comma parts of one value.
pub const COMMA_PARTS_MAX: usize = 64;
/// A signal's key, in bytes; a longer one is left out with error 10.
pub const SIGNAL_KEY_BYTES_MAX: usize = 128;
/// A signal's value, in bytes: decoding makes nothing longer, so nothing that a request can carry is left out.
pub const SIGNAL_VALUE_BYTES_MAX: usize = BODY_BYTES_MAX;
/// The body of one answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Declared ids a call may carry; one more is error 309 (and 301 once).
pub const DECLARED_IDS_MAX: usize = 10;
/// Declared ids of one name space a call may carry; one more is error 310.
pub const DECLARED_IDS_PER_NAMESPACE_MAX: usize = 3;
/// A declared id's text, in bytes.
pub const DECLARED_ID_BYTES_MAX: usize = 255;
/// Trait ids in one call's `d_sid`/`d_px`.
pub const DIRECT_TRAITS_MAX: usize = 256;

/// Declared ids a call may name, valid or not; the rest is left out with error 10. Only valid ones count towards
/// [`DECLARED_IDS_MAX`], so more are read than may stay.
pub const DECLARED_IDS_READ_MAX: usize = 64;
/// Valid ids over [`DECLARED_IDS_MAX`] that one answer can have to tell.
pub const DECLARED_IDS_OVER_MAX: usize = DECLARED_IDS_READ_MAX - DECLARED_IDS_MAX;
/// Signals the server itself adds to a call, from its headers.
pub const HEADER_SIGNALS_MAX: usize = 6;
/// Signals of one call in all.
pub const CALL_SIGNALS_MAX: usize = SIGNALS_MAX + HEADER_SIGNALS_MAX;
/// What decoding a call's query and body may write, in bytes: never more than was read.
pub const DECODE_BYTES_MAX: usize = TARGET_BYTES_MAX + BODY_BYTES_MAX;
/// What reading a sync may write, in bytes: its redirect apart from everything else.
pub const SYNC_DECODE_BYTES_MAX: usize = 2 * TARGET_BYTES_MAX;
/// A JSONP callback's name, in bytes.
pub const CALLBACK_BYTES_MAX: usize = 128;
/// The core of a consent string, in bytes: as much as the target of a request has room for. A longer one is not read,
/// so that the work of asking it about each partner stays bounded.
pub const CONSENT_BYTES_MAX: usize = TARGET_BYTES_MAX;
/// A `Location`, in bytes; a redirect that would be longer is not followed.
pub const LOCATION_BYTES_MAX: usize = 12 * 1024;

const _: () = assert!(DECLARED_IDS_MAX <= DECLARED_IDS_READ_MAX && DECLARED_IDS_OVER_MAX <= u8::MAX as usize);
const _: () = assert!(TARGET_BYTES_MAX < LOCATION_BYTES_MAX && LOCATION_BYTES_MAX < ANSWER_HEAD_BYTES_MAX);

// ---- Rules (rules.md) ----

pub const TRAITS_MAX: usize = 100_000;
pub const SEGMENTS_MAX: usize = 20_000;
/// Folders of traits within one another.
pub const FOLDER_LEVELS_MAX: usize = 5;
/// Traits that one folder may come to: a segment that names it names them all.
pub const FOLDER_TRAITS_MAX: usize = 10_000;
pub const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
pub const COMPARISONS_MAX: usize = 1_000;
pub const NESTING_MAX: usize = 64;
/// An expression whose normal form has more conjunctions than this (or than it has comparisons) is kept as a tree.
pub const CONJUNCTIONS_MAX: usize = 64;
/// Up to this many distinct comparisons, an expression that nothing can make true is rejected.
pub const SATISFIABILITY_COMPARISONS_MAX: usize = 20;
/// A derived signal's keys and values, in characters.
pub const DERIVED_CHARACTERS_MAX: usize = 228;
/// Steps of the backtracking regex engine before it gives up: no match, and a metric.
pub const REGEX_STEPS_MAX: u32 = 100_000;
/// The longest window of a segment expression, in days: also of hour and minute windows.
pub const WINDOW_DAYS_MAX: usize = 3_650;
/// Heap that one compiled regex may take, in bytes.
pub const REGEX_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// States that a regex too large for a table may visit for one value before it gives up: a few milliseconds.
pub const REGEX_SIMULATION_STEPS_MAX: usize = 1 << 20;
/// Groups and classes of a regex within one another.
pub const REGEX_NESTING_MAX: usize = 100;

// ---- Profiles ----

/// Trait entries (one per trait and day) that a visitor may hold; the oldest go first.
pub const PROFILE_ENTRIES_MAX: usize = 4_096;
/// Traits of one visitor that may change before segments are told one by one; beyond, all segments are evaluated.
pub const CHANGED_TRAITS_MAX: usize = 256;
/// Realisation minutes kept for one trait that an hour or minute window names.
pub const MINUTES_PER_TRAIT_MAX: usize = 64;
/// Realisation minutes kept for one visitor in all.
pub const PROFILE_MINUTES_MAX: usize = 1_024;
/// Segments a visitor may be in; the rest is dropped and counted.
pub const PROFILE_SEGMENTS_MAX: usize = 2_048;
/// Declared ids kept with one visitor: ten for each of some data sources; the oldest go first.
pub const PROFILE_IDS_MAX: usize = 64;
/// Partner states kept with one visitor.
pub const PROFILE_PARTNERS_MAX: usize = 64;
/// Cached segment texts of all partners kept with one visitor, in bytes.
pub const PROFILE_PARTNER_BYTES_MAX: usize = 16 * 1024;
/// Days that a profile without a live trait is kept for its declared ids: as long as the visitor's cookie lives.
pub const PROFILE_IDS_KEPT_DAYS: u16 = 180;
/// Days that a trait is kept which the config does not (or no longer) know: the default of `ttl_days`.
pub const TRAIT_TTL_DAYS_DEFAULT: u16 = 120;
/// Device ids remembered for one declared id.
pub const DEVICES_PER_DECLARED_ID_MAX: usize = 100;
/// Declared ids remembered for one device and data source.
pub const DECLARED_IDS_PER_SOURCE_MAX: usize = 10;

/// Ids of one kind, and addresses, that a shard can count at a time. What comes once in a while is soon forgotten, so
/// these are as many as come in the time that one sighting fills of a meter.
pub const METERS: usize = 1 << 15;

/// Opt-outs that a server can be configured to keep.
pub const OPT_OUTS_MAX: u32 = 100_000_000;

// ---- Partners (partners.md) ----

pub const PARTNERS_MAX: usize = 64;
/// Addresses that a partner's name may stand for; more are not used.
pub const PARTNER_ADDRESSES_MAX: usize = 64;
pub const PARTNER_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// How often a request may say how much time is left.
pub const PARTNER_TIMES_MAX: usize = 4;
/// Status line and headers of an answer, those of interim (1xx) answers before it included.
pub const PARTNER_HEAD_BYTES_MAX: usize = 16 * 1024;
/// The status line alone, in bytes.
pub const PARTNER_STATUS_LINE_BYTES_MAX: usize = 1_024;
pub const PARTNER_BODY_BYTES_MAX: usize = 64 * 1024;
pub const PARTNER_SEGMENTS_MAX: usize = 1_000;
pub const PARTNER_SEGMENT_BYTES_MAX: usize = 512;
/// Values that all partners' segments together offer to one call's rules; the rest is left out with error 10.
pub const PARTNER_SIGNALS_MAX: usize = 1_024;
pub const PARTNER_JSON_DEPTH_MAX: usize = 32;
pub const PARTNER_RETRY_AFTER_S_MAX: u64 = 60;

// ---- Destinations ----

/// Cookies, and as many URLs, that one answer may carry; the rest is left out with error 10, and counted.
pub const DESTINATION_ENTRIES_MAX: usize = 256;
/// All their texts, in bytes, before JSON escapes them; what is over likewise.
pub const DESTINATION_BYTES_MAX: usize = 32 * 1024;

// ---- ID syncs ----

/// ID syncs that an account may ask its visitors' browsers for.
pub const ID_SYNCS_MAX: usize = 64;
/// URLs of one of them.
pub const ID_SYNC_URLS_MAX: usize = 4;
/// Minutes that one may rest: as long as browsers keep the cookie that remembers it.
pub const ID_SYNC_TTL_MINUTES_MAX: u32 = 180 * 24 * 60;

const _: () = assert!(DESTINATION_BYTES_MAX < ANSWER_BYTES_MAX);
const _: () = assert!(PARTNERS_MAX <= 64, "a job keeps the partners it asked as bits of one u64");
const _: () = assert!(MINUTES_PER_TRAIT_MAX <= PROFILE_MINUTES_MAX);
const _: () = assert!(MINUTES_PER_TRAIT_MAX <= u8::MAX as usize, "a segment window says in one byte how many it needs");
const _: () = assert!(WINDOW_DAYS_MAX <= u16::MAX as usize, "a window is counted in days as profiles count them");
const _: () = assert!(SIGNALS_MAX <= VALUES_MAX);
const _: () = assert!(TARGET_BYTES_MAX <= SIGNAL_VALUE_BYTES_MAX && HEADERS_BYTES_MAX <= SIGNAL_VALUE_BYTES_MAX);
const _: () = assert!(DECLARED_IDS_PER_SOURCE_MAX <= PROFILE_IDS_MAX);
const _: () = assert!(DECLARED_ID_BYTES_MAX <= u8::MAX as usize, "a profile keeps an id's length in one byte");
const _: () = assert!(PROFILE_PARTNER_BYTES_MAX <= u16::MAX as usize, "a profile keeps such lengths in two bytes");

// ---- Buffers ----

/// Nearly every request and answer fits one of these.
pub const BUFFER_SMALL_BYTES: usize = 4 * 1024;
/// The largest request or answer with its head fits one of these.
pub const BUFFER_LARGE_BYTES: usize = 96 * 1024;
/// Headers of our own answers, cookies and Location included.
pub const ANSWER_HEAD_BYTES_MAX: usize = 16 * 1024;
/// The iframe that fires syncs, in bytes.
pub const FRAME_BYTES_MAX: usize = 8 * 1024;
/// The project's own tag, in bytes.
pub const TAG_BYTES_MAX: usize = 8 * 1024;
/// An account's allowed origins as one text, in bytes: they stand in a header of the iframe.
pub const ORIGINS_BYTES_MAX: usize = 8 * 1024;

const _: () = assert!(HEAD_BYTES_MAX + BODY_BYTES_MAX + CHUNK_FRAMING_BYTES_MAX <= BUFFER_LARGE_BYTES);
const _: () = assert!(ANSWER_HEAD_BYTES_MAX + ANSWER_BYTES_MAX <= BUFFER_LARGE_BYTES);
const _: () = assert!(FRAME_BYTES_MAX <= ANSWER_BYTES_MAX && TAG_BYTES_MAX <= ANSWER_BYTES_MAX);
const _: () = assert!(ORIGINS_BYTES_MAX <= ANSWER_HEAD_BYTES_MAX / 2);
const _: () = assert!(PARTNER_HEAD_BYTES_MAX + PARTNER_BODY_BYTES_MAX + CHUNK_FRAMING_BYTES_MAX <= BUFFER_LARGE_BYTES);
const _: () = assert!(PARTNER_STATUS_LINE_BYTES_MAX < PARTNER_HEAD_BYTES_MAX);
