//! One run: the generator on its core, the target on its own, and what came of it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pinion::reactor::mailbox::mesh;
use pinion::reactor::uring::{Config, Uring};

use crate::bare::{Bare, Besides};
use crate::engine::{Engine, Outcome, Pace, Progress, Slots};
use crate::host::{CoreTime, Cores, Disturbance, Host, StealMeter};
use crate::progress::Bar;
use crate::scenario::{Mix, Partner, PhaseKind, Player, Scenario};
use crate::simulator::{self, Profile, Simulator};
use crate::target::{Kind, Target};
use crate::verdict::{Evidence, Verdict};

/// How often the watcher looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long the generator looks for its own limit.
const CALIBRATION_NS: u64 = 1_000_000_000;
const CALIBRATION_CONNECTIONS: u32 = 64;
const FILL_PIPELINE: u32 = 8;

/// A server that is stopped for a while again and again, to see whether anyone notices.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    pub length: Duration,
    pub every: Duration,
}

/// What one run needs beside its scenario.
#[derive(Clone, Debug)]
pub struct Setting {
    pub cores: Cores,
    pub generator_rate: Option<f64>,
    pub stall: Option<Stall>,
    pub is_quiet: bool,
    pub pace: Pace,
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Run {
    pub scenario: Scenario,
    pub target: String,
    pub host: Host,
    pub outcome: Outcome,
    pub evidence: Evidence,
    pub verdict: Verdict,
    pub stall: Option<Stall>,
}

impl Run {
    pub fn achieved_rate(&self) -> f64 {
        self.outcome.achieved as f64 / (self.outcome.measured_ns as f64 / 1e9)
    }
}

/// Where runs leave what is not to be kept: beside this crate's sources, wherever it was called from.
pub fn results_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

/// Runs the scenario once, its target freshly started.
///
/// # Errors
/// What kept it from running, in words.
pub fn run(scenario: &Scenario, kind: &Kind, setting: &Setting, folder: &Path) -> Result<Run, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let progress = Arc::new(Progress::default());
    let generator = Generator::start(scenario, setting.cores.generator, Arc::clone(&progress))?;
    // The generator plays the others; simulators end with the run.
    let simulators = simulators(scenario, setting.cores.generator)?;
    let desk = generator.desk;
    let partners: Vec<_> = simulators.iter().map(|one| one.as_ref().map_or(desk, |one| one.address)).collect();
    let target = Target::start(kind, scenario, &setting.cores, &partners, folder)?;
    attend(generator, progress, &target, scenario, kind, setting)
}

/// Runs the scenario, whose partners nobody plays, once against a target that was started before.
///
/// # Errors
/// What kept it from running, in words.
pub fn run_on(target: &Target, scenario: &Scenario, kind: &Kind, setting: &Setting) -> Result<Run, String> {
    let progress = Arc::new(Progress::default());
    let generator = Generator::start(scenario, setting.cores.generator, Arc::clone(&progress))?;
    attend(generator, progress, target, scenario, kind, setting)
}

/// From the first request to the last.
fn attend(
    generator: Generator,
    progress: Arc<Progress>,
    target: &Target,
    scenario: &Scenario,
    kind: &Kind,
    setting: &Setting,
) -> Result<Run, String> {
    let host = Host::read(&setting.cores);
    let mut watch = Watch::new(scenario, target, &progress);
    let bar = Bar::new(scenario, setting.is_quiet);
    let steal = StealMeter::start(&setting.cores);
    let staller = setting.stall.map(|stall| Staller::start(stall, &target.pids));
    let _ = generator.begin.send((target.address, setting.pace));
    while !generator.thread.is_finished() {
        thread::sleep(LOOK);
        watch.look();
        bar.show(&progress);
    }
    bar.clear();
    drop(staller);
    let disturbance = Disturbance { steal: steal.end(), waited: watch.waited() };
    let outcome = generator.thread.join().map_err(|_| "the generator panicked".to_owned())??;
    let evidence = Evidence {
        rate: scenario.rate_max(),
        generator_rate: setting.generator_rate,
        disturbance,
        cpu_per_request_ns: watch.cpu_per_request_ns(),
        memory_bytes: watch.memory_bytes(),
    };
    let verdict = Verdict::of(&scenario.budgets, &outcome, &evidence);
    let (scenario, target, stall) = (scenario.clone(), kind.name(), setting.stall);
    Ok(Run { scenario, target, host, outcome, evidence, verdict, stall })
}

/// By partner: the simulator that plays it, if one does.
fn simulators(scenario: &Scenario, core: Option<usize>) -> Result<Vec<Option<Simulator>>, String> {
    let play = |partner: &Partner| {
        if partner.by != Player::Simulator {
            return Ok(None);
        }
        let fault = |error: String| format!("partner {}: {error}", partner.name);
        let text = toml::to_string(&partner.profile.clone().unwrap_or_default()).map_err(|error| error.to_string());
        let profile = Profile::from_toml(&text.map_err(fault)?).map_err(fault)?;
        simulator::start(&profile, core).map(Some).map_err(|error| fault(error.to_string()))
    };
    scenario.partners.iter().map(play).collect()
}

/// The highest rate of the generator itself: as fast as it goes, against a server that only answers a constant.
///
/// # Errors
/// What kept it from running, in words.
pub fn calibrate(scenario: &Scenario, cores: &Cores) -> Result<f64, String> {
    let mut scenario = scenario.clone();
    scenario.partners.clear();
    scenario.connections = scenario.connections.min(CALIBRATION_CONNECTIONS);
    scenario.requests_per_connection = 0;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let bare =
        Bare::start(listen, cores.server.first().copied(), Besides::Nothing).map_err(|error| error.to_string())?;
    let outcome = offer(&scenario, bare.address, Pace::Closed { ns: CALIBRATION_NS }, cores.generator)?;
    Ok(outcome.answered_total as f64 / (CALIBRATION_NS as f64 / 1e9))
}

/// Lets each visitor come once, one after the other, as fast as the target takes them.
///
/// # Errors
/// What kept it from running, or how many had no answer.
pub fn fill(scenario: &Scenario, target: SocketAddr, core: Option<usize>) -> Result<(), String> {
    let mut scenario = scenario.clone();
    scenario.mix = Mix { server: 1.0, ..Mix::default() };
    scenario.population.in_turn = true;
    (scenario.connections, scenario.pipeline) = (CALIBRATION_CONNECTIONS, FILL_PIPELINE);
    let outcome = offer(&scenario, target, Pace::Count { requests: scenario.population.visitors }, core)?;
    let failed = outcome.faults.total();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} visitors had no answer: {:?}", outcome.faults)) }
}

/// Offers the scenario to whatever is at an address.
///
/// # Errors
/// What kept it from running, in words.
pub fn offer(scenario: &Scenario, target: SocketAddr, pace: Pace, core: Option<usize>) -> Result<Outcome, String> {
    let generator = Generator::start(scenario, core, Arc::default())?;
    let _ = generator.begin.send((target, pace));
    generator.thread.join().map_err(|_| "the generator panicked".to_owned())?
}

/// The generator's thread. It listens for lookups before there is a server, and is told later where that is.
struct Generator {
    desk: SocketAddr,
    begin: Sender<(SocketAddr, Pace)>,
    thread: JoinHandle<Result<Outcome, String>>,
}

impl Generator {
    fn start(scenario: &Scenario, core: Option<usize>, progress: Arc<Progress>) -> Result<Generator, String> {
        let scenario = scenario.clone();
        let (tell, told) = mpsc::channel();
        let (begin, begins) = mpsc::channel();
        let work = move || generate(&scenario, core, progress, &tell, &begins);
        let thread = thread::Builder::new().name("generator".to_owned()).spawn(work).map_err(|e| e.to_string())?;
        match told.recv() {
            Ok(desk) => Ok(Generator { desk, begin, thread }),
            Err(_) => match thread.join() {
                Ok(Err(fault)) => Err(fault),
                _ => Err("the generator did not start".to_owned()),
            },
        }
    }
}

fn generate(
    scenario: &Scenario,
    core: Option<usize>,
    progress: Arc<Progress>,
    tell: &Sender<SocketAddr>,
    begins: &Receiver<(SocketAddr, Pace)>,
) -> Result<Outcome, String> {
    let words = |error: io::Error| format!("the generator: {error}");
    let (mut endpoints, _control) = mesh::<()>(1, 8).map_err(words)?;
    let endpoint = endpoints.pop().ok_or("no mailbox")?;
    let slots = Slots::of(scenario);
    let config = Config {
        core,
        listeners: vec![([127, 0, 0, 1], 0).into()],
        connections_max: slots.clients,
        outgoing_max: slots.outgoing,
        receive_buffers: 4_096,
        receive_buffer_bytes: 4_096,
        // It never sleeps: a timer's wake-up is too late for what is measured.
        spin_ns: 1_000_000_000,
        ..Config::default()
    };
    let mut uring = Uring::new(&config, endpoint).map_err(words)?;
    let _ = tell.send(uring.addresses().map_err(words)?[0]);
    // Nobody begins when the target did not start.
    let (target, pace) = begins.recv().map_err(|_| "there was nothing to do")?;
    let mut engine = Engine::new(scenario, target, pace, slots, progress);
    uring.run(&mut engine).map_err(words)?;
    engine.into_outcome()
}

/// Reads what the server uses while it is measured.
struct Watch<'a> {
    target: &'a Target,
    progress: &'a Progress,
    from_ns: u64,
    to_ns: u64,
    first: Option<Sample>,
    last: Option<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    answered: u64,
    at_ns: u64,
    core_time: Option<CoreTime>,
    memory_bytes: Option<u64>,
}

impl<'a> Watch<'a> {
    fn new(scenario: &Scenario, target: &'a Target, progress: &'a Progress) -> Watch<'a> {
        let seconds = |count: usize| scenario.phases.iter().take(count).map(|phase| phase.seconds).sum::<f64>();
        let is_measured = |kind: PhaseKind| kind.is_measured();
        let first = scenario.phases.iter().position(|phase| is_measured(phase.kind)).unwrap_or(0);
        let last = scenario.phases.iter().rposition(|phase| is_measured(phase.kind)).unwrap_or(0);
        let (from_ns, to_ns) = ((seconds(first) * 1e9) as u64, (seconds(last + 1) * 1e9) as u64);
        Watch { target, progress, from_ns, to_ns, first: None, last: None }
    }

    fn look(&mut self) {
        let at_ns = self.progress.elapsed_ns.load(Ordering::Relaxed);
        if at_ns == 0 || at_ns < self.from_ns || (at_ns > self.to_ns && self.last.is_some()) {
            return;
        }
        let sample = Sample {
            answered: self.progress.answered.load(Ordering::Relaxed),
            at_ns,
            core_time: self.target.core_time(),
            memory_bytes: self.target.memory_bytes(),
        };
        self.first.get_or_insert(sample);
        self.last = Some(sample);
    }

    fn cpu_per_request_ns(&self) -> Option<f64> {
        let (first, last) = (self.first?, self.last?);
        let requests = last.answered.checked_sub(first.answered).filter(|requests| *requests > 0)?;
        Some(last.core_time?.used_ns.saturating_sub(first.core_time?.used_ns) as f64 / requests as f64)
    }

    /// Of all the time, how much the server's threads waited for a core.
    fn waited(&self) -> Option<f64> {
        let (first, last) = (self.first?, self.last?);
        let elapsed_ns = last.at_ns.checked_sub(first.at_ns).filter(|elapsed_ns| *elapsed_ns > 0)?;
        let waited_ns = last.core_time?.waited_ns?.saturating_sub(first.core_time?.waited_ns?);
        Some(waited_ns as f64 / elapsed_ns as f64)
    }

    fn memory_bytes(&self) -> Option<(u64, u64)> {
        Some((self.first?.memory_bytes?, self.last?.memory_bytes?))
    }
}

/// Stops processes now and then for a moment, as a page fault or a garbage collection would.
struct Staller {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Staller {
    fn start(stall: Stall, pids: &[u32]) -> Staller {
        let stop = Arc::new(AtomicBool::new(false));
        let (pids, stopped) = (pids.to_vec(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(stall.every.saturating_sub(stall.length));
                pids.iter().for_each(|pid| signal(*pid, libc::SIGSTOP));
                thread::sleep(stall.length);
                pids.iter().for_each(|pid| signal(*pid, libc::SIGCONT));
            }
        });
        Staller { stop, thread: Some(thread) }
    }
}

impl Drop for Staller {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn signal(pid: u32, number: libc::c_int) {
    // SAFETY: touches no memory of ours. The process is a child of ours that is not waited for yet, so its number is
    // still its own.
    unsafe { libc::kill(pid as libc::pid_t, number) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bare;
    use crate::scenario::{Arrivals, Phase};

    /// A stand-in that stops for 20 ms, five times a second: a tenth of all visitors find it standing still.
    fn stalling() -> Bare {
        let stall = bare::Stall { every_ns: 200_000_000, ns: 20_000_000 };
        Bare::start(([127, 0, 0, 1], 0).into(), None, Besides::Stalls(stall)).unwrap()
    }

    fn scenario(connections: u32) -> Scenario {
        let steady = Phase { kind: PhaseKind::Steady, seconds: 2.0, share: 1.0, from: 0.0, partner: None };
        Scenario {
            rate: 500.0,
            arrivals: Arrivals::Constant,
            connections,
            partners: Vec::new(),
            phases: vec![steady],
            ..Scenario::load("smoke").unwrap()
        }
    }

    #[test]
    fn a_stall_shows_in_the_open_loop_and_hides_from_a_closed_one() {
        let bare = stalling();
        let open = offer(&scenario(1), bare.address, Pace::Schedule, None).unwrap();
        assert_eq!(open.faults.total(), 0, "{:?}", open.faults);
        assert!((998..=1_000).contains(&open.answered), "{}", open.answered);
        let ms =
            |histogram: &hdrhistogram::Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        // One in ten was due during a stall; half of those waited for more than half of it.
        assert!(ms(&open.response, 0.97) > 8.0, "response p97 {} ms", ms(&open.response, 0.97));
        // On one connection, one request in a hundred is on its way when the stall begins; the others wait unsent.
        assert!(ms(&open.service, 0.97) < 8.0, "service p97 {} ms", ms(&open.service, 0.97));

        let closed = offer(&scenario(1), bare.address, Pace::Closed { ns: 2_000_000_000 }, None).unwrap();
        assert!(closed.answered_total > 1_000, "{}", closed.answered_total);
        assert!(ms(&closed.response, 0.97) < 8.0, "closed p97 {} ms", ms(&closed.response, 0.97));
    }

    #[test]
    fn a_stall_fails_the_budget_that_holds_without_it() {
        let judge = |bare: &Bare| {
            let scenario = scenario(50);
            let outcome = offer(&scenario, bare.address, Pace::Schedule, None).unwrap();
            let budgets = ["p95 <= 8 ms".parse().unwrap()];
            let disturbance = Disturbance::default();
            let (rate, generator_rate, cpu_per_request_ns, memory_bytes) = (500.0, None, None, None);
            let evidence = Evidence { rate, generator_rate, disturbance, cpu_per_request_ns, memory_bytes };
            // 1,000 requests are too few for p95's 2,000: count them twice, which moves no percentile.
            let mut doubled = outcome.clone();
            doubled.response.add(&outcome.response).unwrap();
            Verdict::of(&budgets, &doubled, &evidence).lines[0].passes
        };
        assert!(!judge(&stalling()));
        // On a machine that others use, any single run may be disturbed.
        let healthy = Bare::start(([127, 0, 0, 1], 0).into(), None, Besides::Nothing).unwrap();
        assert!((0..3).any(|_| judge(&healthy)));
    }

    #[test]
    fn connections_that_change_and_pipelines_lose_nothing() {
        let bare = Bare::start(([127, 0, 0, 1], 0).into(), None, Besides::Nothing).unwrap();
        let churn = Scenario { requests_per_connection: 5, ..scenario(20) };
        let outcome = offer(&churn, bare.address, Pace::Schedule, None).unwrap();
        assert_eq!(outcome.faults.total(), 0, "{:?}", outcome.faults);
        assert!(outcome.answered >= 998 && outcome.reconnects > 100, "{} {}", outcome.answered, outcome.reconnects);
        let pipeline = Scenario { pipeline: 8, rate: 2_000.0, ..scenario(2) };
        let outcome = offer(&pipeline, bare.address, Pace::Schedule, None).unwrap();
        assert_eq!((outcome.faults.total(), outcome.answered >= 3_998), (0, true), "{:?}", outcome.faults);
    }

    #[test]
    fn a_target_that_is_not_there_is_told_of() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // The time it takes to give up is the engine's; a target that refuses is not waited for so long.
        assert!(offer(&scenario(2), nobody, Pace::Schedule, None).unwrap_err().contains("connections"));
    }
}
