//! The life of the server, from the config to the last answer: load, start the shards, look after them, drain, end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::admin::{self, Admin};
use super::cores::Layout;
use super::owners::Owners;
use super::rules::Rules;
use super::shards::{Launch, Shards};
use super::{say, secret, sizes};
use crate::config::file::{self, File, Runtime};
use crate::config::plan::memory_plan;
use crate::config::{self, Loaded};
use crate::config::{DEFAULT_CONFIG, DEFAULT_CONFIG_NAME};
use crate::demo;
use crate::identity::Secret;
use crate::reactor::uring::Without;
use crate::ruleset::Ruleset;
use crate::shard::Plan;

/// How often whether the shards are all there is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long after the end of the drain shards have to end.
const GRACE: Duration = Duration::from_secs(1);

/// What to serve.
#[derive(Clone, Debug)]
pub enum Options {
    /// A config file, or the embedded default.
    Serve {
        config: Option<PathBuf>,
    },
    Demo(demo::Addresses),
}

/// What is to move the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reactor {
    /// Outranks the config.
    pub runtime: Option<Runtime>,
    /// What the main runtime does without, for measuring.
    pub without: Without,
}

/// A config, as it was written.
#[derive(Clone, Debug)]
pub struct ConfigText {
    pub name: String,
    pub text: String,
}

/// Serves until SIGTERM or SIGINT. SIGHUP reads the config file again.
pub fn run(options: &Options, reactor: Reactor) -> ExitCode {
    match run_control(options, reactor) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say::warning(fault);
            ExitCode::FAILURE
        }
    }
}

fn run_control(options: &Options, reactor: Reactor) -> Result<(), String> {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let served = tokio.block_on(serve(options, reactor));
    // What still waits for a name or for memory is not waited for.
    tokio.shutdown_background();
    served
}

impl ConfigText {
    /// The file's text, or the embedded default.
    ///
    /// # Errors
    /// Why the file can't be read.
    pub fn read(path: Option<&Path>) -> Result<ConfigText, String> {
        let Some(path) = path else {
            return Ok(ConfigText { name: DEFAULT_CONFIG_NAME.to_owned(), text: DEFAULT_CONFIG.to_owned() });
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        Ok(ConfigText { name, text })
    }

    /// # Errors
    /// All faults, drawn.
    pub fn load(&self) -> Result<Loaded, String> {
        config::load(&self.text, &self.name).map_err(|errors| {
            let drawn: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
            let faults = if drawn.len() == 1 { "fault" } else { "faults" };
            format!("{} can't be used: {} {faults}\n\n{}", self.name, drawn.len(), drawn.join("\n\n"))
        })
    }
}

async fn serve(options: &Options, reactor: Reactor) -> Result<(), String> {
    // Before anything else, so that no signal ends the process in the middle of its start.
    let mut signals = Signals::new().map_err(|error| format!("signals can't be taken: {error}"))?;
    let (text, page) = match options {
        Options::Serve { config } => (ConfigText::read(config.as_deref())?, None),
        Options::Demo(addresses) => {
            let demo = demo::start(*addresses).await.map_err(|error| format!("the demo can't start: {error}"))?;
            (ConfigText { name: "(demo config)".to_owned(), text: demo.config }, Some(demo.page))
        }
    };
    let loaded = text.load()?;
    let secret = secret::of(&loaded.file.server).map_err(|error| error.to_string())?;
    let (ruleset, file) = loaded.into_ruleset(&secret, 1);
    let mut owners = Owners::default();
    owners.take(&ruleset)?;
    let layout = Layout::of(&file.server);
    say::news(format_args!("pinion {}, {layout}", env!("CARGO_PKG_VERSION")));
    // What a demo's visitors want is over when it ends.
    let data_dir = matches!(options, Options::Serve { .. }).then(|| file.server.data_dir.clone());
    let plan = sizes::plan(&file, layout.shards())?;
    let pooled_max = plan.pooled_max();
    let starting = start(file.clone(), plan, data_dir, ruleset, layout, secret.clone(), reactor);
    let Some(started) = signals.unless_told_to_end(starting).await else {
        say::news("ended before it served");
        return Ok(());
    };
    let (rules, shards) = started?;
    let admin = Arc::new(Admin::new(shards.metrics.clone(), Arc::clone(&shards.opt_outs)));
    admin.set_partners(shards.partners.clone());
    let bound = admin::serve(file.server.admin, admin::router(Arc::clone(&admin))).await;
    let bound = bound.map_err(|error| format!("admin address {}: {error}", file.server.admin))?;
    if shards.runtime == Runtime::Glommio {
        say::news("runtime glommio");
    }
    for address in &shards.addresses {
        say::news(format_args!("serving http://{address}/event"));
    }
    say::news(format_args!("admin   http://{bound}/metrics"));
    if let Some(page) = page {
        say::news(format_args!("page    http://{page}/"));
    }
    let config = match options {
        Options::Serve { config } => config.clone(),
        Options::Demo(_) => None,
    };
    let server = file.server;
    Server { shards, rules, coming: None, admin, signals, secret, config, server, owners, pooled_max }.tend().await
}

async fn start(
    file: File,
    plan: Plan,
    data_dir: Option<PathBuf>,
    ruleset: Ruleset,
    layout: Layout,
    secret: Secret,
    reactor: Reactor,
) -> Result<(Rules, Shards), String> {
    let numbers = sizes::numbers(&plan);
    say::news(memory_plan(&numbers).trim_end());
    sizes::warning(&numbers).into_iter().for_each(say::warning);
    let rules = Rules::new(ruleset, Vec::new()).await;
    let launch = Launch {
        runtime: reactor.runtime.unwrap_or(file.server.runtime),
        ruleset: Arc::clone(&rules.ruleset),
        plan,
        listeners: file.server.listen.get_ref().clone(),
        cores: layout.cores,
        spin_ns: u64::from(file.server.spin_us) * 1_000,
        without: reactor.without,
        secret,
        entropy: secret::entropy().map_err(|error| format!("no random numbers: {error}"))?,
        data_dir,
        on_ready: None,
    };
    // Large tables take their time, in which signals are to be heard.
    let starting = tokio::task::spawn_blocking(move || {
        let shards = Shards::start(&launch, &|partner| rules.addresses(partner));
        shards.map(|shards| (rules, shards))
    });
    let started = starting.await.map_err(std::io::Error::from).flatten();
    started.map_err(|error| format!("can't serve: {error}"))
}

/// All that runs.
struct Server {
    shards: Shards,
    rules: Rules,
    /// What was read again, while it asks for its partners' addresses.
    coming: Option<Coming>,
    admin: Arc<Admin>,
    signals: Signals,
    secret: Secret,
    /// The file that SIGHUP reads again.
    config: Option<PathBuf>,
    server: file::Server,
    owners: Owners,
    /// Partner connections of one shard that a ruleset may come to.
    pooled_max: usize,
}

/// A config that is to be the next one.
struct Coming {
    rules: JoinHandle<Rules>,
    server: file::Server,
}

impl Server {
    /// Looks after running shards until a signal ends them.
    async fn tend(mut self) -> Result<(), String> {
        self.admin.shards_serve();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => break,
                _ = self.signals.interrupt.recv() => break,
                _ = self.signals.hangup.recv() => self.read_again(),
                (rules, server) = resolved(&mut self.coming) => self.take(rules, &server),
                change = self.rules.change() => self.shards.move_partner(change.partner, &change.addresses),
                _ = look.tick() => {
                    if self.shards.ended() > 0 {
                        // Whatever the others still could do: half a server is none. A supervisor starts it anew.
                        self.admin.drain();
                        self.shards.drain(0);
                        let fault = self.shards.join().err().map(|error| error.to_string());
                        return Err(fault.unwrap_or_else(|| "a shard ended by itself".to_owned()));
                    }
                }
            }
        }
        self.drain().await
    }

    /// The config file, read again. One with faults, or that moves ids between accounts, changes nothing.
    fn read_again(&mut self) {
        let Some(path) = &self.config else {
            say::warning("there is no config file to read again");
            return;
        };
        let epoch = self.rules.ruleset.epoch + 1;
        let read = ConfigText::read(Some(path)).and_then(|text| {
            let (ruleset, file) = text.load()?.into_ruleset(&self.secret, epoch);
            self.owners.take(&ruleset)?;
            Ok((ruleset, file))
        });
        match read {
            Ok((ruleset, file)) => {
                self.warn_of_pools(&ruleset);
                let rules = tokio::spawn(Rules::new(ruleset, self.rules.names()));
                // Names may take long. One that still waits for them is given up for this one.
                self.coming = Some(Coming { rules, server: file.server });
            }
            Err(fault) => {
                self.admin.totals.reloads_failed.increment();
                say::warning(format_args!("the config in use stays.\n{fault}"));
            }
        }
    }

    /// Takes a config into use, but for what is fixed.
    fn take(&mut self, rules: Rules, server: &file::Server) {
        self.coming = None;
        self.rules = rules;
        self.shards.load(&self.rules.ruleset, &|partner| self.rules.addresses(partner));
        self.admin.set_partners(self.shards.partners.clone());
        self.admin.totals.reloads.increment();
        self.server.drain_s = server.drain_s;
        say::news(format_args!("config read again: ruleset {}", self.rules.ruleset.epoch));
        let fixed = self.server.fixed_that_differ(server);
        if !fixed.is_empty() {
            let keys = fixed.join(", ");
            say::warning(format_args!("[server] {keys}: what changed there waits for the next start"));
        }
    }

    /// Places for connections were counted at start.
    fn warn_of_pools(&self, ruleset: &Ruleset) {
        let pooled: usize = ruleset.partners.iter().map(|partner| partner.pool.connections_max).sum();
        if pooled > self.pooled_max {
            let pooled_max = self.pooled_max;
            say::warning(format_args!(
                "partners' `max_connections` come to {pooled}, and each core has room for {pooled_max} since the \
                 start: beyond that, lookups are skipped until the next one"
            ));
        }
    }

    /// Lets what is under way be answered, and ends.
    async fn drain(mut self) -> Result<(), String> {
        self.admin.drain();
        let patience = Duration::from_secs(self.server.drain_s.into());
        say::news(format_args!("draining, for at most {} s", patience.as_secs()));
        self.shards.drain(patience.as_nanos() as u64);
        let all_ended = async {
            while self.shards.ended() < self.shards.count() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(patience + GRACE, all_ended).await.is_err() {
            say::warning("shards had to be left behind: they did not end in time");
            return Ok(());
        }
        let metrics = self.shards.metrics.clone();
        self.shards.join().map_err(|error| error.to_string())?;
        let cut: u64 = metrics.iter().map(|metrics| metrics.connections_cut.value()).sum();
        if cut > 0 {
            say::warning(format_args!("time to drain ran out: {cut} connections were cut with an answer due"));
        }
        Ok(())
    }
}

/// Waits until a config that was read again knows its partners' addresses.
async fn resolved(coming: &mut Option<Coming>) -> (Rules, file::Server) {
    let Some(Coming { rules, server }) = coming else { return std::future::pending().await };
    (rules.await.expect("asking for names neither panics nor is given up while this waits"), server.clone())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// What comes of `work`, or `None` when a signal to end comes first.
    async fn unless_told_to_end<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
            done = work => Some(done),
        }
    }
}
