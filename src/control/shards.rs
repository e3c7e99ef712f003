//! The shards' threads: started here, told what changes, and joined at the end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use super::opt_outs::{Keeper, Log};
use super::post::Post;
use super::say;
use crate::config::file::Runtime;
use crate::identity::{OptOut, Secret};
use crate::ids::{PartnerId, PartnerIndex, ShardId};
use crate::metrics::{OptOutMetrics, PartnerCounts, PartnerMetrics, ShardMetrics};
use crate::reactor::mailbox::{Endpoint, mesh};
use crate::reactor::{clocks, glommio, listener, open_files, uring};
use crate::ruleset::Ruleset;
use crate::shard::{Epoch, Message, Plan, RING_MESSAGES, Setup, Shard};

/// Open files of the process beside the shards': its streams, the admin port and its clients, the log, name look-ups.
const OTHER_FILES: u64 = 64;

/// What shards are started with.
#[derive(Clone, Debug)]
pub struct Launch {
    /// `Auto`: the main one, or where the kernel lacks what it needs, glommio.
    pub runtime: Runtime,
    pub ruleset: Arc<Ruleset>,
    pub plan: Plan,
    /// Port 0: the kernel chooses one, the same for all shards.
    pub listeners: Vec<SocketAddr>,
    /// The core of each shard; `None`: wherever the kernel likes.
    pub cores: Vec<Option<usize>>,
    pub spin_ns: u64,
    /// What the main runtime does without, for measuring.
    pub without: uring::Without,
    pub secret: Secret,
    pub entropy: [u8; 32],
    /// The folder where opt-outs are kept; `None`: they end with the process.
    pub data_dir: Option<PathBuf>,
    /// Called on each shard's thread when it has allocated all that it ever will.
    pub on_ready: Option<fn(ShardId)>,
}

/// Shards at work.
#[derive(Debug)]
pub struct Shards {
    post: Post,
    threads: Vec<JoinHandle<io::Result<()>>>,
    pub metrics: Vec<Arc<ShardMetrics>>,
    /// What they count of the partners of the latest ruleset, in its order.
    pub partners: Vec<PartnerCounts>,
    pub opt_outs: Arc<OptOutMetrics>,
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    /// What they run on; not `Auto`.
    pub runtime: Runtime,
}

impl Shards {
    /// Starts one thread for each shard and returns when all accept clients.
    ///
    /// # Errors
    /// An address in use, or what kept the first shard that failed: io_uring refused, too few open files.
    pub fn start(launch: &Launch, addresses: &dyn Fn(PartnerIndex) -> Box<[SocketAddr]>) -> io::Result<Shards> {
        listener::check_unused(&launch.listeners)?;
        if launch.runtime != Runtime::Auto {
            return Shards::start_on(launch.runtime, launch, addresses);
        }
        match Shards::start_on(Runtime::Uring, launch, addresses) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                say::warning(format_args!("{error}; until then, the second runtime serves"));
                Shards::start_on(Runtime::Glommio, launch, addresses)
            }
            started => started,
        }
    }

    fn start_on(
        runtime: Runtime,
        launch: &Launch,
        addresses: &dyn Fn(PartnerIndex) -> Box<[SocketAddr]>,
    ) -> io::Result<Shards> {
        if runtime == Runtime::Glommio {
            let slots = (launch.plan.clients_max + launch.plan.upstreams_max) as u64;
            open_files::allow(u64::from(launch.plan.shards) * (slots + glommio::OWN_FILES) + OTHER_FILES)?;
        }
        let (endpoints, mailbox) = mesh(launch.plan.shards.into(), RING_MESSAGES)?;
        let mut plan = launch.plan;
        let (opt_outs, post) = keep_opt_outs(launch, &mut plan, mailbox)?;
        let listeners = launch.listeners.clone();
        let kept = post.metrics();
        let (threads, metrics) = (Vec::new(), Vec::new());
        let partners = counted(&launch.ruleset, &[], plan.shards);
        let mut shards = Shards { post, threads, metrics, partners, opt_outs: kept, addresses: listeners, runtime };
        for endpoint in endpoints {
            let metrics = Arc::new(ShardMetrics::default());
            let setup = Setup {
                id: endpoint.id(),
                plan,
                epoch: Box::new(Epoch::new(&launch.ruleset, addresses, metrics_of(&shards.partners, endpoint.id()))),
                metrics: Arc::clone(&metrics),
                secret: launch.secret.clone(),
                entropy: launch.entropy,
                opt_outs: Arc::clone(&opt_outs),
            };
            if let Err(error) = shards.start_one(launch, endpoint, setup, metrics) {
                shards.drain(0);
                let _ = shards.join();
                return Err(error);
            }
        }
        Ok(shards)
    }

    /// One after the other, so that all listen on the port that the first one got.
    fn start_one(
        &mut self,
        launch: &Launch,
        endpoint: Endpoint<Message>,
        setup: Setup,
        metrics: Arc<ShardMetrics>,
    ) -> io::Result<()> {
        let id = endpoint.id();
        let place = Place {
            runtime: self.runtime,
            core: launch.cores.get(usize::from(id.0)).copied().flatten(),
            listeners: self.addresses.clone(),
            spin_ns: launch.spin_ns,
            without: launch.without,
            on_ready: launch.on_ready,
        };
        let (started, starts) = channel();
        let run = move || run(place, endpoint, setup, &started);
        self.threads.push(thread::Builder::new().name(format!("shard {id}")).spawn(run)?);
        match starts.recv() {
            Ok(addresses) => {
                self.addresses = addresses;
                self.metrics.push(metrics);
                Ok(())
            }
            // The thread ended before it was ready: its result says why.
            Err(_) => {
                let thread = self.threads.pop().expect("it was just pushed");
                thread.join().map_err(|_| io::Error::other("a shard panicked"))?
            }
        }
    }

    /// A new ruleset, for all shards.
    pub fn load(&mut self, ruleset: &Arc<Ruleset>, addresses: &dyn Fn(PartnerIndex) -> Box<[SocketAddr]>) {
        self.partners = counted(ruleset, &self.partners, self.threads.len() as u16);
        let epoch = |shard| Epoch::new(ruleset, addresses, metrics_of(&self.partners, shard));
        self.tell(|shard| Message::Epoch(Box::new(epoch(shard))));
    }

    /// A partner's addresses, resolved anew.
    pub fn move_partner(&mut self, partner: PartnerId, addresses: &[SocketAddr]) {
        self.tell(|_| Message::Addresses { partner, addresses: addresses.into() });
    }

    /// From now on no new clients; shards end when all is answered, or after `patience_ns`.
    pub fn drain(&mut self, patience_ns: u64) {
        let deadline_ns = clocks::read_mono_ns().saturating_add(patience_ns);
        self.tell(|_| Message::Drain { deadline_ns });
    }

    /// How many rulesets shards have sent back to be freed since the last call, counted for each shard.
    pub fn retired(&self) -> usize {
        self.post.retired()
    }

    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// How many shards have ended. Until they are told to drain, none does unless its runtime fails.
    pub fn ended(&self) -> usize {
        self.threads.iter().filter(|thread| thread.is_finished()).count()
    }

    /// Waits until all shards have ended.
    ///
    /// # Errors
    /// What ended the first shard that failed.
    pub fn join(mut self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in std::mem::take(&mut self.threads) {
            let ended = thread.join().map_err(|_| io::Error::other("a shard panicked")).flatten();
            result = result.and(ended);
        }
        result
    }

    fn tell(&self, message: impl Fn(ShardId) -> Message) {
        (0..self.threads.len() as u16).map(ShardId).for_each(|shard| self.post.tell(shard, message(shard)));
    }
}

/// What is counted of a ruleset's partners: of those that there were before, as it was. One that left is forgotten
/// with the last ruleset that has it.
fn counted(ruleset: &Ruleset, before: &[PartnerCounts], shards: u16) -> Vec<PartnerCounts> {
    let counts = |id| match before.iter().find(|known| known.id == id) {
        Some(known) => known.shards.clone(),
        None => (0..shards).map(|_| Arc::default()).collect(),
    };
    let partners = ruleset.partners.iter();
    partners.map(|new| PartnerCounts { id: new.id, name: new.name.clone(), shards: counts(new.id) }).collect()
}

fn metrics_of(partners: &[PartnerCounts], shard: ShardId) -> impl Fn(PartnerIndex) -> Arc<PartnerMetrics> {
    move |index| Arc::clone(&partners[usize::from(index.0)].shards[usize::from(shard.0)])
}

/// Reads the opt-outs that hold, and starts who keeps the next ones. What is held stays held, whatever `plan` says.
fn keep_opt_outs(launch: &Launch, plan: &mut Plan, mailbox: Endpoint<Message>) -> io::Result<(Arc<[OptOut]>, Post)> {
    let Some(folder) = &launch.data_dir else {
        return Ok((Arc::new([]), Post::start(mailbox, Keeper::new((), plan.shards, 0, plan.opt_outs_max))?));
    };
    let (log, recovered) = Log::open(folder, &launch.secret, clocks::read().wall_ms)?;
    if recovered.damaged > 0 {
        say::warning(format_args!("{} damaged records in the log of opt-outs are lost", recovered.damaged));
    }
    let held = recovered.opt_outs.len();
    if held >= plan.opt_outs_max {
        say::warning(format_args!("{held} opt-outs are held, no more will be taken: raise `opt_outs_max`"));
        plan.opt_outs_max = held;
    }
    let post = Post::start(mailbox, Keeper::new(log, plan.shards, held, plan.opt_outs_max))?;
    Ok((recovered.opt_outs.into(), post))
}

/// Where and on what one shard runs.
struct Place {
    runtime: Runtime,
    core: Option<usize>,
    listeners: Vec<SocketAddr>,
    spin_ns: u64,
    without: uring::Without,
    on_ready: Option<fn(ShardId)>,
}

/// One shard's life. It is made on its own, pinned thread, so that its memory lies near its core.
fn run(place: Place, endpoint: Endpoint<Message>, setup: Setup, started: &Sender<Vec<SocketAddr>>) -> io::Result<()> {
    let (id, plan) = (setup.id, setup.plan);
    let (connections_max, outgoing_max) = (plan.clients_max as u32, plan.upstreams_max as u32);
    let Place { runtime, core, listeners, spin_ns, without, on_ready } = place;
    let ready = |addresses| {
        // The receiver waits for this; if it is gone, so is the whole process's purpose.
        let _ = started.send(addresses);
        on_ready.into_iter().for_each(|on_ready| on_ready(id));
    };
    match runtime {
        Runtime::Uring | Runtime::Auto => {
            let sizes = uring::Config { connections_max, outgoing_max, ..Default::default() };
            let config = uring::Config { core, listeners, spin_ns, without, ..sizes };
            let mut uring = uring::Uring::new(&config, endpoint)?;
            let mut shard = Shard::new(setup);
            ready(uring.addresses()?);
            uring.run(&mut shard)
        }
        Runtime::Glommio => {
            let config =
                glommio::Config { core, listeners, connections_max, outgoing_max, spin_ns, ..Default::default() };
            let mut glommio = glommio::Glommio::new(&config, endpoint)?;
            let mut shard = Shard::new(setup);
            ready(glommio.addresses()?);
            glommio.run(&mut shard)
        }
    }
}
