//! The work that is measured: by the clock in `time`, by counted instructions in `instructions`. Seeds are fixed, so
//! both do the same each time, and a hash of the results tells when what is done has changed.

pub mod calls;
pub mod parts;
pub mod profiles;
pub mod random;
pub mod rules;
pub mod server;

/// One operation to be repeated. It returns something of its result, which can't be optimised away then.
pub type Run = Box<dyn FnMut() -> u64>;

/// What is measured, and how it is made ready.
pub struct Work {
    pub name: &'static str,
    pub size: Size,
    pub make: fn() -> Run,
}

/// How large it is to make ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Milliseconds: also counted, and run by tests.
    Small,
    /// Seconds.
    Large,
    /// Gigabytes: only where `BENCH_HUGE` is set.
    Huge,
}

const fn small(name: &'static str, make: fn() -> Run) -> Work {
    Work { name, size: Size::Small, make }
}

const fn large(name: &'static str, make: fn() -> Run) -> Work {
    Work { name, size: Size::Large, make }
}

pub const WORKS: &[Work] = &[
    small("http/request_head", parts::request_head),
    small("event/decode_20_signals", parts::decode),
    small("event/cookies", parts::cookies),
    small("identity/uuid_parse_and_write", parts::uuid),
    small("identity/uuid_draw", parts::draw_uuid),
    small("identity/ecid_and_back", parts::ecid),
    small("privacy/consent_string", parts::consent),
    small("rules/match_100", || parts::matching(100)),
    small("rules/match_10k", || parts::matching(10_000)),
    large("rules/match_100k", || parts::matching(100_000)),
    small("rules/naive_100", || parts::naive_matching(100)),
    large("rules/naive_10k", || parts::naive_matching(10_000)),
    small("segments/evaluate_200", parts::segments),
    small("profile/load_10k", || parts::load(10_000)),
    large("profile/load_1m", || parts::load(1_000_000)),
    Work { name: "profile/load_10m", size: Size::Huge, make: || parts::load(10_000_000) },
    small("profile/update_10k", || parts::update(10_000)),
    large("profile/update_1m", || parts::update(1_000_000)),
    Work { name: "profile/update_10m", size: Size::Huge, make: || parts::update(10_000_000) },
    small("partner/answer_pinion", || parts::partner_answer("pinion")),
    small("partner/answer_openrtb", || parts::partner_answer("openrtb")),
    small("partner/answer_flat", || parts::partner_answer("flat")),
    small("partner/answer_scored", || parts::partner_answer("scored")),
    small("partner/answer_lotame", || parts::partner_answer("lotame")),
    small("partner/answer_bluekai", || parts::partner_answer("bluekai")),
    small("partner/answer_targeting", || parts::partner_answer("targeting")),
    small("partner/answer_stale", || parts::partner_answer("stale")),
    small("partner/answer_dcs", || parts::partner_answer("dcs")),
    small("answer/event_json", parts::answer),
    small("shard/event_100_rules", || parts::event(100, 1_000)),
    small("shard/event_10k_rules", || parts::event(10_000, 1_000)),
    small("shard/event_half_away", parts::event_half_away),
    small("shard/event_hot_visitor", parts::hot_event),
    large("shard/event_100k_rules", || parts::event(100_000, 1_000)),
    large("shard/event_1m_visitors", || parts::event(10_000, 1_000_000)),
];
