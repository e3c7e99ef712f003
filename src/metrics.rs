//! What the server counts. Each shard writes its own block, with plain relaxed loads and stores, since it is the only
//! writer, and so does the post; the control thread only loads. No reader ever slows a writer down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::ids::PartnerId;

/// A number that one thread raises and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed) + count, Relaxed);
    }

    pub fn increment(&self) {
        self.add(1);
    }

    /// For gauges: what is so now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Sub-buckets per power of two: a recorded value is known to within 1/16 of itself.
const SUB_BUCKETS: usize = 16;
const POWERS: usize = 40;
/// Buckets of one histogram.
pub const BUCKETS: usize = SUB_BUCKETS * POWERS;

/// Durations in nanoseconds, in log-linear buckets fixed at start.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_ns: Counter,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: std::array::from_fn(|_| Counter::default()), sum_ns: Counter::default() }
    }
}

impl Histogram {
    pub fn record(&self, ns: u64) {
        self.buckets[bucket_of(ns)].increment();
        self.sum_ns.add(ns);
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.value()
    }

    /// (upper bound of the bucket in nanoseconds, values in it), for every bucket that holds some, ascending.
    pub fn filled(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets.iter().enumerate().filter_map(|(i, bucket)| {
            let count = bucket.value();
            (count > 0).then(|| (upper_bound_ns(i), count))
        })
    }
}

fn bucket_of(ns: u64) -> usize {
    if ns < SUB_BUCKETS as u64 {
        return ns as usize;
    }
    let power = 63 - ns.leading_zeros() as usize;
    let sub = (ns >> (power - 4)) as usize & (SUB_BUCKETS - 1);
    ((power - 3) * SUB_BUCKETS + sub).min(BUCKETS - 1)
}

fn upper_bound_ns(bucket: usize) -> u64 {
    if bucket < SUB_BUCKETS {
        return bucket as u64;
    }
    let power = bucket / SUB_BUCKETS + 3;
    let sub = (bucket % SUB_BUCKETS) as u64;
    ((SUB_BUCKETS as u64 + sub + 1) << (power - 4)) - 1
}

/// Declares a block of counters with the names and help texts under which `/metrics` shows them.
macro_rules! counters {
    ($(#[$doc:meta])* $block:ident { $($name:ident: $help:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $block { $(#[doc = $help] pub $name: Counter,)* }

        impl $block {
            /// (name, help, value) of each.
            pub fn values(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $help, self.$name.value()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// What the control thread did.
    ControlTotals {
        reloads: "Times that the config was read again and taken into use.",
        reloads_failed: "Times that the config was read again and had faults: the one in use stayed.",
    }
}

counters! {
    /// What happened, ever since the start.
    Totals {
        connections_accepted: "Client connections accepted.",
        connections_closed: "Client connections closed.",
        connections_idle_closed: "Client connections closed because they were idle, or to make room.",
        connections_flood_closed: "Client connections closed because they sent more than their buffer holds.",
        connections_stalled_closed: "Client connections broken off because they did not take an answer.",
        requests: "Requests answered, of every kind.",
        events: "Calls of /event.",
        id_calls: "Calls of /id.",
        sync_calls: "ID syncs (/ibs).",
        opt_out_calls: "Calls to opt out.",
        opt_outs_refused: "Calls to opt out that were not acknowledged: not durable in time, no room, or limited.",
        http_faults: "Requests refused as malformed HTTP (4xx and 501).",
        not_found: "Requests for a path that is not served.",
        errors_call: "Answers that carried a DCS error code.",
        overloaded: "Requests answered without being processed because a pool was used up.",
        opted_out: "Calls by or about an opted-out visitor.",
        consent_refused: "Calls without the consent that applies to them.",
        visitors_new: "Visitors first seen.",
        traits_realised: "Traits realised.",
        traits_foreign: "Trait ids in d_sid that are not the caller's own: ignored.",
        counts_saturated: "Realisations lost because a day's counter stood at its maximum of 65,535.",
        entries_dropped: "Trait entries dropped because a visitor held too many.",
        profiles_evicted: "Profiles dropped because the table was full.",
        profiles_expired: "Profiles removed because nothing in them was valid any more.",
        segments_entered: "Times that a visitor entered a segment.",
        segments_left: "Times that a visitor left a segment.",
        destinations_dropped: "Destinations left out of answers that had no room for more.",
        persons_new: "Persons first seen.",
        persons_unread: "Calls evaluated without the person's profile: no way to its core, or not in time.",
        persons_late: "Persons' profiles that came when the call had been answered without.",
        person_traits_kept: "Traits of persons that stayed on the device: no way to the core of the person.",
        regexes_given_up: "Regular expressions that reached their step limit: counted as no match.",
        ids_mapped: "Declared ids mapped to a visitor.",
        ids_evicted: "Mappings of declared ids forgotten because the id map was full.",
        ids_displaced: "Mappings of declared ids forgotten because the device has newer ones of the same data source.",
        declared_ids_denied: "Declared ids that came too often: denied for a time.",
        declared_ids_blocked: "Declared ids left out of calls: denied, or of a blocked data source.",
        device_ids_denied: "Device ids that came too often: denied for a time.",
        device_ids_blocked: "Device ids left out of calls: denied.",
        profiles_denied: "Profiles that were called too often: not changed for a time.",
        profile_calls_blocked: "Calls that changed nothing in a profile: it is denied.",
        ids_uncounted: "Sightings of ids not counted: denied ones hold all places that they could have.",
        calls_limited: "Calls refused because too many came from their address.",
        opt_outs_limited: "Calls to opt out refused because too many came from their address.",
        ids_unsent: "Mappings of declared ids lost because too many waited for room on their way to another core.",
        hops: "Requests sent to the core that owns the visitor, a declared id or a person.",
        hops_refused: "Requests answered at once because the way to the owner's core was full.",
        client_gone: "Requests whose client was gone before the answer.",
        parked_refused: "Calls that could not have waited for partners because no more could be parked.",
        rulesets_loaded: "Rulesets taken into use.",
        turns: "Turns of the event loop.",
    }
}

counters! {
    /// What is so now.
    Gauges {
        connections: "Client connections open.",
        partner_connections: "Partner connections open.",
        parked: "Requests that wait for partners, or for an opt-out to be durable.",
        calls_in_flight: "Partner calls under way.",
        away: "Requests that are with another core.",
        buffers_small_free: "Small buffers free.",
        buffers_large_free: "Large buffers free.",
        jobs_free: "Slots for parked or travelling requests free.",
        errands_free: "Slots for requests about persons on their way to another core free.",
        profiles: "Visitors and persons in the table.",
        profile_cells_free: "Free cells of the profile table.",
        ids: "Declared ids in the id map.",
        opt_outs: "Opt-outs in force; every shard knows all of them.",
        epoch: "The ruleset in use.",
        lag_microseconds: "How long input lately waited in the kernel before the loop read it.",
        backtracking_regexes: "Regular expressions in use that may backtrack: only these may allocate while they run.",
    }
}

counters! {
    /// What happened with one partner.
    PartnerTotals {
        calls: "Calls made.",
        hits: "Answers with segments.",
        empties: "Answers that knew nothing.",
        skipped_budget: "Lookups skipped: too little time left.",
        skipped_consent: "Lookups skipped: no consent.",
        skipped_health: "Lookups skipped: the partner fails too often.",
        skipped_cap: "Lookups skipped: no connection, buffer or slot free.",
        skipped_cache: "Lookups answered from the cache.",
        skipped_share: "Lookups skipped: the visitor is in the hold-out.",
        skipped_macro: "Lookups skipped: a required macro was empty.",
        skipped_address: "Lookups skipped: the partner's name is not resolved.",
        shared: "Lookups that joined a call already under way.",
        errors_connect: "Calls that failed: no connection.",
        errors_reset: "Calls that failed: the connection broke.",
        errors_protocol: "Calls that failed: malformed HTTP.",
        errors_status: "Calls that failed: a status that carries no answer.",
        errors_body: "Calls that failed: a body that is no answer.",
        errors_size: "Calls that failed: an answer over the size bound.",
        timeouts: "Calls not answered in time.",
        late: "Answers after their time, merged into the profile.",
        late_dropped: "Late answers whose visitor was gone or had opted out.",
        retries: "Calls repeated on a fresh connection.",
        segments_dropped: "Segments, signals or ids of answers that were over a bound.",
        connections_opened: "Connections opened.",
        connections_reused: "Calls sent over a connection that had served another.",
        bytes_sent: "Bytes sent.",
        bytes_received: "Bytes received.",
    }
}

counters! {
    /// What becomes of opt-outs at who keeps them, which is no shard.
    OptOutTotals {
        opt_outs_log_failures: "Times that the log of opt-outs took none: all that came were refused.",
    }
}

counters! {
    /// What is so now there.
    OptOutGauges {
        opt_outs_room: "Opt-outs that there is still room for: none while their log fails.",
    }
}

/// One partner, as one shard sees it: on cache lines of its own, since the next one may be another shard's.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PartnerMetrics {
    pub totals: PartnerTotals,
    /// From the call's start to its answer.
    pub latency: Histogram,
    /// How long visitors waited for it.
    pub waited: Histogram,
}

/// All that is counted where opt-outs are kept.
#[derive(Debug, Default)]
pub struct OptOutMetrics {
    pub totals: OptOutTotals,
    pub gauges: OptOutGauges,
}

/// What all shards count of one partner. It is the partner's over all rulesets that have it.
#[derive(Clone, Debug)]
pub struct PartnerCounts {
    pub id: PartnerId,
    pub name: String,
    pub shards: Box<[Arc<PartnerMetrics>]>,
}

/// All that one shard counts, but for partners.
#[derive(Debug, Default)]
pub struct ShardMetrics {
    pub totals: Totals,
    pub gauges: Gauges,
    /// From a request's last byte to its answer handed to the kernel. Time moves from turn to turn of the loop only, so
    /// what is answered in the turn of its arrival counts as 0.
    pub latency: Histogram,
    /// Set when the shard ends: client connections that were still owed an answer.
    pub connections_cut: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_its_bucket() {
        for ns in (0..70).chain([1_000, 1_023, 1_024, 50_000_000, 999_999_999]) {
            let bucket = bucket_of(ns);
            assert!(ns <= upper_bound_ns(bucket), "{ns}");
            assert!(bucket == 0 || ns > upper_bound_ns(bucket - 1), "{ns}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }
}
