//! How much of everything a shard has, fixed at start: each pool's size as a sum of who holds its entries.

use crate::limits::{BUFFER_LARGE_BYTES, BUFFER_SMALL_BYTES, METERS};

/// Large buffers of one shard: what two shards may owe each other is bounded by it.
pub(super) const LARGE_BUFFERS_MAX: usize = 256;
/// Requests that one shard may have parked or away.
const JOBS_MAX: usize = 4_096;
/// Partner calls that one shard may have under way.
const CALLS_MAX: usize = 4_096;
/// Partner calls that there is room for however few connections partners have at start.
const CALLS_MIN: usize = 256;
/// Connections that the pools of one ruleset may come to, however few partners there are at start: a reload can add
/// some. This is one pool of the usual size.
const POOLED_MIN: usize = 256;
/// Errands to persons' profiles at other shards that one shard may have under way.
const ERRANDS_MAX: usize = 256;
/// Opt-outs that there is room for unless the operator says otherwise.
const OPT_OUTS_MAX: usize = 1 << 16;

/// What the operator chose, for all shards together.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub shards: u16,
    /// Client connections of one shard.
    pub clients_max: usize,
    /// Partner connections of one shard.
    pub upstreams_max: usize,
    pub jobs_max: usize,
    pub calls_max: usize,
    /// Errands to persons' profiles at other shards.
    pub errands_max: usize,
    pub small_buffers: usize,
    pub large_buffers: usize,
    /// Memory of one shard's profile table, in bytes.
    pub profile_bytes: usize,
    /// Memory of one shard's id map, in bytes.
    pub id_map_bytes: usize,
    /// Opt-outs that there is room for; every shard holds all of them.
    pub opt_outs_max: usize,
    /// Places of each table that counts who comes how often.
    pub meters: usize,
    /// Buckets of the profile table that the sweeper looks at in one go.
    pub sweep_buckets_per_upkeep: u32,
    /// A client's connection is closed after so long without a request.
    pub idle_ns: u64,
}

impl Plan {
    /// `connections_max` and `memory_max_bytes` are for all shards together; `memory_max_bytes` is what profiles and
    /// the id map may take. `partner_connections` is the sum of the partners' pools of one shard.
    pub fn new(shards: u16, connections_max: usize, memory_max_bytes: usize, partner_connections: usize) -> Plan {
        let clients_max = (connections_max / usize::from(shards)).max(16);
        // Twice: a ruleset that was replaced keeps its connections until the last of its calls has ended.
        let upstreams_max = 2 * partner_connections.clamp(POOLED_MIN, CALLS_MAX);
        let jobs_max = JOBS_MAX.min(clients_max.max(64));
        let calls_max = (partner_connections * 4).clamp(CALLS_MIN, CALLS_MAX);
        let errands_max = if shards > 1 { ERRANDS_MAX.min(jobs_max) } else { 0 };
        let memory_bytes = memory_max_bytes / usize::from(shards);
        Plan {
            shards,
            clients_max,
            upstreams_max,
            jobs_max,
            calls_max,
            errands_max,
            // A client: one with bytes that wait, one with an answer. A job: its request, room for its answer. A
            // call: its request, its answer. An errand: traits and what is known of the person.
            small_buffers: 2 * clients_max + 2 * jobs_max + 2 * calls_max + errands_max,
            large_buffers: LARGE_BUFFERS_MAX,
            // A fifteenth for declared ids.
            profile_bytes: memory_bytes / 15 * 14,
            id_map_bytes: memory_bytes / 15,
            opt_outs_max: OPT_OUTS_MAX,
            meters: METERS,
            sweep_buckets_per_upkeep: 64,
            idle_ns: 60_000_000_000,
        }
    }

    /// Connections that the pools of one ruleset may come to, with as many to spare for the ruleset before it.
    pub fn pooled_max(&self) -> usize {
        self.upstreams_max / 2
    }

    pub(super) fn timer_of_job(&self, slot: u32) -> u32 {
        slot
    }

    pub(super) fn timer_of_call(&self, slot: u32) -> u32 {
        self.jobs_max as u32 + slot
    }

    pub(super) fn timer_of_upstream(&self, slot: u32) -> u32 {
        (self.jobs_max + self.calls_max) as u32 + slot
    }

    pub(super) fn timers(&self) -> usize {
        self.jobs_max + self.calls_max + self.upstreams_max
    }

    /// Memory that all shards' buffers take, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        usize::from(self.shards) * (self.small_buffers * BUFFER_SMALL_BYTES + self.large_buffers * BUFFER_LARGE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rulesets_have_places_for_their_connections() {
        let of = |partner_connections| Plan::new(2, 1_024, 64 << 20, partner_connections);
        assert_eq!((of(300).upstreams_max, of(300).pooled_max(), of(300).calls_max), (600, 300, 1_200));
        assert_eq!((of(0).pooled_max(), of(0).calls_max), (POOLED_MIN, CALLS_MIN), "a reload can add a partner");
        assert_eq!(of(1 << 20).pooled_max(), CALLS_MAX);
    }
}
