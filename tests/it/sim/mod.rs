//! Deterministic simulation: the whole server without a kernel. One seed decides the network, the clocks, the clients
//! and what goes wrong at partners; the same seed gives the same run. `SIMULATION_SEEDS` says how many runs to make,
//! `SIMULATION_SEED` repeats a single one.

mod client;
mod control;
mod io;
mod partner;
pub mod random;
mod world;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pinion::config;
use pinion::event::errors::ErrorCode;
use pinion::identity::Secret;
use pinion::ids::ShardId;
use pinion::metrics::{ShardMetrics, Totals};
use pinion::ruleset::Ruleset;
use pinion::shard::{Epoch, Message, Plan, RING_MESSAGES, Setup, Shard};

use client::{Client, Record};
use control::{Control, Durable};
use io::SimIo;
use partner::Partner;
use random::Random;
use world::World;

const CONFIG: &str = include_str!("config.toml");
const BUDGET_NS: u64 = 50_000_000;
/// What an answer may take beyond the budget: the network's delays, and a turn.
const SLACK_NS: u64 = 5_000_000;
/// Less than what a budget leaves for waiting.
const LAG_NS_MAX: u64 = 30_000_000;
/// What was rendered before an opt-out was acknowledged may reach a partner so much later.
const UNDER_WAY_NS_MAX: u64 = BUDGET_NS + LAG_NS_MAX;
/// More than half of what a person's profile may take to come, and so little that an answer still comes in time.
const POST_DELAY_NS_MAX: u64 = 2_000_000;
/// More than the device id of the one who sends them may come in the time that they take.
const FLOOD_REQUESTS: usize = 100;
const SEEDS_DEFAULT: u64 = 10_000;
/// The person that a call signs in could not be asked in time.
const PERSON_UNREAD: ErrorCode = ErrorCode::ProfileCustomerUnread;

fn ruleset(secret: &Secret) -> Arc<Ruleset> {
    let loaded = config::load(CONFIG, "config.toml").unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(ToString::to_string).collect::<String>());
    });
    Arc::new(loaded.into_ruleset(secret, 1).0)
}

/// The sum of all that may hold a small buffer: with so many no connection is closed for want of one.
fn enough_buffers(clients: usize, jobs: usize, calls: usize, errands: usize) -> usize {
    2 * clients + 2 * jobs + 2 * calls + errands
}

fn plan(shards: u16, random: &mut Random) -> Plan {
    let clients_max = 8;
    // Small enough that pools run dry now and then.
    let jobs_max = 1 + random.below(6) as usize;
    let calls_max = 1 + random.below(8) as usize;
    let errands_max = random.below(5) as usize;
    let enough = enough_buffers(clients_max, jobs_max, calls_max, errands_max);
    let small_buffers = if random.one_in(8) { random.below(8) as usize } else { enough };
    Plan {
        shards,
        clients_max,
        upstreams_max: 1 + random.below(6) as usize,
        jobs_max,
        calls_max,
        errands_max,
        small_buffers,
        large_buffers: random.below(4) as usize,
        profile_bytes: 256 * 1024,
        id_map_bytes: 4 * 1024,
        opt_outs_max: 64,
        meters: 16,
        sweep_buckets_per_upkeep: 64,
        idle_ns: 5_000_000_000,
    }
}

/// Profiles of persons that were not read or came late, and traits that stayed on the device, in all runs.
static PERSONS_TROUBLES: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

struct Run {
    world: World<Message, Shard>,
    metrics: Vec<Arc<ShardMetrics>>,
    plan: Plan,
    record: Rc<RefCell<Record>>,
}

/// `durable`: the opt-outs that a run before this one left on disk.
fn start(seed: u64, ruleset: &Arc<Ruleset>, secret: &Secret, durable: &Durable, record: Rc<RefCell<Record>>) -> Run {
    let mut random = Random::new(seed);
    let shard_count = 1 + random.below(3) as u16;
    let plan = plan(shard_count, &mut random);
    let addresses: Vec<SocketAddr> =
        (0..ruleset.partners.len()).map(|i| ([10, 0, 0, 1 + i as u8], 80).into()).collect();
    let mut metrics = Vec::new();
    let shards = (0..shard_count)
        .map(|id| {
            let epoch = Epoch::new(ruleset, |partner| Box::new([addresses[partner.0 as usize]]), |_| Arc::default());
            let counted = Arc::new(ShardMetrics::default());
            metrics.push(Arc::clone(&counted));
            let shard = Shard::new(Setup {
                id: ShardId(id),
                plan,
                epoch: Box::new(epoch),
                metrics: counted,
                secret: secret.clone(),
                entropy: random.bytes32(),
                opt_outs: durable.borrow().as_slice().into(),
            });
            (shard, SimIo::new(plan.clients_max, plan.upstreams_max, shard_count.into(), RING_MESSAGES))
        })
        .collect();
    let control = Control::new(seed, shard_count, plan.opt_outs_max, Rc::clone(durable));
    let mut world = World::new(seed, shards, Box::new(control));
    // Some are behind with their work, and the visitors' budgets are the same.
    if random.one_in(4) {
        world.shards.iter_mut().for_each(|(_, io)| io.lag_ns = random.below(LAG_NS_MAX));
    }
    // Some cores are slow to hear of each other: at times a person's profile comes too late.
    if random.one_in(4) {
        world.post_delay_ns_max = POST_DELAY_NS_MAX;
    }
    for address in addresses {
        let peer = world.add_peer(Box::new(Partner::new(&mut random, Rc::clone(&record))));
        world.addresses.insert(address, peer);
    }
    if random.one_in(30) {
        let peer = world.add_peer(Box::new(Client::flooding(seed, FLOOD_REQUESTS, Rc::clone(&record))));
        world.wake_peer(peer, 0, 0);
    }
    for client in 0..1 + random.below(6) {
        let requests = 1 + random.below(5) as usize;
        let peer = world.add_peer(Box::new(Client::new(seed ^ client << 32, requests, Rc::clone(&record))));
        world.wake_peer(peer, random.below(40_000_000), 0);
    }
    Run { world, metrics, plan, record }
}

fn check(seed: u64, ruleset: &Arc<Ruleset>, secret: &Secret) {
    let (durable, record) = (Durable::default(), Rc::new(RefCell::new(Record::default())));
    let mut random = Random::new(!seed);
    if random.one_in(3) {
        // A crash: what was acknowledged before it counts after it.
        let mut run = start(seed, ruleset, secret, &durable, Rc::clone(&record));
        run.world.run_until(1_000_000_000 + random.below(100_000_000));
        drop(run);
        let before = record.take();
        let opted_out = before.opted_out.into_keys().map(|name| (name, 0)).collect();
        record.replace(Record { asked_out: before.asked_out, opted_out, ..Record::default() });
    }
    let Run { mut world, metrics, plan, record } = start(seed, ruleset, secret, &durable, record);
    // Long enough for every client, every late limit and every idle connection.
    world.run_until(20_000_000_000);
    for (shard, metrics) in metrics.iter().enumerate() {
        world.tell(shard, Message::Drain { deadline_ns: u64::MAX });
        let gauges = &metrics.gauges;
        assert_eq!(gauges.parked.value(), 0, "parked requests");
        assert_eq!(gauges.calls_in_flight.value(), 0, "calls");
    }
    world.run_until(30_000_000_000);
    for (shard, metrics) in metrics.iter().enumerate() {
        assert!(world.has_ended(shard), "a drained shard ends");
        let gauges = &metrics.gauges;
        assert_eq!(gauges.connections.value(), 0, "client connections");
        assert_eq!(gauges.jobs_free.value(), plan.jobs_max as u64, "jobs");
        assert_eq!(gauges.errands_free.value(), plan.errands_max as u64, "errands");
        assert_eq!(gauges.buffers_small_free.value(), plan.small_buffers as u64, "small buffers");
        assert_eq!(gauges.buffers_large_free.value(), plan.large_buffers as u64, "large buffers");
        assert_eq!(gauges.away.value(), 0, "requests away");
    }
    for (sum, total) in PERSONS_TROUBLES.iter().zip([
        |totals: &Totals| totals.persons_unread.value(),
        |totals: &Totals| totals.persons_late.value(),
        |totals: &Totals| totals.person_traits_kept.value(),
    ]) {
        sum.fetch_add(metrics.iter().map(|metrics| total(&metrics.totals)).sum(), Relaxed);
    }
    let record = record.borrow();
    if plan.small_buffers == enough_buffers(plan.clients_max, plan.jobs_max, plan.calls_max, plan.errands_max) {
        assert_eq!(record.lost, 0, "answers that never came on a connection that was left alone");
    }
    let evaluated: u64 = metrics.iter().map(|metrics| metrics.totals.traits_realised.value()).sum();
    assert!(evaluated >= record.answered_by_rules, "an answer shows a trait that was not realised");
}

#[test]
fn the_server_survives_its_network_and_its_partners() {
    let secret = Secret::from_bytes([7; 32]);
    let ruleset = ruleset(&secret);
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let are_all = seeds.end - seeds.start >= SEEDS_DEFAULT;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (ruleset, secret, seeds) = (&ruleset, &secret, seeds.clone());
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % threads == thread) {
                    let run = std::panic::AssertUnwindSafe(|| check(seed, ruleset, secret));
                    if let Err(panic) = std::panic::catch_unwind(run) {
                        eprintln!("repeat with: SIMULATION_SEED={seed} cargo test --test it sim::");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
    let troubles = PERSONS_TROUBLES.each_ref().map(|sum| sum.load(Relaxed));
    assert!(!are_all || troubles.iter().all(|sum| *sum > 100), "what is to be survived happened: {troubles:?}");
}
