//! What is measured for docs/benchmarks.md, step by step. All are the standard job (scenarios/standard.toml), or that
//! job with one thing changed.

use super::bench::{Bench, Effort, Variant};
use super::{RATE, Results, counts};
use crate::host::Cores;
use crate::latency::Latency;
use crate::run;
use crate::scenario::{Mix, Scenario};
use std::path::Path;

/// One step: its name, about how long it takes with the usual effort, and what it shows.
pub struct Step {
    pub name: &'static str,
    pub seconds: u32,
    pub about: &'static str,
    measure: fn(&mut Bench, &Path) -> Result<(), String>,
}

/// In the order in which they are measured: later ones take rates from earlier ones.
pub const STEPS: &[Step] = &[
    Step {
        name: "saturation",
        seconds: 110,
        about: "The standard job without lookups, as fast as answers come: CPU per request, and the highest rate.",
        measure: saturation,
    },
    Step {
        name: "pixel",
        seconds: 120,
        about: "The same job and bytes at half of the highest rate: latency beside nginx and beside the bare reactor.",
        measure: pixel,
    },
    Step {
        name: "lookup",
        seconds: 60,
        about: "One partner, asked for each event: CPU per event beside nginx and lua asking the same partner.",
        measure: lookup,
    },
    Step {
        name: "standard",
        seconds: 110,
        about: "The whole standard job with its three partners: the highest rate, then latency at half of it.",
        measure: standard,
    },
    Step {
        name: "ablation",
        seconds: 270,
        about: "What each feature of the reactor is worth: turns without it beside turns with all.",
        measure: ablation,
    },
    Step { name: "rules", seconds: 130, about: "The cost of an event against the number of rules.", measure: rules },
    Step {
        name: "visitors",
        seconds: 420,
        about: "The cost of an event against the number of visitors that the table holds, each as likely as the next.",
        measure: visitors,
    },
    Step {
        name: "connections",
        seconds: 90,
        about: "The cost of an event against the number of connections, at one and the same rate.",
        measure: connections,
    },
    Step {
        name: "shards",
        seconds: 50,
        about: "Two shards beside one, both on one core: what it costs that half of the calls are away from home.",
        measure: shards,
    },
    Step {
        name: "counts",
        seconds: 60,
        about: "What is counted: system calls and allocations of a shard under load, bytes of a visitor.",
        measure: counts::measure,
    },
];

/// Measures one step.
///
/// # Errors
/// What kept it from being measured, in words.
pub(super) fn measure(step: &Step, effort: Effort, folder: &Path, scratch: &Path) -> Result<Results, String> {
    // On one core both ways, away from the generator: what is asked there is work, not waiting.
    let cores = if step.name == "shards" { Cores::confined() } else { Cores::share(1) };
    let mut bench = Bench::new(step.name, effort, scratch, cores);
    (step.measure)(&mut bench, folder)?;
    Ok(bench.into_results())
}

pub(super) fn job() -> Result<Scenario, String> {
    Scenario::load("standard")
}

pub(super) fn job_without_lookups() -> Result<Scenario, String> {
    let mut scenario = job()?;
    scenario.without_lookups();
    Ok(scenario)
}

const CLOSED_CONNECTIONS: u32 = 64;
/// More, since most requests wait for partners; not so many that partners are given up for want of time.
const WAITING_CONNECTIONS: u32 = 192;

/// nginx's pixel refuses POST, so that there are none where it takes part: they come as events.
fn pixel_job() -> Result<Scenario, String> {
    let mut scenario = job_without_lookups()?;
    scenario.mix.event += std::mem::take(&mut scenario.mix.post);
    Ok(scenario)
}

fn saturation(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let scenario = Scenario { connections: CLOSED_CONNECTIONS, ..pixel_job()? };
    let names = ["pinion", "nginx-empty-gif", "bare", "glommio"];
    // Visitors are to return: only then is it the standard job.
    bench.effort.warm_seconds *= 2.0;
    let variants: Result<Vec<_>, _> =
        names.iter().map(|name| Variant::new(name, name, &scenario).map(Variant::closed)).collect();
    bench.compare(&variants?)
}

/// Half of the lower one of two highest rates: then neither side is near its own limit.
fn half_rate(folder: &Path) -> Result<f64, String> {
    let missing = || "measure the step `saturation` first".to_owned();
    let saturation = Results::read(folder, "saturation")?.ok_or_else(missing)?;
    let rates = ["pinion", "nginx-empty-gif"].map(|name| saturation.value(name, RATE).map(|rate| rate.median));
    let lowest = rates.into_iter().flatten().fold(f64::INFINITY, f64::min);
    if lowest.is_finite() { Ok((lowest / 200.0).round().max(1.0) * 100.0) } else { Err(missing()) }
}

fn pixel(bench: &mut Bench, folder: &Path) -> Result<(), String> {
    let scenario = Scenario { rate: half_rate(folder)?, ..pixel_job()? };
    let names = ["pinion", "nginx-empty-gif", "bare", "bare-matcher"];
    let variants: Result<Vec<_>, _> = names.iter().map(|name| Variant::new(name, name, &scenario)).collect();
    bench.compare(&variants?)
}

fn lookup(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let mut scenario = job()?;
    scenario.partners.truncate(1);
    scenario.connections = CLOSED_CONNECTIONS;
    scenario.mix = Mix { event: 1.0, ..Mix::default() };
    for partner in &mut scenario.partners {
        (partner.latency, partner.ttl_s) = (Latency::Constant { ms: 0.0 }, 0);
    }
    // Nobody's answer is remembered: each event asks, as nginx does.
    (scenario.population.new_share, scenario.population.in_turn) = (0.0, true);
    let mut few_rules = scenario.clone();
    // nginx has none at all; but segments that answers show come of some.
    (few_rules.server.rules, few_rules.server.segments) = (100, 50);
    let variants = [
        Variant::new("pinion", "pinion", &few_rules)?.closed(),
        Variant::new("nginx-lua", "nginx-lua", &scenario)?.closed(),
        Variant::new("pinion, 10000 rules", "pinion", &scenario)?.closed(),
    ];
    bench.compare(&variants)?;
    // A partner that seems unwell is asked less, which would be cheap.
    bench.doubt(|turn| {
        let asked = turn.lookups_per_request;
        (asked < 0.98).then(|| format!("{asked:.2} lookups for each event instead of one"))
    });
    Ok(())
}

fn standard(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let scenario = job()?;
    let crowded = Scenario { connections: WAITING_CONNECTIONS, ..scenario.clone() };
    let fastest = |name: &str, kind: &str| Variant::new(name, kind, &crowded).map(Variant::closed);
    bench.compare(&[fastest("pinion, saturated", "pinion")?, fastest("glommio, saturated", "glommio")?])?;
    let highest = bench.results().value("pinion, saturated", RATE).ok_or("no turn was measured")?.median;
    let half = Scenario { rate: (highest / 200.0).round().max(1.0) * 100.0, ..scenario };
    bench.compare(&[Variant::new("pinion, half load", "pinion", &half)?])
}

fn ablation(bench: &mut Bench, folder: &Path) -> Result<(), String> {
    let scenario = Scenario { rate: half_rate(folder)?, ..job_without_lookups()? };
    let all = Variant::new("pinion", "pinion", &scenario)?;
    let mut others = Vec::new();
    for feature in pinion::reactor::uring::FEATURES {
        let name = format!("without-{feature}");
        others.push(Variant::new(&name, &name, &scenario)?);
    }
    let mut spinning = all.clone();
    (spinning.name, spinning.scenario.server.spin_us) = ("with-spin-50-us".to_owned(), 50);
    others.push(spinning);
    for _ in 0..bench.effort.rounds {
        for other in &others {
            let group = bench.next_group();
            bench.turn(&all, group)?;
            bench.turn(other, group)?;
        }
    }
    Ok(())
}

fn rules(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let mut variants = Vec::new();
    for count in [100, 1_000, 10_000, 100_000] {
        let mut scenario = job_without_lookups()?;
        scenario.server.rules = count;
        variants.push(Variant::new(&format!("{count} rules"), "pinion", &scenario)?.at(f64::from(count)));
    }
    bench.compare(&variants)
}

fn connections(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let mut variants = Vec::new();
    for count in [10, 100, 1_000, 4_000] {
        let scenario = Scenario { connections: count, ..job_without_lookups()? };
        variants.push(Variant::new(&format!("{count} connections"), "pinion", &scenario)?.at(f64::from(count)));
    }
    bench.compare(&variants)
}

/// What the tables of all sizes together may take, twice over.
const VISITORS_MEMORY_BYTES: u64 = 16 << 30;

/// All servers stay until the end, so that each is filled once and all are still measured in turns.
fn visitors(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let is_roomy = crate::host::memory_available_bytes() >= VISITORS_MEMORY_BYTES;
    if !is_roomy {
        bench.miss("10,000,000 visitors: 16 GiB of memory must be free");
    } else if bench.effort.visitors_max < 10_000_000 {
        bench.miss("10,000,000 visitors: left out by --visitors-max");
    }
    let (visitors_max, memory_max) = if is_roomy {
        (bench.effort.visitors_max, "3GiB")
    } else {
        (bench.effort.visitors_max.min(1_000_000), "512MiB")
    };
    let mut filled = Vec::new();
    for count in [10_000, 100_000, 1_000_000, 10_000_000].iter().filter(|count| **count <= visitors_max) {
        let mut scenario = job_without_lookups()?;
        memory_max.clone_into(&mut scenario.server.memory_max);
        (scenario.population.visitors, scenario.population.zipf, scenario.population.new_share) = (*count, 0.0, 0.0);
        let variant = Variant::new(&format!("{count} visitors"), "pinion", &scenario)?.at(*count as f64);
        let target = bench.start(&variant)?;
        println!("    {count} visitors come once each");
        run::fill(&scenario, target.address, bench.cores.generator)?;
        filled.push((target, variant));
    }
    for _ in 0..bench.effort.rounds {
        let group = bench.next_group();
        for (target, variant) in &filled {
            bench.turn_on(target, variant, group)?;
        }
    }
    Ok(())
}

fn shards(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let mut variants = Vec::new();
    for count in [1, 2] {
        let mut scenario = job_without_lookups()?;
        scenario.server.shards = count;
        // A new visitor's id is drawn where she arrives; the others are at home anywhere.
        scenario.population.new_share = 0.0;
        let name = if count == 1 { "1 shard" } else { "2 shards" };
        variants.push(Variant::new(name, "pinion", &scenario)?.at(f64::from(count)));
    }
    bench.compare(&variants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_names_of_their_own_and_half_an_hour() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
        assert!(STEPS.iter().map(|step| step.seconds).sum::<u32>() <= 30 * 60);
    }
}
