//! The real server on real sockets, for the tests beside this file: shards on either runtime, ports chosen by the
//! kernel, and a client that speaks over one connection.

mod accounts;
mod counting;
mod faults;
mod flood;
mod hostile;
mod lookups;
mod mutation;
pub mod partner;
pub mod protocol;
mod reload;
mod smoke;
mod told;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pinion::config;
use pinion::config::file::Runtime;
use pinion::control::shards::{Launch, Shards};
use pinion::http::response::{Answer, ResponseParser};
use pinion::identity::Secret;
use pinion::ids::{PartnerIndex, ShardId};
use pinion::metrics::{Gauges, PartnerCounts, PartnerMetrics, PartnerTotals, ShardMetrics, Totals};
use pinion::reactor::uring::Without;
use pinion::ruleset::Ruleset;
use pinion::shard::Plan;

use crate::strict;

pub const URING: Runtime = Runtime::Uring;
pub const GLOMMIO: Runtime = Runtime::Glommio;

/// A server that ends with the test.
pub struct Server {
    shards: Option<Shards>,
    pub address: SocketAddr,
    pub plan: Plan,
}

pub struct Options {
    pub runtime: Runtime,
    pub shards: u16,
    /// Where partners are, by their place in the config, unless the config says it itself.
    pub partners: Vec<SocketAddr>,
    pub connections_max: usize,
    pub on_ready: Option<fn(ShardId)>,
    pub without: Without,
    /// What profiles and ids may take, of all shards together.
    pub memory_bytes: usize,
    /// Partner connections of one shard; none: what the plan says.
    pub upstreams_max: Option<usize>,
}

impl Options {
    pub fn on(runtime: Runtime) -> Options {
        Options {
            runtime,
            shards: 1,
            partners: Vec::new(),
            connections_max: 1_024,
            on_ready: None,
            without: Without::default(),
            memory_bytes: 64 << 20,
            upstreams_max: None,
        }
    }
}

/// Compiles a config that must be good.
pub fn ruleset(text: &str) -> Arc<Ruleset> {
    ruleset_of_epoch(text, 1)
}

/// The same, for a server that has had others.
pub fn ruleset_of_epoch(text: &str, epoch: u64) -> Arc<Ruleset> {
    let loaded = config::load(text, "test.toml").unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(ToString::to_string).collect::<String>());
    });
    Arc::new(loaded.into_ruleset(&secret(), epoch).0)
}

/// Tests that measure run one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

impl Server {
    pub fn start(config: &str, options: Options) -> Server {
        let ruleset = ruleset(config);
        let connections = ruleset.partners.iter().map(|partner| partner.pool.connections_max).sum();
        let plan = Plan::new(options.shards, options.connections_max, options.memory_bytes, connections);
        let plan = Plan { upstreams_max: options.upstreams_max.unwrap_or(plan.upstreams_max), ..plan };
        let launch = Launch {
            runtime: options.runtime,
            ruleset: Arc::clone(&ruleset),
            plan,
            listeners: vec![([127, 0, 0, 1], 0).into()],
            cores: vec![None; options.shards.into()],
            spin_ns: 0,
            without: options.without,
            secret: secret(),
            entropy: [9; 32],
            data_dir: None,
            on_ready: options.on_ready,
        };
        let partners = options.partners;
        let addresses = |index: PartnerIndex| match &ruleset.partner_addresses[usize::from(index.0)] {
            fixed if !fixed.is_empty() => fixed.clone(),
            _ => partners.get(usize::from(index.0)).copied().into_iter().collect(),
        };
        let shards = Shards::start(&launch, &addresses).expect("the server starts");
        let address = shards.addresses[0];
        Server { shards: Some(shards), address, plan }
    }

    pub fn shards(&mut self) -> &mut Shards {
        self.shards.as_mut().expect("it runs until it is dropped")
    }

    pub fn metrics(&self) -> &[Arc<ShardMetrics>] {
        &self.shards.as_ref().expect("it runs until it is dropped").metrics
    }

    /// What the first shard counts of a partner, by its place in the ruleset.
    pub fn partner(&self, index: usize) -> &PartnerMetrics {
        &self.partners()[index].shards[0]
    }

    pub fn partners(&self) -> &[PartnerCounts] {
        &self.shards.as_ref().expect("it runs until it is dropped").partners
    }

    /// A number of one partner over all shards.
    pub fn partner_total(&self, index: usize, number: impl Fn(&PartnerTotals) -> u64) -> u64 {
        self.partners()[index].shards.iter().map(|metrics| number(&metrics.totals)).sum()
    }

    /// A number over all shards.
    pub fn total(&self, number: impl Fn(&Totals) -> u64) -> u64 {
        self.metrics().iter().map(|metrics| number(&metrics.totals)).sum()
    }

    pub fn gauge(&self, number: impl Fn(&Gauges) -> u64) -> u64 {
        self.metrics().iter().map(|metrics| number(&metrics.gauges)).sum()
    }

    /// Waits for something that the shards publish a moment later. Panics after ten seconds.
    #[track_caller]
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
            std::thread::yield_now();
        }
    }

    /// Nothing is under way and every pool is full again; partner connections may be idle.
    #[track_caller]
    pub fn assert_quiet(&self) {
        let shards = u64::from(self.plan.shards);
        let (jobs, small, large) = (self.plan.jobs_max, self.plan.small_buffers, self.plan.large_buffers);
        self.wait_until("all connections closed", |server| server.gauge(|gauges| gauges.connections.value()) == 0);
        self.wait_until("no call under way", |server| server.gauge(|gauges| gauges.calls_in_flight.value()) == 0);
        self.wait_until("no request parked", |server| server.gauge(|gauges| gauges.parked.value()) == 0);
        self.wait_until("all jobs back", |server| {
            server.gauge(|gauges| gauges.jobs_free.value()) == shards * jobs as u64
        });
        let errands = self.plan.errands_max as u64;
        self.wait_until("all errands back", |server| {
            server.gauge(|gauges| gauges.errands_free.value()) == shards * errands
        });
        self.wait_until("all small buffers back", |server| {
            server.gauge(|gauges| gauges.buffers_small_free.value()) == shards * small as u64
        });
        self.wait_until("all large buffers back", |server| {
            server.gauge(|gauges| gauges.buffers_large_free.value()) == shards * large as u64
        });
    }

    pub fn connect(&self) -> Connection {
        Connection::to(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut shards) = self.shards.take() else { return };
        shards.drain(2_000_000_000);
        let ended = shards.join();
        if !std::thread::panicking() {
            ended.expect("shards end well");
        }
    }
}

/// One client connection.
pub struct Connection {
    pub stream: TcpStream,
    received: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Head as it came, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn to(address: SocketAddr) -> Connection {
        Connection::of(TcpStream::connect(address).expect("the server listens"))
    }

    pub fn of(stream: TcpStream) -> Connection {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a TCP socket");
        Connection { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// The next answer.
    #[track_caller]
    pub fn receive(&mut self) -> Reply {
        self.try_receive().expect("an answer before the connection ends")
    }

    /// The next answer, or `None` when the server closed instead.
    #[track_caller]
    pub fn try_receive(&mut self) -> Option<Reply> {
        self.try_receive_to(false)
    }

    /// The next answer, which is to HEAD.
    #[track_caller]
    pub fn receive_to_head(&mut self) -> Reply {
        self.try_receive_to(true).expect("an answer before the connection ends")
    }

    #[track_caller]
    fn try_receive_to(&mut self, to_head: bool) -> Option<Reply> {
        let mut parser = ResponseParser::new(to_head, 128 * 1024);
        loop {
            if let Answer::Complete(response) = parser.advance(&mut self.received) {
                let head = String::from_utf8_lossy(&self.received[..response.body.start]).trim_end().to_owned();
                let body = self.received[response.body].to_vec();
                self.received.drain(..response.consumed);
                let reply = Reply { status: response.status, head, body };
                reply.check(None);
                return Some(reply);
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// Waits for more bytes; `false` when the server closed.
    #[track_caller]
    fn read_more(&mut self) -> bool {
        let mut room = [0; 16 * 1024];
        match self.stream.read(&mut room) {
            Ok(0) => return false,
            Ok(len) => self.received.extend_from_slice(&room[..len]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return false,
            // A process that was stopped for a while: a socket with a timeout doesn't go on by itself then.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("no answer: {error}; so far {:?}", String::from_utf8_lossy(&self.received)),
        }
        true
    }

    /// Asks with GET, on the given host, with further header lines (each ended by CRLF).
    #[track_caller]
    pub fn get(&mut self, host: &str, target: &str, headers: &str) -> Reply {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes());
        self.receive()
    }
}

impl Reply {
    /// Panics when the answer's JSON is not what clients decode. The path of its request, if known.
    #[track_caller]
    pub fn check(&self, path: Option<&str>) {
        if let Err(fault) = strict::check(&self.head, &self.body, path) {
            panic!("{fault}\n{}\n\n{}", self.head, String::from_utf8_lossy(&self.body));
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error} in {}\n{}", self.head, String::from_utf8_lossy(&self.body));
        })
    }

    /// The numbers in one of the answer's lists.
    #[track_caller]
    pub fn ids(&self, list: &str) -> Vec<u64> {
        self.json()[list].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect()
    }
}
