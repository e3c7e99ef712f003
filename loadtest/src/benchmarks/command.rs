//! `loadtest bench` and `loadtest document`.

use std::path::PathBuf;
use std::time::Instant;

use super::bench::Effort;
use super::steps::{self, STEPS, Step};
use super::{Results, committed, document};
use crate::host::{Cores, Host, Priority};

/// Measure what docs/benchmarks.md shows, step by step.
///
/// Each step's figures are kept in a file of its name, and the page is written anew after each. Load and server share
/// this machine: leave it alone meanwhile.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// The steps, all if none is named: see --list.
    steps: Vec<String>,
    /// What steps there are, and how long each takes.
    #[arg(long)]
    list: bool,
    /// Leave out the steps that this very commit was measured with already.
    #[arg(long)]
    resume: bool,
    /// How often each turn comes.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// What is measured of each turn.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// What goes before it.
    #[arg(long, default_value_t = 1.5)]
    warm_seconds: f64,
    /// For machines with little memory or time: tables of more visitors are left out.
    #[arg(long, default_value_t = 10_000_000)]
    visitors_max: u64,
    /// Where the figures go, instead of docs/benchmarks; the page goes beside.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Write docs/benchmarks.md and its plots from the figures that were kept.
#[derive(Debug, clap::Args)]
pub struct Document {
    /// Where the figures are, instead of docs/benchmarks.
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

/// # Errors
/// What could not be measured, in words.
pub fn bench(arguments: &Bench) -> Result<(), String> {
    if arguments.list {
        for step in STEPS {
            println!("{:<12} {:>4} s  {}", step.name, step.seconds, step.about);
        }
        return Ok(());
    }
    let _priority = Priority::raise();
    let Bench { rounds, seconds, warm_seconds, visitors_max, .. } = *arguments;
    let effort = Effort { rounds: rounds.max(1), seconds, warm_seconds, visitors_max };
    let folder = arguments.into.clone().unwrap_or_else(committed);
    let scratch = crate::run::results_folder().join("bench");
    std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let commit = Host::read(&Cores::share(1)).commit;
    for step in chosen(&arguments.steps)? {
        let before = Results::read(&folder, step.name).ok().flatten();
        if arguments.resume && before.is_some_and(|results| results.host.commit == commit) {
            println!("== {}: measured already", step.name);
            continue;
        }
        println!("== {}: {}", step.name, step.about);
        let begun = Instant::now();
        steps::measure(step, effort, &folder, &scratch)?.write(&folder)?;
        document::write(&folder)?;
        println!("   took {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

/// # Errors
/// What could not be read or written, in words.
pub fn document(arguments: &Document) -> Result<(), String> {
    document::write(&arguments.from.clone().unwrap_or_else(committed))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Step>, String> {
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let find = |name: &String| {
        let all: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        let step = STEPS.iter().find(|step| step.name == *name);
        step.ok_or_else(|| format!("there is no step `{name}`; steps: {}", all.join(", ")))
    };
    names.iter().map(find).collect()
}
