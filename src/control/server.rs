//! The life of the server, from the config to the last answer: load, start the shards, look after them, drain, end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::admin::{self, Admin};
use super::cores::Layout;
use super::rules::Rules;
use super::shards::{Launch, Shards};
use super::{say, secret, sizes};
use crate::config::file::{File, Runtime};
use crate::config::plan::memory_plan;
use crate::config::{self, Loaded};
use crate::config::{DEFAULT_CONFIG, DEFAULT_CONFIG_NAME};
use crate::demo;
use crate::identity::Secret;
use crate::reactor::uring::Without;

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
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|tokio| tokio.block_on(serve(options, reactor)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say::warning(fault);
            ExitCode::FAILURE
        }
    }
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
    let signals = Signals::new().map_err(|error| format!("signals can't be taken: {error}"))?;
    let (text, page) = match options {
        Options::Serve { config } => (ConfigText::read(config.as_deref())?, None),
        Options::Demo(addresses) => {
            let demo = demo::start(*addresses).await.map_err(|error| format!("the demo can't start: {error}"))?;
            (ConfigText { name: "(demo config)".to_owned(), text: demo.config }, Some(demo.page))
        }
    };
    let loaded = text.load()?;
    let secret = secret::of(&loaded.file.server).map_err(|error| error.to_string())?;
    let (ruleset, mut file) = loaded.into_ruleset(&secret, 1);
    file.server.runtime = reactor.runtime.unwrap_or(file.server.runtime);
    let rules = Rules::new(ruleset).await;
    let layout = Layout::of(&file.server);
    say::news(format_args!("pinion {}, {layout}", env!("CARGO_PKG_VERSION")));
    // What a demo's visitors want is over when it ends.
    let data_dir = matches!(options, Options::Serve { .. }).then(|| file.server.data_dir.clone());
    let shards = start(&file, data_dir, &rules, &layout, &secret, reactor.without)?;
    let admin = Arc::new(Admin::new(shards.metrics.clone(), Arc::clone(&shards.opt_outs)));
    admin.set_partners(rules.partner_names());
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
    Server { shards, rules, admin, signals, secret, config, file }.tend().await
}

fn start(
    file: &File,
    data_dir: Option<PathBuf>,
    rules: &Rules,
    layout: &Layout,
    secret: &Secret,
    without: Without,
) -> Result<Shards, String> {
    let plan = sizes::plan(file, layout.shards());
    say::news(memory_plan(&sizes::numbers(&plan)).trim_end());
    let launch = Launch {
        runtime: file.server.runtime,
        ruleset: Arc::clone(&rules.ruleset),
        plan,
        listeners: file.server.listen.get_ref().clone(),
        cores: layout.cores.clone(),
        spin_ns: u64::from(file.server.spin_us) * 1_000,
        without,
        secret: secret.clone(),
        entropy: secret::entropy().map_err(|error| format!("no random numbers: {error}"))?,
        data_dir,
        on_ready: None,
    };
    Shards::start(&launch, &|partner| rules.addresses(partner)).map_err(|error| format!("can't serve: {error}"))
}

/// All that runs.
struct Server {
    shards: Shards,
    rules: Rules,
    admin: Arc<Admin>,
    signals: Signals,
    secret: Secret,
    /// The file that SIGHUP reads again.
    config: Option<PathBuf>,
    file: File,
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
                _ = self.signals.hangup.recv() => self.reload().await,
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

    /// The config file, read again. A file with faults changes nothing.
    async fn reload(&mut self) {
        let Some(path) = &self.config else {
            say::warning("there is no config file to read again");
            return;
        };
        match ConfigText::read(Some(path)).and_then(|text| text.load()) {
            Ok(loaded) => {
                let epoch = self.rules.ruleset.epoch + 1;
                let (ruleset, _) = loaded.into_ruleset(&self.secret, epoch);
                self.rules = Rules::new(ruleset).await;
                self.shards.load(&self.rules.ruleset, &|partner| self.rules.addresses(partner));
                self.admin.set_partners(self.rules.partner_names());
                say::news(format_args!("config read again: ruleset {epoch}. Ports, cores and sizes stay as they are"));
            }
            Err(fault) => say::warning(format_args!("the config in use stays.\n{fault}")),
        }
    }

    /// Lets what is under way be answered, and ends.
    async fn drain(mut self) -> Result<(), String> {
        self.admin.drain();
        let patience = Duration::from_secs(self.file.server.drain_s.into());
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
        self.shards.join().map_err(|error| error.to_string())
    }
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
}
