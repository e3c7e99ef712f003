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
/// Request line and headers in all.
pub const HEAD_BYTES_MAX: usize = TARGET_BYTES_MAX + 64 + HEADERS_BYTES_MAX;

/// Signals a call may carry; the rest is left out with error 10.
pub const SIGNALS_MAX: usize = 512;
/// Values a call may offer to rules, comma parts included; the rest is left out with error 10.
pub const VALUES_MAX: usize = 2_048;
/// Comma parts of one value.
pub const COMMA_PARTS_MAX: usize = 64;
/// A signal's key, in bytes; a longer one is left out with error 10.
pub const SIGNAL_KEY_BYTES_MAX: usize = 128;
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

// ---- Rules (rules.md) ----

pub const TRAITS_MAX: usize = 100_000;
pub const SEGMENTS_MAX: usize = 20_000;
pub const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
pub const COMPARISONS_MAX: usize = 1_000;
pub const NESTING_MAX: usize = 64;
/// Up to this many distinct comparisons, an expression that nothing can make true is rejected.
pub const SATISFIABILITY_COMPARISONS_MAX: usize = 20;
/// A derived signal's keys and values, in characters.
pub const DERIVED_CHARACTERS_MAX: usize = 228;
/// Steps of the backtracking regex engine before it gives up: no match, and a metric.
pub const REGEX_STEPS_MAX: u32 = 100_000;
/// Heap that one compiled regex may take, in bytes.
pub const REGEX_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// States that a regex too large for a table may visit for one value before it gives up: a few milliseconds.
pub const REGEX_SIMULATION_STEPS_MAX: usize = 1 << 20;
/// Groups and classes of a regex within one another.
pub const REGEX_NESTING_MAX: usize = 100;

// ---- Profiles ----

/// Trait entries (one per trait and day) that a visitor may hold; the oldest go first.
pub const PROFILE_ENTRIES_MAX: usize = 4_096;
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
/// Device ids remembered for one declared id.
pub const DEVICES_PER_DECLARED_ID_MAX: usize = 100;
/// Declared ids remembered for one device and data source.
pub const DECLARED_IDS_PER_SOURCE_MAX: usize = 10;

// ---- Partners (partners.md) ----

pub const PARTNERS_MAX: usize = 64;
pub const PARTNER_REQUEST_BYTES_MAX: usize = 16 * 1024;
pub const PARTNER_HEAD_BYTES_MAX: usize = 16 * 1024;
pub const PARTNER_BODY_BYTES_MAX: usize = 64 * 1024;
pub const PARTNER_SEGMENTS_MAX: usize = 1_000;
pub const PARTNER_SEGMENT_BYTES_MAX: usize = 512;
pub const PARTNER_JSON_DEPTH_MAX: usize = 32;
pub const PARTNER_RETRY_AFTER_S_MAX: u64 = 60;

const _: () = assert!(PARTNERS_MAX <= 64, "a job keeps the partners it asked as bits of one u64");
const _: () = assert!(MINUTES_PER_TRAIT_MAX <= PROFILE_MINUTES_MAX);
const _: () = assert!(SIGNALS_MAX <= VALUES_MAX);

// ---- Buffers ----

/// Nearly every request and answer fits one of these.
pub const BUFFER_SMALL_BYTES: usize = 4 * 1024;
/// The largest request or answer with its head fits one of these.
pub const BUFFER_LARGE_BYTES: usize = 96 * 1024;
/// Headers of our own answers, cookies and Location included.
pub const ANSWER_HEAD_BYTES_MAX: usize = 16 * 1024;

const _: () = assert!(HEAD_BYTES_MAX + BODY_BYTES_MAX <= BUFFER_LARGE_BYTES);
const _: () = assert!(ANSWER_HEAD_BYTES_MAX + ANSWER_BYTES_MAX <= BUFFER_LARGE_BYTES);
const _: () = assert!(PARTNER_HEAD_BYTES_MAX + PARTNER_BODY_BYTES_MAX <= BUFFER_LARGE_BYTES);
