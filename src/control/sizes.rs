//! The sizes that follow from a config.

use crate::config::file::File;
use crate::config::plan::Numbers;
use crate::profile::table::{BUDGET_BYTES_MAX, BUDGET_BYTES_MIN};
use crate::shard::Plan;

const GIBIBYTE: usize = 1 << 30;

/// How much of everything each shard gets.
///
/// # Errors
/// So many shards can't share `memory_max`: each would have less than it needs, or more than it can use.
pub(super) fn plan(file: &File, shards: u16) -> Result<Plan, String> {
    let partner_connections = file.partners.iter().map(|partner| *partner.max_connections.get_ref() as usize).sum();
    let memory_max = file.server.memory_max.get_ref();
    let memory_bytes = usize::try_from(memory_max.0).unwrap_or(usize::MAX);
    let connections_max = *file.server.connections_max.get_ref() as usize;
    let opt_outs_max = *file.server.opt_outs_max.get_ref() as usize;
    let plan = Plan { opt_outs_max, ..Plan::new(shards, connections_max, memory_bytes, partner_connections) };
    let refused = |why: String| Err(format!("memory_max = \"{memory_max}\" can't be used: {why}"));
    if plan.profile_bytes < BUDGET_BYTES_MIN {
        return refused(format!("{shards} shards share it, and each needs room for the largest record"));
    }
    if plan.profile_bytes > BUDGET_BYTES_MAX {
        let most = BUDGET_BYTES_MAX / GIBIBYTE;
        return refused(format!("each shard ({shards} here) can use {most}GiB. Lower it, or run more shards"));
    }
    Ok(plan)
}

/// What is worth telling before tables are made: that the machine can't hold them.
pub(super) fn warning(numbers: &Numbers) -> Option<String> {
    let machine_bytes = machine_bytes(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    over(numbers.memory_bytes(), machine_bytes)
}

fn over(needed_bytes: usize, machine_bytes: usize) -> Option<String> {
    let gibibytes = |bytes: usize| bytes as f64 / GIBIBYTE as f64;
    (needed_bytes > machine_bytes).then(|| {
        let (needed, there) = (gibibytes(needed_bytes), gibibytes(machine_bytes));
        format!("the tables take {needed:.1} GiB, and this machine has {there:.1} GiB: lower `memory_max`")
    })
}

/// Of the kernel's words about memory: how much there is.
fn machine_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_CONFIG;

    fn plan_of(memory_max: &str, shards: u16) -> Result<Plan, String> {
        let text = DEFAULT_CONFIG.replace("\"256MiB\"", &format!("\"{memory_max}\""));
        plan(&crate::config::file::parse(&text, "test").unwrap(), shards)
    }

    #[test]
    fn memory_is_shared_as_far_as_shards_can_use_it() {
        for (memory_max, shards) in [("1MiB", 1), ("128GiB", 1), ("2TiB", 16)] {
            assert!(plan_of(memory_max, shards).is_ok(), "{memory_max} for {shards}");
        }
        for (memory_max, shards, told) in [("2TiB", 1, "use 127GiB"), ("1MiB", 2_000, "largest record")] {
            let fault = plan_of(memory_max, shards).unwrap_err();
            assert!(fault.contains(told) && fault.contains(memory_max) && !fault.contains('\n'), "{fault}");
        }
    }

    #[test]
    fn a_machine_too_small_is_told() {
        assert_eq!(machine_bytes("MemTotal:       2048 kB\nMemFree:  1 kB\n"), Some(2 << 20));
        assert_eq!(over(1 << 30, 1 << 30), None);
        assert!(over(3 << 30, 2 << 30).unwrap().contains("3.0 GiB, and this machine has 2.0 GiB"));
    }
}
