//! The command line, and nothing else.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a command line talks to a person")]

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand};
use loadtest::benchmarks;
use loadtest::engine::Pace;
use loadtest::host::{Cores, Priority};
use loadtest::run::{Run, Setting, Stall};
use loadtest::scenario::{SUITES, Scenario};
use loadtest::target::Kind;
use loadtest::verdict::Budget;
use loadtest::versus::{Comparison, PAIRS, Pair};
use loadtest::{find_max, peers, report, run, simulator, standard};

/// Offers load to a pinion server without waiting for its answers, and holds the latencies against budgets.
///
/// Exit codes: 0 all budgets held, 1 one did not, 2 it could not run, 3 the machine or the generator was in the way
/// (SATURATED), so that the run proves nothing.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a suite, or a scenario from a file.
    Run(RunArguments),
    /// List the suites.
    List,
    /// Print the server's config of a suite or scenario.
    Config {
        scenario: String,
    },
    Simulate(simulator::command::Arguments),
    Peer(peers::command::Arguments),
    Bench(benchmarks::command::Bench),
    Document(benchmarks::command::Document),
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// A suite's name, or a TOML file.
    scenario: String,
    /// Requests a second, instead of the scenario's.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds that are measured, instead of the scenario's.
    #[arg(long)]
    seconds: Option<f64>,
    /// What must hold, instead of the scenario's budgets; may be given several times.
    #[arg(long = "budget", value_name = "BUDGET")]
    budgets: Vec<Budget>,
    /// Whom to offer it to: pinion (started here), uring, glommio, without-FEATURE, bare, bare-matcher, or an ADDRESS
    /// where something answers.
    #[arg(long, default_value = "pinion")]
    target: String,
    /// Find the highest rate at which all budgets hold.
    #[arg(long, conflicts_with = "versus")]
    find_max: bool,
    /// Compare with a peer in turns: uring, glommio, without-FEATURE, bare, bare-matcher, nginx-empty-gif, nginx-lua,
    /// hyper, or an ADDRESS.
    #[arg(long, value_name = "PEER")]
    versus: Option<String>,
    /// Leave the scenario's partners out: the job without lookups.
    #[arg(long)]
    without_lookups: bool,
    /// Stop the server for so many milliseconds, again and again: a run that passes all the same sees nothing.
    #[arg(long, value_name = "MS")]
    stall_ms: Option<u64>,
    /// How often.
    #[arg(long, value_name = "MS", default_value_t = 4, requires = "stall_ms")]
    stall_every_ms: u64,
    /// Where results go, in a folder of the scenario's name.
    #[arg(long, value_name = "FOLDER")]
    results: Option<PathBuf>,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => offer(&arguments),
        Command::List => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Config { scenario } => config(&scenario),
        Command::Simulate(arguments) => simulator::command::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Peer(arguments) => peers::command::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Bench(arguments) => benchmarks::command::bench(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Document(arguments) => benchmarks::command::document(&arguments).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|fault| {
        eprintln!("loadtest: {fault}");
        ExitCode::from(2)
    })
}

fn offer(arguments: &RunArguments) -> Result<ExitCode, String> {
    let _priority = Priority::raise();
    let scenario = scenario(arguments)?;
    let kind = Kind::parse(&arguments.target)?;
    let folder = results(arguments).join(&scenario.name);
    let cores = Cores::share(scenario.server.shards);
    if cores.generator.is_none() {
        eprintln!("loadtest: there are too few cores to pin server and generator apart; expect SATURATED");
    }
    let stall = arguments
        .stall_ms
        .map(|ms| Stall { length: Duration::from_millis(ms), every: Duration::from_millis(arguments.stall_every_ms) });
    let generator_rate = Some(run::calibrate(&scenario, &cores)?);
    let setting = Setting { cores, generator_rate, stall, is_quiet: arguments.quiet, pace: Pace::Schedule };
    if arguments.find_max {
        return highest_rate(&scenario, &kind, &setting, &folder);
    }
    if let Some(peer) = &arguments.versus {
        return compare(&scenario, &kind, &Kind::parse(peer)?, &setting, &folder);
    }
    let done = undisturbed(&scenario, &kind, &setting, &folder)?;
    println!("{}", report::summary::table(&done));
    println!("written to {}", folder.display());
    Ok(code(&done))
}

/// Runs, and runs again when the machine was in the way.
fn undisturbed(scenario: &Scenario, kind: &Kind, setting: &Setting, folder: &Path) -> Result<Run, String> {
    let mut tries_left = scenario.retries;
    loop {
        let at = SystemTime::now();
        let done = run::run(scenario, kind, setting, folder)?;
        report::write(&done, folder, at)?;
        if tries_left == 0 || !done.verdict.is_worth_a_retry() {
            return Ok(done);
        }
        tries_left -= 1;
        let reasons: Vec<&str> = done.verdict.saturated.iter().map(|reason| reason.text.as_str()).collect();
        eprintln!("loadtest: once more, for the machine was in the way: {}", reasons.join("; "));
    }
}

fn highest_rate(scenario: &Scenario, kind: &Kind, setting: &Setting, folder: &Path) -> Result<ExitCode, String> {
    println!("{:>12}{:>12}{:>12}{:>12}  verdict", "rate", "p50", "p99", "cpu");
    let tell = |point: &find_max::Point| {
        let time = |ns: f64| loadtest::verdict::format_ns(ns);
        let cpu = point.cpu_per_request_ns.map_or("-".to_owned(), time);
        let (p50, p99) = (time(point.p50_ns as f64), time(point.p99_ns as f64));
        println!("{:>10.0}/s{p50:>12}{p99:>12}{cpu:>12}  {}", point.rate, point.verdict);
    };
    let curve = find_max::find(scenario, |scenario| run::run(scenario, kind, setting, folder), tell)?;
    curve.write(scenario, folder)?;
    println!("\nall budgets hold up to {:.0}/s; above: {}", curve.rate_max, curve.limit);
    println!("written to {}", folder.display());
    Ok(if curve.rate_max > 0.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(
    scenario: &Scenario,
    ours: &Kind,
    theirs: &Kind,
    setting: &Setting,
    folder: &Path,
) -> Result<ExitCode, String> {
    let mut comparison = Comparison { pairs: Vec::new() };
    for number in 1..=PAIRS {
        let turn = |kind: &Kind, name: &str| {
            let (folder, at) = (folder.join(format!("{name}-{number}")), SystemTime::now());
            let done = run::run(scenario, kind, setting, &folder)?;
            report::write(&done, &folder, at).map(|()| done)
        };
        let ours = turn(ours, "ours")?;
        comparison.pairs.push(Pair::of(&ours, &turn(theirs, "theirs")?));
    }
    let json = serde_json::to_string_pretty(&comparison).map_err(|error| error.to_string())?;
    report::put(folder, "versus.json", json.as_bytes())?;
    println!("{}written to {}", comparison.table(), folder.display());
    Ok(ExitCode::SUCCESS)
}

fn code(run: &Run) -> ExitCode {
    match (run.verdict.saturated.is_empty(), run.verdict.lines.iter().all(|line| line.passes)) {
        (_, false) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(3),
        (true, true) => ExitCode::SUCCESS,
    }
}

fn scenario(arguments: &RunArguments) -> Result<Scenario, String> {
    let mut scenario = Scenario::load(&arguments.scenario)?;
    scenario.rate = arguments.rate.unwrap_or(scenario.rate);
    if let Some(seconds) = arguments.seconds {
        scenario.stretch(seconds);
    }
    if arguments.without_lookups {
        scenario.without_lookups();
    }
    if !arguments.budgets.is_empty() {
        scenario.budgets.clone_from(&arguments.budgets);
    }
    scenario.check()?;
    Ok(scenario)
}

fn results(arguments: &RunArguments) -> PathBuf {
    arguments.results.clone().unwrap_or_else(run::results_folder)
}

fn list() {
    for (name, _) in SUITES {
        match Scenario::load(name) {
            Ok(scenario) => println!("{name:<10} {:>5.0} s  {}", scenario.seconds(), scenario.about),
            Err(fault) => println!("{name:<10} {fault}"),
        }
    }
}

fn config(name: &str) -> Result<ExitCode, String> {
    let scenario = Scenario::load(name)?;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let cores = Cores::share(scenario.server.shards);
    let partners = vec![nobody; scenario.partners.len()];
    let text = standard::config(&scenario, &cores.server, &partners, Path::new("pinion-load"));
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads the beginning alone has what they want.
        Err(fault) if fault.kind() != ErrorKind::BrokenPipe => Err(fault.to_string()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
