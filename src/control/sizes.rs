//! The sizes that follow from a config.

use crate::config::file::File;
use crate::config::plan::Numbers;
use crate::shard::Plan;

/// How much of everything each shard gets.
pub(super) fn plan(file: &File, shards: u16) -> Plan {
    let partner_connections = file.partners.iter().map(|partner| *partner.max_connections.get_ref() as usize).sum();
    let memory_max = usize::try_from(file.server.memory_max.get_ref().0).unwrap_or(usize::MAX);
    let connections_max = *file.server.connections_max.get_ref() as usize;
    let opt_outs_max = *file.server.opt_outs_max.get_ref() as usize;
    Plan { opt_outs_max, ..Plan::new(shards, connections_max, memory_max, partner_connections) }
}

/// The same, to be shown.
pub(super) fn numbers(plan: &Plan) -> Numbers {
    Numbers {
        shards: plan.shards,
        profile_bytes: plan.profile_bytes,
        id_map_bytes: plan.id_map_bytes,
        opt_outs_max: plan.opt_outs_max,
        meters: plan.meters,
        clients_max: plan.clients_max,
        upstreams_max: plan.upstreams_max,
        jobs_max: plan.jobs_max,
        calls_max: plan.calls_max,
        small_buffers: plan.small_buffers,
        large_buffers: plan.large_buffers,
    }
}
