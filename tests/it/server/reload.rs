//! Rulesets change and servers end while requests wait: what waits is answered by the rules it began with.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use pinion::config::file::Runtime;
use pinion::metrics::{PartnerCounts, PartnerTotals};
use pinion::reactor::listener;
use pinion::ruleset::Ruleset;

use super::partner::{Act, Partner, json};
use super::{Connection, Options, Reply, Server};

const CONFIG: &str = include_str!("smoke.toml");
const PHOTO: &str = r#"{"segment":[{"segment_id":"photo","ttl":86400}]}"#;

/// The config with time enough for the test to decide when the partner answers, and another number for its segment.
fn config(segment: u32) -> String {
    CONFIG
        .replace("alias = \"shop\"", "alias = \"shop\"\nbudget_ms = 9000")
        .replace("id = 101\n", &format!("id = {segment}\n"))
        + "timeout_ms = 9000\n"
}

fn ruleset(segment: u32, epoch: u64) -> Arc<Ruleset> {
    super::ruleset_of_epoch(&config(segment), epoch)
}

/// A server whose partner answers when the guard is dropped.
fn start(runtime: Runtime, lock: &Arc<Mutex<()>>, shards: u16) -> (Server, Partner, MutexGuard<'_, ()>) {
    let guard = lock.lock().expect("no holder panics");
    let partner = Partner::start(Act::Held(Arc::clone(lock), json(PHOTO)));
    let options = Options { shards, partners: vec![partner.address], connections_max: 64, ..Options::on(runtime) };
    (Server::start(&config(101), options), partner, guard)
}

const REQUEST: &[u8] = b"GET /event?d_rtbd=json&d_cts=2&c_product=camera HTTP/1.1\r\nHost: shop.example.net\r\n\r\n";

fn visit(client: &mut Connection) -> Reply {
    client.send(REQUEST);
    client.receive()
}

/// Connections with a request that waits for the partner.
fn park(server: &Server, count: u64) -> Vec<Connection> {
    let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(REQUEST));
    server.wait_until("requests parked", |server| server.gauge(|gauges| gauges.parked.value()) == count);
    clients
}

fn load(server: &mut Server, ruleset: &Arc<Ruleset>, partner: SocketAddr) {
    server.shards().load(ruleset, &move |_| [partner].into());
}

/// Waits until control got so many rulesets back in all.
fn collect(server: &mut Server, mut retired: usize, expected: usize) {
    let start = Instant::now();
    while retired < expected {
        retired += server.shards().retired();
        assert!(start.elapsed() < Duration::from_secs(10), "{retired} of {expected} rulesets came back");
        thread::yield_now();
    }
    assert_eq!(retired, expected);
}

on_each_runtime!(
    parked_requests_finish_by_the_rules_they_began_with,
    rules_change_under_load_without_a_lost_call,
    rules_change_while_all_connections_are_busy,
    a_partner_keeps_its_counts_wherever_it_stands,
    what_finds_no_place_is_not_held_against_the_partner,
    a_server_that_ends_answers_what_waits,
    a_server_that_ends_waits_no_longer_than_it_may,
);

fn parked_requests_finish_by_the_rules_they_began_with(runtime: Runtime) {
    let lock = Arc::default();
    let (mut server, partner, guard) = start(runtime, &lock, 1);
    let parked = park(&server, 5);

    load(&mut server, &ruleset(202, 2), partner.address);
    server.wait_until("the new rules", |server| server.gauge(|gauges| gauges.epoch.value()) == 2);
    partner.set(Act::Answer(Duration::ZERO, json(PHOTO)));
    let mut client = server.connect();
    assert_eq!(visit(&mut client).ids("segments"), [100, 202], "the next request goes by the new rules");
    server.wait_until("only the first wait on", |server| server.gauge(|gauges| gauges.parked.value()) == 5);
    assert_eq!(server.shards().retired(), 0, "the old rules are still needed");

    // Two more while the first ones are in use: the latest counts, the one between is never used.
    load(&mut server, &ruleset(303, 3), partner.address);
    load(&mut server, &ruleset(404, 4), partner.address);
    collect(&mut server, 0, 1);
    assert_eq!(server.gauge(|gauges| gauges.epoch.value()), 2);

    drop(guard);
    for mut client in parked {
        assert_eq!(client.receive().ids("segments"), [100, 101], "parked under the first rules");
    }
    // The first rules go, the fourth are taken into use, then the second go.
    collect(&mut server, 1, 3);
    server.wait_until("the latest rules", |server| server.gauge(|gauges| gauges.epoch.value()) == 4);
    assert_eq!(visit(&mut client).ids("segments"), [100, 404]);
    assert_eq!(server.total(|totals| totals.rulesets_loaded.value()), 2);
    drop(client);
    server.assert_quiet();
    server
        .wait_until("old connections closed", |server| server.gauge(|gauges| gauges.partner_connections.value()) <= 1);
}

fn rules_change_while_all_connections_are_busy(runtime: Runtime) {
    const CONNECTIONS: u64 = 8;
    let config = |segment| config(segment) + "max_connections = 8\nqueue_max = 0\n";
    let lock = Arc::default();
    let guard = Mutex::lock(&lock).expect("no holder panics");
    let partner = Partner::start(Act::Held(Arc::clone(&lock), json(PHOTO)));
    let options = Options { partners: vec![partner.address], connections_max: 64, ..Options::on(runtime) };
    let mut server = Server::start(&config(101), options);
    let parked = park(&server, CONNECTIONS);
    server.wait_until("all connections busy", |_| partner.requests() == CONNECTIONS);

    load(&mut server, &super::ruleset_of_epoch(&config(202), 2), partner.address);
    server.wait_until("the new rules", |server| server.gauge(|gauges| gauges.epoch.value()) == 2);
    partner.set(Act::Answer(Duration::ZERO, json(PHOTO)));
    let mut client = server.connect();
    for _ in 0..20 {
        assert_eq!(visit(&mut client).ids("segments"), [100, 202]);
    }
    drop(guard);
    for mut client in parked {
        assert_eq!(client.receive().ids("segments"), [100, 101]);
    }
    let totals = |number: fn(&PartnerTotals) -> u64| number(&server.partner(0).totals);
    assert_eq!(totals(|totals| totals.hits.value()), CONNECTIONS + 20);
    let failed = |totals: &PartnerTotals| {
        totals.errors_connect.value() + totals.skipped_health.value() + totals.skipped_cap.value()
    };
    assert_eq!(totals(failed), 0);
    drop(client);
    server.assert_quiet();
}

fn a_partner_keeps_its_counts_wherever_it_stands(runtime: Runtime) {
    let lock = Arc::default();
    let (mut server, partner, guard) = start(runtime, &lock, 1);
    let mut parked = park(&server, 1);
    server.wait_until("the partner asked", |_| partner.requests() == 1);
    partner.set(Act::Answer(Duration::ZERO, json(PHOTO)));
    let mut client = server.connect();
    (0..3).for_each(|_| assert_eq!(visit(&mut client).ids("segments"), [100, 101]));

    // A second one stands before it from now on.
    let second = Partner::start(Act::Answer(Duration::ZERO, json(PHOTO)));
    let text = config(101);
    let (before, first) = text.split_once("[[partner]]").expect("there is a partner");
    let front = first.replace("id = 1\n", "id = 2\n").replace("\"photo\"", "\"second\"");
    let text = format!("{before}[[partner]]{front}[[partner]]{first}");
    let addresses = [second.address, partner.address];
    let both = super::ruleset_of_epoch(&text, 2);
    server.shards().load(&both, &move |index| [addresses[usize::from(index.0)]].into());
    server.wait_until("the new rules", |server| server.gauge(|gauges| gauges.epoch.value()) == 2);
    let named = |server: &Server| -> Vec<(u32, u64, u64)> {
        let counts = |partner: &PartnerCounts| {
            let waited = partner.shards[0].waited.filled().map(|(_, count)| count).sum();
            (partner.id.0, partner.shards[0].totals.hits.value(), waited)
        };
        server.partners().iter().map(counts).collect()
    };
    assert_eq!(named(&server), [(2, 0, 0), (1, 3, 3)]);
    visit(&mut client);
    // What began under the old rules counts for whom it was asked.
    drop(guard);
    parked.remove(0).receive();
    assert_eq!(named(&server), [(2, 1, 1), (1, 5, 5)]);

    load(&mut server, &ruleset(101, 3), partner.address);
    server.wait_until("the first alone", |server| server.gauge(|gauges| gauges.epoch.value()) == 3);
    assert_eq!(visit(&mut client).ids("segments"), [100, 101]);
    assert_eq!(named(&server), [(1, 6, 6)]);
    drop(client);
    server.assert_quiet();
}

fn what_finds_no_place_is_not_held_against_the_partner(runtime: Runtime) {
    let lock = Arc::default();
    let guard = Mutex::lock(&lock).expect("no holder panics");
    let partner = Partner::start(Act::Held(Arc::clone(&lock), json(PHOTO)));
    let options = Options { partners: vec![partner.address], upstreams_max: Some(2), ..Options::on(runtime) };
    let server = Server::start(&config(101), options);
    let parked = park(&server, 2);
    server.wait_until("all places taken", |_| partner.requests() == 2);
    let mut client = server.connect();
    for _ in 0..50 {
        assert_eq!(visit(&mut client).ids("segments"), [100], "at once, without the partner");
    }
    drop(guard);
    for mut client in parked {
        assert_eq!(client.receive().ids("segments"), [100, 101]);
    }
    assert_eq!(visit(&mut client).ids("segments"), [100, 101], "the partner counts as well as ever");
    let totals = &server.partner(0).totals;
    assert_eq!(totals.skipped_cap.value(), 50);
    assert_eq!(totals.errors_connect.value() + totals.skipped_health.value(), 0);
    drop(client);
    server.assert_quiet();
}

fn rules_change_under_load_without_a_lost_call(runtime: Runtime) {
    const EPOCHS: u64 = 20;
    let partner = Partner::start(Act::Answer(Duration::from_millis(1), json(PHOTO)));
    let options = Options { shards: 2, partners: vec![partner.address], connections_max: 64, ..Options::on(runtime) };
    let mut server = Server::start(&config(101), options);
    let address = server.address;
    let ended = Arc::new(Mutex::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                let mut client = Connection::to(address);
                let mut calls = 0;
                while !*ended.lock().expect("no holder panics") {
                    let segments = visit(&mut client).ids("segments");
                    assert!(segments[0] == 100 && matches!(segments[1..], [101 | 201..]), "{segments:?}");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for epoch in 2..=EPOCHS {
        load(&mut server, &ruleset(200 + epoch as u32, epoch), partner.address);
        server.wait_until("the new rules on all cores", |server| {
            server.gauge(|gauges| gauges.epoch.value()) == 2 * epoch
        });
    }
    collect(&mut server, 0, 2 * (EPOCHS as usize - 1));
    *ended.lock().expect("no holder panics") = true;
    let calls: usize = clients.into_iter().map(|client| client.join().expect("every call was answered")).sum();
    println!("{calls} calls under {EPOCHS} rulesets");
    assert_eq!(server.total(|totals| totals.events.value()), calls as u64);
    assert_eq!(server.total(|totals| totals.overloaded.value()), 0);
    server.assert_quiet();
}

fn a_server_that_ends_answers_what_waits(runtime: Runtime) {
    let lock = Arc::default();
    let (mut server, _partner, guard) = start(runtime, &lock, 2);
    let mut idle = server.connect();
    server.wait_until("the idle client", |server| server.gauge(|gauges| gauges.connections.value()) == 1);
    let parked = park(&server, 8);
    server.shards().drain(9_000_000_000);
    assert!(idle.try_receive().is_none(), "idle connections are closed");
    assert_eq!(server.gauge(|gauges| gauges.parked.value()), 8, "those who wait are not");
    server.wait_until("nobody listens", |server| std::net::TcpStream::connect(server.address).is_err());
    listener::check_unused(&[server.address]).expect("the next server can have the address");
    drop(guard);
    for mut client in parked {
        let reply = client.receive();
        assert_eq!((reply.ids("segments"), reply.header("connection")), (vec![100, 101], Some("close")));
        assert!(client.try_receive().is_none(), "closed after the answer");
    }
    server.assert_quiet();
    let shards = server.shards.take().expect("it runs");
    shards.join().expect("shards end well");
}

fn a_server_that_ends_waits_no_longer_than_it_may(runtime: Runtime) {
    let lock = Arc::default();
    let (mut server, _partner, _guard) = start(runtime, &lock, 2);
    let parked = park(&server, 3);
    let start = Instant::now();
    server.shards().drain(50_000_000);
    for mut client in parked {
        let reply = client.receive();
        assert_eq!((reply.ids("segments"), reply.header("connection")), (vec![100], Some("close")), "what is known");
        assert!(client.try_receive().is_none());
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let metrics = server.metrics().to_vec();
    server.shards.take().expect("it runs").join().expect("shards end well");
    assert!(metrics.iter().all(|metrics| metrics.connections_cut.value() == 0));
}
